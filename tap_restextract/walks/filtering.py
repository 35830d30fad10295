"""The filter of a list: the check that an answer holds only what was asked for.

Theory of operation. A walk that asks for all records from a value on drops what is older, and a walk that asks for a
range drops what is outside of the range. An API that ignores the filter would so be read whole, again and again,
without a word. So a record outside of what was asked for contradicts the configuration, and stops the walk. What is
not a contradiction:

- a record within the `precision` before the value: the filter can't tell the two apart, wherever the API's zone lets a
  day begin;
- likewise within what the placeholder's form cuts off: `{cursor.updated_at:%Y-%m-%d}` asks for the whole day;
- within 14 hours, where what is sent says nothing of a zone (such a form, or an `initial_value` without an offset
  beside values with one): the API reads it in a zone of its own, and one to the east of UTC begins earlier.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from msgspec import Struct

from tap_restextract.errors import WalkError
from tap_restextract.exchange.placeholders import coarseness, names_zone
from tap_restextract.exchange.request import SentPart, sent_parts
from tap_restextract.plan.plan import Plan, incremental_of, label_of
from tap_restextract.plan.ranges import measure
from tap_restextract.values.cursor import INSTANT, Cursor, Rank, rank

FARTHEST_ZONE: Final = "14h"
UNITS: Final = {"1ms": "milliseconds", "1s": "seconds", "1m": "minutes", "1h": "hours", "1d": "days"}


def check_not_older(plan: Plan, asked: Cursor | None, value: Any, record_rank: Rank | None) -> None:
    """Check that a record isn't older than what was asked for.

    Args:
        plan: the stream's.
        asked: from where on the list was asked for; None for the whole list.
        value: the record's replication key.
        record_rank: its rank; None for a text, which has none.

    Raises:
        WalkError: where the record is older by more than the filter's precision explains.
    """
    if asked is not None and record_rank is not None and record_rank < rank(asked.value):
        _Stray(plan, "cursor", sent_parts(plan.stream, "cursor", asked), asked.value, value).check()


def check_not_newer(plan: Plan, asked: Cursor | None, until: Any, value: Any, record_rank: Rank) -> None:
    """Check likewise that a record isn't newer than the end of the range that was asked for.

    Raises:
        WalkError: where the record is newer by more than the filter's precision explains.
    """
    if until is not None and record_rank > rank(until):
        _Stray(plan, "until", sent_parts(plan.stream, "until", asked, until), until, value).check()


class _Stray(Struct, frozen=True):
    """A record outside of what was asked for.

    Attributes:
        plan: the stream's.
        family: which end of the range the record is beyond: `cursor` or `until`.
        parts: of the request, that carry this end; none where it wasn't sent.
        sent: the end.
        value: the record's replication key.
    """

    plan: Plan
    family: str
    parts: Sequence[SentPart]
    sent: Any
    value: Any

    def check(self) -> None:
        """Raise an error where precision, forms and zones don't explain the record."""
        slack, distance = self._slack, self._distance
        if self.parts and (distance >= slack if slack else distance > 0):
            raise self._error()

    @property
    def _distance(self) -> Decimal:
        return abs(Decimal(rank(self.sent)) - Decimal(rank(self.value)))

    @property
    def _slack(self) -> Decimal:
        """How far outside a record may lie, in the replication key's own unit."""
        incremental = incremental_of(self.plan)
        slack = measure(incremental, incremental.precision) if incremental.precision else Decimal(0)
        for part in self.parts:
            cut = [measure(incremental, unit) for unit in map(coarseness, part.forms) if unit is not None]
            # A part that has the value in several forms, such as date and hour, is as fine as the finest of them.
            slack = max(slack, min(cut)) if len(cut) == len(part.forms) else slack
        zoned = all(names_zone(form) for part in self.parts for form in part.forms)
        if not zoned or (_offset(self.sent) == "" and _offset(self.value)):
            slack += measure(incremental, FARTHEST_ZONE)
        return slack

    def _error(self) -> WalkError:
        incremental = incremental_of(self.plan)
        key, names = incremental.cursor_path, " and ".join(part.name for part in self.parts)
        pairs = ", ".join(f"{part.name}={part.value}" for part in self.parts)
        preposition, compared = ("from", "older") if self.family == "cursor" else ("up to", "newer")
        timed = incremental.epoch is not None or _offset(self.sent) is not None
        unit = next((unit for unit in UNITS if timed and self._distance < measure(incremental, unit)), None)
        cause = (
            f"the filter seems to compare whole {UNITS[unit]}: declare precision: {unit}. Or the API doesn't look at {names}, "
            "or reads it in another zone"
            if unit
            else f"the API doesn't look at {names}: send {{{self.family}.{key}}} under the name that it filters {key} by; where "
            "it has no such filter, declare filter: none with order: desc, or leave `incremental` out"
        )
        return WalkError(
            f"{label_of(self.plan)}: asked for {key} {preposition} {self.sent!r} ({pairs}), the API answered a record at "
            f"{self.value!r}, which is {compared}; {cause}"
        )


def _offset(value: Any) -> str | None:
    """Return an instant's offset; empty where it has none, None for what is no instant."""
    match = INSTANT.match(value) if isinstance(value, str) else None
    return None if match is None else match["offset"] or ""
