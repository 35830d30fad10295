"""`target-eventgen rules try`: the events that the rules record of an input."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import click

from target_eventgen.cli import configuration, options, printing, rehearsal, singer_target
from target_eventgen.delivery.outbox import Outbox, Selection
from target_eventgen.model import settings
from target_eventgen.store.trial import Trial


@click.command("try")
@click.option(
    "--input", "source", type=click.File(encoding="utf-8"), required=True, help="Singer messages; - is stdin."
)
@click.option("--json", "as_json", is_flag=True, help="CloudEvents 1.0, or counts, one JSON object a line.")
@click.option(
    "--live", is_flag=True, help="Into the live tables, in a transaction that is rolled back; print how many events."
)
@click.option(
    "--max-seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=30,
    show_default=True,
    help="With --live: seconds after which it gives up, since it holds locks.",
)
@options.CONFIG
@options.DATABASE
def try_rules(  # noqa: PLR0913  one argument an option
    source: IO[str],
    *,
    as_json: bool,
    live: bool,
    max_seconds: float,
    config: tuple[Path, ...],
    database_url: str | None,
) -> None:
    """Load an input into a throw-away database, print the events that its rules record, and remove it again.

    The user must be allowed to make a database. Tables begin empty, so a first version of each row is a creation.

    With --live the input is loaded into the live tables, by all settings of a load, and rolled back: nothing is written
    or published. Rows that it touches, and tables that it alters, stay locked until it ends.
    """
    given = singer_target.settings(config)
    if live:
        _print_counts(
            given,
            rehearsal.tried_live(given, configuration.database(database_url, config), source, max_seconds),
            as_json=as_json,
        )
        return
    with (
        rehearsal.rehearsed(given, configuration.any_database(database_url, config), source) as dsn,
        contextlib.closing(Outbox(dsn)) as outbox,
    ):
        if not (printing.json_lines if as_json else printing.table)(outbox.newest(Selection())):
            click.echo("No events.", err=True)


def _print_counts(given: Mapping[str, Any], trial: Trial, *, as_json: bool) -> None:
    """Print for each type of event, in the order of the rules, how many a trial would have recorded."""
    fired = {(each.stream, each.type): each for each in trial.fired}
    for stream, type_ in dict.fromkeys((rule.stream, rule.type) for rule in settings.parse(given).rules):
        found = fired.get((stream, type_))
        events, example = (0, None) if found is None else (found.events, found.example)
        if as_json:
            click.echo(json.dumps({"type": type_, "stream": stream, "events": events, "example": example}))
        else:
            such_as = "" if example is None else f", such as {example}"
            click.echo(f"would fire {printing.counted(events, type_)}{such_as}")
    for stream in sorted(trial.suppressed):
        click.echo(f'note: the first load of the stream "{stream}" records no events (setting initial_load)', err=True)
