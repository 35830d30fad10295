"""The queue in Kafka.

Theory of operation. A topic for each stream; a position is the offset after the last notification of each of its
partitions. The producer is idempotent and waits for all replicas in sync, and a batch is kept once each delivery is
reported. How much that survives is the topic's to say (`min.insync.replicas`). What is acknowledged is deleted up to
its offset, where the cluster lets records be deleted, else left to the topic's retention, which must then be longer
than any pause between two runs. Options after a question mark are librdkafka's own:
kafka://host:9092?security.protocol=SASL_SSL&sasl.username=…
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

import msgspec

from tap_restextract.errors import ConfigurationError, QueueError
from tap_restextract.webhooks.notifications import Entry, Notification
from tap_restextract.webhooks.queues.protocol import BATCH

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message, Producer

PREFIX: Final = "tap_restextract.webhooks."
SECONDS: Final = 10.0
POLL_SECONDS: Final = 0.2

_encoder: Final = msgspec.json.Encoder()


class StoredNotification(msgspec.Struct, frozen=True):
    """A notification as it is stored."""

    source: str
    kind: str
    body: str


class KafkaQueue:
    """The queue at this address."""

    def __init__(self, url: str, location: str) -> None:
        try:
            import confluent_kafka  # noqa: PLC0415  an extra, needed by this queue alone
            from confluent_kafka import admin  # noqa: PLC0415
        except ImportError as error:
            raise ConfigurationError(
                [f"the webhook queue {location} needs the client of Kafka: pip install 'tap-restextract[kafka]'"]
            ) from error
        self._kafka, self._admin = confluent_kafka, admin
        split = urlsplit(url)
        self._common: dict[str, Any] = {
            "bootstrap.servers": split.netloc,
            "client.id": "tap-restextract-webhooks",
            "log_level": 0,
            **dict(parse_qsl(split.query)),
        }
        self._label = f"the webhook queue {location}"
        self._producer: Producer | None = None
        self._readers: dict[str, tuple[str | None, Consumer]] = {}
        self._buffered: dict[str, list[Message]] = {}
        self._offsets: dict[str, dict[int, int]] = {}

    @property
    def identity(self) -> str:
        """What STATE names the queue by: the cluster's own id."""
        return f"kafka:{self._call(lambda: self._client().list_topics(timeout=SECONDS)).cluster_id}"

    def store(self, notifications: Sequence[Notification]) -> None:
        """Store the notifications; they are durable once this returns."""
        self._call(lambda: self._produce(notifications))

    def read(self, stream: str, after: str | None, max_entries: int = BATCH) -> Sequence[Entry]:
        """Return the stream's next notifications after a position; None: from the first that is kept."""
        entries: list[Entry] = self._call(lambda: self._consume(stream, after, max_entries))
        return entries

    def wait(self, after: Mapping[str, str | None], seconds: float) -> None:
        """Return once one of these streams may have more after its position, or after that time."""
        until = time.monotonic() + seconds
        while not any(self._buffered.values()) and (left := until - time.monotonic()) > 0:
            for stream, position in after.items():
                reader = self._call(lambda stream=stream, position=position: self._reader(stream, position))
                share = min(left, seconds if len(after) == 1 else 0.02)
                self._buffer(stream, self._call(lambda reader=reader, share=share: reader.consume(1, share)))

    def contains(self, stream: str, position: str) -> bool:
        """Return whether offsets of this topic can be that great."""
        offsets = _offsets_in(position)
        ends = self._call(lambda: self._ends(stream))
        return offsets is not None and all(
            offset <= ends.get(partition, (0, 0))[1] for partition, offset in offsets.items()
        )

    def acknowledge(self, stream: str, position: str) -> None:
        """Delete the topic's records up to these offsets, where that may be done."""
        partitions = [
            self._kafka.TopicPartition(_topic(stream), partition, offset)
            for partition, offset in (_offsets_in(position) or {}).items()
        ]
        client = self._admin.AdminClient(self._common)
        for future in client.delete_records(partitions, request_timeout=SECONDS).values():
            with suppress(Exception):  # it is only room: retention will make it
                future.result(SECONDS)

    def length(self) -> int:
        """Return how many there are, of all topics of ours."""
        topics = self._call(lambda: self._client().list_topics(timeout=SECONDS)).topics
        names = [name.removeprefix(PREFIX) for name in topics if name.startswith(PREFIX)]
        ends = [self._call(lambda name=name: self._ends(name)) for name in names]
        return sum(high - low for held in ends for low, high in held.values())

    def close(self) -> None:
        """Close the connection."""
        for _, reader in self._readers.values():
            reader.close()
        self._readers.clear()
        self._buffered.clear()
        if self._producer is not None:
            self._producer.purge()
            self._producer = None

    def _client(self) -> Producer:
        if self._producer is None:
            options = {
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 2,
                "message.timeout.ms": int(SECONDS * 1000),
            }
            self._producer = self._kafka.Producer({**self._common, **options})
        return self._producer

    def _produce(self, notifications: Sequence[Notification]) -> None:
        failed: list[Any] = []
        delivered = 0

        def on_delivery(error: Any, message: Any) -> None:
            nonlocal delivered
            del message
            delivered += error is None
            if error is not None:
                failed.append(error)

        producer = self._client()
        for each in notifications:
            content = _encoder.encode(StoredNotification(each.source, each.kind, each.body))
            producer.produce(_topic(each.stream), content, on_delivery=on_delivery)
        producer.flush(SECONDS * 1.5)
        if failed or delivered != len(notifications):
            raise self._kafka.KafkaException(failed[0] if failed else self._kafka.KafkaError._TIMED_OUT)  # noqa: SLF001  its name

    def _ends(self, stream: str) -> dict[int, tuple[int, int]]:
        """Return each partition's first offset, and the one after its last."""
        topic = self._client().list_topics(_topic(stream), timeout=SECONDS).topics[_topic(stream)]
        reader = self._consumer()
        try:
            return {
                partition: reader.get_watermark_offsets(
                    self._kafka.TopicPartition(_topic(stream), partition), timeout=SECONDS
                )
                for partition in topic.partitions
            }
        finally:
            reader.close()

    def _consumer(self) -> Consumer:
        options = {
            "group.id": "tap-restextract-webhooks",  # it is asked for, and not used: positions are STATE's
            "enable.auto.commit": False,
            "enable.partition.eof": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 100,
        }
        return self._kafka.Consumer({**self._common, **options})

    def _reader(self, stream: str, after: str | None) -> Consumer:
        """Return a consumer that stands after the position."""
        position, reader = self._readers.get(stream, ("", None))
        if reader is not None and position == after:
            return reader
        if reader is not None:
            reader.close()
        offsets = _offsets_in(after) or {}
        low = {partition: ends[0] for partition, ends in self._ends(stream).items()}
        self._offsets[stream] = {partition: max(first, offsets.get(partition, 0)) for partition, first in low.items()}
        reader = self._consumer()
        reader.assign(
            [
                self._kafka.TopicPartition(_topic(stream), partition, offset)
                for partition, offset in self._offsets[stream].items()
            ]
        )
        self._buffered[stream] = []
        self._readers[stream] = (after, reader)
        return reader

    def _consume(self, stream: str, after: str | None, max_entries: int) -> list[Entry]:
        reader = self._reader(stream, after)
        offsets = self._offsets[stream]
        buffered = self._buffered[stream]
        left = sum(high - offsets.get(partition, 0) for partition, (_, high) in self._ends(stream).items()) - len(
            buffered
        )
        until = time.monotonic() + SECONDS
        while left > 0 and len(buffered) < max_entries and time.monotonic() < until:
            messages = reader.consume(min(max_entries - len(buffered), left), POLL_SECONDS)
            self._buffer(stream, messages)
            left -= len(messages)
            if not messages and buffered:
                break
        entries = []
        for message in buffered[:max_entries]:
            stored = msgspec.json.decode(message.value() or b"", type=StoredNotification)
            offsets[message.partition() or 0] = (message.offset() or 0) + 1
            at = datetime.fromtimestamp(message.timestamp()[1] / 1000, tz=timezone.utc).isoformat()
            entries.append(
                Entry(_position_of(offsets), stored.source, stored.kind, stored.body, at.replace("+00:00", "Z"))
            )
        self._buffered[stream] = buffered[max_entries:]
        if entries:
            self._readers[stream] = (entries[-1].position, reader)
        return entries

    def _buffer(self, stream: str, messages: Sequence[Message]) -> None:
        for message in messages:
            if (error := message.error()) is not None:
                raise self._failed(self._kafka.KafkaException(error))
        self._buffered[stream] += messages

    def _call(self, work: Any) -> Any:
        """Return what the work gives.

        Raises:
            QueueError: where it failed; the next call connects again.
        """
        try:
            return work()
        except (self._kafka.KafkaException, BufferError, KeyError, ValueError) as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> QueueError:
        self.close()
        error_name = error.args[0].name() if isinstance(error, self._kafka.KafkaException) and error.args else ""
        return QueueError(
            f"{self._label} failed ({type(error).__name__} {error_name}); check webhook_queue, its credentials, and that Kafka runs"
        )


def _topic(stream: str) -> str:
    """Return the stream's topic; what a topic's name can't hold is written in hexadecimal."""
    fit = (each if each.isascii() and (each.isalnum() or each in "-_.") else f"_{ord(each):x}_" for each in stream)
    return PREFIX + "".join(fit)


def _position_of(offsets: Mapping[int, int]) -> str:
    return ",".join(f"{partition}:{offset}" for partition, offset in sorted(offsets.items()))


def _offsets_in(position: str | None) -> dict[int, int] | None:
    """Return the offsets that a position is; None where it is none."""
    try:
        pairs = [part.split(":") for part in (position or "").split(",")]
        return {int(partition): int(offset) for partition, offset in pairs}
    except ValueError:
        return None
