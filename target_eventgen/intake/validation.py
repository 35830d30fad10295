"""Records against their SCHEMA, by compiled code.

Formats are not checked here: Postgres parses dates and times when it stores them. But it knows words for some, of which
"now" and "today" would be another instant at each load, and "infinity" is not an instant: these are refused. Numbers
come as Decimal so that no digit is lost; the compiler knows int and float better, so a record that it refuses is asked
about once more with these, since 1.0 is an integer in JSON Schema. The SCHEMA's own numbers are handed to it as such
from the start: with a float for `multipleOf` it computes in decimals, in which 19.99 is a multiple of 0.01.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

import fastjsonschema

from target_eventgen.errors import InvalidRecordError, InvalidSchemaError, first_line
from target_eventgen.model.tables import DATED, MOMENTS, WORDS, may_lack_century, postgres_type

MAX_FLOAT_DIGITS: Final = 400
"""More digits than any float has before its point."""


def compile_validator(stream: str, schema: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], None]:
    """Return a function that raises InvalidRecordError for a record which the schema doesn't allow.

    Raises:
        InvalidSchemaError: the SCHEMA is not a JSON Schema, or refers to another document.
    """

    def refuse(uri: str) -> Any:
        raise InvalidSchemaError(
            f'stream "{stream}": its SCHEMA refers to another document, {uri}; the tap must send it in one piece'
        )

    try:
        check = fastjsonschema.compile(
            _upgrade_draft4(plain(dict(schema))),
            handlers={"http": refuse, "https": refuse},
            use_default=False,
            use_formats=False,
        )
    except InvalidSchemaError:
        raise
    except Exception as error:  # whatever the compiler stumbles on, the schema is the cause
        raise InvalidSchemaError(
            f'stream "{stream}": its SCHEMA is not a valid JSON Schema ({first_line(error)}); correct it in the tap, '
            "or set validate_records to false"
        ) from error

    properties = schema.get("properties")
    types = {name: postgres_type(definition) for name, definition in (properties or {}).items()}
    moments = [(name, type_ in DATED) for name, type_ in types.items() if type_ in MOMENTS]

    def validate(record: Mapping[str, Any]) -> None:
        for name, is_dated in moments:
            if not isinstance(text := record.get(name), str):
                continue
            if is_dated and may_lack_century(text):
                raise InvalidRecordError(
                    f'stream "{stream}", property "{name}": a record has a date there whose year has fewer than four '
                    "digits, which Postgres would guess; write it like 2026-01-31 in the tap or a stream map, or declare "
                    "the property a string without that format"
                )
            if WORDS.search(text):
                raise InvalidRecordError(
                    f'stream "{stream}", property "{name}": a record has a word there that Postgres would take for a date '
                    'or time ("now", "today", "infinity" and the like); send an instant, or null, in the tap or a stream '
                    "map, or declare the property a string without that format"
                )
        try:
            check(record)
        except (fastjsonschema.JsonSchemaValueException, ArithmeticError, TypeError):
            try:
                check(plain(record))
            except fastjsonschema.JsonSchemaValueException as error:
                raise InvalidRecordError(
                    f'stream "{stream}", {_path(error.name)}: a record is not what its SCHEMA allows, '
                    f"which is {_expectation(error)}; correct the SCHEMA or the record in the tap, "
                    "or set validate_records to false"
                ) from error

    return validate


def _upgrade_draft4(schema: Any) -> Any:
    """Return a schema in which draft 4's `{"maximum": 9, "exclusiveMaximum": true}` is `{"exclusiveMaximum": 9}`.

    Many taps over databases write so, without a `$schema` that would say it.
    """
    if isinstance(schema, list):
        return [_upgrade_draft4(item) for item in schema]
    if not isinstance(schema, dict) or "draft-04" in str(schema.get("$schema")):
        return schema
    upgraded = {name: _upgrade_draft4(item) for name, item in schema.items()}
    for bound, exclusive in (("maximum", "exclusiveMaximum"), ("minimum", "exclusiveMinimum")):
        strict = upgraded.get(exclusive)
        if isinstance(strict, bool) and isinstance(upgraded.get(bound, 0), (int, float)):
            del upgraded[exclusive]
            if strict and bound in upgraded:
                upgraded[exclusive] = upgraded.pop(bound)
    return upgraded


def plain(value: Any) -> Any:
    """Return a copy of JSON with each Decimal as an int or float; one beyond any float is infinite."""
    if isinstance(value, Decimal):
        # To write out a number with a huge exponent takes hours.
        return (
            int(value) if value.adjusted() < MAX_FLOAT_DIGITS and value == value.to_integral_value() else float(value)
        )
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def _path(name: str | None) -> str:
    path = (name or "data").removeprefix("data").removeprefix(".")
    return f'property "{path}"' if path else "the record itself"


def _expectation(error: fastjsonschema.JsonSchemaValueException) -> str:
    """Return the rule that was broken; it comes from the SCHEMA, never from the record."""
    if error.rule is None:  # of contentEncoding and contentMediaType there are words alone: must be encoded by base64
        return f"a text that {error.message.removeprefix(str(error.name)).strip()}"
    return f"{error.rule} {error.rule_definition!r}"[:200]
