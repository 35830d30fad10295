"""Lists of APIs that are configured rightly, as real ones are: none is stopped, warned of, or asked in vain."""

from __future__ import annotations

from typing import Any

import pytest

from tap_restextract.exchange.answer import Answer, facts_of
from tap_restextract.http.pages import page_of
from tap_restextract.values.cursor import rank
from tap_restextract.walks.steps import PageRequest
from tests.support.streams import COMPOUND, INCLUSIVE, plan
from tests.support.walks import at
from tests.support.whole_runs import NOW, Params, run

pytestmark = pytest.mark.pure

UNORDERED: dict[str, Any] = {**INCLUSIVE, "incremental": {"cursor_path": "updated_at", "order": "none"}}
FALLING: dict[str, Any] = {**INCLUSIVE, "incremental": {**INCLUSIVE["incremental"], "order": "desc"}}
SIZE = 3
PAGES: dict[str, Any] = {"type": "page_number", "base_page": 1}
OFFSETS: dict[str, Any] = {"type": "offset", "limit": SIZE}
ROWS = [at(second, second) for second in range(1, 10)]


def counted(rows: list[Any], params: Params, beyond: str = "empty") -> dict[str, Any]:
    """Pages of three counted from 1, with what real APIs answer beyond the last one."""
    listed = [row for row in rows if row["updated_at"] >= params.get("since", "")]
    pages = max(1, -(-len(listed) // SIZE))
    page = int(params["page"])
    if page > pages or page < 1:
        page = {"empty": pages + 1, "first": 1, "last": pages}[beyond] if page > 0 else 1
    return {"data": listed[SIZE * page - SIZE : SIZE * page], "pages": pages, "more": page < pages}


@pytest.mark.parametrize("facts", [{}, INCLUSIVE, UNORDERED])
@pytest.mark.parametrize("beyond", ["empty", "first", "last"])
@pytest.mark.parametrize("stated", [{"total_path": "pages"}, {"has_more_path": "more"}])
def test_whatever_an_api_answers_behind_its_last_page_an_end_that_is_one_is_believed(
    facts: dict[str, Any], beyond: str, stated: dict[str, Any]
) -> None:
    ran = run({**facts, "paginator": PAGES | stated}, lambda params: counted(ROWS, params, beyond))
    assert (ran.error, ran.told, sorted({*ran.ids})) == ("", [], [*range(1, 10)])


@pytest.mark.parametrize("facts", [{}, INCLUSIVE, UNORDERED])
@pytest.mark.parametrize("beyond", ["first", "last"])
def test_a_list_that_loses_its_last_page_while_it_is_read_is_believed(facts: dict[str, Any], beyond: str) -> None:
    """The API answers another page than the one that isn't there any more."""
    rows = [*ROWS, at(10, 10)]
    pages: set[str] = set()

    def api(params: Params) -> dict[str, Any]:
        pages.add(params["page"])
        if "3" in pages:
            said = counted(rows, params, beyond)
            rows[9:] = []
            return said
        return counted(rows, params, beyond)

    ran = run({**facts, "paginator": PAGES | {"total_path": "pages"}}, api)
    assert (ran.error, ran.told, sorted({*ran.ids} - {10})) == ("", [], [*range(1, 10)])


def test_a_page_out_of_a_cache_proves_no_end_to_be_false() -> None:
    """The list grows by a record; its first page stays what it was for as long as a cache keeps it."""
    rows = ROWS[:3]
    now = iter(range(NOW, NOW + 100))
    kept: dict[str, dict[str, Any]] = {}

    def api(params: Params) -> dict[str, Any]:
        said = kept.setdefault(params["page"], counted(rows, params) | {"Date": next(now)})
        rows[3:] = [at(4, 4)]
        return dict(said)

    ran = run({"paginator": PAGES | {"has_more_path": "more"}}, api)
    assert (ran.error, ran.ids) == ("", [1, 2, 3])


@pytest.mark.parametrize("facts", [{}, UNORDERED, FALLING], ids=["traversal", "none", "desc"])
@pytest.mark.parametrize("stated", [{"total_path": "pages"}, {"has_more_path": "more"}], ids=["total", "flag"])
@pytest.mark.parametrize("count", [3, 6, 9])
def test_what_is_behind_an_end_is_asked_once_however_often_the_last_page_is_read(
    facts: dict[str, Any], stated: dict[str, Any], count: int
) -> None:
    rows = ROWS[:count][:: -1 if facts is FALLING else 1]
    ran = run({**facts, "paginator": PAGES | stated}, lambda params: counted(rows, params))
    assert (ran.error, sorted(ran.ids)) == ("", [*range(1, count + 1)])
    assert [params["page"] for params in ran.asked].count(str(count // SIZE + 1)) == 1


def test_an_end_beside_a_token_is_asked_about_once() -> None:
    """Relay's `endCursor` and Zendesk's `after_cursor` stand on each page, the last one and those behind it too."""

    def api(params: Params) -> dict[str, Any]:
        after = int(params.get("after", 0))
        page = ROWS[after : after + SIZE]
        return {"data": page, "more": after + SIZE < len(ROWS), "next": str(after + len(page))}

    token = {"type": "cursor", "cursor_path": "next", "cursor_param": "after", "has_more_path": "more", "stable": True}
    ran = run({"paginator": token}, api)
    assert (ran.error, len(ran.ids), [params.get("after") for params in ran.asked]) == ("", 9, [None, "3", "6", "9"])


def ranged(rows: list[Any], params: Params) -> list[Any]:
    return [row for row in rows if params.get("since", "") <= row["updated_at"] <= params.get("before", "9")]


WINDOWS: dict[str, Any] = {
    "params": {"since": "{cursor.updated_at}", "before": "{until.updated_at}"},
    "incremental": {
        "cursor_path": "updated_at",
        "step": "10s",
        "initial_value": "2026-01-01T00:00:00Z",
        "end": "required",
    },
    "paginator": {"type": "cursor", "stable": True},
}


def test_an_api_that_refuses_ranges_longer_than_its_most_is_asked_for_none() -> None:
    """PayPal's are 31 days at most; a record at a range's end changes before the next one is asked for."""
    rows = [at(5, 1), at(10, 2), at(15, 3)]
    clock = float(rank(at(30)["updated_at"]))

    def api(params: Params) -> dict[str, Any] | int:
        if rank(params["before"]) - rank(params["since"]) > 10:
            return 400
        found = ranged(rows, params)
        if any(row["id"] == 2 for row in found):
            rows[:] = [row for row in rows if row["id"] != 2] + [at(25, 2)]
        return {"data": found}

    ran = run(WINDOWS, api, clock=lambda: clock)
    assert (ran.error, ran.ids) == ("", [1, 3, 2])


STABLE: dict[str, Any] = {"paginator": {"type": "cursor", "stable": True}}
RECENT = float(rank(at(4)["updated_at"]))
"""A server's clock at which the records of the last seconds may still be joined by others."""


def since(rows: list[Any], params: Params, *, falling: bool = False) -> list[Any]:
    """The records from `since` on, in the list's order."""
    kept = [row for row in rows if row["updated_at"] >= params.get("since", "")]
    return sorted(kept, key=lambda row: str(row["updated_at"]), reverse=falling)


@pytest.mark.parametrize("facts", [INCLUSIVE, FALLING, UNORDERED], ids=["asc", "desc", "none"])
def test_an_api_that_refuses_to_go_back_so_far_is_not_held_to_it(facts: dict[str, Any]) -> None:
    """Those that answer the last thirty days alone; the boundary was deleted, so that it is looked for."""
    made = {**facts, **STABLE}
    rows = [*ROWS[:4]]
    state = run(
        made, lambda params: {"data": since(rows, params, falling=facts is FALLING)}, clock=lambda: RECENT
    ).state
    assert state["boundary"]

    def api(params: Params) -> dict[str, Any] | int:
        return {"data": []} if params["since"] >= state["replication_key_value"] else 400

    ran = run(made, api, state, clock=lambda: RECENT)
    assert (ran.error, ran.ids) == ("", [])


@pytest.mark.parametrize("facts", [INCLUSIVE, FALLING, UNORDERED], ids=["asc", "desc", "none"])
@pytest.mark.parametrize("more", [[], [{"id": 99, "updated_at": "2099-01-01T00:00:00Z"}]], ids=["", "dated ahead"])
def test_a_boundary_that_is_gone_is_looked_for_by_one_run_and_not_by_each(
    facts: dict[str, Any], more: list[Any]
) -> None:
    made = {**facts, **STABLE}
    rows = [*ROWS[:4], *more]

    def api(params: Params) -> dict[str, Any]:
        return {"data": since(rows, params, falling=facts is FALLING)}

    state = run(made, api, clock=lambda: RECENT).state
    rows[2:4] = []
    costs = []
    for _ in range(3):
        ran = run(made, api, state, clock=lambda: RECENT)
        state = ran.state
        assert (ran.error, ran.ids) == ("", [])
        costs.append(len(ran.asked))
    assert costs[1:] == [1, 1]


@pytest.mark.parametrize("copies", ["babbaaaa", "babababa", "baabaabb"])
def test_two_copies_of_the_data_of_which_one_lags_behind_are_told_from_a_filter(copies: str) -> None:
    """The last record is deleted in one of them; they answer by turns, in pairs, or by chance."""
    made = {**INCLUSIVE, **STABLE}
    old, new = ROWS[:4], [*ROWS[:3], at(5, 5)]
    state = run(made, lambda params: {"data": since(old, params)}).state
    turns = iter(copies)
    ran = run(made, lambda params: {"data": since(new if next(turns) == "b" else old, params)}, state)
    assert ran.error == ""


LATER_RUN = {"replication_key": "updated_at", "replication_key_value": "2026-01-01T00:00:00Z"}
TOTALS = [
    ({"type": "offset", "limit": SIZE, "total_path": "total"}, ["total", "$.total"]),
    ({"type": "single_page"}, ["total", "$.total", "$['total']"]),
]


@pytest.mark.parametrize("state", [None, LATER_RUN], ids=["first run", "later run"])
@pytest.mark.parametrize(("paginator", "marks"), TOTALS, ids=["read", "unread"])
def test_a_total_of_more_than_came_is_told_by_each_run_unless_it_is_known_to_mean_nothing(
    state: dict[str, Any] | None, paginator: dict[str, Any], marks: list[str]
) -> None:
    """Search engines let nobody reach what is behind their first ten thousand results."""

    def api(params: Params) -> dict[str, Any]:
        offset = int(params.get("offset", 0))
        return {"data": ROWS[:SIZE][offset : offset + SIZE], "total": 9}

    keys = {**UNORDERED, "paginator": paginator}
    ran = run(keys, api, state)
    assert (ran.error, len(ran.told)) == ("", 1)
    assert "ignored_marks: [total]" in ran.told[0]
    for mark in marks:
        ran = run({**keys, "ignored_marks": [mark]}, api, state)
        assert (ran.error, ran.told) == ("", [])


@pytest.mark.parametrize("mark", ["meta.total", "meta", "$.meta", "$['meta']['total']"])
def test_a_mark_may_be_ignored_by_each_form_of_its_path_and_by_the_object_that_holds_it(mark: str) -> None:
    ran = run({"ignored_marks": [mark]}, lambda _: {"data": ROWS[:SIZE], "meta": {"total": 9}})
    assert (ran.error, ran.told) == ("", [])
    token = {"type": "cursor", "cursor_path": "meta.next", "cursor_param": "after"}
    ran = run(
        {"ignored_marks": [mark.replace("total", "page_token")], "paginator": token},
        lambda _: {"data": ROWS[:SIZE], "meta": {"page_token": "x"}},
    )
    assert (ran.error, len(ran.asked)) == ("", 1)


def test_a_total_in_a_header_is_ignored_by_its_name_in_any_case() -> None:
    stream = plan(records="$", ignored_marks=["X-Total-Count"]).stream
    answer = Answer("http://x/", facts_of(200, {"x-total-count": "9"}), ROWS[:SIZE])
    assert page_of(stream, PageRequest(), answer).missing == ""


def test_a_remedy_for_a_flag_that_is_true_on_the_empty_last_page_works_as_it_is_written() -> None:
    def api(params: Params) -> dict[str, Any]:
        return counted(ROWS, params) | {"more": True}

    ran = run({"paginator": PAGES | {"has_more_path": "more"}}, api)
    assert ran.error == (
        "more is true, but the page is empty; where an empty page is the end, leave has_more_path out, and declare ignored_marks: [more]"
    )
    ran = run({"paginator": PAGES, "ignored_marks": ["more"]}, api)
    assert (ran.error, ran.ids) == ("", [*range(1, 10)])


COMPOUND_API: dict[str, Any] = {**COMPOUND, "paginator": {"type": "single_page", "limit": SIZE}}


@pytest.mark.parametrize("facts", [INCLUSIVE | STABLE, FALLING | STABLE, COMPOUND_API], ids=["asc", "desc", "compound"])
def test_an_order_that_is_wrong_on_a_later_page_says_that_state_must_be_reset(facts: dict[str, Any]) -> None:
    """The first page is in order by chance, and STATE has moved over it."""
    sign = -1 if facts["incremental"].get("order") == "desc" else 1
    mixed = [at(second, second) for second in (1, 5, 9, 4, 2, 7)][::sign]

    def api(params: Params) -> dict[str, Any]:
        if "since" in params and facts is COMPOUND_API:
            return {"data": [at(11, 11), at(10, 10)]}
        after = int(params.get("cursor", 0))
        return {"data": mixed[after : after + SIZE], "cursors": {"next": str(after + SIZE)}}

    ran = run(facts, api)
    assert "order" in ran.error
    assert "then reset this stream's STATE, where it has one" in ran.error
