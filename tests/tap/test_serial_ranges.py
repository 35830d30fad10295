"""Ranges over a number that counts no time end at the highest value seen, and never at a clock."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tap_restextract.errors import ConfigurationError, WalkError
from tap_restextract.exchange.paginators import Start, Token
from tap_restextract.plan.plan import Plan
from tap_restextract.values.cursor import rank
from tap_restextract.walks.serial_ranges import date_form
from tap_restextract.walks.steps import Page, PageRequest
from tests.support.api import Asked, Reply, serving
from tests.support.processes import tap
from tests.support.streams import config, plan
from tests.support.walks import run_once

NOW = 1_795_803_264.0
PARAMS = {"from": "{cursor.id}", "to": "{until.id}"}
SCHEMA = {"type": "object", "properties": {"id": {"type": "integer"}}}
SERIAL: dict[str, Any] = {"cursor_path": "id", "order": "none", "initial_value": 1}


def ranged(**incremental: Any) -> dict[str, Any]:
    """A stream whose list is read in ranges of its id."""
    return {"params": PARAMS, "schema": SCHEMA, "incremental": SERIAL | incremental}


@dataclass
class Ids:
    """An API that answers ids from one on, up to another, in pages; beyond `window` results it has none."""

    rows: list[dict[str, Any]]
    order: str = "asc"
    page: int = 5
    window: int = 0
    offsets: bool = False
    exclusive: bool = False
    asked: list[PageRequest] = field(default_factory=list)

    def __call__(self, request: PageRequest) -> Page:
        """Answer a page."""
        self.asked.append(request)
        since, until = rank(request.cursor.value) if request.cursor else 0, request.until
        rows = [
            row
            for row in self.rows
            if (row["id"] > since or (row["id"] == since and not self.exclusive))
            and (until is None or row["id"] <= rank(until))
        ]
        rows.sort(key=lambda row: row["id"], reverse=self.order == "desc")
        if self.order == "none":
            random.Random(len(rows)).shuffle(rows)
        start = request.at.offset if isinstance(request.at, Start) else 0
        start = int(request.at.value) if isinstance(request.at, Token) else start
        assert not self.window or start + self.page <= self.window, "the result window is too large"
        page = rows[start : start + self.page]
        behind = start + len(page)
        more = Start(behind) if self.offsets and page else Token(str(behind)) if behind < len(rows) else None
        return Page(page, more, NOW)


def run(made: Plan, api: Ids, state: dict[str, Any], *, most: int = 400) -> tuple[list[int], dict[str, Any]]:
    """One run of the walk: the ids that came out, and STATE at its end."""
    return run_once(made, api, state, now="2026-11-27T00:00:00Z", most=most)


@pytest.mark.parametrize("facts", [{"max_window_results": 20}, {"step": "10"}], ids=["3", "3b"])
def test_what_joins_a_list_of_serial_numbers_comes_in_the_next_run(tmp_path: Path, facts: dict[str, Any]) -> None:
    """Rows 3 and 3b, F2: the bookmark was the clock's seconds, and no run after the first found anything."""
    rows = [{"id": number} for number in range(1, 51)]

    def answered(asked: Asked) -> Reply:
        since, until = int(asked.params.get("from", 0)), int(asked.params.get("to", 10**12))
        found = [row for row in rows if since <= row["id"] <= until]
        start = 5 * int(asked.params["page"])
        return Reply({"message": "beyond the window"}, 422) if start >= 20 else Reply(found[start : start + 5])

    with serving(answered) as api:
        keys = ranged(**facts) | {"paginator": {"type": "page_number"}, "fixed_order": True}
        settings = config(api.url, **keys)
        first = tap(tmp_path, settings)
        assert first.code == 0, first.err
        assert sorted(record["id"] for record in first.records) == [*range(1, 51)]
        assert first.states[-1]["bookmarks"]["things"]["replication_key_value"] == 50
        before = len(api.asked)
        assert before < 120
        rows.extend([{"id": 51}, {"id": 52}])
        second = tap(tmp_path, settings, state=first.states[-1])
        assert second.code == 0, second.err
        assert [record["id"] for record in second.records] == [51, 52]
        assert len(api.asked) - before <= 8


@pytest.mark.pure
@pytest.mark.parametrize("seed", range(60))
def test_every_number_comes_once_however_the_list_is_sorted_filtered_and_paged(seed: int) -> None:
    rng = random.Random(seed)
    order, offsets, exclusive = rng.choice(["asc", "desc", "none"]), rng.random() < 0.3, rng.random() < 0.5
    facts: dict[str, Any] = {"order": order, "filter": "exclusive" if exclusive else "inclusive"}
    window = rng.choice([0, 0, 12, 23])
    step = rng.choice([0, 3, 7, 50]) or (0 if window else 4)
    facts |= ({"step": str(step)} if step else {}) | ({"max_window_results": window} if window else {})
    paginator = {"type": "offset", "limit": 3} if offsets else {"type": "cursor", "stable": True}
    keys = ranged(**facts) | {"paginator": paginator, "primary_key": ["id"]}
    made = plan(**keys, **({"fixed_order": True} if offsets else {}))
    api = Ids([], order, 3, window, offsets, exclusive)
    state: dict[str, Any] = {}
    emitted: list[int] = []
    top = 0
    for _ in range(4):
        for _ in range(rng.randrange(30)):
            top += 1 if rng.random() < 0.9 else rng.randrange(1, 100)
            api.rows.append({"id": top})
        ids, state = run(made, api, state)
        emitted += ids
        assert sorted(emitted) == [row["id"] for row in api.rows]
        assert state.get("replication_key_value") == (top or None)
        assert len(state.get("boundary", [])) == bool(top)  # of the highest number alone
    ids, _ = run(made, api, state)
    assert ids == []


