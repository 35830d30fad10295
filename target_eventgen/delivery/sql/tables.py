"""The tables that say which event has still to be delivered to which publisher, and the statements over them.

Theory of operation. What is undelivered is marked, event by event and publisher by publisher. The marks are made by a
trigger of `eventgen.events`, in the transaction that records the events: an event is committed together with its marks
or not at all, and one that commits late has its marks as late, wherever its sequence lies. Nobody reads "greater
than the last that I saw". Of each publisher, an undelivered event is in exactly one of

- `pending`: it is due, after those of its key that are also here with a smaller sequence;
- `blocked`: it failed, and is tried again at `due_at`; it blocks its key;
- `waiting`: its key is blocked, so it is set aside and not read again at each turn;
- `dead_letters`: it is not tried any more. Where its key is to wait for a person, the key is blocked without `due_at`.

An event's key is the row that it is about: its table and its subject (`KEY`), so that pipelines whose streams have one
name don't wait for each other. An event that earlier code recorded doesn't say its table; its key is the subject alone,
and it counts as an event of each table: what comes after it waits for it, whichever of them it is of.

Keys are shared out over a publisher's rows of `slots`, by a hash of the subject, which any event has. Whoever delivers
locks the rows of some slots for as long as its transaction lasts, and removes the marks in that transaction: nobody
else delivers those keys meanwhile, and when it dies, Postgres lets go of both. A transaction is all that this needs, so
it works through a pooler in transaction mode. The rows count what was delivered, too, since who writes them has them
locked.

The trigger has the rights of whoever made the tables, so that a role which only loads needs none on them.

A receiver that wants no requests for a while says so to one relay; `publishers.paused_until` says it to all of them.
One that wants none any more has the publisher switched off, `off_at`: its events are marked as ever, and wait.

A publisher belongs to the pipeline that registered it, `source`, and gets its events alone where nothing else is
configured. `address` has fingerprints of where they go: another pipeline can't use the name for something else.

A publisher is registered under a lock that excludes transactions which record events, so that each event is marked for
it either by the trigger or by the registration, and never by both.
"""

from __future__ import annotations

from typing import Final

from psycopg2 import sql

from target_eventgen.delivery.decisions import SLOTS
from target_eventgen.store.sql import guard

CHANNEL: Final = "eventgen"
"""The channel on which a transaction notifies that it has events to deliver."""


PUBLISHED: Final = "eventgen.published"
"""A Postgres setting; where a transaction sets it to `yes`, its events are marked for no publisher."""


SLOT: Final = sql.SQL("(hashtextextended(event.subject, 0) & {})::smallint").format(sql.Literal(SLOTS - 1))


KEY: Final = sql.SQL(
    "coalesce(quote_ident(event.table_schema) || '.' || quote_ident(event.table_name) || '/' || event.subject, event.subject)"
)
"""The key of an event: within it, events are delivered in their order."""


KEYS: Final = sql.SQL("ANY (ARRAY[event.subject, {}])").format(KEY)
"""The keys by which an event may be blocked or set aside, the second one for itself."""


FITS: Final = sql.SQL(
    "(publisher.types IS NULL OR event.type LIKE ANY (publisher.types))"
    " AND (publisher.streams IS NULL OR event.stream LIKE ANY (publisher.streams))"
    " AND (publisher.sources IS NULL OR event.source LIKE ANY (publisher.sources))"
)


CREATE: Final = sql.SQL("""
create table if not exists eventgen.publishers (
  number smallint generated always as identity primary key,
  name text not null unique,
  types text[], streams text[],  -- LIKE patterns; null is all
  registered_at timestamptz not null default clock_timestamp()
);
alter table eventgen.publishers
  add column if not exists paused_until timestamptz, add column if not exists pause_reason text,
  add column if not exists off_at timestamptz, add column if not exists off_reason text,
  add column if not exists sources text[],  -- LIKE patterns; null is all, as of publishers that older code registered
  add column if not exists source text, add column if not exists address text[];
create table if not exists eventgen.slots (
  publisher smallint not null references eventgen.publishers on delete cascade,
  slot smallint not null,
  delivered bigint not null default 0, recent double precision not null default 0, delivered_at timestamptz,
  primary key (publisher, slot)
) with (fillfactor = 20);
create table if not exists eventgen.pending (
  publisher smallint not null, slot smallint not null, sequence bigint not null,
  primary key (publisher, slot, sequence)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
create table if not exists eventgen.blocked (
  publisher smallint not null, subject text not null,
  slot smallint not null, sequence bigint not null,
  attempts integer not null, reason text not null, due_at timestamptz,
  failed_at timestamptz not null default clock_timestamp(),
  primary key (publisher, subject)
);
create index if not exists blocked_due on eventgen.blocked (publisher, slot, due_at);
create table if not exists eventgen.waiting (
  publisher smallint not null, subject text not null, sequence bigint not null, slot smallint not null,
  primary key (publisher, subject, sequence)
);
create table if not exists eventgen.dead_letters (
  letter bigint generated always as identity primary key,
  publisher smallint not null, sequence bigint not null,
  id text not null, type text not null, stream text not null, subject text not null,
  attempts integer not null, reason text not null,
  died_at timestamptz not null default clock_timestamp(),
  unique (publisher, sequence)
);
alter table eventgen.dead_letters add column if not exists source text,
  add column if not exists table_schema text, add column if not exists table_name text;
create or replace function eventgen.enqueue() returns trigger language plpgsql security definer
  set search_path = pg_catalog, pg_temp as $enqueue$
begin
  if current_setting({published}, true) = 'yes' then
    return null;
  end if;
  insert into eventgen.pending (publisher, slot, sequence)
  select publisher.number, {slot}, event.sequence
  from recorded as event join eventgen.publishers as publisher on {fits};
  if found then
    perform pg_notify({channel}, '');
  end if;
  return null;
end
$enqueue$;
create or replace trigger enqueue after insert on eventgen.events
  referencing new table as recorded for each statement execute function eventgen.enqueue();
""").format(published=sql.Literal(PUBLISHED), slot=SLOT, fits=FITS, channel=sql.Literal(CHANNEL))


EXIST: Final = sql.SQL(
    "SELECT to_regclass('eventgen.dead_letters') IS NOT NULL AND EXISTS (SELECT FROM pg_trigger"
    " WHERE tgrelid = to_regclass('eventgen.events') AND tgname = 'enqueue')"
    " AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('eventgen.publishers') AND attname = 'address')"
    " AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('eventgen.dead_letters') AND attname = 'table_name')"
)


LOCK_EVENTS: Final = guard.LOCK_EVENTS
"""Excludes transactions that record events and other registrations, but no reader."""
