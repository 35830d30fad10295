"""The queue in Redis Streams, or Valkey's.

Theory of operation. Each stream has a Redis stream, whose ids the server gives out in order, one command at a time:
nothing is committed late. A batch is one pipeline, and an answer to it is worth nothing before it is on the disk: with
`appendfsync always` Redis answers after its sync; with any other setting the pipeline ends with WAITAOF, which waits
for one. A Redis that keeps no log of its commands, or knows no WAITAOF and doesn't always sync, is refused. The sync is
one for all that arrived together. A delivery that comes again is stored again: the target knows it by its version.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from tap_restextract.errors import ConfigurationError, QueueError
from tap_restextract.webhooks.notifications import Entry, Notification
from tap_restextract.webhooks.queues.protocol import BATCH

if TYPE_CHECKING:
    import redis

PREFIX: Final = "tap-restextract:webhooks"
IDENTITY: Final = f"{PREFIX}:identity"
STREAMS: Final = f"{PREFIX}:streams"
POSITION: Final = re.compile(r"(\d{1,20})-(\d{1,20})")
SYNC_SECONDS: Final = 10


class RedisQueue:
    """The queue at this address."""

    def __init__(self, url: str, location: str) -> None:
        try:
            import redis  # noqa: PLC0415  an extra, needed by this queue alone
        except ImportError as error:
            raise ConfigurationError(
                [f"the webhook queue {location} needs the client of Redis: pip install 'tap-restextract[redis]'"]
            ) from error
        self._failures = (redis.RedisError, OSError)
        self._label = f"the webhook queue {location}"
        self._waits = False
        self._checked = False
        try:
            self._redis: redis.Redis = redis.Redis.from_url(
                url, decode_responses=True, socket_connect_timeout=10, socket_timeout=SYNC_SECONDS * 2
            )
        except (*self._failures, ValueError) as error:
            raise self._failed(error) from error

    @property
    def identity(self) -> str:
        """What STATE names the queue by."""
        self._check()
        self._call(self._redis.set, IDENTITY, uuid.uuid4().hex, nx=True)
        return str(self._call(self._redis.get, IDENTITY))

    def store(self, notifications: Sequence[Notification]) -> None:
        """Store the notifications; they are durable once this returns."""
        self._check()
        batch = self._redis.pipeline(transaction=False)
        for name in {each.stream for each in notifications}:
            batch.sadd(STREAMS, name)
        for each in notifications:
            batch.xadd(_key(each.stream), {"source": each.source, "kind": each.kind, "body": each.body})
        if self._waits:
            batch.waitaof(1, 0, SYNC_SECONDS * 1000)
        answers = self._call(batch.execute)
        if self._waits and int(answers[-1][0]) < 1:
            raise QueueError(f"{self._label} didn't write to its disk in {SYNC_SECONDS} s; see what its disk is doing")

    def read(self, stream: str, after: str | None, max_entries: int = BATCH) -> Sequence[Entry]:
        """Return the stream's next notifications after a position; None: from the first that is kept."""
        rows = self._call(self._redis.xrange, _key(stream), f"({after}" if after else "-", "+", max_entries)
        return [
            Entry(position, fields["source"], fields["kind"], fields["body"], _moment(position))
            for position, fields in rows
        ]

    def wait(self, after: Mapping[str, str | None], seconds: float) -> None:
        """Return once one of these streams may have more after its position, or after that time."""
        positions: Any = {_key(stream): position or "0-0" for stream, position in after.items()}
        self._call(self._redis.xread, positions, count=1, block=max(1, int(seconds * 1000)))

    def contains(self, stream: str, position: str) -> bool:
        """Return whether an id of this stream can be that great."""
        if not POSITION.fullmatch(position) or not self._call(self._redis.exists, _key(stream)):
            return False
        last = self._call(self._redis.xinfo_stream, _key(stream))["last-generated-id"]
        return _parts(position) <= _parts(last)

    def acknowledge(self, stream: str, position: str) -> None:
        """Take the stream's entries up to this id out."""
        major, minor = _parts(position)
        self._call(self._redis.xtrim, _key(stream), minid=f"{major}-{minor + 1}", approximate=False)

    def length(self) -> int:
        """Return how many there are."""
        names = self._call(self._redis.smembers, STREAMS)
        return sum(int(self._call(self._redis.xlen, _key(name))) for name in names)

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()

    def _check(self) -> None:
        """See, once, that what is acknowledged is on the disk.

        Raises:
            QueueError: where it isn't, and no command waits for it.
        """
        if self._checked:
            return
        if str(self._call(self._redis.info, "persistence").get("aof_enabled")) != "1":
            raise QueueError(f"{self._label} keeps no log on its disk; set appendonly yes in its configuration")
        try:
            always = self._redis.config_get("appendfsync").get("appendfsync") == "always"
        except self._failures:  # a managed one doesn't say
            always = False
        if not always:
            try:
                self._redis.waitaof(0, 0, 1)
            except self._failures as error:
                raise QueueError(
                    f"{self._label} syncs its log now and then, and knows no WAITAOF; set appendfsync always, or take Redis 7.2"
                ) from error
        self._waits, self._checked = not always, True

    def _call(self, command: Any, *arguments: Any, **options: Any) -> Any:
        """Return a command's answer.

        Raises:
            QueueError: where there is none; without its words, which may hold the address.
        """
        try:
            return command(*arguments, **options)
        except self._failures as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> QueueError:
        self._checked = False  # another server may answer next
        return QueueError(
            f"{self._label} failed ({type(error).__name__}); check webhook_queue, its password, and that Redis runs and has room"
        )


def _key(stream: str) -> str:
    return f"{PREFIX}:stream:{stream}"


def _parts(position: str) -> tuple[int, int]:
    major, _, minor = position.partition("-")
    return int(major), int(minor)


def _moment(position: str) -> str:
    """Return when an id was given out: its first part is in milliseconds since 1970."""
    return datetime.fromtimestamp(_parts(position)[0] / 1000, tz=timezone.utc).isoformat().replace("+00:00", "Z")
