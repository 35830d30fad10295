"""Records without a replication key: read where the list shows them, refused where no fact says so, never lost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tap_restextract.errors import AnswerError, ConfigurationError, WalkError
from tap_restextract.exchange.paginators import Number, Token
from tap_restextract.plan.plan import Plan
from tap_restextract.values.cursor import rank
from tap_restextract.walks.pages import Listing
from tap_restextract.walks.steps import Page, PageRequest, Record
from tap_restextract.walks.table import walk
from tests.support.api import Asked, Reply, serving
from tests.support.processes import tap
from tests.support.streams import COMPOUND, UNIQUE, config, plan
from tests.support.walks import LATER, Answers, Read, at, drive, pages

TOKENS: dict[str, Any] = {
    "paginator": {"type": "cursor", "cursor_path": "next", "cursor_param": "token", "stable": True}
}
PAGED: dict[str, Any] = {"paginator": {"type": "page_number"}}
SINCE = {"since": "{cursor.updated_at}"}
NULL_PARAMS: dict[str, Any] = {"null_params": {"untimed": "1"}}
NULLS: list[Record] = [{"id": 20 + number, "updated_at": None} for number in range(3)]
TIMED = [at(number, number) for number in range(1, 6)]
FIRST, LAST = [*NULLS, *TIMED], [*TIMED, *NULLS]


def facts(*, nulls: str = "none", order: str = "asc", filtered: str = "inclusive", **more: Any) -> dict[str, Any]:
    """The facts of a list by time, and the parameter that carries its filter."""
    incremental = {"cursor_path": "updated_at", "tie_breaker": "id", "order": order, "filter": filtered, "nulls": nulls}
    given = {name: value for name, value in (incremental | more).items() if value is not None}
    return {"params": {} if filtered == "none" else SINCE, "incremental": given}


def listed(records: Sequence[Record], size: int = 2, kind: str = "token") -> Answers:
    """An API that lists records in this order, in pages; its filter by time leaves out those that have none."""

    def answers(ask: PageRequest) -> Page:
        here = records
        if ask.cursor is not None:
            since = rank(ask.cursor.value)
            here = [each for each in records if each["updated_at"] is not None and rank(each["updated_at"]) >= since]
        match ask.at:
            case Token(value):
                start = int(value)
            case Number(number):
                start = number * size
            case _:
                start = 0
        end = start + size
        following = Token(end) if kind == "token" and end < len(here) else None
        if kind == "number":
            following = Number(end // size) if start < len(here) else None  # type: ignore[assignment]
        return Page(here[start:end], following, LATER)

    return answers


def interrupted(made: Plan, answers: Answers, most: int) -> Read:
    """A run that asks so often, and dies."""
    read = Read()
    with pytest.raises(AssertionError, match="the walk has no end"):
        drive(made, answers, read=read, most=most)
    return read


def own_ids(made: Plan, answers: Answers) -> list[Any]:
    """The ids that a stream's own walk emits, without what its other requests bring."""
    steps = walk(made, None)
    step, ids = next(steps), []
    while step.request is not None:
        step = steps.send(answers(step.request))
        ids += [record["id"] for record in step.records]
    return ids


def test_records_without_key_at_the_end_come_out_and_a_first_run_keeps_no_state_before() -> None:
    made = plan(**TOKENS, **facts(nulls="last"))
    cut = interrupted(made, listed(LAST), 2)
    assert (cut.ids, cut.state) == ([1, 2, 3, 4], {})
    whole = drive(made, listed(LAST))
    assert sorted(whole.ids) == [1, 2, 3, 4, 5, 20, 21, 22]
    assert [state is not None for state in whole.states] == [False] * 4 + [True]
    assert whole.state["replication_key_value"] == TIMED[-1]["updated_at"]
    later = drive(made, listed([*LAST[:5], at(6, 6), *NULLS]), whole.state)
    assert (later.ids, later.state["replication_key_value"]) == ([6], at(6)["updated_at"])


def test_records_without_key_at_the_beginning_come_out_before_state_moves() -> None:
    made = plan(**TOKENS, **facts(nulls="first"))
    cut = interrupted(made, listed(FIRST), 1)
    assert cut.ids == [20, 21]
    cut = interrupted(made, listed(FIRST), 2)
    assert (sorted(cut.ids), cut.state["replication_key_value"]) == ([1, 20, 21, 22], at(1)["updated_at"])
    assert drive(made, listed(FIRST), cut.state).ids == [2, 3, 4, 5]


