"""The records of a run that were older than their rows, for the summary at its end."""

from __future__ import annotations

import logging
from collections.abc import Callable

from target_eventgen.model import versions
from target_eventgen.model.checkpoint import Outcome


class StaleRecords:
    """How many records of each stream were older than their rows, and the key of one of them."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, str | None]] = {}

    def add(self, outcome: Outcome) -> None:
        """Count those of a batch."""
        if outcome.stale:
            number, key = self._found.get(outcome.stream, (0, None))
            self._found[outcome.stream] = number + outcome.stale, key or outcome.stale_key

    def warn(self, logger: logging.Logger, choice_of: Callable[[str], str]) -> None:
        """Say what became of them.

        Args:
            logger: of the target.
            choice_of: what the configuration says of a stream; see `model.versions`.
        """
        for stream, (number, key) in sorted(self._found.items()):
            logger.warning(
                'stream "%s": %d records were older than their rows and were %s, such as one of the key %s; if they are '
                "what the source has now, set stale to apply for this stream",
                stream,
                number,
                "kept in eventgen.invalid_records" if choice_of(stream) == versions.KEEP else "dropped",
                key,
            )
