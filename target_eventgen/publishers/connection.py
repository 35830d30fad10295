"""A connection for POST requests alone: to allowed addresses only, and bounded in time whatever the other side does.

Theory of operation. Names are resolved here, at each connection, and what was judged is what is connected to: so
neither a name that leads into a private network, now or the next time, nor a redirect there can be made use of. A proxy
resolves names itself; an address that stands in a URL is judged here all the same.

A socket's timeout bounds each of its waits, but not their sum: who answers a byte a second is never silent. So another
thread may `cut` a connection, at any moment of its life. One that was cut is of no more use, and sends nothing more.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any, Final
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from msgspec import Struct
from urllib3.util.ssltransport import SSLTransport

from target_eventgen.publishers import webhook_decisions
from target_eventgen.publishers.proxy import NoTunnelError, Proxy

MAX_BODY_BYTES: Final = 65_536
"""Bytes of an answer that are read, so that its connection can be used again; they are ignored."""


class Origin(Struct, frozen=True):
    """The scheme, host and port that a connection leads to."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


class CutError(Exception):
    """The request took too long and was given up from another thread."""


class ConnectError(Exception):
    """No connection was made, so nothing was sent."""


MAX_HEAD_BYTES: Final = 65_536
"""Bytes of an answer's head, at most."""

NOT_PUBLIC: Final = "leads to an address that is not one of the internet; set allow_private_addresses if it is meant to"


class Answer(HTTPResponse):
    """An answer whose head is read as lines. The library reads an e-mail, which costs as much as all else."""

    headers: Any
    """Headers by their names in lower case; of one that came twice, the last."""

    def begin(self) -> None:
        """Read the head.

        Raises:
            HTTPException: what came is not a head, or is too long.
        """
        status = 100
        while status == 100:
            version, status, reason = self._read_status()  # type: ignore[attr-defined]  # the stubs leave it out
            headers = self._read_headers()
        if not version.startswith(("HTTP/1.", "HTTP/0.9")):
            raise HTTPException("the answer is of another protocol")
        self.code = self.status = status
        self.reason = reason.strip()
        self.version = 10 if version in {"HTTP/1.0", "HTTP/0.9"} else 11
        self.headers = headers
        self.chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        self.chunk_left = None
        length = headers.get("content-length", "")
        self.length = int(length) if length.isascii() and length.isdigit() and not self.chunked else None
        if status in {204, 304} or 100 <= status < 200:
            self.length = 0
        connection = headers.get("connection", "" if self.version == 11 else "close").lower()
        self.will_close = "close" in connection or not (self.chunked or self.length is not None)

    def _read_headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        left = MAX_HEAD_BYTES
        while (line := self.fp.readline(left + 1)) not in {b"\r\n", b"\n", b""}:
            left -= len(line)
            if left < 0:
                raise HTTPException("the head is too long")
            name, colon, value = line.decode("iso-8859-1").partition(":")
            if colon:
                headers[name.strip().lower()] = value.strip()
        return headers


