"""A TCP proxy before a broker, which can be down, cut connections, lose answers, hold them and make them slow."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

from typing_extensions import Self

from tests.support.ports import free_port

if TYPE_CHECKING:
    from types import TracebackType


class Proxy:
    """Listens on a loopback port of its own, and passes bytes on to `target`, a port, and back.

    What a client sends always reaches the broker at once; all that is done to it is done to the answers.
    """

    def __init__(self, target: int = 0) -> None:
        """Take the broker's port; it may be set later."""
        self.target = target
        self.port = free_port()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.delay = 0.0
        """Seconds that each piece of an answer takes."""
        self._open = threading.Event()  # answers pass
        self._open.set()
        self._lost: threading.Event | None = None
        self._passing = 0  # answers before the one that is to be lost
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self.connections = 0
        self._accept()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
        self.down()

    def cut(self) -> None:
        """Close every connection at both ends."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            _close(*pair)

    def down(self) -> None:
        """Refuse new connections, and cut the others."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def up(self) -> None:
        """Listen again, at the same port."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._accept()

    def hold(self) -> None:
        """Let connections stand, and no answer come back, until `release`."""
        self._open.clear()

    def release(self) -> None:
        """Let what was held come, late, where its connection still stands."""
        self._open.set()

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

    def greet(self, client: socket.socket) -> socket.socket | None:
        """The connection as it is to be read, None where it is not to be taken."""
        return client

    def _accept(self) -> None:
        threading.Thread(target=self._listen, args=(self._listener,), daemon=True).start()

    def _listen(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self.greet(listener.accept()[0])
                if client is None:
                    continue
                try:
                    server = socket.create_connection(("127.0.0.1", self.target), 5)
                except OSError:
                    client.close()
                    continue
                server.settimeout(None)
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connections += 1
                self._pairs.append((client, server))
                threading.Thread(target=self._requests, args=(client, server), daemon=True).start()
                threading.Thread(target=self._answers, args=(client, server), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                server.sendall(data)
        _close(client, server)

    def _answers(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if (lost := self._lost) is not None:
                    self._passing -= 1
                    if self._passing < 0:
                        self._lost = None
                        lost.set()
                        break
                if self.delay:
                    time.sleep(self.delay)
                self._open.wait()
                client.sendall(data)
        _close(client, server)


def _close(*ends: socket.socket) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
