"""`target-eventgen rules`: event rules, checked or tried before they are relied on."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import IO

import click

from target_eventgen.cli import configuration, options, printing, rehearsal, singer_target
from target_eventgen.delivery.outbox import Outbox, Selection
from target_eventgen.errors import EventgenError
from target_eventgen.model import rules as rules_


@click.group()
def rules() -> None:
    """The event rules of the configuration: check them, or try them on an input."""


@rules.command("check")
@click.option("--catalog", type=click.Path(path_type=Path), help="The tap's catalog; without it, the live tables.")
@options.CONFIG
@options.DATABASE
def check_rules(catalog: Path | None, config: tuple[Path, ...], database_url: str | None) -> None:
    """Say of each rule whether its stream and Postgres can follow it; exit status 1 if one can't be. Changes nothing."""
    given = singer_target.settings(config)
    described = None if catalog is None else configuration.read(catalog)
    checked = faulty = 0
    for rule, fault in rehearsal.check(given, configuration.any_database(database_url, config), described):
        checked += 1
        faulty += fault is not None
        click.echo(f"{'ok   ' if fault is None else 'FAULT'}  {rule.type}: {fault or f'{rule.place}, {rule.stream}'}")
        if fault is None and (warning := rules_.warning(rule)) is not None:
            click.echo(f"note   {rule.type}: {warning}")
    if not checked:
        click.echo(
            'There are no rules: the setting "events" is missing or empty, so a load records no event.', err=True
        )
    if faulty:
        raise EventgenError(f"{faulty} of the rules can't be followed as they are; correct them as said above.")


@rules.command("try")
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
