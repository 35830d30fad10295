"""The order of a list: where each record stands in it, and the check that a page is in it.

Order is checked, not believed: a record before the one that it follows stops the walk, because a bookmark after it
would skip what comes late.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from decimal import Decimal
from operator import le, lt
from typing import Any, Final, cast

from msgspec import Struct, field

from tap_restextract.errors import AnswerError, WalkError
from tap_restextract.plan.null_keys import PLACES, null_remedy
from tap_restextract.plan.plan import Plan, incremental_of, label_of
from tap_restextract.values.cursor import (
    MAX_CHARACTERS,
    Cursor,
    NoRankError,
    Rank,
    is_local,
    kind_and_rank,
    rank,
    ranks_of_texts,
)
from tap_restextract.values.paths import MISSING, find, find_each
from tap_restextract.values.zones import first_rank
from tap_restextract.walks.steps import Record

SCALARS: Final = {str, int}
MIN_TELLING_RECORDS: Final = 2
"""Of a page that tells of the order of pages."""
RESET: Final = "then reset this stream's STATE, where it has one: what was read before may have passed over records"
"""The other half of the remedy where STATE has moved by a fact that is false."""


class OrderCheck(Struct):
    """Checks that a compound list goes forward: keys never fall, and within one key no tie-breaker comes twice."""

    plan: Plan
    ties: set[Any] = field(default_factory=set)
    ends: set[Any] = field(default_factory=set)

    def check(self, cursor: Cursor | None, records: Sequence[Record]) -> list[Rank | None]:
        """Compare each record with the one before it, the first with the request's cursor; return their ranks.

        Raises:
            WalkError: where the API's filter or order isn't what the configuration states.
        """
        values, ties, ranks = keys_and_ranks(self.plan, records)
        cursor_rank = None if cursor is None else rank_in(self.plan, cursor.value)
        if cursor is not None and cursor_rank is None and self.plan.walk.has_unique_cursor and cursor.value in values:
            # Texts have no order that is known, but strictly behind a key the key itself isn't.
            self._compare(cursor, None, cursor, None, is_first=True)
        if not (ranks and _go_forward(ranks, ties)):
            self._check_one_by_one(cursor, cursor_rank, values, ties, ranks)
            return ranks
        # Only those that may share the cursor's value can be out of place, and only the last ones' ties be met again.
        ordered = cast("Sequence[Rank]", ranks)
        alone = max(1, 0 if cursor_rank is None else bisect_right(ordered, cursor_rank))
        self._check_one_by_one(cursor, cursor_rank, values[:alone], ties[:alone], ranks[:alone])
        if alone < len(ranks):
            self.ties = {*ties[bisect_left(ordered, ordered[-1]) :]}
        return ranks

    def _check_one_by_one(
        self,
        cursor: Cursor | None,
        previous_rank: Rank | None,
        values: Sequence[Any],
        ties: Sequence[Any],
        ranks: Sequence[Rank | None],
    ) -> None:
        before, tie = (MISSING, None) if cursor is None else (cursor.value, cursor.tie)
        is_first = True
        for value, record_tie, record_rank in zip(values, ties, ranks, strict=True):
            # Nearly all go forward by their rank, or share one and have rising numbers for tie-breakers.
            forward = previous_rank is not None and record_rank is not None and record_rank > previous_rank
            if (
                not forward
                and type(tie) is type(record_tie) is int
                and record_rank is not None
                and record_rank == previous_rank
            ):
                forward = record_tie > tie
            if not forward and before is not MISSING:
                self._compare(
                    Cursor(before, tie), previous_rank, Cursor(value, record_tie), record_rank, is_first=is_first
                )
            if previous_rank != record_rank:
                self.ties.clear()
            self.ties.add(record_tie)
            before, tie, previous_rank, is_first = value, record_tie, record_rank, False
        if values and previous_rank is None:
            # Keys of text have no order that is known: none may come from the page before, nor end a page twice.
            self.ties = {*ties}
            self.ends.add(tie)

    def _compare(
        self, before: Cursor, previous_rank: Rank | None, here: Cursor, record_rank: Rank | None, *, is_first: bool
    ) -> None:
        key = incremental_of(self.plan).cursor_path
        if previous_rank is None or record_rank is None:
            forward = here.tie not in self.ties and here.tie not in self.ends and here.tie != before.tie
        elif record_rank != previous_rank:
            forward = record_rank > previous_rank
        else:
            numbers = isinstance(here.tie, int) and isinstance(before.tie, int)
            forward = here.tie > before.tie if numbers else here.tie not in self.ties and here.tie != before.tie
        if forward:
            return
        if is_first:
            raise WalkError(
                f"{label_of(self.plan)}: asked for what is after {key} {before.value!r}, the API answered a record at {here.value!r} that isn't after it "
                f"({len(self.ties)} records share the value so far); the filter must be strictly after (key, tie-breaker), and the "
                "API must show its values with all their digits. Correct the request's filter, or declare filter: inclusive"
            )
        raise WalkError(
            f"{label_of(self.plan)}: a record at {key} {here.value!r} follows one at {before.value!r}, so the list isn't in ascending order "
            f"of (key, tie-breaker); make the request sort by both, or declare another order; {RESET}"
        )


def _go_forward(ranks: Sequence[Rank | None], ties: Sequence[Any]) -> bool:
    """Say whether each record is after the one before it, seen at once: by whole numbers, or by texts that differ."""
    kinds = {*map(type, ties)}
    if None in ranks or kinds not in ({int}, {str}):
        return False
    positions: list[Any] = [*zip(ranks, ties, strict=True)]
    if kinds == {int}:
        return all(map(lt, positions, positions[1:]))
    rising: Sequence[Any] = ranks
    return len({*positions}) == len(positions) and all(map(le, rising, rising[1:]))


def ascending_ranks(plan: Plan, records: Sequence[Record]) -> list[Rank | None]:
    """Return the ranks of a page's records, which must not fall.

    Raises:
        WalkError: where a record's rank is less than the one before it.
    """
    ranks = keys_and_ranks(plan, records)[2]
    for before, here, record in zip(ranks, ranks[1:], records[1:], strict=False):
        if before is not None and here is not None and here < before:
            raise _not_ascending(plan, find(incremental_of(plan).cursor_path, record))
    return ranks


def check_follows(plan: Plan, above: Sequence[Record], records: Sequence[Record]) -> None:
    """Check that a page isn't wholly before the one that it follows.

    A page may begin with a record or two of the page before, or before those where they have changed meanwhile; so only
    a page of several records, the last of which comes before all of the page before, is out of order.

    Raises:
        WalkError: where it is.
    """
    if not above or len(records) < MIN_TELLING_RECORDS:
        return
    value = cursor_of(plan, records[-1]).value
    before, here = rank_in(plan, cursor_of(plan, above[0]).value), rank_in(plan, value)
    if before is not None and here is not None and here < before:
        raise _not_ascending(plan, value)


def _not_ascending(plan: Plan, value: Any) -> WalkError:
    key = incremental_of(plan).cursor_path
    return WalkError(
        f"{label_of(plan)}: a record at {key} {value!r} follows a later one, so the list isn't in ascending order; "
        f"make the request sort by {key}, or leave `incremental` out to read the whole list each run; {RESET}"
    )


def keys_and_ranks(plan: Plan, records: Sequence[Record]) -> tuple[list[Any], list[Any], list[Rank | None]]:
    """Return the values of the records' replication keys, their tie-breakers, and their ranks, as `cursor_of` has each.

    Raises:
        AnswerError: where a record has no position.
    """
    incremental = incremental_of(plan)
    values = find_each(incremental.cursor_path, records)
    if incremental.tie_breaker is not None:
        ties = find_each(incremental.tie_breaker, records)
    else:
        ties = values if plan.walk.has_unique_cursor else [None] * len(records)
    checked = [*values, *ties] if plan.walk.has_compound_cursor else values
    if not {*map(type, checked)} <= SCALARS:
        cursors = [cursor_of(plan, record) for record in records]
        values, ties = [cursor.value for cursor in cursors], [cursor.tie for cursor in cursors]
    return values, ties, _ranks(plan, values)


def _ranks(plan: Plan, values: Sequence[Any]) -> list[Rank | None]:
    """Return the ranks of the records' replication keys; each value that several records share is ranked once."""
    kinds, zone = {*map(type, values)}, _folding_zone(plan)
    if kinds == {str} and zone is None:
        try:
            return [*map(ranks_of_texts(dict.fromkeys(values)).__getitem__, values)]
        except NoRankError:
            pass  # named, or done without, below
    ranked = _rank_as_written if zone is None else rank_in
    if len(kinds) == 1 and kinds <= SCALARS:
        return [*map({value: ranked(plan, value) for value in dict.fromkeys(values)}.__getitem__, values)]
    return [ranked(plan, value) for value in values]


