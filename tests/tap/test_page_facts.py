"""Facts about pages that an API contradicts: each is told with what was asked for, what came, and what to set."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tap_restextract.errors import AnswerError, WalkError
from tap_restextract.exchange.answer import Answer, facts_of
from tap_restextract.exchange.paginators import Link, Number, Start, Token, following
from tap_restextract.exchange.stated_ends import stated_end
from tap_restextract.plan.plan import Plan
from tap_restextract.walks.probing import probed
from tap_restextract.walks.steps import Page, PageRequest
from tap_restextract.walks.table import stream_walk_for
from tests.support.api import Asked, Reply, serving
from tests.support.processes import tap
from tests.support.streams import COMPOUND, INCLUSIVE, config, plan
from tests.support.walks import LATER, Answers, at, drive, inclusive

TOKEN: dict[str, Any] = {"type": "cursor", "cursor_path": "next", "cursor_param": "after"}
UNORDERED: dict[str, Any] = {**INCLUSIVE, "incremental": {"cursor_path": "updated_at", "order": "none"}}
FALLING: dict[str, Any] = {**INCLUSIVE, "incremental": {**INCLUSIVE["incremental"], "order": "desc"}}
THREE = [at(3, 1), at(3, 2), at(3, 3)]


def deaf(kind: type[Token | Link] = Token) -> Answers:
    """An API that answers its first page to whatever token, each time with another token."""
    tokens = map(str, itertools.count())
    return lambda _: Page(THREE, kind(next(tokens)), LATER)


@pytest.mark.pure
@pytest.mark.parametrize("stable", [True, False])
@pytest.mark.parametrize("facts", [{}, INCLUSIVE, UNORDERED, FALLING], ids=["traversal", "asc", "none", "desc"])
def test_a_token_that_the_api_does_not_look_at_is_named(facts: dict[str, Any], *, stable: bool) -> None:
    """Each page brings a new token, so that no circle is found."""
    made = plan(**facts, paginator=TOKEN | {"stable": stable})
    with pytest.raises(WalkError, match=r"the API doesn't look at 'after': set cursor_param, or cursor_body_path"):
        drive(made, deaf())


@pytest.mark.pure
def test_links_that_lead_to_their_own_page_are_told() -> None:
    made = plan(paginator={"type": "json_link", "next_url_path": "links.self"})
    with pytest.raises(WalkError, match="the links lead to the page itself: set next_url_path"):
        drive(made, deaf(Link))


@pytest.mark.pure
def test_pages_of_records_without_a_key_may_be_alike_a_hundred_times() -> None:
    tokens = iter([*map(str, range(60)), None])
    made = plan(primary_key=[], paginator=TOKEN)

    def answers(_: PageRequest) -> Page:
        token = next(tokens)
        return Page([{"level": "info"}], None if token is None else Token(token), LATER)

    assert len(drive(made, answers, most=70).pages) == 62


@pytest.mark.pure
@pytest.mark.parametrize("facts", [UNORDERED, FALLING], ids=["none", "desc"])
def test_an_offset_that_the_api_does_not_look_at_is_named_where_pages_overlap(facts: dict[str, Any]) -> None:
    made = plan(**facts, paginator={"type": "offset", "limit": 3, "offset_param": "skip"})

    def answers(asked: PageRequest) -> Page:
        start = asked.at.offset if isinstance(asked.at, Start) else 0
        return Page(THREE, Start(start + 3), LATER)

    with pytest.raises(WalkError, match="the API doesn't look at 'skip': set offset_param"):
        drive(made, answers)


ROWS: list[dict[str, Any]] = [{"id": number, "updated_at": f"2026-01-01T00:00:{number:02}Z"} for number in range(12)]
SIZE = 5
Listed = Callable[[int, list[Any], Asked], dict[str, Any]]


def counted(says: Listed, *, first: int = 0, behind: int = 200) -> Callable[[Asked], Reply]:
    """An API that counts pages of five from a number on, or records; `says` is what stands beside the records."""

    def answers(asked: Asked) -> Reply:
        start = int(asked.params.get("offset", 0))
        if "page" in asked.params:
            start = SIZE * (int(asked.params["page"]) - first)
        since = asked.params.get("since", "")
        listed = [row for row in ROWS if row["updated_at"] >= since]
        if start < 0 or (start >= len(listed) > 0 and behind != 200):
            return Reply({"message": "there is no such page"}, behind if behind != 200 else 400)
        return Reply({"data": listed[start : start + SIZE], **says(start, listed, asked)})

    return answers


def has_more(start: int, listed: list[Any], _: Asked) -> dict[str, Any]:
    return {"more": start + SIZE < len(listed)}


def never_more(*_: Any) -> dict[str, Any]:
    return {"more": False}


def total_of_page(start: int, listed: list[Any], asked: Asked) -> dict[str, Any]:
    here = len(listed[start : start + SIZE])
    return {"total": 1 if "page" in asked.params else here}


def total(_: int, listed: list[Any], asked: Asked) -> dict[str, Any]:
    return {"total": -(-len(listed) // SIZE) if "page" in asked.params else len(listed)}


PAGES: dict[str, Any] = {"type": "page_number"}
OFFSETS: dict[str, Any] = {"type": "offset", "limit": SIZE}


@pytest.mark.parametrize(
    ("facts", "paginator", "says", "told"),
    [
        ({}, PAGES | {"has_more_path": "more"}, never_more, "(more is false), and page 1 behind it holds"),
        (INCLUSIVE, OFFSETS | {"has_more_path": "more"}, never_more, "(more is false), and offset 5 behind it holds"),
        (UNORDERED, PAGES | {"total_path": "total"}, total_of_page, "(total is 1), and page 1 behind it holds"),
        (
            {"sweep": True},
            OFFSETS | {"total_path": "total"},
            total_of_page,
            "(total is 5), and offset 5 behind it holds",
        ),
    ],
    ids=["flag, pages", "flag, offsets", "total, pages", "total, offsets"],
)
def test_a_first_run_asks_for_one_page_behind_a_stated_end_and_tells_of_what_is_there(
    tmp_path: Path, facts: dict[str, Any], paginator: dict[str, Any], says: Listed, told: str
) -> None:
    with serving(counted(says)) as api:
        run = tap(tmp_path, config(api.url, records="data", paginator=paginator, **facts))
    (error,) = run.told
    assert run.code == 1
    assert f"the first page says that it is the last one {told} 5 other records, and did so each time; set " in error
    assert run.records == []
    assert len(api.asked) == 6


@pytest.mark.parametrize(
    ("paginator", "says", "behind"),
    [
        (PAGES | {"has_more_path": "more"}, has_more, 200),
        (OFFSETS | {"has_more_path": "more"}, has_more, 404),
        (PAGES | {"total_path": "total"}, total, 500),
        (OFFSETS | {"total_path": "total"}, total, 200),
    ],
)
def test_an_end_that_is_one_costs_at_most_one_request_whatever_lies_behind_it(
    tmp_path: Path, paginator: dict[str, Any], says: Listed, behind: int
) -> None:
    with serving(counted(says, behind=behind)) as api:
        run = tap(tmp_path, config(api.url, records="data", paginator=paginator))
    assert (run.code, len(run.records), run.told) == (0, 12, [])
    assert len(api.asked) == 3  # the last page is shorter than another, so that it isn't cut
    del ROWS[10:]
    try:
        with serving(counted(says, behind=behind)) as api:
            run = tap(tmp_path, config(api.url, records="data", paginator=paginator))
    finally:
        ROWS.extend({"id": number, "updated_at": f"2026-01-01T00:00:{number:02}Z"} for number in (10, 11))
    assert (run.code, len(run.records), run.told) == (0, 10, [])
    assert len(api.asked) == 3


def test_a_run_that_goes_on_from_state_asks_for_no_page_behind_the_end(tmp_path: Path) -> None:
    keys = {"records": "data", "paginator": PAGES | {"has_more_path": "more"}, **INCLUSIVE}
    with serving(counted(has_more)) as api:
        first = tap(tmp_path, config(api.url, **keys))
        asked = len(api.asked)
        again = tap(tmp_path, config(api.url, **keys), state=first.states[-1])
    assert (first.code, again.code, len(again.records)) == (0, 0, 0)
    assert len(api.asked) == asked + 1


@pytest.mark.pure
def test_a_list_that_grows_behind_its_end_while_it_is_read_is_believed() -> None:
    """What the probe finds is in the page when that is asked for again, or more follows it then."""
    made = plan(paginator=PAGES | {"has_more_path": "more"})
    end = stated_end(made.stream.paginator, Answer("http://x", facts_of(200, {}), {"more": False}), None, 1)
    assert end is not None
    first, grown = Page([at(1, 1)], None, LATER, end=end), Page([at(1, 1)], Number(1), LATER)
    assert watched(made, first, Page([at(2, 2)], None, LATER), grown) == ([1], [None, Number(1), None])


def watched(made: Plan, *script: Page) -> tuple[list[Any], list[Any]]:
    """The ids that a walk emits over these pages, and what asked for each page."""
    left = list(script)
    ids: list[Any] = []
    asked: list[Any] = []
    driven = probed(stream_walk_for(made, None), made, None)
    sub_walk = driven.next()
    assert sub_walk is not None
    step = next(sub_walk.steps)
    while True:
        ids += [record["id"] for record in step.records]
        if step.request is None:
            return ids, asked
        asked.append(step.request.at)
        step = sub_walk.steps.send(left.pop(0))


@pytest.mark.parametrize("facts", [{}, INCLUSIVE, UNORDERED, FALLING, {"sweep": True}])
def test_a_list_that_begins_a_page_earlier_than_base_page_is_told_before_state_moves(
    tmp_path: Path, facts: dict[str, Any]
) -> None:
    rows = ROWS[::-1] if facts is FALLING else ROWS

    def answers(asked: Asked) -> Reply:
        start = SIZE * int(asked.params["page"])
        return Reply(rows[start : start + SIZE] if asked.params.get("since", "") == "" else [])

    with serving(answers) as api:
        run = tap(tmp_path, config(api.url, paginator=PAGES | {"base_page": 1}, **facts))
    assert run.code == 1
    assert "the list begins before base_page: 1: page 0 holds 5 records" in run.told[0]
    assert "set base_page: 0" in run.told[0]
    assert '"STATE"' not in run.out


@pytest.mark.parametrize(
    ("facts", "zero"),
    [({}, "first"), ({}, "last"), ({}, "refused"), (INCLUSIVE, "first"), (INCLUSIVE, "last"), (INCLUSIVE, "empty")],
)
def test_whatever_an_api_that_counts_from_one_answers_to_page_zero_the_list_is_read(
    tmp_path: Path, facts: dict[str, Any], zero: str
) -> None:
    def answers(asked: Asked) -> Reply:
        page = int(asked.params["page"])
        listed = [row for row in ROWS if row["updated_at"] >= asked.params.get("since", "")]
        if page == 0:
            told = {"first": Reply(listed[:SIZE]), "last": Reply(listed[-SIZE:]), "empty": Reply([])}
            return told.get(zero, Reply({"message": "page must be at least 1"}, 400))
        return Reply(listed[SIZE * page - SIZE : SIZE * page])

    with serving(answers) as api:
        run = tap(tmp_path, config(api.url, paginator=PAGES | {"base_page": 1}, **facts))
    assert (run.code, {record["id"] for record in run.records}, run.told) == (0, set(range(12)), [])


def test_an_offset_that_begins_a_record_late_is_told(tmp_path: Path) -> None:
    def answers(asked: Asked) -> Reply:
        start = int(asked.params["offset"])
        return Reply(ROWS[start : start + SIZE])

    with serving(answers) as api:
        run = tap(tmp_path, config(api.url, paginator=OFFSETS | {"offset": 1}))
    assert run.code == 1
    assert "the list begins before offset: 1: offset 0 holds 1 records" in run.told[0]


@pytest.mark.parametrize(
    ("facts", "paginator", "kind"),
    [
        ({}, TOKEN, "token"),
        (INCLUSIVE, TOKEN, "link"),
        (COMPOUND, TOKEN, "token"),
        (UNORDERED, {"type": "json_link", "next_url_path": "next"}, "link"),
    ],
    ids=["traversal", "asc", "compound", "none"],
)
def test_a_token_or_link_at_another_path_than_the_one_that_is_read_is_found_by_asking_with_it(
    tmp_path: Path, facts: dict[str, Any], paginator: dict[str, Any], kind: str
) -> None:
    def answers(asked: Asked) -> Reply:
        if "since" in asked.params:
            return Reply({"data": []})
        start = int(asked.params.get("after", "p0")[1:])
        token = f"p{start + SIZE}"
        more = {"following": token if kind == "token" else f"/things?after={token}"} if start + SIZE < 12 else {}
        return Reply({"data": ROWS[start : start + SIZE], "page_trace": "p99", **more})

    with serving(answers) as api:
        run = tap(tmp_path, config(api.url, records="data", paginator=paginator | {"stable": True}, **facts))
    assert run.code == 1
    assert (
        f"no answer has anything at next, and the {kind} at following, asked for, brought 5 other records"
        in run.told[0]
    )
    assert f"set {'cursor_path' if kind == 'token' else 'next_url_path'}: following" in run.told[0]


def test_what_only_looks_like_a_token_is_asked_with_twice_at_most_and_a_null_token_never(tmp_path: Path) -> None:
    beside = {
        "cursor_id": "abc",
        "page_hint": "x",
        "more_info": "y",
        "next_steps": "/things?tutorial=1",
        "status": "ok",
    }

    def answers(asked: Asked) -> Reply:
        null = {"next": None} if asked.path == "/null" else {}
        return Reply({"data": ROWS[:3], **beside, **null})

    with serving(answers) as api:
        run = tap(tmp_path, config(api.url, records="data", paginator=TOKEN))
        assert (run.code, len(run.records), run.told, len(api.asked)) == (0, 3, [], 3)
    with serving(answers) as api:
        run = tap(
            tmp_path, config(api.url, path="/null", records="data", paginator=TOKEN, ignored_marks=["next_steps"])
        )
        assert (run.code, len(run.records), run.told, len(api.asked)) == (0, 3, [], 1)


@pytest.mark.parametrize("marks", [{}, {"ignored_marks": ["meta.total"]}], ids=["", "ignored"])
def test_a_total_that_nothing_reads_and_that_speaks_of_more_than_came_is_told_once(
    tmp_path: Path, marks: dict[str, Any]
) -> None:
    with serving(lambda _: Reply({"data": ROWS[:3], "meta": {"total": 12}})) as api:
        run = tap(tmp_path, config(api.url, records="data", **marks))
    assert (run.code, len(run.records)) == (0, 3)
    assert [
        "the answer says that the list has 12 records (meta.total), holds 3, and nothing asks for the rest" in run.err
    ] == [not marks]


def test_a_total_that_is_no_number_of_the_list_is_told(tmp_path: Path) -> None:
    """The total counts pages, and the API doesn't look at the offset."""
    with serving(lambda _: Reply({"data": ROWS[:SIZE], "total": 3})) as api:
        run = tap(tmp_path, config(api.url, records="data", paginator=OFFSETS | {"total_path": "total"}))
    assert run.code == 1
    assert "total is 3, which is less than what came, and offset 5 holds records, too" in run.told[0]


