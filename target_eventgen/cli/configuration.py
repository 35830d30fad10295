"""What the companions read of a configuration: its files, and which database it names."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from target_eventgen import embedded
from target_eventgen.errors import EventgenError, SettingsError
from target_eventgen.model import settings

_CONNECTION_SETTINGS = ("database_url", "host", "port", "user", "password", "database")


def database(database_url: str | None, config: tuple[Path, ...]) -> str:
    """Return the URL of the database that the target loads: the named one, else the folder's embedded one, started.

    Meltano hands the target's settings to its commands as environment variables.
    """
    in_environment = {
        name: value for name in _CONNECTION_SETTINGS if (value := os.environ.get(f"TARGET_EVENTGEN_{name.upper()}"))
    }
    for named in ({"database_url": database_url}, settings_of(config), in_environment):
        if dsn := settings.parse({name: named.get(name) for name in _CONNECTION_SETTINGS}).dsn:
            return dsn
    if not embedded.exists():
        raise EventgenError(
            f"There are no events here: no database is named, and {embedded.default_folder()} holds none. Work in the "
            "project's folder, or name the database with --database-url, --config or TARGET_EVENTGEN_DATABASE_URL."
        )
    return embedded.up()


def any_database(database_url: str | None, config: tuple[Path, ...]) -> str:
    """Return the URL of any Postgres: the one that the target loads, else the folder's embedded one, made as needed."""
    try:
        return database(database_url, config)
    except EventgenError:
        if embedded.exists() or isinstance(sys.exc_info()[1], SettingsError):
            raise
        return embedded.up()


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
