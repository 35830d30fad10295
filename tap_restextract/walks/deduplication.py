"""Deduplication: which records of a page are new, from where the next page is asked for, and how far STATE may go.

Theory of operation. Two positions move: the position, from which the next page is asked for, and the mark, which STATE
keeps. The mark trails the position where a record isn't settled yet: a row of the server's current second may still be
joined by others of the same value, with smaller tie-breakers; with a `lag`, late ones may come that long; a
future-dated row would jump over everything until then. So the mark moves only to records before the horizon, the
server's clock (its Date, in whole seconds) less the lag, and once it stood still it does so for the rest of the run:
rows may have joined before the position meanwhile, though they would be settled by now. What is emitted from the mark
on is remembered by its content and goes with STATE, so that it comes once although it is asked for again.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple, cast

from tap_restextract.plan.bookmarks.cursors import CursorBookmark, KeysetBookmark
from tap_restextract.plan.keys import content_hash
from tap_restextract.plan.plan import Plan, incremental_of
from tap_restextract.plan.ranges import cursor_from, earliest, is_same_place, window
from tap_restextract.values.cursor import Cursor, Rank, rank
from tap_restextract.walks.filtering import check_not_older
from tap_restextract.walks.order import ascending_ranks, check_kind, cursor_of, rank_in
from tap_restextract.walks.settling import Settling
from tap_restextract.walks.steps import Page, Record
from tap_restextract.walks.units import check_unit


class _Known(NamedTuple):
    """What was known by its content before a page.

    Attributes:
        has_unseen: hashes came with STATE whose ranks aren't known yet, so that any record may be theirs.
        max_rank: the greatest rank that is known; None where there is none.
    """

    has_unseen: bool
    max_rank: Rank | None


@dataclass(slots=True)
class Deduplicator:
    """Lets each version of a record through once, and keeps position and high-water mark.

    Where the walk asks inclusively, a window is what the API's filter can't tell apart: the records of one value or,
    with a `precision`, of one multiple of it. The list is asked for from the position's window on.

    Attributes:
        position: from where the next page is asked for.
        mark: the high-water mark, which STATE keeps.
        exact: the walk asks strictly after a compound or unique cursor, so that the mark alone parts old from new.
        min_rank: records of a lesser rank are not wanted; a filter is coarse, or was asked one step early.
        hashes: content hash → rank of each record already emitted; None for hashes restored from STATE and not seen
            yet.
        moved: the bookmark changed.
        halted: the mark stands still for the rest of the run.
        unseen_count: the number of hashes restored from STATE and not seen yet.
        max_known_rank: the greatest rank among the hashes.
        pruned_below: rank below which hashes have been dropped.
        last: the record that the position is that of; None where it is of STATE, or the initial value.
        window_cursor: the cursor that asks, inclusively, for all from the position's window on.
    """

    plan: Plan
    position: Cursor | None
    mark: Cursor | None
    exact: bool = False
    min_rank: Rank | None = None
    hashes: dict[str, Rank | None] = field(default_factory=dict)
    moved: bool = False
    halted: bool = False
    settling: Settling = field(init=False)
    unseen_count: int = field(init=False)
    max_known_rank: Rank | None = field(default=None, init=False)
    pruned_below: Rank | None = field(default=None, init=False)
    last: Record | None = field(default=None, init=False)
    window_cursor: Cursor | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.unseen_count = len(self.hashes)
        self.settling = Settling(self.plan)
        if self.position is not None and not self.exact:
            self.window_cursor = cursor_from(incremental_of(self.plan), self.position.value)

    @classmethod
    def inclusive(cls, plan: Plan, bookmark: CursorBookmark | None) -> Deduplicator:
        """Make one for walks that ask from a value on."""
        incremental = incremental_of(plan)
        mark = bookmark.cursor if bookmark else None
        first = earliest(incremental, mark.value) if mark else incremental.initial_value
        position = None if first is None else Cursor(first)
        least = None if first is None else rank(window(incremental, first))
        return cls(plan, position, mark, min_rank=least, hashes=_hashes_in(bookmark))

    @classmethod
    def after_cursor(
        cls, plan: Plan, bookmark: KeysetBookmark | None, position: Cursor | None, least: Rank | None
    ) -> Deduplicator:
        """Make one for walks that ask strictly after a cursor."""
        mark = bookmark.cursor if bookmark else None
        return cls(plan, position, mark, exact=True, min_rank=least, hashes=_hashes_in(bookmark))

    @property
    def request_cursor(self) -> Cursor | None:
        """The cursor that makes the API answer all from the position on; one for all positions of a window."""
        return self.position if self.exact else self.window_cursor

    @property
    def bookmark(self) -> CursorBookmark | None:
        """What STATE may say once all that was let through is written; None while nothing moved."""
        if not self.moved:
            return None
        kind = KeysetBookmark if self.exact else CursorBookmark
        return kind(self.mark, frozenset(self.hashes), newest=self.position.value if self.position else None)

    def fresh(self, page: Page, ranks: Sequence[Rank | None] = (), asked: Cursor | None = None) -> list[Record]:
        """Return the page's records that were not let through before, in their order; position and mark advance.

        Args:
            page: as it came.
            ranks: of its records, where they are known to rise.
            asked: from where on the page's list was asked for, inclusively.

        Raises:
            WalkError: where a record comes before the one that it follows, or is older than what was asked for.
            AnswerError: where a record has no replication key.
        """
        if not page.records:
            return []
        check_kind(self.plan, None if self.position is None else self.position.value, page.records[0])
        check_unit(self.plan, page.records)
        ranks = ranks or ascending_ranks(self.plan, page.records)
        check_not_older(self.plan, asked, cursor_of(self.plan, page.records[0]).value, ranks[0])
        before = _Known(self.unseen_count > 0, self.max_known_rank)
        settled = self._advance(page, ranks)
        wanted = self._not_below_min_rank(ranks)
        known = self._drop_known(page.records, ranks, wanted, settled, before)
        if not known and len(wanted) == len(ranks):
            return [*page.records]
        return [page.records[index] for index in wanted if index not in known]

    def _advance(self, page: Page, ranks: Sequence[Rank | None]) -> int:
        """Move position and mark; return how many records, from the first, are settled."""
        settled = 0 if self.halted else self.settling.count(page, ranks)
        self.halted = settled < len(ranks)
        self._move(page.records, ranks, settled)
        return settled

    def _not_below_min_rank(self, ranks: Sequence[Rank | None]) -> Sequence[int]:
        """Return the indexes of the records that are not below the least rank that is wanted."""
        if self.min_rank is None:
            return range(len(ranks))
        if self.plan.walk.has_unique_cursor:  # its keys may be texts, which have no rank
            return [
                index for index, record_rank in enumerate(ranks) if record_rank is None or record_rank >= self.min_rank
            ]
        return range(bisect_left(cast("Sequence[Rank]", ranks), self.min_rank), len(ranks))

    def _drop_known(
        self,
        records: Sequence[Record],
        ranks: Sequence[Rank | None],
        wanted: Sequence[int],
        settled: int,
        before: _Known,
    ) -> set[int]:
        """Return the indexes of the records that were let through before, by their content; remember the others.

        Args:
            records: the page's.
            ranks: theirs.
            wanted: the indexes that count.
            settled: how many records, from the first, are settled.
            before: what was known before the page.
        """
        keep_from, strictly_after = self._min_remembered_rank(), self.exact and not incremental_of(self.plan).lookback
        new = self._new_by_rank(ranks, keep_from, settled, before, strictly_after=strictly_after)
        known: set[int] = set()
        for index in (*range(wanted[0], new.start), *range(new.stop, len(ranks))) if new else wanted:
            record, record_rank = records[index], ranks[index]
            may_be_known = before.has_unseen or (
                before.max_rank is not None and record_rank is not None and record_rank <= before.max_rank
            )
            to_remember = self.exact and index >= settled
            to_remember = to_remember or (
                not strictly_after and record_rank is not None and (keep_from is None or record_rank >= keep_from)
            )
            if may_be_known or to_remember:
                digest = content_hash(record)
                if digest in self.hashes:
                    self._remember_again(digest, record_rank)
                    if record_rank is not None and keep_from is not None and record_rank < keep_from:
                        self.pruned_below = None
                    known.add(index)
                    continue
                if to_remember:
                    self._remember(digest, record_rank)
                    self.moved = True
        self._prune(keep_from)
        return known

    def _new_by_rank(
        self,
        ranks: Sequence[Rank | None],
        keep_from: Rank | None,
        settled: int,
        before: _Known,
        *,
        strictly_after: bool,
    ) -> range:
        """Return the indexes of those records, in a row, that are new by their rank alone: no content is looked at."""
        if before.has_unseen or None in ranks or (keep_from is None and not strictly_after):
            return range(0)
        ordered = cast("Sequence[Rank]", ranks)
        first = 0 if before.max_rank is None else bisect_right(ordered, before.max_rank)
        first = first if self.min_rank is None else max(first, bisect_left(ordered, self.min_rank))
        last = len(ordered) if strictly_after or keep_from is None else bisect_left(ordered, keep_from)
        last = min(last, settled) if self.exact else last
        return range(first, max(first, last))

    def _remember(self, digest: str, record_rank: Rank | None) -> None:
        self.hashes[digest] = record_rank
        if record_rank is None:
            self.unseen_count += 1
        elif self.max_known_rank is None or record_rank > self.max_known_rank:
            self.max_known_rank = record_rank

    def _remember_again(self, digest: str, record_rank: Rank | None) -> None:
        self.unseen_count -= self.hashes[digest] is None
        self._remember(digest, record_rank)

    def _prune(self, keep_from: Rank | None) -> None:
        """Forget hashes below the mark; only where it moved, since a tie may hold many thousands."""
        if keep_from is None or (self.pruned_below is not None and keep_from <= self.pruned_below):
            return
        self.hashes = {
            digest: record_rank
            for digest, record_rank in self.hashes.items()
            if record_rank is None or record_rank >= keep_from
        }
        self.pruned_below = keep_from

    def leaves_window(self, records: Sequence[Record]) -> bool:
        """Return whether records lead out of the window that is asked for now."""
        return bool(records) and not self._is_in_window(records[-1])

    def hashes_in_window(self, records: Sequence[Record]) -> list[str]:
        """Return the content hashes of those records that are in the window that is asked for now."""
        return [content_hash(record) for record in records if self._is_in_window(record)]

    def at_the_end(self, records: Sequence[Record]) -> list[Record]:
        """Return those last records of a page that are in the window that is asked for now, in their order."""
        return [*takewhile(self._is_in_window, reversed(records))][::-1]

    def _is_in_window(self, record: Record) -> bool:
        """Return whether a record is in the window that is asked for now, however many digits its value shows."""
        cursor = cursor_from(incremental_of(self.plan), cursor_of(self.plan, record).value)
        return self.window_cursor is not None and is_same_place(cursor, self.window_cursor)

    def finish(self) -> None:
        """Forget hashes that did not come again: the list was read to its end."""
        if self.unseen_count:
            self.hashes = {
                digest: record_rank for digest, record_rank in self.hashes.items() if record_rank is not None
            }
            self.unseen_count, self.moved = 0, True

    def _move(self, records: Sequence[Record], ranks: Sequence[Rank | None], settled: int) -> None:
        last = cursor_of(self.plan, records[-1])
        if self.exact or self.position is None or _precedes(rank_in(self.plan, self.position.value), ranks[-1]):
            self.position, self.last = last, records[-1]
            if not self.exact:
                cursor = cursor_from(incremental_of(self.plan), last.value)
                if self.window_cursor is None or not is_same_place(cursor, self.window_cursor):
                    self.window_cursor = cursor
        if settled:
            mark = cursor_of(self.plan, records[settled - 1])
            here = ranks[settled - 1]
            if self.min_rank is not None and here is not None and here < self.min_rank:
                return
            if (
                self.mark is None
                or _precedes(rank_in(self.plan, self.mark.value), here)
                or (self.exact and mark != self.mark)
            ):
                self.mark, self.moved = mark, True

    def _min_remembered_rank(self) -> Rank | None:
        """Return the least rank whose records must be known by their content; None for all."""
        if self.mark is None:
            return None
        if self.exact and not incremental_of(self.plan).lookback:
            return rank_in(self.plan, self.mark.value)
        return rank(earliest(incremental_of(self.plan), self.mark.value))


def _hashes_in(bookmark: CursorBookmark | None) -> dict[str, Rank | None]:
    if bookmark is None:
        return {}
    return dict.fromkeys(bookmark.boundary)


def _precedes(one: Rank | None, other: Rank | None) -> bool:
    return one is None or other is None or one < other
