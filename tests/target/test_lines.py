"""Lines in, lines out: messages, validation and COPY text, alone."""

from __future__ import annotations

import io
import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from target_eventgen.errors import InvalidRecordError, InvalidSchemaError, MessageError, MissingKeyError, SettingsError
from target_eventgen.intake.general import GeneralEncoder, identity
from target_eventgen.intake.reader import LineReader
from target_eventgen.intake.validation import compile_validator
from target_eventgen.model.tables import Column, Table
from target_eventgen.store.connection import location_of
from target_eventgen.store.sql.conditions import position_in_condition

pytestmark = pytest.mark.in_process

COLUMNS = (
    Column("id", "bigint"),
    Column("n", "numeric"),
    Column("t", "text"),
    Column("o", "jsonb"),
    Column("b", "boolean"),
)


def encoding() -> GeneralEncoder:
    return GeneralEncoder(Table("s", "public", "s", COLUMNS, key=("id",)), COLUMNS)


@pytest.mark.parametrize(
    ("record", "line"),
    [
        ({"id": 1, "n": Decimal("1.10"), "t": "a", "o": {"k": 1}, "b": True}, '1\t\\N\t1\t1.10\ta\t{"k":1}\tt\n'),
        ({"id": 1, "n": None, "t": "", "o": None, "b": False}, "1\t\\N\t1\t\\N\t\t\\N\tf\n"),
        ({"id": Decimal("1e2"), "t": "a\tb\\\n\r", "b": None}, "1\t01010\t100\t\\N\ta\\tb\\\\\\n\\r\t\\N\t\\N\n"),
        ({"id": "7", "n": "x", "t": 5, "o": 'q"\n', "b": "yes"}, '1\t\\N\t7\tx\t5\t"q\\\\"\\\\n"\tyes\n'),
        (
            {"id": Decimal("1e99999999"), "n": Decimal("1e9999"), "o": 1},
            "1\t00101\t1E+99999999\t1E+9999\t\\N\t1\t\\N\n",
        ),
        ({"id": 1, "n": 2, "t": [Decimal("0.5")], "o": "é", "b": 1}, '1\t\\N\t1\t2\t[0.5]\t"é"\t1\n'),
    ],
)
def test_a_record_is_one_line_of_copy_text(record: dict[str, Any], line: str) -> None:
    assert encoding().line(1, record, None)[0] == line


@pytest.mark.parametrize("record", [{}, {"id": None}])
def test_a_record_without_its_key_is_refused(record: dict[str, Any]) -> None:
    with pytest.raises(MissingKeyError, match=r'key property "id" is (missing|null)'):
        encoding().line(1, record, None)


def test_a_nul_is_replaced_and_its_column_remembered() -> None:
    made = encoding()
    line, _ = made.line(1, {"id": 1, "t": "a\0", "o": ["\\u0000"]}, None)
    assert "a\ufffd" in line
    assert made.replaced_nul == {"t"}


def test_properties_without_a_column_are_reported() -> None:
    assert encoding().surplus({"id": 1, "x": 1}) == {"x"}
    assert encoding().surplus({"id": 1}) == set()


@pytest.mark.parametrize(
    ("type_", "values", "told"),
    [
        ("bigint", [1, Decimal("1.0"), "1", True], [1, None, None, None]),
        ("text", ["a", 1, "a\0", True, [1]], ["a", "1", "a\ufffd", None, None]),
        (
            "uuid",
            ["6F9619FF-8B86-D011-B42D-00CF4FC964FF", "{6f9619ff-8b86-d011-b42d-00cf4fc964ff}", 1],
            ["6f9619ff-8b86-d011-b42d-00cf4fc964ff", None, None],
        ),
        ("numeric", [1, Decimal("1.0")], [None, None]),
    ],
)
def test_keys_are_distinguished_where_they_have_one_spelling(type_: str, values: list[Any], told: list[Any]) -> None:
    assert [identity(type_)(value) for value in values] == told


PROPERTIES = {
    "i": {"type": "integer"},
    "m": {"multipleOf": 0.01},
    "e": {"enum": ["a"]},
    "d": {"type": "string", "default": "x", "format": "date"},
}


