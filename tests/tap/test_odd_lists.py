"""Odd lists and odd facts: each is read whole, or stops with a message."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tap_restextract.errors import TapError, WalkError
from tap_restextract.exchange.paginators import Token
from tap_restextract.walks.steps import Page
from tests.support.api import Asked, Reply, serving
from tests.support.processes import tap
from tests.support.streams import COMPOUND, INCLUSIVE, UNIQUE, config, plan
from tests.support.walks import LATER, Read, at, drive, pages


@pytest.mark.parametrize("facts", [COMPOUND, UNIQUE])
def test_an_empty_page_with_a_token_does_not_end_a_keyset(facts: dict[str, Any]) -> None:
    made = plan(**facts, paginator={"type": "cursor"})
    script = [Page((), Token("a"), LATER), Page([at(1, 1)], None, LATER), Page((), None, LATER)]
    assert drive(made, pages(*script)).ids == [1]


@pytest.mark.parametrize(
    "facts",
    [INCLUSIVE, {**INCLUSIVE, "paginator": {"type": "page_number"}}],
    ids=["single", "pages"],
)
@pytest.mark.parametrize("source", ["initial_value", "STATE"])
def test_a_mark_of_another_kind_than_the_values_is_reported_and_drops_nothing(
    facts: dict[str, Any], source: str
) -> None:
    milliseconds = 1767225600000
    incremental = facts["incremental"] | ({"initial_value": milliseconds} if source == "initial_value" else {})
    made = plan(**{**facts, "incremental": incremental})
    state = {"replication_key_value": milliseconds} if source == "STATE" else {}
    with pytest.raises(TapError):
        drive(made, pages(Page([at(1, 1), at(2, 2)], None, LATER), Page((), None, LATER)), state)


def test_text_keys_of_an_api_that_ignores_the_filter_do_not_go_on_for_ever() -> None:
    with pytest.raises(WalkError):
        drive(plan(**UNIQUE), lambda _: Page([{"id": "a"}, {"id": "b"}], Token("x"), LATER), read=Read())


@pytest.mark.parametrize("key", [[1], {"a": 1}])
def test_a_key_that_is_not_a_scalar_stops_a_unique_keyset_with_a_message(key: Any) -> None:
    with pytest.raises(TapError):
        drive(plan(**UNIQUE), pages(Page([{"id": key}], None, LATER), Page((), None, LATER)))


def test_text_keys_and_a_numeric_initial_value_are_reported() -> None:
    made = plan(**{**UNIQUE, "incremental": {**UNIQUE["incremental"], "initial_value": 0}})
    with pytest.raises(TapError):
        drive(made, pages(Page([{"id": "a"}], None, LATER), Page((), None, LATER)))


def test_a_request_that_mentions_a_tie_breaker_its_walk_never_asks_with_is_refused_by_the_plan() -> None:
    facts = {"cursor_path": "updated_at", "tie_breaker": "id"}
    with pytest.raises(TapError):
        plan(params={"since": "{cursor.updated_at}", "after": "{cursor.id}"}, incremental=facts)


ROWS = [{"id": number, "updated_at": "2026-01-01T00:00:00Z"} for number in range(7)]
COUNTED = {"paginator": {"type": "page_number"}}
UNORDERED = {
    "params": {"since": "{cursor.updated_at}"},
    "incremental": {"cursor_path": "updated_at", "order": "none", "initial_value": "2020-01-01T00:00:00Z"},
}


def from_one(asked: Asked) -> Reply:
    """Pages are counted from 1, and 0 is taken for the first, as many APIs do."""
    page = max(int(asked.params["page"]), 1)
    return Reply(ROWS[3 * page - 3 : 3 * page])


def deaf(_: Asked) -> Reply:
    """The number is sent where the API doesn't look for it."""
    return Reply(ROWS[:3])


def clamped(asked: Asked) -> Reply:
    """Behind the last page it comes again."""
    page = min(int(asked.params["page"]), 2)
    return Reply(ROWS[3 * page : 3 * page + 3])


