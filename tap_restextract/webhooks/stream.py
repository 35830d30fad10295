"""A stream of webhooks: what waits in the queue comes out first, then, where the stream has a path, its list is polled.

Theory of operation. The STATE that came as input names a place in the queue: all up to there is known to be loaded and is
let go of; what lies behind comes out, a batch a STATE. So a notification leaves the queue only when the STATE that covers it
has come back. A place of another queue, or of one that was lost or restored, is none: then all that is kept comes out.

Behind the queue's end comes the poll, from its own bookmark. What it finds that no notification told of, a record whose
version is newer than the newest told, was missed by webhooks: it is remembered, the queue is drained once more, since a
notification may have come meanwhile, and what is left is counted. The versions told are remembered in the hash cache, in
passes that STATE confirms; the first poll of a stream counts nothing, for nobody was listening before.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from msgspec import structs
from singer_sdk import metrics
from singer_sdk.singerlib import StateMessage

from tap_restextract.config.paginators import SinglePage
from tap_restextract.config.webhooks import ReceiverSettings, Route
from tap_restextract.errors import AnswerError, StateError
from tap_restextract.exchange.answer import GONE
from tap_restextract.hash_cache.locations import open_cache
from tap_restextract.plan.bookmarks import Bookmark, Sweep, content_hash
from tap_restextract.plan.plan import Plan, Walk
from tap_restextract.plan.tombstones import DELETED_AT
from tap_restextract.singer.stream import OpenClient, RestStream
from tap_restextract.values.cursor import NoRankError, rank
from tap_restextract.values.paths import MISSING, find
from tap_restextract.walks.steps import Page, PageRequest, Record, Step
from tap_restextract.webhooks.notifications import Change, Channel, changes_in, channels_of, concerns
from tap_restextract.webhooks.queues.locations import open_queue
from tap_restextract.webhooks.queues.protocol import BATCH, Queue

if TYPE_CHECKING:
    from singer_sdk import Tap

    from tap_restextract.hash_cache.protocol import HashCache
    from tap_restextract.http.client import Client
    from tap_restextract.webhooks.notifications import Entry

MAX_UNMATCHED_RECORDS: Final = 100_000  # records that wait for the second drain; what is beyond is counted at once

_decoder: Final = msgspec.json.Decoder(float_hook=Decimal)
_encoder: Final = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True)
class QueuePosition(Bookmark):
    """How far the queue was drained.

    Attributes:
        queue: its identity.
        position: of the last notification that came out; None where none ever did.
        told: the pass of the hash cache that remembers what notifications told.
        polled: whether the stream was polled to its end since webhooks are listened to.
    """

    queue: str = ""
    position: str | None = None
    cache_pass: Sweep | None = None
    polled: bool = False


class WebhookStream(RestStream):
    """One stream that is told of by webhooks, and polled where it has a path."""

    def __init__(
        self, tap: Tap, plan: Plan, schema: dict[str, Any], open_client: OpenClient, received: ReceiverSettings
    ) -> None:
        sources = received.webhooks.sources if received.webhooks else []
        self._channels = {source.name: channels_of(source, {plan.stream.name: plan}) for source in sources}
        self._queue_location = received.queue
        super().__init__(tap, plan, schema, open_client)

    @property
    def plan(self) -> Plan:
        """The plan of what is polled."""
        return self._plan

    def _steps(self) -> Iterator[Step]:
        with ExitStack() as stack:
            queue = stack.enter_context(closing(open_queue(self._queue_location)))
            drain = stack.enter_context(closing(self.drain(queue)))
            yield from drain.steps()
            if self._plan.walk is Walk.WEBHOOKS:
                self._warn_unrouted(drain)
                return
            for step in super()._steps():
                drain.compare_polled(self._complete(step.records))
                yield step
            drain.finish_polling()
            yield from drain.steps()
            drain.reconcile()
            self._warn_unrouted(drain)
            self._report_missed(drain)

    def drain(self, queue: Queue) -> Drain:
        """The queue's part of this stream, from the STATE on; what that covers is let go of.

        Raises:
            StateError: where STATE names a place that can't be read.
            QueueError: where the queue fails.
        """
        stored = position_in(self.name, self.stream_state)
        cache = None
        if self._plan.walk is not Walk.WEBHOOKS:
            cache = open_cache(self._plan.stream.hash_cache, f"{self.name}/webhooks")
        if stored is not None and (
            stored.queue != queue.identity or (stored.position and not queue.contains(self.name, stored.position))
        ):
            self.logger.warning(
                "stream %s: STATE names a place that this queue of webhooks hasn't; all that it holds comes out",
                self.name,
            )
            stored = replace(stored, position=None)
        if stored is not None and stored.position is not None:
            queue.acknowledge(self.name, stored.position)
        return Drain(self._plan, self._channels, DrainStorage(queue, cache), stored, self._fetch_objects)

    def _fetch_objects(self, route: Route, scopes: Sequence[tuple[tuple[str, Any], ...]]) -> list[Record | None]:
        """The current objects; None for one that is gone."""
        plan = webhook_object_plan(self._plan, route)
        with closing(self._open_client(plan)) as client:
            return fetch_objects(client, scopes, self._plan.stream.concurrency)

    def _complete(self, records: Sequence[Record]) -> Sequence[Record]:
        """As they are polled; what has no nested replication key to copy is whole already, as deletions are."""
        incremental, key = self._plan.stream.incremental, self._plan.replication_key
        if incremental is None or key == incremental.cursor_path:
            return super()._complete(records)
        whole = [key in record or find(incremental.cursor_path, record) is MISSING for record in records]
        return [
            record if ready else super(WebhookStream, self)._complete([record])[0]
            for record, ready in zip(records, whole, strict=True)
        ]

    def _checkpoint(self, bookmark: Bookmark | None) -> None:
        if not isinstance(bookmark, QueuePosition):
            super()._checkpoint(bookmark)
            return
        self.keep_position(bookmark)
        self._whole_state["currently_syncing"] = self.name
        self._tap.state_writer.write_state(self.tap_state)

    def emit(self, records: Sequence[Record]) -> None:
        """Write records outside of a run of all streams."""
        self._write(self._complete(records))

    def keep_position(self, position: QueuePosition) -> None:
        """Keep the place for the next STATE."""
        self.stream_state["webhooks"] = position_state(position)

    def write_state(self) -> None:
        """Write the STATE of all streams; the SDK's own writer would keep one back that says nothing new."""
        self._tap.message_writer.write_message(StateMessage(value=self.tap_state))

    def _warn_unrouted(self, drain: Drain) -> None:
        if drain.unrouted:
            self.logger.warning(
                "stream %s: %d notifications that were stored tell of nothing by today's configuration; they are left out",
                self.name,
                drain.unrouted,
            )

    def _report_missed(self, drain: Drain) -> None:
        """Say what webhooks missed, in the log and as a metric."""
        if not drain.counts:
            return
        level = logging.WARNING if drain.missed else logging.INFO
        self.logger.log(level, "stream %s: polling found %d records that webhooks missed", self.name, drain.missed)
        point: metrics.Point[int] = metrics.Point("counter", WebhookMetric.MISSED, drain.missed, {"stream": self.name})  # type: ignore[arg-type]  # an enum of ours
        metrics.log(metrics.get_metrics_logger(), point)


