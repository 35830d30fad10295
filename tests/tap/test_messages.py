"""Messages: the fast path writes what singer-sdk's own path writes."""

from __future__ import annotations

import contextlib
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_restextract.singer.record_lines import MAX_LINES, projected, record_lines
from tap_restextract.singer.stdout import StateLines, WholeLines
from tap_restextract.singer.stream import RestStream
from tap_restextract.tap import TapRestextract
from tests.support.api import Reply, scripted, serving
from tests.support.processes import Run, tap
from tests.support.streams import config

BODY = json.dumps(
    [
        {
            "id": 1,
            "text": 'ünïcödé "quoted" \\ \n \u2028 😀',
            "on": True,
            "nothing": None,
            "extra": "not in the schema",
        },
        {
            "id": 2,
            "price": "PRICE",
            "big": "BIG",
            "tags": ["a", {"b": [1, None]}],
            "at": "2026-01-01T00:00:00.123456789Z",
        },
        {"id": 3, "nested": {"a": {"b": "c", "d": 1}, "e": []}, "text": ""},
        {"id": 4},
    ]
)
BODY = BODY.replace('"PRICE"', "0.12345678901234567890").replace('"BIG"', "123456789012345678901234567890")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "text": {"type": ["string", "null"]},
        "on": {"type": ["boolean", "null"]},
        "nothing": {"type": ["string", "null"]},
        "price": {"type": ["number", "null"]},
        "big": {"type": ["integer", "null"]},
        "tags": {"type": ["array", "null"], "items": {}},
        "at": {"type": ["string", "null"], "format": "date-time"},
        "nested": {
            "type": ["object", "null"],
            "properties": {
                "a": {"type": "object", "properties": {"b": {"type": "string"}, "d": {"type": "integer"}}},
                "e": {"type": "array", "items": {}},
            },
        },
    },
}
GENERIC = {"stream_maps": {"things": {"id": "id"}}}
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def run(folder: Path, *, maps: dict[str, Any], deselected: tuple[tuple[str, ...], ...] = ()) -> Run:
    """The records extracted, perhaps through a stream map that changes nothing."""
    with serving(scripted(Reply(BODY.encode()))) as api:
        whole = config(api.url, schema=SCHEMA) | maps
        if not deselected:
            return tap(folder, whole)
        catalog = json.loads(tap(folder, whole, "--discover").out)
        for entry in catalog["streams"][0]["metadata"]:
            if tuple(entry["breadcrumb"]) in deselected:
                entry["metadata"]["selected"] = False
        return tap(folder, whole, catalog=catalog)


def parsed(run_: Run) -> list[dict[str, Any]]:
    """The RECORD messages without the moment of their making, with exact numbers."""
    assert run_.code == 0, run_.err
    messages = [json.loads(line, parse_float=Decimal) for line in run_.out.split("\n") if line]
    return [
        {key: value for key, value in message.items() if key != "time_extracted"}
        for message in messages
        if message["type"] == "RECORD"
    ]


@pytest.mark.parametrize(
    "deselected",
    [
        (),
        (("properties", "text"), ("properties", "nested")),
        (("properties", "nested", "properties", "a"),),
        (("properties", "nested", "properties", "a", "properties", "b"), ("properties", "at")),
    ],
    ids=["all", "some", "nested", "deeply nested"],
)
def test_the_fast_path_and_singer_sdks_own_write_equal_messages(
    tmp_path: Path, deselected: tuple[tuple[str, ...], ...]
) -> None:
    fast = parsed(run(tmp_path, maps={}, deselected=deselected))
    assert fast == parsed(run(tmp_path, maps=GENERIC, deselected=deselected))
    assert [message["record"]["id"] for message in fast] == [1, 2, 3, 4]
    assert ("text" in fast[0]["record"]) == (("properties", "text") not in deselected)


def test_every_digit_that_the_api_sent_is_written(tmp_path: Path) -> None:
    for maps in ({}, GENERIC):
        record = parsed(run(tmp_path, maps=maps))[1]["record"]
        assert str(record["price"]) == "0.12345678901234567890"
        assert record["big"] == 123456789012345678901234567890
        assert record["at"] == "2026-01-01T00:00:00.123456789Z"


def test_a_map_and_flattening_are_applied(tmp_path: Path) -> None:
    mapped = parsed(run(tmp_path, maps={"stream_maps": {"things": {"id": "id", "twice": "id * 2", "__else__": None}}}))
    assert [message["record"] for message in mapped] == [{"id": n, "twice": n * 2} for n in (1, 2, 3, 4)]
    flat = parsed(run(tmp_path, maps={"flattening_enabled": True, "flattening_max_depth": 2}))
    assert flat[2]["record"]["nested__a__b"] == "c"


@given(st.lists(st.dictionaries(st.text(), values, max_size=4), max_size=4), st.text(), st.none() | st.integers(0))
def test_each_line_is_a_whole_message_with_the_record_as_it_is(
    records: list[dict[str, Any]], name: str, version: int | None
) -> None:
    lines = record_lines(name, records, "2026-01-01T00:00:00+00:00", version).decode()
    messages = [json.loads(line, parse_float=Decimal) for line in lines.split("\n")[:-1]]
    expected: dict[str, Any] = {"type": "RECORD", "stream": name, "time_extracted": "2026-01-01T00:00:00+00:00"}
    expected |= {} if version is None else {"version": version}
    assert messages == [{**expected, "record": record} for record in records]
    assert lines == "" or lines.endswith("\n")


def test_only_selected_properties_are_emitted_in_their_own_order() -> None:
    records = [{"b": 1, "a": 2, "c": 3}, {"a": 1}, {}]
    kept = projected(records, {"a", "b"})
    assert [list(record.items()) for record in kept] == [[("b", 1), ("a", 2)], [("a", 1)], []]
    assert records[0] == {"b": 1, "a": 2, "c": 3}


def test_a_property_that_the_schema_lacks_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    declared = {"type": "object", "properties": {"id": {"type": "integer"}}}
    extractor = TapRestextract(config=config("http://127.0.0.1:9/", schema=declared))
    stream = extractor.streams["things"]
    assert isinstance(stream, RestStream)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        for _ in range(2):
            stream._write([{"id": 1, "colour": "red"}])
    assert [json.loads(line)["record"] for line in out.getvalue().splitlines()] == [{"id": 1}, {"id": 1}]
    assert sum("colour" in record.getMessage() for record in caplog.records) == 1


def test_a_page_that_is_written_in_parts_has_each_record_once_and_in_its_order(tmp_path: Path) -> None:
    records = [{"id": number} for number in range(2 * MAX_LINES + 1)]
    schema = {"type": "object", "properties": {"id": {"type": "integer"}}}
    with serving(scripted(Reply(json.dumps(records).encode()))) as api:
        messages = parsed(tap(tmp_path, config(api.url, schema=schema)))
    assert [message["record"] for message in messages] == records


def test_state_comes_again_once_it_is_another_also_where_the_same_object_changed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines, state = StateLines(WholeLines()), {"bookmarks": {"things": {"at": 1}}}
    lines.write_state(state)
    lines.write_state(state)
    state["bookmarks"]["things"]["at"] = 2
    lines.write_state(state)
    assert [
        json.loads(line)["value"]["bookmarks"]["things"]["at"] for line in capsys.readouterr().out.splitlines()
    ] == [
        1,
        2,
    ]
