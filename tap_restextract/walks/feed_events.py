"""What one event of a feed says: whether it is about the stream, of which object, and whether that object is gone."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from tap_restextract.errors import AnswerError
from tap_restextract.plan.derived import feed_names, feed_of
from tap_restextract.plan.plan import Plan, label_of
from tap_restextract.plan.tombstones import is_marked
from tap_restextract.values.paths import MISSING, find, find_each
from tap_restextract.walks.steps import Record

Key = tuple[Any, ...]
MAX_SHOWN_TYPES: Final = 10
_encoder: Final = msgspec.json.Encoder(decimal_format="number")


class SeenTypes(Struct):
    """How many events of a run are about the stream, and the types of those that aren't, `MAX_SHOWN_TYPES` at most."""

    told_count: int = 0
    others: set[str] = field(default_factory=set)

    def take(self, kind: str, *, is_told: bool) -> None:
        """Count an event of this type."""
        if is_told:
            self.told_count += 1
        elif len(self.others) < MAX_SHOWN_TYPES:
            self.others.add(kind)


def event_types(plan: Plan, events: Sequence[Record]) -> list[str]:
    """Return the events' types as `types` has them: a text as it is, all else as JSON, "" where there is none.

    Raises:
        AnswerError: where none of the events has one, though `types` asks for some.
    """
    feed = feed_of(plan)
    found = find_each(feed.type_path, events)
    if found and all(value is MISSING for value in found) and not matches("", feed.types):
        raise AnswerError(
            f"{label_of(plan)}: no event has a {feed.type_path}, which feed.types are compared with; set feed.type_path to "
            'where an event\'s type lies, or types: ["*"] where all events are about this stream'
        )
    return ["" if value is MISSING else value if isinstance(value, str) else _json(value) for value in found]


def matches(kind: str, patterns: Sequence[str]) -> bool:
    """Return whether a type is one of the patterns, in which * stands for any text."""
    return any(fnmatch.fnmatchcase(kind, pattern) for pattern in patterns)


def tells_deletion(plan: Plan, event: Record, kind: str) -> bool:
    """Return whether an event of this type says that its object is gone."""
    feed = feed_of(plan)
    marked = feed.deleted_path is not None and is_marked(find(feed.deleted_path, event))
    return marked or matches(kind, feed.deleted_types)


def named_key(plan: Plan, event: Record) -> Key | None:
    """Return the primary key of the object that an event names; None where the event has no object with that key.

    Raises:
        AnswerError: where `feed.key` leads nowhere in the event.
    """
    feed, names = feed_of(plan), plan.stream.primary_key
    if feed.key:
        values = tuple(find(feed.key[name], event) for name in names)
        for name, value in zip(names, values, strict=True):
            if value is MISSING or value is None:
                raise AnswerError(
                    f"{label_of(plan)}: an event has no {feed.key[name]}, where feed.key says that it names its object's {name}; "
                    "correct feed.key"
                )
        return values
    carried = find(feed.object_path, event)
    values = tuple(carried.get(name) for name in names) if isinstance(carried, dict) else (None,)
    return None if None in values else values


def deleted_key(plan: Plan, event: Record, *, is_confirmed: bool | None) -> Key:
    """Return the primary key of the object that is gone.

    Args:
        plan: the stream's.
        event: that names it, or tells of it.
        is_confirmed: whether objects that were fetched had the keys that their events name; None where none was yet.

    Raises:
        AnswerError: where the event doesn't say which object it is.
    """
    key, feed = named_key(plan, event), feed_of(plan)
    asked = [str(value) for _, value in object_scope(plan, event)] if feed.fetch_path is not None else []
    told = feed.key or feed.fetch_path is None or is_confirmed
    if key is None or is_confirmed is False or not (told or all(str(value) in asked for value in key)):
        names = ", ".join(f"{name}: PATH" for name in plan.stream.primary_key)
        why = (
            f"at {feed.object_path} (feed.object_path) it has no {', '.join(plan.stream.primary_key)}"
            if key is None
            else f"what it has at {feed.object_path} (feed.object_path) isn't what its object is fetched by"
        )
        raise AnswerError(
            f"{label_of(plan)}: an object is gone, and its event doesn't say which one: {why}; write where an event names its "
            f"object, key: {{{names}}}"
        )
    return key


def carried_object(plan: Plan, event: Record) -> Record:
    """Return the object that an event carries, with the key that the event names.

    Raises:
        AnswerError: where it carries none, or one with another key than `feed.key` finds.
    """
    feed = feed_of(plan)
    record = find(feed.object_path, event)
    if not isinstance(record, dict):
        raise AnswerError(
            f"{label_of(plan)}: an event has no object at {feed.object_path}; set feed.object_path to where it lies"
        )
    if feed.key:
        key = named_key(plan, event) or ()
        record = {**dict(zip(plan.stream.primary_key, key, strict=True)), **record}
        if not is_same_key(key, key_in(plan, record)):
            raise AnswerError(
                f"{label_of(plan)}: an event names another object by feed.key than it carries at {feed.object_path}; correct "
                "feed.key, or feed.object_path"
            )
    if None in key_in(plan, record):
        raise AnswerError(
            f"{label_of(plan)}: an event's object at {feed.object_path} has no {', '.join(plan.stream.primary_key)}; correct "
            "feed.object_path, write key: {"
            + ", ".join(f"{name}: PATH" for name in plan.stream.primary_key)
            + "}, or let "
            "feed.types name the events of this stream alone"
        )
    return record


def object_scope(plan: Plan, event: Record) -> tuple[tuple[str, Any], ...]:
    """Return the values that an event gives to the placeholders of `fetch_path`.

    Raises:
        AnswerError: where it lacks one.
    """
    scope = []
    for name in feed_names(plan):
        value = find(name.removeprefix("event."), event)
        if value is MISSING or value is None:
            raise AnswerError(
                f"{label_of(plan)}: an event has no {name.removeprefix('event.')}, which fetch_path needs; correct the placeholder {{{name}}}"
            )
        scope.append((name, value))
    return tuple(scope)


def key_in(plan: Plan, record: Record) -> Key:
    """Return a record's primary key; None for what it lacks."""
    return tuple(record.get(name) for name in plan.stream.primary_key)


def key_text(plan: Plan, record: Record) -> str:
    """Return a record's primary key as a text, whether its values are written as texts or as numbers."""
    return str([*map(str, key_in(plan, record))])


def is_same_key(one: Key, other: Key) -> bool:
    """Return whether two keys are the same, one of them perhaps written as texts."""
    return [*map(str, one)] == [*map(str, other)]


def _json(value: Any) -> str:
    return _encoder.encode(value).decode()
