"""Events in Kafka: by a broker over the wire, and by a cluster whose leaders move and whose requests fail as told."""

from __future__ import annotations

import json
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from target_eventgen.errors import SettingsError, UnreachableError
from target_eventgen.publishers import open_publisher
from target_eventgen.publishers.protocol import Delivered, Failed
from target_eventgen.publishers.waves import NOT_SENT
from tests.support.delivering import deliver, expected, firsts, fresh
from tests.support.kafka import PRODUCE, KafkaCluster
from tests.support.messages import event
from tests.support.ports import free_port
from tests.support.rigs import read_kafka
from tests.support.servers import Kafka
from tests.support.tls import Authority, TlsProxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from confluent_kafka import Message

    from target_eventgen.publishers.cloudevent import CloudEvent
    from target_eventgen.publishers.protocol import Publisher

REQUEST_TIMED_OUT, MSG_SIZE_TOO_LARGE, NOT_ENOUGH_REPLICAS, TOPIC_AUTHORIZATION_FAILED = 7, 10, 19, 29
UNKNOWN_TOPIC = 3
PARTITIONS = 6


@pytest.fixture
def cluster() -> Iterator[KafkaCluster]:
    with KafkaCluster() as found:
        yield found


def opened(cluster: KafkaCluster, **more: Any) -> Publisher:
    return open_publisher("feed", "kafka", {"servers": cluster.servers, "topic": "events", "timeout": 5.0} | more)


def first(servers: list[str]) -> Message:
    """The first message of the topic, in whichever partition."""
    consumer = Consumer({"bootstrap.servers": ",".join(servers), "group.id": "reader"})
    try:
        consumer.assign([TopicPartition("events", partition, 0) for partition in range(PARTITIONS)])
        (found,) = consumer.consume(1, 10)
    finally:
        consumer.close()
    assert found.error() is None
    return found


def test_structured_mode_is_a_message_of_json_keyed_by_the_partition_key(cluster: KafkaCluster) -> None:
    with closing(opened(cluster)) as publisher:
        assert publisher.publish([event(7)]) == [Delivered()]
    found = first(cluster.servers)
    assert json.loads(found.value() or b"")["data"]["new"]["number"] == 7
    assert found.key() == b"412"
    assert found.headers() == [("content-type", b"application/cloudevents+json")]


def test_binary_mode_is_the_data_with_the_attributes_in_headers(cluster: KafkaCluster) -> None:
    with closing(opened(cluster, mode="binary")) as publisher:
        publisher.publish([event(7, key="bücher 1")])
    found = first(cluster.servers)
    assert json.loads(found.value() or b"")["new"]["number"] == 7
    assert dict(found.headers() or []) == {
        "content-type": b"application/json",
        "ce_specversion": b"1.0",
        "ce_id": b"id-7",
        "ce_source": b"target-eventgen/tests",
        "ce_type": b"thing.changed",
        "ce_subject": "things/bücher 1".encode(),
        "ce_time": b"2026-01-01T00:00:05Z",
        "ce_partitionkey": "bücher 1".encode(),
        "ce_sequence": b"0000000000000000007",
    }


def deletion(number: int, key: str) -> CloudEvent:
    return event(number, key=key, type_="thing.deleted", data={"old": {"id": key}, "new": None})


def messages(servers: list[str], key: str) -> list[tuple[str, bytes | None]]:
    """The messages with a key, as the type of the event and the value."""
    consumer = Consumer({"bootstrap.servers": ",".join(servers), "group.id": "reader", "enable.partition.eof": True})
    found, left = [], set(range(PARTITIONS))
    try:
        consumer.assign([TopicPartition("events", partition, 0) for partition in range(PARTITIONS)])
        while left:
            for message in consumer.consume(100, 0.1):
                if message.error() is not None:
                    left.discard(message.partition() or 0)
                elif message.key() == key.encode():
                    headers = dict(message.headers() or [])
                    found.append((str(headers["ce_type"], "utf-8"), message.value()))  # type: ignore[arg-type]  # bytes
    finally:
        consumer.close()
    return found


