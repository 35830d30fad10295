"""Instants: when one version is newer than another, and what a row remembers of its contents at one instant.

Versions that are equal, and all of a stream without any, are of one instant. So is a NULL version and the version that
it counts as new as, which the row remembers (`_eventgen_instant`) where its version is NULL.

Many taps send instants without saying so (`type: string`, no `format`), and many APIs leave zeros out of a fraction. As
letters `10:30:00Z` sorts after `10:30:00.5Z`, and `12:00:00+02:00` after `11:00:00Z`, so that the newer version would
be dropped as stale. A text that is written as an instant of ISO 8601 (RFC 3339, and its relatives with a space, a
comma, without seconds, minutes of the zone, or a zone, which is UTC then) is therefore compared as this instant,
whatever its number of fractional digits; any other text by its bytes, whatever the database's locale.

A row's *instant history* is the run that recorded its last content, then hashes of the contents that the row had at its
present instant; NULL while there was only one. `replays` reads it.
"""

from __future__ import annotations

from typing import Final

from psycopg2 import sql

from target_eventgen.model.plan import Plan
from target_eventgen.model.tables import INSTANT
from target_eventgen.store.replays import MAX_HISTORY_CONTENTS
from target_eventgen.store.sql.names import NUMBER, ROW_HISTORY, column_name, column_names

PATTERN: Final = (
    r"^((?!0000)\d{4}-(?:0[1-9]|1[0-2]))-(0[1-9]|[12]\d|3[01])[Tt ]([01]\d|2[0-4]):([0-5]\d)"
    r"(?::([0-5]\d|60)(?:[.,](\d+))?)?(?:[Zz]|([+-])([01]\d|2[0-4]):?([0-5]\d)?)?$"
)
"""Month, day, hour, minute, second, fraction; sign, hours and minutes of the zone."""


def comparable(text: sql.Composable) -> sql.Composable:
    """Return an expression that orders as the text is meant to: an instant in UTC, without trailing zeros, or the text.

    The expression is idempotent. No text makes it fail, since days are counted from the first of the month, not looked
    up.
    """
    return sql.SQL(
        "(SELECT coalesce(to_char((m[1] || '-01')::timestamp + make_interval(days => m[2]::int - 1, hours => m[3]::int"
        " - coalesce((m[7] || m[8])::int, 0), mins => m[4]::int - coalesce((m[7] || m[9])::int, 0),"
        " secs => coalesce(m[5]::int, 0)), 'YYYY-MM-DD\"T\"HH24:MI:SS')"
        " || coalesce('.' || nullif(rtrim(m[6], '0'), ''), ''), {text})"
        ' FROM (SELECT regexp_match({text}, {pattern}) AS m) AS parts) COLLATE "C"'
    ).format(text=text, pattern=sql.Literal(PATTERN))


def version_of(plan: Plan, qualifier: str) -> sql.Composable:
    """Return the version of a row, as it is compared."""
    column = plan.version
    if column is None:
        return sql.SQL("NULL::bigint")
    return _compared(plan, column_name(column, qualifier))


def _compared(plan: Plan, version: sql.Composable) -> sql.Composable:
    texts = plan.version is not None and plan.version.type in {"text", "character varying"}
    return comparable(version) if texts else version


def instant_of(plan: Plan, qualifier: str) -> sql.Composable:
    """Return the instant of a stored row: its version, or the newest one when the row came without any."""
    column = plan.version
    if column is None:
        return version_of(plan, qualifier)
    return _compared(
        plan,
        sql.SQL("(CASE WHEN {version} IS NULL THEN {instant}::{type} ELSE {version} END)").format(
            version=column_name(column, qualifier), instant=column_name(INSTANT, qualifier), type=sql.SQL(column.type)
        ),
    )


def instant_before(plan: Plan) -> sql.Composable:
    """Return the instant of a row of `before`."""
    return _compared(plan, sql.Identifier("b", "_eventgen_since"))


def stored_instant(plan: Plan, version: sql.Composable, at: sql.Composable) -> sql.Composable:
    """Return the value of `_eventgen_instant`: the instant as text where the row's version is NULL."""
    if plan.version is None:
        return sql.SQL("NULL::text")
    return sql.SQL("CASE WHEN {} IS NULL THEN {}::text END").format(version, at)


def staged_instant(plan: Plan, *, with_before: bool, unversioned: bool) -> sql.Composable:
    """Return the instant of a staged version: its own, or the newest of its key before it, or that of its row."""
    at = version_of(plan, "s")
    if unversioned and plan.version is not None:
        at = sql.SQL("coalesce({at}, max({at}) OVER (PARTITION BY {key} ORDER BY s.{n}))").format(
            at=at, key=column_names(plan.table.key, "s"), n=NUMBER
        )
        if with_before:
            at = sql.SQL("GREATEST({}, {})").format(at, instant_before(plan))
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
