"""What a sweep at an interval asks for: the plain list, anew."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import Asked, Reply, serving
from tests.support.processes import tap
from tests.support.runs import Runs

Row = dict[str, Any]
PAGED: dict[str, dict[str, Any]] = {
    "stable tokens": {"paginator": {"type": "cursor", "cursor_path": "next", "stable": True}},
    "restart keyset": {"paginator": {"type": "page_number"}},
    "descending": {"paginator": {"type": "page_number"}, "incremental": {"order": "desc"}},
    "unordered": {"paginator": {"type": "page_number"}, "incremental": {"order": "none"}},
    "single page": {},
}


class Swept:
    """A list of four records, two a page where it is paged; `sinces` has the filter of each request."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {
            key: {"id": key, "at": f"2026-01-0{key}T00:00:00Z", "rev": 0} for key in (1, 2, 3, 4)
        }
        self.sinces: list[str | None] = []
        self.falls = False
        self.before_filtered: list[Row] = []

    def answer(self, asked: Asked) -> Reply:
        since = asked.params.get("since")
        if since is not None:
            self.rows.update({row["id"]: row for row in self.before_filtered})
        self.sinces.append(since)
        listed = sorted(self.rows.values(), key=lambda row: row["at"], reverse=self.falls)
        listed = [row for row in listed if since is None or row["at"] >= since]
        if "paged" not in asked.params:
            return Reply({"data": listed})
        start = 2 * int(asked.params.get("page", asked.params.get("cursor", 0)))
        following = start // 2 + 1 if start + 2 < len(listed) else None
        return Reply({"data": listed[start : start + 2], "next": following})


@pytest.mark.in_process
@pytest.mark.parametrize("walk", PAGED)
def test_a_sweep_at_an_interval_asks_for_the_plain_list_and_not_for_the_filtered_one(walk: str) -> None:
    facts = PAGED[walk]
    swept = Swept()
    swept.falls = walk == "descending"
    stream = {
        "name": "things",
        "path": "/things",
        "primary_key": ["id"],
        "sweep_every": "1h",
        "params": {"since": "{cursor.at}", **({"paged": 1} if facts else {})},
        **facts,
        "incremental": {"cursor_path": "at", "tie_breaker": "id", **facts.get("incremental", {})},
    }
    with (
        serving(swept.answer) as api,
        Runs({"base_url": api.url, "records": "data", "streams": [stream]}) as runs,
    ):
        assert runs.plan.walk.name == walk
        assert runs.run(now="2026-02-01T00:00:00Z").ids == [1, 2, 3, 4]
        swept.rows[1]["rev"] = 1
        swept.sinces.clear()
        came = runs.run(now="2026-02-01T02:00:00Z")
        assert [record["rev"] for record in came.records if record["id"] == 1] == [1]
        first_plain = swept.sinces.index(None)
        assert first_plain > 0
        assert {*swept.sinces[:first_plain]} != {None}
        assert {*swept.sinces[first_plain:]} == {None}
        assert len(swept.sinces[first_plain:]) >= (2 if facts else 1)


def test_a_sweep_takes_no_page_that_was_asked_for_before_the_walk(tmp_path: Path) -> None:
    swept = Swept()
    stream = {
        "name": "things",
        "path": "/things",
        "primary_key": ["id"],
        "sweep_every": "1h",
        "params": {"since": "{cursor.at}"},
        "incremental": {"cursor_path": "at"},
    }
    with serving(swept.answer) as api:
        made = {"base_url": api.url, "records": "data", "streams": [stream]}
        first = tap(tmp_path, made)
        assert len(first.records) == 4
        assert swept.sinces == [None]  # the sample is the walk's first page
        state = json.loads(re.sub(r'(?<="at": ")[^"]*', "2021-03-01T00:00:30+00:00", json.dumps(first.states[-1])))
        swept.before_filtered = [{"id": 1, "at": "2026-01-09T00:00:00Z", "rev": 1}]
        second = tap(tmp_path, made, state=state)
        assert [record["rev"] for record in second.records if record["id"] == 1] == [1]
