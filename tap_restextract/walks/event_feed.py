"""A stream that follows an events feed: its list once, then what the API says has changed.

Theory of operation. Before the list is read whole (its seams checked), the feed is read to its end without emitting, so
that it is known from which event on nothing can be missing; after the list come the events from there on. So the first
run may emit an object twice, and never misses one; a run that dies in the list reads it again, from the same event on.
An event carries the object, or only names it, and then the current object is fetched; an object that is gone by then
comes out as a deletion. STATE moves after each page of events. A gap since the last run that is longer than the feed's
retention means that events are lost: the list is read again, and a warning says so.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from tap_restextract.errors import AnswerError
from tap_restextract.exchange.answer import GONE
from tap_restextract.hash_cache.protocol import HashCache
from tap_restextract.plan.bookmarks.cursors import KeysetBookmark
from tap_restextract.plan.bookmarks.feeds import FeedBookmark
from tap_restextract.plan.derived import feed_names, feed_of, feed_plan
from tap_restextract.plan.plan import Plan, label_of
from tap_restextract.values.cursor import precision_of, rank
from tap_restextract.values.paths import MISSING, find
from tap_restextract.walks import ascending
from tap_restextract.walks.pages import SEAM_ATTEMPTS, Listing, MovedSeamError, unstable_list_error
from tap_restextract.walks.protocol import SubWalk
from tap_restextract.walks.steps import Page, PageRequest, Record, Step, Steps, with_scope

EVENTS: Final = "events of the feed"
OBJECT: Final = "object of an event"


@dataclass(slots=True)
class EventFeedWalk:
    """The list, where it must be read, then the feed.

    Attributes:
        events: the plan of the feed itself.
        bookmark: the bookmark of the run before.
        now: this moment, ISO 8601.
    """

    plan: Plan
    events: Plan
    bookmark: FeedBookmark | None
    now: str
    started: int = 0
    is_fetching_object: bool = False
    listing: bool = False

    @property
    def has_lost_events(self) -> bool:
        """Whether events may have left the feed unread."""
        feed = feed_of(self.plan)
        if feed.retention is None or self.bookmark is None:
            return False
        return rank(self.now) - rank(self.bookmark.read_at) > precision_of(feed.retention)

    def next(self) -> SubWalk | None:
        """Return the one sub-walk, once."""
        if self.started:
            return None
        self.started = 1
        return SubWalk(self._steps(), "feed")

    def translate(self, sub_walk: SubWalk, step: Step) -> Step:
        """Stamp the step with the moment of reading."""
        del sub_walk
        if not isinstance(step.bookmark, KeysetBookmark):
            return step
        return replace(step, bookmark=FeedBookmark(step.bookmark, self.now, is_listed=not self.listing))

    def recover(self, sub_walk: SubWalk, error: AnswerError) -> Step | None:
        """Recover from an object that is gone when its event is read: it is a deletion, and its walk goes on."""
        if not self.is_fetching_object or error.status not in GONE:
            return None
        return self.translate(sub_walk, sub_walk.steps.send(Page(())))

    def _steps(self) -> Steps:
        bookmark = None if self.has_lost_events else self.bookmark
        self.listing = bookmark is None or not bookmark.is_listed
        step = Step()
        start = (yield from self._end_of_the_feed()) if bookmark is None else bookmark.events
        if self.listing:
            step = yield from self._list(start)
            self.listing = False
        yield from self._events(start, step)

    def _end_of_the_feed(self) -> Generator[Step, Page, KeysetBookmark]:
        """Read the feed without emitting; return the bookmark after its last event."""
        steps = with_scope(ascending.keyset(self.events, None), (), list_name=EVENTS)
        step = next(steps)
        bookmark = KeysetBookmark(None)
        while step.request is not None:
            step = steps.send((yield Step(request=step.request)))
            bookmark = _later(step, bookmark)
        return bookmark

    def _list(self, start: KeysetBookmark) -> Generator[Step, Page, Step]:
        """Read the list whole, STATE saying that it isn't yet; return its last step, still to be written."""
        for _ in range(SEAM_ATTEMPTS):
            listing = Listing(self.plan, None)
            try:
                page = yield from listing.first_page((), start)
                while not listing.ended:
                    page = yield from listing.next_page(page.records)
            except MovedSeamError:
                continue
            return Step(page.records)
        raise unstable_list_error(self.plan)

    def _events(self, start: KeysetBookmark, before: Step) -> Steps:
        steps = with_scope(ascending.keyset(self.events, start if start.cursor else None), (), list_name=EVENTS)
        step = next(steps)
        records, bookmark = before.records, start
        while step.request is not None:
            page = yield Step(records, bookmark, step.request)
            step = steps.send(page)
            records = yield from self._objects(step.records)
            bookmark = _later(step, bookmark)
        yield Step(records, bookmark)

    def _objects(self, events: Sequence[Record]) -> Generator[Step, Page, list[Record]]:
        """Return this stream's objects that the events name, the latest version of each."""
        feed = feed_of(self.plan)
        latest: dict[str, Record] = {}
        for event in events:
            kind = str(find(feed.type_path, event))
            if not any(fnmatch.fnmatchcase(kind, pattern) for pattern in feed.types):
                continue
            deleted = any(fnmatch.fnmatchcase(kind, pattern) for pattern in feed.deleted_types)
            record = self._object_in(event)
            if feed.fetch_path is not None and not deleted:
                self.is_fetching_object = True
                page = yield Step(request=PageRequest(scope=_scope(self.plan, event), list_name=OBJECT))
                self.is_fetching_object = False
                deleted = not page.records
                record = page.records[0] if page.records else record
            key = str([record.get(name) for name in self.plan.stream.primary_key])
            latest.pop(key, None)
            latest[key] = self._deletion(record) if deleted else record
        return list(latest.values())

    def _object_in(self, event: Record) -> Record:
        feed = feed_of(self.plan)
        record = find(feed.object_path, event)
        if not isinstance(record, dict):
            raise AnswerError(
                f"{label_of(self.plan)}: an event has no object at {feed.object_path}; set feed.object_path to where it lies"
            )
        return record

    def _deletion(self, record: Record) -> Record:
        return {name: record.get(name) for name in self.plan.stream.primary_key} | {"_sdc_deleted_at": self.now}


def stream_walk(plan: Plan, bookmark: FeedBookmark | None, cache: HashCache | None, now: str) -> EventFeedWalk:
    """Return the walk of a feed that goes on from a bookmark, its deletions as of `now` (ISO 8601)."""
    del cache
    return EventFeedWalk(plan, feed_plan(plan), bookmark, now)


def _later(step: Step, bookmark: KeysetBookmark) -> KeysetBookmark:
    return step.bookmark if isinstance(step.bookmark, KeysetBookmark) else bookmark


def _scope(plan: Plan, event: Record) -> tuple[tuple[str, Any], ...]:
    scope = []
    for name in feed_names(plan):
        value = find(name.removeprefix("event."), event)
        if value is MISSING or value is None:
            raise AnswerError(
                f"{label_of(plan)}: an event has no {name.removeprefix('event.')}, which fetch_path needs; correct the placeholder {{{name}}}"
            )
        scope.append((name, value))
    return tuple(scope)
