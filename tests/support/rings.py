"""The rings of tests: a pure one opens nothing, one in process starts no program; the others may do anything.

`python -m pytest -m pure` is a loop of under a minute; `-m in_process`, which has the pure ones in it, needs no server
and no program. A test's ring is a mark of its module, and is checked while the test runs: Python's audit events report
each process and socket that is opened, each file that is written and each database.
"""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path
from typing import Any, Final

import pytest

PURE: Final = "pure"
IN_PROCESS: Final = "in_process"

STARTS: Final = frozenset({"subprocess.Popen", "os.posix_spawn", "os.fork", "os.exec", "os.system"})
OPENS: Final = frozenset({"socket.connect", "socket.bind", "socket.getaddrinfo"})
MEMORY: Final = (":memory:", b":memory:")
"""What SQLite's database in memory is called; Python 3.10 reports it as bytes."""

CACHES: Final = ("__pycache__", ".hypothesis")
"""Folders that Python and Hypothesis write into by themselves; Hypothesis also into a file that `mkstemp` names."""

TEMPORARY: Final = Path(tempfile.gettempdir())  # asked for once: to find it out may write a file


class Watch:
    """What the running test, in its thread, did that its ring forbids."""

    def __init__(self) -> None:
        self.ring: str | None = None
        self.trespasses: list[str] = []
        self._thread = threading.get_ident()

    def begin(self, ring: str | None) -> None:
        """Watch the test of this thread from here on; threads that earlier tests left may do what they like."""
        self.ring, self.trespasses, self._thread = ring, [], threading.get_ident()

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Take an audit event."""
        if self.ring is None or not (event in STARTS or (self.ring == PURE and leaves_the_process(event, arguments))):
            return
        if threading.get_ident() == self._thread:
            self.trespasses.append(f"{event} {arguments[0]!r}")


def leaves_the_process(event: str, arguments: tuple[Any, ...]) -> bool:
    """Return whether an audit event opens a socket, a database that isn't in memory, or a file to write."""
    if event == "open":
        path, _, flags = arguments
        writes = isinstance(path, str) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        return bool(writes) and not is_cache(Path(path))
    return event in OPENS or (event == "sqlite3.connect" and arguments[0] not in MEMORY)


def is_cache(path: Path) -> bool:
    """Return whether a file is one that Python or Hypothesis writes by itself."""
    is_temporary = path.parent == TEMPORARY and path.name.startswith(tempfile.gettempprefix())
    return is_temporary or not set(CACHES).isdisjoint(path.parts)


def ring_of(item: pytest.Item) -> str | None:
    """Return the ring that a test's module is marked with; None: it may do anything."""
    return next((ring for ring in (PURE, IN_PROCESS) if item.get_closest_marker(ring)), None)
