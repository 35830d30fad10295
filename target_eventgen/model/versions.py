"""Versions: how the values of a replication key are ordered, where their type alone doesn't say it.

Many taps send instants without saying so (`type: string`, no `format`), and many APIs leave zeros out of a fraction. As
letters `10:30:00Z` sorts after `10:30:00.5Z`, and `12:00:00+02:00` after `11:00:00Z`, so that the newer version would
be dropped as stale. A text that is written as an instant or a date of ISO 8601 (RFC 3339, and its relatives with a
space, a comma, without seconds, minutes of the zone, or a zone, which is UTC then) is therefore compared as this
instant, whatever its number of fractional digits. Of any other text nobody knows how it is ordered (`10` after `9`, or
before it), so it is no version: arrival decides, and nothing is dropped. A property without a type, or behind a
reference, is compared as what it holds: a number, or an instant.

The setting `version_order` says for a stream what nobody could know.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

PATTERN: Final = (
    r"^((?!0000)[0-9]{4}-(?:0[1-9]|1[0-2]))-(0[1-9]|[12][0-9]|3[01])(?:[Tt ]([01][0-9]|2[0-4]):([0-5][0-9])"
    r"(?::([0-5][0-9]|60)(?:[.,]([0-9]+))?)?(?:[Zz]|([+-])([01][0-9]|2[0-4]):?([0-5][0-9])?)?)?$"
)
"""An instant or a date: month, day, hour, minute, second, fraction; sign, hours and minutes of the zone."""

NUMBER: Final = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
"""A text that is a number."""

HELD, INSTANT, NUMERIC, TEXT, ARRIVAL = "held", "instant", "number", "text", "arrival"
ORDERS: Final = (INSTANT, NUMERIC, TEXT, ARRIVAL)
"""The choices of `version_order`; without one, values are ordered as what they hold."""

DROP, KEEP, APPLY = "drop", "keep", "apply"
STALE: Final = (DROP, KEEP, APPLY)
"""The choices of `stale`: what becomes of a record that is older than its row."""

TEXTS: Final = frozenset({"text", "character varying"})
"""Types whose values may be any text."""

FINE: Final = "_eventgen_fine"
"""The column for what a version has beyond microseconds, in seconds; only tables have it to which such versions came.

It stands among the content: a property that no event has, with a value wherever the replication key has one so fine.
"""

FINE_TYPES: Final = frozenset({"timestamp with time zone", "timestamp without time zone", "time without time zone"})
"""Types that Postgres keeps to the microsecond."""

_INSTANT: Final = re.compile(PATTERN)
_NUMBER: Final = re.compile(NUMBER)
_FINER: Final = re.compile(r"^(.*:[0-9]{2}[.,])([0-9]{6})([0-9]*[1-9])0*([^0-9].*)?$", re.DOTALL)

_FINER_PART: Final = re.compile(r":[0-9]{2}[.,][0-9]{7}")
"""What every text has that `_FINER` matches, and few others have."""


def is_finer(value: Any) -> bool:
    """Return whether an instant is a text with more digits than microseconds have."""
    return type(value) is str and len(value) > _SHORTEST_FINER and _FINER.match(value) is not None


def has_finer(values: Sequence[Any]) -> bool:
    """Return whether some value is one of `is_finer`; asked of all at once, since hardly any is."""
    try:
        joined = "\n".join(values)
    except TypeError:  # null, a number, or a record without the property
        joined = "\n".join([value for value in values if type(value) is str])
    may_be = ("." in joined or "," in joined) and _FINER_PART.search(joined) is not None
    return may_be and any(map(is_finer, values))


_SHORTEST_FINER: Final = len("10:00:00.123456")


def split(value: str) -> tuple[str, Decimal | None]:
    """Return an instant to the nearest microsecond, as Postgres keeps it, and how many seconds it is later than that.

    One that would begin another second is cut, not rounded: its text must stay one. Without finer digits the rest is
    None.
    """
    found = _FINER.match(value)
    if found is None:
        return value, None
    head, micros, finer, zone = found.group(1, 2, 3, 4)
    rest = Decimal(f"0.{finer}")
    if finer >= "5" and micros != "999999":
        micros, rest = f"{int(micros) + 1:06}", rest - 1
    return f"{head}{micros}{zone or ''}", rest.scaleb(-6)


def is_ordered(type_: str, order: str) -> Callable[[Any], bool]:
    """Return the function that says of a value, which is not null, whether it can be older or newer than another.

    Args:
        type_: of the column, as Postgres spells it.
        order: `HELD`, or one of `ORDERS`.
    """

    def is_instant(value: Any) -> bool:
        return type(value) is str and _INSTANT.match(value) is not None

    def is_number(value: Any) -> bool:
        if type(value) is str:
            return _NUMBER.match(value) is not None
        return isinstance(value, int | float | Decimal) and type(value) is not bool

    def is_either(value: Any) -> bool:
        return is_number(value) if type(value) is not str else is_instant(value)

    if type_ not in TEXTS and type_ != "jsonb":
        return lambda _: True
    if order == TEXT:
        return lambda _: True
    if order == NUMERIC:
        return is_number
    return is_either if type_ == "jsonb" and order == HELD else is_instant
