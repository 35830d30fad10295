"""RECORD lines of many records in one buffer: what singer-sdk writes for each record, made at once.

Only for streams that no stream map changes; the generic path serves the rest, and both write equal messages. The lines
of a page differ in their records alone, and neither the encoder nor a row's undecoded part ever has a line break within
a record. So the records are encoded as lines, and what stands around each is put in place of the line breaks.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from operator import attrgetter
from typing import Any, Final

import msgspec
from msgspec import UNSET

from tap_restextract.values.rows import Row

_encoder: Final = msgspec.json.Encoder(decimal_format="number")


MAX_LINES: Final = 250
"""Of one buffer. The buffers of a thousand are so large together that malloc gives their memory back after each page,
and a tenth of the time goes into taking it again."""


def record_lines(stream: str, records: Sequence[Any], extracted: str, version: int | None = None) -> bytes:
    """Return the records' RECORD lines.

    Args:
        stream: the stream's name.
        records: with their selected properties only.
        extracted: the moment of the extraction, ISO 8601.
        version: the stream version, where ACTIVATE_VERSION is used.
    """
    if not records:
        return b""
    before = b'{"type":"RECORD","stream":%b,"record":' % _encoder.encode(stream)
    versioned = b"" if version is None else b',"version":%d' % version
    after = b'%b,"time_extracted":%b}\n' % (versioned, _encoder.encode(extracted))
    lines = _encoder.encode_lines(records).replace(b"\n", after + before, len(records) - 1)
    return b"".join((before, memoryview(lines)[:-1], after))


def projected(records: Sequence[Any], selected: AbstractSet[str]) -> Sequence[Any]:
    """Return the records with their selected properties, in their order; the same sequence where all are selected."""
    if records and isinstance(records[0], Row) and len(kinds := set(map(type, records))) == 1:
        return _projected_rows(records, kinds.pop(), frozenset(selected))
    if all(record.keys() <= selected if isinstance(record, dict) else False for record in records):
        return records
    return [
        record
        if isinstance(record, dict) and record.keys() <= selected
        else {key: record[key] for key in record if key in selected}
        for record in records
    ]


def lacking(records: Sequence[Any], known: AbstractSet[str]) -> set[str]:
    """Return the records' properties that aren't among the known."""
    kinds = set(map(type, records))
    if all(issubclass(kind, Row) and kind.fields.keys() <= known for kind in kinds):
        return set()
    return {name for record in records for name in record} - known


def _projected_rows(records: Sequence[Row], kind: type[Row], selected: frozenset[str]) -> Sequence[Any]:
    if kind.fields.keys() <= selected:
        return records
    part, values = _part(kind, selected)
    return [part(*values(record)) for record in records]


@functools.lru_cache(maxsize=64)
def _part(kind: type[Row], selected: frozenset[str]) -> tuple[Any, Any]:
    """Return a struct type of the selected properties alone, and what gets their values from a row."""
    fields = {name: attribute for name, attribute in kind.fields.items() if name in selected}
    part = msgspec.defstruct(
        "Part",
        [(attribute, Any, UNSET) for attribute in fields.values()],
        rename={attribute: name for name, attribute in fields.items()},
        gc=False,
    )
    if len(fields) > 1:
        return part, attrgetter(*fields.values())
    return part, lambda row: tuple(getattr(row, attribute) for attribute in fields.values())
