"""Ranges of the replication key: what a filter can't tell apart, what a run reads again, and from where to ask."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from tap_restextract.config.streams import Incremental
from tap_restextract.values.cursor import Cursor, floor, precision_of, rank, resolution_of, step_back

EPOCHS: Final = {"s": Decimal(1), "ms": Decimal(1000), "us": Decimal(1_000_000)}


def measure(incremental: Incremental, duration: str) -> Decimal:
    """Return a duration in the replication key's own unit: seconds for instants, `epoch` for counted time."""
    return precision_of(duration) * (EPOCHS[incremental.epoch] if incremental.epoch and not duration.isdigit() else 1)


def window(incremental: Incremental, value: Any) -> Any:
    """Return the first value that the API's filter can't tell from this one: itself, or its multiple of `precision`."""
    return floor(value, measure(incremental, incremental.precision)) if incremental.precision else value


def earliest(incremental: Incremental, mark: Any) -> Any:
    """Return the first value that a run reads again from a bookmark at this one: the mark's window, less the lookback.

    A lookback ends at the initial value: what is before it was never wanted.
    """
    if not incremental.lookback:
        return window(incremental, mark)
    first = step_back(mark, measure(incremental, incremental.lookback))
    least = min(incremental.initial_value or first, mark, key=rank)
    return window(incremental, max(first, least, key=rank))


def cursor_from(incremental: Incremental, value: Any) -> Cursor:
    """Return the cursor with which the API answers all from this value on: one step before it for a filter by >."""
    first = window(incremental, value)
    if incremental.filter != "exclusive":
        return Cursor(first)
    step = measure(incremental, incremental.precision) if incremental.precision else resolution_of(first)
    return Cursor(step_back(first, step))
