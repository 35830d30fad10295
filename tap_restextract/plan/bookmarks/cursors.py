"""Bookmarks of walks that go on from a value of the replication key.

STATE has the replication key and its value; `cursor`, both parts of a compound cursor; `boundary`, the hashes of the
records that share the bookmark's window. A STATE of another walk, or of another tap, degrades to its
`replication_key_value`, inclusively.

Numbers with a fraction are texts in STATE, since whoever keeps STATE may read JSON's numbers as doubles, and rounds
them; `decimals` names those texts, as an API may also write its keys as texts of digits, and gets back what it wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from itertools import islice
from typing import Any, Final

from msgspec import Struct
from typing_extensions import Self

from tap_restextract.config.streams import Incremental, StreamSettings
from tap_restextract.errors import StateError
from tap_restextract.plan.bookmarks.protocol import Bookmark, state_of
from tap_restextract.plan.ranges import counted_time, unit_beyond
from tap_restextract.values.cursor import INSTANT, NUMBER, Cursor, NoRankError, rank
from tap_restextract.values.own_forms import instant_of
from tap_restextract.values.paths import steps

MAX_BOUNDARY_HASHES: Final = 3000  # 45 KB of STATE; a record beyond is emitted once more, never lost


class CursorBookmark(Bookmark, frozen=True):
    """Everything before `cursor` was emitted, and from the cursor's window on the records in `boundary`.

    `newest` is the newest value that was read; STATE doesn't keep it.
    """

    cursor: Cursor | None
    boundary: frozenset[str] = frozenset()
    newest: Any = None

    @classmethod
    def from_state(cls, stream: StreamSettings, state: Mapping[str, Any]) -> Self | None:
        """Return the bookmark of an earlier run; None for a first one.

        Raises:
            StateError: for a STATE that can't be read, or that belongs to another replication key.
        """
        state = _with_numbers(stream, state)
        boundary = state.get("boundary", [])
        if not isinstance(boundary, list) or not all(isinstance(member, str) for member in boundary):
            raise StateError(
                f"{state_of(stream)} holds a boundary that is not a list of hashes; reset this stream's STATE"
            )
        value = state.get("replication_key_value")
        if value is None:
            return cls(None, frozenset(boundary)) if boundary else None
        incremental = _incremental_of(stream)
        configured = replication_key(incremental)
        value = _instant_in(stream, incremental, value)
        key = state.get("replication_key", configured)
        if key not in {configured, incremental.cursor_path}:
            raise StateError(
                f"{state_of(stream)} was written for the replication key {key!r}, the configuration says {configured!r}; "
                "reset this stream's STATE for a full backfill, or restore the configuration"
            )
        if (unit := unit_beyond(incremental, value)) is not None:
            raise StateError(
                f"{state_of(stream)} holds {value!r}, which epoch: {incremental.epoch} makes {counted_time(rank(value), str(incremental.epoch))}, so that "
                f"nothing would come; declare epoch: {unit}, or reset this stream's STATE, where another epoch wrote it"
            )
        return cls(cls._cursor(stream, state, value), frozenset(boundary))

    def to_state(self, stream: StreamSettings) -> dict[str, Any]:
        """Return the bookmark as the stream's part of STATE."""
        incremental = _incremental_of(stream)
        state: dict[str, Any] = {"replication_key": replication_key(incremental), **self._position(incremental)}
        if self.boundary:
            # Cut before it is sorted: a tie of many thousands is written after each of its pages.
            state["boundary"] = sorted(islice(self.boundary, MAX_BOUNDARY_HASHES))
        return with_texts(state)

    def _position(self, incremental: Incremental) -> dict[str, Any]:
        del incremental
        return _value_of(self.cursor)

    @classmethod
    def _cursor(cls, stream: StreamSettings, state: Mapping[str, Any], value: Any) -> Cursor:
        """Return the cursor of a STATE with this value of the replication key."""
        del state
        _check_rank(stream, "replication_key_value", value)
        return Cursor(value)


class KeysetBookmark(CursorBookmark, frozen=True):
    """A cursor that names one record, after which the next run asks."""

    def _position(self, incremental: Incremental) -> dict[str, Any]:
        if self.cursor is None:
            return {}
        parts = {incremental.cursor_path: self.cursor.value}
        if incremental.tie_breaker:
            parts[incremental.tie_breaker] = self.cursor.tie
        return _value_of(self.cursor) | {"cursor": parts}

    @classmethod
    def _cursor(cls, stream: StreamSettings, state: Mapping[str, Any], value: Any) -> Cursor:
        incremental = _incremental_of(stream)
        if incremental.filter != "compound":
            return Cursor(value)  # a unique key may be a text, which has no rank
        _check_rank(stream, "replication_key_value", value)
        key, tie_breaker, parts = incremental.cursor_path, incremental.tie_breaker, state.get("cursor")
        if isinstance(parts, Mapping) and parts.get(key) == value and parts.get(tie_breaker) is not None:
            return Cursor(value, parts[tie_breaker])
        return Cursor(value)


