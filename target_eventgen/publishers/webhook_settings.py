"""The settings of a webhook."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

from target_eventgen.publishers import payload, proxy, webhook_decisions
from target_eventgen.publishers.connection import url_fault
from target_eventgen.publishers.protocol import Secret

RESERVED: Final = re.compile(
    "webhook-.*|ce-.*|host|content-.*|transfer-encoding|connection|expect|upgrade|te|trailer", re.IGNORECASE
)
"""Headers that are not for a configuration to set."""

MAX_EVENTS: Final = 1000
"""In one batch."""

MAX_TIMEOUT_SECONDS: Final = 120.0
"""Seconds that a request may take."""

MAX_CONNECTIONS: Final = 256


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A webhook's settings.

    Attributes:
        url: where events go. It is not shown, since many hold a token.
        secrets: `whsec_…`, of which each signs; none: events are not signed.
        mode: structured (the whole event as JSON, all of it signed), binary (its data as the body, its attributes as
            headers, which are not signed but for the id) or batch (many events in a JSON array).
        headers: further ones, such as authorization. They are secrets.
        timeout: seconds that a request may take, from the look-up of the name to the end of the answer's head.
        connections: requests under way at once, at most; those of one key never are.
        batch_size: events in a request of the mode batch.
        certificate_authority: file of the certificates that the receiver's is verified with, instead of the system's.
        client_certificate: file of a certificate to show, its private key in the same file or in the next.
        client_private_key: file of that key.
        proxy: `http://user:password@host:port`, or https, through which requests go; None: none.
        payload: the JSON that is sent instead of the event (`target_eventgen.publishers.payload`).
        follow_redirects: whether a 307 or 308 is followed, up to three; never from https to http.
        allow_private_addresses: whether the receiver may be on this machine or in a private network, and without TLS.
    """

    url: Secret
    secrets: list[Secret] = []
    mode: Literal["structured", "binary", "batch"] = "structured"
    headers: dict[str, Secret] = {}
    timeout: float = 15.0
    connections: int = 8
    batch_size: int = 100
    certificate_authority: str | None = None
    client_certificate: str | None = None
    client_private_key: str | None = None
    proxy: Secret | None = None
    payload: Any = None
    follow_redirects: bool = False
    allow_private_addresses: bool = False

    def __post_init__(self) -> None:
        """Refuse what can't be meant, all of it at once."""
        if faults := list(self._faults()):
            raise ValueError("; ".join(faults))

    def _faults(self) -> Iterator[str]:
        if (fault := url_fault(self.url.value)) is not None:
            yield f"url {fault}"
        elif self.url.value.lower().startswith("http:") and not self.allow_private_addresses:
            yield "url begins with http, so that everybody on the way could read the events; use https, or, within a private network, set allow_private_addresses"
        if any(webhook_decisions.secret_bytes(secret.value) is None for secret in self.secrets):
            yield f"secrets must be {webhook_decisions.PREFIX} and at least {webhook_decisions.MIN_SECRET_BYTES} bytes in base64"
        for name, value in self.headers.items():
            if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) or re.search(r"[^\t -~]", value.value):
                yield f'headers: "{name[:40]}" is not a header name, or its value has characters that headers can not have'
            elif RESERVED.fullmatch(name):
                yield f'headers: "{name}" is not to be set'
        if not 0 < self.timeout <= MAX_TIMEOUT_SECONDS:
            yield f"timeout must be greater than 0 and at most {MAX_TIMEOUT_SECONDS:g} seconds"
        if not 1 <= self.connections <= MAX_CONNECTIONS:
            yield f"connections must be from 1 to {MAX_CONNECTIONS}"
        if not 1 <= self.batch_size <= MAX_EVENTS:
            yield f"batch_size must be from 1 to {MAX_EVENTS}"
        if self.client_private_key and not self.client_certificate:
            yield "client_private_key needs a client_certificate"
        if self.proxy is not None and (fault := proxy.fault(self.proxy.value)) is not None:
            yield f"proxy {fault}"
        yield from payload.faults("payload", self.payload)
