"""The SSH tunnel to Postgres: its settings, named as MeltanoLabs' target-postgres names them, and their faults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import msgspec

from target_eventgen.model.json_schema import described
from target_eventgen.model.spelling import nearest

MAX_PORT: Final = 65535


class SshTunnel(msgspec.Struct, frozen=True, kw_only=True):
    """The settings below `ssh_tunnel`; a usable configuration where `faults` finds none."""

    enable: Annotated[
        bool, described("SSH tunnel", "Whether Postgres is reached through an SSH server (a bastion host).")
    ] = False
    host: Annotated[str | None, described("SSH host", "Of the SSH server.")] = None
    port: Annotated[int, described("SSH port", "Of the SSH server.")] = 22
    username: Annotated[str | None, described("SSH user", "Its name on the SSH server.")] = None
    private_key: Annotated[
        str | None,
        described("SSH key", "The user's private key, as text or as a file.", secret=True, writeOnly=True),
    ] = None
    private_key_password: Annotated[
        str | None,
        described("Password of the SSH key", "Of an encrypted private key.", secret=True, writeOnly=True),
    ] = None
    host_key: Annotated[
        str | None,
        described(
            "SSH host key", "Public key of the SSH server, such as `ssh-ed25519 AAAA…`; several stand on a line each."
        ),
    ] = None
    known_hosts: Annotated[
        str | None,
        described("SSH known hosts", "A file that has the server's public key, in place of host_key."),
    ] = None
    verify_host_key: Annotated[
        bool,
        described(
            "Verify the SSH server",
            "false connects to whoever answers, without host_key or known_hosts; for tests alone.",
        ),
    ] = True

    def __repr__(self) -> str:
        """Leave the secrets out."""
        return f"SshTunnel({self.host}:{self.port})"

    @property
    def location(self) -> str:
        """Host and port, as messages name them."""
        return f"{self.host}:{self.port}"

    @property
    def host_keys(self) -> tuple[str, ...]:
        """The public keys of `host_key`, without the host names that `ssh-keyscan` puts in front."""
        lines = (line.split() for line in (self.host_key or "").splitlines())
        keys = (words if len(words) < 3 or not _is_key(words[1:]) else words[1:] for words in lines)
        return tuple(" ".join(words[:2]) for words in keys if words and not words[0].startswith("#"))


def _is_key(words: list[str]) -> bool:
    """Return whether words are the algorithm and the Base64 of a public key."""
    return len(words) > 1 and words[1].startswith("AAAA")


def parse(given: Mapping[str, Any] | None) -> SshTunnel | None:
    """Return the tunnel that is turned on; values that are null or empty are as if not given."""
    if not given or not given.get("enable"):
        return None
    names = {field.name for field in msgspec.structs.fields(SshTunnel)}
    return SshTunnel(**{name: value for name, value in given.items() if name in names and value not in {None, ""}})


def faults(given: Any, *, has_host: bool) -> Iterator[str]:
    """Yield the faults of the settings below `ssh_tunnel`, without any value of a secret.

    Args:
        given: them.
        has_host: whether there is a database_url or a host that the tunnel could lead to.
    """
    if not isinstance(given, Mapping):
        return
    types = {field.name: field.type for field in msgspec.structs.fields(SshTunnel)}
    for name in given:
        if name not in types:
            yield f'ssh_tunnel has no setting "{name}"{nearest(name, types)}'
    if not given.get("enable"):
        return
    if missing := [name for name in ("host", "username", "private_key") if not given.get(name)]:
        yield f"ssh_tunnel lacks {', '.join(missing)}"
    port = given.get("port")
    if isinstance(port, int) and not 0 < port <= MAX_PORT:
        yield f"ssh_tunnel.port must be from 1 to {MAX_PORT}"
    if not has_host:
        yield "ssh_tunnel needs a database_url or a host to lead to; the embedded Postgres is on this machine"
    verified = [name for name in ("host_key", "known_hosts") if given.get(name)]
    if len(verified) > 1:
        yield "ssh_tunnel.host_key and ssh_tunnel.known_hosts are both given: give one of them"
    elif not verified and given.get("verify_host_key") is not False:
        yield (
            "ssh_tunnel needs host_key, the public key of the SSH server (`ssh-keyscan -p PORT HOST` prints it; compare "
            "it with what the server's owner says), or known_hosts, a file that has it"
        )
    elif verified and given.get("verify_host_key") is False:
        yield f"ssh_tunnel.verify_host_key is false beside {verified[0]}: leave one of them out"
