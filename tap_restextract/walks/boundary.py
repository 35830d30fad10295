"""The boundary of a list: the check that a filter answers the record whose value was asked for.

Theory of operation. A record that a walk has seen at T, and that isn't in the answer to "from T on", may have changed
or may have been deleted since. So its absence proves nothing. What does prove that the filter isn't as declared is the
same record, unchanged, in an answer to "from before T on", while the answer to "from T on" lacks it: what has changed
can't be there, and what was deleted neither. So where a boundary is missing it is looked for in the answer that it came
in, or, at the begin of a run, in those from a step, a second, a minute, an hour and a day before it, since a filter may
round up, or take its value for a time of another zone. Where it isn't there it is gone, and the walk goes on. Else both
are asked three times, in opposite orders, so that two copies of the API's data, one of which lags behind, and which
answer by turns, in pairs or by chance, are told from a filter.

It is asked so in four places, each of which is rare with an API whose filter is as declared:

- a run that began at a bookmark found nothing at all, though the bookmark names records (five requests at most); a
  record that is older than the empty answer, and comes from before the bookmark alone, tells as much as one of them;
- the first page of a rising list begins after the bookmark's own value, likewise (two requests);
- the only page of another list has none of the bookmark's records (two requests);
- a walk asks from the last key of a page, and a record that had it doesn't come (one request, `MAX_SEAMS_ASKED_ABOUT`
  times a run);
- a record at the end of a time range isn't in the next one, which begins with it (likewise).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Any, Final

from tap_restextract.errors import WalkError
from tap_restextract.exchange.request import sent_parts
from tap_restextract.plan.bookmarks.cursors import CursorBookmark
from tap_restextract.plan.keys import content_hash
from tap_restextract.plan.plan import Plan, incremental_of, label_of
from tap_restextract.plan.ranges import cursor_from, least_step, measure
from tap_restextract.values.cursor import INSTANT, Cursor, Rank, rank, step_back
from tap_restextract.values.paths import MISSING, find, find_each
from tap_restextract.walks.order import RESET, cursor_of, rank_in
from tap_restextract.walks.settling import is_settled
from tap_restextract.walks.steps import Page, PageRequest, Record, Step, Steps

MAX_SEAMS_ASKED_ABOUT: Final = 2
MAX_EMPTY_PAGES_FOLLOWED: Final = 3
"""Of one question."""
DISTANCES: Final = ("1s", "1m", "1h", "1d")
KNOWN: Final = "a record that the last page held"
WANTED: Final = "a record that was there before"
Lacks = Callable[[Page], bool]
Asking = Generator[Step, Page, None]


@dataclass(slots=True)
class SeamWatch:
    """Watches the seams of a walk that asks again, after a page, from the page's last key on.

    Attributes:
        asked_about: seams at which the last record of the page before didn't come again.
    """

    plan: Plan
    asked_about: int = 0

    def check(self, asked: Cursor | None, tied: Sequence[Record], source: PageRequest | None, page: Page) -> Asking:
        """Check the first page of a list that was asked for from a value on.

        Args:
            asked: from where on.
            tied: records of that value, seen a moment ago; the last one is the last of its page.
            source: what asked for the page that held them; None where that needn't hold them again.
            page: the list's first.

        Raises:
            WalkError: where it is proven that the filter leaves some of them out.
        """
        if asked is None or not tied or self.asked_about == MAX_SEAMS_ASKED_ABOUT:
            return
        if missing := _missing(self.plan, asked, tied, page):
            self.asked_about += 1
            lacks: Lacks = lambda again: len(_missing(self.plan, asked, missing, again)) == len(missing)  # noqa: E731  of this seam alone
            known = _known(self.plan, asked, {*map(content_hash, missing)})
            yield from _ask_before(self.plan, PageRequest(asked), known, lacks, source)


@dataclass(slots=True)
class _EmptyAnswers:
    """Empty answers to "from T on", and what shows that they can't be whole.

    Attributes:
        known: says of a page that it has a record of the boundary.
        clock: the server's clock at the last empty answer, in seconds; None where it shows none.
    """

    plan: Plan
    asked: Cursor
    known: Lacks
    clock: float | None

    def lack(self, page: Page) -> bool:
        """Return whether an answer is empty again."""
        if not _is_empty(page):
            return False
        self.clock = page.server_time
        return True

    def meet(self, page: Page) -> bool:
        """Return whether a page has a record that the last empty answer should have had."""
        is_older = partial(_is_older_than, self.plan, self.asked, self.clock)
        return self.known(page) or any(map(is_older, page.records))


def with_boundary_check(plan: Plan, bookmark: CursorBookmark | None, steps: Steps) -> Steps:
    """Yield a walk's steps; where the bookmark's own records don't come, ask for them from before the bookmark.

    Raises:
        WalkError: where it is proven that the filter leaves the boundary out.
    """
    step = next(steps)
    asked = None if step.request is None else step.request.cursor
    boundary: Collection[str] = () if asked is None or bookmark is None else bookmark.boundary
    came, is_first = False, True
    clock: float | None = None
    while step.request is not None:
        page = yield step
        clock = page.server_time if is_first else clock
        if is_first and asked is not None and boundary and page.records:
            has_asked = yield from _check_first(plan, asked, boundary, page)
            if has_asked and page.following is not None:
                # An API that keeps one position a client has forgotten the page's own.
                page = yield Step(request=step.request)
        came, is_first = came or bool(page.records) or page.following is not None, False
        step = steps.send(page)
    if not came and asked is not None and boundary:
        answers = _EmptyAnswers(plan, asked, _known(plan, asked, boundary), clock)
        yield from _ask_earlier(plan, PageRequest(asked), answers.meet, answers.lack, WANTED)
    yield step


def check_edge(plan: Plan, asked: PageRequest, begin: Any, edge: Collection[str], source: PageRequest) -> Asking:
    """Ask for records at the begin of a time range, which the range before it showed, and which aren't in it.

    They are asked for by a range that ends with them, as many APIs refuse one that is longer than their most.

    Args:
        plan: the stream's.
        asked: the range's request.
        begin: where the range begins, which is where the one before it ends.
        edge: content hashes of the records.
        source: what asked for a page that held some of them.

    Raises:
        WalkError: where it is proven that the filter leaves them out.
    """
    meets = _meets(edge)
    yield from _ask_before(plan, asked, meets, partial(_lacks_edge, plan, asked, meets), source, begin)


def _check_first(plan: Plan, asked: Cursor, boundary: Collection[str], page: Page) -> Generator[Step, Page, bool]:
    """Check a run's first page, where the bookmark's own records must be in it, if any are left.

    A rising list begins with them; of another list they may be anywhere, and so in its only page.

    Returns:
        Whether other pages were asked for.

    Raises:
        WalkError: where it is proven that the filter leaves the boundary out.
    """
    incremental = incremental_of(plan)
    if plan.walk.is_keyset or plan.parent is not None or (incremental.order == "asc" and incremental.lookback):
        return False
    if incremental.order == "asc":
        lacks, meets = partial(_lacks_window, plan, asked), _meets(boundary, partial(_is_in_window, plan, asked))
    else:
        meets = _meets(boundary)
        lacks = partial(_is_whole_without, meets)
    if not lacks(page):
        return False
    since = rank_in(plan, asked.value)
    ranks = [rank_in(plan, cursor_of(plan, record).value) for record in page.records]
    first = None if None in ranks else min(each for each in ranks if each is not None)
    if first is None or since is None:
        return False
    if set(boundary) <= {content_hash(record) for record in page.records}:
        return False  # none of it is missing: what was at the bookmark itself was gone in the run before already
    # The filter begins later than it was asked to by no more than the answer does.
    gap, earlier = Decimal(first) - Decimal(since), [*_earlier(plan, asked)]
    enough = (each for each in earlier if Decimal(since) - Decimal(rank(each[1].value)) >= gap)
    for distance, cursor in dict.fromkeys((earlier[0], next(enough, earlier[-1]))):
        if (yield from _is_left_out(PageRequest(asked), PageRequest(cursor), meets, lacks)):
            raise _excluded(plan, asked, cursor, distance)
    return True


def _ask_before(  # noqa: PLR0913, PLR0917  what is known of records that didn't come
    plan: Plan, asked: PageRequest, meets: Lacks, lacks: Lacks, source: PageRequest | None, until: Any = None
) -> Asking:
    """Ask for records that didn't come, where an answer that held them may be asked for again.

    Args:
        plan: the stream's.
        asked: the request to which they didn't come.
        meets: says of a page that it has one of them.
        lacks: says of the first page of an answer that the whole answer has none.
        source: what they came in the answer to; None where that isn't known.
        until: where the ranges end that are asked from before them; None for where `asked` ends.

    Raises:
        WalkError: where it is proven that the filter leaves one of them out.
    """
    assert asked.cursor is not None
    if source is not None and not meets((yield from answered(source))):
        return  # gone, or changed
    yield from _ask_earlier(plan, asked, meets, lacks, until=until)
    if source is not None and (yield from _is_left_out(asked, source, meets, lacks)):
        raise _other_time(plan, asked.cursor, source.cursor)


def _ask_earlier(  # noqa: PLR0913  likewise
    plan: Plan, asked: PageRequest, meets: Lacks, lacks: Lacks, record: str = KNOWN, *, until: Any = None
) -> Asking:
    """Ask for records that didn't come from before their value on; `record` names one of them in a message."""
    assert asked.cursor is not None
    for distance, cursor in _earlier(plan, asked.cursor):
        before = replace(asked, cursor=cursor, until=asked.until if until is None else until)
        if (yield from _is_left_out(asked, before, meets, lacks)):
            raise _excluded(plan, asked.cursor, cursor, distance, record)


