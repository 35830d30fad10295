"""How far a queue of webhooks was drained, and how STATE says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tap_restextract.config.streams import StreamSettings
from tap_restextract.errors import StateError
from tap_restextract.plan.bookmarks.protocol import Bookmark, Sweep


class QueuePosition(Bookmark, frozen=True):
    """How far the queue was drained.

    Attributes:
        queue: its identity.
        position: of the last notification that came out; None where none ever did.
        cache_pass: the pass of the hash cache that remembers the versions that notifications brought.
        polled: whether the stream was polled to its end since webhooks are listened to.
    """

    queue: str
    position: str | None = None
    cache_pass: Sweep | None = None
    polled: bool = False

    def to_state(self, stream: StreamSettings) -> dict[str, Any]:
        """Return the position as the stream's part of STATE."""
        del stream
        state: dict[str, Any] = {"queue": self.queue, "position": self.position}
        if self.cache_pass is not None:
            state["cache_pass"] = {"number": self.cache_pass.number, "cache": self.cache_pass.cache}
        return {"webhooks": state | ({"polled": True} if self.polled else {})}

    def checkpointed(self, stream: StreamSettings, state: Mapping[str, Any]) -> dict[str, Any]:
        """Return the stream's part of STATE once the position is true; what polling keeps there stays."""
        return {**state, **self.to_state(stream)}


def position_in(stream: str, state: Mapping[str, Any]) -> QueuePosition | None:
    """Return the position that STATE names; None for a first run.

    Raises:
        StateError: where it can't be read.
    """
    stored = state.get("webhooks")
    if stored is None:
        return None
    try:
        position = msgspec.convert(stored, StoredPosition)
    except msgspec.ValidationError as error:
        raise StateError(
            f"stream {stream}: STATE names a position in a queue of webhooks that can't be read; reset this stream's STATE"
        ) from error
    named = position.cache_pass or position.told
    cache_pass = None if named is None else Sweep(named.number, named.cache)
    return QueuePosition(position.queue, position.position, cache_pass, polled=position.polled)


class CachePass(msgspec.Struct, frozen=True):
    """A pass of the hash cache, as STATE names it."""

    number: int
    cache: str


class StoredPosition(msgspec.Struct, frozen=True):
    """A position, as STATE names it."""

    queue: str
    position: str | None = None
    cache_pass: CachePass | None = None
    told: CachePass | None = None
    """What `cache_pass` is called in STATE that 0.1.0 wrote."""
    polled: bool = False
