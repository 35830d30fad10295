"""The CloudEvents 1.0 form of a recorded event, in its JSON format."""

from __future__ import annotations

from typing import Final

import msgspec

from target_eventgen.model.recorded import Recorded

STRUCTURED: Final = "application/cloudevents+json"
"""The content type of structured mode."""


class Origin(msgspec.Struct, frozen=True, gc=False):
    """The row that an event is about: its stream, and its key as a JSON object; empty where they are not known.

    `order_key` is that within which events keep their order; empty where it is the event's subject.
    """

    stream: str = ""
    key: str = ""
    order_key: str = ""


_NOWHERE: Final = Origin()


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The context attributes under their names in the specification, and the data as JSON.

    `partitionkey`, `sequence`, `traceparent` and `tracestate` are documented extensions. A sequence must sort as text,
    hence its leading zeros. `origin` is not part of the event, and is not sent.
    """

    specversion: str = "1.0"
    id: str
    source: str
    type: str
    subject: str
    time: str | msgspec.UnsetType = msgspec.UNSET
    datacontenttype: str = "application/json"
    partitionkey: str
    sequence: str
    traceparent: str | msgspec.UnsetType = msgspec.UNSET
    tracestate: str | msgspec.UnsetType = msgspec.UNSET
    data: msgspec.Raw

    @property
    def origin(self) -> Origin:
        """The row that the event is about."""
        found: Origin = self.__dict__.get("origin", _NOWHERE)
        return found

    @property
    def order_key(self) -> str:
        """The key within which events keep their order: their table and subject, or the subject alone."""
        return self.origin.order_key or self.subject


def cloud_event(recorded: Recorded) -> CloudEvent:
    """Return the event as its receivers get it. An absent time is left out, since null is not a timestamp."""
    event = CloudEvent(
        id=recorded.id,
        source=recorded.source,
        type=recorded.type,
        subject=recorded.subject,
        time=recorded.time or msgspec.UNSET,
        partitionkey=recorded.partitionkey,
        traceparent=recorded.traceparent or msgspec.UNSET,
        tracestate=recorded.tracestate or msgspec.UNSET,
        sequence=f"{recorded.sequence:019d}",  # as many digits as the greatest bigint has
        data=msgspec.Raw(recorded.data.encode()),
    )
    if recorded.stream:
        order_key = "" if recorded.order_key == recorded.subject else recorded.order_key
        event.__dict__["origin"] = Origin(recorded.stream, recorded.key, order_key)
    return event


def json_line(event: CloudEvent) -> bytes:
    """One line of JSON, its line break included. JSON escapes every line break inside of it."""
    return msgspec.json.encode(event) + b"\n"


def structured(event: CloudEvent) -> bytes:
    """Return the event in structured mode, a message of the content type `STRUCTURED`."""
    return msgspec.json.encode(event)


def attributes(event: CloudEvent) -> dict[str, str]:
    """Return the context attributes of binary mode, without any protocol's prefix.

    The message is then `bytes(event.data)`, of the content type `event.datacontenttype`, which is not among them.
    """
    named = {name: getattr(event, name) for name in event.__struct_fields__ if name not in {"data", "datacontenttype"}}
    return {name: value for name, value in named.items() if value is not msgspec.UNSET}
