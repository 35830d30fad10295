"""Zones: instants that an API writes in its own zone, without an offset.

Theory of operation. A local time's rank is what a clock on the wall shows, in seconds since 1970 as if it were UTC, so
that local times compare with each other as they are written. Where a clock is set back, an hour comes twice: a local
time in it is two instants, and what is in it can't be told apart. So that hour is one value: it begins with its first
second, no bound lies in it, and nothing in it is settled before it has come a second time. Where a clock is set
forward, an hour is left out, and no bound lies in it either.
"""

from __future__ import annotations

import functools
import zoneinfo
from datetime import timedelta
from decimal import ROUND_FLOOR, Decimal
from typing import NamedTuple

from tap_restextract.errors import ConfigurationError
from tap_restextract.values.cursor import EPOCH, Rank
from tap_restextract.values.spelling import nearest


class OddHour(NamedTuple):
    """Local times that come twice, or not at all: from `start` on, before `end`; ranks."""

    start: int
    end: int
    is_repeated: bool


@functools.lru_cache(maxsize=64)
def zone_named(name: str) -> zoneinfo.ZoneInfo:
    """Return a zone of the IANA database.

    Raises:
        ConfigurationError: where there is none of this name, or no database.
    """
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        known = zoneinfo.available_timezones()
        if not known:
            raise ConfigurationError(
                [f"timezone {name!r}: this machine has no database of time zones; install it: pip install tzdata"]
            ) from error
        near = nearest(name, sorted(known))
        raise ConfigurationError(
            [
                f"timezone {name!r} is no name of the IANA database, such as Europe/Berlin or UTC"
                + (f"; did you mean {near!r}?" if near else "")
            ]
        ) from error


def first_rank(name: str, local: Rank) -> Rank:
    """Return the rank by which a local time is ordered: a repeated hour's is that of its first second."""
    odd = odd_hour(name, local)
    return odd.start if odd is not None and odd.is_repeated else local


def local_rank(name: str, instant: Rank) -> Rank:
    """Return what the clock on the wall shows at an instant (seconds since 1970, UTC)."""
    return instant + _offset_at(name, _whole(instant))


def settled_rank(name: str, instant: Rank) -> Rank:
    """Return the local time before which nothing will come from an instant (seconds since 1970, UTC) on.

    It is the local time itself, but in an hour that comes twice the last second before that hour, both times.
    """
    local = local_rank(name, instant)
    odd = odd_hour(name, local)
    return local if odd is None else odd.start - 1


def odd_hour(name: str, local: Rank) -> OddHour | None:
    """Return the hour, repeated or left out, in which a local time (its rank) lies; None where it lies in none."""
    return _odd_hour(name, _whole(local))


def instant_rank(name: str, local: Rank, *, latest: bool = False) -> Rank:
    """Return the earlier instant at which the clock on the wall shows a local time (its rank), or the latest one."""
    first, second = _offsets(name, _whole(local))
    return local - (min(first, second) if latest else max(first, second))


@functools.lru_cache(maxsize=8192)
def _odd_hour(name: str, local: int) -> OddHour | None:
    before, after = _offsets(name, local)
    if before == after:
        return None
    repeated = before > after
    early, late = (local - before, local - after) if repeated else (local - after, local - before)
    change = _change(name, early, late)
    return OddHour(change + min(before, after), change + max(before, after), repeated)


@functools.lru_cache(maxsize=8192)
def _offsets(name: str, local: int) -> tuple[int, int]:
    """Return the offsets of a local time, in seconds, where it comes first and where it comes last."""
    try:
        wall = (EPOCH + timedelta(seconds=local)).replace(tzinfo=zone_named(name))
        first, last = wall.utcoffset(), wall.replace(fold=1).utcoffset()
    except OverflowError:  # beyond the years 1 and 9999
        return 0, 0
    assert first is not None
    assert last is not None
    return int(first.total_seconds()), int(last.total_seconds())


def _offset_at(name: str, instant: int) -> int:
    try:
        offset = (EPOCH + timedelta(seconds=instant)).astimezone(zone_named(name)).utcoffset()
    except OverflowError:
        return 0
    assert offset is not None
    return int(offset.total_seconds())


def _change(name: str, early: int, late: int) -> int:
    """Return the first instant of the offset at `late`, which isn't that at `early`."""
    offset = _offset_at(name, late)
    while late - early > 1:
        middle = (early + late) // 2
        if _offset_at(name, middle) == offset:
            late = middle
        else:
            early = middle
    return late


def _whole(seconds: Rank) -> int:
    return seconds if isinstance(seconds, int) else int(Decimal(seconds).to_integral_value(rounding=ROUND_FLOOR))
