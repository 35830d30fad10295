"""Webhooks whose body is the receiver's own JSON."""

from __future__ import annotations

import base64
import json
from contextlib import closing
from typing import Any

import pytest
from standardwebhooks import Webhook

from target_eventgen import publishers
from target_eventgen.errors import SettingsError
from target_eventgen.publishers.protocol import Delivered
from tests.support.messages import event
from tests.support.receiver import Answer, Receiver

pytestmark = pytest.mark.in_process

SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()
PAYLOAD = {
    "text": "Thing {data.new.id} is now {data.new.number}",
    "number": "{data.new.number}",
    "who": "{data.new.who|?}",
}


def opened(url: str, **settings: Any) -> Any:
    given = {"url": url, "allow_private_addresses": True, "timeout": 5.0, "payload": PAYLOAD, "secrets": [SECRET]}
    return closing(publishers.open_publisher("hook", "webhook", given | settings))


def expected(number: int) -> dict[str, Any]:
    return {"text": f"Thing 412 is now {number}", "number": number, "who": "?"}


@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_the_payload_is_the_body_is_json_and_is_what_the_signature_covers(receiver: Receiver, mode: str) -> None:
    with opened(receiver.url, mode=mode) as publisher:
        assert publisher.publish([event(7)]) == [Delivered()]
    (request,) = receiver.requests
    assert json.loads(request.body) == expected(7)
    assert request.headers["content-type"] == "application/json"
    assert request.id == "id-7"
    assert request.headers.get("ce-id") == ("id-7" if mode == "binary" else None)
    Webhook(SECRET).verify(request.body, dict(request.headers))


def test_a_batch_is_an_array_of_payloads(receiver: Receiver) -> None:
    with opened(receiver.url, mode="batch") as publisher:
        publisher.publish([event(1), event(2)])
    (request,) = receiver.requests
    assert json.loads(request.body) == [expected(1), expected(2)]
    assert request.headers["content-type"] == "application/json"
    Webhook(SECRET).verify(request.body, dict(request.headers))


def test_a_refused_payload_is_found_in_its_batch(receiver: Receiver) -> None:
    receiver.answer = lambda request: Answer(422 if b"now 2" in request.body else 200)
    with opened(receiver.url, mode="batch") as publisher:
        outcomes = publisher.publish([event(1, "a"), event(2, "b"), event(3, "c")])
    assert [outcome == Delivered() for outcome in outcomes] == [True, False, True]


def test_a_payload_that_no_event_could_have_is_refused_at_the_start() -> None:
    with pytest.raises(SettingsError, match=r'"hook": payload.text has \{datum.new.id\}'):
        publishers.open_publisher("hook", "webhook", {"url": "https://h", "payload": {"text": "{datum.new.id}"}})