def rank_in(plan: Plan, value: Any) -> Rank | None:
    """Return the rank of a replication key's value; None for a text, where the walk can do without a rank.

    Raises:
        AnswerError: where the walk needs one.
    """
    zone = _folding_zone(plan)
    value_rank = _rank_as_written(plan, value)
    return value_rank if zone is None or value_rank is None or not is_local(value) else first_rank(zone, value_rank)


def _folding_zone(plan: Plan) -> str | None:
    """Return the zone whose repeated hours are one value: behind a compound cursor the API orders what is in them."""
    return None if plan.walk.has_compound_cursor else incremental_of(plan).timezone


def _rank_as_written(plan: Plan, value: Any) -> Rank | None:
    try:
        return rank(value)
    except NoRankError as error:
        if plan.walk.has_unique_cursor:
            return None
        key = incremental_of(plan).cursor_path
        raise AnswerError(
            f"{label_of(plan)}: a record's {key} is neither an instant (ISO 8601) nor a number{_too_long(value)}; choose a cursor_path that is, or declare cursor_formats, how the API writes it"
        ) from error


def _too_long(value: Any) -> str:
    is_long = isinstance(value, Decimal) or (isinstance(value, str) and len(value) > MAX_CHARACTERS)
    return f" of at most {MAX_CHARACTERS} digits before and behind its point" if is_long else ""


