"""Late records: the check that what comes was there when the server's clock said that it had to be.

A record that becomes visible later than `lag` allows is asked for by nobody once the walk has passed its place. It
shows only where a walk reads a part of a list once more: a page that held records before and after it, both settled,
didn't hold it. Walks read so at seams and in ties anyway, and where a fact is checked, so nothing is asked for here.
That a record came late is no proof that another one was passed over; so it is told, and the walk goes on.

A rising list that said that it ended with a page had all settled records up to there. Where the walk asks on from the
page's last key nevertheless, and an older record comes, the end was none; that is told likewise.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final

from msgspec import Struct, field

from tap_restextract.errors import AnswerError
from tap_restextract.plan.keys import record_identity
from tap_restextract.plan.plan import Plan, incremental_of, label_of
from tap_restextract.plan.ranges import measure
from tap_restextract.values.cursor import Rank
from tap_restextract.values.paths import MISSING, find
from tap_restextract.walks.boundary import is_cached
from tap_restextract.walks.order import rank_in
from tap_restextract.walks.settling import shown_horizon
from tap_restextract.walks.steps import Page, PageRequest, Record

REMEMBERED_PAGES: Final = 4


class _Span(Struct, frozen=True):
    """A page of a sorted list, which held all that was there between its first and its last settled record.

    Attributes:
        of: which list: the scope and the name of its request.
        page: the page.
        low: the least rank on it.
        high: the greatest rank on it that was settled; `bound`, where the list said that it ended with the page.
        bound: the rank from which on records weren't settled when the page came.
    """

    of: tuple[Any, ...]
    page: Page
    low: Rank
    high: Rank
    bound: Rank


class LateWatch(Struct):
    """Compares pages of a run that hold the same part of a list.

    Attributes:
        spans: of the last pages.
        is_told: a late record was found.
    """

    spans: deque[_Span] = field(default_factory=lambda: deque(maxlen=REMEMBERED_PAGES))
    is_told: bool = False

    def look(self, plan: Plan, request: PageRequest, page: Page) -> tuple[str, ...]:
        """Return what a person should know of a page's late records; once a run."""
        if self.is_told or not page.records or not is_watched(plan):
            return ()
        ends = [_rank(plan, record) for record in (page.records[0], page.records[-1])]
        if ends[0] is None or ends[1] is None or (bound := shown_horizon(plan, page)) is None:
            return ()
        low, high = min(ends[0], ends[1]), max(ends[0], ends[1])
        of = (request.scope, request.list_name)
        for before in self.spans:
            if (
                before.of == of
                and low < before.high
                and high > before.low
                and not is_cached(before.page.server_time, page)
            ):
                late = _late(plan, before, page.records)
                if late is not None:
                    self.is_told = True
                    return (_text(plan, before, late),)
        settled = high if high < bound else _greatest_settled(plan, page.records, bound)
        if page.end is not None and request.until is None and incremental_of(plan).order == "asc":
            settled = bound
        if settled is not None and settled > low:
            self.spans.append(_Span(of, page, low, settled, bound))
        return ()


def is_watched(plan: Plan) -> bool:
    """Return whether the list is sorted by time, and its records have a key."""
    incremental = plan.stream.incremental
    return (
        incremental is not None
        and incremental.order != "none"
        and bool(plan.stream.primary_key)
        and not plan.walk.has_unique_cursor  # whose order isn't one of time
        and plan.stream.concurrency == 1  # else an answer may be older than one that is looked at before it
    )


def _rank(plan: Plan, record: Record) -> Rank | None:
    value = find(incremental_of(plan).cursor_path, record)
    with suppress(AnswerError):  # the walk refuses it
        return None if value is None or value is MISSING else rank_in(plan, value)
    return None


def _greatest_settled(plan: Plan, records: Sequence[Record], bound: Rank) -> Rank | None:
    newest_first = records if incremental_of(plan).order == "desc" else reversed(records)
    ranks = (_rank(plan, record) for record in newest_first)
    return next((each for each in ranks if each is not None and each < bound), None)


def _late(plan: Plan, before: _Span, records: Sequence[Record]) -> Record | None:
    """Return a record that lies between two settled records of an earlier page, and wasn't there."""
    ranks = ((record, _rank(plan, record)) for record in records)
    within = [record for record, each in ranks if each is not None and before.low < each < before.high]
    if not within:
        return None
    known = [record_identity(plan, record) for record in before.page.records]
    return next((record for record in within if record_identity(plan, record) not in known), None)


def _text(plan: Plan, before: _Span, late: Record) -> str:
    incremental = incremental_of(plan)
    key, value = incremental.cursor_path, find(incremental.cursor_path, late)
    if (end := before.page.end) is not None:
        return (
            f"{label_of(plan)}: a list said that it ended ({end.sign}), and a record at {key} {value!r}, which is older than that answer, and was "
            f"not in it, came in another; {end.remedy}"
        )
    rank = _rank(plan, late)
    assert rank is not None
    name, declared = ("lookback", incremental.lookback) if incremental.lookback else ("lag", incremental.lag)
    distance = Decimal(before.bound) - Decimal(rank) + (measure(incremental, declared) if declared else 0)
    seconds = (distance / measure(incremental, "1s")).to_integral_value(rounding=ROUND_CEILING)
    return (
        f"{label_of(plan)}: a record at {key} {value!r} came {seconds} s or more after that time: an earlier answer had records "
        f"before and after it, and not this one. What comes later than {name} ({declared or 'none is declared'}) allows may be passed "
        f"over; declare {name} in incremental, at least {seconds}s, or what the API may take to show a change"
    )
