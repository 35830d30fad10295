"""Handshakes: what a sender is answered that asks, before it sends anything, whether it may.

A challenge is given back to whoever asks, so it is given back only where no browser could take it for more than a text:
letters, digits and a few signs, as plain text or in JSON. The same signs can't make a body that a source would send, so
that an HMAC of a challenge signs nothing else.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from tap_restextract.config.webhooks import Handshake, Slack
from tap_restextract.values.paths import find
from tap_restextract.webhooks.signatures import Key, Refusal, Request

MAX_CHALLENGE_CHARACTERS: Final = 512
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9 ._~:+/@,;-]+={0,2}")
SLACKS: Final = Handshake(method="POST", path="challenge")


class Reply(Struct, frozen=True):
    """What is answered, with status 200.

    Attributes:
        body: text or JSON.
        headers: beside the usual ones.
        is_json: whether the body is JSON.
    """

    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    is_json: bool = False


def reply_to_address(handshake: Handshake, request: Request, token: str, keys: Sequence[Key]) -> Reply | None:
    """Return what a request is answered whose challenge lies in its address or headers; None where it is none.

    Args:
        handshake: how the sender asks.
        request: its headers, method and address.
        token: what its `token_param` must hold.
        keys: the source's, by the first of which the challenge is signed.

    Raises:
        Refusal: 401 where it has another token; 422 where its challenge is no challenge.
    """
    if request.method != handshake.method or handshake.path is not None:
        return None
    params = request.params
    challenge: Any = ""
    if handshake.param is not None:
        challenge = params.get(handshake.param)
    elif handshake.header is not None:
        challenge = request.headers.get(handshake.header.lower())
    if challenge is None and handshake.method == "POST":
        return None  # a notification
    if handshake.token_param is not None:
        given = params.get(handshake.token_param, "")
        if not token or not hmac.compare_digest(given.encode(), token.encode()):
            raise Refusal("forged" if given else "unsigned", 401)
    if handshake.param is None and handshake.header is None:
        return Reply()
    return _reply(handshake, challenge, keys)


def reply_to_body(handshake: Handshake, value: Any, keys: Sequence[Key]) -> Reply | None:
    """Return what a signed request is answered whose body holds a challenge; None where it is a notification.

    Raises:
        Refusal: 422 where the challenge is no challenge.
    """
    if handshake.path is None:
        return None
    challenge = find(handshake.path, value)
    return _reply(handshake, challenge, keys) if isinstance(challenge, str) else None


def slacks_reply(signature: Any, value: Any) -> Reply | None:
    """Return what Slack wants to read back, once, of a signed request that says so."""
    if isinstance(signature, Slack) and isinstance(value, dict) and value.get("type") == "url_verification":
        return reply_to_body(SLACKS, value, ())
    return None


def _reply(handshake: Handshake, challenge: Any, keys: Sequence[Key]) -> Reply:
    if not is_harmless(challenge):
        raise Refusal("unreadable", 422)
    if handshake.answer_header is not None:
        return Reply(headers=((handshake.answer_header.lower(), challenge),))
    answer: dict[str, str] = {}
    if handshake.answer_key is not None:
        answer[handshake.answer_key] = challenge
    if handshake.hmac_key is not None and keys:
        digest = hmac.new(keys[0].material, challenge.encode(), "sha256").digest()
        written = digest.hex() if handshake.hmac_encoding == "hex" else b64encode(digest).decode()
        answer[handshake.hmac_key] = handshake.hmac_prefix + written
    return Reply(msgspec.json.encode(answer), is_json=True) if answer else Reply(challenge.encode())


def is_harmless(challenge: Any) -> bool:
    """Return whether a challenge may be given back to whoever sent it."""
    return (
        isinstance(challenge, str)
        and len(challenge) <= MAX_CHALLENGE_CHARACTERS
        and _CHALLENGE.fullmatch(challenge) is not None
    )
