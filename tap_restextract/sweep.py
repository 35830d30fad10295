"""The walk of a list without order or filter: every record, compared with what the hash cache remembers.

New and changed records come out, and the keys that are gone come out as deletions: a record of its primary key and
`_sdc_deleted_at`. A deletion is told only of a sweep that is proven complete: its end was stated, and its pages can't
have shifted, because the tokens are stable or there was one page. Pages that are counted can shift; a key that is missing
from them is looked for in a second sweep at once, and is deleted only if it is in neither.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import msgspec

from tap_restextract.bookmarks import Bookmark, Sweep, content_hash
from tap_restextract.hashes import HashCache, Key
from tap_restextract.listing import ended
from tap_restextract.paginators import is_stable
from tap_restextract.plan import Plan
from tap_restextract.progress import Seen
from tap_restextract.settings import SinglePage
from tap_restextract.steps import Ask, Page, Record, Step, Steps
from tap_restextract.tombstones import is_tombstone


def sweep(plan: Plan, bookmark: Bookmark | None, cache: HashCache, now: str) -> Steps:
    """Every record that the cache doesn't know as it is, then the deletions, told as of `now` (ISO 8601)."""
    comparison = Comparison(plan, cache, cache.begin(confirmed(bookmark.sweep if bookmark else None, cache)), now)
    records = yield from comparison.complete()
    yield Step(records, Bookmark(None, sweep=comparison.named))


def confirmed(named: Sweep | None, cache: HashCache) -> int | None:
    """The pass that STATE confirms; None where it names another cache, or none."""
    return named.number if named is not None and named.cache == cache.identity else None


@dataclass(slots=True)
class Comparison:
    """One pass of the list against the cache.

    Attributes:
        reading: the walk whose questions lead through the whole list, where pages don't lead on by themselves.
    """

    plan: Plan
    cache: HashCache
    number: int
    now: str
    reading: Callable[[Plan, Bookmark | None], Steps] | None = None
    changed: int = 0
    new: int = 0
    gone: int = 0
    whole: bool = False

    @property
    def named(self) -> Sweep:
        """What STATE says once the pass is complete."""
        return Sweep(self.number, self.cache.identity, self.now)

    def complete(self) -> Generator[Step, Page, Sequence[Record]]:
        """Read the whole list, and tell what is gone from it; returns the last records, which are still to be written."""
        first, self.whole = self.number, True
        records = yield from self.passed()
        gone = list(self.cache.missing(first))
        if gone and not self.is_proven:
            self.number = self.cache.begin(first)
            records = yield from self.passed(records)
            gone = list(self.cache.missing(first))
        self.cache.buried(gone, self.number)
        self.gone = len(gone)
        return [*records, *(self.deletion(key) for key in gone)]

    @property
    def is_proven(self) -> bool:
        """Whether a key that didn't come is gone."""
        paginator = self.plan.stream.paginator
        whole = isinstance(paginator, SinglePage) and paginator.limit is None
        return self.reading is None and (is_stable(paginator) or whole)

    def passed(self, records: Sequence[Record] = ()) -> Generator[Step, Page, Sequence[Record]]:
        """Read the whole list; returns the last page's records, which are still to be written."""
        if self.reading is not None:
            return (yield from self._led(self.reading(self.plan, None), records))
        seen = Seen(self.plan)
        page = yield Step(records, None, Ask())
        while page.following is not None:
            page = yield Step(self._fresh(page), None, Ask(None, seen.new(page.following)))
        ended(self.plan, page)
        return self._fresh(page)

    def _led(self, steps: Steps, records: Sequence[Record]) -> Generator[Step, Page, Sequence[Record]]:
        step = next(steps)
        while step.ask is not None:
            page = yield Step(records, None, step.ask)
            records = self._fresh(page)
            step = steps.send(page)
        return records

    def deletion(self, key: Key) -> Record:
        """What tells a target that a record is gone."""
        values = msgspec.json.decode(key)
        return {**dict(zip(self.plan.stream.primary_key, values, strict=True)), "_sdc_deleted_at": self.now}

    def _fresh(self, page: Page) -> list[Record]:
        # A tombstone says what a key's absence says: where the whole list is compared, it is told among the missing.
        listed = [record for record in page.records if not (self.whole and is_tombstone(self.plan.stream, record))]
        keyed = {key_of(self.plan, record): record for record in listed}
        hashes = {key: content_hash(record) for key, record in keyed.items()}
        known = self.cache.known(hashes.keys())
        changed = {key: digest for key, digest in hashes.items() if known.get(key) != digest}
        self.changed += len(changed.keys() & known.keys())
        self.new += len(changed.keys() - known.keys())
        self.cache.emitted(changed, self.number)
        self.cache.seen(hashes.keys() - changed.keys(), self.number)
        return [keyed[key] for key in changed]


def key_of(plan: Plan, record: Record) -> Key:
    """A record's primary key, as caches and STATE name it."""
    return msgspec.json.encode([record.get(name) for name in plan.stream.primary_key]).decode()
