"""Durations: `30d` and `P30D` are the same; one parser for every setting that is one.

Settings hold the short form (a whole number and one unit), so that nothing after the configuration reads another one. A
bare number is a duration only where it may count in the replication key's own unit (`step`, `precision`); elsewhere its
unit would be a guess, and is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

SHORT: Final = r"\d+(ms|us|s|m|h|d|D)"
ISO: Final = (
    r"P(?=[\dT])(\d{1,12}[Ww])?(\d{1,12}[Dd])?(T(?=\d)(\d{1,12}[Hh])?(\d{1,12}[Mm])?(\d{1,12}([.,]\d{1,6})?[Ss])?)?"
)
DURATION: Final = rf"^({SHORT}|{ISO})$"
DURATION_OR_NUMBER: Final = rf"^(\d+|{SHORT}|{ISO})$"

INCREMENTAL_DURATIONS: Final = ("precision", "lag", "step", "lookback")
NUMBERS_TOO: Final = frozenset({"precision", "step"})

_PART: Final = re.compile(r"(\d+(?:[.,]\d+)?)([A-Za-z])")
_US: Final = {"w": 604_800_000_000, "d": 86_400_000_000, "h": 3_600_000_000, "m": 60_000_000, "s": 1_000_000}
_UNITS: Final = (*((unit, _US[unit]) for unit in "dhms"), ("ms", 1000), ("us", 1))


def plain_duration(value: Any) -> Any:
    """Return a duration in the short form, such as 90m for PT1H30M; any other value as it is."""
    if not isinstance(value, str):
        return value
    if re.fullmatch(r"\d+D", value):
        return value.lower()
    if not re.fullmatch(ISO, value):
        return value
    total = sum(int(Decimal(number.replace(",", ".")) * _US[unit.lower()]) for number, unit in _PART.findall(value))
    unit, size = next(both for both in _UNITS if total % both[1] == 0) if total else ("s", 1)
    return f"{total // size}{unit}"


def with_plain_durations(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of the top or of a stream with each duration in the short form."""
    plain = dict(keys)
    if "sweep_every" in plain:
        plain["sweep_every"] = plain_duration(plain["sweep_every"])
    if isinstance(plain.get("incremental"), Mapping):
        plain["incremental"] = _incremental(plain["incremental"])
    feed = plain.get("feed")
    if isinstance(feed, Mapping):
        plain["feed"] = {
            key: plain_duration(value)
            if key == "retention"
            else _incremental(value)
            if key == "incremental" and isinstance(value, Mapping)
            else value
            for key, value in feed.items()
        }
    return plain


def duration_remedy(value: Any) -> str:
    """Return what to write in place of what is no duration, behind a blank; "" where nothing more can be said."""
    text = str(value)
    if re.fullmatch(r"\d+(\.\d+)?", text) and not isinstance(value, bool):
        return (
            f" A bare number has no unit: write {text}s for seconds"
            if text.isdigit()
            else " Write a whole number of a unit: 1500ms"
        )
    if re.match(r"P[^T]*\d[YyMm]", text):
        return " Months and years have no fixed length: write days, such as 30d or P30D"
    return ""


def _incremental(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts with plain durations, and with whole numbers, which YAML writes without quotes, as texts."""
    plain = {key: plain_duration(value) if key in INCREMENTAL_DURATIONS else value for key, value in keys.items()}
    for key in NUMBERS_TOO & plain.keys():
        if isinstance(plain[key], int) and not isinstance(plain[key], bool) and plain[key] >= 0:
            plain[key] = str(plain[key])
    return plain
