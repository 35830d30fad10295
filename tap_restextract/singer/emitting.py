"""What a stream writes, through singer-sdk's maps: its growing SCHEMA, RECORD lines or BATCH files, and STATE.

Theory of operation. Records are written, flushed, and only then the STATE that covers them. A page that needs more of
the SCHEMA than was sent makes it come again first. With `batch_config` records gather until a file is full; then come
the file, its BATCH message and the STATE of the last step in it. What came under one SCHEMA is written before the
next.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Sequence
from copy import deepcopy
from datetime import datetime, timezone
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from singer_sdk import Stream
from singer_sdk.helpers._batch import SDKBatchMessage
from singer_sdk.helpers._catalog import get_selected_schema, pop_deselected_record_properties
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import RemoveRecordTransform, SameRecordTransform, StreamMap

from tap_restextract.plan.bookmarks.protocol import Bookmark
from tap_restextract.plan.bookmarks.state import checkpointed
from tap_restextract.plan.plan import Plan
from tap_restextract.plan.tombstones import DELETED_AT
from tap_restextract.singer.batches import Batches
from tap_restextract.singer.growth import Growth
from tap_restextract.singer.maps import adapt
from tap_restextract.singer.record_lines import MAX_LINES, lacking, projected, record_lines
from tap_restextract.singer.sampling import Described
from tap_restextract.singer.schema import Schema, is_untyped, keys_of, typed
from tap_restextract.singer.stdout import write
from tap_restextract.walks.steps import Record

if TYPE_CHECKING:
    from singer_sdk import Tap
    from singer_sdk.helpers._batch import BatchConfig
    from singer_sdk.helpers.types import Context
    from singer_sdk.singerlib import SchemaMessage


class EmittingStream(Stream):
    """singer-sdk's stream, as far as it writes."""

    # What an API's JSON says is what is emitted: there is nothing to conform.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    def __init__(self, tap: Tap, plan: Plan, described: Described, parents: Plan | None = None) -> None:
        self._plan = plan
        self._parents = parents
        self._warned: set[str] = set()
        self._described = described
        self._held_version: int | None = None
        self._batches: Batches | None = None
        super().__init__(tap, schema=described.schema, name=plan.stream.name)
        self.primary_keys = plan.stream.primary_key
        self.replication_key = plan.replication_key

    @property
    def stream_maps(self) -> list[StreamMap]:
        """The stream's maps, which deletions go through unharmed."""
        definitions = [each for each in (self.config.get("stream_maps") or {}).values() if isinstance(each, dict)]
        for stream_map in super().stream_maps:
            adapt(self.name, stream_map, self.logger, names_mark=any(DELETED_AT in each for each in definitions))
        return super().stream_maps

    def log(self, message: str, *args: Any, level: int = logging.INFO, **kwargs: Any) -> None:
        """Log for the stream; not that an error is "unhandled", since the command line tells it in words."""
        if level != logging.ERROR:
            super().log(message, *args, level=level, **kwargs)

    def _sync_batches(self, batch_config: BatchConfig, context: Context | None = None) -> None:
        """Write each step's records into files, their BATCH messages, and then the STATE that covers them."""
        self._batches = Batches(batch_config, self.tap_name)
        for _ in self._sync_records(context):
            pass
        self._batches = None

    def _write_batches(self) -> None:
        """Write what has gathered for BATCH files: files, messages, STATE."""
        batches = self._batches
        if batches is None:
            return
        records, batches.records = batches.records, []
        size, encoding = batches.config.batch_size, batches.config.encoding
        for start in range(0, len(records), size):
            for stream_map in self.stream_maps:
                if isinstance(stream_map, RemoveRecordTransform):
                    continue
                mapped = self._mapped(stream_map, records[start : start + size])
                if mapped:
                    name = stream_map.stream_alias
                    manifest = [batches.file(name, stream_map.transformed_schema, mapped)]
                    self._tap.write_message(SDKBatchMessage(name, encoding, manifest, self._stream_version))
        bookmarks, batches.bookmarks = [*batches.bookmarks.values()], {}
        self._write_checkpoint(*bookmarks)

    def _mapped(self, stream_map: StreamMap, records: Sequence[Record]) -> Sequence[Any]:
        """Return records as they go into a file: what is selected, as a stream map has it."""
        selected = projected(records, self._selected_properties)
        if self._is_plain:
            return selected
        copies = self._copied(selected)
        return [mapped for copied in copies if (mapped := stream_map.transform(copied)) is not None]

    def _copied(self, records: Sequence[Record]) -> Iterator[dict[str, Any]]:
        """Yield copies of records, which maps may change, without what is deselected below the top."""
        for record in records:
            copied = deepcopy(dict(record))
            pop_deselected_record_properties(copied, self.schema, self.mask)
            yield copied

    def _checkpoint(self, bookmark: Bookmark | None) -> None:
        """Write the STATE of a step whose records are written; those for files wait until a file is full."""
        if self._batches is None:
            self._write_checkpoint(*filter(None, [bookmark]))
            return
        if bookmark is not None:
            self._batches.bookmarks[type(bookmark)] = bookmark
        if self._batches.is_full:
            self._write_batches()

    def _write_checkpoint(self, *bookmarks: Bookmark) -> None:
        if not bookmarks:
            return
        state = self.stream_state
        for bookmark in bookmarks:
            after = checkpointed(self._plan, state, bookmark)
            state.clear()
            state.update(after)
        # Targets tell by it that a run ended in the middle of a stream (Singer's best practices).
        self._whole_state["currently_syncing"] = self.name
        self._tap.state_writer.write_state(self.tap_state)

    @property
    def _whole_state(self) -> dict[str, Any]:
        return cast("dict[str, Any]", self.tap_state)

    def _generate_schema_messages(self) -> Generator[SchemaMessage, None, None]:
        """Yield a SCHEMA for each stream map, which names the replication key only where the map keeps it."""
        for message in super()._generate_schema_messages():
            lost = {*(message.bookmark_properties or ())} - message.schema["properties"].keys()
            if lost:
                message.bookmark_properties = None
                if not lost <= self._warned:
                    self._warned |= lost
                    self.logger.warning(
                        "stream %s: its stream map leaves out %s, the replication key, by which targets tell an older version of a record from a "
                        "newer one; keep it in stream_maps",
                        self.name,
                        ", ".join(lost),
                    )
            yield message

    def _write_schema_message(self) -> None:
        """Write the SCHEMA; where no record is known yet, it waits for the first."""
        if not is_untyped(self.schema, self._plan):
            super()._write_schema_message()

    def _write_activate_version_message(self, full_table_version: int) -> None:
        """Write the ACTIVATE_VERSION; behind its SCHEMA, which may wait for the first record."""
        if is_untyped(self.schema, self._plan):
            self._held_version = full_table_version
        else:
            super()._write_activate_version_message(full_table_version)

    def _write(self, records: Sequence[Record]) -> None:
        if not records:
            return
        if self._growth is not None:
            self._grow(records)
        selected = projected(records, self._selected_properties)
        if selected is not records:
            self._warn_unknown_properties(records)
        if self._batches is not None:
            self._batches.records += records
            return
        if self._is_plain:
            extracted = now()
            for start in range(0, len(selected), MAX_LINES):
                part = selected if len(selected) <= MAX_LINES else selected[start : start + MAX_LINES]
                write(record_lines(self.name, part, extracted, self._stream_version))
            return
        for copied in self._copied(selected):
            self._write_record_message(copied)

    @cached_property
    def _growth(self) -> Growth | None:
        """How the schema follows its records; None where it is declared."""
        if not self._described.follows:
            return None
        plan, incremental = self._plan, self._plan.stream.incremental
        pinned = {*self._described.pinned, DELETED_AT}
        if incremental is not None and plan.replication_key is not None:
            moment = self.schema["properties"].get(plan.replication_key, {}).get("format") == "date-time"
            # The walk itself refuses what is no instant, or no number.
            pinned |= {plan.replication_key} if moment or plan.replication_key != incremental.cursor_path else set()
        deselected = {name for name in self.schema["properties"] if not self.mask["properties", name]}

        def may_add(name: str) -> bool:
            crumb = ("properties", name)
            return self.mask[crumb] and (self._described.adds or crumb in self.mask)

        return Growth.of(self.schema, keys_of(plan), pinned | deselected, may_add)

    def _grow(self, records: Sequence[Record]) -> None:
        """Bring the schema up to the records that are to be written, and send it again where it has grown."""
        assert self._growth is not None
        if is_untyped(self.schema, self._plan):
            taken = [{name: record[name] for name in record if self.mask["properties", name]} for record in records]
            self._take_schema(typed(self.schema, taken, self._plan, self._parents))
            del self._growth
            if self._held_version is not None:
                super()._write_activate_version_message(self._held_version)
                self._held_version = None
        elif needed := self._growth.needed(records):
            before, properties = self.schema["properties"], self.schema["properties"] | needed
            self.logger.info(
                "stream %s: its SCHEMA comes again, as the records need it: %s",
                self.name,
                ", ".join(f"{name} was {_named(before.get(name))}, is {_named(each)}" for name, each in needed.items()),
            )
            self._take_schema({**self.schema, "properties": properties})

    def _take_schema(self, schema: Schema) -> None:
        """Take another schema amid the stream, and send it; what came under the old one is written first."""
        self._write_batches()
        self._schema = schema
        self._input_schema = None if self._input_schema is None else schema
        selected = get_selected_schema(self.name, schema, self.mask)
        self._tap.mapper.register_raw_stream_schema(self.name, selected, self.primary_keys)
        self._stream_maps = None
        for name in ("_selected_properties", "_is_plain"):
            vars(self).pop(name, None)
        super()._write_schema_message()

    def _warn_unknown_properties(self, records: Sequence[Record]) -> None:
        """Warn once of each property that is left out: a sample, or a declaration, may be older than the API."""
        new = lacking(records, self.schema["properties"].keys() | self._warned)
        if new:
            self._warned |= new
            self.logger.warning(
                "stream %s: the schema lacks %s, so they are left out; add them to `schema`, or discover it anew",
                self.name,
                ", ".join(sorted(new)),
            )

    @cached_property
    def _selected_properties(self) -> frozenset[str]:
        return frozenset(name for name in self.schema["properties"] if self.mask["properties", name])

    @cached_property
    def _is_plain(self) -> bool:
        """Whether messages are the records as they are: no map, no flattening, no selection below the top."""
        maps = self.stream_maps
        nested = any(not selected and len(crumb) > len(("properties", "name")) for crumb, selected in self.mask.items())
        return len(maps) == 1 and type(maps[0]) is SameRecordTransform and not maps[0].flattening_enabled and not nested


def _named(definition: Schema | None) -> str:
    """Name what a property is as a message does."""
    kinds = [kind for kind in (definition or {}).get("type", ()) if kind != "null"]
    return "unknown" if definition is None else definition.get("format") or " or ".join(kinds) or "null"


def now() -> str:
    """Return this moment, ISO 8601."""
    return datetime.now(timezone.utc).isoformat()
