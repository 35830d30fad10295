"""Lines into the real target, rows and events out of a real Postgres."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from target_eventgen.target import TargetEventgen
from tests.support.messages import lines
from tests.support.processes import environment, written
from tests.support.queries import query

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


@dataclass
class Loader:
    """Runs the target on a database and in a folder of its own, as a process wherever it may fail."""

    database: str
    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)

    def write_config(self, **settings: Any) -> Path:
        given = {"database_url": self.database, "initial_load": "emit", **self.settings, **settings}
        return written(self.folder, "config.json", given)

    def command(self, **settings: Any) -> list[str]:
        return [sys.executable, "-m", "target_eventgen", "--config", str(self.write_config(**settings))]

    def start(self, **settings: Any) -> subprocess.Popen[str]:
        """Start with a pipe as the input."""
        return self._started(subprocess.PIPE, **settings)

    def start_from(self, source: Path, **settings: Any) -> subprocess.Popen[str]:
        """Start with a file as the input."""
        with source.open() as file:
            return self._started(file, **settings)

    def _started(self, given: IO[str] | int, **settings: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(**settings),
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=self.environment(),
        )

    @staticmethod
    def environment() -> dict[str, str]:
        """What its processes get; a test may put another function in its place."""
        return environment()

    def run(self, messages: Iterable[Mapping[str, Any] | str], **settings: Any) -> subprocess.CompletedProcess[str]:
        """Run to the end of the input, however that is."""
        return self._ran(self.command(**settings), lines(messages))

    def run_command(self, arguments: list[str]) -> subprocess.CompletedProcess[str]:
        """Run with other arguments and an empty input."""
        return self._ran([sys.executable, "-m", "target_eventgen", *arguments], "")

    def _ran(self, command: list[str], given: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            input=given,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env=self.environment(),
            timeout=120,
        )
        assert "ResourceWarning" not in done.stderr, done.stderr
        return done

    def load(self, messages: Iterable[Mapping[str, Any] | str], **settings: Any) -> list[Any]:
        """Run to a good end, within this process; the STATE lines that came out."""
        config = json.loads(self.write_config(**settings).read_text())
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        out = io.StringIO()
        try:
            with contextlib.redirect_stdout(out):
                TargetEventgen(config=config).listen(io.TextIOWrapper(io.BytesIO(lines(messages).encode())))
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return [json.loads(line) for line in out.getvalue().splitlines()]

    def refused(self, messages: Iterable[Mapping[str, Any] | str], **settings: Any) -> str:
        """Run to a bad end, which must be one message without traceback or STATE; the message."""
        done = self.run(messages, **settings)
        assert done.returncode == 1, done.stderr
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        return [line for line in done.stderr.splitlines() if " | INFO " not in line][-1]

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        return query(self.database, statement)

    def events(self, columns: str = "type, key->>'id'") -> list[tuple[Any, ...]]:
        """Every event, in order of recording."""
        return self.query(f"select {columns} from eventgen.events order by sequence")
