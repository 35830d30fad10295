"""The unit of a replication key that counts time: the check that the records count in the unit that is declared.

Theory of operation. A number that is a time between 1980 and 2100 in one unit is, in every other, a day of January or
February 1970, or a year beyond 10,000. So where both ends of a page are times of these years in another unit than
`epoch` says, the unit is wrong: the server's clock would be compared with numbers of another size, and everything would
seem to be settled, or nothing. One record alone may be dated so by mistake; a 0 that means "never" counts in no unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tap_restextract.errors import WalkError
from tap_restextract.plan.plan import Plan, incremental_of, label_of
from tap_restextract.plan.ranges import counted_time, counted_unit
from tap_restextract.values.cursor import NoRankError, kind_and_rank
from tap_restextract.walks.order import cursor_of
from tap_restextract.walks.steps import Record

NAMES: Final = {"s": "seconds", "ms": "milliseconds", "us": "microseconds"}


def check_unit(plan: Plan, records: Sequence[Record]) -> None:
    """Check a page's first and last record against the declared `epoch`.

    Raises:
        WalkError: where both count time in one other unit, or are instants.
    """
    incremental = incremental_of(plan)
    if incremental.epoch is None or not records:
        return
    values = [cursor_of(plan, record).value for record in (records[0], records[-1])]
    try:
        places = [kind_and_rank(value) for value in values]
    except NoRankError:
        return  # whoever compares them refuses them
    key, value = incremental.cursor_path, values[-1]
    if all(kind == "instant" for kind, _ in places):
        raise WalkError(
            f"{label_of(plan)}: a record's {key} is {value!r}, an instant, and epoch: {incremental.epoch} says that it counts time since 1970; "
            "leave epoch out"
        )
    units = {counted_unit(rank) for _, rank in places}
    unit = units.pop()
    if not units and unit is not None and unit != incremental.epoch:
        raise WalkError(
            f"{label_of(plan)}: a record's {key} is {value!r}, which epoch: {incremental.epoch} makes {counted_time(places[-1][1], incremental.epoch)}; "
            f"it counts {NAMES[unit]}: declare epoch: {unit}"
        )
