"""Plain records, taken by code made for their SCHEMA, are what the long way makes of them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_eventgen.errors import MessageError
from target_eventgen.intake.blocks import MAX_SPLIT_BYTES, UNSET, LineBlock
from target_eventgen.intake.compiled import CompiledEncoder, compile_encoder
from target_eventgen.intake.expressions import begin_with_years, is_dated, is_moment
from target_eventgen.intake.general import NULL, GeneralEncoder
from target_eventgen.intake.validation import compile_validator
from target_eventgen.model.plan import Plan
from target_eventgen.model.tables import METADATA, Column, Table, postgres_type
from target_eventgen.model.versions import has_finer, is_finer

pytestmark = pytest.mark.pure

TYPES: dict[str, dict[str, Any]] = {
    "id": {"type": "integer"},
    "i": {"type": ["integer", "null"]},
    "n": {"type": ["null", "number"], "description": "an amount"},
    "s": {"type": "string", "format": "date-time"},
    "t": {"type": ["string", "null"]},
    "b": {"type": ["boolean", "null"]},
    "o": {"type": "object"},
    "a": {"type": ["array", "null"]},
    "x": {},
    "_sdc_deleted_at": {"type": ["string", "null"]},
}
SCHEMA: dict[str, Any] = {"type": "object", "properties": TYPES, "required": ["id"]}
VALUES = [
    "null",
    "true",
    "false",
    "0",
    "-1",
    "7",
    "1.0",
    "1.10",
    "-0",
    "1e2",
    "12345678901234567890123",
    "1e400",
    "0.1000000000000000055",
    "1.5E-3",
    "[]",
    "[1,null]",
    "{}",
    '{"k":1.50}',
    '""',
    '"a"',
    '"UNSET"',
    '"é"',
    '"2026-01-01T00:00:00Z"',
]
VALUES += ['"a\\tb"', '"\\\\N"', '"\\u0000"', '"\\u00e9"', '{"a":\t1}', '{"a":"\\n"}', '"null"', '"\\\\"']


def plan(types: dict[str, str] | None = None) -> Plan:
    """Of a table whose columns may have other types than the SCHEMA asks for."""
    content = tuple(
        Column(name, (types or {}).get(name, postgres_type(definition)))
        for name, definition in TYPES.items()
        if name not in METADATA
    )
    table = Table("s", "public", "s", content, key=("id",), replication_key=Column("i", "bigint"))
    return Plan(table, content, (), "stage", "source")


def drawn(seed: int) -> Iterator[str]:
    """Records as JSON: most of them valid, some of them not."""
    chance = random.Random(seed)
    while True:
        names = [name for name in TYPES if name == "id" or chance.random() < 0.95]
        if chance.random() < 0.05:
            names.append("unknown")
        chance.shuffle(names)
        yield "{" + ",".join(f"{json.dumps(name)}:{value(chance, name)}" for name in names) + "}"


def value(chance: random.Random, name: str) -> str:
    """One value, most often of the property's own type."""
    if chance.random() < 0.1:
        return chance.choice(VALUES)
    fitting = {
        "id": ["1", "2", "3"],
        "i": ["null", "5", "-6"],
        "n": ["null", "1.10", "1e2", "-0.0", "12345678901234567890.5"],
        "s": ['"2026-01-01"', '"a\\tb"', '""', '"UNSET"'],
        "t": ["null", '"é"', '"\\u0000"', '"\\\\"'],
        "b": ["true", "false", "null"],
        "o": ["{}", '{"k":1.50}', '{"a": "\\n"}'],
        "a": ["[]", "null", '["\\u0000"]'],
    }
    return chance.choice(fitting.get(name, ["null"]))


WIDER = {"i": "numeric", "n": "text", "s": "text", "t": "jsonb", "b": "text", "o": "text", "a": "text"}


@pytest.mark.parametrize("types", [{}, WIDER, {"i": "text", "n": "bigint", "b": "jsonb"}])
@pytest.mark.parametrize("validates", [True, False])
def test_what_a_plain_record_is_taken_for_is_what_the_long_way_makes_of_it(
    types: dict[str, str], *, validates: bool
) -> None:
    made = plan(types)
    long, validate = GeneralEncoder(made.table, made.types), compile_validator("s", SCHEMA)
    short = compile_encoder(made, SCHEMA, validates=validates)
    assert short is not None
    decode = msgspec.json.Decoder(float_hook=Decimal).decode
    taken = escaped = 0
    for text, _ in zip(drawn(1), range(5000), strict=False):
        record = decoded(short, text)
        values = None if record is None else short.values(record)
        if values is None:
            continue
        whole = decode(text)
        if validates:
            validate(whole)
        assert whole.get("_sdc_deleted_at") is None
        line, absent = long.line(7, whole, None)
        assert same(long.line_of_values(7, values, ""), (line, absent), text)
        # No integer that a text column holds is an instant.
        assert short.is_unversioned(record) == (whole.get("i") is None or types.get("i") == "text")
        if run(text).special:
            escaped += 1
            continue
        quick = written(short, record, 7)
        if not absent and "UNSET" not in line:
            assert quick is not None
            assert same((quick, absent), (line, absent), text)
            taken += 1
        else:
            assert quick is None
    assert taken > 30
    assert escaped > 30


