"""Replication keys in forms of an API's own order as instants, and go back as they were written."""

from __future__ import annotations

from datetime import datetime, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from tap_restextract.config.reading import read_settings
from tap_restextract.errors import AnswerError, ConfigurationError
from tap_restextract.exchange.answer import Answer, facts_of
from tap_restextract.exchange.placeholders import fill
from tap_restextract.exchange.request import request_for
from tap_restextract.http.pages import page_of
from tap_restextract.singer.schema import completed
from tap_restextract.values.cursor import Cursor
from tap_restextract.values.own_forms import form_fault, instant_of, written
from tap_restextract.walks.steps import PageRequest
from tests.support.api import Asked, Reply, serving
from tests.support.processes import tap
from tests.support.streams import config, plan, stream

SINCE = {"since": "{cursor.updated_at}"}


def formed(*forms: str, **incremental: Any) -> dict[str, Any]:
    """A stream whose key has these forms."""
    facts = {"cursor_path": "updated_at", "cursor_formats": [*forms], **incremental}
    return {"params": SINCE, "incremental": facts}


@pytest.mark.pure
@pytest.mark.parametrize(
    ("form", "value", "instant"),
    [
        ("rfc2822", "Tue, 24 Nov 2026 10:00:00 GMT", "2026-11-24T10:00:00Z"),
        ("rfc2822", "Tue, 24 Nov 2026 10:00:00 +0000", "2026-11-24T10:00:00+00:00"),
        ("rfc2822", "Tue, 24 Nov 2026 02:00:00 -0800", "2026-11-24T02:00:00-08:00"),
        ("rfc2822", "Sat, 24 May 1969 02:00:00 GMT", "1969-05-24T02:00:00Z"),
        ("dotnet", "/Date(1732400000000)/", "2024-11-23T22:13:20.000Z"),
        ("%Y%m%d", "20261124", "2026-11-24"),
        ("%d-%m-%Y %I:%M:%S %p", "24-11-2026 10:00:00 PM", "2026-11-24T22:00:00"),
        ("%Y%m%dT%H%M%SZ", "20260131T100000Z", "2026-01-31T10:00:00"),
        ("%Y/%m/%d %H:%M:%S", "2026/01/31 10:00:00", "2026-01-31T10:00:00"),
        ("%Y-%m-%dT%H:%M:%SZ[UTC]", "2026-01-31T10:00:00Z[UTC]", "2026-01-31T10:00:00"),
        ("%Y-%m", "2026-01", "2026-01-01"),
        ("%d.%m.%Y %H:%M:%S.%f", "31.01.2026 10:00:00.250000", "2026-01-31T10:00:00.250000"),
        ("%d.%m.%Y %H:%M:%S.%f", "31.01.2026 10:00:00.250", "2026-01-31T10:00:00.250"),
        ("%Y%m%d%H%M%S%f%z", "20260131100000007+0530", "2026-01-31T10:00:00.007+05:30"),
        ("%d.%m.%Y %H:%M%z", "31.01.2026 10:00+0530", "2026-01-31T10:00:00+05:30"),
    ],
)
def test_a_value_is_read_as_an_instant_and_written_as_it_was(form: str, value: str, instant: str) -> None:
    """Row 24."""
    assert form_fault(form) is None
    assert instant_of(value, [form]) == instant
    assert written(instant, form) == value