class EmittedRange(Struct, frozen=True):
    """Values of the replication key between which everything was emitted by a pass from the newest down."""

    high: Any
    low: Any


class DescendingBookmark(CursorBookmark, frozen=True):
    """The mark of the last complete pass, and what an interrupted one emitted above it."""

    emitted_range: EmittedRange | None = None

    @classmethod
    def from_state(cls, stream: StreamSettings, state: Mapping[str, Any]) -> Self | None:
        """Return the bookmark of an earlier run; None for a first one.

        Raises:
            StateError: for a STATE that can't be read, or that belongs to another replication key.
        """
        mark, emitted_range = CursorBookmark.from_state(stream, state), None
        state = _with_numbers(stream, state)
        if "high" in state and "low" in state:
            incremental = _incremental_of(stream)
            high, low = (_instant_in(stream, incremental, state[name]) for name in ("high", "low"))
            _check_rank(stream, "high or low", high, low)
            emitted_range = EmittedRange(high, low)
        if mark is None and emitted_range is None:
            return None
        mark = mark or CursorBookmark(None)
        return cls(mark.cursor, mark.boundary, emitted_range=emitted_range)

    def _position(self, incremental: Incremental) -> dict[str, Any]:
        del incremental
        emitted = self.emitted_range
        return _value_of(self.cursor) | ({} if emitted is None else {"high": emitted.high, "low": emitted.low})


def with_texts(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a part of STATE with its decimals as texts, and their names."""
    parts = state.get("cursor", {})
    names = [name for name, value in state.items() if isinstance(value, Decimal)]
    within = [name for name, value in parts.items() if isinstance(value, Decimal)]
    if not names and not within:
        return dict(state)
    cursor = {"cursor": {name: str(value) if name in within else value for name, value in parts.items()}}
    texts = {name: str(state[name]) for name in names}
    return {**state, **(cursor if parts else {}), **texts, "decimals": sorted({*names, *within})}


def _with_numbers(stream: StreamSettings, state: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a part of STATE with the decimals that it names as texts.

    Raises:
        StateError: where one of them is none.
    """
    names = state.get("decimals")
    if names is None:
        return state

    def numbers(values: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: Decimal(value) if name in names and isinstance(value, str) else value
            for name, value in values.items()
        }

    try:
        parts = state.get("cursor")
        return numbers(state) | ({"cursor": numbers(parts)} if isinstance(parts, Mapping) else {})
    except (ArithmeticError, TypeError) as error:
        raise StateError(f"{state_of(stream)} holds a number that can't be read; reset this stream's STATE") from error


def replication_key(incremental: Incremental) -> str:
    """Return a property's name for the cursor's path: a nested one is copied to the top, where targets can see it."""
    return "__".join(steps(incremental.cursor_path) or (incremental.cursor_path,))


def _incremental_of(stream: StreamSettings) -> Incremental:
    assert stream.incremental is not None
    return stream.incremental


def _value_of(cursor: Cursor | None) -> dict[str, Any]:
    return {} if cursor is None else {"replication_key_value": cursor.value}


def _check_rank(stream: StreamSettings, name: str, *values: Any) -> None:
    try:
        for value in values:
            rank(value)
    except NoRankError as error:
        raise StateError(
            f"{state_of(stream)} holds a {name} that is neither an instant nor a number; reset this stream's STATE"
        ) from error


def _instant_in(stream: StreamSettings, incremental: Incremental, value: Any) -> Any:
    """Return a value of STATE as the walk reads the API's: an instant, where `cursor_formats` came after the STATE.

    Raises:
        StateError: where it is of another kind than the values are.
    """
    is_instant = isinstance(value, str) and INSTANT.match(value) is not None
    if incremental.cursor_formats and not is_instant:
        if (instant := instant_of(value, incremental.cursor_formats)) is None:
            raise StateError(
                f"{state_of(stream)} holds {value!r}, which is written in none of cursor_formats ({', '.join(incremental.cursor_formats)}); correct "
                "them, or reset this stream's STATE, where another configuration wrote it"
            )
        return instant
    first = incremental.initial_value
    is_number = isinstance(first, int) or (isinstance(first, str) and NUMBER.match(first) is not None)
    if is_instant and is_number:
        raise StateError(
            f"{state_of(stream)} holds the instant {value!r}, and initial_value is the number {first!r}; restore the cursor_formats by which "
            "the API's values were instants, or reset this stream's STATE"
        )
    return value
