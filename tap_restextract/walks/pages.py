"""A list that is followed page by page, each seam between two pages being checked.

A record that stands still may be missed only where others move it over the seam between two requests. What proves that
none was, for each way of asking:

- Tokens that are declared stable name a position; they need no check.
- Offsets overlap: a page is asked for from a few records before the end of the page before it. One of these, unchanged,
  must come again; what stood after it and didn't change stands after it still, and so is in that answer or after it.
  This holds whatever joined or left the list, since one answer shows both sides of the seam, where the order is
  declared to be one of unique values (`tie_breaker`, `fixed_order`). Where no order is declared, seams are checked as
  those of page numbers, too; where ties are without order, they are checked so alone, and must not lie within a tie.
- Page numbers, and tokens that are an offset in disguise, can't overlap. There each page is asked for again once the
  one after it has come: it must hold the same records still, or some must have moved over to the page after, pushed by
  others that were on the page before. A list that records only join, or only leave, can't hide a shift from this. One
  that does both may, if it shifts up, down and up again, by as much, in step with these requests: no question that can
  be put by page numbers shows that. Where records are deleted while others join, offsets or stable tokens are the
  remedy.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tap_restextract.config.paginators import Offset, SinglePage
from tap_restextract.errors import WalkError
from tap_restextract.exchange import paginators
from tap_restextract.exchange.paginators import Continuation, Start
from tap_restextract.exchange.records import failed_list_text, null_list_text
from tap_restextract.plan.bookmarks.protocol import Bookmark
from tap_restextract.plan.keys import content_hash, record_identity, share_a_key
from tap_restextract.plan.plan import Plan, label_of
from tap_restextract.values.cursor import Cursor
from tap_restextract.values.paths import reaches_within
from tap_restextract.walks.cycles import CycleGuard
from tap_restextract.walks.order import has_key, rank_of
from tap_restextract.walks.repeated_pages import check_distinct, repeated_page_error
from tap_restextract.walks.steps import Page, PageRequest, Record, Step, Steps

Pages = Generator[Step, Page, Page]
SEAM_ATTEMPTS: Final = 10
"""Readings of a list before its shifting is an error."""
OFFSET_ROUNDS: Final = 3
"""How often two offsets must have the same page."""
OVERLAP_DIVISOR: Final = 20
MAX_OVERLAP_RECORDS: Final = 10


class MovedSeamError(Exception):
    """The list shifted between two pages, so that a record may have slipped through: read it again from its start."""


def unstable_list_error(plan: Plan) -> WalkError:
    """Return the error of a list that shifted each time that it was read."""
    return WalkError(
        f"{label_of(plan)}: the list shifted between two pages each of {SEAM_ATTEMPTS} times that it was read; ask for larger "
        "pages, or declare a paginator whose tokens are stable, where the API has one"
    )


def split_tie_error(plan: Plan, value: object) -> WalkError:
    """Return the error of a page boundary within a tie that nothing orders."""
    incremental = plan.stream.incremental
    shared = f"have no {incremental.cursor_path}" if incremental and value is None else f"share {value!r}"
    return WalkError(
        f"{label_of(plan)}: two records or more {shared} and lie on two pages, where some may slip through "
        "unless the API sorts them by a unique value; declare it (tie_breaker: id), ask for larger pages, or declare that the "
        "paginator is stable, where it is"
    )


@dataclass(slots=True)
class Listing:
    """One list, from its first page to its stated end; `ended` is true once there is nothing after the last page.

    Attributes:
        page: the last one, as it came.
        at: what asked for it.
        has_new_records: the last page held records that the one before didn't.
        max_page_length: records of the longest page; an API may give fewer than it is asked for.
        earlier_identities: the records of the page before the last one, from each time that it was read.
        moved_count: records found on the page after their own, pushed over the boundary by others.
        keys_are_shared: an answer had two records of one primary key that differ; their content tells which is which.
    """

    plan: Plan
    start: Cursor | None
    until: Any = None
    page: Page = field(default_factory=lambda: Page(()))
    at: Continuation | None = None
    cycle_guard: CycleGuard = field(init=False)
    has_new_records: bool = field(default=True, init=False)
    max_page_length: int = field(default=0, init=False)
    earlier_identities: list[object] = field(default_factory=list, init=False)
    moved_count: int = field(default=0, init=False)
    keys_are_shared: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.cycle_guard = CycleGuard(self.plan)

    @property
    def ended(self) -> bool:
        """Whether the API stated the end.

        Raises:
            WalkError: where the only page is as full as it can be, so that more may lie after it.
        """
        return is_last_page(self.plan, self.page)

    def first_page(self, records: Sequence[Record] = (), bookmark: Bookmark | None = None) -> Pages:
        """Fetch the list's first page while the given records and bookmark are written."""
        self._take_page((yield Step(records, bookmark, PageRequest(self.start, until=self.until))), None)
        return self.page

    def next_page(self, records: Sequence[Record], bookmark: Bookmark | None = None) -> Pages:
        """Fetch the next page while the given records and bookmark are written.

        Raises:
            MovedSeamError: where the seam has moved; what was given to be written has been written.
            WalkError: where the pages go in a circle.
        """
        paginator, following = self.plan.stream.paginator, self.page.following
        assert following is not None
        if paginators.is_stable(paginator):
            page = yield Step(records, bookmark, PageRequest(self.start, self.cycle_guard.admit(self.page), self.until))
            self._take_page(page, following)
            return page
        if (
            isinstance(following, Start)
            and may_overlap(self.plan)
            and not has_open_ties(self.plan)
            and (overlap := self._overlap)
        ):
            return (yield from self._next_overlapping(following.offset, overlap, records, bookmark))
        return (yield from self._next_checked(records, bookmark))

    def _take_page(self, page: Page, at: Continuation | None, *, has_new_records: bool = True) -> None:
        self.page, self.at, self.has_new_records = page, at, has_new_records
        self.max_page_length = max(self.max_page_length, page.counted)

    @property
    def _overlap(self) -> int:
        """How many records of this page are asked for again; none where it had room: then the list ended in it."""
        count = self.page.counted if self.page.whole else 0
        return (
            0 if self._is_short or not count else min(max(1, count // OVERLAP_DIVISOR), MAX_OVERLAP_RECORDS, count - 1)
        )

    @property
    def _is_short(self) -> bool:
        """Whether the page had room: it is shorter than another, or than was asked for and brought nothing besides."""
        paginator, count = self.plan.stream.paginator, self.page.counted
        return isinstance(paginator, Offset) and count < (
            self.max_page_length if self.has_new_records else paginator.limit
        )

    def _next_overlapping(
        self, offset: int, overlap: int, records: Sequence[Record], bookmark: Bookmark | None
    ) -> Pages:
        before, at, next_continuation = self.page, self.at, Start(offset - overlap)
        page = yield Step(records, bookmark, PageRequest(self.start, next_continuation, self.until))
        overlap_length = overlap_end(self._anchors(before), [*self._anchors(page)])
        if overlap_length is None:
            raise MovedSeamError
        if overlap_length > overlap:
            yield from self._check_offset_is_read(before, at, page, next_continuation)
        self._take_page(page, next_continuation, has_new_records=overlap_length < len(page.whole))
        if not is_ordered(self.plan):
            self._check_that_none_is_new(before, page.whole[:overlap_length])
            yield from self._reread(before, at, None)
            if page.following is None:
                yield from self._reread(page, next_continuation, None)
        return page.behind(overlap_length)

    def _check_offset_is_read(
        self, before: Page, at: Continuation | None, page: Page, next_continuation: Continuation
    ) -> Generator[Step, Page, None]:
        """Check that two offsets have two pages; else ask for both again, as a list may have moved by their distance.

        Records that share a value may come in another order each time, so that it is the same ones that count.

        Raises:
            MovedSeamError: where they don't then; which records the second one had is unknown.
            WalkError: where both hold the same records each time, so that paging would never end, or end too early.
        """
        held = {*map(str, self._identities(before))}
        if {*map(str, self._identities(page))} != held:
            return
        for _ in range(OFFSET_ROUNDS):
            for each in (at, next_continuation):
                again = yield Step(request=PageRequest(self.start, each, self.until))
                if {*map(str, self._identities(again))} != held:
                    raise MovedSeamError  # by their distance; or meanwhile, of an API that doesn't look at the offset
        raise repeated_page_error(self.plan, at)

    def _next_checked(self, records: Sequence[Record], bookmark: Bookmark | None) -> Pages:
        next_continuation = self.cycle_guard.admit(self.page)
        page = yield Step(records, bookmark, PageRequest(self.start, next_continuation, self.until))
        before, at, short = self.page, self.at, self._is_short
        self._take_page(page, next_continuation)
        self._check_keyless(before, page)
        if short and not page.whole:
            return page  # an answer with room for more had the end in it
        moved = yield from self._reread(before, at, page)
        self.moved_count += moved
        if page.whole and self._identities(page) == self._identities(before):
            if moved == 0:  # ties without order may look so once
                again = yield Step(request=PageRequest(self.start, next_continuation, self.until))
                asked = PageRequest(self.start, at, self.until)
                asked_next = PageRequest(self.start, next_continuation, self.until)
                yield from check_distinct(self.plan, before, again, asked, asked_next, may_ask_twice=True)
            raise MovedSeamError  # by a whole page; or the API doesn't look at what asks for a page
        if page.whole and page.following is None:
            yield from self._reread(page, next_continuation, None)
        return page.behind(moved)

    def _anchors(self, page: Page) -> Iterator[object]:
        """Yield what must come again, the last record first: identities in a fixed order, else content hashes."""
        fixed = self.plan.stream.fixed_order
        return (
            record_identity(self.plan, record) if fixed else content_hash(record) for record in reversed(page.whole)
        )

    def _check_that_none_is_new(self, before: Page, records: Sequence[Record]) -> None:
        """Check that what is before the anchor was on the page before: a changing order may have put it there."""
        known = self._identities(before)
        if not all(self._identity(record) in known for record in records):
            raise MovedSeamError

    def _reread(self, page: Page, at: Continuation | None, next_page: Page | None) -> Generator[Step, Page, int]:
        """Ask for a page once more; return how many of its records moved over to the page after it."""
        now = yield Step(request=PageRequest(self.start, at, self.until))
        self._see_shared_keys(page, now, *filter(None, [next_page]))
        again, identities = self._identities(now), self._identities(page)
        moved = moved_over(identities, None if next_page is None else self._identities(next_page), again)
        if moved is None or (
            at and not all(record in identities or record in self.earlier_identities for record in again)
        ):
            raise MovedSeamError
        if moved and next_page is not None and has_open_ties(self.plan) and self._share_a_tie(now, next_page):
            raise MovedSeamError  # any of the tie may have replaced another
        self.earlier_identities = [*identities, *again]
        return moved

    def _share_a_tie(self, above: Page, below: Page) -> bool:
        """Return whether the last record above a seam and the first below share a value, or both have none."""
        ends = (*above.whole[-1:], *below.whole[:1])
        places = {rank_of(self.plan, record) if has_key(self.plan, record) else None for record in ends}
        return len(places) < len(ends)

    def _check_keyless(self, above: Page, below: Page) -> None:
        """Refuse a page boundary among records without replication key, unless others than this walk read them."""
        incremental = self.plan.stream.incremental
        ends = (*above.whole[-1:], *below.whole[:1])
        if (
            above.listed is None
            or below.listed is None
            or not has_open_ties(self.plan)
            or any(has_key(self.plan, record) for record in ends)
        ):
            return
        if incremental is not None and incremental.null_params is None:
            raise split_tie_error(self.plan, None)

    def _identities(self, page: Page) -> list[object]:
        return [self._identity(record) for record in page.whole]

    def _identity(self, record: Record) -> object:
        return content_hash(record) if self.keys_are_shared else record_identity(self.plan, record)

    def _see_shared_keys(self, *pages: Page) -> None:
        """Go by content from where a key is shared: else a record of that key would stand for another at a seam."""
        if not self.keys_are_shared and any(share_a_key(self.plan, page.whole) for page in pages):
            self.keys_are_shared, self.earlier_identities = True, []


def is_last_page(plan: Plan, page: Page) -> bool:
    """Return whether a page is the last one.

    Raises:
        WalkError: where it is the only one, and as full as it can be, or where the answer says that more follows.
    """
    paginator = plan.stream.paginator
    if isinstance(paginator, SinglePage) and paginator.limit is not None and page.counted >= paginator.limit:
        raise WalkError(
            f"{label_of(plan)}: the answer is full ({page.counted} records of at most {paginator.limit}), and there is no way to ask "
            "for what comes after it; declare a paginator, or a larger limit that the API grants"
        )
    if page.following is None:
        check_read(plan, page)
    return page.following is None


def check_read(plan: Plan, page: Page) -> None:
    """Check that nothing in the last page of a list says that more follows.

    Raises:
        WalkError: where a mark does that the configuration doesn't read.
    """
    if page.unread:
        raise WalkError(f"{label_of(plan)}: {page.unread}")


def check_list(plan: Plan, page: Page) -> None:
    """Check that a page without records is one because its list is empty, and not because null stands in its place.

    Raises:
        WalkError: where null does, and no fact says that it means an empty list.
    """
    if page.is_null:
        raise WalkError(f"{label_of(plan)}: {null_list_text(plan.stream)}")


def with_list_check(plan: Plan, steps: Steps) -> Steps:
    """Yield the steps of a walk in which something rests on there being no record: `check_list` for each page.

    Raises:
        WalkError: where an answer isn't an empty list, though it shows no record.
    """
    step = next(steps)
    while step.request is not None:
        page = yield step
        check_list(plan, page)
        if page.failed:
            raise WalkError(f"{label_of(plan)}: {failed_list_text()}")
        step = steps.send(page)
    yield step


def overlap_end(before: Iterable[object], page: Sequence[object]) -> int | None:
    """Return where a page that overlaps the one before it goes on after it; None where nothing of that one is in it.

    Args:
        before: a page's records, the last one first.
        page: those of the page that overlaps it, likewise.
    """
    ends = (len(page) - page.index(anchor) for anchor in before if anchor in page)
    return next(ends, None)


def undetected_shifts(plan: Plan) -> str | None:
    """Return what can still hide a record from a list that is read whole, page by page; None where nothing can."""
    paginator = plan.stream.paginator
    if not plan.walk.rests_on_seams or isinstance(paginator, SinglePage) or proves_seams(plan):
        return None
    shifts = (
        "deletions and insertions that shift the list up, down and up again by as much, in step with three requests; "
        "stable tokens exclude it, and offsets with a declared tie_breaker"
    )
    moves = "an order that changes from one request to the next; declare `fixed_order` where the list is sorted by id or by creation"
    if has_open_ties(plan) or (plan.stream.fixed_order and not may_overlap(plan)):
        return shifts
    return moves if may_overlap(plan) else f"{shifts}; and {moves}"


def proves_seams(plan: Plan) -> bool:
    """Return whether a page boundary is proven once the next page has come; else later pages may still disprove it."""
    paginator = plan.stream.paginator
    return paginators.is_stable(paginator) or (is_ordered(plan) and may_overlap(plan))


def may_overlap(plan: Plan) -> bool:
    """Return whether a page can be asked for from a few records before its first: offsets must count records."""
    stream = plan.stream
    counts = not reaches_within(stream.records) and stream.null_records == "refuse"
    return isinstance(stream.paginator, Offset) and counts


def has_open_ties(plan: Plan) -> bool:
    """Return whether the list is sorted by a value that records share, and by nothing else: a tie has no order."""
    incremental = plan.stream.incremental
    return incremental is not None and incremental.order != "none" and not is_ordered(plan)


def is_ordered(plan: Plan) -> bool:
    """Return whether the list is declared to be in an order of unique values, which no two records share."""
    incremental = plan.stream.incremental
    sorted_by_both = incremental is not None and incremental.order != "none" and incremental.tie_breaker is not None
    return sorted_by_both or plan.stream.fixed_order


def moved_over(before: Sequence[object], next_page: Sequence[object] | None, again: Sequence[object]) -> int | None:
    """Return how many records of a page moved over to the next one; None where others may have slipped through.

    Args:
        before: a page's records.
        next_page: those of the page after it, read next; None after the last one.
        again: the first page's, read once more.
    """
    left = [record for record in again if record in before]
    moved = len(before) - len(left)
    if moved == 0:
        return 0 if again == before else None
    # What joined stands before what was there; a new record at the page's end may have been drawn from the page after.
    joined = left == before[: len(left)] and again[-1:] == left[-1:]
    return moved if joined and (next_page is None or next_page[:moved] == before[len(left) :]) else None
