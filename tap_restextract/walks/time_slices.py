"""The walk in time ranges: a backfill cut into slices, and slices halved where the API's result window would cut them.

A slice is half-open in the client and inclusive in the request, so that no value lies between two of them and what
comes twice is dropped. Within a slice the order doesn't matter: it is read as a whole, its seams checked. Only where
the list is sorted by time alone, and its pages are counted, must no seam lie within a tie: the slice is cut before the
tie then. Slices may be read at once; STATE moves over those that are done without a gap. The last slice has no end, so
that future-dated records come out; the bookmark after it is the server's clock at its start, less the lag.

Where each range needs an end (`end: required`, or one part of the request that holds both ends), the last slice ends
there, and what is dated ahead comes out once the clock has come as far. Before the server's clock is known this
machine's limits the first slice, since many APIs refuse an end that is to come. Of a number that counts no time no
clock says where the ranges end: see `serial_ranges`.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_FLOOR, Decimal
from typing import Any

import msgspec
from msgspec import Struct

from tap_restextract.config.paginators import Offset
from tap_restextract.errors import AnswerError, WalkError
from tap_restextract.exchange.paginators import Start, is_stable
from tap_restextract.exchange.request import has_joined_ends
from tap_restextract.hash_cache.protocol import HashCache
from tap_restextract.plan.bookmarks.cursors import CursorBookmark
from tap_restextract.plan.keys import content_hash
from tap_restextract.plan.plan import Plan, incremental_of, label_of
from tap_restextract.plan.ranges import (
    counts_no_time,
    cursor_from,
    earliest,
    first_shown,
    least_step,
    measure,
    past_odd_hour,
    window,
)
from tap_restextract.values.cursor import Cursor, Rank, format_like, kind_and_rank, rank, resolution_of
from tap_restextract.values.paths import find
from tap_restextract.walks.boundary import MAX_SEAMS_ASKED_ABOUT
from tap_restextract.walks.edges import check_edge, has_passed
from tap_restextract.walks.filtering import check_not_newer, check_not_older
from tap_restextract.walks.null_keys import with_null_keys
from tap_restextract.walks.order import check_kind, rank_of
from tap_restextract.walks.pages import (
    SEAM_ATTEMPTS,
    Listing,
    MovedSeamError,
    has_open_ties,
    split_tie_error,
    with_list_check,
)
from tap_restextract.walks.protocol import SubWalk
from tap_restextract.walks.serial_ranges import Highest, check_no_dates
from tap_restextract.walks.settling import horizon_at
from tap_restextract.walks.steps import Page, PageRequest, Record, Step, Steps
from tap_restextract.walks.ties import TieOrder
from tap_restextract.walks.units import check_unit
from tap_restextract.walks.zones import with_zone_check


class Edge(Struct):
    """Records at the end of a slice: what asked for a page that holds some, and their content hashes."""

    source: PageRequest
    hashes: set[str] = msgspec.field(default_factory=set)


@dataclass(slots=True)
class TimeSlices:
    """The slices from the bookmark to now, a sub-walk each.

    Attributes:
        known: hashes of what was emitted from the bookmark on, by runs before.
        limit: where this machine's clock is, less the lag, as a value of the replication key; None where nobody told.
        highest: what the ranges read so far have shown, where the key is a number that counts no time; else None.
        has_found: the range begun last, of such a key, holds records.
        horizon_value: the horizon as a value of the replication key, known once the first page has come.
        bookmarks: what each slice begun has reached, in their order; a finished one's is its end.
        edges: of a slice's end, by its rank, what is there and the next slice must hold.
        edges_asked_about: edges of which something didn't come again.
        tie_order: what the ties of all slices show.
    """

    plan: Plan
    mark: Cursor | None
    known: frozenset[str]
    sample_value: Any
    lower: Any
    limit: Any = None
    highest: Highest | None = None
    has_found: bool = True
    horizon_value: Any = None
    has_started: bool = False
    ended: bool = False
    sub_walks: list[SubWalk] = field(default_factory=list)
    bookmarks: dict[SubWalk, CursorBookmark] = field(default_factory=dict)
    done: set[SubWalk] = field(default_factory=set)
    edges: dict[Rank, Edge] = field(default_factory=dict)
    edges_asked_about: int = 0
    tie_order: TieOrder = field(init=False)

    def __post_init__(self) -> None:
        self.tie_order = TieOrder(self.plan)

    @classmethod
    def resume(cls, plan: Plan, bookmark: CursorBookmark | None, now: str = "") -> TimeSlices:
        """Return the slices that go on from a bookmark; `now` is this machine's clock, ISO 8601."""
        incremental = incremental_of(plan)
        mark = bookmark.cursor if bookmark else None
        first = window(incremental, earliest(incremental, mark.value) if mark else incremental.initial_value)
        known = bookmark.boundary if bookmark else frozenset()
        highest = Highest.resume(plan, bookmark) if counts_no_time(incremental) else None
        return cls(plan, mark, known, first, first, _clock(plan, first, now), highest)

    @property
    def is_closed(self) -> bool:
        """Whether each range needs an end."""
        return incremental_of(self.plan).end == "required" or has_joined_ends(self.plan.stream)

    def next(self) -> SubWalk | None:
        """Return the next slice; the first one alone, since its answer has the server's time."""
        if self.highest is not None:
            return self._next_of_serials()
        if self.ended or (self.has_started and self.horizon_value is None):
            return None
        incremental = incremental_of(self.plan)
        upper = None
        if incremental.step:
            # No end is within what the API writes alike.
            length = max(measure(incremental, incremental.step), least_step(incremental, self.sample_value))
            upper = first_shown(incremental, format_like(self.sample_value, Decimal(rank(self.lower)) + length))
            upper = past_odd_hour(incremental, upper)
        if self.horizon_value is None:
            if self.limit is not None and (self.is_closed if upper is None else rank(upper) > rank(self.limit)):
                upper = max(self.limit, self.lower, key=rank)
        elif rank(self.lower) < rank(self.horizon_value):
            upper = self.horizon_value if upper is None else min(upper, self.horizon_value, key=rank)
        elif self.is_closed:
            self.ended = True
            return None
        else:
            upper = None
        return self._begun(upper, ended=upper is None and self.horizon_value is not None)

    def _next_of_serials(self) -> SubWalk | None:
        """Return the next range of a serial number, once the one before is read: the last one follows an empty one."""
        if self.ended or len(self.done) < len(self.sub_walks):
            return None
        incremental, upper = incremental_of(self.plan), None
        if incremental.step and self.has_found:
            upper = format_like(self.sample_value, Decimal(rank(self.lower)) + measure(incremental, incremental.step))
        self.has_found = False
        return self._begun(upper, ended=upper is None)

    def _begun(self, upper: Any, *, ended: bool) -> SubWalk:
        sub_walk = SubWalk(self._checked(self._slice(self.lower, upper)), f"from {self.lower}")
        self.has_started, self.ended = True, ended
        self.sub_walks.append(sub_walk)
        self.lower = upper
        return sub_walk

    def _checked(self, steps: Steps) -> Steps:
        return with_null_keys(self.plan, None, with_zone_check(self.plan, with_list_check(self.plan, steps)))

    def translate(self, sub_walk: SubWalk, step: Step) -> Step:
        """Translate a slice's step: its bookmark is that of all slices done without a gap."""
        if isinstance(step.bookmark, CursorBookmark):
            self.bookmarks[sub_walk] = step.bookmark
        if step.request is None:
            self.done.add(sub_walk)
        bookmark = None
        for each in self.sub_walks:
            bookmark = self.bookmarks.get(each, bookmark)
            if each not in self.done:
                break
        return Step(step.records, bookmark, step.request)

    def recover(self, sub_walk: SubWalk, error: AnswerError) -> None:
        """Recover from no error: each slice must be read."""
        del sub_walk, error

    def cut(self, lower: Any, upper: Any) -> Any:
        """Return a range's end when the clock is known: the last ends there; one without end, or none, follows."""
        if self.highest is not None:
            return upper
        if rank(lower) >= rank(self.horizon_value):
            self.ended = True
            return lower if self.is_closed else None
        if upper is None or rank(upper) > rank(self.horizon_value):
            self.lower = self.horizon_value
            return self.horizon_value
        return upper

    def _slice(self, lower: Any, upper: Any) -> Steps:
        """Read one slice, halved as often as its results don't fit the API's window."""
        emitted: set[str] = set()
        parts = [(lower, upper)]
        step = Step()
        while parts:
            part = SliceReader(self, *parts.pop(), emitted)
            step, halves = yield from part.read(step)
            parts += halves
        yield step


