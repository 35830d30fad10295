"""A stream's JSON Schema: declared, taken from an OpenAPI document, or inferred from a sample of records.

A property's kinds are what its values are: boolean, string, date-time, object, array, number, and for whole numbers
`integer` (beyond 2^53, where a float is no longer exact) or `whole` (any other). Whole numbers make a property
`number`, since the next record may have a fraction; but `integer` where the name is a key's or a reference's, or a
value is beyond 2^53, which a target that stores numbers as floats would round.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from typing import Any, Final

from tap_restextract.config.streams import Incremental
from tap_restextract.errors import ConfigurationError
from tap_restextract.plan.plan import Plan
from tap_restextract.values.cursor import INSTANT, NoRankError, rank
from tap_restextract.values.own_forms import has_time
from tap_restextract.values.paths import steps

Schema = dict[str, Any]
MAX_EXACT_FLOAT: Final = 2**53
REFERENCE: Final = re.compile(r"(?:^|_)id$|[a-z0-9]I[dD]$", re.ASCII)
"""Names of properties that refer to something: id, order_id, orderId, orderID."""

WHOLE: Final = re.compile(r"^(0|-?[1-9]\d{0,37})$", re.ASCII)
"""A number as JSON writes it, so that it is the same text again."""

UNTYPED: Final[Schema] = {"type": ["null"]}
"""The definition of a property that only ever was null."""

KINDS: Final = frozenset({"boolean", "string", "object", "array", "number", "integer", "null"})
WIDER: Final = {"whole": ("integer", "number"), "integer": ("number",), "date-time": ("string",)}
"""The kinds that hold values of a kind besides itself."""


def inferred(records: Iterable[Mapping[str, Any]], keys: AbstractSet[str] = frozenset()) -> Schema:
    """Return the narrowest flat schema that each record of the sample fits; every property may be null or missing.

    Args:
        records: the sample.
        keys: the properties that identify or order records: whole numbers stay integers there.
    """
    kinds: dict[str, set[str]] = {}
    for record in records:
        for name in record:
            kinds.setdefault(name, set()).add(kind_of(record[name]))
    properties = {name: described(name, found - {"null"}, keys) for name, found in kinds.items()}
    return {"type": "object", "properties": properties}


def without_records(plan: Plan) -> Schema:
    """Return the schema of a stream of which no record is known: its keys, of no type yet, and whatever else comes."""
    keys = sorted(_required(plan))
    return {"type": "object", "properties": {name: dict(UNTYPED) for name in keys}, "additionalProperties": True}


def is_open(schema: Schema) -> bool:
    """Return whether a schema takes properties that it doesn't name, as one without records does, in a catalog too."""
    return schema.get("additionalProperties") is True


def is_untyped(schema: Schema, plan: Plan) -> bool:
    """Return whether no key of an open schema has a type, as no record is known yet."""
    return is_open(schema) and all(schema["properties"].get(name) == UNTYPED for name in _required(plan))


def is_whole(schema: Schema, plan: Plan) -> bool:
    """Return whether a declared schema is the whole of it: it has each key. Else it is laid over the inferred one."""
    properties = schema.get("properties")
    return not isinstance(properties, dict) or not properties or _required(plan) <= properties.keys()


def laid_over(inferred_schema: Schema, declared: Schema) -> Schema:
    """Return the inferred schema with what is declared in its place."""
    return {**inferred_schema, **declared, "properties": inferred_schema["properties"] | declared["properties"]}


def typed(schema: Schema, records: Iterable[Mapping[str, Any]], plan: Plan, parents: Plan | None) -> Schema:
    """Return an open schema with what its first records are; what has a type already keeps it."""
    found = inferred(records, keys_of(plan))
    declared = {name: each for name, each in schema["properties"].items() if each != UNTYPED}
    generated = {plan.replication_key} - _required(plan)
    declared = {
        name: each for name, each in declared.items() if name not in generated or name not in found["properties"]
    }
    whole = laid_over(laid_over(schema, found), {"properties": declared})
    return completed({key: value for key, value in whole.items() if key != "additionalProperties"}, plan, parents)


def keys_of(plan: Plan) -> frozenset[str]:
    """Return the properties that identify a record, or order it."""
    incremental = plan.stream.incremental
    return _required(plan) | frozenset(filter(None, [incremental.tie_breaker if incremental else None]))