class Connection(HTTPConnection):
    """A connection that is made to allowed addresses only, and that another thread can cut off for ever."""

    response_class = Answer

    def __init__(
        self, origin: Origin, context: ssl.SSLContext | None, *, private: bool, proxy: Proxy | None = None
    ) -> None:
        super().__init__(origin.host, origin.port)
        self.default_port = 443 if origin.scheme == "https" else 80
        self.origin = origin
        self.deadline = 0.0
        self._context = context
        self._private = private
        self._proxy = proxy
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._is_cut = False
        self._outgoing: list[bytes] = []

    def connect(self) -> None:
        """Connect, by TLS where the origin says so.

        Raises:
            ConnectError: nothing answers, or its certificate is not to be trusted, or no address of it is allowed.
            CutError: it took too long.
        """
        opened = self._reached() if self._proxy is None else self._through(self._proxy)
        self.sock = opened if self._context is None else self._secured(opened, self._context, self.host, self.origin)

    def _through(self, proxy: Proxy) -> socket.socket:
        """Return a connection to the proxy, which passes it on to a receiver that has TLS."""
        if not self._private and webhook_decisions.is_private_name(self.host):
            raise ConnectError(f"{self.origin} {NOT_PUBLIC}")
        opened = self._dialed(proxy.host, proxy.port, proxy, private=True)
        if proxy.context is not None:
            opened = self._secured(opened, proxy.context, proxy.host, proxy)
        if self._context is None:
            return opened
        host = f"[{self.host}]" if ":" in self.host else self.host
        try:
            proxy.open_tunnel(opened, f"{host}:{self.port}", self.left)
        except (OSError, NoTunnelError) as error:
            opened.close()
            self._check()
            why = str(error) if isinstance(error, NoTunnelError) else f"{proxy} opened no tunnel ({reason_of(error)})"
            raise ConnectError(f"{self.origin} can't be reached: {why}") from error
        return opened

    def _secured(self, plain: socket.socket, context: ssl.SSLContext, host: str, place: object) -> Any:
        """Return a connection that speaks TLS over another one; one over TLS, too, where that is a proxy's."""
        opened: socket.socket = plain
        try:
            if isinstance(plain, ssl.SSLSocket):
                return SSLTransport(plain, context, server_hostname=host)
            opened = secure = context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
            self._hold(secure)
            secure.settimeout(self.left())
            secure.do_handshake()
        except (OSError, ValueError) as error:
            opened.close()
            self._check()
            raise ConnectError(f"{place}: TLS fails ({reason_of(error)})") from error
        return secure

    def _reached(self) -> socket.socket:
        return self._dialed(self.host, self.port, self.origin, private=self._private)

    def _dialed(self, host: str, port: int, place: object, *, private: bool) -> socket.socket:
        """Return a connection to the first address of a host that answers.

        Args:
            host: the name.
            port: the port.
            place: both, for messages.
            private: whether addresses that are not of the internet are allowed.
        """
        try:
            addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            allowed = [entry for entry in addresses if private or webhook_decisions.is_public(str(entry[4][0]))]
            if not allowed:
                raise ConnectError(f"{place} {NOT_PUBLIC}")
            return self._first(allowed)
        except OSError as error:
            raise ConnectError(f"{place} can't be reached ({reason_of(error)})") from error

    def _first(self, allowed: list[Any]) -> socket.socket:
        for number, (family, kind, protocol, _, address) in enumerate(allowed, start=1):
            plain = socket.socket(family, kind, protocol)
            try:
                self._hold(plain)
                plain.settimeout(self.left())
                plain.connect(address)
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:
                plain.close()
                self._check()
                if number == len(allowed):
                    raise
            else:
                return plain
        raise AssertionError  # the last address either answers or raises

    def left(self) -> float:
        """Return the seconds that the present request may still take; never 0, which sockets read as "don't wait"."""
        return max(0.001, self.deadline - time.monotonic())

    def cut(self) -> None:
        """End it, whatever it waits for; called from another thread."""
        with self._lock:
            self._is_cut = True
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    # That of the plain socket: TLS's own would tamper with what the other thread reads from.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def _hold(self, opened: socket.socket) -> None:
        with self._lock:
            if self._is_cut:
                opened.close()
                raise CutError
            self._socket = opened

    def _check(self) -> None:
        if self._is_cut:
            raise CutError

    def post(self, target: str, headers: Mapping[str, str], body: bytes) -> tuple[int, dict[str, str]]:
        """Send a request and return the answer's status and headers, these by their names in small letters.

        Raises:
            ConnectError: nothing was sent.
            CutError: it took too long.
            OSError: the connection broke, so that nothing is known.
            HTTPException: what came is not an answer, likewise.
        """
        fresh = self.sock is None
        while True:
            try:
                answer = self._ask(target, headers, body)
            except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
                self.close()
                self._check()
                if fresh:
                    raise
                fresh = True  # a receiver may close a connection that waits at any time
            except (OSError, HTTPException):
                self.close()
                self._check()
                raise
            else:
                break
        # An acknowledgement is one, however its body ends.
        with contextlib.suppress(OSError, HTTPException):
            answer.read(MAX_BODY_BYTES + 1)
        if not answer.isclosed():
            self.close()
        return answer.status, dict(answer.headers)

    def send(self, data: Any) -> None:
        """Buffer a part of a request until all of it is there: head and body go in one packet where they fit."""
        self._outgoing.append(data)

    def _ask(self, target: str, headers: Mapping[str, str], body: bytes) -> HTTPResponse:
        if self.sock is None:
            self.connect()
        self._check()
        assert self.sock is not None
        self.sock.settimeout(self.left())
        self._outgoing.clear()
        if self._proxy is not None and self._context is None:  # it is the proxy that reads this request
            target, headers = f"{self.origin}{target}", {**headers, **self._proxy.headers}
        self.request("POST", target, body, dict(headers))
        self.sock.sendall(b"".join(self._outgoing))
        answer = self.getresponse()
        self._check()  # a head that breaks off is taken for a whole one
        return answer


def reason_of(error: Exception) -> str:
    """Return what went wrong on a connection, in words that hold nothing of what went over it."""
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return error.reason or "the handshake broke off"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__


def url_fault(url: str) -> str | None:
    """Return why events can't be posted to a URL, without quoting it."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            return "must look like https://host/path"
        if parts.username is not None or parts.password is not None:
            return "must not hold a user and password; give them as headers: {authorization: …}"
        split_url(parts)
    except ValueError:
        return "must look like https://host/path"
    return None


def joined(url: str, location: str) -> str:
    """Return the URL that a redirect leads to; nothing where it is not a URL."""
    try:
        return urljoin(url, location)
    except ValueError:
        return ""


def split_url(parts: SplitResult) -> tuple[Origin, str]:
    """Return the origin of a URL, and the target of a request there.

    Raises:
        ValueError: its host or port is not valid.
    """
    host = (
        (parts.hostname or "").encode("idna").decode("ascii") if ":" not in (parts.hostname or "") else parts.hostname
    )
    port = parts.port if parts.port is not None else 443 if parts.scheme == "https" else 80
    target = quote(parts.path or "/", safe="/%!$&'()*+,;=:@~-._")
    if parts.query:
        target += "?" + quote(parts.query, safe="/%!$&'()*+,;=:@~-._?[]")
    return Origin(parts.scheme, host or "", port), target
