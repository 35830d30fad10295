"""Is a request from whom it says? Decided on the raw body, with every secret, in constant time.

A signature is compared with what each secret makes of the request, all of them, whichever fits: a request takes as long
with a good signature as with a bad one. Only an authentic request is answered that it is stale.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct
from typing_extensions import assert_never

from tap_restextract.config.webhooks import (
    Ed25519,
    GitHub,
    Hmac,
    Shopify,
    Signature,
    Signing,
    Slack,
    StandardWebhooks,
    Stripe,
    Token,
)
from tap_restextract.values.paths import Missing, find, find_list

MAX_SIGNATURES: Final = 32  # in one header: each costs a comparison
MAX_TOKENS: Final = 10_000  # in one body
MAX_TIMESTAMP_DIGITS: Final = 20
MIN_MILLISECONDS: Final = 10**11  # as seconds, the year 5138
MAX_PARAMS: Final = 100
STANDARD_PREFIX: Final = "whsec_"
PUBLIC_PREFIX: Final = "whpk_"
PUBLIC_KEY_BYTES: Final = 32
_NAMES: Final = re.compile(r"\{(timestamp|id|url|method|body)\}")

Headers = Mapping[str, str]


class Refusal(Exception):  # noqa: N818  a decision, not a fault
    """Why a request is not accepted: a word for counters, and the status to answer."""

    def __init__(self, reason: str, status: int) -> None:
        self.reason = reason
        self.status = status
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Key:
    """What a configured secret is: the key of an HMAC, a token, or an Ed25519 public key."""

    material: bytes = field(repr=False)
    is_public: bool = False


class Request(Struct, frozen=True):
    """What is known of a request before its body is read.

    Attributes:
        headers: by lower-case name.
        method: such as POST.
        address: the path and the query, as they came.
    """

    headers: Headers
    method: str = "POST"
    address: str = ""

    @property
    def params(self) -> Mapping[str, str]:
        """The parameters of the address, decoded; none where there are more than any sender has."""
        try:
            return dict(parse_qsl(self.address.partition("?")[2], keep_blank_values=True, max_num_fields=MAX_PARAMS))
        except ValueError:
            return {}


def keys_of(signature: Signature, secrets: Iterable[str]) -> tuple[Key, ...]:
    """Return the keys that the configured secrets are.

    Raises:
        ValueError: where one isn't written as the scheme has it; without its text.
    """
    return tuple(_key(signature, secret) for secret in secrets if secret)


def _key(signature: Signature, secret: str) -> Key:
    encoding = signature.secret_encoding if isinstance(signature, (Hmac, Ed25519)) else "text"
    is_public = isinstance(signature, Ed25519)
    if isinstance(signature, StandardWebhooks):
        is_public = secret.startswith(PUBLIC_PREFIX)
        secret, encoding = secret.removeprefix(PUBLIC_PREFIX if is_public else STANDARD_PREFIX), "base64"
    try:
        if encoding == "base64":
            key = b64decode(secret + "=" * (-len(secret) % 4), validate=True)
        else:
            key = bytes.fromhex(secret) if encoding == "hex" else secret.encode()
    except (binascii.Error, ValueError):
        raise ValueError(f"a secret isn't {encoding}") from None
    if not key:
        raise ValueError("a secret is empty")
    if is_public and len(key) != PUBLIC_KEY_BYTES:
        raise ValueError(f"a secret isn't an Ed25519 public key of {PUBLIC_KEY_BYTES} bytes")
    return Key(key, is_public)


def verify(signature: Signature, keys: Sequence[Key], request: Request, body: bytes, now: float) -> None:
    """Accept a request that one of the keys signed, and that is fresh where its time is signed.

    Args:
        signature: the scheme.
        keys: of which any may have signed.
        request: its headers, method and address.
        body: as it came.
        now: this clock, in seconds since 1970.

    Raises:
        Refusal: 401, with `unsigned`, `forged` or `stale`.
    """
    headers = request.headers
    moment: str | None = None
    algorithm = "sha256"
    public: list[bytes] = []
    match signature:
        case StandardWebhooks():
            prefix = "webhook" if "webhook-signature" in headers else "svix"
            name, moment = _required(headers, f"{prefix}-id"), _required(headers, f"{prefix}-timestamp")
            parts = _required(headers, f"{prefix}-signature").split()
            given = _of_version(parts, "v1,", base64=True)
            public = _of_version(parts, "v1a,", base64=True)
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
        case Hmac() | Ed25519():
            moment = _required(headers, signature.timestamp_header.lower()) if signature.timestamp_header else None
            given = public = _of_version(
                [_required(headers, signature.header.lower())], signature.prefix, base64=signature.encoding == "base64"
            )
            algorithm = signature.algorithm if isinstance(signature, Hmac) else algorithm
            text = _signed_text(signature, request, moment or "", body)
        case Token():
            _check_tokens(signature, keys, request, body)
            return
        case _:
            assert_never(signature)
    made = [hmac.new(key.material, text, getattr(hashlib, algorithm)).digest() for key in keys if not key.is_public]
    # Every pair is compared, so that the time says nothing of which fits.
    fits = sum([hmac.compare_digest(ours, theirs) for ours in made for theirs in given])
    fits += sum([_is_signed(key.material, text, theirs) for key in keys if key.is_public for theirs in public])
    if not fits:
        raise Refusal("forged", 401)
    if moment is not None and not isinstance(signature, (GitHub, Shopify)):
        _check_time(moment, signature.tolerance, now)


def _signed_text(signature: Signing, request: Request, moment: str, body: bytes) -> bytes:
    """Return what was signed, by the text that the configuration has for it."""
    values = {
        "timestamp": moment.encode(),
        "id": _required(request.headers, signature.id_header.lower()).encode() if signature.id_header else b"",
        "url": ((signature.url or "") + request.address).encode(),
        "method": request.method.encode(),
        "body": body,
    }
    return b"".join(
        values[part] if index % 2 else part.encode() for index, part in enumerate(_NAMES.split(signature.signed))
    )


def _is_signed(public_key: bytes, text: bytes, signature: bytes) -> bool:
    """Return whether an Ed25519 signature (RFC 8032) is of this text, by the owner of this key."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  an extra
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415  likewise

    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, text)
    except InvalidSignature:
        return False
    return True


def _check_tokens(signature: Token, keys: Sequence[Key], request: Request, body: bytes) -> None:
    """Accept a request all of whose tokens are among the keys."""
    if signature.header is not None:
        tokens = [_required(request.headers, signature.header.lower())]
    elif signature.param is not None:
        tokens = [_required(request.params, signature.param)]
    else:
        tokens = _tokens_in(body, signature.path or "")
    fits = [sum([hmac.compare_digest(key.material, token.encode()) for key in keys]) for token in tokens]
    if not all(fits):
        raise Refusal("forged", 401)


def _tokens_in(body: bytes, path: str) -> list[str]:
    try:
        value = msgspec.json.decode(body)
        found = find_list(path, value) if "[" in path else [find(path, value)]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ArithmeticError):
        raise Refusal("unsigned", 401) from None
    tokens = [] if isinstance(found, Missing) else found
    if not tokens or len(tokens) > MAX_TOKENS or not all(isinstance(token, str) for token in tokens):
        raise Refusal("unsigned", 401)
    return tokens


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
    seconds = int(moment) if int(moment) < MIN_MILLISECONDS else int(moment) / 1000
    if abs(now - seconds) > tolerance:
        raise Refusal("stale", 401)
