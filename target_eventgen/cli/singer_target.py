"""The Singer target as its companions use it: for its settings, and to load an input.

singer-sdk takes half a second to import. It is imported once one of these is called, so that no `--help` waits for it.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from target_eventgen.cli import configuration

if TYPE_CHECKING:
    from target_eventgen.store.postgres import Postgres


def settings(config: tuple[Path, ...]) -> dict[str, Any]:
    """Return the target's settings, from files and from the environment, as the target reads them."""
    target = _target({"events": [], **configuration.settings_of(config)}, parse_env_config=True)
    return dict(target.config)


def load(config: Mapping[str, Any], source: IO[str], database: Postgres | None = None) -> None:
    """Load Singer messages with these settings alone, into a database that is connected already, if one is given."""
    target = _target(config, parse_env_config=False)
    if database is not None:
        target.use(database)
    target.listen(source)


def _target(config: Mapping[str, Any], *, parse_env_config: bool) -> Any:
    module = importlib.import_module("target_eventgen.target")
    return module.TargetEventgen(config=dict(config), parse_env_config=parse_env_config)
