"""Logging in to Kafka: by tokens of a server or of the settings, and by what can't be had."""

from __future__ import annotations

import ssl
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from target_eventgen.errors import SettingsError, UnreachableError
from target_eventgen.publishers import open_publisher
from target_eventgen.publishers.kafka_login import claims_of
from target_eventgen.publishers.protocol import Delivered
from tests.support.delivering import expected, firsts, fresh, of
from tests.support.oauth import TokenGate, TokenServer, claims, token
from tests.support.rigs import read_kafka
from tests.support.servers import Kafka
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


LOGIN: dict[str, Any] = {
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.mechanism": "OAUTHBEARER",
    "oauth_cb": lambda _: (token(), time.time() + 3600),
}
"""Of another client."""


@pytest.fixture(scope="module")
def broker() -> Iterator[Kafka]:
    with Kafka() as found:
        yield found


@pytest.fixture
def gate() -> Iterator[TokenGate]:
    """A broker of its own, which sends clients back to the gate."""
    with TokenGate() as found, Kafka(found.port) as broker:
        found.target = broker.port
        yield found


def by(server: TokenServer, **more: Any) -> dict[str, Any]:
    return {"token_url": server.url, "client_id": "relay", "client_secret": "s3cret"} | more


def opened(gate: TokenGate, **more: Any) -> Any:
    given = {"servers": [f"127.0.0.1:{gate.port}"], "topic": "events", "timeout": 20.0, "sasl_mechanism": "OAUTHBEARER"}
    return closing(open_publisher("feed", "kafka", given | more))


def why(gate: TokenGate, **more: Any) -> str:
    """Why nothing could be delivered, in words without a secret or a token."""
    with opened(gate, timeout=3.0, **more) as publisher, pytest.raises(UnreachableError, match='"feed"') as caught:
        publisher.publish(fresh(1))
    said = str(caught.value)
    assert "s3cret" not in said
    assert not any(shown in said for shown in gate.shown)
    return said


def test_a_token_is_asked_for_by_client_credentials_and_shown_to_the_brokers(gate: TokenGate) -> None:
    with (
        TokenServer() as server,
        opened(gate, **by(server), scope="events", sasl_extensions={"logicalCluster": "lkc-1"}) as publisher,
    ):
        assert set(publisher.publish(fresh(20))) == {Delivered()}
        assert server.asked == [{"grant_type": ["client_credentials"], "scope": ["events"]}]
        assert set(gate.shown) == set(server.handed)
        assert gate.extensions == {"logicalCluster": "lkc-1"}


def test_a_token_is_renewed_before_it_expires_whether_events_flow_or_not(gate: TokenGate) -> None:
    topic = AdminClient({"bootstrap.servers": f"127.0.0.1:{gate.port}", **LOGIN})
    topic.create_topics([NewTopic("events", num_partitions=1)])["events"].result(30)
    events = fresh(2)
    with TokenServer(seconds=5.0) as server, opened(gate, **by(server)) as publisher:
        assert publisher.publish(events[:1]) == [Delivered()]
        wait_until(lambda: len(server.handed) >= 3, 60, what="two tokens more, for nobody who publishes")
        assert publisher.publish(events[1:2]) == [Delivered()]
        more = []

        def is_renewed() -> bool:
            more.extend(fresh(1))
            assert publisher.publish(more[-1:]) == [Delivered()]
            return len(server.handed) >= 5

        wait_until(is_renewed, 60, what="two tokens more, while events flow")
    every = [*events, *more]
    assert firsts(of(every, read_kafka([f"127.0.0.1:{gate.port}"], "events", 1, LOGIN))) == expected(every)


def test_a_token_server_that_was_away_is_asked_again(gate: TokenGate) -> None:
    with TokenServer() as server:
        server.down = True
        why(gate, **by(server))
        with opened(gate, timeout=3.0, **by(server)) as publisher:
            with pytest.raises(UnreachableError):
                publisher.publish(fresh(1))
            server.down = False
            wait_until(lambda: delivers(publisher), what="an event delivered")


def delivers(publisher: Any) -> bool:
    try:
        return bool(publisher.publish(fresh(1)) == [Delivered()])
    except UnreachableError:
        return False


def test_a_client_that_the_token_server_refuses_is_told_so_without_its_secret(gate: TokenGate) -> None:
    with TokenServer() as server:
        assert "OAUTHBEARER token" in why(gate, **by(server, client_secret="other-s3cret"))
        assert server.handed == []


