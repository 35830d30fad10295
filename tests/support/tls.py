"""Certificates of an authority of the test's own, and a proxy that ends TLS before a server that has none."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import trustme

from tests.support.proxy import Proxy

if TYPE_CHECKING:
    import socket
    from pathlib import Path


class Authority:
    """An authority, a server's certificate for 127.0.0.1 and localhost, and a client's."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        authority = trustme.CA()
        self.authority = str(folder / "authority.pem")
        authority.cert_pem.write_to_path(self.authority)
        for name, identities in (("server", ("127.0.0.1", "localhost")), ("client", ("client",))):
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

    def context(self) -> ssl.SSLContext:
        """A server's, which wants to see a client's certificate."""
        found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        found.load_cert_chain(self.certificate, self.key)
        found.load_verify_locations(self.authority)
        found.verify_mode = ssl.CERT_REQUIRED
        return found


class TlsProxy(Proxy):
    """Speaks TLS with clients, and passes on what they say."""

    def __init__(self, target: int, authority: Authority) -> None:
        self._context = authority.context()
        super().__init__(target)

    def connect(self, client: socket.socket) -> tuple[socket.socket, socket.socket]:
        return super().connect(self._context.wrap_socket(client, server_side=True))
