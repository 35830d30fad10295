"""The boundary of a list: the check that a filter answers the record whose value was asked for.

Theory of operation. A record that a walk has seen at T, and that isn't in the answer to "from T on", may have changed
or may have been deleted since. So its absence proves nothing. What does prove that the filter isn't as declared is the
same record, unchanged, in an answer to "from before T on", while the answer to "from T on" lacks it: what has changed
can't be there, and what was deleted neither. So where a boundary is missing it is looked for in the answer that it came
in, or, at the begin of a run, in those from a step, a second, a minute, an hour and a day before it, since a filter may
round up, or take its value for a time of another zone. Where it isn't there it is gone, and the walk goes on. Else both
are asked three times, in opposite orders, so that two copies of the API's data, one of which lags behind, and which
answer by turns, in pairs or by chance, are told from a filter. Of a rising list any record proves it that lies among
those of the answer which lacks it: a filter by another time leaves out more than the boundary.

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

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from functools import partial
from typing import Any, Final

from msgspec import Struct, field
from msgspec.structs import replace

from tap_restextract.errors import WalkError
from tap_restextract.plan.bookmarks.cursors import CursorBookmark
from tap_restextract.plan.keys import content_hash
from tap_restextract.plan.plan import Plan, incremental_of
from tap_restextract.plan.ranges import cursor_from, least_step, measure
from tap_restextract.values.cursor import INSTANT, Cursor, Rank, rank, step_back
from tap_restextract.values.paths import MISSING, find, find_each
from tap_restextract.walks.asking import Ask, Lacks, answered, whole_answer
from tap_restextract.walks.filter_errors import AMONG, KNOWN, WANTED, excluded_error, other_time_error
from tap_restextract.walks.order import cursor_of, is_given, rank_in
from tap_restextract.walks.settling import is_settled
from tap_restextract.walks.steps import Page, PageRequest, Record, Step, Steps

MAX_SEAMS_ASKED_ABOUT: Final = 2
DISTANCES: Final = ("1s", "1m", "1h", "1d")
Asking = Generator[Step, Page, None]


class SeamWatch(Struct):
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
            hashes = {*map(content_hash, missing)}
            known, among = _known(self.plan, asked, hashes), _Among(self.plan, asked, hashes, page)
            yield from ask_before(self.plan, PageRequest(asked), known, lacks, source, among=among)


class _Among(Struct):
    """Records that a rising list's answer to "from T on" must have, and hasn't, while another answer has them.

    Attributes:
        known: content hashes of those that the walk has seen.
        answer: the first page of the last answer to "from T on".
        wanted: the records, by content; None before another answer has shown some.
    """

    plan: Plan
    asked: Cursor
    known: Collection[str]
    answer: Page
    wanted: dict[str, Record] | None = None

    def meet(self, page: Page) -> bool:
        """Return whether a page has such records, and had them the times before."""
        here = self._due(page.records)
        self.wanted = here if self.wanted is None else {each: here[each] for each in self.wanted if each in here}
        return self._are_left()

    def lack(self, page: Page) -> bool:
        """Return whether another answer to "from T on" hasn't some of them either."""
        self.answer = page
        self.wanted = self._due((self.wanted or {}).values())
        return self._are_left()

    def error(self, before: Cursor, distance: str | None) -> WalkError:
        """Return the error of a filter that leaves them out, where the answer to `before` has them."""
        wanted = self.wanted or {}
        if distance is None and not any(_is_in_window(self.plan, self.asked, each) for each in wanted.values()):
            return other_time_error(self.plan, self.asked, before, self.named)
        return excluded_error(self.plan, self.asked, before, distance, self.named)

    @property
    def named(self) -> str:
        """What a message calls them."""
        return KNOWN if not (self.wanted or {}).keys().isdisjoint(self.known) else AMONG

    def _are_left(self) -> bool:
        self.wanted = self.wanted or None
        return self.wanted is not None

    def _due(self, records: Iterable[Record]) -> dict[str, Record]:
        """Return those that were asked for, and lie before the end of the answer that lacks them."""
        key, since = incremental_of(self.plan).cursor_path, rank(self.asked.value)
        keyed = [record for record in records if is_given(find(key, record))]
        # An answer of limited length may be cut, though nothing asks for more.
        is_limited = getattr(self.plan.stream.paginator, "limit", None) is not None and bool(self.answer.records)
        is_cut = self.answer.following is not None or is_limited
        end = [_place(self.plan, each) for each in self.answer.records[-1:]] if is_cut else None
        here = _identities(self.plan, self.answer.records)
        return {
            content_hash(record): record
            for record, identity in zip(keyed, _identities(self.plan, keyed), strict=True)
            if identity not in here
            and since <= _place(self.plan, record)
            and (
                end is None
                or content_hash(record) in self.known  # of which the walk says itself where they must be
                or any(_place(self.plan, record) < each for each in end)
            )
        }


