"""The Singer lines of the input, decoded once, and stopped at a safe point.

Theory of operation. A signal to end may come at any moment. While the reader waits for a line nothing is half done, so
the signal's handler may raise there (see `interrupt`); at any other moment it only leaves a note, and the reader stops
before the next line. Either way the caller sees a plain end of input, and `interrupted` says why.

A pipe may be silent for as long as it likes. It is read by the operating system's own calls, so that a wait for more
can end: then `idle` is done, between two lines, and the wait goes on. Files, and every input where the system can't
wait for a pipe with a limit (Windows), are read as they are: what they hold is there at once, or nobody knows.
"""

from __future__ import annotations

import io
import logging
import os
import re
import select
import stat
import sys
from collections import Counter
from decimal import Decimal
from typing import IO, TYPE_CHECKING, Any, Final

import msgspec
from singer_sdk.singerlib.encoding.base import GenericSingerReader

from target_eventgen.errors import MessageError
from target_eventgen.intake.blocks import TYPE_ERRORS
from target_eventgen.intake.sdk_errors import of_the_sdk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

REQUIRED: Final[dict[str, tuple[str, ...]]] = {
    "RECORD": ("stream", "record"),
    "SCHEMA": ("stream", "schema"),
    "STATE": ("value",),
    "ACTIVATE_VERSION": ("stream", "version"),
    "BATCH": ("stream", "encoding", "manifest"),
}


# An escaped backslash, a surrogate pair, or half of one, which is not a character though many programs write it: a text
# that was cut in an emoji.
_ESCAPES: Final = re.compile(
    rb"(\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
# Neither stands in JSON, and Python's own encoder writes both.
_NO_NUMBER: Final = re.compile(rb"[:\[,]\s*-?(NaN|Infinity)\b")

_MAX_BLOCK_BYTES: Final = 1 << 17
"""Bytes that are read at once; a pipe has fewer."""

_MAX_POLL_MILLISECONDS: Final = (1 << 31) - 1
"""How long the system can wait at once: 24 days."""

_log = logging.getLogger("target-eventgen")


class _InterruptedError(BaseException):
    """Raised by a signal's handler into a waiting read."""


def _not_taken(block: bytes) -> tuple[int, Sequence[int]]:
    """Leave all lines to be decoded."""
    count = block.count(b"\n") + (not block.endswith(b"\n"))
    return count, range(count)


def _nothing() -> None:
    """Do nothing."""


class LineReader(GenericSingerReader[str]):
    """Reads Singer messages; numbers keep all of their digits."""

    def __init__(self) -> None:
        super().__init__()
        self._decode = msgspec.json.Decoder(float_hook=Decimal).decode
        self._waiting = False
        self._surrogates_warned = False
        self.interrupted = False
        self.take: Callable[[bytes], tuple[int, Sequence[int]]] = _not_taken
        """Called with a block of lines; returns their count, and the indexes of those that are left to be decoded."""
        self.idle: Callable[[], None] = _nothing
        """Called each time that `idle_seconds` have passed without input."""
        self.idle_seconds = 60.0
        self.failed: Callable[[], None] = _nothing
        """Called where the input can't be processed to its end."""

    @property
    def default_input(self) -> IO[str]:
        """Standard input, as bytes: the JSON decoder decodes UTF-8."""
        if sys.stdin is None:
            raise MessageError(
                "standard input is closed; pipe a tap's output into the target, or name a file with --input"
            )
        return sys.stdin.buffer  # type: ignore[return-value]  # the decoder takes both

    def interrupt(self) -> None:
        """End the input here; called by the handler of a signal, in the thread that reads."""
        first, self.interrupted = not self.interrupted, True
        if first and self._waiting:
            raise _InterruptedError

    def deserialize_json(self, line: str) -> dict[str, Any]:
        """Return the message of a line."""
        return dict(self._decode(line))

    @of_the_sdk()
    def process_lines(
        self, file_input: IO[str] | None, callbacks: dict[str, Callable[[dict[str, Any]], None]]
    ) -> Counter[str]:
        """Hand each message to the callback of its type, until the input ends.

        Raises:
            MessageError: a line is not a Singer message; the text names its number.
        """
        try:
            return self._process_lines(file_input, callbacks)
        except Exception:
            self.failed()
            raise

    def _process_lines(
        self, file_input: IO[str] | None, callbacks: dict[str, Callable[[dict[str, Any]], None]]
    ) -> Counter[str]:
        source: Any = file_input or self.default_input
        blocks = _line_blocks(getattr(source, "buffer", source), self.idle_seconds)
        counts: Counter[str] = Counter()
        number = taken = 0
        while True:
            try:
                # The flag first, then the look: a signal between the two raises, so none is missed.
                self._waiting = True
                if self.interrupted:
                    break
                block = next(blocks, None)
                self._waiting = False
            except _InterruptedError:
                break
            except UnicodeDecodeError as error:
                raise MessageError(f"line {number + 1} of the input is not UTF-8; the tap must write UTF-8") from error
            if block is None:
                break
            if block is _SILENCE:
                self.idle()
                continue
            count, left = self.take(block) if type(block) is bytes else (1, (0,))
            taken += count - len(left)
            lines = _lines(block) if left else []
            for index in left:
                if self.interrupted:
                    break
                line = lines[index]
                if count > 1 and not self.take(line)[1]:
                    taken += 1
                    continue
                if not line.strip():
                    continue
                message = self._message(line, number + index + 1)
                kind = message["type"]
                callbacks[kind](message)
                counts[kind] += 1
            number += count
        self._waiting = False
        if taken:
            counts["RECORD"] += taken
        return counts

    def _message(self, line: str | bytes, number: int) -> dict[str, Any]:
        try:
            message = self._decode(line)
        except TYPE_ERRORS as error:
            message = self._without_surrogates(line, number, error)
        if not isinstance(message, dict) or message.get("type") not in REQUIRED:
            kinds = ", ".join(REQUIRED)
            raise MessageError(
                f"line {number} of the input is not a Singer message: its type must be one of {kinds}; "
                "check that its writer is a Singer tap"
            )
        kind = message["type"]
        for name in REQUIRED[kind]:
            if name not in message:
                raise MessageError(f'line {number} of the input: a {kind} message without "{name}"; correct the tap')
        for name in ("record", "schema"):
            if name in message and not isinstance(message[name], dict):
                raise MessageError(
                    f'line {number} of the input: "{name}" of a {kind} must be an object; correct the tap'
                )
        if kind == "SCHEMA":
            key = message.get("key_properties") or []
            if not isinstance(key, list) or not all(isinstance(name, str) for name in key) or len(set(key)) < len(key):
                raise MessageError(
                    f'line {number} of the input: "key_properties" of a SCHEMA must be a list of names, each once; '
                    "correct the tap"
                )
        if "stream" in message and not isinstance(message["stream"], str):
            raise MessageError(f'line {number} of the input: "stream" of a {kind} must be a text; correct the tap')
        return message

    def _without_surrogates(self, given: str | bytes, number: int, error: Exception) -> Any:
        """Return the message of a line in which U+FFFD replaces each half of a surrogate pair.

        Raises:
            MessageError: the line isn't JSON then either.
        """
        line = given.encode(errors="replace") if isinstance(given, str) else given
        whole, count = _ESCAPES.subn(lambda escape: escape[1] or rb"\ufffd", line)
        if count and whole != line:
            try:
                message = self._decode(whole)
            except TYPE_ERRORS as other:
                error = other
            else:
                if not self._surrogates_warned:
                    _log.warning(
                        "line %d of the input: halves of surrogate pairs, which are not characters, are replaced by U+FFFD",
                        number,
                    )
                self._surrogates_warned = True
                return message
        if isinstance(error, ArithmeticError):
            raise MessageError(
                f"line {number} of the input holds a number whose exponent has more than 18 digits, which nothing here can "
                "hold; have the tap write null, or a text"
            ) from error
        if not line.endswith(b"\n"):
            remedy = "it has no line end, so the tap may have died while it wrote: run again"
        elif isinstance(error, RecursionError):
            remedy = "its values are nested too deeply; leave them out, or make them texts, in the tap"
        elif line.lstrip().startswith(b"{") and (match := _NO_NUMBER.search(line)):
            remedy = f"it holds {match[1].decode()}, which JSON doesn't know: have the tap write null"
        else:
            remedy = "nothing but Singer messages may be written to standard output: have the tap log to standard error"
        raise MessageError(f"line {number} of the input is not JSON: {error}; {remedy}") from error


_SILENCE: Final = object()
"""Stands among the blocks of an input where nothing came for a while."""

_SIGNS: Final = (b'"STATE"', b'"SCHEMA"')
"""Texts that every STATE and SCHEMA has, and a record hardly ever."""


def _lines(block: str | bytes) -> list[Any]:
    """Return the lines of a block with their ends."""
    if type(block) is bytes and block.find(b"\n") not in (-1, len(block) - 1):
        return io.BytesIO(block).readlines()
    return [block]


def _line_blocks(source: Any, seconds: float) -> Iterator[Any]:
    """Yield an input in blocks of whole lines with their ends, and `_SILENCE` after so many seconds without any.

    A line that may be a STATE or a SCHEMA is a block of its own.
    """
    try:
        descriptor = source.fileno()
        kind = os.fstat(descriptor).st_mode
    except (AttributeError, OSError):
        return iter(source)
    if stat.S_ISREG(kind) and hasattr(source, "readinto"):
        return _cut(_blocks_of_file(source))
    if not hasattr(select, "poll") or not (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)):
        return iter(source)
    return _cut(_blocks_of_pipe(descriptor, seconds))


