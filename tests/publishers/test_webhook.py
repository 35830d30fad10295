from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trustme
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cloudevents.core.formats.json import JSONFormat
from standardwebhooks import Webhook

from target_eventgen import publishers
from target_eventgen.errors import SettingsError, UnreachableError
from target_eventgen.publishers import webhook, webhook_decisions
from target_eventgen.publishers.cloudevent import CloudEvent
from target_eventgen.publishers.protocol import Delivered, Failed, Outcome
from target_eventgen.publishers.webhook import NOT_SENT
from tests.support.messages import event
from tests.support.ports import free_port
from tests.support.proxy import Proxy
from tests.support.receiver import Answer, Receiver, Request
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from target_eventgen.publishers.protocol import Publisher

pytestmark = pytest.mark.in_process

SECRETS = ["whsec_" + base64.b64encode(bytes(range(start, start + 24))).decode() for start in (0, 100)]


@contextmanager
def opened(url: str, **settings: Any) -> Iterator[Publisher]:
    given = {"url": url, "allow_private_addresses": True, "timeout": 5.0, **settings}
    with closing(publishers.open_publisher("hook", "webhook", given)) as publisher:
        yield publisher


def published(url: str, events: Sequence[CloudEvent], **settings: Any) -> Sequence[Outcome]:
    with opened(url, **settings) as publisher:
        return publisher.publish(events)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def serving(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*(names or ("localhost",))).configure_cert(context)
    return context


def file_of(authority: trustme.CA, folder: Path) -> str:
    path = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


# -- what is sent -----------------------------------------------------------------------------------------------------


def check_attributes(parsed: Any, sent: CloudEvent) -> None:
    attributes = parsed.get_attributes()
    for name in ("id", "source", "type", "subject", "partitionkey", "sequence", "specversion", "datacontenttype"):
        assert attributes[name] == getattr(sent, name)
    assert attributes["time"].isoformat() == "2026-01-01T00:00:05+00:00"


@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_the_cloudevents_sdk_reads_what_came_and_the_signature_library_verifies_it(
    receiver: Receiver, mode: str
) -> None:
    data: dict[str, Any] = {"old": None, "new": {"name": "Zoë “Q” 100%"}, "changed": []}
    sent = event(7, key='Zoë "Q" 100%\n', data=data)
    assert published(receiver.url, [sent], mode=mode, secrets=SECRETS) == [Delivered()]
    (request,) = receiver.requests
    parsed = from_http_event(HTTPMessage(dict(request.headers), request.body))
    check_attributes(parsed, sent)
    found = parsed.get_data()
    assert (json.loads(found) if isinstance(found, str | bytes) else found) == data
    for secret in SECRETS:
        Webhook(secret).verify(request.body, dict(request.headers))
    assert request.id == sent.id
    assert request.headers["webhook-signature"].count("v1,") == 2
    assert request.headers["content-type"] == (
        "application/cloudevents+json" if mode == "structured" else "application/json"
    )


def test_a_batch_is_one_request_that_the_sdk_reads_and_its_id_is_that_of_its_events(receiver: Receiver) -> None:
    sent = [event(number, key=str(number % 3)) for number in range(9)]
    for _ in range(2):
        assert published(receiver.url, sent, mode="batch", secrets=SECRETS, connections=1) == [Delivered()] * 9
    first, second = receiver.requests
    Webhook(SECRETS[1]).verify(first.body, dict(first.headers))
    assert first.headers["content-type"] == "application/cloudevents-batch+json"
    assert first.id == second.id
    assert first.body == second.body
    members = json.loads(first.body)
    assert [member["id"] for member in members] == [each.id for each in sent]
    for member, each in zip(members, sent, strict=True):
        check_attributes(JSONFormat().read(None, json.dumps(member)), each)


