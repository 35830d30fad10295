"""The tables that say which event has still to be delivered to which publisher, and the statements over them.

Theory of operation. What is undelivered is marked, event by event and publisher by publisher. The marks are made by a
trigger of `eventgen.events`, in the transaction that records the events: an event is committed together with its marks
or not at all, and one that commits late has its marks as late, wherever its sequence lies. Nobody reads "greater
than the last that I saw". Of each publisher, an undelivered event is in exactly one of

- `pending`: it is due, behind those of its key that are also here with a smaller sequence;
- `blocked`: it failed, and is tried again at `due_at`; it holds its key;
- `waiting`: its key is held, so it is set aside, lest it be read again at each turn;
- `dead_letters`: it is not tried any more. Where its key is to wait for a person, the key is held without `due_at`.

Keys (subjects: stream and key) are shared out over a publisher's rows of `slots`, by a hash. Whoever delivers locks the rows
of some slots for as long as its transaction lasts, and removes the marks in that transaction: nobody else delivers
those keys meanwhile, and when it dies, Postgres lets go of both. A transaction is all that this needs, so it works
through a pooler in transaction mode. The rows count what was delivered, too, since who writes them has them locked.

The trigger has the rights of whoever made the tables, so that a role which only loads needs none on them.

A publisher is registered under a lock that keeps recorders out for that moment, so that each event is marked for it
either by the trigger or by the registration, and never by both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg2 import sql

from target_eventgen.delivery.decisions import SLOTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from target_eventgen.delivery.decisions import Again, Dead, Done
    from target_eventgen.model.routes import Route


@dataclass(frozen=True)
class Chosen:
    """Which recorded events are meant; None is any.

    Attributes:
        ids: theirs.
        types: LIKE patterns.
        streams: LIKE patterns.
        keys: partition keys, that is the key as text.
        since: when they were recorded, an instant as Postgres reads it.
        until: the instant before which they were.
    """

    ids: Sequence[str] | None = None
    types: Sequence[str] | None = None
    streams: Sequence[str] | None = None
    keys: Sequence[str] | None = None
    since: str | None = None
    until: str | None = None


CHANNEL = "eventgen"
"""On which a transaction notifies that it has events to deliver."""

PUBLISHED = "eventgen.published"
"""A Postgres setting; where a transaction sets it to `yes`, its events are marked for nobody."""

RECENT_SECONDS = 60
"""Over how long, about, the rate of deliveries is an average."""

_SLOT = sql.SQL("(hashtextextended(event.subject, 0) & {})::smallint").format(sql.Literal(SLOTS - 1))

_FITS = sql.SQL(
    "(publisher.types IS NULL OR event.type LIKE ANY (publisher.types))"
    " AND (publisher.streams IS NULL OR event.stream LIKE ANY (publisher.streams))"
)

CREATE = sql.SQL("""
create table if not exists eventgen.publishers (
  number smallint generated always as identity primary key,
  name text not null unique,
  types text[], streams text[],  -- LIKE patterns; null is all
  registered_at timestamptz not null default clock_timestamp()
);
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
""").format(published=sql.Literal(PUBLISHED), slot=_SLOT, fits=_FITS, channel=sql.Literal(CHANNEL))

EXIST = sql.SQL(
    "SELECT to_regclass('eventgen.dead_letters') IS NOT NULL AND EXISTS (SELECT FROM pg_trigger"
    " WHERE tgrelid = to_regclass('eventgen.events') AND tgname = 'enqueue')"
)

LOCK_EVENTS = sql.SQL("LOCK TABLE eventgen.events IN SHARE ROW EXCLUSIVE MODE")
"""Keeps recorders out, and others that register, but no reader."""

LOCK_TIDYING = sql.SQL("SELECT pg_advisory_xact_lock(x'6576656e7472'::bigint)")
"""Keeps what marks old events again, and what deletes them, apart."""

LOOK_UPS = sql.SQL(
    # Each statement of a turn is a look-up of a bounded number of rows. The statistics of tables that fill and empty
    # within seconds say nothing, and must not talk the planner into reading them whole.
    "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;"
    " SET LOCAL enable_bitmapscan = off;"
    # Marks that a crash of the server forgets are events that come twice, which they may.
    " SET LOCAL synchronous_commit = off"
)

LOCAL_SETTINGS = sql.SQL(
    "SET LOCAL jit = off; SET LOCAL TIME ZONE 'UTC'; SET LOCAL client_min_messages = warning;"
    " SET LOCAL standard_conforming_strings = on; SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0;"
    " SET LOCAL idle_in_transaction_session_timeout = {}"
)


# -- publishers -------------------------------------------------------------------------------------------------------

REGISTERED = sql.SQL("SELECT name, number, types, streams FROM eventgen.publishers ORDER BY name")
"""Returns each publisher's (name, number, patterns of types, patterns of streams)."""


