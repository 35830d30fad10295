"""Probes: requests that a walk doesn't need, by which a fact about the pages of a list is checked.

Theory of operation. A page that lies behind a stated end, before the first page, or behind a token that nothing reads,
is in no answer that a walk asks for. So a first run asks for it, once where what it shows is the same for all lists: at
most one request more a list where all is as declared. What comes back proves nothing by itself, since a list may move
meanwhile. What does prove that the fact is false is a record that is in the probe's answer, isn't in the page's when
that is asked for again, and is in the probe's answer once more, unchanged, `ROUNDS` times: both can't be pages of one
list that is read as declared. Otherwise the walk goes on as if nothing had been asked. An error in answer to a probe
says nothing; many APIs refuse a page that isn't there, and others answer their first page or their last one in its
place. So records of the pages that were read aren't such ones, and neither is anything in an answer that is older than
the one before it, as caches have them.

All of it comes before the walk is given the page that shows the fact, and so before STATE moves over it. Runs that go
on from STATE ask for nothing but what a token may lead to that nothing reads, as a later list may be the first of
several pages; lists whose every page says how it goes on cost nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tap_restextract.config.paginators import Offset, PageNumber, SinglePage
from tap_restextract.errors import AnswerError, WalkError
from tap_restextract.exchange.paginators import Continuation, Number, Start
from tap_restextract.exchange.stated_ends import StatedEnd
from tap_restextract.exchange.unread_marks import names_a_continuation
from tap_restextract.plan.bookmarks.children import ChildrenBookmark
from tap_restextract.plan.bookmarks.cursors import CursorBookmark
from tap_restextract.plan.bookmarks.protocol import Bookmark
from tap_restextract.plan.bookmarks.sweeps import CombinedBookmark
from tap_restextract.plan.keys import content_hash, record_identity, share_a_key
from tap_restextract.plan.plan import Plan, label_of
from tap_restextract.values.cursor import Rank
from tap_restextract.walks.lateness import LateWatch, is_watched
from tap_restextract.walks.order import cursor_of, has_key, rank_in
from tap_restextract.walks.page_errors import (
    end_doubt,
    end_error,
    first_page_error,
    same_page_doubt,
    shared_key_doubt,
    too_small_error,
    untried_doubt,
    untried_error,
)
from tap_restextract.walks.protocol import StreamWalk, SubWalk
from tap_restextract.walks.proving import Probing, Proof, identities
from tap_restextract.walks.steps import Page, PageRequest, Record, Step, Steps

MAX_END_PROBES: Final = 5
"""A run's."""
MAX_PROBES_OF_A_LENGTH: Final = 2
"""Behind pages of one length: the first of them may have been the last page of its list, and as long by chance."""
MAX_UNTRIED: Final = 2
"""Continuations that nothing reads, of a run."""
MAX_EMPTY_FIRST_PAGES: Final = 2
"""Of a run: the first list may be an empty one."""
RECENT_PAGES: Final = 4


class List(Struct):
    """One list, as far as it has come.

    Attributes:
        request: what asked for its first page.
        page: the first page.
        recent: the records of the last pages that had any, by what asked for them.
        asked_ends: what asked for the pages behind whose stated ends was looked.
    """

    request: PageRequest
    page: Page
    recent: dict[Continuation | None, Sequence[Record]] = msgspec.field(default_factory=dict)
    asked_ends: set[Continuation | None] = msgspec.field(default_factory=set)

    def take(self, request: PageRequest, page: Page) -> None:
        """Take a page of the list into account, which may have been read before."""
        if request.at is None:
            self.page = page
        if page.records:
            self.recent.pop(request.at, None)
            self.recent[request.at] = page.records
            if len(self.recent) > RECENT_PAGES:
                del self.recent[next(iter(self.recent))]

    def others(self, at: Continuation | None) -> list[Record]:
        """Return the records of the first page and of the recent ones, without those of one page."""
        pages = {None: self.page.records, **self.recent}
        return [record for place, records in pages.items() if place != at for record in records]


class _Watched(Struct, frozen=True):
    """What a plan says of the watch over its list, decided once.

    Attributes:
        may_compare_pages: a page may be compared with those before it; to keep these costs memory, and so time.
        has_first_number: something may be asked for before the first page, or page 0 may be before it.
        is_watched_for_late: records may be found that come later than declared.
    """

    plan: Plan
    may_compare_pages: bool
    has_first_number: bool
    is_watched_for_late: bool

    @classmethod
    def of(cls, plan: Plan) -> _Watched:
        paginator, has_before = plan.stream.paginator, _before_the_first(plan) is not None
        states_end = any(getattr(paginator, f"{name}_path", None) is not None for name in ("has_more", "total", "end"))
        return cls(plan, states_end or has_before, has_before or isinstance(paginator, PageNumber), is_watched(plan))


