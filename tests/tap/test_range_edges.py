"""The edge of two time ranges: what is at a range's end must be in the next one, which begins with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tap_restextract.errors import WalkError
from tap_restextract.exchange.paginators import Number, Start, Token
from tap_restextract.values.cursor import Cursor, rank
from tap_restextract.walks.steps import Page, PageRequest, Record
from tap_restextract.walks.table import stream_walk_for
from tap_restextract.walks.ties import TieOrder
from tests.support.streams import plan
from tests.support.walks import at

pytestmark = pytest.mark.pure

WINDOWS: dict[str, Any] = {
    "params": {"since": "{cursor.updated_at}", "before": "{until.updated_at}"},
    "incremental": {"cursor_path": "updated_at", "step": "10s", "initial_value": "2026-01-01T00:00:00Z"},
    "paginator": {"type": "cursor", "stable": True},
}
CLOCK = float(rank(at(40)["updated_at"]))
RECORDS = [at(5, 1), at(10, 2), at(15, 3), at(20, 4), at(20, 5)]


def read(
    held: list[Record],
    *,
    strict: bool = False,
    gone: Sequence[int] = (),
    born: Mapping[int, int] | None = None,
    page: int = 0,
    **more: Any,
) -> tuple[list[Any], int]:
    """Return what comes out of all ranges, and how many requests they took; the filter compares whole seconds.

    Args:
        held: the records.
        strict: the filter is by >.
        gone: records that go when they have been shown.
        born: the seconds that the filter compares instead of updated_at, by the id.
        page: records of a page, the newest first, where they are counted; 0: one page is all.
        more: of the incremental's facts.
    """
    facts = WINDOWS["incremental"] | more
    paginator = {"type": "page_number"} if page else WINDOWS["paginator"]
    made, asked, written = plan(**WINDOWS | {"incremental": facts, "paginator": paginator}), 0, []
    stream_walk = stream_walk_for(made, None)
    left_out = {*gone}

    def answer(ask: PageRequest) -> Page:
        assert ask.cursor is not None
        low, high = rank(ask.cursor.value), None if ask.until is None else rank(ask.until)

        def is_in(record: Record) -> bool:
            place = rank(record["updated_at"])
            compared = place if born is None else rank(at(born[record["id"]])["updated_at"])
            return compared // 1 >= low // 1 + strict and (high is None or place // 1 <= high // 1)

        kept = [record for record in held if is_in(record)]
        held[:] = [record for record in held if record not in kept or record["id"] not in left_out]
        if not page:
            return Page(kept, None, CLOCK)
        number = ask.at.page if isinstance(ask.at, Number) else 0
        kept.sort(key=lambda each: (rank(each["updated_at"]), each["id"]), reverse=True)
        kept = kept[number * page : (number + 1) * page]
        return Page(kept, Number(number + 1) if kept else None, CLOCK)

    while (sub_walk := stream_walk.next()) is not None:
        step = next(sub_walk.steps)
        while step.request is not None:
            asked += 1
            step = sub_walk.steps.send(answer(step.request))
            written += [record["id"] for record in step.records]
    return written, asked


def test_a_strict_filter_leaves_out_what_is_at_an_edge_and_is_found_there() -> None:
    with pytest.raises(WalkError, match=r"since=2026-01-01T00:00:10Z, and is there, .*09Z.*declare filter: exclusive"):
        read([*RECORDS], strict=True)


def test_a_filter_that_compares_whole_minutes_is_found_at_an_edge() -> None:
    """A step before the edge is in the edge's own minute: another minute is asked for, too."""
    with pytest.raises(WalkError, match="declare precision: 1m"):
        read([*RECORDS], filter="exclusive", strict=True, born=dict.fromkeys(range(1, 6), 0))


def test_what_shares_the_edges_second_is_at_the_edge_where_seconds_are_compared() -> None:
    records = [at(5, 1), at("10.250", 2), at("10.750", 3), at(15, 4)]
    facts: dict[str, Any] = {"precision": "1s", "initial_value": "2026-01-01T00:00:00.000Z"}
    assert read([*records], **facts)[0] == [1, 2, 3, 4]
    with pytest.raises(WalkError, match=r"since=2026-01-01T00:00:10.000Z, and is there.*declare filter: exclusive"):
        read([*records], strict=True, **facts)


def test_a_filter_by_the_time_of_creation_is_found_at_an_edge() -> None:
    with pytest.raises(WalkError, match="or it compares another time than updated_at"):
        read([*RECORDS], born={1: 5, 2: 3, 3: 15, 4: 20, 5: 20})


@pytest.mark.parametrize("order", ["desc", "none"])
def test_an_edge_that_may_be_on_any_page_of_a_range_is_asked_for_alone(order: str) -> None:
    """Of two records at an edge the filter leaves out the one that was created before it."""
    records = [at(5, 1), at(10, 2), at(10, 6), at(15, 3), at(20, 4), at(20, 5)]
    facts: dict[str, Any] = {"page": 2, "order": order, "tie_breaker": "id"}
    with pytest.raises(WalkError, match=r"since=2026-01-01T00:00:10Z, and is there.*it compares another time than"):
        read([*records], born={1: 5, 2: 3, 6: 10, 3: 15, 4: 20, 5: 20}, **facts)
    assert sorted(read([*records], **facts)[0]) == [1, 2, 3, 4, 5, 6]


