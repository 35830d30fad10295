"""Events in Redis Streams, by a real server."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import redis

from target_eventgen.errors import SettingsError, UnreachableError
from target_eventgen.publishers import open_publisher
from target_eventgen.publishers.protocol import Delivered, Failed
from target_eventgen.publishers.waves import NOT_SENT
from tests.support.delivering import fresh
from tests.support.messages import event
from tests.support.proxy import Proxy
from tests.support.servers import Redis
from tests.support.tls import Authority, TlsProxy
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from target_eventgen.publishers.protocol import Publisher


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    with Redis() as found:
        yield found


@pytest.fixture
def client(server: Redis) -> Iterator[redis.Redis]:
    with redis.Redis(port=server.port, decode_responses=True) as found:
        found.flushall()
        yield found
        found.config_set("maxmemory", 0)


def opened(server: Redis, **more: Any) -> Publisher:
    return open_publisher("feed", "redis", {"url": f"redis://127.0.0.1:{server.port}", "timeout": 20.0} | more)


def entries(client: redis.Redis, stream: str = "events") -> list[dict[str, str]]:
    found: Any = client.xrange(stream)
    return [fields for _, fields in found]


def test_structured_mode_is_one_field_of_json(server: Redis, client: redis.Redis) -> None:
    with closing(opened(server)) as publisher:
        assert publisher.publish([event(7)]) == [Delivered()]
    (entry,) = entries(client)
    assert list(entry) == ["event"]
    told = json.loads(entry["event"])
    assert (told["id"], told["specversion"], told["data"]["new"]["number"]) == ("id-7", "1.0", 7)


def test_binary_mode_is_a_field_for_each_attribute_beside_the_data(server: Redis, client: redis.Redis) -> None:
    with closing(opened(server, mode="binary")) as publisher:
        publisher.publish([event(7, key="bücher 1")])
    (entry,) = entries(client)
    assert json.loads(entry.pop("data"))["new"]["number"] == 7
    assert entry == {
        "specversion": "1.0",
        "id": "id-7",
        "source": "target-eventgen/tests",
        "type": "thing.changed",
        "subject": "things/bücher 1",
        "time": "2026-01-01T00:00:05Z",
        "partitionkey": "bücher 1",
        "sequence": "0000000000000000007",
        "datacontenttype": "application/json",
    }


def test_a_stream_may_be_named_after_the_type(server: Redis, client: redis.Redis) -> None:
    with closing(opened(server, stream="feed:{type}")) as publisher:
        publisher.publish([event(1, type_="a"), event(2, type_="b")])
    assert len(entries(client, "feed:a")) == len(entries(client, "feed:b")) == 1


def test_a_stream_of_limited_length_keeps_the_newest(server: Redis, client: redis.Redis) -> None:
    with closing(opened(server, max_length=100)) as publisher:
        publisher.publish(fresh(1000, keys=1000))
    assert 100 <= len(entries(client)) < 400  # Redis cuts whole nodes of its tree


def test_a_key_that_is_not_a_stream_is_a_failure_for_good_and_nothing_of_its_key_overtakes(
    server: Redis, client: redis.Redis
) -> None:
    client.set("feed:a", "taken")
    with closing(opened(server, stream="feed:{type}")) as publisher:
        outcomes = publisher.publish([event(1, "x", "a"), event(2, "x", "b"), event(3, "y", "b")])
    assert outcomes == [Failed("Redis answers WRONGTYPE", permanent=True), NOT_SENT, Delivered()]
    assert len(entries(client, "feed:b")) == 1


def test_a_server_without_memory_is_waited_for(server: Redis, client: redis.Redis) -> None:
    with closing(opened(server)) as publisher:
        client.config_set("maxmemory", 1)
        with pytest.raises(UnreachableError, match=r"OOM|OutOfMemory"):
            publisher.publish([event(1)])
        client.config_set("maxmemory", 0)
        assert publisher.publish([event(1)]) == [Delivered()]


def test_a_server_that_has_become_a_replica_is_waited_for(server: Redis, client: redis.Redis) -> None:
    with closing(opened(server)) as publisher:
        publisher.publish([event(1)])
        client.replicaof("127.0.0.1", 1)
        try:
            with pytest.raises(UnreachableError, match=r"(?i)readonly"):
                publisher.publish([event(2)])
        finally:
            client.replicaof("no", "one")
        assert publisher.publish([event(2)]) == [Delivered()]


@pytest.mark.usefixtures("client")
def test_a_name_that_follows_the_primary_is_looked_up_again_once_it_has_led_to_a_replica(server: Redis) -> None:
    with (
        Redis("--replicaof", "127.0.0.1", str(server.port)) as replica,
        Proxy(replica.port) as name,
        closing(opened(server, url=f"redis://127.0.0.1:{name.port}")) as publisher,
    ):
        with pytest.raises(UnreachableError, match=r"(?i)readonly"):
            publisher.publish([event(1)])
        name.target = server.port
        assert publisher.publish([event(1)]) == [Delivered()]


@pytest.mark.usefixtures("client")
def test_an_event_counts_once_as_many_replicas_have_it_as_were_asked_for(server: Redis) -> None:
    with closing(opened(server, replicas=1, timeout=4.0)) as publisher:
        with pytest.raises(UnreachableError, match="1 replicas should have the events, and it says 0"):
            publisher.publish([event(1)])
        with Redis("--replicaof", "127.0.0.1", str(server.port)) as replica, redis.Redis(port=replica.port) as copy:
            wait_until(lambda: copy.info("replication")["master_link_status"] == "up", what="a replica's link")
            assert publisher.publish([event(1)]) == [Delivered()]
            assert copy.xlen("events") == 2


def test_a_wrong_password_is_reported_without_the_password() -> None:
    with Redis("--requirepass", "right-secret") as server:
        with closing(opened(server, password="wrong-secret")) as publisher:
            with pytest.raises(UnreachableError, match="feed") as caught:
                publisher.publish([event(1)])
            assert "secret" not in str(caught.value)
        with closing(opened(server)) as publisher, pytest.raises(UnreachableError, match=r"(?i)auth"):
            publisher.publish([event(1)])
        with closing(opened(server, password="right-secret")) as publisher:
            assert publisher.publish([event(1)]) == [Delivered()]


def test_a_user_who_may_not_write_gets_an_error_that_says_so(server: Redis, client: redis.Redis) -> None:
    client.acl_setuser("reader", enabled=True, passwords=["+reading"], categories=["+@read"], keys=["*"])
    with (
        closing(opened(server, username="reader", password="reading")) as publisher,
        pytest.raises(UnreachableError, match=r"NoPermission|NOPERM"),
    ):
        publisher.publish([event(1)])


def test_tls_verifies_the_server_and_shows_the_clients_certificate(server: Redis, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with TlsProxy(server.port, authority) as proxy:
        url = f"rediss://127.0.0.1:{proxy.port}"
        files = authority.client_files()
        with closing(opened(server, url=url, **files)) as publisher:
            assert publisher.publish([event(1)]) == [Delivered()]
        with (
            closing(opened(server, url=url, **Authority(tmp_path / "other").client_files())) as publisher,
            pytest.raises(UnreachableError, match=r"(?i)certificate"),
        ):
            publisher.publish([event(1)])
        with (
            closing(opened(server, url=url, certificate_authority=files["certificate_authority"])) as publisher,
            pytest.raises(UnreachableError),
        ):
            publisher.publish([event(1)])


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({}, "one of url, sentinels and cluster"),
        ({"url": "redis://h", "strem": "x"}, 'has no setting "strem" (did you mean "stream"?)'),
        ({"url": "http://h"}, "url must be like"),
        ({"url": "redis://"}, "url must be like"),
        ({"url": "redis://u:hidden@h"}, "settings of their own"),
        ({"url": "redis://h", "stream": "a{b}"}, "stream may hold {type}"),
        ({"url": "redis://h", "max_length": 0}, "max_length"),
        ({"url": "redis://h", "timeout": 0}, "timeout"),
        ({"url": "redis://h", "mode": "hidden"}, "mode"),
        ({"url": "redis://h", "client_certificate": "c"}, "without TLS"),
        ({"url": "rediss://h", "client_private_key": "k"}, "without client_certificate"),
    ],
)
def test_settings_that_can_not_be_heeded_are_refused(settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(SettingsError) as caught:
        open_publisher("feed", "redis", settings)
    assert fault in str(caught.value)
    assert "hidden" not in str(caught.value)
