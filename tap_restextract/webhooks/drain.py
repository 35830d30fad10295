"""The drain of one stream: batches of the queue as steps, and what polling finds that no notification said.

What polling finds, a record whose version is newer than the newest that a notification brought, was missed by webhooks:
it is remembered, the queue is drained once more, since a notification may have come meanwhile, and what is left is
counted. The versions that notifications brought are remembered in the hash cache, in passes that STATE confirms; the
first poll of a stream counts nothing, for nobody was listening before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from tap_restextract.config.webhooks import Route
from tap_restextract.hash_cache.protocol import HashCache
from tap_restextract.plan.bookmarks.protocol import Sweep
from tap_restextract.plan.keys import content_hash
from tap_restextract.plan.plan import Plan
from tap_restextract.plan.tombstones import DELETED_AT
from tap_restextract.values.cursor import NoRankError, rank
from tap_restextract.walks.steps import Record, Step
from tap_restextract.walks.witnesses import Scope
from tap_restextract.webhooks.notifications import Change, Channel, Entry, changes_in, concerns
from tap_restextract.webhooks.position import QueuePosition, position_in
from tap_restextract.webhooks.queues.protocol import BATCH, Queue

MAX_UNMATCHED_RECORDS: Final = 100_000  # records that wait for the second drain; what is beyond is counted at once
_decoder: Final = msgspec.json.Decoder(float_hook=Decimal)
_encoder: Final = msgspec.json.Encoder(decimal_format="number")


class DrainStorage(NamedTuple):
    """What remembers: the queue what was not loaded yet, the hash cache which versions notifications brought."""

    queue: Queue
    cache: HashCache | None


FetchObjects = Callable[[Route, Mapping[Scope, Record]], "list[Record | None]"]
"""The objects of a route by what fills the placeholders of its `fetch_path`, each with its key."""


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
        return QueuePosition(self._identity, self.position, self._pass, polled=self._polled)

    def acknowledge(self, state: Mapping[str, Any]) -> None:
        """Release the notifications that a STATE covers which is known to be loaded."""
        loaded = position_in(self._plan.stream.name, state)
        if loaded is not None and loaded.position is not None and loaded.queue == self._identity:
            self._queue.acknowledge(self._plan.stream.name, loaded.position)

    def resume(self) -> None:
        """Go on after the queue failed, from the same position unless the queue is another one or lost it."""
        identity, name = self._queue.identity, self._plan.stream.name
        if identity != self._identity or (self.position and not self._queue.contains(name, self.position)):
            self._identity, self.position = identity, None

    def steps(self) -> Iterator[Step]:
        """Yield a step a batch, to the queue's end; one at least, whose bookmark says that the stream was drained."""
        while True:
            records, more = self.next()
            yield Step(records, self.bookmark)
            if not more:
                return

    def next(self, max_entries: int = BATCH) -> tuple[list[Record], bool]:
        """Return the next batch's records, and whether there may be more."""
        name = self._plan.stream.name
        entries = self._queue.read(name, self.position, max_entries)
        records = self._records(entries)
        if entries:
            self.position = entries[-1].position
        self._remember(records)
        if self._cache is not None and self._pass is not None and (entries or not self._has_finished_pass):
            self._cache.finish(self._pass.number)  # the STATE after this batch names the pass
            self._has_finished_pass = True
        return records, len(entries) >= max_entries

    def compare_polled(self, records: Sequence[Record]) -> None:
        """Compare what polling found with what notifications brought."""
        if self._cache is None or not records:
            return
        versions = self._newest(records)
        known = self._cache.known_hashes(versions)
        unreported = {key: version for key, version in versions.items() if is_newer(version, known.get(key))}
        if len(self._unmatched) >= MAX_UNMATCHED_RECORDS:
            self.reconcile()
        self._unmatched |= unreported

    def finish_polling(self) -> None:
        """Note that the list was read to its end."""
        self._polled = True

    def reconcile(self) -> None:
        """Count what polling found and no notification brought, and remember it, so that it counts once."""
        self.missed += len(self._unmatched)
        if self._cache is not None and self._pass is not None:
            self._cache.record_emitted(self._unmatched, self._pass.number)
        self._unmatched = {}

    def close(self) -> None:
        """Let go of the cache."""
        if self._cache is not None:
            self._cache.close()

    def _records(self, entries: Sequence[Entry]) -> list[Record]:
        """Return what the entries say, in their order; objects to be fetched are fetched once each, as they are now."""
        changes: list[tuple[Route, Change]] = []
        for entry in entries:
            event = _decoder.decode(entry.body)
            channels = [each for each in self._channels.get(entry.source, ()) if concerns(each.route, entry.kind)]
            self.unrouted += not channels
            for channel in channels:
                changes += [(channel.route, each) for each in changes_in(channel, entry.kind, event, entry.received)]
        to_fetch = {each.scope: (route, each.record) for route, each in changes if each.scope is not None}
        fetched: dict[Any, Record | None] = {}
        for route in {id(route): route for route, _ in to_fetch.values()}.values():
            scopes = {scope: record for scope, (of, record) in to_fetch.items() if of is route}
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
        """Remember the newest version of each key that notifications brought; forget what polling found before."""
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
        """Return the newest version of each key."""
        newest: dict[str, str] = {}
        for record in records:
            key, version = key_of(self._plan, record), version_of(self._plan, record)
            if version is not None and is_newer(version, newest.get(key)):
                newest[key] = version
        return newest


def key_of(plan: Plan, record: Record) -> str:
    """Return the primary key as webhooks' hash cache has it: JSON, decimals as numbers (`plan.keys`: as texts)."""
    return _encoder.encode([record.get(name) for name in plan.stream.primary_key]).decode()


def version_of(plan: Plan, record: Record) -> str | None:
    """Return what identifies a record's version, as JSON: its replication key, or its content; None without both."""
    key = plan.replication_key
    if key is None:
        return None if DELETED_AT in record else _encoder.encode({"content": content_hash(record)}).decode()
    value = record.get(key)
    return None if value is None else _encoder.encode(value).decode()


def is_newer(version: str, known: str | None) -> bool:
    """Return whether this version is after the known one; contents have no order: another one is newer."""
    if known is None or known == version:
        return known is None
    ours, theirs = _decoder.decode(version), _decoder.decode(known)
    try:
        return bool(rank(ours) > rank(theirs))
    except NoRankError:
        return True
