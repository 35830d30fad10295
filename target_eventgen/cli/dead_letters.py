"""`target-eventgen dead-letters`: events that are not tried any more, listed, retried, dropped."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from target_eventgen.cli import configuration, options
from target_eventgen.delivery import redelivery, status
from target_eventgen.delivery.redelivery import LetterFilter
from target_eventgen.model import routes


@click.group("dead-letters")
def dead_letters() -> None:
    """Events that a receiver refused for good, or that have failed too often."""


_LETTERS = click.argument("letters", type=int, nargs=-1)
_OF_PUBLISHER = click.option("--publisher", help="Only those of this publisher.")
_OF_TYPES = click.option(
    "--type", "types", multiple=True, help="Only of this type; * stands for any characters; repeatable."
)
_ALL = click.option("--all", "everything", is_flag=True, help="All; needed where nothing else is given.")


@dead_letters.command("list")
@_LETTERS
@_OF_PUBLISHER
@_OF_TYPES
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@options.CONFIG
@options.DATABASE
def list_letters(  # noqa: PLR0913  one argument an option
    *,
    letters: tuple[int, ...],
    publisher: str | None,
    types: tuple[str, ...],
    as_json: bool,
    config: tuple[Path, ...],
    database_url: str | None,
) -> None:
    """Print them, oldest first: number, when, publisher, type, subject, attempts, reason."""
    selected = redelivery.letters(configuration.database(database_url, config), _selected(letters, publisher, types))
    if as_json:
        sys.stdout.writelines(json.dumps(asdict(letter), ensure_ascii=False) + "\n" for letter in selected)
    elif selected:
        rows = [
            (str(one.letter), one.died_at, one.publisher, one.type, one.subject, str(one.attempts), one.reason)
            for one in selected
        ]
        header = ("LETTER", "DIED", "PUBLISHER", "TYPE", "SUBJECT", "ATTEMPTS", "REASON")
        click.echo("\n".join(status.columns([header, *rows])))
    else:
        click.echo("No dead letters.", err=True)


@dead_letters.command("retry")
@_LETTERS
@_OF_PUBLISHER
@_OF_TYPES
@_ALL
@options.CONFIG
@options.DATABASE
def retry_letters(  # noqa: PLR0913  one argument an option
    *,
    letters: tuple[int, ...],
    publisher: str | None,
    types: tuple[str, ...],
    everything: bool,
    config: tuple[Path, ...],
    database_url: str | None,
) -> None:
    """Have them delivered after all, and what waits behind them; a relay does it."""
    chosen = _selected(letters, publisher, types, everything=everything)
    click.echo(
        f"{redelivery.retry(configuration.database(database_url, config), chosen)} dead letters are due again", err=True
    )


@dead_letters.command("drop")
@_LETTERS
@_OF_PUBLISHER
@_OF_TYPES
@_ALL
@options.CONFIG
@options.DATABASE
def drop_letters(  # noqa: PLR0913  one argument an option
    *,
    letters: tuple[int, ...],
    publisher: str | None,
    types: tuple[str, ...],
    everything: bool,
    config: tuple[Path, ...],
    database_url: str | None,
) -> None:
    """Give them up, so that what waits behind them is delivered. The events stay in the outbox."""
    chosen = _selected(letters, publisher, types, everything=everything)
    click.echo(
        f"{redelivery.drop(configuration.database(database_url, config), chosen)} dead letters are dropped", err=True
    )


def _selected(
    letters: tuple[int, ...], publisher: str | None, types: tuple[str, ...], *, everything: bool = True
) -> LetterFilter:
    if not (letters or publisher or types or everything):
        raise click.UsageError("Say which dead letters: their numbers, --publisher, --type, or --all.")
    return LetterFilter(letters or None, publisher, routes.patterns(types or None))
