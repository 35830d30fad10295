"""What is decided about a webhook: how it is signed, what an answer to it means, to which addresses it may go.

Signatures are those of Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`, one a secret, so that a receiver may
change from one secret to the next without a gap.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from typing import Final

from target_eventgen.publishers.protocol import Delivered, Failed, Outcome

PREFIX: Final = "whsec_"
"""Begins a secret as it is written down; its bytes follow in base64."""

MIN_SECRET_BYTES: Final = 16
"""Bytes. Standard Webhooks recommends 24 and more; a shorter secret is refused."""

MAX_WAIT_SECONDS: Final = 86_400.0
"""Seconds: a receiver that asks for more is asked again after a day."""

PASSING: Final = frozenset({401, 403, 404, 407, 408, 409, 421, 423, 425, 429})
"""Refusals for a reason of the endpoint or of the moment (a deployment, a secret's change), not of the event.

Any other 4xx is for good: the event will be refused whenever it comes.
"""

AWAY: Final = frozenset({401, 403, 404, 407, 408, 421, *range(300, 400), 502, 503, 504, *range(520, 528), 530})
"""Answers that say nothing of the event: the endpoint is not in its place, or what is in front of it answers for it.

From 520 on they are those of proxies. What else is not for good (409, 423, 425, 500) may be about the event.
"""


def secret_bytes(text: str) -> bytes | None:
    """Return a secret's bytes, None where no receiver could verify with it."""
    try:
        decoded = base64.b64decode(text.strip().removeprefix(PREFIX) + "==", validate=False)
    except (binascii.Error, ValueError):
        return None
    return decoded if len(decoded) >= MIN_SECRET_BYTES else None


def signatures(secrets: Iterable[bytes], message: str, timestamp: int, body: bytes) -> str:
    """Return the header webhook-signature: one signature a secret.

    Args:
        secrets: in the order of the configuration.
        message: the header webhook-id.
        timestamp: of this attempt, in seconds since 1970.
        body: as it is sent.
    """
    signed = f"{message}.{timestamp}.".encode() + body
    return " ".join(
        "v1," + base64.b64encode(hmac.digest(secret, signed, "sha256")).decode("ascii") for secret in secrets
    )


def verdict(status: int, headers: Mapping[str, str], now: float) -> Outcome:
    """Return what an answer means for the event that it answers.

    Args:
        status: of the answer.
        headers: of the answer, by their names in small letters.
        now: seconds since 1970, where the answer doesn't say when it was given.
    """
    if 200 <= status < 300:
        return Delivered()
    if status == 410:
        return Failed("the receiver answered 410: it is gone and wants no more webhooks", cause="gone")
    if 300 <= status < 400:
        reason = f"the receiver answered {status}, a redirect that may not be followed; correct the url"
        return Failed(reason, cause="away")
    reason, later = f"the receiver answered {status}", wait(headers, now)
    if status == 429 or (status == 503 and later is not None):
        return Failed(reason, retry_after=later, cause="busy")
    if 400 <= status < 500 and status not in PASSING:
        return Failed(reason, permanent=True, retry_after=later)
    return Failed(reason, retry_after=later, cause="away" if status in AWAY else "event")


def wait(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that Retry-After asks for, given as a number or as a date; None where it doesn't say.

    A date is compared with the answer's own, since the receiver's clock may differ from ours.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:20]), MAX_WAIT_SECONDS)
    until = _moment(text)
    if until is None:
        return None
    asked = _moment(headers.get("date", ""))
    return min(max(0.0, until - (now if asked is None else asked)), MAX_WAIT_SECONDS)


def _moment(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError, IndexError, TypeError):
        return None


_CARRIERS: Final = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))
"""IPv6 networks whose addresses end with the IPv4 address that they lead to: NAT64, and one long out of use."""

_LOCAL_NAT64: Final = ipaddress.IPv6Network("64:ff9b:1::/48")


def is_public(address: str) -> bool:
    """Return whether an address is one of the internet, rather than of this machine, of a private net or a cloud's own.

    Args:
        address: IPv4 or IPv6, as the resolver gives it; one with a zone is never public.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        carried = parsed.ipv4_mapped or parsed.sixtofour
        if carried is None and any(parsed in network for network in _CARRIERS):
            carried = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        if carried is not None:
            return is_public(str(carried))
        if parsed.teredo is not None or parsed.is_site_local or parsed in _LOCAL_NAT64:
            return False
    return parsed.is_global and not (parsed.is_multicast or parsed.is_reserved or parsed.is_unspecified)


def is_private_name(host: str) -> bool:
    """Return whether a host says of itself, without being resolved, that it is not one of the internet."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host.rstrip(".").lower().rpartition(".")[2] == "localhost"
    return not is_public(host)
