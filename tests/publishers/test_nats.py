"""Events in JetStream, by real servers: one, and a cluster of three of which one dies."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import nats
import nkeys
import pytest
from nats.js.api import StreamConfig

from target_eventgen.errors import SettingsError, UnreachableError
from target_eventgen.publishers import open_publisher
from target_eventgen.publishers.nats import Refusal, verdict
from target_eventgen.publishers.protocol import Delivered, Failed
from target_eventgen.publishers.waves import NOT_SENT
from tests.support.delivering import deliver, expected, firsts, fresh
from tests.support.messages import event
from tests.support.rigs import arrived, messages
from tests.support.servers import Nats, NatsCluster
from tests.support.tls import Authority

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from nats.aio.msg import Msg
    from nats.js import JetStreamContext

    from target_eventgen.publishers.protocol import Publisher


@pytest.fixture(scope="module")
def server() -> Iterator[Nats]:
    with Nats() as found:
        yield found


def opened(server: Nats, **more: Any) -> Publisher:
    return open_publisher("feed", "nats", {"servers": [server.url], "timeout": 2.0} | more)


def on(server: Nats, work: Callable[[JetStreamContext], Awaitable[Any]]) -> Any:
    """Something done by another client."""

    async def run() -> Any:
        client = await nats.connect(server.url)
        try:
            return await work(client.jetstream())
        finally:
            await client.close()

    return asyncio.run(run())


def stream(server: Nats, name: str, *subjects: str, **more: Any) -> None:
    async def make(streams: JetStreamContext) -> None:
        await streams.add_stream(StreamConfig(name=name, subjects=list(subjects), **more))

    on(server, make)


def first(server: Nats, name: str) -> Msg:
    async def get(streams: JetStreamContext) -> Any:
        subscription = await streams.subscribe(">", stream=name, ordered_consumer=True)
        return await subscription.next_msg(timeout=5)

    found: Msg = on(server, get)
    return found


def test_structured_mode_is_a_message_of_json_with_its_id_beside(server: Nats) -> None:
    stream(server, "A", "a.>")
    with closing(opened(server, subject="a.{type}")) as publisher:
        assert publisher.publish([event(7)]) == [Delivered()]
    found = first(server, "A")
    assert found.subject == "a.thing.changed"
    assert found.headers == {"Nats-Msg-Id": "id-7", "content-type": "application/cloudevents+json"}
    assert json.loads(found.data)["data"]["new"]["number"] == 7


def test_binary_mode_is_the_data_with_the_attributes_in_headers(server: Nats) -> None:
    stream(server, "B", "b")
    with closing(opened(server, subject="b", mode="binary", stream="B")) as publisher:
        publisher.publish([event(7, key='bücher "1" 50%')])
    found = first(server, "B")
    assert json.loads(found.data)["new"]["number"] == 7
    assert found.headers == {
        "Nats-Msg-Id": "id-7",
        "Nats-Expected-Stream": "B",
        "content-type": "application/json",
        "ce-specversion": "1.0",
        "ce-id": "id-7",
        "ce-source": "target-eventgen/tests",
        "ce-type": "thing.changed",
        "ce-subject": "things/b%C3%BCcher%20%221%22%2050%25",
        "ce-time": "2026-01-01T00:00:05Z",
        "ce-partitionkey": "b%C3%BCcher%20%221%22%2050%25",
        "ce-sequence": "0000000000000000007",
    }


def test_the_stream_drops_an_id_that_it_knows(server: Nats) -> None:
    stream(server, "C", "c")
    events = fresh(10)
    with closing(opened(server, subject="c")) as publisher:
        assert set(publisher.publish(events)) == {Delivered()}
        assert set(publisher.publish(events)) == {Delivered()}
    assert len(messages([server.url], "C")) == 10


def test_a_subject_that_no_stream_listens_to_is_a_failure_for_good(server: Nats) -> None:
    stream(server, "D", "d.known")
    with closing(opened(server, subject="d.{type}")) as publisher:
        outcomes = publisher.publish([event(1, "x", "other"), event(2, "x", "known"), event(3, "y", "known")])
    assert outcomes == [Failed('no stream listens to the subject "d.other"', permanent=True), NOT_SENT, Delivered()]


@pytest.mark.parametrize("type_", ["two words", "a..b", "tail.", "a.*", "a\r\nb"])
def test_a_type_that_makes_no_subject_is_a_failure_for_good(server: Nats, type_: str) -> None:
    settings = {"subject": "i.{type}", "stream": "I", "create_stream": True}
    with closing(opened(server, **settings)) as publisher:
        refused, taken = publisher.publish([event(1, "x", type_), event(2, "y", "fine")])
    assert isinstance(refused, Failed)
    assert refused.permanent
    assert taken == Delivered()


def test_another_stream_than_the_one_that_is_named_takes_nothing(server: Nats) -> None:
    stream(server, "E", "e")
    with closing(opened(server, subject="e", stream="EVENTS")) as publisher:
        (outcome,) = publisher.publish([event(1)])
    assert isinstance(outcome, Failed)
    assert outcome.permanent
    assert "10060" in outcome.reason
    assert messages([server.url], "E") == []


def test_a_message_that_is_too_large_is_a_failure_for_good_and_the_others_arrive(server: Nats) -> None:
    stream(server, "F", "f", max_msg_size=5000)
    with closing(opened(server, subject="f")) as publisher:
        outcomes = publisher.publish([event(1, "x", size=2_000_000), event(2, "y", size=6000), event(3, "z")])
    assert [isinstance(outcome, Failed) and outcome.permanent for outcome in outcomes] == [True, True, False]
    assert len(messages([server.url], "F")) == 1


def test_a_stream_that_is_full_is_a_failure_that_passes(server: Nats) -> None:
    stream(server, "G", "g", max_msgs=1, discard=nats.js.api.DiscardPolicy.NEW)
    with closing(opened(server, subject="g")) as publisher:
        outcomes = publisher.publish([event(1, "x"), event(2, "y")])
    assert outcomes[0] == Delivered()
    assert isinstance(outcomes[1], Failed)
    assert not outcomes[1].permanent
    assert "maximum messages" in outcomes[1].reason


def test_a_stream_is_made_where_the_settings_say_so_and_left_as_it_is_where_it_exists(server: Nats) -> None:
    settings = {"subject": "h.{type}", "stream": "H", "create_stream": True, "duplicate_window": 33}
    for _ in range(2):
        with closing(opened(server, **settings)) as publisher:
            assert publisher.publish([event(1)]) == [Delivered()]
        settings["duplicate_window"] = 99

    async def window(streams: JetStreamContext) -> Any:
        return (await streams.stream_info("H")).config

    found = on(server, window)
    assert (found.subjects, found.duplicate_window) == (["h.>"], 33)


def test_users_tokens_and_keys_are_asked_for_and_no_message_shows_them() -> None:
    key = nkeys.from_seed(b"SUAMLK2ZNL35WSMW37E7UD4VZ7ELPKW7DHC3BWBSD2GCZ7IUQQXZIORRBU")
    for lines, right, wrong in (
        (
            'authorization: {user: u, password: "right-secret"}',
            {"username": "u", "password": "right-secret"},
            "password",
        ),
        ('authorization: {token: "right-secret"}', {"token": "right-secret"}, "token"),
        (f"authorization: {{users: [{{nkey: {key.public_key.decode()}}}]}}", {"nkey_seed": key.seed.decode()}, None),
    ):
        with Nats(lines) as server:
            settings = {"stream": "S", "create_stream": True, **right}
            with closing(opened(server, **settings)) as publisher:
                assert publisher.publish([event(1)]) == [Delivered()]
            refused: list[dict[str, str]] = [{}] if wrong is None else [{}, right | {wrong: "wrong-secret"}]
            for settings in refused:
                with closing(opened(server, **settings)) as publisher:
                    with pytest.raises(UnreachableError, match=r"(?i)authorization") as caught:
                        publisher.publish([event(1)])
                    assert "secret" not in str(caught.value)


def test_a_subject_that_the_user_may_not_publish_to_is_reported_at_once() -> None:
    users = 'authorization: {users: [{user: u, password: p, permissions: {publish: ["ok", "$JS.>"]}}]}'
    settings = {"username": "u", "password": "p", "subject": "no", "timeout": 40.0}
    with Nats(users) as server, closing(opened(server, **settings)) as publisher:
        began = time.monotonic()
        with pytest.raises(UnreachableError, match=r"(?i)permissions violation"):
            publisher.publish([event(1)])
        assert time.monotonic() - began < 30


def test_tls_verifies_the_server_and_shows_the_clients_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    lines = (
        f'tls: {{cert_file: "{authority.certificate}", key_file: "{authority.key}",'
        f' ca_file: "{authority.authority}", verify: true}}'
    )
    with Nats(lines) as server:
        settings: dict[str, Any] = {
            "servers": [server.url.replace("nats:", "tls:")],
            "stream": "T",
            "create_stream": True,
        }
        with closing(opened(server, **settings, **authority.client_files())) as publisher:
            assert publisher.publish([event(1)]) == [Delivered()]
        stranger = Authority(tmp_path / "other").client_files()
        with (
            closing(opened(server, **settings, **stranger)) as publisher,
            pytest.raises(UnreachableError, match=r"(?i)certificate"),
        ):
            publisher.publish([event(1)])
        with pytest.raises(SettingsError, match="can't be read"):
            opened(server, **settings, certificate_authority=str(tmp_path / "none"))


def test_one_of_three_servers_dies_in_mid_run_and_each_event_is_stored_once() -> None:
    with NatsCluster() as cluster:
        settings = {
            "servers": cluster.urls,
            "subject": "events",
            "stream": "EVENTS",
            "create_stream": True,
            "copies": 3,
            "timeout": 2.0,
        }
        with closing(open_publisher("feed", "nats", settings)) as publisher:
            deliver(publisher, before := fresh(200, keys=20))
            leader = asyncio.run(_leader(cluster))
            events = fresh(4000, keys=40)
            killer = threading.Thread(target=leader.kill)
            for start in range(0, len(events), 50):
                if start == 1000:
                    killer.start()
                deliver(publisher, events[start : start + 50])
            killer.join()
            assert leader.process is None
            deliver(publisher, after := fresh(50))
        left = [server.url for server in cluster.servers if server is not leader]
        found = [arrived(body) for body in messages(left, "EVENTS")]
    everything = [*before, *events, *after]
    assert firsts(found) == expected(everything)
    assert len(found) == len(everything)


async def _leader(cluster: NatsCluster) -> Nats:
    client = await nats.connect(cluster.urls)
    try:
        found = (await client.jetstream().stream_info("EVENTS")).cluster
        assert found is not None
        return next(server for server in cluster.servers if f"n{server.port}" == found.leader)
    finally:
        await client.close()


@pytest.mark.parametrize(
    ("refusal", "permanent"),
    [
        (Refusal(400, "message size exceeds maximum allowed", 10054), True),
        (Refusal(503, "maximum messages exceeded", 10077), False),
        (Refusal(500, "insufficient resources", 10023), False),
        (Refusal(408, "timeout", 0), False),
    ],
)
def test_a_refusal_is_for_good_where_it_is_about_the_message(refusal: Refusal, *, permanent: bool) -> None:
    assert verdict(refusal).permanent is permanent


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({}, 'lacks the setting "servers"'),
        ({"servers": []}, "servers"),
        ({"servers": ["http://h"]}, "nats://"),
        ({"servers": ["nats://u:hidden@h"]}, "settings of their own"),
        ({"servers": ["nats://h"], "subjct": "x"}, 'did you mean "subject"'),
        ({"servers": ["nats://h"], "subject": "a b"}, "subject must be tokens"),
        ({"servers": ["nats://h"], "subject": "a.*"}, "subject must be tokens"),
        ({"servers": ["nats://h"], "create_stream": True}, "name of the stream"),
        ({"servers": ["nats://h"], "create_stream": True, "stream": "S", "subject": "{type}.a"}, "ends in .{type}"),
        ({"servers": ["nats://h"], "client_certificate": "c"}, "without TLS"),
    ],
)
def test_settings_that_can_not_be_heeded_are_refused(settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(SettingsError) as caught:
        open_publisher("feed", "nats", settings)
    assert fault in str(caught.value)
    assert "hidden" not in str(caught.value)