@dataclass(slots=True)
class Watch:
    """What a run has learnt of the facts about pages, over all lists of a stream.

    Attributes:
        plans, lists: of the lists that are watched, by the names that requests give them.
        is_first: the run has no bookmark to go on from.
        has_continued: an answer had what asks for the page after it.
        longest: records of the longest page.
        end_probes: pages asked for behind stated ends, by the length of the page before them.
        tried: paths at which no token lies, as was seen by asking.
        is_first_page_known, is_empty_first_page_known: nothing comes before a first page, with records or without.
        told: what notices were about, and the lists' names: each is told once.
        empty_first_pages: how many lists whose page 0 is empty were asked for their page 1.
        late: looks for records that come later than declared.
        doubts: what a person should know of facts that no probe proved or disproved.
    """

    plans: Mapping[str, Plan]
    is_first: bool
    has_continued: bool = False
    longest: int = 0
    end_probes: Counter[int] = field(default_factory=Counter)
    tried: set[str] = field(default_factory=set)
    is_first_page_known: bool = False
    is_empty_first_page_known: bool = False
    told: set[tuple[str, str]] = field(default_factory=set)
    empty_first_pages: int = 0
    late: LateWatch = field(default_factory=LateWatch)
    doubts: list[str] = field(default_factory=list)
    lists: Mapping[str, _Watched] = field(init=False)

    def __post_init__(self) -> None:
        self.lists = {name: _Watched.of(plan) for name, plan in self.plans.items()}

    def over(self, steps: Steps) -> Steps:
        """Yield a walk's steps, and probes before it gets the pages that call for them."""
        listed: List | None = None
        step = next(steps)
        while step.request is not None:
            request = step.request
            page = yield step
            watched = self.lists.get(request.list_name)
            notices: tuple[str, ...] = ()
            if watched is not None and not page.unchanged and not request.probe:
                plan = watched.plan
                if listed is None or (request.at is None and request != listed.request):
                    listed = List(request, page)
                if request.at is None or watched.may_compare_pages:
                    listed.take(request, page)
                if page.following is None or page.end is not None or (self.is_first and watched.has_first_number):
                    shown = _without_repeated_end(plan, listed, request, page)
                    yield from self._look(plan, listed, request, shown)
                    notices = (*self._notices(plan, request, shown), *self.doubts)
                    self.doubts.clear()
                else:
                    self.has_continued, self.longest = True, max(self.longest, page.counted)
            # A probe of anything but a list's beginning may be answered by another list.
            if watched is not None and watched.is_watched_for_late and not (request.probe and request.at):
                notices += self.late.look(watched.plan, request, page)
            step = steps.send(page)
            if notices:
                step = replace(step, notices=(*step.notices, *notices))
        yield step

    def _look(self, plan: Plan, listed: List, request: PageRequest, page: Page) -> Probing:
        self.has_continued = self.has_continued or page.following is not None
        if self.is_first:
            yield from self._check_first_page(plan, listed, request, page)
        if page.following is None:
            if page.end is not None:
                yield from self._check_end(plan, listed, request, page, page.end)
            elif request.at is None and not self.has_continued:
                yield from self._check_untried(plan, listed, request, page)
        self.longest = max(self.longest, page.counted)

    def _notices(self, plan: Plan, request: PageRequest, page: Page) -> tuple[str, ...]:
        """Return what the last page of a list says of records that nothing asks for, once a run.

        A total that the paginator doesn't read may count the whole list, whatever a later run's filter is. It is told
        all the same where nothing ever asks for a second page.
        """
        paginator = plan.stream.paginator
        if page.end is not None and page.end.is_too_small:
            fact = "which is less than what came, so that a list may be taken to end too early"
            text = f"{page.end.sign}, {fact}; {page.end.remedy}"
        else:
            is_single = isinstance(paginator, SinglePage)
            asks_again = is_single and plan.walk.pages_follow_records
            is_read = getattr(paginator, "total_path", None) is not None
            fact, text = "missing", page.missing if self.is_first or is_single or is_read else ""
            if page.following is not None or not text or asks_again:
                return ()
        if (request.list_name, fact) in self.told:
            return ()
        self.told.add((request.list_name, fact))
        return (f"{label_of(plan)}: {text}",)

    def _check_end(self, plan: Plan, listed: List, request: PageRequest, page: Page, end: StatedEnd) -> Probing:
        """Check that nothing is behind a page that states the end.

        Where what is behind it is another page each time, nothing is proven; but records that are older than the page
        must have been on it, or on one before it.

        Raises:
            WalkError: where records are; or where the total is less than what came, and a page behind it isn't empty.
        """
        length = page.counted
        if self.end_probes.total() >= MAX_END_PROBES or request.at in listed.asked_ends:
            return
        behind = replace(request, at=end.behind, probe=True)
        if end.is_too_small:
            self.end_probes[length] += 1
            listed.asked_ends.add(request.at)
            if (yield Step(request=behind)).records:
                raise too_small_error(plan, end)
        elif self.is_first and length >= self.longest and self.end_probes[length] < MAX_PROBES_OF_A_LENGTH:
            self.end_probes[length] += 1
            listed.asked_ends.add(request.at)
            proof = Proof(plan, request, page, behind, others=listed.others(request.at))
            yield from proof.seek(lambda again: again.end is not None)
            if proof.count:
                raise end_error(plan, request, end, proof.count)
            if count := proof.older_count(listed.recent.values()):
                self.doubts.append(end_doubt(plan, request, end, count))

    def _check_first_page(self, plan: Plan, listed: List, request: PageRequest, page: Page) -> Probing:
        """Check that nothing is before the first page.

        What an API that counts as declared answers to the number before its first page is an error, nothing, the first
        page, or the last one, where it counts from the end then. So it must come before the first page in the list's
        order; where the list has none, it must be none of the last pages, once they are known.

        Raises:
            WalkError: where records are.
        """
        at = _before_the_first(plan)
        if at is None:
            yield from self._check_page_zero(plan, listed, request, page)
            return
        is_empty = not listed.page.records
        if is_empty:
            if self.is_first_page_known or self.is_empty_first_page_known or page.following is not None or request.at:
                return
            self.is_empty_first_page_known = True
        else:
            if self.is_first_page_known or (request.at if _is_sorted(plan) else page.following) is not None:
                return
            self.is_first_page_known = True
        # A range may hold nothing; what is before the first page of the list shows, too, where the range has no end.
        asked = replace(listed.request, until=None) if is_empty and plan.walk.may_begin_empty else listed.request
        proof = Proof(plan, asked, listed.page, replace(asked, at=at, probe=True))
        yield from proof.seek(lambda again: _precedes(plan, proof.probed, again, listed))
        if proof.count:
            raise first_page_error(plan, at, proof.count)
        if share_a_key(plan, proof.probed.records) and _is_unread(listed, proof.probed):
            self.doubts.append(shared_key_doubt(plan, at))

    def _check_page_zero(self, plan: Plan, listed: List, request: PageRequest, page: Page) -> Probing:
        """Check that an empty page 0 isn't the one before the first, as of an API that counts from 1.

        Raises:
            WalkError: where page 1 holds records.
        """
        paginator = plan.stream.paginator
        if not isinstance(paginator, PageNumber) or paginator.base_page != 0 or self.is_first_page_known:
            return
        self.is_first_page_known = bool(page.records)
        ended = page.following is None and request.at is None and not request.probe
        if self.is_first_page_known or not ended or self.empty_first_pages == MAX_EMPTY_FIRST_PAGES:
            return
        self.empty_first_pages += 1
        asked = replace(listed.request, until=None) if plan.walk.may_begin_empty else listed.request
        proof = Proof(plan, asked, page, replace(asked, at=Number(1), probe=True))
        yield from proof.seek(lambda again: not again.records)
        if proof.count:
            raise WalkError(
                f"{label_of(plan)}: page 0 is empty, and page 1 holds {proof.count} records, and did so each time; this API counts its pages "
                "from 1: set base_page: 1"
            )

    def _check_untried(self, plan: Plan, listed: List, request: PageRequest, page: Page) -> Probing:
        """Check that what stands beside the records, and looks like what asks for the next page, doesn't.

        Nothing is proven where it is gone from the same page, asked for again; but what does so once the page holds
        what it brought is likely to be what asks for the rest. Nothing is where it is answered by the page beside it,
        either: the API may not look at what it is sent as. A person is told of both.

        Raises:
            WalkError: where it does.
        """
        for path, continuation in page.untried:
            if path in self.tried or len(self.tried) >= MAX_UNTRIED:
                continue
            self.tried.add(path)
            proof = Proof(plan, request, page, replace(request, at=continuation, probe=True))
            yield from proof.seek(partial(_has_untried, path))
            if proof.count:
                raise untried_error(plan, path, continuation, proof.count)
            if count := proof.older_count(listed.recent.values()) or proof.joined_count:
                self.doubts.append(untried_doubt(plan, path, continuation, count))
            elif proof.is_open and names_a_continuation(path):
                self.doubts.append(same_page_doubt(plan, path, continuation))


