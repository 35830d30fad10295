"""Types of new columns that a SCHEMA or a setting asks for, beside those of its JSON types.

`x-sql-datatype` names a type; `contentEncoding` says that a text stands for bytes; bounds say how narrow an integer may
be. All of them are about new columns: one that exists keeps its type as long as it holds what comes. A column that was
made so is, from then on, like one of another tool's table, and is widened where a value needs it (`model.arrival`).
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from msgspec import Struct

from target_eventgen.model.tables import WIDER, Column, postgres_type, widened

ENCODINGS: Final[Mapping[str, Callable[[str], bytes]]] = {
    "base64": lambda text: base64.b64decode(text, validate=True),
    "base16": bytes.fromhex,
}
"""For each `contentEncoding` that is read, how a text without white space becomes bytes."""

_INSTANT: Final = "timestamp with time zone"
_NUMBERS: Final = frozenset({"bigint", "numeric"})
_HELD: Final[Mapping[str, frozenset[str]]] = {
    "smallint": frozenset({"bigint"}),
    "integer": frozenset({"bigint"}),
    "bigint": frozenset({"bigint"}),
    "numeric": _NUMBERS,
    "real": _NUMBERS,
    "double precision": _NUMBERS,
    "boolean": frozenset({"boolean"}),
    "date": frozenset({"date"}),
    "time without time zone": frozenset({"time without time zone"}),
    "time with time zone": frozenset({"time without time zone"}),
    "timestamp without time zone": frozenset({_INSTANT}),
    _INSTANT: frozenset({_INSTANT}),
    "uuid": frozenset({"uuid", "text"}),
    "text": frozenset({*WIDER}),
    "character varying": frozenset({"text", "uuid"}),
    "jsonb": frozenset({*WIDER, "jsonb"}),
}
"""The types that `x-sql-datatype` may name, and which types of JSON's each of them holds."""

_ALSO: Final[Mapping[str, str]] = {
    "int2": "smallint",
    "int": "integer",
    "int4": "integer",
    "int8": "bigint",
    "decimal": "numeric",
    "float4": "real",
    "float8": "double precision",
    "float": "double precision",
    "bool": "boolean",
    "time": "time without time zone",
    "timetz": "time with time zone",
    "timestamp": "timestamp without time zone",
    "timestamptz": _INSTANT,
    "varchar": "character varying",
    "string": "text",
    "json": "jsonb",
}
"""Other names of theirs."""

_NAMED: Final = re.compile(r"([a-z0-9]+(?: [a-z]+)*)(?: ?\( ?(\d{1,4}) ?(?:, ?(\d{1,4}) ?)?\))?")
_WITH_LENGTH: Final = frozenset({"numeric", "character varying"})

_BOUNDED: Final = (("smallint", 15), ("integer", 31), ("bigint", 63))
"""Integer types, and the bits of their numbers beside the sign."""


class ColumnTypes(Struct, frozen=True):
    """What decides the types of new columns.

    Attributes:
        decodes: whether texts with a `contentEncoding` become bytea.
        bounded: whether integers are as narrow as their bounds allow.
        named: whether `x-sql-datatype` is heeded.
    """

    decodes: bool = False
    bounded: bool = False
    named: bool = True

    def column(self, stream: str, name: str, definition: Any) -> Column:
        """Return the column for a property; with a fault, where `x-sql-datatype` names a type that is none for it.

        Args:
            stream: the stream's name.
            name: the property's.
            definition: its JSON Schema.
        """
        natural = postgres_type(definition)
        given: Mapping[str, Any] = definition if isinstance(definition, dict) else {}
        encoding = given.get("contentEncoding")
        encoding = encoding if natural == "text" and encoding in ENCODINGS else None
        asked = given.get("x-sql-datatype") if self.named else None
        if asked is not None and not _only_null(given):
            type_, fault = _named(asked, natural)
            fault = fault and f'stream "{stream}", property "{name}": {fault}'
            return Column(name, type_, natural=natural if type_ != natural else None, encoding=encoding, fault=fault)
        if encoding is not None and self.decodes:
            return Column(name, "bytea", natural=natural, encoding=encoding)
        if self.bounded and natural == "bigint":
            type_ = _bounded(given)
            # Where bigint is too narrow for the bounds, nothing else is natural.
            return Column(name, type_, natural=natural if type_ in {"smallint", "integer"} else None)
        return Column(name, natural, encoding=encoding)


