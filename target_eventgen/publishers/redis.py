"""Redis Streams: each event an XADD, acknowledged by its reply.

Theory of operation. A wave's XADDs go out as one pipeline, and their replies come in the same order. The client repeats
nothing on its own: after a lost connection the rest of the call is unknown and the connection is given up, so nothing
of it is sent again but by the relay. What the server had already received of it, it may still take; repetitions have
the same ids.

An acknowledged event is in the server's memory. What it survives is the server's to say: `appendfsync always` for a
crash of the machine, and `replicas` here, which waits for that many replicas (WAIT), for a failover.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from target_eventgen.errors import UnreachableError
from target_eventgen.publishers import payload, tls
from target_eventgen.publishers.cloudevent import CloudEvent, attributes
from target_eventgen.publishers.destination import check, placed
from target_eventgen.publishers.payload import Content
from target_eventgen.publishers.protocol import Delivered, Failed, Outcome, Secret, library
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


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a publisher to Redis.

    Attributes:
        url: `redis://host:port/number`, `rediss://` with TLS, or `unix:///path`.
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

    url: str
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
        parts = urlsplit(self.url)
        if parts.scheme not in SCHEMES or not (parts.hostname or parts.path):
            raise ValueError("url must be like redis://host:6379/0, rediss://host:6379/0 or unix:///path")
        if parts.username or parts.password:
            raise ValueError("the url holds a user or a password: they have settings of their own")
        check("stream", self.stream)
        payload.check(self.payload)
        tls.check(self, encrypted=parts.scheme == "rediss")


def places(settings: Settings) -> list[str]:
    """Return the stream on the server."""
    return [f"{settings.url} {settings.stream}"]


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
        encrypted: dict[str, Any] = {}
        if urlsplit(settings.url).scheme == "rediss":
            encrypted = {
                "ssl_ca_certs": settings.certificate_authority,
                "ssl_certfile": settings.client_certificate,
                "ssl_keyfile": settings.client_private_key,
            }
        self._client: Redis = redis.Redis.from_url(
            settings.url,
            username=settings.username,
            password=None if settings.password is None else settings.password.value,
            socket_timeout=settings.timeout,
            socket_connect_timeout=settings.timeout,
            socket_keepalive=True,
            retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0),
            client_name="target-eventgen",
            **encrypted,
        )

    def publish(self, events: Sequence[CloudEvent]) -> list[Outcome]:
        """Append events, and return what became of each.

        Raises:
            UnreachableError: the server can't be reached, or a reply was lost.
        """
        return in_waves(events, lambda wave: sent_where_placed(wave, self._stream, self._send))

    def _stream(self, event: CloudEvent) -> str | Failed:
        return placed("stream", self._settings.stream, event)

    def _send(self, events: list[CloudEvent], streams: list[str]) -> list[Outcome]:
        settings = self._settings
        pipeline: Any = self._client.pipeline(transaction=False)
        for event, stream in zip(events, streams, strict=True):
            pipeline.execute_command("XADD", stream, *self._options, b"*", *self._fields(event))
        if settings.replicas:
            pipeline.execute_command("WAIT", settings.replicas, int(settings.timeout * 500))
        try:
            replies = pipeline.execute(raise_on_error=False)
        except (self._errors.ConnectionError, self._errors.TimeoutError, OSError) as error:
            self._client.connection_pool.disconnect()
            raise self._unreachable(_reason_of(error)) from error
        except self._errors.RedisError as error:
            self._client.connection_pool.disconnect()
            raise self._unreachable(_code(error)) from error
        if settings.replicas:
            copies = replies.pop()
            if not isinstance(copies, int) or copies < settings.replicas:
                has = copies if isinstance(copies, int) else _code(copies)
                raise self._unreachable(f"{settings.replicas} replicas should have the events, and it says {has}")
        codes = [_code(reply) if isinstance(reply, Exception) else None for reply in replies]
        if all(code in SERVER_WIDE for code in codes):
            # A connection to what has become a replica would stay one: the next looks again.
            self._client.connection_pool.disconnect()
            raise self._unreachable(f"it answers {codes[0]}")
        return [
            Delivered() if code is None else Failed(f"Redis answers {code}", permanent=code in PERMANENT)
            for code in codes
        ]

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
            self._client.close()


def _code(error: object) -> str:
    """Return the code that an error of Redis begins with; what follows may quote a command."""
    first = str(error).partition(" ")[0]
    return first if first.isupper() else type(error).__name__


def _reason_of(error: Exception) -> str:
    """Return what went wrong with a connection; the client's words hold its address and no password."""
    return str(error).rstrip(".") or type(error).__name__