class ProbedWalk(Struct):
    """A stream walk whose lists are watched."""

    walk: StreamWalk
    watch: Watch

    def next(self) -> SubWalk | None:
        """Return a sub-walk that may start now; None where there is none, for now or for good."""
        sub_walk = self.walk.next()
        if sub_walk is not None:
            sub_walk.steps = self.watch.over(sub_walk.steps)
        return sub_walk

    def translate(self, sub_walk: SubWalk, step: Step) -> Step:
        """Translate a sub-walk's step (its bookmark) into one of the whole stream; a probe is no step of the walk."""
        if step.request is not None and step.request.probe:
            return step
        return self.walk.translate(sub_walk, step)

    def recover(self, sub_walk: SubWalk, error: AnswerError) -> Step | None:
        """Return what the sub-walk's error means for the stream; None where the stream can't go on."""
        return self.walk.recover(sub_walk, error)


def probed(walk: StreamWalk, plan: Plan, bookmark: Bookmark | None, parents: Plan | None = None) -> ProbedWalk:
    """Return a stream's walk with the probes of a run that goes on from a bookmark."""
    main = bookmark.main if isinstance(bookmark, CombinedBookmark) else bookmark
    begins = isinstance(main, (CursorBookmark, ChildrenBookmark)) and main == type(main)(None)
    plans = {"": plan} if parents is None else {"": plan, parents.stream.name: parents}
    return ProbedWalk(walk, Watch(plans, is_first=main is None or begins))


