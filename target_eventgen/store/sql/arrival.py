"""Values in the stage that arrived in a wider type than their columns': whether these hold them, and the way into them.

What a column can't hold without a change is found by one question about the whole stage, in which no value makes an
error. The session's zone is UTC (see `store.connection`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from psycopg2 import sql

from target_eventgen.model.arrival import reads_json
from target_eventgen.model.plan import Plan
from target_eventgen.model.tables import Column
from target_eventgen.store.sql.names import column_name, comma_list, qualified, stage_of

_SHORTEST_FLOATS: Final = {"real": ("1e-37", "3.4e38"), "double precision": ("1e-307", "1.7e308")}
"""Between which numbers a float is never out of range."""

_ITEMS: Final = {
    "smallint[]": r"-?\d{1,4}",
    "integer[]": r"-?\d{1,9}",
    "bigint[]": r"-?\d{1,18}",
    "numeric[]": r"-?\d+(?:\.\d+)?",
    "boolean[]": "true|false",
}
"""How jsonb spells the items that an array column takes for certain; those of a few more digits go to jsonb."""

_NO_TEXTS: Final = '$[*] ? (@.type() != "string" && @.type() != "null")'


def misfits(plan: Plan, arriving: Mapping[str, str]) -> sql.Composable | None:
    """Return the query for the names of the columns that would change a staged value; None where none can.

    Args:
        plan: of the stream.
        arriving: the types in which values of columns are staged, where these are not their own.
    """
    columns = [column for column in plan.types if column.name in arriving]
    doubts = [(column, _changed(column, arriving[column.name])) for column in columns]
    names = [
        sql.SQL("CASE WHEN bool_or({}) THEN {} END").format(changed, sql.Literal(column.name))
        for column, changed in doubts
        if changed is not None
    ]
    if not names:
        return None
    return sql.SQL("SELECT array_remove(ARRAY[{}]::text[], NULL) FROM {}").format(comma_list(names), stage_of(plan))


def settle(plan: Plan, arriving: Mapping[str, str]) -> sql.Composable:
    """Bring the staged values into the types of their columns; see `misfits` for the arguments."""
    clauses = [
        sql.SQL("ALTER {name} DROP DEFAULT, ALTER {name} TYPE {type} USING {value}").format(
            name=column_name(column), type=sql.SQL(column.type), value=_settled(plan, column, arriving[column.name])
        )
        for column in plan.types
        if column.name in arriving
    ]
    return sql.SQL("ALTER TABLE {} {}").format(stage_of(plan), comma_list(clauses))


def _changed(column: Column, arriving: str) -> sql.Composable | None:
    """Return whether a column would change a staged value, as an expression; None where it never does."""
    stored, bare = column.domain_of or column.type, column.bare
    parts = {"c": column_name(column), "type": sql.SQL(stored)}
    if bare.endswith("[]"):
        return _unlike_items(column)
    if bare == "date":
        return sql.SQL("{c} <> date_trunc('day', {c})").format(**parts)
    if bare == "numeric":
        digits, scale = re.findall(r"-?\d+", stored)
        return sql.SQL("(round({c}, {scale}) <> {c} OR abs({c}) >= 10::numeric ^ {whole})").format(
            **parts, scale=sql.Literal(int(scale)), whole=sql.Literal(int(digits) - int(scale))
        )
    if bare in _SHORTEST_FLOATS:
        least, most = map(sql.SQL, _SHORTEST_FLOATS[bare])
        return sql.SQL(
            "CASE WHEN abs({c}) BETWEEN {least} AND {most} THEN {c}::{type}::text::numeric <> {c} ELSE {c} <> 0 END"
        ).format(**parts, least=least, most=most)
    precise = stored != bare
    if bare == "timestamp without time zone":
        return (
            sql.SQL("{c} AT TIME ZONE 'UTC' <> ({c} AT TIME ZONE 'UTC')::{type}").format(**parts) if precise else None
        )
    if arriving == "time with time zone" and bare != arriving:
        return sql.SQL("(extract(timezone FROM {c}) <> 0 OR {c}::time <> {c}::{type})").format(**parts)
    return sql.SQL("{c} <> {c}::{type}").format(**parts) if precise else None


def _unlike_items(column: Column) -> sql.Composable:
    """Return whether staged JSON is anything but an array whose items the column's are."""
    stored = column.domain_of or column.type
    if not reads_json(stored):
        return sql.SQL("{} IS NOT NULL").format(column_name(column))
    if stored in _ITEMS:
        item = f"(?:{_ITEMS[stored]}|null)"
        return sql.SQL("{}::text !~ {}").format(column_name(column), sql.Literal(rf"^\[(?:{item}(?:, {item})*)?\]$"))
    return sql.SQL("(jsonb_typeof({c}) <> 'array' OR jsonb_path_exists({c}, {path}, '{{}}', true))").format(
        c=column_name(column), path=sql.Literal(f"strict {_NO_TEXTS}")
    )


def _settled(plan: Plan, column: Column, arriving: str) -> sql.Composable:
    """Return a staged value in the type of its column."""
    parts = {"c": column_name(column), "type": sql.SQL(column.type)}
    if arriving == "jsonb":
        return sql.SQL("(jsonb_populate_record(NULL::{table}, jsonb_build_object({name}::text, {c}))).{c}").format(
            **parts, table=qualified(plan.table), name=sql.Literal(column.name)
        )
    if column.bare in {"date", "timestamp without time zone"}:
        return sql.SQL("({c} AT TIME ZONE 'UTC')::{type}").format(**parts)
    return sql.SQL("{c}::{type}").format(**parts)