def stream_walk(plan: Plan, bookmark: CursorBookmark | None, cache: HashCache | None, now: str) -> TimeSlices:
    """Return the slices that go on from a bookmark."""
    del cache
    return TimeSlices.resume(plan, bookmark, now)


def whole_range(plan: Plan, now: str) -> PageRequest:
    """Return the request for all from the initial value on; where ranges need ends, to the clock `now` (ISO 8601)."""
    slices = TimeSlices.resume(plan, None, now)
    return PageRequest(
        cursor_from(incremental_of(plan), slices.lower), until=slices.limit if slices.is_closed else None
    )


def _clock(plan: Plan, sample_value: Any, now: str) -> Any:
    """Return this machine's clock, less the lag, as a value of the replication key; None where the key is no time."""
    incremental = incremental_of(plan)
    if not now or (incremental.epoch is None and kind_and_rank(sample_value)[0] == "number"):
        return None
    bound = horizon_at(incremental, float(rank(now)), sample_value)
    assert bound is not None
    return window(incremental, format_like(sample_value, bound))


def first_request(plan: Plan, bookmark: CursorBookmark | None, now: str = "") -> PageRequest:
    """Return the request for the first slice, which doesn't end after the clock `now` (ISO 8601)."""
    sub_walk = TimeSlices.resume(plan, bookmark, now).next()
    return next(sub_walk.steps).request or PageRequest() if sub_walk else PageRequest()