class _EmptyAnswers(Struct):
    """Answers to "from T on", the first of which was empty, and what shows that they can't be whole.

    Where records joined meanwhile, so that an answer isn't empty again, what none of them has counts as before.

    Attributes:
        known: says of a page that it has a record of the boundary.
        clock: the server's clock at the last such answer, in seconds; None where it shows none.
        had: content hashes of what such answers had.
        wanted: likewise, of what the other answer had and they should have had.
    """

    plan: Plan
    asked: Cursor
    known: Lacks
    clock: float | None
    had: set[str] = field(default_factory=set)
    wanted: set[str] = field(default_factory=set)

    def lack(self, page: Page) -> bool:
        """Return whether an answer is empty again, or whole without something that the other one had."""
        is_empty, here = _is_empty(page), {*map(content_hash, page.records)}
        if not is_empty and (not self._is_whole(page) or self.wanted <= here):
            return False
        self.clock, self.had = page.server_time, self.had | here
        return True

    def meet(self, page: Page) -> bool:
        """Return whether a page has a record that the last such answer should have had, and that none of them has."""
        is_older = partial(_is_older_than, self.plan, self.asked, self.clock)
        due = [each for each in page.records if is_older(each) or self.known(replace(page, records=[each]))]
        self.wanted = {*map(content_hash, due)} - self.had
        return bool(self.wanted)

    def _is_whole(self, page: Page) -> bool:
        """Return whether a page is a whole list: one of limited length may be cut, though nothing asks for more."""
        is_limited = self.plan.walk.is_keyset or getattr(self.plan.stream.paginator, "limit", None) is not None
        return page.following is None and not page.is_unreadable and not is_limited


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
        look = partial(whole_answer, until=answers.meet)
        yield from _ask_earlier(plan, PageRequest(asked), answers.meet, answers.lack, WANTED, look=look)
    yield step


def _check_first(plan: Plan, asked: Cursor, boundary: Collection[str], page: Page) -> Generator[Step, Page, bool]:
    """Check a run's first page, where the bookmark's own records must be in it, if any are left.

    A rising list begins with them; of another list they may be anywhere, and so in its only page.

    Returns:
        Whether other pages were asked for.

    Raises:
        WalkError: where it is proven that the filter leaves the boundary out.
    """
    incremental, among = incremental_of(plan), None
    if plan.walk.is_keyset or plan.parent is not None or (incremental.order == "asc" and incremental.lookback):
        return False
    if incremental.order == "asc":
        lacks, meets = partial(_lacks_window, plan, asked), meets_any(boundary, partial(_is_in_window, plan, asked))
        among = _Among(plan, asked, boundary, page) if plan.stream.primary_key else None
    else:
        meets = meets_any(boundary)
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
        if (yield from _is_left_out(PageRequest(asked), PageRequest(cursor), *_tests(meets, lacks, among))):
            raise excluded_error(plan, asked, cursor, distance) if among is None else among.error(cursor, distance)
    return True


