"""Events in Redis whose server changes: primaries that sentinels watch, and clusters."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import redis

from target_eventgen.errors import SettingsError, UnreachableError
from target_eventgen.publishers import fingerprints, open_publisher
from target_eventgen.publishers.protocol import Delivered, Failed
from target_eventgen.publishers.redis_servers import ranges
from tests.support.delivering import deliver, expected, firsts
from tests.support.messages import event
from tests.support.redis_groups import Clustered, Watched, asked
from tests.support.rigs import read_redis
from tests.support.servers import Redis
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from target_eventgen.publishers.cloudevent import CloudEvent
    from target_eventgen.publishers.protocol import Publisher
    from tests.support.rigs import Arrived

KEYS = 12


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    with Watched() as found:
        yield found


@pytest.fixture(scope="module")
def cluster() -> Iterator[Clustered]:
    with Clustered() as found:
        yield found


def opened(**more: Any) -> Any:
    return closing(open_publisher("feed", "redis", {"timeout": 2.0, "stream": "feed:{type}"} | more))


def numbered(first: int, count: int, mark: str) -> list[CloudEvent]:
    """Events of some keys in turn, each key's of a type of its own, so that they are in many streams."""
    return [
        event(number, key=f"{mark}{number % KEYS}", type_=f"{mark}{number % KEYS}")
        for number in range(first, first + count)
    ]


def read(server_of: Callable[[str], Redis], mark: str) -> list[Arrived]:
    """What is in some streams, each where it is."""
    streams = [f"feed:{mark}{number}" for number in range(KEYS)]
    return [one for stream in streams for one in read_redis(server_of(stream), stream)]


def flow(publisher: Publisher, mark: str, trouble: Callable[[], None]) -> list[CloudEvent]:
    """Deliver events before, during and after a trouble; return all of them."""
    over = threading.Event()
    failed: list[BaseException] = []

    def suffer() -> None:
        try:
            trouble()
        except BaseException as error:  # noqa: BLE001  raised again below
            failed.append(error)
        finally:
            over.set()

    events = numbered(1, 60, mark)
    deliver(publisher, events)
    thread = threading.Thread(target=suffer)
    thread.start()
    while not over.is_set():
        events += numbered(len(events) + 1, 24, mark)
        deliver(publisher, events[-24:], seconds=180)
    thread.join()
    assert not failed, failed
    events += numbered(len(events) + 1, 60, mark)
    deliver(publisher, events[-60:], seconds=180)
    return events


def test_the_primary_is_found_by_its_name_and_found_again_after_a_failover(watched: Watched) -> None:
    gone = watched.leader()

    def trouble() -> None:
        gone.kill()
        wait_until(lambda: watched.is_led(gone), 120, what="another primary", every=0.2)
        gone.start()

    settings = {"sentinels": watched.sentinels, "primary": "main", "replicas": 1}
    with opened(**settings) as publisher:
        events = flow(publisher, "a", trouble)
    leader = watched.leader()
    assert leader is not gone
    assert firsts(read(lambda _: leader, "a")) == expected(events)


def test_a_sentinel_that_is_away_is_passed_over_and_a_name_that_none_knows_is_said(watched: Watched) -> None:
    first = watched.others[0]
    with opened(sentinels=watched.sentinels, primary="other") as publisher:
        with pytest.raises(UnreachableError, match=r"(?i)no master found for 'other'"):
            publisher.publish(numbered(1, 1, "b"))
        first.freeze()
        try:
            with opened(sentinels=watched.sentinels, primary="main", timeout=1.0) as other:
                assert deliver(other, numbered(1, 1, "b")) == 1
        finally:
            first.thaw()


def test_streams_of_a_cluster_are_on_their_nodes_and_a_failover_loses_and_reorders_nothing(cluster: Clustered) -> None:
    gone = cluster.owner("feed:c0")

    def trouble() -> None:
        gone.kill()
        wait_until(lambda: cluster.replica_leads("feed:c0", gone), 120, what="another primary", every=0.2)
        gone.start()

    with opened(cluster=cluster.nodes[:2], replicas=1) as publisher:
        events = flow(publisher, "c", trouble)
    wait_until(cluster.is_whole, 120, what="a cluster that is whole again", every=0.2)
    assert cluster.owner("feed:c0") is not gone
    assert firsts(read(cluster.owner, "c")) == expected(events)
    assert len({cluster.owner(f"feed:c{number}").port for number in range(KEYS)}) == 3


def test_a_node_that_is_away_blames_no_event_and_the_others_go_on(cluster: Clustered) -> None:
    frozen = cluster.owner("feed:d0")
    mine = [number for number in range(KEYS) if cluster.owner(f"feed:d{number}") is frozen]
    events = numbered(0, KEYS, "d")
    with opened(cluster=cluster.nodes, timeout=0.5) as publisher:
        deliver(publisher, numbered(100, KEYS, "d"))
        frozen.freeze()
        try:
            outcomes = publisher.publish(events)
        finally:
            frozen.thaw()
        assert [number for number, one in enumerate(outcomes) if one != Delivered()] == mine
        for number in mine:
            failed = outcomes[number]
            assert isinstance(failed, Failed)
            assert (failed.cause, failed.permanent) == ("busy", False)
        deliver(publisher, [events[number] for number in mine])
    wait_until(cluster.is_whole, 120, what="a cluster that is whole again", every=0.2)


