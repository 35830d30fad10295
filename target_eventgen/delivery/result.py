"""The outcome of a delivery to each publisher, and what of it a person must hear."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct


class Result(Struct, frozen=True):
    """The work of a relay for one publisher.

    Attributes:
        name: the publisher's.
        delivered: events.
        dead: events that became dead letters.
        first_dead: the key of the first of them, and why it died.
        left: events that are undelivered and were given up on for now.
        reason: why.
    """

    name: str
    delivered: int = 0
    dead: int = 0
    first_dead: str = ""
    left: int = 0
    reason: str = ""

    def __str__(self) -> str:
        """Return a line for a log."""
        return f'the publisher "{self.name}": {self.delivered} events delivered, {self.dead} became dead letters'

    @property
    def warning(self) -> str:
        """The message where events became dead letters."""
        commands = f"`target-eventgen dead-letters list --publisher {self.name}`, then `dead-letters retry` or `drop`"
        return f'the publisher "{self.name}": {self.dead} events became dead letters, first of {self.first_dead}; {commands}'

    @property
    def complaint(self) -> str:
        """The message where something is left."""
        return f'the publisher "{self.name}": {self.left} events are left for later ({self.reason})'


def complaints_of(results: Sequence[Result], *, dead_too: bool) -> list[str]:
    """Return what of a delivery is to end in an error: what is left, and dead letters where they are asked for."""
    return [
        *(result.complaint for result in results if result.left),
        *(result.warning for result in results if result.dead and dead_too),
    ]
