"""Statements of a turn: what is due is found, read, and unmarked; each looks up a bounded number of rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from psycopg2 import sql

from target_eventgen.delivery.decisions import SLOTS, Done
from target_eventgen.delivery.sql.progress import FADED, RESTING
from target_eventgen.delivery.sql.tables import KEY, KEYS
from target_eventgen.delivery.sql.values import integers, rows_of

LOOK_UPS: Final = sql.SQL(
    # Each statement of a turn is a look-up of a bounded number of rows. The statistics of tables that fill and empty
    # within seconds say nothing, and must not talk the planner into reading them whole.
    "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;"
    " SET LOCAL enable_bitmapscan = off;"
    # Marks that a crash of the server forgets are events that come twice, which they may.
    " SET LOCAL synchronous_commit = off"
)


def lock_slots(publisher: int, first: int, most: int, *, any_: bool = False) -> sql.Composable:
    """Lock slots that have something due and that no other transaction has locked; return (slot).

    None is locked while the publisher pauses, or is switched off.

    Args:
        publisher: its number.
        first: the slot to begin with, so that each has its turn.
        most: how many at most.
        any_: whether a slot may have nothing due, since it is likely that all have.
    """
    # One after the other, and no further than needed: where marks were removed a moment ago, or while an old snapshot
    # is open, they are still in the index, and have to be passed over. A lock within a sub-query keeps the planner to
    # this order.
    order = [(first + each) % SLOTS for each in range(SLOTS)]
    return sql.SQL(
        "SELECT locked.slot FROM unnest({order}) AS wanted (slot) CROSS JOIN LATERAL (SELECT slots.slot FROM eventgen.slots"
        " WHERE slots.publisher = {publisher} AND slots.slot = wanted.slot"
        " AND ({any_} OR EXISTS (SELECT FROM eventgen.pending WHERE pending.publisher = {publisher} AND pending.slot = wanted.slot)"
        "  OR EXISTS (SELECT FROM eventgen.blocked WHERE blocked.publisher = {publisher}"
        "   AND blocked.slot = wanted.slot AND blocked.due_at <= clock_timestamp()))"
        " FOR UPDATE SKIP LOCKED) AS locked"
        " WHERE NOT EXISTS (SELECT FROM eventgen.publishers WHERE number = {publisher} AND {resting}) LIMIT {most}"
    ).format(
        order=integers(order, "smallint"),
        publisher=sql.Literal(publisher),
        most=sql.Literal(most),
        any_=sql.Literal(any_),
        resting=RESTING,
    )


def due(publisher: int, slots: Sequence[int], most: int, depth: int) -> sql.Composable:
    """Return what is due in some slots, oldest first.

    Each is (sequence, slot, failed attempts, key where it had failed, whether another event of the publisher was
    delivered since then).

    Args:
        publisher: its number.
        slots: those that are locked.
        most: how many events.
        depth: how many of one slot.
    """
    return sql.SQL(
        "SELECT sequence, slot, attempts, subject, passed FROM (SELECT sequence, slot, attempts, subject,"
        "   coalesce(failed_at < (SELECT max(delivered_at) FROM eventgen.slots WHERE publisher = {publisher}), false) AS passed"
        "  FROM eventgen.blocked WHERE publisher = {publisher} AND slot = ANY ({slots}) AND due_at <= clock_timestamp()"
        "  ORDER BY sequence LIMIT {most}) AS retried"
        " UNION ALL"
        " SELECT head.sequence, wanted.slot, 0, NULL, false FROM unnest({slots}) AS wanted (slot) CROSS JOIN LATERAL"
        "  (SELECT sequence FROM eventgen.pending WHERE publisher = {publisher} AND slot = wanted.slot"
        "   ORDER BY sequence LIMIT {depth}) AS head"
        " ORDER BY sequence LIMIT {most}"
    ).format(
        publisher=sql.Literal(publisher),
        slots=integers(slots, "smallint"),
        most=sql.Literal(most),
        depth=sql.Literal(depth),
    )


def recorded(publisher: int, sequences: Iterable[int], size: int) -> sql.Composable:
    """Return events, oldest first.

    Each is (how many of them there are, the key by which an earlier event blocks it, or NULL, sequence, id, source,
    type, subject, partitionkey, data, time, traceparent, tracestate, stream, its row's key as text, its own key).
    `data` is NULL of one whose key is blocked.

    Args:
        publisher: its number.
        sequences: theirs.
        size: bytes of data, as they are stored, after which no more are returned.
    """
    # An index is searched for one sorted list several times as fast as for the rows of a join.
    return sql.SQL(
        "SELECT found, blocked_by, sequence, id, source, type, subject, partitionkey, CASE WHEN blocked_by IS NULL THEN data::text END,"
        " to_char(time AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), traceparent, tracestate, stream, key::text, own_key"
        " FROM (SELECT event.*, {key} AS own_key, CASE WHEN any_blocked THEN"
        "   (SELECT CASE WHEN bool_and(blocked.sequence <> event.sequence) THEN min(blocked.subject) END FROM eventgen.blocked"
        "    WHERE blocked.publisher = {publisher} AND blocked.subject = {keys}) END AS blocked_by,"
        "   count(*) OVER () AS found, sum(pg_column_size(data)) OVER"
        "    (ORDER BY sequence ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before"
        "  FROM eventgen.events AS event"
        "  CROSS JOIN (SELECT EXISTS (SELECT FROM eventgen.blocked WHERE publisher = {publisher})) AS state (any_blocked)"
        "  WHERE event.sequence = ANY ({sequences})) AS weighed"
        " WHERE before IS NULL OR before < {size} ORDER BY sequence"
    ).format(
        publisher=sql.Literal(publisher),
        sequences=integers(sequences, "bigint"),
        size=sql.Literal(size),
        key=KEY,
        keys=KEYS,
    )


def set_aside(publisher: int, rows: Iterable[tuple[int, int, str]]) -> sql.Composable:
    """Move events, (slot, sequence, key by which it is blocked), out of the way."""
    return sql.SQL(
        "WITH moved AS (DELETE FROM eventgen.pending USING {rows} AS row (slot, sequence, subject)"
        " WHERE pending.publisher = {publisher} AND pending.slot = row.slot AND pending.sequence = row.sequence"
        " RETURNING pending.slot, pending.sequence, row.subject)"
        " INSERT INTO eventgen.waiting (publisher, subject, sequence, slot)"
        " SELECT {publisher}, subject, sequence, slot FROM moved"
    ).format(
        publisher=sql.Literal(publisher),
        rows=rows_of(rows, "smallint", "bigint", "text"),
    )


def unmark(publisher: int, rows: Iterable[tuple[int, int]]) -> sql.Composable:
    """Remove the marks of events, (slot, sequence)."""
    slots: dict[int, list[int]] = {}
    for slot, sequence in rows:
        slots.setdefault(slot, []).append(sequence)
    # An index is searched for one sorted list several times as fast as for the rows of a join.
    one = "DELETE FROM eventgen.pending WHERE publisher = {} AND slot = {} AND sequence = ANY ({})"
    return sql.SQL("; ").join(
        sql.SQL(one).format(sql.Literal(publisher), sql.Literal(slot), integers(sequences, "bigint"))
        for slot, sequences in slots.items()
    )


def count_delivered(publisher: int, done: Iterable[Done]) -> sql.Composable:
    """Add to the number of delivered events of each slot."""
    numbers: dict[int, int] = {}
    for verdict in done:
        numbers[verdict.item.slot] = numbers.get(verdict.item.slot, 0) + 1
    return sql.SQL(
        "UPDATE eventgen.slots SET delivered = delivered + row.number,"
        " recent = row.number + coalesce(recent * {faded}, 0), delivered_at = clock_timestamp() FROM {rows} AS row (slot, number)"
        " WHERE slots.publisher = {publisher} AND slots.slot = row.slot"
    ).format(
        faded=FADED,
        publisher=sql.Literal(publisher),
        rows=rows_of(numbers.items(), "smallint", "bigint"),
    )


def remaining(publisher: int) -> sql.Composable:
    """Return what remains to be done.

    One row: whether something is pending; the seconds until the first blocked event is due, NULL where none is; how
    many events have been delivered so far, by any relay; the seconds of the publisher's pause, NULL where there is
    none, and its reason; why it is switched off, NULL where it isn't.
    """
    return sql.SQL(
        "SELECT EXISTS (SELECT FROM eventgen.pending WHERE publisher = {publisher}),"
        " (SELECT extract(epoch FROM min(due_at) - clock_timestamp())::float8 FROM eventgen.blocked WHERE publisher = {publisher}),"
        " (SELECT sum(delivered)::bigint FROM eventgen.slots WHERE publisher = {publisher}),"
        " (SELECT extract(epoch FROM paused_until - clock_timestamp())::float8 FROM eventgen.publishers"
        "  WHERE number = {publisher} AND paused_until > clock_timestamp()),"
        " (SELECT pause_reason FROM eventgen.publishers WHERE number = {publisher}),"
        " (SELECT off_reason FROM eventgen.publishers WHERE number = {publisher} AND off_at IS NOT NULL)"
    ).format(publisher=sql.Literal(publisher))


def pause(publisher: int, seconds: float, reason: str) -> sql.Composable:
    """Have a publisher pause for so many seconds, in every relay."""
    return sql.SQL(
        "UPDATE eventgen.publishers SET paused_until = greatest(paused_until, clock_timestamp() + {} * interval '1 second'),"
        " pause_reason = {} WHERE number = {}"
    ).format(sql.Literal(seconds), sql.Literal(reason), sql.Literal(publisher))


def switch_off(publisher: int, reason: str) -> sql.Composable:
    """Have nothing delivered to a publisher any more, by no relay, until a person switches it on."""
    return sql.SQL(
        "UPDATE eventgen.publishers SET off_at = coalesce(off_at, clock_timestamp()), off_reason = {} WHERE number = {}"
    ).format(sql.Literal(reason), sql.Literal(publisher))


def undelivered(publisher: int) -> sql.Composable:
    """Return how many events are undelivered and may still be tried, and the reason of the last failure among them."""
    return sql.SQL(
        "SELECT (SELECT count(*) FROM eventgen.pending WHERE publisher = {publisher})"
        " + (SELECT count(*) FROM eventgen.waiting WHERE publisher = {publisher})"
        " + (SELECT count(*) FROM eventgen.blocked WHERE publisher = {publisher} AND due_at IS NOT NULL),"
        " (SELECT reason FROM eventgen.blocked WHERE publisher = {publisher} ORDER BY failed_at DESC LIMIT 1)"
    ).format(publisher=sql.Literal(publisher))