@pytest.mark.parametrize(
    "record",
    [{"i": Decimal("1.0")}, {"m": Decimal("0.07")}, {"e": "a"}, {}, {"d": "no date, but that is for Postgres to say"}],
)
def test_a_record_that_the_schema_allows_is_valid_and_unchanged(record: dict[str, Any]) -> None:
    sent = dict(record)
    compile_validator("s", {"properties": PROPERTIES})(sent)
    assert sent == record


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"i": Decimal("1.5")}, r'property "i".*integer'),
        ({"i": True}, r'property "i".*integer'),
        ({"i": Decimal("1e99999999")}, r'property "i".*integer'),
        ({"m": Decimal("0.075")}, 'property "m"'),
        ({"e": "s3cret"}, r"property \"e\".*\['a'\]"),
        ({"d": 5}, 'property "d"'),
    ],
)
def test_a_record_that_it_does_not_allow_is_reported_by_place_and_rule_without_its_value(
    record: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidRecordError, match=said) as raised:
        compile_validator("s", {"properties": PROPERTIES})(record)
    assert "s3cret" not in str(raised.value)


# What taps over databases write of a decimal with two digits: draft 4, without a `$schema`; numbers as they are read.
DECIMAL = {
    "type": ["null", "number"],
    "maximum": Decimal("1e2"),
    "exclusiveMaximum": True,
    "minimum": -100,
    "exclusiveMinimum": True,
    "multipleOf": Decimal("0.01"),
}


@pytest.mark.parametrize("value", ["19.99", "0.07", "1.1", "99.99", "-99.99"])
def test_a_decimal_of_as_many_digits_as_its_schema_says_is_valid(value: str) -> None:
    compile_validator("s", {"properties": {"price": DECIMAL}})({"price": Decimal(value)})


@pytest.mark.parametrize("value", ["19.999", "100", "-100", "1e3"])
def test_a_decimal_of_more_digits_or_at_an_exclusive_bound_is_not(value: str) -> None:
    with pytest.raises(InvalidRecordError, match='property "price"'):
        compile_validator("s", {"properties": {"price": DECIMAL}})({"price": Decimal(value)})


def test_an_inclusive_bound_of_draft_4_and_a_property_named_like_one_are_left_alone() -> None:
    bounds = {"maximum": 9, "exclusiveMaximum": False}
    validate = compile_validator("s", {"properties": {"n": bounds, "exclusiveMaximum": {"type": "integer"}}})
    validate({"n": 9, "exclusiveMaximum": 1})
    with pytest.raises(InvalidRecordError, match='property "n"'):
        validate({"n": 10})
    with pytest.raises(InvalidRecordError, match='property "exclusiveMaximum"'):
        validate({"exclusiveMaximum": "x"})


@pytest.mark.parametrize("schema", [{"properties": {"a": {"type": "wat"}}}, {"$ref": "http://127.0.0.1:1/schema.json"}])
def test_a_schema_that_is_none_or_refers_elsewhere_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidSchemaError, match='stream "s"'):
        compile_validator("s", schema)


def read(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    kinds = ("RECORD", "SCHEMA", "STATE")
    LineReader().process_lines(io.StringIO(text), dict.fromkeys(kinds, found.append))
    return found


def test_messages_are_read_with_all_their_digits_and_empty_lines_are_skipped() -> None:
    read_back = read('\n{"type": "STATE", "value": 1.10}\n  \n{"type": "STATE", "value": 18446744073709551617}')
    assert [message["value"] for message in read_back] == [Decimal("1.10"), 18446744073709551617]
    assert str(read_back[0]["value"]) == "1.10"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2 of the input is not JSON.*may have died while it wrote"),
        ("{\n", "line 2 of the input is not JSON.*standard error"),
        ("5\n", "line 2 of the input is not a Singer message"),
        ('{"type": "STATE"}\n', 'line 2 of the input: a STATE message without "value"'),
        ('{"type": "RECORD", "stream": 1, "record": {}}\n', 'line 2 of the input: "stream"'),
        ('{"type": "RECORD", "stream": "s", "record": 1}\n', 'line 2 of the input: "record"'),
        ('{"type": "SCHEMA", "stream": "s", "schema": 1}\n', 'line 2 of the input: "schema"'),
        ('{"type": "SCHEMA", "stream": "s", "schema": {}, "key_properties": "id"}\n', '2 of the.* "key_properties"'),
        ('{"type": "SCHEMA", "stream": "s", "schema": {}, "key_properties": [["a", "b"]]}\n', '"key_properties"'),
        ('{"type": "SCHEMA", "stream": "s", "schema": {}, "key_properties": ["a", "a"]}\n', '"key_properties".*once'),
        ('{"type": "STATE", "value": [1, -Infinity]}\n', "line 2 of the input is not JSON.*Infinity.*write null"),
        ('{"type": "STATE", "value": NaN}\n', "line 2 of the input is not JSON.*NaN.*write null"),
        ('{"type": "STATE", "value": 1e1000000000000000000}\n', "line 2 of the input holds a number.*exponent"),
        (f'{{"type": "STATE", "value": {"[" * 9999}{"]" * 9999}}}\n', "line 2 of the input.*nested too deeply"),
    ],
)
def test_a_line_that_is_not_a_message_is_named_by_its_number(line: str, said: str) -> None:
    with pytest.raises(MessageError, match=said):
        read(json.dumps({"type": "STATE", "value": 1}) + "\n" + line)


