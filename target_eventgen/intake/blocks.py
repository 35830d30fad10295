"""Blocks of input lines: the unit in which plain RECORDs are decoded and encoded."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from io import BytesIO
from operator import itemgetter
from typing import Final, Literal

import msgspec

UNSET: Final = "UNSET"
"""The text of an encoded line where its record doesn't mention a property."""

SPECIAL: Final = re.compile(rb"\\(?:[\\nrt]|u00(?:0|5[cC]))")
"""JSON escapes of characters that COPY escapes or can't take: backslash, line ends, tab, NUL, and neighbours."""

MAX_SPLIT_BYTES: Final = 1 << 18
"""Twice of what a block has where its lines are of a common size."""

_FIRST: Final = itemgetter(0)
_LAST: Final = itemgetter(-2)  # before the line's end
_OPENING: Final = {*b"{"}
_CLOSING: Final = {*b"}"}

TYPE_ERRORS: Final = (msgspec.DecodeError, UnicodeError, ValueError, RecursionError, ArithmeticError)
"""Raised for a record that is not of its types, or not JSON."""


class Head(msgspec.Struct, gc=False):
    """A RECORD message whose record is left undecoded."""

    type: Literal["RECORD"]
    stream: str
    record: msgspec.Raw


head: Final[Callable[[bytes], Head]] = msgspec.json.Decoder(Head).decode
"""Decode a RECORD message up to its record; raises ValueError where a line is not a RECORD."""


class LineBlock:
    """Successive lines of the input.

    Attributes:
        text: as they came.
        count: of the lines.
    """

    def __init__(self, text: bytes) -> None:
        self.text = text
        # To look for line ends is several times as fast as to count them; but a line of a large block may be huge.
        self._ended = BytesIO(text).readlines() if 0 < len(text) <= MAX_SPLIT_BYTES else None
        self.count = text.count(b"\n") + (not text.endswith(b"\n")) if self._ended is None else len(self._ended)

    @cached_property
    def special(self) -> frozenset[int]:
        """The indexes of the lines that hold an escape of `SPECIAL`."""
        if b"\\" not in self.text or SPECIAL.search(self.text) is None:
            return frozenset()
        return frozenset(index for index, line in enumerate(self.lines) if SPECIAL.search(line) is not None)

    @cached_property
    def lines(self) -> list[bytes]:
        """The lines; those of more than one without their ends."""
        if self.count == 1:  # it may be huge
            return [self.text]
        return self.text.removesuffix(b"\n").split(b"\n")

    @property
    def is_plain(self) -> bool:
        """Whether every line is one self-contained JSON value (no blank lines, no two values on a line).

        The decoder of lines takes any space for a line's end: two values on a line and a blank line would pass for two
        lines.
        """
        if self.special or self.count == 1:
            return not self.special
        if self._ended is None:
            return self.text.count(b"}\n{") == self.count - 1
        try:
            return {*map(_FIRST, self._ended)} == _OPENING and {*map(_LAST, self._ended)} == _CLOSING
        except IndexError:  # a blank line
            return False

    @property
    def stream(self) -> str | None:
        """The stream of the first line; None where that is not a RECORD."""
        end = self.text.find(b"\n") if self.count > 1 else len(self.text)  # a single line may be huge
        try:
            return head(self.text[:end]).stream
        except TYPE_ERRORS:
            return None

    def by_stream(self) -> dict[str, list[int]]:
        """Return the indexes of each stream's lines; nothing where not every line is a RECORD.

        Lines after a message of another type may depend on it.
        """
        indexes: dict[str, list[int]] = {}
        try:
            for index, line in enumerate(self.lines):
                indexes.setdefault(head(line).stream, []).append(index)
        except TYPE_ERRORS:
            return {}
        return indexes

    def part(self, indexes: Sequence[int]) -> LineBlock:
        """Return a block of some of the lines."""
        lines = self.lines
        return LineBlock(b"\n".join([*(lines[index] for index in indexes), b""]))

    def unfinished(self, lines: Sequence[str]) -> list[int]:
        """Return the indexes of the encoded lines that COPY can't read yet: see `CompiledEncoder.lines`."""
        unset = [index for index, line in enumerate(lines) if UNSET in line]
        return sorted(self.special.union(unset)) if self.special else unset
