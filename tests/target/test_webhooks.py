from __future__ import annotations

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from target_eventgen.publishers import webhook_decisions
from target_eventgen.publishers.protocol import Delivered, Failed

pytestmark = pytest.mark.pure


@given(st.binary(min_size=16, max_size=64), st.text(max_size=200), st.text("0123456789abcdef", min_size=1))
def test_a_signature_is_what_the_standards_own_library_verifies(secret: bytes, body: str, message: str) -> None:
    now = int(time.time())
    headers = {
        "webhook-id": message,
        "webhook-timestamp": str(now),
        "webhook-signature": webhook_decisions.signatures([secret], message, now, body.encode()),
    }
    Webhook(secret).verify(body, headers, json_parse=False)


def test_a_secret_may_be_written_with_its_prefix_or_without_and_unpadded() -> None:
    secret = bytes(range(25))
    written = base64.b64encode(secret).decode()
    assert written.endswith("==")
    for text in (f"whsec_{written}", written, f"whsec_{written.rstrip('=')}", f" {written}\n"):
        assert webhook_decisions.secret_bytes(text) == secret


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_c2hvcnQ=", "whsec_é", "a"])
def test_what_no_receiver_could_verify_with_is_refused_as_a_secret(text: str) -> None:
    assert webhook_decisions.secret_bytes(text) is None


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_acknowledges(status: int) -> None:
    assert webhook_decisions.verdict(status, {}, 0) == Delivered()


@pytest.mark.parametrize("status", [400, 405, 406, 411, 413, 414, 415, 422, 431, 451])
def test_a_refusal_of_the_event_is_for_good(status: int) -> None:
    found = webhook_decisions.verdict(status, {"retry-after": "5"}, 0)
    assert isinstance(found, Failed)
    assert found.permanent
    assert str(status) in found.reason


@pytest.mark.parametrize(
    "status", [301, 302, 303, 307, 308, 401, 403, 404, 407, 408, 409, 421, 423, 425, 429, 500, 502, 503, 504, 599, 103]
)
def test_a_refusal_by_the_endpoint_or_of_the_moment_passes(status: int) -> None:
    found = webhook_decisions.verdict(status, {}, 0)
    assert isinstance(found, Failed)
    assert not found.permanent
    assert str(status) in found.reason


@pytest.mark.parametrize(
    ("status", "headers", "cause"),
    [
        (410, {}, "gone"),
        (429, {}, "busy"),
        (429, {"retry-after": "3"}, "busy"),
        (503, {"retry-after": "3"}, "busy"),
        (503, {}, "away"),
        (502, {"retry-after": "3"}, "away"),
        (504, {}, "away"),
        (522, {}, "away"),
        (401, {}, "away"),
        (404, {}, "away"),
        (408, {}, "away"),
        (307, {}, "away"),
        (409, {}, "event"),
        (425, {}, "event"),
        (500, {"retry-after": "3"}, "event"),
        (400, {"retry-after": "3"}, "event"),
    ],
)
def test_an_answer_is_about_a_busy_receiver_an_absent_one_or_the_event(
    status: int, headers: dict[str, str], cause: str
) -> None:
    found = webhook_decisions.verdict(status, headers, 0)
    assert isinstance(found, Failed)
    assert found.cause == cause


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": " 0 "}, 0.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, 90.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:05 GMT"}, 0.0),
        ({"retry-after": "Fri, 02 Jan 1970 00:01:00 GMT", "date": "Fri, 02 Jan 1970 00:00:00 GMT"}, 60.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT", "date": "yesterday"}, 90.0),
        ({"retry-after": "99999999999999999999999999999999"}, webhook_decisions.MAX_WAIT_SECONDS),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, webhook_decisions.MAX_WAIT_SECONDS),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "1.5"}, None),
        ({"retry-after": "²"}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_as_seconds_and_as_a_date(headers: dict[str, str], seconds: float | None) -> None:
    assert webhook_decisions.wait(headers, 10.0) == seconds
    found = webhook_decisions.verdict(503, headers, 10.0)
    assert isinstance(found, Failed)
    assert found.retry_after == seconds


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "8.8.8.8", "2606:2800:21f::1", "64:ff9b::808:808", "::ffff:8.8.8.8"]
)
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert webhook_decisions.is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.9.10",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a9fe:a9fe",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "not an address",
    ],
)
def test_addresses_of_machines_and_private_networks_are_not(address: str) -> None:
    assert not webhook_decisions.is_public(address)
