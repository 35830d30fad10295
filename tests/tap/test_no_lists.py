"""Where null, or nothing, stands in place of the list: never an empty list on which something rests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tap_restextract.config.reading import read_settings
from tap_restextract.config.streams import StreamSettings
from tap_restextract.errors import AnswerError, ConfigurationError, WalkError
from tap_restextract.exchange.answer import Answer, facts_of
from tap_restextract.exchange.paginators import Number
from tap_restextract.http.pages import page_of
from tap_restextract.walks.steps import Page, PageRequest
from tests.support.api import Asked, Reply, serving
from tests.support.processes import Run, tap
from tests.support.streams import config, plan, stream
from tests.support.walks import LATER, at, drive, pages

ROWS = [{"id": number, "updated_at": f"2026-01-01T00:00:{number:02}Z"} for number in range(5)]
FAILED = {"data": None, "error": {"message": "the database is asleep"}}
NOTHING = {"data": None}
SINCE = {"since": "{cursor.updated_at}"}
DESCENDING = {"incremental": {"cursor_path": "updated_at", "tie_breaker": "id", "order": "desc", "filter": "none"}}
UNORDERED = {"params": SINCE, "incremental": {"cursor_path": "updated_at", "order": "none"}}
RISING = {"params": SINCE, "incremental": {"cursor_path": "updated_at", "tie_breaker": "id"}}
RANGES = {
    "params": {**SINCE, "until": "{until.updated_at}"},
    "incremental": {
        "cursor_path": "updated_at",
        "order": "none",
        "step": "10s",
        "initial_value": ROWS[0]["updated_at"],
    },
}
LOOKED_UP = {"sweep": True, "lookup": {"path": "/things/{key.id}", "records": "data"}}
PAGED = {"paginator": {"type": "page_number"}}


def read(body: Any, **keys: Any) -> Page:
    """The page that an answer with this body is."""
    made: StreamSettings = stream(**{"records": "data", **keys})
    return page_of(made, PageRequest(), Answer("http://api/things", facts_of(200, {}), body))


def runs(folder: Path, later: Any, **keys: Any) -> tuple[Run, Run]:
    """A run that finds five records in one list, and a second one that finds this answer."""
    answers = [Reply({"data": ROWS})]

    def answered(asked: Asked) -> Reply:
        if "/1/" in asked.path or (asked.path != "/things" and len(answers) == 1):
            return Reply({"data": ROWS[1]} if len(answers) == 1 else later)
        return answers[-1]

    with serving(answered) as api:
        settings = config(api.url, **{"records": "data", **keys})
        first = tap(folder, settings)
        assert first.code == 0, first.err
        answers.append(Reply(later))
        return first, tap(folder, settings, state=first.states[-1] if first.states else None)


def test_null_beside_an_error_tells_no_deletion_and_shows_the_rule_to_write(tmp_path: Path) -> None:
    """Row 1, F1: five records came out as deleted, with exit code 0."""
    first, second = runs(tmp_path, FAILED, sweep=True)
    assert len(first.records) == 5
    assert (second.code, second.records) == (1, [])
    (told,) = second.told
    assert "null stands at 'data'" in told
    assert "response_rules: [{action: FAIL, predicate: error}]" in told
    assert "the database is asleep" in told


def test_null_alone_tells_no_deletion_unless_it_is_declared_to_be_an_empty_list(tmp_path: Path) -> None:
    _, second = runs(tmp_path, NOTHING, sweep=True)
    assert (second.code, second.records) == (1, [])
    assert "declare empty: null" in second.told[0]
    _, second = runs(tmp_path, NOTHING, sweep=True, hash_cache="other.db", empty=None)
    assert second.code == 0, second.err
    assert {record["id"] for record in second.records if "_sdc_deleted_at" in record} == {*range(5)}


def test_null_for_a_record_that_is_looked_up_does_not_say_that_it_is_gone(tmp_path: Path) -> None:
    """Row 1b."""

    def answered(asked: Asked) -> Reply:
        if asked.path != "/things":
            return Reply(NOTHING)
        return Reply({"data": ROWS[:4] if asked.headers.get("x-run") == "2" else ROWS})

    with serving(answered) as api:
        settings = config(
            api.url, records="data", paginator={"type": "page_number", "total_path": "pages"}, **LOOKED_UP
        )
        del settings["streams"][0]["paginator"]
        settings["streams"][0]["paginator"] = {"type": "single_page", "limit": 50}
        first = tap(tmp_path, settings)
        assert first.code == 0, first.err
        settings["streams"][0]["headers"] = {"X-Run": "2"}
        second = tap(tmp_path, settings, state=first.states[-1])
    assert (second.code, second.records) == (1, [])
    assert "null stands at 'data'" in second.told[0]


@pytest.mark.parametrize(
    ("facts", "script"),
    [
        (DESCENDING | PAGED, [Page([at(9, 9), at(8, 8)], Number(1), LATER), Page((), None, LATER, is_null=True)]),
        (UNORDERED | PAGED, [Page([at(9, 9), at(8, 8)], Number(1), LATER), Page((), None, LATER, is_null=True)]),
    ],
    ids=["1c: descending", "unordered"],
)
def test_null_is_no_end_of_a_list_whose_bookmark_would_pass_over_the_rest(
    facts: dict[str, Any], script: list[Page]
) -> None:
    with pytest.raises(WalkError, match="declare empty: null"):
        drive(plan(**facts), pages(*script))


def test_null_in_a_range_does_not_make_it_one_that_was_read(tmp_path: Path) -> None:
    """Row 1e."""

    def answered(asked: Asked) -> Reply:
        return Reply(NOTHING if asked.params["since"] == ROWS[0]["updated_at"] else {"data": []})

    with serving(answered) as api:
        run = tap(tmp_path, config(api.url, records="data", **RANGES))
    assert (run.code, run.states) == (1, [])
    assert "null stands at 'data'" in run.told[0]


def test_null_for_one_parent_does_not_move_the_floor_of_all(tmp_path: Path) -> None:
    """Row 1d."""

    def answered(asked: Asked) -> Reply:
        if asked.path == "/parents":
            return Reply({"data": [{"id": 1}, {"id": 2}]})
        return Reply(
            NOTHING if asked.path.startswith("/2/") else {"data": [{**ROWS[1], "updated_at": "2020-01-01T00:00:00Z"}]}
        )

    with serving(answered) as api:
        settings = config(api.url, records="data", **RISING, path="/{parent.parents.id}/things")
        settings["streams"].append(
            {
                "name": "parents",
                "path": "/parents",
                "records": "data",
                "primary_key": ["id"],
                "schema": {"type": "object", "properties": {"id": {"type": "integer"}}},
            }
        )
        run = tap(tmp_path, settings)
    assert run.code == 1
    assert "null stands at 'data'" in run.told[0]
    assert all("replication_key_value" not in state["bookmarks"].get("things", {}) for state in run.states)


@pytest.mark.parametrize("facts", [{}, RISING], ids=["traversal", "rising"])
def test_null_is_an_empty_list_where_nothing_rests_on_it(facts: dict[str, Any]) -> None:
    """Row 1f."""
    page = read(NOTHING, **facts)
    assert drive(plan(records="data", **facts), pages(Page([at(1, 1)], None, LATER))).ids == [1]
    assert drive(plan(records="data", **facts), pages(page)).ids == []


@pytest.mark.pure
@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (FAILED, "predicate: error"),
        ({"data": None, "errors": [{"message": "no"}]}, "predicate: errors"),
        ({"data": None, "ok": False}, "predicate: ok, equals: false"),
        ({"data": None, "success": False}, "predicate: success, equals: false"),
        ({"errors": ["no"]}, "predicate: errors"),
    ],
)
def test_no_list_beside_an_error_is_one_whatever_is_declared(body: Any, rule: str) -> None:
    for empty in ([], [None, "missing"]):
        with pytest.raises(AnswerError, match=rule):
            read(body, empty=empty)


@pytest.mark.pure
def test_an_error_that_is_a_form_without_content_is_none() -> None:
    assert read({"data": None, "error": {"code": 0, "message": ""}, "errors": []}).is_null
    assert not read({"data": [], "errors": ["of one record"]}).is_null


@pytest.mark.pure
@pytest.mark.parametrize(("path", "body"), [("QueryResponse.Account", {"QueryResponse": {}}), ("data", {})])
def test_a_key_that_is_left_out_is_an_empty_list_where_that_is_declared(path: str, body: Any) -> None:
    """Row 8, F8."""
    with pytest.raises(AnswerError, match="declare empty: missing"):
        read(body, records=path)
    page = read(body, records=path, empty="missing")
    assert (page.records, page.is_null) == ([], False)


@pytest.mark.pure
def test_an_empty_page_without_the_key_in_mid_list_goes_on_by_its_token() -> None:
    """Row 8b."""
    page = read({"next": "b"}, empty="missing", paginator={"type": "cursor", "cursor_path": "next"})
    assert page.following is not None


@pytest.mark.pure
@pytest.mark.parametrize(("path", "body"), [("data.*", {"data": {}}), ("data.*", {"data": []}), ("$.*", {})])
def test_an_empty_map_of_records_is_an_empty_list(path: str, body: Any) -> None:
    """Row 20b."""
    page = read(body, records=path)
    assert (page.records, page.is_null) == ([], False)
    assert read({"data": {"a": {"id": 1}}}, records="data.*").records == [{"id": 1}]


@pytest.mark.pure
@pytest.mark.parametrize(("path", "body"), [("data.*", NOTHING), ("data[*].node", NOTHING), ("data", NOTHING)])
def test_null_under_a_path_of_each_is_null_in_place_of_the_list(path: str, body: Any) -> None:
    assert read(body, records=path).is_null
    assert not read(body, records=path, empty=None).is_null


@pytest.mark.pure
def test_null_among_the_records_is_refused_or_skipped_as_declared() -> None:
    """Row 38: such a list could never be read."""
    body = {"data": [{"id": 1}, None, {"id": 2}]}
    with pytest.raises(AnswerError, match="null_records: skip"):
        read(body)
    page = read(body, null_records="skip", paginator={"type": "offset", "limit": 3})
    assert (page.records, page.counted) == ([{"id": 1}, {"id": 2}], 3)


def test_pages_are_counted_with_the_nulls_that_are_skipped(tmp_path: Path) -> None:
    rows: list[Any] = [{"id": number, "updated_at": None} if number % 3 else None for number in range(20)]

    def answered(asked: Asked) -> Reply:
        start = int(asked.params["offset"])
        return Reply(rows[start : start + 4])

    facts = {"paginator": {"type": "offset", "limit": 4}, "fixed_order": True, "sweep": True, "null_records": "skip"}
    with serving(answered) as api:
        run = tap(tmp_path, config(api.url, **facts))
    assert run.code == 0, run.err
    assert [record["id"] for record in run.records] == [number for number in range(20) if number % 3]


@pytest.mark.pure
def test_a_full_answer_is_full_with_its_nulls() -> None:
    limited = {"paginator": {"type": "single_page", "limit": 2}, "null_records": "skip"}
    page = Page([at(1, 1)], None, LATER, length=2)
    for facts in ({}, RISING):
        with pytest.raises(WalkError, match=r"2 records( or more|.*full)|full \(2 records"):
            drive(plan(**limited, **facts), pages(page, page, page))


@pytest.mark.pure
@pytest.mark.parametrize("value", ["nothing", ["null", "no"], 5])
def test_what_is_no_kind_of_empty_list_is_a_fault(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="empty"):
        read_settings(config(empty=value))
    assert read_settings(config(empty=[None, "missing"]))[0].empty == ["null", "missing"]


@pytest.mark.parametrize("keys", [{"sweep": True}, UNORDERED], ids=["sweep", "none"])
def test_an_empty_list_beside_an_error_is_an_error_where_something_rests_on_it(
    keys: dict[str, Any], tmp_path: Path
) -> None:
    first, second = runs(tmp_path, {"data": [], "errors": [{"message": "the database is asleep"}]}, **keys)
    assert second.code == 1
    (line,) = second.told
    assert "an empty list stands beside an error in the answer" in line
    assert second.records == []
    assert len(first.records) == len(ROWS)


def test_an_error_that_says_nothing_of_the_list_is_named_in_ignored_marks(tmp_path: Path) -> None:
    later = {"data": [], "errors": [{"message": "an old client"}]}
    _, second = runs(tmp_path, later, **UNORDERED, ignored_marks=["errors"])
    assert second.code == 0, second.err
