"""Each scheme accepts what an implementation that isn't ours signs, and nothing that differs from it in one byte.

Standard Webhooks: its own library. Stripe and Slack: their SDKs. Ed25519: PyNaCl. GitHub: the values that its
documentation gives for testing ("Validating webhook deliveries"). Shopify, whose documentation gives code and no
values, and generic HMACs: OpenSSL.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey
from slack_sdk.signature import SignatureVerifier
from standardwebhooks import Webhook
from stripe import WebhookSignature

from tap_restextract.config.webhooks import (
    Ed25519,
    GitHub,
    Hmac,
    Shopify,
    Signature,
    Slack,
    StandardWebhooks,
    Stripe,
    Token,
)
from tap_restextract.webhooks.signatures import Refusal, Request, keys_of, verify

NOW = 1_767_225_600
BODY = '{"id": 1, "grüße": "ü"}'.encode()
SECRET = "a secret of the tests"
STANDARD = base64.b64encode(b"a secret of the tests").decode()


def openssl(algorithm: str, key: bytes, content: bytes) -> bytes:
    """An HMAC by OpenSSL's command."""
    program = shutil.which("openssl")
    assert program is not None
    command = [program, "dgst", f"-{algorithm}", "-mac", "HMAC", "-macopt", f"hexkey:{key.hex()}", "-binary"]
    return subprocess.run(command, input=content, capture_output=True, check=True).stdout


def standard(body: bytes, at: int) -> dict[str, str]:
    moment = datetime.fromtimestamp(at, tz=timezone.utc)
    signature = Webhook(f"whsec_{STANDARD}").sign("msg_1", moment, body.decode())
    return {"webhook-id": "msg_1", "webhook-timestamp": str(at), "webhook-signature": signature}


def stripe(body: bytes, at: int) -> dict[str, str]:
    made = WebhookSignature._compute_signature(f"{at}.{body.decode()}", SECRET)
    return {"stripe-signature": f"t={at},v1={made},v0=00"}


def slack(body: bytes, at: int) -> dict[str, str]:
    made = SignatureVerifier(SECRET).generate_signature(timestamp=str(at), body=body)
    assert made is not None
    return {"x-slack-request-timestamp": str(at), "x-slack-signature": made}


def github(body: bytes, at: int) -> dict[str, str]:
    del at
    return {"x-hub-signature-256": f"sha256={openssl('sha256', SECRET.encode(), body).hex()}"}


def shopify(body: bytes, at: int) -> dict[str, str]:
    del at
    return {"x-shopify-hmac-sha256": base64.b64encode(openssl("sha256", SECRET.encode(), body)).decode()}


def generic(body: bytes, at: int) -> dict[str, str]:
    made = openssl("sha512", SECRET.encode(), f"v2|{at}|".encode() + body + b"|end")
    return {"x-signature": f"sig={base64.b64encode(made).decode()}", "x-time": str(at)}


GENERIC = Hmac(
    header="X-Signature",
    algorithm="sha512",
    encoding="base64",
    prefix="sig=",
    signed="v2|{timestamp}|{body}|end",
    timestamp_header="X-Time",
)


PRIVATE = SigningKey(b"a private key of just 32 bytes..")
PUBLIC = bytes(PRIVATE.verify_key)


def svix(body: bytes, at: int) -> dict[str, str]:
    return {name.replace("webhook-", "svix-"): value for name, value in standard(body, at).items()}


def asymmetric(body: bytes, at: int) -> dict[str, str]:
    made = PRIVATE.sign(f"msg_1.{at}.".encode() + body).signature
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1a,{base64.b64encode(made).decode()}",
    }


def discord(body: bytes, at: int) -> dict[str, str]:
    return {
        "x-signature-ed25519": PRIVATE.sign(str(at).encode() + body).signature.hex(),
        "x-signature-timestamp": str(at),
    }


