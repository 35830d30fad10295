"""What the companions read of a configuration: its files, and which database it names."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

from target_eventgen.errors import EventgenError, SettingsError

_PREFIX: Final = "TARGET_EVENTGEN_"


def database(database_url: str | None, config: tuple[Path, ...]) -> str:
    """Return the URL of the database that the target loads: the named one, else the folder's embedded one, started."""
    if dsn := _named(database_url, config):
        return dsn
    from target_eventgen import embedded  # noqa: PLC0415  a slow import, needed where no database is named

    if not embedded.exists():
        raise EventgenError(
            f"There are no events here: no database is named, and {embedded.default_folder()} holds none. Work in the "
            "project's folder, or name the database with --database-url, --config or TARGET_EVENTGEN_DATABASE_URL."
        )
    return embedded.up()


def any_database(database_url: str | None, config: tuple[Path, ...]) -> str:
    """Return the URL of any Postgres: the one that the target loads, else the folder's embedded one, made as needed."""
    if dsn := _named(database_url, config):
        return dsn
    from target_eventgen import embedded  # noqa: PLC0415  likewise

    return embedded.up()


def _named(database_url: str | None, config: tuple[Path, ...]) -> str | None:
    """Return the URL of the database that an option, a configuration file or the environment names.

    That of an option says all itself; settings of TLS and of a tunnel are of the database that stands beside them.
    Meltano hands the target's settings to its commands as environment variables.
    """
    from target_eventgen.model import database_address, settings, ssh_tunnel  # noqa: PLC0415  slow, and no help needs them
    from target_eventgen.store import tunnel  # noqa: PLC0415  likewise

    names = ("database_url", *database_address.PARTS, *database_address.TLS)
    files = settings_of(config)
    environment = {name: value for name in names if (value := os.environ.get(f"{_PREFIX}{name.upper()}"))}
    if dsn := settings.parse({"database_url": database_url}).dsn:
        return dsn
    for named in (files, environment):
        if dsn := settings.parse({name: named.get(name) for name in names}).dsn:
            ssh = files.get("ssh_tunnel") or _ssh_of_environment()
            if faults := list(ssh_tunnel.faults(ssh, has_host=True)):
                raise SettingsError(faults)
            if (parsed := ssh_tunnel.parse(ssh)) is not None:
                tunnel.declare(dsn, parsed)
            return dsn
    return None


def _ssh_of_environment() -> dict[str, Any]:
    """Return what Meltano hands on of `ssh_tunnel`: a JSON object, or a variable for each setting below it."""
    whole = os.environ.get(f"{_PREFIX}SSH_TUNNEL")
    if whole:
        try:
            given = json.loads(whole)
        except ValueError as error:
            raise SettingsError([f"{_PREFIX}SSH_TUNNEL is not JSON"]) from error
        return given if isinstance(given, dict) else {}
    from target_eventgen.model import json_schema, ssh_tunnel  # noqa: PLC0415  likewise

    properties = json_schema.object_schema(ssh_tunnel.SshTunnel)["properties"]
    given = {name: value for name in properties if (value := os.environ.get(f"{_PREFIX}SSH_TUNNEL_{name.upper()}"))}
    kinds = {name: properties[name]["type"][0] for name in given}
    try:
        return {name: _typed(value, kinds[name]) for name, value in given.items()}
    except ValueError as error:
        raise SettingsError([f"{_PREFIX}SSH_TUNNEL_PORT is not a number"]) from error


def _typed(value: str, kind: str) -> Any:
    """Return the value of a variable of the environment as a JSON type."""
    if kind == "boolean":
        return value.lower() in {"true", "1", "yes", "on"}
    return int(value) if kind == "integer" else value


def settings_of(config: tuple[Path, ...]) -> dict[str, Any]:
    """Return the settings of the configuration files; a later file prevails."""
    merged: dict[str, Any] = {}
    for path in config:
        if str(path) != "ENV":  # the SDK's word for the environment
            merged |= read(path)
    return merged


def read(path: Path) -> dict[str, Any]:
    """Return the JSON object that a file holds.

    Raises:
        SettingsError: the file can't be read, or holds something else.
    """
    try:
        settings = json.loads(path.read_bytes())
    except OSError as error:
        raise SettingsError([f"the file {path} can't be read ({error.strerror})"]) from error
    except ValueError as error:
        raise SettingsError([f"the file {path} is not JSON ({error})"]) from error
    if not isinstance(settings, dict):
        raise SettingsError([f"the file {path} is not a JSON object"])
    return settings
