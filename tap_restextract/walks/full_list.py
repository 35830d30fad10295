"""Walks of whole lists, whatever their order."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal
from typing import Any, Final

from msgspec import Struct, field

from tap_restextract.errors import WalkError
from tap_restextract.plan.bookmarks.cursors import CursorBookmark
from tap_restextract.plan.bookmarks.protocol import Bookmark
from tap_restextract.plan.keys import content_hash
from tap_restextract.plan.plan import Plan, incremental_of, label_of
from tap_restextract.plan.ranges import cursor_from, earliest, window
from tap_restextract.values.cursor import Cursor, Rank, format_like, rank, resolution_of
from tap_restextract.values.paths import find
from tap_restextract.walks.cycles import CycleGuard
from tap_restextract.walks.filtering import check_not_older
from tap_restextract.walks.order import check_kind, cursor_of, rank_of
from tap_restextract.walks.pages import (
    SEAM_ATTEMPTS,
    Listing,
    MovedSeamError,
    is_last_page,
    unstable_list_error,
)
from tap_restextract.walks.repeated_pages import check_distinct, is_counted, repeated_page_error
from tap_restextract.walks.settling import horizon
from tap_restextract.walks.steps import Page, PageRequest, Record, Step, Steps
from tap_restextract.walks.units import check_unit

MAX_IDENTICAL_PAGES: Final = 100
"""Pages in a row."""


def traversal(plan: Plan, bookmark: Bookmark | None) -> Steps:
    """Walk the whole list, page by page; there is no bookmark."""
    del bookmark
    guard, repeats = CycleGuard(plan), 0
    request = PageRequest()
    page = yield Step(request=request)
    while page.following is not None:
        next_request = PageRequest(None, guard.admit(page))
        next_page = yield Step(page.records, None, next_request)
        yield from check_distinct(plan, page, next_page, request, next_request)
        # Without a key two pages may be alike; so many in a row are one that the API gives to whatever number.
        repeats = repeats + 1 if page.records and page.records == next_page.records else 0
        if repeats == MAX_IDENTICAL_PAGES and is_counted(plan):
            raise repeated_page_error(plan, request.at)
        page, request = next_page, next_request
    is_last_page(plan, page)
    yield Step(page.records)


def unordered(plan: Plan, bookmark: CursorBookmark | None) -> Steps:
    """Walk all from the bookmark on, in any order; the next one is the server's clock at the start, less the lag."""
    full_pass = FullPass.resume(plan, bookmark)
    for _ in range(SEAM_ATTEMPTS):
        listing = Listing(plan, full_pass.request_cursor)
        try:
            page = yield from listing.first_page()
            records = full_pass.fresh(page)
            while not listing.ended:
                page = yield from listing.next_page(records)
                records = full_pass.fresh(page)
        except MovedSeamError:
            continue
        yield Step(records, full_pass.final_bookmark)
        return
    raise unstable_list_error(plan)


class FullPass(Struct):
    """One pass over an unordered list, begun again where the list shifts.

    Attributes:
        mark: the bookmark of the run before.
        high: the new one: as far as the server's clock had come, less the lag, when the pass began.
        hashes: what was emitted from the bookmark's window on, by content.
        newest: the greatest value that came.
    """

    plan: Plan
    mark: Cursor | None
    known: frozenset[str]
    high: Any = None
    begun_at: float | None = None
    hashes: dict[str, Rank] = field(default_factory=dict)
    newest: Any = None

    @classmethod
    def resume(cls, plan: Plan, bookmark: CursorBookmark | None) -> FullPass:
        """Return the pass that goes on from a bookmark."""
        return cls(plan, bookmark.cursor if bookmark else None, bookmark.boundary if bookmark else frozenset())

    @property
    def request_cursor(self) -> Cursor | None:
        """The cursor that makes the API answer all from the bookmark on."""
        value = self._first_value
        return None if value is None else cursor_from(incremental_of(self.plan), value)

    def fresh(self, page: Page) -> list[Record]:
        """Return the page's records that were not emitted before.

        Raises:
            WalkError: where the server shows no clock, or a record is older than what was asked for.
        """
        if self.begun_at is None:
            self.begun_at = page.server_time
        if not page.records:
            return []
        check_kind(self.plan, self._first_value, page.records[0])
        check_unit(self.plan, page.records)
        if self.high is None:
            self._read_clock(page)
        first = None if self._first_value is None else rank(window(incremental_of(self.plan), self._first_value))
        high = rank(earliest(incremental_of(self.plan), self.high))
        asked, records = self.request_cursor, []
        for record in page.records:
            record_rank = rank_of(self.plan, record)
            if first is not None and record_rank < first:
                check_not_older(self.plan, asked, cursor_of(self.plan, record).value, record_rank)
                continue
            if self.newest is None or record_rank > rank(self.newest):
                self.newest = cursor_of(self.plan, record).value
            is_recent = record_rank >= high
            if is_recent or self.known:
                digest = content_hash(record)
                seen = digest in self.known or digest in self.hashes
                if is_recent:
                    self.hashes[digest] = record_rank
                if seen:
                    continue
            records.append(record)
        return records

    @property
    def final_bookmark(self) -> CursorBookmark | None:
        """What STATE may say once the whole list was read."""
        if self.high is None:  # nothing came, what was known neither: no later run need look for that
            return CursorBookmark(self.mark) if self.mark is not None and self.known else None
        stays = self.mark is not None and rank(self.mark.value) >= rank(self.high)
        return CursorBookmark(self.mark if stays else Cursor(self.high), frozenset(self.hashes), newest=self.newest)

    @property
    def _first_value(self) -> Any:
        incremental = incremental_of(self.plan)
        return earliest(incremental, self.mark.value) if self.mark else incremental.initial_value

    def _read_clock(self, page: Page) -> None:
        bound = horizon(self.plan, Page(page.records, server_time=self.begun_at))
        if bound is None:
            raise WalkError(
                f"{label_of(self.plan)}: an unordered list needs the server's clock, and the answer has no Date header or "
                "the replication key is not a time; declare `epoch` where it counts time, its form where it is a date in digits "
                '(cursor_formats: ["%Y%m%d"]), or sort the list (order: asc)'
            )
        like = find(incremental_of(self.plan).cursor_path, page.records[0])
        value = format_like(like, bound)
        step = resolution_of(like)
        steps = (Decimal(bound) / step).to_integral_value(rounding=ROUND_FLOOR)
        value = format_like(like, window_rank(self.plan, format_like(like, steps * step)))
        # What lies before the initial value was never wanted, and the clock may not have come as far.
        least = self.mark.value if self.mark else incremental_of(self.plan).initial_value
        self.high = value if least is None or rank(value) > rank(least) else least


def window_rank(plan: Plan, value: Any) -> Rank:
    """Return the rank of the first value that the API's filter can't tell from this one."""
    return rank(window(incremental_of(plan), value))
