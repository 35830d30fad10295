"""Events as lines of JSON at the end of a file.

Theory of operation. A call writes its lines at once and syncs them to the disk before it acknowledges any. Relays on
one machine may share the file: each holds a lock on it while it writes, and looks whether the path still leads to what
it has open, since another may have put the file aside. What a crash left half written at the end was never
acknowledged: the next writer cuts it off, and the event comes again whole. So the file always consists of whole lines,
but for the one that is being written; a reader takes a line once it ends.

A file that would grow beyond `rotate_bytes` is renamed first, to its name and the instant; lines never lie in two
files.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

import msgspec

from target_eventgen.errors import UnreachableError
from target_eventgen.publishers.cloudevent import CloudEvent, json_line
from target_eventgen.publishers.protocol import Delivered, Outcome

try:
    import fcntl
except ModuleNotFoundError:  # Windows, where one relay at a time may write a file
    fcntl = None  # type: ignore[assignment]  # there is no other name for what is missing

MAX_CALL_EVENTS: Final = 1000
"""Events that one sync to the disk covers."""

_BLOCK: Final = 65536


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file's path; how many bytes it may have before it is put aside, 0 for any number; whether it is synced."""

    path: str
    rotate_bytes: int = 100_000_000
    fsync: bool = True

    def __post_init__(self) -> None:
        if not self.path:
            raise ValueError("path is empty")
        if self.rotate_bytes < 0:
            raise ValueError("rotate_bytes must be 0 or more")


def places(settings: Settings) -> list[str]:
    """Return where the file is."""
    return [str(Path(settings.path).resolve())]


def open_publisher(name: str, settings: Settings) -> FilePublisher:
    """Return a publisher; its file is made when there is something to write."""
    return FilePublisher(name, settings)


class FilePublisher:
    """Appends to one file."""

    ordered = True
    most = MAX_CALL_EVENTS

    def __init__(self, name: str, settings: Settings) -> None:
        self._name = name
        self._path = Path(settings.path)
        self._rotate_bytes = settings.rotate_bytes
        self._fsync = settings.fsync
        self._file: int | None = None

    def publish(self, events: Sequence[CloudEvent]) -> Sequence[Outcome]:
        """Write all events, or none."""
        lines = b"".join(map(json_line, events))
        try:
            with self._locked() as (file, size):
                self._append(file, size, lines)
        except OSError as error:
            self.close()
            raise UnreachableError(
                f'the publisher "{self._name}": {self._path} can\'t be written ({error.strerror}); '
                "check its folder, the rights to it and the space on the disk"
            ) from error
        return [Delivered()] * len(events)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.close(self._file)
            self._file = None

    def _append(self, file: int, size: int, lines: bytes) -> None:
        try:
            rest = memoryview(lines)
            while rest:
                rest = rest[os.write(file, rest) :]
            if self._fsync:
                os.fsync(file)
        except OSError:
            os.ftruncate(file, size)
            raise

    @contextlib.contextmanager
    def _locked(self) -> Iterator[tuple[int, int]]:
        """Yield the file that the path leads to, locked, and its size: that of whole lines, with room for more."""
        while True:
            file = self._opened()
            _lock(file)
            try:
                if self._is_current(file):
                    size = _without_half_line(file)
                    if not (self._rotate_bytes and size >= self._rotate_bytes):
                        yield file, size
                        return
                    self._put_aside()
            finally:
                _unlock(file)
            self.close()

    def _opened(self) -> int:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o640)
            self._sync_folder()
        return self._file

    def _is_current(self, file: int) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(file), self._path.stat())
        return False

    def _put_aside(self) -> None:
        instant = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
        self._path.rename(self._path.with_name(f"{self._path.name}.{instant}"))
        self._sync_folder()

    def _sync_folder(self) -> None:
        """Make the names in the folder last, which a sync of the file alone doesn't."""
        if not self._fsync or not hasattr(os, "O_DIRECTORY"):
            return
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _lock(file: int) -> None:
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX)


def _unlock(file: int) -> None:
    with contextlib.suppress(OSError):
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_UN)


def _without_half_line(file: int) -> int:
    """Cut off what follows the last line break; return the size that is left."""
    size = end = os.fstat(file).st_size
    while end:
        start = max(0, end - _BLOCK)
        os.lseek(file, start, os.SEEK_SET)
        newline = os.read(file, end - start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        os.ftruncate(file, end)
    return end
