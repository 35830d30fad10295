"""Certificates of an authority of the test's own, and proxies that end TLS before a server that has none."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import trustme

from tests.support.proxy import Proxy

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence
    from pathlib import Path


class Authority:
    """An authority, a server's certificate for 127.0.0.1 and localhost, or other names, and a client's."""

    def __init__(self, folder: Path, *, names: Sequence[str] = ("127.0.0.1", "localhost")) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        authority = trustme.CA()
        self.authority = str(folder / "authority.pem")
        authority.cert_pem.write_to_path(self.authority)
        for name, identities in (("server", names), ("client", ("client",))):
            issued = authority.issue_cert(*identities)
            issued.private_key_pem.write_to_path(str(folder / f"{name}.key"))
            with (folder / f"{name}.pem").open("wb") as file:
                for part in issued.cert_chain_pems:
                    file.write(part.bytes())
        self.certificate, self.key = str(folder / "server.pem"), str(folder / "server.key")
        self._folder = folder

    def client_files(self) -> dict[str, str]:
        """A publisher's settings."""
        return {
            "certificate_authority": self.authority,
            "client_certificate": str(self._folder / "client.pem"),
            "client_private_key": str(self._folder / "client.key"),
        }

    def context(self, *, asks: bool = True) -> ssl.SSLContext:
        """A server's; `asks`: it wants to see a client's certificate."""
        found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        found.load_cert_chain(self.certificate, self.key)
        found.load_verify_locations(self.authority)
        found.verify_mode = ssl.CERT_REQUIRED if asks else ssl.CERT_NONE
        return found


class TlsProxy(Proxy):
    """Speaks TLS with clients, and passes on what they say."""

    def __init__(self, target: int, authority: Authority) -> None:
        self._context = authority.context()
        super().__init__(target)

    def connect(self, client: socket.socket) -> tuple[socket.socket, socket.socket]:
        return super().connect(self._context.wrap_socket(client, server_side=True))


class TlsPostgres(Proxy):
    """Before a Postgres: answers a client's question for TLS with yes, and asks for no certificate of the client's."""

    REQUEST = bytes.fromhex("0000000804d2162f")

    def __init__(self, target: int, authority: Authority) -> None:
        self._context = authority.context(asks=False)
        self.refused = 0
        """Clients that gave up while TLS was agreed upon."""
        super().__init__(target)

    def connect(self, client: socket.socket) -> tuple[socket.socket, socket.socket]:
        if client.recv(len(self.REQUEST)) != self.REQUEST:
            raise ConnectionError
        client.sendall(b"S")
        try:
            wrapped = self._context.wrap_socket(client, server_side=True)
        except OSError:
            self.refused += 1
            raise
        return super().connect(wrapped)
