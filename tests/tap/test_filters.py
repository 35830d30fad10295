"""Filters: an answer that holds what wasn't asked for stops the walk, and shows the parameter and both values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tap_restextract.errors import WalkError
from tap_restextract.exchange.paginators import Token
from tap_restextract.exchange.placeholders import coarseness, names_zone
from tap_restextract.exchange.request import sent_parts
from tap_restextract.plan.plan import Plan
from tap_restextract.values.cursor import Cursor, rank
from tap_restextract.walks.steps import Page, PageRequest, Record
from tap_restextract.walks.table import stream_walk_for
from tests.support.streams import COMPOUND, INCLUSIVE, UNIQUE, plan, stream
from tests.support.walks import LATER, Answers, at, compound, drive, inclusive, pages

pytestmark = pytest.mark.pure

TOKEN = {"type": "cursor", "stable": True}
RECORDS = [at(second, second) for second in range(1, 8)]
FILTER = {"cursor_path": "updated_at", "tie_breaker": "id"}
BY: dict[str, dict[str, Any]] = {
    "stable tokens": {**INCLUSIVE, "paginator": TOKEN},
    "restart keyset": {**INCLUSIVE, "paginator": {"type": "page_number"}},
    "single page": {**INCLUSIVE, "paginator": {"type": "single_page", "limit": 2}},
    "descending": {**INCLUSIVE, "incremental": FILTER | {"order": "desc"}, "paginator": TOKEN},
    "unordered": {**INCLUSIVE, "incremental": {"cursor_path": "updated_at", "order": "none"}, "paginator": TOKEN},
}
STATE = {"replication_key": "updated_at", "replication_key_value": at(5)["updated_at"]}


def deaf(records: Sequence[Record], *, falling: bool = False) -> Answers:
    """An API that doesn't look at the filter; all in one page, or two records where it is asked so."""
    ordered = sorted(records, key=lambda record: rank(record["updated_at"]), reverse=falling)
    return lambda _: Page(ordered, None, LATER)


@pytest.mark.parametrize("walk", BY)
def test_a_record_older_than_what_was_asked_for_stops_each_walk_that_filters(walk: str) -> None:
    made = plan(**BY[walk])
    assert made.walk.name == walk
    with pytest.raises(
        WalkError,
        match=r"\(since=2026-01-01T00:00:05Z\).*00:00:01Z', which is older; the filter seems to compare whole minutes",
    ):
        drive(made, deaf(RECORDS, falling=walk == "descending"), STATE)


def test_the_error_names_the_parameter_where_the_record_is_older_than_any_unit() -> None:
    old = [at(1, 1) | {"updated_at": "2025-01-01T00:00:00Z"}, *RECORDS]
    with pytest.raises(WalkError) as caught:
        drive(plan(**BY["stable tokens"]), deaf(old), STATE)
    assert str(caught.value) == (
        "stream things (stable tokens): asked for updated_at from '2026-01-01T00:00:05Z' (since=2026-01-01T00:00:05Z), the API "
        "answered a record at '2025-01-01T00:00:00Z', which is older; the API doesn't look at since: send {cursor.updated_at} under "
        "the name that it filters updated_at by; where it has no such filter, declare filter: none with order: desc, or leave "
        "`incremental` out"
    )


def test_a_mistyped_parameter_ends_the_first_run_at_its_second_request_and_not_after_five_thousand() -> None:
    """A restart keyset that asks from the last key, of an API that answers the whole list each time."""
    asked: list[PageRequest] = []

    def answers(ask: PageRequest) -> Page:
        asked.append(ask)
        return inclusive(RECORDS)(PageRequest(None, ask.at))

    with pytest.raises(WalkError, match="which is older"):
        drive(plan(**BY["restart keyset"]), answers)
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("older", "precision"),
    [("00:00:04.9999Z", "1ms"), ("00:00:04.5Z", "1s"), ("00:00:00Z", "1m"), ("-01", "1d")],
)
def test_the_smallest_precision_that_explains_an_older_record_is_the_remedy(older: str, precision: str) -> None:
    value = "2025-12-31T23:00:00Z" if older == "-01" else f"2026-01-01T{older}"
    record = at(1, 1) | {"updated_at": value}
    facts = {**BY["stable tokens"], "incremental": FILTER}
    with pytest.raises(WalkError, match=f"declare precision: {precision}. "):
        drive(plan(**facts), deaf([record, *RECORDS[4:]]), STATE)
    declared = {**facts, "incremental": FILTER | {"precision": precision}}
    assert 5 in drive(plan(**declared), deaf([record, *RECORDS[4:]]), STATE).ids


