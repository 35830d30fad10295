"""The SSH tunnel that connections to Postgres go through (`ssh_tunnel`), where there is one.

Theory of operation. A database that is behind an SSH server is declared once, by host and port, with the server in
front of it. Every connection of this process to that host and port is then made to a port of this machine's loopback,
where a `Tunnel` listens, and is carried through one SSH connection for all of them. That SSH connection is made when
the first connection to Postgres needs it, by an event loop in a thread of its own, and is asked for a sign of life
every few seconds. Where it ends, what went through it ends: to Postgres's client the connection is lost, and it makes
another one, by the schedule of `store.connection`; whoever connects next makes the SSH connection anew. Nothing else
watches it.

libpq keeps the database's own name and only gets another address (`hostaddr`), so that TLS verifies that name through
the tunnel, too.
"""

from __future__ import annotations

import asyncio
import atexit
import importlib
import logging
import threading
from collections.abc import Awaitable
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar

from psycopg2 import extensions

from target_eventgen.errors import ConnectionLostError, DatabaseError, SettingsError, first_line
from target_eventgen.model.pem import is_pem, pem
from target_eventgen.model.ssh_tunnel import SshTunnel

CONNECT_SECONDS: Final = 15
"""How long the SSH server may take to let the user in."""

KEEPALIVE_SECONDS: Final = 10
"""Seconds of silence after which the SSH server is asked for a sign of life."""

MAX_KEEPALIVES: Final = 3
"""Questions without an answer after which the SSH connection is given up."""

LOOPBACK: Final = "127.0.0.1"

T = TypeVar("T")

logger = logging.getLogger("target-eventgen")


class Tunnel:
    """One SSH connection, made when it is needed, and its ports on this machine."""

    def __init__(self, settings: SshTunnel) -> None:
        """Read the keys; connect to nothing yet.

        Raises:
            SettingsError: the library is not installed, or a key or a file is not what its setting says.
        """
        self.settings = settings
        self._ssh = _library()
        self._key = _private_key(self._ssh, settings)
        self._known = _known_hosts(self._ssh, settings)
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._connection: Any = None
        self._ports: dict[tuple[str, int], int] = {}
        if not settings.verify_host_key:
            logger.warning(
                "ssh_tunnel.verify_host_key is false: whoever answers at %s can read and change all that is loaded",
                settings.location,
            )

    def port(self, host: str, port: int) -> int:
        """Return the port of this machine that leads to a host and port behind the SSH server.

        Raises:
            ConnectionLostError: the SSH server can't be reached.
            DatabaseError: the server is not the one of the host key, or doesn't let the user in.
        """
        with self._lock:
            if self._connection is None or self._connection.is_closed():
                self._ports.clear()
                self._connection = self._run(self._connect())
            if (host, port) not in self._ports:
                try:
                    listener = self._run(self._connection.forward_local_port(LOOPBACK, 0, host, port))
                except (OSError, self._ssh.Error) as error:
                    raise self._lost(error) from error
                self._ports[host, port] = listener.get_port()
            return self._ports[host, port]

    def refusal(self, host: str, port: int) -> str | None:
        """Return why the SSH server doesn't lead to a host and port, in its own words; None where it does."""
        connection = self._connection
        if connection is None:
            return None
        try:
            _, writer = self._run(connection.open_connection(host, port))
        except self._ssh.ChannelOpenError as error:
            return str(error.reason)
        except (OSError, self._ssh.Error):
            return None
        assert self._loop is not None
        self._loop.call_soon_threadsafe(writer.close)
        return None

    def close(self) -> None:
        """End the SSH connection, and with it all that goes through it."""
        if self._loop is None or self._thread is None:
            return
        if self._connection is not None:
            self._loop.call_soon_threadsafe(self._connection.abort)
            self._run(self._connection.wait_closed())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop = self._thread = self._connection = None

    async def _connect(self) -> Any:
        known = self._known
        try:
            return await self._ssh.connect(
                self.settings.host,
                self.settings.port,
                username=self.settings.username,
                client_keys=[self._key],
                known_hosts=known,
                preferred_auth="publickey",
                # Nothing that the configuration doesn't say: no file of this user's, no agent.
                config=None,
                agent_path=None,
                gss_host=None,
                connect_timeout=CONNECT_SECONDS,
                login_timeout=CONNECT_SECONDS,
                keepalive_interval=KEEPALIVE_SECONDS,
                keepalive_count_max=MAX_KEEPALIVES,
            )
        except self._ssh.HostKeyNotVerifiable as error:
            given = "host_key" if self.settings.host_key else "known_hosts"
            raise DatabaseError(
                f"the SSH server at {self.settings.location} has another key than those of ssh_tunnel.{given}: somebody may "
                "stand in between; ask the server's owner, and give the new key only where the owner says so"
            ) from error
        except self._ssh.PermissionDenied as error:
            raise DatabaseError(
                f'the SSH server at {self.settings.location} doesn\'t let the user "{self.settings.username}" in with '
                "ssh_tunnel.private_key; add its public key to the user's authorized_keys there, or correct "
                "ssh_tunnel.username"
            ) from error
        except (OSError, asyncio.TimeoutError, self._ssh.Error) as error:
            raise self._lost(error) from error

    def _lost(self, error: BaseException) -> ConnectionLostError:
        return ConnectionLostError(
            f"can't connect to the SSH server at {self.settings.location}: {first_line(error)}; check that it runs and that "
            "ssh_tunnel.host and ssh_tunnel.port are right"
        )

    def _run(self, work: Awaitable[T]) -> T:
        """Do something in the event loop's thread, and wait for it."""

        async def done() -> T:
            return await work

        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=_serve, args=(self._loop,), name="ssh tunnel", daemon=True)
            self._thread.start()
            atexit.register(self.close)
        return asyncio.run_coroutine_threadsafe(done(), self._loop).result()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        pending = asyncio.all_tasks(loop)
        for task in pending:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        loop.close()


