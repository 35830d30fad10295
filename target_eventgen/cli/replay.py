"""`target-eventgen events replay`: events of the past, delivered again."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from target_eventgen.cli import configuration, options, printing
from target_eventgen.delivery import redelivery
from target_eventgen.delivery.outbox import Outbox
from target_eventgen.delivery.sql import replays
from target_eventgen.errors import EventgenError
from target_eventgen.model import routes


@click.command()
@click.option("--id", "ids", multiple=True, help="Only the event of this id; repeatable.")
@click.option(
    "--type", "types", multiple=True, help="Only events of this type; * stands for any characters; repeatable."
)
@click.option("--stream", "streams", multiple=True, help="Only events of this stream; likewise.")
@click.option("--key", "keys", multiple=True, help="Only events whose partitionkey is this; repeatable.")
@click.option("--since", help="Only events that were recorded at this instant or later, such as 2026-01-31T12:00Z.")
@click.option("--until", help="Only events that were recorded before this instant.")
@click.option("--all", "everything", is_flag=True, help="All events; needed where nothing else is given.")
@click.option("--publisher", "publishers", multiple=True, help="Only to this publisher; repeatable.")
@options.CONFIG
@options.DATABASE
def replay(  # noqa: PLR0913  one argument an option
    *,
    ids: tuple[str, ...],
    types: tuple[str, ...],
    streams: tuple[str, ...],
    keys: tuple[str, ...],
    since: str | None,
    until: str | None,
    everything: bool,
    publishers: tuple[str, ...],
    config: tuple[Path, ...],
    database_url: str | None,
) -> None:
    """Have recorded events delivered again, with the same ids, to the publishers whose events they are.

    A relay delivers them. Those that are undelivered, or dead letters, are left as they are.
    """
    chosen = replays.EventFilter(
        ids or None, routes.patterns(types or None), routes.patterns(streams or None), keys or None, since, until
    )
    if chosen == replays.EventFilter() and not everything:
        raise click.UsageError("Say which events to replay, such as --type order.paid --since 2026-01-31, or --all.")
    dsn = configuration.database(database_url, config)
    counts, fitting = redelivery.replay(dsn, chosen, publishers), redelivery.fitting(dsn, chosen)
    for name, number in counts.items() if fitting else ():
        click.echo(f"{name}: {number} events are to be delivered again", err=True)
    if fitting and not counts:
        raise EventgenError("No publisher is known to the database, so nothing is delivered again.")
    if missing := sorted(set(ids) - fitting):
        raise EventgenError(f"No recorded event that fits has the id {printing.some(missing)}.")
    if not fitting:
        with contextlib.closing(Outbox(dsn)) as outbox:
            click.echo(printing.recorded(outbox.kinds()), err=True)
