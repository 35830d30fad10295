"""Bookmarks of streams that a hash cache remembers: of a sweep, and of a walk that sweeps follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tap_restextract.config.streams import StreamSettings
from tap_restextract.plan.bookmarks.cursors import CursorBookmark
from tap_restextract.plan.bookmarks.protocol import Bookmark, Sweep, sweep_in


class SweepBookmark(Bookmark, frozen=True):
    """The last complete sweep of the list."""

    sweep: Sweep

    @classmethod
    def from_state(cls, stream: StreamSettings, state: Mapping[str, Any]) -> SweepBookmark | None:
        """Return the bookmark of an earlier run; None for a first one.

        Raises:
            StateError: for a STATE that can't be read.
        """
        sweep = sweep_in(stream, state.get("sweep"))
        return None if sweep is None else cls(sweep)

    def to_state(self, stream: StreamSettings) -> dict[str, Any]:
        """Return the bookmark as the stream's part of STATE."""
        del stream
        return {"sweep": {"number": self.sweep.number, "cache": self.sweep.cache}}

    @property
    def cache_pass(self) -> Sweep | None:
        """The pass that the bookmark confirms to the stream's hash cache."""
        return self.sweep


class CombinedBookmark(Bookmark, frozen=True):
    """The bookmark of the stream's own walk, and the last sweeps that followed the walk.

    Attributes:
        main: the own walk's.
        reconciliation: the last sweep of the whole list (`sweep_every`).
        nulls: the last sweep of the records without replication key (`null_params`).
    """

    main: CursorBookmark
    reconciliation: Sweep | None = None
    nulls: Sweep | None = None

    @classmethod
    def from_state(
        cls, stream: StreamSettings, state: Mapping[str, Any], kind: type[CursorBookmark]
    ) -> CombinedBookmark:
        """Return the bookmark of an earlier run, or the one of a first run; `kind` is that of the own walk's bookmark.

        Raises:
            StateError: for a STATE that can't be read, or that belongs to another replication key.
        """
        main = kind.from_state(stream, state) or kind(None)
        return cls(main, sweep_in(stream, state.get("audit")), sweep_in(stream, state.get("nulls")))

    def to_state(self, stream: StreamSettings) -> dict[str, Any]:
        """Return the bookmark as the stream's part of STATE."""
        parts = {"audit": self.reconciliation, "nulls": self.nulls}
        return self.main.to_state(stream) | {
            name: {"number": part.number, "cache": part.cache, "at": part.at}
            for name, part in parts.items()
            if part is not None
        }

    @property
    def cache_pass(self) -> Sweep | None:
        """The pass that the bookmark confirms to the stream's hash cache."""
        return self.reconciliation
