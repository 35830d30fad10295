"""What every bookmark has: a form in STATE.

A bookmark's keys are standard Singer keys, so that Meltano and people can read them, and the walk's own beside them.
The classes of this folder are all that walks use; the position in a queue of webhooks is one more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from tap_restextract.config.streams import StreamSettings
from tap_restextract.errors import StateError

OWN_KEYS: Final = frozenset(
    {"replication_key", "replication_key_value", "cursor", "boundary", "high", "low", "sweep", "parents", "decimals"}
)


class Sweep(Struct, frozen=True):
    """A complete pass over a list, and the hash cache that remembers the pass; `at` is its moment, ISO 8601."""

    number: int
    cache: str
    at: str | None = None


class Bookmark(Struct, frozen=True):
    """How far a stream was emitted."""

    def to_state(self, stream: StreamSettings) -> dict[str, Any]:
        """Return the bookmark as the stream's part of STATE."""
        raise NotImplementedError

    def checkpointed(self, stream: StreamSettings, state: Mapping[str, Any]) -> dict[str, Any]:
        """Return the stream's part of STATE once the bookmark is true: keys of other walks go, those of others stay."""
        return {key: value for key, value in state.items() if key not in OWN_KEYS} | self.to_state(stream)

    @property
    def cache_pass(self) -> Sweep | None:
        """The pass that the bookmark confirms to the stream's hash cache."""
        return None


def state_of(stream: StreamSettings) -> str:
    """Name the stream's part of STATE as messages do."""
    return f"stream {stream.name}: STATE"


def sweep_in(stream: StreamSettings, part: object) -> Sweep | None:
    """Return the pass that a part of STATE names; None where there is no such part.

    Raises:
        StateError: where the part can't be read.
    """
    if part is None:
        return None
    if not (isinstance(part, Mapping) and isinstance(part.get("number"), int) and isinstance(part.get("cache"), str)):
        raise StateError(f"{state_of(stream)} names no sweep that can be read; reset this stream's STATE")
    at = part.get("at")
    return Sweep(part["number"], part["cache"], at if isinstance(at, str) else None)