def run(*texts: str) -> LineBlock:
    """RECORD lines of records as JSON."""
    return LineBlock("".join(f'{{"type":"RECORD","stream":"s","record":{text}}}\n' for text in texts).encode())


def decoded(short: CompiledEncoder, text: str) -> Any:
    """The message of one record; None where it isn't taken."""
    messages = short.messages(run(text))
    return None if messages is None else messages[0]


def written(short: CompiledEncoder, message: Any, number: int = 1) -> str | None:
    """Its line, None where it isn't plain."""
    lines = short.lines(number, [message], "")
    return None if lines is None or UNSET in lines[0] else lines[0]


def test_a_run_is_taken_whole_or_not_at_all_and_its_lines_are_those_of_the_long_way() -> None:
    made = plan()
    long, validate = GeneralEncoder(made.table, made.types), compile_validator("s", SCHEMA)
    short = compile_encoder(made, SCHEMA, validates=True)
    assert short is not None
    chance, shapes = random.Random(2), set()
    texts = [text for text, _ in zip(drawn(2), range(3000), strict=False)]
    good = [text for text in texts if (made_of := decoded(short, text)) is not None and short.values(made_of)]
    for _ in range(3000):
        some = chance.choices(texts if chance.random() < 0.1 else good, k=chance.choice([1, 2, 3, 5]))
        cut = run(*some)
        messages = short.messages(cut)
        fits = [decoded(short, text) is not None for text in some]
        assert (messages is not None) == all(fits)
        if messages is None:
            continue
        lines = short.lines(5, messages, "")
        values = [short.values(message) for message in messages]
        alone = [short.lines(5, [message], "") for message in messages]
        assert (lines is not None) == (None not in alone)
        if lines is None or None in values:
            continue
        unfinished = cut.unfinished(lines)
        for place, text in enumerate(some):
            whole = json.loads(text, parse_float=Decimal)
            validate(whole)
            found = (
                long.line_of_values(5 + place, values[place] or (), "") if place in unfinished else (lines[place], [])
            )
            assert same(found, long.line(5 + place, whole, None), text)
        shapes.add((len(some), 0 < len(unfinished) < len(some), bool(cut.special)))
    assert len(shapes) > 8


def same(found: tuple[str, list[int]], wanted: tuple[str, list[int]], text: str) -> bool:
    """Whether lines are equal but for the spelling of numbers, which is Postgres's to read."""

    def read(line: str) -> list[Any]:
        return [number(field) for field in line.removesuffix("\n").split("\t")]

    def number(field: str) -> Any:
        try:
            return Decimal(field)
        except ArithmeticError:
            return field

    assert found[1] == wanted[1], text
    assert read(found[0]) == read(wanted[0]), text
    return True