def test_an_attempt_has_a_timestamp_of_its_own_and_the_id_of_the_event(receiver: Receiver) -> None:
    with opened(receiver.url, secrets=SECRETS[:1]) as publisher:
        receiver.answer = lambda _: Answer(500)
        publisher.publish([event(1)])
        time.sleep(1.1)
        receiver.answer = lambda _: Answer()
        publisher.publish([event(1)])
    first, second = receiver.requests
    assert first.id == second.id
    assert int(first.headers["webhook-timestamp"]) < int(second.headers["webhook-timestamp"])
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]


def test_headers_of_the_configuration_are_sent_along(receiver: Receiver) -> None:
    published(receiver.url, [event(1)], headers={"Authorization": "Bearer abc"})
    assert receiver.requests[0].headers["authorization"] == "Bearer abc"
    assert "webhook-signature" not in receiver.requests[0].headers


def test_path_and_query_are_sent_as_they_are(receiver: Receiver) -> None:
    published(receiver.url + "/a%2Fb/ü?token=a%26b&x=[1]", [event(1)])
    assert receiver.requests[0].path == "/hook/a%2Fb/%C3%BC?token=a%26b&x=[1]"


# -- keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["structured", "batch"])
def test_several_keys_go_at_once_and_each_keys_events_in_their_order(receiver: Receiver, mode: str) -> None:
    several = threading.Event()

    def answer(_: Request) -> Answer:
        if receiver.at_once > 1:
            several.set()
        several.wait(20)  # whoever is first, until there is another
        return Answer(wait=0.01)

    receiver.answer = answer
    sent = [event(number, key=str(number % 12)) for number in range(96)]
    assert set(published(receiver.url, sent, connections=4, mode=mode, batch_size=5, timeout=40.0)) == {Delivered()}
    came = [member for request in receiver.requests for member in members(request)]
    for key in {each.partitionkey for each in sent}:
        assert [one for one in came if int(one.removeprefix("id-")) % 12 == int(key)] == [
            each.id for each in sent if each.partitionkey == key
        ]
    assert 1 < receiver.most_at_once <= 4
    assert receiver.connections <= 4


def members(request: Request) -> list[str]:
    body = json.loads(request.body)
    return [member["id"] for member in body] if isinstance(body, list) else [body["id"]]


@pytest.mark.parametrize("mode", ["structured", "batch"])
def test_two_requests_of_one_key_are_never_under_way_at_once(receiver: Receiver, mode: str) -> None:
    receiver.answer = lambda _: Answer(wait=0.01)
    sent = [event(number) for number in range(20)]
    assert set(published(receiver.url, sent, mode=mode, batch_size=4)) == {Delivered()}
    assert receiver.most_at_once == 1


def test_two_streams_with_one_key_are_two_keys(receiver: Receiver) -> None:
    sent = [event(1), msgspec.structs.replace(event(2), subject="customers/1")]
    receiver.answer = failing_at(sent[0].id, 503)
    first, second = published(receiver.url, sent)
    assert isinstance(first, Failed)
    assert second == Delivered()


def failing_at(wanted: str, status: int) -> Callable[[Request], Answer]:
    return lambda request: Answer(status if wanted in members(request) else 200)


@pytest.mark.parametrize("status", [400, 503, 0])
def test_nothing_of_a_key_is_sent_after_what_failed_and_other_keys_go_on(receiver: Receiver, status: int) -> None:
    sent = [event(number, key="ab"[number % 2]) for number in range(8)]
    receiver.answer = failing_at(sent[2].id, status)
    found = published(receiver.url, sent)
    assert [isinstance(outcome, Delivered) for outcome in found] == [
        True, True, False, True, False, True, False, True
    ]  # fmt: skip
    assert isinstance(found[2], Failed)
    assert found[2].permanent is (status == 400)
    assert found[4] == found[6] == NOT_SENT
    assert sorted(set(receiver.ids)) == sorted(sent[place].id for place in (0, 1, 2, 3, 5, 7))


