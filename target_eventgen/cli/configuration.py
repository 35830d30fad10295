"""What the companions read of a configuration: its files, and which database it names."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

from target_eventgen.errors import EventgenError, SettingsError

_CONNECTION_SETTINGS: Final = ("database_url", "host", "port", "user", "password", "database")


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

    Meltano hands the target's settings to its commands as environment variables.
    """
    from target_eventgen.model import settings  # noqa: PLC0415  a slow import, which no help needs

    in_environment = {
        name: value for name in _CONNECTION_SETTINGS if (value := os.environ.get(f"TARGET_EVENTGEN_{name.upper()}"))
    }
    for named in ({"database_url": database_url}, settings_of(config), in_environment):
        if dsn := settings.parse({name: named.get(name) for name in _CONNECTION_SETTINGS}).dsn:
            return dsn
    return None


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
