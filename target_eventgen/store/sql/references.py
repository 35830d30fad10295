"""What foreign keys forbid an undo: rows that others refer to can't go, and rows can't refer to what isn't there.

Postgres would refuse all of a piece because of one such row, and name the constraint alone. So both are looked for,
under the locks of the piece, and refused by key. Rows at the other end that are undone in the same piece are in
nobody's way: they go, let go, or come back. What is refused may be in the way of others, so both are repeated until
they find nothing.
"""

from __future__ import annotations

from psycopg2 import sql

from target_eventgen.model.foreign_keys import ForeignKey
from target_eventgen.model.plan import Plan
from target_eventgen.store.sql.names import NUMBER, column_name, column_names, qualified, same_key, stage_of
from target_eventgen.store.sql.undo import entries_of, takes_out


def refuse_referred(plan: Plan, key: ForeignKey, referring: Plan | None) -> sql.Composable:
    """Refuse to delete the rows that other rows refer to by a foreign key.

    Args:
        plan: of the table that is referred to; its rows leave it.
        key: by which they are, whatever its ON DELETE says: what goes with them, or lets go, does so without an event.
        referring: the plan of the table whose rows refer, where it has keys in the piece.
    """
    return sql.SQL(
        "UPDATE {entries} AS e SET refused = {reason} FROM {stage} AS s JOIN {table} AS t ON {same} WHERE s.{number} = e.n"
        " AND e.refused IS NULL AND e.record IS NULL AND EXISTS (SELECT FROM {others} AS x WHERE {refers}{stays})"
    ).format(
        entries=entries_of(plan),
        reason=sql.Literal(f'rows of {_title(key.referring)} refer to it (foreign key "{key.name}")'),
        stage=stage_of(plan),
        table=qualified(plan.table),
        same=same_key(plan, "s", "t"),
        number=NUMBER,
        others=sql.Identifier(*key.referring),
        refers=_refers(key, "x", "t"),
        stays=sql.SQL("") if referring is None else _stays(referring, key),
    )


def _stays(referring: Plan, key: ForeignKey) -> sql.Composable:
    """Return that the row `x` goes on referring to what it refers to: the piece neither deletes nor changes it so."""
    return sql.SQL(
        " AND NOT EXISTS (SELECT FROM {entries} AS f JOIN {stage} AS g ON g.{number} = f.n"
        " LEFT JOIN LATERAL jsonb_populate_record(NULL::{table}, f.record) AS k ON true WHERE {same} AND f.refused IS NULL"
        " AND CASE WHEN f.record IS NULL THEN {goes} ELSE ROW({before}) IS DISTINCT FROM ROW({now}) END)"
    ).format(
        entries=entries_of(referring),
        stage=stage_of(referring),
        number=NUMBER,
        table=qualified(referring.table),
        same=same_key(referring, "g", "x"),
        goes=sql.Literal(takes_out(referring)),
        before=column_names(key.columns, "k"),
        now=column_names(key.columns, "x"),
    )


def refuse_dangling(plan: Plan, key: ForeignKey, referred: Plan | None) -> sql.Composable:
    """Refuse to restore the rows that would refer, by a foreign key, to rows that aren't there.

    Args:
        plan: of the table whose rows refer.
        key: by which they do.
        referred: the plan of the table that is referred to, where it has keys in the piece.
    """
    given = sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(column_name(name, "k")) for name in key.columns)
    comes: sql.Composable = sql.SQL("")
    if referred is not None:
        comes = sql.SQL(
            " AND NOT EXISTS (SELECT FROM {entries} AS f CROSS JOIN LATERAL jsonb_populate_record(NULL::{table}, f.record)"
            " AS q WHERE f.refused IS NULL AND f.record IS NOT NULL AND {refers})"
        ).format(entries=entries_of(referred), table=qualified(referred.table), refers=_refers(key, "k", "q"))
    return sql.SQL(
        "UPDATE {entries} AS e SET refused = {reason} FROM {entries} AS o"
        " CROSS JOIN LATERAL jsonb_populate_record(NULL::{table}, o.record) AS k WHERE o.n = e.n AND e.refused IS NULL"
        " AND o.record IS NOT NULL AND {given} AND NOT EXISTS (SELECT FROM {others} AS p WHERE {refers}){comes}"
    ).format(
        entries=entries_of(plan),
        reason=sql.Literal(
            f'it refers to a row of {_title(key.referred)} that is not there (foreign key "{key.name}")'
        ),
        table=qualified(plan.table),
        given=given,
        others=sql.Identifier(*key.referred),
        refers=_refers(key, "k", "p"),
        comes=comes,
    )


def _refers(key: ForeignKey, referring: str, referred: str) -> sql.Composed:
    """Return the condition that the row of one relation refers to that of another."""
    return sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(column_name(column, referring), column_name(equal, referred))
        for column, equal in zip(key.columns, key.referred_columns, strict=True)
    )


def _title(table: tuple[str, str]) -> str:
    return ".".join(f'"{part}"' for part in table)
