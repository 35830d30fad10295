"""The stream: singer-sdk's settings, catalog and maps on one side, the walk and the client on the other.

Theory of operation. A walk's step says what to write, which bookmark is then true, and what to ask next. The next page
is asked for at once, in a thread of its own, while this one is written: records first, flushed, and only then the STATE
that covers them. Whatever moment the process dies at, the last STATE on stdout has everything before it on stdout.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from tap_restextract.errors import AnswerError
from tap_restextract.exchange.paginators import next_continuation, paths_of
from tap_restextract.exchange.records import missing_key_text
from tap_restextract.hash_cache.locations import open_cache, redacted_location
from tap_restextract.http.fetching import Fetch, Prefetcher, run_walks
from tap_restextract.plan.bookmarks.protocol import Bookmark
from tap_restextract.plan.bookmarks.state import from_state
from tap_restextract.plan.derived import event_object_plan, feed_of, feed_plan, lookup_plan, null_key_plan
from tap_restextract.plan.plan import Plan
from tap_restextract.plan.tombstones import DELETED_AT, as_deletion, is_tombstone
from tap_restextract.singer.emitting import EmittingStream, now
from tap_restextract.singer.nested_keys import with_nested_key
from tap_restextract.singer.sampling import Described, OpenClient
from tap_restextract.singer.schema import typed_key
from tap_restextract.values.paths import steps
from tap_restextract.values.rows import Reader, column
from tap_restextract.walks.children import ChildrenWalk
from tap_restextract.walks.combined import NULLS, CombinedWalk, SweepWalk
from tap_restextract.walks.event_feed import EVENTS, EventFeedWalk
from tap_restextract.walks.probing import probed
from tap_restextract.walks.protocol import StreamWalk
from tap_restextract.walks.steps import Page, PageRequest, Record, Step
from tap_restextract.walks.sweep import LOOKUP, LOOKUP_DOUBTED, proof_of
from tap_restextract.walks.table import first_request, stream_walk_for
from tap_restextract.walks.witnesses import OBJECT

if TYPE_CHECKING:
    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context


class RestStream(EmittingStream):
    """One configured stream; its walk is the plan's."""

    def __init__(
        self, tap: Tap, plan: Plan, described: Described, open_client: OpenClient, parents: Plan | None = None
    ) -> None:
        self._open_client = open_client
        self._wants_rows = False
        self._noticed: set[str] = set()
        super().__init__(tap, plan, described, parents)

    @property
    def is_sorted(self) -> bool:
        """Every walk that moves STATE before its end reads in order."""
        return self._plan.replication_key is not None

    @property
    def partitions(self) -> None:
        """There are none: the walk's bookmark is the whole stream's."""
        return

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
        if not self._plan.stream.primary_key:
            self.logger.info(
                "stream %s has no primary_key: a target adds each record that comes, and updates none; declare the properties that "
                "identify a record, where it has some",
                self.name,
            )
        with self.get_record_counter() as counter, self.get_sync_timer():
            record_count = 0
            for step in self._steps():
                self._warn(step.notices)
                records = self._complete(step.records)
                limit = self.ABORT_AT_RECORD_COUNT
                if limit is not None and record_count + len(records) > limit:
                    self._write(records[: limit - record_count])
                    self._write_batches()
                    self._check_max_record_limit(current_record_index=limit)
                if write_messages and self.selected:
                    self._write(records)
                    self._checkpoint(step.bookmark)
                else:
                    yield from records
                record_count += len(records)
                counter.increment(len(records))
        self._write_batches()
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
        goes_on = bookmark is not None or plan.is_combined
        if kept is not None and goes_on and kept.request != first_request(plan, bookmark):
            # A later request that is equal, such as a sweep's, would get an answer older than the walk's own.
            kept = None
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
            stream_walk = stream_walk_for(plan, bookmark, parents=self._parents, cache=cache, nulls=nulls, now=now())
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
            driven = probed(stream_walk, plan, bookmark, self._parents)
            yield from run_walks(driven, fetch_page, plan.stream.concurrency)
            self._report(stream_walk)

    def _warn(self, notices: Sequence[str]) -> None:
        """Log what answers showed, each once a run."""
        for notice in notices:
            if notice not in self._noticed:
                self._noticed.add(notice)
                self.logger.warning("%s", notice)

    def _report(self, stream_walk: StreamWalk) -> None:
        """Log what a person should learn of the API from this run."""
        if isinstance(stream_walk, ChildrenWalk) and 0 < stream_walk.gone == stream_walk.started_count:
            self.logger.warning(
                "stream %s: the children of all %d parents were answered 404 or 410; correct path (%s) where the parents are there. Where it "
                "means that they have no children, write response_rules: [{action: IGNORE, http_codes: [404]}]",
                self.name,
                stream_walk.gone,
                self._plan.stream.path,
            )
        elif isinstance(stream_walk, ChildrenWalk) and stream_walk.gone:
            self.logger.info(
                "stream %s: %d parents vanished between their listing and their children", self.name, stream_walk.gone
            )
        if isinstance(stream_walk, EventFeedWalk) and stream_walk.seen.others and not stream_walk.seen.told_count:
            self.logger.info(
                "stream %s: no event that came is one of feed.types (%s); there were %s",
                self.name,
                ", ".join(feed_of(self._plan).types),
                ", ".join(sorted(stream_walk.seen.others)),
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
                LOOKUP_DOUBTED if comparison.is_lookup_doubted else proof_of(self._plan).value,
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

    def _complete(self, records: Sequence[Record]) -> Sequence[Record]:
        """Return records checked for keys, nested replication keys copied to the top, tombstones as deletions."""
        records = with_nested_key(self._plan, records)
        if self._plan.stream.deleted_path is not None:
            extracted = now()
            records = [
                as_deletion(self._plan, record, extracted) if is_tombstone(self._plan.stream, record) else record
                for record in records
            ]
        if self._plan.walk.follows_feed:
            properties, keys = self.schema["properties"], self._plan.stream.primary_key
            records = [
                record
                if record.get(DELETED_AT) is None
                else {**record, **{name: typed_key(properties.get(name), record.get(name)) for name in keys}}
                for record in records
            ]
        for name in self._plan.stream.primary_key:
            if None in column(records, name):
                raise AnswerError(
                    f"stream {self.name}: a record has no {name}, which is in its primary_key; "
                    + (
                        missing_key_text(self._plan.stream, name, records)
                        or "correct primary_key, or let the request leave such records out"
                    )
                )
        return records


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
        and (incremental is None or not incremental.cursor_formats)
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
