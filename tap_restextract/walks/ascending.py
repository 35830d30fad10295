"""Walks of ascending lists: compound and unique keyset, stable tokens, restart keyset, single page.

Whatever the API does, a walk goes forward or stops with a WalkError: positions only rise, and every token and page
address of a pass is remembered, so that a cycle of any length is found. Order is checked, not believed: a record before
the one that it follows stops the walk, because a bookmark after it would skip what comes late.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from decimal import Decimal
from typing import Final

from tap_restextract.config.paginators import SinglePage
from tap_restextract.errors import WalkError
from tap_restextract.plan.bookmarks.cursors import CursorBookmark, KeysetBookmark
from tap_restextract.plan.keys import record_identity
from tap_restextract.plan.plan import Plan, incremental_of, label_of
from tap_restextract.plan.ranges import earliest, first_shown, least_step, window
from tap_restextract.values.cursor import Cursor, Rank, format_like, rank, resolution_of, step_back
from tap_restextract.walks.behind import CompoundWatch
from tap_restextract.walks.boundary import SeamWatch
from tap_restextract.walks.cycles import CycleGuard
from tap_restextract.walks.deduplication import Deduplicator
from tap_restextract.walks.order import OrderCheck, ascending_ranks, check_follows
from tap_restextract.walks.pages import SEAM_ATTEMPTS, Listing, MovedSeamError, check_read, is_ordered
from tap_restextract.walks.proving import Proof
from tap_restextract.walks.steps import Page, PageRequest, Record, Step, Steps
from tap_restextract.walks.ties import TieOrder

MIN_TIED_RECORDS: Final = 2
"""Of an answer of one tie that may be cut."""


def keyset(plan: Plan, bookmark: KeysetBookmark | None) -> Steps:
    """Ask, after each page, for what is after its last (key, tie-breaker)."""
    start, least = _keyset_start(plan, bookmark)
    order_check, deduplicator = OrderCheck(plan), Deduplicator.after_cursor(plan, bookmark, start, least)
    request = PageRequest(start)
    page = yield Step(request=request)
    endless = isinstance(plan.stream.paginator, SinglePage)
    records: list[Record] = []
    has_checked_limit = False
    guard, watch = CycleGuard(plan), CompoundWatch(plan, is_first_run=bookmark is None or bookmark.cursor is None)
    while page.records or page.following is not None:
        ranks = order_check.check(deduplicator.position, page.records)
        source, above = request, page
        records = deduplicator.fresh(page, ranks)
        if not page.records and page.following is not None:
            # An empty page whose token says that more follows: go on by the token until a record comes.
            request = PageRequest(deduplicator.request_cursor, guard.admit(page))
            page = yield Step(request=request)
            continue
        if page.following is None and not endless:
            check_read(plan, page)
            break
        if guard.continuations:
            guard = CycleGuard(plan)
        request = PageRequest(deduplicator.request_cursor)
        page = yield Step(records, deduplicator.bookmark, request)
        if above.records:
            yield from watch.check(source, above, ranks, page)
            if page.records and not has_checked_limit and (limit := _limit_of_nulls(plan)) is not None:
                has_checked_limit = len(above.records) < limit
                yield from _check_limit(plan, limit, source, above, deduplicator.request_cursor)
        records = []
    deduplicator.finish()
    yield Step(records, deduplicator.bookmark)


def tokens(plan: Plan, bookmark: CursorBookmark | None) -> Steps:
    """Follow tokens from the bookmark to their end; the boundary's records are known by their content."""
    deduplicator, guard = Deduplicator.inclusive(plan, bookmark), CycleGuard(plan)
    start = deduplicator.request_cursor
    page = yield Step(request=PageRequest(start))
    records = deduplicator.fresh(page, asked=start)
    while page.following is not None:
        above = page.records
        page = yield Step(records, deduplicator.bookmark, PageRequest(start, guard.admit(page)))
        check_follows(plan, above, page.records)
        records = deduplicator.fresh(page, asked=start)
    check_read(plan, page)
    deduplicator.finish()
    yield Step(records, deduplicator.bookmark)


