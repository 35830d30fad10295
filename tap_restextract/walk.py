"""Walks: how a list is read without holes, as generators that see pages and never a socket.

A walk yields Steps and is sent Pages. Each Step carries the records of the page before, the bookmark that is true once
they are written, and what to ask next; the shell may ask while it writes. A Step that asks nothing ends the walk:

    step = next(walk)
    while step.ask: step = walk.send(page_of(step.ask))

Whatever the API does, a walk goes forward or stops with a WalkError: cursors only rise, and every token and page
address of a pass is remembered, so that a cycle of any length is found. Order is checked, not believed: a record before
the one that it follows stops the walk, because a bookmark behind it would skip what comes late.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from typing_extensions import assert_never

from tap_restextract.bookmarks import Bookmark, content_hash
from tap_restextract.cursor import Cursor, NoRankError, Rank, back, finest, rank
from tap_restextract.errors import AnswerError, WalkError
from tap_restextract.paginators import Continuation, Start
from tap_restextract.paths import MISSING, find
from tap_restextract.plan import Plan, Walk, asked, window
from tap_restextract.settings import Incremental, SinglePage

Record = dict[str, Any]
SEAM_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class Ask:
    """What to ask: from which cursor, and which page of that list."""

    cursor: Cursor | None = None
    at: Continuation | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One answer: its records as they came, and what asks for the page behind it (None: the API states the end)."""

    records: Sequence[Record]
    following: Continuation | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """Records to write, the bookmark that is true once they are written, and what to ask next (None: the end)."""

    records: Sequence[Record] = ()
    bookmark: Bookmark | None = None
    ask: Ask | None = None


Steps = Generator[Step, Page, None]


def walk(plan: Plan, bookmark: Bookmark | None) -> Steps:
    """The plan's walk, from the bookmark on."""
    match plan.walk:
        case Walk.KEYSET | Walk.UNIQUE_KEYSET:
            return keyset(plan, bookmark)
        case Walk.TOKENS:
            return tokens(plan, bookmark)
        case Walk.RESTART:
            return restart(plan, bookmark)
        case Walk.SINGLE:
            return single(plan, bookmark)
        case Walk.TRAVERSAL:
            return traversal(plan)
    assert_never(plan.walk)


def traversal(plan: Plan) -> Steps:
    """The whole list, page by page; there is no bookmark."""
    seen = Seen(plan)
    page = yield Step(ask=Ask())
    while page.following is not None:
        page = yield Step(page.records, None, Ask(None, seen.new(page.following)))
    yield Step(page.records)


def keyset(plan: Plan, bookmark: Bookmark | None) -> Steps:
    """After each page, ask behind its last (key, tie-breaker); STATE moves there exactly."""
    order = Order(plan)
    cursor, least = _keyset_start(plan, bookmark)
    page = yield Step(ask=Ask(cursor))
    endless = isinstance(plan.stream.paginator, SinglePage)
    while page.records:
        order.check(cursor, page.records)
        cursor = _cursor_of(plan, page.records[-1])
        records = (
            page.records if least is None else [record for record in page.records if _rank_of(plan, record) >= least]
        )
        ended = page.following is None and not endless
        page = yield Step(records, Bookmark(cursor), None if ended else Ask(cursor))
    yield Step()


def tokens(plan: Plan, bookmark: Bookmark | None) -> Steps:
    """From the bookmark, follow tokens to their end; the boundary's records are known by their content."""
    sieve, seen = Sieve(plan, bookmark), Seen(plan)
    start = sieve.asked
    page = yield Step(ask=Ask(start))
    records = sieve.fresh(page)
    while page.following is not None:
        page = yield Step(records, sieve.bookmark, Ask(start, seen.new(page.following)))
        records = sieve.fresh(page)
    yield Step(records, sieve.bookmark)


