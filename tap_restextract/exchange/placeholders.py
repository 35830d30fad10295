"""Placeholders in requests: values put in place, not a template language.

`{cursor.updated_at}` alone in a string keeps the value's type; inside a longer string it becomes text, optionally in a
form of its own: `{cursor.updated_at:unix}`, `:unix_ms`, `:iso`, or a strftime form such as `:%Y-%m-%d` (in `timezone`,
or UTC). A mapping with the single key `json` becomes JSON text of what it holds. `{{` and `}}` are braces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import msgspec

from tap_restextract.errors import ConfigurationError
from tap_restextract.values.cursor import EPOCH, NoRankError, is_local, rank
from tap_restextract.values.own_forms import in_form, shown_unit
from tap_restextract.values.zones import instant_rank, local_rank, odd_hour, zone_named

PLACEHOLDER: Final = re.compile(r"\{\{|\}\}|\{(?P<name>[A-Za-z_][\w.\-]*)(?::(?P<form>[^{}]*))?\}")
FORMS: Final = ("unix", "unix_ms", "iso")
_FORM_UNITS: Final = {"unix": "1s", "unix_ms": "1ms", "iso": "1us"}
Scope = Mapping[str, Any]


class OwnForm(NamedTuple):
    """An instant (ISO 8601), and as the API itself writes it."""

    instant: str
    text: str


_encoder: Final = msgspec.json.Encoder(decimal_format="number")


def names(template: Any) -> Iterator[str]:
    """Return every name that the template mentions, such as `cursor.updated_at`."""
    return (match["name"] for match in _mentioned(template) if match["name"])


def forms(template: Any) -> Iterator[str]:
    """Return every form that the template asks for, to be checked before the first request."""
    return (match["form"] for match in _mentioned(template) if match["form"] is not None)


def mentions(template: Any) -> Iterator[tuple[str, str | None]]:
    """Return every name that the template mentions, with the form that it asks for."""
    return ((match["name"], match["form"]) for match in _mentioned(template) if match["name"])


def coarseness(form: str | None) -> str | None:
    """Return the duration that a form cuts a value down to, such as 1d for %Y-%m-%d; None where nothing is cut."""
    if form is None:
        return None
    return _FORM_UNITS.get(form) or shown_unit(form)


def names_zone(form: str | None) -> bool:
    """Return whether a value in this form says which zone it is in, or is counted since 1970."""
    return form is None or form in FORMS or form.endswith(("Z", "+00:00")) or bool(re.search("%[zZs]", form))


def leaves_hole(template: Any, name: str) -> bool:
    """Return whether an empty value of this name would leave a hole in a text: `id > {cursor.id}`, without quotes."""
    if isinstance(template, str):
        found = [match for match in PLACEHOLDER.finditer(template) if match["name"] == name]
        return any(match[0] != template and template[: match.start()][-1:] not in {"'", '"'} for match in found)
    if isinstance(template, (Mapping, list)):
        parts = template.values() if isinstance(template, Mapping) else template
        return any(leaves_hole(part, name) for part in parts)
    return False


def _mentioned(template: Any) -> Iterator[re.Match[str]]:
    if isinstance(template, str):
        yield from PLACEHOLDER.finditer(template)
    elif isinstance(template, (Mapping, list)):
        for value in template.values() if isinstance(template, Mapping) else template:
            yield from _mentioned(value)


def fill(template: Any, scope: Scope, zone: str | None = None) -> Any:
    """Return the template with each placeholder's value in its place.

    Args:
        template: as it is configured.
        scope: the values by their names.
        zone: of instants without an offset, and of strftime forms; UTC where there is none.

    Raises:
        ConfigurationError: for a name that the scope hasn't, or a form that the value hasn't.
    """
    if isinstance(template, Mapping):
        if set(template) == {"json"}:
            return _encoder.encode(fill(template["json"], scope, zone)).decode()
        return {key: fill(value, scope, zone) for key, value in template.items()}
    if isinstance(template, list):
        return [fill(value, scope, zone) for value in template]
    if not isinstance(template, str):
        return template
    whole = PLACEHOLDER.fullmatch(template)
    if whole and whole["name"]:
        value = _value(whole["name"], scope)
        return _as_sent(value) if whole["form"] is None else _formed(value, whole["form"], whole["name"], zone)
    return PLACEHOLDER.sub(lambda match: _text(match, scope, zone), template)


def fill_path(template: str, scope: Scope, zone: str | None = None) -> str:
    """Return the path with each placeholder's value percent-encoded in its place."""
    return PLACEHOLDER.sub(
        lambda match: _text(match, scope, zone) if match["name"] is None else quote(_text(match, scope, zone), safe=""),
        template,
    )


def _text(match: re.Match[str], scope: Scope, zone: str | None) -> str:
    if match["name"] is None:
        return match[0][0]
    value = _value(match["name"], scope)
    return text(_as_sent(value) if match["form"] is None else _formed(value, match["form"], match["name"], zone))


def text(value: Any) -> str:
    """Return a value as a query, a header or a longer string has it: as JSON would write it, without quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _value(name: str, scope: Scope) -> Any:
    if name not in scope:
        known = ", ".join(f"{{{known}}}" for known in sorted(scope)) or "none here"
        raise ConfigurationError([f"the placeholder {{{name}}} has no value; known are {known}"])
    return scope[name]


def _as_sent(value: Any) -> Any:
    return value.text if isinstance(value, OwnForm) else value


def _formed(value: Any, form: str, name: str, zone: str | None) -> Any:
    value = value.instant if isinstance(value, OwnForm) else value
    try:
        seconds = Decimal(rank(value))
    except NoRankError as error:
        raise ConfigurationError(
            [f"the placeholder {{{name}:{form}}} needs an instant or a number of seconds"]
        ) from error
    is_end = name.startswith("until.")
    if zone is not None and is_local(value):
        seconds = Decimal(instant_rank(zone, seconds, latest=is_end))
    if form == "unix":
        return int(seconds.to_integral_value(rounding=ROUND_FLOOR))
    if form == "unix_ms":
        return int((seconds * 1000).to_integral_value(rounding=ROUND_FLOOR))
    try:
        moment = _moment(seconds)
        if zone is not None and form != "iso":
            shown = Decimal(local_rank(zone, seconds))
            odd = None if names_zone(form) else odd_hour(zone, shown)
            # What comes twice bounds nothing: a range begins before the first, and ends behind the last.
            shown = shown if odd is None else Decimal(odd.end if is_end else odd.start - 1)
            return in_form(_moment(shown).replace(tzinfo=zone_named(zone)), form)
    except OverflowError as error:
        raise ConfigurationError(
            [f"the placeholder {{{name}:{form}}} is beyond the year 9999; a number is taken as seconds since 1970"]
        ) from error
    if form == "iso":
        return moment.isoformat(timespec="microseconds" if moment.microsecond else "seconds").replace("+00:00", "Z")
    return in_form(moment, form)


def _moment(seconds: Decimal) -> datetime:
    return EPOCH + timedelta(microseconds=int((seconds * 1_000_000).to_integral_value(rounding=ROUND_FLOOR)))