def single(plan: Plan, bookmark: CursorBookmark | None) -> Steps:
    """Ask for all in one answer; with a `limit`, again from each answer's last key until nothing moves."""
    assert isinstance(plan.stream.paginator, SinglePage)
    limit = plan.stream.paginator.limit
    deduplicator, seams = Deduplicator.inclusive(plan, bookmark), SeamWatch(plan)
    records: list[Record] = []
    above: tuple[PageRequest, Page] | None = None
    longest = 0
    while True:
        start = deduplicator.request_cursor
        page = yield Step(records, deduplicator.bookmark, PageRequest(start))
        if limit is not None and above is not None:
            yield from seams.check(start, deduplicator.at_the_end(above[1].records), above[0], page)
            held = [record_identity(plan, record) for record in above[1].records]
            if not all(record_identity(plan, record) in held for record in page.records):
                yield from _check_limit(plan, limit, *above, start)
        above, longest = (PageRequest(start), page), max(longest, len(page.records))
        records = deduplicator.fresh(page, asked=start)
        if limit is None:
            check_read(plan, page)
            break
        if not page.counted or (page.listed and not page.records):
            break
        if deduplicator.request_cursor != start:
            continue
        if page.counted >= limit:
            raise WalkError(
                f"{label_of(plan)}: {page.counted} records or more share {_value(deduplicator)!r}, and one answer holds {limit}, "
                "so the rest can't be asked for; declare a paginator, a compound filter with a tie_breaker, or a "
                "larger limit"
            )
        if bookmark is None and len(page.records) >= max(longest, MIN_TIED_RECORDS):
            yield from _check_limit(plan, limit, PageRequest(start), page, _behind(plan, start))
        break
    deduplicator.finish()
    yield Step(records, deduplicator.bookmark)


def _check_limit(
    plan: Plan, limit: int, request: PageRequest, page: Page, start: Cursor | None
) -> Generator[Step, Page, None]:
    """Check that nothing comes behind an answer that had room for more.

    Args:
        plan: the stream's.
        limit: the records that one answer holds.
        request: what asked for `page`.
        page: an answer.
        start: from where on what is behind it is asked for.

    Raises:
        WalkError: where something comes each time, so that the API gives fewer records than the limit.
    """
    if not 0 < len(page.records) < limit:
        return
    proof = Proof(plan, request, page, PageRequest(start, probe=True))
    yield from proof.seek(lambda again: 0 < len(again.records) < limit)
    if proof.count:
        raise WalkError(
            f"{label_of(plan)}: an answer holds {len(page.records)} records, fewer than limit: {limit}, and the answer behind it {proof.count} "
            f"more, each time, so the API gives fewer than that at once; set limit: {len(page.records)}, or what the API grants, or the "
            "parameter by which it is asked for"
        )


def _limit_of_nulls(plan: Plan) -> int | None:
    """Return what one answer of the records without replication key holds, whose list nothing else leads through."""
    paginator = plan.stream.paginator
    has_nulls = incremental_of(plan).null_params is not None
    return paginator.limit if has_nulls and isinstance(paginator, SinglePage) else None


def restart(plan: Plan, bookmark: CursorBookmark | None) -> Steps:
    """Ask again, after each page, from its last key; count pages, or follow tokens, only inside a tie."""
    deduplicator, seams, ties = Deduplicator.inclusive(plan, bookmark), SeamWatch(plan), TieOrder(plan)
    step = Step(request=PageRequest(deduplicator.request_cursor))
    tied: Sequence[Record] = ()
    source: PageRequest | None = None
    while step.request is not None:
        listing = Listing(plan, step.request.cursor)
        page = yield from listing.first_page(step.records, step.bookmark)
        yield from seams.check(listing.start, tied, source, page)
        records = deduplicator.fresh(page, asked=listing.start)
        step, listing = yield from _through_tie(plan, deduplicator, listing, records, ties)
        # A tie that fills a page is left by a later one, which may have shifted.
        source = PageRequest(listing.start, listing.at, probe=listing.at is not None)
        tied = deduplicator.at_the_end(listing.page.records)
    deduplicator.finish()
    yield Step(step.records, deduplicator.bookmark)


