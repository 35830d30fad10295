"""A broker, a proxy before it, a publisher's settings that lead through both, what has arrived; for each kind alike."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import nats
import nats.errors
import nats.js.errors
import pika
import redis
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from typing_extensions import Self

from target_eventgen.publishers import open_publisher
from tests.support.kafka import KafkaCluster
from tests.support.proxy import Proxy
from tests.support.receiver import Receiver
from tests.support.redis_groups import Clustered, Watched
from tests.support.servers import Kafka, Nats, NatsCluster, RabbitMQ, Redis, Server
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

    from nats.js import JetStreamContext

    from target_eventgen.publishers.protocol import Publisher


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
        name: in a table.
        kind: of the publisher.
        deduplicates: whether the broker drops what comes again with the same id.
        troubles: that can befall it, beside those of the relay.
        pause: seconds between cuts that leave it time to deliver something.
        greetings: answers that come in each call before that of the first events.
        repeats: whether an acknowledgement that is lost makes for an event that arrives twice.
    """

    name: ClassVar[str]
    kind: ClassVar[str]
    deduplicates: ClassVar[bool] = False
    troubles: ClassVar[tuple[str, ...]] = ("crash", "freeze", "cut", "down", "lose", "hold", "slow")
    pause: ClassVar[float] = 0.03
    greetings: ClassVar[int] = 0
    repeats: ClassVar[bool] = True
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

    def freeze(self) -> None:
        """Keep the broker silent."""
        self.server.freeze()

    def thaw(self) -> None:
        """Let it go on."""
        self.server.thaw()

    def elect(self) -> None:
        """Change the leaders, where there are some."""
        raise NotImplementedError


class RedisRig(Rig):
    name = "Redis Streams"
    kind = "redis"

    def __init__(self) -> None:
        super().__init__()
        self.server = Redis()

    def settings(self, **more: Any) -> dict[str, Any]:
        return {"url": f"redis://127.0.0.1:{self.proxy.port}", "timeout": 1.0} | more

    def received(self) -> Sequence[Arrived]:
        assert isinstance(self.server, Redis)
        return read_redis(self.server, "events")


class NatsRig(Rig):
    name = "NATS JetStream"
    kind = "nats"
    deduplicates = True
    greetings = 1
    repeats = False

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
    """All messages of a stream; a cluster whose servers still elect a leader is asked again."""

    async def read() -> list[list[bytes]]:
        client = await nats.connect(servers)
        try:
            return [await _messages(client.jetstream(), stream)]
        except (nats.errors.TimeoutError, nats.js.errors.ServiceUnavailableError):
            return []
        finally:
            await client.close()

    return wait_until(lambda: asyncio.run(read()), 120, what=f"the messages of {stream}")[0]


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
    name = "RabbitMQ"
    kind = "rabbitmq"
    greetings = 1

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
    """The broker keeps all in memory, so that its crash would prove nothing: the three brokers show what one does."""

    name = "Kafka"
    kind = "kafka"
    troubles = ("freeze", "cut", "down", "lose", "hold", "slow")
    repeats = False  # the client repeats it itself, under a number that the broker knows
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