@pytest.mark.pure
def test_what_changes_under_the_highest_number_comes_again_and_what_does_not_stays() -> None:
    """A version number that several records share."""
    made = plan(**ranged(step="10"), paginator={"type": "cursor", "stable": True})
    api = Ids([{"id": 4, "name": "a"}, {"id": 9, "name": "b"}])
    _, state = run(made, api, {})
    api.rows.append({"id": 9, "name": "c"})
    assert run(made, api, state)[0] == [9]


@pytest.mark.pure
def test_a_gap_of_any_length_costs_two_requests_more() -> None:
    made = plan(**ranged(step="10"), paginator={"type": "cursor", "stable": True})
    api = Ids([{"id": 5}, {"id": 10**15}])
    ids, state = run(made, api, {})
    assert ids == [5, 10**15]
    assert state["replication_key_value"] == 10**15
    assert [request.until for request in api.asked] == [11, 21, None]


@pytest.mark.pure
@pytest.mark.parametrize("order", ["asc", "desc", "none"])
@pytest.mark.parametrize("facts", [{"max_window_results": 12}, {"step": "1000", "max_window_results": 12}], ids=str)
def test_numbers_that_jump_by_millions_and_are_deleted_at_the_end_cost_few_requests(
    facts: dict[str, Any], order: str
) -> None:
    """Snowflakes lie beyond 2^53, millions apart; a bookmark stands on one that is gone."""
    made = plan(**ranged(**facts), paginator={"type": "cursor", "stable": True})
    clusters = [1, 5_000_000, 2**53 + 1, 2**62 + 7]
    api = Ids([{"id": first + 3 * each} for first in clusters for each in range(9)], order, 3, 12)
    ids, state = run(made, api, {})
    assert sorted(ids) == [row["id"] for row in api.rows]
    assert len(api.asked) < 60 * len(clusters)
    gone = api.rows.pop()["id"]
    assert state["replication_key_value"] == gone
    api.rows += [{"id": gone + 1}, {"id": gone + 4_000_001}]
    api.asked.clear()
    ids, state = run(made, api, state)
    assert (sorted(ids), state["replication_key_value"]) == ([gone + 1, gone + 4_000_001], gone + 4_000_001)
    assert len(api.asked) < 30


@pytest.mark.pure
def test_more_records_of_one_number_than_a_question_may_have_are_an_error() -> None:
    made = plan(**ranged(max_window_results=6), paginator={"type": "cursor", "stable": True})
    with pytest.raises(WalkError, match="are the most that the API gives for one question"):
        run(made, Ids([{"id": 7, "n": number} for number in range(20)], window=6, page=3), {})


@pytest.mark.pure
@pytest.mark.parametrize("named", ["step", "lag", "lookback"])
def test_what_measures_time_is_refused_for_a_number_that_counts_none(named: str) -> None:
    """Row 3c: `step: 7d` over 20261124 asked for 20865820."""
    facts = {"cursor_path": "id", "initial_value": 20261124, "step": "1000"} | {named: "7d"}
    with pytest.raises(ConfigurationError, match=r"measures time; declare the unit .*epoch: s.*cursor_formats"):
        plan(params=PARAMS, incremental=facts)


@pytest.mark.pure
def test_ranges_that_each_need_an_end_are_refused_for_a_number_that_counts_no_time() -> None:
    for keys in (ranged(step="10", end="required"), ranged(step="10") | {"params": {"q": "{cursor.id}..{until.id}"}}):
        with pytest.raises(ConfigurationError, match="end with one that has no end"):
            plan(**keys)


@pytest.mark.pure
def test_dates_in_digits_are_no_serial_numbers() -> None:
    made = plan(**ranged(step="7", initial_value=20261120), paginator={"type": "cursor", "stable": True})
    with pytest.raises(WalkError, match=r'20261124 is read as a number .*cursor_formats: \["%Y%m%d"\]'):
        run(made, Ids([{"id": 20261124}]), {})
    made = plan(**ranged(step="1000", initial_value=20261120), paginator={"type": "cursor", "stable": True})
    assert run(made, Ids([{"id": 20261124}, {"id": 20261199}]), {})[0] == [20261124, 20261199]
    made = plan(**ranged(step="1000", initial_value=1), paginator={"type": "cursor", "stable": True})
    assert run(made, Ids([{"id": 20261124}]), {})[0] == [20261124]


@pytest.mark.pure
@pytest.mark.parametrize(
    ("value", "form"),
    [
        (20261124, "%Y%m%d"),
        ("20261124", "%Y%m%d"),
        (20261124235959, "%Y%m%d%H%M%S"),
        (20261399, None),
        (12345678, None),
        (12340615, None),
        (21010101, None),
        (1, None),
    ],
)
def test_a_date_in_digits_is_known_by_its_parts(value: Any, form: str | None) -> None:
    assert date_form(value) == form
