"""Runs contenders in turn and measures each: wall clock, CPU seconds of the process and of Postgres, peak memory.

The whole process counts, from its start to its end. Taps write into a pipe whose reader counts records; targets read a
file. Rounds are interleaved: every contender once, then all again, so that what else happens on the machine meets all
of them. After each run it is looked up whether all records were really written, or lie in the table with the values
that they should have. A contender that fails is reported by its name, and the rest goes on.
"""

from __future__ import annotations

import json
import math
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import psutil
import psycopg2

from benchmarks import inputs, peers
from benchmarks.peers import HERE, Command, Contender
from target_eventgen import embedded

CEILING: Final = Contender("the API alone, read as bytes", None, lambda *_: [], peer=False)
PHASES: Final = ("empty table", "update of all", "replay, unchanged")
FEW_TURNS: Final = 2
ALL_TURNS: Final = ("pages of 1000", "pages of 100, 50 ms")  # goals look at every contender there
BUFFER: Final = 1 << 20


@dataclass(frozen=True)
class Sample:
    """One run, in seconds and mebibytes.

    By the API's own clock `span` is from the first request to the last answer, and `held` the sum of what passed
    between each request and its answer.
    """

    contender: str
    phase: str
    records: int
    wall: float
    cpu: float = 0.0
    peak: float = 0.0
    postgres: float = 0.0
    span: float = 0.0
    held: float = 0.0
    requests: int = 0
    megabytes: float = 0.0


@dataclass
class Results:
    """What was measured, and what failed: contender and phase, and the words."""

    samples: list[Sample] = field(default_factory=list)
    failures: dict[tuple[str, str], str] = field(default_factory=dict)

    def take(self, turn: int, contender: Contender, phase: str, run: Callable[..., Sample], *arguments: Any) -> None:
        """Keep and print the sample of one run, unless its contender fails or has failed in this phase before."""
        if (contender.name, phase) in self.failures:
            return
        try:
            sample = run(contender, phase, *arguments)
        except (FailedRunError, AssertionError, psycopg2.Error) as error:
            self.failures[contender.name, phase] = str(error)
            print(f"{turn + 1}  {phase:30} {contender.name:42} FAILED: {error}", flush=True)
            return
        self.samples.append(sample)
        print(
            f"{turn + 1}  {phase:30} {contender.name:42} {sample.records / sample.wall:10,.0f} records/s {sample.wall:7.2f} s "
            f"{sample.cpu:7.2f} CPU s {sample.postgres:7.2f} in Postgres {sample.peak:6.0f} MB"
            + (f"  {sample.requests} requests in {sample.span:.2f} s" if sample.requests else ""),
            flush=True,
        )

    def kept(self, path: Path) -> None:
        """Write them down."""
        failures = [
            {"contender": name, "phase": phase, "words": words} for (name, phase), words in self.failures.items()
        ]
        path.write_text(
            json.dumps({"samples": [asdict(each) for each in self.samples], "failures": failures}, indent=1)
        )

    @staticmethod
    def read(path: Path) -> Results:
        """Return what was written down."""
        held = json.loads(path.read_text())
        failures = {(each["contender"], each["phase"]): each["words"] for each in held["failures"]}
        return Results([Sample(**each) for each in held["samples"]], failures)


class FailedRunError(Exception):
    """A contender ended with an error, or wrote too little."""


@dataclass(frozen=True)
class Measured:
    """What one process took, the RECORD lines that it wrote, and its last words."""

    wall: float
    cpu: float
    peak: float
    records: int
    last: str


def measured(command: Command, folder: Path, source: Path | None = None) -> Measured:
    """Run it.

    Raises:
        FailedRunError: where it fails.
    """
    with (folder / "stderr").open("wb") as errors, (source or Path(os.devnull)).open("rb") as lines:
        gauge: Command = [sys.executable, "-IS", HERE / "gauge.py", *command]
        finished = subprocess.run(
            gauge, stdin=lines, stdout=subprocess.PIPE, stderr=errors, env=_environment(folder), cwd=folder, check=True
        )
    told = json.loads(finished.stdout)
    if told["code"]:
        words = (folder / "stderr").read_text(errors="replace")[-2000:]
        raise FailedRunError(f"{Path(command[0]).name} ended with {told['code']}: {words}")
    return Measured(told["wall"], told["cpu"], told["peak"] / 1024, told["records"], told["last"])


def _environment(folder: Path) -> dict[str, str]:
    """Return this process's environment, with a home of the run's, no proxies, no telemetry, no PYTHON variables."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy")
        and not name.startswith(("TAP_", "TARGET_", "DLT_", "AIRBYTE_", "PYTHON"))
    }
    quiet = {
        "DLT_DATA_DIR": str(folder / "dlt"),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "CRITICAL",
    }
    return {**kept, **quiet, "HOME": str(folder), "DO_NOT_TRACK": "1", "PYTHONWARNINGS": "ignore"}


@contextmanager
def scratch() -> Iterator[Path]:
    """Make a folder for a run's files."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@contextmanager