def test_a_day_of_the_apis_own_zone_is_within_a_precision_of_days() -> None:
    made = plan(**{**BY["stable tokens"], "incremental": FILTER | {"precision": "1d"}})
    local = [at(0, 9) | {"updated_at": "2025-12-31T10:30:00Z"}, *RECORDS]
    assert drive(made, deaf(local), STATE).ids == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("form", "older", "legal"),
    [
        ("%Y-%m-%d", "2026-01-01T00:00:01Z", True),
        ("%Y-%m-%d", "2025-12-31T12:00:00Z", True),
        ("%Y-%m-%d", "2025-12-29T12:00:00Z", False),
        ("unix", "2026-01-01T00:00:04.5Z", True),
        ("unix", "2026-01-01T00:00:03.5Z", False),
        ("%Y-%m-%d %H:%M", "2025-12-31T15:00:00Z", True),
        ("%Y-%m-%dT%H:%M:%SZ", "2025-12-31T15:00:00Z", False),
    ],
)
def test_what_the_form_of_a_placeholder_cuts_off_and_the_zone_that_it_lacks_are_no_contradiction(
    form: str, older: str, *, legal: bool
) -> None:
    made = plan(**{**BY["stable tokens"], "params": {"since": f"{{cursor.updated_at:{form}}}"}})
    answers = deaf([at(1, 1) | {"updated_at": older}, *RECORDS[4:]])
    state = STATE | {"replication_key_value": "2026-01-01T00:00:05.250Z"}
    if legal:
        assert 6 in drive(made, answers, state).ids
    else:
        with pytest.raises(WalkError, match="which is older"):
            drive(made, answers, state)


def test_an_initial_value_without_an_offset_may_be_read_in_the_apis_zone() -> None:
    made = plan(**{**BY["stable tokens"], "incremental": FILTER | {"initial_value": "2026-01-01"}})
    east = [at(1, 1) | {"updated_at": "2025-12-31T15:00:00Z"}, *RECORDS]
    assert drive(made, deaf(east)).ids == [1, 2, 3, 4, 5, 6, 7]


WINDOWS: dict[str, Any] = {
    "params": {"since": "{cursor.updated_at}", "before": "{until.updated_at}"},
    "incremental": {"cursor_path": "updated_at", "step": "1d", "initial_value": "2026-01-01T00:00:00Z"},
    "paginator": TOKEN,
}


@pytest.mark.parametrize(
    ("ignored", "message"), [("since", r"since=.*which is older"), ("before", r"before=.*which is newer")]
)
def test_a_range_holds_what_lies_between_its_ends_alone(ignored: str, message: str) -> None:
    made = plan(**WINDOWS)
    records = [at(1, day) | {"updated_at": f"2026-01-{day:02}T00:00:01Z"} for day in range(1, 6)]
    stream_walk = stream_walk_for(made, None)

    def answers(ask: PageRequest) -> Page:
        low, high = (None if ignored == "since" else ask.cursor), (None if ignored == "before" else ask.until)
        kept = [
            record
            for record in records
            if (low is None or rank(record["updated_at"]) >= rank(low.value))
            and (high is None or rank(record["updated_at"]) <= rank(high))
        ]
        return Page(kept, None, LATER)

    def read() -> None:
        for _ in range(4):
            sub_walk = stream_walk.next()
            assert sub_walk is not None
            step = next(sub_walk.steps)
            while step.request is not None:
                step = sub_walk.steps.send(answers(step.request))

    with pytest.raises(WalkError, match=message):
        read()


