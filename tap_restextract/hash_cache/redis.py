"""A hash cache in Redis, or Valkey: for taps that run on changing machines.

Theory of operation. Each stream has a hash (key: pass that emitted it, content's hash) and a sorted set of the keys
that are live, by the pass that last saw them. A page is one transaction of a few commands, whatever its size. `begin`
reads the hash whole, in batches, but only where a pass after the confirmed one was begun; `missing` lets the server
copy the keys that it will yield, so that they may be buried meanwhile. Redis must keep what it is given
(`maxmemory-policy noeviction`, and a persistence): a cache that lost its latest passes, or the tail of one, is noticed
by the mark of the last one that was finished, and everything comes out again.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, closing
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from tap_restextract.errors import CacheError, ConfigurationError
from tap_restextract.exchange.validators import Validator, decode_validator, encoded_validator
from tap_restextract.hash_cache.protocol import BATCH, Key, confirmed_validator

if TYPE_CHECKING:
    import redis

PREFIX: Final = "tap-restextract"
SNAPSHOT_SECONDS: Final = 86_400


class RedisHashes:
    """One stream's hashes in Redis."""

    def __init__(self, url: str, stream: str, location: str) -> None:
        try:
            import redis  # noqa: PLC0415  an extra, needed by this cache alone
        except ImportError as error:
            raise ConfigurationError(
                [
                    f"stream {stream}: the hash cache {location} needs the client of Redis: pip install 'tap-restextract[redis]'"
                ]
            ) from error
        self._failures = (redis.RedisError, OSError)
        self._label = f"stream {stream}: the hash cache {location}"
        try:
            with ExitStack() as cleanup:  # closed again where the server refuses
                self._redis: redis.Redis = cleanup.enter_context(
                    closing(redis.Redis.from_url(url, decode_responses=True, socket_connect_timeout=10))
                )
                self._redis.setnx(f"{PREFIX}:identity", uuid.uuid4().hex)
                cleanup.pop_all()
        except (*self._failures, ValueError) as error:
            raise ConfigurationError(
                [
                    f"{self._label} can't be opened ({type(error).__name__}); check hash_cache, its password, and that Redis runs"
                ]
            ) from error
        self._hashes = f"{PREFIX}:hashes:{stream}"
        self._live = f"{PREFIX}:live:{stream}"
        self._begun = f"{PREFIX}:begun:{stream}"
        self._finished = f"{PREFIX}:finished:{stream}"
        self._validator = f"{PREFIX}:validator:{stream}"
        self.validator: Validator | None = None
        self._missing = f"{PREFIX}:missing:{stream}"

    @property
    def identity(self) -> str:
        """What STATE names the cache by."""
        return str(self._call(self._redis.get, f"{PREFIX}:identity"))

    def begin(self, confirmed: int | None) -> int:
        """Begin a pass and return its number; forget what passes after the confirmed one wrote (None: all of them)."""
        last = int(self._call(self._redis.get, self._begun) or 0)
        trusted = confirmed or 0
        if int(self._call(self._redis.get, self._finished) or 0) < trusted:
            trusted = 0  # the cache lost what STATE confirms: nothing in it can be trusted
        if last != trusted:
            self._forget(trusted)
        number, _, encoded = str(self._call(self._redis.get, self._validator) or "").partition(":")
        self.validator = (
            confirmed_validator(decode_validator(encoded), int(number), trusted=trusted) if encoded else None
        )
        raised = self._call(self._redis.eval, RAISED, 2, f"{PREFIX}:passes", self._begun, max(confirmed or 0, last))
        return int(raised)

    def known_hashes(self, keys: Collection[Key]) -> Mapping[Key, str]:
        """Return the hashes of those keys whose content is known."""
        result: dict[Key, str] = {}
        for chunk in _chunks(keys):
            values = self._call(self._redis.hmget, self._hashes, chunk)
            digests = ((key, value.partition(":")[2]) for key, value in zip(chunk, values, strict=True) if value)
            result.update((key, digest) for key, digest in digests if digest)
        return result

    def record_emitted(self, hashes: Mapping[Key, str], number: int) -> None:
        """Record the hashes that a pass emitted."""
        if hashes:
            batch = self._redis.pipeline(transaction=True)
            batch.hset(self._hashes, mapping={key: f"{number}:{digest}" for key, digest in hashes.items()})
            batch.zadd(self._live, dict.fromkeys(hashes, number))
            self._call(batch.execute)

    def record_seen(self, keys: Collection[Key], number: int) -> None:
        """Record that a pass saw these keys, unchanged."""
        if keys:
            self._call(self._redis.zadd, self._live, dict.fromkeys(keys, number), xx=True)

    def missing(self, since: int) -> Iterator[Key]:
        """Yield the keys that were live and that no pass from this one on saw."""
        self._call(self._redis.zrangestore, self._missing, self._live, "-inf", f"({since}", byscore=True)
        self._call(self._redis.expire, self._missing, SNAPSHOT_SECONDS)
        start = 0
        while chunk := self._call(self._redis.zrange, self._missing, start, start + BATCH - 1):
            yield from chunk
            start += len(chunk)
        self._call(self._redis.delete, self._missing)

    def record_deleted(self, keys: Collection[Key], number: int) -> None:
        """Record that a pass emitted these keys' deletion."""
        for chunk in _chunks(keys):
            batch = self._redis.pipeline(transaction=True)
            batch.hset(self._hashes, mapping=dict.fromkeys(chunk, f"{number}:"))
            batch.zrem(self._live, *chunk)
            self._call(batch.execute)

    def finish(self, number: int, validator: Validator | None = None) -> None:
        """Record that a pass was written whole, and its answer's validator; only then may STATE confirm the pass."""
        batch = self._redis.pipeline(transaction=True)
        batch.set(self._finished, number)
        if validator is None:
            batch.delete(self._validator)
        else:
            batch.set(self._validator, f"{number}:{encoded_validator(validator)}")
        self._call(batch.execute)

    def is_empty(self) -> bool:
        """Return whether nothing is known of the stream."""
        return not self._call(self._redis.exists, self._hashes)

    def close(self) -> None:
        """Close the cache."""
        self._redis.close()

    def _forget(self, confirmed: int) -> None:
        """Forget the contents that passes after the confirmed one wrote; their keys are live again."""
        cursor = 0
        while True:
            cursor, values = self._call(self._redis.hscan, self._hashes, cursor, count=BATCH)
            late = {key: value for key, value in values.items() if int(value.partition(":")[0]) > confirmed}
            if late:
                batch = self._redis.pipeline(transaction=True)
                batch.hset(self._hashes, mapping={key: f"{value.partition(':')[0]}:" for key, value in late.items()})
                batch.zadd(self._live, dict.fromkeys(late, 0), nx=True)
                self._call(batch.execute)
            if cursor == 0:
                return

    def _call(self, command: Any, *arguments: Any, **options: Any) -> Any:
        """Return a command's answer.

        Raises:
            CacheError: where there is none; without its words, which may hold the address.
        """
        try:
            return command(*arguments, **options)
        except self._failures as error:
            raise CacheError(
                f"{self._label} failed ({type(error).__name__}); see that Redis runs and has room, then run again: STATE is where the last page was written"
            ) from error


# The number is taken and kept in one step, so that no two passes share it.
RAISED: Final = """
local number = math.max(tonumber(redis.call('get', KEYS[1]) or '0'), tonumber(ARGV[1])) + 1
redis.call('set', KEYS[1], string.format('%d', number))
redis.call('set', KEYS[2], string.format('%d', number))
return number
"""


def _chunks(keys: Collection[Key]) -> Iterator[list[Key]]:
    left = iter(keys)
    while chunk := list(islice(left, BATCH)):
        yield chunk