def _is_left_out(asked: PageRequest, before: PageRequest, meets: Lacks, lacks: Lacks) -> Generator[Step, Page, bool]:
    """Ask from before the boundary and from it, three times; return whether it is left out each time.

    An API may refuse to go back so far, which says nothing.
    """
    clock: float | None = None
    before = replace(before, probe=True)
    both = ((before, meets), (asked, lacks))
    for request, is_as_expected in (*both, *reversed(both), *reversed(both)):
        page = yield from answered(request)
        if not is_as_expected(page) or is_cached(clock, page):
            return False
        clock = page.server_time
    return True


def answered(request: PageRequest) -> Generator[Step, Page, Page]:
    """Ask; behind empty pages with tokens, which say nothing, return the first page that says something."""
    page = yield Step(request=request)
    for _ in range(MAX_EMPTY_PAGES_FOLLOWED):
        if page.records or page.following is None:
            break
        page = yield Step(request=replace(request, at=page.following))
    return page


def is_cached(clock: float | None, page: Page) -> bool:
    """Return whether an answer is older than one that came before it, so that it says nothing of now.

    Args:
        clock: the Date of the answer before, in seconds; None where it had none.
        page: the answer.
    """
    return clock is not None and page.server_time is not None and page.server_time < clock


def _is_empty(page: Page) -> bool:
    return not page.records and page.following is None


