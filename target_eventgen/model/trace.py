"""W3C Trace Context: the trace that a record came in, carried on to its events.

An event has it as CloudEvents' extension for distributed tracing has it, the attributes `traceparent` and `tracestate`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

PATTERN: Final = "^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$"
"""The pattern of a traceparent, as Python and Postgres both read it."""

MAX_STATE_CHARACTERS: Final = 512
"""Characters of a tracestate that everybody must be able to carry."""


class Trace(Struct, frozen=True):
    """Where the trace of an event comes from.

    Attributes:
        field: the column that holds a record's own traceparent; None: there is none.
        parent: the traceparent where a record has none; None: its events have none.
        state: the tracestate that goes with `parent`.
    """

    field: str | None = None
    parent: str | None = None
    state: str | None = None


def from_environment(environment: Mapping[str, str], field: str | None) -> Trace | None:
    """Return where traces come from, None where there are none.

    Args:
        environment: its TRACEPARENT and TRACESTATE are those of whatever started this run.
        field: the property of records that holds a traceparent.
    """
    parent = environment.get("TRACEPARENT", "").strip()
    if not re.match(PATTERN, parent):
        return None if field is None else Trace(field)
    state = environment.get("TRACESTATE", "").strip()
    fits = state and len(state) <= MAX_STATE_CHARACTERS and state.isascii() and state.isprintable()
    return Trace(field, parent, state if fits else None)