def hubspot(body: bytes, at: int) -> dict[str, str]:
    text = b"POSThttps://hooks.example.com/in?of=x" + body + str(at * 1000).encode()
    return {
        "x-hubspot-signature-v3": base64.b64encode(openssl("sha256", SECRET.encode(), text)).decode(),
        "x-hubspot-request-timestamp": str(at * 1000),
    }


HUBSPOT = Hmac(
    header="X-HubSpot-Signature-v3",
    encoding="base64",
    signed="{method}{url}{body}{timestamp}",
    timestamp_header="X-HubSpot-Request-Timestamp",
    url="https://hooks.example.com",
)


def identified(body: bytes, at: int) -> dict[str, str]:
    made = openssl("sha256", SECRET.encode(), f"d1.{at}.".encode() + body).hex()
    return {"x-signature": made, "x-time": str(at), "x-delivery": "d1"}


IDENTIFIED = Hmac(
    header="X-Signature", signed="{id}.{timestamp}.{body}", timestamp_header="X-Time", id_header="X-Delivery"
)


class Scheme(NamedTuple):
    """A scheme, and how another implementation signs by it."""

    signature: Signature
    secret: str
    sign: Callable[[bytes, int], dict[str, str]]


SCHEMES = {
    "standard_webhooks": Scheme(StandardWebhooks(), f"whsec_{STANDARD}", standard),
    "stripe": Scheme(Stripe(), SECRET, stripe),
    "slack": Scheme(Slack(), SECRET, slack),
    "github": Scheme(GitHub(), SECRET, github),
    "shopify": Scheme(Shopify(), SECRET, shopify),
    "hmac": Scheme(GENERIC, SECRET, generic),
    "svix": Scheme(StandardWebhooks(), f"whsec_{STANDARD}", svix),
    "asymmetric": Scheme(StandardWebhooks(), f"whpk_{base64.b64encode(PUBLIC).decode()}", asymmetric),
    "ed25519": Scheme(
        Ed25519(header="X-Signature-Ed25519", signed="{timestamp}{body}", timestamp_header="X-Signature-Timestamp"),
        PUBLIC.hex(),
        discord,
    ),
    "hmac of the address": Scheme(HUBSPOT, SECRET, hubspot),
    "hmac of the id": Scheme(IDENTIFIED, SECRET, identified),
}
TIMED = [name for name, scheme in SCHEMES.items() if hasattr(scheme.signature, "tolerance")]
every = pytest.mark.parametrize("name", SCHEMES)
timed = pytest.mark.parametrize("name", TIMED)


def accepted(name: str, headers: dict[str, str], body: bytes = BODY, *, secrets: Any = None, now: float = NOW) -> str:
    """What became of a request: accepted, or the reason why not."""
    signature, secret, _ = SCHEMES[name]
    try:
        verify(signature, keys_of(signature, secrets or [secret]), Request(headers, address="/in?of=x"), body, now)
    except Refusal as refusal:
        return refusal.reason if refusal.status == 401 else f"{refusal.status}"
    return "accepted"


@every
def test_what_another_implementation_signed_is_accepted(name: str) -> None:
    assert accepted(name, SCHEMES[name].sign(BODY, NOW)) == "accepted"


@every
def test_any_of_several_secrets_may_have_signed(name: str) -> None:
    old, new = ("old", "new")
    if isinstance(SCHEMES[name].signature, StandardWebhooks):
        old, new = "b2xk", "bmV3"
    elif isinstance(SCHEMES[name].signature, Ed25519):
        old, new = "00" * 32, "01" * 32
    secret = SCHEMES[name].secret
    headers = SCHEMES[name].sign(BODY, NOW)
    assert (
        accepted(name, headers, secrets=[new, secret]) == accepted(name, headers, secrets=[secret, new]) == "accepted"
    )
    assert accepted(name, headers, secrets=[new, old]) == "forged"


@every
def test_a_body_that_differs_in_one_byte_is_forged(name: str) -> None:
    headers = SCHEMES[name].sign(BODY, NOW)
    for place in range(len(BODY)):
        changed = BODY[:place] + bytes([BODY[place] ^ 1]) + BODY[place + 1 :]
        assert accepted(name, headers, changed) == "forged"
    assert accepted(name, headers, BODY[:-1]) == accepted(name, headers, BODY + b" ") == "forged"


