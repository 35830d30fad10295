"""Events in RabbitMQ, by a real broker."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pika
import pytest

from target_eventgen.errors import SettingsError, UnreachableError
from target_eventgen.publishers import open_publisher
from target_eventgen.publishers.protocol import Delivered, Failed
from target_eventgen.publishers.waves import NOT_SENT
from tests.support.delivering import fresh
from tests.support.messages import event
from tests.support.ports import free_port
from tests.support.servers import RabbitMQ
from tests.support.tls import Authority
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from target_eventgen.publishers.protocol import Publisher


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


class Node(RabbitMQ):
    """With a second port, for TLS."""

    def __init__(self, authority: Authority) -> None:
        super().__init__()
        self.tls = free_port()
        for file in (authority.authority, authority.certificate, authority.key):
            Path(shutil.copy(file, self.folder)).chmod(0o644)
        self.lines = (
            "max_message_size = 50000",
            f"listeners.ssl.1 = 127.0.0.1:{self.tls}",
            *(
                f"ssl_options.{option} = {self.folder / Path(file).name}"
                for option, file in (
                    ("cacertfile", authority.authority),
                    ("certfile", authority.certificate),
                    ("keyfile", authority.key),
                )
            ),
            "ssl_options.verify = verify_peer",
            "ssl_options.fail_if_no_peer_cert = true",
        )


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[Node]:
    with Node(authority) as found:
        yield found


@pytest.fixture
def channel(server: Node) -> Iterator[Any]:
    with closing(pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", server.port))) as connection:
        yield connection.channel()


@pytest.fixture
def queue(channel: Any) -> Iterator[str]:
    channel.queue_declare("events", durable=True)
    yield "events"
    channel.queue_delete("events")


def opened(server: RabbitMQ, **more: Any) -> Publisher:
    settings = {"servers": [f"amqp://127.0.0.1:{server.port}"], "routing_key": "events", "timeout": 20.0}
    return open_publisher("feed", "rabbitmq", settings | more)


def test_structured_mode_is_a_persistent_message_of_json(server: Node, channel: Any, queue: str) -> None:
    with closing(opened(server)) as publisher:
        assert publisher.publish([event(7)]) == [Delivered()]
    _, properties, body = channel.basic_get(queue, auto_ack=True)
    assert json.loads(body)["data"]["new"]["number"] == 7
    assert (properties.content_type, properties.delivery_mode, properties.message_id, properties.headers) == (
        "application/cloudevents+json",
        2,
        "id-7",
        None,
    )


def test_binary_mode_is_the_data_with_the_attributes_in_headers(server: Node, channel: Any, queue: str) -> None:
    with closing(opened(server, mode="binary")) as publisher:
        publisher.publish([event(7, key="bücher 1")])
    _, properties, body = channel.basic_get(queue, auto_ack=True)
    assert json.loads(body)["new"]["number"] == 7
    assert (properties.content_type, properties.message_id) == ("application/json", "id-7")
    assert properties.headers == {
        "cloudEvents:specversion": "1.0",
        "cloudEvents:id": "id-7",
        "cloudEvents:source": "target-eventgen/tests",
        "cloudEvents:type": "thing.changed",
        "cloudEvents:subject": "things/bücher 1",
        "cloudEvents:time": "2026-01-01T00:00:05Z",
        "cloudEvents:partitionkey": "bücher 1",
        "cloudEvents:sequence": "0000000000000000007",
    }


def test_a_message_that_no_queue_takes_is_a_failure_for_good(server: Node, channel: Any) -> None:
    channel.exchange_declare("feed", "topic", durable=True)
    channel.queue_declare("known", durable=True)
    channel.queue_bind("known", "feed", "known")
    with closing(opened(server, exchange="feed", routing_key="{type}")) as publisher:
        outcomes = publisher.publish([event(1, "x", "other"), event(2, "x", "known"), event(3, "y", "known")])
    assert outcomes == [Failed("no queue takes it: NO_ROUTE", permanent=True), NOT_SENT, Delivered()]
    assert channel.queue_delete("known").method.message_count == 1


def test_an_exchange_that_does_not_exist_is_a_failure_for_good_and_the_connection_recovers(
    server: Node, channel: Any
) -> None:
    with closing(opened(server, exchange="made-later", routing_key="k")) as publisher:
        (outcome,) = publisher.publish([event(1)])
        assert isinstance(outcome, Failed)
        assert outcome.permanent
        assert "no exchange 'made-later'" in outcome.reason
        channel.exchange_declare("made-later", "fanout")
        channel.queue_declare("behind")
        channel.queue_bind("behind", "made-later")
        assert publisher.publish([event(1)]) == [Delivered()]
    channel.queue_delete("behind")


def test_a_message_that_is_too_large_is_found_among_those_that_are_not(server: Node, channel: Any, queue: str) -> None:
    events = fresh(20, keys=20)
    events[7:7] = [event(10**6, "large", size=60_000)]
    with closing(opened(server)) as publisher:
        outcomes = publisher.publish(events)
    refused = outcomes[7]
    assert isinstance(refused, Failed)
    assert refused.permanent
    assert "larger than" in refused.reason
    assert [*outcomes[:7], *outcomes[8:]] == [Delivered()] * 20
    ids = set()
    for _ in range(channel.queue_declare(queue, passive=True).method.message_count):
        ids.add(channel.basic_get(queue, auto_ack=True)[1].message_id)
    assert ids == {one.id for one in events if one.partitionkey != "large"}


@pytest.mark.usefixtures("queue")
def test_a_type_that_makes_no_routing_key_is_a_failure_for_good(server: Node) -> None:
    with closing(opened(server, routing_key="{type}")) as publisher:
        refused, taken = publisher.publish([event(1, "x", "é" * 128), event(2, "y", "events")])
    assert refused == Failed("its routing key is longer than 255 bytes", permanent=True)
    assert taken == Delivered()


@pytest.mark.usefixtures("queue")
def test_what_comes_after_a_message_that_is_too_large_is_none_the_worse(server: Node) -> None:
    events = [event(1, "x"), event(2, "large", size=60_000), event(3, "x"), event(4, "large"), event(5, "x")]
    with closing(opened(server)) as publisher:
        outcomes = publisher.publish(events)
    assert [outcomes[place] for place in (0, 2, 4)] == [Delivered()] * 3
    assert outcomes[3] == NOT_SENT


def test_a_queue_that_is_full_is_a_failure_that_passes(server: Node, channel: Any) -> None:
    channel.queue_declare("small", durable=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    with closing(opened(server, routing_key="small")) as publisher:
        publisher.publish([event(1)])
        wait_until(lambda: channel.queue_declare("small", passive=True).method.message_count == 1, what="a full queue")
        (outcome,) = publisher.publish([event(2)])
        assert isinstance(outcome, Failed)
        assert not outcome.permanent
        assert "nack" in outcome.reason
        channel.queue_purge("small")
        assert publisher.publish([event(2)]) == [Delivered()]
    channel.queue_delete("small")


def test_a_broker_that_takes_nothing_for_want_of_memory_says_so() -> None:
    with (
        RabbitMQ("vm_memory_high_watermark.absolute = 10MB") as server,
        closing(opened(server, timeout=1.0)) as publisher,
    ):
        began = time.monotonic()
        with pytest.raises(UnreachableError, match=r"takes nothing now .*memory"):
            publisher.publish([event(1)])
        assert time.monotonic() - began < 30


def test_a_wrong_password_is_reported_without_the_password(server: Node) -> None:
    with closing(opened(server, password="wrong-secret")) as publisher:
        with pytest.raises(UnreachableError, match="ACCESS_REFUSED") as caught:
            publisher.publish([event(1)])
        assert "secret" not in str(caught.value)


def test_a_virtual_host_that_does_not_exist_is_reported(server: Node) -> None:
    with (
        closing(opened(server, servers=[f"amqp://127.0.0.1:{server.port}/no%2Fhost"])) as publisher,
        pytest.raises(UnreachableError, match="no/host"),
    ):
        publisher.publish([event(1)])


@pytest.mark.usefixtures("queue")
def test_the_next_server_of_the_list_is_asked_where_one_is_away(server: Node) -> None:
    servers = [f"amqp://127.0.0.1:{port}" for port in (free_port(), server.port)]
    with closing(opened(server, servers=servers)) as publisher:
        assert publisher.publish([event(1)]) == [Delivered()]


@pytest.mark.usefixtures("queue")
def test_tls_verifies_the_server_and_shows_the_clients_certificate(
    server: Node, authority: Authority, tmp_path: Path
) -> None:
    servers = [f"amqps://127.0.0.1:{server.tls}"]
    with closing(opened(server, servers=servers, **authority.client_files())) as publisher:
        assert publisher.publish([event(1)]) == [Delivered()]
    stranger = Authority(tmp_path / "other").client_files()
    for files in (stranger, {"certificate_authority": authority.authority}):
        with closing(opened(server, servers=servers, **files)) as publisher, pytest.raises(UnreachableError):
            publisher.publish([event(1)])
    with pytest.raises(SettingsError, match="can't be read"), contextlib.ExitStack():
        opened(server, servers=servers, certificate_authority=str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({}, 'lacks the setting "servers"'),
        ({"servers": ["http://h"]}, "amqp://"),
        ({"servers": ["amqp://u:hidden@h"]}, "settings of their own"),
        ({"servers": ["amqp://h"], "exchnge": "x"}, 'did you mean "exchange"'),
        ({"servers": ["amqp://h"], "routing_key": "{x}"}, "routing_key may hold {type}"),
        ({"servers": ["amqp://h"], "client_certificate": "c"}, "without TLS"),
    ],
)
def test_settings_that_can_not_be_heeded_are_refused(settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(SettingsError) as caught:
        open_publisher("feed", "rabbitmq", settings)
    assert fault in str(caught.value)
    assert "hidden" not in str(caught.value)
