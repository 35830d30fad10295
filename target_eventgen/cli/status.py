"""`target-eventgen status`: how far delivery has come."""

from __future__ import annotations

import json
from pathlib import Path

import click

from target_eventgen.cli import configuration, options


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@options.CONFIG
@options.DATABASE
def status(*, as_json: bool, config: tuple[Path, ...], database_url: str | None) -> None:
    """Say how far delivery has come, by publisher and by event type."""
    from target_eventgen.delivery.status import document, read, text  # noqa: PLC0415  a slow import, which no help needs

    current = read(configuration.database(database_url, config))
    click.echo(json.dumps(document(current), indent=2) if as_json else text(current))
