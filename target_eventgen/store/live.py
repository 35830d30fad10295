"""The plan of a stream whose SCHEMA hasn't come: what companions that work on its table know of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace
from psycopg2 import extensions

from target_eventgen.model.plan import Plan
from target_eventgen.model.rules import Rule
from target_eventgen.model.tables import METADATA, Table
from target_eventgen.model.trace import Trace
from target_eventgen.store import schema

STAGE: Final = "eventgen_stage_live"


def live_plan(  # noqa: PLR0913  each is a fact of the stream or of its events
    cursor: extensions.cursor,
    table: Table,
    rules: Sequence[Rule],
    *,
    source: str,
    hard: bool = False,
    described: Table | None = None,
    trace: Trace | None = None,
) -> tuple[Plan, bool]:
    """Return a stream's plan by its table as it is, and whether the table's first load has ended.

    Args:
        cursor: of a transaction.
        table: as it is in the database.
        rules: those that are to watch it.
        hard: whether deletions take rows out of the table.
        source: the CloudEvents source of the database's events.
        described: the table by a tap's catalog, which knows the replication key and the stream's own columns; None: all
            columns of the table but the metadata are content.
        trace: where the trace of events comes from.
    """
    types = schema.columns(cursor, table)
    names = {column.name for column in types}
    if described is not None:
        content = tuple(column for column in described.content if column.name in names)
        table = replace(described, schema=table.schema, name=table.name, content=content, key=table.key)
    table = replace(table, metadata=tuple(column for column in types if column.name in METADATA))
    past = schema.past_of(cursor, table)
    assert past is not None  # it is by the catalog that the table was found
    plan = Plan(table, types, tuple(rules), STAGE, source, hard=hard, generations=past.generations, trace=trace)
    return replace(plan, names_table=past.names_table), past.loaded
