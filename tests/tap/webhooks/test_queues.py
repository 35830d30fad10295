"""Queues: one contract, kept by Postgres, Redis, NATS and Kafka alike, each a real one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing

import psycopg2
import pytest

from tap_restextract.errors import QueueError
from tap_restextract.webhooks.notifications import Notification
from tap_restextract.webhooks.queues.locations import open_queue
from tap_restextract.webhooks.queues.protocol import Queue
from tests.support.servers import Nats, Redis, Server

Open = Callable[[], Queue]


def notification(number: int, stream: str = "things", digest: str | None = None) -> Notification:
    return Notification(stream, "billing", "thing.ü", f'{{"n": {number}, "quote": "\'%s\\u0000"}}', digest)


def numbered(numbers: Sequence[int], stream: str = "things") -> list[Notification]:
    return [notification(number, stream) for number in numbers]


def numbers(queue: Queue, stream: str = "things", behind: str | None = None, most: int = 1000) -> list[int]:
    return [int(entry.body.split(":")[1].split(",")[0]) for entry in queue.read(stream, behind, most)]


@pytest.fixture(scope="module", params=["postgres", "redis", "nats", "kafka"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def server(kind: str) -> Iterator[Server | None]:
    made = {"redis": Redis, "nats": Nats}.get(kind)
    if made is None:
        yield None
        return
    with made() as running:
        yield running


@pytest.fixture(scope="module")
def cluster(kind: str) -> Iterator[str]:
    """The address of librdkafka's own stand-in for a Kafka cluster, which can delete no records."""
    if kind != "kafka":
        yield ""
        return
    import confluent_kafka  # noqa: PLC0415  for one kind alone

    owner = confluent_kafka.Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 3, "log_level": 0})
    brokers = owner.list_topics(timeout=10).brokers.values()
    yield "kafka://" + ",".join(f"{each.host}:{each.port}" for each in brokers)
    del owner


@pytest.fixture
def location(kind: str, server: Server | None, cluster: str, request: pytest.FixtureRequest) -> str:
    if cluster:
        return cluster
    if server is None:
        return str(request.getfixturevalue("database"))
    if kind == "redis":
        import redis  # noqa: PLC0415  for one kind alone

        with redis.Redis(port=server.port) as client:
            client.flushall()
    return f"{kind}://127.0.0.1:{server.port}"


@pytest.fixture
def queue(location: str) -> Iterator[Open]:
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(open_queue(location)))


@pytest.fixture
def stream(request: pytest.FixtureRequest) -> str:
    """A stream of this test's own, with a name that no subject or topic could have."""
    return f"{abs(hash(request.node.name))} things/ü.*"


def test_what_was_stored_is_read_in_order_after_any_position(queue: Open, stream: str) -> None:
    one = queue()
    one.store(numbered(range(3), stream))
    one.store(numbered(range(3, 5), stream))
    entries = one.read(stream, None)
    assert sorted(numbers(one, stream)) == [0, 1, 2, 3, 4]
    assert [(entry.source, entry.kind) for entry in entries] == [("billing", "thing.ü")] * 5
    assert {entry.body for entry in entries} == {each.body for each in numbered(range(5))}
    for place, entry in enumerate(entries):
        behind = [each.body for each in queue().read(stream, entry.position)]
        # Kafka's partitions have an order each, and none together.
        assert sorted(behind) == sorted(each.body for each in entries[place + 1 :])


def test_a_reader_goes_on_where_it_was_in_pieces_of_any_size(queue: Open, stream: str) -> None:
    one = queue()
    one.store(numbered(range(25), stream))
    found: list[str] = []
    behind = None
    while entries := one.read(stream, behind, 7):
        found += [entry.body for entry in entries]
        behind = entries[-1].position
    assert sorted(found) == sorted(each.body for each in numbered(range(25)))
    one.store(numbered([99], stream))
    assert numbers(one, stream, behind) == [99]


def test_streams_do_not_see_each_other(queue: Open, stream: str) -> None:
    one, other = queue(), f"{stream} too"
    one.store([notification(1, stream), notification(2, other)])
    assert (numbers(one, stream), numbers(one, other)) == ([1], [2])
    one.acknowledge(other, one.read(other, None)[-1].position)
    assert numbers(one, stream) == [1]


def test_what_is_acknowledged_is_gone_and_no_more(queue: Open, stream: str) -> None:
    one = queue()
    one.store(numbered(range(5), stream))
    entries = one.read(stream, None)
    one.acknowledge(stream, entries[2].position)
    again = queue()
    gone = 0 if "Kafka" in type(one).__name__ else 3
    assert sorted(entry.body for entry in again.read(stream, None)) == sorted(entry.body for entry in entries[gone:])
    assert again.contains(stream, entries[2].position)
    again.acknowledge(stream, entries[2].position)
    assert len(again.read(stream, None)) == 5 - gone
    assert len(again.read(stream, entries[2].position)) == 2


def test_a_place_beyond_the_end_or_of_another_queue_is_none_of_this(queue: Open, stream: str) -> None:
    one = queue()
    one.store(numbered([1], stream))
    assert not one.contains(stream, "no place")
    assert not one.contains(stream, "99999999999999-0" if "Redis" in type(one).__name__ else "99999999999999")
    assert one.identity
    assert one.identity == queue().identity


