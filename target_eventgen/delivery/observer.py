"""What follows a delivery from outside: metrics, logs, progress."""

from __future__ import annotations

from collections.abc import Sequence

from target_eventgen.delivery.decisions import Verdict
from target_eventgen.publishers.cloudevent import CloudEvent


class Observer:
    """Called with what a relay does, from several threads; this one ignores it all."""

    def called(self, publisher: str, seconds: float, events: Sequence[CloudEvent]) -> None:
        """Take note of a call of a publisher that ended, well or not, after so many seconds."""

    def settled(self, publisher: str, verdicts: Sequence[Verdict]) -> None:
        """Take note of verdicts that are marked and committed."""

    def unreachable(self, publisher: str) -> None:
        """Take note of a publisher that could not reach its receiver."""
