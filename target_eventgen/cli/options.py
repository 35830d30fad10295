"""The options that several companions share."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

CONFIG: Final = click.option(
    "--config", type=click.Path(path_type=Path), multiple=True, help="The target's configuration file."
)

DATABASE: Final = click.option("--database-url", help="The Postgres to ask, instead of the configuration's.")
