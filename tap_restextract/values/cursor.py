"""Cursors: the replication key's value as the API wrote it, and its rank among others.

The text is kept because it is what goes back to the API, without a digit lost; the rank (a number: seconds since the
epoch for instants, the value itself for numbers) is what is compared, never the text. Instants are ISO 8601 / RFC 3339
with any number of fractional digits; one without an offset is ranked as if it were UTC, as all of them are sent by one
API, in its own zone: `zones` turns a clock's time into such a rank.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection
from datetime import datetime, timedelta, timezone
from decimal import ROUND_FLOOR, Decimal
from typing import Any, Final

from msgspec import Struct

Rank = int | Decimal

INSTANT: Final = re.compile(
    r"^(?P<date>\d{4}-\d\d-\d\d)(?:(?P<sep>[Tt ])(?P<time>\d\d:\d\d(?::\d\d)?)(?:(?<=:\d\d:\d\d)[.,](?P<fraction>\d+))?"
    r"(?P<gap> ?)(?P<offset>[Zz]|[+-]\d\d:?\d\d|[+-]\d\d|UTC)?)?$"
)
NUMBER: Final = re.compile(r"^-?\d+(?:\.\d+)?$")
MAX_CHARACTERS: Final = 1000
"""Of a value that has a rank, and digits before or behind its point: with millions of them it would take hours."""
UNITS: Final = {
    "us": Decimal("0.000001"),
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}
EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
LOCAL_EPOCH: Final = EPOCH.replace(tzinfo=None)
WHOLE_SECOND_CHARACTERS: Final = len("2026-01-31T12:34:56Z")
EARLIEST: Final = int((datetime.min.replace(tzinfo=timezone.utc) - EPOCH).total_seconds())


class Cursor(Struct, frozen=True):
    """A position in the order: the replication key's value and, where the cursor is compound, the tie-breaker's."""

    value: Any
    tie: Any = None


class NoRankError(ValueError):
    """The value is neither an instant nor a number, so nothing can be before or after it."""


@functools.lru_cache(maxsize=8192)
def _rank_of_text(text: str) -> tuple[str, Rank]:
    # As nearly all are written: the regular expression costs several times as much.
    if len(text) == WHOLE_SECOND_CHARACTERS and text[4::3] == "--T::Z" and text[11:13] != "24":
        try:
            since = datetime.fromisoformat(text[:-1]) - LOCAL_EPOCH
        except ValueError:  # a leap second, or no instant
            pass
        else:
            return "instant", since.days * 86_400 + since.seconds
    if len(text) > MAX_CHARACTERS:
        raise NoRankError
    match = INSTANT.match(text)
    if match is None:
        if not NUMBER.match(text):
            raise NoRankError
        number = Decimal(text)
        return "number", int(number) if number == number.to_integral_value() else number
    date, _, time, fraction, _, offset = match.groups()
    try:
        seconds = _midnight(date) + _of_day(time or "00:00") - _offset(offset)
    except ValueError as error:
        raise NoRankError from error
    return "instant", seconds + Decimal(f"0.{fraction}") if fraction and int(fraction) else seconds


def _of_day(time: str) -> int:
    hours, minutes, seconds = int(time[:2]), int(time[3:5]), int(time[6:] or 0)
    if hours > 23 or minutes > 59 or seconds > 60:  # the 60th is a leap second
        raise ValueError(time)
    return hours * 3600 + minutes * 60 + seconds


@functools.lru_cache(maxsize=1024)
def _midnight(date: str) -> int:
    return (datetime.fromisoformat(date).replace(tzinfo=timezone.utc) - EPOCH).days * 86_400


def _offset(text: str | None) -> int:
    if text is None or text in {"Z", "z", "UTC"}:
        return 0
    hours, minutes = int(text[1:3]), int(text[-2:]) if len(text) > len("+hh") else 0
    return (-1 if text[0] == "-" else 1) * (hours * 3600 + minutes * 60)


def kind_and_rank(value: Any) -> tuple[str, Rank]:
    """Return the value's kind ("instant" or "number") and its rank.

    Raises:
        NoRankError: for a value that is neither.
    """
    if isinstance(value, str):
        return _rank_of_text(value)
    if isinstance(value, bool) or not isinstance(value, (int, Decimal, float)):
        raise NoRankError
    if isinstance(value, int):
        return "number", value
    number = Decimal(str(value)) if isinstance(value, float) else value
    if abs(number.adjusted()) > MAX_CHARACTERS or len(number.as_tuple().digits) > MAX_CHARACTERS:
        raise NoRankError
    return "number", number


def is_local(value: Any) -> bool:
    """Return whether the value is an instant without an offset, or a date: a time of a zone that it doesn't name."""
    match = INSTANT.match(value) if isinstance(value, str) else None
    return match is not None and match["offset"] is None