_TUNNELS: Final[dict[tuple[str, str], Tunnel]] = {}
"""By the host and port of the database, as its dsn spells them."""


def declare(dsn: str, settings: SshTunnel) -> None:
    """Say that a database is behind an SSH server, for all connections to its host and port from now on.

    Raises:
        SettingsError: the tunnel can't be made from its settings, or the database has no host.
    """
    try:
        endpoint = _endpoint(extensions.parse_dsn(dsn))
    except Exception:  # noqa: BLE001  a dsn that is none is for the connection to refuse, without quoting it
        return
    known = _TUNNELS.get(endpoint)
    if known is not None and known.settings == settings:
        return
    if known is not None:
        del _TUNNELS[endpoint]
        known.close()
    if not endpoint[0] or endpoint[0].startswith("/"):
        raise SettingsError(["ssh_tunnel leads to a host, and the database's address names none"])
    _TUNNELS[endpoint] = Tunnel(settings)


def through(dsn: str) -> str:
    """Return the dsn by which a database is reached: through the tunnel that is declared for it, if one is.

    Raises:
        ConnectionLostError: the SSH server can't be reached.
        DatabaseError: the server is not the one of the host key, or doesn't let the user in.
    """
    if not _TUNNELS or (found := _tunnel_of(dsn)) is None:
        return dsn
    tunnel, places = found
    ports = [str(tunnel.port(host, port)) for host, port in places]
    return str(extensions.make_dsn(dsn, hostaddr=",".join([LOOPBACK] * len(ports)), port=",".join(ports)))


def refusal(dsn: str) -> str | None:
    """Return why the SSH server doesn't lead to a database, as the end of a sentence; None where there is no reason."""
    if not _TUNNELS or (found := _tunnel_of(dsn)) is None:
        return None
    tunnel, places = found
    reasons = (tunnel.refusal(host, port) for host, port in places)
    reason = next((reason for reason in reasons if reason), None)
    return reason and f"the SSH server at {tunnel.settings.location} doesn't lead there ({reason})"


def _tunnel_of(dsn: str) -> tuple[Tunnel, list[tuple[str, int]]] | None:
    """Return the tunnel to a database, and the hosts and ports that its dsn names."""
    parts = extensions.parse_dsn(dsn)
    tunnel = _TUNNELS.get(_endpoint(parts))
    if tunnel is None:
        return None
    hosts = (parts.get("hostaddr") or parts["host"]).split(",")
    ports = [int(port or 5432) for port in parts.get("port", "").split(",")]
    return tunnel, list(zip(hosts, ports * len(hosts) if len(ports) == 1 else ports, strict=True))


def _endpoint(parts: dict[str, str]) -> tuple[str, str]:
    return parts.get("host") or parts.get("hostaddr") or "", parts.get("port") or "5432"


def _library() -> ModuleType:
    try:
        library = importlib.import_module("asyncssh")
    except ModuleNotFoundError as error:
        raise SettingsError(
            ["ssh_tunnel needs the Python module asyncssh, which is not installed: pip install 'tap-restextract[ssh]'"]
        ) from error
    library.set_log_level(logging.WARNING)
    return library


def _private_key(ssh: ModuleType, settings: SshTunnel) -> Any:
    """Return the user's private key; no message holds any of it."""
    given = settings.private_key or ""
    text = pem(given) if is_pem(given) else _content("private_key", given)
    try:
        return ssh.import_private_key(text, settings.private_key_password)
    except ssh.KeyEncryptionError as error:
        fault = "does not open" if settings.private_key_password else "is needed to open"
        raise SettingsError([f"ssh_tunnel.private_key_password {fault} ssh_tunnel.private_key"]) from error
    except (ssh.KeyImportError, ValueError) as error:
        if settings.private_key_password is None and "assphrase" in str(error):
            raise SettingsError(["ssh_tunnel.private_key_password is needed to open ssh_tunnel.private_key"]) from None
        raise SettingsError(["ssh_tunnel.private_key is not a private key in OpenSSH's or PEM's form"]) from None


def _known_hosts(ssh: ModuleType, settings: SshTunnel) -> Any:
    """Return what asyncssh verifies the server's key with; None: nothing."""
    if not settings.verify_host_key:
        return None
    if settings.known_hosts:
        return _content("known_hosts", settings.known_hosts).encode()
    try:
        keys = [ssh.import_public_key(line) for line in settings.host_keys]
    except (ssh.KeyImportError, ValueError):
        keys = []
    if not keys:
        raise SettingsError(["ssh_tunnel.host_key is no public key: it must look like ssh-ed25519 AAAA…"])
    return (keys, [], [])


def _content(name: str, path: str) -> str:
    """Return the text of a file; the path is not shown: it may be a key that somebody has cut to pieces."""
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise SettingsError([f"the file of ssh_tunnel.{name} is not a text"]) from None
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        what = ", and it is not the text of a key either" if name == "private_key" else ""
        raise SettingsError([f"the file of ssh_tunnel.{name} can't be read ({reason}){what}"]) from None
