"""Is a request from whom it says? Decided on the raw body, with every secret, in constant time.

A signature is compared with what each secret makes of the request, all of them, whichever fits: a request takes as long
with a good signature as with a bad one. Only an authentic request is answered that it is stale.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence

from typing_extensions import assert_never

from tap_restextract.config.webhooks import GitHub, Hmac, Shopify, Signature, Slack, StandardWebhooks, Stripe

MAX_SIGNATURES = 32  # in one header: each costs a comparison
MAX_TIMESTAMP_DIGITS = 20
STANDARD_PREFIX = "whsec_"

Headers = Mapping[str, str]


class Refusal(Exception):  # noqa: N818  a decision, not a fault
    """Why a request is not accepted: a word for counters, and the status to answer."""

    def __init__(self, reason: str, status: int) -> None:
        self.reason = reason
        self.status = status
        super().__init__(reason)


def keys_of(signature: Signature, secrets: Iterable[str]) -> tuple[bytes, ...]:
    """Return the HMAC keys that the configured secrets are.

    Raises:
        ValueError: where one isn't written as the scheme has it; without its text.
    """
    return tuple(_key(signature, secret) for secret in secrets if secret)


def _key(signature: Signature, secret: str) -> bytes:
    encoding = signature.secret_encoding if isinstance(signature, Hmac) else "text"
    if isinstance(signature, StandardWebhooks):
        secret, encoding = secret.removeprefix(STANDARD_PREFIX), "base64"
    try:
        if encoding == "base64":
            key = b64decode(secret + "=" * (-len(secret) % 4), validate=True)
        else:
            key = bytes.fromhex(secret) if encoding == "hex" else secret.encode()
    except (binascii.Error, ValueError):
        raise ValueError(f"a secret isn't {encoding}") from None
    if not key:
        raise ValueError("a secret is empty")
    return key


def verify(signature: Signature, keys: Sequence[bytes], headers: Headers, body: bytes, now: float) -> None:
    """Accept a request that one of the keys signed, and that is fresh where its time is signed.

    Args:
        signature: the scheme.
        keys: of which any may have signed.
        headers: by lower-case name.
        body: as it came.
        now: this clock, in seconds since 1970.

    Raises:
        Refusal: 401, with `unsigned`, `forged` or `stale`.
    """
    moment: str | None = None
    algorithm = "sha256"
    match signature:
        case StandardWebhooks():
            name, moment = _required(headers, "webhook-id"), _required(headers, "webhook-timestamp")
            given = _of_version(_required(headers, "webhook-signature").split(), "v1,", base64=True)
            text = f"{name}.{moment}.".encode() + body
        case Stripe():
            parts = [part.strip() for part in _required(headers, "stripe-signature").split(",")]
            moment = next((part[2:] for part in parts if part.startswith("t=")), "")
            given = _of_version(parts, "v1=")
            text = f"{moment}.".encode() + body
        case GitHub():
            given = _of_version([_required(headers, "x-hub-signature-256")], "sha256=")
            text = body
        case Shopify():
            given = _of_version([_required(headers, "x-shopify-hmac-sha256")], "", base64=True)
            text = body
        case Slack():
            moment = _required(headers, "x-slack-request-timestamp")
            given = _of_version([_required(headers, "x-slack-signature")], "v0=")
            text = f"v0:{moment}:".encode() + body
        case Hmac():
            algorithm = signature.algorithm
            if signature.timestamp_header:
                moment = _required(headers, signature.timestamp_header.lower())
            given = _of_version(
                [_required(headers, signature.header.lower())], signature.prefix, base64=signature.encoding == "base64"
            )
            before, after = signature.signed.replace("{timestamp}", moment or "").split("{body}")
            text = before.encode() + body + after.encode()
        case _:
            assert_never(signature)
    made = [hmac.new(key, text, getattr(hashlib, algorithm)).digest() for key in keys]
    # Every pair is compared, so that the time says nothing of which fits.
    if not sum([hmac.compare_digest(ours, theirs) for ours in made for theirs in given]):
        raise Refusal("forged", 401)
    if moment is not None and not isinstance(signature, (GitHub, Shopify)):
        _check_time(moment, signature.tolerance, now)


def _required(headers: Headers, name: str) -> str:
    value = headers.get(name, "")
    if not value:
        raise Refusal("unsigned", 401)
    return value


def _of_version(signatures: Sequence[str], prefix: str, *, base64: bool = False) -> list[bytes]:
    """Return the signatures of this version, decoded; what can't be decoded fits nothing."""
    encoded = [text.removeprefix(prefix) for text in signatures[:MAX_SIGNATURES] if text.startswith(prefix)]
    return [_decoded(text, base64=base64) for text in encoded]


def _decoded(text: str, *, base64: bool) -> bytes:
    try:
        return b64decode(text, validate=True) if base64 else bytes.fromhex(text)
    except (binascii.Error, ValueError):
        return b""


def _check_time(moment: str, tolerance: float, now: float) -> None:
    if not (moment.isascii() and moment.isdigit() and len(moment) <= MAX_TIMESTAMP_DIGITS):
        raise Refusal("forged", 401)
    if abs(now - int(moment)) > tolerance:
        raise Refusal("stale", 401)
