"""Boundaries that are missing in part, or before newer records, or behind empty pages: what proves a filter wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from tap_restextract.errors import WalkError
from tap_restextract.exchange.paginators import Token
from tap_restextract.plan.plan import Plan
from tap_restextract.values.cursor import Cursor, rank
from tap_restextract.walks.steps import Page, PageRequest, Record
from tests.support.streams import COMPOUND, INCLUSIVE, plan
from tests.support.walks import LATER, Answers, at, compound, drive, inclusive

pytestmark = pytest.mark.pure

HOUR = 3600
TOKENS: dict[str, Any] = {"type": "cursor", "stable": True}


def walked(order: str, **more: Any) -> Plan:
    """The plan of a list that falls, or has no order, or rises."""
    facts = {"cursor_path": "updated_at", "order": order}
    return plan(**INCLUSIVE | {"incremental": facts, "paginator": TOKENS} | more)


def shifted(
    records: Sequence[Record], late: int = 0, *, order: str = "none", size: int = 9, strict: bool = False
) -> Answers:
    """An API whose filter begins `late` seconds later than it was asked to, or by > with `strict`, in pages."""

    def answers(ask: PageRequest) -> Page:
        since = None if ask.cursor is None else rank(ask.cursor.value) + late
        held = [each for each in records if since is None or rank(each["updated_at"]) >= since + strict]
        held.sort(key=lambda each: rank(each["updated_at"]), reverse=order == "desc")
        start = int(ask.at.value) if isinstance(ask.at, Token) else 0
        page = held[start : start + size]
        return Page(page, Token(str(start + size)) if start + size < len(held) else None, LATER)

    return answers


def state_at(made: Plan, *records: Record) -> dict[str, Any]:
    """STATE of a run that read these records while the server's clock stood at their second."""
    clock = float(rank(records[0]["updated_at"]))
    state = drive(made, inclusive(records, 9, kind="token", clock=clock + (made.walk.name != "unordered"))).state
    assert state["boundary"]
    return state


def late_at(hour: int, key: int) -> Record:
    """A record of an hour of the day."""
    return {"id": key, "updated_at": f"2026-01-01T{hour:02}:00:00Z"}


@pytest.mark.parametrize("order", ["desc", "none"])
@pytest.mark.parametrize("by", ["strict", "zone"])
def test_an_only_page_without_any_record_of_the_boundary_is_asked_about(order: str, by: str) -> None:
    """What joined the boundary's second would be lost in silence: the page has newer records alone."""
    made = walked(order)
    state = state_at(made, at(5, 5), at(5, 6))
    held = [at(5, 5), at(5, 6), at(5, 7), late_at(7, 8), late_at(8, 9)]
    filtered = shifted(held, order=order, **({"strict": True} if by == "strict" else {"late": 6 * HOUR}))
    with pytest.raises(WalkError, match="a record that the last page held is missing from the answer to since="):
        drive(made, filtered, state)


@pytest.mark.parametrize("order", ["desc", "none"])
def test_a_boundary_that_is_gone_from_an_only_page_costs_two_requests(order: str) -> None:
    made = walked(order)
    state = state_at(made, at(5, 5), at(5, 6))
    read = drive(made, shifted([late_at(7, 8), late_at(8, 9)], order=order), state)
    assert sorted(read.ids) == [8, 9]
    assert len(read.asks) == 1 + 2
    read = drive(made, shifted([at(5, 6), late_at(7, 8)], order=order), state)
    assert (read.ids, len(read.asks)) == ([8], 1)
    several = drive(made, shifted([late_at(hour, hour) for hour in range(1, 9)], order=order, size=3), state)
    assert (len(several.ids), len(several.asks)) == (8, 3)


@pytest.mark.parametrize("order", ["asc", "desc", "none"])
def test_a_record_that_is_older_than_an_empty_answer_must_have_been_in_it(order: str) -> None:
    """The boundary itself is gone; another record, which is newer, comes from an hour before it on alone."""
    made = walked(order)
    state = state_at(made, at(5, 5))
    with pytest.raises(
        WalkError, match=r"a record that was there before is missing from the answer to since=.*precision: 1h"
    ):
        drive(made, shifted([at(21, 6)], HOUR, order=order), state)


