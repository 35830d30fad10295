"""The events of a run that were not handed on: held by a guard, or waiting for held ones of their keys."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from target_eventgen.errors import EventsHeldError
from target_eventgen.model.checkpoint import Outcome
from target_eventgen.model.guard import HeldByGuards, HeldOfRule


class HeldEvents:
    """Says so as soon as a rule's events are held, and once more at the run's end."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._told: set[tuple[str, str]] = set()
        self._waiting = 0

    def add(self, outcome: Outcome) -> None:
        """Take note of a batch."""
        for type_ in outcome.held:
            if (outcome.stream, type_) not in self._told:
                self._told.add((outcome.stream, type_))
                self._logger.warning(
                    'stream "%s": the rule "%s" has fired more events than its guard allows a run; those from here on are held',
                    outcome.stream,
                    type_,
                )
        self._waiting += outcome.waiting

    def summed(self, run: int, held: HeldByGuards) -> EventsHeldError | None:
        """Say what waits, and what earlier runs have left; return the error of a run of which events are held."""
        if self._waiting:
            self._logger.warning("%d events wait for held events of their keys", self._waiting)
        if held.rules:
            return _error(run, held.rules)
        if held.undecided:
            self._logger.warning(
                "%d events of earlier runs are held, the first for %.1f hours: see `target-eventgen events held`",
                held.undecided,
                (held.seconds or 0) / 3600,
            )
        return None


def _error(run: int, held: Sequence[HeldOfRule]) -> EventsHeldError:
    rules = "; ".join(
        f'stream "{each.stream}", rule "{each.type}": {each.held} of {each.events} events' for each in held
    )
    return EventsHeldError(
        f"the guard holds what this run fired too much ({rules}). Rows are committed, STATE is written, and nobody is told of "
        f"the held events: look at them with `target-eventgen events held`, then `events release --run {run}` or "
        f"`events discard --run {run}`"
    )
