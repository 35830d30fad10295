"""The queue in Kafka.

Theory of operation. A topic for each stream; a place is the offset behind the last notification of each of its partitions. The
producer is idempotent and waits for all replicas in sync, and a batch is kept once each delivery is reported. How much that
survives is the topic's to say (`min.insync.replicas`). What is acknowledged is deleted up to its offset, where the cluster
lets records be deleted, else left to the topic's retention, which must then be longer than any pause between two runs.
Options behind a question mark are librdkafka's own: kafka://host:9092?security.protocol=SASL_SSL&sasl.username=…
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
MOMENT_SECONDS: Final = 0.2

_encoder: Final = msgspec.json.Encoder()


class Held(msgspec.Struct, frozen=True):
    """A notification as it is stored."""

    source: str
    kind: str
    body: str


class KafkaQueue:
    """The queue at this address."""

    def __init__(self, url: str, place: str) -> None:
        try:
            import confluent_kafka  # noqa: PLC0415  an extra, needed by this queue alone
            from confluent_kafka import admin  # noqa: PLC0415
        except ImportError as error:
            raise ConfigurationError(
                [f"the webhook queue {place} needs the client of Kafka: pip install 'tap-restextract[kafka]'"]
            ) from error
        self._kafka, self._admin = confluent_kafka, admin
        split = urlsplit(url)
        self._common: dict[str, Any] = {
            "bootstrap.servers": split.netloc,
            "client.id": "tap-restextract-webhooks",
            "log_level": 0,
            **dict(parse_qsl(split.query)),
        }
        self._place = f"the webhook queue {place}"
        self._producer: Producer | None = None
        self._readers: dict[str, tuple[str | None, Consumer]] = {}
        self._ahead: dict[str, list[Message]] = {}
        self._offsets: dict[str, dict[int, int]] = {}

    @property
    def identity(self) -> str:
        """What STATE names the queue by: the cluster's own id."""
        return f"kafka:{self._told(lambda: self._client().list_topics(timeout=SECONDS)).cluster_id}"

    def store(self, notifications: Sequence[Notification]) -> None:
        """Keep them; all replicas in sync have them then."""
        self._told(lambda: self._delivered(notifications))

    def read(self, stream: str, behind: str | None, most: int = BATCH) -> Sequence[Entry]:
        """The stream's next notifications behind a place; None: from the first that is kept."""
        found: list[Entry] = self._told(lambda: self._consumed(stream, behind, most))
        return found

    def wait(self, behind: Mapping[str, str | None], seconds: float) -> None:
        """Return once one of these streams has more, or after that time; what comes is kept for `read`."""
        until = time.monotonic() + seconds
        while not any(self._ahead.values()) and (left := until - time.monotonic()) > 0:
            for stream, place in behind.items():
                reader = self._told(lambda stream=stream, place=place: self._reader(stream, place))
                share = min(left, seconds if len(behind) == 1 else 0.02)
                self._keep(stream, self._told(lambda reader=reader, share=share: reader.consume(1, share)))

    def holds(self, stream: str, position: str) -> bool:
        """Whether offsets of this topic can be that great."""
        place = _place(position)
        ends = self._told(lambda: self._ends(stream))
        return place is not None and all(
            offset <= ends.get(partition, (0, 0))[1] for partition, offset in place.items()
        )

    def acknowledge(self, stream: str, position: str) -> None:
        """Delete the topic's records up to these offsets, where that may be done."""
        places = [
            self._kafka.TopicPartition(_topic(stream), partition, offset)
            for partition, offset in (_place(position) or {}).items()
        ]
        client = self._admin.AdminClient(self._common)
        for future in client.delete_records(places, request_timeout=SECONDS).values():
            with suppress(Exception):  # it is only room: retention will make it
                future.result(SECONDS)

    def length(self) -> int:
        """How many there are, of all topics of ours."""
        topics = self._told(lambda: self._client().list_topics(timeout=SECONDS)).topics
        names = [name.removeprefix(PREFIX) for name in topics if name.startswith(PREFIX)]
        ends = [self._told(lambda name=name: self._ends(name)) for name in names]
        return sum(high - low for held in ends for low, high in held.values())

    def close(self) -> None:
        """Let go of the connections."""
        for _, reader in self._readers.values():
            reader.close()
        self._readers.clear()
        self._ahead.clear()
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

    def _delivered(self, notifications: Sequence[Notification]) -> None:
        failed: list[Any] = []
        kept = 0

        def told(error: Any, message: Any) -> None:
            nonlocal kept
            del message
            kept += error is None
            if error is not None:
                failed.append(error)

        producer = self._client()
        for each in notifications:
            content = _encoder.encode(Held(each.source, each.kind, each.body))
            producer.produce(_topic(each.stream), content, on_delivery=told)
        producer.flush(SECONDS * 1.5)
        if failed or kept != len(notifications):
            raise self._kafka.KafkaException(failed[0] if failed else self._kafka.KafkaError._TIMED_OUT)  # noqa: SLF001  its name

    def _ends(self, stream: str) -> dict[int, tuple[int, int]]:
        """Each partition's first offset, and the one behind its last."""
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
            "group.id": "tap-restextract-webhooks",  # it is asked for, and not used: places are STATE's
            "enable.auto.commit": False,
            "enable.partition.eof": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 100,
        }
        return self._kafka.Consumer({**self._common, **options})

    def _reader(self, stream: str, behind: str | None) -> Consumer:
        """A consumer that stands behind the place."""
        place, reader = self._readers.get(stream, ("", None))
        if reader is not None and place == behind:
            return reader
        if reader is not None:
            reader.close()
        offsets = _place(behind) or {}
        low = {partition: ends[0] for partition, ends in self._ends(stream).items()}
        self._offsets[stream] = {partition: max(first, offsets.get(partition, 0)) for partition, first in low.items()}
        reader = self._consumer()
        reader.assign(
            [
                self._kafka.TopicPartition(_topic(stream), partition, offset)
                for partition, offset in self._offsets[stream].items()
            ]
        )
        self._ahead[stream] = []
        self._readers[stream] = (behind, reader)
        return reader

    def _consumed(self, stream: str, behind: str | None, most: int) -> list[Entry]:
        reader = self._reader(stream, behind)
        offsets = self._offsets[stream]
        ahead = self._ahead[stream]
        left = sum(high - offsets.get(partition, 0) for partition, (_, high) in self._ends(stream).items()) - len(ahead)
        until = time.monotonic() + SECONDS
        while left > 0 and len(ahead) < most and time.monotonic() < until:
            came = reader.consume(min(most - len(ahead), left), MOMENT_SECONDS)
            self._keep(stream, came)
            left -= len(came)
            if not came and ahead:
                break
        entries = []
        for message in ahead[:most]:
            held = msgspec.json.decode(message.value() or b"", type=Held)
            offsets[message.partition() or 0] = (message.offset() or 0) + 1
            at = datetime.fromtimestamp(message.timestamp()[1] / 1000, tz=timezone.utc).isoformat()
            entries.append(Entry(_text(offsets), held.source, held.kind, held.body, at.replace("+00:00", "Z")))
        self._ahead[stream] = ahead[most:]
        if entries:
            self._readers[stream] = (entries[-1].position, reader)
        return entries

    def _keep(self, stream: str, messages: Sequence[Message]) -> None:
        for message in messages:
            if (error := message.error()) is not None:
                raise self._failed(self._kafka.KafkaException(error))
        self._ahead[stream] += messages

    def _told(self, work: Any) -> Any:
        """What the work gives.

        Raises:
            QueueError: where it failed; the next call connects anew.
        """
        try:
            return work()
        except (self._kafka.KafkaException, BufferError, KeyError, ValueError) as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> QueueError:
        self.close()
        said = error.args[0].name() if isinstance(error, self._kafka.KafkaException) and error.args else ""
        return QueueError(
            f"{self._place} failed ({type(error).__name__} {said}); check webhook_queue, its credentials, and that Kafka runs"
        )


def _topic(stream: str) -> str:
    """The stream's topic; what a topic's name can't hold is written in hexadecimal."""
    fit = (each if each.isascii() and (each.isalnum() or each in "-_.") else f"_{ord(each):x}_" for each in stream)
    return PREFIX + "".join(fit)


def _text(offsets: Mapping[int, int]) -> str:
    return ",".join(f"{partition}:{offset}" for partition, offset in sorted(offsets.items()))


def _place(position: str | None) -> dict[int, int] | None:
    """The offsets that a place is; None where it is none."""
    try:
        pairs = [part.split(":") for part in (position or "").split(",")]
        return {int(partition): int(offset) for partition, offset in pairs}
    except ValueError:
        return None
