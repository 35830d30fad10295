"""A tool against a case: run by run, each a process of its own, and what came out of it against the truth."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from proofs.scoreboard.model import Case, Version
from proofs.scoreboard.tools import Config, Emitted, Tool, addressed, quiet_environment

PROJECT: Final = Path(__file__).parents[2]
SECONDS: Final = 180  # of one run; the longest that ends, by waiting after errors, needs 60


@dataclass(frozen=True)
class Outcome:
    """What a tool made of a case, over all of its runs.

    Attributes:
        lost: of the truth, what never came out.
        repeated: versions that came out again, unchanged.
        requests: of all runs.
        hung: a run was cut off after too many requests, or did not end in time.
        error: the words with which a run ended badly; empty where all ended well.
        early: requests sent before Retry-After was over.
    """

    truth: int
    lost: tuple[Version, ...]
    repeated: int
    requests: int
    hung: bool
    error: str
    early: int

    @property
    def complete(self) -> bool:
        """All of the truth came out, and every run ended well."""
        return not (self.lost or self.hung or self.error)


@contextmanager
def fixture() -> Iterator[str]:
    """The address of the fixture's server, a process of its own that ends with the block."""
    with subprocess.Popen(
        [sys.executable, "-m", "proofs.scoreboard.server"],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(60)


def control(address: str, phase: int | None = None) -> dict[str, Any]:
    """What the reader did in the phase; with a phase, that one begins."""
    url = address if phase is None else f"{address}?phase={phase}"
    request = urllib.request.Request(url, method="GET" if phase is None else "POST")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
        told: dict[str, Any] = json.load(answer)
        return told


def outcome(tool: Tool, case: Case, config: Config, *, server: str, reader: str, folder: Path) -> Outcome:
    """The tool's runs of the case, one a phase.

    Args:
        config: the tool's configuration for the case, with API_URL in it.
        server: the fixture's address.
        reader: a name that no other one on this server has.
        folder: an empty one, for the tool's files.
    """
    programs = tool.installed()
    tool.prepare(folder, addressed(config, f"{server}/{reader}/{case.name}"))
    address = f"{server}/control/{reader}/{case.name}"
    emitted: list[Emitted] = []
    requests, hung, early, error = 0, False, 0, ""
    for phase in range(len(case.phases)):
        control(address, phase)
        output, log = folder / f"output-{phase}", folder / f"log-{phase}"
        code, late = _run(tool.command(programs, folder), folder, output, log, address)
        told = control(address)
        emitted.append(tool.read(output))
        requests, early = requests + told["requests"], told["early"]
        hung = hung or told["cut_off"] or late
        if code and not told["stalled"]:
            error = error or _words(emitted[-1].error or _last_words(log), server)
        if emitted[-1].state is not None:
            (folder / "state.json").write_text(json.dumps(emitted[-1].state))
    return _judged(case, emitted, requests, hung=hung, early=early, error=error)


def _judged(case: Case, emitted: list[Emitted], requests: int, *, hung: bool, early: int, error: str) -> Outcome:
    versions = [version for run in emitted for version in run.versions]
    last = emitted[-1]
    arrived = set(last.versions if last.replaces else versions)
    if last.replaces:
        # A table that is replaced as a whole tells of what is gone by not having it.
        shown = {key for key, _ in last.versions}
        arrived |= {(key, what) for key, what in case.truth if what == "deleted" and key not in shown}
    lost = tuple(sorted(case.truth - arrived, key=str))
    return Outcome(len(case.truth), lost, len(versions) - len(set(versions)), requests, hung, error, early)


def _run(command: list[str | Path], folder: Path, output: Path, log: Path, address: str) -> tuple[int, bool]:
    """The exit code, and whether its time was over; a tool that stalls is killed, as the case says."""
    with output.open("w") as written, log.open("w") as errors:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=quiet_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=errors,
            start_new_session=True,
        )
        deadline = time.monotonic() + SECONDS
        while process.poll() is None:
            late = time.monotonic() > deadline
            if late or control(address)["stalled"]:
                os.killpg(process.pid, signal.SIGKILL)
                return process.wait(), late
            time.sleep(0.05)
    return process.returncode, False


def _last_words(log: Path) -> str:
    """What a person would read first: our message, or the last line of a traceback."""
    lines = [line.strip() for line in log.read_text().splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("tap-restextract: ")]
    return (told or lines or ["no word"])[-1]


def _words(text: str, server: str) -> str:
    """The text on one line, without what differs from run to run."""
    return " ".join(text.replace(server, "http://127.0.0.1").split())
