"""Keys of children: a primary key that the children of two parents share, of which a target makes one row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from tap_restextract.hash_cache.protocol import Key
from tap_restextract.plan.keys import key_of
from tap_restextract.plan.plan import Plan
from tap_restextract.plan.tombstones import is_tombstone
from tap_restextract.walks.steps import Record

MAX_REMEMBERED_KEYS: Final = 50_000
_encoder: Final = msgspec.json.Encoder(decimal_format="number")


@dataclass(slots=True)
class ChildKeys:
    """The keys of a run's first children, and whose they are, until two parents share one.

    The same record below two parents, as of a user in two teams, is no fault: one row is all that there is to keep.

    Attributes:
        seen: by key, its parent and a hash of the record, as the record comes out; `MAX_REMEMBERED_KEYS` at most.
        ended: nothing is left to be found: it was found, there is no key, the key has the parent's, or enough was seen.
    """

    plan: Plan
    parents: Plan
    seen: dict[Key, tuple[Key, int]] = field(default_factory=dict)
    ended: bool = field(init=False)

    def __post_init__(self) -> None:
        keys = self.plan.stream.primary_key
        self.ended = not keys or all(name in keys for name in self._parent_keys)

    def shared(self, parent: Key, records: Sequence[Record]) -> str | None:
        """Return what to tell where one of a parent's records has the key of another parent's; None where none has."""
        if self.ended:
            return None
        for record in records:
            if is_tombstone(self.plan.stream, record):
                continue
            key, content = key_of(self.plan, record), hash(_encoder.encode(record))
            other, before = self.seen.setdefault(key, (parent, content))
            if other != parent and before != content:
                return self._end(self._told)
        if len(self.seen) >= MAX_REMEMBERED_KEYS:
            return self._end(None)
        return None

    def _end(self, told: str | None) -> str | None:
        self.ended = True
        self.seen.clear()
        return told

    @property
    def _parent_keys(self) -> list[str]:
        """The properties by which a child can carry its parent's key."""
        return [f"_{self.parents.stream.name}_{name}" for name in self.parents.stream.primary_key]

    @property
    def _told(self) -> str:
        stream, keys = self.plan.stream, ", ".join(self.plan.stream.primary_key)
        taken = [*stream.include_from_parent, *self.parents.stream.primary_key]
        return (
            f"stream {stream.name} (children of {self.parents.stream.name}): two parents have different records with the same "
            f"primary key ({keys}), so that one takes the other's place in a target; let the parent's key belong to it: "
            f"include_from_parent: [{', '.join(dict.fromkeys(taken))}], primary_key: [{', '.join([*self._parent_keys, *stream.primary_key])}]"
        )