def moving(cluster: Clustered, stream: str) -> tuple[Redis, Redis, int]:
    """A stream's primary, another primary, and the slot, which begins to move from the one to the other."""
    source = cluster.owner(stream)
    target = next(other for other in map(cluster.owner, (f"feed:e{n}" for n in range(KEYS))) if other is not source)
    slot = redis.crc.key_slot(stream.encode())
    asked(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", asked(source, "CLUSTER", "MYID"))
    asked(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", asked(target, "CLUSTER", "MYID"))
    return source, target, slot


def test_a_stream_that_moves_to_another_node_is_followed_there(cluster: Clustered) -> None:
    name = "feed:e0"
    events = [event(number, key="e0", type_="e0") for number in range(1, 5)]
    with opened(cluster=cluster.nodes) as publisher:
        assert publisher.publish(events[:1]) == [Delivered()]
        source, target, slot = moving(cluster, name)
        assert publisher.publish(events[1:2]) == [Delivered()]  # it is still there, and is written there
        asked(source, "MIGRATE", "127.0.0.1", target.port, name, 0, 5000)
        assert publisher.publish(events[2:3]) == [Delivered()]  # ASK
        for each in (target, source):
            asked(each, "CLUSTER", "SETSLOT", slot, "NODE", asked(target, "CLUSTER", "MYID"))
        assert publisher.publish(events[3:]) == [Delivered()]  # MOVED
    assert [one.sequence for one in read_redis(target, name)] == [1, 2, 3, 4]


def test_a_node_of_a_cluster_given_as_a_url_is_an_error_that_says_so(cluster: Clustered) -> None:
    foreign = next(server for server in cluster.servers if server is not cluster.owner("feed:f0"))
    with (
        opened(url=f"redis://127.0.0.1:{foreign.port}") as publisher,
        pytest.raises(UnreachableError, match="give its nodes as cluster, not as url"),
    ):
        publisher.publish(numbered(0, 1, "f"))


def test_a_server_that_is_no_cluster_is_said_to_be_none() -> None:
    with (
        Redis() as server,
        opened(cluster=[f"127.0.0.1:{server.port}"]) as publisher,
        pytest.raises(UnreachableError, match="cluster support disabled"),
    ):
        publisher.publish(numbered(1, 1, "g"))


def test_ranges_of_slots_are_read_in_each_form_that_clients_give_them() -> None:
    lists = [[5, 9, [b"h2", 2, b"id", []], [b"h3", 3]], [0, 4, [b"", 1, b"id"]]]
    pairs = {(0, 4): {"primary": ("?", 1), "replicas": []}, (5, 9): {"primary": ("h2", 2), "replicas": []}}
    assert ranges(lists, "asked") == ranges(pairs, "asked") == [(0, 4, ("asked", 1)), (5, 9, ("h2", 2))]


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"url": "redis://h", "cluster": ["h:1"]}, "one of url, sentinels and cluster"),
        ({"sentinels": ["h:1"]}, "sentinels and primary"),
        ({"cluster": ["h:1"], "primary": "main"}, "sentinels and primary"),
        ({"sentinels": ["h"], "primary": "main"}, "sentinels is to be a list of addresses like host:6379"),
        ({"cluster": ["redis://h:1"]}, "cluster is to be a list of addresses"),
        ({"cluster": ["u:hidden@h:1"]}, "cluster is to be a list of addresses"),
        ({"cluster": ["h:0"]}, "cluster is to be a list of addresses"),
        ({"cluster": ["h:1"], "database": 1}, "are for sentinels alone"),
        ({"url": "redis://h", "sentinel_password": "hidden"}, "are for sentinels alone"),
        ({"url": "redis://h", "tls": True}, "begins with rediss:"),
        ({"cluster": ["h:1"], "client_certificate": "c"}, "without TLS"),
    ],
)
def test_settings_that_can_not_be_heeded_are_refused(settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(SettingsError) as caught:
        open_publisher("feed", "redis", settings)
    assert fault in str(caught.value)
    assert "hidden" not in str(caught.value)


def prints(**settings: Any) -> Sequence[str]:
    return fingerprints("feed", "redis", settings)


def test_a_group_is_known_by_any_of_its_addresses() -> None:
    assert set(prints(cluster=["a:1", "b:2"])) & set(prints(cluster=["b:2", "c:3"]))
    assert not set(prints(cluster=["a:1"])) & set(prints(cluster=["c:3"]))
    main = prints(sentinels=["a:1"], primary="main")
    assert not set(main) & set(prints(sentinels=["a:1"], primary="other"))
    assert not set(main) & set(prints(sentinels=["a:1"], primary="main", database=1))
