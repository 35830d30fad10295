"""What the receiver refuses is not stored, not reflected and not logged; what it can't store it says so."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.ports import free_port
from tests.support.processes import TAP, environment, tap, written
from tests.support.queries import execute, rows
from tests.support.receiving import SECRET, Serving, configuration, event, posted, receiving, signed
from tests.support.waiting import wait_until

MARK = "a-value-that-nobody-may-read"
BODY = json.dumps(event(1, 5, status=MARK)).encode()


@pytest.fixture
def receiver(tmp_path: Path, database: str) -> Iterator[Serving]:
    config = configuration(database, {"rate_limit": "1000/s"})
    config["webhooks"] |= {"max_body_bytes": 2000, "body_timeout": 1}
    with receiving(tmp_path, config) as serving:
        yield serving


def stored(database: str) -> int:
    return int(rows(database, "select count(*) from tap_restextract.webhooks")[0]["count"])


def counted(receiver: Serving) -> dict[str, float]:
    """Requests by what became of them."""
    lines = [line for line in receiver.looked("/metrics").body.splitlines() if "requests_total{" in line]
    return {line.split('outcome="')[1].split('"')[0]: float(line.rpartition(" ")[2]) for line in lines}


def sent(receiver: Serving, content: bytes, *, then: str = "close") -> bytes:
    """Bytes as they are, to a connection that is closed behind them, or read to its end."""
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=20) as connection:
        connection.sendall(content)
        if then == "close":
            return b""
        chunks = []
        while chunk := connection.recv(65536):
            chunks.append(chunk)
        return b"".join(chunks)


def head(headers: dict[str, str], length: str) -> bytes:
    lines = [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(["POST /billing HTTP/1.1", "Host: x", *lines, length, "", ""]).encode()


def refused() -> dict[str, tuple[bytes, dict[str, str], int, str]]:
    """Signed now: a signature that was made when the tests were collected may be stale."""
    return {
        "without a signature": (BODY, {"Content-Type": "application/json"}, 401, "unsigned"),
        "signed by another key": (BODY, signed(BODY, key=b"another key of just as many bytes."), 401, "forged"),
        "with another body": (BODY.replace(b"5", b"6"), signed(BODY), 401, "forged"),
        "with the signature of another id": (BODY, {**signed(BODY), "webhook-id": "msg_2"}, 401, "forged"),
        "with a newer time than was signed": (
            BODY,
            {**signed(BODY, age=900), "webhook-timestamp": str(int(time.time()))},
            401,
            "forged",
        ),
        "captured long ago": (BODY, signed(BODY, age=900), 401, "stale"),
        "from the future": (BODY, signed(BODY, age=-900), 401, "stale"),
        "cut short, and signed as it is": (BODY[:-1], signed(BODY[:-1]), 400, "malformed"),
        "with a body that isn't text": (b"\xff{}", signed(b"{}"), 401, "forged"),
        "that is no object": (b"[1]", signed(b"[1]"), 422, "unreadable"),
        "without a record": (b'{"type": "thing.updated"}', signed(b'{"type": "thing.updated"}'), 422, "unreadable"),
        "deeper than any parser goes": (b"[" * 1900, signed(b"[" * 1900), 400, "malformed"),
        "larger than is allowed": (BODY + b" " * 2000, signed(BODY + b" " * 2000), 413, "too_large"),
    }


def test_what_is_not_as_agreed_is_refused_and_nothing_of_it_stored_shown_or_logged(
    receiver: Serving, database: str
) -> None:
    requests = refused()
    answers = {what: posted(receiver.url + "/billing", *requests[what][:2]) for what in requests}
    assert {what: answer.status for what, answer in answers.items()} == {
        what: held[2] for what, held in requests.items()
    }
    assert counted(receiver) == dict(Counter(reason for *_, reason in requests.values()))
    assert stored(database) == 0
    assert receiver.stop() == 0
    said = receiver.log.read_text() + str(answers)
    assert "billing forged 5" in said
    assert MARK not in said
    assert SECRET not in said
    sensitive = [value for _, headers, *_ in requests.values() for name, value in headers.items() if "webhook-" in name]
    assert not [value for value in sensitive if value in said]


def test_a_body_that_does_not_come_whole_is_not_waited_for_and_not_stored(receiver: Serving, database: str) -> None:
    whole = head(signed(BODY), f"Content-Length: {len(BODY)}")
    sent(receiver, whole + BODY[:-10])
    wait_until(lambda: counted(receiver) == {"truncated": 1.0}, what="a counted request")
    assert sent(receiver, whole + BODY[:-10], then="read").startswith(b"HTTP/1.1 408 ")
    chunk = b"400\r\n" + b"x" * 1024 + b"\r\n"
    said = sent(receiver, head(signed(BODY), "Transfer-Encoding: chunked") + chunk * 3, then="read")
    assert said.startswith(b"HTTP/1.1 413 ")
    assert counted(receiver) == {"truncated": 1.0, "too_slow": 1.0, "too_large": 1.0}
    assert stored(database) == 0


def test_a_request_that_comes_again_is_answered_and_stored_once(receiver: Serving, database: str) -> None:
    headers = signed(BODY, "msg_1")
    assert [posted(receiver.url + "/billing", BODY, headers).status for _ in range(3)] == [200, 200, 200]
    assert posted(receiver.url + "/billing", BODY, signed(BODY, "msg_1", age=60)).status == 200
    assert stored(database) == 1
    assert receiver.post(BODY, "msg_2").status == 200
    assert stored(database) == 2


def test_what_concerns_no_stream_is_answered_and_no_other_path_or_method_reveals_anything(
    receiver: Serving, database: str
) -> None:
    assert receiver.post(event(1, 1, "invoice.paid")).status == 200
    assert (counted(receiver), stored(database)) == ({"ignored": 1.0}, 0)
    assert receiver.looked("/billing").status == 405
    elsewhere = receiver.post(BODY, path=f"/{MARK}")
    assert elsewhere.status == 404
    assert MARK not in elsewhere.body + receiver.log.read_text()


def test_each_address_has_its_rate_and_gets_a_retry_after(tmp_path: Path, database: str) -> None:
    with receiving(tmp_path, configuration(database, {"rate_limit": "2/s"})) as receiver:
        answers = [receiver.post(event(key, key)) for key in range(2)]
        for key in range(2, 500):  # a busy machine may send two a second for a while
            answers.append(receiver.post(event(key, key)))
            if answers[-1].status == 429:
                break
        statuses = [answer.status for answer in answers]
        assert statuses == [200] * (len(statuses) - 1) + [429]
        assert answers[-1].headers["retry-after"] == "1"
        assert stored(database) == statuses.count(200)
        time.sleep(1.1)
        assert receiver.post(event(0, 9)).status == 200


def test_a_full_queue_is_reported_until_there_is_room(tmp_path: Path, database: str) -> None:
    config = configuration(database)
    config["webhooks"]["max_queued"] = 3
    with receiving(tmp_path, config) as receiver:
        for key in range(3):
            assert receiver.post(event(key, key)).status == 200
        wait_until(lambda: receiver.looked("/ready").status == 503, what="a full queue")
        refused = receiver.post(event(9, 9))
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert stored(database) == 3
        states = tap(tmp_path, config).states
        tap(tmp_path, config, state=states[-1])
        wait_until(lambda: receiver.looked("/ready").status == 200, what="room")
        assert receiver.post(event(9, 9)).status == 200


def test_a_queue_that_fails_is_reported_and_one_that_is_back_is_used(receiver: Serving, database: str) -> None:
    name = urlsplit(database).path[1:]
    server = urlsplit(database)._replace(path="/postgres").geturl()
    assert receiver.post(event(1, 1)).status == 200
    execute(server, f"alter database {name} allow_connections false")
    execute(server, f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'")
    assert receiver.post(event(2, 2)).status == 503
    assert receiver.looked("/health").status == 200
    wait_until(lambda: receiver.looked("/ready").status == 503, what="a receiver that isn't ready")
    execute(server, f"alter database {name} allow_connections true")
    wait_until(lambda: receiver.looked("/ready").status == 200, what="a receiver that is ready again")
    assert receiver.post(event(2, 2)).status == 200
    assert stored(database) == 2
    assert str(urlsplit(database).password) not in receiver.log.read_text()


def test_requests_in_flight_are_answered_before_the_receiver_ends(tmp_path: Path, database: str) -> None:
    config = configuration(database)
    config["webhooks"]["body_timeout"] = 60
    headers = head({**signed(BODY), "Expect": "100-continue"}, f"Content-Length: {len(BODY)}")
    with (
        receiving(tmp_path, config) as receiver,
        socket.create_connection(("127.0.0.1", receiver.port), timeout=60) as connection,
    ):
        connection.sendall(headers)
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")  # so it is in flight
        connection.sendall(BODY[:-10])
        receiver.process.terminate()
        wait_until(lambda: receiver.looked("/health").status == 0, what="a receiver that takes no more requests")
        connection.sendall(BODY[-10:])
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert receiver.process.wait(60) == 0
        assert stored(database) == 1
        assert "billing stored 1" in receiver.log.read_text()


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "no secret": ({"webhook_secrets": {}}, "it has no secret; set webhook_secrets"),
    "a secret that isn't one": (
        {"webhook_secrets": {"billing": "whsec_?"}},
        "webhook_secrets.billing: a secret isn't base64",
    ),
    "a secret of nobody": (
        {"webhook_secrets": {"billing": SECRET, "biling": "x"}},
        "no source 'biling'; did you mean 'billing'?",
    ),
    "a queue of no kind": ({"webhook_queue": "amqp://127.0.0.1"}, "config.webhook_queue: amqp is not a queue"),
    "a queue that isn't there": (
        {"webhook_queue": f"postgresql://u:{MARK}@127.0.0.1:{free_port()}/x"},
        "can't be opened",
    ),
    "no webhooks": ({"webhooks": None, "webhook_secrets": {}}, "no source sends notifications of it"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_configuration_that_can_not_be_served_is_one_message(what: str, tmp_path: Path, database: str) -> None:
    changed, told = FAULTS[what]
    config = {key: value for key, value in {**configuration(database), **changed}.items() if value is not None}
    command: list[str | Path] = [
        TAP,
        "webhooks",
        "serve",
        "--config",
        written(tmp_path, "c.json", config),
        "--port",
        "0",
    ]
    done = subprocess.run(
        command, env=environment(), cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert told in done.stderr
    assert MARK not in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("tap-restextract: ")]) == 1, done.stderr
    assert "Traceback" not in done.stderr


def test_slack_gets_its_challenge_back_if_it_is_signed_and_harmless(tmp_path: Path, database: str) -> None:
    from slack_sdk.signature import SignatureVerifier  # noqa: PLC0415  for this test alone

    config = configuration(database, {"signature": {"type": "slack"}})
    config["webhook_secrets"] = {"billing": "slack's"}
    with receiving(tmp_path, config) as receiver:
        for word, status, text in (("3eZbrw1aB", 200, "3eZbrw1aB"), ("<script>", 422, "not what was agreed\n")):
            body = json.dumps({"type": "url_verification", "challenge": word}).encode()
            at = str(int(time.time()))
            made = SignatureVerifier("slack's").generate_signature(timestamp=at, body=body)
            headers = {"X-Slack-Request-Timestamp": at, "X-Slack-Signature": str(made)}
            answer = posted(receiver.url + "/billing", body, headers)
            assert (answer.status, answer.body) == (status, text)
            assert posted(receiver.url + "/billing", body, {**headers, "X-Slack-Signature": "v0=00"}).status == 401