class DrainStorage(NamedTuple):
    """What remembers: the queue what was not loaded yet, the hash cache which versions were told."""

    queue: Queue
    cache: HashCache | None


class WebhookMetric(str, enum.Enum):
    """Metrics besides singer-sdk's own."""

    MISSED = "webhooks_missed"


FetchObjects = Callable[[Route, Sequence[tuple[tuple[str, Any], ...]]], "list[Record | None]"]


class Drain:
    """One stream's drain: steps from the queue, and what polling finds besides."""

    def __init__(
        self,
        plan: Plan,
        channels: Mapping[str, Sequence[Channel]],
        storage: DrainStorage,
        stored: QueuePosition | None,
        fetch: FetchObjects,
    ) -> None:
        self._plan = plan
        self._channels = channels
        self._queue, self._cache = storage
        self._fetch = fetch
        self._identity = self._queue.identity
        self._pass: Sweep | None = None
        self._polled = self.counts = stored is not None and stored.polled
        if self._cache is not None:
            confirmed_pass = (
                stored.cache_pass
                if stored and stored.cache_pass and stored.cache_pass.cache == self._cache.identity
                else None
            )
            confirmed = confirmed_pass.number if confirmed_pass else None
            self._pass = Sweep(self._cache.begin(confirmed), self._cache.identity)
            self.counts = self.counts and confirmed is not None
        self.position = stored.position if stored else None
        self.missed = self.unrouted = 0
        self._has_finished_pass = False
        self._unmatched: dict[str, Any] = {}

    @property
    def bookmark(self) -> QueuePosition:
        """What is true once all that came out is written."""
        return QueuePosition(
            None, queue=self._identity, position=self.position, cache_pass=self._pass, polled=self._polled
        )

    def acknowledge(self, state: Mapping[str, Any]) -> None:
        """Let go of what the stream's part of a STATE covers that is known to be loaded."""
        loaded = position_in(self._plan.stream.name, state)
        if loaded is not None and loaded.position is not None and loaded.queue == self._identity:
            self._queue.acknowledge(self._plan.stream.name, loaded.position)

    def resume(self) -> None:
        """Go on after the queue failed: from the same place, unless it is another queue now, or lost that place."""
        identity, name = self._queue.identity, self._plan.stream.name
        if identity != self._identity or (self.position and not self._queue.contains(name, self.position)):
            self._identity, self.position = identity, None

    def steps(self) -> Iterator[Step]:
        """A step a batch, until the queue's end; at least one, whose bookmark says that the stream was drained."""
        while True:
            records, more = self.next()
            yield Step(records, self.bookmark)
            if not more:
                return

    def next(self, max_entries: int = BATCH) -> tuple[list[Record], bool]:
        """The next batch's records, and whether there may be more."""
        name = self._plan.stream.name
        entries = self._queue.read(name, self.position, max_entries)
        records = self._records(entries)
        if entries:
            self.position = entries[-1].position
        self._remember(records)
        if self._cache is not None and self._pass is not None and (entries or not self._has_finished_pass):
            self._cache.finish(self._pass.number)  # the STATE behind this batch names the pass
            self._has_finished_pass = True
        return records, len(entries) >= max_entries

    def compare_polled(self, records: Sequence[Record]) -> None:
        """What polling found: compared with what notifications told."""
        if self._cache is None or not records:
            return
        versions = self._newest(records)
        known = self._cache.known_hashes(versions)
        untold = {key: version for key, version in versions.items() if is_newer(version, known.get(key))}
        if len(self._unmatched) >= MAX_UNMATCHED_RECORDS:
            self.reconcile()
        self._unmatched |= untold

    def finish_polling(self) -> None:
        """Say that the list was read to its end."""
        self._polled = True

    def reconcile(self) -> None:
        """Count what polling found and no notification told of, and remember it, so that it counts once."""
        self.missed += len(self._unmatched)
        if self._cache is not None and self._pass is not None:
            self._cache.record_emitted(self._unmatched, self._pass.number)
        self._unmatched = {}

    def close(self) -> None:
        """Let go of the cache."""
        if self._cache is not None:
            self._cache.close()

    def _records(self, entries: Sequence[Entry]) -> list[Record]:
        """What the entries tell, in their order; objects to be fetched are fetched once each, as they are now."""
        changes: list[tuple[Route, Change]] = []
        for entry in entries:
            event = _decoder.decode(entry.body)
            channels = [each for each in self._channels.get(entry.source, ()) if concerns(each.route, entry.kind)]
            self.unrouted += not channels
            for channel in channels:
                changes += [(channel.route, each) for each in changes_in(channel, entry.kind, event, entry.received)]
        to_fetch = {each.scope: route for route, each in changes if each.scope is not None}
        fetched: dict[Any, Record | None] = {}
        for route in {id(route): route for route in to_fetch.values()}.values():
            scopes = [scope for scope, of in to_fetch.items() if of is route]
            fetched.update(zip(scopes, self._fetch(route, scopes), strict=True))
        records = []
        now = entries[-1].received if entries else ""
        for _, each in changes:
            if each.scope is None:
                records.append(each.record)
            elif each.scope in fetched:
                record = fetched.pop(each.scope)
                records.append({**each.record, DELETED_AT: now} if record is None else record)
        return records

    def _remember(self, records: Sequence[Record]) -> None:
        """Keep the newest version told of each key, and strike what polling had found of it before."""
        if self._cache is None or self._pass is None or not records:
            return
        newest = self._newest(records)
        known = self._cache.known_hashes(newest)
        self._cache.record_emitted(
            {key: each for key, each in newest.items() if is_newer(each, known.get(key))}, self._pass.number
        )
        for key, version in newest.items():
            if key in self._unmatched and not is_newer(self._unmatched[key], version):
                del self._unmatched[key]

    def _newest(self, records: Sequence[Record]) -> dict[str, str]:
        """The newest version of each key."""
        newest: dict[str, str] = {}
        for record in records:
            key, version = key_of(self._plan, record), version_of(self._plan, record)
            if version is not None and is_newer(version, newest.get(key)):
                newest[key] = version
        return newest