def test_a_total_that_is_a_record_late_is_told_and_nothing_else(tmp_path: Path) -> None:
    def short(_: int, listed: list[Any], __: Asked) -> dict[str, Any]:
        return {"total": len(listed) - 1}

    with serving(counted(short)) as api:
        run = tap(tmp_path, config(api.url, records="data", paginator=OFFSETS | {"total_path": "total"}))
    assert (run.code, len(run.records)) == (0, 12)
    assert "total is 11, which is less than what came" in run.err


def test_records_that_a_total_counts_and_no_page_has_are_told(tmp_path: Path) -> None:
    with serving(counted(lambda *_: {"total": 40})) as api:
        run = tap(tmp_path, config(api.url, records="data", paginator=OFFSETS | {"total_path": "total"}))
    assert (run.code, len(run.records)) == (0, 12)
    assert "the list ends after 12 records, though total is 40" in run.err


def test_a_total_of_each_parents_children_is_told_once(tmp_path: Path) -> None:
    def answers(asked: Asked) -> Reply:
        if asked.path == "/things":
            return Reply({"data": ROWS[:4]})
        parent = int(asked.path.split("/")[2])
        return Reply({"data": [{"id": f"{parent}-{number}"} for number in range(2)], "total": 10 + parent})

    child = {"name": "parts", "path": "/things/{parent.things.id}/parts", "primary_key": ["id"], "records": "data"}
    with serving(answers) as api:
        made = config(api.url, records="data")
        made["streams"].append({**child, "schema": {"properties": {"id": {"type": "string"}}}})
        run = tap(tmp_path, made)
    assert (run.code, len(run.records)) == (0, 4 + 8)
    assert run.err.count("nothing asks for the rest") == 1


