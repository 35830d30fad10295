"""The errors of a filter that leaves out what it should hold: what was asked, what has it, what to declare."""

from __future__ import annotations

from typing import Any, Final

from tap_restextract.errors import WalkError
from tap_restextract.exchange.request import sent_parts
from tap_restextract.plan.plan import Plan, incremental_of, label_of
from tap_restextract.values.cursor import Cursor
from tap_restextract.walks.order import RESET

KNOWN: Final = "a record that the last page held"
WANTED: Final = "a record that was there before"
AMONG: Final = "a record that lies among those which were asked for"


def pairs_of(plan: Plan, cursor: Cursor | None) -> Any:
    """Return the parameters that carry a cursor, as a message shows them."""
    parts = sent_parts(plan.stream, "cursor", cursor)
    return ", ".join(f"{part.name}={part.value}" for part in parts) or (
        "the request without a cursor" if cursor is None else cursor.value
    )


def _left_out(plan: Plan, asked: Cursor, before: Cursor | None, record: str = KNOWN) -> str:
    incremental = incremental_of(plan)
    key, tie = incremental.cursor_path, incremental.tie_breaker
    declared = {"inclusive": ">=", "compound": f"after ({key}, {tie})"}.get(incremental.filter, ">")
    return (
        f"{label_of(plan)}: {record} is missing from the answer to {pairs_of(plan, asked)}, and is there, unchanged, in "
        f"the answer to {pairs_of(plan, before)}, so the filter by {key} isn't {declared}, as declared, and leaves out what it should hold"
    )


def excluded_error(plan: Plan, asked: Cursor, before: Cursor, distance: str | None, record: str = KNOWN) -> WalkError:
    """Return the error of a filter that leaves out a record which is there from so far before on (None: one step)."""
    is_strict = distance is None and incremental_of(plan).filter == "inclusive"
    remedy = (
        "the filter is > and not >=: declare filter: exclusive"
        if is_strict
        else f"the filter compares less than the whole value: declare precision: {distance or '1s'}; or it reads the value in "
        f"another zone: send it in a form that names its zone; or it compares another time than {incremental_of(plan).cursor_path}; {RESET}"
    )
    return WalkError(f"{_left_out(plan, asked, before, record)}; {remedy}")


def other_time_error(plan: Plan, asked: Cursor, before: Cursor | None, record: str = KNOWN) -> WalkError:
    """Return the error of a filter that seems to compare another time than the replication key."""
    key = incremental_of(plan).cursor_path
    return WalkError(
        f"{_left_out(plan, asked, before, record)}; it seems to compare another time than {key}, such as that of creation: send "
        f"{{cursor.{key}}} under the name by which the API filters {key}, or declare the time that it compares as cursor_path; {RESET}"
    )
