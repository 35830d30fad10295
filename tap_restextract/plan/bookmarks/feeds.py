"""The bookmark of a stream that follows an events feed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import structs

from tap_restextract.config.streams import StreamSettings
from tap_restextract.errors import StateError
from tap_restextract.plan.bookmarks.cursors import KeysetBookmark
from tap_restextract.plan.bookmarks.protocol import Bookmark, state_of


class FeedBookmark(Bookmark, frozen=True):
    """How far the feed was read.

    Attributes:
        events: the last event that was read; its cursor is None where there was no event yet.
        read_at: when the feed was read, ISO 8601.
        is_listed: whether the stream's list was read whole since.
    """

    events: KeysetBookmark
    read_at: str
    is_listed: bool = True

    @classmethod
    def from_state(cls, stream: StreamSettings, state: Mapping[str, Any]) -> FeedBookmark | None:
        """Return the bookmark of an earlier run; None for a first one.

        Raises:
            StateError: for a STATE that can't be read, or that belongs to another replication key of the feed.
        """
        feed, read_at = state.get("feed"), state.get("read_at")
        if feed is None:
            return None
        if not isinstance(feed, Mapping) or not isinstance(read_at, str):
            raise StateError(f"{state_of(stream)} holds a feed that can't be read; reset this stream's STATE")
        events = KeysetBookmark.from_state(_events_of(stream), feed)
        return cls(events or KeysetBookmark(None), read_at, is_listed=state.get("listed") is not False)

    def to_state(self, stream: StreamSettings) -> dict[str, Any]:
        """Return the bookmark as the stream's part of STATE."""
        listed = {} if self.is_listed else {"listed": False}
        return {"feed": self.events.to_state(_events_of(stream)), "read_at": self.read_at, **listed}

    def checkpointed(self, stream: StreamSettings, state: Mapping[str, Any]) -> dict[str, Any]:
        """Return the stream's part of STATE once the bookmark is true: a feed's is all that there is."""
        del state
        return self.to_state(stream)


def _events_of(stream: StreamSettings) -> StreamSettings:
    assert stream.feed is not None
    return structs.replace(stream, incremental=stream.feed.incremental)
