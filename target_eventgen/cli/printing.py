"""Recorded events on standard output: as a table for a person, or as CloudEvents, one JSON object a line."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Final

import click

from target_eventgen.cli import event_table
from target_eventgen.delivery.outbox import Kind
from target_eventgen.model.recorded import Recorded
from target_eventgen.publishers.cloudevent import cloud_event, json_line

_ROWS_AT_ONCE: Final = 200
_NAMED: Final = 6
"""Items of a list that a sentence names."""


def json_lines(events: Iterable[Recorded | None]) -> int:
    """Write each event as a line of JSON, in UTF-8 as JSON is; return how many there were."""
    count = 0
    for event in events:
        if event is None:
            sys.stdout.flush()
        else:
            sys.stdout.buffer.write(json_line(cloud_event(event)))
            count += 1
    sys.stdout.flush()
    return count


def table(events: Iterable[Recorded | None]) -> int:
    """Write the events as a table, whose columns are as wide as the first rows need; return how many there were."""
    in_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if in_terminal else None
    marks = event_table.Marks() if _writable("→…") else event_table.ASCII
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # the stream that Python opens has it
    layout: event_table.Layout | None = None
    rows: list[tuple[str, str, str, str]] = []
    count = 0

    def write() -> None:
        nonlocal layout, rows
        if rows and layout is None:
            layout = event_table.layout(rows, width)
            header = layout.line(event_table.HEADER, marks)
            click.echo(click.style(header, bold=True) if in_terminal and not os.environ.get("NO_COLOR") else header)
        if layout is not None:
            sys.stdout.writelines(layout.line(row, marks) + "\n" for row in rows)
        sys.stdout.flush()
        rows = []

    for event in events:
        if event is not None:
            rows.append(event_table.row(event, marks))
            count += 1
        if event is None or len(rows) == _ROWS_AT_ONCE:
            write()
    write()
    return count


def some(items: Sequence[str]) -> str:
    """Return items as a list within a sentence; of many, the first, and how many more there are."""
    left = len(items) - _NAMED
    return ", ".join(items[:_NAMED]) + (f", and {left:,} more" if left > 0 else "")


def recorded(kinds: Sequence[Kind]) -> str:
    """Return why no event was chosen: there are none, or other ones."""
    if not kinds:
        return "No events."
    return "No event fits; there are " + some(
        [f'{kind.events:,} of {kind.type} (stream "{kind.stream}")' for kind in kinds]
    )


def counted(number: int, type_: str) -> str:
    """Return a number of events of a type, for a person."""
    times = "\N{MULTIPLICATION SIGN}"
    return f"{number:,} {times if _writable(times) else 'x'} {type_}"


def _writable(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return False
    return True
