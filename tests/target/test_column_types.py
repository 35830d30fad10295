"""Types of new columns by a name, an encoding or bounds in the SCHEMA, and what becomes of columns that exist."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest

from target_eventgen.model.column_types import ColumnTypes, decoded, widened_to
from target_eventgen.model.tables import Column

pytestmark = pytest.mark.pure

INTEGER = {"type": ["null", "integer"]}
NUMBER = {"type": "number"}
TEXT = {"type": ["string", "null"]}
INSTANT = {"type": "string", "format": "date-time"}
ALL = ColumnTypes(decodes=True, bounded=True)


def column(definition: dict[str, Any], types: ColumnTypes = ALL) -> Column:
    return types.column("s", "p", definition)


# -- bounds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"minimum": -(2**15), "maximum": 2**15 - 1}, "smallint"),
        ({"minimum": -(2**15) - 1, "maximum": 2**15 - 1}, "integer"),
        ({"minimum": 0, "maximum": 2**15}, "integer"),
        ({"minimum": -(2**31), "maximum": 2**31 - 1}, "integer"),
        ({"minimum": 0, "maximum": 2**31}, "bigint"),
        ({"minimum": -(2**63), "maximum": 2**63 - 1}, "bigint"),
        ({"minimum": 0, "maximum": 2**63}, "numeric"),
        ({"maximum": 100}, "bigint"),
        ({"minimum": 0}, "bigint"),
        ({"maximum": Decimal("1e20")}, "numeric"),
        ({"minimum": 0, "exclusiveMaximum": 2**15}, "smallint"),
        ({"exclusiveMinimum": -(2**15) - 1, "maximum": 5}, "smallint"),
        ({"minimum": 0, "maximum": 2**15, "exclusiveMaximum": True}, "smallint"),
        ({"minimum": 0.5, "maximum": 32767.5}, "smallint"),
        ({"minimum": 0, "maximum": math.inf}, "bigint"),
        ({"minimum": "0", "maximum": None}, "bigint"),
        ({}, "bigint"),
    ],
)
def test_an_integer_is_as_narrow_as_both_of_its_bounds_allow(bounds: dict[str, Any], expected: str) -> None:
    assert column({**INTEGER, **bounds}).type == expected
    assert column({**INTEGER, **bounds}, ColumnTypes()).type == "bigint"


def test_bounds_of_anything_but_an_integer_say_nothing() -> None:
    bounds = {"minimum": 0, "maximum": 5}
    assert column({**NUMBER, **bounds}).type == "numeric"
    assert column({"type": ["integer", "string"], **bounds}).type == "text"


@pytest.mark.parametrize(
    ("stored", "maximum", "expected"),
    [
        ("smallint", 5, None),
        ("smallint", 2**20, "integer"),
        ("smallint", 2**40, "bigint"),
        ("smallint", 2**70, "numeric"),
        ("integer", 2**70, "numeric"),
        ("bigint", 2**70, "numeric"),
        ("integer", 5, None),
        ("bigint", 5, None),
        ("numeric", 5, None),
        ("numeric(10,2)", 5, None),
        ("real", 5, None),
        ("text", 5, None),
        ("jsonb", 5, None),
    ],
)
def test_a_column_that_exists_is_widened_where_its_bounds_grow_and_never_narrowed(
    stored: str, maximum: int, expected: str | None
) -> None:
    assert widened_to(stored, column({**INTEGER, "minimum": 0, "maximum": maximum})) == expected


def test_without_the_setting_and_without_bounds_an_integer_column_becomes_bigint_as_ever() -> None:
    bounds = {"minimum": 0, "maximum": 5}
    assert widened_to("smallint", column({**INTEGER, **bounds}, ColumnTypes())) == "bigint"
    assert widened_to("smallint", column(INTEGER)) == "bigint"


# -- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("definition", "name", "expected"),
    [
        (INTEGER, "smallint", "smallint"),
        (INTEGER, "INT", "integer"),
        (INTEGER, "decimal(10, 2)", "numeric(10,2)"),
        (NUMBER, "Double  Precision", "double precision"),
        (NUMBER, "numeric(5)", "numeric(5,0)"),
        (NUMBER, "float4", "real"),
        (TEXT, "varchar(20)", "character varying(20)"),
        (TEXT, "uuid", "uuid"),
        (TEXT, "JSON", "jsonb"),
        (INSTANT, "timestamp", "timestamp without time zone"),
        (INSTANT, "timestamptz", "timestamp with time zone"),
        ({"type": "boolean"}, "text", "text"),
        ({"type": "null"}, "smallint", "text"),
    ],
)
def test_a_type_that_can_be_staged_is_the_new_columns(definition: dict[str, Any], name: str, expected: str) -> None:
    assert column({**definition, "x-sql-datatype": name}).type == expected


@pytest.mark.parametrize(
    "name",
    [
        "pgvector",
        "hstore",
        "smallint; drop table x",
        'text") , ("x" text',
        "text(5)",
        "smallint[]",
        "",
        5,
        "numeric(-1)",
    ],
)
def test_any_other_type_is_a_fault_that_names_property_and_remedy(name: object) -> None:
    made = column({**TEXT, "x-sql-datatype": name})
    assert made.fault is not None
    assert made.fault.startswith('stream "s", property "p": there is no x-sql-datatype')
    assert "set sql_datatypes to ignore" in made.fault
    assert (made.type, widened_to("bigint", made)) == ("text", "text")
    assert column({**TEXT, "x-sql-datatype": name}, ColumnTypes(named=False)) == Column("p", "text")


@pytest.mark.parametrize(
    ("definition", "name"),
    [(NUMBER, "integer"), (TEXT, "integer"), (TEXT, "timestamptz"), (INSTANT, "date"), ({"type": "array"}, "text")],
)
def test_a_type_that_does_not_hold_what_the_json_type_allows_is_a_fault(definition: dict[str, Any], name: str) -> None:
    fault = column({**definition, "x-sql-datatype": name}).fault
    assert fault is not None
    assert "does not hold what its JSON type allows" in fault


@pytest.mark.parametrize(
    ("stored", "definition", "name", "expected"),
    [
        ("smallint", INTEGER, "smallint", None),
        ("smallint", INTEGER, "integer", "integer"),
        ("bigint", INTEGER, "smallint", None),
        ("bigint", INTEGER, "numeric", None),
        ("bigint", INTEGER, "text", None),
        ("bigint", NUMBER, "real", "numeric"),
        ("numeric", NUMBER, "real", None),
        ("numeric", NUMBER, "numeric(10,2)", None),
        ("real", NUMBER, "real", None),
        ("text", TEXT, "uuid", None),
        ("character varying(20)", TEXT, "varchar(20)", None),
        ("timestamp with time zone", INSTANT, "timestamp", None),
        ("timestamp without time zone", INSTANT, "timestamp", None),
    ],
)
def test_a_named_type_is_of_new_columns_and_widens_none_beyond_its_json_type(
    stored: str, definition: dict[str, Any], name: str, expected: str | None
) -> None:
    assert widened_to(stored, column({**definition, "x-sql-datatype": name})) == expected


# -- encodings --------------------------------------------------------------------------------------------------------


def test_a_text_that_stands_for_bytes_is_bytea_where_the_setting_says_so() -> None:
    for encoding in ("base64", "base16"):
        assert column({**TEXT, "contentEncoding": encoding}).type == "bytea"
        assert column({**TEXT, "contentEncoding": encoding}, ColumnTypes()).type == "text"
    assert column({**TEXT, "contentEncoding": "quoted-printable"}).type == "text"
    assert column({"type": "object", "contentEncoding": "base64"}).type == "jsonb"


def test_columns_of_texts_that_exist_stay_what_they_are() -> None:
    asked = column({**TEXT, "contentEncoding": "base64"})
    assert [widened_to(stored, asked) for stored in ("text", "bytea", "jsonb")] == [None, None, None]


@pytest.mark.parametrize(
    ("text", "encoding", "expected"),
    [
        ("aGVsbG8=", "base64", b"hello"),
        ("aGVs\r\nbG8=\n", "base64", b"hello"),
        ("", "base64", b""),
        ("68656C6c6f", "base16", b"hello"),
        ("aGVsbG8", "base64", None),
        ("aGVsb-8_", "base64", None),
        ("aGVsbG8=rest", "base64", None),
        ("hello!", "base64", None),
        ("6865zz", "base16", None),
        ("686", "base16", None),
        ({"a": 1}, "base64", None),
        ("\u00e4\u00e4\u00e4\u00e4", "base64", None),
    ],
)
def test_texts_are_decoded_strictly(text: object, encoding: str, expected: bytes | None) -> None:
    assert decoded(text, encoding) == expected