def single(plan: Plan, bookmark: Bookmark | None) -> Steps:
    """One answer holds all; or, with a `limit`, each is asked for from the last one's key until nothing moves."""
    assert isinstance(plan.stream.paginator, SinglePage)
    limit = plan.stream.paginator.limit
    sieve = Sieve(plan, bookmark)
    records: list[Record] = []
    while True:
        start = sieve.asked
        page = yield Step(records, sieve.bookmark, Ask(start))
        records = sieve.fresh(page)
        if limit is None or not page.records:
            break
        if sieve.asked != start:
            continue
        if len(page.records) >= limit:
            raise WalkError(
                f"{_place(plan)}: {len(page.records)} records or more share {sieve.value!r}, and one answer holds {limit}, "
                "so those behind can't be asked for; declare a paginator, a compound filter with a tie_breaker, or a "
                "larger limit"
            )
        break
    yield Step(records, sieve.bookmark)


def restart(plan: Plan, bookmark: Bookmark | None) -> Steps:
    """After each page, ask again from its last key; count pages, or follow tokens, only inside a tie."""
    sieve = Sieve(plan, bookmark)
    ask: Ask | None = Ask(sieve.asked)
    step = Step(ask=ask)
    while ask is not None:
        page = yield step
        records = sieve.fresh(page)
        if page.following is None:
            step = Step(records, sieve.bookmark)
        elif sieve.asked != ask.cursor:
            step = Step(records, sieve.bookmark, Ask(sieve.asked))
        else:
            step = yield from _through_tie(plan, sieve, page, records)
        ask = step.ask
    yield step


def _through_tie(plan: Plan, sieve: Sieve, page: Page, records: Sequence[Record]) -> Generator[Step, Page, Step]:
    """Read on inside a tie that fills a page; returns the step that leaves it.

    Pages and offsets are safe only while the list stands still, so each seam is checked: an offset is asked for one
    record early, and that record must be the last one of the page before; a page or token is accepted once the page
    before, asked for again, holds the same records. Where a seam has moved, the tie is read again from its start.
    """
    start = sieve.asked
    for _ in range(SEAM_ATTEMPTS):
        seen, at = Seen(plan), None
        while True:
            if page.following is None:
                return Step(records, sieve.bookmark)
            ahead = seen.new(page.following)
            overlaps = isinstance(ahead, Start) and bool(page.records)
            if isinstance(ahead, Start) and overlaps:
                ahead = Start(ahead.offset - 1)
            behind = yield Step(records, sieve.bookmark, Ask(start, ahead))
            if overlaps:
                holds = bool(behind.records) and _identity(plan, behind.records[0]) == _identity(plan, page.records[-1])
            else:
                again = yield Step(ask=Ask(start, at))
                holds = [_identity(plan, record) for record in again.records] == [
                    _identity(plan, record) for record in page.records
                ]
            if not holds:
                break
            records = sieve.fresh(behind)
            if sieve.asked != start:
                return Step(records, sieve.bookmark, Ask(sieve.asked))
            if overlaps and len(behind.records) == 1:
                return Step(records, sieve.bookmark)
            page, at = behind, ahead
        page = yield Step(ask=Ask(start))
        records = sieve.fresh(page)
        if sieve.asked != start:
            return Step(records, sieve.bookmark, Ask(sieve.asked))
    raise WalkError(
        f"{_place(plan)}: the records that share {sieve.value!r} ({len(sieve.hashes)} seen) fill more than a page, and their "
        f"order changed each of {SEAM_ATTEMPTS} times that they were read; declare a compound filter with a tie_breaker, "
        "ask for larger pages, or make the API sort ties by a unique key"
    )


