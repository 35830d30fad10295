"""The walk of a list that falls: newest first, down to the old high-water mark.

Theory of operation. The mark of the run before is the floor. A pass reads from the newest record down until a whole
page is done and its last record lies before the floor's window: past the end of the tie, so that a changed record of
the floor's own instant isn't missed. Only then does STATE move, to the newest record that was settled when the pass
began. A pass that is interrupted leaves what it has: everything between `high` and `low` was emitted, and the next
pass, which must begin at the top again, doesn't emit that twice; it moves STATE from the moment that it has met the
other one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tap_restextract.errors import WalkError
from tap_restextract.exchange.paginators import is_stable
from tap_restextract.plan.bookmarks.cursors import DescendingBookmark, EmittedRange
from tap_restextract.plan.keys import content_hash
from tap_restextract.plan.plan import Plan, incremental_of, label_of
from tap_restextract.plan.ranges import cursor_from, earliest, window
from tap_restextract.values.cursor import Cursor, Rank, rank
from tap_restextract.values.paths import find
from tap_restextract.walks.filtering import check_not_older
from tap_restextract.walks.order import RESET, check_kind, rank_of
from tap_restextract.walks.pages import (
    SEAM_ATTEMPTS,
    Listing,
    MovedSeamError,
    proves_seams,
    split_tie_error,
    unstable_list_error,
)
from tap_restextract.walks.settling import horizon
from tap_restextract.walks.steps import Page, Record, Step, Steps
from tap_restextract.walks.ties import TieOrder
from tap_restextract.walks.units import check_unit


def descending(plan: Plan, bookmark: DescendingBookmark | None) -> Steps:
    """Walk newest first, down to the old high-water mark and past the end of its tie and page."""
    descending_pass = DescendingPass.resume(plan, bookmark)
    for _ in range(SEAM_ATTEMPTS):
        listing = Listing(plan, descending_pass.request_cursor)
        descending_pass.restart()
        try:
            page = yield from listing.first_page()
            records = descending_pass.fresh(page)
            while not (descending_pass.reached_floor or listing.ended):
                page = yield from listing.next_page(records, descending_pass.bookmark)
                descending_pass.check_overlap(page, listing.page)
                records = descending_pass.fresh(page)
        except MovedSeamError:
            continue
        yield Step(records, descending_pass.final_bookmark)
        return
    raise unstable_list_error(plan)


@dataclass(slots=True)
class DescendingPass:
    """One pass down the list, begun again where the list shifts.

    Attributes:
        mark: the old high-water mark, the floor; None on a first run.
        emitted_range: what was emitted below the top, by an interrupted pass or by this one before a shift.
        high: the new high-water mark: the newest record that was settled when the pass began.
        low: the last record read.
        proven: the last record above which nothing can have slipped through; a page boundary is proven once the next
            one was checked.
        hashes: content hash → rank of what was emitted where a rank alone doesn't decide; None for hashes of STATE not
            seen yet.
        reached_floor: a record before the floor was seen.
    """

    plan: Plan
    mark: Cursor | None
    emitted_range: EmittedRange | None
    hashes: dict[str, Rank | None] = field(default_factory=dict)
    high: Any = None
    low: Any = None
    proven: Any = None
    reached_floor: bool = False
    tie_order: TieOrder = field(init=False)

    def __post_init__(self) -> None:
        self.tie_order = TieOrder(self.plan)

    @classmethod
    def resume(cls, plan: Plan, bookmark: DescendingBookmark | None) -> DescendingPass:
        """Return the pass that goes on from a bookmark."""
        if bookmark is None:
            return cls(plan, None, None)
        return cls(plan, bookmark.cursor, bookmark.emitted_range, dict.fromkeys(bookmark.boundary))

    @property
    def request_cursor(self) -> Cursor | None:
        """Where the API filters, the floor bounds the list; without a filter it is read down to it."""
        value = self._floor_value
        return (
            None
            if value is None or incremental_of(self.plan).filter == "none"
            else cursor_from(incremental_of(self.plan), value)
        )

    def restart(self) -> None:
        """Begin at the newest record (again); what was emitted below stays done."""
        self.emitted_range = self._emitted_range or self.emitted_range
        self.low, self.proven, self.reached_floor = None, None, False

    def check_overlap(self, page: Page, whole: Page) -> None:
        """Check the ties of a page that overlaps the one before it: all of its records tell of their order.

        Args:
            page: what is behind the overlap.
            whole: the page as it came.

        Raises:
            WalkError: where no order of ties is left, or a record comes after a lesser one.
        """
        if len(page.records) < len(whole.records):
            self.tie_order.check(whole.records, self._falling(whole.records))

    def fresh(self, page: Page) -> list[Record]:
        """Return the page's records that were not emitted before.

        Raises:
            WalkError: where a record comes after a lesser one, or is older than what was asked for.
        """
        if not page.records:
            return []
        check_kind(self.plan, self._floor_value, page.records[0])
        check_unit(self.plan, page.records)
        ranks = self._falling(page.records)
        self.tie_order.check(page.records, ranks)
        self._check_the_seam(page.records[0], ranks[0])
        check_not_older(self.plan, self.request_cursor, self._value(page.records[-1]), ranks[-1])
        floor = self._floor
        if self.high is None:
            bound = horizon(self.plan, page)
            settled = (
                record
                for record, record_rank in zip(page.records, ranks, strict=True)
                if (bound is None or record_rank < bound) and (floor is None or record_rank >= floor)
            )
            newest = next(settled, None)
            self.high = None if newest is None else self._value(newest)
        above, self.low = self.low, self._value(page.records[-1])
        self.proven = self.low if proves_seams(self.plan) else above
        unseen = None in self.hashes.values()
        records = []
        for record, record_rank in zip(page.records, ranks, strict=True):
            if floor is not None and record_rank < floor:
                self.reached_floor = True
                continue
            if self._is_emitted(record_rank):
                continue
            if unseen or self._needs_hash(record_rank) or (above is not None and record_rank == rank(above)):
                digest = content_hash(record)
                known = digest in self.hashes
                self.hashes[digest] = record_rank
                if known:
                    continue
            records.append(record)
        self.hashes = {
            digest: record_rank
            for digest, record_rank in self.hashes.items()
            if record_rank is None or self._needs_hash(record_rank)
        }
        return records

    @property
    def bookmark(self) -> DescendingBookmark | None:
        """The bookmark in mid-pass: the old mark, and what was emitted above it; None while that is less than before.

        A page whose boundary isn't proven isn't part of the emitted range, but its records are known by their content.
        """
        emitted_range = self._emitted_range
        if emitted_range is None and proves_seams(self.plan):
            return None
        emitted_range = emitted_range or self.emitted_range
        return DescendingBookmark(self.mark, frozenset(self.hashes), emitted_range=emitted_range)

    @property
    def final_bookmark(self) -> DescendingBookmark | None:
        """What STATE may say once the floor was reached."""
        mark = self.mark
        if self.high is not None and (mark is None or rank(mark.value) < rank(self.high)):
            mark = Cursor(self.high)
        least = None if mark is None else rank(earliest(incremental_of(self.plan), mark.value))
        boundary = frozenset(
            digest
            for digest, record_rank in self.hashes.items()
            if record_rank is not None and (least is None or record_rank >= least)
        )
        return DescendingBookmark(mark, boundary) if mark is not None or boundary else None

    @property
    def _emitted_range(self) -> EmittedRange | None:
        """What is emitted without a gap, from the high mark down."""
        if self.high is None or self.proven is None or rank(self.proven) >= self._window(self.high):
            return None
        if self.emitted_range is None:
            return EmittedRange(self.high, self.proven)
        # Within its lookback the range emitted before isn't whole: what came late to it is read by this pass.
        if rank(self.proven) >= self._settled_below(self.emitted_range.high):
            return None  # the range emitted before isn't met yet, and it is worth more
        return EmittedRange(self.high, min(self.proven, self.emitted_range.low, key=rank))

    def _is_emitted(self, record_rank: Rank) -> bool:
        """Return whether all of this rank was emitted; at a range's edges, and for late records, content decides."""
        if self.emitted_range is None:
            return False
        return rank(self.emitted_range.low) < record_rank < self._settled_below(self.emitted_range.high)

    def _unproven(self, record_rank: Rank) -> bool:
        """Return whether this pass may come here once more, as the list may have shifted: then content decides."""
        return not proves_seams(self.plan) and (self.proven is None or record_rank <= rank(self.proven))

    def _needs_hash(self, record_rank: Rank) -> bool:
        floor = self._floor
        edges = [self.low, self.proven, None if self.emitted_range is None else self.emitted_range.low]
        return (
            self.high is None
            or self._unproven(record_rank)
            or record_rank >= rank(earliest(incremental_of(self.plan), self.high))
            or any(edge is not None and record_rank == rank(edge) for edge in edges)
            or (
                self.emitted_range is not None
                and self._settled_below(self.emitted_range.high) <= record_rank <= rank(self.emitted_range.high)
            )
            or (floor is not None and self.mark is not None and floor <= record_rank <= rank(self.mark.value))
        )

    @property
    def _floor_value(self) -> Any:
        incremental = incremental_of(self.plan)
        return earliest(incremental, self.mark.value) if self.mark else incremental.initial_value

    @property
    def _floor(self) -> Rank | None:
        value = self._floor_value
        return None if value is None else self._window(value)

    def _settled_below(self, high: Any) -> Rank:
        """Return the rank before which nothing came late, once a pass had begun at `high`."""
        return rank(earliest(incremental_of(self.plan), high))

    def _window(self, value: Any) -> Rank:
        return rank(window(incremental_of(self.plan), value))

    def _value(self, record: Record) -> Any:
        return find(incremental_of(self.plan).cursor_path, record)

    def _check_the_seam(self, record: Record, record_rank: Rank) -> None:
        """Refuse a page boundary within a tie, unless the API sorts by a tie-breaker."""
        stream, incremental = self.plan.stream, incremental_of(self.plan)
        if self.low is None or record_rank < rank(self.low) or incremental.tie_breaker or is_stable(stream.paginator):
            return
        raise split_tie_error(self.plan, self._value(record))

    def _falling(self, records: Sequence[Record]) -> list[Rank]:
        ranks = [rank_of(self.plan, record) for record in records]
        for above, here, record in zip(ranks, ranks[1:], records[1:], strict=False):
            if here > above:
                key = incremental_of(self.plan).cursor_path
                raise WalkError(
                    f"{label_of(self.plan)}: a record at {key} {self._value(record)!r} follows an earlier one, so the list isn't in descending "
                    f"order; make the request sort by {key} descending, or declare order: none; {RESET}"
                )
        return ranks