@pytest.mark.parametrize(
    "definition",
    [
        {"type": "string", "maxLength": 3},
        {"enum": ["a"]},
        {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        {"type": ["string", "integer"]},
        {"type": "object", "properties": {"a": {"type": "integer"}}},
        {"$ref": "#/definitions/a"},
        {"type": []},
        True,
    ],
)
def test_a_schema_that_says_more_than_types_is_left_to_the_long_way(definition: Any) -> None:
    schema = {**SCHEMA, "properties": {**TYPES, "s": definition}}
    assert compile_encoder(plan(), schema, validates=True) is None


@pytest.mark.parametrize(
    ("name", "definition"),
    [
        ("_sdc_deleted_at", {"type": "string"}),
        ("_sdc_sequence", {"type": "number"}),
        ("_sdc_batched_at", {"type": "array"}),
    ],
)
def test_so_is_one_with_a_property_that_is_not_content_and_would_not_be_looked_at(name: str, definition: Any) -> None:
    schema = {**SCHEMA, "properties": {**TYPES, name: definition}}
    assert compile_encoder(plan(), schema, validates=True) is None
    assert compile_encoder(plan(), schema, validates=False) is not None


@pytest.mark.parametrize("value", ['"now"', '"10:00 today"', '"Infinity"', "[1e1000000000000000000]"])
@pytest.mark.parametrize("rest", [', "x": 1', ""])
def test_a_word_for_a_moment_and_a_number_beyond_all_bounds_are_not_taken(value: str, rest: str) -> None:
    short = compile_encoder(plan(), SCHEMA, validates=True)
    assert short is not None
    name = "a" if value.startswith("[") else "s"
    record = decoded(short, f'{{"id": 1, "{name}": {value}{rest}}}')
    assert written(short, record) is None
    assert short.values(record) is None


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\tb"])
def test_so_is_one_with_a_name_that_json_escapes(name: str) -> None:
    assert compile_encoder(plan(), {**SCHEMA, "properties": {**TYPES, name: {}}}, validates=True) is None


@pytest.mark.parametrize("more", [{"minProperties": 2}, {"required": ["y"]}, {"type": "array"}, {"allOf": []}])
def test_so_is_one_that_says_something_of_all_properties_together(more: dict[str, Any]) -> None:
    assert compile_encoder(plan(), {**SCHEMA, **more}, validates=True) is None


def test_a_record_without_its_key_is_not_taken() -> None:
    short = compile_encoder(plan(), {**SCHEMA, "required": []}, validates=True)
    assert short is not None
    assert decoded(short, '{"s": "a"}') is None
    assert decoded(short, '{"id": null, "s": "a"}') is None


@pytest.mark.parametrize(
    "line",
    [
        b'{"type": "STATE", "value": {}}',
        b'{"type": "RECORD", "record": {}}',
        b'{"type": "RECORD", "stream": "s", "record": {',
        b'{"type": "RECORD", "stream": "s", "record": {"id": 1}, "version": "1"}',
        b'{"type": "RECORD", "stream": "other", "record": {"id": 1}}',
        b'{"type": "RECORD", "stream": "s", "record": {"id": 1}}\n\n',
        b'{"type": "RECORD", "stream": "s", "record": {"id": 1}} {"type": "RECORD", "stream": "s", "record": {"id": 1}}',
        b'{"type": "RECORD", "stream": "s", "record": {"id": 1}} {"type": "RECORD", "stream": "s", "record": {"id": 2}}\n\n',
        b'{"type": "RECORD", "stream": "s", "record": {"id": 1}}{"type": "RECORD", "stream": "s", "record":\n{"id": 2}}\n',
        b"",
    ],
)
def test_a_line_that_is_not_a_plain_record_is_not_an_error_here(line: bytes) -> None:
    short = compile_encoder(plan(), {**SCHEMA, "required": []}, validates=True)
    assert short is not None
    assert short.messages(LineBlock(line)) is None


def test_a_run_knows_the_stream_of_its_first_line() -> None:
    assert run("{}").stream == "s"
    assert LineBlock(b'{"type": "STATE", "value": {}}\n').stream is None
    assert LineBlock(b'{"type": "RECORD", "record": {}}\n').stream is None
    assert LineBlock(b"{\n").stream is None


def test_a_run_of_several_streams_is_parted_by_them_in_the_order_of_each() -> None:
    lines = [f'{{"type":"RECORD","stream":"{name}","record":{{"id":{n}}}}}' for n, name in enumerate("abacb")]
    mixed = LineBlock("\n".join(lines).encode())
    assert mixed.by_stream() == {"a": [0, 2], "b": [1, 4], "c": [3]}
    assert mixed.part([1, 4]).text.decode().splitlines() == [lines[1], lines[4]]


@pytest.mark.parametrize(
    "other", ['{"type":"SCHEMA","stream":"a","schema":{}}', "", "{", '{"type":"RECORD","stream":"a"}']
)
def test_a_run_with_anything_but_records_is_not_parted(other: str) -> None:
    said = '{"type":"RECORD","stream":"a","record":{}}'
    assert LineBlock(f"{said}\n{other}\n{said}".encode()).by_stream() == {}


def test_the_long_way_refuses_what_is_not_taken() -> None:
    with pytest.raises(MessageError):
        compile_validator("s", SCHEMA)({"id": 1, "o": []})
    short = compile_encoder(plan(), SCHEMA, validates=True)
    assert short is not None
    record = decoded(short, '{"id": 1, "o": [], "s": "", "x": 1}')
    assert record is not None
    assert written(short, record) is None
    assert short.values(record) is None


@pytest.mark.parametrize("type_", ["timestamp with time zone", "text", "jsonb"])
def test_a_moment_that_begins_with_no_digit_is_left_to_the_long_way(type_: str) -> None:
    said = {"type": "object", "properties": {"at": {"type": ["string", "null"], "format": "date-time"}}}
    column = Column("at", type_)
    made = Plan(Table("s", "public", "s", (column,)), (column,), (), "stage", "source")
    short = compile_encoder(made, said, validates=True)
    assert short is not None
    for text in ("now", "-infinity", " today", ""):
        record = decoded(short, json.dumps({"at": text}))
        assert written(short, record) is None
        assert short.values(record) is None
    for value in ("2026-01-01T00:00:00Z", None):
        record = decoded(short, json.dumps({"at": value}))
        assert written(short, record) is not None
        assert short.values(record) == [value]


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("2026-01-01T00:00:00.1234562Z", "2026-01-01T00:00:00.123456Z\t2E-7"),
        ("2026-01-01T00:00:00.12Z", "2026-01-01T00:00:00.12Z\t\\N"),
        (None, "\\N\t\\N"),
        (UNSET, "\\N\t\\N"),
    ],
)
def test_both_ways_part_a_version_at_its_microsecond(text: str | None, fields: str) -> None:
    properties: dict[str, Any] = {"id": {"type": "integer"}, "u": {"type": ["string", "null"], "format": "date-time"}}
    content = tuple(Column(name, postgres_type(definition)) for name, definition in properties.items())
    table = Table("s", "public", "s", content, key=("id",), replication_key=content[1])
    whole, fine = (Plan(each, each.content, (), "stage", "source") for each in (table, table.with_fine()))
    record: dict[str, Any] = {"id": 1} if text == UNSET else {"id": 1, "u": text}
    block = LineBlock(json.dumps({"type": "RECORD", "stream": "s", "record": record}).encode())
    short = compile_encoder(fine, {"properties": properties}, validates=True)
    not_yet = compile_encoder(whole, {"properties": properties}, validates=True)
    assert short is not None
    assert not_yet is not None
    messages = short.messages(block)
    assert messages is not None
    assert not short.has_finer(messages)
    assert not_yet.has_finer(not_yet.messages(block) or ()) == ("E" in fields)
    line, absent = GeneralEncoder(fine.table, fine.types).line(7, record, None)
    assert line == f"7\t{'011' if text == UNSET else NULL}\t1\t{fields}\n"
    assert absent == ([1, 2] if text == UNSET else [])
    values = short.values(messages[0])
    assert values is not None
    assert GeneralEncoder(fine.table, fine.types).line_of_values(7, values, "") == (line, absent)
    if text != UNSET:
        assert short.lines(7, messages, "") == [line]