def has_key(plan: Plan, record: Record) -> bool:
    """Return whether a record has a replication key, so that it has a position in the order."""
    return is_given(find(incremental_of(plan).cursor_path, record))


def is_given(value: Any) -> bool:
    """Return whether a replication key is there, and isn't null."""
    return value is not None and value is not MISSING


def rank_of(plan: Plan, record: Record) -> Rank:
    """Return the record's rank, where the walk can't do without one."""
    value = cursor_of(plan, record).value
    record_rank = _rank_as_written(plan, value) if incremental_of(plan).timezone is None else rank_in(plan, value)
    assert record_rank is not None
    return record_rank


def cursor_of(plan: Plan, record: Record) -> Cursor:
    """Return the record's cursor: its replication key and tie-breaker.

    Raises:
        AnswerError: where it has no replication key, or no tie-breaker that the walk needs.
    """
    incremental = incremental_of(plan)
    value = find(incremental.cursor_path, record)
    if not is_given(value):
        raise AnswerError(no_key_text(plan, record))
    if plan.walk.has_unique_cursor and isinstance(value, (dict, list)):
        raise AnswerError(
            f"{label_of(plan)}: a record's {incremental.cursor_path} is not a scalar, so nothing comes after it; choose a cursor_path that is"
        )
    if incremental.tie_breaker is None:
        return Cursor(value, value if plan.walk.has_unique_cursor else None)
    tie = find(incremental.tie_breaker, record)
    if plan.walk.has_compound_cursor and (tie is MISSING or tie is None or isinstance(tie, (dict, list))):
        raise AnswerError(
            f"{label_of(plan)}: a record has no {incremental.tie_breaker}; choose a tie_breaker that each record has"
        )
    return Cursor(value, tie)


def no_key_text(plan: Plan, record: Record, places: Sequence[str] = PLACES) -> str:
    """Say of a record without replication key what to declare; `places` are those where it may stand in its list."""
    key = incremental_of(plan).cursor_path
    state = "it is null" if find(key, record) is None else "the property is missing"
    named = ", ".join(f"{name} {find(name, record)!r}" for name in plan.stream.primary_key)
    return (
        f"{label_of(plan)}: a record{named and f' ({named})'} has no {key} ({state}), so it has no position in the order; "
        f"{null_remedy(plan.stream, plan.walk, places)}"
    )


def check_kind(plan: Plan, value: Any, record: Record) -> None:
    """Refuse a bookmark of another kind than the values: everything would seem to be before or after it.

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
