"""What a run says of its checkpoints in the log: its progress, and the records and events that need a person."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Final

from target_eventgen.model.checkpoint import Outcome
from target_eventgen.observe.held import HeldEvents
from target_eventgen.observe.stale import StaleRecords

PROGRESS_SECONDS: Final = 30.0
"""Seconds between two lines that report the progress of a load."""


class OutcomeLog:
    """Takes note of what became of each checkpoint; `stale` and `held` are for the run's end."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._logged_at = time.monotonic()
        self._records = self._events = 0
        self.stale = StaleRecords()
        self.held = HeldEvents(logger)

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Take note of a checkpoint that was committed."""
        self._records += sum(outcome.records for outcome in outcomes)
        self._events += sum(outcome.recorded for outcome in outcomes)
        now = time.monotonic()
        if now - self._logged_at >= PROGRESS_SECONDS:
            self._logged_at = now
            self._logger.info("%d records are committed so far, %d events recorded", self._records, self._events)
        for outcome in outcomes:
            self._report(outcome)

    def _report(self, outcome: Outcome) -> None:
        if outcome.rejected:
            self._logger.warning("%d invalid records went to eventgen.invalid_records", outcome.rejected)
        self.stale.add(outcome)
        self.held.add(outcome)
        if outcome.known:
            self._logger.warning("%d events were in the outbox already", outcome.known)