@every
def test_a_header_that_differs_is_refused(name: str) -> None:
    headers = SCHEMES[name].sign(BODY, NOW)
    for header, value in headers.items():
        assert accepted(name, {**headers, header: ""}) == "unsigned"
        assert accepted(name, {key: held for key, held in headers.items() if key != header}) == "unsigned"
        for place in range(len(value)):
            changed = {**headers, header: value[:place] + chr(ord(value[place]) ^ 1) + value[place + 1 :]}
            ignored = (
                name == "stripe" and place >= value.index("v0=") - 1
            )  # that scheme's older signature isn't looked at
            # The case of a hex digit's letter, and the last bits of a base64 text, may say the same.
            same = changed[header].lower() == value.lower() or value[place + 1 :] in {"=", "=="}
            assert ignored or same or accepted(name, changed) in {"forged", "unsigned", "stale"}, changed


@timed
def test_only_what_is_fresh_is_accepted_by_either_clock(name: str) -> None:
    headers = SCHEMES[name].sign(BODY, NOW)
    assert accepted(name, headers, now=NOW + 300) == accepted(name, headers, now=NOW - 300) == "accepted"
    assert accepted(name, headers, now=NOW + 301) == accepted(name, headers, now=NOW - 301) == "stale"


@timed
def test_a_forged_request_is_never_reported_as_stale(name: str) -> None:
    headers = SCHEMES[name].sign(BODY, NOW)
    assert accepted(name, headers, BODY + b" ", now=NOW + 10_000) == "forged"


@pytest.mark.parametrize("moment", ["", "1e9", "-1", "0x10", "١٧٦٧٢٢٥٦٠٠", "9" * 21, "1767225600.0", " 1767225600"])
def test_a_time_that_is_not_a_number_of_seconds_is_forged_even_if_signed(moment: str) -> None:
    made = SignatureVerifier(SECRET).generate_signature(timestamp=moment or "0", body=BODY)
    assert made is not None
    headers = {"x-slack-request-timestamp": moment, "x-slack-signature": made}
    assert accepted("slack", headers) in {"forged", "unsigned"}


def test_githubs_documented_values_are_accepted() -> None:
    body, secret = b"Hello, World!", "It's a Secret to Everybody"
    header = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert accepted("github", {"x-hub-signature-256": header}, body, secrets=[secret]) == "accepted"


def test_of_several_signatures_any_may_fit_and_those_of_unknown_versions_are_none() -> None:
    headers = standard(BODY, NOW)
    good = headers["webhook-signature"]
    other = Webhook(base64.b64encode(b"another").decode()).sign(
        "msg_1", datetime.fromtimestamp(NOW, tz=timezone.utc), ""
    )
    assert accepted("standard_webhooks", {**headers, "webhook-signature": f"{other} v1a,abc {good}"}) == "accepted"
    assert accepted("standard_webhooks", {**headers, "webhook-signature": good.replace("v1,", "v2,")}) == "forged"
    assert accepted("standard_webhooks", {**headers, "webhook-signature": f"{other} " * 200}) == "forged"


@pytest.mark.parametrize("secret", ["not base64!", "whsec_", "whsec_=", ""])
def test_a_secret_that_is_none_is_a_fault_or_nothing_and_is_never_shown(secret: str) -> None:
    if not secret:
        assert keys_of(StandardWebhooks(), [secret]) == ()
        return
    with pytest.raises(ValueError, match="a secret is") as caught:
        keys_of(StandardWebhooks(), [secret])
    assert "base64!" not in str(caught.value)


def test_a_source_without_any_key_accepts_nothing() -> None:
    with pytest.raises(Refusal):
        verify(GitHub(), [], Request(github(BODY, NOW)), BODY, NOW)


def test_secrets_may_be_written_in_hex() -> None:
    signature = Hmac(header="x", secret_encoding="hex")
    headers = {"x": openssl("sha256", b"\x00\xff", BODY).hex()}
    verify(signature, keys_of(signature, ["00ff"]), Request(headers), BODY, NOW)


