"""Columns that are added later: what rows take to have been in a column before there was one.

What a row had in such a column is not known: it isn't null. A row whose generation is smaller than that of a widening
of its table doesn't know the columns that came with the widening. The first version that comes for the row says what
they are, and is taken to have been so before: `backfill_new_columns` writes these values, `mark_backfilled` notes that
the row knows them. So no rule fires because of a column that is new, and each change from then on fires.
"""

from __future__ import annotations

from psycopg2 import sql

from target_eventgen.model.plan import Plan
from target_eventgen.model.tables import GENERATION
from target_eventgen.store.sql.instants import instant_of, version_of
from target_eventgen.store.sql.names import (
    ABSENT,
    NUMBER,
    ROW_VERSION,
    column_names,
    comma_list,
    qualified,
    same_key,
    stage_of,
)


def backfill_new_columns(plan: Plan) -> sql.Composable:
    """Give rows that don't know some columns the values of the first staged version of their key.

    The generation of these rows is negative until `mark_backfilled`: so `record` takes them for rows that were there,
    though this transaction has written them.
    """
    table = plan.table
    indexes = {column.name: index for index, column in enumerate(table.content)}
    values = [
        sql.SQL(
            "{column} = CASE WHEN t.{generation} < {added} AND (get_bit(s.{absent}, {index}) = 1) IS NOT TRUE"
            " THEN s.{column} ELSE t.{column} END"
        ).format(
            column=sql.Identifier(name),
            generation=sql.Identifier(GENERATION),
            added=sql.Literal(added),
            index=sql.Literal(indexes[name]),
            absent=sql.Identifier(ABSENT),
        )
        for name, added in plan.generations.items()
        if name in indexes and name not in table.key
    ]
    return sql.SQL(
        "UPDATE {table} AS t SET {values} FROM (SELECT DISTINCT ON ({keys}) s.* FROM {stage} AS s JOIN {table} AS b"
        " ON {joined} WHERE ({new} < {old}) IS NOT TRUE ORDER BY {keys}, {new} NULLS FIRST, s.{n}) AS s"
        " WHERE {same} AND t.{generation} >= 0 AND t.{generation} < {last}"
        " AND (t.xmin <> pg_current_xact_id()::xid OR t.{version} < 0)"
    ).format(
        table=qualified(table),
        values=comma_list(
            [*values, sql.SQL("{} = {}").format(sql.Identifier(GENERATION), sql.Literal(-plan.generation))]
        ),
        keys=column_names(table.key, "s"),
        stage=stage_of(plan),
        joined=same_key(plan, "s", "b"),
        new=version_of(plan, "s"),
        old=instant_of(plan, "b"),
        n=NUMBER,
        same=same_key(plan, "t", "s"),
        generation=sql.Identifier(GENERATION),
        last=sql.Literal(plan.generation),
        version=ROW_VERSION,
    )


def mark_backfilled(plan: Plan) -> sql.Composable:
    """Store that the rows of this checkpoint know all columns."""
    return sql.SQL(
        "UPDATE {table} AS t SET {generation} = {last} WHERE ({keys}) IN (SELECT {key} FROM {stage})"
        " AND t.{generation} < 0"
    ).format(
        table=qualified(plan.table),
        generation=sql.Identifier(GENERATION),
        last=sql.Literal(plan.generation),
        keys=column_names(plan.table.key, "t"),
        key=column_names(plan.table.key),
        stage=stage_of(plan),
    )
