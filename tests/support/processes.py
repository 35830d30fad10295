"""Real processes, started and ended by the tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BIN = Path(sys.executable).parent
TAP = BIN / "tap-restextract"
TARGET = BIN / "target-eventgen"
OPENED = "always::ResourceWarning"
"""PYTHONWARNINGS by which a program reports each file, socket and connection that it opened and didn't close."""


class Run(NamedTuple):
    """What a run of the tap left."""

    code: int
    out: str
    err: str

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The Singer messages; every line must be a whole one."""
        return [json.loads(line) for line in self.out.split("\n") if line]

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records alone."""
        return [message["record"] for message in self.messages if message["type"] == "RECORD"]

    @property
    def states(self) -> list[dict[str, Any]]:
        """The values of the STATE messages."""
        return [message["value"] for message in self.messages if message["type"] == "STATE"]

    @property
    def told(self) -> list[str]:
        """The lines of stderr that are meant for a person, without the log's."""
        return [line for line in self.err.splitlines() if line.startswith("tap-restextract: ")]


def environment(**more: str) -> dict[str, str]:
    """This process's environment without proxies and without settings of our programs, whose leaks are reported."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.startswith(("TAP_RESTEXTRACT_", "TARGET_EVENTGEN_"))
    }
    return {**kept, "PYTHONWARNINGS": OPENED, **more}


def written(folder: Path, name: str, content: object) -> Path:
    """A file in the folder: text as it is, all else as JSON."""
    file = folder / name
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def tap(
    folder: Path,
    config: Mapping[str, Any] | str | None,
    *arguments: str | Path,
    state: object = None,
    catalog: object = None,
    env: Mapping[str, str] | None = None,
) -> Run:
    """Run the tap in the folder until it ends."""
    command: list[str | Path] = [TAP, *arguments]
    if config is not None:
        command += ["--config", written(folder, "config.json", config)]
    if state is not None:
        command += ["--state", written(folder, "state.json", state)]
    if catalog is not None:
        command += ["--catalog", written(folder, "catalog.json", catalog)]
    done = subprocess.run(
        command, cwd=folder, env=environment(**(env or {})), capture_output=True, text=True, timeout=60, check=False
    )
    assert "ResourceWarning" not in done.stderr, done.stderr
    return Run(done.returncode, done.stdout, done.stderr)


def ended(process: subprocess.Popen[Any], seconds: float = 10) -> None:
    """Ends a process that may have ended already: asked first, then killed."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def kill_group(process: subprocess.Popen[Any]) -> None:
    """SIGKILL for a process that leads a session of its own, and for all that it has started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def server(
    command: list[str | Path], address: str, log: Path, environment: dict[str, str] | None = None
) -> Iterator[None]:
    """An HTTP server as a process, from its first answer at `address` on; its output goes to `log`."""

    def answers() -> bool:
        assert process.poll() is None, f"the server ended: {log.read_text()[-2000:]}"
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )
    try:
        wait_until(answers, what=f"an answer from {address}")
        yield
    finally:
        ended(process)


class PipeRun(NamedTuple):
    """What a `tap | target` run left."""

    codes: tuple[int, int]
    lines: list[str]
    """The tap's output, a message a line."""
    states: list[str]
    """The target's output: the STATE lines that it let out, whole ones only."""
    log: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records that the tap emitted."""
        return [message["record"] for line in self.lines if (message := json.loads(line))["type"] == "RECORD"]


def whole_lines(text: str) -> list[str]:
    """The lines that end with a line break; a killed writer may leave half a line at the end."""
    return [line for line in text.split("\n")[:-1] if line.strip()]


class Pipe:
    """`tap | tee | target` as three processes, as a shell would start them."""

    def __init__(
        self, tap: list[str | Path], target: list[str | Path], folder: Path, folder_of_target: Path | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.singer, self.out, self.log = folder / "tap.singer", folder / "target.out", folder / "log"
        with self.log.open("wb") as log, self.out.open("wb") as out:
            self.tap = subprocess.Popen(tap, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
            self.tee = subprocess.Popen(["tee", self.singer], stdin=self.tap.stdout, stdout=subprocess.PIPE, stderr=log)
            self.target = subprocess.Popen(target, stdin=self.tee.stdout, stdout=out, stderr=log, cwd=folder_of_target)
        for process in (self.tap, self.tee):
            assert process.stdout is not None
            process.stdout.close()  # only the next process reads it: its end must reach the one before as SIGPIPE

    def finished(self, seconds: float = 120) -> PipeRun:
        """Waits for all three."""
        try:
            codes = (self.tap.wait(seconds), self.target.wait(seconds))
            self.tee.wait(seconds)
        finally:
            for process in (self.tap, self.tee, self.target):
                ended(process)
        singer = self.singer.read_text() if self.singer.exists() else ""
        return PipeRun(codes, whole_lines(singer), whole_lines(self.out.read_text()), self.log.read_text())


def ran(tap: list[str | Path], target: list[str | Path], folder: Path) -> PipeRun:
    """A `tap | target` run from start to end, in which neither fails."""
    run = Pipe(tap, target, folder).finished()
    assert run.codes == (0, 0), run.log[-4000:]
    return run