@pytest.mark.pure
@pytest.mark.parametrize(
    ("form", "value", "instant"),
    [
        ("rfc2822", "Tue, 24 Nov 2026 10:00:00 PST", "2026-11-24T10:00:00-08:00"),
        ("rfc2822", "Tue, 24 Nov 2026 10:00:00 +0100 (CET)", "2026-11-24T10:00:00+01:00"),
        ("rfc2822", "Tue, 24 Nov 2026 10:00:00 -0000", "2026-11-24T10:00:00Z"),
        ("rfc2822", "Tue, 24 Nov 2026 10:00", "2026-11-24T10:00:00"),
        ("rfc2822", "Tue, 24 Nov 2026 10:00:00 CET", None),
        ("rfc2822", "Tue, 24 Nov 2026 10:00:00 JST", None),
        ("rfc2822", "Tue, 24 Nov 2026 10:00:00 +01:00", None),
        ("rfc2822", "Tue Nov 24 2026 10:00:00 GMT+0100 (CET)", None),
        ("rfc2822", "Tue, 24 Nov 2026 10:00:00 GMT+1", None),
        ("dotnet", "/Date(123-0800)/", "1970-01-01T00:00:00.123Z"),
        ("dotnet", "/Date(-1500)/", "1969-12-31T23:59:58.500Z"),
    ],
)
def test_an_offset_that_the_value_does_not_say_is_not_made_up(form: str, value: str, instant: str | None) -> None:
    """CET was read as UTC, and an hour was passed over."""
    assert instant_of(value, [form]) == instant


@pytest.mark.pure
def test_years_of_one_digit_are_sent_with_four_and_none_before_the_first() -> None:
    """An API's 0001-01-01 stands for no date; it was asked for as 1-01-01."""
    assert written("0001-01-01", "%Y-%m-%d (%%Y)") == "0001-01-01 (%Y)"
    assert fill("{cursor.at:%Y-%m-%d}", {"cursor.at": "0999-05-05T00:00:00Z"}) == "0999-05-05"
    assert fill("{cursor.at:%Y-%m-%d}", {"cursor.at": "0999-05-05T00:00:00Z"}, "Europe/Berlin") == "0999-05-05"
    assert written("0001-01-01T00:00:00", "rfc2822", "Europe/Berlin") == "Mon, 01 Jan 0001 00:00:00 GMT"
    assert written("9999-12-31T23:59:59", "rfc2822", "America/Los_Angeles") == "Fri, 31 Dec 9999 23:59:59 GMT"


@pytest.mark.pure
def test_days_among_times_have_a_time_and_times_are_no_days() -> None:
    """SCHEMA said date, and a target cut the times off."""
    assert instant_of("24.11.2026", ["%d.%m.%Y %H:%M", "%d.%m.%Y"]) == "2026-11-24T00:00:00"
    assert instant_of("2026-11-24", ["%d.%m.%Y %H:%M"]) == "2026-11-24T00:00:00"
    assert instant_of("2026-11-24T10:00:00Z", ["%d.%m.%Y"]) is None
    for forms, form in ((("%d.%m.%Y %H:%M", "%d.%m.%Y"), "date-time"), (("%d.%m.%Y",), "date")):
        made = plan(**formed(*forms))
        schema = completed({"properties": {"id": {"type": "integer"}, "updated_at": {"type": "string"}}}, made)
        assert schema["properties"]["updated_at"] == {"type": ["string", "null"], "format": form}


@pytest.mark.pure
def test_numbers_are_read_by_their_digits_and_iso_8601_needs_no_form() -> None:
    assert instant_of(20261124, ["%Y%m%d"]) == "2026-11-24"
    assert instant_of("2026-11-24T10:00:00Z", ["rfc2822"]) == "2026-11-24T10:00:00Z"
    for other in (True, None, "soon", 5, "9" * 10**6, "/Date(99999999999999999999)/"):
        assert instant_of(other, ["rfc2822", "dotnet", "%Y%m%d"]) is None


@pytest.mark.pure
def test_what_bounds_a_request_is_written_in_the_first_form_and_in_the_declared_zone() -> None:
    made = stream(**formed("%d.%m.%Y %H:%M", "rfc2822", timezone="Europe/Berlin"))
    assert request_for(made, Cursor("2026-07-01T12:00:00")).params == (("since", "01.07.2026 12:00"),)
    assert request_for(made, Cursor("2026-07-01T12:00:00Z")).params == (("since", "01.07.2026 14:00"),)
    unix = {**formed("rfc2822"), "params": {"since": "{cursor.updated_at:unix}"}}
    assert request_for(stream(**unix), Cursor("2026-07-01T12:00:00Z")).params == (("since", "1782907200"),)