def test_the_token_servers_certificate_is_verified(gate: TokenGate, tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "right.pem"))
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "wrong.pem"))
    with TokenServer(context=context) as server:
        given = by(server, token_certificate_authority=str(tmp_path / "right.pem"))
        with opened(gate, **given) as publisher:
            assert publisher.publish(fresh(1)) == [Delivered()]
        given["token_certificate_authority"] = str(tmp_path / "wrong.pem")
        assert "OAUTHBEARER token" in why(gate, **given)
        assert len(server.handed) == 1


def test_a_token_of_the_settings_is_shown_as_it_is(gate: TokenGate) -> None:
    given = token()
    with opened(gate, token=given, sasl_extensions={"pool": "p-1"}) as publisher:
        assert publisher.publish(fresh(1)) == [Delivered()]
    assert set(gate.shown) == {given}
    assert gate.extensions == {"pool": "p-1"}


def test_a_token_that_the_brokers_refuse_is_no_events_fault_and_is_not_shown(gate: TokenGate) -> None:
    assert "the token is not to be trusted" in why(gate, token=token(key=b"another"))


def test_a_token_of_the_settings_that_has_expired_is_said_at_once(gate: TokenGate) -> None:
    with pytest.raises(SettingsError, match='"feed": its token has expired'):
        opened(gate, token=token(seconds=-5))
    with opened(gate, token=token(seconds=3), timeout=1.0) as publisher:
        wait_until(lambda: "its token has expired" in complaint(publisher), what="a token that has expired")


def complaint(publisher: Any) -> str:
    try:
        publisher.publish(fresh(1))
    except UnreachableError as error:
        return str(error)
    return ""


def test_kerberos_that_the_client_was_built_without_is_an_error_with_its_remedy(broker: Kafka) -> None:
    with pytest.raises(SettingsError) as caught:
        open_publisher(
            "feed",
            "kafka",
            {
                "servers": [f"127.0.0.1:{broker.port}"],
                "topic": "events",
                "sasl_mechanism": "GSSAPI",
                "options": {"sasl.kerberos.service.name": "kafka"},
            },
        )
    assert 'the publisher "feed": the installed confluent-kafka was built without GSSAPI' in str(caught.value)
    assert "pip install --no-binary confluent-kafka" in str(caught.value)


def test_what_a_token_says_is_read_and_what_is_no_token_says_nothing() -> None:
    assert claims_of(token(sub="me"))["sub"] == "me"
    assert claims(token(key=b"another")) is None
    for other in ("opaque", "a.b.c", "..", "a.e30.c", "a.W10.c"):
        assert claims_of(other) == {}


OAUTH = {"servers": ["h:1"], "topic": "t", "sasl_mechanism": "OAUTHBEARER"}
SERVER = {"token_url": "https://h/token", "client_id": "c", "client_secret": "hidden"}


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({}, "OAUTHBEARER and client_id, client_secret, token_url, or a token go together"),
        ({"token_url": "https://h/token"}, "OAUTHBEARER and client_id, client_secret, or a token go together"),
        (
            {"token": "hidden", **SERVER},
            "client_id, client_secret, token_url is not for sasl_mechanism OAUTHBEARER with",
        ),
        ({"token": "hidden", "username": "u"}, "username is not for sasl_mechanism OAUTHBEARER"),
        ({**SERVER, "token_url": "ftp://h"}, "token_url must be like https://"),
        ({**SERVER, "token_url": "https://u:hidden@h/"}, "token_url must be like https://"),
        ({**SERVER, "options": {"sasl.oauthbearer.method": "default"}}, "options has sasl.oauthbearer.method"),
        ({"sasl_mechanism": "GSSAPI", "username": "u"}, "username is not for sasl_mechanism GSSAPI"),
        ({"sasl_mechanism": "PLAIN", "username": "u"}, "sasl_mechanism PLAIN and password go together"),
        ({"sasl_mechanism": "PLAIN", "username": "u", "password": "hidden", "scope": "s"}, "scope is not for"),
        ({"sasl_mechanism": None, "token": "hidden"}, "token and sasl_mechanism go together"),
        ({"sasl_mechanism": "hidden"}, "sasl_mechanism: is not one of the values"),
    ],
)
def test_a_login_that_can_not_be_meant_is_refused(settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(SettingsError) as caught:
        open_publisher("feed", "kafka", OAUTH | settings)
    assert fault in str(caught.value)
    assert "hidden" not in str(caught.value)
