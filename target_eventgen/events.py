"""The tables that target-eventgen keeps beside the streams': the outbox of events, and what it knows of each stream.

The outbox holds CloudEvents, in columns. `sequence` is the order of recording: the events of one row have it in the
order of their transitions, since a row's writer holds its lock. It is not the order of commits across rows.

`streams` remembers when a table's first load ended. Until then its events are suppressed (setting `initial_load`), so
a first load that was killed and resumed is still the first.

`runs` holds the number of the last checkpoint of each run that is under way, written in the checkpoint's own
transaction: how a run that lost its connection finds out whether its COMMIT was done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg2 import sql

if TYPE_CHECKING:
    from collections.abc import Iterable

    from target_eventgen.columns import Table

LOCK = 0x6576656E74  # the bytes of "event"
"""The advisory lock under which any target of ours makes or alters tables, so that two of them don't collide."""

CREATE = sql.SQL("""
create schema if not exists eventgen;
create table if not exists eventgen.events (
  sequence bigint generated always as identity primary key,
  id text not null unique,
  source text not null, type text not null, subject text not null, time timestamptz, partitionkey text not null,
  stream text not null, key jsonb not null, data jsonb not null,
  recorded_at timestamptz not null default clock_timestamp(),
  transaction_id xid8 not null default pg_current_xact_id()
);
create table if not exists eventgen.streams (
  table_schema text not null, table_name text not null, stream text not null,
  first_seen_at timestamptz not null default clock_timestamp(),
  loaded_at timestamptz,
  primary key (table_schema, table_name)
);
create table if not exists eventgen.runs (
  run bigint primary key, checkpoint bigint not null, committed_at timestamptz not null default clock_timestamp()
) with (fillfactor = 50);
""")

EXIST = sql.SQL(
    "SELECT to_regclass('eventgen.events') IS NOT NULL AND to_regclass('eventgen.streams') IS NOT NULL"
    " AND to_regclass('eventgen.runs') IS NOT NULL"
)

LOCK_TABLES = sql.SQL("SELECT pg_advisory_xact_lock({})").format(sql.Literal(LOCK))


def first_load(table: Table) -> sql.Composable:
    """Return one row (stream, whether its first load has ended), nothing where the table is not known."""
    return sql.SQL(
        "SELECT stream, loaded_at IS NOT NULL FROM eventgen.streams WHERE table_schema = {} AND table_name = {}"
    ).format(sql.Literal(table.schema), sql.Literal(table.name))


def remember(table: Table, *, loaded: bool) -> sql.Composable:
    """Note a table: one that holds rows of another origin has had its first load already."""
    return sql.SQL(
        "INSERT INTO eventgen.streams (table_schema, table_name, stream, loaded_at) VALUES ({}, {}, {}, {})"
        " ON CONFLICT DO NOTHING"
    ).format(
        sql.Literal(table.schema),
        sql.Literal(table.name),
        sql.Literal(table.stream),
        sql.SQL("clock_timestamp()" if loaded else "NULL"),
    )


def end_first_load(tables: Iterable[Table]) -> sql.Composable:
    """Note that the first load of these tables has ended; those where it had are left as they are."""
    pairs = sql.SQL(", ").join(
        sql.SQL("({}, {})").format(sql.Literal(table.schema), sql.Literal(table.name)) for table in tables
    )
    return sql.SQL(
        "UPDATE eventgen.streams SET loaded_at = clock_timestamp()"
        " WHERE loaded_at IS NULL AND (table_schema, table_name) IN ({})"
    ).format(pairs)


def count_checkpoint(run: int, number: int) -> sql.Composable:
    """Move a run's number on to a checkpoint's; no row is touched where it isn't the one before.

    It waits for another transaction that moves it at the same time, which is this run's own, on a connection that broke.
    """
    if number == 1:
        return sql.SQL("INSERT INTO eventgen.runs (run, checkpoint) VALUES ({}, 1) ON CONFLICT DO NOTHING").format(
            sql.Literal(run)
        )
    return sql.SQL(
        "UPDATE eventgen.runs SET checkpoint = {}, committed_at = clock_timestamp() WHERE run = {} AND checkpoint = {}"
    ).format(sql.Literal(number), sql.Literal(run), sql.Literal(number - 1))


def last_checkpoint(run: int) -> sql.Composable:
    """Return the number of a run's last committed checkpoint."""
    return sql.SQL("SELECT checkpoint FROM eventgen.runs WHERE run = {}").format(sql.Literal(run))


def forget_run(run: int) -> sql.Composable:
    """Remove a run's number, and those that killed runs left behind long ago."""
    return sql.SQL(
        "DELETE FROM eventgen.runs WHERE run = {} OR committed_at < clock_timestamp() - interval '30 days'"
    ).format(sql.Literal(run))