@pytest.mark.parametrize("order", ["desc", "none"])
def test_records_that_join_while_an_empty_answer_is_asked_about_hide_nothing(order: str) -> None:
    """The filter is >, and the boundary stands on a second page once others have joined."""
    made, asked = walked(order), list[PageRequest]()
    state, held = state_at(made, at(5, 5), at(5, 6)), [at(5, 5), at(5, 6)]

    def answers(ask: PageRequest) -> Page:
        asked.append(ask)
        if len(asked) in {3, 4, 6}:
            held.insert(0, at(10 + len(asked), 10 + len(asked)))
        return shifted(held, order=order, size=3, strict=True)(ask)

    with pytest.raises(WalkError, match="declare filter: exclusive"):
        drive(made, answers, state)


@pytest.mark.parametrize("order", ["desc", "none"])
def test_what_is_gone_while_others_join_proves_nothing(order: str) -> None:
    made, asked = walked(order), list[PageRequest]()
    state, held = state_at(made, at(5, 5), at(5, 6)), [at(4, 4)]

    def answers(ask: PageRequest) -> Page:
        asked.append(ask)
        if len(asked) > 1:
            held.append(at(10 + len(asked), 10 + len(asked)))
        clock = float(rank(at(10 + len(asked))["updated_at"]))
        return replace(shifted(held, order=order)(ask), server_time=clock)

    drive(made, answers, state)
    assert len(asked) == 1 + 4


def test_a_record_that_came_since_the_empty_answer_proves_nothing() -> None:
    """It is dated later than the server's clock at that answer."""
    made, asked = walked("desc"), list[PageRequest]()
    state = state_at(made, at(5, 5))

    def answers(ask: PageRequest) -> Page:
        asked.append(ask)
        clock = float(rank(at(10 + len(asked))["updated_at"]))
        return replace(shifted([at(11, 6)], HOUR, order="desc")(ask), server_time=clock)

    drive(made, answers, state)
    assert len(asked) == 1 + 4


@pytest.mark.parametrize("paginator", [{"type": "page_number"}, {"type": "single_page", "limit": 3}])
def test_each_record_of_a_seams_value_must_come_again(paginator: dict[str, Any]) -> None:
    """The last one does, as it was created last."""
    made = plan(**{**INCLUSIVE, "paginator": paginator})
    records, born = [at(1, 1), at(2, 2), at(2, 3), at(3, 4)], {1: 1, 2: -200_000, 3: 2, 4: 3}
    with pytest.raises(WalkError, match=r"another time than updated_at, such as that of creation"):
        drive(made, born_filter(records, born))
    assert drive(made, inclusive(records, 3)).ids == [1, 2, 3, 4]


def test_records_of_a_seams_value_that_are_gone_cost_one_request() -> None:
    made, held, asked = (
        plan(**INCLUSIVE | {"paginator": {"type": "page_number"}}),
        [at(1, 1), at(2, 2), at(2, 3), at(3, 4)],
        [],
    )

    def answers(ask: PageRequest) -> Page:
        asked.append(ask)
        page = inclusive(held, 3)(ask)
        held[:] = [record for record in held if record["id"] != 2]
        return page

    assert drive(made, answers).ids == [1, 2, 3, 4]
    honest = drive(made, inclusive([at(1, 1), at(2, 2), at(2, 3), at(3, 4)], 3)).asks
    assert len(asked) == len(honest) + 1


def born_filter(records: Sequence[Record], born: Mapping[int, int]) -> Answers:
    """An API that sorts by updated_at, and whose filter compares the second of a record's creation."""

    def answers(ask: PageRequest) -> Page:
        since = None if ask.cursor is None else rank(ask.cursor.value) - rank("2026-01-01")
        held = [record for record in records if since is None or born[record["id"]] >= since]
        return inclusive(held, 3)(PageRequest(None, ask.at))

    return answers


def test_a_filter_by_another_time_is_found_by_what_lies_among_a_runs_first_records() -> None:
    """The boundary was created long ago, so comes from nowhere near; another record does, from a second before it."""
    made = walked("asc")
    state = state_at(made, at(7, 1))
    records, born = [at(7, 1), at(8, 2), at(9, 3), at(10, 4)], {1: -200_000, 2: 8, 3: 6, 4: 9}
    named = r"a record that lies among those .* answer to since=2026-01-01T00:00:07Z, and is there.*another time than updated_at"
    with pytest.raises(WalkError, match=named):
        drive(made, born_filter(records, born), state)
    honest = drive(made, inclusive(records[1:], 9, kind="token"), state)
    assert (honest.ids, len(honest.asks)) == ([2, 3, 4], 2)


