"""Bookmarks: what STATE keeps of a stream, and how it is read back.

Standard Singer keys, so that Meltano and people can read them, and the walk's own beside them: `cursor` (both parts of
a compound cursor) or `boundary` (the hashes of the records that share the bookmark's window). A STATE of another walk,
or of another tap, degrades to its `replication_key_value`, inclusively.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final

import msgspec

from tap_restextract.errors import StateError
from tap_restextract.plan import walks
from tap_restextract.plan.plan import Plan
from tap_restextract.values.cursor import Cursor, NoRankError, rank

_encoder: Final = msgspec.json.Encoder(order="sorted", decimal_format="number")
DIGEST_BYTES: Final = 9
OWN_KEYS: Final = frozenset(
    {"replication_key", "replication_key_value", "cursor", "boundary", "high", "low", "sweep", "parents"}
)
MAX_BOUNDARY_HASHES: Final = 3000  # 45 KB of STATE; a record beyond is emitted once more, never lost


@dataclass(frozen=True, slots=True)
class EmittedRange:
    """Values of the replication key between which everything was emitted by a pass from the newest down."""

    high: Any
    low: Any


@dataclass(frozen=True, slots=True)
class Sweep:
    """The last complete pass of a sweep, and the hash cache that remembers it."""

    number: int
    cache: str
    at: str | None = None


@dataclass(frozen=True, slots=True)
class Bookmark:
    """How far a stream was emitted: everything before `cursor`, and from its window on the records in `boundary`.

    `newest` is the newest value that was read; STATE doesn't keep it.
    """

    cursor: Cursor | None
    boundary: frozenset[str] = frozenset()
    emitted_range: EmittedRange | None = None
    sweep: Sweep | None = None
    reconciliation: Sweep | None = None
    nulls: Sweep | None = None
    children: ChildrenBookmark | None = None
    newest: Any = None


@dataclass(frozen=True, slots=True)
class ChildrenBookmark:
    """How far the children of all parents were emitted.

    Attributes:
        floor: everything before it, of every parent that was read before.
        parents: those that are further, or have more to remember, by their primary key's values as JSON.
        pass_: the pass over all parents that STATE confirms to the hash cache.
    """

    floor: Any = None
    parents: Mapping[str, Bookmark] = field(default_factory=dict)
    pass_: Sweep | None = None


def content_hash(record: Mapping[str, Any]) -> str:
    """Return twelve characters that stand for a record's whole content, whatever the order of its keys."""
    if not isinstance(record, dict):
        record = dict(record)  # a row's raw values are decoded: numbers and blanks are written in many ways
    digest = hashlib.blake2b(_encoder.encode(record), digest_size=DIGEST_BYTES).digest()
    return base64.urlsafe_b64encode(digest).decode()


def to_state(plan: Plan, bookmark: Bookmark) -> dict[str, Any]:
    """Return the bookmark as the stream's part of STATE."""
    if bookmark.children is not None:
        return _children_state(plan, bookmark.children)
    if bookmark.sweep is not None:
        return {"sweep": {"number": bookmark.sweep.number, "cache": bookmark.sweep.cache}}
    incremental = plan.stream.incremental
    assert incremental is not None
    state: dict[str, Any] = {"replication_key": plan.replication_key}
    if bookmark.cursor is not None:
        state["replication_key_value"] = bookmark.cursor.value
        if plan.walk.is_keyset:
            state["cursor"] = {incremental.cursor_path: bookmark.cursor.value}
            if incremental.tie_breaker:
                state["cursor"][incremental.tie_breaker] = bookmark.cursor.tie
    if bookmark.emitted_range is not None:
        state |= {"high": bookmark.emitted_range.high, "low": bookmark.emitted_range.low}
    for name, named in (("audit", bookmark.reconciliation), ("nulls", bookmark.nulls)):
        if named is not None:
            state[name] = {"number": named.number, "cache": named.cache, "at": named.at}
    if bookmark.boundary:
        # Cut before it is sorted: a tie of many thousands is written after each of its pages.
        state["boundary"] = sorted(islice(bookmark.boundary, MAX_BOUNDARY_HASHES))
    return state


def checkpointed(plan: Plan, state: Mapping[str, Any], bookmark: Bookmark) -> dict[str, Any]:
    """Return the stream's part of STATE once the bookmark is true: keys of other walks go, those of others stay."""
    return {key: value for key, value in state.items() if key not in OWN_KEYS} | to_state(plan, bookmark)


def feed_bookmark(events: Plan, state: Mapping[str, Any]) -> Bookmark | None:
    """Return the bookmark of an events feed, by the plan of the feed itself, and when it was read."""
    feed = state.get("feed")
    if feed is None:
        return None
    if not isinstance(feed, Mapping) or not isinstance(state.get("read_at"), str):
        raise StateError(
            f"stream {events.stream.name}: STATE holds a feed that can't be read; reset this stream's STATE"
        )
    bookmark = from_state(events, feed)
    return replace(
        bookmark or Bookmark(None), reconciliation=Sweep(int(state.get("listed") is False), "", state["read_at"])
    )


def feed_state(events: Plan, bookmark: Bookmark) -> dict[str, Any]:
    """Return the feed's bookmark as the stream's part of STATE."""
    read = bookmark.reconciliation or Sweep(0, "")
    listed = {} if read.number == 0 else {"listed": False}
    return {"feed": to_state(events, replace(bookmark, reconciliation=None)), "read_at": read.at, **listed}