@pytest.mark.parametrize("how", ["none", "after", "instead"])
def test_a_deletion_is_followed_by_a_tombstone_or_sent_as_one(cluster: KafkaCluster, how: str) -> None:
    sent = [event(1, key="a"), deletion(2, "a"), event(3, key="a"), event(4, key="b")]
    with closing(opened(cluster, mode="binary", tombstones=how)) as publisher:
        assert publisher.publish(sent) == [Delivered()] * 4
    changed, deleted = bytes(sent[0].data), bytes(sent[1].data)
    told: dict[str, list[tuple[str, bytes | None]]] = {
        "none": [("thing.deleted", deleted)],
        "after": [("thing.deleted", deleted), ("thing.deleted", None)],
        "instead": [("thing.deleted", None)],
    }
    later = ("thing.changed", bytes(sent[2].data))
    assert messages(cluster.servers, "a") == [("thing.changed", changed), *told[how], later]
    assert messages(cluster.servers, "b") == [("thing.changed", bytes(sent[3].data))]


def test_a_deletion_counts_as_delivered_only_once_its_tombstone_is(cluster: KafkaCluster) -> None:
    sent = deletion(1, "a")
    with closing(opened(cluster, mode="binary", tombstones="after")) as publisher:
        publisher.publish([event(0, key="b")])
        cluster.refuse(PRODUCE, 0, TOPIC_AUTHORIZATION_FAILED)
        (found,) = publisher.publish([sent])
        assert isinstance(found, Failed)
        assert publisher.publish([sent]) == [Delivered()]
    values = [value for _, value in messages(cluster.servers, "a")]
    assert values == [bytes(sent.data), bytes(sent.data), None]


@pytest.mark.parametrize(("key", "hashed"), [("21", -973932308), ("foobar", -790332482)])
def test_a_key_goes_to_the_partition_that_javas_clients_would_choose(
    cluster: KafkaCluster, key: str, hashed: int
) -> None:
    with closing(opened(cluster)) as publisher:
        publisher.publish([event(1, key=key)])
    assert first(cluster.servers).partition() == (hashed & 0x7FFFFFFF) % PARTITIONS


def test_leaders_that_move_and_brokers_that_go_lose_nothing_and_keep_each_keys_order(cluster: KafkaCluster) -> None:
    over = threading.Event()

    def disturb() -> None:
        turn, pause = 0, 0.15
        while not over.wait(pause):
            turn, pause = (
                turn + 1,
                min(5.0, pause * 1.05),
            )  # a busy machine may need longer than that to deliver anything
            broker = cluster.brokers[turn % 3]
            cluster.lead("events", turn % PARTITIONS, broker)
            cluster.down(broker)
            over.wait(0.1)
            cluster.up(broker)

    events = fresh(6000, keys=300)
    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        with closing(opened(cluster)) as publisher:
            for start in range(0, len(events), 300):
                deliver(publisher, events[start : start + 300])
    finally:
        over.set()
        thread.join()
    found = read_kafka(cluster.servers, "events", PARTITIONS)
    assert firsts(found) == expected(events)


def test_what_the_client_repeats_on_its_own_is_not_noticed(cluster: KafkaCluster) -> None:
    with closing(opened(cluster)) as publisher:
        publisher.publish(fresh(1))
        cluster.refuse(PRODUCE, NOT_ENOUGH_REPLICAS, REQUEST_TIMED_OUT)
        assert publisher.publish([event(1)]) == [Delivered()]


def test_a_batch_that_is_too_large_is_sent_again_one_message_a_time(cluster: KafkaCluster) -> None:
    events = fresh(20, keys=20)
    with closing(opened(cluster)) as publisher:
        publisher.publish(fresh(PARTITIONS, keys=PARTITIONS))
        cluster.refuse(PRODUCE, *[MSG_SIZE_TOO_LARGE] * 3)
        assert publisher.publish(events) == [Delivered()] * 20


