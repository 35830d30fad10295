"""Each rule of probes: what is asked besides, how often, and what of it proves that a fact about pages is false."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from tap_restextract.config.paginators import Paginator
from tap_restextract.exchange.answer import Answer, facts_of
from tap_restextract.exchange.paginators import Number, Token
from tap_restextract.exchange.stated_ends import missing_records, stated_end
from tap_restextract.plan.bookmarks.cursors import CursorBookmark
from tap_restextract.plan.bookmarks.sweeps import CombinedBookmark
from tap_restextract.plan.plan import Plan
from tap_restextract.values.cursor import Cursor, rank
from tap_restextract.walks.probing import Watch, probed
from tap_restextract.walks.protocol import SingleWalk, SubWalk
from tap_restextract.walks.steps import Page, PageRequest, Step, Steps
from tests.support.streams import INCLUSIVE, UNIQUE, plan
from tests.support.walks import at
from tests.support.whole_runs import Params, Ran, run

pytestmark = pytest.mark.pure

SIZE = 3
ROWS = [at(second, second) for second in range(1, 10)]
UNORDERED: dict[str, Any] = {**INCLUSIVE, "incremental": {"cursor_path": "updated_at", "order": "none"}}
FALLING: dict[str, Any] = {**INCLUSIVE, "incremental": {**INCLUSIVE["incremental"], "order": "desc"}}
RANGES: dict[str, Any] = {
    "params": {"since": "{cursor.updated_at}", "before": "{until.updated_at}"},
    "incremental": {
        "cursor_path": "updated_at",
        "step": "10s",
        "initial_value": "2026-01-01T00:00:00Z",
        "end": "required",
    },
}
LATER_RUN = {"replication_key": "updated_at", "replication_key_value": "2026-01-01T00:00:00Z"}
FLAGGED: dict[str, Any] = {"type": "page_number", "has_more_path": "more"}
FROM_ONE: dict[str, Any] = {"type": "page_number", "base_page": 1}
TOKEN: dict[str, Any] = {"type": "cursor", "cursor_path": "next", "cursor_param": "after", "stable": True}


def ranges(*counts: int) -> list[dict[str, Any]]:
    """Rows of time ranges of ten seconds, so many in each, and none at an edge."""
    return [at(10 * index + 1, 100 * index + number) for index, count in enumerate(counts) for number in range(count)]


def in_ranges(rows: list[Any], answers: Callable[[list[Any], Params], dict[str, Any]], **keys: Any) -> Ran:
    """Run time ranges over an API that answers what it likes of a range's rows."""
    clock = float(rank(rows[-1]["updated_at"])) + 9

    def api(params: Params) -> dict[str, Any]:
        return answers(
            [row for row in rows if params["since"] <= row["updated_at"] <= params.get("before", "9")], params
        )

    return run({**RANGES, **keys}, api, clock=lambda: clock)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [((1, 2, 3, 4, 5, 6), 5), ((3, 3, 3, 3), 2), ((3, 1, 1), 1), ((2, 1, 3), 2)],
    ids=["five a run", "two of a length", "none shorter than the longest", "longer ones"],
)
def test_of_many_lists_few_are_looked_behind(counts: tuple[int, ...], expected: int) -> None:
    def answers(found: list[Any], params: Params) -> dict[str, Any]:
        return {"data": found if params["page"] == "0" else [], "more": False}

    ran = in_ranges(ranges(*counts), answers, paginator=FLAGGED)
    assert (ran.error, len(ran.ids)) == ("", sum(counts))
    assert [params["page"] for params in ran.asked].count("1") == expected


def test_a_later_run_looks_neither_behind_an_end_nor_before_the_first_page_and_at_a_token_that_nothing_reads_once() -> (
    None
):
    rows = ROWS[:SIZE]

    def api(_: Params) -> dict[str, Any]:
        return {"data": rows, "more": False, "page_token": "x"}

    for paginator, requests in ((FLAGGED, 1), (FROM_ONE | {"has_more_path": "more"}, 1), (TOKEN, 2)):
        ran = run({**UNORDERED, "paginator": paginator}, api, LATER_RUN)
        assert (ran.error, len(ran.asked)) == ("", requests)