def key_of(plan: Plan, record: Record) -> str:
    """The primary key's values as JSON."""
    return _encoder.encode([record.get(name) for name in plan.stream.primary_key]).decode()


def version_of(plan: Plan, record: Record) -> str | None:
    """What tells a record's versions apart, as JSON: its replication key, or its content; None where it says none."""
    key = plan.replication_key
    if key is None:
        return None if DELETED_AT in record else _encoder.encode({"content": content_hash(record)}).decode()
    value = record.get(key)
    return None if value is None else _encoder.encode(value).decode()


def is_newer(version: str, known: str | None) -> bool:
    """Whether this version is behind the known one; contents have no order: another one is newer."""
    if known is None or known == version:
        return known is None
    ours, theirs = _decoder.decode(version), _decoder.decode(known)
    try:
        return bool(rank(ours) > rank(theirs))
    except NoRankError:
        return True


def webhook_object_plan(plan: Plan, route: Route) -> Plan:
    """The plan of one object's request: the polled stream's, but for its address."""
    stream = structs.replace(
        plan.stream,
        path=route.fetch_path or "",
        source="api",
        params={},
        records=route.fetch_records,
        paginator=SinglePage(),
        incremental=None,
        json=None,
        method="GET",
    )
    return Plan(stream, Walk.TRAVERSAL)


