"""The crash matrix: a run is stopped at a failpoint by a kill, a cut connection or a stop of Postgres, then replayed.

`python -m proofs.crash 500` (`make crash N=500`) prints, for each failpoint and each kind of fault, how
many cases reached it, and what was lost, told twice, told without reason, stored wrongly, or said by STATE too early.
Every number but the first must be zero.

A case has an input of two streams. A run is killed, or goes on by itself once the fault is over. Who was killed begins
again from the last STATE that came out whole, as Meltano would have it. Targets are forked from one process that has
imported everything, so that a case takes a fraction of a second.

Two places are not in the target's code. `after_rows` is in the middle of the statement that writes rows and events: a
trigger of the outbox waits there. `commit_sent` is a COMMIT that Postgres has done and whose answer a proxy withholds.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812  it is a class

from target_eventgen import embedded, failpoints
from target_eventgen.target import TargetEventgen
from tests.support.messages import lines, record, schema, state
from tests.support.proxy import PostgresProxy
from tests.support.queries import execute
from tests.support.waiting import wait_until

IN_CODE = (
    failpoints.AFTER_STAGING,
    failpoints.AFTER_LOCK,
    failpoints.AFTER_EVENTS,
    failpoints.BEFORE_COMMIT,
    failpoints.BEFORE_STATE,
    failpoints.STATE_HALF_WRITTEN,
)
POINTS = (*IN_CODE[:2], "after_rows", *IN_CODE[2:4], "commit_sent", *IN_CODE[4:])
KINDS = ("target killed", "connection cut", "Postgres stopped")
COUNTS = ("reached", "lost", "duplicated", "ghosts", "rows wrong", "STATE ahead")

STREAMS = ("orders", "subscriptions")
RECORDS = 120
A_STATE = 6
"""Records between two STATEs."""

A_CHECKPOINT = 12
SECONDS = 60
LOCK = 77

RULES = [
    rule
    for stream in STREAMS
    for rule in (
        {"type": "created", "stream": stream, "on": "created"},
        {"type": "passed", "stream": stream, "enters": "value > 10"},
        {"type": "fell", "stream": stream, "leaves": "value > 10"},
        {"type": "touched", "stream": stream, "on": "updated"},
    )
]

CHECKPOINT_OF_AN_EVENT = f"(extract(epoch from new.time)::bigint % {RECORDS} / {A_CHECKPOINT})::integer"
"""A record's second is its number, and no event is of a repetition."""

WAITING_TRIGGER = f"""
create or replace function eventgen.wait() returns trigger language plpgsql as
$$begin perform pg_advisory_xact_lock_shared({LOCK}, {CHECKPOINT_OF_AN_EVENT}); return new; end$$;
create or replace trigger wait before insert on eventgen.events for each row execute function eventgen.wait();
"""

Event = tuple[str, str, int, int]
"""Type, stream, key, second of the version."""


class Server:
    """A Postgres of its own, that can be stopped as if its machine had lost power, and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.url = embedded.up(folder)
        # What the kernel has is kept: only processes die here.
        self.execute("alter system set fsync = off")
        self.execute("select pg_reload_conf()")

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        return execute(self.url, statement)

    def stop_and_start(self) -> None:
        data = Path(self.execute("show data_directory")[0][0])
        pid = int((data / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, signal.SIGQUIT)  # Postgres's immediate shutdown: no checkpoint, recovery at the next start
        wait_until(lambda: not (data / "postmaster.pid").exists(), SECONDS, what="the end of Postgres")
        assert embedded.up(self._folder) == self.url

    def cut(self) -> None:
        """End the target's connections, and wait until they are."""
        mine = "from pg_stat_activity where application_name = 'target-eventgen'"
        self.execute(f"select pg_terminate_backend(pid, 10000) {mine}")

    def remove(self) -> None:
        embedded.remove(self._folder)


def versions(drawn: random.Random) -> list[dict[str, Any]]:
    """Records of both streams: each version of a key is newer than those before, or a repetition of the last."""
    found: list[dict[str, Any]] = []
    last: dict[tuple[str, int], dict[str, Any]] = {}
    for second in range(RECORDS):
        stream, key = drawn.choice(STREAMS), drawn.randint(1, 12)
        if (stream, key) in last and drawn.random() < 0.2:
            found.append(last[stream, key])
            continue
        time_ = f"2026-01-01T00:{second // 60:02}:{second % 60:02}Z"
        message = record(stream, id=key, value=drawn.choice([5, 15, None]), status="", updated_at=time_)
        last[stream, key] = message
        found.append(message)
    return found