def test_a_message_that_is_too_large_alone_is_a_failure_for_good(cluster: KafkaCluster) -> None:
    with closing(opened(cluster)) as publisher:
        outcomes = publisher.publish([event(1, "x", size=2_000_000), event(2, "x"), event(3, "y")])
        assert isinstance(outcomes[0], Failed)
        assert outcomes[0].permanent
        assert outcomes[1:] == [NOT_SENT, Delivered()]
        cluster.refuse(PRODUCE, MSG_SIZE_TOO_LARGE)
        (outcome,) = publisher.publish([event(4, "z")])
        assert isinstance(outcome, Failed)
        assert outcome.permanent


def test_a_topic_that_does_not_exist_is_a_failure_for_good(cluster: KafkaCluster) -> None:
    cluster.spoil("missing", UNKNOWN_TOPIC)
    with closing(opened(cluster, topic="missing", timeout=2.0)) as publisher:
        (outcome,) = publisher.publish([event(1)])
    assert isinstance(outcome, Failed)
    assert outcome.permanent


def test_a_topic_that_the_user_may_not_write_to_is_a_failure_that_passes(cluster: KafkaCluster) -> None:
    with closing(opened(cluster)) as publisher:
        publisher.publish(fresh(1))
        cluster.refuse(PRODUCE, TOPIC_AUTHORIZATION_FAILED)
        (outcome,) = publisher.publish([event(1)])
        assert isinstance(outcome, Failed)
        assert not outcome.permanent
        assert publisher.publish([event(1)]) == [Delivered()]


def test_a_cluster_without_brokers_is_unreachable_in_time_and_says_why(cluster: KafkaCluster) -> None:
    with closing(opened(cluster, servers=[f"127.0.0.1:{free_port()}"], timeout=1.0)) as publisher:
        began = time.monotonic()
        with pytest.raises(UnreachableError, match="refused"):
            publisher.publish([event(1)])
        assert time.monotonic() - began < 30  # its client alone would try for minutes


def test_tls_verifies_the_broker_and_shows_the_clients_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with TlsProxy(0, authority) as proxy, Kafka(proxy.port) as broker:
        proxy.target = broker.port
        settings = {"servers": [f"127.0.0.1:{proxy.port}"], "topic": "events", "tls": True, "timeout": 10.0}
        with closing(open_publisher("feed", "kafka", settings | authority.client_files())) as publisher:
            assert publisher.publish([event(1)]) == [Delivered()]
        stranger = Authority(tmp_path / "other").client_files()
        with (
            closing(open_publisher("feed", "kafka", settings | stranger | {"timeout": 2.0})) as publisher,
            pytest.raises(UnreachableError, match=r"(?i)certificate|ssl"),
        ):
            publisher.publish([event(1)])
    with pytest.raises(SettingsError, match="feed"):
        open_publisher("feed", "kafka", settings | {"certificate_authority": str(tmp_path / "none")})


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({}, 'lacks the setting "topic"'),
        ({"servers": ["h"], "topic": "t"}, "host:9092"),
        ({"servers": ["h:1"], "topic": "t", "topc": "t"}, 'did you mean "topic"'),
        ({"servers": ["h:1"], "topic": "{x}"}, "topic may hold {type}"),
        ({"servers": ["h:1"], "topic": "t", "compression": "zip"}, "compression"),
        ({"servers": ["h:1"], "topic": "t", "password": "hidden"}, "go together"),
        ({"servers": ["h:1"], "topic": "t", "options": {"acks": "1"}}, "options has acks"),
        ({"servers": ["h:1"], "topic": "t", "options": {"no.such": "hidden"}}, "no.such"),
        ({"servers": ["h:1"], "topic": "t", "client_certificate": "c"}, "without TLS"),
    ],
)
def test_settings_that_can_not_be_heeded_are_refused(settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(SettingsError) as caught:
        open_publisher("feed", "kafka", settings)
    assert fault in str(caught.value)
    assert "hidden" not in str(caught.value)
