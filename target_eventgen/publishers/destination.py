"""Where in a broker an event goes: a name that may hold what the event says of itself.

Of an event a name may hold `{type}`, `{stream}`, `{source}`, and parts of its key, `{key.NAME}`. A part that is
missing, null or empty makes no name: the event is refused, since a name without it would be another one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from target_eventgen.publishers.cloudevent import CloudEvent
from target_eventgen.publishers.protocol import Failed

_PART: Final = re.compile(r"\{([^{}]*)\}")
_PARTS: Final = ("type", "stream", "source")

_decode_key: Final = msgspec.json.Decoder(dict[str, Any]).decode


class MissingPartError(Exception):
    """An event lacks what a name is to hold; the text says what, and no value of the event."""


def check(setting: str, template: str) -> None:
    """Refuse a name that no event could have.

    Raises:
        ValueError: it is empty, or holds something else in braces than what an event has.
    """
    if not template.strip():
        raise ValueError(f"{setting} is empty")
    if set("{}") & set(_PART.sub("", template)):
        raise ValueError(f"{setting} has a brace that is not closed or not opened")
    if unknown := [part for part in _PART.findall(template) if part not in _PARTS and not _key_name(part)]:
        raise ValueError(
            f"{setting} may hold {{type}}, {{stream}}, {{source}} and parts of the key such as {{key.id}}, and nothing else in "
            f"braces: {{{unknown[0]}}} is none of them"
        )


def has_parts(template: str) -> bool:
    """Return whether a name depends on the event."""
    return _PART.search(template) is not None


def destination(template: str, event: CloudEvent) -> str:
    """Return the name with what it holds of the event.

    Raises:
        MissingPartError: the event lacks a part.
    """
    if "{" not in template:
        return template
    if template == "{type}":  # by far the most frequent
        return event.type
    key: Mapping[str, Any] | None = None
    parts: dict[str, str] = {}
    for part in _PART.findall(template):
        if name := _key_name(part):
            key = (_decode_key(event.origin.key) if event.origin.key else {}) if key is None else key
            parts[part] = _text(key.get(name))
        else:
            parts[part] = event.origin.stream if part == "stream" else getattr(event, part)
        if not parts[part]:
            raise MissingPartError(f"{{{part}}} of {template}, which the event doesn't have, or which is empty")
    return _PART.sub(lambda found: parts[found[1]], template)


def placed(what: str, template: str, event: CloudEvent) -> str | Failed:
    """Return the name of an event's topic, subject or the like; a failure for good where the event lacks a part."""
    try:
        return destination(template, event)
    except MissingPartError as error:
        return Failed(f"its {what} needs {error}", permanent=True)


def holds_separator(template: str, event: CloudEvent, separator: str) -> bool:
    """Return whether a part of the key would bring a separator into the name, and so make another name of it."""
    names = [name for part in _PART.findall(template) if (name := _key_name(part))]
    if not names or not event.origin.key:
        return False
    key = _decode_key(event.origin.key)
    return any(separator in _text(key.get(name)) for name in names)


def _key_name(part: str) -> str:
    """Return the name of the key's part that stands in braces, nothing where it is none."""
    return part[4:] if part.startswith("key.") else ""


def _text(value: Any) -> str:
    """Return a value of a key as it stands in a name."""
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
