"""The receiver under load, next to a bare Starlette handler that stores with the same durability.

    python benchmarks/webhooks.py [--seconds 8] [--rounds 3] [--connections 64] [--only way]

needs wrk (Debian's package) and makes an embedded Postgres of its own. Both services run on uvicorn, with the same
loop and parser, and both store a notification before they answer, many sharing one transaction. The bare one reads the
body, hands it to one thread that inserts what has gathered as one statement, and answers: no signature, no check of
the content, no limit, no counter, no repeat recognised. Requests are a kilobyte, signed as Standard Webhooks has it;
their ids differ, as those of real deliveries do. Rounds alternate; medians count. Beside the rates, which other work
on the machine disturbs, stands the processor time of service and Postgres for a request, which it hardly does. The
first table is the way of one notification at a time from POST to event row, through `webhooks
drain --follow | target-eventgen`.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil
import psycopg2

from target_eventgen import embedded
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

BIN = Path(sys.executable).parent
KEY = b"a key of thirty-two bytes, no less"
BODIES = 120_000
"""More than are sent in a round: a repeat would not be stored."""

BARE = """
import asyncio, contextlib, os, queue, threading
import psycopg2, uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

waiting = queue.SimpleQueue()
connection = psycopg2.connect(os.environ["DATABASE"])
connection.autocommit = True
connection.cursor().execute("create table if not exists bare (sequence bigint generated always as identity primary key, body text not null)")

def answer(futures):
    for future in futures:
        future.set_result(None)

def work(loop):
    cursor = connection.cursor()
    while True:
        batch = [waiting.get()]
        with contextlib.suppress(queue.Empty):
            while len(batch) < 500:
                batch.append(waiting.get_nowait())
        cursor.execute("insert into bare (body) select unnest(%s::text[])", ([body for body, _ in batch],))
        loop.call_soon_threadsafe(answer, [future for _, future in batch])

async def receive(request):
    body = (await request.body()).decode()
    future = asyncio.get_running_loop().create_future()
    waiting.put((body, future))
    await future
    return PlainTextResponse("ok")

@contextlib.asynccontextmanager
async def lifespan(app):
    threading.Thread(target=work, args=(asyncio.get_running_loop(),), daemon=True).start()
    yield

app = Starlette(routes=[Route("/billing", receive, methods=["POST"]), Route("/ready", lambda request: PlainTextResponse("ok"))], lifespan=lifespan)
uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), access_log=False, log_level="warning")
"""

# wrk sends these in turn, each connection from a place of its own; ids make them deliveries of their own.
REQUESTS = """
local requests = {}
for line in io.lines("requests.tsv") do
  local id, at, signature, body = line:match("([^\\t]*)\\t([^\\t]*)\\t([^\\t]*)\\t(.*)")
  requests[#requests + 1] = wrk.format("POST", "/billing", {["Content-Type"] = "application/json", ["webhook-id"] = id,
    ["webhook-timestamp"] = at, ["webhook-signature"] = signature}, body)
end
local place = 0
function request() place = place % #requests + 1; return requests[place] end
function done(summary, latency, _)
  io.write(string.format("RESULT %d %d %d %d %d %d\\n", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), summary.errors.status, summary.errors.connect + summary.errors.read + summary.errors.timeout))