def register(route: Route) -> sql.Composable:
    """Make a publisher known, or give it other patterns; return its number."""
    return sql.SQL(
        "INSERT INTO eventgen.publishers (name, types, streams) VALUES ({name}, {types}, {streams})"
        " ON CONFLICT (name) DO UPDATE SET types = excluded.types, streams = excluded.streams RETURNING number"
    ).format(name=sql.Literal(route.name), types=_texts(route.types), streams=_texts(route.streams))


def make_slots(publisher: int) -> sql.Composable:
    """Make a new publisher's slots."""
    return sql.SQL("INSERT INTO eventgen.slots (publisher, slot) SELECT {}, generate_series(0, {})").format(
        sql.Literal(publisher), sql.Literal(SLOTS - 1)
    )


def mark_all(publisher: int) -> sql.Composable:
    """Mark every event that a new publisher is to get of those that are there."""
    return sql.SQL(
        "INSERT INTO eventgen.pending (publisher, slot, sequence) SELECT publisher.number, {slot}, event.sequence"
        " FROM eventgen.events AS event JOIN eventgen.publishers AS publisher ON {fits}"
        " WHERE publisher.number = {publisher} ORDER BY 2, 3"
    ).format(slot=_SLOT, fits=_FITS, publisher=sql.Literal(publisher))


def forget(publisher: int) -> sql.Composable:
    """Remove a publisher with all its marks and dead letters."""
    tables = ("pending", "blocked", "waiting", "dead_letters")
    statements = [
        sql.SQL("DELETE FROM eventgen.{} WHERE publisher = {}").format(sql.Identifier(table), sql.Literal(publisher))
        for table in tables
    ]
    last = sql.SQL("DELETE FROM eventgen.publishers WHERE number = {}").format(sql.Literal(publisher))
    return sql.SQL("; ").join([*statements, last])


# -- a turn -----------------------------------------------------------------------------------------------------------


def lock_slots(publisher: int, first: int, most: int, *, any_: bool = False) -> sql.Composable:
    """Lock slots that have something due and that nobody else has locked; return (slot).

    Args:
        publisher: its number.
        first: the slot to begin with, so that each has its turn.
        most: how many at most.
        any_: whether a slot may have nothing due, since it is likely that all have.
    """
    # One after the other, and no further than needed: where marks were removed a moment ago, or while an old snapshot is
    # open, they are still in the index, and have to be passed over. A lock within a sub-query keeps the planner to this order.
    order = [(first + each) % SLOTS for each in range(SLOTS)]
    return sql.SQL(
        "SELECT locked.slot FROM unnest({order}) AS wanted (slot) CROSS JOIN LATERAL (SELECT slots.slot FROM eventgen.slots"
        " WHERE slots.publisher = {publisher} AND slots.slot = wanted.slot"
        " AND ({any_} OR EXISTS (SELECT FROM eventgen.pending WHERE pending.publisher = {publisher} AND pending.slot = wanted.slot)"
        "  OR EXISTS (SELECT FROM eventgen.blocked WHERE blocked.publisher = {publisher}"
        "   AND blocked.slot = wanted.slot AND blocked.due_at <= clock_timestamp()))"
        " FOR UPDATE SKIP LOCKED) AS locked LIMIT {most}"
    ).format(
        order=_integers(order, "smallint"),
        publisher=sql.Literal(publisher),
        most=sql.Literal(most),
        any_=sql.Literal(any_),
    )