def read_kafka(
    servers: list[str], topic: str, partitions: int, options: Mapping[str, Any] | None = None
) -> list[Arrived]:
    """All messages of a topic, partition by partition; the client's options are librdkafka's."""
    consumer = Consumer(
        {
            **(options or {}),
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

        def is_read() -> bool:
            for message in consumer.consume(1000, 0.1):
                partition = message.partition() or 0
                error = message.error()
                if error is None:
                    found.setdefault(partition, []).append(arrived(message.value() or b""))
                elif error.name() == "_PARTITION_EOF":
                    left.discard(partition)
            return not left

        wait_until(is_read, 30, what="the end of each partition")
        return [one for each in found.values() for one in each]
    finally:
        consumer.close()


class KafkaClusterRig(Rig):
    """Three brokers, one of which goes, and another, and whose leaders change."""

    name = "Kafka, three brokers"
    kind = "kafka"
    troubles = ("crash", "freeze", "elect")

    def __init__(self) -> None:
        self.cluster = KafkaCluster()
        self._turn = 0

    def settings(self, **more: Any) -> dict[str, Any]:
        return {"servers": self.cluster.servers, "topic": "events", "timeout": 2.0} | more

    def __enter__(self) -> Self:
        self.cluster.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cluster.__exit__(kind, error, trace)

    def received(self) -> Sequence[Arrived]:
        return read_kafka(self.cluster.servers, "events", 6)

    @property
    def broker(self) -> int:
        return self.cluster.brokers[self._turn % 3]

    def crash(self) -> None:
        self._turn += 1
        self.cluster.down(self.broker)

    def recover(self) -> None:
        self.cluster.up(self.broker)

    def freeze(self) -> None:
        self._turn += 1
        self.cluster.slow(self.broker, 1500)

    def thaw(self) -> None:
        self.cluster.slow(self.broker, 0)

    def elect(self) -> None:
        for partition in range(6):
            self._turn += 1
            self.cluster.lead("events", partition, self.broker)


class NatsClusterRig(Rig):
    """Three servers that share a stream, the leader of which dies and comes back."""

    name = "NATS JetStream, three servers"
    kind = "nats"
    deduplicates = True
    troubles = ("crash", "freeze")

    def __init__(self) -> None:
        self.cluster = NatsCluster()
        self._victim: Nats | None = None

    def settings(self, **more: Any) -> dict[str, Any]:
        made = {"stream": "EVENTS", "create_stream": True, "copies": 3}
        return {"servers": self.cluster.urls, "timeout": 2.0} | made | more

    def __enter__(self) -> Self:
        self.cluster.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cluster.__exit__(kind, error, trace)

    def received(self) -> Sequence[Arrived]:
        return [arrived(body) for body in messages(self.cluster.urls, "EVENTS")]

    def crash(self) -> None:
        self._victim = leader(self.cluster)
        self._victim.kill()

    def recover(self) -> None:
        assert self._victim is not None
        self._victim.start()

    def freeze(self) -> None:
        self._victim = leader(self.cluster)
        self._victim.freeze()

    def thaw(self) -> None:
        assert self._victim is not None
        self._victim.thaw()


def leader(cluster: NatsCluster) -> Nats:
    """The server that leads the stream, once there is one."""

    async def named() -> str | None:
        client = await nats.connect(cluster.urls, connect_timeout=2, max_reconnect_attempts=2)
        try:
            found = (await client.jetstream().stream_info("EVENTS")).cluster
        finally:
            await client.close()
        return None if found is None else found.leader

    def found() -> Nats | None:
        with contextlib.suppress(nats.errors.Error, OSError, asyncio.TimeoutError):
            name = asyncio.run(named())
            alive = [server for server in cluster.servers if server.process is not None]
            return next((server for server in alive if f"n{server.port}" == name), None)
        return None

    leading = wait_until(found, 30, what="a leader of the stream", every=0.2)
    assert leading is not None
    return leading


class GroupRig(Rig):
    """Redis servers of which one dies, another takes its place, and the first comes back as a replica."""

    kind = "redis"
    troubles = ("crash", "freeze")
    group: Watched | Clustered

    def __init__(self) -> None:
        self._victim: Redis | None = None

    def __enter__(self) -> Self:
        self.group.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.group.__exit__(kind, error, trace)

    def crash(self) -> None:
        """Kill a primary, and wait for the one that takes its place."""
        self._victim = victim = self.group.leader()
        victim.kill()
        wait_until(lambda: self.group.is_led(victim), 180, what="another primary", every=0.2)

    def recover(self) -> None:
        assert self._victim is not None
        self._victim.start()
        wait_until(self.group.is_whole, 180, what="servers that are all there again", every=0.2)

    def freeze(self) -> None:
        self._victim = self.group.leader()
        self._victim.freeze()

    def thaw(self) -> None:
        assert self._victim is not None
        self._victim.thaw()


class WatchedRig(GroupRig):
    name = "Redis, three sentinels"

    def __init__(self) -> None:
        super().__init__()
        self.group = self.watched = Watched()

    def settings(self, **more: Any) -> dict[str, Any]:
        return {"sentinels": self.watched.sentinels, "primary": "main", "replicas": 1, "timeout": 2.0} | more

    def received(self) -> Sequence[Arrived]:
        wait_until(self.watched.is_whole, 180, what="servers that are all there again", every=0.2)
        return read_redis(self.watched.leader(), "events")


class ClusterRig(GroupRig):
    """Streams by their keys, so that they are at all nodes."""

    name = "Redis, cluster of six"

    def __init__(self) -> None:
        super().__init__()
        self.group = self.cluster = Clustered()

    def settings(self, **more: Any) -> dict[str, Any]:
        return {"cluster": self.cluster.nodes[:3], "stream": "events:{key.id}", "replicas": 1, "timeout": 2.0} | more

    def received(self) -> Sequence[Arrived]:
        wait_until(self.cluster.is_whole, 180, what="a cluster that is whole again", every=0.2)
        found: list[Arrived] = []
        for server in self.cluster.primaries():
            with redis.Redis(port=server.port) as client:
                names: Any = client.keys("events:*")
            for name in names:
                found += read_redis(server, name.decode())
        return found


def read_redis(server: Redis, stream: str) -> list[Arrived]:
    """All entries of a stream."""
    with redis.Redis(port=server.port) as client:
        entries: Any = client.xrange(stream)
    return [arrived(fields.get(b"event") or fields[b"data"]) for _, fields in entries]


class WebhookRig(Rig):
    """A receiver of webhooks, which remembers each request though its answer may be lost."""

    name = "webhook"
    kind = "webhook"
    troubles = ("cut", "down", "lose", "hold", "slow")

    def __init__(self) -> None:
        super().__init__()
        self.receiver = Receiver()

    def settings(self, **more: Any) -> dict[str, Any]:
        return {"url": f"http://127.0.0.1:{self.proxy.port}/", "allow_private_addresses": True, "timeout": 1.0} | more

    def __enter__(self) -> Self:
        self.receiver.__enter__()
        self.proxy.target = self.receiver.port
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.proxy.__exit__(kind, error, trace)
        self.receiver.__exit__(kind, error, trace)

    def received(self) -> Sequence[Arrived]:
        whole = [each for each in self.receiver.requests if len(each.body) == int(each.headers["content-length"])]
        return [arrived(request.body) for request in whole]


class FileRig(Rig):
    """A file that both relays append to, and that is put aside again and again."""

    name = "file"
    kind = "file"
    troubles = ()

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="events-"))

    def settings(self, **more: Any) -> dict[str, Any]:
        return {"path": str(self._folder / "events.jsonl"), "rotate_bytes": 200_000} | more

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._folder)

    def received(self) -> Sequence[Arrived]:
        files = sorted(self._folder.iterdir(), key=lambda file: (file.name == "events.jsonl", file.name))
        return [
            arrived(line) for file in files for line in file.read_bytes().splitlines(keepends=True) if line[-1] == 10
        ]


RIGS: tuple[type[Rig], ...] = (RedisRig, NatsRig, RabbitRig, KafkaRig)
"""Those of which a publisher is opened by itself."""

GROUPS: tuple[type[Rig], ...] = (WatchedRig, ClusterRig, NatsClusterRig, KafkaClusterRig)
"""Servers that stand in for each other."""

CHAOS: tuple[type[Rig], ...] = (FileRig, WebhookRig, *RIGS, *GROUPS)
"""Those that relays deliver to."""
