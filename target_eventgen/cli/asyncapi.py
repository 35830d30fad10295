"""The event types as an AsyncAPI 3 document, with the JSON Schema of each type's payload.

A rule's trigger decides which of the two versions an event has: a creation has no old one, a deletion no new one. The
rule's payload decides which columns the versions have; the types are the table's, as Postgres makes JSON of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from typing_extensions import assert_never

from target_eventgen.model.recorded import APPLIED, UNDONE
from target_eventgen.model.rules import (
    Changes,
    Created,
    Deleted,
    Enters,
    Leaves,
    Rule,
    Updated,
    When,
    application_fault,
)
from target_eventgen.model.tables import Column, Table

VERSION: Final = "3.0.0"

_TYPES: Final[Mapping[str, Mapping[str, Any]]] = {
    "smallint": {"type": "integer", "format": "int32"},
    "integer": {"type": "integer", "format": "int32"},
    "bigint": {"type": "integer", "format": "int64"},
    "numeric": {"type": "number"},
    "real": {"type": "number", "format": "float"},
    "double precision": {"type": "number", "format": "double"},
    "boolean": {"type": "boolean"},
    "text": {"type": "string"},
    "character varying": {"type": "string"},
    "uuid": {"type": "string", "format": "uuid"},
    "date": {"type": "string", "format": "date"},
    "timestamp with time zone": {"type": "string", "format": "date-time"},
    "timestamp without time zone": {
        "type": "string",
        "description": "A time without zone, such as 2026-01-01T00:00:05",
    },
    "time without time zone": {"type": "string", "description": "A time of day, such as 09:30:00"},
}
"""The JSON that Postgres makes of a column's values. Values of other types, jsonb among them, may be anything."""


def document(rules: Sequence[Rule], tables: Mapping[str, Table], *, title: str, version: str) -> dict[str, Any]:
    """Return the document, as what is to be written as JSON.

    Args:
        rules: of the configuration.
        tables: that of each stream which a rule watches.
        title: of the document.
        version: of the document, as its author counts.
    """
    types = list(dict.fromkeys(rule.type for rule in rules))
    names = dict(zip(types, _distinct(types), strict=True))
    streams = list(dict.fromkeys(rule.stream for rule in rules))
    channels = dict(zip(streams, _distinct(streams), strict=True))
    types_of = {stream: list(dict.fromkeys(rule.type for rule in rules if rule.stream == stream)) for stream in streams}
    return {
        "asyncapi": VERSION,
        "info": {
            "title": title,
            "version": version,
            "description": "State transitions of rows, each recorded once as a CloudEvent. A redelivery has the same id.",
        },
        "defaultContentType": "application/cloudevents+json",
        "channels": {
            channels[stream]: {
                # Where it is depends on the publisher that carries it.
                "address": None,
                "title": stream,
                "description": f'What happens to the rows of the stream "{stream}". Each key\'s events keep their order.',
                "messages": {
                    names[each]: {"$ref": f"#/components/messages/{names[each]}"} for each in types_of[stream]
                },
            }
            for stream in streams
        },
        "operations": {
            f"tell_{channels[stream]}": {
                "action": "send",
                "channel": {"$ref": f"#/channels/{channels[stream]}"},
                "messages": [
                    {"$ref": f"#/channels/{channels[stream]}/messages/{names[each]}"} for each in types_of[stream]
                ],
            }
            for stream in streams
        },
        "components": {
            "messages": {names[each]: _message(each, [r for r in rules if r.type == each], names) for each in types},
            "schemas": {
                names[each]: _event(each, [rule for rule in rules if rule.type == each], tables) for each in types
            },
        },
    }


def _distinct(names: Iterable[str]) -> list[str]:
    """Return names as keys of a document's components, no two alike."""
    keys: list[str] = []
    for name in names:
        key = base = re.sub(r"[^A-Za-z0-9._-]", "_", name)
        number = 1
        while key in keys:
            number += 1
            key = f"{base}_{number}"
        keys.append(key)
    return keys


def _message(type_: str, rules: Sequence[Rule], names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": type_,
        "title": type_,
        "summary": "; or ".join(f'{_summary(rule)} (stream "{rule.stream}")' for rule in rules),
        "contentType": "application/cloudevents+json",
        "payload": {"$ref": f"#/components/schemas/{names[type_]}"},
    }


