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

from tap_restextract.config.settings import Received, SinglePage
from tap_restextract.config.webhooks import Route
from tap_restextract.errors import AnswerError, StateError
from tap_restextract.hash_cache.locations import opened as opened_cache
from tap_restextract.plan.bookmarks import Bookmark, Sweep, content_hash
from tap_restextract.plan.plan import Plan, Walk
from tap_restextract.plan.tombstones import DELETED_AT
from tap_restextract.singer.stream import Open, RestStream
from tap_restextract.values.cursor import NoRankError, rank
from tap_restextract.values.paths import MISSING, find
from tap_restextract.walks.event_feed import GONE
from tap_restextract.walks.steps import Page, PageRequest, Record, Step
from tap_restextract.webhooks.notifications import Channel, Told, channels_of, concerns, told
from tap_restextract.webhooks.queues.locations import opened
from tap_restextract.webhooks.queues.protocol import BATCH, Queue

if TYPE_CHECKING:
    from singer_sdk import Tap

    from tap_restextract.hash_cache.protocol import HashCache
    from tap_restextract.http.client import Client
    from tap_restextract.webhooks.notifications import Entry

MOST_FINDS: Final = 100_000  # records that wait for the second drain; what is beyond is counted at once

_decoder: Final = msgspec.json.Decoder(float_hook=Decimal)
_encoder: Final = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True)
class Place(Bookmark):
    """How far the queue was drained.

    Attributes:
        queue: its identity.
        position: of the last notification that came out; None where none ever did.
        told: the pass of the hash cache that remembers what notifications told.
        polled: whether the stream was polled to its end since webhooks are listened to.
    """

    queue: str = ""
    position: str | None = None
    told: Sweep | None = None
    polled: bool = False


class WebhookStream(RestStream):
    """One stream that is told of by webhooks, and polled where it has a path."""

    def __init__(self, tap: Tap, plan: Plan, schema: dict[str, Any], open_client: Open, received: Received) -> None:
        sources = received.webhooks.sources if received.webhooks else []
        self._channels = {source.name: channels_of(source, {plan.stream.name: plan}) for source in sources}
        self._queue_at = received.queue
        super().__init__(tap, plan, schema, open_client)

    @property
    def plan(self) -> Plan:
        """The plan of what is polled."""
        return self._plan

    def _steps(self) -> Iterator[Step]:
        with ExitStack() as stack:
            queue = stack.enter_context(closing(opened(self._queue_at)))
            drain = stack.enter_context(closing(self.drain(queue)))
            yield from drain.rest()
            if self._plan.walk is Walk.WEBHOOKS:
                self._tell_unrouted(drain)
                return
            for step in super()._steps():
                drain.found(self._complete(step.records))
                yield step
            drain.polled()
            yield from drain.rest()
            drain.reconcile()
            self._tell_unrouted(drain)
            self._tell_missed(drain)

    def drain(self, queue: Queue) -> Drain:
        """The queue's part of this stream, from the STATE on; what that covers is let go of.

        Raises:
            StateError: where STATE names a place that can't be read.
            QueueError: where the queue fails.
        """
        held = place_in(self.name, self.stream_state)
        cache = None
        if self._plan.walk is not Walk.WEBHOOKS:
            cache = opened_cache(self._plan.stream.hash_cache, f"{self.name}/webhooks")
        if held is not None and (
            held.queue != queue.identity or (held.position and not queue.holds(self.name, held.position))
        ):
            self.logger.warning(
                "stream %s: STATE names a place that this queue of webhooks hasn't; all that it holds comes out",
                self.name,
            )
            held = replace(held, position=None)
        if held is not None and held.position is not None:
            queue.acknowledge(self.name, held.position)
        return Drain(self._plan, self._channels, Kept(queue, cache), held, self._fetched)

    def _fetched(self, route: Route, scopes: Sequence[tuple[tuple[str, Any], ...]]) -> list[Record | None]:
        """The current objects; None for one that is gone."""
        plan = webhook_object_plan(self._plan, route)
        with closing(self._open_client(plan)) as client:
            return fetched(client, scopes, self._plan.stream.concurrency)

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
        if not isinstance(bookmark, Place):
            super()._checkpoint(bookmark)
            return
        self.mark(bookmark)
        self._whole_state["currently_syncing"] = self.name
        self._tap.state_writer.write_state(self.tap_state)

    def emit(self, records: Sequence[Record]) -> None:
        """Write records outside of a run of all streams."""
        self._write(self._complete(records))

    def mark(self, place: Place) -> None:
        """Keep the place for the next STATE."""
        self.stream_state["webhooks"] = in_state(place)

    def write_state(self) -> None:
        """Write the STATE of all streams; the SDK's own writer would keep one back that says nothing new."""
        self._tap.message_writer.write_message(StateMessage(value=self.tap_state))

    def _tell_unrouted(self, drain: Drain) -> None:
        if drain.unrouted:
            self.logger.warning(
                "stream %s: %d notifications that were stored tell of nothing by today's configuration; they are left out",
                self.name,
                drain.unrouted,
            )

    def _tell_missed(self, drain: Drain) -> None:
        """Say what webhooks missed, in the log and as a metric."""
        if not drain.counts:
            return
        level = logging.WARNING if drain.missed else logging.INFO
        self.logger.log(level, "stream %s: polling found %d records that webhooks missed", self.name, drain.missed)
        point: metrics.Point[int] = metrics.Point("counter", WebhookMetric.MISSED, drain.missed, {"stream": self.name})  # type: ignore[arg-type]  # an enum of ours
        metrics.log(metrics.get_metrics_logger(), point)


