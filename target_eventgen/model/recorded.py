"""An event as the outbox holds it."""

from __future__ import annotations

from typing import Final

import msgspec

APPLIED: Final = "applied"
"""The key of `data` that is true in an event which an application of a rule has recorded, and missing in any other."""

UNDONE: Final = "undone"
"""Likewise in an event of what an undo has restored."""


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """An event as it stands in the outbox.

    `data` and `key` are JSON text; `time` is RFC 3339 in UTC, or None. Who doesn't need stream and key leaves them out.
    Events of one `order_key` keep their order; without it, those of one subject.
    """

    sequence: int
    id: str
    source: str
    type: str
    subject: str
    partitionkey: str
    data: str
    time: str | None
    traceparent: str | None = None
    tracestate: str | None = None
    stream: str = ""
    key: str = ""
    order_key: str = ""