@dataclass(slots=True)
class Sieve:
    """Lets each version of a record through once, and keeps the bookmark.

    A window is what the API's filter can't tell apart: the records of one replication key's value or, with a
    `precision`, of one multiple of it. The list is asked for from the newest record's window on; of that window the
    sieve knows each record by its content, so that a changed record of the same instant comes out, and the same one
    doesn't.
    """

    plan: Plan
    start: Bookmark | None
    value: Any = None
    hashes: dict[str, Rank] = field(default_factory=dict)
    moved: bool = False

    def __post_init__(self) -> None:
        incremental = _incremental(self.plan)
        self.value = self.start.cursor.value if self.start else incremental.initial_value
        if self.start:
            self.hashes = dict.fromkeys(self.start.boundary, rank(self.value))

    @property
    def asked(self) -> Cursor | None:
        """The cursor that makes the API answer the newest record's whole window and all behind it."""
        return None if self.value is None else asked(_incremental(self.plan), self.value)

    @property
    def bookmark(self) -> Bookmark | None:
        """What STATE may say once all that was let through is written; None while nothing was seen."""
        if self.value is None or not (self.start or self.moved):
            return None
        return Bookmark(Cursor(self.value), frozenset(self.hashes))

    def fresh(self, page: Page) -> list[Record]:
        """The page's records that were not let through before, in their order.

        Raises:
            WalkError: where a record comes before the one that it follows.
            AnswerError: where a record has no replication key.
        """
        if not page.records:
            return []
        ranks = _rising(self.plan, page.records)
        first = None if self.value is None else self._window(self.value)
        known = None if self.value is None else rank(self.value)
        if known is None or ranks[-1] > known:
            self.value, self.moved = find(_incremental(self.plan).cursor_path, page.records[-1]), True
        last = self._window(self.value)
        records = []
        for record, place in zip(page.records, ranks, strict=True):
            if first is not None and place < first:
                continue
            if place >= last or (known is not None and place <= known):
                digest = content_hash(record)
                if digest in self.hashes:
                    continue
                self.hashes[digest], self.moved = place, True
            records.append(record)
        self.hashes = {digest: place for digest, place in self.hashes.items() if place >= last}
        return records

    def _window(self, value: Any) -> Rank:
        return rank(window(_incremental(self.plan), value))


@dataclass(slots=True)
class Order:
    """Checks that a compound list goes forward: keys never fall, and within one key no tie-breaker comes twice."""

    plan: Plan
    ties: set[Any] = field(default_factory=set)

    def check(self, cursor: Cursor | None, records: Sequence[Record]) -> None:
        """Compare each record with the one before it, the first with the cursor that it was asked behind.

        Raises:
            WalkError: where the API's filter or order isn't what the configuration states.
        """
        before, place = cursor, None if cursor is None else _rank(self.plan, cursor.value)
        for record in records:
            here = _cursor_of(self.plan, record)
            rank_here = _rank(self.plan, here.value)
            if before is not None:
                self._compare(before, place, here, rank_here, asked=before is cursor)
            if place != rank_here:
                self.ties.clear()
            self.ties.add(here.tie)
            before, place = here, rank_here

    def _compare(
        self, before: Cursor, place: Rank | None, here: Cursor, rank_here: Rank | None, *, asked: bool
    ) -> None:
        key = _incremental(self.plan).cursor_path
        if place is None or rank_here is None:
            forward = here.value != before.value
        elif rank_here != place:
            forward = rank_here > place
        else:
            numbers = isinstance(here.tie, int) and isinstance(before.tie, int)
            forward = here.tie > before.tie if numbers else here.tie not in self.ties and here.tie != before.tie
        if forward:
            return
        if asked:
            raise WalkError(
                f"{_place(self.plan)}: asked behind {key} {before.value!r}, the API answered a record at {here.value!r} that isn't behind it "
                f"({len(self.ties)} records share the value so far); the filter must be strictly behind (key, tie-breaker), and the "
                "API must show its values with all their digits. Mend the request's filter, or declare filter: inclusive"
            )
        raise WalkError(
            f"{_place(self.plan)}: a record at {key} {here.value!r} follows one at {before.value!r}, so the list isn't in ascending order "
            "of (key, tie-breaker); make the request sort by both, or declare another order"
        )