def test_one_refused_event_is_found_in_its_batch_and_the_others_are_delivered_in_order(receiver: Receiver) -> None:
    sent = [event(number, key="abc"[number % 3]) for number in range(30)]
    receiver.answer = failing_at(sent[13].id, 422)
    found = published(receiver.url, sent, mode="batch", connections=1)
    assert found[13] == Failed("the receiver answered 422", permanent=True)
    behind = [place for place in range(14, 30) if place % 3 == 13 % 3]
    assert all(found[place] == NOT_SENT for place in behind)
    others = [place for place in range(30) if place != 13 and place not in behind]
    assert all(found[place] == Delivered() for place in others)
    taken = [one for request in receiver.requests if sent[13].id not in members(request) for one in members(request)]
    assert taken == [sent[place].id for place in others]


def test_a_batch_that_fails_for_the_moment_is_not_taken_apart(receiver: Receiver) -> None:
    sent = [event(number, key=str(number % 4)) for number in range(12)]
    receiver.answer = lambda _: Answer(502, {"Retry-After": "7"})
    found = published(receiver.url, sent, mode="batch", connections=1, batch_size=2)
    assert found[:4] == [Failed("the receiver answered 502", retry_after=7.0, cause="away")] * 4
    assert found[4:] == [NOT_SENT] * 8
    assert [members(request) for request in receiver.requests] == [[sent[0].id, sent[1].id], [sent[2].id, sent[3].id]]


def test_a_receiver_that_says_nothing_is_not_asked_for_each_of_many_batches(receiver: Receiver) -> None:
    receiver.answer = lambda _: Answer(wait=40)
    sent = [event(number, key=str(number)) for number in range(20)]
    started = time.monotonic()
    found = published(receiver.url, sent, mode="batch", connections=1, batch_size=1, timeout=1.0)
    assert time.monotonic() - started < 15
    assert all(isinstance(outcome, Failed) and not outcome.permanent for outcome in found)
    assert len(receiver.requests) == 1


def test_retry_after_is_passed_on(receiver: Receiver) -> None:
    receiver.answer = lambda _: Answer(503, {"Retry-After": "120"})
    busy = Failed("the receiver answered 503", retry_after=120.0, cause="busy")
    assert published(receiver.url, [event(1)]) == [busy]


def test_once_the_receiver_is_busy_a_call_makes_no_more_requests(receiver: Receiver) -> None:
    receiver.answer = lambda _: Answer(200 if len(receiver.requests) < 3 else 429)
    sent = [event(number, key=str(number)) for number in range(20)]
    found = published(receiver.url, sent, connections=1)
    busy = Failed("the receiver answered 429", cause="busy")
    assert found == [Delivered(), Delivered(), busy, *[NOT_SENT] * 17]
    assert len(receiver.requests) == 3


def test_of_many_connections_each_hears_at_most_once_that_the_receiver_is_busy(receiver: Receiver) -> None:
    receiver.answer = lambda _: Answer(429, wait=0.01)
    sent = [event(number, key=str(number)) for number in range(64)]
    found = published(receiver.url, sent, connections=4)
    assert 1 <= len(receiver.requests) <= 4
    assert sum(outcome != NOT_SENT for outcome in found) == len(receiver.requests)


# -- connections ------------------------------------------------------------------------------------------------------


def test_a_connection_is_used_again_and_again(receiver: Receiver) -> None:
    with opened(receiver.url) as publisher:
        for number in range(20):
            assert publisher.publish([event(number)]) == [Delivered()]
    assert receiver.connections == 1


def test_a_connection_that_the_receiver_closed_while_it_waited_is_reopened(receiver: Receiver) -> None:
    with opened(receiver.url) as publisher:
        publisher.publish([event(1)])
        receiver.answer = lambda _: Answer(0 if len(receiver.requests) == 2 else 200)
        assert publisher.publish([event(2)]) == [Delivered()]
    assert receiver.ids == [event(1).id, event(2).id, event(2).id]


def test_an_answer_that_closes_its_connection_is_obeyed(receiver: Receiver) -> None:
    receiver.answer = lambda _: Answer(headers={"Connection": "close"})
    with opened(receiver.url) as publisher:
        for number in range(3):
            assert publisher.publish([event(number)]) == [Delivered()]
    assert receiver.connections == 3