@pytest.mark.parametrize("paginator", [TOKENS, PAGED])
@pytest.mark.parametrize("filtered", ["none", "inclusive"])
@pytest.mark.parametrize("nulls", ["first", "last"])
def test_a_list_that_falls_tells_them_once(paginator: dict[str, Any], filtered: str, nulls: str) -> None:
    made = plan(**paginator, **facts(nulls=nulls, order="desc", filtered=filtered))
    kind = "token" if paginator is TOKENS else "number"
    newest = [*reversed(TIMED)]
    whole = [*NULLS, *newest] if nulls == "first" else [*newest, *NULLS]
    first = drive(made, listed(whole, kind=kind))
    assert sorted(first.ids) == [1, 2, 3, 4, 5, 20, 21, 22]
    grown = [*NULLS, at(6, 6), *newest] if nulls == "first" else [at(6, 6), *whole]
    later = drive(made, listed(grown, kind=kind), first.state)
    assert later.ids == [6]
    changed = [{**record, "name": "new"} if record["id"] == 21 else record for record in grown]
    # Without a filter, each run sees those that stand first.
    assert drive(made, listed(changed, kind=kind), later.state).ids == (
        [21] if (filtered, nulls) == ("none", "first") else []
    )


@pytest.mark.parametrize("nulls", ["first", "last"])
def test_a_list_without_order_may_have_them_anywhere(nulls: str) -> None:
    made = plan(**TOKENS, **facts(nulls=nulls, order="none", tie_breaker=None))
    mixed = [TIMED[3], NULLS[0], TIMED[0], NULLS[1], NULLS[2], TIMED[1]]
    first = drive(made, listed(mixed))
    assert sorted(first.ids) == [1, 2, 4, 20, 21, 22]
    assert drive(made, listed(mixed), first.state).ids == []


@pytest.mark.parametrize(("nulls", "records"), [("first", FIRST), ("last", LAST)])
def test_one_answer_holds_them_too(nulls: str, records: list[Record]) -> None:
    made = plan(**facts(nulls=nulls))
    first = drive(made, listed(records, size=99))
    assert sorted(first.ids) == [1, 2, 3, 4, 5, 20, 21, 22]
    assert drive(made, listed(records, size=99), first.state).ids == []


@pytest.mark.parametrize("order", ["asc", "desc", "none"])
def test_a_list_of_nothing_else_tells_each_version_once(order: str) -> None:
    made = plan(**TOKENS, **facts(nulls="last", order=order))
    first = drive(made, listed(NULLS))
    assert first.ids == [20, 21, 22]
    assert drive(made, listed(NULLS), first.state).ids == []
    assert drive(made, listed([*NULLS, {"id": 30, "updated_at": None}]), first.state).ids == [30]


def test_records_that_lack_the_property_are_such_and_a_list_of_nothing_else_is_reported() -> None:
    made = plan(**TOKENS, **facts(nulls="last"))
    steps = drive(made, listed([*TIMED, {"id": 9, "updated_at": None}]))
    assert steps.ids[-1] == 9
    absent = [{"id": number} for number in range(3)]
    assert drive(made, pages(Page([*TIMED, *absent], None, LATER))).ids == [1, 2, 3, 4, 5, 0, 1, 2]


@pytest.mark.parametrize(
    ("records", "reported"),
    [([{"id": 1}, {"id": 2}], True), ([{"id": 1}, {"id": 2, "updated_at": None}], False), (TIMED, False)],
)
def test_a_path_that_leads_nowhere_in_a_whole_list_is_reported(
    tmp_path: Path,
    records: list[Record],
    reported: bool,  # noqa: FBT001  a parameter of the test
) -> None:
    with serving(lambda _: Reply(records)) as api:
        run = tap(tmp_path, config(api.url, **facts(nulls="last")))
    assert run.code == 0, run.err
    assert ("no record of the whole list has updated_at" in run.err) is reported


CONTRADICTED: list[tuple[str, list[Page], str]] = [
    ("last", [Page(FIRST, None, LATER)], "follows one without it; declare nulls: first"),
    ("first", [Page(LAST, None, LATER)], "follows one with it; declare nulls: last"),
    ("last", [Page(NULLS, Token("2"), LATER), Page(TIMED, None, LATER)], "declare nulls: first"),
    ("first", [Page(TIMED, Token("2"), LATER), Page(NULLS, None, LATER)], "declare nulls: last"),
]


