"""The progress of a relay that delivers a backlog: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from target_eventgen.delivery.decisions import Dead, Done, Verdict
from target_eventgen.delivery.observer import Observer

LINE_SECONDS: Final = 10.0
"""Seconds between two lines."""

logger = logging.getLogger("target-eventgen")


class Lines(Observer):
    """Logs the progress now and then."""

    def __init__(self, backlog: Mapping[str, int]) -> None:
        self._backlog = dict(backlog)
        self._done: dict[str, int] = {}
        self._logged_at = time.monotonic()
        self._lock = threading.Lock()

    def settled(self, publisher: str, verdicts: Sequence[Verdict]) -> None:
        """Take note of verdicts that are marked and committed."""
        with self._lock:
            self._done[publisher] = self._done.get(publisher, 0) + _ended(verdicts)
            done, now = self._done[publisher], time.monotonic()
            if now - self._logged_at < LINE_SECONDS:
                return
            self._logged_at = now
        known = max(self._backlog.get(publisher, 0), done)
        logger.info('the publisher "%s": %d of %d events', publisher, done, known, extra={"publisher": publisher})


class Bars(Observer):
    """Moves a bar for each publisher. The bars belong to `rich`, which is not asked for more than that."""

    def __init__(self, bars: Mapping[str, Bar]) -> None:
        self._bars = dict(bars)

    def settled(self, publisher: str, verdicts: Sequence[Verdict]) -> None:
        """Take note of verdicts that are marked and committed."""
        if publisher in self._bars:
            self._bars[publisher].advance(_ended(verdicts))


class Bar:
    """One bar."""

    def __init__(self, progress: object, task: object) -> None:
        self._progress = progress
        self._task = task

    def advance(self, number: int) -> None:
        """Move on."""
        self._progress.advance(self._task, number)  # type: ignore[attr-defined]  # rich need not be installed


def _ended(verdicts: Sequence[Verdict]) -> int:
    return sum(isinstance(verdict, Done | Dead) for verdict in verdicts)


@contextmanager
def shown(backlog: Mapping[str, int]) -> Iterator[Observer]:
    """Show the progress of delivery meanwhile.

    Args:
        backlog: undelivered events, by publisher.
    """
    if not (sys.stderr.isatty() and any(backlog.values())):
        yield Lines(backlog)
        return
    try:
        from rich import console, progress  # noqa: PLC0415  an extra
    except ModuleNotFoundError:
        yield Lines(backlog)
        return
    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=console.Console(stderr=True), redirect_stdout=False) as bars:
        tasks = {name: bars.add_task(name, total=total) for name, total in backlog.items()}
        yield Bars({name: Bar(bars, task) for name, task in tasks.items()})
