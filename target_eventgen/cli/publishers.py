"""`target-eventgen publishers`: the publishers that the database knows."""

from __future__ import annotations

from pathlib import Path

import click

from target_eventgen.cli import configuration, options


@click.group(help="The publishers that the database knows.")
def publishers() -> None:
    """Group the commands of the known publishers."""


@publishers.command()
@click.argument("name")
@click.confirmation_option(prompt="Forget the publisher with all that is undelivered to it, and its dead letters?")
@options.CONFIG
@options.DATABASE
def forget(name: str, config: tuple[Path, ...], database_url: str | None) -> None:
    """Forget one that is not configured any more, so that nothing is kept for it."""
    from target_eventgen.delivery import registration  # noqa: PLC0415  a slow import, which no help needs

    registration.forget(configuration.database(database_url, config), name)
    click.echo(f"The publisher {name} is forgotten.", err=True)


@publishers.command("on")
@click.argument("name")
@options.CONFIG
@options.DATABASE
def switch_on(name: str, config: tuple[Path, ...], database_url: str | None) -> None:
    """Deliver again to one that was switched off (410), or that pauses since its receiver asked for it."""
    from target_eventgen.delivery import registration  # noqa: PLC0415  a slow import, which no help needs

    was = registration.switch_on(configuration.database(database_url, config), name)
    click.echo(f"The publisher {name} {'is' if was else 'was'} switched on.", err=True)


@publishers.command()
@click.argument("name")
@options.CONFIG
@options.DATABASE
def move(name: str, config: tuple[Path, ...], database_url: str | None) -> None:
    """Let one have another address: the next one that is configured gets what is undelivered, and all to come."""
    from target_eventgen.delivery import registration  # noqa: PLC0415  a slow import, which no help needs

    registration.move(configuration.database(database_url, config), name)
    click.echo(f"The publisher {name} takes the address that is configured from now on.", err=True)
