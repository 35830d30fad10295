"""NATS JetStream: each event a message with its id in `Nats-Msg-Id`, acknowledged by the stream that stored it.

Theory of operation. The client is asynchronous; its event loop runs while a call does, and not in between, so a call
begins by asking whether the connection still stands. A wave's messages are sent without waiting, each with a reply
subject of its own, and the acknowledgements are matched by it.

The client's own reconnecting is switched off: it would keep what it couldn't send and send it later, after what the
relay has redelivered meanwhile. Here a connection that fails is given up with all that it was asked to send, and the
next call makes a new one, to the next server of the list. A message that the server had received all the same is a
duplicate, which the stream drops by its id, within its `duplicate_window`.

*Nobody answers* (the status 503) has two meanings: no stream listens to the subject, or the one that does has no leader
right now. Only the first is for good, so the servers are asked which.

`Nats-Expected-Last-Msg-Id` is not sent: it speaks of a stream's last message, whoever wrote it, and here many keys and
relays share a stream. What it would be for, that no event overtakes one that failed, waves see to.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Coroutine, Sequence
from math import ceil
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from target_eventgen.errors import UnreachableError
from target_eventgen.publishers import payload, tls
from target_eventgen.publishers.cloudevent import CloudEvent, attributes
from target_eventgen.publishers.destination import check, has_parts, holds_separator, placed
from target_eventgen.publishers.payload import Content
from target_eventgen.publishers.protocol import Delivered, Failed, Outcome, Secret, library
from target_eventgen.publishers.waves import in_waves, sent_where_placed

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

SCHEMES: Final = ("nats", "tls", "ws", "wss")

CONNECT_SECONDS: Final = 3
"""Seconds that one server of the list may take to greet."""

CLOSE_SECONDS: Final = 1.0
"""Seconds that a connection may take to be closed in order; then it is cut."""

PRINTABLE: Final = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
"""Characters that a header holds unescaped, as in the HTTP binding of CloudEvents."""

NO_ANSWER: Final = Failed("no stream has answered for the subject")
"""It has no leader right now, or there is none."""

_T = TypeVar("_T")


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a publisher to NATS JetStream.

    Attributes:
        servers: `nats://host:port`, or `tls://host:port`; of a cluster, some or all.
        subject: of each message; it may hold parts of the event, such as `{type}`.
        stream: that must store the messages; None: whichever listens to the subject.
        create_stream: whether the stream is made where it doesn't exist.
        copies: of a stream that is made, in a cluster.
        duplicate_window: seconds for which a stream that is made knows an id again.
        username: of the server's user.
        password: of the user.
        token: where the server asks for one.
        nkey_seed: of the user's key, where the server knows its public part.
        credentials: file of a user's JWT and seed.
        mode: structured, a message of JSON; or binary, attributes as headers and the data as the message.
        payload: the JSON that is sent instead of the event or its data (`target_eventgen.publishers.payload`).
        timeout: seconds that an acknowledgement may take.
        batch_size: events in one call, at most.
        certificate_authority: file of the certificates that the server's is verified with.
        client_certificate: file of the client's certificate.
        client_private_key: file of its private key.
    """

    servers: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    subject: str = "events.{type}"
    stream: str | None = None
    create_stream: bool = False
    copies: Annotated[int, msgspec.Meta(ge=1, le=5)] = 1
    duplicate_window: Annotated[float, msgspec.Meta(gt=0)] = 120.0
    username: str | None = None
    password: Secret | None = None
    token: Secret | None = None
    nkey_seed: Secret | None = None
    credentials: str | None = None
    mode: Literal["structured", "binary"] = "structured"
    payload: Any = None
    timeout: Annotated[float, msgspec.Meta(gt=0, le=120)] = 10.0
    batch_size: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1000
    certificate_authority: str | None = None
    client_certificate: str | None = None
    client_private_key: str | None = None

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        for server in self.servers:
            parts = urlsplit(server)
            if parts.scheme not in SCHEMES or not parts.hostname:
                raise ValueError("each of servers must be like nats://host:4222 or tls://host:4222")
            if parts.username or parts.password:
                raise ValueError(
                    "an address in servers holds a user, password or token: they have settings of their own"
                )
        check("subject", self.subject)
        if not is_subject(self.subject):
            raise ValueError("subject must be tokens with dots in between, without blanks, * or >")
        if self.create_stream and not self.stream:
            raise ValueError("create_stream needs the name of the stream, in stream")
        if self.create_stream and has_parts(self.subject) and not re.fullmatch(r"[^{}]+\.\{.*\}", self.subject):
            raise ValueError("create_stream needs a subject that ends in .{type} or the like, or is without any braces")
        payload.check(self.payload)
        tls.check(self, encrypted=any(urlsplit(server).scheme in {"tls", "wss"} for server in self.servers))


