"""Ranges over a number that counts no time: how far they go.

Theory of operation. A clock says nothing of a serial number. So the bookmark is the highest value that was seen, never
a range's end, since what is made next has the value behind the highest one. Ranges follow one another as long as they
hold records; behind one that holds none, a range without end holds all that is left, however far away. Where that one
doesn't fit the API's result window, it is cut at the highest value that it has shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from msgspec import Struct, field

from tap_restextract.errors import WalkError
from tap_restextract.plan.bookmarks.cursors import CursorBookmark
from tap_restextract.plan.keys import content_hash
from tap_restextract.plan.plan import Plan, incremental_of, label_of
from tap_restextract.plan.ranges import window
from tap_restextract.values.cursor import Cursor, Rank, rank
from tap_restextract.walks.order import cursor_of, rank_of
from tap_restextract.walks.steps import Record

DATE_FORMS: Final = {8: "%Y%m%d", 14: "%Y%m%d%H%M%S"}
"""Forms of dates in digits alone, by their length."""
FIRST_YEAR, LAST_YEAR = 1900, 2100


class Highest(Struct):
    """The highest value of a list, and what is known by content from its window on.

    Attributes:
        hashes: content hash → rank of the records that an inclusive filter answers again.
    """

    plan: Plan
    value: Any = None
    hashes: Mapping[str, Rank] = field(default_factory=dict)

    @classmethod
    def resume(cls, plan: Plan, bookmark: CursorBookmark | None) -> Highest:
        """Return what a bookmark says."""
        if bookmark is None or bookmark.cursor is None:
            return cls(plan)
        value = bookmark.cursor.value
        return cls(plan, value, dict.fromkeys(bookmark.boundary, rank(value)))

    def note(self, records: Sequence[Record]) -> None:
        """Take records into account, whatever their order."""
        if records:
            self._rise(cursor_of(self.plan, max(records, key=lambda record: rank_of(self.plan, record))).value)
            least = self._least
            found = ((rank_of(self.plan, record), record) for record in records)
            self.hashes = {**self.hashes, **{content_hash(record): place for place, record in found if place >= least}}

    def merge(self, other: Highest) -> None:
        """Take what another part of the list has shown into account."""
        if other.value is not None:
            self._rise(other.value)
            self.hashes = {
                digest: place for digest, place in {**self.hashes, **other.hashes}.items() if place >= self._least
            }

    @property
    def bookmark(self) -> CursorBookmark | None:
        """What STATE may say once all up to the value was emitted; None where there was nothing."""
        return None if self.value is None else CursorBookmark(Cursor(self.value), frozenset(self.hashes))

    @property
    def _least(self) -> Rank:
        return rank(window(incremental_of(self.plan), self.value))

    def _rise(self, value: Any) -> None:
        if self.value is None or rank(value) > rank(self.value):
            self.value = value
            self.hashes = {digest: place for digest, place in self.hashes.items() if place >= self._least}


def date_form(value: Any) -> str | None:
    """Return the form of a date in digits alone, such as 20261124; None for any other number."""
    digits = str(value)
    form = DATE_FORMS.get(len(digits)) if digits.isascii() and digits.isdigit() else None
    if form is None or not FIRST_YEAR <= int(digits[:4]) <= LAST_YEAR:
        return None
    try:
        datetime.strptime(digits, form)  # noqa: DTZ007  no moment is made of it
    except ValueError:
        return None
    return form


def check_no_dates(plan: Plan, lower: Any, records: Sequence[Record]) -> None:
    """Check that what is taken for a serial number is no date.

    Raises:
        WalkError: where the first value and each of a page's are dates in digits alone.
    """
    value = cursor_of(plan, records[0]).value
    form = date_form(lower)
    if form is not None and all(date_form(cursor_of(plan, record).value) == form for record in records):
        key = incremental_of(plan).cursor_path
        raise WalkError(
            f"{label_of(plan)}: {key} {value!r} is read as a number that counts no time, and it and the initial value {lower!r} are "
            f'dates by their digits; declare cursor_formats: ["{form}"]'
        )