@pytest.mark.parametrize(
    ("sent", "read_as"),
    [
        (r"cut \ud83d", "cut \ufffd"),
        (r"\uDE00 and \ud83d\ud83d\ude00", "\ufffd and \ufffd\U0001f600"),
        (r"\ud83d and a path \\ud83d", "\ufffd and a path \\ud83d"),
    ],
)
def test_half_of_a_surrogate_pair_is_replaced_and_reported_once(
    caplog: pytest.LogCaptureFixture, sent: str, read_as: str
) -> None:
    line = f'{{"type": "STATE", "value": "{sent}"}}\n'
    assert [message["value"] for message in read(line * 2)] == [read_as] * 2
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["line 1 of the input"]


@pytest.mark.parametrize("seconds", [30 * 24 * 3600, 1e300])
def test_a_pipe_is_waited_for_however_long_that_may_take(seconds: float) -> None:
    reader, seen = LineReader(), list[Any]()
    reader.idle_seconds = seconds
    descriptor, end = os.pipe()
    with open(end, "wb") as writer, open(descriptor) as source:  # noqa: PTH123  a pipe has no path
        writer.write(b'{"type": "STATE", "value": 1}\n')
        writer.close()
        reader.process_lines(source, {"STATE": seen.append})
    assert [message["value"] for message in seen] == [1]


def test_what_is_left_of_a_run_is_offered_once_more_and_decoded_by_its_own_number(tmp_path: Path) -> None:
    reader, seen, offered = LineReader(), list[Any](), list[bytes]()

    def take(run: bytes) -> tuple[int, list[int]]:
        offered.append(run)
        return (5, [1, 3, 4]) if run.count(b"\n") > 1 else (1, [] if b"4" in run else [0])

    reader.take = take
    path = tmp_path / "lines"
    said = [f'{{"type": "RECORD", "stream": "s", "record": {record}}}\n' for record in ("1", "{}", "3", "4")]
    path.write_text("".join(said) + "x")
    with path.open() as source, pytest.raises(MessageError, match="line 5 of the input is not JSON"):
        reader.process_lines(source, {"RECORD": seen.append})
    assert seen == [json.loads(said[1])]
    assert offered[1:] == [said[1].encode(), said[3].encode(), b"x"]


def test_an_interruption_ends_the_input_before_the_next_line() -> None:
    reader = LineReader()
    seen: list[Any] = []

    def stop(message: dict[str, Any]) -> None:
        seen.append(message["value"])
        if len(seen) == 2:
            reader.interrupt()

    reader.process_lines(
        io.StringIO("".join(f'{{"type": "STATE", "value": {n}}}\n' for n in range(9))), {"STATE": stop}
    )
    assert seen == [0, 1]
    assert reader.interrupted


def test_the_place_in_a_condition_is_counted_from_its_own_first_character() -> None:
    assert position_in_condition(15, "CHECK (\nvalue > x\n)", "value > x") == 7
    assert position_in_condition(3, "CHECK (\nvalue > x\n)", "value > x") is None


def test_a_database_is_named_without_its_password() -> None:
    named = location_of("postgresql://me:secret@db.example:6000/mine")
    assert named == 'db.example:6000, database "mine"'
    with pytest.raises(SettingsError) as raised:
        location_of("host=x secret")
    assert "secret" not in str(raised.value)
