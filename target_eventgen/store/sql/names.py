"""Names and lists that the statements are built of: tables, columns, and the columns of ours beside them.

Every name of ours begins with `_eventgen_`, which no property's name may.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from psycopg2 import sql

from target_eventgen.model.plan import Plan
from target_eventgen.model.tables import INSTANT, INSTANT_HISTORY, VERSION, Column, Table

ARRIVAL: Final = "_eventgen_n"
"""The number of a staged version in order of arrival, from 1; the row before is 0, a skipped version negative."""

ABSENT: Final = "_eventgen_absent"
"""A bit for each content column, set where a staged record doesn't mention it; NULL where it mentions all."""

BEFORE: Final = "_eventgen_before"
"""The content before a transition as one value, a row of the stage's type, where there are too many columns for two."""

AT: Final = sql.Identifier("_eventgen_at")
NUMBER: Final = sql.Identifier(ARRIVAL)
COUNT: Final = sql.Identifier("_eventgen_count")
GONE: Final = sql.Identifier("_eventgen_gone")
ROW_VERSION: Final = sql.Identifier(VERSION)
ROW_HISTORY: Final = sql.Identifier(INSTANT_HISTORY)
ROW_INSTANT: Final = sql.Identifier(INSTANT)

CHAIN_ORDER: Final = sql.SQL("({n} > 0), {at} NULLS FIRST, {n}").format(n=NUMBER, at=AT)
"""The order of a key's versions: the row before, then by instant, then by arrival."""


def comma_list(items: Iterable[sql.Composable]) -> sql.Composed:
    """Return items separated by commas."""
    return sql.SQL(", ").join(items)


def column_names(columns: Iterable[Column | str], qualifier: str | None = None) -> sql.Composed:
    """Return column names, separated by commas."""
    return comma_list(column_name(column, qualifier) for column in columns)


def column_name(column: Column | str, qualifier: str | None = None) -> sql.Identifier:
    """Return the name of a column, after that of its table where a qualifier is given."""
    name = column if isinstance(column, str) else column.name
    return sql.Identifier(qualifier, name) if qualifier else sql.Identifier(name)


def old_name(index: int) -> sql.Identifier:
    """Return the name of a content column's value before the transition."""
    return sql.Identifier(f"_eventgen_old_{index}")


def old_value(plan: Plan, index: int, qualifier: str | None = None) -> sql.Composable:
    """Return a content column's value before the transition, of a relation that has what `old_content` returns."""
    if plan.is_wide:
        whole = sql.Identifier(qualifier, BEFORE) if qualifier else sql.Identifier(BEFORE)
        return sql.SQL("({}).{}").format(whole, column_name(plan.table.content[index]))
    return sql.Identifier(qualifier, f"_eventgen_old_{index}") if qualifier else old_name(index)


def old_content(plan: Plan, values: Sequence[sql.Composable], form: str = "{}") -> list[sql.Composable]:
    """Return what a relation selects of the content before the transition: a column for each value, or one for all.

    Args:
        plan: of the stream.
        values: of the content columns.
        form: an expression over each of them.
    """
    if plan.is_wide:
        nulls = sql.SQL(", NULL" * len(plan.table.metadata))
        row = sql.SQL("ROW(NULL, NULL, {}{})::{}").format(comma_list(values), nulls, stage_of(plan))
        return [sql.SQL(f"{form} AS {{}}").format(row, sql.Identifier(BEFORE))]
    return [sql.SQL(f"{form} AS {{}}").format(value, old_name(index)) for index, value in enumerate(values)]


def qualified(table: Table) -> sql.Identifier:
    """Return the table's full name."""
    return sql.Identifier(table.schema, table.name)


def stage_of(plan: Plan) -> sql.Identifier:
    """Return the staging table's full name."""
    return sql.Identifier("pg_temp", plan.stage)


def key_array(plan: Plan, qualifier: str | None = None) -> sql.Composed:
    """Return a key as a JSON array, the form in which the tables of `eventgen` store keys."""
    return sql.SQL("jsonb_build_array({})").format(column_names(plan.table.key, qualifier))


def origin(plan: Plan) -> sql.Composable:
    """Return table and source as further elements of what an id is made of; none where ids leave them out."""
    if not plan.names_table:
        return sql.SQL("")
    named = (plan.table.schema, plan.table.name, plan.source)
    return sql.Composed([sql.SQL(", {}::text").format(sql.Literal(each)) for each in named])


def same_key(plan: Plan, left: str, right: str) -> sql.Composed:
    """Return the condition that the rows of two relations have the same key."""
    return sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(column_name(name, left), column_name(name, right)) for name in plan.table.key
    )
