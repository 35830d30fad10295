"""Events a second: each broker's publisher, a plain loop over its client with the same acknowledgement, and the relay.

`python -m benchmarks.publishers [EVENTS] [--only redis]`. The plain loop sends prepared payloads in batches of the
same size, with the client's own way to pipeline them, and waits for every acknowledgement of a batch before the next;
where the client has none (pika's blocking connection), it waits for each. The runs take turns; medians are printed.
The last column is the whole way: a backlog of as many events in Postgres, drained by one relay process with one
thread.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import confluent_kafka
import nats
import pika
import psycopg2
import redis

from target_eventgen import embedded
from target_eventgen.delivery import registration
from target_eventgen.model.routes import Route
from target_eventgen.publishers.cloudevent import CloudEvent, structured
from target_eventgen.publishers.protocol import Delivered, Publisher
from tests.support.messages import event
from tests.support.rigs import KafkaClusterRig, KafkaRig, NatsRig, RabbitRig, RedisRig, Rig

RUNS = 3

RECORD = """
insert into eventgen.events (id, source, type, subject, time, partitionkey, stream, key, data)
select 'id-' || n, 'benchmark', 'thing.changed', 'things/' || n, now(), n::text, 'things', jsonb_build_object('id', n),
  jsonb_build_object('old', null, 'new', jsonb_build_object('id', n, 'number', n, 'text', repeat('x', 200)), 'changed', '[]'::jsonb)
from generate_series(1, %s) n
"""

Payloads = Sequence[tuple[str, bytes]]


def plain_redis(rig: Rig, payloads: Payloads, batch: int) -> None:
    """Send a pipeline of XADDs a batch."""
    with redis.Redis(port=rig.server.port) as client:
        for first in range(0, len(payloads), batch):
            pipeline = client.pipeline(transaction=False)
            for _, payload in payloads[first : first + batch]:
                pipeline.xadd("plain", {"event": payload})
            pipeline.execute()


def plain_nats(rig: Rig, payloads: Payloads, batch: int) -> None:
    """Publish the messages of a batch at once, and await their acknowledgements."""

    async def run() -> None:
        client = await nats.connect(f"nats://127.0.0.1:{rig.server.port}")
        streams = client.jetstream()
        await streams.add_stream(name="PLAIN", subjects=["plain"])
        for first in range(0, len(payloads), batch):
            sent = [
                await streams.publish_async("plain", payload, headers={"Nats-Msg-Id": id_})
                for id_, payload in payloads[first : first + batch]
            ]
            await asyncio.gather(*sent)
        await streams.delete_stream("PLAIN")
        await client.close()

    asyncio.run(run())


def plain_rabbitmq(rig: Rig, payloads: Payloads, _: int) -> None:
    """Await the confirm of each message before the next."""
    with closing(pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", rig.server.port))) as connection:
        channel = connection.channel()
        channel.queue_declare("plain", durable=True)
        channel.confirm_delivery()
        for id_, payload in payloads:
            properties = pika.BasicProperties(delivery_mode=2, message_id=id_)
            channel.basic_publish("", "plain", payload, properties, mandatory=True)
        channel.queue_delete("plain")


def plain_kafka(rig: Rig, payloads: Payloads, batch: int) -> None:
    """Flush an idempotent producer after each batch."""
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": ",".join(rig.settings()["servers"]), "enable.idempotence": True, "linger.ms": 1}
    )
    done: list[object] = []
    for first in range(0, len(payloads), batch):
        for id_, payload in payloads[first : first + batch]:
            producer.produce("events", payload, id_.encode(), on_delivery=lambda error, _: done.append(error))
        producer.flush()
    assert done == [None] * len(payloads)


PLAIN: dict[type[Rig], tuple[Callable[[Rig, Payloads, int], None], int]] = {
    RedisRig: (plain_redis, 1),
    NatsRig: (plain_nats, 1),
    RabbitRig: (plain_rabbitmq, 10),
    KafkaRig: (plain_kafka, 1),
    KafkaClusterRig: (plain_kafka, 1),
}
"""Each rig's plain loop, and by how much fewer events it is given, where it would take too long."""


def seconds(work: Callable[[], None]) -> float:
    """How long something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def direct(rig: Rig) -> dict[str, object]:
    """Return settings that lead past the proxy, where the rig can do without it."""
    return {
        "redis": lambda: {"url": f"redis://127.0.0.1:{rig.server.port}"},
        "nats": lambda: {"servers": [f"nats://127.0.0.1:{rig.server.port}"]},
        "rabbitmq": lambda: {"servers": [f"amqp://127.0.0.1:{rig.server.port}"]},
        "kafka": dict,
    }[rig.kind]() | {"timeout": 30.0}


def measure(kind: type[Rig], url: str, folder: Path, count: int) -> tuple[str, float, float, float]:
    """Return a broker's name, and the events a second of the plain loop, of the publisher, and of the relay."""
    plain, fewer = PLAIN[kind]
    ours: list[float] = []
    theirs: list[float] = []
    with kind() as rig:
        with closing(rig.open(**direct(rig))) as publisher:
            for run in range(RUNS):
                events = [event(run * count + place, key=str(place), size=200) for place in range(count)]
                payloads = [(one.id, structured(one)) for one in events]
                some = payloads[::fewer]
                theirs.append(len(some) / seconds(functools.partial(plain, rig, some, publisher.most)))
                ours.append(count / seconds(functools.partial(through, publisher, events)))
        relayed = count / relay(rig, url, folder, count)
    return kind.name, statistics.median(theirs), statistics.median(ours), relayed


def through(publisher: Publisher, events: Sequence[CloudEvent]) -> None:
    """Give events to a publisher, which must take them all."""
    for first in range(0, len(events), publisher.most):
        assert set(publisher.publish(events[first : first + publisher.most])) == {Delivered()}


def relay(rig: Rig, url: str, folder: Path, count: int) -> float:
    """Return the seconds that a relay process takes for a backlog, its start included."""
    registration.announce(url, [Route(rig.name, rig.kind, None, None, {})])
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("delete from eventgen.events")
        cursor.execute(RECORD, (count,))
    publisher = {"name": rig.name, "type": rig.kind, "workers": 1, **rig.settings(**direct(rig))}
    path = folder / "relay.json"
    path.write_text(json.dumps({"database_url": url, "events": [], "publishers": [publisher]}))
    command = [sys.executable, "-m", "target_eventgen", "relay", "--config", str(path), "--publisher", rig.name]
    return seconds(lambda: subprocess.run(command, check=True, stderr=subprocess.DEVNULL) and None)


def main() -> None:
    """Measure, and print a line a broker."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events", type=int, nargs="?", default=20_000)
    parser.add_argument("--only", help="brokers whose names hold this, in small letters")
    given = parser.parse_args()
    print(f"{'events a second':30} {'plain loop':>12} {'publisher':>12} {'ratio':>7} {'with relay':>12}")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        try:
            url = embedded.up(Path(folder) / "postgres")
            for kind in PLAIN:
                if not given.only or given.only in kind.name.lower():
                    name, theirs, ours, relayed = measure(kind, url, Path(folder), given.events)
                    print(f"{name:30} {theirs:12,.0f} {ours:12,.0f} {ours / theirs:7.2f} {relayed:12,.0f}", flush=True)
        finally:
            embedded.remove(Path(folder) / "postgres")


if __name__ == "__main__":
    main()