def due(publisher: int, slots: Sequence[int], most: int, depth: int) -> sql.Composable:
    """Return what is due in some slots, oldest first: (sequence, slot, failed attempts, subject where it had failed).

    Args:
        publisher: its number.
        slots: those that are locked.
        most: how many events.
        depth: how many of one slot.
    """
    return sql.SQL(
        "SELECT sequence, slot, attempts, subject FROM (SELECT sequence, slot, attempts, subject FROM eventgen.blocked"
        "  WHERE publisher = {publisher} AND slot = ANY ({slots}) AND due_at <= clock_timestamp()"
        "  ORDER BY sequence LIMIT {most}) AS retried"
        " UNION ALL"
        " SELECT head.sequence, wanted.slot, 0, NULL FROM unnest({slots}) AS wanted (slot) CROSS JOIN LATERAL"
        "  (SELECT sequence FROM eventgen.pending WHERE publisher = {publisher} AND slot = wanted.slot"
        "   ORDER BY sequence LIMIT {depth}) AS head"
        " ORDER BY sequence LIMIT {most}"
    ).format(
        publisher=sql.Literal(publisher),
        slots=_integers(slots, "smallint"),
        most=sql.Literal(most),
        depth=sql.Literal(depth),
    )


def recorded(publisher: int, sequences: Iterable[int], size: int) -> sql.Composable:
    """Return events, oldest first.

    Each is (how many of them there are, whether an earlier event holds its key, sequence, id, source, type, subject,
    partitionkey, data, time, traceparent, tracestate). `data` is NULL of one whose key is held.

    Args:
        publisher: its number.
        sequences: theirs.
        size: bytes of data, as they are stored, after which no more are returned.
    """
    # An index is searched for one sorted list several times as fast as for the rows of a join.
    return sql.SQL(
        "SELECT found, behind, sequence, id, source, type, subject, partitionkey, CASE WHEN NOT behind THEN data::text END,"
        " to_char(time AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), traceparent, tracestate"
        " FROM (SELECT event.*, any_held AND coalesce((SELECT blocked.sequence FROM eventgen.blocked"
        "   WHERE blocked.publisher = {publisher} AND blocked.subject = event.subject) <> event.sequence, false) AS behind,"
        "   count(*) OVER () AS found, sum(pg_column_size(data)) OVER"
        "    (ORDER BY sequence ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before"
        "  FROM eventgen.events AS event"
        "  CROSS JOIN (SELECT EXISTS (SELECT FROM eventgen.blocked WHERE publisher = {publisher})) AS held (any_held)"
        "  WHERE event.sequence = ANY ({sequences})) AS weighed"
        " WHERE before IS NULL OR before < {size} ORDER BY sequence"
    ).format(
        publisher=sql.Literal(publisher),
        sequences=_integers(sequences, "bigint"),
        size=sql.Literal(size),
    )


def set_aside(publisher: int, rows: Iterable[tuple[int, int, str]]) -> sql.Composable:
    """Move events, (slot, sequence, subject), whose keys are held out of the way."""
    return sql.SQL(
        "WITH moved AS (DELETE FROM eventgen.pending USING {rows} AS row (slot, sequence, subject)"
        " WHERE pending.publisher = {publisher} AND pending.slot = row.slot AND pending.sequence = row.sequence"
        " RETURNING pending.slot, pending.sequence, row.subject)"
        " INSERT INTO eventgen.waiting (publisher, subject, sequence, slot)"
        " SELECT {publisher}, subject, sequence, slot FROM moved"
    ).format(
        publisher=sql.Literal(publisher),
        rows=_rows(rows, "smallint", "bigint", "text"),
    )


def unmark(publisher: int, rows: Iterable[tuple[int, int]]) -> sql.Composable:
    """Remove the marks of events, (slot, sequence)."""
    slots: dict[int, list[int]] = {}
    for slot, sequence in rows:
        slots.setdefault(slot, []).append(sequence)
    # An index is searched for one sorted list several times as fast as for the rows of a join.
    one = "DELETE FROM eventgen.pending WHERE publisher = {} AND slot = {} AND sequence = ANY ({})"
    return sql.SQL("; ").join(
        sql.SQL(one).format(sql.Literal(publisher), sql.Literal(slot), _integers(sequences, "bigint"))
        for slot, sequences in slots.items()
    )