def test_a_receiver_that_is_down_is_unreachable_and_nothing_failed() -> None:
    port = free_port()
    with pytest.raises(UnreachableError, match=rf"http://localhost:{port} can't be reached \(Connection refused\)"):
        published(f"http://localhost:{port}/?token=abcdef", [event(1), event(2)])


def test_a_receiver_that_comes_back_gets_what_it_missed(receiver: Receiver) -> None:
    with Proxy(receiver.port) as proxy, opened(f"http://localhost:{proxy.port}/") as publisher:
        assert publisher.publish([event(1)]) == [Delivered()]
        proxy.down()
        with pytest.raises(UnreachableError):
            publisher.publish([event(2)])
        proxy.up()
        assert publisher.publish([event(2)]) == [Delivered()]
    assert receiver.ids == [event(1).id, event(2).id]


def test_an_answer_that_is_lost_fails_for_the_moment(receiver: Receiver) -> None:
    receiver.answer = lambda _: Answer(0)
    (found,) = published(receiver.url, [event(1)])
    assert isinstance(found, Failed)
    assert not found.permanent
    assert found.reason.startswith("no answer")


# -- time -------------------------------------------------------------------------------------------------------------


def test_a_silent_receiver_is_given_up_in_time_and_sends_nothing_later(receiver: Receiver) -> None:
    answers = threading.Event()

    def hold(_: Request) -> Answer:
        answers.wait(30)
        return Answer()

    receiver.answer = hold
    started = time.monotonic()
    found = published(receiver.url, [event(1), event(2)], timeout=1.0)
    assert time.monotonic() - started < 15
    assert found[0] == Failed("no answer within 1 seconds", cause="away")
    assert found[1] == NOT_SENT
    answers.set()
    time.sleep(0.5)
    assert receiver.ids == [event(1).id]


def test_a_slow_receiver_gets_no_more_in_one_call_than_it_can_take_in_its_time(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "CALL_SECONDS", 0.5)
    receiver.answer = lambda _: Answer(wait=0.2)
    started = time.monotonic()
    found = published(receiver.url, [event(number) for number in range(60)])
    assert time.monotonic() - started < 10
    taken = len(receiver.requests)
    assert 0 < taken < 12
    assert found == [Delivered()] * taken + [NOT_SENT] * (60 - taken)


