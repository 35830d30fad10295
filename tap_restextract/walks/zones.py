"""The zone of a list's replication key: the check that one is declared where a clock is compared with local times.

An instant without an offset is a time of a zone that it doesn't name. Taken for UTC, a bookmark that comes from the
server's clock lies hours behind it, or hours ahead, and what changes in these hours is never asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from tap_restextract.errors import WalkError
from tap_restextract.plan.plan import Plan, incremental_of, label_of
from tap_restextract.values.cursor import is_local
from tap_restextract.values.paths import find
from tap_restextract.walks.steps import Record, Steps

WITHOUT_SHIFT: Final = frozenset({"UTC", "Etc/UTC", "GMT", "Etc/GMT"})


def with_zone_check(plan: Plan, steps: Steps) -> Steps:
    """Yield a walk's steps, its first record's replication key checked for a zone.

    Raises:
        WalkError: where a zone is needed, or where values with and without an offset meet.
    """
    if plan.stream.incremental is None or plan.stream.incremental.epoch is not None:
        return (yield from steps)
    step = next(steps)
    notices: Sequence[str] = ()
    asked = None if step.request is None or step.request.cursor is None else step.request.cursor.value
    is_checked = False
    while step.request is not None:
        page = yield step
        if page.records and not is_checked:
            is_checked, notices = True, _notices(plan, asked, page.records[0])
        step = steps.send(page)
        if notices:
            step, notices = replace(step, notices=(*step.notices, *notices)), ()
    yield step
    return None


def _notices(plan: Plan, asked: Any, record: Record) -> Sequence[str]:
    """Return what a person should know of the zone."""
    incremental = incremental_of(plan)
    key, value, zone = incremental.cursor_path, find(incremental.cursor_path, record), incremental.timezone
    if zone is not None:
        if zone not in WITHOUT_SHIFT and isinstance(asked, str) and isinstance(value, str):
            _check_alike(plan, asked, value)
        return ()
    if not is_local(value):
        return ()
    told = f"{label_of(plan)}: {key} {value!r} has no offset from UTC"
    remedy = "declare timezone: UTC in incremental where the API writes UTC, or else its zone, such as timezone: America/New_York"
    if (reason := plan.zone_reason) is not None:
        raise WalkError(f"{told}, and {reason}; {remedy}")
    return [
        f"{told}, and is taken for UTC; where it is another zone's, an hour that its clocks repeat may be passed over: {remedy}"
    ]


def _check_alike(plan: Plan, asked: str, value: str) -> None:
    if is_local(asked) != is_local(value):
        raise WalkError(
            f"{label_of(plan)}: asked for {incremental_of(plan).cursor_path} from {asked!r}, which has {_offset(asked)}, the API answered a record at "
            f"{value!r}, which has {_offset(value)}; write initial_value as the API writes its values, or reset this stream's STATE"
        )


def _offset(value: str) -> str:
    return "no offset" if is_local(value) else "one"