@pytest.mark.parametrize(("nulls", "script", "told"), CONTRADICTED)
def test_records_without_key_elsewhere_than_declared_are_noticed(nulls: str, script: list[Page], told: str) -> None:
    with pytest.raises(WalkError, match=told) as caught:
        drive(plan(**TOKENS, **facts(nulls=nulls)), pages(*script))
    assert f"nulls: {nulls} says" in str(caught.value)


def test_a_page_may_begin_with_the_last_record_of_the_page_before_which_has_got_a_key_since() -> None:
    script = [Page([*TIMED[:4], NULLS[0]], Token("2"), LATER), Page([at(9, 20), NULLS[1]], None, LATER)]
    with pytest.raises(WalkError, match="without updated_at stand behind all others"):
        drive(plan(**TOKENS, **facts(nulls="last")), pages(script[0], Page([NULLS[1], at(9, 20)], None, LATER)))
    script[1] = Page([at(9, 20)], None, LATER)
    assert sorted(drive(plan(**TOKENS, **facts(nulls="last")), pages(*script)).ids) == [1, 2, 3, 4, 20, 20]


REFUSED: list[tuple[dict[str, Any], list[Record], str]] = [
    (
        TOKENS | facts(),
        LAST,
        "declare where they stand, nulls: last, by which the first run reads them, and null_params",
    ),
    (TOKENS | facts(), FIRST, "declare where they stand, nulls: first, by which"),
    (TOKENS | facts(), NULLS, "nulls: first or nulls: last, by which"),
    (TOKENS | facts(order="none"), [TIMED[0], NULLS[0], TIMED[1]], "nulls: last, by which"),
    (PAGED | facts(), LAST, "nulls: last, with null_params"),
    (COMPOUND, FIRST, "nulls: first, with null_params"),
    (TOKENS | facts(order="desc"), FIRST, "follows an earlier one|nulls: first, by which"),
    (TOKENS | facts(**NULL_PARAMS), LAST, "nulls: last, as null_params asks for them"),
    (UNIQUE, [{"id": None}], "choose a cursor_path that each record has"),
]


