"""A broker, a proxy before it, a publisher's settings that lead through it, and what has arrived: the same for each kind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import nats
import pika
import redis
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from typing_extensions import Self

from target_eventgen.cloudevent import CloudEvent
from target_eventgen.publishers import open_publisher
from tests.publishers.proxy import Proxy
from tests.publishers.servers import Kafka, Nats, RabbitMQ, Redis, Server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from nats.js import JetStreamContext

    from target_eventgen.publisher import Publisher


def event(number: int, key: str = "412", type_: str = "thing.changed", size: int = 0) -> CloudEvent:
    """The number-th event of all, of a key."""
    data: dict[str, Any] = {"old": None, "new": {"id": key, "number": number, "text": "x" * size}, "changed": []}
    return CloudEvent(
        id=f"id-{number}",
        source="target-eventgen/tests",
        type=type_,
        subject=f"things/{key}",
        time="2026-01-01T00:00:05Z",
        partitionkey=key,
        sequence=f"{number:019d}",
        data=msgspec.Raw(json.dumps(data).encode()),
    )


@dataclass(frozen=True)
class Arrived:
    """An event as a receiver finds it: as often as it was taken, in the order in which it was."""

    id: str
    key: str
    sequence: int


def arrived(body: bytes) -> Arrived:
    """What a message in structured mode tells."""
    told = json.loads(body)
    return Arrived(told["id"], told["partitionkey"], int(told["sequence"]))


class Rig:
    """One broker for as long as it is entered.

    Attributes:
        kind: of the publisher.
        deduplicates: whether the broker drops what comes again with the same id.
        keeps: whether it keeps what it has acknowledged when it is killed.
        pause: seconds between cuts that leave it time to deliver something.
    """

    kind: ClassVar[str]
    deduplicates: ClassVar[bool] = False
    keeps: ClassVar[bool] = True
    pause: ClassVar[float] = 0.03
    server: Server

    def __init__(self) -> None:
        self.proxy = Proxy()

    def settings(self, **more: Any) -> dict[str, Any]:
        """The publisher's, through the proxy."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Make what events go to."""

    def received(self) -> Sequence[Arrived]:
        """All that has arrived since the rig was entered, in order."""
        raise NotImplementedError

    def open(self, **more: Any) -> Publisher:
        return open_publisher("receiver", self.kind, self.settings(**more))

    def __enter__(self) -> Self:
        self.server.start()
        self.proxy.target = self.server.port
        self.prepare()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.proxy.__exit__(kind, error, trace)
        self.server.remove()

    def crash(self) -> None:
        """Kill the broker."""
        self.server.kill()

    def recover(self) -> None:
        """Start it again."""
        self.server.start()


class RedisRig(Rig):
    kind = "redis"

    def __init__(self) -> None:
        super().__init__()
        self.server = Redis()

    def settings(self, **more: Any) -> dict[str, Any]:
        return {"url": f"redis://127.0.0.1:{self.proxy.port}", "timeout": 1.0} | more

    def received(self) -> Sequence[Arrived]:
        with redis.Redis(port=self.server.port) as client:
            entries: Any = client.xrange("events")
        return [arrived(fields[b"event"]) for _, fields in entries]


class NatsRig(Rig):
    kind = "nats"
    deduplicates = True

    def __init__(self) -> None:
        super().__init__()
        self.server = Nats()

    def settings(self, **more: Any) -> dict[str, Any]:
        return {
            "servers": [f"nats://127.0.0.1:{self.proxy.port}"],
            "stream": "EVENTS",
            "create_stream": True,
            "timeout": 1.0,
        } | more

    def received(self) -> Sequence[Arrived]:
        return [arrived(body) for body in messages([f"nats://127.0.0.1:{self.server.port}"], "EVENTS")]


def messages(servers: list[str], stream: str) -> list[bytes]:
    """All messages of a stream."""

    async def read() -> list[bytes]:
        client = await nats.connect(servers)
        try:
            return await _messages(client.jetstream(), stream)
        finally:
            await client.close()

    return asyncio.run(read())


async def _messages(streams: JetStreamContext, stream: str) -> list[bytes]:
    left = (await streams.stream_info(stream)).state.messages
    found: list[bytes] = []
    if not left:
        return found
    subscription = await streams.subscribe(">", stream=stream, ordered_consumer=True)
    while len(found) < left:
        found.append((await subscription.next_msg(timeout=10)).data)
    await subscription.unsubscribe()
    return found


class RabbitRig(Rig):
    kind = "rabbitmq"

    def __init__(self) -> None:
        super().__init__()
        self.server = RabbitMQ()
        self._found: list[Arrived] = []

    def settings(self, **more: Any) -> dict[str, Any]:
        return {"servers": [f"amqp://127.0.0.1:{self.proxy.port}"], "routing_key": "events", "timeout": 2.0} | more

    def prepare(self) -> None:
        with self.channel() as channel:
            channel.queue_declare("events", durable=True)

    @contextlib.contextmanager
    def channel(self) -> Iterator[Any]:
        """A channel of another client."""
        with closing(pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", self.server.port))) as connection:
            yield connection.channel()

    def received(self) -> Sequence[Arrived]:
        with self.channel() as channel:
            left = channel.queue_declare("events", passive=True).method.message_count
            for method, _, body in channel.consume("events", inactivity_timeout=5) if left else ():
                self._found.append(arrived(body))
                channel.basic_ack(method.delivery_tag)
                left -= 1
                if not left:
                    break
            channel.cancel()
        return list(self._found)


class KafkaRig(Rig):
    """The broker forgets when it is killed: what it had is read before that."""

    kind = "kafka"
    keeps = False
    pause = 0.5  # its client asks for addresses, features and a number before it sends
    partitions = 6

    def __init__(self) -> None:
        super().__init__()
        self.server = Kafka(self.proxy.port)

    def settings(self, **more: Any) -> dict[str, Any]:
        # Where all brokers are away, the client asks for their addresses anew, which takes it two seconds: here is one.
        quickly = {"metadata.recovery.strategy": "none"}
        return {
            "servers": [f"127.0.0.1:{self.proxy.port}"],
            "topic": "events",
            "timeout": 2.0,
            "options": quickly,
        } | more

    def prepare(self) -> None:
        client = AdminClient({"bootstrap.servers": f"127.0.0.1:{self.proxy.port}"})
        client.create_topics([NewTopic("events", num_partitions=self.partitions)])["events"].result(30)

    def received(self) -> Sequence[Arrived]:
        return read_kafka([f"127.0.0.1:{self.proxy.port}"], "events", self.partitions)


def read_kafka(servers: list[str], topic: str, partitions: int) -> list[Arrived]:
    """All messages of a topic, partition by partition."""
    consumer = Consumer(
        {
            "bootstrap.servers": ",".join(servers),
            "group.id": "reader",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    try:
        consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
        found: dict[int, list[Arrived]] = {}
        left = set(range(partitions))
        until = time.monotonic() + 30
        while left:
            assert time.monotonic() < until
            for message in consumer.consume(1000, 0.1):
                partition = message.partition() or 0
                error = message.error()
                if error is None:
                    found.setdefault(partition, []).append(arrived(message.value() or b""))
                elif error.name() == "_PARTITION_EOF":
                    left.discard(partition)
        return [one for each in found.values() for one in each]
    finally:
        consumer.close()


RIGS: tuple[type[Rig], ...] = (RedisRig, NatsRig, RabbitRig, KafkaRig)
