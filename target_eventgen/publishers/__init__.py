"""The kinds of publishers, by type, and how one is made of the settings that it has in the configuration.

A kind from elsewhere is an entry point of the group `target_eventgen.publishers`: its name is the type, its value a
module as `target_eventgen.publishers.protocol` describes it.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast, get_type_hints

import msgspec

from target_eventgen.errors import SettingsError
from target_eventgen.model.spelling import nearest
from target_eventgen.publishers.protocol import Publisher, PublisherModule, Secret

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

GROUP: Final = "target_eventgen.publishers"

KINDS: Final = {
    "file": "target_eventgen.publishers.file",
    "kafka": "target_eventgen.publishers.kafka",
    "nats": "target_eventgen.publishers.nats",
    "rabbitmq": "target_eventgen.publishers.rabbitmq",
    "redis": "target_eventgen.publishers.redis",
    "stdout": "target_eventgen.publishers.stdout",
    "webhook": "target_eventgen.publishers.webhook",
}
"""The module of each type."""


def kinds() -> list[str]:
    """Return all types, those of entry points among them."""
    return sorted({*KINDS, *_entry_points().names})


def faults(name: str, kind: str, given: Mapping[str, Any]) -> list[str]:
    """Return all that is wrong with a publisher's own settings, without any value of them."""
    try:
        module = _module(name, kind)
    except SettingsError as error:
        return list(error.errors)
    return _settings(name, module, given)[1]


def open_publisher(name: str, kind: str, given: Mapping[str, Any]) -> Publisher:
    """Return a publisher.

    Args:
        name: the publisher's in the configuration.
        kind: its type.
        given: its own settings, with its secrets resolved.

    Raises:
        SettingsError: all that is wrong with them, or that its client library is not installed.
    """
    module = _module(name, kind)
    settings, messages = _settings(name, module, given)
    if messages:
        raise SettingsError(messages)
    return module.open_publisher(name, settings)


def fingerprints(name: str, kind: str, given: Mapping[str, Any]) -> tuple[str, ...]:
    """Return fingerprints of where a publisher's events go, of which its type names the places; none if it names none.

    Args:
        name: the publisher's in the configuration.
        kind: its type.
        given: its own settings, with its secrets resolved.
    """
    try:
        module = _module(name, kind)
    except SettingsError:
        return ()
    settings, messages = _settings(name, module, given)
    places = () if messages else getattr(module, "places", lambda _: ())(settings)
    return tuple(sorted(hashlib.sha256(f"{kind} {place}".encode()).hexdigest()[:16] for place in places))


def _module(name: str, kind: str) -> PublisherModule:
    if kind in KINDS:
        return cast("PublisherModule", importlib.import_module(KINDS[kind]))
    for point in _entry_points().select(name=kind):
        return cast("PublisherModule", point.load())
    known = kinds()
    raise SettingsError(
        [f'the publisher "{name}": there is no type "{kind}"{nearest(kind, known)}; there are {", ".join(known)}']
    )


def _entry_points() -> EntryPoints:
    from importlib.metadata import entry_points  # noqa: PLC0415  a slow import, needed by kinds from elsewhere alone

    return entry_points(group=GROUP)


def _settings(name: str, module: PublisherModule, given: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """Return the settings struct, or None and every fault. msgspec stops at the first, and may quote a value."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(module.Settings)}
    types = get_type_hints(module.Settings, include_extras=True)
    where = f'the publisher "{name}"'
    messages = [f'{where} has no setting "{key}"{nearest(key, fields)}' for key in given if key not in fields]
    for key, field in fields.items():
        if key in given:
            try:
                msgspec.convert(given[key], types[field.name], dec_hook=_decode)
            except msgspec.ValidationError as error:
                messages.append(f"{where}, {key}: {_without_values(error)}")
        elif field.required:
            messages.append(f'{where} lacks the setting "{key}"')
    if messages:
        return None, messages
    try:
        return msgspec.convert(dict(given), module.Settings, dec_hook=_decode), []
    except msgspec.ValidationError as error:
        return None, [f"{where}: {error}"]


def _decode(type_: type, value: Any) -> Any:
    if type_ is Secret and isinstance(value, str):
        return Secret(value)
    raise ValueError("a text is needed")


def _without_values(error: msgspec.ValidationError) -> str:
    """Return msgspec's message; for an enumeration, one without the given value, which msgspec would quote."""
    message = str(error)
    return "is not one of the values that it may have" if message.startswith("Invalid enum value") else message