def expected(told: list[dict[str, Any]]) -> tuple[dict[tuple[str, int], tuple[Any, int]], Counter[Event]]:
    """Rows (value, second) and events that these records must have left, if none was stale."""
    rows: dict[tuple[str, int], tuple[Any, int]] = {}
    events: Counter[Event] = Counter()
    for message in told:
        stream, found = message["stream"], message["record"]
        key, value, second = found["id"], found["value"], second_of(found["updated_at"])
        old = rows.get((stream, key))
        if old == (value, second):
            continue
        was, now = bool(old and old[0] and old[0] > 10), bool(value and value > 10)
        fired = ["touched" if old else "created"]
        fired += ["passed"] if now and not was else ["fell"] if was and not now else []
        events.update((kind, stream, key, second) for kind in fired)
        rows[stream, key] = (value, second)
    return rows, events


def second_of(text: str) -> int:
    return int(text[14:16]) * 60 + int(text[17:19])


def run_target(config: dict[str, Any], source: str, out: str, failpoint: str | None) -> None:
    """Be a target: what the forked process does."""
    failpoints.action = failpoints.gate(failpoint) if failpoint else None
    with Path(out).open("a") as stdout, Path(out + ".log").open("a") as log, Path(source).open() as input_:
        os.dup2(log.fileno(), 2)
        sys.stdout = stdout
        TargetEventgen(config=config).listen(input_)


@dataclass
class Matrix:
    """Runs cases, and counts."""

    server: Server
    folder: Path
    context: ForkServerContext
    cases: int = 0

    @classmethod
    def of(cls, server: Server, folder: Path) -> Matrix:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["proofs.crash.campaign"])
        return cls(server, folder, context)

    def case(self, point: str, kind: str, number: int) -> Counter[str]:
        """One case, from an empty database on; the number is the seed of all that is random in it."""
        self.cases += 1
        drawn = random.Random(f"{point} {kind} {number}")
        self._empty(from_nothing=self.cases % 10 == 1)
        told = versions(drawn)
        out = self.folder / f"{self.cases}.out"
        gate = self.folder / f"{self.cases}.gate"
        place = drawn.randint(1, 7)
        counted: Counter[str] = Counter()
        with PostgresProxy(self.server.url) as proxy, closing(psycopg2.connect(self.server.url)) as holder:
            if point == "after_rows":  # before the process begins, which else might come too far
                with holder.cursor() as cursor:
                    cursor.execute(f"select pg_advisory_xact_lock({LOCK}, {place})")
            process = self._start(told, 0, out, proxy.url, f"{point}:{place}:{gate}" if point in IN_CODE else None)
            if point == "commit_sent":
                counted["reached"] += self._lose_commit(proxy, process, kind, place)
            elif point == "after_rows":
                counted["reached"] += self._hold_statement(process, kind, holder)
            else:
                wait_until(lambda: gate.exists() or not process.is_alive(), SECONDS, what="the failpoint")
                if gate.exists():
                    counted["reached"] += 1
                    self._fault(kind, process)
                    with suppress(FileNotFoundError):
                        gate.unlink()
            process.join(SECONDS)
            states = whole_lines(out)
            counted["STATE ahead"] += self._ahead(told, states)
            if process.exitcode != 0:
                assert process.exitcode == -signal.SIGKILL, (out.with_suffix(".out.log")).read_text()
                out.write_text("")
                again = self._start(told, states[-1] if states else 0, out, self.server.url, None)
                again.join(SECONDS)
                assert again.exitcode == 0, (out.with_suffix(".out.log")).read_text()
                states += whole_lines(out)
        if states[-1:] != [RECORDS]:
            counted["lost"] += 1
        return counted + self._judged(told)

    def _empty(self, *, from_nothing: bool) -> None:
        if from_nothing:
            tables = ", ".join(STREAMS)
            self.server.execute(f"drop schema if exists eventgen cascade; drop table if exists {tables}")
            out = self.folder / "first.out"
            self._start([], 0, out, self.server.url, None).join(SECONDS)
            self.server.execute(WAITING_TRIGGER)
        else:
            self.server.execute(f"truncate {', '.join(STREAMS)}, eventgen.events, eventgen.runs")

    def _start(
        self, told: list[dict[str, Any]], begun: int, out: Path, url: str, failpoint: str | None
    ) -> ForkServerProcess:
        messages: list[Any] = [schema(stream) for stream in STREAMS]
        for number, message in enumerate(told[begun:], start=begun + 1):
            messages.append(message)
            if number % A_STATE == 0:
                messages.append(state(number))
        source = out.with_suffix(".singer")
        source.write_text(lines(messages))
        config = {
            "database_url": url,
            "initial_load": "emit",
            "events": RULES,
            "batch_size_rows": A_CHECKPOINT,
            "reconnect_seconds": SECONDS,
        }
        process = self.context.Process(target=run_target, args=(config, str(source), str(out), failpoint))
        process.start()
        return process

    def _fault(self, kind: str, process: ForkServerProcess) -> None:
        if kind == KINDS[0]:
            process.kill()
            process.join(SECONDS)
        elif kind == KINDS[1]:
            self.server.cut()
        else:
            self.server.stop_and_start()

    def _lose_commit(self, proxy: PostgresProxy, process: ForkServerProcess, kind: str, place: int) -> bool:
        """Let the proxy withhold the answer of a COMMIT; those of the SCHEMAs are among them."""
        # In the proxy's thread, where nobody may wait for the process: two that do take its exit code from each other.
        proxy.when_lost = {KINDS[0]: process.kill, KINDS[1]: lambda: None, KINDS[2]: self.server.stop_and_start}[kind]
        proxy.lose_commit(place)
        wait_until(lambda: proxy.lost or not process.is_alive(), SECONDS, what="an answer that is withheld")
        return bool(proxy.lost)

    def _hold_statement(self, process: ForkServerProcess, kind: str, holder: Connection) -> bool:
        """Stop the target in the middle of a statement, by a lock that a trigger waits for, and that somebody holds."""
        waiting = f"select count(*) from pg_locks where locktype = 'advisory' and classid = {LOCK} and not granted"

        def held() -> bool:
            with holder.cursor() as cursor:
                cursor.execute(waiting)
                return cursor.fetchall() != [(0,)]

        wait_until(lambda: held() or not process.is_alive(), SECONDS, what="a statement that waits")
        reached = process.is_alive()
        if reached:
            self._fault(kind, process)
        with suppress(psycopg2.Error):
            holder.rollback()
        return reached

    def _ahead(self, told: list[dict[str, Any]], states: list[int]) -> int:
        """Return whether the last STATE covers a row or an event that Postgres doesn't hold."""
        rows, events = expected(told[: states[-1]] if states else [])
        stored, recorded = self._found()
        behind = [key for key, (_, second) in rows.items() if key not in stored or stored[key][1] < second]
        return int(bool(behind or events - recorded))

    def _judged(self, told: list[dict[str, Any]]) -> Counter[str]:
        rows, events = expected(told)
        stored, recorded = self._found()
        return Counter(
            {
                "lost": (events - recorded).total(),
                "duplicated": sum(count - 1 for event, count in recorded.items() if event in events),
                "ghosts": sum(count for event, count in recorded.items() if event not in events),
                "rows wrong": len(set(rows.items()) ^ set(stored.items())),
            }
        )

    def _found(self) -> tuple[dict[tuple[str, int], tuple[Any, int]], Counter[Event]]:
        seconds = "extract(epoch from {} - '2026-01-01T00:00:00Z')::int"
        stored = {}
        for stream in STREAMS:
            found = self.server.execute(f"select id, value::int, {seconds.format('updated_at')} from {stream}")
            stored.update({(stream, key): (value, second) for key, value, second in found})
        events = self.server.execute(
            f"select type, stream, partitionkey::int, {seconds.format('time')} from eventgen.events"
        )
        return stored, Counter(events)


