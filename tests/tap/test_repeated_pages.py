"""Pages that are the same, in whatever order: an API that doesn't look at what asks for a page has no last one."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tap_restextract.errors import WalkError
from tap_restextract.exchange.paginators import Start
from tap_restextract.walks.steps import Page, PageRequest
from tests.support.streams import INCLUSIVE, plan
from tests.support.walks import LATER, at, drive
from tests.support.whole_runs import Params, run

pytestmark = pytest.mark.pure

FALLING: dict[str, Any] = {
    **INCLUSIVE,
    "incremental": {"cursor_path": "updated_at", "order": "desc", "tie_breaker": "id"},
    "paginator": {"type": "offset", "limit": 4, "offset_param": "skip"},
}
OLDER = [at(3, 3), at(2, 4)]
ORDERS = [[at(5, 1), at(5, 2), *OLDER], [at(5, 2), at(5, 1), *OLDER]]


def start_of(asked: PageRequest) -> int:
    return asked.at.offset if isinstance(asked.at, Start) else 0


def test_an_offset_that_is_not_looked_at_is_named_though_ties_come_in_another_order_each_time() -> None:
    orders = itertools.cycle(ORDERS)

    def answers(asked: PageRequest) -> Page:
        return Page(next(orders), Start(start_of(asked) + 4), LATER)

    with pytest.raises(WalkError, match="the API doesn't look at 'skip': set offset_param"):
        drive(plan(**FALLING), answers, most=60)


def test_a_list_that_moves_by_the_distance_of_two_offsets_is_not_taken_for_one_whose_offset_is_not_looked_at() -> None:
    """Three records join at the top between two requests, once."""
    listed = [at(40 - number, number) for number in range(10)]
    moved = [at(60 - number, 100 + number) for number in range(3)] + listed
    requests = itertools.count()

    def answers(asked: PageRequest) -> Page:
        rows, start = listed if next(requests) == 0 else moved, start_of(asked)
        held = rows[start : start + 4]
        return Page(held, Start(start + len(held)) if held else None, LATER)

    drive(plan(**FALLING), answers, most=60)


def test_an_offset_that_seems_to_be_looked_at_as_the_list_changes_is_not_believed_for_the_end_that_its_total_states() -> (
    None
):
    """The page behind is the first one again, and a record is deleted before both are asked for again."""
    listed = [at(9 - number, number) for number in range(5)]
    requests = itertools.count()

    def api(_: Params) -> dict[str, Any]:
        rows = listed[1:] if next(requests) >= 2 else listed
        return {"data": rows[:4], "total": len(rows)}

    ran = run(FALLING | {"paginator": FALLING["paginator"] | {"total_path": "total"}}, api)
    assert ran.error == ""
    assert {*ran.ids} == {0, 1, 2, 3, 4}