def test_an_empty_list_that_says_so_is_asked_for_one_page_more_as_its_first_may_be_page_1() -> None:
    ran = run({"paginator": FLAGGED}, lambda _: {"data": [], "more": False})
    assert (ran.error, [params["page"] for params in ran.asked]) == ("", ["0", "1"])


def test_what_is_found_behind_an_end_must_be_the_same_each_time() -> None:
    """Behind the last page an API shows what somebody may like, another each time."""
    others = itertools.count(100)

    def api(params: Params) -> dict[str, Any]:
        return {"data": ROWS[:SIZE] if params["page"] == "0" else [at(30, next(others))], "more": False}

    assert run({"paginator": FLAGGED}, api).error == ""


def test_a_page_that_states_its_end_no_more_when_it_is_asked_for_again_proves_nothing() -> None:
    counts = itertools.count()

    def api(params: Params) -> dict[str, Any]:
        return {
            "data": ROWS[:SIZE] if params["page"] == "0" else ROWS[SIZE:6],
            "more": params["page"] == "0" and next(counts) > 0,
        }

    assert run({"paginator": FLAGGED}, api).error == ""


def test_a_total_that_is_too_small_is_told_where_nothing_is_behind_it_and_an_error_where_something_is() -> None:
    def api(params: Params) -> dict[str, Any]:
        offset = int(params["offset"])
        return {"data": ROWS[offset : offset + 2 * SIZE], "total": 5}

    offsets = {"type": "offset", "limit": 2 * SIZE, "total_path": "total"}
    assert run({"paginator": offsets}, api).error.startswith(
        "stream things (traversal): total is 5, which is less than what came, and offset 6 holds records, too"
    )
    del ROWS[6:]
    try:
        ran = run({"paginator": offsets}, api)
    finally:
        ROWS.extend(at(second, second) for second in range(7, 10))
    assert (ran.error, ran.ids) == ("", [1, 2, 3, 4, 5, 6])
    assert "total is 5, which is less than what came, so that a list may be taken to end too early" in ran.told[0]


def test_what_each_list_says_of_its_total_is_told_once() -> None:
    def answers(found: list[Any], _: Params) -> dict[str, Any]:
        return {"data": found, "total": 10 + len(found)}

    assert len(in_ranges(ranges(1, 2, 3), answers).told) == 1


def test_a_total_that_nothing_reads_is_told_where_it_can_only_be_of_what_was_asked_for() -> None:
    """Of a list with pages, a later run asks for a part, and the total may be that of the whole list."""

    def api(_: Params) -> dict[str, Any]:
        return {"data": ROWS[:SIZE], "total": 9}

    assert len(run({**UNORDERED, "paginator": TOKEN}, api).told) == 1
    assert run({**UNORDERED, "paginator": TOKEN}, api, LATER_RUN).told == []
    answers = {**INCLUSIVE, "paginator": {"type": "single_page", "limit": SIZE + 1}}
    assert run(answers, api).told == []  # it is asked again from the last key


def test_a_total_beside_tokens_is_compared_with_the_first_page_alone() -> None:
    def api(params: Params) -> dict[str, Any]:
        after = int(params.get("after", 0))
        return {"data": ROWS[after : after + SIZE], "next": str(after + SIZE) if after + SIZE < 9 else None, "total": 9}

    ran = run({"paginator": TOKEN | {"total_path": "total"}}, api)
    assert (ran.error, ran.ids, ran.told) == ("", [*range(1, 10)], [])


Zero = Callable[[list[Any]], list[Any]]
ZEROS: dict[str, Zero] = {
    "the first page": lambda rows: rows[:SIZE],
    "the last page": lambda rows: rows[-SIZE:],
    "all": lambda rows: rows,
    "all, the last first": lambda rows: rows[::-1],
    "nothing": lambda _: [],
}
MIXED = [ROWS[place] for place in (4, 0, 8, 2, 6, 1, 7, 3, 5)]
ALIKE = [at(1, number) for number in range(1, 10)]
WORDS = [{"id": word, "updated_at": "2026-01-01T00:00:01Z"} for word in "abcdefghi"]
LISTS: list[tuple[dict[str, Any], list[Any]]] = [
    ({}, ROWS),
    (INCLUSIVE, ROWS),
    (INCLUSIVE, ALIKE),
    (UNORDERED, MIXED),
    (FALLING, ROWS[::-1]),
    (UNIQUE, WORDS),
]