def _missing(plan: Plan, asked: Cursor, tied: Sequence[Record], page: Page) -> Sequence[Record]:
    """Return those records of a value that aren't on a rising list's first page, and can be on no other."""
    if not page.records:
        return tied if _is_empty(page) else ()  # an empty page with a token says nothing of what is behind it
    if not plan.stream.primary_key:
        return tied if _lacks_window(plan, asked, page) else ()
    if page.following is not None and not _is_beyond(plan, asked, page):
        return ()
    wanted = _identities(plan, tied)
    if _identities(plan, page.records[: len(tied)]) == wanted:
        return ()
    here: Collection[object] = _identities(plan, page.records)
    with suppress(TypeError):  # a key may be a list
        here = {*here}
    return [record for record, identity in zip(tied, wanted, strict=True) if identity not in here]


def _identities(plan: Plan, records: Sequence[Record]) -> list[object]:
    return [*zip(*(find_each(name, records) for name in plan.stream.primary_key), strict=True)]


def _lacks_window(plan: Plan, asked: Cursor, page: Page) -> bool:
    """Return whether a rising list's first page begins behind the window that was asked for."""
    return _is_empty(page) if not page.records else _place(plan, page.records[0]) > rank(asked.value)


def _lacks_edge(plan: Plan, asked: PageRequest, meets: Lacks, page: Page) -> bool:
    """Return whether nothing of the edge is on a range's first page, or can be on another."""
    assert asked.cursor is not None
    if meets(page):
        return False
    if page.following is None or not page.records:
        return page.following is None
    # The edge's window is the first of the range.
    return incremental_of(plan).order == "asc" and _is_beyond(plan, asked.cursor, page)


def _is_beyond(plan: Plan, asked: Cursor, page: Page) -> bool:
    """Return whether a rising list has come beyond the window that was asked for by the end of a page."""
    return _place(plan, page.records[-1]) > rank(asked.value)


def _place(plan: Plan, record: Record) -> Rank:
    """Return the rank of the cursor that asks for a record's window."""
    return rank(cursor_from(incremental_of(plan), cursor_of(plan, record).value).value)


