"""`target-eventgen rules try`: the events that the rules record of an input."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import IO

import click

from target_eventgen.cli import configuration, options, printing, rehearsal, singer_target
from target_eventgen.delivery.outbox import Outbox, Selection


@click.command("try")
@click.option(
    "--input", "source", type=click.File(encoding="utf-8"), required=True, help="Singer messages; - is stdin."
)
@click.option("--json", "as_json", is_flag=True, help="CloudEvents 1.0, one JSON object a line.")
@options.CONFIG
@options.DATABASE
def try_rules(source: IO[str], *, as_json: bool, config: tuple[Path, ...], database_url: str | None) -> None:
    """Load an input into a throw-away database, print the events that its rules record, and remove it again.

    The user must be allowed to make a database. Tables begin empty, so a first version of each row is a creation.
    """
    given = singer_target.settings(config)
    with (
        rehearsal.rehearsed(given, configuration.any_database(database_url, config), source) as dsn,
        contextlib.closing(Outbox(dsn)) as outbox,
    ):
        if not (printing.json_lines if as_json else printing.table)(outbox.newest(Selection())):
            click.echo("No events.", err=True)
