"""Notifications: what a request reports, before it is stored and again when it is drained.

What a configuration says of a body is looked at twice by the same functions: the receiver refuses what could never be
drained, so that its sender learns of it; the drain reads what was stored by the configuration of its own day.
"""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from tap_restextract.config.annotations import Json
from tap_restextract.config.webhooks import GitHub, Route, Shopify, Signature, Source, StandardWebhooks
from tap_restextract.errors import AnswerError
from tap_restextract.exchange.placeholders import names
from tap_restextract.plan.plan import Plan
from tap_restextract.plan.tombstones import DELETED_AT
from tap_restextract.values.cursor import NoRankError, rank
from tap_restextract.values.paths import MISSING, Missing, find, find_list
from tap_restextract.webhooks.bodies import Content
from tap_restextract.webhooks.signatures import Headers, Refusal

_encoder: Final = msgspec.json.Encoder(decimal_format="number")
DIGEST_BYTES: Final = 16
TYPE_HEADERS: Final[Mapping[type[Signature], str]] = {GitHub: "X-GitHub-Event", Shopify: "X-Shopify-Topic"}
ID_HEADERS: Final[Mapping[type[Signature], str]] = {
    StandardWebhooks: "webhook-id",  # or svix-id
    GitHub: "X-GitHub-Delivery",
    Shopify: "X-Shopify-Webhook-Id",
}


class Notification(Struct, frozen=True):
    """One event for one stream, as it is stored.

    Attributes:
        stream: that it is about.
        source: that sent it.
        kind: its type.
        body: JSON of the event.
        digest: what a repeat of the same delivery has too; None where the sender gives no id.
    """

    stream: str
    source: str
    kind: str
    body: str
    digest: str | None = None


class Entry(Struct, frozen=True):
    """A notification in the queue.

    Attributes:
        position: in the queue, in the queue's own words.
        received: when it was stored, ISO 8601.
    """

    position: str
    source: str
    kind: str
    body: str
    received: str


class Channel(Struct, frozen=True):
    """How notifications of one source map to one stream."""

    source: Source
    route: Route
    plan: Plan

    @property
    def label(self) -> str:
        """Of what is wrong with a notification."""
        return f"stream {self.route.stream}: a notification of source {self.source.name}"


class Change(Struct, frozen=True):
    """What a notification says of one record.

    Attributes:
        record: as it comes out; the key alone, with the version where there is one, where it is deleted or to be
            fetched.
        scope: what fills the placeholders of `fetch_path`, where the object is to be fetched.
        deleted: whether it is a deletion.
    """

    record: Json
    scope: tuple[tuple[str, Any], ...] | None = None
    deleted: bool = False


def notifications(
    source: Source, channels: Sequence[Channel], headers: Headers, content: Content
) -> list[Notification]:
    """Return what an authentic request says of our streams; empty where it says nothing.

    Raises:
        Refusal: 422 for what no configuration can read.
    """
    text, value = content
    events = [value] if source.events_path == "$" and isinstance(value, dict) else find_list(source.events_path, value)
    if isinstance(events, Missing) or not all(isinstance(event, dict) for event in events):
        raise Refusal("unreadable", 422)
    result = []
    for index, event in enumerate(events):
        kind = kind_of(source, headers, event)
        event_json = text if text is not None and event is value else _encoder.encode(event).decode()
        delivery_id = _id_of(source, headers, event)
        for stream in _streams(channels, kind, event):
            digest = None if delivery_id is None else _digest(source.name, stream, delivery_id, str(index), event_json)
            result.append(Notification(stream, source.name, kind, event_json, digest))
    return result


def _streams(channels: Sequence[Channel], kind: str, event: Json) -> list[str]:
    """Return the streams that the event is about, each once, after a look whether it can be read."""
    concerned = [channel for channel in channels if concerns(channel.route, kind)]
    try:
        for channel in concerned:
            _check(channel, kind, event)
    except AnswerError:
        raise Refusal("unreadable", 422) from None
    return list(dict.fromkeys(channel.route.stream for channel in concerned))


def kind_of(source: Source, headers: Headers, event: Json) -> str:
    """Return the event's type; empty where it has none."""
    header = source.type_header or ("" if source.type_path else _default_header(TYPE_HEADERS, source.signature))
    value = headers.get(header.lower(), "") if header else find(source.type_path or "type", event)
    return value if isinstance(value, str) else ""


def concerns(route: Route, kind: str) -> bool:
    """Return whether events of this type are about the route's stream."""
    patterns = (*route.types, *route.deleted_types)
    return not route.types or any(fnmatch.fnmatchcase(kind, pattern) for pattern in patterns)