class Kept(NamedTuple):
    """What remembers: the queue what was not loaded yet, the hash cache which versions were told."""

    queue: Queue
    cache: HashCache | None


class WebhookMetric(str, enum.Enum):
    """Metrics besides singer-sdk's own."""

    MISSED = "webhooks_missed"


Fetched = Callable[[Route, Sequence[tuple[tuple[str, Any], ...]]], "list[Record | None]"]


class Drain:
    """One stream's drain: steps from the queue, and what polling finds besides."""

    def __init__(
        self,
        plan: Plan,
        channels: Mapping[str, Sequence[Channel]],
        kept: Kept,
        held: Place | None,
        fetch: Fetched,
    ) -> None:
        self._plan = plan
        self._channels = channels
        self._queue, self._cache = kept
        self._fetch = fetch
        self._identity = self._queue.identity
        self._pass: Sweep | None = None
        self._polled = self.counts = held is not None and held.polled
        if self._cache is not None:
            told_in = held.told if held and held.told and held.told.cache == self._cache.identity else None
            confirmed = told_in.number if told_in else None
            self._pass = Sweep(self._cache.begin(confirmed), self._cache.identity)
            self.counts = self.counts and confirmed is not None
        self.position = held.position if held else None
        self.missed = self.unrouted = 0
        self._marked = False
        self._finds: dict[str, Any] = {}

    @property
    def place(self) -> Place:
        """What is true once all that came out is written."""
        return Place(None, queue=self._identity, position=self.position, told=self._pass, polled=self._polled)

    def acknowledge(self, state: Mapping[str, Any]) -> None:
        """Let go of what the stream's part of a STATE covers that is known to be loaded."""
        held = place_in(self._plan.stream.name, state)
        if held is not None and held.position is not None and held.queue == self._identity:
            self._queue.acknowledge(self._plan.stream.name, held.position)

    def resume(self) -> None:
        """Go on after the queue failed: from the same place, unless it is another queue now, or lost that place."""
        identity, name = self._queue.identity, self._plan.stream.name
        if identity != self._identity or (self.position and not self._queue.holds(name, self.position)):
            self._identity, self.position = identity, None

    def rest(self) -> Iterator[Step]:
        """A step a batch, until the queue's end; at least one, whose bookmark says that the stream was drained."""
        while True:
            records, more = self.next()
            yield Step(records, self.place)
            if not more:
                return

    def next(self, most: int = BATCH) -> tuple[list[Record], bool]:
        """The next batch's records, and whether there may be more."""
        name = self._plan.stream.name
        entries = self._queue.read(name, self.position, most)
        records = self._records(entries)
        if entries:
            self.position = entries[-1].position
        self._remember(records)
        if self._cache is not None and self._pass is not None and (entries or not self._marked):
            self._cache.finish(self._pass.number)  # the STATE behind this batch names the pass
            self._marked = True
        return records, len(entries) >= most

    def found(self, records: Sequence[Record]) -> None:
        """What polling found: compared with what notifications told."""
        if self._cache is None or not records:
            return
        versions = self._newest(records)
        known = self._cache.known_hashes(versions)
        untold = {key: version for key, version in versions.items() if is_newer(version, known.get(key))}
        if len(self._finds) >= MOST_FINDS:
            self.reconcile()
        self._finds |= untold

    def polled(self) -> None:
        """Say that the list was read to its end."""
        self._polled = True

    def reconcile(self) -> None:
        """Count what polling found and no notification told of, and remember it, so that it counts once."""
        self.missed += len(self._finds)
        if self._cache is not None and self._pass is not None:
            self._cache.record_emitted(self._finds, self._pass.number)
        self._finds = {}

    def close(self) -> None:
        """Let go of the cache."""
        if self._cache is not None:
            self._cache.close()

    def _records(self, entries: Sequence[Entry]) -> list[Record]:
        """What the entries tell, in their order; objects to be fetched are fetched once each, as they are now."""
        tellings: list[tuple[Route, Told]] = []
        for entry in entries:
            event = _decoder.decode(entry.body)
            channels = [each for each in self._channels.get(entry.source, ()) if concerns(each.route, entry.kind)]
            self.unrouted += not channels
            for channel in channels:
                tellings += [(channel.route, each) for each in told(channel, entry.kind, event, entry.received)]
        thin = {each.scope: route for route, each in tellings if each.scope is not None}
        current: dict[Any, Record | None] = {}
        for route in {id(route): route for route in thin.values()}.values():
            scopes = [scope for scope, of in thin.items() if of is route]
            current.update(zip(scopes, self._fetch(route, scopes), strict=True))
        records = []
        now = entries[-1].received if entries else ""
        for _, each in tellings:
            if each.scope is None:
                records.append(each.record)
            elif each.scope in current:
                record = current.pop(each.scope)
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
            if key in self._finds and not is_newer(self._finds[key], version):
                del self._finds[key]

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


