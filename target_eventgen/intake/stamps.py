"""Stamps: the metadata fields that records of one millisecond share, since records come faster than that."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from msgspec import Struct

from target_eventgen.intake.general import GeneralEncoder, Metadata, as_moment


class Stamp(Struct):
    """The metadata fields of a COPY line.

    Attributes:
        encoder: of the stream.
        has_extraction: whether the table has a column for a record's time of extraction, which is each record's own.
        text: the other fields, as they are from `since` until `until` (seconds since 1970), of `table_version`.
    """

    encoder: GeneralEncoder
    has_extraction: bool
    text: str = ""
    since: float = 0.0
    until: float = 0.0
    table_version: int | None = None

    def at(self, now: float, table_version: int | None) -> str:
        """Return the fields of the records of this millisecond, but for their times of extraction."""
        if not self.since <= now < self.until or table_version != self.table_version:
            milliseconds = int(now * 1000)
            self.since, self.until = milliseconds / 1000, (milliseconds + 1) / 1000
            self.table_version = table_version
            metadata = metadata_at(milliseconds / 1000, table_version)
            self.text = self.encoder.tail(metadata).removeprefix(self.extraction(None))
        return self.text

    def extraction(self, extracted: str | None) -> str:
        """Return the field of a record's time of extraction; nothing where the table has no such column."""
        return f"\t{as_moment(extracted)}" if self.has_extraction else ""


def metadata_at(now: float, table_version: int | None, extracted: Any = None, deleted: Any = None) -> Metadata:
    """Return the metadata of a record that is received now.

    Args:
        now: seconds since 1970.
        table_version: the record's, see ACTIVATE_VERSION.
        extracted: its time of extraction.
        deleted: when it was deleted.
    """
    return Metadata(
        extracted_at=extracted,
        received_at=datetime.fromtimestamp(now, tz=timezone.utc).isoformat(),
        deleted_at=deleted,
        sequence=round(now * 1000),
        table_version=table_version,
    )