def _through_tie(
    plan: Plan, deduplicator: Deduplicator, listing: Listing, records: Sequence[Record], ties: TieOrder
) -> Generator[Step, Page, tuple[Step, Listing]]:
    """Read on while a tie fills the pages; return the step that leaves it, and the reading that did.

    A tie that moves is read again.

    While the server's clock hasn't left a tie it may be joined; the mark then stands still before it, so that the next
    run reads it again. Once it has, records only leave it, and a seam that holds can't have shifted to and fro. Where
    there is no clock, a greater value shows that a tie is closed: one that was read over seams before it came is read
    once more. Where no tie-breaker is declared, the order may be another one at each request: a tie over several pages
    is then read until two readings agree, and none of their places held a record twice, so that each record had one;
    what looks like a record pushed over a seam may be another order, too.
    """
    start, closed, ordered = listing.start, deduplicator.settling.has_clock, is_ordered(plan)
    earlier: list[str] = []
    for _ in range(SEAM_ATTEMPTS):
        reading = deduplicator.hashes_in_window(listing.page.records)
        try:
            agreed, several = True, False
            while agreed and deduplicator.request_cursor == start and not listing.ended:
                ties.check(listing.page.records, ascending_ranks(plan, listing.page.records))
                page = yield from listing.next_page(records, deduplicator.bookmark)
                tied, leaves = deduplicator.hashes_in_window(page.records), deduplicator.leaves_window(page.records)
                reading, several = reading + tied, several or bool(tied) or listing.moved_count > 0
                if leaves or listing.ended:
                    stands = reading == earlier and len(set(reading)) == len(reading) and not listing.moved_count
                    believed = ordered or not several or stands
                    agreed, closed = believed and (closed or not leaves), closed or leaves
                records = deduplicator.fresh(page, asked=start) if agreed else ()
            if agreed:
                position = deduplicator.request_cursor
                left = Step(records, deduplicator.bookmark, None if position == start else PageRequest(position))
                return left, listing
            earlier = reading
        except MovedSeamError:
            earlier = []
        listing = Listing(plan, start)
        records = deduplicator.fresh((yield from listing.first_page()), asked=start)
    raise WalkError(
        f"{label_of(plan)}: the records that share {_value(deduplicator)!r} ({len(deduplicator.hashes)} seen) fill more than a page, and their "
        f"order changed each of {SEAM_ATTEMPTS} times that they were read; declare a compound filter with a tie_breaker, "
        "ask for larger pages, or make the API sort ties by a unique key"
    )


def _keyset_start(plan: Plan, bookmark: KeysetBookmark | None) -> tuple[Cursor | None, Rank | None]:
    """Return the cursor to ask with, and the least rank to let through: without a tie-breaker it is one step early."""
    incremental = incremental_of(plan)
    mark = bookmark.cursor if bookmark else None
    exact = mark is not None and (mark.tie is not None or plan.walk.has_unique_cursor)
    if exact and not incremental.lookback:
        return mark, None
    value = earliest(incremental, mark.value) if mark else incremental.initial_value
    if value is None:
        return None, None
    first = first_shown(incremental, value)
    return Cursor(window(incremental, step_back(first, resolution_of(first))), plan.tie_floor), rank(first)


def _behind(plan: Plan, asked: Cursor | None) -> Cursor | None:
    """Return the cursor that asks for what is behind a tie from which on was asked: a step further."""
    if asked is None:
        return None
    step = least_step(incremental_of(plan), asked.value)
    return Cursor(format_like(asked.value, Decimal(rank(asked.value)) + step))


def _value(deduplicator: Deduplicator) -> object:
    return None if deduplicator.position is None else deduplicator.position.value
