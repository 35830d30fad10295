"""An SSH server of the test's own on loopback, which leads to a Postgres whatever name a client asks for."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

import asyncssh
from typing_extensions import Self

from tests.support.ports import free_port

if TYPE_CHECKING:
    from types import TracebackType

USER = "bastion"


class SshServer:
    """Lets one user in by a key, and leads to `target`, a port of loopback; `asked` has the places that clients named.

    Attributes:
        asked: (host, port) of each connection that went through.
        sessions: how many SSH connections were made.
    """

    def __init__(self, target: int, *, password: str | None = None) -> None:
        """Listen.

        Args:
            target: the port that all connections are led to.
            password: of the user's private key.
        """
        asyncssh.set_log_level(logging.CRITICAL)
        self.target = target
        self.port = free_port()
        self.asked: list[tuple[str, int]] = []
        self.sessions = 0
        self.refuses = False
        self.host_keys = [asyncssh.generate_private_key(kind) for kind in ("ssh-ed25519", "ecdsa-sha2-nistp256")]
        user_key = asyncssh.generate_private_key("ssh-ed25519")
        self.private_key = user_key.export_private_key("openssh", passphrase=password).decode()
        self._authorized = asyncssh.import_authorized_keys(user_key.export_public_key().decode())
        self._connections: list[asyncssh.SSHServerConnection] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.up()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def public_key(self) -> str:
        """The server's first public key, as a line of `ssh-keyscan`."""
        return f"bastion.internal {self.host_keys[0].export_public_key().decode().strip()}"

    def known_hosts(self, key: int = 0) -> str:
        """A file's content that has one of the server's keys."""
        return f"[127.0.0.1]:{self.port} {self.host_keys[key].export_public_key().decode()}"

    def settings(self, **changed: Any) -> dict[str, Any]:
        """The target's settings below `ssh_tunnel`."""
        given = {
            "enable": True,
            "host": "127.0.0.1",
            "port": self.port,
            "username": USER,
            "private_key": self.private_key,
            "host_key": self.public_key,
            **changed,
        }
        return {name: value for name, value in given.items() if value is not None}

    def up(self) -> None:
        """Listen, at the same port each time."""

        async def listen() -> asyncssh.SSHAcceptor:
            return await asyncssh.listen(
                "127.0.0.1",
                self.port,
                server_host_keys=self.host_keys,
                authorized_client_keys=self._authorized,
                server_factory=lambda: _Connection(self),
            )

        self._server = self._run(listen())

    def down(self) -> None:
        """Refuse new connections, and cut the others."""

        async def close() -> None:
            self._server.close()

        self._run(close())
        self.cut()

    def cut(self) -> None:
        """End every SSH connection, without a word."""

        async def cut() -> None:
            connections, self._connections = self._connections, []
            for connection in connections:
                connection.abort()

        self._run(cut())

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def _add(self, connection: asyncssh.SSHServerConnection) -> None:
        self.sessions += 1
        self._connections.append(connection)


class _Connection(asyncssh.SSHServer):
    def __init__(self, server: SshServer) -> None:
        self._server = server

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._server._add(conn)

    def begin_auth(self, username: str) -> bool:  # noqa: ARG002  asyncssh's form
        return True

    async def connection_requested(self, dest_host: str, dest_port: int, *_: Any) -> Any:
        self._server.asked.append((dest_host, dest_port))
        if self._server.refuses:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "not allowed here")
        return await self._connection.forward_connection("127.0.0.1", self._server.target)