def api(records: int, shape: str = "plain") -> Iterator[str]:
    """Start the API in a process of its own, and yield its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.api", str(records), shape],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=HERE.parent,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def ceiling(contender: Contender, phase: str, address: str, records: int, size: int) -> Sample:
    """Measure a client that reads bytes and looks at nothing."""
    host, _, port = address.removeprefix("http://").partition(":")
    buffer = bytearray(BUFFER)
    with socket.create_connection((host, int(port))) as wire:
        begun, spent = time.perf_counter(), time.process_time()
        for first in range(0, records, size):
            wire.sendall(f"GET /{size}/0/tokens?cursor={first} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            got = wire.recv_into(buffer)
            while (end := buffer.find(b"\r\n\r\n", 0, got)) < 0:
                got += wire.recv_into(memoryview(buffer)[got:])
            length = int(bytes(buffer[:end]).lower().partition(b"content-length:")[2].split()[0])
            left = length - (got - end - 4)
            while left > 0:
                left -= wire.recv_into(buffer)
        wall, cpu = time.perf_counter() - begun, time.process_time() - spent
    return Sample(contender.name, phase, records, wall, cpu)


def taps(results: Results, contenders: Sequence[Contender], records: int, rounds: int, size: int, latency: int) -> None:
    """Every tap, on pages of this size that come after this many milliseconds."""
    phase = f"pages of {size}" + (f", {latency} ms" if latency else "")
    with api(records) as address, scratch() as folder:
        url = f"{address}/{size}/{latency}/tokens"
        for turn in range(rounds):
            if not latency:
                results.take(turn, CEILING, phase, ceiling, address, records, size)
            for contender in contenders:
                if turn < FEW_TURNS or not contender.slow or phase in ALL_TURNS:
                    results.take(turn, contender, phase, tapped, folder, url, records)


def tapped(contender: Contender, phase: str, folder: Path, url: str, records: int, megabytes: float = 0.0) -> Sample:
    """One extraction, and a count of what came.

    Raises:
        FailedRunError: where it fails, or another number of records came.
    """
    address = "/".join(url.split("/")[:3])
    command = contender.command(contender.installed(), folder, url)
    span_of(address)
    taken = measured(command, folder)
    span = span_of(address)
    written = int(taken.last) if contender.counts else taken.records
    if written != records:
        raise FailedRunError(f"{contender.name} gave {written} records of {records}")
    return Sample(
        contender.name,
        phase,
        records,
        taken.wall,
        taken.cpu,
        taken.peak,
        span=span["seconds"],
        held=span["held"],
        requests=span["requests"],
        megabytes=megabytes,
    )


def span_of(address: str) -> dict[str, Any]:
    """Return what the API saw since it was asked last."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{address}/span") as answer:
        told: dict[str, Any] = json.loads(answer.read())
        return told


@dataclass(frozen=True)
class Lines:
    """A file of Singer lines: what of, how many records a stream has, and the sum of their values."""

    path: Path
    records: int
    total: float
    streams: tuple[str, ...]

    @property
    def count(self) -> int:
        """Records of all streams."""
        return self.records * len(self.streams)


def singer_lines(folder: Path, shape: str, records: int) -> Lines:
    """Such a file, made in a process of its own: what this one holds counts in its children's peak memory."""
    path = folder / f"{shape}-{records}.jsonl"
    made = [sys.executable, "-m", "benchmarks.inputs", shape, str(records), str(path)]
    told = subprocess.run(made, cwd=HERE.parent, check=True, stdout=subprocess.PIPE, text=True).stdout
    return Lines(path, records, float(told), inputs.SHAPES[shape].streams)


