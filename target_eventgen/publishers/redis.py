"""Redis Streams: each event an XADD, acknowledged by its reply.

Theory of operation. A wave's XADDs go out as one pipeline, and their replies come in the same order. The client repeats
nothing on its own: after a lost connection the rest of the call is unknown and the connection is given up, so nothing
of it is sent again but by the relay. What the server had already received of it, it may still take; repetitions have
the same ids.

An acknowledged event is in the server's memory. What it survives is the server's to say: `appendfsync always` for a
crash of the machine, and `replicas` here, which waits for that many replicas (WAIT), for a failover.

In a cluster a wave goes to each of its nodes as a pipeline of its own. A node that has given a stream away answers so
(MOVED, ASK) and stores nothing; the event goes on to the node that it names. A node that is away pauses the publisher:
what the others took counts, and no event of its own is blamed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from target_eventgen.errors import UnreachableError
from target_eventgen.publishers import payload, redis_servers, tls
from target_eventgen.publishers.cloudevent import CloudEvent, attributes
from target_eventgen.publishers.destination import check, placed
from target_eventgen.publishers.payload import Content
from target_eventgen.publishers.protocol import Delivered, Failed, Outcome, Secret, library
from target_eventgen.publishers.redis_servers import Servers
from target_eventgen.publishers.waves import in_waves, sent_where_placed

if TYPE_CHECKING:
    from redis import Redis

SCHEMES: Final = ("redis", "rediss", "unix")

PERMANENT: Final = ("WRONGTYPE",)
"""Error codes of Redis that the same event would meet again: the stream's key holds something else."""

SERVER_WIDE: Final = frozenset(
    {
        *("OOM", "MISCONF", "READONLY", "NOREPLICAS", "MASTERDOWN", "CLUSTERDOWN", "NOPERM"),
        *("OutOfMemoryError", "ReadOnlyError", "MasterDownError", "ClusterDownError", "NoPermissionError"),
    }
)
"""Error codes about the server rather than an event, and the client's classes for those that it consumes."""


MAX_REDIRECTIONS: Final = 4
"""How often an event goes on to the node that another one has named, in one call."""

AWAY_SECONDS: Final = 1.0
"""Seconds until a cluster of which a node is away is tried again."""

