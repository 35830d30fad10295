"""TCP proxies on loopback, which a test lets cut, refuse, hold, lose and slow what passes.

`Proxy` is before any server; what a client sends reaches the server at once, all that is done is done to the answers.
`PostgresProxy` loses the answer to a COMMIT, `ForwardProxy` is an HTTP client's proxy, `tls.TlsProxy` ends TLS.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from typing_extensions import Self

from tests.support.ports import free_port

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from types import TracebackType

_COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"


class Proxy:
    """Listens on a loopback port of its own, and passes bytes on to `target`, a port, and back."""

    def __init__(self, target: int = 0, host: str = "127.0.0.1") -> None:
        """Take the server's port and host; the port may be set later."""
        self.target = target
        self.host = host
        self.port = free_port()
        self.delay = 0.0
        """Seconds that each piece of an answer takes."""
        self._released = threading.Event()  # answers pass
        self._released.set()
        self._ended = threading.Event()
        self._lost: threading.Event | None = None
        self._passing = 0  # answers before the one that is to be lost
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self.up()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self.release()
        self.down()

    def cut(self) -> None:
        """Close every connection at both ends."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            close(*pair)

    def down(self) -> None:
        """Refuse new connections, and cut the others."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def up(self) -> None:
        """Listen, at the same port each time."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._listen, args=(self._listener,), daemon=True).start()

    def hold(self) -> None:
        """Let connections stand, and no answer come back, until `release`."""
        self._released.clear()

    def release(self) -> None:
        """Let held answers come, late, where their connection still stands."""
        self._released.set()

    def lose(self, passing: int = 0) -> threading.Event:
        """Throw away an answer, and close the connection that it was for.

        Args:
            passing: how many pieces of answers pass before it.

        Returns:
            an event that is set once that has happened.
        """
        self._passing = passing
        self._lost = threading.Event()
        return self._lost

    def connect(self, client: socket.socket) -> tuple[socket.socket, socket.socket]:
        """Return the client's connection as it is to be read, and one to the server; an OSError refuses the client."""
        server = socket.create_connection((self.host, self.target), 5)
        server.settimeout(None)
        return client, server

    def see(self, client: socket.socket, data: bytes) -> None:
        """Look at what a client sends, before the server gets it."""

    def passes(self, client: socket.socket) -> bool:  # noqa: ARG002  a descendant asks whose answer it is
        """Return whether a piece of an answer is passed on to a client, whose connection is closed otherwise."""
        if (lost := self._lost) is not None:
            self._passing -= 1
            if self._passing < 0:
                self._lost = None
                lost.set()
                return False
        if self.delay:
            self._ended.wait(self.delay)
        self._released.wait()
        return True

    def _listen(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                accepted, _ = listener.accept()
                try:
                    client, server = self.connect(accepted)
                except OSError:
                    accepted.close()
                    continue
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._pairs.append((client, server))
                for pump in (self._requests, self._answers):
                    threading.Thread(target=pump, args=(client, server), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                self.see(client, data)
                server.sendall(data)
        close(client, server)

    def _answers(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while (data := server.recv(65536)) and self.passes(client):
                client.sendall(data)
        close(client, server)


class PostgresProxy(Proxy):
    """Before a database; `url` is the database's through the proxy, `lost` the number of answers that were withheld."""

    def __init__(self, database: str) -> None:
        """Take the database's URL."""
        parts = urlsplit(database)
        assert parts.port is not None
        self.when_lost: Callable[[], None] = lambda: None
        """Called when an answer is withheld, before both ends are closed."""
        self.lost = 0
        self._commits_left: int | None = None
        self._withheld: set[socket.socket] = set()
        super().__init__(parts.port, parts.hostname or "127.0.0.1")
        place = parts.netloc.rpartition("@")[0]
        self.url = parts._replace(netloc=f"{place}@127.0.0.1:{self.port}".removeprefix("@")).geturl()

    def lose_commit(self, number: int) -> None:
        """Withhold the answer to the number-th COMMIT from now on, which the server gets."""
        self._commits_left = number

    def see(self, client: socket.socket, data: bytes) -> None:
        if self._commits_left is not None and data.endswith(_COMMIT):
            self._commits_left -= 1
            if self._commits_left == 0:
                self._commits_left = None
                self._withheld.add(client)

    def passes(self, client: socket.socket) -> bool:
        if client in self._withheld:
            self.lost += 1
            self.when_lost()
            return False
        return super().passes(client)


class ForwardProxy(Proxy):
    """Goes where each client asks: whole addresses for http, tunnels for https; `asked` remembers both."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        """Take what clients are spoken TLS with."""
        self.asked: list[tuple[str, str, str | None]] = []
        """(method, address, credentials) of each request."""
        self.refusal: bytes | None = None
        """The answer to a client that gets no tunnel; None: each gets one."""
        self._context = context
        super().__init__()

    @property
    def url(self) -> str:
        """The proxy's address, with a user and a password."""
        return f"{'http' if self._context is None else 'https'}://me:s3cret@127.0.0.1:{self.port}"

    def connect(self, client: socket.socket) -> tuple[socket.socket, socket.socket]:
        if self._context is not None:
            client = self._context.wrap_socket(client, server_side=True)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            if not (byte := client.recv(1)):
                raise ConnectionError
            head += byte
        first, *lines = head.decode().splitlines()
        method, address, protocol = first.split()
        fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        self.asked.append((method, address, fields.get("proxy-authorization")))
        if self.refusal is not None:
            client.sendall(self.refusal)
            client.close()
            raise ConnectionError
        parts = urlsplit(f"//{address}" if method == "CONNECT" else address)
        server = socket.create_connection((parts.hostname or "", parts.port or 80), 5)
        server.settimeout(None)
        if method == "CONNECT":
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        else:  # one request a connection, so that each is remembered
            kept = [line for line in lines if line and not line.lower().startswith(("proxy-", "connection:"))]
            origin = f"{parts.path}?{parts.query}".removesuffix("?")
            asked = [f"{method} {origin} {protocol}", "Connection: close", *kept, "", ""]
            server.sendall("\r\n".join(asked).encode())
        return client, server


def close(*ends: socket.socket) -> None:
    """Close connections, whatever waits for them."""
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