def test_what_lies_among_the_records_behind_a_seam_proves_a_filter_wrong_though_the_seams_own_changes() -> None:
    made, asked = plan(**INCLUSIVE | {"paginator": {"type": "page_number"}}), list[PageRequest]()
    held, born = (
        [at(1, 1), at(2, 2), at(2, 3), at(3, 4), at(3, 5), at(4, 7)],
        {1: -200_000, 2: -90, 3: 2, 4: 3, 5: -30, 7: 4},
    )

    def answers(ask: PageRequest) -> Page:
        asked.append(ask)
        page = born_filter(held, born)(ask)
        if len(asked) == 3:  # it was there, when the first page was asked for again
            held[1:] = [*held[2:], at(9, 2)]
        return page

    with pytest.raises(WalkError, match=r"a record that lies among those .*, and is there, unchanged, .*precision: 1m"):
        drive(made, answers)


def test_a_seams_own_record_counts_where_an_answer_of_limited_length_ends_within_the_seam() -> None:
    """What was created before the seam is left out, from a day before it on too; the answer holds the other one."""
    made = plan(**INCLUSIVE | {"paginator": {"type": "single_page", "limit": 3}})
    filtered = born_filter([at(1, 1), at(2, 2), at(2, 3)], {1: 1, 2: -200_000, 3: 2})
    with pytest.raises(
        WalkError, match=r"a record that the last page held .*, and is there, unchanged, .*another time"
    ):
        drive(made, lambda ask: replace(filtered(ask), following=None))


@pytest.mark.parametrize("also_gone", [False, True])
def test_what_else_the_page_above_a_seam_shows_proves_a_filter_wrong_though_the_seams_own_changes(
    *, also_gone: bool
) -> None:
    """Nothing shows the record from a day before the seam on; the page that held the seam has another one meanwhile."""
    made, asked = plan(**INCLUSIVE | {"paginator": {"type": "page_number"}}), list[PageRequest]()
    held = [at(1, 1), at(2, 2), at(2, 3), at(2, 4), at(3, 5)]
    born = {1: 1, 2: -200_000, 3: 2, 4: -200_000, 5: 3}

    def answers(ask: PageRequest) -> Page:
        asked.append(ask)
        gone = {8: [1], 11: [2], 12: [4] if also_gone else []}.get(len(asked), [])
        held[:] = [record for record in held if record["id"] not in gone]
        return born_filter(held, born)(ask)

    if also_gone:
        assert drive(made, answers).ids == [1, 2, 3, 5]
        return
    with pytest.raises(WalkError, match=r"a record that lies among those .*, and is there, unchanged, .*another time"):
        drive(made, answers)


def test_a_record_that_joins_while_a_boundary_is_looked_for_proves_nothing() -> None:
    made, held, asked = walked("asc"), [at(9, 2), at(11, 4)], list[PageRequest]()
    state = state_at(made, at(7, 1))

    def answers(ask: PageRequest) -> Page:
        asked.append(ask)
        if len(asked) == 2:
            held.insert(1, at(10, 3))
        return inclusive(held, 9, kind="token")(ask)

    assert (drive(made, answers, state).ids, len(asked)) == ([2, 4], 4)


@pytest.mark.parametrize("empty", [range(1), range(1, 3), range(2, 9)])
def test_behind_empty_pages_a_compound_filter_is_checked_like_before(empty: range) -> None:
    """Some answers begin with an empty page, whose token leads on; the filter begins two hours later than it should."""
    hours = [late_at(hour, hour) for hour in range(1, 5)]
    asked: list[PageRequest] = []

    def answers(ask: PageRequest) -> Page:
        later = None if ask.cursor is None else Cursor(late_at(rank_hour(ask.cursor.value) + 2, 0)["updated_at"], 99)
        page = compound(hours)(PageRequest(later))
        if ask.at is None and page.records:
            asked.append(ask)
            if len(asked) - 1 in empty:
                return Page([], Token("0"), LATER)
        return page

    with pytest.raises(WalkError, match="reads updated_at in another zone"):
        drive(plan(**COMPOUND, paginator={"type": "cursor"}), answers)


def rank_hour(value: Any) -> int:
    """The hour of a time."""
    return int(value[11:13])


def test_an_answer_that_proves_nothing_is_no_proof_and_at_most_three_seams_are_asked_about() -> None:
    """Each record that is asked about changes at once; the filter stays unproven, and the walk goes on."""
    held = {hour: late_at(hour, hour) for hour in range(1, 20)}
    asked: list[PageRequest] = []

    def answers(ask: PageRequest) -> Page:
        asked.append(ask)
        page = compound([*held.values()], 2)(ask)
        if ask not in asked[:-1]:
            for record in page.records[-1:]:
                held.pop(record["id"])
        return page

    drive(plan(**COMPOUND, paginator={"type": "single_page"}), answers)
    assert len(asked) - len({*asked}) == 3
