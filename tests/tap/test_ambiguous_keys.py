"""A primary key that records share: it can't tell, at a seam or before a first page, which record is which."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tap_restextract.plan.keys import share_a_key
from tests.support.streams import INCLUSIVE, plan
from tests.support.walks import at
from tests.support.whole_runs import Params, run

pytestmark = pytest.mark.pure

UNORDERED: dict[str, Any] = {**INCLUSIVE, "incremental": {"cursor_path": "updated_at", "order": "none"}}
PAGES: dict[str, Any] = {"type": "page_number"}
SHARING = [at(second, 2) for second in range(1, 4)]


def test_two_records_share_a_key_where_they_differ() -> None:
    made = plan()
    assert share_a_key(made, [at(1, 1), at(2, 2), at(2, 1)])
    assert not share_a_key(made, [at(1, 1), at(2, 2), at(1, 1)])
    assert not share_a_key(made, [at(1, 1), at(2, 2)])
    assert not share_a_key(plan(primary_key=[]), [at(1, 1), at(1, 1)])


def test_a_record_that_moves_over_a_seam_comes_though_its_key_is_that_of_one_that_is_gone() -> None:
    requests = itertools.count()

    def api(params: Params) -> dict[str, Any]:
        rows = [*SHARING, at(9, 1)][min(1, next(requests)) :]
        start = 2 * int(params["page"])
        return {"data": rows[start : start + 2]}

    ran = run({**UNORDERED, "paginator": PAGES}, api)
    assert ran.error == ""
    assert ran.ids.count(2) >= len(SHARING)


def test_records_of_one_key_before_the_first_page_are_told_where_they_were_on_no_page() -> None:
    rows = [at(1, 0), at(2, 0), at(3, 1), at(4, 1)]

    def api(params: Params) -> dict[str, Any]:
        start = 3 * int(params["page"])
        return {"data": rows[start : start + 3]}

    ran = run({"paginator": PAGES | {"base_page": 1}}, api)
    assert ran.error == ""
    (told,) = ran.told
    assert told == (
        "stream things (traversal): page 0 holds records that were on no page, and two of them share the primary key (id), and differ, so "
        "that nothing proves whether the list begins there; if it does, set base_page: 0; declare what parts them, such as primary_key: [id, …]"
    )


@pytest.mark.parametrize("zero", [slice(3), slice(-3, None)], ids=["the first page", "the last one"])
def test_records_of_one_key_in_place_of_a_page_before_the_first_are_not_told_where_they_were_read(zero: slice) -> None:
    rows = [at(second, second % 2) for second in range(1, 7)]

    def api(params: Params) -> dict[str, Any]:
        page = int(params["page"])
        return {"data": rows[zero] if page == 0 else rows[3 * page - 3 : 3 * page]}

    ran = run({"paginator": PAGES | {"base_page": 1}}, api)
    assert (ran.error, ran.told, len(ran.ids)) == ("", [], 6)