def numbered(rows: list[Any], zero: Zero, first: int = 1) -> Callable[[Params], dict[str, Any]]:
    """An API that counts its pages from a number on, and answers to 0 what it likes."""

    def api(params: Params) -> dict[str, Any]:
        kept = [
            row
            for row in rows
            if row["updated_at"] >= params.get("since", "") and str(row["id"]) > params.get("after", "")
        ]
        page = int(params["page"]) - first
        return {"data": zero(kept) if page < 0 else kept[SIZE * page : SIZE * page + SIZE]}

    return api


@pytest.mark.parametrize("zero", ZEROS)
@pytest.mark.parametrize(("facts", "rows"), LISTS, ids=["traversal", "asc", "ties", "none", "desc", "texts"])
def test_whatever_is_answered_to_the_number_before_the_first_page_the_list_is_believed(
    facts: dict[str, Any], rows: list[Any], zero: str
) -> None:
    ran = run({**facts, "paginator": FROM_ONE}, numbered(rows, ZEROS[zero]))
    assert (ran.error, sorted({*ran.ids}, key=str)) == ("", sorted((row["id"] for row in rows), key=str))
    assert [params["page"] for params in ran.asked].count("0") == 1


def test_a_sample_in_place_of_the_page_before_the_first_is_not_taken_for_it() -> None:
    """Its first record comes before those of the first page, and its last one behind them."""
    ran = run({**INCLUSIVE, "paginator": FROM_ONE}, numbered(ROWS, lambda rows: [at(0, 0), rows[-1]]))
    assert (ran.error, sorted({*ran.ids})) == ("", [*range(1, 10)])


@pytest.mark.parametrize(("facts", "rows"), [LISTS[0], LISTS[1], *LISTS[3:5]], ids=["traversal", "asc", "none", "desc"])
@pytest.mark.parametrize("count", [2, 9], ids=["one page", "three pages"])
def test_a_page_before_the_first_is_found_before_state_moves(
    facts: dict[str, Any], rows: list[Any], count: int
) -> None:
    ran = run({**facts, "paginator": FROM_ONE}, numbered(rows[:count], ZEROS["nothing"], first=0))
    assert "the list begins before base_page: 1: page 0 holds" in ran.error
    assert ran.state == {}


def test_what_is_before_the_first_page_of_ranges_is_asked_for_once_with_records_and_once_without() -> None:
    def answers(found: list[Any], params: Params) -> dict[str, Any]:
        return {"data": found if params["page"] == "1" else []}

    ran = in_ranges(ranges(0, 0, 2, 2, 0, 1), answers, paginator=FROM_ONE)
    assert (ran.error, len(ran.ids)) == ("", 5)
    assert [params["page"] for params in ran.asked].count("0") == 2
    ran = in_ranges(ranges(1, 0, 2), answers, paginator=FROM_ONE)
    assert [params["page"] for params in ran.asked].count("0") == 1


def test_ranges_of_which_the_first_is_empty_show_a_page_before_the_first() -> None:
    """The page before is asked for without the range's end."""

    def answers(found: list[Any], params: Params) -> dict[str, Any]:
        return {"data": found if params["page"] == "0" else []}

    clock = float(rank(at(39)["updated_at"]))
    rows = ranges(0, 2, 2)

    def api(params: Params) -> dict[str, Any]:
        return answers(
            [row for row in rows if params["since"] <= row["updated_at"] <= params.get("before", "9")], params
        )

    open_ranges = {**RANGES, "incremental": {**RANGES["incremental"], "end": "open"}, "paginator": FROM_ONE}
    assert (
        "the list begins before base_page: 1: page 0 holds 4 records"
        in run(open_ranges, api, clock=lambda: clock).error
    )


def test_an_empty_first_page_that_says_that_more_follows_is_not_taken_for_an_empty_list() -> None:
    def api(params: Params) -> dict[str, Any]:
        page = int(params["page"])
        return {"data": ROWS[:SIZE] if page == 2 else [], "pages": 2}

    ran = run({"paginator": FROM_ONE | {"total_path": "pages"}}, api)
    assert (ran.error, ran.ids) == ("", [1, 2, 3])
    assert [params["page"] for params in ran.asked] == ["1", "2", "3"]


