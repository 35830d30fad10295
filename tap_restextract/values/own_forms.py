"""Instants in forms of an API's own: read into ISO 8601, and written back as the API writes them.

A form is a strptime form, such as `%d.%m.%Y %H:%M`, or one of two names: `rfc2822` (Tue, 24 Nov 2026 10:00:00 GMT) and
`dotnet` (/Date(1732400000000)/, milliseconds since 1970). ISO 8601 needs no form. What a form doesn't say of the zone,
the instant doesn't either; and one value of a form stands for all moments that the form shows alike: `%H:%M` for a
minute, `%Y-%m` for a month.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from decimal import ROUND_FLOOR, Decimal
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any, Final

from tap_restextract.values.cursor import EPOCH, INSTANT, UNITS, format_like, is_local, precision_of, rank
from tap_restextract.values.zones import instant_rank, local_rank

RFC2822: Final = "rfc2822"
DOTNET: Final = "dotnet"
MAX_CHARACTERS: Final = 100
_OFFSET_AT: Final = len("2026-11-24T10:00:00")
_DOTNET_DATE: Final = re.compile(r"^/Date\((?P<ms>-?\d{1,15})(?:[+-]\d{4})?\)/$")
_MAILED_ZONE: Final = re.compile(r"(?<![-+:\d])\d\d:\d\d(:\d\d)?(?: +(?P<zone>[+-]\d{4}|[A-Za-z]+)(?: +\(.*\))?)?$")
_MAILED_NAMES: Final = frozenset({"UT", "UTC", "GMT", "Z", *(f"{place}{kind}T" for place in "ECMP" for kind in "SD")})
"""The zones that RFC 2822 names; of any other name it says that nobody knows its offset."""
_DIRECTIVE: Final = re.compile(r"%[-_0^#]?([A-Za-z])")
_DIRECTIVE_OR_PERCENT: Final = re.compile("%.")
_DIRECTIVE_UNITS: Final = (
    ("1us", "f"),
    ("1s", "SsTXcr"),
    ("1m", "MR"),
    ("1h", "HIkl"),
    ("1d", "djeDFxaAuwv"),
    ("31d", "mbBhUWV"),
)
MONTH, YEAR = "31d", "366d"
_FIRST_DAYS: Final = {MONTH: (7, "-01"), YEAR: (4, "-01-01")}
"""How many characters of a date are the month, or the year, and how its first day goes on."""
_REMEDY: Final = "write a strptime form such as %d.%m.%Y %H:%M, rfc2822, or dotnet"
_FIRST_MOMENT: Final = datetime.min.replace(tzinfo=timezone.utc)
_LAST_MOMENT: Final = datetime.max.replace(microsecond=0, tzinfo=timezone.utc)
_SAMPLES: Final = tuple(
    datetime.fromisoformat(text) for text in ("1999-12-31T13:45:56.123456", "2004-02-29T00:59:01.000001")
)


@functools.lru_cache(maxsize=256)
def shown_unit(form: str) -> str:
    """Return the duration that a strftime form shows alike: 1d for %Y-%m-%d, `MONTH` and `YEAR` at their longest."""
    letters = {match[1] for match in _DIRECTIVE.finditer(form)}
    return next((unit for unit, written_by in _DIRECTIVE_UNITS if letters & set(written_by)), YEAR)


@functools.lru_cache(maxsize=64)
def coarsest_unit(forms: tuple[str, ...]) -> str:
    """Return the longest duration that one of the forms shows alike."""
    units = ({RFC2822: "1s", DOTNET: "1ms"}.get(form) or shown_unit(form) for form in forms)
    return max(units, key=precision_of)


def first_of_unit(value: str, unit: str) -> str:
    """Return the first instant of the value's second, minute, hour, day, month or year, written as the value is.

    A day, a month or a year without an offset is a date.

    Args:
        value: ISO 8601; units begin by its own clock, whatever the offset.
        unit: a duration that a form shows alike.
    """
    match = INSTANT.match(value)
    assert match is not None
    local = rank(value[: match.start("offset")].rstrip() if match["offset"] else value)
    if unit in _FIRST_DAYS:
        length, rest = _FIRST_DAYS[unit]
        first = Decimal(rank(f"{value[:length]}{rest}"))
    else:
        step = precision_of(unit)
        first = (Decimal(local) / step).to_integral_value(rounding=ROUND_FLOOR) * step
    if match["offset"] is None and precision_of(unit) >= UNITS["d"]:
        return str(format_like(match["date"], first))
    return value if first == local else str(format_like(value, first - (local - rank(value))))


def form_fault(form: str) -> str | None:
    """Return why a text is no form in which an instant is read as it was written; None where it is one."""
    if form in {RFC2822, DOTNET}:
        return None
    if "Z" in _DIRECTIVE.findall(form):
        return "writes the zone's name (%Z), which a date can't be read by; write the name as it stands there, such as UTC, and declare timezone"
    unit = shown_unit(form)
    for sample in _SAMPLES:
        try:
            text = in_form(sample.replace(tzinfo=timezone.utc), form)
            read = datetime.strptime(text, form)  # noqa: DTZ007  what a form doesn't say, the instant doesn't
        except ValueError:
            return f"is no form of an instant; {_REMEDY}"
        if text == form or rank(read.replace(tzinfo=None).isoformat()) != rank(first_of_unit(sample.isoformat(), unit)):
            return (
                f"is no form of an instant, as it takes {text!r} for {read:%Y-%m-%d %H:%M:%S}; {_REMEDY}, which says all from the "
                "year down to its smallest part (%I needs %p)"
            )
    return None


def has_time(form: str) -> bool:
    """Return whether a form says more than the day."""
    return form in {RFC2822, DOTNET} or precision_of(shown_unit(form)) < UNITS["d"]


def instant_of(value: Any, forms: Sequence[str]) -> str | None:
    """Return the value in ISO 8601, by the first form that it has; None where it has none of them.

    It is a day where no form has a time, and has one where any has.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    text = str(value)
    return None if len(text) > MAX_CHARACTERS else _instant_of(text, tuple(forms))


