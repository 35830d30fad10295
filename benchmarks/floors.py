"""The floors: what a script does that does nothing else, written on the same libraries.

It runs in a process of its own:

    python floors.py tap URL                 every page of a token list, as RECORD lines
    python floors.py target DATABASE_URL     Singer lines into one table: a thread decodes, COPY, lock, upsert, STATE

Neither validates, notices a loop, a tie or a repeat, keeps what is older out, or tells an event.
"""

from __future__ import annotations

import io
import itertools
import queue
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timezone

import msgspec

BATCH = 10_000
COLUMNS = {
    "id": "bigint primary key",
    "customer_id": "text",
    "email": "text",
    "plan": "text",
    "status": "text",
    "quantity": "bigint",
    "value": "numeric",
    "currency": "text",
    "country": "text",
    "trial_ends_at": "timestamptz",
    "created_at": "timestamptz",
    "updated_at": "timestamptz",
    "auto_renew": "boolean",
    "note": "text",
}
ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def extract(url: str) -> None:
    """Extract with requests and msgspec, a page after the other, one write a page."""
    import requests  # noqa: PLC0415  only the one floor needs it

    encoder, session = msgspec.json.Encoder(), requests.Session()
    cursor = None
    while True:
        body = msgspec.json.decode(session.get(url, params={"cursor": cursor} if cursor else None).content)
        now = datetime.now(timezone.utc).isoformat()
        messages = [
            {"type": "RECORD", "stream": "subscriptions", "record": record, "time_extracted": now}
            for record in body["data"]
        ]
        sys.stdout.buffer.write(encoder.encode_lines(messages))
        sys.stdout.buffer.flush()
        cursor = body["next"]
        if cursor is None:
            return


def load(database_url: str) -> None:
    """msgspec, a decoding thread, COPY, FOR UPDATE, upsert; a transaction for each 10,000 records."""
    import psycopg2  # noqa: PLC0415  likewise

    connection = psycopg2.connect(database_url)
    with connection, connection.cursor() as cursor:
        described = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
        cursor.execute(f"create table if not exists subscriptions ({described})")
        cursor.execute("create temporary table staged (like subscriptions) on commit delete rows")
    batches: queue.Queue[tuple[str, bytes] | None] = queue.Queue(maxsize=2)
    threading.Thread(target=_decode, args=(batches,), daemon=True).start()
    names = ", ".join(COLUMNS)
    changes = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS if name != "id")
    while (batch := batches.get()) is not None:
        text, state = batch
        with connection, connection.cursor() as cursor:
            cursor.copy_expert(f"copy staged ({names}) from stdin", io.StringIO(text))
            cursor.execute("select from subscriptions where id in (select id from staged) order by id for update")
            cursor.execute(
                f"insert into subscriptions ({names}) select {names} from staged order by id "
                f"on conflict (id) do update set {changes}"
            )
        sys.stdout.buffer.write(state)
        sys.stdout.buffer.flush()


def _decode(batches: queue.Queue[tuple[str, bytes] | None]) -> None:
    message = msgspec.defstruct("Message", [("type", str), ("record", dict | None, None), ("value", msgspec.Raw, b"")])
    decoder = msgspec.json.Decoder(message)
    rows: list[str] = []
    for lines in _chunks():
        for line in lines:
            decoded = decoder.decode(line)
            if decoded.type == "RECORD":
                record = decoded.record
                rows.append("\t".join([_cell(record.get(name)) for name in COLUMNS]))
            elif decoded.type == "STATE" and rows:
                batches.put(("\n".join(rows) + "\n", bytes(decoded.value) + b"\n"))
                rows = []
    batches.put(None)


def _chunks() -> Iterator[list[bytes]]:
    while lines := list(itertools.islice(sys.stdin.buffer, BATCH)):
        yield lines


def _cell(value: object) -> str:
    if isinstance(value, str):
        return value.translate(ESCAPES) if "\\" in value or "\t" in value or "\n" in value or "\r" in value else value
    return "\\N" if value is None else str(value)


if __name__ == "__main__":
    {"tap": extract, "target": load}[sys.argv[1]](sys.argv[2])
