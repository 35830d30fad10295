"""The zone of a list's replication key: the check that one is declared where a clock is compared with local times.

An instant without an offset is a time of a zone that it doesn't name. Taken for UTC, a bookmark that comes from the
server's clock lies hours behind it, or hours ahead, and what changes in these hours is never asked for.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import replace

from tap_restextract.errors import WalkError
from tap_restextract.plan.plan import Plan, incremental_of, label_of
from tap_restextract.values.cursor import INSTANT, is_local
from tap_restextract.values.paths import find
from tap_restextract.walks.steps import Steps

WITHOUT_SHIFT: Final = frozenset({"UTC", "Etc/UTC", "GMT", "Etc/GMT"})


def with_zone_check(plan: Plan, steps: Steps) -> Steps:
    """Yield a walk's steps, the replication keys at both ends of each page checked for a zone.

    Raises:
        WalkError: where a zone is needed, or where values with and without an offset meet.
    """
    if plan.stream.incremental is None or plan.stream.incremental.epoch is not None:
        return (yield from steps)
    step = next(steps)
    asked = None if step.request is None or step.request.cursor is None else step.request.cursor.value
    zone, before, is_told = plan.stream.incremental.timezone, asked, False
    shifts = zone is not None and zone not in WITHOUT_SHIFT
    while step.request is not None:
        page = yield step
        notices: list[str] = []
        for record in (page.records[0], page.records[-1]) if page.records else ():
            value = find(incremental_of(plan).cursor_path, record)
            if zone is None and not is_told and is_local(value):
                notices, is_told = [_notice(plan, value)], True
            elif zone is None and not is_told and _lacks_offset(asked, value):
                notices, is_told = [_initial_notice(plan, asked, value)], True
            if shifts and isinstance(value, str):
                _check_alike(plan, before, value, asked)
                before = value
        step = steps.send(page)
        if notices:
            step = replace(step, notices=(*step.notices, *notices))
    yield step
    return None


def _notice(plan: Plan, value: Any) -> str:
    """Return what a person should know of a value without a zone.

    Raises:
        WalkError: where a clock decides about it.
    """
    told = f"{label_of(plan)}: {incremental_of(plan).cursor_path} {value!r} has no offset from UTC"
    remedy = "declare timezone: UTC in incremental where the API writes UTC, or else its zone, such as timezone: America/New_York"
    if (reason := plan.zone_reason) is not None:
        raise WalkError(f"{told}, and {reason}; {remedy}")
    return f"{told}, and is taken for UTC; where it is another zone's, an hour that its clocks repeat may be passed over: {remedy}"


def _lacks_offset(asked: Any, value: Any) -> bool:
    """Return whether a time of day was asked for without the offset that the answer's values have."""
    has_time = isinstance(asked, str) and len(asked) > len("2026-01-01")
    return has_time and is_local(asked) and isinstance(value, str) and INSTANT.match(value) is not None


def _initial_notice(plan: Plan, asked: Any, value: Any) -> str:
    """Return what a person should know of an `initial_value`, or a bookmark, without the offset that values have."""
    incremental = incremental_of(plan)
    remedy = (
        "write initial_value with its offset, in quotes in YAML, which else drops it"
        if str(incremental.initial_value) == asked
        else "where it is another zone's time, write it with its offset in STATE, or reset this stream's STATE"
    )
    return (
        f"{label_of(plan)}: asked for {incremental.cursor_path} from {asked!r}, which has no offset from UTC, the API "
        f"answered {value!r}, which has one; {asked!r} is taken for UTC, and what is older is left out: {remedy}"
    )


def _check_alike(plan: Plan, before: Any, value: str, asked: Any) -> None:
    if not isinstance(before, str) or is_local(before) == is_local(value):
        return
    key = incremental_of(plan).cursor_path
    if before == asked:
        raise WalkError(
            f"{label_of(plan)}: asked for {key} from {before!r}, which has {_offset(before)}, the API answered a record at "
            f"{value!r}, which has {_offset(value)}; write initial_value as the API writes its values, or reset this stream's STATE"
        )
    raise WalkError(
        f"{label_of(plan)}: a record's {key} {before!r} has {_offset(before)}, and another one's, {value!r}, has {_offset(value)}: the two have no "
        "order in a zone whose clocks change; choose a cursor_path that is always written alike, or declare timezone: UTC where both are UTC"
    )


def _offset(value: str) -> str:
    return "no offset" if is_local(value) else "one"