def count(publisher: int, done: Iterable[Done]) -> sql.Composable:
    """Add to what was delivered of each slot."""
    numbers: dict[int, int] = {}
    for verdict in done:
        numbers[verdict.item.slot] = numbers.get(verdict.item.slot, 0) + 1
    return sql.SQL(
        "UPDATE eventgen.slots SET delivered = delivered + row.number,"
        " recent = row.number + coalesce(recent * exp(-extract(epoch FROM clock_timestamp() - delivered_at)::float8 / {seconds}), 0),"
        " delivered_at = clock_timestamp() FROM {rows} AS row (slot, number)"
        " WHERE slots.publisher = {publisher} AND slots.slot = row.slot"
    ).format(
        seconds=sql.Literal(RECENT_SECONDS),
        publisher=sql.Literal(publisher),
        rows=_rows(numbers.items(), "smallint", "bigint"),
    )


def hold(publisher: int, again: Iterable[Again]) -> sql.Composable:
    """Hold the keys of events that are to be tried again."""
    rows = [
        (each.item.slot, each.item.sequence, each.item.key, each.attempts, each.delay, each.reason) for each in again
    ]
    return sql.SQL(
        "INSERT INTO eventgen.blocked (publisher, subject, slot, sequence, attempts, reason, due_at)"
        " SELECT {publisher}, subject, slot, sequence, attempts, reason, clock_timestamp() + delay * interval '1 second'"
        " FROM {rows} AS row (slot, sequence, subject, attempts, delay, reason)"
        " ON CONFLICT (publisher, subject) DO UPDATE SET slot = excluded.slot, sequence = excluded.sequence,"
        " attempts = excluded.attempts, reason = excluded.reason, due_at = excluded.due_at, failed_at = clock_timestamp()"
    ).format(
        publisher=sql.Literal(publisher),
        rows=_rows(rows, "smallint", "bigint", "text", "integer", "float8", "text"),
    )


def bury(publisher: int, dead: Iterable[Dead]) -> sql.Composable:
    """Make dead letters of events."""
    rows = [(each.item.sequence, each.attempts, each.reason) for each in dead]
    return sql.SQL(
        "INSERT INTO eventgen.dead_letters (publisher, sequence, id, type, stream, subject, attempts, reason)"
        " SELECT {publisher}, event.sequence, event.id, event.type, event.stream, event.subject, row.attempts, row.reason"
        " FROM {rows} AS row (sequence, attempts, reason) JOIN eventgen.events AS event ON event.sequence = row.sequence"
        " ORDER BY event.sequence"
    ).format(publisher=sql.Literal(publisher), rows=_rows(rows, "bigint", "integer", "text"))


def hold_for_good(publisher: int, dead: Iterable[Dead]) -> sql.Composable:
    """Hold the keys of dead letters until a person decides."""
    rows = [(each.item.slot, each.item.sequence, each.item.key, each.attempts, each.reason) for each in dead]
    return sql.SQL(
        "INSERT INTO eventgen.blocked (publisher, subject, slot, sequence, attempts, reason)"
        " SELECT {publisher}, subject, slot, sequence, attempts, reason"
        " FROM {rows} AS row (slot, sequence, subject, attempts, reason)"
        " ON CONFLICT (publisher, subject) DO UPDATE SET slot = excluded.slot, sequence = excluded.sequence,"
        " attempts = excluded.attempts, reason = excluded.reason, due_at = NULL, failed_at = clock_timestamp()"
    ).format(publisher=sql.Literal(publisher), rows=_rows(rows, "smallint", "bigint", "text", "integer", "text"))


def release(publisher: int, subjects: Sequence[str]) -> sql.Composable:
    """Let held keys go: what waits for them is due again."""
    return sql.SQL(
        "DELETE FROM eventgen.blocked WHERE publisher = {publisher} AND subject = ANY ({subjects});"
        " WITH moved AS (DELETE FROM eventgen.waiting WHERE publisher = {publisher} AND subject = ANY ({subjects})"
        " RETURNING slot, sequence)"
        " INSERT INTO eventgen.pending (publisher, slot, sequence) SELECT {publisher}, slot, sequence FROM moved"
    ).format(publisher=sql.Literal(publisher), subjects=_texts(subjects))