@pytest.mark.parametrize("total", [{}, {"total_path": "total"}])
def test_offsets_that_begin_at_one_are_told_from_those_that_begin_a_record_late(total: dict[str, Any]) -> None:
    """SCIM takes 0 for 1."""

    def scim(params: Params) -> dict[str, Any]:
        start = max(1, int(params["offset"])) - 1
        return {"data": ROWS[start : start + SIZE], "total": 9}

    def late(params: Params) -> dict[str, Any]:
        start = int(params["offset"])
        return {"data": ROWS[start : start + SIZE], "total": 9}

    offsets = {"type": "offset", "limit": SIZE, "offset": 1} | total
    ran = run({"paginator": offsets}, scim)
    assert (ran.error, ran.ids, ran.told) == ("", [*range(1, 10)], [])
    assert "the list begins before offset: 1: offset 0 holds 1 records" in run({"paginator": offsets}, late).error


def test_what_looks_like_a_token_is_tried_in_a_list_of_one_page_each_path_once_and_two_a_run() -> None:
    rows = ranges(2, 1, 1)

    def answers(found: list[Any], _: Params) -> dict[str, Any]:
        return {"data": found, "page_a": "x", "page_b": "y", "page_c": "z"}

    ran = in_ranges(rows, answers, paginator=TOKEN)
    assert (ran.error, [params["after"] for params in ran.asked if "after" in params]) == ("", ["x", "y"])

    def one(found: list[Any], _: Params) -> dict[str, Any]:
        return {"data": found, "page_a": "x"}

    ran = in_ranges(rows, one, paginator=TOKEN)
    assert [params["after"] for params in ran.asked if "after" in params] == ["x"]

    def continued(found: list[Any], params: Params) -> dict[str, Any]:
        more = {"next": "p2"} if len(found) > 1 and "after" not in params else {}
        return {"data": found[1:] if "after" in params else found[:1], "page_a": "x", **more}

    ran = in_ranges(rows, continued, paginator=TOKEN)
    assert [params["after"] for params in ran.asked if "after" in params] == ["p2"]


def test_a_list_that_gets_a_second_page_while_it_is_asked_about_proves_no_other_path() -> None:
    counts = itertools.count()

    def api(params: Params) -> dict[str, Any]:
        if "after" in params:
            return {"data": ROWS[SIZE:6]}
        return {"data": ROWS[:SIZE], "page_a": "x"} | ({"next": "x"} if next(counts) else {})

    assert run({"paginator": TOKEN}, api).error == ""


@pytest.mark.parametrize("beside", [{"more": True, "next": "2"}, {"following": "2"}, {"has_more": True}], ids=str)
def test_a_probe_whose_empty_answer_goes_on_is_sent_once_more(beside: dict[str, Any]) -> None:
    """A page may be empty now and then, of an API that filters what it has read."""
    flagged = "more" in beside
    counts = itertools.count()

    def api(params: Params) -> dict[str, Any]:
        if "after" in params:
            return {"data": [], **beside} if next(counts) == 0 else {"data": ROWS[SIZE:6], "more": False}
        return {"data": ROWS[:SIZE], "more": False} | ({"next": "1"} if flagged else {"following": "1"})

    ran = run({"paginator": TOKEN | ({"has_more_path": "more"} if flagged else {})}, api)
    assert ("other records" in ran.error) is True


def written(*steps: Step) -> Steps:
    """Steps by hand."""
    left = [*steps, Step()]
    while left:
        yield left.pop(0)


@pytest.mark.parametrize(
    ("request_", "page"),
    [(PageRequest(probe=True), Page([at(1)])), (PageRequest(), Page([], unchanged=True))],
    ids=["a probe", "unchanged"],
)
def test_neither_a_probe_nor_what_is_unchanged_is_looked_at(request_: PageRequest, page: Page) -> None:
    made = plan(paginator=FLAGGED)
    answer = Answer("http://x", facts_of(200, {}), {"more": False})
    page = replace(page, end=stated_end(made.stream.paginator, answer, None, 1))
    watched = Watch({"": made}, is_first=True).over(written(Step(request=request_)))
    assert next(watched).request == request_
    assert watched.send(page) == Step()