@dataclass(slots=True)
class SliceReader:
    """A slice, or a half of one, that is read as a whole."""

    slices: TimeSlices
    lower: Any
    upper: Any
    emitted: set[str]
    count: int = 0
    hashes: set[str] = field(default_factory=set)
    highest: Highest = field(init=False)
    coarseness: Decimal = field(init=False)

    def __post_init__(self) -> None:
        self.highest = Highest(self.slices.plan)
        incremental = incremental_of(self.slices.plan)
        self.coarseness = measure(incremental, incremental.precision) if incremental.precision else Decimal(0)

    def read(self, before: Step) -> Generator[Step, Page, tuple[Step, list[tuple[Any, Any]]]]:
        """Read the slice; return its last step, still to be written, and the halves to read where it is too full."""
        slices, plan = self.slices, self.slices.plan
        for _ in range(SEAM_ATTEMPTS):
            listing, self.count = Listing(plan, cursor_from(incremental_of(plan), self.lower), until=self.upper), 0
            try:
                page = yield from listing.first_page(before.records, before.bookmark)
                self._read_clock(page)
                upper = slices.cut(self.lower, self.upper)
                if upper != self.upper:
                    return Step(), [(self.lower, upper)]
                records = self._fresh(page, listing)
                asked = PageRequest(listing.start, until=self.upper)
                yield from self._check_passed_edge(asked, listing.page)
                while not listing.ended:
                    if self._is_full(listing):
                        is_last = self.upper is None and slices.highest is None
                        return (Step(records, self._bookmark()), []) if is_last else (Step(records), self._halves())
                    above = listing.page
                    page = yield from listing.next_page(records)
                    if (tied := self._tie_over(above, listing.page)) is not None:
                        return Step(), self._cut_before(tied)
                    records = self._fresh(page, listing)
                    yield from self._check_passed_edge(asked, listing.page)
            except MovedSeamError:
                before = Step()
                continue
            yield from self._check_edge(asked)
            return Step(records, self._bookmark()), []
        raise WalkError(
            f"{label_of(plan)}: the list from {self.lower!r} on shifted between two pages each of {SEAM_ATTEMPTS} times that it was "
            "read; ask for larger pages, or declare a paginator whose tokens are stable, where the API has one"
        )

    def _check_passed_edge(self, asked: PageRequest, page: Page) -> Steps:
        """Check the edge as soon as a page has come beyond it, as `_check_edge` does: a run may die in the slice."""
        if rank(self.lower) in self.slices.edges and has_passed(self.slices.plan, asked, page):
            yield from self._check_edge(asked)

    def _check_edge(self, asked: PageRequest) -> Steps:
        """Ask about records at the slice's begin that the slice before it showed, and that didn't come.

        Raises:
            WalkError: where it is proven that the filter leaves them out.
        """
        slices = self.slices
        edge = slices.edges.pop(rank(self.lower), None)
        if edge is not None and edge.hashes and slices.edges_asked_about < MAX_SEAMS_ASKED_ABOUT:
            slices.edges_asked_about += 1
            yield from check_edge(slices.plan, asked, self.lower, edge.hashes, edge.source)

    def _fresh(self, page: Page, listing: Listing) -> list[Record]:
        plan, slices = self.slices.plan, self.slices
        self.count += len(page.records)
        if page.records:
            check_kind(plan, self.lower, page.records[0])
            check_unit(plan, page.records)
        lower, upper = rank(self.lower), None if self.upper is None else rank(self.upper)
        serial = slices.highest is not None
        if serial and page.records:
            self._note(page.records, lower, upper)
        least = None if serial or upper is not None else rank(earliest(incremental_of(plan), self.lower))
        dedupes = bool(slices.known) or incremental_of(plan).max_window_results is not None or self._must_not_split_ties
        asked, records, edge = cursor_from(incremental_of(plan), self.lower), [], slices.edges.get(lower)
        # Of a page that overlaps the one before it, all records tell of the order of ties.
        ranks = [rank_of(plan, record) for record in listing.page.records]
        slices.tie_order.check(listing.page.records, ranks)
        for record, record_rank in zip(page.records, ranks[len(ranks) - len(page.records) :], strict=True):
            if record_rank < lower or (upper is not None and record_rank >= upper):
                if upper is not None and self._is_at(upper, record_rank):
                    source = PageRequest(listing.start, listing.at, self.upper, probe=True)
                    slices.edges.setdefault(upper, Edge(source)).hashes.add(content_hash(record))
                value = find(incremental_of(plan).cursor_path, record)
                check_not_older(plan, asked, value, record_rank)
                check_not_newer(plan, asked, self.upper, value, record_rank)
                continue
            if edge and edge.hashes and self._is_at(lower, record_rank):
                edge.hashes.discard(content_hash(record))
            if dedupes or least is not None:
                digest = content_hash(record)
                if least is not None:
                    self.hashes.add(digest)
                if digest in slices.known or digest in self.emitted:
                    continue
                self.emitted.add(digest)
            records.append(record)
        return records

    def _is_at(self, place: Rank, record_rank: Rank) -> bool:
        """Return whether the filter can't tell a record from a range's end or begin, which is one."""
        return record_rank == place or (bool(self.coarseness) and place <= record_rank < place + self.coarseness)

    def _note(self, records: Sequence[Record], lower: Rank, upper: Rank | None) -> None:
        """Take a page of serial numbers into account."""
        plan = self.slices.plan
        check_no_dates(plan, self.lower, records)
        inside = [record for record in records if lower <= rank_of(plan, record) and _is_before(upper, plan, record)]
        self.highest.note(inside)
        self.slices.has_found = self.slices.has_found or bool(inside)

    def _read_clock(self, page: Page) -> None:
        """Fix the horizon, when the first page of all has come: the bookmark after the last range."""
        slices, incremental = self.slices, incremental_of(self.slices.plan)
        if slices.horizon_value is not None or slices.highest is not None:
            return
        bound = horizon_at(incremental, page.server_time, slices.sample_value)
        if bound is None:
            raise WalkError(
                f"{label_of(slices.plan)}: reading in time ranges needs the server's clock, and its answers have no Date header; "
                "leave `step` and `max_window_results` out, or sort the list (order: asc)"
            )
        like = find(incremental.cursor_path, page.records[0]) if page.records else slices.sample_value
        steps = (Decimal(bound) / resolution_of(like)).to_integral_value(rounding=ROUND_FLOOR)
        now = window(incremental, format_like(slices.sample_value, steps * resolution_of(like)))
        slices.horizon_value = max(now, slices.sample_value, key=rank)

    def _bookmark(self) -> CursorBookmark | None:
        if self.slices.highest is not None:
            self.slices.highest.merge(self.highest)
            return self.slices.highest.bookmark
        if self.upper is not None:
            is_last = self.slices.is_closed and self.upper == self.slices.horizon_value
            return CursorBookmark(Cursor(self.upper), frozenset() if is_last else self.slices.known)
        return CursorBookmark(Cursor(self.lower), frozenset(self.hashes))

    def _is_full(self, listing: Listing) -> bool:
        """Return whether the next page would lie beyond the API's result window, or the list says that it will be."""
        max_results = incremental_of(self.slices.plan).max_window_results
        if max_results is None:
            return False
        page, paginator = listing.page, self.slices.plan.stream.paginator
        # A page may be shorter than the API may make the next one.
        reached, length = self.count, listing.max_page_length
        if isinstance(page.following, Start):
            reached = page.following.offset
        if isinstance(paginator, Offset):
            length = paginator.limit
        return reached + length > max_results or (page.total is not None and page.total > max_results)

    @property
    def _must_not_split_ties(self) -> bool:
        plan = self.slices.plan
        return has_open_ties(plan) and not is_stable(plan.stream.paginator)

    def _tie_over(self, above: Page, below: Page) -> Record | None:
        """Return a record that shares its value with one on the page above, where the order of ties is anything."""
        if not self._must_not_split_ties:
            return None
        plan, upper = self.slices.plan, None if self.upper is None else rank(self.upper)
        ranks = {
            record_rank
            for record_rank in (rank_of(plan, record) for record in above.records)
            if upper is None or record_rank < upper
        }
        return next((record for record in below.records if rank_of(plan, record) in ranks), None)

    def _cut_before(self, tied: Record) -> list[tuple[Any, Any]]:
        """Return the part's two pieces, before a tie and from it on, the later one first."""
        incremental = incremental_of(self.slices.plan)
        value = find(incremental.cursor_path, tied)
        middle = window(incremental, value)
        if rank(middle) <= rank(self.lower):
            raise split_tie_error(self.slices.plan, value)
        return [(middle, self.upper), (self.lower, middle)]

    def _halves(self) -> list[tuple[Any, Any]]:
        """Return the part's two halves, the later one first; one without end is cut at the highest value in it."""
        incremental = incremental_of(self.slices.plan)
        lower = Decimal(rank(self.lower))
        upper = Decimal(rank(self.highest.value if self.upper is None else self.upper))
        like = self.slices.sample_value
        least = least_step(incremental, like)
        cut = upper if self.upper is None else (lower + upper) / 2
        steps = cut if incremental.cursor_formats else (cut / least).to_integral_value(rounding=ROUND_FLOOR) * least
        middle = first_shown(incremental, format_like(like, steps))
        # Not within an hour that a zone's clocks repeat, or leave out: behind it, or else before it.
        second = first_shown(incremental, format_like(like, lower + least))
        for value in (past_odd_hour(incremental, middle), window(incremental, middle), second):
            if lower < rank(value) and (self.upper is None or rank(value) < upper):
                return [(value, self.upper), (self.lower, value)]
        raise WalkError(
            f"{label_of(self.slices.plan)}: {self.count} records or more lie at {self.lower!r} or {self.upper or self.highest.value!r}, and {incremental.max_window_results} "
            "are the most that the API gives for one question; declare a compound filter with a tie_breaker, or make the request narrower"
        )


def _is_before(upper: Rank | None, plan: Plan, record: Record) -> bool:
    return upper is None or rank_of(plan, record) < upper