def test_a_text_key_that_the_api_answers_again_behind_itself_stops_a_unique_keyset() -> None:
    """Its first run ends by the list's end, and the second one would emit everything again."""
    made = plan(**UNIQUE, paginator={"type": "cursor"})
    whole: Callable[[PageRequest], Page] = lambda _: Page([{"id": "a"}, {"id": "b"}], None, LATER)  # noqa: E731
    first = drive(made, whole)
    assert first.ids == ["a", "b"]
    with pytest.raises(WalkError, match="isn't after it"):
        drive(made, whole, first.state)


def test_pages_that_fall_though_each_of_them_rises_stop_a_walk_by_tokens() -> None:
    script = [Page([at(5, 5), at(5, 6)], Token("a"), LATER), Page([at(3, 3), at(4, 4)], None, LATER)]
    with pytest.raises(WalkError, match="isn't in ascending order"):
        drive(plan(**BY["stable tokens"]), pages(*script))


def test_a_page_that_begins_with_records_of_the_page_before_is_in_order() -> None:
    script = [Page([at(4, 4), at(5, 5)], Token("a"), LATER), Page([at(4, 4), at(6, 6)], None, LATER)]
    assert drive(plan(**BY["stable tokens"]), pages(*script)).ids == [4, 5, 4, 6]


@pytest.mark.parametrize("walk", [*BY, "compound keyset"])
def test_a_first_page_that_is_not_sorted_as_declared_stops_the_walk(walk: str) -> None:
    made = plan(**(COMPOUND if walk == "compound keyset" else BY[walk]))
    page = Page([at(1, 1), at(3, 3), at(2, 2)], None, LATER)
    if walk == "unordered":
        assert drive(made, pages(page)).ids == [1, 3, 2]
    else:
        with pytest.raises(WalkError, match=r"isn't in (as|des)cending order"):
            drive(made, pages(page))


def test_an_honest_api_is_read_to_its_end_by_every_walk() -> None:
    cases: list[tuple[Plan, Answers]] = [
        (plan(**BY["stable tokens"]), inclusive(RECORDS, kind="token")),
        (plan(**BY["restart keyset"]), inclusive(RECORDS)),
        (plan(**COMPOUND), compound(RECORDS)),
    ]
    for made, answers in cases:
        assert drive(made, answers, drive(made, answers).state).ids == []


def test_the_parts_that_carry_a_cursor_are_told_as_they_are_sent_without_secrets() -> None:
    facts = stream(
        method="POST",
        path="/things",
        params={"q": "updated>={cursor.updated_at:%Y-%m-%d}", "x_token": "{cursor.updated_at}", "limit": 5},
        json={"filter": {"since": "{cursor.updated_at}"}, "other": 1},
        incremental={"cursor_path": "updated_at"},
    )
    told = [(part.name, part.value) for part in sent_parts(facts, "cursor", Cursor(at(5)["updated_at"]))]
    assert told == [
        ("q", "updated>=2026-01-01"),
        ("x_token", "•••"),
        ("filter", '{"since":"2026-01-01T00:00:05Z"}'),
    ]


def test_a_form_is_as_coarse_as_the_finest_part_of_it() -> None:
    forms = [None, "iso", "unix", "unix_ms", "%Y-%m-%d", "%d/%m/%Y %H:%M", "%F %T", "%Y-%m", "%Y", "%H:%M:%S.%f"]
    assert [coarseness(form) for form in forms] == [None, "1us", "1s", "1ms", "1d", "1m", "1s", "31d", "366d", "1us"]
    assert [form for form in forms if names_zone(form)] == [None, "iso", "unix", "unix_ms"]


def ended_with_one(made: Plan) -> dict[str, Any]:
    """STATE of a run that has read one record, a second younger than the server's clock where that is the mark."""
    clock = float(rank(at(4)["updated_at"])) if made.walk.name == "unordered" else LATER
    state = drive(made, inclusive([at(5, 5)], 1 if made.walk.name == "single page" else 2, clock=clock)).state
    assert state["boundary"]
    return state


