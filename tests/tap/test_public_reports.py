"""What misled people, by their public reports: each is right now, or an error that says what to write instead.

Other rows of the same reports stand with what they are about: test_no_lists, test_unread_marks, test_serial_ranges,
test_zones, test_range_ends, test_children, test_filters, test_feed_facts, test_media, test_error_texts.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import Answers, Asked, Reply, serving
from tests.support.processes import Run, tap
from tests.support.streams import INCLUSIVE, config

ROWS: list[dict[str, Any]] = [{"id": number, "updated_at": f"2026-01-01T00:00:{number:02}Z"} for number in range(6)]
OFFSETS: dict[str, Any] = {"type": "offset", "limit": 2}
NUMBERS: dict[str, Any] = {"type": "page_number"}
LINKS: dict[str, Any] = {"type": "json_link", "next_url_path": "next"}


def ran(folder: Path, answers: Answers, state: object = None, **keys: Any) -> Run:
    with serving(answers) as api:
        return tap(folder, config(api.url, **keys), state=state)


def error(folder: Path, answers: Answers, **keys: Any) -> str:
    """The one line that a run ends with, which emitted nothing."""
    run = ran(folder, answers, **keys)
    assert (run.code, run.records) == (1, [])
    (line,) = run.told
    return line


def listed(asked: Asked) -> Reply:
    """Two records a page, by an offset."""
    start = int(asked.params.get("offset", 0))
    return Reply({"data": ROWS[start : start + 2], "more": start + 2 < len(ROWS)})


def test_a_failure_in_mid_list_ends_a_sweep_by_offsets_as_a_failure_and_no_shift(tmp_path: Path) -> None:
    """Row 1f: "the list shifted"."""

    def answers(asked: Asked) -> Reply:
        failed = {"data": None, "error": {"message": "overloaded"}}
        return Reply(failed) if int(asked.params.get("offset", 0)) > 1 else listed(asked)

    run = ran(tmp_path, answers, records="data", sweep=True, paginator=OFFSETS)
    assert run.code == 1
    (said,) = run.told
    assert "response_rules: [{action: FAIL, predicate: error}]" in said
    assert "(overloaded)" in said


@pytest.mark.parametrize(
    "keys", [{"paginator": OFFSETS | {"has_more_path": "more"}}, {"paginator": OFFSETS, "sweep": True}]
)
def test_lines_within_orders_are_read_whole_by_offsets(tmp_path: Path, keys: dict[str, Any]) -> None:
    """Row 2e: orders without lines, and a flag or a sweep."""

    def answers(asked: Asked) -> Reply:
        start = int(asked.params.get("offset", 0))
        orders = [{"id": key, "lines": [{"id": 10 * key + line} for line in range(4 * (key % 2))]} for key in range(6)]
        return Reply({"data": orders[start : start + 2], "more": start + 2 < 6})

    run = ran(tmp_path, answers, records="data[*].lines[*]", **keys)
    assert run.code == 0, run.err
    assert [record["id"] for record in run.records] == [10 * key + line for key in (1, 3, 5) for line in range(4)]


DAYS: dict[str, Any] = {
    "schema": {"properties": {"id": {"type": "integer"}, "day": {"type": "integer"}}},
    "params": {"from": "{cursor.day}"},
}


@pytest.mark.parametrize("facts", [{"lookback": "3d"}, {"order": "none"}], ids=str)
def test_a_date_in_digits_is_answered_by_its_form_where_a_clock_decides(tmp_path: Path, facts: dict[str, Any]) -> None:
    """Row 3d: "declare `epoch`", of which there is none for it; with its form two runs are right."""
    today = datetime.now(timezone.utc)
    days = [{"id": ago, "day": int(f"{today - timedelta(days=ago):%Y%m%d}")} for ago in (9, 8, 5, 2)]

    def answers(asked: Asked) -> Reply:
        return Reply([record for record in days if record["day"] >= int(asked.params.get("from", 0))])

    incremental: dict[str, Any] = {"cursor_path": "day", **facts}
    assert 'a date in digits (cursor_formats: ["%Y%m%d"])' in error(tmp_path, answers, **DAYS, incremental=incremental)
    named = DAYS | {"incremental": incremental | {"cursor_formats": ["%Y%m%d"], "timezone": "UTC"}}
    first = ran(tmp_path, answers, **named)
    assert [record["id"] for record in first.records] == [9, 8, 5, 2]
    days.append({"id": 3, "day": days[2]["day"]} if "lookback" not in facts else {"id": 3, "day": days[3]["day"]})
    days.sort(key=lambda record: record["day"])
    second = ran(tmp_path, answers, first.states[-1], **named)
    assert second.code == 0, second.err
    assert [record["id"] for record in second.records] == ([3] if "lookback" in facts else [])


def test_a_list_whose_links_expire_says_the_apis_reason_and_what_goes_on_without_them(tmp_path: Path) -> None:
    """Row 10: Salesforce's nextRecordsUrl dies with its session, "without a reason"."""

    def answers(asked: Asked) -> Reply:
        if asked.path != "/things":
            return Reply([{"message": "invalid query locator", "errorCode": "INVALID_QUERY_LOCATOR"}], 400)
        rows = [row for row in ROWS if row["updated_at"] >= asked.params.get("since", "")]
        return Reply({"data": rows[:3], "next": "/query/1" if len(rows) > 3 else None})

    whole = ran(tmp_path, answers, records="data", paginator=LINKS)
    assert whole.code == 1
    assert "answered 400 (INVALID_QUERY_LOCATOR: invalid query locator)" in whole.told[0]
    assert "without `stable: true` goes on by the last record instead" in whole.told[0]
    goes_on = ran(tmp_path, answers, records="data", paginator=LINKS, **INCLUSIVE)
    assert goes_on.code == 0, goes_on.err
    assert [record["id"] for record in goes_on.records] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("content", "beyond"),
    [(b'[{"id": 1, "n": NaN}]', "NaN"), (b'[{"id": 1, "n": "a\tb"}]', "a control character within a text")],
)
def test_what_is_nearly_json_is_asked_for_once_and_named(tmp_path: Path, content: bytes, beyond: str) -> None:
    """Row 25b: tried again up to `max_attempts`, "check … the API's health"."""
    with serving(lambda _: Reply(content)) as api:
        run = tap(tmp_path, config(api.url))
    assert len(api.asked) == 1
    assert f"it is JSON but for {beyond}, which JSON has no writing for" in run.told[0]


