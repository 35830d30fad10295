"""Standard output: whole lines, whatever signal comes.

Theory of operation. A signal that ends the process waits for the line, or the pipe's worth of lines, that is being
written; a second one does not. What was written before is covered by the last STATE among it.
"""

from __future__ import annotations

import sys
from typing import Any, Final

from singer_sdk.helpers._state import StateWriter
from singer_sdk.io_base import SingerWriter
from singer_sdk.singerlib import StateMessage
from singer_sdk.singerlib.json import serialize_json

PIPE_BYTES: Final = 1 << 16


class Unbroken:
    """Code in which a signal doesn't end the process: it ends after that code, or at the second signal."""

    def __init__(self) -> None:
        self._inside = False
        self._ending: int | None = None

    def __enter__(self) -> None:
        self._inside = True

    def __exit__(self, *_: object) -> None:
        self._inside = False
        if self._ending is not None:
            sys.exit(self._ending)

    def end(self, code: int) -> None:
        """End the process with this exit code, once the line that is being written is whole."""
        if not self._inside or self._ending is not None:
            sys.exit(code)
        self._ending = code


unbroken: Final = Unbroken()


class WholeLines(SingerWriter):
    """singer-sdk's messages, each a line that no signal cuts."""

    def serialize_message(self, message: Any) -> str:
        """Return one message as JSON; STATE without a copy of all that is in it."""
        if type(message) is StateMessage:
            return serialize_json({"type": message.type, "value": message.value})
        return super().serialize_message(message)

    def write_message(self, message: Any) -> None:
        """Write and flush one message."""
        write(f"{self.format_message(message)}\n".encode())


class StateLines(StateWriter):
    """singer-sdk's writer of STATE, by which none comes twice in a row; the last one is kept as a line."""

    def __init__(self, lines: WholeLines) -> None:
        super().__init__(lines)
        self._lines = lines
        self._last = ""

    def write_state(self, state: Any) -> None:
        """Write STATE, unless it is the last one."""
        line = self._lines.format_message(StateMessage(value=state))
        if line != self._last:
            write(f"{line}\n".encode())
            self._last = line


def write(lines: bytes) -> None:
    """Write whole lines to stdout, and flush; a stdout that was replaced may have no bytes below it."""
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None:
        sys.stdout.write(lines.decode())
        return
    sys.stdout.flush()
    start = 0
    while start < len(lines):
        # A pipe's worth at a time: its reader may be slow, and a signal waits for no more than this.
        end = lines.rfind(b"\n", start, start + PIPE_BYTES) + 1 or lines.find(b"\n", start) + 1 or len(lines)
        with unbroken:
            while start < end:
                # With PYTHONUNBUFFERED there is no buffer: a write that a signal interrupts writes a part and says so.
                start += buffer.write(lines[start:end])
            buffer.flush()
