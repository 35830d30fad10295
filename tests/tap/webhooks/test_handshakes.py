"""How senders ask whether they may send, as their documentation has it, and what nobody is answered."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from tap_restextract.config.reading import read_settings
from tap_restextract.config.webhooks import GitHub, Handshake, Token
from tap_restextract.errors import ConfigurationError
from tap_restextract.webhooks.handshakes import Reply, reply_to_address, reply_to_body
from tap_restextract.webhooks.signatures import Refusal, Request, keys_of
from tests.support.processes import tap
from tests.support.receiving import SECRET, configuration, event, receiving, requested, signed

KEYS = keys_of(GitHub(), ["secret", "older"])


def digest(text: str) -> bytes:
    return hmac.new(b"secret", text.encode(), hashlib.sha256).digest()


class Asked(NamedTuple):
    """A handshake, a request, and what its sender waits for."""

    handshake: Handshake
    request: Request
    reply: Reply


META = Handshake(param="hub.challenge", token_param="hub.verify_token")
ASKED = {
    "Meta": Asked(
        META,
        Request({}, "GET", "/in?hub.mode=subscribe&hub.verify_token=to%20ken&hub.challenge=1158201444"),
        Reply(b"1158201444"),
    ),
    "Strava": Asked(
        Handshake(param="hub.challenge", token_param="hub.verify_token", answer_key="hub.challenge"),
        Request({}, "GET", "/in?hub.verify_token=to%20ken&hub.challenge=15f7d1a91c1f40f8a748fd134752feb3"),
        Reply(b'{"hub.challenge":"15f7d1a91c1f40f8a748fd134752feb3"}', is_json=True),
    ),
    "Dropbox": Asked(Handshake(param="challenge"), Request({}, "GET", "/in?challenge=abc-_9"), Reply(b"abc-_9")),
    "Microsoft Graph": Asked(
        Handshake(method="POST", param="validationToken"),
        Request({}, "POST", "/in?validationToken=Validation%3a+Testing+client+application+reachability"),
        Reply(b"Validation: Testing client application reachability"),
    ),
    "Trello": Asked(Handshake(method="HEAD"), Request({}, "HEAD", "/in"), Reply()),
    "CloudEvents": Asked(
        Handshake(method="OPTIONS", header="WebHook-Request-Origin", answer_header="WebHook-Allowed-Origin"),
        Request({"webhook-request-origin": "eventemitter.example.com"}, "OPTIONS", "/in"),
        Reply(headers=(("webhook-allowed-origin", "eventemitter.example.com"),)),
    ),
    "Okta": Asked(
        Handshake(header="X-Okta-Verification-Challenge", answer_key="verification"),
        Request({"x-okta-verification-challenge": "abc"}, "GET", "/in"),
        Reply(b'{"verification":"abc"}', is_json=True),
    ),
    "X": Asked(
        Handshake(param="crc_token", hmac_key="response_token", hmac_encoding="base64", hmac_prefix="sha256="),
        Request({}, "GET", "/in?crc_token=abc&nonce=1"),
        Reply(
            json.dumps(
                {"response_token": f"sha256={base64.b64encode(digest('abc')).decode()}"}, separators=(",", ":")
            ).encode(),
            is_json=True,
        ),
    ),
}


@pytest.mark.parametrize("sender", ASKED)
def test_who_asks_as_documented_is_answered_as_documented(sender: str) -> None:
    handshake, request, reply = ASKED[sender]
    assert reply_to_address(handshake, request, "to ken", KEYS) == reply


def test_a_signed_body_with_a_challenge_is_answered_and_one_without_is_a_notification() -> None:
    handshake = Handshake(method="POST", path="payload.plainToken", answer_key="plainToken", hmac_key="encryptedToken")
    value = {"event": "endpoint.url_validation", "payload": {"plainToken": "qgg8vlvZRS6UYooatFL8Aw"}}
    reply = reply_to_body(handshake, value, KEYS)
    assert reply is not None
    assert json.loads(reply.body) == {
        "plainToken": "qgg8vlvZRS6UYooatFL8Aw",
        "encryptedToken": digest("qgg8vlvZRS6UYooatFL8Aw").hex(),
    }
    assert reply_to_body(handshake, {"event": "meeting.started", "payload": {}}, KEYS) is None


@pytest.mark.parametrize("token", ["", "to", "to ken ", "TO KEN"])
def test_a_wrong_token_is_not_answered(token: str) -> None:
    address = f"/in?hub.verify_token={quote(token)}&hub.challenge=1"
    for configured in ("to ken", ""):
        with pytest.raises(Refusal) as caught:
            reply_to_address(META, Request({}, "GET", address), configured, KEYS)
        assert caught.value.status == 401


@pytest.mark.parametrize("challenge", ["<b>", "a\nb", "{}", "a=b", "", "x" * 513, "grün", '"'])
def test_what_is_more_than_a_plain_word_is_not_given_back(challenge: str) -> None:
    with pytest.raises(Refusal) as caught:
        reply_to_address(Handshake(param="c"), Request({}, "GET", f"/in?c={quote(challenge)}"), "", KEYS)
    assert caught.value.status == 422


def test_a_post_without_a_challenge_is_a_notification() -> None:
    assert reply_to_address(Handshake(method="POST", param="c"), Request({}, "POST", "/in?d=1"), "", KEYS) is None


def test_handshakes_are_answered_and_notifications_come_in_beside_them(tmp_path: Path, database: str) -> None:
    config = configuration(database, {"handshake": {"method": "GET", "param": "challenge", "token_param": "t"}})
    config["webhook_tokens"] = {"billing": "a token of the test"}
    with receiving(tmp_path, config) as receiver:
        url = f"{receiver.url}/billing"
        asked = requested(f"{url}?challenge=abc&t=a%20token%20of%20the%20test", "GET")
        assert (asked.status, asked.body, asked.headers["x-content-type-options"]) == (200, "abc", "nosniff")
        assert requested(f"{url}?challenge=abc&t=another", "GET").status == 401
        assert requested(f"{url}?challenge=abc", "PUT").status == 405
        assert requested(f"{receiver.url}/nobody/", "GET").status == 404
        body = json.dumps(event(1, 5)).encode()
        assert requested(f"{url}/", "POST", body, signed(body)).status == 200  # a slash is no other address
        headers = {
            f"svix-{name[8:]}" if name.startswith("webhook-") else name: value for name, value in signed(body).items()
        }
        assert requested(url, "POST", body, headers).status == 200
        assert receiver.stop() == 0
        said = receiver.log.read_text()
        assert "billing challenge 1, billing forged 1, billing method 1, billing stored 2" in said
        assert "a token of the test" not in said
        assert SECRET not in said
    assert [record["id"] for record in tap(tmp_path, config).records] == [1, 1]


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "two places": ({"handshake": {"param": "a", "header": "b"}}, "leave out all of param, header but one"),
    "an answer to nothing": ({"handshake": {"answer_key": "a"}}, "answer_key gives a challenge back, and nothing says where it lies"),
    "a path in no body": ({"handshake": {"path": "a"}}, "set method: POST, or param"),
    "a plain POST": ({"handshake": {"method": "POST"}}, "a POST without a challenge looks like any notification"),
    "no token": ({"handshake": {"param": "a", "token_param": "t"}}, "set webhook_tokens: {billing: …}"),
    "an HMAC by a token": (
        {"signature": {"type": "token", "header": "x"}, "handshake": {"param": "a", "hmac_key": "h"}},
        "hmac_key answers with an HMAC by the secret of an HMAC",
    ),
    "a token nowhere": ({"signature": {"type": "token"}}, "set one of header, param and path"),
    "an unknown id": ({"signature": {"type": "hmac", "header": "x", "signed": "{id}{body}"}}, "set id_header"),
    "an unknown address": ({"signature": {"type": "hmac", "header": "x", "signed": "{url}{body}"}}, "set url"),
    "an unknown time": ({"signature": {"type": "hmac", "header": "x", "signed": "{timestamp}{body}"}}, "set timestamp_header"),
}  # fmt: skip


@pytest.mark.parametrize("what", FAULTS)
def test_a_handshake_or_signature_that_lacks_something_is_a_fault_that_says_what(what: str) -> None:
    changed, said = FAULTS[what]
    with pytest.raises(ConfigurationError) as caught:
        read_settings(configuration("", changed))
    assert said in str(caught.value)


def test_a_token_is_one_of_the_secrets() -> None:
    assert keys_of(Token(header="x"), ["a"])[0].material == b"a"