end
"""


class Load(NamedTuple):
    """What wrk measured: requests a second, milliseconds; and microseconds of processor time a request."""

    rate: float
    median: float
    p99: float
    cost: float = 0.0


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def body_of(number: int, size: int = 1000) -> bytes:
    """Return a notification of about that size."""
    at = f"2026-01-01T00:{number // 60 % 60:02}:{number % 60:02}Z"
    data = {"id": number, "updated_at": at, "value": 500, "status": "active", "note": ""}
    data["note"] = "x" * (size - len(json.dumps(data)))
    return json.dumps({"type": "thing.updated", "timestamp": at, "data": data}).encode()


def signature_of(name: str, at: str, body: bytes) -> str:
    """As Standard Webhooks has it."""
    made = hmac.new(KEY, f"{name}.{at}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(made).decode()}"


def configuration(database: str) -> dict[str, Any]:
    """Return the tap's configuration."""
    properties = {
        "id": {"type": "integer"},
        "value": {"type": "number"},
        "updated_at": {"type": "string", "format": "date-time"},
    }
    return {
        "webhooks": {
            "sources": [
                {
                    "name": "billing",
                    "signature": {"type": "standard_webhooks", "tolerance": 86_400},
                    "streams": [{"stream": "things"}],
                }
            ]
        },
        "webhook_queue": database,
        "webhook_secrets": {"billing": f"whsec_{base64.b64encode(KEY).decode()}"},
        "streams": [
            {
                "name": "things",
                "source": "webhooks",
                "primary_key": ["id"],
                "schema": {"type": "object", "properties": properties},
                "incremental": {"cursor_path": "updated_at"},
            }
        ],
    }


@contextmanager
def service(command: list[str | Path], folder: Path, port: int, **environment: str) -> Iterator[int]:
    """Run a service while the block runs, and yield its process's id."""
    with (folder / "service.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, **environment}, stdout=log, stderr=log)
    try:

        def is_ready() -> bool:
            if process.poll() is not None:
                raise SystemExit((folder / "service.log").read_text())
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=1):
                return True
            return False

        wait_until(is_ready, what=lambda: f"a service that is ready: {(folder / 'service.log').read_text()}")
        yield process.pid
    finally:
        process.terminate()
        process.wait(60)


def spent(pid: int, database: str) -> float:
    """Seconds of processor time that the service and its connection's backend used until now."""
    query = "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'"
    with closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        backends = [int(row[0]) for row in cursor]
    times = [psutil.Process(each).cpu_times() for each in (pid, *backends)]
    return sum(each.user + each.system for each in times)


def loaded(folder: Path, port: int, seconds: int, connections: int) -> Load:
    """Return what wrk measures."""
    fresh(folder)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", "requests.lua", f"http://127.0.0.1:{port}"]
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)", said)
    assert found, said
    requests, microseconds, median, p99, refused, failed = map(int, found.groups())
    assert (refused, failed) == (0, 0), said
    assert requests <= BODIES, "make the rounds shorter"
    return Load(requests / microseconds * 1e6, median / 1000, p99 / 1000)


def fresh(folder: Path) -> None:
    """Give the requests new ids, so that none is a repeat of an earlier round's."""
    at = str(int(time.time()))
    lines = []
    for number in range(BODIES):
        name, body = f"msg_{time.time_ns()}_{number}", body_of(number)
        lines.append("\t".join([name, at, signature_of(name, at, body), body.decode()]))
    (folder / "requests.tsv").write_text("\n".join(lines) + "\n")
    (folder / "requests.lua").write_text(REQUESTS)


def rates(folder: Path, database: str, seconds: int, rounds: int, connections: int) -> None:
    """Print both services' rates and latencies, and their ratio."""
    (folder / "bare.py").write_text(BARE)
    (folder / "config.json").write_text(json.dumps(configuration(database)))
    found: dict[str, list[Load]] = {"bare": [], "ours": []}
    for _ in range(rounds):
        for name, loads in found.items():
            port = free_port()
            command: list[str | Path] = (
                [sys.executable, "bare.py"]
                if name == "bare"
                else [BIN / "tap-restextract", "webhooks", "serve", "--config", "config.json", "--port", str(port)]
            )
            with service(command, folder, port, DATABASE=database, PORT=str(port)) as pid:
                loaded(folder, port, 2, connections)
                before = spent(pid, database)
                load = loaded(folder, port, seconds, connections)
                cost = (spent(pid, database) - before) / (load.rate * seconds) * 1e6
                loads.append(load._replace(cost=cost))
            with closing(psycopg2.connect(database)) as connection, connection, connection.cursor() as cursor:
                cursor.execute("truncate tap_restextract.webhooks" if name == "ours" else "truncate bare")
    print(f"{connections} connections, {rounds} rounds of {seconds} s, medians\n")
    print("| | requests/s | median | p99 | processor time a request |\n|---|---:|---:|---:|---:|")
    middle = {
        name: Load(*(statistics.median(column) for column in zip(*each, strict=True))) for name, each in found.items()
    }
    for name, load in middle.items():
        print(f"| {name} | {load.rate:,.0f} | {load.median:.1f} ms | {load.p99:.1f} ms | {load.cost:.0f} µs |")
    ratios = [ours.rate / bare.rate for ours, bare in zip(found["ours"], found["bare"], strict=True)]
    print(f"\nratio {statistics.median(ratios):.2f} (of each round: {', '.join(f'{each:.2f}' for each in ratios)})")
    print(f"of processor time: {middle['bare'].cost / middle['ours'].cost:.2f}\n")