@dataclass(slots=True)
class Seen:
    """Every token and page address of a pass, so that a cycle of any length is found."""

    plan: Plan
    continuations: set[Continuation] = field(default_factory=set)

    def new(self, continuation: Continuation) -> Continuation:
        """The continuation, the first time that it comes.

        Raises:
            WalkError: the second time.
        """
        if continuation in self.continuations:
            raise WalkError(
                f"{_place(self.plan)}: the API gave the same {type(continuation).__name__.lower()} for the next page twice in one pass, after "
                f"{len(self.continuations)} pages, so the pages go in a circle; check that the request sends it where the API "
                "expects it (cursor_param, cursor_body_path)"
            )
        self.continuations.add(continuation)
        return continuation


def _keyset_start(plan: Plan, bookmark: Bookmark | None) -> tuple[Cursor | None, Rank | None]:
    """Where to ask from, and the least rank to let through: a cursor without a tie-breaker is asked one step early."""
    incremental = _incremental(plan)
    if bookmark is not None and (bookmark.cursor.tie is not None or plan.walk is Walk.UNIQUE_KEYSET):
        return bookmark.cursor, None
    value = bookmark.cursor.value if bookmark else incremental.initial_value
    if value is None:
        return None, None
    return Cursor(back(value, finest(value)), plan.tie_floor), rank(value)


def _rising(plan: Plan, records: Sequence[Record]) -> list[Rank]:
    ranks = [_rank_of(plan, record) for record in records]
    for before, here, record in zip(ranks, ranks[1:], records[1:], strict=False):
        if here < before:
            key = _incremental(plan).cursor_path
            raise WalkError(
                f"{_place(plan)}: a record at {key} {find(key, record)!r} follows a later one, so the list isn't in ascending order; "
                f"make the request sort by {key}, or leave `incremental` out to read the whole list each run"
            )
    return ranks


def _rank_of(plan: Plan, record: Record) -> Rank:
    place = _rank(plan, _cursor_of(plan, record).value)
    assert place is not None
    return place


def _rank(plan: Plan, value: Any) -> Rank | None:
    try:
        return rank(value)
    except NoRankError as error:
        if plan.walk is Walk.UNIQUE_KEYSET:
            return None
        key = _incremental(plan).cursor_path
        raise AnswerError(
            f"{_place(plan)}: a record's {key} is neither an instant (ISO 8601) nor a number; choose a cursor_path that is"
        ) from error


def _cursor_of(plan: Plan, record: Record) -> Cursor:
    incremental = _incremental(plan)
    value = find(incremental.cursor_path, record)
    if value is MISSING or value is None:
        raise AnswerError(
            f"{_place(plan)}: a record has no {incremental.cursor_path} ({'it is null' if value is None else 'the property is missing'}), so it has no place in "
            "the order; let the request's filter leave such records out, or choose a cursor_path that each record has"
        )
    if incremental.tie_breaker is None:
        return Cursor(value, value if plan.walk is Walk.UNIQUE_KEYSET else None)
    tie = find(incremental.tie_breaker, record)
    if plan.walk is Walk.KEYSET and (tie is MISSING or tie is None or isinstance(tie, (dict, list))):
        raise AnswerError(
            f"{_place(plan)}: a record has no {incremental.tie_breaker}; choose a tie_breaker that each record has"
        )
    return Cursor(value, tie)


def _identity(plan: Plan, record: Record) -> Any:
    if plan.stream.primary_key:
        return [find(key, record) for key in plan.stream.primary_key]
    return content_hash(record)


def _incremental(plan: Plan) -> Incremental:
    assert plan.stream.incremental is not None
    return plan.stream.incremental


def _place(plan: Plan) -> str:
    return f"stream {plan.stream.name} ({plan.walk.value})"