@functools.lru_cache(maxsize=8192)
def _instant_of(text: str, forms: tuple[str, ...]) -> str | None:
    timed = any(map(has_time, forms))
    found = next(filter(None, (_parsed(text.strip(), form) for form in forms)), None)
    match = INSTANT.match(found or text)
    if match is None:
        return None
    if match["time"] is None:
        return f"{match['date']}T00:00:00" if timed else match["date"]
    return found or (text if timed else None)


def _parsed(text: str, form: str) -> str | None:
    """Return an instant in one form in ISO 8601; None where it isn't in it."""
    try:
        if form == DOTNET:
            match = _DOTNET_DATE.match(text)
            moment = match and EPOCH + timedelta(milliseconds=int(match["ms"]))
            return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z" if moment else None
        if form == RFC2822:
            return _mailed(text)
        moment = datetime.strptime(text, form)  # noqa: DTZ007  what a form doesn't say of the zone, the instant doesn't either
    except (ValueError, TypeError, OverflowError):
        return None
    if not has_time(form):
        return moment.date().isoformat()
    whole, digits = moment.replace(microsecond=0).isoformat(), _fraction_digits(text, moment, form)
    named, offset = whole[:_OFFSET_AT], whole[_OFFSET_AT:]
    return f"{named}.{moment.microsecond:06d}"[: _OFFSET_AT + 1 + digits] + offset if digits else whole


def _fraction_digits(text: str, moment: datetime, form: str) -> int:
    """Return how many digits of a second a text has: those of %f that write it as it is, or six."""
    if "%f" not in form:
        return 0
    return next((each for each in range(1, 6) if in_form(moment, form, each) == text), 6)


def in_form(moment: datetime, form: str, fraction_digits: int = 6) -> str:
    """Return a moment in a strftime form: its year with four digits, as strptime wants it, and %f with so many."""
    parts = {"%Y": f"{moment.year:04}", "%f": f"{moment.microsecond:06}"[:fraction_digits]}
    return moment.strftime(_DIRECTIVE_OR_PERCENT.sub(lambda match: parts.get(match[0], match[0]), form))


def _mailed(text: str) -> str | None:
    """Return an instant of RFC 2822 in ISO 8601; None where RFC 2822 knows no offset of its zone."""
    zone = _MAILED_ZONE.search(text)
    if zone is None or (zone["zone"] and zone["zone"][0] not in "+-" and zone["zone"].upper() not in _MAILED_NAMES):
        return None
    moment = parsedate_to_datetime(text)
    local = moment.replace(tzinfo=None).isoformat()
    if zone["zone"] is None:
        return local
    return f"{local}Z" if zone["zone"] in {"GMT", "UT", "Z", "-0000"} else moment.isoformat()


def written(instant: str, form: str, zone: str | None = None) -> str:
    """Return an instant in a form.

    Args:
        instant: ISO 8601.
        form: which.
        zone: of instants without an offset, and of forms without one; UTC where there is none.

    What lies before the year 1, or after 9999, in UTC or in the zone is sent as its first or last moment.
    """
    place = Decimal(rank(instant))
    seconds = Decimal(instant_rank(zone, place)) if zone is not None and is_local(instant) else place
    if form == DOTNET:
        return f"/Date({int((seconds * 1000).to_integral_value(rounding=ROUND_FLOOR))})/"
    if form == RFC2822:
        match = INSTANT.match(instant)
        named = match is not None and (match["offset"] or "Z") in {"Z", "z", "UTC"}
        moment = _moment(seconds)
        return format_datetime(moment, usegmt=True) if named else format_datetime(moment.astimezone(_offset(instant)))
    if "%z" in form:
        shown = _moment(seconds).astimezone(_offset(instant))
    else:
        shown = _moment(place if is_local(instant) or zone is None else Decimal(local_rank(zone, seconds)))
    match = INSTANT.match(instant)
    digits = min(len((match and match["fraction"]) or ""), 6) or 6
    return in_form(shown, form, digits)


def _moment(seconds: Decimal) -> datetime:
    least, most = (Decimal((each - EPOCH).total_seconds()) for each in (_FIRST_MOMENT, _LAST_MOMENT))
    within = min(max(seconds, least), most)
    return EPOCH + timedelta(microseconds=int((within * 1_000_000).to_integral_value(rounding=ROUND_FLOOR)))


def _offset(instant: str) -> timezone:
    match = INSTANT.match(instant)
    digits = re.sub(r"\D", "", (match["offset"] or "") if match else "")
    sign = -1 if match and (match["offset"] or "").startswith("-") else 1
    return timezone(sign * timedelta(hours=int(digits[:2] or 0), minutes=int(digits[2:] or 0)))
