"""The stream: singer-sdk's settings, catalog and maps on one side, the walk and the client on the other.

Theory of operation. A walk's step says what to write, which bookmark is then true, and what to ask next. The next page
is asked for at once, in a thread of its own, while this one is written: records first, flushed, and only then the STATE
that covers them. Whatever moment the process dies at, the last STATE on stdout has everything before it on stdout.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from copy import deepcopy
from dataclasses import replace
from datetime import datetime, timezone
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, cast

from singer_sdk import Stream
from singer_sdk.helpers._catalog import get_selected_schema, pop_deselected_record_properties
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import SameRecordTransform

from tap_restextract.errors import AnswerError
from tap_restextract.exchange.paginators import next_continuation, paths_of
from tap_restextract.hash_cache.locations import open_cache, redacted_location
from tap_restextract.http.fetching import Fetch, Prefetcher, run_walks
from tap_restextract.plan.bookmarks.protocol import Bookmark
from tap_restextract.plan.bookmarks.state import checkpointed, from_state
from tap_restextract.plan.derived import event_object_plan, feed_of, feed_plan, lookup_plan, null_key_plan
from tap_restextract.plan.plan import Plan
from tap_restextract.plan.tombstones import DELETED_AT, as_deletion, is_tombstone
from tap_restextract.singer.growth import Growth
from tap_restextract.singer.record_lines import lacking, projected, record_lines
from tap_restextract.singer.sampling import Described, OpenClient
from tap_restextract.singer.schema import Schema, is_untyped, keys_of, typed
from tap_restextract.singer.stdout import write
from tap_restextract.values.paths import find, steps
from tap_restextract.values.rows import Reader, column
from tap_restextract.walks.children import ChildrenWalk
from tap_restextract.walks.combined import NULLS, CombinedWalk, SweepWalk
from tap_restextract.walks.event_feed import EVENTS, OBJECT, EventFeedWalk
from tap_restextract.walks.protocol import StreamWalk
from tap_restextract.walks.steps import Page, PageRequest, Record, Step
from tap_restextract.walks.sweep import LOOKUP, proof_of
from tap_restextract.walks.table import stream_walk_for

if TYPE_CHECKING:
    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context


class RestStream(Stream):
    """One configured stream; its walk is the plan's."""

    # What an API's JSON says is what is emitted: there is nothing to conform.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    def __init__(
        self, tap: Tap, plan: Plan, described: Described, open_client: OpenClient, parents: Plan | None = None
    ) -> None:
        self._plan = plan
        self._parents = parents
        self._open_client = open_client
        self._warned: set[str] = set()
        self._wants_rows = False
        self._described = described
        self._held_version: int | None = None
        super().__init__(tap, schema=described.schema, name=plan.stream.name)
        self.primary_keys = plan.stream.primary_key
        self.replication_key = plan.replication_key

    @property
    def is_sorted(self) -> bool:
        """Every walk that moves STATE before its end reads in order."""
        return self._plan.replication_key is not None

    @property
    def partitions(self) -> None:
        """There are none: the walk's bookmark is the whole stream's."""
        return

    def log(self, message: str, *args: Any, level: int = logging.INFO, **kwargs: Any) -> None:
        """Log for the stream; not that an error is "unhandled", since the command line prints it in words."""
        if level != logging.ERROR:
            super().log(message, *args, level=level, **kwargs)

    def get_records(self, context: Context | None) -> Iterable[dict[str, Any]]:
        """Yield the stream's records without messages, as BATCH files and other callers of singer-sdk take them."""
        del context
        for step in self._steps():
            yield from self._complete(step.records)

    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        """Return None: the walk bounds its own bookmark."""
        del context

    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], Any, Any]:
        """Write each step's records, then the STATE that covers them."""
        del context
        self._wants_rows = write_messages and self.selected and self._is_plain
        with self.get_record_counter() as counter, self.get_sync_timer():
            record_count = 0
            for step in self._steps():
                records = self._complete(step.records)
                limit = self.ABORT_AT_RECORD_COUNT
                if limit is not None and record_count + len(records) > limit:
                    self._write(records[: limit - record_count])
                    self._check_max_record_limit(current_record_index=limit)
                if write_messages and self.selected:
                    self._write(records)
                    self._checkpoint(step.bookmark)
                else:
                    yield from records
                record_count += len(records)
                counter.increment(len(records))
        if write_messages and self._whole_state.pop("currently_syncing", None) is not None:
            self._tap.state_writer.write_state(self.tap_state)

    def _steps(self) -> Iterator[Step]:
        plan = self._plan
        kept = self._described.kept
        reader = None
        if self._wants_rows:
            # The one that decoded the sample has learnt from it.
            reader = reader_of(plan, self._parents) if kept is None else kept.reader
        bookmark = from_state(plan, self.stream_state)
        with ExitStack() as stack:
            plans = {"": plan} | ({self._parents.stream.name: self._parents} if self._parents else {})
            cache = nulls = None
            if plan.needs_hash_cache:
                cache = stack.enter_context(closing(open_cache(plan.stream.hash_cache, self.name)))
                self._warn_other_cache(cache.identity, bookmark)
            if plan.stream.incremental and plan.stream.incremental.null_params is not None:
                nulls = stack.enter_context(closing(open_cache(plan.stream.hash_cache, f"{self.name}/nulls")))
                plans[NULLS] = null_key_plan(plan)
            if plan.walk.follows_feed:
                plans |= {EVENTS: feed_plan(plan), OBJECT: event_object_plan(plan)}
            if cache is not None and plan.stream.lookup is not None:
                plans[LOOKUP] = lookup_plan(plan)
            clients = {
                name: stack.enter_context(closing(self._open_client(each, reader))) for name, each in plans.items()
            }
            stream_walk = stream_walk_for(plan, bookmark, parents=self._parents, cache=cache, nulls=nulls, now=_now())
            if isinstance(stream_walk, EventFeedWalk) and stream_walk.has_lost_events:
                self.logger.warning(
                    "stream %s: the last run is longer ago than the feed's retention (%s), so events were lost; the whole list is read again",
                    self.name,
                    feed_of(plan).retention,
                )

            def fetch(request: PageRequest) -> Page:
                return (kept and kept.take(request)) or clients[request.list_name].page(request)

            fetch_page: Fetch = fetch
            if plan.walk.may_ask_ahead and plan.stream.concurrency > 1 and self._parents is None:
                fetch_page = stack.enter_context(
                    closing(Prefetcher(fetch, partial(_next_request, plan), plan.stream.concurrency))
                )
            yield from run_walks(stream_walk, fetch_page, plan.stream.concurrency)
            self._report(stream_walk)

    def _report(self, stream_walk: StreamWalk) -> None:
        """Log what a person should learn of the API from this run."""
        if isinstance(stream_walk, ChildrenWalk) and stream_walk.gone:
            self.logger.info(
                "stream %s: %d parents vanished between their listing and their children", self.name, stream_walk.gone
            )
        if isinstance(stream_walk, CombinedWalk) and stream_walk.reconciliation:
            self.logger.info(
                "stream %s: a sweep found what its replication key didn't show: %d records changed, %d new, %d deleted",
                self.name,
                stream_walk.reconciliation.changed,
                stream_walk.reconciliation.new,
                stream_walk.reconciliation.gone,
            )
        comparison = (
            stream_walk.reconciliation
            if isinstance(stream_walk, CombinedWalk)
            else stream_walk.comparison
            if isinstance(stream_walk, SweepWalk)
            else None
        )
        if comparison is not None and comparison.unchanged:
            self.logger.info("stream %s: the API says that nothing has changed since the last sweep (304)", self.name)
        if comparison is not None and comparison.unproven:
            self.logger.warning(
                "stream %s: %d records were in no page of this sweep; their deletion is %s",
                self.name,
                comparison.unproven,
                proof_of(self._plan).value,
            )

    def _warn_other_cache(self, identity: str, bookmark: Bookmark | None) -> None:
        """Warn where STATE belongs to another hash cache: nothing is lost, but much is emitted again."""
        if bookmark is None:
            return
        named = bookmark.cache_pass
        if named is not None and named.cache != identity:
            self.logger.warning(
                "stream %s: STATE names another hash cache than %s, so every record comes out again, and what was deleted since can't be reported",
                self.name,
                redacted_location(self._plan.stream.hash_cache),
            )

    def _checkpoint(self, bookmark: Bookmark | None) -> None:
        if bookmark is None:
            return
        state = self.stream_state
        after = checkpointed(self._plan, state, bookmark)
        state.clear()
        state.update(after)
        # Targets know by it that a run ended in the middle of a stream (Singer's best practices).
        self._whole_state["currently_syncing"] = self.name
        self._tap.state_writer.write_state(self.tap_state)

    @property
    def _whole_state(self) -> dict[str, Any]:
        return cast("dict[str, Any]", self.tap_state)

    def _complete(self, records: Sequence[Record]) -> Sequence[Record]:
        """Return records checked for keys, nested replication keys copied to the top, tombstones as deletions."""
        incremental, key = self._plan.stream.incremental, self._plan.replication_key
        if incremental and key and key != incremental.cursor_path:
            records = [{**record, key: find(incremental.cursor_path, record)} for record in records]
        if self._plan.stream.deleted_path is not None:
            now = _now()
            records = [
                as_deletion(self._plan, record, now) if is_tombstone(self._plan.stream, record) else record
                for record in records
            ]
        for name in self._plan.stream.primary_key:
            if None in column(records, name):
                raise AnswerError(
                    f"stream {self.name}: a record has no {name}, which is in its primary_key; "
                    "correct primary_key, or let the request leave such records out"
                )
        return records

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
        if self._is_plain:
            write(record_lines(self.name, selected, _now(), self._stream_version))
            return
        for record in selected:
            copied = deepcopy(record)
            pop_deselected_record_properties(copied, self.schema, self.mask)
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
        """Take another schema in the middle of the stream, and send it."""
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
                "stream %s: the schema lacks %s, so they are left out; add them to `schema`, or discover it again",
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