def combined_bookmark(plan: Plan, state: Mapping[str, Any], bookmark: Bookmark | None) -> Bookmark:
    """Return the bookmark with the parts of a combined walk (sweep_every, null_params)."""
    label = f"stream {plan.stream.name}: STATE"
    parts = {name: _swept({"sweep": state.get(name)}, label) for name in ("audit", "nulls")}
    named = {name: part.sweep for name, part in parts.items() if part is not None}
    return replace(bookmark or Bookmark(None), reconciliation=named.get("audit"), nulls=named.get("nulls"))


def from_state(plan: Plan, state: Mapping[str, Any], *, of_one_parent: bool = False) -> Bookmark | None:
    """Return the bookmark of an earlier run; None for a first one.

    Raises:
        StateError: for a STATE that can't be read, or that belongs to another replication key.
    """
    incremental = plan.stream.incremental
    if plan.parent_names and incremental is not None and not of_one_parent:
        return _children_bookmark(plan, state)
    if plan.walk.follows_feed:
        return None  # the feed's own plan reads it: `in_feed`
    if plan.walk.compares_with_cache:
        return _swept(state, f"stream {plan.stream.name}: STATE")
    if incremental is None:
        return None
    label = f"stream {plan.stream.name}: STATE"
    value = state.get("replication_key_value")
    boundary = state.get("boundary", [])
    if not isinstance(boundary, list) or not all(isinstance(member, str) for member in boundary):
        raise StateError(f"{label} holds a boundary that is no list of hashes; reset this stream's STATE")
    known = frozenset(boundary)
    emitted_range = _emitted_range(plan, state, label)
    if value is None:
        return Bookmark(None, known, emitted_range) if known or emitted_range else None
    key = state.get("replication_key", plan.replication_key)
    if key not in {plan.replication_key, incremental.cursor_path}:
        raise StateError(
            f"{label} was written for the replication key {key!r}, the configuration says {plan.replication_key!r}; "
            "reset this stream's STATE for a full backfill, or restore the configuration"
        )
    if plan.walk.has_unique_cursor:
        return Bookmark(Cursor(value), known, emitted_range)
    try:
        rank(value)
    except NoRankError as error:
        raise StateError(
            f"{label} holds a replication_key_value that is neither an instant nor a number; reset this stream's STATE"
        ) from error
    cursor = state.get("cursor")
    parts = (incremental.cursor_path, incremental.tie_breaker)
    if (
        plan.walk.has_compound_cursor
        and isinstance(cursor, Mapping)
        and all(cursor.get(part) is not None for part in parts)
        and cursor[incremental.cursor_path] == value
    ):
        return Bookmark(Cursor(value, cursor[incremental.tie_breaker]), known)
    return Bookmark(Cursor(value), known, emitted_range)


def _emitted_range(plan: Plan, state: Mapping[str, Any], label: str) -> EmittedRange | None:
    if plan.walk is not walks.DESCENDING or "high" not in state or "low" not in state:
        return None
    try:
        rank(state["high"]), rank(state["low"])
    except NoRankError as error:
        raise StateError(
            f"{label} holds a high or low that is neither an instant nor a number; reset this stream's STATE"
        ) from error
    return EmittedRange(state["high"], state["low"])


def _swept(state: Mapping[str, Any], label: str) -> Bookmark | None:
    sweep = state.get("sweep")
    if sweep is None:
        return None
    if not (
        isinstance(sweep, Mapping) and isinstance(sweep.get("number"), int) and isinstance(sweep.get("cache"), str)
    ):
        raise StateError(f"{label} names no sweep that can be read; reset this stream's STATE")
    at = sweep.get("at")
    return Bookmark(None, sweep=Sweep(sweep["number"], sweep["cache"], at if isinstance(at, str) else None))


def _children_state(plan: Plan, children: ChildrenBookmark) -> dict[str, Any]:
    state: dict[str, Any] = {"replication_key": plan.replication_key}
    if children.floor is not None:
        state["replication_key_value"] = children.floor
    if children.pass_ is not None:
        state["sweep"] = {"number": children.pass_.number, "cache": children.pass_.cache}
    parents = {key: to_state(plan, bookmark) for key, bookmark in children.parents.items()}
    if parents:
        state["parents"] = {
            key: {name: value for name, value in own.items() if name != "replication_key"}
            for key, own in parents.items()
        }
    return state


def _children_bookmark(plan: Plan, state: Mapping[str, Any]) -> Bookmark:
    floor = from_state(plan, {key: value for key, value in state.items() if key != "boundary"}, of_one_parent=True)
    parents = state.get("parents", {})
    label = f"stream {plan.stream.name}: STATE"
    if not isinstance(parents, Mapping) or not all(isinstance(own, Mapping) for own in parents.values()):
        raise StateError(f"{label} holds parents that are no mapping of bookmarks; reset this stream's STATE")
    read = {key: from_state(plan, own, of_one_parent=True) for key, own in parents.items()}
    named = _swept(state, label)
    return Bookmark(
        None,
        children=ChildrenBookmark(
            floor.cursor.value if floor and floor.cursor else None,
            {key: bookmark for key, bookmark in read.items() if bookmark is not None},
            named.sweep if named else None,
        ),
    )