def way(folder: Path, database: str, count: int = 100) -> None:
    """Print how long a notification takes from POST to event row."""
    port = free_port()
    (folder / "config.json").write_text(json.dumps(configuration(database)))
    rules = [{"type": "passed", "stream": "things", "enters": "value > 100"}]
    settings = {"database_url": database, "events": rules, "initial_load": "emit", "checkpoint_seconds": 0.05}
    (folder / "target.json").write_text(json.dumps(settings))
    serve: list[str | Path] = [
        BIN / "tap-restextract",
        "webhooks",
        "serve",
        "--config",
        "config.json",
        "--port",
        str(port),
    ]
    drain = [BIN / "tap-restextract", "webhooks", "drain", "--follow", "--config", "config.json"]
    with (
        service(serve, folder, port),
        (folder / "pipe.log").open("wb") as log,
        (folder / "states").open("wb") as states,
    ):
        tap = subprocess.Popen(drain, cwd=folder, stdout=subprocess.PIPE, stderr=log)
        target = subprocess.Popen(
            [BIN / "target-eventgen", "--config", "target.json"],
            cwd=folder,
            stdin=tap.stdout,
            stdout=states,
            stderr=log,
        )
        took = []
        with closing(psycopg2.connect(database)) as connection:
            connection.autocommit = True
            cursor = connection.cursor()
            for number in range(1_000_000, 1_000_000 + count + 1):
                body, name, at = body_of(number), f"msg_{time.time_ns()}", str(int(time.time()))
                headers = {
                    "webhook-id": name,
                    "webhook-timestamp": at,
                    "webhook-signature": signature_of(name, at, body),
                }
                began = time.perf_counter()
                urllib.request.urlopen(
                    urllib.request.Request(f"http://127.0.0.1:{port}/billing", body, headers)
                ).close()
                while True:
                    cursor.execute("select to_regclass('eventgen.events') is not null")
                    if cursor.fetchone() == (True,):
                        cursor.execute("select 1 from eventgen.events where key->>'id' = %s", (str(number),))
                        if cursor.fetchone():
                            break
                    assert time.perf_counter() - began < 60, (folder / "pipe.log").read_text()[-2000:]
                    time.sleep(0.001)
                took.append(time.perf_counter() - began)
                time.sleep(0.05)
        tap.terminate()
        target.wait(60)
    took = sorted(each * 1000 for each in took[1:])  # the first made the table
    print(f"| from POST to event row, {len(took)} of them | |\n|---|---:|")
    for name, value in (
        ("median", took[len(took) // 2]),
        ("p90", took[len(took) * 9 // 10]),
        ("p99", took[-2]),
        ("most", took[-1]),
    ):
        print(f"| {name} | {value:.0f} ms |")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--only", choices=["way", "rates"])
    given = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk isn't here: apt-get install wrk")
    with tempfile.TemporaryDirectory(prefix="webhooks-", dir="/tmp") as path:
        folder = Path(path)
        folder.chmod(0o755)
        try:
            database = embedded.up(folder / "postgres")
            if given.only != "rates":
                way(folder, database)
                print()
            if given.only != "way":
                rates(folder, database, given.seconds, given.rounds, given.connections)
        finally:
            embedded.remove(folder / "postgres")


if __name__ == "__main__":
    main()
