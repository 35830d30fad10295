"""Queues: where notifications wait until they are known to be loaded. One file a kind, one contract.

The contract. What `store` returned from is durable: it survives a kill and a restart of the queue's server, as far as the
server is set up to. `read` gives what was stored and is not up to a place; everything that is stored later lies behind what
was read before. `acknowledge` lets go of all up to a place, and no more.
A place is a text that only the queue itself understands. A queue has an identity of its own, so that a STATE of another
queue, or of one that was lost and made anew, is not taken for a place in this one.
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
        """Keep them; they are durable once this returns.

        Raises:
            QueueError: it isn't known whether they are kept. The next call connects anew.
        """
        ...

    def read(self, stream: str, after: str | None, max_entries: int = BATCH) -> Sequence[Entry]:
        """The stream's next notifications behind a place; None: from the first that is kept."""
        ...

    def wait(self, after: Mapping[str, str | None], seconds: float) -> None:
        """Return once one of these streams may have more behind its place, or after that time."""
        ...

    def contains(self, stream: str, position: str) -> bool:
        """Whether the place can be one of this queue: not behind its end, as after a restored backup."""
        ...

    def acknowledge(self, stream: str, position: str) -> None:
        """Let go of the stream's notifications up to and with this place."""
        ...

    def length(self) -> int:
        """How many notifications are kept, of all streams; an estimate will do."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...
