"""Singer messages, and events as a publisher and a reader of the outbox get them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from target_eventgen.model.recorded import Recorded
from target_eventgen.publishers.cloudevent import CloudEvent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PROPERTIES: dict[str, Any] = {
    "id": {"type": "integer"},
    "value": {"type": ["number", "null"]},
    "status": {"type": ["string", "null"]},
    "updated_at": {"type": ["string", "null"], "format": "date-time"},
}
"""Of a subscription."""


def schema(
    stream: str = "subscriptions",
    properties: Mapping[str, Any] | None = None,
    *,
    key: Sequence[str] = ("id",),
    version: str | None = "updated_at",
) -> dict[str, Any]:
    """A SCHEMA message."""
    return {
        "type": "SCHEMA",
        "stream": stream,
        "schema": {"type": "object", "properties": dict(properties or PROPERTIES)},
        "key_properties": list(key),
        "bookmark_properties": [version] if version else [],
    }


def record(stream: str = "subscriptions", **properties: Any) -> dict[str, Any]:
    """A RECORD message."""
    return {"type": "RECORD", "stream": stream, "record": properties}


def at(second: int) -> str:
    """An instant of the first hour of 2026."""
    return f"2026-01-01T00:{second // 60:02}:{second % 60:02}Z"


def version(key: int, second: int, value: float | None, status: str | None = "active") -> dict[str, Any]:
    """A RECORD message: a subscription as it was at this second."""
    return record(id=key, value=value, status=status, updated_at=at(second))


def state(value: Any) -> dict[str, Any]:
    """A STATE message."""
    return {"type": "STATE", "value": value}


def lines(messages: Iterable[Mapping[str, Any] | str]) -> str:
    """Messages as a tap writes them; a text is a line as it is."""
    return "".join((message if isinstance(message, str) else json.dumps(message)) + "\n" for message in messages)


def event(
    number: int, key: str = "412", type_: str = "thing.changed", *, size: int = 0, data: Any = None
) -> CloudEvent:
    """The number-th event of all, of a key; `size` characters of text are in it."""
    new = {"id": key, "number": number, "text": "x" * size}
    return CloudEvent(
        id=f"id-{number}",
        source="target-eventgen/tests",
        type=type_,
        subject=f"things/{key}",
        time="2026-01-01T00:00:05Z",
        partitionkey=key,
        sequence=f"{number:019d}",
        data=msgspec.Raw(json.dumps(data or {"old": None, "new": new, "changed": []}).encode()),
    )


def recorded(data: Any = None, **changes: Any) -> Recorded:
    """An event as the outbox keeps it, with what a test changes of it."""
    values: dict[str, Any] = {
        "sequence": 7,
        "id": "9f",
        "source": "target-eventgen/db",
        "type": "subscription.passed_10000",
        "subject": "subscriptions/42",
        "partitionkey": "subscriptions/42",
        "data": data
        if isinstance(data, str)
        else json.dumps(data or {"old": {"value": 9000}, "new": {"value": 11000}, "changed": ["value"]}),
        "time": "2026-01-01T00:00:05.000000Z",
    }
    return Recorded(**{**values, **changes})