DATES = (
    *(None, msgspec.UNSET, "", "now", "2026-01-31", "2026-01-31T00:00:00Z", "0001-01-01", "9999-12-31 10:00"),
    *(
        "26-01-31",
        "1/2/2026",
        "2026-",
        "a\n2026-01-01",
        "2026-01-01\n",
        "\u0662026-01-01",
        "-2026-01-01",
        " 2026-01-01",
    ),
)


@given(st.lists(st.sampled_from(DATES), max_size=5))
def test_dates_that_are_looked_at_at_once_are_those_that_each_look_takes(values: list[Any]) -> None:
    texts = [value for value in values if isinstance(value, str)]
    if begin_with_years(values):
        assert all(is_dated(text) and is_moment(text) for text in texts)
    else:
        assert not all(
            len(text) > 4 and text[:4].isascii() and text[:4].isdigit() and text[4] == "-" for text in texts
        ) or any("\n" in text for text in texts)


@given(
    st.lists(
        st.sampled_from(
            (
                *(None, 1, "", "2026-01-31T10:00:00Z", "2026-01-31T10:00:00.123456Z", "2026-01-31T10:00:00.1234560Z"),
                *(
                    "2026-01-31T10:00:00.1234561Z",
                    "10:00:00,1234561",
                    "2026-01-31T10:00:00.12345610000+02:00",
                    "1.1234567",
                ),
            )
        ),
        max_size=4,
    )
)
def test_versions_that_are_looked_at_at_once_have_a_finer_one_where_one_of_them_is(values: list[Any]) -> None:
    assert has_finer(values) == any(map(is_finer, values))


@pytest.mark.parametrize(
    ("text", "count", "is_plain"),
    [
        (b'{"a":1}\n{"a":2}\n', 2, True),
        (b'{"a":1}\n{"a":2}', 2, False),
        (b'{"a":1}\n\n{"a":2}\n', 3, False),
        (b'{"a":1}\r\n{"a":2}\r\n', 2, False),
        (b'{"a":1} {"a":2}\n \n', 2, False),
        (b'\n{"a":1}\n', 2, False),
        (b'{"a":1}\n', 1, True),
        (b'{"a":1}', 1, True),
    ],
)
@pytest.mark.parametrize("padding", [0, MAX_SPLIT_BYTES])
def test_a_block_is_plain_only_where_each_line_is_one_value(
    text: bytes, count: int, padding: int, *, is_plain: bool
) -> None:
    block = LineBlock(text.replace(b'{"a":1}', b'{"a":1' + b" " * padding + b"}"))
    assert block.count == count
    assert block.is_plain == (is_plain or (padding > 0 and text == b'{"a":1}\n{"a":2}'))
