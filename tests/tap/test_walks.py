"""Walks, one page at a time: what is asked, what is written, what STATE says then, and where a walk must stop."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tap_restextract.errors import AnswerError, WalkError
from tap_restextract.exchange.paginators import Link, Number, Start, Token
from tap_restextract.plan.plan import Plan
from tap_restextract.values.cursor import Cursor, rank
from tap_restextract.walks.steps import Page, PageRequest
from tests.support.streams import COMPOUND, INCLUSIVE, UNIQUE, plan
from tests.support.walks import LATER, Read, at, compound, drive, inclusive, pages

pytestmark = pytest.mark.pure

KEYSET = plan(**COMPOUND)
TOKENS = plan(**INCLUSIVE, paginator={"type": "cursor", "stable": True})
BY_TOKEN = plan(**INCLUSIVE, paginator={"type": "cursor"})
BY_PAGE = plan(**INCLUSIVE, paginator={"type": "page_number"})
BY_OFFSET = plan(**INCLUSIVE, paginator={"type": "offset", "limit": 2})
SINGLE = plan(**INCLUSIVE)
LIMITED = plan(**INCLUSIVE, paginator={"type": "single_page", "limit": 2})
KEYS = plan(**UNIQUE)
DESCENDING: dict[str, Any] = {
    "incremental": {"cursor_path": "updated_at", "tie_breaker": "id", "order": "desc", "filter": "none"}
}
ALL = plan(paginator={"type": "cursor"})
PAIRS: list[tuple[Plan, str]] = [(TOKENS, "token"), (BY_TOKEN, "token"), (BY_PAGE, "number"), (BY_OFFSET, "offset")]
INCLUSIVES = [
    pytest.param(*pair, id=name)
    for pair, name in zip(PAIRS, ("stable tokens", "tokens", "pages", "offsets"), strict=True)
]
TIED = [at(1, 1), at(1, 2), at(1, 3), at(1, 4), at(1, 5), at(2, 6), at(3, 7)]


def test_a_keyset_asks_after_the_last_key_and_tie_breaker_of_each_page() -> None:
    read = drive(KEYSET, compound(TIED))
    assert read.ids == [1, 2, 3, 4, 5, 6, 7]
    assert [ask.cursor for ask in read.asks] == [
        None,
        Cursor(at(1)["updated_at"], 2),
        Cursor(at(1)["updated_at"], 4),
        Cursor(at(2)["updated_at"], 6),
        *([Cursor(at(3)["updated_at"], 7)] if len(read.asks) == 5 else []),
    ]


def test_state_never_says_more_than_was_written_before_it() -> None:
    all_of_them = [(KEYSET, compound(TIED)), *((made, inclusive(TIED, kind=kind)) for made, kind in PAIRS)]
    for made, answers in all_of_them:
        read = drive(made, answers)
        written: set[Any] = set()
        for page, state in zip(read.pages, read.states, strict=True):
            written |= {record["id"] for record in page}
            if state and "replication_key_value" in state:
                place = rank(state["replication_key_value"])
                assert {record["id"] for record in TIED if rank(record["updated_at"]) < place} <= written
        assert read.state["replication_key_value"] == at(3)["updated_at"]


@pytest.mark.parametrize(("made", "kind"), INCLUSIVES)
def test_a_tie_wider_than_a_page_comes_out_whole_and_once(made: Any, kind: str) -> None:
    assert sorted(drive(made, inclusive(TIED, kind=kind)).ids) == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("kind", ["offset", "number", "token"])
def test_a_tie_is_read_to_its_end_also_in_pages_of_one_record(kind: str) -> None:
    paginator = {
        "offset": {"type": "offset", "limit": 1},
        "number": {"type": "page_number"},
        "token": {"type": "cursor"},
    }
    assert sorted(drive(plan(**INCLUSIVE, paginator=paginator[kind]), inclusive(TIED, 1, kind=kind)).ids) == [
        *range(1, 8)
    ]


@pytest.mark.parametrize(("made", "kind"), INCLUSIVES)
def test_a_second_run_on_an_unchanged_api_writes_nothing(made: Any, kind: str) -> None:
    first = drive(made, inclusive(TIED, kind=kind))
    assert drive(made, inclusive(TIED, kind=kind), first.state).ids == []
    assert drive(KEYSET, compound(TIED), drive(KEYSET, compound(TIED)).state).ids == []


@pytest.mark.parametrize(("made", "kind"), INCLUSIVES)
def test_a_run_from_any_state_and_what_came_before_it_have_every_record(made: Any, kind: str) -> None:
    for plan_, answers in ((made, inclusive(TIED, kind=kind)), (KEYSET, compound(TIED))):
        read = drive(plan_, answers)
        for index, state in enumerate(read.states):
            before = {record["id"] for page in read.pages[: index + 1] for record in page}
            if state is not None:
                assert before | set(drive(plan_, answers, state).ids) == {1, 2, 3, 4, 5, 6, 7}


@pytest.mark.parametrize(("made", "kind"), INCLUSIVES)
def test_a_record_changed_within_the_same_second_comes_again_and_its_neighbours_do_not(made: Any, kind: str) -> None:
    """P1: a boundary that knows keys alone takes the changed record for a repeated one."""
    before = [at(1, 1), at(2, 2, price=1), at(2, 3)]
    state = drive(made, inclusive(before, kind=kind)).state
    after = [at(1, 1), at(2, 2, price=2), at(2, 3), at(2, 4)]
    assert drive(made, inclusive(after, kind=kind), state).ids == [2, 4]


def test_a_row_of_the_servers_current_second_is_written_but_may_still_be_joined() -> None:
    """P2's nearer half: a smaller id of the same second, committed after the page was read."""
    clock = float(rank(at(2)["updated_at"]))
    first = drive(KEYSET, compound([at(1, 1), at(2, 9)], clock=clock))
    assert first.ids == [1, 9]
    later = drive(KEYSET, compound([at(1, 1), at(2, 3), at(2, 9)]), first.state)
    assert 3 in later.ids