def test_a_name_that_is_not_resolved_in_time_is_given_up_and_nothing_is_sent_when_it_is(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve, resolved, answers = socket.getaddrinfo, [], threading.Event()

    def slowly(*arguments: Any, **options: Any) -> list[Any]:
        answers.wait(60)
        resolved.append(arguments)
        return list(resolve(*arguments, **options))

    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    with opened(receiver.url, timeout=0.2, connections=2) as publisher:
        started = time.monotonic()
        with pytest.raises(UnreachableError, match="no name server answers in time"):
            publisher.publish([event(number, key=str(number)) for number in range(6)])
        assert time.monotonic() - started < 30
        answers.set()
        wait_until(lambda: len(resolved) == 2, what="two names that are resolved")
        time.sleep(0.3)
        assert receiver.connections == 0
        assert len(resolved) == 2


@contextmanager
def raw(respond: Callable[[socket.socket], None]) -> Iterator[str]:
    """The URL of a server that reads a request and then does what it is told."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        def answer(connection: socket.socket) -> None:
            with connection:
                try:
                    connection.recv(65536)
                    respond(connection)
                except OSError:
                    pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://localhost:{listener.getsockname()[1]}/"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_receiver_that_answers_a_byte_at_a_time_is_cut_off_in_time() -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while True:
            connection.sendall(b"a")
            time.sleep(0.02)

    with raw(drip) as url:
        started = time.monotonic()
        assert published(url, [event(1), event(2)], timeout=1.0) == [
            Failed("no answer within 1 seconds", cause="away"),
            NOT_SENT,
        ]
        assert time.monotonic() - started < 15


@pytest.mark.parametrize("chunked", [True, False])
def test_an_answer_without_end_is_an_acknowledgement_and_is_not_read_to_its_end(chunked: bool) -> None:  # noqa: FBT001
    sent = 0

    def flood(connection: socket.socket) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + (b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"\r\n"))
        while True:
            connection.sendall((b"1000\r\n" if chunked else b"") + b"a" * 4096 + (b"\r\n" if chunked else b""))
            sent += 4096

    with raw(flood) as url:
        started = time.monotonic()
        assert published(url, [event(1)]) == [Delivered()]
        assert time.monotonic() - started < 20
    assert sent < 50_000_000


def test_an_acknowledgement_counts_though_its_body_takes_too_long(receiver: Receiver) -> None:
    receiver.answer = lambda _: Answer(body=b"x" * 1000, drip=0.05)
    started = time.monotonic()
    assert published(receiver.url, [event(1)], timeout=1.0) == [Delivered()]
    assert time.monotonic() - started < 30


def test_an_answer_that_is_not_http_fails_for_the_moment() -> None:
    with raw(lambda connection: connection.sendall(b"220 mail.example.com ESMTP\r\n")) as url:
        (found,) = published(url, [event(1)])
    assert isinstance(found, Failed)
    assert not found.permanent
    assert "mail" not in found.reason


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.0 202 Accepted\r\n\r\nwell",
        b"HTTP/1.1 200\nCONTENT-LENGTH :  2\nno header\n\nok",
        b"HTTP/1.1 200 OK\r\nX-Fold: a\r\n b: c\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ],
)
def test_an_answers_head_is_read_however_it_is_written(answer: bytes) -> None:
    with raw(lambda connection: connection.sendall(answer)) as url:
        assert published(url, [event(1), event(2)]) == [Delivered()] * 2


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000, b"HTTP/2 200 OK\r\n\r\n"])
def test_an_answers_head_of_no_end_or_of_another_protocol_fails_for_the_moment(head: bytes) -> None:
    with raw(lambda connection: connection.sendall(head)) as url:
        (found,) = published(url, [event(1)])
    assert isinstance(found, Failed)
    assert not found.permanent


def test_what_an_answer_asks_for_is_found_in_its_head() -> None:
    with raw(lambda connection: connection.sendall(b"HTTP/1.1 429 x\r\nRETRY-after:\t 7 \r\n\r\n")) as url:
        (found,) = published(url, [event(1)])
    assert isinstance(found, Failed)
    assert found.retry_after == 7


def test_quick_calls_become_larger_and_slow_ones_smaller(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "QUICK_SECONDS", 60.0)
    with opened(receiver.url, connections=2) as publisher:
        first = publisher.most
        publisher.publish([event(number, key=str(number)) for number in range(first)])
        assert publisher.most == 2 * first
        monkeypatch.setattr(webhook, "QUICK_SECONDS", 0.0)
        publisher.publish([event(1)])
        assert publisher.most == first


# -- TLS --------------------------------------------------------------------------------------------------------------


def test_a_certificate_is_verified_against_the_authority_that_is_named(authority: trustme.CA, tmp_path: Path) -> None:
    with Receiver(serving(authority)) as receiver:
        found = published(receiver.url, [event(1)], certificate_authority=file_of(authority, tmp_path))
        assert found == [Delivered()]
        assert receiver.requests[0].headers["host"] == f"localhost:{receiver.port}"


@pytest.mark.parametrize("case", ["another authority", "the system's authorities", "another name"])
def test_a_certificate_that_is_not_to_be_trusted_gets_no_event(
    authority: trustme.CA, tmp_path: Path, case: str
) -> None:
    context = serving(authority, "example.com") if case == "another name" else serving(authority)
    trusted = trustme.CA() if case == "another authority" else authority
    settings = {} if case == "the system's authorities" else {"certificate_authority": file_of(trusted, tmp_path)}
    with Receiver(context) as receiver, pytest.raises(UnreachableError, match="the certificate is not trusted"):
        published(receiver.url, [event(1)], **settings)
    assert receiver.requests == []


def test_a_certificate_of_ours_is_shown_to_a_receiver_that_asks_for_it(authority: trustme.CA, tmp_path: Path) -> None:
    context = serving(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    ours = authority.issue_cert("us.example.com")
    ours.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "ours.pem"))
    settings = {"certificate_authority": file_of(authority, tmp_path)}
    with Receiver(context) as receiver:
        found = published(receiver.url, [event(1)], client_certificate=str(tmp_path / "ours.pem"), **settings)
        assert found == [Delivered()]
        with suppress(UnreachableError):  # the handshake of TLS 1.2; with 1.3 the refusal comes in place of an answer
            assert published(receiver.url, [event(1)], **settings) != [Delivered()]
    assert len(receiver.requests) == 1


# -- redirects and addresses ------------------------------------------------------------------------------------------


def test_a_redirect_is_not_followed_unless_it_may_be(receiver: Receiver) -> None:
    with Receiver() as other:
        receiver.answer = lambda _: Answer(307, {"Location": other.url})
        (found,) = published(receiver.url, [event(1)])
        assert isinstance(found, Failed)
        assert "307" in found.reason
        assert other.requests == []
        headers = {"authorization": "Bearer abc"}
        assert published(receiver.url, [event(1)], follow_redirects=True, headers=headers, secrets=SECRETS[:1]) == [
            Delivered()
        ]
        (request,) = other.requests
    assert "authorization" in receiver.requests[-1].headers
    assert "authorization" not in request.headers
    assert Webhook(SECRETS[0]).verify(request.body, dict(request.headers))["id"] == event(1).id


def test_a_redirect_within_the_receiver_keeps_the_headers(receiver: Receiver) -> None:
    receiver.answer = lambda request: Answer(308, {"Location": "/there"}) if request.path == "/hook" else Answer()
    with opened(receiver.url, follow_redirects=True, headers={"authorization": "Bearer abc"}) as publisher:
        assert publisher.publish([event(1), event(2)]) == [Delivered()] * 2
    assert [request.path for request in receiver.requests] == ["/hook", "/there"] * 2
    assert {request.headers["authorization"] for request in receiver.requests} == {"Bearer abc"}
    assert receiver.connections == 1


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirect_that_would_turn_a_post_into_a_get_is_not_followed(receiver: Receiver, status: int) -> None:
    receiver.answer = lambda _: Answer(status, {"Location": "/there"})
    (found,) = published(receiver.url, [event(1)], follow_redirects=True)
    assert isinstance(found, Failed)
    assert len(receiver.requests) == 1


def test_redirects_in_a_circle_end(receiver: Receiver) -> None:
    receiver.answer = lambda _: Answer(307, {"Location": "/hook"})
    (found,) = published(receiver.url, [event(1)], follow_redirects=True)
    assert isinstance(found, Failed)
    assert not found.permanent
    assert len(receiver.requests) == 4


def test_a_redirect_from_https_to_http_is_never_followed(
    receiver: Receiver, authority: trustme.CA, tmp_path: Path
) -> None:
    with Receiver(serving(authority)) as secure:
        secure.answer = lambda _: Answer(307, {"Location": receiver.url})
        settings = {"certificate_authority": file_of(authority, tmp_path), "follow_redirects": True}
        (found,) = published(secure.url, [event(1)], **settings)
    assert isinstance(found, Failed)
    assert receiver.requests == []


@pytest.mark.parametrize("location", ["", "http://", "ftp://localhost/", "http://user:pass@localhost/", "http://[/"])
def test_a_redirect_to_nowhere_fails(receiver: Receiver, location: str) -> None:
    receiver.answer = lambda _: Answer(307, {"Location": location})
    (found,) = published(receiver.url, [event(1)], follow_redirects=True)
    assert isinstance(found, Failed)


def test_a_private_address_gets_nothing_unless_it_is_allowed(authority: trustme.CA, tmp_path: Path) -> None:
    with Receiver(serving(authority, "localhost", "127.0.0.1")) as receiver:
        for host in ("localhost", "127.0.0.1", "2130706433", "0x7f.1"):
            with pytest.raises(UnreachableError, match="set allow_private_addresses"):
                published(
                    f"https://{host}:{receiver.port}/",
                    [event(1)],
                    allow_private_addresses=False,
                    certificate_authority=file_of(authority, tmp_path),
                )
    assert receiver.connections == 0


def test_what_a_name_leads_to_is_judged_at_each_connection(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that leads to the internet while it is looked at, and into the private network from then on."""
    monkeypatch.setattr(webhook_decisions, "is_public", lambda address: address == "127.0.0.1")
    answers = iter(["127.0.0.1", "127.0.0.2"])

    def resolve(_: str, port: int, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with Receiver(serving(authority)) as receiver:
        receiver.answer = lambda _: Answer(headers={"Connection": "close"})
        settings = {"allow_private_addresses": False, "certificate_authority": file_of(authority, tmp_path)}
        with opened(receiver.url, **settings) as publisher:
            assert publisher.publish([event(1)]) == [Delivered()]
            with pytest.raises(UnreachableError, match="set allow_private_addresses"):
                publisher.publish([event(2)])


def test_a_redirect_to_a_private_address_is_not_followed(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_decisions, "is_public", lambda address: address == "127.0.0.1")
    resolve = socket.getaddrinfo

    def two_networks(host: str, port: int, **options: Any) -> list[Any]:
        return list(resolve("127.0.0.2" if host == "inside.example" else "127.0.0.1", port, **options))

    monkeypatch.setattr(socket, "getaddrinfo", two_networks)
    with Receiver(serving(authority, "localhost", "inside.example")) as receiver:
        location = f"https://inside.example:{receiver.port}/"
        receiver.answer = lambda _: Answer(307, {"Location": location})
        settings = {"certificate_authority": file_of(authority, tmp_path), "follow_redirects": True}
        (found,) = published(receiver.url, [event(1)], allow_private_addresses=False, **settings)
    assert isinstance(found, Failed)
    assert "set allow_private_addresses" in found.reason
    assert len(receiver.requests) == 1


# -- settings ---------------------------------------------------------------------------------------------------------


def refused(**settings: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        publishers.open_publisher("hook", "webhook", settings)
    return str(caught.value)


def test_unknown_settings_are_refused_with_the_nearest_known_name_all_at_once() -> None:
    message = refused(ulr="https://example.com", secret=SECRETS, mode="structure")
    assert 'no setting "ulr" (did you mean "url"?)' in message
    assert 'no setting "secret" (did you mean "secrets"?)' in message
    assert 'lacks the setting "url"' in message
    assert "mode" in message


def test_contradictions_are_reported_all_at_once_and_without_secrets() -> None:
    message = refused(
        url="http://example.com/hook?token=s3cr3t",
        secrets=["whsec_s3cr3t"],
        headers={"a b": "s3cr3t", "ce-id": "s3cr3t", "x-fine": "s3cr3t\r\nx: y"},
        timeout=0,
        connections=0,
        batch_size=100_000,
        client_private_key="key.pem",
    )
    for said in (
        "https",
        "whsec_",
        '"a b"',
        '"ce-id"',
        '"x-fine"',
        "timeout",
        "connections",
        "batch_size",
        "client_certificate",
    ):
        assert said in message
    assert "s3cr3t" not in message


@pytest.mark.parametrize(
    "url",
    ["", "example.com", "ftp://example.com", "https://", "https://user:pass@example.com", "https://a:b/", "https://[/"],
)
def test_a_url_that_is_none_is_refused_without_being_quoted(url: str) -> None:
    message = refused(url=url)
    assert "url must" in message
    assert "pass" not in message.replace("password", "")


def test_a_file_of_certificates_that_is_none_is_named_by_its_setting(tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("nothing")
    for path in ("none.pem", "missing.pem"):
        assert "certificate_authority" in refused(url="https://example.com", certificate_authority=str(tmp_path / path))
