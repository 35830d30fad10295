"""Settings of the database that is loaded, beside its address: the SSH tunnel to it."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import msgspec

from target_eventgen.model import ssh_tunnel
from target_eventgen.model.json_schema import described, object_schema
from target_eventgen.model.ssh_tunnel import SshTunnel


class DatabaseSettings(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Settings under their names; derived values are properties. `settings.Settings` has all of them."""

    ssh_tunnel: Annotated[
        dict[str, Any],
        described(
            "SSH tunnel",
            "The SSH server (bastion host) through which Postgres is reached; needs the extra ssh.",
            properties=object_schema(SshTunnel)["properties"],
        ),
    ] = {}

    @functools.cached_property
    def tunnel(self) -> SshTunnel | None:
        """The SSH server in front of the database; None: there is none."""
        return ssh_tunnel.parse(self.ssh_tunnel)


def faults(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield the faults of these settings that a JSON Schema can't find, without any value of a secret."""
    yield from ssh_tunnel.faults(
        config.get("ssh_tunnel"), has_host=bool(config.get("database_url") or config.get("host"))
    )
