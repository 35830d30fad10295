"""A sweep at an interval reads the whole list, however the list is paged, and tells deletions only of what is gone."""

from __future__ import annotations

import random
from contextlib import closing
from typing import Any

import pytest

from tap_restextract.config.reading import read_settings
from tap_restextract.exchange.answer import Answer, facts_of
from tap_restextract.exchange.request import request_for
from tap_restextract.hash_cache.sqlite import SqliteHashes
from tap_restextract.http.pages import page_of
from tap_restextract.plan.bookmarks.state import checkpointed, from_state
from tap_restextract.plan.plan import plans_for
from tap_restextract.walks.combined import NULLS
from tap_restextract.walks.steps import Page, PageRequest
from tap_restextract.walks.sweep import LOOKUP
from tap_restextract.walks.table import stream_walk_for

pytestmark = pytest.mark.pure

BEGIN = 1_000_000
PAGE = 5
WALKS: dict[str, dict[str, Any]] = {
    "compound": {
        "incremental": {"cursor_path": "at", "tie_breaker": "id", "filter": "compound"},
        "params": {"since": "{cursor.at}", "after": "{cursor.id}"},
    },
    "single page with a limit": {
        "incremental": {"cursor_path": "at", "filter": "inclusive"},
        "params": {"since": "{cursor.at}"},
        "paginator": {"type": "single_page", "limit": PAGE},
    },
}
UNTIMED: dict[str, Any] = {
    "incremental": {**WALKS["compound"]["incremental"], "null_params": {"at": "none"}},
    "params": WALKS["compound"]["params"],
}
"""A walk that asks for the records without a replication key by a request of their own."""

LOOKED_UP = {"path": "/notes/{key.id}"}
Row = dict[str, Any]


class Notes:
    """A list, five records an answer, that only a cursor leads through; read by runs of one stream."""

    def __init__(self, walk: str) -> None:
        stream = {
            "name": "notes",
            "path": "/notes",
            "primary_key": ["id"],
            "sweep_every": "1h",
            "lookup": LOOKED_UP,
            **{**WALKS, "untimed": UNTIMED}[walk],
        }
        config = {"base_url": "http://api", "records": "data", "deleted_path": "deleted", "streams": [stream]}
        (self.plan,) = plans_for(read_settings(config))
        self.rows: dict[int, Row] = {
            number: {"id": number, "at": BEGIN + number // 3, "rev": 0} for number in range(40)
        }
        self.cache, self.state, self.hour = SqliteHashes(":memory:", "notes"), dict[str, Any](), 0
        self.nulls, self.looked_up = SqliteHashes(":memory:", "notes, untimed") if walk == "untimed" else None, 0

    def page(self, ask: PageRequest) -> Page:
        if ask.list_name == LOOKUP:
            ((_, key),) = ask.scope
            self.looked_up += 1
            return Page([self.rows[key]] if key in self.rows else [])
        if ask.list_name == NULLS:
            return Page([row for row in self.rows.values() if row["at"] is None])
        params = dict(request_for(self.plan.stream, ask.cursor).params)
        since, after = int(params.get("since", 0)), int(params.get("after", -1))
        timed = (row for row in self.rows.values() if row["at"] is not None)
        listed = sorted(timed, key=lambda row: (row["at"], row["id"]))
        if "after" in params:
            listed = [row for row in listed if (row["at"], row["id"]) > (since, after)]
        found = [row for row in listed if row["at"] >= since and ("since" in params or not row.get("deleted"))]
        return page_of(self.plan.stream, ask, Answer("http://api/notes", facts_of(200, {}), {"data": found[:PAGE]}))

    def run(self) -> list[Row]:
        """An hour later: what came out."""
        self.hour += 2
        bookmark = from_state(self.plan, self.state)
        now = f"2026-01-01T{self.hour:02d}:00:00Z"
        fleet = stream_walk_for(self.plan, bookmark, cache=self.cache, nulls=self.nulls, now=now)
        records: list[Row] = []
        while (unit := fleet.next()) is not None:
            step = next(unit.steps)
            while True:
                taken = fleet.translate(unit, step)
                records += taken.records
                if taken.bookmark is not None:
                    self.state = checkpointed(self.plan, self.state, taken.bookmark)
                if step.request is None:
                    break
                step = unit.steps.send(self.page(step.request))
        return records

    def close(self) -> None:
        """Close the hash caches."""
        for cache in (self.cache, self.nulls):
            if cache is not None:
                cache.close()


@pytest.mark.parametrize("walk", WALKS)
def test_a_list_that_only_a_cursor_leads_through_is_swept_whole(walk: str) -> None:
    with closing(Notes(walk)) as notes:
        assert {record["id"] for record in notes.run()} == set(range(40))
        assert notes.run() == []
        del notes.rows[7]
        notes.rows[30]["rev"] = 1
        changed, gone = notes.run()
        assert changed == notes.rows[30]
        assert (gone["id"], set(gone)) == (7, {"id", "_sdc_deleted_at"})
        assert notes.run() == []


@pytest.mark.parametrize("seed", range(5))
def test_a_tombstone_is_not_emitted_again_as_missing(seed: int) -> None:
    chance = random.Random(seed)
    with closing(Notes("compound")) as notes:
        notes.run()
        chosen = chance.randrange(40)
        notes.rows[chosen] = {"id": chosen, "at": BEGIN + 100, "deleted": True}
        assert [record["id"] for record in notes.run()] == [chosen]
        del notes.rows[chosen]
        assert notes.run() == []


def test_records_without_a_time_are_a_part_of_the_list_that_is_swept() -> None:
    with closing(Notes("untimed")) as notes:
        notes.rows[40] = {"id": 40, "at": None, "rev": 0}
        assert {record["id"] for record in notes.run()} == set(range(41))
        assert notes.run() == []
        assert notes.looked_up == 0
        del notes.rows[40]
        (gone,) = notes.run()
        assert (gone["id"], set(gone)) == (40, {"id", "_sdc_deleted_at"})
        assert notes.looked_up == 2  # it, and one that the sweep has seen