def rank(value: Any) -> Rank:
    """Return the value's rank: seconds since the epoch (UTC) for an instant, itself for a number."""
    return kind_and_rank(value)[1]


def ranks_of_texts(texts: Collection[str]) -> dict[str, Rank]:
    """Return the ranks of many texts, each by its text.

    Raises:
        NoRankError: where one is neither an instant nor a number.
    """
    return {text: each for text, (_, each) in zip(texts, map(_rank_of_text, texts), strict=True)}


def precision_of(text: str) -> Decimal:
    """Return a duration such as 1s, 500ms or 1d in seconds; a bare number in the values' own unit."""
    digits = text.rstrip("usmhd")
    return Decimal(digits) * UNITS.get(text[len(digits) :], Decimal(1))


def resolution_of(value: Any) -> Decimal:
    """Return the smallest step that the value's form shows: 0.001 for milliseconds, 60 for 10:30, 1 for integers."""
    if isinstance(value, str) and (match := INSTANT.match(value)):
        if match["time"] is None:
            return UNITS["d"]
        if len(match["time"]) == len("hh:mm"):
            return UNITS["m"]
        return Decimal(1).scaleb(-len(match["fraction"] or ""))
    exponent = Decimal(str(value)).as_tuple().exponent
    return Decimal(1).scaleb(min(int(exponent), 0))


def step_back(value: Any, step: Decimal) -> Any:
    """Return the value one step earlier, written as the value is written; nothing is before the year 1."""
    return format_like(value, rank(value) - step)


def floor(value: Any, step: Decimal) -> Any:
    """Return the latest multiple of the step that isn't after the value, written as the value is written."""
    steps = (Decimal(rank(value)) / step).to_integral_value(rounding=ROUND_FLOOR)
    return format_like(value, steps * step)


def format_like(like: Any, value: Rank) -> Any:
    """Return a rank in the writing of another value: its separator, offset and at least its fractional digits."""
    if not isinstance(like, str):
        whole = Decimal(value) == Decimal(value).to_integral_value()
        return int(value) if whole else Decimal(value)
    match = INSTANT.match(like)
    if match is None:
        return f"{Decimal(value):f}"
    offset = _offset(match["offset"])
    local = Decimal(value) + offset
    seconds = int(local.to_integral_value(rounding=ROUND_FLOOR))
    if seconds < EARLIEST:
        local, seconds = Decimal(EARLIEST), EARLIEST
    fraction = local - seconds
    moment = EPOCH + timedelta(seconds=seconds)
    if match["time"] is None and not seconds % 86400 and not fraction:
        return moment.date().isoformat()
    digits = max(len(match["fraction"] or ""), -int(fraction.normalize().as_tuple().exponent) if fraction else 0)
    tail = f".{int(fraction.scaleb(digits)):0{digits}d}" if digits else ""
    date, time = moment.date().isoformat(), f"{moment:%H:%M:%S}"  # %Y would write the year 999 with three digits
    return f"{date}{match['sep'] or 'T'}{time}{tail}{match['gap'] or ''}{match['offset'] or ''}"