def _summary(rule: Rule) -> str:
    """Return when a rule fires, in words."""
    match rule.trigger:
        case Enters(text):
            return f"A row begins to fulfil {_flat(text)}"
        case Leaves(text):
            return f"A row no longer fulfils {_flat(text)}, or is deleted"
        case Changes(columns):
            return f"A row gets another value in {', '.join(columns)}"
        case Created():
            return "A row is created"
        case Updated():
            return "A row gets other content"
        case Deleted():
            return "A row is deleted"
        case When(text):
            return f"Old and new version of a row fulfil {_flat(text)}"
        case _ as never:
            assert_never(never)


def _flat(text: str) -> str:
    return " ".join(text.split())


def _event(type_: str, rules: Sequence[Rule], tables: Mapping[str, Table]) -> dict[str, Any]:
    """Return the JSON Schema of a CloudEvent in its JSON format."""
    data = [_data(rule, tables[rule.stream]) for rule in rules]
    distinct = [schema for index, schema in enumerate(data) if schema not in data[:index]]
    text = {"type": "string", "minLength": 1}
    return {
        "type": "object",
        "title": type_,
        "required": [
            "specversion", "id", "source", "type", "subject", "datacontenttype", "partitionkey", "sequence", "data"
        ],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {**text, "description": "The same for each delivery of one transition, and for no other."},
            "source": {**text, "format": "uri-reference"},
            "type": {"const": type_},
            "subject": {**text, "description": "Stream and key."},
            "time": {"type": "string", "format": "date-time", "description": "The record's own, where it has one."},
            "datacontenttype": {"const": "application/json"},
            "partitionkey": {**text, "description": "The key: events of one key keep their order."},
            "sequence": {
                "type": "string",
                "pattern": "^[0-9]{19}$",
                "description": "Sorts the events of one key by their order.",
            },
            "traceparent": {**text, "description": "The trace that the record came in (W3C Trace Context)."},
            "tracestate": text,
            "data": distinct[0] if len(distinct) == 1 else {"anyOf": distinct},
        },
    }  # fmt: skip


def _data(rule: Rule, table: Table) -> dict[str, Any]:
    """Return the JSON Schema of an event's data."""
    old, new = _sides(rule)
    listed = [column.name for column in table.content if rule.include is None or column.name in _included(rule, table)]
    return {
        "type": "object",
        "required": ["old", "new", "changed"],
        "properties": {
            "old": _version(rule, table, old, "before"),
            "new": _version(rule, table, new, "after"),
            "changed": {
                "type": "array",
                "uniqueItems": True,
                "items": {"enum": listed},
                "description": "Names of the columns in which both versions differ.",
            },
            UNDONE: _UNDONE,
            **({} if application_fault(rule) else {APPLIED: _APPLIED}),
        },
    }


_UNDONE: Final = {"const": True, "description": "The transition is that of a row which an undo has restored."}
_APPLIED: Final = {"const": True, "description": "The rule was applied to a row that was there; `old` is null."}

ALWAYS: Final = "always"
SOMETIMES: Final = "sometimes"
NEVER: Final = "never"


def _sides(rule: Rule) -> tuple[str, str]:
    """Return whether an event of a rule has an old version, and a new one."""
    match rule.trigger:
        case Created():
            return NEVER, ALWAYS
        case Deleted():
            return ALWAYS, NEVER
        case Changes() | Updated():
            return ALWAYS, ALWAYS
        case Enters():
            return SOMETIMES, ALWAYS
        case Leaves():
            return ALWAYS, SOMETIMES
        case When():
            return SOMETIMES, SOMETIMES
        case _ as never:
            assert_never(never)


def _version(rule: Rule, table: Table, there: str, when: str) -> dict[str, Any]:
    """Return the JSON Schema of one of the two versions."""
    if there == NEVER:
        return {"type": "null", "description": f"There is no row {when}."}
    named = _included(rule, table)
    columns = [column for column in table.content if column.name in named]
    row = {
        "type": "object",
        "required": [column.name for column in columns if rule.payload != "changed" or column.name in table.key],
        "properties": {column.name: _value(column, nullable=column.name not in table.key) for column in columns},
    }
    return row if there == ALWAYS else {"anyOf": [row, {"type": "null"}], "description": f"null: no row {when}."}


def _included(rule: Rule, table: Table) -> set[str]:
    """Return the columns that an event of a rule may hold."""
    if rule.payload == "key":
        return set(table.key)
    if rule.include is None:
        return {column.name for column in table.content}
    return {*table.key, *rule.include}


def _value(column: Column, *, nullable: bool) -> dict[str, Any]:
    known = _TYPES.get(column.type)
    if known is None:
        return {
            "description": "Any JSON." if column.type in {"json", "jsonb"} else f"As Postgres writes {column.type}."
        }
    return {**known, "type": [known["type"], "null"]} if nullable else dict(known)