@pytest.mark.parametrize(
    ("answers", "remedy"),
    [
        (
            from_one,
            "pages 0 and 1 hold the same records, and did again; the API seems to count its pages from 1: set base_page: 1",
        ),
        (deaf, "doesn't look at 'page': set page_param"),
        (
            clamped,
            "pages 2 and 3 hold the same records, and did again; the API seems to answer its last page for all after it: set total_path or has_more_path",
        ),
    ],
    ids=["from one", "deaf", "clamped"],
)
@pytest.mark.parametrize("facts", [{}, {"sweep": True}, UNORDERED], ids=["traversal", "sweep", "unordered"])
def test_two_page_numbers_with_one_page_are_reported_with_what_to_set(
    tmp_path: Path, answers: Callable[[Asked], Reply], remedy: str, facts: dict[str, Any]
) -> None:
    with serving(answers) as api:
        run = tap(tmp_path, config(api.url, **COUNTED, **facts))
    (told,) = run.told
    assert run.code == 1
    assert told.startswith("tap-restextract: stream things")
    assert remedy in told
    assert len(api.asked) < 15
    if answers is from_one:
        with serving(answers) as api:
            run = tap(tmp_path, config(api.url, paginator={"type": "page_number", "base_page": 1}, **facts))
        assert (run.code, len(run.records)) == (0, len(ROWS))


def test_a_list_without_key_whose_pages_are_all_alike_has_an_end(tmp_path: Path) -> None:
    with serving(deaf) as api:
        run = tap(tmp_path, config(api.url, **COUNTED, primary_key=[]))
    (told,) = run.told
    assert run.code == 1
    assert "hold the same records, and did again" in told
    assert len(api.asked) == 102


@pytest.mark.parametrize("facts", [{}, {"sweep": True}], ids=["traversal", "sweep"])
def test_two_offsets_with_one_page_are_reported_with_what_to_set(tmp_path: Path, facts: dict[str, Any]) -> None:
    with serving(deaf) as api:
        run = tap(tmp_path, config(api.url, paginator={"type": "offset", "limit": 3, "offset_param": "skip"}, **facts))
    (told,) = run.told
    assert "pages at offset 0 and after it hold the same records, and did again; " in told
    assert "the API doesn't look at 'skip': set offset_param" in told
    assert len(api.asked) == 5


def test_a_whole_page_that_joins_the_list_while_it_is_read_is_not_taken_for_a_repeat(tmp_path: Path) -> None:
    rows = list(ROWS)

    def answers(asked: Asked) -> Reply:
        page = int(asked.params["page"])
        if page == 1 and len(rows) == len(ROWS):
            rows[:0] = [{"id": number, "updated_at": None} for number in (10, 11, 12)]
        return Reply(rows[3 * page : 3 * page + 3])

    with serving(answers) as api:
        run = tap(tmp_path, config(api.url, **COUNTED))
    assert run.code == 0, run.err
    assert {record["id"] for record in run.records} == set(range(7))


def test_records_without_a_key_may_be_alike_from_page_to_page(tmp_path: Path) -> None:
    with serving(lambda asked: Reply(ROWS[:3] if int(asked.params["page"]) < 4 else [])) as api:
        run = tap(tmp_path, config(api.url, primary_key=[], **COUNTED))
    assert (run.code, len(run.records)) == (0, 12)


def test_a_list_that_shifts_to_and_fro_in_step_with_the_requests_is_noticed_where_offsets_overlap(
    tmp_path: Path,
) -> None:
    rows = [{"id": number, "updated_at": f"2026-01-01T00:00:{59 - number}Z"} for number in range(22)]

    def answers(asked: Asked) -> Reply:
        """Whoever asks for the third page finds the first record gone; it is back for everyone else."""
        offset = int(asked.params["offset"])
        listed = rows[1:] if 8 <= offset < 13 else rows
        return Reply(listed[offset : offset + 5])

    falling = {"cursor_path": "updated_at", "tie_breaker": "id", "order": "desc", "filter": "none"}
    with serving(answers) as api:
        run = tap(tmp_path, config(api.url, paginator={"type": "offset", "limit": 5}, params={}, incremental=falling))
    assert run.code == 1
    assert "the list shifted between two pages" in run.told[-1]