def fetch_objects(
    client: Client, scopes: Sequence[tuple[tuple[str, Any], ...]], concurrency: int
) -> list[Record | None]:
    """Each object as it is now, some at once; None for one that is gone."""

    def one(scope: tuple[tuple[str, Any], ...]) -> Record | None:
        try:
            page: Page = client.page(PageRequest(scope=scope))
        except AnswerError as error:
            if error.status in GONE:
                return None
            raise
        return page.records[0] if page.records else None

    if concurrency == 1:
        return [one(scope) for scope in scopes]
    with ThreadPoolExecutor(concurrency, thread_name_prefix="objects") as pool:
        return list(pool.map(one, scopes))


def position_state(position: QueuePosition) -> dict[str, Any]:
    """The place as STATE keeps it."""
    state: dict[str, Any] = {"queue": position.queue, "position": position.position}
    if position.cache_pass is not None:
        state["told"] = {"number": position.cache_pass.number, "cache": position.cache_pass.cache}
    return state | ({"polled": True} if position.polled else {})


def position_in(stream: str, state: Mapping[str, Any]) -> QueuePosition | None:
    """The place that STATE names; None for a first run.

    Raises:
        StateError: where it can't be read.
    """
    stored = state.get("webhooks")
    if stored is None:
        return None
    try:
        position = msgspec.convert(stored, StoredPosition)
    except msgspec.ValidationError as error:
        raise StateError(
            f"stream {stream}: STATE names no place in a queue of webhooks that can be read; reset this stream's STATE"
        ) from error
    cache_pass = Sweep(position.cache_pass.number, position.cache_pass.cache) if position.cache_pass else None
    return QueuePosition(
        None, queue=position.queue, position=position.position, cache_pass=cache_pass, polled=position.polled
    )


class CachePass(msgspec.Struct, frozen=True):
    """A pass of the hash cache, as STATE names it."""

    number: int
    cache: str


class StoredPosition(msgspec.Struct, frozen=True):
    """A place, as STATE names it."""

    queue: str
    position: str | None = None
    cache_pass: CachePass | None = msgspec.field(default=None, name="told")  # STATE's name
    polled: bool = False
