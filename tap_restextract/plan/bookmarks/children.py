"""The bookmark of the children of all parents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import field

from tap_restextract.config.streams import StreamSettings
from tap_restextract.errors import StateError
from tap_restextract.plan.bookmarks.cursors import CursorBookmark, with_texts
from tap_restextract.plan.bookmarks.protocol import Bookmark, Sweep, state_of, sweep_in


class ChildrenBookmark(Bookmark, frozen=True):
    """How far the children of all parents were emitted.

    Attributes:
        floor: everything before it, of every parent that was read before.
        parents: those that are further, or have more to remember, by their primary key's values as JSON.
        pass_: the pass over all parents that STATE confirms to the hash cache.
    """

    floor: Any = None
    parents: Mapping[str, CursorBookmark] = field(default_factory=dict)
    pass_: Sweep | None = None

    @classmethod
    def from_state(
        cls, stream: StreamSettings, state: Mapping[str, Any], kind: type[CursorBookmark]
    ) -> ChildrenBookmark:
        """Return the bookmark of an earlier run, or the one of a first run; `kind` is that of one parent's bookmark.

        Raises:
            StateError: for a STATE that can't be read, or that belongs to another replication key.
        """
        floor = kind.from_state(stream, {key: value for key, value in state.items() if key != "boundary"})
        parents = state.get("parents", {})
        if not isinstance(parents, Mapping) or not all(isinstance(own, Mapping) for own in parents.values()):
            raise StateError(
                f"{state_of(stream)} holds parents that are not a mapping of bookmarks; reset this stream's STATE"
            )
        read = {key: kind.from_state(stream, own) for key, own in parents.items()}
        return cls(
            floor.cursor.value if floor and floor.cursor else None,
            {key: bookmark for key, bookmark in read.items() if bookmark is not None},
            sweep_in(stream, state.get("sweep")),
        )

    def to_state(self, stream: StreamSettings) -> dict[str, Any]:
        """Return the bookmark as the stream's part of STATE."""
        state = CursorBookmark(None).to_state(stream)
        if self.floor is not None:
            state |= with_texts({"replication_key_value": self.floor})
        if self.pass_ is not None:
            state["sweep"] = {"number": self.pass_.number, "cache": self.pass_.cache}
        if self.parents:
            parents = {key: bookmark.to_state(stream) for key, bookmark in self.parents.items()}
            state["parents"] = {
                key: {name: value for name, value in own.items() if name != "replication_key"}
                for key, own in parents.items()
            }
        return state

    @property
    def cache_pass(self) -> Sweep | None:
        """The pass that the bookmark confirms to the stream's hash cache."""
        return self.pass_
