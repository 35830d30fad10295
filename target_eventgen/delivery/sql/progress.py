"""Statements that show how far delivery has come."""

from __future__ import annotations

from typing import Final

from psycopg2 import sql

RECENT_SECONDS: Final = 60
"""Seconds over which, about, the rate of deliveries is an average."""

FADED: Final = sql.SQL("exp(-least(extract(epoch FROM clock_timestamp() - delivered_at)::float8 / {}, 700))").format(
    sql.Literal(RECENT_SECONDS)
)
"""What is left of a slot's `recent` deliveries, as a part of 1; without the bound, Postgres calls it an underflow."""


RESTING: Final = sql.SQL("(off_at IS NOT NULL OR coalesce(paused_until > clock_timestamp(), false))")
"""Whether a row of `publishers` is not to be delivered to for now."""


PROGRESS: Final = sql.SQL(
    "SELECT name, pending.number, waiting.number, retrying.number, dead.number, coalesce(slot.delivered, 0)::bigint,"
    " coalesce(slot.recent, 0) / {seconds}, extract(epoch FROM clock_timestamp() - slot.delivered_at)::float8,"
    " extract(epoch FROM clock_timestamp() - oldest.recorded_at)::float8, failure.reason,"
    " CASE WHEN paused_until > clock_timestamp() THEN extract(epoch FROM paused_until - clock_timestamp())::float8 END,"
    " CASE WHEN paused_until > clock_timestamp() THEN pause_reason END,"
    " extract(epoch FROM clock_timestamp() - off_at)::float8, off_reason"
    " FROM eventgen.publishers AS publisher"
    " CROSS JOIN LATERAL (SELECT count(*) AS number FROM eventgen.pending WHERE publisher = publisher.number) AS pending"
    " CROSS JOIN LATERAL (SELECT count(*) AS number FROM eventgen.waiting WHERE publisher = publisher.number) AS waiting"
    " CROSS JOIN LATERAL (SELECT count(*) AS number FROM eventgen.blocked WHERE publisher = publisher.number"
    "  AND due_at IS NOT NULL) AS retrying"
    " CROSS JOIN LATERAL (SELECT count(*) AS number FROM eventgen.dead_letters WHERE publisher = publisher.number) AS dead"
    " CROSS JOIN LATERAL (SELECT sum(delivered) AS delivered, max(delivered_at) AS delivered_at,"
    "  sum(recent * {faded}) AS recent"
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
).format(seconds=sql.Literal(RECENT_SECONDS), faded=FADED)
"""Returns a row a publisher, in the order of the fields of `status.Progress`."""


RECORDED: Final = sql.SQL(
    "SELECT type, count(*), extract(epoch FROM clock_timestamp() - max(recorded_at))::float8 FROM eventgen.events"
    " GROUP BY type ORDER BY type"
)
"""Returns (event type, how many are recorded, seconds since the last)."""


UNDELIVERED: Final = sql.SQL(
    "SELECT events.type, publishers.name, count(*) FROM (SELECT publisher, sequence FROM eventgen.pending"
    " UNION ALL SELECT publisher, sequence FROM eventgen.waiting"
    " UNION ALL SELECT publisher, sequence FROM eventgen.blocked WHERE due_at IS NOT NULL) AS marked"
    " JOIN eventgen.events ON events.sequence = marked.sequence"
    " JOIN eventgen.publishers ON publishers.number = marked.publisher GROUP BY 1, 2 ORDER BY 1, 2"
)
"""Returns (event type, publisher's name, how many are undelivered)."""
