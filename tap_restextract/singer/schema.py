"""A stream's JSON Schema: declared, taken from an OpenAPI document, or inferred from a sample of records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from tap_restextract.config.streams import Incremental
from tap_restextract.errors import ConfigurationError
from tap_restextract.plan.plan import Plan
from tap_restextract.values.cursor import INSTANT
from tap_restextract.values.paths import steps

Schema = dict[str, Any]


def inferred(records: Iterable[Mapping[str, Any]]) -> Schema:
    """Return the narrowest flat schema that each record of the sample fits; every property may be null or missing."""
    kinds: dict[str, set[str]] = {}
    for record in records:
        for name, value in record.items():
            kinds.setdefault(name, set()).add(_kind(value))
    return {
        "type": "object",
        "properties": {name: _property(property_kinds - {"null"}) for name, property_kinds in kinds.items()},
    }


def completed(schema: Schema, plan: Plan, parents: Plan | None = None) -> Schema:
    """Return the schema, with the property of a nested replication key, checked for the keys that the plan needs.

    Raises:
        ConfigurationError: where it has no properties, or lacks a key.
    """
    name = plan.stream.name
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not properties:
        raise ConfigurationError(
            [f"stream {name}: the schema has no properties; declare them, or leave `schema` out to have it inferred"]
        )
    incremental = plan.stream.incremental
    if plan.replication_key and incremental and plan.replication_key != incremental.cursor_path:
        properties = {**properties, plan.replication_key: _nested(schema, plan.replication_key, incremental)}
    if parents is not None:
        described = parents.stream.schema.get("properties", {}) if isinstance(parents.stream.schema, dict) else {}
        from_parent = {
            f"_{parents.stream.name}_{field}": described.get(field, {}) for field in plan.stream.include_from_parent
        }
        properties = {**from_parent, **properties}
    if plan.emits_deletions:
        # A deletion is a record of its key alone.
        properties = {**properties, "_sdc_deleted_at": {"type": ["string", "null"], "format": "date-time"}}
        schema = {key: value for key, value in schema.items() if key != "required"}
    missing = [
        key for key in (*plan.stream.primary_key, *filter(None, [plan.replication_key])) if key not in properties
    ]
    if missing:
        raise ConfigurationError(
            [
                f"stream {name}: the schema has no property {key!r}, which is a key; add it, or correct primary_key or cursor_path"
                for key in missing
            ]
        )
    return {**schema, "properties": properties}


def _nested(schema: Schema, key: str, incremental: Incremental) -> Schema:
    """Return the property of a nested replication key, by which targets order versions: an instant or a number.

    Never both: a column for both would be a text, in which 10 is older than 9, and a second older than its own half.
    Where the schema doesn't describe the key it is taken for an instant; a number is then refused, with a message.
    """
    described: Any = schema
    for step in (key,) if key in schema["properties"] else steps(incremental.cursor_path) or ():
        properties = described.get("properties") if isinstance(described, dict) else None
        described = properties.get(step) if isinstance(properties, dict) else None
    kinds = described.get("type") if isinstance(described, dict) else None
    named = {kinds} if isinstance(kinds, str) else set(kinds or ())
    if incremental.epoch or (named and named <= {"integer", "number", "null"}):
        return {"type": ["number", "null"]}
    return {"type": ["string", "null"], "format": "date-time"}


def _property(kinds: set[str]) -> Schema:
    if kinds == {"date-time"}:
        return {"type": ["string", "null"], "format": "date-time"}
    kinds = {"string" if kind == "date-time" else kind for kind in kinds}
    if kinds == {"integer", "number"}:
        kinds = {"number"}
    # A property that was only ever null, or of several kinds, is left open: any later value fits it.
    return {"type": [*kinds, "null"]} if len(kinds) == 1 else {}


def _kind(value: Any) -> str:
    if isinstance(value, str):
        match = INSTANT.match(value)
        return "date-time" if match and match["time"] else "string"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    kinds = {int: "integer", float: "number", Decimal: "number", dict: "object", list: "array"}
    return kinds[type(value)]