def other_filter(records: Sequence[Record], kind: str, *, size: int = 2) -> Answers:
    """An API whose filter isn't >=: strictly behind, rounding up to minutes, or in a zone six hours behind."""

    def answers(ask: PageRequest) -> Page:
        if ask.cursor is None:
            return inclusive(records, size)(ask)
        since = rank(ask.cursor.value)
        if kind == "rounding up":
            since = -(-since // 60) * 60
        if kind == "zone":
            since += 6 * 3600
        held = [
            record
            for record in records
            if rank(record["updated_at"]) > since or (kind != "strict" and rank(record["updated_at"]) == since)
        ]
        return inclusive(held, size)(PageRequest(None, ask.at))

    return answers


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [("strict", "declare filter: exclusive"), ("rounding up", "precision: 1m"), ("zone", "precision: 1d")],
)
@pytest.mark.parametrize("walk", BY)
def test_a_filter_that_leaves_out_what_the_run_before_ended_with_is_proven_by_asking_from_before_it(
    walk: str, kind: str, remedy: str
) -> None:
    """Rows 4e and 4f: a tie joins, the answer is empty, and nothing was said."""
    made = plan(**BY[walk])
    state = ended_with_one(made)
    if (walk, kind) == ("unordered", "strict"):  # its mark is the clock, which is before the record
        assert drive(made, other_filter([at(5, 5), at(5, 6)], kind), state).ids == [6]
        return
    with pytest.raises(WalkError, match=rf"is missing from the answer to since=.*, and is there.*{remedy}"):
        drive(made, other_filter([at(5, 5), at(5, 6)], kind), state)


@pytest.mark.parametrize("walk", BY)
def test_a_boundary_that_was_deleted_or_changed_is_no_contradiction(walk: str) -> None:
    made = plan(**BY[walk])
    state = ended_with_one(made)
    assert drive(made, deaf([]), state).ids == []
    assert drive(made, deaf([at(6, 5)]), state).ids == [5]


@pytest.mark.parametrize("paginator", [{"type": "page_number"}, {"type": "single_page", "limit": 2}])
def test_a_strict_filter_is_found_in_the_first_run_at_its_first_seam(paginator: dict[str, Any]) -> None:
    made = plan(**{**INCLUSIVE, "paginator": paginator})
    asked: list[PageRequest] = []

    def answers(ask: PageRequest) -> Page:
        asked.append(ask)
        return other_filter(RECORDS, "strict")(ask)

    with pytest.raises(WalkError, match="declare filter: exclusive"):
        drive(made, answers)
    assert len(asked) == 9  # two pages, the first again, then both in turn, three times, from a step before


def test_an_empty_page_with_a_token_proves_nothing_of_the_boundary() -> None:
    """The simulator's find: the tie comes behind it."""
    made = plan(**{**INCLUSIVE, "paginator": {"type": "cursor"}})

    def answers(ask: PageRequest) -> Page:
        if ask.cursor == Cursor(at(1)["updated_at"]) and ask.at is None:
            return Page([], Token("a"), LATER)
        return Page([at(1, 1), at(1, 2)], None, LATER)

    assert drive(made, answers).ids == [1, 2]


def born_filter(born: dict[int, int], records: Sequence[Record], size: int = 2) -> Answers:
    """An API that sorts by updated_at, and whose filter compares the second of a record's creation."""

    def answers(ask: PageRequest) -> Page:
        since = None if ask.cursor is None else rank(ask.cursor.value) - rank("2026-01-01")
        held = [record for record in records if since is None or born[record["id"]] >= since]
        return inclusive(held, size)(PageRequest(None, ask.at))

    return answers


@pytest.mark.parametrize("paginator", [{"type": "page_number"}, {"type": "single_page", "limit": 2}])
def test_a_filter_by_the_time_of_creation_is_found_where_a_record_changed_after_it(paginator: dict[str, Any]) -> None:
    """Records long before the bookmark, so that no distance explains it: the page that held the record shows it."""
    made = plan(**{**INCLUSIVE, "paginator": paginator})
    born = {1: 1, 2: -200_000, 3: -300_000, 4: 4}
    with pytest.raises(
        WalkError, match=r"isn't >=, as declared.*another time than updated_at, such as that of creation"
    ):
        drive(made, born_filter(born, [at(second, second) for second in born]))


