"""A backlog of events drained by one relay into a file: seconds, memory, and a plain loop beside it.

`python benchmarks/relay.py [EVENTS]`; 1,000,000 take some minutes. The plain loop reads the same events in order, with
one statement and a server-side cursor, writes them as lines, and syncs the file after as many lines as the publisher
does. It marks nothing. `--held` keeps a transaction open meanwhile, which keeps the server from vacuuming; `--relays N`
starts several.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

import psycopg2

from target_eventgen import embedded
from target_eventgen.delivery import registration
from target_eventgen.delivery.outbox import Outbox, Selection
from target_eventgen.model.routes import Route
from target_eventgen.publishers.cloudevent import cloud_event, json_line
from target_eventgen.publishers.file import MAX_CALL_EVENTS

RECORD = """
insert into eventgen.events (id, source, type, subject, time, partitionkey, stream, key, data)
select encode(sha256(n::text::bytea), 'hex'), 'benchmark', 'subscription.changed', 'subscriptions/' || k, now(), k::text,
  'subscriptions', jsonb_build_object('id', k),
  jsonb_build_object('old', jsonb_build_object('id', k, 'value', n - 1, 'note', repeat('x', 100)),
    'new', jsonb_build_object('id', k, 'value', n, 'note', repeat('x', 100)), 'changed', jsonb_build_array('value'))
from (select n, n %% %(keys)s as k from generate_series(%(first)s, %(last)s) n) numbers
"""


def main() -> None:
    """Start a Postgres of its own, and remove it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events", type=int, nargs="?", default=100_000)
    parser.add_argument("--held", action="store_true", help="keep an old transaction open")
    parser.add_argument("--relays", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o755)
        try:
            measure(embedded.up(place / "postgres"), place, given)
        finally:
            embedded.remove(place / "postgres")


def measure(url: str, folder: Path, given: argparse.Namespace) -> None:
    """Print what was found."""
    output = folder / "events.jsonl"
    registration.announce(url, [Route("file", "file", None, None, {})])
    began = time.monotonic()
    record(url, given.events)
    print(f"{given.events} events recorded and marked in {time.monotonic() - began:.1f} s")
    plain = plain_loop(url, folder / "plain.jsonl")
    print(f"plain loop: {given.events / plain:,.0f} events/s")
    config = folder / "config.json"
    publisher = {"type": "file", "path": str(output), "rotate_bytes": 0}
    config.write_text(json.dumps({"database_url": url, "events": [], "publishers": [publisher]}))
    command = [sys.executable, "-m", "target_eventgen", "relay", "--config", str(config)]
    with held(url) if given.held else nullcontext():
        began = time.monotonic()
        processes = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(given.relays)]
        assert [process.wait() for process in processes] == [0] * given.relays
        seconds = time.monotonic() - began
    with output.open("rb") as lines:
        count = sum(1 for _ in lines)
    assert count == given.events, f"{count} lines"
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        f"{given.relays} relay(s): {given.events / seconds:,.0f} events/s, ratio {plain / seconds:.2f}, at most {memory:.0f} MB"
    )


def record(url: str, events: int) -> None:
    """Events of ten versions of each of many keys, in transactions of 50,000."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        for first in range(1, events + 1, 50_000):
            last = min(events, first + 49_999)
            cursor.execute(RECORD, {"keys": max(1, events // 10), "first": first, "last": last})
            connection.commit()


def plain_loop(url: str, path: Path) -> float:
    """Run the plain loop that the relay is compared with, and return its seconds."""
    began = time.monotonic()
    with closing(Outbox(url)) as outbox, path.open("wb") as file:
        for number, event in enumerate(outbox.newest(Selection()), 1):
            file.write(json_line(cloud_event(event)))
            if number % MAX_CALL_EVENTS == 0:
                file.flush()
                os.fsync(file.fileno())
        file.flush()
        os.fsync(file.fileno())
    return time.monotonic() - began


@contextmanager
def held(url: str) -> Iterator[None]:
    """Keep an old transaction with a snapshot open."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("set transaction isolation level repeatable read")
        cursor.execute("select pg_current_xact_id()")
        yield


if __name__ == "__main__":
    main()
