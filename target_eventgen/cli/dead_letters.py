"""`target-eventgen dead-letters`: events that are not tried any more, listed, retried, dropped."""

from __future__ import annotations

import functools
import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click
from msgspec.structs import asdict

from target_eventgen.cli import configuration, options, printing
from target_eventgen.delivery import redelivery, status
from target_eventgen.delivery.redelivery import LetterFilter
from target_eventgen.errors import EventgenError
from target_eventgen.model import routes


@click.group("dead-letters")
def dead_letters() -> None:
    """Events that a receiver refused for good, or that have failed too often."""


_NONE: Final = "No dead letters."
_LETTERS: Final = click.argument("letters", type=int, nargs=-1)
_OF_PUBLISHER: Final = click.option("--publisher", help="Only those of this publisher.")
_OF_TYPES: Final = click.option(
    "--type", "types", multiple=True, help="Only of this type; * stands for any characters; repeatable."
)


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
    dsn = configuration.database(database_url, config)
    selected = redelivery.letters(dsn, _filter(letters, publisher, types))
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
        click.echo(_none_fits(dsn), err=True)


def _with_chosen(settle: Callable[[str, LetterFilter], None]) -> Callable[..., None]:
    """Return a command's function: it has the options that choose dead letters, and settles the chosen ones.

    Args:
        settle: is called with the database's URL and the dead letters that the options choose; its docstring is the
            help.
    """

    @_LETTERS
    @_OF_PUBLISHER
    @_OF_TYPES
    @click.option("--all", "everything", is_flag=True, help="All; needed where nothing else is given.")
    @options.CONFIG
    @options.DATABASE
    @functools.wraps(settle)
    def command(  # noqa: PLR0913  one argument an option
        *,
        letters: tuple[int, ...],
        publisher: str | None,
        types: tuple[str, ...],
        everything: bool,
        config: tuple[Path, ...],
        database_url: str | None,
    ) -> None:
        if not (letters or publisher or types or everything):
            raise click.UsageError("Say which dead letters: their numbers, --publisher, --type, or --all.")
        dsn, chosen = configuration.database(database_url, config), _filter(letters, publisher, types)
        fitting = {letter.letter for letter in redelivery.letters(dsn, chosen)}
        if fitting:
            settle(dsn, chosen)
        if missing := sorted(set(letters) - fitting):
            raise EventgenError(
                f"No dead letter that fits has the number {', '.join(map(str, missing))}. {_there(dsn)}"
            )
        if not fitting:
            click.echo(_none_fits(dsn), err=True)

    return command


def _none_fits(dsn: str) -> str:
    """Return why no dead letter was chosen: there are none, or other ones."""
    there = _there(dsn)
    return there if there == _NONE else f"No dead letter fits. {there}"


def _there(dsn: str) -> str:
    """Return which dead letters there are, in a sentence."""
    kinds = Counter((letter.type, letter.publisher) for letter in redelivery.letters(dsn, LetterFilter()))
    if not kinds:
        return _NONE
    listed = [f'{number:,} of {type_} (publisher "{publisher}")' for (type_, publisher), number in kinds.most_common()]
    return f"There are {printing.some(listed)}"


@dead_letters.command("retry")
@_with_chosen
def retry_letters(dsn: str, chosen: LetterFilter) -> None:
    """Have them delivered after all, and what waits after them; a relay does it."""
    click.echo(f"{redelivery.retry(dsn, chosen)} dead letters are due again", err=True)


@dead_letters.command("drop")
@_with_chosen
def drop_letters(dsn: str, chosen: LetterFilter) -> None:
    """Give them up, so that what waits after them is delivered. The events stay in the outbox."""
    click.echo(f"{redelivery.drop(dsn, chosen)} dead letters are dropped", err=True)


def _filter(letters: tuple[int, ...], publisher: str | None, types: tuple[str, ...]) -> LetterFilter:
    return LetterFilter(letters or None, publisher, routes.patterns(types or None))