@pytest.mark.parametrize("change", ["deleted", "changed"])
@pytest.mark.parametrize("paginator", [{"type": "page_number"}, {"type": "single_page", "limit": 2}])
def test_a_record_that_leaves_its_seam_costs_one_request_and_at_most_two_a_run(
    paginator: dict[str, Any], change: str
) -> None:
    """Each page's last record is deleted, or changes, before the next page is asked for."""
    made = plan(**{**INCLUSIVE, "paginator": paginator})
    held = {record["id"]: record for record in (at(second, second) for second in range(1, 13))}
    asked: list[PageRequest] = []

    def answers(ask: PageRequest) -> Page:
        asked.append(ask)
        page = inclusive([*held.values()])(ask)
        if page.records and ask not in asked[:-1]:
            last = page.records[-1]["id"]
            if held.pop(last)["updated_at"] < at(20)["updated_at"] and change == "changed":
                held[last] = at(20 + last, last)
        return page

    drive(made, answers)
    assert len(asked) - len({*asked}) <= 2


def test_two_copies_of_the_data_that_answer_by_turns_are_no_filter() -> None:
    """The second copy lags: it has no record of the boundary, in each second answer."""
    made = plan(**{**INCLUSIVE, "paginator": {"type": "page_number"}})
    turns = iter([RECORDS[:2], RECORDS[2:]] * 30)

    def answers(ask: PageRequest) -> Page:
        return inclusive(next(turns))(ask)

    read = drive(made, answers)
    assert read.ids[:2] == [1, 2]


@pytest.mark.parametrize("walk", ["stable tokens", "restart keyset", "single page"])
@pytest.mark.parametrize(("kind", "remedy"), [("strict", "declare filter: exclusive"), ("zone", "precision: 1d")])
def test_a_boundary_that_is_missing_before_newer_records_is_asked_for_likewise(
    walk: str, kind: str, remedy: str
) -> None:
    """Row F10: the tie that joined is lost although the run finds records."""
    made = plan(**BY[walk])
    state = ended_with_one(made)
    newer = at(0, 9) | {"updated_at": "2026-01-01T07:00:00Z"}
    with pytest.raises(WalkError, match=rf"is missing from the answer to since=.*{remedy}"):
        drive(made, other_filter([at(5, 5), at(5, 6), newer], kind), state)


@pytest.mark.parametrize("walk", ["stable tokens", "restart keyset", "single page"])
def test_a_boundary_that_is_gone_before_newer_records_costs_two_requests(walk: str) -> None:
    made = plan(**BY[walk])
    state = ended_with_one(made)
    honest = inclusive([at(7, 5), at(8, 6)], kind="token" if "token" in walk else "number")
    read = drive(made, honest, state)
    assert read.ids == [5, 6]
    before = [ask for ask in read.asks if ask.cursor is not None and rank(ask.cursor.value) < rank(at(5)["updated_at"])]
    assert len(before) == 2


def test_a_boundary_whose_newer_record_is_there_in_both_answers_is_no_contradiction() -> None:
    """What was beyond the mark is in the answer from before it, too."""
    made = plan(**BY["stable tokens"])
    clock = float(rank(at(6)["updated_at"]))
    state = drive(made, inclusive([at(5, 5), at(6, 6)], 5, kind="token", clock=clock)).state
    assert len(state["boundary"]) == 2
    assert drive(made, inclusive([at(6, 6), at(9, 5)], 5, kind="token"), state).ids == [5]


def test_windows_that_are_written_with_other_digits_are_one_window() -> None:
    """A window of seconds, whose values the API writes without trailing zeros, is read once and not once a page."""
    made = plan(**INCLUSIVE | {"incremental": FILTER | {"precision": "1s"}, "paginator": {"type": "page_number"}})
    digits = ["1", "12", "2", "21", "3", "345", "4", "43", "5", "51", "6", "61"]
    records = [at(1, place) | {"updated_at": f"2026-01-01T00:00:01.{each}Z"} for place, each in enumerate(digits, 1)]
    read = drive(made, inclusive([*records, at(3, 13)], precision=1))
    assert sorted(read.ids) == [*range(1, 14)]
    assert len(read.asks) < 20