def test_a_probe_is_no_step_of_the_walk_so_that_state_does_not_move_by_it() -> None:
    class Strict(SingleWalk):
        def translate(self, sub_walk: SubWalk, step: Step) -> Step:
            raise AssertionError(sub_walk, step)

    made = plan()
    driven = probed(Strict(written()), made, None)
    sub_walk = driven.next()
    assert sub_walk is not None
    probe = Step(request=PageRequest(probe=True))
    assert driven.translate(sub_walk, probe) == probe


@pytest.mark.parametrize(
    ("bookmark", "is_first"),
    [
        (None, True),
        (CursorBookmark(None), True),
        (CursorBookmark(Cursor("2026-01-01T00:00:00Z")), False),
        (CombinedBookmark(CursorBookmark(None)), True),
    ],
    ids=str,
)
def test_a_run_is_the_first_where_no_part_of_its_bookmark_says_where_to_go_on(bookmark: Any, *, is_first: bool) -> None:
    driven = probed(SingleWalk(written()), plan(), bookmark, plan(name="parents"))
    assert driven.watch.is_first is is_first
    assert {*driven.watch.plans} == {"", "parents"}


def ended(
    paginator: dict[str, Any], body: Any, *, header: str = "", count: int = 1, at: Any = None
) -> tuple[Paginator, Any]:
    """What a stream's answer states of its end."""
    made: Plan = plan(paginator=paginator)
    answer = Answer("http://x/things", facts_of(200, {"link": header} if header else {}), body)
    return made.stream.paginator, stated_end(made.stream.paginator, answer, at, count)


STATED: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
    (
        FLAGGED,
        {"more": False},
        "",
        "set has_more_path to the flag that is true where more follows, or leave it out, so that an empty page is the end",
    ),
    (
        TOKEN | {"has_more_path": "more"},
        {"more": False, "next": "x"},
        "",
        "or leave it out, so that a missing token is the end; where true is the end, declare end_path: more",
    ),
    (
        TOKEN | {"end_path": "last"},
        {"last": True, "next": "x"},
        "",
        "set end_path to what is true on the last page alone",
    ),
    (
        {"type": "header_link", "end_attribute": "results=false"},
        {},
        '<http://x/things?page=2>; rel="next"; results="false"',
        "set end_attribute to what is true on the last page alone",
    ),
    (
        FROM_ONE | {"total_path": "total"},
        {"total": 1},
        "",
        "set total_path to where the number of pages of the whole list lies",
    ),
    (
        {"type": "offset", "limit": 1, "total_path": "total"},
        {"total": 1},
        "",
        "set total_path to where the number of records of the whole list lies",
    ),
]


@pytest.mark.parametrize(("paginator", "body", "header", "remedy"), STATED)
def test_each_fact_that_states_an_end_is_named_with_its_own_remedy(
    paginator: dict[str, Any], body: Any, header: str, remedy: str
) -> None:
    _, end = ended(paginator, body, header=header)
    assert paginator.get(end.fact) is not None
    assert remedy in end.remedy
    assert end.is_too_small is False


@pytest.mark.parametrize("body", [{"more": False}, {"more": False, "next": None}, {"more": False, "next": {"id": 1}}])
def test_an_end_behind_which_nothing_asks_is_no_stated_one(body: Any) -> None:
    assert ended(TOKEN | {"has_more_path": "more"}, body)[1] is None


def test_a_total_of_pages_says_nothing_of_the_records_of_an_empty_list() -> None:
    """Laravel writes one page for none."""
    made, _ = ended(FROM_ONE | {"total_path": "total"}, {"total": 1})
    assert missing_records(made, Answer("http://x", facts_of(200, {}), {"total": 1}), None, 0) == ""


def test_records_are_counted_from_the_first_offset_on() -> None:
    made, _ = ended({"type": "offset", "limit": 5, "offset": 1, "total_path": "total"}, {"total": 10})
    answer = Answer("http://x", facts_of(200, {}), {"total": 10})
    assert "the list ends after 9 records, though total is 10" in missing_records(made, answer, None, 9)
    assert missing_records(made, answer, None, 10) == ""


def test_shown_continuations_are_those_of_the_page_behind() -> None:
    _, end = ended(FLAGGED, {"more": False}, at=Number(4))
    assert end.behind == Number(5)
    _, end = ended(TOKEN | {"has_more_path": "more"}, {"more": False, "next": "x"}, at=Token("w"))
    assert end.behind == Token("x")
