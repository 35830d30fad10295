"""What guards hold, as a run says it at its end."""

from __future__ import annotations

import json

from target_eventgen.model.guard import HeldByGuards, HeldOfRule
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
