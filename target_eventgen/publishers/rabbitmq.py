"""RabbitMQ: each event a persistent, mandatory message, acknowledged by a publisher confirm.

Theory of operation. A wave's messages are sent without waiting, and the confirms are matched by the channel's count of
them. The client's event loop runs while a call does, and not in between, so a call begins by asking the broker for
something that changes nothing: a connection that ended meanwhile is reopened before anything is sent on it.

`mandatory` makes the broker give back a message that no queue takes; without it, it would confirm it and throw it away.
A refusal that closes the channel, such as of a message that is too large, doesn't say which message it is about: what
isn't confirmed by then is sent once more, one message a time, until it shows.

A connection that fails is cut, with whatever was still to be sent on it.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Annotated, Any, Final, Literal
from urllib.parse import unquote, urlsplit

import msgspec

from target_eventgen.errors import UnreachableError
from target_eventgen.publishers import payload, tls
from target_eventgen.publishers.cloudevent import CloudEvent, attributes
from target_eventgen.publishers.destination import check, holds_separator, placed
from target_eventgen.publishers.payload import Content
from target_eventgen.publishers.protocol import Delivered, Failed, Outcome, Secret, library
from target_eventgen.publishers.waves import in_waves, sent_where_placed

SCHEMES: Final = ("amqp", "amqps")

CONNECT_SECONDS: Final = 5.0
"""Seconds that one server of the list may take until messages may be sent."""

CLOSE_SECONDS: Final = 1.0
"""Seconds that a connection may take to be closed in order; then it is cut."""

HEARTBEAT_SECONDS: Final = 600
"""After twice as long without a sign the broker gives a connection up: a relay that was idle makes a new one."""

MAX_KEY_BYTES: Final = 255
"""Bytes of a routing key."""

PREFIX: Final = "cloudEvents:"
"""Begins the name of an attribute among the headers, as the AMQP binding of CloudEvents has it."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a publisher to RabbitMQ.

    Attributes:
        servers: `amqp://host:port/vhost`, or `amqps://…` with TLS; of a cluster, some or all.
        exchange: that takes the messages; the empty one leads to the queue that the routing key names.
        routing_key: of each message; it may hold parts of the event, such as `{type}`.
        username: of the broker's user.
        password: of the user.
        mode: structured, a message of JSON; or binary, attributes as headers and the data as the message.
        payload: the JSON that is sent instead of the event or its data (`target_eventgen.publishers.payload`).
        timeout: seconds that a confirm may take.
        batch_size: events in one call, at most.
        certificate_authority: file of the certificates that the server's is verified with.
        client_certificate: file of the client's certificate.
        client_private_key: file of its private key.
    """

    servers: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    exchange: str = ""
    routing_key: str = "{type}"
    username: str = "guest"
    password: Secret = Secret("guest")
    mode: Literal["structured", "binary"] = "structured"
    payload: Any = None
    timeout: Annotated[float, msgspec.Meta(gt=0, le=120)] = 30.0
    batch_size: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 500
    certificate_authority: str | None = None
    client_certificate: str | None = None
    client_private_key: str | None = None

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        for server in self.servers:
            parts = urlsplit(server)
            if parts.scheme not in SCHEMES or not parts.hostname:
                raise ValueError("each of servers must be like amqp://host:5672/vhost or amqps://host:5671/vhost")
            if parts.username or parts.password:
                raise ValueError("an address in servers holds a user or a password: they have settings of their own")
        check("routing_key", self.routing_key)
        payload.check(self.payload)
        tls.check(self, encrypted=any(urlsplit(server).scheme == "amqps" for server in self.servers))


def places(settings: Settings) -> list[str]:
    """Return exchange and routing key on each server, any of which says which cluster it is."""
    return [f"{server} {settings.exchange} {settings.routing_key}" for server in settings.servers]


def open_publisher(name: str, settings: Settings) -> RabbitMQ:
    """Return a publisher, which connects with the first events.

    Raises:
        SettingsError: the client library is missing, or a file that the settings name.
    """
    return RabbitMQ(name, settings, library(name, "pika", "rabbitmq"))


class _Wave:
    """Messages that are on their way, by their numbers on the channel."""

    def __init__(self, ids: Sequence[str]) -> None:
        self.outcomes: list[Outcome | None] = [None] * len(ids)
        self.indexes: dict[int, int] = {}  # of those that are not confirmed, in the order of their numbers
        self._by_id = {id_: index for index, id_ in enumerate(ids)}
        self._returned: dict[int, str] = {}  # by index

    def give_back(self, id_: str, reason: str) -> None:
        """Take a message that no queue wanted; its confirm comes after it."""
        if id_ in self._by_id:
            self._returned[self._by_id[id_]] = reason

    def confirm(self, number: int, *, several: bool, taken: bool) -> None:
        """Take a confirm, of one message or of all up to it."""
        for each in list(takewhile(lambda one: one <= number, self.indexes)) if several else [number]:
            index = self.indexes.pop(each, None)
            if index is None:
                continue
            if index in self._returned:
                self.outcomes[index] = Failed(f"no queue takes it: {self._returned[index]}", permanent=True)
            elif taken:
                self.outcomes[index] = Delivered()
            else:
                self.outcomes[index] = Failed("the broker did not take it (nack); its queue may be full")


class RabbitMQ:
    """Publishes messages to an exchange, many at a time."""

    ordered = True

    def __init__(self, name: str, settings: Settings, pika: Any) -> None:
        self.most = settings.batch_size
        self._name = name
        self._settings = settings
        self._content = Content(settings.mode, settings.payload)
        self._pika = pika
        encrypted = any(urlsplit(server).scheme == "amqps" for server in settings.servers)
        self._context = tls.context(name, settings) if encrypted else None
        self._connection: Any = None
        self._channel: Any = None
        self._number = 0  # of the channel's last message
        self._wave: _Wave | None = None
        self._closed: tuple[int, str] | None = None  # why the channel is
        self._complaint: str | None = None  # why the connection is gone
        self._blocked: str | None = None  # why the broker reads nothing from it
        self._next = 0  # the server to be asked first
        logger = logging.getLogger("pika")
        if logger.level == logging.NOTSET:
            # pika logs each lost connection with tracebacks; the errors here report it once.
            logger.setLevel(logging.CRITICAL)

    def publish(self, events: Sequence[CloudEvent]) -> list[Outcome]:
        """Publish events, and return what became of each.

        Raises:
            UnreachableError: no server can be reached, or none has answered.
        """
        try:
            self._connect()
            return in_waves(events, lambda wave: sent_where_placed(wave, self._key, self._send))
        except UnreachableError:
            self._drop()
            raise

    def _connect(self) -> None:
        """Make sure that there is a connection which stood a moment ago."""
        if self._connection is not None:
            if self._stands():
                return
            self._drop()
        servers = self._settings.servers
        failures = []
        for attempt in range(len(servers)):
            index = (self._next + attempt) % len(servers)
            self._complaint = self._blocked = None
            self._greet(servers[index])
            if self._channel is not None:
                self._next = index
                return
            failures.append(self._why(f"{urlsplit(servers[index]).hostname} doesn't answer"))
            self._drop()
        raise self._unreachable("; ".join(dict.fromkeys(failures)))

    def _why(self, else_: str) -> str:
        return self._complaint or self._blocked or else_

    def _stands(self) -> bool:
        """Return whether the broker answers; it may have gone while the event loop wasn't running."""
        if self._channel is None or not self._channel.is_open:
            return False
        answers: list[object] = []

        def answered(frame: object) -> None:
            answers.append(frame)
            self._stop()

        try:
            self._channel.basic_qos(callback=answered)
        except self._pika.exceptions.AMQPError:
            return False
        self._run(min(CONNECT_SECONDS, self._settings.timeout), lambda: bool(answers) or self._complaint is not None)
        return bool(answers) and self._complaint is None

    def _greet(self, server: str) -> None:
        pika, settings, parts = self._pika, self._settings, urlsplit(server)
        patience = min(CONNECT_SECONDS, settings.timeout)
        parameters = pika.ConnectionParameters(
            host=parts.hostname,
            port=parts.port or (5671 if parts.scheme == "amqps" else 5672),
            virtual_host=unquote(parts.path[1:]) or "/",
            credentials=pika.PlainCredentials(settings.username, settings.password.value),
            heartbeat=HEARTBEAT_SECONDS,
            socket_timeout=patience,
            stack_timeout=patience,
            ssl_options=pika.SSLOptions(self._context, parts.hostname) if parts.scheme == "amqps" else None,
            client_properties={"connection_name": f"target-eventgen {self._name}"},
        )
        self._connection = pika.SelectConnection(
            parameters,
            on_open_callback=lambda connection: connection.channel(on_open_callback=self._channel_is_open),
            on_open_error_callback=self._connection_is_closed,
            on_close_callback=self._connection_is_closed,
        )
        self._connection.add_on_connection_blocked_callback(self._is_blocked)
        self._connection.add_on_connection_unblocked_callback(self._is_unblocked)
        self._run(patience + 1, lambda: self._channel is not None or self._complaint is not None)

    def _channel_is_open(self, channel: Any) -> None:
        self._closed = None
        self._number = 0
        channel.add_on_close_callback(self._channel_is_closed)
        channel.add_on_return_callback(self._is_given_back)

        def ready(_: object) -> None:
            self._channel = channel
            self._stop()

        channel.confirm_delivery(self._is_confirmed, callback=ready)

    def _channel_is_closed(self, _: Any, reason: Exception) -> None:
        self._channel = None
        self._closed = (getattr(reason, "reply_code", 0), str(getattr(reason, "reply_text", reason)))
        self._stop()

    def _connection_is_closed(self, _: Any, reason: Exception) -> None:
        self._channel = None
        self._complaint = _words(reason)
        self._stop()

    def _is_blocked(self, _: Any, frame: Any) -> None:
        self._blocked = f"the broker takes nothing now ({frame.method.reason})"

    def _is_unblocked(self, _: Any, __: Any) -> None:
        self._blocked = None

    def _is_given_back(self, _: Any, method: Any, properties: Any, __: bytes) -> None:
        if self._wave is not None:
            self._wave.give_back(properties.message_id, method.reply_text)

    def _is_confirmed(self, frame: Any) -> None:
        if self._wave is not None:
            method = frame.method
            taken = method.NAME == "Basic.Ack"
            self._wave.confirm(method.delivery_tag, several=method.multiple, taken=taken)
            if not self._wave.indexes:
                self._stop()

    def _stop(self) -> None:
        if self._connection is not None:
            self._connection.ioloop.stop()

    def _run(self, seconds: float, is_done: Callable[[], bool]) -> None:
        """Let the event loop run until something is done, or the time is over."""
        loop = self._connection.ioloop
        over: list[bool] = []

        def end() -> None:
            over.append(True)
            loop.stop()

        timer = loop.call_later(seconds, end)
        while not over and not is_done():
            loop.start()
        loop.remove_timeout(timer)

    def _key(self, event: CloudEvent) -> str | Failed:
        template = self._settings.routing_key
        key = placed("routing key", template, event)
        if isinstance(key, str) and len(key.encode()) > MAX_KEY_BYTES:
            return Failed(f"its routing key is longer than {MAX_KEY_BYTES} bytes", permanent=True)
        if holds_separator(template, event, "."):
            return Failed(
                f"its routing key, {template}, would have a dot of its key, which parts words", permanent=True
            )
        return key

    def _send(self, events: list[CloudEvent], keys: list[str]) -> list[Outcome]:
        if self._channel is None:
            self._connect()  # what the wave before met may have closed it
        wave = self._give(events, keys)
        lost = [index for index, outcome in enumerate(wave.outcomes) if outcome is None]
        if not lost:
            return [outcome for outcome in wave.outcomes if outcome is not None]
        if self._closed is None or self._complaint is not None:
            timed_out = f"no confirm has come within {self._settings.timeout:g} seconds"
            return self._judge(wave, self._why(timed_out))
        code, text = self._closed
        if code == 404:
            refused: Outcome = Failed(f"RabbitMQ answers {text}", permanent=True)
            return [refused if outcome is None else outcome for outcome in wave.outcomes]
        if code != 406:
            return self._judge(wave, f"RabbitMQ answers {text}")
        if len(events) == 1:
            return [Failed(f"RabbitMQ answers {text}", permanent=True)]
        for index in lost:
            try:
                (wave.outcomes[index],) = self._send([events[index]], [keys[index]])
            except UnreachableError as error:
                return self._judge(wave, str(error))
        return [outcome for outcome in wave.outcomes if outcome is not None]

    def _give(self, events: list[CloudEvent], keys: list[str]) -> _Wave:
        """Send messages, and wait until each is confirmed or the channel ends."""
        wave = self._wave = _Wave([event.id for event in events])
        self._closed = None
        try:
            for index, event in enumerate(events):
                self._number += 1
                wave.indexes[self._number] = index
                body, properties = self._message(event)
                self._channel.basic_publish(self._settings.exchange, keys[index], body, properties, mandatory=True)
            self._run(
                self._settings.timeout,
                lambda: not wave.indexes or self._closed is not None or self._complaint is not None,
            )
        except self._pika.exceptions.AMQPError as error:
            self._complaint = self._complaint or _words(error)
        finally:
            self._wave = None
        return wave

    def _judge(self, wave: _Wave, why: str) -> list[Outcome]:
        """Return the outcomes, those that aren't known as failures, unless that is all."""
        self._drop()
        if not any(wave.outcomes):
            raise self._unreachable(why)
        return [Failed(why) if outcome is None else outcome for outcome in wave.outcomes]

    def _message(self, event: CloudEvent) -> tuple[bytes, Any]:
        within = self._content.is_structured
        headers = {} if within else {f"{PREFIX}{name}": value for name, value in attributes(event).items()}
        properties = self._pika.BasicProperties(
            content_type=self._content.type,
            delivery_mode=2,  # persistent
            message_id=event.id,
            headers=headers or None,
        )
        return self._content.of(event), properties

    def _drop(self) -> None:
        """Cut the connection, with whatever it was still to send."""
        if self._connection is not None:
            if not self._connection.is_closed:
                # close() would send what waits, and wait for an answer; nothing public cuts.
                self._connection._terminate_stream(self._pika.exceptions.ConnectionWrongStateError("given up"))  # noqa: SLF001  see above
                self._run(CLOSE_SECONDS, lambda: self._connection.is_closed)
            self._connection.ioloop.close()
        self._connection = self._channel = None

    def _unreachable(self, why: str) -> UnreachableError:
        return UnreachableError(f'the publisher "{self._name}": RabbitMQ can\'t be reached: {why}')

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(self._pika.exceptions.AMQPError):
            if self._connection is not None and self._connection.is_open:
                self._connection.close()
                self._run(CLOSE_SECONDS, lambda: self._connection.is_closed)
        self._drop()


def _words(error: BaseException) -> str:
    """Return what went wrong with a connection: the innermost of the errors that the client wraps in each other."""
    while True:
        inner = [*getattr(error, "exceptions", ()), *error.args[:1]][-1:]
        if not inner or not isinstance(inner[0], BaseException):
            break
        error = inner[0]
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(getattr(error, "reply_text", "")) or str(error) or type(error).__name__