def _required(plan: Plan) -> frozenset[str]:
    """Return the keys that a schema must have: the primary key's, and a replication key that isn't nested."""
    incremental = plan.stream.incremental
    flat = incremental is not None and plan.replication_key == incremental.cursor_path
    return frozenset({*plan.stream.primary_key, *filter(None, [plan.replication_key if flat else None])})


def completed(schema: Schema, plan: Plan, parents: Plan | None = None) -> Schema:
    """Return the schema, with the property of a nested replication key, checked for the keys that the plan needs.

    Raises:
        ConfigurationError: where it has no properties, or lacks a key.
    """
    name = plan.stream.name
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not (properties or is_open(schema)):
        raise ConfigurationError(
            [f"stream {name}: the schema has no properties; declare them, or leave `schema` out to have it inferred"]
        )
    incremental = plan.stream.incremental
    if plan.replication_key and incremental and plan.replication_key != incremental.cursor_path:
        properties = {**properties, plan.replication_key: _nested(schema, plan.replication_key, incremental)}
    if plan.replication_key in properties and incremental and incremental.cursor_formats:
        form = "date-time" if any(map(has_time, incremental.cursor_formats)) else "date"
        properties = {**properties, plan.replication_key: {"type": ["string", "null"], "format": form}}
    if parents is not None:
        declared = parents.stream.schema.get("properties", {}) if isinstance(parents.stream.schema, dict) else {}
        from_parent = {
            f"_{parents.stream.name}_{field}": declared.get(field, {}) for field in plan.stream.include_from_parent
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
    named = ({kinds} if isinstance(kinds, str) else set(kinds or ())) - {"null"}
    if incremental.epoch or (named and named <= {"integer", "number"}):
        return {"type": ["number", "null"]}
    return {"type": ["string", "null"], "format": "date-time"}


def described(name: str, kinds: AbstractSet[str], keys: AbstractSet[str] = frozenset()) -> Schema:
    """Return the definition of a property with values of these kinds, or null."""
    types = {_type(name, kind, kinds, keys) for kind in kinds}
    if "number" in types:
        types -= {"integer"}
    if kinds == {"date-time"}:
        return {"type": ["string", "null"], "format": "date-time"}
    return {"type": [*sorted(types), "null"]}


def _type(name: str, kind: str, kinds: AbstractSet[str], keys: AbstractSet[str]) -> str:
    if kind == "date-time":
        return "string"
    if kind == "whole":
        return "integer" if name in keys or REFERENCE.search(name) or "integer" in kinds else "number"
    return kind


def kinds_in(definition: Any) -> frozenset[str] | None:
    """Return the kinds that a property's definition allows; None where it doesn't say, or not by types alone."""
    named = definition.get("type") if isinstance(definition, dict) else None
    kinds = {named} if isinstance(named, str) else set(named or ())
    if not kinds or not kinds <= KINDS:
        return None
    if "string" in kinds and definition.get("format") == "date-time":
        kinds = kinds - {"string"} | {"date-time"}
    return frozenset(kinds - {"null"})


def typed_key(definition: Any, value: Any) -> Any:
    """Return a key that isn't from a record, such as an event's "12", as the SCHEMA has it, where it can be."""
    kinds = kinds_in(definition) or frozenset()
    if isinstance(value, str) and kinds and kinds <= {"integer", "number"} and WHOLE.match(value):
        return int(value)
    return str(value) if type(value) is int and kinds == frozenset({"string"}) else value


def fits(kind: str, allowed: AbstractSet[str]) -> bool:
    """Return whether a value of this kind is allowed; null always is."""
    return kind == "null" or kind in allowed or not allowed.isdisjoint(WIDER.get(kind, ()))


def kind_of(value: Any) -> str:
    """Return the kind of a value, see above; or null."""
    if isinstance(value, str):
        match = INSTANT.match(value)
        return "date-time" if match and match["time"] and _is_moment(value) else "string"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "whole" if abs(value) <= MAX_EXACT_FLOAT else "integer"
    kinds = {float: "number", Decimal: "number", dict: "object", list: "array"}
    return kinds[type(value)]


def _is_moment(text: str) -> bool:
    """Return whether what is written like an instant is one: 0000-00-00 00:00:00 is none, nor the 30th of February."""
    try:
        rank(text)
    except NoRankError:
        return False
    return True