class Refusal(msgspec.Struct):
    """Why a stream did not store a message."""

    code: int
    description: str = ""
    err_code: int = 0


class Ack(msgspec.Struct):
    """The answer of a stream."""

    error: Refusal | None = None


def is_subject(text: str) -> bool:
    """Return whether a subject can be published to: tokens with dots in between, none empty, blank or a wildcard."""
    return all(token and not set(token) & set(" \t\r\n*>\0") for token in text.split("."))


def places(settings: Settings) -> list[str]:
    """Return the subject on each server, any of which says which cluster it is."""
    return [f"{server} {settings.subject}" for server in settings.servers]


def open_publisher(name: str, settings: Settings) -> JetStream:
    """Return a publisher, which connects with the first events.

    Raises:
        SettingsError: the client library is missing, or a file that the settings name.
    """
    return JetStream(name, settings, library(name, "nats", "nats"))


def verdict(refusal: Refusal) -> Failed:
    """Return what a stream's refusal means: 4xx is about the message, 5xx about the moment."""
    return Failed(
        f"JetStream answers {refusal.err_code or refusal.code}: {refusal.description}",
        permanent=400 <= refusal.code < 500 and refusal.code != 408,
    )


class _Wave:
    """Messages that are on their way, by the last part of their reply subjects."""

    def __init__(self, prefix: str, first: int, count: int) -> None:
        self.outcomes: list[Outcome | None] = [None] * count
        self.unanswered: list[int] = []  # indexes of the events to whose subjects no stream listens
        self.finished = asyncio.get_running_loop().create_future()
        self._prefix = len(prefix)
        self._first = first
        self._left = count

    async def hear(self, message: Msg) -> None:
        """Take an acknowledgement; one of an earlier wave is ignored."""
        index = int(message.subject[self._prefix :]) - self._first
        if not 0 <= index < len(self.outcomes) or self.outcomes[index] is not None:
            return
        if message.headers and message.headers.get("Status") == "503":
            self.unanswered.append(index)
            self.count(index, NO_ANSWER)
            return
        try:
            error = msgspec.json.decode(message.data, type=Ack).error
        except msgspec.DecodeError:
            return
        self.count(index, Delivered() if error is None else verdict(error))

    def count(self, index: int, outcome: Outcome) -> None:
        self.outcomes[index] = outcome
        self._left -= 1
        if self._left == 0:
            self.end()

    def end(self) -> None:
        if not self.finished.done():
            self.finished.set_result(None)


