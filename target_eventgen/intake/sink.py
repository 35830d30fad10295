"""A stream's records between its SCHEMA and the next checkpoint."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from singer_sdk.sinks import Sink

from target_eventgen.errors import InvalidRecordError
from target_eventgen.intake import blocks, compiled, validation
from target_eventgen.intake.blocks import LineBlock
from target_eventgen.intake.compiled import CompiledEncoder
from target_eventgen.intake.general import GeneralEncoder, Metadata, as_line, identity
from target_eventgen.intake.record_warnings import RecordWarnings
from target_eventgen.intake.stamps import Stamp, metadata_at
from target_eventgen.model import versions
from target_eventgen.model.checkpoint import Batch
from target_eventgen.model.tables import EXTRACTED_AT, PER_BATCH

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from singer_sdk import Target
    from singer_sdk.sinks.core import BaseJSONSchemaValidator

    from target_eventgen.model.plan import Plan
    from target_eventgen.model.tables import Table


_TABLE_VERSION: Final = attrgetter("version")


class EventgenSink(Sink):
    """Gathers one stream's records as COPY lines. It writes nothing itself: the target commits all streams together."""

    plan: Plan
    _identities: Sequence[Callable[[Any], Any]] = ()

    def __init__(
        self, target: Target, stream_name: str, schema: dict[str, Any], key_properties: Sequence[str] | None
    ) -> None:
        self._record_schema = dict(schema)
        super().__init__(target, stream_name, dict(schema, properties=dict(schema["properties"])), key_properties)
        self._validate = (
            validation.compile_validator(stream_name, self._record_schema)
            if self.config.get("validate_records", True)
            else None
        )
        self._keeps_originals = self.config.get("on_invalid_record") == "dead_letter"
        self._validate_deletion: Callable[[Mapping[str, Any]], None] | None = None
        self._warnings = RecordWarnings(stream_name, self.logger)
        self._separator = self.config.get("flattening_separator") or "__"
        self._clear()

    def get_validator(self) -> BaseJSONSchemaValidator | None:
        """Return none of the SDK's: records are validated by compiled code."""
        return None

    def set_plan(self, plan: Plan, table_version: int | None = None) -> None:
        """Take the stream's plan, as soon as its table is made.

        Args:
            plan: of the stream.
            table_version: that of records which come with none.
        """
        self.plan = plan
        self._table_version = table_version
        self._marks_deletions = plan.deletable
        self._encoder = GeneralEncoder(plan.table, plan.types)
        version = plan.version
        self._version_name = None if version is None else version.name
        self._is_ordered = None if version is None else versions.is_ordered(version.type, plan.table.order)
        stored = [plan.type_of(name) for name in plan.table.key]
        self._identities = [identity("" if column is None else column.type) for column in stored]
        self._single = bool(stored)
        first = next(iter(plan.table.metadata), None)
        self._stamp = Stamp(self._encoder, has_extraction=first is not None and first.name == EXTRACTED_AT)
        self._compiled = compiled.compile_encoder(
            plan, self._record_schema, validates=self._validate is not None, loose=self._encoder.loose
        )

    def _clear(self) -> None:
        self._lines: list[str] = []
        self._sparse: set[int] = set()
        self._originals: list[str] = []
        self._rejected: list[tuple[str, str]] = []
        self._deletes = False
        self._has_table_version = False
        self._unversioned = False
        self._keys: dict[Any, int] = {}
        self._repeated = 0
        self._single = bool(self._identities)
        self._batched_at = datetime.now(tz=timezone.utc).isoformat()

    def add(self, record: Mapping[str, Any], message: Mapping[str, Any]) -> int:
        """Take one record; return how many characters it takes until the next checkpoint.

        Args:
            record: as it is to be stored.
            message: the RECORD that it came in.

        Raises:
            InvalidRecordError: the SCHEMA doesn't allow it.
            MissingKeyError: a key property is absent or null.
        """
        deleted = record.get("_sdc_deleted_at") is not None
        if deleted:
            record = self._valid_deletion(record)
        elif self._validate is not None:
            self._validate(record)
        if surplus := self._encoder.surplus(record):
            if self.config.get("flattening_enabled"):
                record, surplus = _with_flattened_nulls(self.plan.table, self._separator, record, surplus)
            self._warnings.surplus(surplus)
        metadata = self._metadata(record, message) if self.plan.table.metadata else None
        line, absent = self._encoder.line(len(self._lines) + 1, record, metadata)
        if self._encoder.replaced_nul:
            self._warnings.replaced_nul(self._encoder.replaced_nul)
        if absent:
            self._sparse.update(absent)
        if self._version_name is not None:
            version = record.get(self._version_name)
            if version is None or not self._orders(version):
                self._unversioned = True
        if deleted and self._marks_deletions:
            self._deletes, self._single = True, False
        if metadata is not None and metadata.table_version is not None:
            self._has_table_version = True
        if self._single and self._is_repeat(self._key_of(_values(record, self.plan.table.key)), line):
            return 0
        self._lines.append(line)
        if self._keeps_originals:
            original = as_line(record)
            self._originals.append(original)
            return len(line) + len(original)
        return len(line)

    def _valid_deletion(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a deletion without content that its SCHEMA doesn't allow; the row goes all the same."""
        if self._validate is None or not self.plan.table.key or not self._encoder.has_content(record):
            return record
        if self._validate_deletion is None:
            schema = {name: value for name, value in self._record_schema.items() if name != "required"}
            self._validate_deletion = validation.compile_validator(self.stream_name, schema)
        try:
            self._validate_deletion(record)
        except InvalidRecordError as error:
            self._warnings.bare_deletion(error)
            return self._encoder.bare(record)
        return record

    def needs_fine(self, record: Mapping[str, Any]) -> bool:
        """Return whether a record's version is finer than microseconds, though the table has no column for that yet."""
        version = self.plan.version
        if version is None or version.type not in versions.FINE_TYPES or self.plan.table.is_fine:
            return False
        return versions.is_finer(record.get(version.name))

    def _orders(self, version: Any) -> bool:
        """Return whether a version can be older or newer than another; warn of the first that can't."""
        if self._is_ordered is None or self._is_ordered(version):
            return True
        self._warn_of_unordered()
        return False

    def _warn_of_unordered(self) -> None:
        self._warnings.unordered(
            self._version_name, "numbers" if self.plan.table.order == versions.NUMERIC else "instants"
        )

    def accept(self, block: LineBlock) -> int | None:
        """Take a block of plain records in one step; return how many characters they take until the next checkpoint.

        None where they are not all plain and valid, or a key comes again in more than one line: nothing has happened
        then, and each line is to be tried alone; a single line that is not accepted is for `add`.

        Args:
            block: of lines, the first of which is a RECORD of this stream.
        """
        encoder = self._compiled
        messages = None if encoder is None else encoder.messages(block)
        if encoder is None or messages is None or encoder.has_finer(messages):
            return None
        found = {*map(_TABLE_VERSION, messages)}
        version = found.pop()
        if found or (version is not None and len(self.plan.table.metadata) <= 1):
            return None
        encoded = self._encoded(encoder, block, messages, version or self._table_version)
        if encoded is None:
            return None
        lines, absent = encoded
        # All of these are valid, so they are taken, if not together: and a repeat with a table version is stored.
        self._has_table_version |= (version or self._table_version) is not None
        if self._single and not self._are_new(encoder, block, messages):
            if block.count > 1:
                return None
            if self._is_repeat(self._key_of(encoder.key(messages[0])), lines[0]):
                return 0
        if self._encoder.replaced_nul:
            self._warnings.replaced_nul(self._encoder.replaced_nul)
        self._sparse |= absent
        if encoder.may_lack_version and (unversioned := next(filter(encoder.is_unversioned, messages), None)):
            self._unversioned = True
            if encoder.is_unordered(unversioned):
                self._warn_of_unordered()
        self._lines += lines
        if not self._keeps_originals:
            return sum(map(len, lines))
        originals = [bytes(blocks.head(line).record).decode() for line in block.lines]
        self._originals += originals
        return sum(map(len, lines)) + sum(map(len, originals))

    def _encoded(
        self, encoder: CompiledEncoder, block: LineBlock, messages: Sequence[Any], version: int | None
    ) -> tuple[list[str], set[int]] | None:
        """Return the COPY lines of decoded messages, and the indexes of the columns that some of them don't mention.

        None where a message is not plain.
        """
        first, stamp = len(self._lines) + 1, self._stamp.at(time.time(), version)
        # The work of one call for all of them, since there is little else to a record.
        lines = encoder.lines(first, messages, stamp)
        if lines is None:
            return None
        absent: set[int] = set()
        for index in block.unfinished(lines):
            values = encoder.values(messages[index])
            if values is None:
                return None
            tail = f"{self._stamp.extraction(messages[index].time_extracted)}{stamp}"
            lines[index], absent_here = self._encoder.line_of_values(first + index, values, tail)
            absent.update(absent_here)
        return lines, absent

    def _are_new(self, encoder: CompiledEncoder, block: LineBlock, messages: Sequence[Any]) -> bool:
        """Return whether each key is known to come for the first time; remember the keys then."""
        keys = [*map(encoder.key, messages)]
        if block.special or not encoder.is_distinct:
            keys = [*map(self._key_of, keys)]
        indexes = dict(zip(keys, range(len(self._lines), len(self._lines) + len(keys)), strict=True))
        if len(indexes) < len(keys) or None in indexes or not self._keys.keys().isdisjoint(indexes):
            return False
        self._keys.update(indexes)
        return True

    def reject(self, record: Mapping[str, Any], reason: str) -> int:
        """Set a record aside that can't be loaded; return how many characters it takes."""
        self._rejected.append((reason, as_line(record)))
        return len(self._rejected[-1][1])

    @property
    def pending(self) -> bool:
        """Whether there is anything for the next checkpoint."""
        return bool(self._lines or self._rejected)

    def take(self) -> Batch:
        """Return what has gathered, and begin the next batch."""
        batch = Batch(
            self.plan,
            "".join(self._lines),
            len(self._lines),
            tuple(sorted(self._sparse)),
            self._unversioned,
            self._single,
            self._deletes,
            self._has_table_version,
            repeated=self._repeated,
            originals=tuple(self._originals),
            rejected=tuple(self._rejected),
            constants=self._constants(),
            loose=frozenset(self._encoder.loose),
        )
        self._encoder.loose.clear()
        self.record_counter_metric.increment(len(self._lines) + self._repeated)
        self._clear()
        return batch

    def _key_of(self, values: Any) -> Any:
        """Return the identity of a key, equal exactly where the key is stored as equal; None where only Postgres knows.

        Args:
            values: its value, or a tuple of them.
        """
        if type(values) is not tuple:
            return self._identities[0](values)
        key = tuple(identify(value) for identify, value in zip(self._identities, values, strict=True))
        return None if None in key else key

    def _is_repeat(self, key: Any, line: str) -> bool:
        """Return whether a record repeats the first record of its key; note where a key comes a second time, or might.

        A repeat changes nothing, and is only counted. Sources often send the last records once more.

        Args:
            key: see `_key_of`.
            line: the record's.
        """
        if key is not None:
            index = self._keys.setdefault(key, len(self._lines))
            if index == len(self._lines):
                return False
            if not self._has_table_version and self._content(self._lines[index]) == self._content(line):
                self._repeated += 1
                return True
        self._single = False
        self._keys.clear()
        return False

    def _content(self, line: str) -> list[str]:
        """Return the fields of a line for its absent columns and its content."""
        return line.split("\t")[1 : 2 + len(self.plan.table.content)]

    def _constants(self) -> tuple[tuple[str, str], ...]:
        """Return (column, text) of the metadata that is the same for the whole batch."""
        texts = dict(zip(PER_BATCH, (self._batched_at, str(self.sync_started_at)), strict=True))
        return tuple((column.name, texts[column.name]) for column in self.plan.table.metadata if column.name in texts)

    def _metadata(self, record: Mapping[str, Any], message: Mapping[str, Any]) -> Metadata:
        version = message.get("version") or self._table_version
        return metadata_at(time.time(), version, message.get("time_extracted"), record.get("_sdc_deleted_at"))

    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:
        """Take one record; the SDK's name for `add`."""
        self.add(record, context)

    def process_batch(self, context: dict[str, Any]) -> None:
        """Take the records of a BATCH file; the SDK's name for many `add`."""
        for record in context.get("records", ()):
            self.add(record, {})


def _values(record: Mapping[str, Any], names: Sequence[str]) -> Any:
    """Return the value of one property, or a tuple of those of several."""
    return record[names[0]] if len(names) == 1 else tuple(record[name] for name in names)


def _with_flattened_nulls(
    table: Table, separator: str, record: Mapping[str, Any], surplus: set[str]
) -> tuple[Mapping[str, Any], set[str]]:
    """Return a record in which the columns of a flattened object that is null are null, and the rest of surplus.

    The SDK leaves such an object as it is.
    """
    nulls = tuple(f"{name}{separator}" for name in surplus if record[name] is None)
    columns = [column.name for column in table.content if nulls and column.name.startswith(nulls)]
    flattened = {name for name in surplus if any(column.startswith(f"{name}{separator}") for column in columns)}
    return {**dict.fromkeys(columns), **record}, surplus - flattened