def test_a_future_dated_row_does_not_move_the_bookmark_over_those_that_come_until_then() -> None:
    clock = float(rank(at(10)["updated_at"]))
    for made, api in (
        (KEYSET, compound),
        (BY_PAGE, inclusive),
        (TOKENS, lambda r, clock=LATER: inclusive(r, kind="token", clock=clock)),
    ):
        first = drive(made, api([at(1, 1), at(50, 2)], clock=clock))
        assert sorted(first.ids) == [1, 2]
        assert 3 in drive(made, api([at(1, 1), at(20, 3), at(50, 2)]), first.state).ids


@pytest.mark.parametrize("cursor", [{"initial_value": "2026-01-01T00:00:02Z"}, {}])
def test_a_cursor_without_a_tie_breaker_takes_all_of_its_value_and_nothing_before(cursor: dict[str, Any]) -> None:
    made = plan(**{**COMPOUND, "incremental": {**COMPOUND["incremental"], **cursor}})
    state = {} if cursor else {"replication_key_value": "2026-01-01T00:00:02Z"}
    records = [at(1, 1), at(1, 9), at(2, 0), at(2, 2), at(3, 3)]
    assert drive(made, compound(records), state).ids == [0, 2, 3]


@pytest.mark.parametrize(("made", "kind"), INCLUSIVES)
def test_the_initial_value_is_inclusive(made: Any, kind: str) -> None:
    incremental = {"cursor_path": "updated_at", "initial_value": "2026-01-01T00:00:02Z"}
    paginator = {"token": {"type": "cursor", "stable": made is TOKENS}, "number": {"type": "page_number"}}
    paginator["offset"] = {"type": "offset", "limit": 2}
    only = plan(**{**INCLUSIVE, "incremental": incremental, "paginator": paginator[kind]})
    assert drive(only, inclusive([at(1, 1), at(2, 2), at(3, 3)], kind=kind)).ids == [2, 3]


def test_numbers_that_are_written_as_text_are_walked_as_numbers() -> None:
    records = [{"id": key, "updated_at": str(value)} for key, value in [(1, 8), (2, 9), (3, 10), (4, 100)]]
    assert drive(KEYSET, compound(records)).ids == [1, 2, 3, 4]
    read = drive(BY_PAGE, inclusive(records))
    assert read.ids == [1, 2, 3, 4]
    assert read.state["replication_key_value"] == "100"


def test_decimals_are_walked_with_all_their_digits() -> None:
    values = [Decimal("1767225600.123456789012345678"), Decimal("1767225600.123456789012345679")]
    records = [{"id": key, "updated_at": value} for key, value in enumerate(values)]
    read = drive(KEYSET, compound(records, size=1))
    assert read.ids == [0, 1]
    assert read.state["cursor"]["updated_at"] == str(values[1])


def test_a_filter_coarser_than_the_values_loses_nothing_between_its_steps() -> None:
    """P5: milliseconds and a filter by seconds, with more records of a second than a page holds."""
    records = [{"id": key, "updated_at": f"2026-01-01T00:00:0{key // 5}.{key % 5}00Z"} for key in range(20)]
    for kind, paginator in (("number", {"type": "page_number"}), ("offset", {"type": "offset", "limit": 2})):
        made = plan(
            **{**INCLUSIVE, "incremental": {"cursor_path": "updated_at", "precision": "1s"}, "paginator": paginator}
        )
        read = drive(made, inclusive(records, kind=kind, precision=1))
        assert sorted(read.ids) == list(range(20))
        assert drive(made, inclusive(records, kind=kind, precision=1), read.state).ids == []


