"""A TCP proxy before Postgres, which can lose the answer to a COMMIT, cut connections, and be down."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from typing_extensions import Self

from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"


class Proxy:
    """Listens on a loopback port of its own; `url` is the database's through it."""

    def __init__(self, database: str, when_lost: Callable[[], None] | None = None) -> None:
        """Take what is to be done when an answer is withheld, before both ends are closed."""
        parts = urlsplit(database)
        assert parts.port is not None
        self._server = (parts.hostname or "127.0.0.1", parts.port)
        self.when_lost = when_lost
        self._commits_left: int | None = None
        self._open: list[socket.socket] = []
        self._port = port = free_port()
        self._listener = socket.create_server(("127.0.0.1", port))
        self.lost = 0
        place = parts.netloc.rpartition("@")[0]
        self.url = parts._replace(netloc=f"{place}@127.0.0.1:{port}" if place else f"127.0.0.1:{port}").geturl()
        self._accept()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    def lose_commit(self, number: int) -> None:
        """Withhold the answer to the number-th COMMIT from now on, which the server gets."""
        self._commits_left = number

    def cut(self) -> None:
        """Close every connection at both ends."""
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._open.clear()

    def down(self) -> None:
        """Refuse new connections, and cut the others."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def up(self) -> None:
        """Listen again, at the same port."""
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._accept()

    def _accept(self) -> None:
        listener = self._listener

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    try:
                        server = socket.create_connection(self._server)
                    except OSError:
                        client.close()
                        continue
                    for end in (client, server):
                        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._open += [client, server]
                    withheld = threading.Event()
                    for pump in (self._upwards, self._downwards):
                        threading.Thread(target=pump, args=(client, server, withheld), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()

    def _upwards(self, client: socket.socket, server: socket.socket, withheld: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if self._commits_left is not None and data.endswith(_COMMIT):
                    self._commits_left -= 1
                    if self._commits_left == 0:
                        self._commits_left = None
                        withheld.set()
                server.sendall(data)
        self._close(client, server)

    def _downwards(self, client: socket.socket, server: socket.socket, withheld: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if withheld.is_set():
                    self.lost += 1
                    if self.when_lost is not None:
                        self.when_lost()
                    break
                client.sendall(data)
        self._close(client, server)

    @staticmethod
    def _close(*ends: socket.socket) -> None:
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