def reader_of(plan: Plan, parents: Plan | None) -> Reader | None:
    """Return the reader that decodes pages into rows; None where the walk or the configuration takes records apart."""
    stream, incremental = plan.stream, plan.stream.incremental
    around = steps(stream.records)
    simple = (
        around is not None
        and parents is None
        and not plan.walk.takes_records_whole
        and not plan.is_combined
        and stream.deleted_path is None
        and not any(rule.predicate for rule in stream.response_rules)
        and all(steps(path) is not None for path in paths_of(stream.paginator))
        and (incremental is None or plan.replication_key == incremental.cursor_path)
    )
    if not simple or around is None:
        return None
    looked_at = {*stream.primary_key}
    if incremental is not None:
        looked_at |= {path for path in (incremental.cursor_path, incremental.tie_breaker) if path}
    firsts = [steps(path) for path in looked_at]
    return None if None in firsts else Reader(around, looked_at | {keys[0] for keys in firsts if keys})


def _next_request(plan: Plan, request: PageRequest) -> PageRequest | None:
    """Return the request for the page after this one, where pages or records are counted."""
    continuation = next_continuation(plan.stream.paginator, request.at)
    return None if continuation is None else replace(request, at=continuation)


def _named(definition: Schema | None) -> str:
    """Name what a property is as a message does."""
    kinds = [kind for kind in (definition or {}).get("type", ()) if kind != "null"]
    return "unknown" if definition is None else definition.get("format") or " or ".join(kinds) or "null"


def _now() -> str:
    return datetime.now(timezone.utc).isoformat()