def _without_repeated_end(plan: Plan, listed: List, request: PageRequest, page: Page) -> Page:
    """Return a page without the end of another one, which the API answers in place of a page that isn't there."""
    if page.end is None or not page.end.is_too_small:
        return page
    is_repeated = identities(plan, page.records) <= identities(plan, listed.others(request.at))
    return replace(page, end=None) if is_repeated else page


def _has_untried(path: str, page: Page) -> bool:
    """Return whether a page has nothing at the paginator's path still, and something at this one."""
    return path in dict(page.untried)


def _is_sorted(plan: Plan) -> bool:
    incremental = plan.stream.incremental
    return incremental is not None and incremental.order != "none"


def _before_the_first(plan: Plan) -> Continuation | None:
    match plan.stream.paginator:
        case PageNumber(base_page=number) if number > 0:
            return Number(number - 1)
        case Offset(offset=offset) if offset > 0:
            return Start(offset - 1)
    return None


def _precedes(plan: Plan, before: Page, first: Page, listed: List) -> bool:
    """Return whether a page lies before the first one."""
    held = [record_identity(plan, record) for record in first.records]
    came = [record_identity(plan, record) for record in before.records]
    if not came or came[0] in held or not held:
        return bool(came) and not held
    if isinstance(plan.stream.paginator, Offset):
        return came[1:2] == held[:1]
    if not {*map(str, came)}.isdisjoint(map(str, held)):
        return False
    if _is_sorted(plan):
        return _is_before(plan, before.records, first.records)
    known = identities(plan, (record for records in listed.recent.values() for record in records))
    return known.isdisjoint(map(str, came))


def _is_unread(listed: List, page: Page) -> bool:
    """Return whether none of a page's records, as they are, is on the first page of the list or on the recent ones."""
    read = {content_hash(record) for record in (*listed.page.records, *listed.others(None))}
    return read.isdisjoint(map(content_hash, page.records))


def _is_before(plan: Plan, records: Sequence[Record], others: Sequence[Record]) -> bool:
    """Return whether records come before others in the list's order, and don't all share one value."""
    incremental = plan.stream.incremental
    assert incremental is not None
    above, below = ([record for record in page if has_key(plan, record)] for page in (records, others))
    if not (above and below):  # those without key are all that is left of a list at whose end they stand
        return incremental.nulls == "last" and not below and len(above) == len(records)
    ends = (above[0], above[-1], below[0], below[-1])
    ranks: list[Rank | None] = [rank_in(plan, cursor_of(plan, record).value) for record in ends]
    if None in ranks:
        return False
    top, last, first, end = [-each if incremental.order == "desc" else each for each in ranks if each is not None]
    return last <= first and top < end
