"""Reading: a configuration as JSON values becomes settings, or every fault of it at once."""

from __future__ import annotations

import typing
from typing import Any

import msgspec

from tap_restextract.config.annotations import Json
from tap_restextract.config.durations import with_plain_durations
from tap_restextract.config.faults import struct_faults
from tap_restextract.config.foreign_names import bound_param_fault
from tap_restextract.config.requirements import requirement_faults, webhook_faults
from tap_restextract.config.streams import Incremental, Settings, Shared, StreamSettings
from tap_restextract.config.webhooks import ReceiverSettings, Webhooks
from tap_restextract.errors import ConfigurationError
from tap_restextract.values.own_forms import instant_of

_SHARED_KEYS = {field.name for field in msgspec.structs.fields(Shared)}
_STREAM_KEYS = {field.name for field in msgspec.structs.fields(StreamSettings)}


def read_settings(
    config: typing.Mapping[str, Any], *, foreign: typing.Collection[str] = ()
) -> tuple[StreamSettings, ...]:
    """Return every stream's settings, the top's merged below them.

    Args:
        config: the whole configuration, as JSON values.
        foreign: keys at the top that belong to singer-sdk.

    Raises:
        ConfigurationError: with every fault of the configuration at once.
    """
    top = _with_empty_listed(with_plain_durations({key: value for key, value in config.items() if key not in foreign}))
    faults: list[str] = []
    streams = top.get("streams")
    faults += struct_faults(Settings, {**top, "streams": [{}]}, "config", foreign)
    if not isinstance(streams, list) or not streams:
        faults.append(
            "config.streams: a list of at least one stream is needed, such as [{name: orders, path: /orders}]"
        )
        raise ConfigurationError(faults)
    faults += _param_faults(top.get("params"), "config")
    if not faults:
        faults += webhook_faults(webhooks_in(top), streams, top.get("base_url"))
    shared = {key: value for key, value in top.items() if key != "streams"}
    result = []
    names: set[str] = set()
    for index, given in enumerate(streams):
        location = f"config.streams[{index}]"
        if not isinstance(given, dict):
            faults.append(f"{location}: a mapping is needed, such as {{name: orders, path: /orders}}")
            continue
        stream = _with_empty_listed(with_plain_durations(given))
        name = stream.get("name")
        if isinstance(name, str) and name:
            location = f"stream {name}"
            if name in names:
                faults.append(f"{location}: the name is used twice; give each stream its own")
            names.add(name)
        stream_faults = struct_faults(StreamSettings, stream, location, ())
        if stream.get("path") is None and stream.get("source") != "webhooks":
            stream_faults.append(f"{location}: the key 'path' is missing")
        stream_faults += _param_faults(stream.get("params"), location)
        merged = _merged({key: value for key, value in shared.items() if key in _SHARED_KEYS}, stream)
        faults += stream_faults
        try:
            settings = msgspec.convert(
                {key: value for key, value in merged.items() if key in _STREAM_KEYS}, StreamSettings, strict=False
            )
        except msgspec.ValidationError as error:
            faults += [] if faults else [f"{location}: {error}"]
            continue
        faults += [f"{location}: {fault}" for fault in requirement_faults(settings)]
        result.append(_with_instants(settings))
    if faults:
        raise ConfigurationError(list(dict.fromkeys(faults)))
    return tuple(result)


def _with_instants(stream: StreamSettings) -> StreamSettings:
    """Return the settings with an initial value that is written as the API writes it as an instant."""
    feed, replaced = stream.feed, msgspec.structs.replace
    if feed is not None and feed.incremental.cursor_formats:
        stream = replaced(stream, feed=replaced(feed, incremental=_with_instant(feed.incremental)))
    if stream.incremental is None or not stream.incremental.cursor_formats:
        return stream
    return replaced(stream, incremental=_with_instant(stream.incremental))


def _with_instant(incremental: Incremental) -> Incremental:
    value = instant_of(incremental.initial_value, incremental.cursor_formats) or incremental.initial_value
    return msgspec.structs.replace(incremental, initial_value=value)


def _with_empty_listed(keys: Json) -> Json:
    """Return the keys with `empty` as a list of names: null, elsewhere the lack of a value, is one of its values."""
    if "empty" not in keys:
        return keys
    named = keys["empty"] if isinstance(keys["empty"], list) else [keys["empty"]]
    return {**keys, "empty": ["null" if each is None else each for each in named]}


def _param_faults(params: Any, location: str) -> list[str]:
    """Return the faults of parameters that are bound as another tool binds them."""
    return [
        f"{location}.params.{name}: {fault}"
        for name, value in (params.items() if isinstance(params, dict) else ())
        if (fault := bound_param_fault(value))
    ]


def _merged(below: Json, over: Json) -> Json:
    merged = dict(below)
    for key, value in over.items():
        if key in {"headers", "params", "json"} and isinstance(value, dict) and isinstance(merged.get(key), dict):
            both = {**merged[key], **value}
            merged[key] = {name: each for name, each in both.items() if each is not None}
        elif value is None:
            merged.pop(key, None)
        else:
            merged[key] = value
    return {key: value for key, value in merged.items() if value is not None}


def webhooks_in(config: typing.Mapping[str, Any]) -> ReceiverSettings:
    """Return what a configuration that was read says of webhooks."""
    webhooks = config.get("webhooks")
    secrets = msgspec.convert(config.get("webhook_secrets") or {}, dict[str, str | list[str]], strict=False)
    return ReceiverSettings(
        None if webhooks is None else msgspec.convert(webhooks, Webhooks, strict=False),
        config.get("webhook_queue") or "",
        {name: [value] if isinstance(value, str) else value for name, value in secrets.items()},
        msgspec.convert(config.get("webhook_tokens") or {}, dict[str, str], strict=False),
    )