def ask_before(  # noqa: PLR0913, PLR0917  what is known of records that didn't come
    plan: Plan,
    asked: PageRequest,
    meets: Lacks,
    lacks: Lacks,
    source: PageRequest | None,
    until: Any = None,
    among: _Among | None = None,
    ask: Ask | None = None,
) -> Asking:
    """Ask for records that didn't come, where an answer that held them may be asked for again.

    Args:
        plan: the stream's.
        asked: the request to which they didn't come.
        meets: says of a page that it has one of them.
        lacks: says of the first page of an answer that the whole answer has none.
        source: what they came in the answer to; None where that isn't known.
        until: where the ranges end that are asked from before them; None for where `asked` ends.
        among: any record that must have come.
        ask: asks once more for what they didn't come to; None for its first page.

    Raises:
        WalkError: where it is proven that the filter leaves one of them out.
    """
    assert asked.cursor is not None
    if source is not None and not meets((yield from answered(source))):
        return  # gone, or changed
    among = among if plan.stream.primary_key else None
    yield from _ask_earlier(plan, asked, meets, lacks, until=until, among=among, ask=ask)
    if source is None:
        return
    # What came is asked about by itself first: among all that must have come, some may be in doubt.
    if (yield from _is_left_out(asked, source, meets, lacks, ask)):
        raise other_time_error(plan, asked.cursor, source.cursor)
    among = None if among is None else replace(among, wanted=None)
    if among is not None and (yield from _is_left_out(asked, source, *_tests(meets, lacks, among), ask)):
        raise other_time_error(plan, asked.cursor, source.cursor, among.named)


def _ask_earlier(  # noqa: PLR0913  likewise
    plan: Plan,
    asked: PageRequest,
    meets: Lacks,
    lacks: Lacks,
    record: str = KNOWN,
    *,
    until: Any = None,
    among: _Among | None = None,
    ask: Ask | None = None,
    look: Ask = answered,
) -> Asking:
    """Ask for records that didn't come from before their value on; `record` names one of them in a message."""
    assert asked.cursor is not None
    for distance, cursor in _earlier(plan, asked.cursor):
        before = replace(asked, cursor=cursor, until=asked.until if until is None else until)
        if (yield from _is_left_out(asked, before, *_tests(meets, lacks, among), ask, look)):
            raise (
                excluded_error(plan, asked.cursor, cursor, distance, record)
                if among is None
                else among.error(cursor, distance)
            )


def _tests(meets: Lacks, lacks: Lacks, among: _Among | None) -> tuple[Lacks, Lacks]:
    """Return what says of two answers that the one has what the other lacks."""
    return (meets, lacks) if among is None else (among.meet, lambda page: lacks(page) and among.lack(page))


def _is_left_out(  # noqa: PLR0913, PLR0917  two requests, how each is asked, and what its answer shows
    asked: PageRequest,
    before: PageRequest,
    meets: Lacks,
    lacks: Lacks,
    ask: Ask | None = None,
    look: Ask = answered,
) -> Generator[Step, Page, bool]:
    """Ask from before the boundary and from it, three times; return whether it is left out each time.

    An API may refuse to go back so far, which says nothing. What the first page from before it has may stand on a later
    one when records have joined: `look` asks for it then.
    """
    clock: float | None = None
    before = replace(before, probe=True)
    again, other = (before, meets, look), (asked, lacks, ask or answered)
    for request, is_as_expected, asks in ((before, meets, answered), other, other, again, other, again):
        page = yield from asks(request)
        if not is_as_expected(page) or is_cached(clock, page):
            return False
        clock = page.server_time
    return True


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
    if page.following is not None and not is_beyond(plan, asked, page):
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


def is_beyond(plan: Plan, asked: Cursor, page: Page) -> bool:
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


def meets_any(boundary: Collection[str], is_wanted: Callable[[Record], bool] | None = None) -> Lacks:
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
    return meets_any(boundary, partial(_is_behind, plan, asked) if plan.walk.is_keyset else None)


def _is_in_window(plan: Plan, asked: Cursor, record: Record) -> bool:
    return _place(plan, record) == rank(asked.value)


def _is_behind(plan: Plan, asked: Cursor, record: Record) -> bool:
    here, before = rank_in(plan, cursor_of(plan, record).value), rank_in(plan, asked.value)
    return here is not None and before is not None and here > before
