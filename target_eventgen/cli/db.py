"""`target-eventgen db`: the embedded Postgres of a project."""

from __future__ import annotations

import click

from target_eventgen import embedded
from target_eventgen.errors import EventgenError


@click.group(help="The embedded Postgres in this folder (.eventgen/postgres), used when no database_url is given.")
def db() -> None:
    """Group the commands of the embedded Postgres."""


@db.command()
def up() -> None:
    """Start it, make it first if need be, and print its URL."""
    click.echo(embedded.up())


@db.command()
def down() -> None:
    """Stop it. The data stay."""
    stopped = embedded.down()
    click.echo("The embedded Postgres is stopped." if stopped else "The embedded Postgres was not running.", err=True)


@db.command()
def url() -> None:
    """Print its URL if it is running; exit status 1 if it isn't."""
    if (running := embedded.url()) is None:
        raise EventgenError(
            f"The embedded Postgres in {embedded.default_folder()} isn't running. "
            "Start it with `target-eventgen db up`, in the project's folder."
        )
    click.echo(running)


@db.command()
@click.confirmation_option(prompt="Delete the embedded Postgres of this folder with all that it holds?")
def remove() -> None:
    """Stop it and delete all its data."""
    removed = embedded.remove()
    click.echo("The embedded Postgres is removed." if removed else "There was no embedded Postgres here.", err=True)
