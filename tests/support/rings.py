"""The rings of tests: a pure one opens nothing, one in process starts no program; the others may do anything.

`python -m pytest -m pure` is a loop of under a minute; `-m in_process`, which has the pure ones in it, needs no server and no
program. A test's ring is a mark of its module, and is checked while the test runs: Python's audit events report each process
and socket that is opened, each file that is written and each database.
"""

from __future__ import annotations

import os
from typing import Any, Final

import pytest

PURE: Final = "pure"
IN_PROCESS: Final = "in_process"
MEMORY: Final = (":memory:", b":memory:")
"""What SQLite's database in memory is called; Python 3.10 reports it as bytes."""

STARTS: Final = frozenset({"subprocess.Popen", "os.posix_spawn", "os.fork", "os.exec", "os.system"})
OWN: Final = ("__pycache__", ".hypothesis")
"""Folders that Python and Hypothesis write into by themselves."""

OPENS: Final = frozenset({"socket.connect", "socket.bind", "socket.getaddrinfo"})


class Watch:
    """What the running test did that its ring forbids."""

    def __init__(self) -> None:
        self.ring: str | None = None
        self.trespasses: list[str] = []

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Take an audit event."""
        if self.ring is not None and (event in STARTS or (self.ring == PURE and leaves_the_process(event, arguments))):
            self.trespasses.append(f"{event} {arguments[0]!r}")


def leaves_the_process(event: str, arguments: tuple[Any, ...]) -> bool:
    """Return whether an audit event opens a socket, a database that isn't in memory, or a file to write."""
    if event == "open":
        path, _, flags = arguments
        writes = isinstance(path, str) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        return bool(writes) and not any(folder in path for folder in OWN)
    return event in OPENS or (event == "sqlite3.connect" and arguments[0] not in MEMORY)


def ring_of(item: pytest.Item) -> str | None:
    """Return the ring that a test's module is marked with; None: it may do anything."""
    return next((ring for ring in (PURE, IN_PROCESS) if item.get_closest_marker(ring)), None)
