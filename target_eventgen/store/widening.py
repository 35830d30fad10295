"""Columns that would change a value that has come: widened before the value is stored."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from psycopg2 import extensions

from target_eventgen.model.plan import Plan
from target_eventgen.model.tables import Column
from target_eventgen.store import conditions, schema
from target_eventgen.store.connection import Connection

logger = logging.getLogger("target-eventgen")


def widen(connection: Connection, plan: Plan, narrow: Sequence[tuple[Column, Column]]) -> tuple[Column, ...]:
    """Widen columns in a transaction of its own; return all columns of the table then.

    Args:
        connection: without a transaction.
        plan: of the stream.
        narrow: each column as it was thought to be, and as it must be.

    Raises:
        RuleError: a condition that is none over the wider column.
        TableError: a column can't be widened.
    """
    table = plan.table
    widened = {column.name: wide for column, wide in narrow}

    def work(cursor: extensions.cursor) -> tuple[Column, ...]:
        conditions.check(cursor, table, tuple(widened.get(each.name, each) for each in plan.types), plan.rules)
        return schema.widen(cursor, table, narrow)

    types = connection.alter(f'stream "{table.stream}": widening its table {table.title}', work, table.quoted)
    for column, wide in narrow:
        logger.info(
            'stream "%s": column "%s" of %s is widened from %s to %s, for a value that it would have changed',
            table.stream,
            column.name,
            table.title,
            column.type,
            wide.type,
        )
    return types
