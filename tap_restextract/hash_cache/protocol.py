"""Hash caches: what a sweep remembers of every record, so that only new, changed and missing ones come out.

Theory of operation. A cache holds for each stream and primary key the content's hash, the pass that emitted it, and the
pass that last saw it. Passes are counted up for ever. A pass counts only when the STATE that names it comes back as
input: `begin` forgets the contents that later passes wrote (a crash downstream, or an older STATE, loses nothing) but
keeps their keys, so that their deletion is still noticed. Where STATE names no pass of this cache, that is all of them.
It is all of them, too, where STATE names a pass that the cache doesn't know to be finished: then it lost some, or the
tail of one, as a cache does that was restored from a backup or whose machine failed before its disk had all; what it
holds of a record may be older than what was emitted. The mark of a finished pass is written after all else, so where it
is, all is.

In that mark a pass may leave what its one answer was known by (an ETag), by which the next one asks whether anything
has changed since. It is believed only where STATE confirms that very pass. A pass emits after its mark, which takes the
place of the one before: so where the confirmed one's is still there, no later pass has emitted anything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final, Protocol

from tap_restextract.exchange.validators import Validator

Key = str
BATCH: Final = 1000


class HashCache(Protocol):
    """One stream's part of a cache; keys are JSON texts of the primary key's values."""

    @property
    def identity(self) -> str:
        """What STATE names the cache by."""
        ...

    @property
    def validator(self) -> Validator | None:
        """What the confirmed pass's answer was known by, once `begin` knows which pass that is."""
        ...

    def begin(self, confirmed: int | None) -> int:
        """Begin a pass and return its number; forget what passes after the confirmed one wrote (None: all of them)."""
        ...

    def known_hashes(self, keys: Collection[Key]) -> Mapping[Key, str]:
        """Return the hashes of those keys whose content is known."""
        ...

    def record_emitted(self, hashes: Mapping[Key, str], number: int) -> None:
        """Record the hashes that a pass emitted."""
        ...

    def record_seen(self, keys: Collection[Key], number: int) -> None:
        """Record that a pass saw these keys, unchanged."""
        ...

    def missing(self, since: int) -> Iterator[Key]:
        """Yield the keys that were live and that no pass from this one on saw."""
        ...

    def record_deleted(self, keys: Collection[Key], number: int) -> None:
        """Record that a pass emitted these keys' deletion."""
        ...

    def finish(self, number: int, validator: Validator | None = None) -> None:
        """Record that a pass was written whole, and its answer's validator; only then may STATE confirm the pass."""
        ...

    def is_empty(self) -> bool:
        """Return whether nothing is known of the stream."""
        ...

    def close(self) -> None:
        """Close the cache."""
        ...


def confirmed_validator(validator: Validator, number: int, *, trusted: int) -> Validator | None:
    """Return the validator that a pass left, where it is the confirmed one."""
    return validator if number == trusted else None
