"""A stream that follows an events feed: its list once, then what the API says has changed.

Theory of operation. Before the list is read whole (its seams checked), the feed is read to its end without emitting, so
that it is known from which event on nothing can be missing; after the list come the events from there on. So the first
run may emit an object twice, and never misses one; a run that dies in the list reads it again, from the same event on.
An event carries the object, or only names it, and then the current object is fetched; an object that is gone by then
comes out as a deletion, where the event says which one it is. STATE moves after each page of events. A gap since the
last run that is longer than the feed's retention means that events are lost, and so does an answer that the cursor has
expired: the list is read again, and a warning says so. A list that couldn't be read is read again by the next run.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from tap_restextract.errors import AnswerError
from tap_restextract.exchange.answer import GONE
from tap_restextract.hash_cache.protocol import HashCache
from tap_restextract.plan.bookmarks.cursors import KeysetBookmark
from tap_restextract.plan.bookmarks.feeds import FeedBookmark
from tap_restextract.plan.derived import event_object_plan, expiry_rule, feed_of, feed_plan
from tap_restextract.plan.plan import Plan, label_of
from tap_restextract.values.cursor import precision_of, rank
from tap_restextract.walks import ascending
from tap_restextract.walks.feed_events import (
    Key,
    SeenTypes,
    carried_object,
    deleted_key,
    event_types,
    is_same_key,
    key_in,
    key_text,
    matches,
    named_key,
    object_scope,
    tells_deletion,
)
from tap_restextract.walks.pages import (
    SEAM_ATTEMPTS,
    Listing,
    MovedSeamError,
    check_list,
    unstable_list_error,
)
from tap_restextract.walks.protocol import SubWalk
from tap_restextract.walks.repeated_pages import is_counted
from tap_restextract.walks.steps import Page, PageRequest, Record, Step, Steps, with_scope
from tap_restextract.walks.witnesses import OBJECT, Scope, filled_by_key, unfound_error, unfound_witnesses
from tap_restextract.walks.zones import with_zone_check

EVENTS: Final = "events of the feed"


class ExpiredCursorError(Exception):
    """The feed has dropped the event that was asked from: what is in the list now must be read again."""


class EventFeedWalk(Struct):
    """The list, where it must be read, then the feed.

    Attributes:
        events: the plan of the feed itself.
        bookmark: the bookmark of the run before.
        now: this moment, ISO 8601.
        asked: the list that was asked last.
        listing: the list must be read, or be read again, whole.
        has_expired: the cursor has, in this run.
        is_missing: the object that was asked for last isn't there.
        is_key_confirmed: whether objects that were fetched had the keys that their events name; None before the first.
        is_request_known: an object was found by the request for it, or that was checked.
        seen: the types of the events that were read.
        notices: what is still to be told.
    """

    plan: Plan
    events: Plan
    bookmark: FeedBookmark | None
    now: str
    started: int = 0
    asked: str = ""
    listing: bool = False
    has_expired: bool = False
    is_missing: bool = False
    is_key_confirmed: bool | None = None
    is_request_known: bool = False
    seen: SeenTypes = field(default_factory=SeenTypes)
    notices: list[str] = field(default_factory=list)

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
        if step.request is not None:
            self.asked = step.request.list_name
        if not isinstance(step.bookmark, KeysetBookmark):
            return step
        return replace(step, bookmark=FeedBookmark(step.bookmark, self.now, is_listed=not self.listing))

    def recover(self, sub_walk: SubWalk, error: AnswerError) -> Step | None:
        """Recover from an object that is gone when its event is read, and once from a cursor that has expired."""
        if self.asked == OBJECT and error.status in GONE:
            return self.translate(sub_walk, sub_walk.steps.send(Page(())))
        if self.asked != EVENTS or self.has_expired or error.rule != expiry_rule(self.plan):
            return None
        self.has_expired = True
        step = self.translate(sub_walk, sub_walk.steps.throw(ExpiredCursorError()))
        return replace(step, notices=(*step.notices, self._expiry_notice))

    @property
    def _expiry_notice(self) -> str:
        return (
            f"{label_of(self.plan)}: the feed has no events from the last one on any more (feed.expired), so events were lost; the whole "
            "list is read again, and what was deleted meanwhile isn't told"
        )

    def _steps(self) -> Steps:
        try:
            yield from self._followed(None if self.has_lost_events else self.bookmark)
        except ExpiredCursorError:
            yield from self._followed(None)

    def _followed(self, bookmark: FeedBookmark | None) -> Steps:
        self.listing = bookmark is None or not bookmark.is_listed
        step = Step()
        start = (yield from self._end_of_the_feed()) if bookmark is None else bookmark.events
        if self.listing:
            step = yield from self._list(start)
            self.listing = bool(step.notices)
        yield from self._events(start, step)

    def _read_from(self, bookmark: KeysetBookmark | None) -> Steps:
        """Return the steps of the feed itself, behind an event."""
        steps = with_zone_check(self.events, ascending.keyset(self.events, bookmark))
        return with_scope(steps, (), list_name=EVENTS)

    def _end_of_the_feed(self) -> Generator[Step, Page, KeysetBookmark]:
        """Read the feed without emitting; return the bookmark after its last event."""
        steps = self._read_from(None)
        step = next(steps)
        bookmark = KeysetBookmark(None)
        while step.request is not None:
            step = steps.send((yield Step(request=step.request, notices=step.notices)))
            bookmark = _later(step, bookmark)
        return bookmark

    def _list(self, start: KeysetBookmark) -> Generator[Step, Page, Step]:
        """Read the list whole, STATE saying that it isn't yet; return its last step, still to be written."""
        for _ in range(SEAM_ATTEMPTS):
            listing = Listing(self.plan, None)
            try:
                page = yield from listing.first_page((), start)
                check_list(self.plan, page)
                while not listing.ended:
                    page = yield from listing.next_page(page.records)
                    check_list(self.plan, page)
            except MovedSeamError:
                continue
            unread = listing.page.is_unreadable and not (listing.at is not None and is_counted(self.plan))
            return Step(page.records, notices=(self._unread_notice,) if unread else ())
        raise unstable_list_error(self.plan)

    @property
    def _unread_notice(self) -> str:
        return (
            f"{label_of(self.plan)}: the list couldn't be read: a response rule ignores the answer, or it holds an error and no records; "
            "the next run reads it again"
        )

    @property
    def _unread_feed_notice(self) -> str:
        return (
            f"{label_of(self.plan)}: the feed's answer holds an error and no events, so that what changed isn't known; say by "
            "feed.expired or response_rules what it means"
        )

    @property
    def _unread_object_notice(self) -> str:
        return (
            f"{label_of(self.plan)}: an event's object couldn't be read, as a response rule ignores the answer; it comes with the next "
            "event that names it"
        )

    def _events(self, start: KeysetBookmark, before: Step) -> Steps:
        steps = self._read_from(start if start.cursor else None)
        step = next(steps)
        records, bookmark, self.notices = before.records, start, [*before.notices, *step.notices]
        while step.request is not None:
            page = yield Step(records, bookmark, step.request, tuple(self.notices))
            step = steps.send(page)
            self.notices = [*step.notices, *([self._unread_feed_notice] if page.failed else [])]
            records = yield from self._objects(step.records)
            bookmark = _later(step, bookmark)
        yield Step(records, bookmark, notices=tuple(self.notices))

    def _objects(self, events: Sequence[Record]) -> Generator[Step, Page, list[Record]]:
        """Return this stream's objects that the events name, the latest version of each.

        An object that isn't there is asked for again behind the page's other events, before it is told as gone: the
        feed may be ahead of the object's own address.
        """
        latest: dict[str, Record] = {}
        missing: dict[str, tuple[Record, Record]] = {}
        for event, kind in zip(events, event_types(self.plan, events), strict=True):
            is_told = matches(kind, feed_of(self.plan).types)
            self.seen.take(kind, is_told=is_told)
            record = (yield from self._object(event, kind)) if is_told else None
            if record is None:
                continue
            key = key_text(self.plan, record)
            latest.pop(key, None)
            latest[key] = record
            if self.is_missing:
                missing[key] = event, record
        for key, (event, deletion) in missing.items():
            if latest[key] is deletion:
                record = yield from self._fetched(event)
                if record is not None and not self.is_missing:
                    latest[key_text(self.plan, record)] = record
                elif self.is_missing and not self.is_request_known:
                    gone = [object_scope(self.plan, each) for each, _ in missing.values()]
                    yield from self._check_the_request(event, deletion, gone)
        return list(latest.values())

    def _check_the_request(self, event: Record, deletion: Record, gone: Sequence[Scope]) -> Generator[Step, Page, None]:
        """Check that the request for one object finds what the list holds, before the run's first is told as gone.

        Args:
            event: names the object.
            deletion: the object's.
            gone: what fills the request for this object and others that weren't found.

        Raises:
            WalkError: where it doesn't.
        """
        self.is_request_known = True
        key = {name: deletion[name] for name in self.plan.stream.primary_key}
        filled = filled_by_key(object_scope(self.plan, event), key)
        if filled is not None and (scopes := (yield from unfound_witnesses(self.plan, filled, gone))):
            names = "feed.fetch_path, what fills it, or feed.fetch_records"
            raise unfound_error(self.plan, event_object_plan(self.plan), scopes, names)

    def _object(self, event: Record, kind: str) -> Generator[Step, Page, Record | None]:
        """Return an event's object, or its deletion; None where it can't be read."""
        self.is_missing = False
        if tells_deletion(self.plan, event, kind):
            return self._deletion(deleted_key(self.plan, event, is_confirmed=self.is_key_confirmed))
        if feed_of(self.plan).fetch_path is None:
            return carried_object(self.plan, event)
        return (yield from self._fetched(event))

    def _fetched(self, event: Record) -> Generator[Step, Page, Record | None]:
        """Return an event's object as it is now, or its deletion (`is_missing`); None where it can't be read.

        Raises:
            AnswerError: where the answer holds no such object.
        """
        page = yield Step(request=PageRequest(scope=object_scope(self.plan, event), list_name=OBJECT))
        self.is_missing = not page.records and not page.is_unreadable
        if page.ignored:
            self.notices.append(self._unread_object_notice)
            return None
        check_list(event_object_plan(self.plan), page)
        if self.is_missing:
            return self._deletion(deleted_key(self.plan, event, is_confirmed=self.is_key_confirmed))
        key = key_in(self.plan, page.records[0]) if page.records else (None,)
        if None in key:
            feed = feed_of(self.plan)
            raise AnswerError(
                f"{label_of(self.plan)}: the answer to fetch_path holds no object with {', '.join(self.plan.stream.primary_key)} at "
                f"{feed.fetch_records}; set feed.fetch_records to where the object lies, or say by response_rules what such an answer means"
            )
        self.is_request_known = True
        named = None if feed_of(self.plan).key else named_key(self.plan, event)
        if named is not None and self.is_key_confirmed is not False:
            self.is_key_confirmed = is_same_key(named, key)
        return page.records[0]

    def _deletion(self, key: Key) -> Record:
        return dict(zip(self.plan.stream.primary_key, key, strict=True)) | {"_sdc_deleted_at": self.now}


def stream_walk(plan: Plan, bookmark: FeedBookmark | None, cache: HashCache | None, now: str) -> EventFeedWalk:
    """Return the walk of a feed that goes on from a bookmark, its deletions as of `now` (ISO 8601)."""
    del cache
    return EventFeedWalk(plan, feed_plan(plan), bookmark, now)


def _later(step: Step, bookmark: KeysetBookmark) -> KeysetBookmark:
    return step.bookmark if isinstance(step.bookmark, KeysetBookmark) else bookmark