def whole_lines(out: Path) -> list[int]:
    """The STATEs that came out with their line's end."""
    if not out.exists():
        return []
    return [json.loads(line) for line in out.read_text().splitlines(keepends=True) if line.endswith("\n")]


def table(found: dict[tuple[str, str], Counter[str]]) -> str:
    """What was counted, as people read it."""
    header = f"{'failpoint':<20}{'kind':<18}" + "".join(f"{name:>12}" for name in COUNTS)
    body = [
        f"{point:<20}{kind:<18}" + "".join(f"{counted[name]:>12}" for name in COUNTS)
        for (point, kind), counted in found.items()
    ]
    return "\n".join([header, *body])


def matrix(cases: int, first: int = 0) -> dict[tuple[str, str], Counter[str]]:
    """Run so many cases, all combinations in turn."""
    found: dict[tuple[str, str], Counter[str]] = {pair: Counter() for pair in itertools.product(POINTS, KINDS)}
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "postgres")
        try:
            cases_ = Matrix.of(server, Path(folder))
            for number, (point, kind) in zip(range(cases), itertools.cycle(found), strict=False):
                found[point, kind] += cases_.case(point, kind, first + number)
        finally:
            server.remove()
    return found


def main() -> None:
    """Print the matrix; exit status 1 where a number is not zero that must be."""
    found = matrix(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
    print(table(found))  # noqa: T201 - it is what the command is for
    sys.exit(any(counted[name] for counted in found.values() for name in COUNTS[1:]))