def test_a_waiting_reader_is_woken_at_once(queue: Open, stream: str) -> None:
    reader, writer = queue(), queue()
    writer.store(numbered([0], stream))
    behind = reader.read(stream, None)[-1].position
    for number in range(1, 6):
        storing = threading.Timer(0.2, writer.store, [numbered([number], stream)])
        storing.start()
        until = time.monotonic() + 60
        began = time.monotonic()
        while not (entries := reader.read(stream, behind)):
            assert time.monotonic() < until
            reader.wait({stream: behind}, 30)
        assert time.monotonic() - began < 15
        behind = entries[-1].position
        storing.join()


def test_nothing_is_skipped_that_several_writers_store_while_it_is_read(queue: Open, stream: str) -> None:
    writers = [queue() for _ in range(4)]

    def write(writer: Queue, first: int) -> None:
        for number in range(first, first + 40):
            writer.store(numbered([number], stream))

    threads = [threading.Thread(target=write, args=(writer, 100 * place)) for place, writer in enumerate(writers)]
    for thread in threads:
        thread.start()
    reader, behind = queue(), None
    bodies: list[str] = []
    writing, found = True, 1
    while writing or found:
        writing = any(thread.is_alive() for thread in threads)  # asked first: what they store until then can be read
        entries = reader.read(stream, behind, 50)
        found = len(entries)
        bodies += [entry.body for entry in entries]
        behind = entries[-1].position if entries else behind
    assert len(bodies) == len(set(bodies)) == 160


def test_its_length_is_counted(queue: Open, stream: str) -> None:
    one = queue()
    before = one.length()
    one.store(numbered(range(7), stream))
    assert one.length() == before + 7


def test_a_queue_that_is_not_there_is_one_error_without_the_password(kind: str) -> None:
    scheme = "postgresql" if kind == "postgres" else kind
    with closing(open_queue(f"{scheme}://user:s3cret@127.0.0.1:9")) as one:
        with pytest.raises(QueueError) as caught:
            one.store(numbered([1]))
        assert "s3cret" not in str(caught.value)


def test_what_was_stored_survives_a_kill_of_its_server(
    kind: str, server: Server | None, queue: Open, stream: str
) -> None:
    if server is None:
        assert kind in {
            "postgres",
            "kafka",
        }  # the one is killed in the chaos run, the other's stand-in keeps all in memory
        return
    one = queue()
    one.store(numbered(range(100), stream))
    place = one.read(stream, None, 50)[-1].position
    identity = one.identity
    server.kill()
    with pytest.raises(QueueError):
        one.store(numbered([1], stream))
    server.start()
    one.store(numbered([100], stream))
    assert numbers(one, stream, place) == list(range(50, 101))
    assert one.identity == identity
    assert one.contains(stream, place)


def test_postgres_reads_nothing_after_a_number_that_is_not_committed_yet(database: str) -> None:
    """A writer took a number and hangs: a reader waits for it, instead of skipping it."""
    with closing(open_queue(database)) as one, closing(psycopg2.connect(database)) as slow:
        one.store(numbered([1]))
        with slow.cursor() as cursor:
            cursor.execute("select pg_advisory_xact_lock_shared(hashtext('tap_restextract.webhooks.numbers'))")
            cursor.execute(
                "insert into tap_restextract.webhooks (stream, source, kind, body) values ('things', 's', 'k', '{\"n\": 2, ')"
            )
            one.store(numbered([3]))
            found: list[int] = []
            with closing(open_queue(database)) as reader:
                thread = threading.Thread(target=lambda: found.extend(numbers(reader)))
                thread.start()
                time.sleep(0.5)
                assert found == []
                slow.commit()
                thread.join(60)
        assert found == [1, 2, 3]


def test_postgres_stores_a_delivery_once_however_many_receivers_get_it(database: str) -> None:
    deliveries = [notification(number, digest=f"{number:032x}") for number in range(200)]

    def write(backwards: bool) -> None:  # noqa: FBT001  which way round
        with closing(open_queue(database)) as one:
            for start in range(0, 200, 20):
                batch = deliveries[start : start + 40]
                one.store(batch[::-1] if backwards else batch)

    with closing(open_queue(database)) as one:
        assert one.length() == 0
    threads = [threading.Thread(target=write, args=(place % 2 == 0,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with closing(open_queue(database)) as one:
        assert sorted(numbers(one)) == list(range(200))


def test_a_redis_that_keeps_nothing_is_refused_and_one_that_syncs_later_is_waited_for() -> None:
    with (
        Redis("--appendonly", "no") as server,
        closing(open_queue(f"redis://127.0.0.1:{server.port}")) as one,
        pytest.raises(QueueError, match="appendonly yes"),
    ):
        one.store(numbered([1]))
    with Redis("--appendfsync", "everysec") as server:
        with closing(open_queue(f"redis://127.0.0.1:{server.port}")) as one:
            one.store(numbered([1]))
        server.kill()
        server.start()
        with closing(open_queue(f"redis://127.0.0.1:{server.port}")) as one:
            assert numbers(one) == [1]


def test_nats_stores_a_delivery_once() -> None:
    with Nats() as server, closing(open_queue(server.url)) as one:
        for _ in range(2):
            one.store([notification(1, digest="1" * 32), notification(2, digest="2" * 32)])
        assert numbers(one) == [1, 2]
