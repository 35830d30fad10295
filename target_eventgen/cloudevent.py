"""The CloudEvents 1.0 form of a recorded event, in its JSON format."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from target_eventgen.outbox import Recorded


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The context attributes under their names in the specification, and the data as JSON.

    `partitionkey` and `sequence` are documented extensions. A sequence must sort as text, hence its leading zeros.
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
    data: msgspec.Raw


def cloud_event(recorded: Recorded) -> CloudEvent:
    """The event as its receivers get it. An absent time is left out, since null is no timestamp."""
    return CloudEvent(
        id=recorded.id,
        source=recorded.source,
        type=recorded.type,
        subject=recorded.subject,
        time=recorded.time or msgspec.UNSET,
        partitionkey=recorded.partitionkey,
        sequence=f"{recorded.sequence:019d}",  # as many digits as the greatest bigint has
        data=msgspec.Raw(recorded.data.encode()),
    )


def json_line(event: CloudEvent) -> bytes:
    """One line of JSON, its line break included. JSON escapes every line break inside of it."""
    return msgspec.json.encode(event) + b"\n"