def test_a_form_is_refused_before_its_fields_are_sent_as_json(tmp_path: Path) -> None:
    """Row 27: JSON went out under the form's name."""
    with serving(lambda _: Reply(ROWS)) as api:
        headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
        run = tap(tmp_path, config(api.url, method="POST", json={"size": 2}, headers=headers))
    assert (run.code, api.asked) == (1, [])
    assert "which can't be sent; take Content-Type out of headers, or write params" in run.told[0]


def test_links_to_an_inner_host_are_refused_with_what_reads_the_list_without_them(tmp_path: Path) -> None:
    """Row 28: "set base_url", to a host that nobody outside reaches."""

    def answers(asked: Asked) -> Reply:
        page = int(asked.params.get("page", 1))
        return Reply({"data": ROWS[2 * page - 2 : 2 * page], "next": f"http://inner:8080/things?page={page + 1}"})

    said = error(tmp_path, answers, records="data", paginator=LINKS)
    assert "where that is an inner name that can't be asked" in said
    assert "a paginator of type page_number, offset or cursor" in said
    counted = ran(tmp_path, answers, records="data", paginator=NUMBERS | {"base_page": 1}, ignored_marks=["next"])
    assert counted.code == 0, counted.err
    assert [record["id"] for record in counted.records] == [*range(6)]


def test_a_day_for_each_request_with_the_date_in_the_path_needs_no_schema(tmp_path: Path) -> None:
    """Row 29: "the placeholder has no value", though `initial_value` is set."""
    today = datetime.now(timezone.utc).date()

    def answers(asked: Asked) -> Reply:
        day = asked.path.rpartition("/")[2]
        return Reply([{"date": day, "usd": 1.5}] if day <= f"{today}" else [])

    first_day = f"{today - timedelta(days=3)}"
    run = ran(
        tmp_path,
        answers,
        path="/rates/{cursor.date}",
        headers={"X-Until": "{until.date}"},
        primary_key=["date"],
        schema=None,
        incremental={
            "cursor_path": "date",
            "order": "none",
            "step": "1d",
            "initial_value": first_day,
            "timezone": "UTC",
        },
    )
    assert run.code == 0, run.err
    assert [record["date"] for record in run.records] == [f"{today - timedelta(days=ago)}" for ago in (3, 2, 1, 0)]


@pytest.mark.parametrize("schema", [None, {"properties": {"sys.id": {"type": "string"}}}], ids=["inferred", "declared"])
def test_a_nested_primary_key_is_told_to_be_one(tmp_path: Path, schema: object) -> None:
    """Row 21: "the schema has no property 'sys.id'; add it"."""
    said = error(tmp_path, lambda _: Reply([{"sys": {"id": "a"}}]), primary_key=["sys.id"], schema=schema)
    assert "sys.id lies within another property, and a primary key is read at the top of a record alone" in said