def test_a_quota_that_is_empty_for_what_nobody_needs_does_not_end_the_run(tmp_path: Path) -> None:
    """As many requests are granted a day as the list has pages."""
    granted = iter([*range(2)])

    def answers(asked: Asked) -> Reply:
        if next(granted, None) is None:
            return Reply({"message": "come back tomorrow"}, 429, {"Retry-After": "86400"})
        return counted(has_more)(asked)

    del ROWS[10:]
    try:
        with serving(answers) as api:
            run = tap(tmp_path, config(api.url, records="data", paginator=PAGES | {"has_more_path": "more"}))
    finally:
        ROWS.extend({"id": number, "updated_at": f"2026-01-01T00:00:{number:02}Z"} for number in (10, 11))
    assert (run.code, len(run.records), run.told, len(api.asked)) == (0, 10, [], 3)


@pytest.mark.pure
def test_an_answer_that_is_cut_smaller_than_its_limit_is_told_where_more_follows_it_each_time() -> None:
    made = plan(**INCLUSIVE, paginator={"type": "single_page", "limit": 6})
    listed = [at(1, 1), at(2, 2), at(3, 3), at(3, 4), at(3, 5)]
    with pytest.raises(
        WalkError, match="an answer holds 2 records, fewer than limit: 6, and the answer behind it 1 more"
    ):
        drive(made, inclusive(listed, size=2))


