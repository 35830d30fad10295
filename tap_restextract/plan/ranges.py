"""Ranges of the replication key: what a filter can't tell apart, what a run reads again, and from where to ask."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from typing import Any, Final

from tap_restextract.config.streams import Incremental
from tap_restextract.values.cursor import (
    INSTANT,
    Cursor,
    NoRankError,
    Rank,
    floor,
    format_like,
    is_local,
    kind_and_rank,
    precision_of,
    rank,
    resolution_of,
    step_back,
)
from tap_restextract.values.own_forms import coarsest_unit, first_of_unit, has_time
from tap_restextract.values.zones import OddHour, instant_rank, local_rank, odd_hour, settled_rank

EPOCHS: Final = {"s": Decimal(1), "ms": Decimal(1000), "us": Decimal(1_000_000)}
PLAUSIBLE_SECONDS: Final = (315_532_800, 4_102_444_800)
"""1980 to 2100: a number that counts time within them in one unit counts time outside of them in every other."""
SECONDS_A_YEAR: Final = 31_556_952
SECONDS_TO_YEAR_10000: Final = 253_402_300_800


def counts_no_time(incremental: Incremental) -> bool:
    """Return whether the first value that is read is a number that isn't declared to count time."""
    value = incremental.initial_value
    return value is not None and incremental.epoch is None and kind_and_rank(value)[0] == "number"


def measure(incremental: Incremental, duration: str) -> Decimal:
    """Return a duration in the replication key's own unit: seconds for instants, `epoch` for counted time."""
    return precision_of(duration) * (EPOCHS[incremental.epoch] if incremental.epoch and not duration.isdigit() else 1)


def counted_unit(number: Rank) -> str | None:
    """Return the unit in which a number counts a time from 1980 to 2100; None where it does so in none."""
    first, last = PLAUSIBLE_SECONDS
    return next((unit for unit, count in EPOCHS.items() if first * count <= number < last * count), None)


def counted_time(number: Rank, unit: str) -> str:
    """Return the day, or beyond the year 9999 the year, that a number stands for in a unit, for a person to read."""
    seconds = int(Decimal(number) / EPOCHS[unit])
    if seconds < SECONDS_TO_YEAR_10000:
        return str(format_like("1970-01-01T00:00:00Z", seconds))[:10]
    return f"the year {max(10_000, 1970 + seconds // SECONDS_A_YEAR)}"


def unit_beyond(incremental: Incremental, value: Any) -> str | None:
    """Return the unit in which a value is a time, where `epoch` makes it one so far ahead that nothing is after it."""
    if incremental.epoch is None:
        return None
    try:
        kind, number = kind_and_rank(value)
    except NoRankError:
        return None
    unit = counted_unit(number) if kind == "number" else None
    return unit if unit is not None and EPOCHS[unit] > EPOCHS[incremental.epoch] else None


def window(incremental: Incremental, value: Any) -> Any:
    """Return the first value that the API's filter can't tell from this one: itself, or its multiple of `precision`.

    So is what `cursor_formats` write alike: the minute, or the month, in which the value lies. An hour that a zone's
    clocks repeat, or leave out, is no bound: it begins right before itself.
    """
    first = floor(value, measure(incremental, incremental.precision)) if incremental.precision else value
    if incremental.cursor_formats:
        first = first_shown(incremental, first)
    if incremental.timezone is None or (odd := _odd_hour(incremental, first)) is None:
        return first
    return format_like(first, odd.start - least_step(incremental, first))


def first_shown(incremental: Incremental, value: Any) -> Any:
    """Return the first instant that `cursor_formats` write as they write this one; the value itself without them."""
    if not incremental.cursor_formats or not isinstance(value, str) or INSTANT.match(value) is None:
        return value
    return first_of_unit(value, coarsest_unit(tuple(incremental.cursor_formats)))


def past_odd_hour(incremental: Incremental, value: Any) -> Any:
    """Return a range's end, which isn't in an hour that a zone's clocks repeat, or leave out, but behind it."""
    odd = None if incremental.timezone is None else _odd_hour(incremental, value)
    if odd is None:
        return value
    step = resolution_of(value)  # a date stays a date
    return format_like(value, (Decimal(odd.end) / step).to_integral_value(rounding=ROUND_CEILING) * step)


def least_step(incremental: Incremental, value: Any) -> Decimal:
    """Return the least distance that a filter can tell, in the replication key's own unit."""
    least = measure(incremental, incremental.precision) if incremental.precision else resolution_of(value)
    if not incremental.cursor_formats or not isinstance(value, str):
        return least
    return max(least, precision_of(coarsest_unit(tuple(incremental.cursor_formats))))


def clock_rank(incremental: Incremental, like: Any, second: Rank) -> Rank:
    """Return the rank before which nothing comes from a second on, for values that are written like this one.

    Args:
        incremental: facts.
        like: a value of the replication key.
        second: since 1970, UTC.
    """
    if incremental.timezone is not None and is_local(like):
        return settled_rank(incremental.timezone, second)
    return second * EPOCHS[incremental.epoch or "s"]


def _odd_hour(incremental: Incremental, value: Any) -> OddHour | None:
    assert incremental.timezone is not None
    if incremental.cursor_formats and not any(map(has_time, incremental.cursor_formats)):
        return None  # a day is one value, whatever its clocks do
    return odd_hour(incremental.timezone, rank(value)) if is_local(value) else None


def earliest(incremental: Incremental, mark: Any) -> Any:
    """Return the first value that a run reads again from a bookmark at this one: the mark's window, less the lookback.

    A lookback ends at the initial value: what is before it was never wanted.
    """
    if not incremental.lookback:
        return window(incremental, mark)
    first = step_back(mark, measure(incremental, incremental.lookback))
    if incremental.timezone is not None and is_local(mark):
        # By the clock on the wall an hour that is left out would be one of the lookback.
        instant = instant_rank(incremental.timezone, rank(mark)) - measure(incremental, incremental.lookback)
        first = format_like(mark, local_rank(incremental.timezone, instant))
    least = min(incremental.initial_value or first, mark, key=rank)
    return window(incremental, max(first, least, key=rank))


def cursor_from(incremental: Incremental, value: Any) -> Cursor:
    """Return the cursor with which the API answers all from this value on: one step before it for a filter by >."""
    first = window(incremental, value)
    if incremental.filter != "exclusive":
        return Cursor(first)
    return Cursor(window(incremental, step_back(first, least_step(incremental, first))))


def is_same_place(one: Cursor, other: Cursor) -> bool:
    """Return whether two cursors ask from the same value on, in whatever writing: 00:00:01.0 is 00:00:01.00."""
    return one.value == other.value or rank(one.value) == rank(other.value)
