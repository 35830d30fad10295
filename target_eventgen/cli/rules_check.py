"""`target-eventgen rules check`: whether the event rules can be followed."""

from __future__ import annotations

from pathlib import Path

import click

from target_eventgen.cli import configuration, options, rehearsal, singer_target
from target_eventgen.errors import EventgenError
from target_eventgen.model import rules, settings, unused


@click.command("check")
@click.option("--catalog", type=click.Path(path_type=Path), help="The tap's catalog; without it, the live tables.")
@options.CONFIG
@options.DATABASE
def check_rules(catalog: Path | None, config: tuple[Path, ...], database_url: str | None) -> None:
    """Say of each rule whether its stream and Postgres can follow it; exit status 1 if one can't be. Change nothing."""
    given = singer_target.settings(config)
    described = None if catalog is None else configuration.read(catalog)
    checked = faulty = 0
    for rule, fault, table in rehearsal.check(given, configuration.any_database(database_url, config), described):
        checked += 1
        faulty += fault is not None
        said = fault or f"{rule.location}, {rule.stream}"
        where = "" if table is None else f" (table {table})"
        click.echo(f"{'ok   ' if fault is None else 'FAULT'}  {rule.type}: {said}{where}")
        if fault is None and (warning := rules.warning(rule)) is not None:
            click.echo(f"note   {rule.type}: {warning}")
    for sentence in unused.by_rules(settings.parse(given)):
        click.echo(f"note   {sentence}")
    if not checked:
        click.echo(
            'There are no rules: the setting "events" is missing or empty, so a load records no event.', err=True
        )
    if faulty:
        raise EventgenError(f"{faulty} of the rules can't be followed as they are; correct them as said above.")
