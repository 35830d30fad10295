"""What a walk remembers while it reads a list: which records it let through, how far STATE may go, what was followed.

Theory of operation. Two places move: the position, from which the next page is asked for, and the mark, which STATE
keeps. The mark trails the position where a record's place isn't settled yet: a row of the server's current second may
still be joined by others of the same value, with smaller tie-breakers; with a `lag`, late ones may come that long; a
future-dated row would jump over everything until then. So the mark moves only to records before the horizon, the
server's clock (its Date, in whole seconds) less the lag, and once it stood still it does so for the rest of the run: rows may
have joined behind the position meanwhile, though they would be settled by now. What is emitted from the mark on is remembered by its content
and goes with STATE, so that it comes once although it is asked for again.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import ROUND_FLOOR, Decimal
from operator import le, lt
from typing import Any, Final, cast

from tap_restextract.config.settings import Incremental
from tap_restextract.errors import AnswerError, WalkError
from tap_restextract.exchange.paginators import Continuation
from tap_restextract.plan.bookmarks import Bookmark, content_hash
from tap_restextract.plan.plan import EPOCHS, Plan, Walk, cursor_from, earliest, window
from tap_restextract.values.cursor import Cursor, NoRankError, Rank, kind_and_rank, precision_of, rank, resolution_of
from tap_restextract.values.paths import MISSING, find, find_each
from tap_restextract.walks.steps import Page, Record

SEAM_ATTEMPTS: Final = 10
SCALARS: Final = {str, int}


@dataclass(slots=True)
class Deduplicator:
    """Lets each version of a record through once, and keeps position and mark.

    Where the walk asks inclusively, a window is what the API's filter can't tell apart: the records of one value or,
    with a `precision`, of one multiple of it. The list is asked for from the position's window on.

    Attributes:
        exact: the walk asks strictly behind a compound or unique cursor, so that the mark alone parts old from new.
        least: records of a lesser rank are not wanted (they come because a filter is coarse, or asked one step early).
        clocked: the server's clock told which records were settled.
        hashes: the records that are known by their content, and their ranks; None for those of STATE until they come.
        unseen: how many of them are None.
        known_to: the greatest rank among them.
        pruned: they were last rid of what is before this rank.
    """

    plan: Plan
    position: Cursor | None
    mark: Cursor | None
    exact: bool = False
    min_rank: Rank | None = None
    hashes: dict[str, Rank | None] = field(default_factory=dict)
    moved: bool = False
    halted: bool = False
    first_horizon: Rank | None = None
    has_clock: bool = False
    unseen_count: int = field(init=False)
    max_known_rank: Rank | None = field(default=None, init=False)
    pruned_below: Rank | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.unseen_count = len(self.hashes)

    @classmethod
    def inclusive(cls, plan: Plan, bookmark: Bookmark | None) -> Deduplicator:
        """For walks that ask from a value on."""
        incremental = incremental_of(plan)
        mark = bookmark.cursor if bookmark else None
        first = earliest(incremental, mark.value) if mark else incremental.initial_value
        position = None if first is None else Cursor(first)
        least = None if first is None else rank(window(incremental, first))
        return cls(plan, position, mark, min_rank=least, hashes=_hashes_in(bookmark))

    @classmethod
    def after_cursor(
        cls, plan: Plan, bookmark: Bookmark | None, position: Cursor | None, least: Rank | None
    ) -> Deduplicator:
        """For walks that ask strictly behind a cursor."""
        mark = bookmark.cursor if bookmark else None
        return cls(plan, position, mark, exact=True, min_rank=least, hashes=_hashes_in(bookmark))

    @property
    def request_cursor(self) -> Cursor | None:
        """The cursor that makes the API answer all from the position on."""
        if self.position is None or self.exact:
            return self.position
        return cursor_from(incremental_of(self.plan), self.position.value)

    @property
    def bookmark(self) -> Bookmark | None:
        """What STATE may say once all that was let through is written; None while nothing moved."""
        if not self.moved:
            return None
        return Bookmark(self.mark, frozenset(self.hashes), newest=self.position.value if self.position else None)

    def fresh(self, page: Page, ranks: Sequence[Rank | None] = ()) -> list[Record]:
        """The page's records that were not let through before, in their order; position and mark move.

        Args:
            page: as it came.
            ranks: of its records, where they are known to rise.

        Raises:
            WalkError: where a record comes before the one that it follows.
            AnswerError: where a record has no replication key.
        """
        if not page.records:
            return []
        check_kind(self.plan, None if self.position is None else self.position.value, page.records[0])
        ranks = ranks or ascending_ranks(self.plan, page.records)
        unseen, known_to = self.unseen_count > 0, self.max_known_rank
        settled = 0 if self.halted else self._settled_count(page, ranks)
        self.halted = settled < len(ranks)
        self._advance(page.records, ranks, settled)
        keep_from, behind = self._min_remembered_rank(), self.exact and not incremental_of(self.plan).lookback
        new = self._new_by_rank(ranks, keep_from, known_to, settled, behind=behind, unseen=unseen)
        left_out: set[int] = set()
        for index in (*range(new.start), *range(new.stop, len(ranks))):
            record, place = page.records[index], ranks[index]
            if place is not None and self.min_rank is not None and place < self.min_rank:
                left_out.add(index)
                continue
            known = unseen or (known_to is not None and place is not None and place <= known_to)
            kept = self.exact and index >= settled
            kept = kept or (not behind and place is not None and (keep_from is None or place >= keep_from))
            if known or kept:
                digest = content_hash(record)
                if digest in self.hashes:
                    self._remember_again(digest, place)
                    if place is not None and keep_from is not None and place < keep_from:
                        self.pruned_below = None
                    left_out.add(index)
                    continue
                if kept:
                    self._remember(digest, place)
                    self.moved = True
        self._prune(keep_from)
        if not left_out:
            return [*page.records]
        return [record for index, record in enumerate(page.records) if index not in left_out]

    def _new_by_rank(  # noqa: PLR0913  what `fresh` knows of a page
        self,
        ranks: Sequence[Rank | None],
        keep_from: Rank | None,
        known_to: Rank | None,
        settled: int,
        *,
        behind: bool,
        unseen: bool,
    ) -> range:
        """Those records of a page, in a row, that are new by their rank alone: no content is looked at."""
        if unseen or None in ranks or (keep_from is None and not behind):
            return range(0)
        places = cast("Sequence[Rank]", ranks)
        first = 0 if known_to is None else bisect_right(places, known_to)
        first = first if self.min_rank is None else max(first, bisect_left(places, self.min_rank))
        last = len(places) if behind or keep_from is None else bisect_left(places, keep_from)
        last = min(last, settled) if self.exact else last
        return range(first, max(first, last))

    def _remember(self, digest: str, place: Rank | None) -> None:
        self.hashes[digest] = place
        if place is None:
            self.unseen_count += 1
        elif self.max_known_rank is None or place > self.max_known_rank:
            self.max_known_rank = place

    def _remember_again(self, digest: str, place: Rank | None) -> None:
        self.unseen_count -= self.hashes[digest] is None
        self._remember(digest, place)

    def _prune(self, keep_from: Rank | None) -> None:
        """Forget what the mark has left behind; only where it moved, since a tie may hold many thousands."""
        if keep_from is None or (self.pruned_below is not None and keep_from <= self.pruned_below):
            return
        self.hashes = {digest: place for digest, place in self.hashes.items() if place is None or place >= keep_from}
        self.pruned_below = keep_from

    def leaves_window(self, records: Sequence[Record]) -> bool:
        """Whether records lead out of the window that is asked for now."""
        value = cursor_of(self.plan, records[-1]).value if records else None
        return value is not None and cursor_from(incremental_of(self.plan), value) != self.request_cursor

    def hashes_in_window(self, records: Sequence[Record]) -> list[str]:
        """The contents, hashed, of those records that are in the window that is asked for now."""
        incremental = incremental_of(self.plan)
        return [
            content_hash(record)
            for record in records
            if cursor_from(incremental, cursor_of(self.plan, record).value) == self.request_cursor
        ]

    def finish(self) -> None:
        """Forget what was remembered and did not come again: the list was read to its end."""
        if self.unseen_count:
            self.hashes = {digest: place for digest, place in self.hashes.items() if place is not None}
            self.unseen_count, self.moved = 0, True

    def _advance(self, records: Sequence[Record], ranks: Sequence[Rank | None], settled: int) -> None:
        last = cursor_of(self.plan, records[-1])
        if self.exact or self.position is None or _precedes(_rank(self.plan, self.position.value), ranks[-1]):
            self.position = last
        if settled:
            mark = cursor_of(self.plan, records[settled - 1])
            here = ranks[settled - 1]
            if self.min_rank is not None and here is not None and here < self.min_rank:
                return
            if (
                self.mark is None
                or _precedes(_rank(self.plan, self.mark.value), here)
                or (self.exact and mark != self.mark)
            ):
                self.mark, self.moved = mark, True

    def _min_remembered_rank(self) -> Rank | None:
        """The least rank whose records must be known by their content; None for all."""
        if self.mark is None:
            return None
        if self.exact and not incremental_of(self.plan).lookback:
            return _rank(self.plan, self.mark.value)
        return rank(earliest(incremental_of(self.plan), self.mark.value))

    def _settled_count(self, page: Page, ranks: Sequence[Rank | None]) -> int:
        """How many records, from the first, the mark may move behind."""
        if None in ranks:
            return len(ranks)
        places = [place for place in ranks if place is not None]
        bound = horizon(self.plan, page)
        self.has_clock = bound is not None
        if bound is None:
            if incremental_of(self.plan).lookback:
                raise WalkError(
                    f"{label_of(self.plan)}: a lookback needs the server's clock, or the bookmark could move over what comes late while "
                    "a run goes on, and the answer has no Date header or the replication key is no time; declare `epoch` where "
                    "it counts time, or leave `lookback` out"
                )
            # Without a clock, the newest value seen may still be joined by others: only an inclusive walk may stand on it.
            clockless = self.plan.walk in {Walk.KEYSET, Walk.TOKENS} and _is_instant(self.plan, page.records[-1])
            return bisect_left(places, places[-1]) if clockless else len(places)
        if incremental_of(self.plan).lookback:
            # What came late was behind the clock by the lookback at most when it came, and the run may be longer than that.
            self.first_horizon = bound if self.first_horizon is None else min(self.first_horizon, bound)
            bound = self.first_horizon
        return bisect_left(places, bound)


def horizon(plan: Plan, page: Page) -> Rank | None:
    """The rank from which on records aren't settled yet; None where the key is no time, or the server shows no clock.

    A value stands for all moments up to the next one that can be written: it is settled once the last of them is.
    """
    if not page.records or not _is_instant(plan, page.records[-1]):
        return None
    bound = horizon_at(incremental_of(plan), page.server_time)
    if bound is None:
        return None
    step = resolution_of(find(incremental_of(plan).cursor_path, page.records[-1]))
    return (Decimal(bound) / step).to_integral_value(rounding=ROUND_FLOOR) * step


def horizon_at(incremental: Incremental, server_time: float | None) -> Rank | None:
    """The server's clock, in whole seconds, less the lag, in the replication key's own unit."""
    if server_time is None:
        return None
    seconds = Decimal(int(server_time)) - (precision_of(incremental.lag) if incremental.lag else 0)
    return seconds * EPOCHS[incremental.epoch or "s"]


def _is_instant(plan: Plan, record: Record) -> bool:
    incremental = incremental_of(plan)
    value = find(incremental.cursor_path, record)
    return incremental.epoch is not None or (isinstance(value, str) and "-" in value[1:])


def _hashes_in(bookmark: Bookmark | None) -> dict[str, Rank | None]:
    if bookmark is None:
        return {}
    return dict.fromkeys(bookmark.boundary)


def _precedes(one: Rank | None, other: Rank | None) -> bool:
    return one is None or other is None or one < other


@dataclass(slots=True)
class OrderCheck:
    """Checks that a compound list goes forward: keys never fall, and within one key no tie-breaker comes twice."""

    plan: Plan
    ties: set[Any] = field(default_factory=set)
    ends: set[Any] = field(default_factory=set)

    def check(self, cursor: Cursor | None, records: Sequence[Record]) -> list[Rank | None]:
        """Compare each record with the one before it, the first with the cursor that it was asked behind; return their ranks.

        Raises:
            WalkError: where the API's filter or order isn't what the configuration states.
        """
        values, ties, ranks = keys_and_ranks(self.plan, records)
        place = None if cursor is None else _rank(self.plan, cursor.value)
        if not (ranks and _go_forward(ranks, ties)):
            self._check_one_by_one(cursor, place, values, ties, ranks)
            return ranks
        # Only those that may share the cursor's value can be out of place, and only the last ones' ties be met again.
        places = cast("Sequence[Rank]", ranks)
        alone = max(1, 0 if place is None else bisect_right(places, place))
        self._check_one_by_one(cursor, place, values[:alone], ties[:alone], ranks[:alone])
        if alone < len(ranks):
            self.ties = {*ties[bisect_left(places, places[-1]) :]}
        return ranks

    def _check_one_by_one(
        self,
        cursor: Cursor | None,
        place: Rank | None,
        values: Sequence[Any],
        ties: Sequence[Any],
        ranks: Sequence[Rank | None],
    ) -> None:
        before, tie = (MISSING, None) if cursor is None else (cursor.value, cursor.tie)
        is_first = True
        for here, tie_here, rank_here in zip(values, ties, ranks, strict=True):
            # Nearly all go forward by their rank, or share one and have rising numbers for tie-breakers.
            forward = place is not None and rank_here is not None and rank_here > place
            if not forward and type(tie) is type(tie_here) is int and rank_here is not None and rank_here == place:
                forward = tie_here > tie
            if not forward and before is not MISSING:
                self._compare(Cursor(before, tie), place, Cursor(here, tie_here), rank_here, is_first=is_first)
            if place != rank_here:
                self.ties.clear()
            self.ties.add(tie_here)
            before, tie, place, is_first = here, tie_here, rank_here, False
        if values and place is None:
            # Keys of text have no order that is known: none may come from the page before, nor end a page twice.
            self.ties = {*ties}
            self.ends.add(tie)

    def _compare(
        self, before: Cursor, place: Rank | None, here: Cursor, rank_here: Rank | None, *, is_first: bool
    ) -> None:
        key = incremental_of(self.plan).cursor_path
        if place is None or rank_here is None:
            forward = here.tie not in self.ties and here.tie not in self.ends and here.tie != before.tie
        elif rank_here != place:
            forward = rank_here > place
        else:
            numbers = isinstance(here.tie, int) and isinstance(before.tie, int)
            forward = here.tie > before.tie if numbers else here.tie not in self.ties and here.tie != before.tie
        if forward:
            return
        if is_first:
            raise WalkError(
                f"{label_of(self.plan)}: asked behind {key} {before.value!r}, the API answered a record at {here.value!r} that isn't behind it "
                f"({len(self.ties)} records share the value so far); the filter must be strictly behind (key, tie-breaker), and the "
                "API must show its values with all their digits. Mend the request's filter, or declare filter: inclusive"
            )
        raise WalkError(
            f"{label_of(self.plan)}: a record at {key} {here.value!r} follows one at {before.value!r}, so the list isn't in ascending order "
            "of (key, tie-breaker); make the request sort by both, or declare another order"
        )


@dataclass(slots=True)
class CycleGuard:
    """Every token and page address of a pass, so that a cycle of any length is found."""

    plan: Plan
    continuations: set[Continuation] = field(default_factory=set)

    def admit(self, continuation: Continuation) -> Continuation:
        """The continuation, the first time that it comes.

        Raises:
            WalkError: the second time.
        """
        if continuation in self.continuations:
            raise WalkError(
                f"{label_of(self.plan)}: the API gave the same {type(continuation).__name__.lower()} for the next page twice in one pass, after "
                f"{len(self.continuations)} others, so the pages go in a circle; check that the request sends it where the API "
                "expects it (cursor_param, cursor_body_path)"
            )
        self.continuations.add(continuation)
        return continuation


def _go_forward(ranks: Sequence[Rank | None], ties: Sequence[Any]) -> bool:
    """Whether each record is behind the one before it, as a look at all of them at once can tell: by whole numbers, or by texts that differ."""
    kinds = {*map(type, ties)}
    if None in ranks or kinds not in ({int}, {str}):
        return False
    places: list[Any] = [*zip(ranks, ties, strict=True)]
    if kinds == {int}:
        return all(map(lt, places, places[1:]))
    rising: Sequence[Any] = ranks
    return len({*places}) == len(places) and all(map(le, rising, rising[1:]))


def ascending_ranks(plan: Plan, records: Sequence[Record]) -> list[Rank | None]:
    """Return the ranks of a page's records, which must not fall.

    Raises:
        WalkError: where a record's rank is less than the one before it.
    """
    ranks = keys_and_ranks(plan, records)[2]
    for before, here, record in zip(ranks, ranks[1:], records[1:], strict=False):
        if before is not None and here is not None and here < before:
            key = incremental_of(plan).cursor_path
            raise WalkError(
                f"{label_of(plan)}: a record at {key} {find(key, record)!r} follows a later one, so the list isn't in ascending order; "
                f"make the request sort by {key}, or leave `incremental` out to read the whole list each run"
            )
    return ranks


def keys_and_ranks(plan: Plan, records: Sequence[Record]) -> tuple[list[Any], list[Any], list[Rank | None]]:
    """The values of the records' replication keys, their tie-breakers, and their ranks, as `cursor_of` has each.

    Raises:
        AnswerError: where a record has no place.
    """
    incremental = incremental_of(plan)
    values = find_each(incremental.cursor_path, records)
    if incremental.tie_breaker is not None:
        ties = find_each(incremental.tie_breaker, records)
    else:
        ties = values if plan.walk is Walk.UNIQUE_KEYSET else [None] * len(records)
    checked = [*values, *ties] if plan.walk is Walk.KEYSET else values
    if not {*map(type, checked)} <= SCALARS:
        cursors = [cursor_of(plan, record) for record in records]
        values, ties = [cursor.value for cursor in cursors], [cursor.tie for cursor in cursors]
    ranks: list[Rank | None] = []
    before: Any = MISSING
    place: Rank | None = None
    for value in values:
        # Records that share a value stand together.
        if type(value) is not type(before) or value != before:
            before, place = value, _rank(plan, value)
        ranks.append(place)
    return values, ties, ranks


def _rank(plan: Plan, value: Any) -> Rank | None:
    try:
        return rank(value)
    except NoRankError as error:
        if plan.walk is Walk.UNIQUE_KEYSET:
            return None
        key = incremental_of(plan).cursor_path
        raise AnswerError(
            f"{label_of(plan)}: a record's {key} is neither an instant (ISO 8601) nor a number; choose a cursor_path that is"
        ) from error


def rank_of(plan: Plan, record: Record) -> Rank:
    """The record's rank, where the walk can't do without one."""
    place = _rank(plan, cursor_of(plan, record).value)
    assert place is not None
    return place


def cursor_of(plan: Plan, record: Record) -> Cursor:
    """The record's place in the list.

    Raises:
        AnswerError: where it has no replication key, or no tie-breaker that the walk needs.
    """
    incremental = incremental_of(plan)
    value = find(incremental.cursor_path, record)
    if value is MISSING or value is None:
        raise AnswerError(
            f"{label_of(plan)}: a record has no {incremental.cursor_path} ({'it is null' if value is None else 'the property is missing'}), so it has no place in "
            "the order; let the request's filter leave such records out, or choose a cursor_path that each record has"
        )
    if plan.walk is Walk.UNIQUE_KEYSET and isinstance(value, (dict, list)):
        raise AnswerError(
            f"{label_of(plan)}: a record's {incremental.cursor_path} is no scalar, so nothing is behind it; choose a cursor_path that is"
        )
    if incremental.tie_breaker is None:
        return Cursor(value, value if plan.walk is Walk.UNIQUE_KEYSET else None)
    tie = find(incremental.tie_breaker, record)
    if plan.walk is Walk.KEYSET and (tie is MISSING or tie is None or isinstance(tie, (dict, list))):
        raise AnswerError(
            f"{label_of(plan)}: a record has no {incremental.tie_breaker}; choose a tie_breaker that each record has"
        )
    return Cursor(value, tie)


def check_kind(plan: Plan, value: Any, record: Record) -> None:
    """A bookmark must be of the values' kind, or everything would seem to be before or behind it.

    Raises:
        AnswerError: where one is a number and the other an instant, or text.
    """
    if value is None:
        return
    kinds = [_kind(value), _kind(cursor_of(plan, record).value)]
    if kinds[0] != kinds[1]:
        raise AnswerError(
            f"{label_of(plan)}: the bookmark or initial_value is {kinds[0]}, and the records' {incremental_of(plan).cursor_path} is {kinds[1]}; "
            "give initial_value as the API writes it, or reset this stream's STATE"
        )


def _kind(value: Any) -> str:
    try:
        return {"number": "a number", "instant": "an instant"}[kind_and_rank(value)[0]]
    except NoRankError:
        return "text"


def record_identity(plan: Plan, record: Record) -> Any:
    """What tells records apart: the primary key, or the whole content where there is none."""
    if plan.stream.primary_key:
        return [find(key, record) for key in plan.stream.primary_key]
    return content_hash(record)


def incremental_of(plan: Plan) -> Incremental:
    """The stream's facts, which every walk but the traversal has."""
    assert plan.stream.incremental is not None
    return plan.stream.incremental


def label_of(plan: Plan) -> str:
    """How messages name the stream and its walk."""
    return f"stream {plan.stream.name} ({plan.walk.value})"
