"""The HTTP proxy of a webhook: where it is, what it is told, and how it opens a tunnel to a receiver with TLS.

A proxy resolves names itself and connects to what it finds; so which addresses are allowed is its own rule's to say.
"""

from __future__ import annotations

import base64
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket

MAX_HEAD_BYTES: Final = 65_536
"""Bytes of a proxy's answer to CONNECT, at most."""

SCHEMES: Final = {"http": 80, "https": 443}
"""Those of a proxy's address, with the port of each."""


class NoTunnelError(Exception):
    """The proxy opened no tunnel; the text says why, in words that hold no credentials."""


@dataclass(frozen=True)
class Proxy:
    """A proxy.

    Attributes:
        scheme: http or https, of the way to the proxy itself.
        host: its name or address.
        port: its port.
        authorization: what it is shown; None: nothing.
        context: how its certificate is verified; None: there is none.
    """

    scheme: str
    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)
    context: ssl.SSLContext | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        return f"the proxy {self.scheme}://{self.host}:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        """What goes to the proxy with each request that it is to see."""
        return {} if self.authorization is None else {"proxy-authorization": self.authorization}

    def open_tunnel(self, opened: socket, authority: str, left: Callable[[], float]) -> None:
        """Have the proxy connect to a receiver.

        Args:
            opened: a connection to the proxy.
            authority: the receiver's host and port.
            left: returns the seconds that it may still take.

        Raises:
            NoTunnelError: the proxy refuses, or its answer is none.
            OSError: the connection broke, or took too long.
        """
        lines = [f"CONNECT {authority} HTTP/1.1", f"host: {authority}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        opened.settimeout(left())
        opened.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
        head = b""
        # Byte by byte, since what follows the head is the receiver's.
        while not head.endswith((b"\r\n\r\n", b"\n\n")):
            opened.settimeout(left())
            if not (byte := opened.recv(1)) or len(head) >= MAX_HEAD_BYTES:
                raise NoTunnelError(f"{self} gave no answer to CONNECT")
            head += byte
        status = head.split(b"\r\n", 1)[0].split(b" ")[1:2]
        if not status or not status[0].isdigit():
            raise NoTunnelError(f"{self} gave no answer to CONNECT")
        if not status[0].startswith(b"2"):
            wanted = ", since it wants other credentials" if status == [b"407"] else ""
            raise NoTunnelError(f"{self} opened no tunnel: it answered {status[0].decode()[:3]}{wanted}")


def proxy_of(url: str, certificate_authority: str | None) -> Proxy:
    """Return the proxy of an address in which `fault` has found nothing.

    Args:
        url: `http://user:password@host:port`, or https; user and password are percent-encoded.
        certificate_authority: file of certificates that its own may be verified with, beside the system's.

    Raises:
        OSError: the file can't be read, or holds no certificate.
    """
    parts = urlsplit(url)
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = f"Basic {base64.b64encode(pair.encode()).decode('ascii')}"
    context = None
    if parts.scheme == "https":
        context = ssl.create_default_context()
        if certificate_authority:
            context.load_verify_locations(certificate_authority)
    return Proxy(
        parts.scheme,
        parts.hostname or "",
        SCHEMES[parts.scheme] if parts.port is None else parts.port,
        authorization,
        context,
    )


def fault(url: str) -> str | None:
    """Return why an address can't be a proxy's, without quoting it."""
    wrong = "must look like http://host:3128 or http://user:password@host:3128, or https"
    try:
        parts = urlsplit(url)
        right = parts.scheme in SCHEMES and parts.hostname and parts.port != 0 and parts.path in {"", "/"}
        right = right and url.isascii() and not (parts.query or parts.fragment)
    except ValueError:
        return wrong
    return None if right else wrong
