"""RECORD lines of a whole page in one buffer: what singer-sdk writes for each record, made at once.

Only for streams that no stream map changes; the generic path serves the rest, and both write equal messages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

import msgspec

_encoder: Final = msgspec.json.Encoder(decimal_format="number")


def record_lines(
    stream: str, records: Sequence[Mapping[str, Any]], extracted: str, version: int | None = None
) -> bytes:
    """The page's RECORD lines.

    Args:
        stream: the stream's name.
        records: with their selected properties only.
        extracted: the moment of the extraction, ISO 8601.
        version: the stream version, where ACTIVATE_VERSION is used.
    """
    head = b'{"type":"RECORD","stream":' + _encoder.encode(stream) + b',"record":'
    tail = (
        (b"" if version is None else b',"version":' + _encoder.encode(version))
        + b',"time_extracted":'
        + _encoder.encode(extracted)
        + b"}\n"
    )
    return b"".join(part for record in records for part in (head, _encoder.encode(record), tail))


def projected(records: Sequence[dict[str, Any]], selected: AbstractSet[str]) -> list[dict[str, Any]]:
    """The records with their selected properties only, in their own order."""
    return [
        record if record.keys() <= selected else {key: value for key, value in record.items() if key in selected}
        for record in records
    ]