class JetStream:
    """Publishes messages to streams, many at a time."""

    ordered = True

    def __init__(self, name: str, settings: Settings, nats: Any) -> None:
        self.most = settings.batch_size
        self._name = name
        self._settings = settings
        self._content = Content(settings.mode, settings.payload)
        self._nats = nats
        self._errors = nats.errors
        self._patience = min(CONNECT_SECONDS, ceil(settings.timeout))
        self._client: Client | None = None
        self._ended = asyncio.Event()  # of this connection
        self._prefix = ""
        self._sent = 0  # messages of this connection
        self._wave: _Wave | None = None
        self._complaint: str | None = None  # the server's last complaint
        self._next = 0  # the server to be asked first
        encrypted = any(urlsplit(server).scheme in {"tls", "wss"} for server in settings.servers)
        self._options: dict[str, Any] = {
            "user": settings.username,
            "password": settings.password and settings.password.value,
            "token": settings.token and settings.token.value,
            "nkeys_seed_str": settings.nkey_seed and settings.nkey_seed.value,
            "user_credentials": settings.credentials,
            "tls": tls.context(name, settings) if encrypted else None,
        }
        if settings.nkey_seed or settings.credentials:
            library(name, "nkeys", "nats")
        self._loop = asyncio.new_event_loop()

    def publish(self, events: Sequence[CloudEvent]) -> list[Outcome]:
        """Publish events, and return what became of each.

        Raises:
            UnreachableError: no server can be reached, or none has answered.
        """
        self._run(self._connect())
        return in_waves(
            events,
            lambda wave: sent_where_placed(wave, self._subject, lambda sent, names: self._run(self._send(sent, names))),
        )

    def _subject(self, event: CloudEvent) -> str | Failed:
        template = self._settings.subject
        subject = placed("subject", template, event)
        if holds_separator(template, event, "."):
            return Failed(f"its subject, {template}, would have a dot of its key, which parts tokens", permanent=True)
        if isinstance(subject, str) and not is_subject(subject):
            return Failed(f"its subject, {template}, would not be one of NATS", permanent=True)
        return subject

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        try:
            return self._loop.run_until_complete(work)
        except UnreachableError:
            self._loop.run_until_complete(self._drop())
            raise

    async def _connect(self) -> None:
        """Make sure that there is a connection which stood a moment ago."""
        if self._client is not None:
            if await self._stands(self._client):
                return
            await self._drop()
        servers = self._settings.servers
        failures = []
        for attempt in range(len(servers)):
            index = (self._next + attempt) % len(servers)
            self._complaint = None
            try:
                await self._greet(servers[index])
            except (self._errors.Error, OSError, asyncio.TimeoutError) as error:
                failures.append(self._why(error))
                await self._drop()
                continue
            self._next = index
            return
        raise self._unreachable("; ".join(dict.fromkeys(failures)))

    async def _stands(self, client: Client) -> bool:
        """Return whether the server answers; it may have gone while the event loop wasn't running."""
        asked = asyncio.ensure_future(client.flush(self._patience))
        ended = asyncio.ensure_future(self._ended.wait())
        await asyncio.wait({asked, ended}, return_when=asyncio.FIRST_COMPLETED)
        found = asked.done() and asked.exception() is None
        for task in (asked, ended):
            task.cancel()
        await asyncio.gather(asked, ended, return_exceptions=True)
        return found

    async def _greet(self, server: str) -> None:
        self._client = self._nats.NATS()
        self._ended = asyncio.Event()
        await asyncio.wait_for(
            self._client.connect(
                [server],
                allow_reconnect=False,
                max_reconnect_attempts=1,  # 0 is no end to it; the first attempt is to last, not to be repeated
                reconnect_time_wait=0,
                connect_timeout=self._patience,
                name="target-eventgen",
                error_cb=self._hear_error,
                closed_cb=self._hear_end,
                **self._options,
            ),
            self._patience + 1,
        )
        self._prefix = f"{self._client.new_inbox()}."
        self._sent = 0
        await self._client.subscribe(f"{self._prefix}*", cb=self._hear)
        if self._settings.create_stream:
            await self._create(self._client)

    async def _create(self, client: Client) -> None:
        settings = self._settings
        streams = client.jetstream(timeout=settings.timeout)
        try:
            await streams.stream_info(settings.stream or "")
        except self._nats.js.errors.NotFoundError:
            await streams.add_stream(
                name=settings.stream,
                subjects=[re.sub(r"\{.*", ">", settings.subject)],
                num_replicas=settings.copies,
                duplicate_window=settings.duplicate_window,
            )

    def _why(self, error: object) -> str:
        return self._complaint or str(error) or type(error).__name__

    async def _hear(self, message: Msg) -> None:
        if self._wave is not None:
            await self._wave.hear(message)

    async def _hear_error(self, error: Exception) -> None:
        """Note an error outside of any answer, such as a forbidden subject: no answer will come."""
        self._complaint = str(error) or type(error).__name__
        if self._wave is not None:
            self._wave.end()

    async def _hear_end(self) -> None:
        self._ended.set()
        if self._wave is not None:
            self._wave.end()

    async def _send(self, events: list[CloudEvent], subjects: list[str]) -> list[Outcome]:
        client = self._client
        if client is None:
            raise self._unreachable("the connection is gone")
        self._complaint = None
        lost = ""
        wave = self._wave = _Wave(self._prefix, self._sent, len(events))
        try:
            await asyncio.wait_for(self._give(client, events, subjects, wave), self._settings.timeout)
        except asyncio.TimeoutError:
            lost = self._why(f"no acknowledgement has come within {self._settings.timeout:g} seconds")
        except (self._errors.Error, OSError) as error:
            lost = self._why(error)
        finally:
            self._wave = None
        for subject in {subjects[index] for index in wave.unanswered}:
            absent = await self._absent(client, subject)
            for index in wave.unanswered:
                if absent and subjects[index] == subject:
                    wave.outcomes[index] = Failed(
                        f'no stream listens to the subject "{self._shown(subject)}"', permanent=True
                    )
        return await self._judge(wave, lost or self._why("the connection was lost"))

    async def _give(self, client: Client, events: list[CloudEvent], subjects: list[str], wave: _Wave) -> None:
        """Send messages, and wait until each is answered or the connection ends."""
        first = self._sent
        self._sent += len(events)
        for index, event in enumerate(events):
            payload, headers = self._message(event)
            try:
                await client.publish(subjects[index], payload, reply=f"{self._prefix}{first + index}", headers=headers)
            except (self._errors.MaxPayloadError, self._errors.BadSubjectError) as error:
                wave.count(index, Failed(str(error), permanent=True))
        await wave.finished

    def _shown(self, subject: str) -> str:
        """Return a subject as messages show it: one that has parts of a key as the setting has it."""
        return self._settings.subject if "{key." in self._settings.subject else subject

    async def _absent(self, client: Client, subject: str) -> bool:
        """Return whether it is known that no stream listens to a subject."""
        try:
            await client.jetstream(timeout=self._patience).find_stream_name_by_subject(subject)
        except self._nats.js.errors.NotFoundError:
            return True
        except (self._errors.Error, OSError, asyncio.TimeoutError):
            return False
        return False

    async def _judge(self, wave: _Wave, why: str) -> list[Outcome]:
        """Return the outcomes, those that aren't known as failures, unless that is all."""
        lost = Failed(why)
        if None in wave.outcomes:
            await self._drop()
        found = [lost if outcome is None else outcome for outcome in wave.outcomes]
        if all(outcome in {lost, NO_ANSWER} for outcome in found):
            raise self._unreachable(found[0].reason if isinstance(found[0], Failed) else lost.reason)
        return found

    def _message(self, event: CloudEvent) -> tuple[bytes, dict[str, str]]:
        headers = {"Nats-Msg-Id": event.id}
        if self._settings.stream:
            headers["Nats-Expected-Stream"] = self._settings.stream
        headers["content-type"] = self._content.type
        for name, value in {} if self._content.is_structured else attributes(event).items():
            headers[f"ce-{name}"] = quote(value, safe=PRINTABLE)
        return self._content.of(event), headers

    async def _drop(self) -> None:
        """Give the connection up, with whatever it was still to send."""
        client, self._client = self._client, None
        if client is None:
            return
        with contextlib.suppress(self._errors.Error, OSError, asyncio.TimeoutError):
            await asyncio.wait_for(client.close(), CLOSE_SECONDS)
        writer = getattr(client._transport, "_io_writer", None)  # noqa: SLF001  close() sends what waits; nothing public cuts
        if writer is not None:
            writer.transport.abort()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    def _unreachable(self, why: str) -> UnreachableError:
        return UnreachableError(f'the publisher "{self._name}": NATS can\'t be reached: {why}')

    def close(self) -> None:
        """Close the connection."""
        if not self._loop.is_closed():
            self._loop.run_until_complete(self._drop())
            self._loop.close()
