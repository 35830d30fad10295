"""What guards hold, as a run says it at its end, and as whoever records an event must know it."""

from __future__ import annotations

import json

from msgspec.structs import replace
from psycopg2 import extensions

from target_eventgen.model.guard import HeldByGuards, HeldOfRule
from target_eventgen.model.plan import Plan
from target_eventgen.store.connection import Connection, single_value
from target_eventgen.store.sql import guard


def by_guards(connection: Connection, run: int, source: str) -> HeldByGuards:
    """Return what guards hold of a run's events, rule by rule, and of its pipeline's events, in all."""
    with connection.transaction("looking for held events") as cursor:
        cursor.execute(guard.counted(run))
        counts: dict[str, dict[str, int]] = single_value(cursor) or {}
        cursor.execute(guard.undecided(source))
        undecided, seconds = cursor.fetchone() or (0, None)
    rules = ((json.loads(definition), each) for definition, each in counts.items() if each["held"])
    return HeldByGuards(
        tuple(HeldOfRule(rule["type"], rule["stream"], each["events"], each["held"]) for rule, each in rules),
        undecided,
        seconds,
    )


def behind(cursor: extensions.cursor, plan: Plan) -> Plan:
    """Return a plan whose events wait for held ones of their keys.

    The rows that events are recorded of are locked, so that what is held of their keys stays until the commit.
    """
    if plan.may_hold or not plan.rules:
        return plan
    cursor.execute(guard.of_table(plan.table))
    return replace(plan, may_hold=bool(single_value(cursor)))
