"""The staging table: every version of a checkpoint, typed as the stream's table is, numbered in order of arrival.

It is made and dropped with its transaction. What is the same for all lines of a batch is a default of its columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from psycopg2 import sql

from target_eventgen.model.plan import Plan
from target_eventgen.model.tables import PER_BATCH
from target_eventgen.store.sql.names import (
    ABSENT,
    ARRIVAL,
    NUMBER,
    column_name,
    column_names,
    comma_list,
    qualified,
    stage_of,
)

_ALIKE: Final[Mapping[str, str]] = MappingProxyType({})


def create_stage(plan: Plan, arriving: Mapping[str, str] = _ALIKE) -> sql.Composable:
    """Create the staging table, typed as the stream's table is; it is dropped with its transaction.

    A staging table that outlived its transaction would be seen by others where a pooler shares connections.

    Args:
        plan: of the stream.
        arriving: the types of columns whose values arrive in another type; see `arrival`.
    """
    columns = [
        sql.SQL("NULL::{} AS {}").format(sql.SQL(arriving[column.name]), column_name(column))
        if column.name in arriving
        else column_name(column)
        for column in plan.table.columns
    ]
    return sql.SQL(
        "CREATE TEMPORARY TABLE {stage} ON COMMIT DROP AS"
        " SELECT NULL::bigint AS {n}, NULL::varbit AS {absent}, {columns} FROM {table} WITH NO DATA"
    ).format(
        stage=sql.Identifier(plan.stage),
        n=NUMBER,
        absent=sql.Identifier(ABSENT),
        columns=comma_list(columns),
        table=qualified(plan.table),
    )


def constants(plan: Plan, defaults: Sequence[tuple[str, str]]) -> sql.Composable:
    """Set these texts as defaults of the staging table's columns, so that each is parsed once, not once a record."""
    clauses = [
        sql.SQL("ALTER {} SET DEFAULT {}").format(column_name(name), sql.Literal(text)) for name, text in defaults
    ]
    return sql.SQL("ALTER TABLE {} {}").format(stage_of(plan), comma_list(clauses))


def copy(plan: Plan) -> sql.Composable:
    """Fill the staging table by COPY, without the columns that `constants` has given a default."""
    names = [
        column.name
        for column in plan.table.columns
        if column not in plan.table.metadata or column.name not in PER_BATCH
    ]
    return sql.SQL("COPY {} ({}) FROM STDIN").format(stage_of(plan), column_names([ARRIVAL, ABSENT, *names]))


DEFER_CONSTRAINTS: Final = sql.SQL("SET CONSTRAINTS ALL DEFERRED")
"""Has deferrable constraints checked after all streams of a checkpoint."""

CHECK_CONSTRAINTS: Final = sql.SQL("SET CONSTRAINTS ALL IMMEDIATE")
"""Checks them."""


def analyze(plan: Plan) -> sql.Composable:
    """Tell the planner how many versions and keys are staged; without it a fresh table may get a far slower plan."""
    return sql.SQL("ANALYZE {} ({})").format(stage_of(plan), column_names([ARRIVAL, *plan.table.key]))


def force_index_lookups(*, by_key: bool) -> sql.Composable:
    """Force index lookups by key, whatever the planner assumes of the sizes of fresh tables; or end that.

    With one version a key and an index on the keys there is no better plan, be the table empty or huge.
    """
    names = ("hashjoin", "mergejoin", "seqscan", "bitmapscan", "material", "memoize")
    return sql.SQL("; ".join(f"SET LOCAL enable_{name} = {'off' if by_key else 'DEFAULT'}" for name in names))