def test_an_exclusive_filter_is_asked_one_step_back_so_that_the_tie_comes_whole() -> None:
    made = plan(
        **{**INCLUSIVE, "incremental": {**INCLUSIVE["incremental"], "filter": "exclusive"}},
        paginator={"type": "page_number"},
    )

    def behind(ask: PageRequest) -> Page:
        records = [
            record for record in TIED if ask.cursor is None or rank(record["updated_at"]) > rank(ask.cursor.value)
        ]
        number = ask.at.page if isinstance(ask.at, Number) else 0
        page = records[number * 2 : number * 2 + 2]
        return Page(page, Number(number + 1) if page else None, LATER)

    read = drive(made, behind)
    assert sorted(read.ids) == [1, 2, 3, 4, 5, 6, 7]
    assert drive(made, behind, read.state).ids == []


def test_a_unique_keyset_asks_after_the_last_key_whatever_its_type() -> None:
    for keys in ([1, 2, 3], ["a", "b", "c"]):
        records = [{"id": key} for key in keys]
        script = [Page(records[:2], Token("x"), LATER), Page(records[2:], None, LATER), Page((), None, LATER)]
        read = drive(KEYS, pages(*script))
        assert read.ids == keys
        assert read.asks[1].cursor is not None
        assert read.asks[1].cursor.value == keys[1]
        assert read.state["replication_key_value"] == keys[2]


def test_a_short_page_and_an_empty_page_with_a_token_end_nothing() -> None:
    """P7."""
    script = [
        Page([at(1, 1)], Token("a"), LATER),
        Page((), Token("b"), LATER),
        Page((), Token("c"), LATER),
        Page([at(2, 2)], None, LATER),
    ]
    assert drive(ALL, pages(*script)).ids == [1, 2]
    assert drive(TOKENS, pages(*script)).ids == [1, 2]


def test_a_traversal_has_no_bookmark() -> None:
    read = drive(ALL, pages(Page([at(1, 1)], Token("a")), Page([at(0, 2)], None)))
    assert read.ids == [1, 2]
    assert read.states == [None] * len(read.states)


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("made", [ALL, TOKENS, BY_TOKEN], ids=["traversal", "stable tokens", "tokens in a tie"])
@pytest.mark.parametrize("kind", [Token, Link])
def test_tokens_that_go_in_a_circle_stop_the_walk_whatever_the_circles_length(
    made: Any, length: int, kind: Any
) -> None:
    """H1."""

    def circle(ask: PageRequest) -> Page:
        here = 0 if ask.at is None else int(str(getattr(ask.at, "value", None) or getattr(ask.at, "url", None))[-1])
        return Page([at(1, here)], kind(f"t{here % length + 1}"), LATER)

    read = Read()
    with pytest.raises(
        WalkError, match=rf"stream things \(.*\): the API gave the same {kind.__name__.lower()} .* in a circle"
    ):
        drive(made, circle, read=read)
    assert set(read.ids) <= set(range(length + 1))


@pytest.mark.parametrize(
    ("made", "records"),
    [
        (KEYSET, [at(2, 1), at(1, 2)]),
        (KEYSET, [at(1, 2), at(1, 1)]),
        (BY_PAGE, [at(2, 1), at(1, 2)]),
        (TOKENS, [at(2, 1), at(1, 2)]),
    ],
)
def test_a_list_that_does_not_ascend_stops_the_walk_before_any_record_of_it(made: Any, records: list[Any]) -> None:
    read = Read()
    with pytest.raises(WalkError, match=r"stream things \(.*\): a record at .*isn't in ascending order.*sort by"):
        drive(made, pages(Page(records, None, LATER)), read=read)
    assert read.ids == []
    assert read.state == {}


def test_a_filter_that_is_not_strictly_after_stops_a_keyset_with_the_value() -> None:
    answers = compound([at(1, 1), at(1, 2)])
    with pytest.raises(WalkError, match=r"asked for what is after updated_at '2026-01-01T00:00:01Z'.*strictly after"):
        drive(KEYSET, lambda _: answers(PageRequest()))


