"""The queue in NATS JetStream.

Theory of operation. One JetStream stream, a subject for each of ours; its sequence is the position. It is made where it
is missing, on file, unlimited; one that is there, with replicas, is taken as it is. An acknowledged publication is
durable as far as the server syncs: `sync_interval: always`, or replicas, for more than the death of a process. A
delivery that comes again within the stream's duplicate window (two minutes) is stored once. The client is asynchronous
and lives in a loop of its own; a connection that broke is replaced by the next call.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tap_restextract.errors import ConfigurationError, QueueError
from tap_restextract.webhooks.notifications import Entry, Notification
from tap_restextract.webhooks.queues.protocol import BATCH

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.js import JetStreamContext

STREAM: Final = "tap_restextract_webhooks"
SUBJECT: Final = "tap_restextract.webhooks"
SECONDS: Final = 10.0
IDLE_SECONDS: Final = 300.0
LOOKS: Final = 20

_encoder: Final = msgspec.json.Encoder()


class StoredNotification(msgspec.Struct, frozen=True):
    """A notification as it is stored."""

    source: str
    kind: str
    body: str


class NatsQueue:
    """The queue at this address."""

    def __init__(self, url: str, location: str) -> None:
        try:
            import nats  # noqa: PLC0415  an extra, needed by this queue alone
        except ImportError as error:
            raise ConfigurationError(
                [f"the webhook queue {location} needs the client of NATS: pip install 'tap-restextract[nats]'"]
            ) from error
        self._nats = nats
        self._url = url
        self._label = f"the webhook queue {location}"
        self._client: Client | None = None
        self._context: JetStreamContext | None = None
        self._readers: dict[str, tuple[str, Any]] = {}
        self._news: asyncio.Event | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="nats", daemon=True)
        self._thread.start()

    @property
    def identity(self) -> str:
        """What STATE names the queue by: when its stream was made."""
        return str(self._run(self._info()).created)

    def store(self, notifications: Sequence[Notification]) -> None:
        """Store the notifications; they are durable once this returns."""
        self._run(self._publish(notifications))

    def read(self, stream: str, after: str | None, max_entries: int = BATCH) -> Sequence[Entry]:
        """Return the stream's next notifications after a position; None: from the first that is kept."""
        entries: list[Entry] = self._run(self._fetch(stream, after, max_entries))
        return entries

    def wait(self, after: Mapping[str, str | None], seconds: float) -> None:
        """Return once one of these streams may have more after its position, or after that time."""
        self._run(self._wait_for_news(after, seconds), seconds + SECONDS)

    def contains(self, stream: str, position: str) -> bool:
        """Return whether a sequence of this queue can be that great."""
        del stream
        return position.isdigit() and int(position) <= int(self._run(self._info()).state.last_seq)

    def acknowledge(self, stream: str, position: str) -> None:
        """Purge the subject up to this sequence."""
        self._run(self._purge(stream, int(position)))

    def length(self) -> int:
        """Return how many there are."""
        return int(self._run(self._info()).state.messages)

    def close(self) -> None:
        """Close the connection."""
        self._drop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stream(self) -> JetStreamContext:
        """Return the connection's JetStream, with the stream made where it is missing."""
        if self._context is None or self._client is None or self._client.is_closed:
            await self._disconnect()

            async def quiet(_: Exception) -> None:
                """Ignore a failure: the call that fails reports it."""

            self._client = await self._nats.connect(
                self._url,
                connect_timeout=5,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                error_cb=quiet,
                name="tap-restextract webhooks",
            )
            self._context = self._client.jetstream(timeout=SECONDS)
            from nats.js.api import DiscardPolicy, StorageType, StreamConfig  # noqa: PLC0415  an extra
            from nats.js.errors import NotFoundError  # noqa: PLC0415

            try:
                await self._context.stream_info(STREAM)
            except NotFoundError:
                config = StreamConfig(
                    name=STREAM, subjects=[f"{SUBJECT}.>"], storage=StorageType.FILE, discard=DiscardPolicy.NEW
                )
                await self._context.add_stream(config)
        return self._context

    async def _info(self) -> Any:
        return await (await self._stream()).stream_info(STREAM)

    async def _publish(self, notifications: Sequence[Notification]) -> None:
        context = await self._stream()
        await asyncio.gather(
            *(
                context.publish(
                    _subject(each.stream),
                    _encoder.encode(StoredNotification(each.source, each.kind, each.body)),
                    stream=STREAM,
                    headers={"Nats-Msg-Id": each.digest} if each.digest else None,
                )
                for each in notifications
            )
        )

    async def _fetch(self, stream: str, after: str | None, max_entries: int) -> list[Entry]:
        reader = await self._reader(stream, after)
        pending = (await reader.consumer_info()).num_pending
        for _ in range(LOOKS):
            # A consumer counts what was stored a moment later than its storing is acknowledged.
            if pending or await self._last(stream) <= int(after or 0):
                break
            await asyncio.sleep(0.05)
            pending = (await reader.consumer_info()).num_pending
        if not pending:
            return []
        messages = await reader.fetch(min(max_entries, pending), timeout=SECONDS)
        entries = []
        for message in messages:
            stored = msgspec.json.decode(message.data, type=StoredNotification)
            at = message.metadata.timestamp.isoformat().replace("+00:00", "Z")
            entries.append(Entry(str(message.metadata.sequence.stream), stored.source, stored.kind, stored.body, at))
        self._readers[stream] = (entries[-1].position, reader)
        return entries

    async def _last(self, stream: str) -> int:
        """Return the sequence of the stream's last notification; 0 where there is none."""
        from nats.js.errors import NotFoundError  # noqa: PLC0415  an extra

        try:
            return int((await (await self._stream()).get_last_msg(STREAM, _subject(stream))).seq or 0)
        except NotFoundError:
            return 0

    async def _reader(self, stream: str, after: str | None) -> Any:
        """Return a consumer that stands after the position; the server forgets it some time after its last use."""
        from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy  # noqa: PLC0415  an extra

        context = await self._stream()
        position, reader = self._readers.get(stream, (None, None))
        if reader is None or position != (after or "0"):
            config = ConsumerConfig(
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=int(after or 0) + 1,
                ack_policy=AckPolicy.NONE,
                inactive_threshold=IDLE_SECONDS,
                mem_storage=True,
            )
            reader = await context.pull_subscribe(_subject(stream), stream=STREAM, config=config)
            self._readers[stream] = (after or "0", reader)
        return reader

    async def _wait_for_news(self, after: Mapping[str, str | None], seconds: float) -> None:
        await self._stream()
        if self._news is None:
            news = self._news = asyncio.Event()

            async def on_message(_: Any) -> None:
                news.set()

            assert self._client is not None
            await self._client.subscribe(f"{SUBJECT}.>", cb=on_message)
            return  # what was published before it listened made no sound
        try:
            await asyncio.wait_for(self._news.wait(), seconds)
        except asyncio.TimeoutError:
            return
        self._news.clear()
        # A message is heard before it is stored.
        for _ in range(LOOKS):
            readers = [await self._reader(stream, position) for stream, position in after.items()]
            if any([(await reader.consumer_info()).num_pending for reader in readers]):
                return
            await asyncio.sleep(0.005)

    async def _purge(self, stream: str, position: int) -> None:
        await (await self._stream()).purge_stream(STREAM, seq=position + 1, subject=_subject(stream))

    async def _disconnect(self) -> None:
        client, self._client, self._context, self._news = self._client, None, None, None
        self._readers.clear()
        if client is not None and not client.is_closed:
            await client.close()

    def _drop(self) -> None:
        with suppress(Exception):  # what can't be closed is gone
            asyncio.run_coroutine_threadsafe(self._disconnect(), self._loop).result(SECONDS)

    def _run(self, work: Coroutine[Any, Any, Any], seconds: float = SECONDS * 2) -> Any:
        """Return what the coroutine gives.

        Raises:
            QueueError: where it failed; the next call connects again.
        """
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(seconds)
        except Exception as error:  # every fault of the client is one of the queue
            future.cancel()
            self._drop()
            raise QueueError(
                f"{self._label} failed ({type(error).__name__}); check webhook_queue, its credentials, and that NATS runs "
                "with JetStream and has room"
            ) from error


def _subject(stream: str) -> str:
    """Return the stream's subject; what a subject can't hold is written in hexadecimal."""
    token = "".join(
        each if each.isascii() and (each.isalnum() or each in "-_") else f"={ord(each):x}=" for each in stream
    )
    return f"{SUBJECT}.{token}"