def fetched(client: Client, scopes: Sequence[tuple[tuple[str, Any], ...]], concurrency: int) -> list[Record | None]:
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


def in_state(place: Place) -> dict[str, Any]:
    """The place as STATE keeps it."""
    state: dict[str, Any] = {"queue": place.queue, "position": place.position}
    if place.told is not None:
        state["told"] = {"number": place.told.number, "cache": place.told.cache}
    return state | ({"polled": True} if place.polled else {})


def place_in(stream: str, state: Mapping[str, Any]) -> Place | None:
    """The place that STATE names; None for a first run.

    Raises:
        StateError: where it can't be read.
    """
    held = state.get("webhooks")
    if held is None:
        return None
    try:
        said = msgspec.convert(held, Said)
    except msgspec.ValidationError as error:
        raise StateError(
            f"stream {stream}: STATE names no place in a queue of webhooks that can be read; reset this stream's STATE"
        ) from error
    told_in = Sweep(said.told.number, said.told.cache) if said.told else None
    return Place(None, queue=said.queue, position=said.position, told=told_in, polled=said.polled)


class Pass(msgspec.Struct, frozen=True):
    """A pass of the hash cache, as STATE names it."""

    number: int
    cache: str


class Said(msgspec.Struct, frozen=True):
    """A place, as STATE names it."""

    queue: str
    position: str | None = None
    told: Pass | None = None
    polled: bool = False