def test_a_keyset_whose_initial_value_is_in_another_unit_is_reported_and_drops_nothing() -> None:
    incremental = COMPOUND["incremental"] | {"initial_value": 1767225600000}
    with pytest.raises(WalkError, match="asked for what is after updated_at 1767225599999"):
        drive(plan(**{**COMPOUND, "incremental": incremental}), pages(Page([at(1, 1)], None, LATER)))


def test_an_api_that_ignores_the_cursor_is_reported_and_not_asked_for_ever() -> None:
    for made in (KEYSET, KEYS):
        with pytest.raises(WalkError, match=r"asked for what is after .*that isn't after it"):
            drive(made, lambda _: Page([at(1, 1), at(1, 2)], Token("x"), LATER))


def test_a_tie_that_fills_a_whole_answer_is_reported_with_its_value_and_its_count() -> None:
    """P6's honest end: where there is no way behind the tie, no record is skipped to get on."""
    read = Read()
    with pytest.raises(WalkError, match=r"2 records or more share '2026-01-01T00:00:01Z', and one answer holds 2"):
        drive(LIMITED, lambda ask: Page(inclusive(TIED)(PageRequest(ask.cursor)).records, None, LATER), read=read)
    assert read.state.get("replication_key_value", "2026-01-01T00:00:01Z") == "2026-01-01T00:00:01Z"


def test_a_limited_answer_is_asked_on_from_its_last_key_until_nothing_moves() -> None:
    records = [at(second, second) for second in range(1, 8)]
    read = drive(LIMITED, lambda ask: Page(inclusive(records)(PageRequest(ask.cursor)).records, None, LATER))
    assert read.ids == [1, 2, 3, 4, 5, 6, 7]


def test_one_answer_without_a_limit_is_asked_once() -> None:
    read = drive(SINGLE, pages(Page(TIED, None, LATER)))
    assert read.ids == [1, 2, 3, 4, 5, 6, 7]
    assert len(read.asks) == 1


def test_a_tie_whose_order_changes_at_each_reading_is_reported_with_its_value_and_count() -> None:
    turn = iter(range(1000))

    def shuffled(ask: PageRequest) -> Page:
        records = [at(1, (next(turn) * 7 + offset) % 101) for offset in range(2)]
        number = ask.at.page if isinstance(ask.at, Number) else 0
        return Page(records, Number(number + 1), LATER)

    with pytest.raises(WalkError, match=r"share '2026-01-01T00:00:01Z' \(\d+ seen\).*tie_breaker"):
        drive(
            plan(**INCLUSIVE | {"incremental": {"cursor_path": "updated_at"}, "paginator": {"type": "page_number"}}),
            shuffled,
            most=500,
        )
    with pytest.raises(WalkError, match="stand in no order of id"):
        drive(BY_PAGE, shuffled, most=500)