def left(publisher: int) -> sql.Composable:
    """Return what is left to do.

    One row: whether something is pending, the seconds until the first held event is due, NULL where none is, and how many
    have been delivered so far, by whomever.
    """
    return sql.SQL(
        "SELECT EXISTS (SELECT FROM eventgen.pending WHERE publisher = {publisher}),"
        " (SELECT extract(epoch FROM min(due_at) - clock_timestamp())::float8 FROM eventgen.blocked WHERE publisher = {publisher}),"
        " (SELECT sum(delivered)::bigint FROM eventgen.slots WHERE publisher = {publisher})"
    ).format(publisher=sql.Literal(publisher))


def undelivered(publisher: int) -> sql.Composable:
    """Return how many events are undelivered and may still be tried, and the reason of the last failure among them."""
    return sql.SQL(
        "SELECT (SELECT count(*) FROM eventgen.pending WHERE publisher = {publisher})"
        " + (SELECT count(*) FROM eventgen.waiting WHERE publisher = {publisher})"
        " + (SELECT count(*) FROM eventgen.blocked WHERE publisher = {publisher} AND due_at IS NOT NULL),"
        " (SELECT reason FROM eventgen.blocked WHERE publisher = {publisher} ORDER BY failed_at DESC LIMIT 1)"
    ).format(publisher=sql.Literal(publisher))


# -- what a person asks for -------------------------------------------------------------------------------------------

NOTIFY = sql.SQL("SELECT pg_notify({}, '')").format(sql.Literal(CHANNEL))
"""Wakes the relays at the commit."""


def lock_all_slots(publisher: int) -> sql.Composable:
    """Wait until no relay is at work for a publisher, and let none begin."""
    return sql.SQL("SELECT slot FROM eventgen.slots WHERE publisher = {} ORDER BY slot FOR UPDATE").format(
        sql.Literal(publisher)
    )


def letters(publisher: int | None, numbers: Sequence[int] | None, types: Sequence[str] | None) -> sql.Composable:
    """Return dead letters, oldest first.

    Each is (letter, publisher's name, id, type, subject, attempts, reason, when it died, publisher's number, sequence).

    Args:
        publisher: only of this one.
        numbers: only these.
        types: only of types that fit one of these patterns.
    """
    return sql.SQL(
        "SELECT letter, publisher.name, event.id, event.type, event.subject, event.attempts, event.reason,"
        " to_char(event.died_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), publisher.number, event.sequence"
        " FROM eventgen.dead_letters AS event JOIN eventgen.publishers AS publisher ON publisher.number = event.publisher"
        " WHERE ({publisher}::smallint IS NULL OR publisher.number = {publisher})"
        " AND ({numbers} IS NULL OR event.letter = ANY ({numbers})) AND ({types} IS NULL OR event.type LIKE ANY ({types}))"
        " ORDER BY letter"
    ).format(
        publisher=sql.Literal(publisher),
        numbers=sql.SQL("{}::bigint[]").format(sql.Literal(None if numbers is None else list(numbers))),
        types=_texts(types),
    )


def take_letters(numbers: Sequence[int]) -> sql.Composable:
    """Remove dead letters; return (publisher's number, sequence, slot, subject) of each."""
    return sql.SQL(
        "DELETE FROM eventgen.dead_letters AS event WHERE letter = ANY ({}::bigint[])"
        " RETURNING publisher, sequence, {slot}, subject"
    ).format(sql.Literal(list(numbers)), slot=_SLOT)


def mark(publisher: int, rows: Iterable[tuple[int, int]]) -> sql.Composable:
    """Make events, (slot, sequence), due again."""
    return sql.SQL(
        "INSERT INTO eventgen.pending (publisher, slot, sequence) SELECT {}, slot, sequence FROM {} AS row (slot, sequence)"
        " ON CONFLICT DO NOTHING"
    ).format(sql.Literal(publisher), _rows(rows, "smallint", "bigint"))


def held_by(publisher: int, rows: Iterable[tuple[str, int]]) -> sql.Composable:
    """Return (subject) of those keys that one of these events, (subject, sequence), holds for good."""
    return sql.SQL(
        "SELECT blocked.subject FROM eventgen.blocked JOIN {rows} AS row (subject, sequence)"
        " ON blocked.subject = row.subject AND blocked.sequence = row.sequence"
        " WHERE blocked.publisher = {publisher} AND blocked.due_at IS NULL"
    ).format(publisher=sql.Literal(publisher), rows=_rows(rows, "text", "bigint"))