def _cut(blocks: Iterator[Any]) -> Iterator[Any]:
    """Cut blocks of lines around lines that may not be records."""
    for block in blocks:
        if block is _SILENCE:
            yield block
            continue
        start = 0
        signs = [block.find(sign) for sign in _SIGNS]
        while (at := min((position for position in signs if position >= 0), default=-1)) >= 0:
            line = block.rfind(b"\n", start, at) + 1 or start
            if line > start:
                yield block[start:line]
            start = block.find(b"\n", at) + 1 or len(block)
            yield block[line:start]
            signs = [
                block.find(sign, start) if 0 <= position < start else position
                for sign, position in zip(_SIGNS, signs, strict=True)
            ]
        if start < len(block):
            yield block[start:]


def _blocks_of_file(source: Any) -> Iterator[Any]:
    while block := source.read(_MAX_BLOCK_BYTES):
        yield block + source.readline()


def _blocks_of_pipe(descriptor: int, seconds: float) -> Iterator[Any]:
    """Read a pipe that nobody has read from."""
    wait = select.poll()
    wait.register(descriptor, select.POLLIN)
    started: list[bytes] = []  # the pieces of a line whose end has not come
    while True:
        if not wait.poll(min(seconds * 1000, _MAX_POLL_MILLISECONDS)):
            yield _SILENCE
            continue
        block = os.read(descriptor, _MAX_BLOCK_BYTES)
        if not block:
            break
        end = block.rfind(b"\n") + 1
        if not end:
            started.append(block)
            continue
        yield b"".join((*started, block[:end]))
        started = [block[end:]] if end < len(block) else []
    if started:
        yield b"".join(started)
