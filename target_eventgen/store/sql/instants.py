"""Instants: when one version is newer than another, and what a row remembers of its contents at one instant.

Versions that are equal, and all of a stream without any, are of one instant. So is a NULL version and the version that
it counts as new as, which the row remembers (`_eventgen_instant`) where its version is NULL.

How a replication key's values are compared is `model.versions`: a column of a type with an order is compared as it is,
a text as the instant or the number that it is written as, what has no type as what it holds. Several replication keys
are compared as an array of numbers, instants by their seconds since 1970, up to the first that is null. So is one with
digits beyond microseconds: their column adds them to the seconds.

A row's *instant history* is the run that recorded its last content, then hashes of the contents that the row had at its
present instant; NULL while there was only one. `replays` reads it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from psycopg2 import sql

from target_eventgen.model.plan import Plan
from target_eventgen.model.tables import INSTANT, Column
from target_eventgen.model.versions import FINE, FINE_TYPES, HELD, NUMBER, NUMERIC, PATTERN, TEXT, TEXTS
from target_eventgen.store.replays import MAX_HISTORY_CONTENTS
from target_eventgen.store.sql.names import NUMBER as ARRIVAL_NUMBER
from target_eventgen.store.sql.names import ROW_HISTORY, column_name, column_names, comma_list

INSTANT_BEFORE: Final = sql.Identifier("b", "_eventgen_since")
"""The instant of a row of `before`."""


def seconds_of(text: sql.Composable) -> sql.Composable:
    """Return an expression for the seconds since 1970 of a text that is an instant; NULL for any other text.

    No text makes it fail, since days are counted from the first of the month, not looked up.
    """
    return sql.SQL(
        "(SELECT extract(epoch FROM (m[1] || '-01')::timestamp + make_interval(days => m[2]::int - 1,"
        " hours => coalesce(m[3]::int, 0) - coalesce((m[7] || m[8])::int, 0),"
        " mins => coalesce(m[4]::int, 0) - coalesce((m[7] || m[9])::int, 0), secs => coalesce(m[5]::int, 0)))"
        " + coalesce(('0.' || m[6])::numeric, 0) FROM (SELECT regexp_match({text}, {pattern}) AS m) AS parts)"
    ).format(text=text, pattern=sql.Literal(PATTERN))


def number_of(text: sql.Composable) -> sql.Composable:
    """Return an expression for the number that a text is written as; NULL for any other text."""
    return sql.SQL("(CASE WHEN {text} ~ {pattern} THEN {text}::numeric END)").format(
        text=text, pattern=sql.Literal(NUMBER)
    )


def version_of(plan: Plan, qualifier: str) -> sql.Composable:
    """Return the version of a row, as it is compared."""
    return compared(plan, lambda name: column_name(name, qualifier))


def compared(plan: Plan, value: Callable[[str], sql.Composable]) -> sql.Composable:
    """Return a version as it is compared; NULL where it isn't older or newer than any.

    Args:
        plan: of the stream.
        value: the expression for a column's value.
    """
    column = plan.version
    if column is None:
        return sql.SQL("NULL::bigint")
    own = value(column.name)
    if not _is_numeric(plan):
        texts = sql.SQL("({} #>> '{{}}') COLLATE \"C\"" if column.type == "jsonb" else '{} COLLATE "C"')
        return texts.format(own) if column.type in {*TEXTS, "jsonb"} else own
    number = _number(plan, column, own)
    if plan.table.is_fine:
        number = sql.SQL("({} + coalesce({}, 0))").format(number, value(FINE))
    if not plan.further_versions:
        return number
    numbers = [number, *(_number(plan, further, value(further.name)) for further in plan.further_versions)]
    return sql.SQL(
        "(SELECT CASE WHEN v[1] IS NOT NULL THEN v[:coalesce(array_position(v, NULL), {end}) - 1] END"
        " FROM (SELECT ARRAY[{numbers}]::numeric[] AS v) AS versions)"
    ).format(numbers=comma_list(numbers), end=sql.Literal(len(numbers) + 1))


def _is_numeric(plan: Plan) -> bool:
    """Return whether versions are compared as numbers, or arrays of numbers."""
    column = plan.version
    if column is None:
        return False
    if plan.further_versions or plan.table.is_fine:
        return True
    return column.type in {*TEXTS, "jsonb"} and plan.table.order != TEXT


def _number(plan: Plan, column: Column, value: sql.Composable) -> sql.Composable:
    """Return the number that orders the values of a column."""
    if column.type in FINE_TYPES or column.type == "date":
        return sql.SQL("extract(epoch FROM {})").format(value)
    if column.type in TEXTS:
        return number_of(value) if plan.table.order == NUMERIC else seconds_of(value)
    if column.type != "jsonb":
        return sql.SQL("{}::numeric").format(value)
    text = sql.SQL("({} #>> '{{}}')").format(value)
    if plan.table.order == NUMERIC:
        return number_of(text)
    numbers = sql.SQL(" WHEN 'number' THEN {}::numeric").format(text) if plan.table.order == HELD else sql.SQL("")
    return sql.SQL("(CASE jsonb_typeof({}) WHEN 'string' THEN {}{} END)").format(value, seconds_of(text), numbers)


def instant_of(plan: Plan, qualifier: str) -> sql.Composable:
    """Return the instant of a stored row: its version, or the newest one when the row came without any."""
    column, stored = plan.version, column_name(INSTANT, qualifier)
    if column is None:
        return version_of(plan, qualifier)
    if plan.further_versions:
        kept = sql.SQL("CASE WHEN {0} LIKE '{{%' THEN {0}::numeric[] END").format(stored)
    elif _is_numeric(plan):
        # Earlier code kept the instant itself, not its seconds.
        kept = sql.SQL("coalesce({}, {})").format(number_of(stored), seconds_of(stored))
    elif column.type in {*TEXTS, "jsonb"}:
        kept = sql.SQL('{} COLLATE "C"').format(stored)
    else:
        kept = sql.SQL("CASE WHEN {0} NOT LIKE '{{%' THEN {0}::{1} END").format(stored, sql.SQL(column.type))
    return sql.SQL("coalesce({}, {})").format(version_of(plan, qualifier), kept)


def stored_instant(plan: Plan, value: Callable[[str], sql.Composable], at: sql.Composable) -> sql.Composable:
    """Return the value of `_eventgen_instant`: the instant as text where the row's version is NULL."""
    if plan.version is None:
        return sql.SQL("NULL::text")
    return sql.SQL("CASE WHEN {} IS NULL THEN {}::text END").format(compared(plan, value), at)