def test_the_edge_of_a_rising_range_is_asked_about_once_a_page_has_come_beyond_it() -> None:
    """A run that dies in the range has not written what is behind the edge, and STATE stays where it was."""
    made = plan(**WINDOWS)
    stream_walk, asked = stream_walk_for(made, None), list[PageRequest]()
    held = {None: [at(5, 1), at(10, 2)], 10: [at(12, 3), at(15, 4)]}
    for edge, records in held.items():
        sub_walk = stream_walk.next()
        assert sub_walk is not None
        next(sub_walk.steps)
        following = None if edge is None else Token("more")
        step = sub_walk.steps.send(Page(records, following, CLOCK))
        asked += [step.request] if step.request else []
    assert asked == [PageRequest(Cursor("2026-01-01T00:00:00Z"), until=at(10)["updated_at"], probe=True)]


def test_an_edge_is_looked_for_on_all_pages_of_a_range_that_stays_at_it() -> None:
    """The list falls, though it is declared to rise, and all of the range is in the second of its begin."""
    records, born = [at(5, 1), at("10.100", 2), at("10.200", 6), at("10.300", 3)], {1: 5, 2: 10, 6: 10, 3: 3}
    facts: dict[str, Any] = {"precision": "1s", "initial_value": "2026-01-01T00:00:00.000Z", "tie_breaker": "id"}
    with pytest.raises(WalkError, match=r"since=2026-01-01T00:00:10.000Z, and is there"):
        read([*records], born=born, page=2, **facts)
    assert sorted(read([*records], page=2, **facts)[0]) == [1, 2, 3, 6]


def test_what_is_gone_from_an_edge_on_any_page_proves_nothing() -> None:
    records = [at(5, 1), at(10, 2), at(10, 6), at(15, 3)]
    assert {*read(records, gone=[6], page=9, order="desc", tie_breaker="id")[0]} == {1, 2, 3}


def test_an_honest_filter_is_asked_nothing_besides() -> None:
    assert read([*RECORDS]) == ([1, 2, 3, 4, 5], 5)


def test_what_is_gone_from_an_edge_costs_one_request_and_at_most_two_a_run() -> None:
    assert read([*RECORDS], gone=[4]) == ([1, 2, 3, 5], 5 + 1)
    edges = [at(second, second) for second in range(10, 60, 10)]
    assert read(edges, gone=[10, 20, 30]) == ([40, 50], 5 + 2)


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_ties_of_ranges_that_stand_in_no_order_stop_the_walk(order: str) -> None:
    facts = {**WINDOWS["incremental"], "order": order, "tie_breaker": "id"}
    made = plan(**WINDOWS | {"incremental": facts, "paginator": {"type": "offset", "limit": 4}})
    sub_walk = stream_walk_for(made, None).next()
    assert sub_walk is not None
    next(sub_walk.steps)
    with pytest.raises(WalkError, match="stand in no order of id"):
        sub_walk.steps.send(Page([at(5, 7), at(5, 93), at(5, 9)], Start(3), CLOCK))


def test_ties_of_ranges_without_order_say_nothing() -> None:
    made = plan(**WINDOWS | {"incremental": {**WINDOWS["incremental"], "order": "none", "tie_breaker": "id"}})
    TieOrder(made).check([at(5, 7), at(5, 93), at(5, 9)], [5, 5, 5])


@pytest.mark.parametrize("order", ["asc", "none"])
def test_what_an_answer_left_out_once_is_no_contradiction_where_a_range_without_length_is_an_empty_one(
    order: str,
) -> None:
    """A copy of the API's data, which lags behind, answers the second range the first time that it is asked for."""
    made = plan(**WINDOWS | {"incremental": WINDOWS["incremental"] | {"order": order}})
    stream_walk, lagging, written = stream_walk_for(made, None), [2], []

    def answer(ask: PageRequest) -> Page:
        assert ask.cursor is not None
        low, high = rank(ask.cursor.value), None if ask.until is None else rank(ask.until)
        kept = [each for each in RECORDS if low <= rank(each["updated_at"]) and _is_within(each, low, high)]
        if low == rank(at(10)["updated_at"]) and kept and lagging:
            missing = lagging.pop()
            kept = [each for each in kept if each["id"] != missing]
        return Page(kept, None, CLOCK)

    while (sub_walk := stream_walk.next()) is not None:
        step = next(sub_walk.steps)
        while step.request is not None:
            step = sub_walk.steps.send(answer(step.request))
            written += [record["id"] for record in step.records]
    assert written == [1, 3, 4, 5]


def _is_within(record: Record, low: Any, high: Any) -> bool:
    return high is None or (low != high and rank(record["updated_at"]) <= high)