@pytest.mark.pure
def test_a_list_that_grows_behind_an_answer_with_room_is_not_taken_for_one_that_is_cut() -> None:
    made = plan(**INCLUSIVE, paginator={"type": "single_page", "limit": 6})
    listed = [at(1, 1), at(2, 2)]

    def answers(asked: PageRequest) -> Page:
        page = inclusive(listed, size=6)(asked)
        if asked.cursor is None:
            listed[2:] = [at(3, 3)]
        return page

    read = drive(made, answers)
    assert read.ids == [1, 2, 3]
    assert len(read.asks) == 6


@pytest.mark.pure
@pytest.mark.parametrize("comparison", ["inclusive", "exclusive"])
def test_a_tie_that_fills_an_answer_which_is_cut_smaller_than_its_limit_does_not_end_the_list(comparison: str) -> None:
    incremental = {**INCLUSIVE["incremental"], "filter": comparison}
    made = plan(**INCLUSIVE | {"incremental": incremental}, paginator={"type": "single_page", "limit": 6})
    listed = [at(1, 1), at(1, 2), at(1, 3), at(2, 4)]

    def answers(asked: PageRequest) -> Page:
        since = "" if asked.cursor is None else asked.cursor.value
        kept = [
            row
            for row in listed
            if row["updated_at"] > since or (comparison, since) == ("inclusive", row["updated_at"])
        ]
        return Page(kept[:2], None, LATER)

    with pytest.raises(
        WalkError, match="an answer holds 2 records, fewer than limit: 6, and the answer behind it 1 more"
    ):
        drive(made, answers)
    listed[2:] = []
    assert drive(made, answers).ids == [1, 2]


@pytest.mark.pure
def test_a_path_with_several_addresses_is_refused() -> None:
    """Row 32: next links lie in an array of links."""
    links = {"links": [{"rel": "self", "href": "/a"}, {"rel": "next", "href": "/b"}]}
    answer = Answer("http://x/a", facts_of(200, {}), links)
    with pytest.raises(AnswerError, match="2 values at"):
        following(
            plan(paginator={"type": "json_link", "next_url_path": "links[*].href"}).stream.paginator, answer, None, 1
        )
    one = plan(paginator={"type": "json_link", "next_url_path": "links[?(@.rel=='next')].href"}).stream.paginator
    assert following(one, answer, None, 1) == Link("http://x/b")