def staged_instant(plan: Plan, *, with_before: bool, unversioned: bool) -> sql.Composable:
    """Return the instant of a staged version: its own, or the newest of its key before it, or that of its row."""
    at = version_of(plan, "s")
    if unversioned and plan.version is not None:
        at = sql.SQL("coalesce({at}, max({at}) OVER (PARTITION BY {key} ORDER BY s.{n}))").format(
            at=at, key=column_names(plan.table.key, "s"), n=ARRIVAL_NUMBER
        )
        if with_before:
            at = sql.SQL("GREATEST({}, {})").format(at, INSTANT_BEFORE)
    return at


def content_hash(plan: Plan, columns: sql.Composable, gone: sql.Composable) -> sql.Composed:
    """Return a hash of a content and of whether the row is gone: equal for contents that are NOT DISTINCT."""
    if plan.deletable:
        columns = sql.SQL("{}, {}").format(columns, gone)
    # To Postgres's hash NULL, [] and {} of jsonb are one. They differ as text, where numbers alone have many spellings.
    return sql.SQL(
        "(hash_record_extended(ROW({columns}), 0)"
        " # hashtextextended(translate(ROW({columns})::text, '0123456789.eE+-', ''), 0))"
    ).format(columns=columns)


def latest(hashes: sql.Composable) -> sql.Composed:
    """Return the last `MAX_HISTORY_CONTENTS` of an instant history's hashes."""
    return sql.SQL("({hashes})[greatest(1, cardinality({hashes}) - {most} + 1):]").format(
        hashes=hashes, most=sql.Literal(MAX_HISTORY_CONTENTS)
    )


def is_recorded(plan: Plan) -> sql.Composable:
    """Return whether the row `t` has an instant history that a replay may repeat.

    Without versions, a history that was recorded by a run which ended well is over; see `store.replays`.
    """
    recorded = sql.SQL("t.{0} IS NOT NULL" if plan.version else "t.{0}[1] IN (SELECT run FROM eventgen.runs)")
    return recorded.format(ROW_HISTORY)