def _earlier(plan: Plan, asked: Cursor) -> Iterator[tuple[str | None, Cursor]]:
    """Yield cursors before the one that was asked from, each with its distance; the first is one step before it."""
    incremental, tie = incremental_of(plan), plan.tie_floor
    least = least_step(incremental, asked.value)
    yield None, Cursor(step_back(asked.value, least), tie)
    timed = incremental.epoch is not None or (isinstance(asked.value, str) and INSTANT.match(asked.value))
    for distance in DISTANCES if timed else ():
        if measure(incremental, distance) > least:
            yield distance, Cursor(step_back(asked.value, measure(incremental, distance)), tie)


def _meets(boundary: Collection[str], is_wanted: Callable[[Record], bool] | None = None) -> Lacks:
    """Return what says of a page that it has a record of the boundary, which is wanted."""
    return lambda page: any(
        content_hash(record) in boundary and (is_wanted is None or is_wanted(record)) for record in page.records
    )


def _is_whole_without(meets: Lacks, page: Page) -> bool:
    """Return whether a page is a whole list, and has nothing of the boundary."""
    return page.following is None and not meets(page)


def _is_older_than(plan: Plan, asked: Cursor, clock: float | None, record: Record) -> bool:
    """Return whether a record is one that was asked for, and must have been there at a moment of the server's clock."""
    value = find(incremental_of(plan).cursor_path, record)
    if value is None or value is MISSING:
        return False
    record_rank, since = rank_in(plan, value), rank_in(plan, asked.value)
    if record_rank is None or since is None or not is_settled(plan, clock, record, record_rank):
        return False
    return record_rank > since if plan.walk.is_keyset else _place(plan, record) >= since


def _known(plan: Plan, asked: Cursor, boundary: Collection[str]) -> Lacks:
    """Return what says of a page that it has a record of the boundary; that of a keyset's cursor may be left out."""
    return _meets(boundary, partial(_is_behind, plan, asked) if plan.walk.is_keyset else None)


def _is_in_window(plan: Plan, asked: Cursor, record: Record) -> bool:
    return _place(plan, record) == rank(asked.value)


def _is_behind(plan: Plan, asked: Cursor, record: Record) -> bool:
    here, before = rank_in(plan, cursor_of(plan, record).value), rank_in(plan, asked.value)
    return here is not None and before is not None and here > before


def pairs_of(plan: Plan, cursor: Cursor | None) -> Any:
    """Return the parameters that carry a cursor, as a message shows them."""
    parts = sent_parts(plan.stream, "cursor", cursor)
    return ", ".join(f"{part.name}={part.value}" for part in parts) or (
        "the request without a cursor" if cursor is None else cursor.value
    )


def _left_out(plan: Plan, asked: Cursor, before: Cursor | None, record: str = KNOWN) -> str:
    incremental = incremental_of(plan)
    key, tie = incremental.cursor_path, incremental.tie_breaker
    declared = {"inclusive": ">=", "compound": f"after ({key}, {tie})"}.get(incremental.filter, ">")
    return (
        f"{label_of(plan)}: {record} is missing from the answer to {pairs_of(plan, asked)}, and is there, unchanged, in "
        f"the answer to {pairs_of(plan, before)}, so the filter by {key} isn't {declared}, as declared, and leaves out what it should hold"
    )


def _excluded(plan: Plan, asked: Cursor, before: Cursor, distance: str | None, record: str = KNOWN) -> WalkError:
    is_strict = distance is None and incremental_of(plan).filter == "inclusive"
    remedy = (
        "the filter is > and not >=: declare filter: exclusive"
        if is_strict
        else f"the filter compares less than the whole value: declare precision: {distance or '1s'}; or it reads the value in "
        f"another zone: send it in a form that names its zone; or it compares another time than {incremental_of(plan).cursor_path}; {RESET}"
    )
    return WalkError(f"{_left_out(plan, asked, before, record)}; {remedy}")


def _other_time(plan: Plan, asked: Cursor, before: Cursor | None) -> WalkError:
    key = incremental_of(plan).cursor_path
    return WalkError(
        f"{_left_out(plan, asked, before)}; it seems to compare another time than {key}, such as that of creation: send "
        f"{{cursor.{key}}} under the name by which the API filters {key}, or declare the time that it compares as cursor_path; {RESET}"
    )