def _id_of(source: Source, headers: Headers, event: Json) -> str | None:
    if source.id_path is not None:
        value = find(source.id_path, event)
        return str(value) if isinstance(value, (str, int)) else None
    header = source.id_header or _default_header(ID_HEADERS, source.signature)
    if header == "webhook-id" and header not in headers:
        header = "svix-id"
    return headers.get(header.lower()) or None


def _default_header(headers: Mapping[type[Signature], str], signature: Signature) -> str:
    """Return where senders of this scheme say it; empty where they don't."""
    return headers.get(type(signature), "")


def _digest(*parts: str) -> str:
    """One for the same id and content: an id alone may be unsigned, and then anyone's to choose."""
    text = "".join([f"{len(part)}:{part}" for part in parts])
    return hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES).hexdigest()


def changes_in(channel: Channel, kind: str, event: Json, received: str) -> list[Change]:
    """Return what an event says of the stream's records.

    Args:
        channel: by which it came.
        kind: its type.
        event: itself.
        received: when it was stored, ISO 8601.

    Raises:
        AnswerError: where the event doesn't hold what the configuration says; without its values.
    """
    deleted, objects = _objects(channel, kind, event)
    if deleted:
        return [_deletion(channel, event, record, received) for record in objects]
    if channel.route.fetch_path is not None:
        scope = _scope(channel, event)
        return [
            Change({**_key(channel, event, record), **_version(channel, event, record)}, scope) for record in objects
        ]
    return [
        Change({**record, **_key(channel, event, record), **_version(channel, event, record, whole=True)})
        for record in objects
    ]


def _check(channel: Channel, kind: str, event: Json) -> None:
    """Check that `changes_in` will find what it needs."""
    deleted, objects = _objects(channel, kind, event)
    for record in objects:
        _key(channel, event, record)
    if not deleted and channel.route.fetch_path is not None:
        _scope(channel, event)


def _objects(channel: Channel, kind: str, event: Json) -> tuple[bool, list[Json]]:
    """Return whether the event reports deletions, and its objects; an empty one where it need not hold any."""
    route = channel.route
    deleted = any(fnmatch.fnmatchcase(kind, pattern) for pattern in route.deleted_types)
    value = find(route.object_path, event) if "[" not in route.object_path else MISSING
    if isinstance(value, dict):
        return deleted, [value]
    objects = find_list(route.object_path, event)
    if isinstance(objects, Missing) or not objects or not all(isinstance(record, dict) for record in objects):
        if not deleted and route.fetch_path is None:
            raise AnswerError(
                f"{channel.label} has no object at {route.object_path!r}; set object_path to where it lies"
            )
        objects = [{}]
    return deleted, objects


def _deletion(channel: Channel, event: Json, record: Json, received: str) -> Change:
    moment = find(channel.source.time_path, event) if channel.source.time_path else None
    identifying = {**_key(channel, event, record), **_version(channel, event, record)}
    return Change({**identifying, DELETED_AT: moment if isinstance(moment, str) else received}, deleted=True)


def _key(channel: Channel, event: Json, record: Json) -> Json:
    key = {}
    for name in channel.plan.stream.primary_key:
        path = channel.route.key.get(name)
        value = record.get(name) if path is None else find(path, event)
        if value is None or isinstance(value, (Missing, dict, list)):
            raise AnswerError(
                f"{channel.label} has no {name}, which is in primary_key; say where it lies, such as key: {{{name}: data.{name}}}"
            )
        key[name] = value
    return key


def _version(channel: Channel, event: Json, record: Json, *, whole: bool = False) -> Json:
    """Return the replication key of the record: its own, else the notification's time.

    That of a whole record, where it is a nested one, is copied to the top where all records are completed.
    """
    incremental, key, time_path = (
        channel.plan.stream.incremental,
        channel.plan.replication_key,
        channel.source.time_path,
    )
    if incremental is None or key is None:
        return {}
    value = find(incremental.cursor_path, record)
    if _has_rank(value):
        return {} if whole else {key: value}
    value = find(time_path, event) if time_path is not None else None
    return {key: value} if _has_rank(value) else {}


def _has_rank(value: Any) -> bool:
    try:
        rank(value)
    except NoRankError:
        return False
    return True


def _scope(channel: Channel, event: Json) -> tuple[tuple[str, Any], ...]:
    scope = []
    for name in sorted(set(names(channel.route.fetch_path or ""))):
        value = find(name.removeprefix("event."), event)
        if value is None or isinstance(value, (Missing, dict, list)):
            raise AnswerError(
                f"{channel.label} has no {name.removeprefix('event.')}, which fetch_path needs; correct the placeholder {{{name}}}"
            )
        scope.append((name, value))
    return tuple(scope)


def channels_of(source: Source, plans: Mapping[str, Plan]) -> tuple[Channel, ...]:
    """Return the source's channels to the streams of these plans."""
    return tuple(Channel(source, route, plans[route.stream]) for route in source.streams if route.stream in plans)