def replay(publisher: int, chosen: Chosen) -> sql.Composable:
    """Make recorded events due again, where they fit the publisher, and are not undelivered or dead anyway."""
    return sql.SQL(
        "INSERT INTO eventgen.pending (publisher, slot, sequence) SELECT publisher.number, {slot}, event.sequence"
        " FROM eventgen.events AS event JOIN eventgen.publishers AS publisher ON {fits}"
        " WHERE publisher.number = {publisher}"
        " AND ({ids} IS NULL OR event.id = ANY ({ids})) AND ({types} IS NULL OR event.type LIKE ANY ({types}))"
        " AND ({streams} IS NULL OR event.stream LIKE ANY ({streams}))"
        " AND ({keys} IS NULL OR event.partitionkey = ANY ({keys}))"
        " AND ({since}::timestamptz IS NULL OR event.recorded_at >= {since}::timestamptz)"
        " AND ({until}::timestamptz IS NULL OR event.recorded_at < {until}::timestamptz)"
        " AND NOT EXISTS (SELECT FROM eventgen.blocked WHERE blocked.publisher = publisher.number"
        "  AND blocked.subject = event.subject AND blocked.sequence = event.sequence)"
        " AND NOT EXISTS (SELECT FROM eventgen.waiting WHERE waiting.publisher = publisher.number"
        "  AND waiting.subject = event.subject AND waiting.sequence = event.sequence)"
        " AND NOT EXISTS (SELECT FROM eventgen.dead_letters WHERE dead_letters.publisher = publisher.number"
        "  AND dead_letters.sequence = event.sequence)"
        " ON CONFLICT DO NOTHING"
    ).format(
        slot=_SLOT,
        fits=_FITS,
        publisher=sql.Literal(publisher),
        ids=_texts(chosen.ids),
        types=_texts(chosen.types),
        streams=_texts(chosen.streams),
        keys=_texts(chosen.keys),
        since=sql.Literal(chosen.since),
        until=sql.Literal(chosen.until),
    )


# -- what there is to see ---------------------------------------------------------------------------------------------

PROGRESS = sql.SQL(
    "SELECT name, pending.number, waiting.number, retrying.number, dead.number, coalesce(slot.delivered, 0)::bigint,"
    " coalesce(slot.recent, 0) / {seconds}, extract(epoch FROM clock_timestamp() - slot.delivered_at)::float8,"
    " extract(epoch FROM clock_timestamp() - oldest.recorded_at)::float8, failure.reason"
    " FROM eventgen.publishers AS publisher"
    " CROSS JOIN LATERAL (SELECT count(*) AS number FROM eventgen.pending WHERE publisher = publisher.number) AS pending"
    " CROSS JOIN LATERAL (SELECT count(*) AS number FROM eventgen.waiting WHERE publisher = publisher.number) AS waiting"
    " CROSS JOIN LATERAL (SELECT count(*) AS number FROM eventgen.blocked WHERE publisher = publisher.number"
    "  AND due_at IS NOT NULL) AS retrying"
    " CROSS JOIN LATERAL (SELECT count(*) AS number FROM eventgen.dead_letters WHERE publisher = publisher.number) AS dead"
    " CROSS JOIN LATERAL (SELECT sum(delivered) AS delivered, max(delivered_at) AS delivered_at,"
    "  sum(recent * exp(-extract(epoch FROM clock_timestamp() - delivered_at)::float8 / {seconds})) AS recent"
    "  FROM eventgen.slots WHERE publisher = publisher.number) AS slot"
    " LEFT JOIN LATERAL (SELECT recorded_at FROM eventgen.events WHERE sequence = least("
    "  (SELECT min(head.sequence) FROM eventgen.slots CROSS JOIN LATERAL (SELECT sequence FROM eventgen.pending"
    "    WHERE pending.publisher = publisher.number AND pending.slot = slots.slot ORDER BY sequence LIMIT 1) AS head"
    "   WHERE slots.publisher = publisher.number),"
    "  (SELECT min(sequence) FROM eventgen.waiting WHERE publisher = publisher.number),"
    "  (SELECT min(sequence) FROM eventgen.blocked WHERE publisher = publisher.number AND due_at IS NOT NULL))) AS oldest ON true"
    " LEFT JOIN LATERAL (SELECT reason FROM eventgen.blocked WHERE publisher = publisher.number"
    "  ORDER BY failed_at DESC LIMIT 1) AS failure ON true"
    " ORDER BY name"
).format(seconds=sql.Literal(RECENT_SECONDS))
"""Returns a row a publisher, in the order of the fields of `status.Progress`."""