@settings(max_examples=300, deadline=None)
@given(
    headers=st.dictionaries(
        st.sampled_from(
            sorted(
                {
                    *standard(BODY, NOW),
                    *stripe(BODY, NOW),
                    *github(BODY, NOW),
                    *shopify(BODY, NOW),
                    *slack(BODY, NOW),
                    *generic(BODY, NOW),
                    *svix(BODY, NOW),
                    *discord(BODY, NOW),
                    *hubspot(BODY, NOW),
                }
            )
        ),
        st.text(),
    ),
    body=st.binary(),
)
def test_whatever_a_stranger_sends_is_refused_and_nothing_else_happens(headers: dict[str, str], body: bytes) -> None:
    for name in SCHEMES:
        assert accepted(name, headers, body) in {"forged", "unsigned"}


def test_an_hmac_of_the_address_fits_no_other_address_and_no_other_method() -> None:
    headers = hubspot(BODY, NOW)
    keys = keys_of(HUBSPOT, [SECRET])
    verify(HUBSPOT, keys, Request(headers, address="/in?of=x"), BODY, NOW)
    for other in (Request(headers, address="/in?of=y"), Request(headers, "PUT", "/in?of=x"), Request(headers)):
        with pytest.raises(Refusal, match="forged"):
            verify(HUBSPOT, keys, other, BODY, NOW)


TOKENS = {
    "header": (Token(header="X-Gitlab-Token"), Request({"x-gitlab-token": SECRET}), b"{}"),
    "parameter": (Token(param="key"), Request({}, address="/in?key=a%20secret+of%20the%20tests"), b"{}"),
    "body": (Token(path="clientState"), Request({}), json.dumps({"clientState": SECRET}).encode()),
    "bodies": (
        Token(path="value[*].clientState"),
        Request({}),
        json.dumps({"value": [{"clientState": SECRET}, {"clientState": SECRET}]}).encode(),
    ),
}


@pytest.mark.parametrize("place", TOKENS)
def test_a_token_is_taken_from_its_place_and_each_must_be_a_secret(place: str) -> None:
    signature, request, body = TOKENS[place]
    verify(signature, keys_of(signature, ["old", SECRET]), request, body, NOW)
    with pytest.raises(Refusal, match="forged"):
        verify(signature, keys_of(signature, ["old", "another"]), request, body, NOW)
    with pytest.raises(Refusal, match="unsigned"):
        verify(signature, keys_of(signature, [SECRET]), Request({}), b'{"value": []}', NOW)
    one_of_two = body.replace(b"a secret", b"no secret", 1)
    if body != one_of_two:
        with pytest.raises(Refusal, match="forged"):
            verify(signature, keys_of(signature, [SECRET]), request, one_of_two, NOW)


@pytest.mark.parametrize(
    "body", [b"", b"[" * 5000, b'{"clientState": 1e99999999999999999999}', b'{"clientState": null}']
)
def test_a_body_without_a_token_is_unsigned_whatever_it_is(body: bytes) -> None:
    with pytest.raises(Refusal, match="unsigned"):
        verify(Token(path="clientState"), keys_of(Token(path="clientState"), [SECRET]), Request({}), body, NOW)


@pytest.mark.parametrize("secret", ["00ff", "zz", base64.b64encode(PUBLIC).decode()])
def test_a_public_key_that_is_none_is_a_fault(secret: str) -> None:
    with pytest.raises(ValueError, match="a secret isn't"):
        keys_of(Ed25519(header="x"), [secret])


def test_a_key_never_shows_what_it_is() -> None:
    (key,) = keys_of(GitHub(), [SECRET])
    assert SECRET not in repr(key)


@pytest.mark.parametrize("signed", ["{timestamp}", "{body}{body}", "{other}{body}", "", "{body"])
def test_a_signed_text_needs_the_body_once_and_nothing_unknown(signed: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"type": "hmac", "header": "x", "signed": signed}, Hmac)