@pytest.mark.pure
def test_a_value_in_none_of_the_forms_is_shown_with_them() -> None:
    answer = Answer("http://api/things", facts_of(200, {}), [{"id": 1, "updated_at": "next week"}])
    with pytest.raises(AnswerError, match=r"updated_at 'next week' is written in none of cursor_formats \(rfc2822\)"):
        page_of(stream(**formed("rfc2822")), PageRequest(), answer)
    nothing = Answer("http://api/things", facts_of(200, {}), [{"id": 1, "updated_at": None}, {"id": 2}])
    assert page_of(stream(**formed("rfc2822")), PageRequest(), nothing).records == nothing.body


@pytest.mark.pure
@pytest.mark.parametrize(
    "form",
    ["yesterday", "%Q", "%H:%M", "RFC", "%d.%m.%Y %I:%M", "%Y-%d", "%d.%m.%Y %M:%S", "%Y-W%W", "%d.%m.%Y %H:%M %Z"],
)
def test_what_is_no_form_of_an_instant_is_refused(form: str) -> None:
    """13:45 in %I:%M was a quarter to two at night."""
    refusal = r"writes the zone's name \(%Z\).*declare timezone" if "%Z" in form else "is no form of an instant"
    with pytest.raises(ConfigurationError, match=refusal):
        read_settings(config(**formed(form)))
    with pytest.raises(ConfigurationError, match="epoch"):
        read_settings(config(**formed("rfc2822", epoch="s")))


@pytest.mark.parametrize("nested", [False, True])
def test_keys_of_rfc_2822_are_read_incrementally(tmp_path: Path, nested: bool) -> None:  # noqa: FBT001  a parameter of the test
    """Their letters order them by weekday and month; the second run gets what is new alone."""
    moments = [datetime(2026, month, 5, 10, tzinfo=timezone.utc) for month in (1, 2, 4, 5, 8)]

    def row(key: int) -> dict[str, Any]:
        value = format_datetime(moments[key], usegmt=True)
        return {"id": key, "meta": {"changed": value}} if nested else {"id": key, "updated_at": value}

    held = 3

    def answered(asked: Asked) -> Reply:
        since = asked.params.get("since")
        written_as = [format_datetime(moment, usegmt=True) for moment in moments]
        assert since is None or since in written_as
        return Reply([row(key) for key in range(written_as.index(since) if since else 0, held)])

    path = "meta.changed" if nested else "updated_at"
    keys = {
        "params": {"since": f"{{cursor.{path}}}"},
        "incremental": {"cursor_path": path, "cursor_formats": ["rfc2822"]},
    }
    with serving(answered) as api:
        settings = config(api.url, schema=None, **keys)
        first = tap(tmp_path, settings)
        assert first.code == 0, first.err
        held = 5
        second = tap(tmp_path, settings, state=first.states[-1])
    assert [record["id"] for record in first.records] == [0, 1, 2]
    assert [record["id"] for record in second.records] == [3, 4]
    key = "meta__changed" if nested else "updated_at"
    assert first.records[0][key] == "2026-01-05T10:00:00Z"
    (schema,) = [message["schema"] for message in first.messages if message["type"] == "SCHEMA"]
    assert schema["properties"][key] == {"type": ["string", "null"], "format": "date-time"}


def test_days_in_digits_are_read_in_ranges(tmp_path: Path) -> None:
    """Row 3c: 20261124 was a number, and `step: 7d` asked for 20865820."""
    days = [20261101, 20261105, 20261120]

    def answered(asked: Asked) -> Reply:
        since, until = int(asked.params["since"]), int(asked.params.get("until", 99999999))
        return Reply([{"id": day, "updated_at": day} for day in days if since <= day <= until])

    facts = formed("%Y%m%d", step="7d", initial_value=20261101, order="none", timezone="UTC")
    with serving(answered) as api:
        settings = config(api.url, **facts | {"params": {**SINCE, "until": "{until.updated_at}"}, "schema": None})
        run = tap(tmp_path, settings)
        assert run.code == 0, run.err
        assert {record["updated_at"] for record in run.records} == {"2026-11-01", "2026-11-05", "2026-11-20"}
        assert api.asked[-1].params["since"].isdigit()