@pytest.mark.parametrize(("keys", "records", "told"), REFUSED)
def test_a_record_without_key_is_refused_with_what_would_read_it(
    keys: dict[str, Any], records: list[Record], told: str
) -> None:
    with pytest.raises(AnswerError, match=told) as caught:
        own_ids(plan(**keys), pages(Page(records, None, LATER)))
    without = next(record for record in records if record.get("updated_at") is None)
    assert f"(id {without['id']!r}) has no " in str(caught.value)
    assert "it is null" in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (PAGED | facts(nulls="last"), "restart keyset asks again from a page's last updated_at"),
        (PAGED | facts(nulls="first"), "asks for such records alone; or leave `incremental` out to read the whole list"),
        ({"paginator": {"type": "cursor"}} | facts(nulls="first"), "; or `stable: true` in the paginator, where its tokens"),
        (
            COMPOUND | {"incremental": {**COMPOUND["incremental"], "nulls": "first"}},
            "compound keyset asks again from a page's last updated_at",
        ),
        ({"paginator": {"type": "single_page", "limit": 5}} | facts(nulls="last"), "declare null_params"),
        (PAGED | facts(nulls="first", **NULL_PARAMS), "set initial_value"),
        (TOKENS | facts(nulls="last", initial_value="2026-01-01T00:00:00Z"), "from initial_value on no request"),
        (TOKENS | facts(nulls="last", order="desc", filtered="none", initial_value="2026-01-01T00:00:00Z"), "from initial"),
        (UNIQUE | {"incremental": {**UNIQUE["incremental"], "nulls": "last"}}, "which is their primary_key"),
        (
            {
                "params": {**SINCE, "until": "{until.updated_at}"},
                "incremental": {
                    "cursor_path": "updated_at", "step": "1d", "initial_value": "2026-01-01", "nulls": "last"
                },
            },
            "doesn't go with time ranges",
        ),
        (
            {
                "incremental": None,
                "feed": {
                    "path": "/e", "types": ["*"], "params": {"after": "{cursor.id}"},
                    "incremental": {"cursor_path": "id", "filter": "exclusive", "nulls": "first"},
                },
            },
            "feed.incremental.nulls: first says that some events have no id",
        ),
    ],
)  # fmt: skip
def test_facts_by_which_no_walk_reads_them_are_refused(keys: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        plan(**keys)
    assert told in " ".join(caught.value.faults)


def test_facts_by_which_they_are_read_are_not_refused() -> None:
    first = {"nulls": "first", "initial_value": "2026-01-01T00:00:00Z"}
    plan(**TOKENS, **facts(**first, order="desc", filtered="none"))
    plan(**PAGED, **facts(**first, **NULL_PARAMS))
    plan(**PAGED, **facts(nulls="last", **NULL_PARAMS))
    assert "in a first run at its end alone" in plan(**TOKENS, **facts(nulls="last")).state_moves
    assert "in a first run" not in plan(**TOKENS, **facts(nulls="last", **NULL_PARAMS)).state_moves


@pytest.mark.parametrize(("nulls", "records"), [("first", FIRST), ("last", LAST)])
def test_null_params_reads_them_in_each_run_and_the_list_leaves_them_to_it(
    tmp_path: Path, nulls: str, records: list[Record]
) -> None:
    untimed = [*NULLS]

    def answered(asked: Asked) -> Reply:
        if "untimed" in asked.params:
            return Reply({"data": untimed})
        since = asked.params.get("since")
        return Reply({"data": [each for each in records if since is None or (each["updated_at"] or "") >= since]})

    with serving(answered) as api:
        settings = config(api.url, records="data", **facts(nulls=nulls, **NULL_PARAMS))
        first = tap(tmp_path, settings)
        assert (first.code, sorted(record["id"] for record in first.records)) == (0, [1, 2, 3, 4, 5, 20, 21, 22])
        untimed.append({"id": 30, "updated_at": None})
        second = tap(tmp_path, settings, state=first.states[-1])
    assert (second.code, [record["id"] for record in second.records]) == (0, [30])


@pytest.mark.parametrize("walked", [COMPOUND, facts()])
def test_walks_that_filter_again_pass_over_them_with_null_params(walked: dict[str, Any]) -> None:
    is_strict = walked is COMPOUND
    made = plan(**{**PAGED, **walked, "incremental": {**walked["incremental"], "nulls": "last", **NULL_PARAMS}})

    def answers(ask: PageRequest) -> Page:
        page = listed(LAST[3:], size=4, kind="number")(ask)
        return Page((), page.following, LATER) if is_strict and ask.cursor is not None else page

    assert own_ids(made, answers) == [4, 5]


def test_pages_of_them_without_order_are_refused_where_others_may_slip_through() -> None:
    falling = facts(nulls="last", order="desc", tie_breaker=None)
    whole = [*reversed(TIMED), *NULLS]
    with pytest.raises(WalkError, match="two records or more have no updated_at and lie on two pages"):
        drive(plan(**PAGED, **falling), listed(whole, kind="number"))
    assert len(drive(plan(**PAGED, **facts(nulls="last", order="desc")), listed(whole, kind="number")).ids) == 8


def test_one_that_is_pushed_over_a_seam_by_a_deletion_is_not_lost() -> None:
    whole, asked = [*reversed(TIMED), *NULLS], 0

    def answers(ask: PageRequest) -> Page:
        nonlocal asked, whole
        asked += 1
        if ask.at == Number(3) and any(record["id"] == 5 for record in whole):
            whole = whole[1:]
        return listed(whole, kind="number")(ask)

    assert {20, 21, 22} <= {*drive(plan(**PAGED, **facts(nulls="last", order="desc")), answers).ids}


def test_a_list_without_replication_key_may_grow_at_its_front_while_it_is_read() -> None:
    made = plan(**PAGED, fixed_order=True)
    rows = [{"id": number} for number in range(9, 0, -1)]
    listing = Listing(made, None)
    first = listing.first_page()
    next(first)
    with pytest.raises(StopIteration):
        first.send(Page(rows[:3], Number(1)))
    second = listing.next_page(())
    next(second)
    second.send(Page(rows[2:5], Number(2)))
    with pytest.raises(StopIteration) as done:
        second.send(Page([{"id": 10}, *rows[:2]], Number(1)))
    assert [record["id"] for record in done.value.value.records] == [6, 5]
