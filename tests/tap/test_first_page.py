"""A page before the first one, in a list of which some records have no replication key."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.walks import at
from tests.support.whole_runs import Params, run

pytestmark = pytest.mark.pure

FROM_ONE: dict[str, Any] = {"type": "page_number", "base_page": 1}
KEYED = [at(9 - number, number) for number in range(5)]
KEYLESS = [{"id": 10 + number, "updated_at": None} for number in range(4)]
FOUND = "the list begins before base_page: 1: page 0 holds 3 records that come before those of the first page"


def facts(nulls: str) -> dict[str, Any]:
    return {
        "incremental": {
            "cursor_path": "updated_at",
            "order": "desc",
            "filter": "none",
            "nulls": nulls,
            "tie_breaker": "id",
        },
        "paginator": FROM_ONE,
    }


@pytest.mark.parametrize(
    ("nulls", "rows"),
    [("last", [*KEYED, *KEYLESS[:1]]), ("last", [*KEYED[:3], *KEYLESS]), ("first", [*KEYLESS[:1], *KEYED])],
    ids=["last, on the first page", "last, all of the first page", "first, on the page before"],
)
def test_a_page_before_the_first_is_found_where_some_records_have_no_key(nulls: str, rows: list[Any]) -> None:
    def api(params: Params) -> dict[str, Any]:
        start = 3 * int(params["page"])
        return {"data": rows[start : start + 3]}

    ran = run(facts(nulls), api)
    assert FOUND in ran.error
    assert ran.state == {}


@pytest.mark.parametrize("zero", ["first", "last", "nothing"])
@pytest.mark.parametrize(
    ("nulls", "rows"), [("last", [*KEYED, *KEYLESS]), ("first", [*KEYLESS, *KEYED])], ids=["last", "first"]
)
def test_a_list_that_begins_as_declared_is_believed_whatever_page_0_is(nulls: str, rows: list[Any], zero: str) -> None:
    def api(params: Params) -> dict[str, Any]:
        page = int(params["page"])
        if page == 0:
            return {"data": {"first": rows[:3], "last": rows[-3:], "nothing": []}[zero]}
        return {"data": rows[3 * page - 3 : 3 * page]}

    ran = run(facts(nulls), api)
    assert (ran.error, sorted({*ran.ids})) == ("", sorted(row["id"] for row in rows))