class Server:
    """A Postgres of the benchmarks' own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = embedded.up(folder)

    def close(self) -> None:
        """Stop it, and take its data away."""
        embedded.remove(self.folder)

    def execute(self, statement: str, database: str = "") -> list[tuple[Any, ...]]:
        """Return the rows of one statement, run outside of any transaction."""
        with closing(psycopg2.connect(self.at(database) if database else self.url)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []

    def at(self, database: str) -> str:
        """Return the URL of one of its databases."""
        return f"{self.url.rpartition('/')[0]}/{database}"

    def fresh(self, database: str) -> str:
        """Yield the URL of an empty database."""
        self.execute(f"drop database if exists {database} with (force)")
        self.execute(f"create database {database}")
        return self.at(database)

    def seconds(self) -> float:
        """CPU seconds of all of its processes until now, ended ones included."""
        with closing(psycopg2.connect(self.url)) as connection:
            postmaster = psutil.Process(connection.get_backend_pid()).parent()
            assert postmaster is not None
            own = postmaster.cpu_times()
            total = own.user + own.system + own.children_user + own.children_system
            for child in postmaster.children():
                try:
                    spent = child.cpu_times()
                except psutil.NoSuchProcess:
                    continue
                total += spent.user + spent.system
        return float(total)

    def check(self, database: str, lines: Lines, *, rows: int | None = None) -> None:
        """See whether the tables hold the lines.

        Raises:
            FailedRunError: where they don't.
        """
        tables = self.execute(
            "select quote_ident(schemaname) || '.' || quote_ident(tablename), tablename from pg_tables "
            "where schemaname not in ('pg_catalog', 'information_schema', 'eventgen')",
            database,
        )
        if sorted(name for _, name in tables) != sorted(lines.streams):
            raise FailedRunError(f"there are {len(tables)} tables for {len(lines.streams)} streams")
        for table, _ in tables:
            ((count, total),) = self.execute(f"select count(*), sum(value)::float8 from {table}", database)
            if rows is None and (count != lines.records or not math.isclose(total, lines.total, rel_tol=1e-9)):
                raise FailedRunError(
                    f"{count} rows of {lines.records}, the sum of their values {total} instead of {lines.total}"
                )
            if rows is not None and count != rows:
                raise FailedRunError(f"{count} rows instead of {rows}")


@contextmanager
def server(folder: Path) -> Iterator[Server]:
    """One, for as long as it is needed."""
    begun = Server(folder)
    try:
        yield begun
    finally:
        begun.close()


def loaded(
    contender: Contender,
    phase: str,
    postgres: Server,
    folder: Path,
    database: str,
    lines: Lines,
    rows: int | None = None,
) -> Sample:
    """One load, and a look at what it left.

    Raises:
        FailedRunError: where it fails, or leaves something else.
    """
    command = contender.command(contender.installed(), folder, postgres.at(database))
    postgres.execute("checkpoint")  # so that none pays for the one before
    before = postgres.seconds()
    taken = measured(command, folder, lines.path)
    spent = postgres.seconds() - before
    postgres.check(database, lines, rows=rows)
    megabytes = lines.path.stat().st_size / 1e6
    return Sample(contender.name, phase, lines.count, taken.wall, taken.cpu, taken.peak, spent, megabytes=megabytes)


def targets(results: Results, contenders: Sequence[Contender], records: int, rounds: int, postgres: Server) -> None:
    """Every target: each file in turn into a database of its own."""
    with scratch() as folder:
        shares = {max(1, int(records * each.share)) for each in contenders}
        first = {share: singer_lines(folder, "plain", share) for share in shares}
        second = {share: singer_lines(folder, "changed-1", share) for share in shares}
        for turn in range(rounds):
            for contender in contenders:
                if turn >= FEW_TURNS and contender.slow:
                    continue
                share = max(1, int(records * contender.share))
                files = (first[share], second[share], second[share])
                postgres.fresh("bench")
                # A peer's turn is long, and none of them tells unchanged records from others.
                for phase, lines in [*zip(PHASES, files, strict=True)][: 2 if contender.peer else 3]:
                    if (contender.name, PHASES[0]) not in results.failures:
                        results.take(turn, contender, phase, loaded, postgres, folder, "bench", lines)


def pipe(results: Results, records: int, rounds: int, postgres: Server, size: int = 1000) -> None:
    """Run the tap into a reader, the target from a file that the tap wrote, and the tap into the target."""
    tap, target = peers.OUR_TAP, peers.OUR_TARGET
    phase = f"tap | target, pages of {size}"
    with api(records) as address, scratch() as folder:
        url = f"{address}/{size}/0/tokens"
        from_tap = tap.command(tap.installed(), folder, url)
        path = folder / "tap.jsonl"
        with path.open("wb") as lines:
            subprocess.run(from_tap, stdout=lines, stderr=subprocess.DEVNULL, check=True, env=_environment(folder))
        given = replace(singer_lines(folder, "plain", records), path=path)
        whole = Contender(
            "tap-restextract | target-eventgen",
            None,
            lambda programs, folder, url: [
                "sh",
                "-c",
                f"{shlex.join(map(str, from_tap))} | {shlex.join(map(str, target.command(programs, folder, url)))}",
            ],
            peer=False,
        )
        nothing = replace(given, path=Path(os.devnull))
        for turn in range(rounds):
            results.take(turn, tap, phase, tapped, folder, url, records)
            for contender, source in ((target, given), (whole, nothing)):
                postgres.fresh("bench")
                results.take(turn, contender, phase, loaded, postgres, folder, "bench", source)


def starts(results: Results, contenders: Sequence[Contender], rounds: int) -> None:
    """Programs that do next to nothing."""
    with scratch() as folder:
        for turn in range(rounds):
            for contender in contenders:
                results.take(turn, contender, "start", started, folder)


def started(contender: Contender, phase: str, folder: Path) -> Sample:
    """One start."""
    taken = measured(contender.command(contender.installed(), folder, ""), folder)
    return Sample(contender.name, phase, 1, taken.wall, taken.cpu, taken.peak)
