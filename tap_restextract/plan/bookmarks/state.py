"""STATE by the plan: which class reads it, and what it says once a bookmark is true."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tap_restextract.plan.bookmarks.children import ChildrenBookmark
from tap_restextract.plan.bookmarks.protocol import Bookmark
from tap_restextract.plan.bookmarks.sweeps import CombinedBookmark
from tap_restextract.plan.plan import Plan


def from_state(plan: Plan, state: Mapping[str, Any]) -> Bookmark | None:
    """Return the bookmark of an earlier run; None for a first one.

    Raises:
        StateError: for a STATE that can't be read, or that belongs to another replication key.
    """
    stream, kind = plan.stream, plan.walk.bookmark
    if kind is None:
        return None
    if plan.parent_names:
        return ChildrenBookmark.from_state(stream, state, kind)
    if plan.is_combined:
        return CombinedBookmark.from_state(stream, state, kind)
    bookmark: Bookmark | None = kind.from_state(stream, state)
    return bookmark


def to_state(plan: Plan, bookmark: Bookmark) -> dict[str, Any]:
    """Return the bookmark as the stream's part of STATE."""
    return bookmark.to_state(plan.stream)


def checkpointed(plan: Plan, state: Mapping[str, Any], bookmark: Bookmark) -> dict[str, Any]:
    """Return the stream's part of STATE once the bookmark is true: keys of other walks go, those of others stay."""
    return bookmark.checkpointed(plan.stream, state)
