"""Streams for the tests: one that works, with what a test changes of it."""

from __future__ import annotations

from typing import Any

from tap_restextract.config.reading import read_settings
from tap_restextract.config.streams import StreamSettings
from tap_restextract.plan.plan import Plan, plan_for

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"id": {"type": "integer"}, "updated_at": {"type": "string", "format": "date-time"}},
}
COMPOUND: dict[str, Any] = {
    "params": {"since": "{cursor.updated_at}", "after": "{cursor.id}"},
    "incremental": {"cursor_path": "updated_at", "tie_breaker": "id", "filter": "compound"},
}
INCLUSIVE: dict[str, Any] = {
    "params": {"since": "{cursor.updated_at}"},
    "incremental": {"cursor_path": "updated_at", "tie_breaker": "id"},
}
UNIQUE: dict[str, Any] = {
    "params": {"after": "{cursor.id}"},
    "incremental": {"cursor_path": "id", "filter": "exclusive"},
}


def config(base_url: str = "https://api.example.com/v1", **keys: Any) -> dict[str, Any]:
    """A configuration of one stream with these keys over the working ones."""
    stream = {"name": "things", "path": "/things", "primary_key": ["id"], "schema": SCHEMA, **keys}
    return {"base_url": base_url, "streams": [stream]}


def stream(**keys: Any) -> StreamSettings:
    """The settings of that stream."""
    (only,) = read_settings(config(**keys))
    return only


def plan(**keys: Any) -> Plan:
    """The plan of that stream."""
    only = stream(**keys)
    return plan_for(only, only.schema if isinstance(only.schema, dict) else None)