def _only_null(definition: Mapping[str, Any]) -> bool:
    return definition.get("type") in ("null", ["null"])


def _named(asked: Any, natural: str) -> tuple[str, str | None]:
    """Return the type that `x-sql-datatype` names, as Postgres spells it, or the natural one and why it is none.

    None of the name itself gets into SQL.
    """
    match = _NAMED.fullmatch(" ".join(asked.lower().split())) if isinstance(asked, str) else None
    type_, length, scale = match.groups() if match else ("", None, None)
    type_ = _ALSO.get(type_, type_)
    if type_ not in _HELD or (length is not None and type_ not in _WITH_LENGTH):
        return natural, (
            f'there is no x-sql-datatype "{str(asked)[:80]}" here; it may be {", ".join(_HELD)}, or numeric(p,s); '
            "correct it in the tap, or set sql_datatypes to ignore, which takes the type of the property's JSON type"
        )
    if natural not in _HELD[type_]:
        return natural, (
            f'x-sql-datatype "{str(asked)[:80]}" does not hold what its JSON type allows, which is {natural}; '
            "correct one of them in the tap, or set sql_datatypes to ignore"
        )
    if length is None:
        return type_, None
    if type_ == "numeric":
        return f"numeric({int(length)},{int(scale or 0)})", None
    return f"{type_}({int(length)})", None


def _bounded(definition: Mapping[str, Any]) -> str:
    """Return the narrowest type of an integer that holds both of its bounds; bigint where one is missing."""
    least, most = _bound(definition, "minimum", math.ceil, 1), _bound(definition, "maximum", math.floor, -1)
    for type_, bits in _BOUNDED:
        if least is not None and most is not None and -(2**bits) <= least and most < 2**bits:
            return type_
    _, bits = _BOUNDED[-1]
    within = (least is None or -(2**bits) <= least) and (most is None or most < 2**bits)
    return "bigint" if within else "numeric"


def _bound(definition: Mapping[str, Any], name: str, rounded: Callable[[Any], int], inwards: int) -> int | None:
    """Return the integer that a bound allows last; draft 4 says of an exclusive one with true that it is."""
    strict = definition.get(f"exclusive{name.capitalize()}")
    found: list[int] = []
    for value, is_strict in ((definition.get(name), strict is True), (None if strict is True else strict, True)):
        if not isinstance(value, (int, float, Decimal)) or isinstance(value, bool) or not math.isfinite(value):
            continue
        bound = rounded(value)
        found.append(bound + inwards if is_strict and bound == value else bound)
    if not found:
        return None
    return max(found) if inwards > 0 else min(found)


def widened_to(stored: str, column: Column) -> str | None:
    """Return the type that an existing column must get for its SCHEMA; None where it may stay.

    Args:
        stored: the column's type.
        column: as a new column for the SCHEMA would be.
    """
    if column.natural is None:
        return widened(stored, column.type)
    if stored == column.type:
        return None
    wider, natural = WIDER.get(column.type, ()), column.natural
    if stored in wider or (column.type in WIDER.get(stored, ()) and natural in wider):
        return None if stored in wider else column.type
    return widened(stored, natural)


def decoded(text: Any, encoding: str) -> bytes | None:
    """Return the bytes of a text; None where it is not in the encoding."""
    if not isinstance(text, str):
        return None
    try:
        return ENCODINGS[encoding]("".join(text.split()))
    except (binascii.Error, ValueError):
        return None