@pytest.mark.parametrize("kind", ["number", "offset", "token"])
def test_a_tie_that_nothing_orders_is_read_until_two_readings_agree(kind: str) -> None:
    paginator = {"number": "page_number", "token": "cursor"}.get(kind)
    followed = {"type": paginator} if paginator else {"type": "offset", "limit": 2}
    made = plan(**{**INCLUSIVE, "incremental": {"cursor_path": "updated_at"}, "paginator": followed})
    declared = plan(**{**INCLUSIVE, "paginator": followed})
    answers = inclusive(TIED, kind=kind)
    assert drive(made, answers).ids == [1, 2, 3, 4, 5, 6, 7]
    assert len(drive(made, answers).asks) > len(drive(declared, answers).asks)

    asked = iter(range(1000))

    def restless(ask: PageRequest) -> Page:
        turn = next(asked)
        tied = [at(1, 1 + (key * 7 + turn) % 5) for key in range(5)]
        start = {"number": 2, "offset": 1, "token": 1}[kind] * int(
            getattr(ask.at, "page", getattr(ask.at, "offset", getattr(ask.at, "value", 0)))
        )
        page = [*tied, at(2, 6)][start : start + 2]
        following: Any = {"number": Number(start // 2 + 1), "offset": Start(start + 2), "token": Token(start + 2)}[kind]
        return Page(page, following if page else None, LATER)

    with pytest.raises(WalkError, match=r"order changed each of 10 times that they were read; .* tie_breaker"):
        drive(made, restless)


def test_a_tie_that_nothing_closed_while_it_was_read_is_read_once_more() -> None:
    """Without a clock, only a greater value tells that none can join a tie any more."""
    records = [at(1, 2), at(1, 3), at(1, 4)]
    asked = iter(range(1000))

    def joined(ask: PageRequest) -> Page:
        if next(asked) == 4:
            records.extend([at(1, 1), at(2, 5)])  # before the page that is asked for now; then the tie closes
        return inclusive(records, clock=None)(ask)

    assert set(drive(BY_PAGE, joined).ids) == {1, 2, 3, 4, 5}


def test_offsets_overlap_so_that_a_list_that_shifts_to_and_fro_hides_nothing() -> None:
    made = plan(**DESCENDING, paginator={"type": "offset", "limit": 3})
    records = [at(second, second) for second in range(9, 0, -1)]
    asked = iter(range(1000))

    def shifting(ask: PageRequest) -> Page:
        number = next(asked)
        if number == 1:
            del records[0]  # all behind it move up, over the seam of the page that is asked for now
        if number == 2:
            records.insert(0, at(10, 10))  # and down again
        start = ask.at.offset if isinstance(ask.at, Start) else 0
        page = records[start : start + 3]
        return Page(page, Start(start + len(page)) if page else None, LATER)

    assert set(drive(made, shifting).ids) >= set(range(1, 9))


def test_what_came_late_to_an_interrupted_pass_comes_from_each_state_of_the_next_one_too() -> None:
    incremental = {**DESCENDING["incremental"], "lookback": "4s"}
    made = plan(incremental=incremental, paginator={"type": "cursor", "stable": True})
    interrupted = {"replication_key": "updated_at", "replication_key_value": at(1)["updated_at"]}
    interrupted |= {"high": at(14)["updated_at"], "low": at(2)["updated_at"]}
    late = at(11, 9)
    script = [at(18, 8), at(13, 4)], [late, at(2, 2)], [at(1, 1), at(0, 0)]
    shown = [Page(page, Token(str(seam)) if seam < 3 else None, LATER) for seam, page in enumerate(script, 1)]
    read = drive(made, pages(*shown), interrupted)
    assert late in [record for page in read.pages for record in page]
    for place, state in enumerate(read.states):
        before = [record for page in read.pages[: place + 1] for record in page]
        again = drive(made, pages(*shown), state or interrupted).pages
        assert late in [*before, *(record for page in again for record in page)], state


def test_an_api_that_ignores_the_page_it_is_asked_for_is_an_error() -> None:
    made = plan(**DESCENDING, paginator={"type": "page_number"})
    with pytest.raises(
        WalkError, match=r"pages 0 and 1 hold the same records, and did again; .* doesn't look at 'page'"
    ):
        drive(made, lambda _: Page([at(2, 2), at(1, 1)], Number(1), LATER))


def test_records_that_leave_a_tie_while_it_is_read_draw_no_other_over_the_seam() -> None:
    records = list(TIED)
    answers = inclusive(records)
    asked = iter(range(1000))

    def shrinking(ask: PageRequest) -> Page:
        if next(asked) == 1:
            records[0] = at(9, 1)  # it moves to the end, and every page behind its old place shifts by one
        return answers(ask)

    assert set(drive(BY_PAGE, shrinking).ids) >= {1, 2, 3, 4, 5, 6, 7}


@pytest.mark.parametrize("made", [KEYSET, TOKENS, BY_PAGE, SINGLE])
@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({"id": 1, "updated_at": None}, r"has no updated_at \(it is null\)"),
        ({"id": 1}, r"has no updated_at \(the property is missing\)"),
        ({"id": 1, "updated_at": "soon"}, "updated_at is neither an instant .* nor a number"),
        ({"id": 1, "updated_at": {}}, "updated_at is neither an instant .* nor a number"),
    ],
)
def test_a_record_without_a_place_in_the_order_stops_the_walk(made: Any, record: Any, told: str) -> None:
    read = Read()
    with pytest.raises(AnswerError, match=told):
        drive(made, pages(Page([record], None, LATER)), read=read)
    assert read.state == {}


@pytest.mark.parametrize("tie", [None, {}, []])
def test_a_record_without_a_tie_breaker_stops_a_keyset(tie: Any) -> None:
    with pytest.raises(AnswerError, match="a record has no id; choose a tie_breaker"):
        drive(KEYSET, pages(Page([at(1, tie)], None, LATER)))


def test_a_nested_replication_key_is_walked_like_any_other() -> None:
    made = plan(
        params={"since": "{cursor.meta.at}", "after": "{cursor.id}"},
        incremental={"cursor_path": "meta.at", "tie_breaker": "id", "filter": "compound"},
        schema={"properties": {"id": {"type": "integer"}, "meta": {"type": "object"}}},
    )
    records = [{"id": key, "meta": {"at": key}} for key in (1, 2)]
    read = drive(made, pages(Page(records, None, LATER), Page((), None, LATER)))
    assert read.state["replication_key"] == "meta__at"
    assert read.state["cursor"] == {"meta.at": 2, "id": 2}
