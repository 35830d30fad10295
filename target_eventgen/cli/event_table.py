"""A table of events for a person: time, type, subject and change.

Pure functions of the events and the width of the terminal. Without a width (a file, a pipe) nothing is shortened.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

from msgspec import Struct

from target_eventgen.model.recorded import Recorded

HEADER: Final = ("TIME", "TYPE", "SUBJECT", "CHANGE")
_GAP: Final = "  "
_LEAST: Final = 8  # cells that a column keeps in however narrow a terminal
_METADATA: Final = "_sdc_"  # columns about the load, not about the record


class Marks(Struct, frozen=True):
    """The characters that an output can show."""

    arrow: str = "→"
    ellipsis: str = "…"


ASCII: Final = Marks("->", "...")


class Layout(Struct, frozen=True):
    """The widths of the columns in cells, and of the whole line; None is unlimited."""

    time: int
    type: int
    subject: int
    width: int | None

    def line(self, cells: tuple[str, str, str, str], marks: Marks) -> str:
        """Return the cells of one row side by side. A long cell is shortened in a terminal only."""
        time, kind, subject, changed = cells
        if self.width is not None:
            # The ends of a type and a subject differ more than their beginnings, which all rows share.
            kind, subject = shortened_left(kind, self.type, marks), shortened_left(subject, self.subject, marks)
            left = self.width - self.time - self.type - self.subject - len(_GAP) * 3
            changed = shortened(changed, max(left, _LEAST), marks)
        padded = (_padded(time, self.time), _padded(kind, self.type), _padded(subject, self.subject), changed)
        return _GAP.join(padded).rstrip()


def layout(rows: Iterable[tuple[str, str, str, str]], width: int | None) -> Layout:
    """Return columns as wide as these rows need; in a terminal type and subject leave room for the change."""
    time, kind, subject, changed = (max(map(cells_of, column)) for column in zip(HEADER, *rows, strict=True))
    if width is not None:
        left = max(width - time - len(_GAP) * 3, 0)
        left = max(left - min(changed, max(24, left * 2 // 5)), 2 * _LEAST)
        if kind + subject > left:
            subject = min(subject, max(len(HEADER[2]), left * 2 // 5, left - kind))
            kind = min(kind, left - subject)
    return Layout(time, kind, subject, width)


def row(event: Recorded, marks: Marks) -> tuple[str, str, str, str]:
    """Return the cells of one event. The time is UTC, to the second or as far as it isn't zero."""
    time = (event.time or "").replace("T", " ").removesuffix("Z").removesuffix("000").removesuffix(".000")
    return time, printable(event.type), printable(event.subject), change(event.data, marks)


def change(data: str, marks: Marks) -> str:
    """Return the changed values in one line: `value 9000 → 11000, plan basic → pro`."""
    parsed = json.loads(data, parse_float=Decimal)
    old, new = parsed.get("old"), parsed.get("new")
    if old is None or new is None:
        present = {name: value for name, value in (new or old or {}).items() if not name.startswith(_METADATA)}
        values = ", ".join(f"{printable(name)} {cell(value)}" for name, value in present.items() if value is not None)
        return f"{'deleted' if new is None else 'created'}: {values}"
    names = parsed.get("changed") or [name for name in new if new[name] != old.get(name)]
    return ", ".join(
        f"{printable(name)} {cell(old.get(name))} {marks.arrow} {cell(new.get(name))}"
        for name in names
        if not name.startswith(_METADATA)
    )


def cell(value: Any) -> str:
    """Return a JSON value as a person reads it; a text that could be mistaken for something else stands in quotes."""
    if isinstance(value, str):
        plain = value and value not in {"null", "true", "false"} and value == value.strip() and "," not in value
        return value if plain and value.isprintable() else json.dumps(value, ensure_ascii=not value.isprintable())
    if isinstance(value, Decimal):
        return str(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def printable(text: str) -> str:
    """Return the text with its control characters escaped, so that no value can steer the terminal."""
    return text if text.isprintable() else json.dumps(text)[1:-1]


def cells_of(text: str) -> int:
    """Return how many cells of a terminal the text takes: two for wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    return sum(_cell_width(character) for character in text)


def shortened(text: str, width: int, marks: Marks) -> str:
    """Return the text within so many cells, its end replaced by an ellipsis where it is too long."""
    if cells_of(text) <= width:
        return text
    shown, left = [], width - len(marks.ellipsis)
    for character in text:
        left -= _cell_width(character)
        if left < 0:
            break
        shown.append(character)
    return "".join(shown) + marks.ellipsis


def shortened_left(text: str, width: int, marks: Marks) -> str:
    """Return the text within so many cells, its beginning replaced by an ellipsis where it is too long."""
    if cells_of(text) <= width:
        return text
    shown, left = [], width - len(marks.ellipsis)
    for character in reversed(text):
        left -= _cell_width(character)
        if left < 0:
            break
        shown.append(character)
    return marks.ellipsis + "".join(reversed(shown))


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cells_of(text))


def _cell_width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1
