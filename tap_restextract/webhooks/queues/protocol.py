"""Queues: where notifications wait until they are known to be loaded. One file a kind, one contract.

The contract. What `store` returned from is durable: it survives a kill and a restart of the queue's server, as far as
the server is set up to. `read` gives what was stored and is not up to a position; everything that is stored later lies
after what was read before. `acknowledge` releases all up to a position, and no more. A position is a text that only the
queue itself understands. A queue has an identity of its own, so that a STATE of another queue, or of one that was lost
and created again, is not taken for a position in this one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from tap_restextract.webhooks.notifications import Entry, Notification

BATCH: Final = 1000  # notifications read at once


class Queue(Protocol):
    """A queue of notifications; one thread uses it at a time."""

    @property
    def identity(self) -> str:
        """What STATE names the queue by."""
        ...

    def store(self, notifications: Sequence[Notification]) -> None:
        """Store the notifications; they are durable once this returns.

        Raises:
            QueueError: it isn't known whether they are kept. The next call connects again.
        """
        ...

    def read(self, stream: str, after: str | None, max_entries: int = BATCH) -> Sequence[Entry]:
        """Return the stream's next notifications after a position; None: from the first that is kept."""
        ...

    def wait(self, after: Mapping[str, str | None], seconds: float) -> None:
        """Return once one of these streams may have more after its position, or after that time."""
        ...

    def contains(self, stream: str, position: str) -> bool:
        """Return whether the position can be one of this queue: not after its end, as after a restored backup."""
        ...

    def acknowledge(self, stream: str, position: str) -> None:
        """Release the stream's notifications up to and with this position."""
        ...

    def length(self) -> int:
        """Return how many notifications are kept, of all streams; an estimate will do."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...