def test_the_keys_of_a_map_of_records_are_told_to_be_none_of_their_properties(tmp_path: Path) -> None:
    """Row 20b: "let the request leave such records out"."""
    said = error(tmp_path, lambda _: Reply({"data": {"7": {"n": 1}, "8": {"n": 2}}}), records="data.*")
    assert "where 'data.*' leads into a map of records, its keys are no properties of them" in said


def test_a_log_in_that_is_no_oauth_is_told_by_the_keys_of_its_answer(tmp_path: Path) -> None:
    """Row 22: "check auth_client_id", which was right."""
    with serving(lambda _: Reply({"session": "s3cret", "ttl": 60})) as api:
        auth = {"type": "oauth2_client_credentials", "access_token_url": f"{api.url}/login"}
        settings = config(api.url, auth=auth, auth_client_id="id", auth_client_secret="hidden")
        (said,) = tap(tmp_path, settings).told
    assert "(it is an object with the keys session, ttl, and access_token is what is read" in said
    assert "needs a signer, auth: {type: plugin}" in said
    assert "s3cret" not in said


@pytest.mark.parametrize("schema", [None, {"properties": {"id": {"type": "integer"}}}], ids=["inferred", "declared"])
def test_a_forgotten_path_of_the_records_is_told_with_the_list_that_there_is(tmp_path: Path, schema: object) -> None:
    """Newcomer, 13: "the schema has no property 'id', which is a key; add it"."""
    said = error(tmp_path, lambda _: Reply({"orders": ROWS, "next_page_token": None}), schema=schema)
    assert "an object with the keys orders, next_page_token, isn't a record itself" in said
    assert "such as records: orders" in said


def test_one_record_that_is_the_answer_is_a_record_whatever_lists_it_holds(tmp_path: Path) -> None:
    run = ran(tmp_path, lambda _: Reply({"id": 1, "tags": ["a"]}), schema=None)
    assert (run.code, run.records) == (0, [{"id": 1, "tags": ["a"]}])


@pytest.mark.parametrize("facts", [{}, INCLUSIVE, {"sweep": True}], ids=["whole list", "asc", "sweep"])
@pytest.mark.parametrize("zero", ["empty", 400, 404, 422])
def test_an_api_that_counts_its_pages_from_one_is_told_where_page_zero_is_none(
    tmp_path: Path, facts: dict[str, Any], zero: object
) -> None:
    """Newcomer, 13: "the API answered no record"; with a schema nothing came and nothing was said."""

    def answers(asked: Asked) -> Reply:
        page = int(asked.params["page"])
        if page == 0:
            return Reply([]) if zero == "empty" else Reply({"message": "no such page"}, int(str(zero)))
        return Reply(ROWS[2 * page - 2 : 2 * page])

    said = error(tmp_path, answers, paginator=NUMBERS, **facts)
    assert "set base_page: 1" in said
    if zero == "empty":
        assert "page 0 is empty, and page 1 holds 2 records, and did so each time" in said


def test_a_list_of_counted_pages_that_is_empty_costs_one_request_more_in_a_first_run(tmp_path: Path) -> None:
    held: list[dict[str, Any]] = []

    def answers(asked: Asked) -> Reply:
        rows = [row for row in held if row["updated_at"] >= asked.params.get("since", "")]
        return Reply(rows[2 * int(asked.params["page"]) :][:2])

    with serving(answers) as api:
        settings = config(api.url, paginator=NUMBERS, **INCLUSIVE)
        assert tap(tmp_path, settings).code == 0
        assert [asked.params["page"] for asked in api.asked] == ["0", "1"]
        held.extend(ROWS)
        first = tap(tmp_path, settings)
        assert len(first.records) == 6
        held.clear()
        before = len(api.asked)
        assert tap(tmp_path, settings, state=first.states[-1]).code == 0
        assert "1" not in [asked.params["page"] for asked in api.asked[before:]]


def test_records_that_join_an_empty_list_between_its_pages_are_no_contradiction(tmp_path: Path) -> None:
    """Page 0 is empty, and page 1 isn't a moment later: page 0 is asked for again."""
    held: list[dict[str, Any]] = []

    def answers(asked: Asked) -> Reply:
        if asked.params["page"] == "1":
            held.extend(ROWS[len(held) :])
        return Reply(held[2 * int(asked.params["page"]) :][:2])

    run = ran(tmp_path, answers, paginator=NUMBERS)
    assert (run.code, run.records) == (0, [])


def test_the_default_filter_is_told_as_one_that_nobody_declared(tmp_path: Path) -> None:
    """Newcomer, 13: "filter: inclusive is declared", which it wasn't."""
    said = error(tmp_path, lambda _: Reply(ROWS), incremental={"cursor_path": "updated_at"})
    assert (
        "filter: inclusive, the default, needs the cursor, and no part of the request mentions {cursor.updated_at}"
        in said
    )