MOVING: Final = Failed("Redis: its stream moves from node to node", cause="busy", retry_after=AWAY_SECONDS)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a publisher to Redis.

    Attributes:
        url: of one server: `redis://host:port/number`, `rediss://` with TLS, or `unix:///path`.
        sentinels: `host:port` of some that watch over the server, instead of its url.
        primary: the name by which they know it.
        database: its number there.
        sentinel_username: of the sentinels' user.
        sentinel_password: of that user, or of the sentinels.
        cluster: `host:port` of some nodes of a cluster, instead of a url.
        tls: whether connections to sentinels, their servers and a cluster are encrypted.
        stream: the key of the stream; it may hold parts of the event, such as `{type}`.
        username: of the server's user.
        password: of the user, or of the server.
        mode: structured, one field `event` of JSON; or binary, a field for each attribute beside `data`.
        payload: the JSON that is sent instead of the event or its data (`target_eventgen.publishers.payload`).
        max_length: entries that the stream keeps, about; None: all.
        replicas: that must have an event before it counts as delivered.
        timeout: seconds that an answer may take.
        batch_size: events in one call, at most.
        certificate_authority: file of the certificates that the server's is verified with.
        client_certificate: file of the client's certificate.
        client_private_key: file of its private key.
    """

    url: str | None = None
    sentinels: tuple[str, ...] = ()
    primary: str | None = None
    database: Annotated[int, msgspec.Meta(ge=0)] = 0
    sentinel_username: str | None = None
    sentinel_password: Secret | None = None
    cluster: tuple[str, ...] = ()
    tls: bool = False
    stream: str = "events"
    username: str | None = None
    password: Secret | None = None
    mode: Literal["structured", "binary"] = "structured"
    payload: Any = None
    max_length: Annotated[int, msgspec.Meta(ge=1)] | None = None
    replicas: Annotated[int, msgspec.Meta(ge=0)] = 0
    timeout: Annotated[float, msgspec.Meta(gt=0, le=120)] = 10.0
    batch_size: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1000
    certificate_authority: str | None = None
    client_certificate: str | None = None
    client_private_key: str | None = None

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if sum(map(bool, (self.url, self.sentinels, self.cluster))) != 1:
            raise ValueError("one of url, sentinels and cluster is needed, and no two of them")
        for name in ("sentinels", "cluster"):
            try:
                redis_servers.addresses(getattr(self, name))
            except ValueError as error:
                raise ValueError(f"{name} {error}") from None
        if bool(self.sentinels) != bool(self.primary):
            raise ValueError("sentinels and primary, the name by which they know the server, go together")
        if not self.sentinels and (self.database or self.sentinel_username or self.sentinel_password):
            raise ValueError("database, sentinel_username and sentinel_password are for sentinels alone")
        if self.url is not None:
            self._check_url(self.url)
        check("stream", self.stream)
        payload.check(self.payload)
        tls.check(self, encrypted=self.is_encrypted)

    def _check_url(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES or not (parts.hostname or parts.path):
            raise ValueError("url must be like redis://host:6379/0, rediss://host:6379/0 or unix:///path")
        if parts.username or parts.password:
            raise ValueError("the url holds a user or a password: they have settings of their own")
        if self.tls:
            raise ValueError("tls is for sentinels and cluster; a url with TLS begins with rediss:")

    @property
    def is_encrypted(self) -> bool:
        """Whether connections are."""
        return self.tls or urlsplit(self.url or "").scheme == "rediss"


def places(settings: Settings) -> list[str]:
    """Return the stream on the server, or at each sentinel or node, any of which says which server or cluster it is."""
    if settings.url is not None:
        return [f"{settings.url} {settings.stream}"]
    watched = f"{settings.primary}/{settings.database} " if settings.sentinels else ""
    return [f"{node} {watched}{settings.stream}" for node in (*settings.sentinels, *settings.cluster)]


def open_publisher(name: str, settings: Settings) -> RedisStreams:
    """Return a publisher, which connects with the first events.

    Raises:
        SettingsError: the client library is missing.
    """
    return RedisStreams(name, settings, library(name, "redis", "redis"))


class RedisStreams:
    """Appends events to streams, a pipeline a wave."""

    ordered = True

    def __init__(self, name: str, settings: Settings, redis: Any) -> None:
        self.most = settings.batch_size
        self._name = name
        self._settings = settings
        self._content = Content(settings.mode, settings.payload)
        self._errors = redis.exceptions
        self._options: tuple[bytes | str, ...] = (
            () if settings.max_length is None else (b"MAXLEN", b"~", str(settings.max_length))
        )
        self._servers = servers(redis, settings)
        self._away: dict[int, UnreachableError] = {}  # by client, in the present call

    def publish(self, events: Sequence[CloudEvent]) -> list[Outcome]:
        """Append events, and return what became of each.

        Raises:
            UnreachableError: the server can't be reached, or a reply was lost.
        """
        self._away.clear()
        return in_waves(events, lambda wave: sent_where_placed(wave, self._stream, self._send))

    def _stream(self, event: CloudEvent) -> str | Failed:
        return placed("stream", self._settings.stream, event)

    def _send(self, events: list[CloudEvent], streams: list[str]) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        lost: list[UnreachableError] = []
        left: dict[int, _Place] = {}
        for index, stream in enumerate(streams):
            try:
                left[index] = _Place(self._servers.of(stream))
            except (self._errors.RedisError, redis_servers.UnservedError, OSError) as error:
                self._servers.forget()
                lost.append(self._unreachable(_reason_of(error)))
                outcomes.update(dict.fromkeys(range(index, len(streams)), _away(lost[0])))
                break
        for _ in range(1 + MAX_REDIRECTIONS):
            shares: dict[int, list[int]] = {}
            for index, place in left.items():
                shares.setdefault(id(place.server), []).append(index)
            places, left = left, {}
            for share in shares.values():
                try:
                    given = self._given(
                        [events[i] for i in share], [streams[i] for i in share], [places[i] for i in share]
                    )
                except UnreachableError as error:
                    lost.append(error)
                    given = [_away(error)] * len(share)
                for index, found in zip(share, given, strict=True):
                    if isinstance(found, _Place):
                        left[index] = found
                    else:
                        outcomes[index] = found
        outcomes.update(dict.fromkeys(left, MOVING))
        if lost and not any(isinstance(outcome, Delivered) for outcome in outcomes.values()):
            raise lost[0]
        return [outcomes[index] for index in range(len(events))]

    def _given(self, events: list[CloudEvent], streams: list[str], places: list[_Place]) -> list[Outcome | _Place]:
        """Give events to the server that all of the places are at; return each one's outcome, or where it is to go.

        Raises:
            UnreachableError: the server can't be reached, or a reply was lost.
        """
        server = places[0].server
        if (known := self._away.get(id(server))) is not None:
            raise known
        try:
            return self._read(server, self._replies(server, events, streams, places))
        except UnreachableError as error:
            self._away[id(server)] = error
            # A connection to what has become a replica would stay one: the next looks again.
            self._servers.forget()
            raise

    def _read(self, server: Redis, replies: list[Any]) -> list[Outcome | _Place]:
        codes = [_code(reply) if isinstance(reply, Exception) else None for reply in replies]
        if all(code in SERVER_WIDE for code in codes):
            raise self._unreachable(f"it answers {codes[0]}")
        found: list[Outcome | _Place] = []
        for reply, code in zip(replies, codes, strict=True):
            if isinstance(reply, self._errors.AskError):  # MOVED is one, too
                moved = isinstance(reply, self._errors.MovedError)
                found.append(_Place(self._named(server, reply), asks=not moved))
                if moved:
                    self._servers.forget()
            elif code is None:
                found.append(Delivered())
            else:
                found.append(Failed(f"Redis answers {code}", permanent=code in PERMANENT))
        return found

    def _named(self, server: Redis, reply: Any) -> Redis:
        """Return the server that an answer sends to; without a host it is another port of the same one."""
        try:
            return self._servers.at(reply.host or server.get_connection_kwargs()["host"], reply.port)
        except redis_servers.UnservedError as error:
            raise self._unreachable(str(error)) from error

    def _replies(self, server: Redis, events: list[CloudEvent], streams: list[str], places: list[_Place]) -> list[Any]:
        """Send a pipeline, and return the reply to each event."""
        settings = self._settings
        pipeline: Any = server.pipeline(transaction=False)
        for event, stream, place in zip(events, streams, places, strict=True):
            if place.asks:
                pipeline.execute_command("ASKING")
            pipeline.execute_command("XADD", stream, *self._options, b"*", *self._fields(event))
        if settings.replicas:
            pipeline.execute_command("WAIT", settings.replicas, int(settings.timeout * 500))
        try:
            replies = pipeline.execute(raise_on_error=False)
        except (self._errors.ConnectionError, self._errors.TimeoutError, OSError) as error:
            raise self._unreachable(_reason_of(error)) from error
        except self._errors.RedisError as error:
            raise self._unreachable(_code(error)) from error
        if settings.replicas:
            copies = replies.pop()
            if not isinstance(copies, int) or copies < settings.replicas:
                has = copies if isinstance(copies, int) else _code(copies)
                raise self._unreachable(f"{settings.replicas} replicas should have the events, and it says {has}")
        asking = iter(replies)
        return [next(asking) if not place.asks else (next(asking), next(asking))[1] for place in places]

    def _fields(self, event: CloudEvent) -> list[bytes | str]:
        if self._content.is_structured:
            return [b"event", self._content.of(event)]
        fields: list[bytes | str] = []
        for name, value in attributes(event).items():
            fields += (name, value)
        return [*fields, b"datacontenttype", event.datacontenttype, b"data", self._content.of(event)]

    def _unreachable(self, why: str) -> UnreachableError:
        return UnreachableError(f'the publisher "{self._name}": Redis can\'t be reached: {why}')

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(self._errors.RedisError, OSError):
            self._servers.close()


def servers(redis: Any, settings: Settings) -> Servers:
    """Return where the streams of a publisher are; nothing is connected to yet.

    Args:
        redis: the client library.
        settings: of the publisher.
    """
    options: dict[str, Any] = {
        "socket_timeout": settings.timeout,
        "socket_connect_timeout": settings.timeout,
        "socket_keepalive": True,
        "retry": redis.retry.Retry(redis.backoff.NoBackoff(), 0),
    }
    if settings.is_encrypted:
        options |= {
            "ssl_ca_certs": settings.certificate_authority,
            "ssl_certfile": settings.client_certificate,
            "ssl_keyfile": settings.client_private_key,
        }
    password = None if settings.password is None else settings.password.value
    own = {**options, "username": settings.username, "password": password, "client_name": "target-eventgen"}
    if settings.url is not None:
        return redis_servers.One(redis.Redis.from_url(settings.url, **own))
    if settings.tls:
        options, own = {**options, "ssl": True}, {**own, "ssl": True}
    if settings.cluster:
        return redis_servers.Cluster(redis, redis_servers.addresses(settings.cluster), own)
    watching = settings.sentinel_password and settings.sentinel_password.value
    sentinel = redis.sentinel.Sentinel(
        redis_servers.addresses(settings.sentinels),
        sentinel_kwargs={**options, "username": settings.sentinel_username, "password": watching},
        **own,
    )
    return redis_servers.One(sentinel.master_for(settings.primary, db=settings.database))


class _Place(msgspec.Struct, frozen=True):
    """The server that an event goes to, and whether a node is to take it whose the event's slot is not yet."""

    server: Any
    asks: bool = False


def _away(error: UnreachableError) -> Failed:
    """Return the failure of events whose node is away: no attempt of theirs, though other nodes' events get through."""
    return Failed(str(error), cause="busy", retry_after=AWAY_SECONDS)


def _code(error: object) -> str:
    """Return the code that an error of Redis begins with; what follows may quote a command."""
    first = str(error).partition(" ")[0]
    return first if first.isupper() else type(error).__name__


def _reason_of(error: Exception) -> str:
    """Return what went wrong with a connection; the client's words hold its address and no password."""
    return str(error).rstrip(".") or type(error).__name__
