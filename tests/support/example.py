"""The example's subscriptions API as the tests use it: a process of its own, happenings, and its rows as the truth."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.support.environments import PROJECT
from tests.support.ports import free_port
from tests.support.processes import server

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

EXAMPLE = PROJECT / "examples" / "subscriptions"
TOKEN = "a-token-of-the-tests"
LIMIT = 10_000


class Example(NamedTuple):
    """A running API: where it listens and the SQLite file that it serves."""

    url: str
    file: Path

    def rows(self) -> dict[int, dict[str, Any]]:
        """Every subscription as it is now, by id."""
        with closing(sqlite3.connect(self.file)) as connection:
            connection.row_factory = sqlite3.Row
            return {row["id"]: dict(row) for row in connection.execute("select * from subscriptions")}

    def happening(self, seed: int, *, rounds: int = 1, pause: float = 0, **counts: int) -> subprocess.Popen[str]:
        """The process that makes things happen: its output is a JSON document a happening."""
        options = [
            f"--{what}={counts.get(what, 0)}" for what in ("passed", "canceled", "created", "replanned", "touched")
        ]
        command: list[str | Path] = [
            sys.executable,
            EXAMPLE / "happen.py",
            "--database",
            self.file,
            "--json",
            f"--seed={seed}",
        ]
        return subprocess.Popen(
            [*command, f"--rounds={rounds}", f"--pause={pause}", *options], stdout=subprocess.PIPE, text=True
        )

    def happen(self, seed: int, **counts: int) -> list[dict[str, Any]]:
        """Makes things happen and says which."""
        return told(self.happening(seed, **counts))

    def configuration(self, *, limit: int = 100) -> dict[str, Any]:
        """The tap's configuration for this API."""
        example: dict[str, Any] = json.loads((EXAMPLE / "tap.json").read_text())
        example["streams"][0]["params"]["limit"] = limit
        return {**example, "base_url": self.url, "auth_token": TOKEN}


def told(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """All that a process of happenings did, once it has ended."""
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return [json.loads(line) for line in output.splitlines()]


def due_events(happenings: Iterable[dict[str, Any]]) -> Counter[tuple[str, int]]:
    """(type, id) of each event that is due for these happenings."""
    return Counter((event, happening["id"]) for happening in happenings for event in happening["events"])


def due_at_first(rows: Iterable[dict[str, Any]]) -> Counter[tuple[str, int]]:
    """(type, id) of each event that is due where the first load of these rows emits."""
    due: Counter[tuple[str, int]] = Counter()
    for row in rows:
        due["subscription.created", row["id"]] += 1
        if row["value"] > LIMIT:
            due["subscription.passed_10000", row["id"]] += 1
    return due


@contextmanager
def serving(folder: Path, *, delay: float = 0) -> Iterator[Example]:
    """A fresh API in a process of its own; each list request is held back by `delay` seconds."""
    port, file = free_port(), folder / "subscriptions.db"
    options = ["--database", str(file), "--port", str(port), "--token", TOKEN, "--delay", str(delay)]
    address = f"http://127.0.0.1:{port}"
    with server([sys.executable, EXAMPLE / "api.py", *options], f"{address}/health", folder / "api.log"):
        yield Example(f"{address}/v1", file)