RECORDED = sql.SQL(
    "SELECT type, count(*), extract(epoch FROM clock_timestamp() - max(recorded_at))::float8 FROM eventgen.events"
    " GROUP BY type ORDER BY type"
)
"""Returns (event type, how many are recorded, seconds since the last)."""

UNDELIVERED = sql.SQL(
    "SELECT events.type, publishers.name, count(*) FROM (SELECT publisher, sequence FROM eventgen.pending"
    " UNION ALL SELECT publisher, sequence FROM eventgen.waiting"
    " UNION ALL SELECT publisher, sequence FROM eventgen.blocked WHERE due_at IS NOT NULL) AS marked"
    " JOIN eventgen.events ON events.sequence = marked.sequence"
    " JOIN eventgen.publishers ON publishers.number = marked.publisher GROUP BY 1, 2 ORDER BY 1, 2"
)
"""Returns (event type, publisher's name, how many are undelivered)."""


# -- retention --------------------------------------------------------------------------------------------------------


def tidy(after: int, days: float, most: int) -> sql.Composable:
    """Delete, among the next events behind a sequence, those that are old and that nobody needs any more.

    Returns (sequence of the last that was looked at, NULL where there is none; number deleted; whether all were old).
    """
    return sql.SQL(
        "WITH next AS (SELECT sequence, subject, recorded_at < clock_timestamp() - {days} * interval '1 day' AS old"
        "  FROM eventgen.events WHERE sequence > {after} ORDER BY sequence LIMIT {most}"
        "), deleted AS (DELETE FROM eventgen.events USING next AS event WHERE events.sequence = event.sequence AND event.old"
        "  AND NOT EXISTS (SELECT FROM eventgen.publishers AS publisher WHERE"
        "   EXISTS (SELECT FROM eventgen.pending WHERE pending.publisher = publisher.number"
        "    AND pending.slot = {slot} AND pending.sequence = event.sequence)"
        "   OR EXISTS (SELECT FROM eventgen.blocked WHERE blocked.publisher = publisher.number"
        "    AND blocked.subject = event.subject AND blocked.sequence = event.sequence)"
        "   OR EXISTS (SELECT FROM eventgen.waiting WHERE waiting.publisher = publisher.number"
        "    AND waiting.subject = event.subject AND waiting.sequence = event.sequence)"
        "   OR EXISTS (SELECT FROM eventgen.dead_letters WHERE dead_letters.publisher = publisher.number"
        "    AND dead_letters.sequence = event.sequence))"
        "  RETURNING 1"
        ") SELECT max(sequence), (SELECT count(*) FROM deleted), bool_and(old) FROM next"
    ).format(days=sql.Literal(days), after=sql.Literal(after), most=sql.Literal(most), slot=_SLOT)


# -- values -----------------------------------------------------------------------------------------------------------


def _texts(texts: Sequence[str] | None) -> sql.Composable:
    return sql.SQL("{}::text[]").format(sql.Literal(None if texts is None else list(texts)))


def _integers(numbers: Iterable[object], type_: str) -> sql.Composable:
    """Return an array; psycopg2 would spell its elements one by one, at twenty times the cost."""
    return sql.SQL("{}::{}[]").format(sql.Literal("{" + ",".join(map(str, numbers)) + "}"), sql.SQL(type_))


def _rows(rows: Iterable[tuple[object, ...]], *types: str) -> sql.Composable:
    """Return rows as a function over one array a column: its text is short, and the planner sees how many there are."""
    columns = list(zip(*rows, strict=True)) or [()] * len(types)
    arrays = (
        _integers(column, type_)
        if type_.endswith("int")
        else sql.SQL("{}::{}[]").format(sql.Literal(list(column)), sql.SQL(type_))
        for column, type_ in zip(columns, types, strict=True)
    )
    return sql.SQL("unnest({})").format(sql.SQL(", ").join(arrays))
