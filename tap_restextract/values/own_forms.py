"""Instants in forms of an API's own: read into ISO 8601, and written back as the API writes them.

A form is a strptime form, such as `%d.%m.%Y %H:%M`, or one of two names: `rfc2822` (Tue, 24 Nov 2026 10:00:00 GMT) and
`dotnet` (/Date(1732400000000)/, milliseconds since 1970). ISO 8601 needs no form. What a form doesn't say of the zone,
the instant doesn't either.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from decimal import ROUND_FLOOR, Decimal
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any, Final

from tap_restextract.values.cursor import EPOCH, INSTANT, is_local, rank
from tap_restextract.values.zones import instant_rank, local_rank

RFC2822: Final = "rfc2822"
DOTNET: Final = "dotnet"
MAX_CHARACTERS: Final = 100
_DOTNET_DATE: Final = re.compile(r"^/Date\((?P<ms>-?\d{1,15})(?:[+-]\d{4})?\)/$")
_OF_TIME: Final = re.compile("%[-_0^#]?[HIMSpfcXTRr]")


def is_form(form: str) -> bool:
    """Return whether a text is a form that can be read and written."""
    if form in {RFC2822, DOTNET}:
        return True
    try:
        sample = EPOCH.strftime(form)
        read = datetime.strptime(sample, form)  # noqa: DTZ007  what a form doesn't say, the instant doesn't
    except ValueError:
        return False
    return sample != form and read.year == EPOCH.year


def has_time(form: str) -> bool:
    """Return whether a form says more than the day."""
    return form in {RFC2822, DOTNET} or _OF_TIME.search(form) is not None


def instant_of(value: Any, forms: Sequence[str]) -> str | None:
    """Return the value in ISO 8601, by the first form that it has; None where it has none of them."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    text = str(value)
    return None if len(text) > MAX_CHARACTERS else _instant_of(text, tuple(forms))


@functools.lru_cache(maxsize=8192)
def _instant_of(text: str, forms: tuple[str, ...]) -> str | None:
    for form in forms:
        try:
            found = _parsed(text.strip(), form)
        except (ValueError, TypeError, OverflowError):
            continue
        if found is not None:
            return found
    return text if INSTANT.match(text) else None


def _parsed(text: str, form: str) -> str | None:
    if form == DOTNET:
        match = _DOTNET_DATE.match(text)
        moment = match and EPOCH + timedelta(milliseconds=int(match["ms"]))
        return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z" if moment else None
    if form == RFC2822:
        mailed = parsedate_to_datetime(text)
        is_named = text.endswith(("GMT", "UT", "Z")) or mailed.tzinfo is None
        return f"{mailed.replace(tzinfo=None).isoformat()}Z" if is_named else mailed.isoformat()
    moment = datetime.strptime(text, form)  # noqa: DTZ007  likewise
    if not has_time(form):
        return moment.date().isoformat()
    return moment.isoformat(timespec="microseconds" if "%f" in form else "seconds")


def written(instant: str, form: str, zone: str | None = None) -> str:
    """Return an instant in a form.

    Args:
        instant: ISO 8601.
        form: which.
        zone: of instants without an offset, and of forms without one; UTC where there is none.

    Raises:
        OverflowError: beyond the years 1 and 9999.
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
        return _moment(seconds).astimezone(_offset(instant)).strftime(form)
    local = place if is_local(instant) or zone is None else Decimal(local_rank(zone, seconds))
    return _moment(local).strftime(form)


def _moment(seconds: Decimal) -> datetime:
    return EPOCH + timedelta(microseconds=int((seconds * 1_000_000).to_integral_value(rounding=ROUND_FLOOR)))


def _offset(instant: str) -> timezone:
    match = INSTANT.match(instant)
    digits = re.sub(r"\D", "", (match["offset"] or "") if match else "")
    sign = -1 if match and (match["offset"] or "").startswith("-") else 1
    return timezone(sign * timedelta(hours=int(digits[:2] or 0), minutes=int(digits[2:] or 0)))
