"""What histories are made of: the rules that watch them, and the values that are sent, with what each of them means."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

RULES: list[dict[str, Any]] = [
    {"type": "created", "stream": "things", "on": "created"},
    {"type": "entered", "stream": "things", "enters": "value > 10"},
    {"type": "left", "stream": "things", "leaves": "value > 10"},
    {"type": "changed", "stream": "things", "changes": ["status"]},
    {"type": "updated", "stream": "things", "on": "updated"},
    {"type": "doubled", "stream": "things", "when": "new.value >= 2 * old.value"},
    {"type": "deleted", "stream": "things", "on": "deleted"},
    {"type": "unknown", "stream": "things", "when": "new.value is null and old.value is null"},
]

VERSIONS: dict[str, tuple[dict[str, Any] | None, dict[Any, Any]]] = {
    "none": ({"type": ["integer", "null"]}, {1: 1, 2: 2, 3: 3, None: None}),
    "integer": ({"type": ["integer", "null"]}, {1: 1, 2: 2, 10: 10, None: None}),
    "number": ({"type": ["number", "null"]}, {Decimal("0.1"): 1, Decimal("0.10000000000000000001"): 2, 10: 3}),
    "string": ({"type": ["string", "null"]}, {"": "", "B": "B", "a": "a", "ä": "ä", None: None}),
    "instants": (
        {"type": ["string", "null"]},
        {
            "2026-01-01T10:30:00Z": "2026-01-01T10:30:00",
            "2026-01-01T10:30:00.5Z": "2026-01-01T10:30:00.5",
            "2026-01-01T12:30:00.750+02:00": "2026-01-01T10:30:00.75",
            "2026-01-01T11:00:00+01:00": "2026-01-01T10:00:00",
            "tomorrow": "tomorrow",
            None: None,
        },
    ),
    "words": ({"type": ["string", "null"]}, {"10": "10", "9": "9", "a": "a", None: None}),
    "finer": (
        {"type": ["string", "null"], "format": "date-time"},
        {
            "2026-01-01T10:30:00.00000005Z": 1,
            "2026-01-01T12:30:00.0000001+02:00": 2,
            "2026-01-01T10:30:00.0000007Z": 4,
            "2026-01-01T10:30:00.000001Z": 5,
            "2026-01-01T10:30:00.0000006Z": 3,
            None: None,
        },
    ),
    "date-time": (
        {"type": ["string", "null"], "format": "date-time"},
        {
            "2026-01-01T10:30:00Z": 2,
            "2026-01-01T12:00:00+02:00": 1,
            "2026-01-01T11:00:00+01:00": 1,
            "2026-01-01T10:30:00.000001Z": 3,
            None: None,
        },
    ),
}
"""By name of a table: its replication key's SCHEMA, and what each value that is sent means."""

UNORDERED: dict[str, frozenset[Any]] = {
    "instants": frozenset({"tomorrow"}),
    "words": frozenset({"10", "9", "a"}),
}
"""By name of a table: the versions that are neither older nor newer than any."""
ORDERS = {"string": "text"}
"""By name of a table: how its versions are declared to be ordered."""
VALUES: dict[Any, Any] = {4: 4, 8: 8, Decimal("8.0"): 8, 16: 16, Decimal("1.6e1"): 16, None: None}
STATUSES: dict[Any, Any] = {"": "", "a": "a", "a\\\n\t": "a\\\n\t", None: None}
DETAILS: list[Any] = [None, {"a": 1, "b": [True, None]}, {"b": [True, None], "a": Decimal("1.0")}, [], "x"]


def in_order(event: tuple[str, int, int]) -> tuple[int, int]:
    """By transition, then in the order of the rules."""
    kind, _, count = event
    return count, [rule["type"] for rule in RULES].index(kind)
