"""The tables of target-eventgen's own, beside the streams': the outbox of events, and what is known of each stream.

The outbox holds CloudEvents, in columns. `sequence` is the order of recording: the events of one row have it in the
order of their transitions, since a row's writer holds its lock. It is not the order of commits across rows. An event
without table was recorded by earlier code, which didn't say it.

`streams` remembers when a table's first load ended. Until then its events are suppressed (setting `initial_load`), so a
first load that was killed and resumed is still the first. A table that was dropped has another first load when it is
made again (`remade`). `generations` says of the columns that came after the table with which of its widenings they
came. `identity` says what the ids of a table's events are made of: 0, what earlier code made them of; 1, table and
source, too (see `sql.events`).

`invalid_records` has the records that could not be loaded, and why (setting `on_invalid_record`); a record that is sent
again is there once.

`runs` holds the number of the last checkpoint of each run that is under way, written in the checkpoint's own
transaction: how a run that lost its connection finds out whether its COMMIT was done. The number of a run that was
killed stays for 30 days: what the run recorded may be replayed (see `replays`). `guarded` counts there, by rule, the
events of the run: `{definition: {"events": …, "held": …}}`. `parked` has the records, with which
another run may be repeating it, `tombstones` the rows that such a run took out of their tables; what `remains` of a row
once its run is over (`run` 0) says since when it is gone.

`held_events` has the events that a guard keeps from everybody (see `store/sql/guard`): they are in the outbox once they
are released. `before_commit` says of those that wait that a load must publish them.

`replaced` has the rows as they were before a run changed them (setting `undo_days`); see `store.sql.replaced`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final

from psycopg2 import sql

from target_eventgen.model.tables import Table
from target_eventgen.store.sql import renames

LOCK: Final = 0x6576656E74  # the bytes of "event"
"""The advisory lock under which any target of ours creates or alters tables, so that two of them don't collide."""

CREATE: Final = sql.SQL("""
do $$ begin
  -- CREATE SCHEMA IF NOT EXISTS takes a right on the database even where the schema exists.
  if to_regnamespace('eventgen') is null then create schema if not exists eventgen; end if;
end $$;
{rename_parked}
create table if not exists eventgen.events (
  sequence bigint generated always as identity primary key,
  id text not null unique,
  source text not null, type text not null, subject text not null, time timestamptz, partitionkey text not null,
  stream text not null, key jsonb not null, data jsonb not null,
  recorded_at timestamptz not null default clock_timestamp(),
  transaction_id xid8 not null default pg_current_xact_id()
);
alter table eventgen.events add column if not exists traceparent text, add column if not exists tracestate text;
alter table eventgen.events add column if not exists table_schema text, add column if not exists table_name text;
create table if not exists eventgen.streams (
  table_schema text not null, table_name text not null, stream text not null,
  first_seen_at timestamptz not null default clock_timestamp(),
  loaded_at timestamptz,
  primary key (table_schema, table_name)
);
alter table eventgen.streams
  add column if not exists remade boolean not null default false,
  add column if not exists generations jsonb not null default '{{}}',
  add column if not exists identity smallint not null default 0;
create table if not exists eventgen.invalid_records (
  sequence bigint generated always as identity primary key,
  id text not null unique,
  stream text not null, reason text not null, record json not null,
  recorded_at timestamptz not null default clock_timestamp()
);
alter table eventgen.invalid_records add column if not exists source text,
  add column if not exists table_schema text, add column if not exists table_name text;
create table if not exists eventgen.runs (
  run bigint primary key, checkpoint bigint not null, committed_at timestamptz not null default clock_timestamp()
) with (fillfactor = 50);
alter table eventgen.runs
  add column if not exists began_at timestamptz not null default clock_timestamp(),
  add column if not exists guarded jsonb not null default '{{}}';
create table if not exists eventgen.parked (
  sequence bigint generated always as identity primary key,
  table_schema text not null, table_name text not null, key jsonb not null, run bigint not null, record jsonb not null
);
create index if not exists parked_key on eventgen.parked (table_schema, table_name, key);
create table if not exists eventgen.tombstones (
  table_schema text not null, table_name text not null, key jsonb not null, run bigint not null, record jsonb not null,
  primary key (table_schema, table_name, key)
);
alter table eventgen.tombstones add column if not exists remains jsonb;
create index if not exists tombstones_of_runs on eventgen.tombstones (run) where run <> 0;
create table if not exists eventgen.held_events (
  sequence bigint generated always as identity primary key,
  id text not null unique,
  source text not null, type text not null, subject text not null, time timestamptz, partitionkey text not null,
  stream text not null, key jsonb not null, data jsonb not null, traceparent text, tracestate text,
  table_schema text not null, table_name text not null, run bigint not null, state text not null,  -- held, waiting or discarded
  before_commit boolean not null,
  recorded_at timestamptz not null default clock_timestamp(),
  transaction_id xid8 not null default pg_current_xact_id(),
  decided_at timestamptz
);
create index if not exists held_events_of_keys on eventgen.held_events (subject, sequence) where state <> 'discarded';
create index if not exists held_events_of_tables on eventgen.held_events (table_schema, table_name);
create index if not exists held_events_waiting on eventgen.held_events (subject) where state = 'waiting';
create table if not exists eventgen.replaced (
  table_schema text not null, table_name text not null, key jsonb not null, run bigint not null,
  record jsonb, before xid not null, count bigint, present boolean, written xid,
  recorded_at timestamptz not null default clock_timestamp(),
  primary key (table_schema, table_name, key, run)
);
create index if not exists replaced_of_runs on eventgen.replaced (run, table_schema, table_name, key);
""").format(rename_parked=renames.PARKED)

