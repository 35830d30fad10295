"""Settling: how far into a page no more records can join, by the server's clock.

A row of the server's current second may still be joined by others of the same value, with smaller tie-breakers; with a
`lag`, late ones may come that long; a future-dated row would jump over everything until then. So records are settled
that lie before the horizon: the server's clock (its Date, in whole seconds) less the lag.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from decimal import ROUND_FLOOR, Decimal
from typing import Any, cast

from msgspec import Struct

from tap_restextract.config.streams import Incremental
from tap_restextract.errors import WalkError
from tap_restextract.plan.plan import Plan, incremental_of, label_of
from tap_restextract.plan.ranges import clock_rank, first_shown, measure
from tap_restextract.values.cursor import Rank, format_like, precision_of, rank, resolution_of
from tap_restextract.values.paths import find
from tap_restextract.walks.steps import Page, Record


class Settling(Struct):
    """Counts the settled records of each page of a run.

    Attributes:
        has_clock: the server's clock decided about the last page.
        first_horizon: the least horizon of the run; with a lookback, all pages are judged by it.
    """

    plan: Plan
    has_clock: bool = False
    first_horizon: Rank | None = None

    def count(self, page: Page, ranks: Sequence[Rank | None]) -> int:
        """Return how many records of the page, from its first, the mark may move over."""
        if None in ranks:
            return len(ranks)
        ordered = cast("Sequence[Rank]", ranks)
        bound = horizon(self.plan, page)
        self.has_clock = bound is not None
        if bound is None:
            if incremental_of(self.plan).lookback:
                raise WalkError(
                    f"{label_of(self.plan)}: a lookback needs the server's clock, or the bookmark could move over what comes late while "
                    "a run goes on, and the answer has no Date header or the replication key is not a time; declare `epoch` where "
                    'it counts time, its form where it is a date in digits (cursor_formats: ["%Y%m%d"]), or leave `lookback` out'
                )
            # Without a clock, records may join the newest value: only a walk that asks for it again may stand on it.
            clockless = self.plan.walk.passes_newest_value and _is_instant(self.plan, page.records[-1])
            return bisect_left(ordered, ordered[-1]) if clockless else len(ordered)
        if incremental_of(self.plan).lookback:
            # What comes late is older than the clock by the lookback at most, and the run may take longer than that.
            self.first_horizon = bound if self.first_horizon is None else min(self.first_horizon, bound)
            bound = self.first_horizon
        return bisect_left(ordered, bound)


def horizon(plan: Plan, page: Page) -> Rank | None:
    """Return the rank from which on records aren't settled; None where the key is not a time, or without a clock.

    A value stands for all moments up to the next one that can be written: it is settled once the last of them is.
    """
    if not page.records or not _is_instant(plan, page.records[-1]):
        return None
    like = find(incremental_of(plan).cursor_path, page.records[-1])
    bound = horizon_at(incremental_of(plan), page.server_time, like)
    if bound is None:
        return None
    step = resolution_of(like)
    settled = (Decimal(bound) / step).to_integral_value(rounding=ROUND_FLOOR) * step
    incremental = incremental_of(plan)
    return rank(first_shown(incremental, format_like(like, settled))) if incremental.cursor_formats else settled


def shown_horizon(plan: Plan, page: Page) -> Rank | None:
    """Return the horizon before which all records have shown up, as late as `lookback` says; None without a horizon."""
    bound, incremental = horizon(plan, page), incremental_of(plan)
    return bound if bound is None or not incremental.lookback else bound - measure(incremental, incremental.lookback)


def is_settled(plan: Plan, server_time: float | None, record: Record, record_rank: Rank) -> bool:
    """Return whether a record must have been there when the server's clock (seconds since 1970, UTC) was this."""
    bound = shown_horizon(plan, Page((record,), server_time=server_time))
    return bound is not None and record_rank < bound


def horizon_at(incremental: Incremental, server_time: float | None, like: Any = None) -> Rank | None:
    """Return the server's clock, in whole seconds, less the lag, as the rank of a value that is written like this."""
    if server_time is None:
        return None
    seconds = Decimal(int(server_time)) - (precision_of(incremental.lag) if incremental.lag else 0)
    return clock_rank(incremental, like, seconds)


def _is_instant(plan: Plan, record: Record) -> bool:
    incremental = incremental_of(plan)
    value = find(incremental.cursor_path, record)
    return incremental.epoch is not None or (isinstance(value, str) and "-" in value[1:])
