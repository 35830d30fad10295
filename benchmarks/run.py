"""Runs contenders in turn and measures each: wall clock, CPU seconds of the process and of Postgres, peak memory.

The whole process counts, from its start to its end. Taps write into a pipe whose reader counts lines; targets read a file.
Rounds are interleaved: every contender once, then all again, so that what else happens on the machine meets all of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import psutil
import psycopg2
from peers import HERE, Command, Contender

from target_eventgen import embedded

CHUNK: Final = 1 << 20


@dataclass(frozen=True)
class Sample:
    """One run. Seconds; mebibytes; `span` is the API's own clock, from the first request to the last answer."""

    contender: str
    phase: str
    records: int
    wall: float
    cpu: float
    peak: float
    postgres: float = 0.0
    span: float = 0.0
    requests: int = 0


class FailedRunError(Exception):
    """A contender ended with an error, or wrote too little."""


def measured(command: Command, folder: Path, source: Path | None = None) -> tuple[float, float, float, int]:
    """Run it; returns wall clock, CPU seconds, peak memory and lines written.

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
        raise FailedRunError(f"{command[0]} ended with {told['code']}: {words}")
    return told["wall"], told["cpu"], told["peak"] / 1024, told["lines"]


def _environment(folder: Path) -> dict[str, str]:
    """This process's environment without proxies and Python's variables, with telemetry off and a home of the run's own."""
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
def api(records: int) -> Iterator[str]:
    """The API in a process of its own; its address."""
    process = subprocess.Popen(
        [sys.executable, HERE / "api.py", str(records)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def ceiling(address: str, records: int, size: int) -> float:
    """Records a second that a client gets that reads bytes and looks at nothing."""
    import socket  # noqa: PLC0415  nothing else here opens one

    host, _, port = address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as wire:
        begun = time.perf_counter()
        for first in range(0, records, size):
            wire.sendall(f"GET /{size}/0/tokens?cursor={first} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            received = wire.recv(CHUNK)
            while b"\r\n\r\n" not in received:
                received += wire.recv(CHUNK)
            head, _, body = received.partition(b"\r\n\r\n")
            left = int(head.lower().partition(b"content-length:")[2].split()[0]) - len(body)
            while left > 0:
                left -= len(wire.recv(CHUNK))
        return records / (time.perf_counter() - begun)


def taps(contenders: Sequence[Contender], records: int, rounds: int, size: int, latency: int) -> list[Sample]:
    """Every tap, on pages of this size that come after this many milliseconds."""
    samples = []
    phase = f"pages of {size}" + (f", {latency} ms" if latency else "")
    with api(records) as address, tempfile.TemporaryDirectory() as scratch:
        if not latency:
            print(f"{phase}: the API alone gives {ceiling(address, records, size):,.0f} records/s", flush=True)
        for turn in range(rounds):
            for contender in contenders:
                programs, folder = contender.installed(), Path(scratch) / "run"
                folder.mkdir(exist_ok=True)
                url = f"{address}/{size}/{latency}/tokens"
                _span(address)
                wall, cpu, peak, written = measured(contender.command(programs, folder, url), folder)
                span = _span(address)
                if written < records and "writes nothing" not in contender.note:
                    raise FailedRunError(f"{contender.name} wrote {written} lines of {records} records")
                sample = Sample(
                    contender.name,
                    phase,
                    records,
                    wall,
                    cpu,
                    peak,
                    span=span["seconds"],
                    requests=span["requests"],
                )
                samples.append(sample)
                _told(turn, sample)
    return samples


def _span(address: str) -> dict[str, Any]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{address}/span") as answer:
        told: dict[str, Any] = json.loads(answer.read())
        return told


def targets(
    contenders: Sequence[Contender], files: Sequence[tuple[str, Path]], records: int, rounds: int, folder: Path
) -> list[Sample]:
    """Every target: each file in turn into a database of its own."""
    samples = []
    url = embedded.up(folder)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            for turn in range(rounds):
                for contender in contenders:
                    fresh = _fresh_database(url)
                    for phase, file in files:
                        work = Path(scratch) / "run"
                        work.mkdir(exist_ok=True)
                        before = _postgres_seconds(folder)
                        command = contender.command(contender.installed(), work, fresh)
                        wall, cpu, peak, _ = measured(command, work, file)
                        spent = _postgres_seconds(folder) - before
                        samples.append(Sample(contender.name, phase, records, wall, cpu, peak, spent))
                        _told(turn, samples[-1])
                        _checkpoint(url)
    finally:
        embedded.down(folder)
    return samples


def _fresh_database(url: str) -> str:
    base = url.rpartition("/")[0]
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("drop database if exists bench with (force)")
        cursor.execute("create database bench")
    connection.close()
    return f"{base}/bench"


def _checkpoint(url: str) -> None:
    """Between two runs, so that none pays for the one before."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("checkpoint")
    connection.close()


def _postgres_seconds(folder: Path) -> float:
    """CPU seconds of all of Postgres's processes until now, ended ones included."""
    connection = psycopg2.connect(embedded.up(folder))
    with connection.cursor() as cursor:
        cursor.execute(
            "select pg_postmaster_start_time(), (select pid from pg_stat_activity where pid = pg_backend_pid())"
        )
        backend = cursor.fetchone()[1]
    postmaster = psutil.Process(backend).parent()
    assert postmaster is not None
    own = postmaster.cpu_times()
    total = own.user + own.system + own.children_user + own.children_system
    for child in postmaster.children():
        try:
            spent = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += spent.user + spent.system
    connection.close()
    return float(total)


def _told(turn: int, sample: Sample) -> None:
    print(
        f"{turn + 1}  {sample.phase:28} {sample.contender:42} {sample.records / sample.wall:10,.0f} records/s "
        f"{sample.cpu:7.2f} CPU s {sample.postgres:7.2f} in Postgres {sample.peak:6.0f} MB"
        + (f"  {sample.requests} requests in {sample.span:.2f} s" if sample.requests else ""),
        flush=True,
    )


def starts(commands: Sequence[tuple[str, Command]], rounds: int) -> list[Sample]:
    """Programs that do next to nothing."""
    samples = []
    with tempfile.TemporaryDirectory() as scratch:
        for turn in range(rounds):
            for name, command in commands:
                wall, cpu, peak, _ = measured(command, Path(scratch))
                samples.append(Sample(name, "start", 1, wall, cpu, peak))
                if turn == rounds - 1:
                    print(
                        f"start  {name:42} {min(each.wall for each in samples if each.contender == name):.3f} s",
                        flush=True,
                    )
    return samples


def kept(path: Path, samples: Sequence[Sample]) -> None:
    """Write them down."""
    path.write_text(json.dumps([asdict(sample) for sample in samples], indent=1))