EXIST: Final = sql.SQL(
    "SELECT to_regclass('eventgen.events') IS NOT NULL AND to_regclass('eventgen.streams') IS NOT NULL"
    " AND to_regclass('eventgen.runs') IS NOT NULL AND to_regclass('eventgen.invalid_records') IS NOT NULL"
    " AND to_regclass('eventgen.tombstones') IS NOT NULL AND to_regclass('eventgen.parked') IS NOT NULL"
    " AND to_regclass('eventgen.replaced') IS NOT NULL"
    " AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('eventgen.streams') AND attname = 'generations')"
    " AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('eventgen.events') AND attname = 'traceparent')"
    " AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('eventgen.tombstones') AND attname = 'remains')"
    " AND to_regclass('eventgen.held_events') IS NOT NULL"
    " AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('eventgen.runs') AND attname = 'guarded')"
    " AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('eventgen.events') AND attname = 'table_name')"
    " AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('eventgen.streams') AND attname = 'identity')"
    " AND EXISTS (SELECT FROM pg_attribute"
    "  WHERE attrelid = to_regclass('eventgen.invalid_records') AND attname = 'table_name')"
)

LOCK_TABLES: Final = sql.SQL("SELECT pg_advisory_xact_lock({})").format(sql.Literal(LOCK))


def first_load(table: Table) -> sql.Composable:
    """Return one row about a table; nothing where the table is not known.

    The row is (stream, first load ended, made again, generations, whether ids name the table, whether another table
    whose ids don't has a stream of the same name).
    """
    return sql.SQL(
        "SELECT stream, loaded_at IS NOT NULL, remade, generations, identity > 0, EXISTS (SELECT FROM eventgen.streams AS other"
        "  WHERE other.stream = streams.stream AND other.identity = 0"
        "  AND (other.table_schema, other.table_name) <> (streams.table_schema, streams.table_name)) FROM eventgen.streams"
        " WHERE table_schema = {} AND table_name = {}"
    ).format(sql.Literal(table.schema), sql.Literal(table.name))


def tables_of_stream(stream: str) -> sql.Composable:
    """Return (schema, table) of each table that streams of a name have: several pipelines may have such a stream."""
    return sql.SQL(
        "SELECT table_schema, table_name FROM eventgen.streams WHERE stream = {} ORDER BY table_schema, table_name"
    ).format(sql.Literal(stream))


def forget_first_load(table: Table) -> sql.Composable:
    """Store that a table which was dropped is made again: its next load is its first."""
    return sql.SQL(
        "UPDATE eventgen.streams SET stream = {}, remade = true, loaded_at = NULL, generations = '{{}}', identity = 1"
        " WHERE table_schema = {} AND table_name = {}"
    ).format(sql.Literal(table.stream), sql.Literal(table.schema), sql.Literal(table.name))


def name_tables_in_ids(stream: str) -> sql.Composable:
    """Store that the ids of events name their table, for all tables that a stream of this name has."""
    return sql.SQL("UPDATE eventgen.streams SET identity = 1 WHERE stream = {} AND identity = 0").format(
        sql.Literal(stream)
    )


def store_generations(table: Table, generations: Mapping[str, int]) -> sql.Composable:
    """Store which columns came after the table, and with which of its widenings."""
    return sql.SQL(
        "UPDATE eventgen.streams SET generations = {}::jsonb WHERE table_schema = {} AND table_name = {}"
    ).format(sql.Literal(json.dumps(generations)), sql.Literal(table.schema), sql.Literal(table.name))


def add_table(table: Table, *, loaded: bool) -> sql.Composable:
    """Add a table to the catalog; a table with rows of another origin has had its first load already."""
    return sql.SQL(
        "INSERT INTO eventgen.streams (table_schema, table_name, stream, loaded_at, identity) VALUES ({}, {}, {}, {}, 1)"
        " ON CONFLICT DO NOTHING"
    ).format(
        sql.Literal(table.schema),
        sql.Literal(table.name),
        sql.Literal(table.stream),
        sql.SQL("clock_timestamp()" if loaded else "NULL"),
    )


def end_first_load(tables: Iterable[Table]) -> sql.Composable:
    """Store that the first load of these tables has ended; tables where it had ended before are left as they are."""
    pairs = sql.SQL(", ").join(
        sql.SQL("({}, {})").format(sql.Literal(table.schema), sql.Literal(table.name)) for table in tables
    )
    return sql.SQL(
        "UPDATE eventgen.streams SET loaded_at = clock_timestamp()"
        " WHERE loaded_at IS NULL AND (table_schema, table_name) IN ({})"
    ).format(pairs)


def count_checkpoint(run: int, number: int) -> sql.Composable:
    """Move a run's number on to a checkpoint's; no row is touched where the number isn't the one before.

    The statement waits for another transaction that moves the number at the same time, which is this run's own, on a
    connection that broke.
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
    """Remove a run's number, and those that killed runs left long ago, with what only a replay of these needs."""
    return sql.SQL(
        "DELETE FROM eventgen.runs WHERE run = {} OR committed_at < clock_timestamp() - interval '30 days';"
        " DELETE FROM eventgen.tombstones"
        " WHERE run <> 0 AND remains IS NULL AND run NOT IN (SELECT run FROM eventgen.runs);"
        " UPDATE eventgen.tombstones SET record = remains, run = 0"
        " WHERE run <> 0 AND run NOT IN (SELECT run FROM eventgen.runs)"
    ).format(sql.Literal(run))
