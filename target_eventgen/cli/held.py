"""`target-eventgen events held`, `release`, `discard`: the events that a guard holds, and the decision on them."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import click
from msgspec.structs import asdict

from target_eventgen.cli import configuration, options, printing
from target_eventgen.delivery import holding, status
from target_eventgen.delivery.holding import Decision, HeldGroup
from target_eventgen.delivery.sql.held import HeldFilter
from target_eventgen.errors import EventgenError
from target_eventgen.model import routes

_OF_RUN: Final = click.option("--run", type=int, help="Only those of this run.")
_OF_RULES: Final = click.option(
    "--rule", "rules", multiple=True, help="Only those of rules of this type; * stands for any characters; repeatable."
)
_OF_STREAMS: Final = click.option("--stream", "streams", multiple=True, help="Only those of this stream; likewise.")


@click.command("held")
@_OF_RUN
@_OF_RULES
@_OF_STREAMS
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@options.CONFIG
@options.DATABASE
def list_held(  # noqa: PLR0913  one argument an option
    *,
    run: int | None,
    rules: tuple[str, ...],
    streams: tuple[str, ...],
    as_json: bool,
    config: tuple[Path, ...],
    database_url: str | None,
) -> None:
    """Print how many events a guard holds, by run, stream and rule, with the key of the oldest of each.

    WAITING events are held by no guard: an earlier event of their key is.
    """
    dsn = configuration.database(database_url, config)
    groups = holding.groups(dsn, _filter(run, rules, streams))
    if as_json:
        sys.stdout.writelines(json.dumps(asdict(group), ensure_ascii=False) + "\n" for group in groups)
    elif groups:
        rows = [
            (str(one.run), one.stream, one.type, str(one.held), str(one.waiting), one.oldest, one.key) for one in groups
        ]
        header = ("RUN", "STREAM", "RULE", "HELD", "WAITING", "OLDEST", "KEY")
        click.echo("\n".join(status.columns([header, *rows])))
    else:
        click.echo(_none_fits(holding.groups(dsn, HeldFilter())), err=True)


def _with_chosen(decide: Callable[[str, HeldFilter], None]) -> Callable[..., None]:
    """Return a command's function: it has the options that choose held events, and decides on the chosen ones.

    Args:
        decide: is called with the database's URL and the events that the options choose; its docstring is the help.
    """

    @_OF_RUN
    @_OF_RULES
    @_OF_STREAMS
    @click.option("--all", "everything", is_flag=True, help="All; needed where nothing else is given.")
    @options.CONFIG
    @options.DATABASE
    @functools.wraps(decide)
    def command(  # noqa: PLR0913  one argument an option
        *,
        run: int | None,
        rules: tuple[str, ...],
        streams: tuple[str, ...],
        everything: bool,
        config: tuple[Path, ...],
        database_url: str | None,
    ) -> None:
        if run is None and not (rules or streams or everything):
            raise click.UsageError("Say which held events: --run, --rule, --stream, or --all.")
        decide(configuration.database(database_url, config), _filter(run, rules, streams))

    return command


@click.command("release")
@_with_chosen
def release(dsn: str, chosen: HeldFilter) -> None:
    """Have held events delivered after all, each key's in their order; a relay, or the next load, does it."""
    _say(dsn, chosen, "released", holding.release(dsn, chosen))


@click.command("discard")
@_with_chosen
def discard(dsn: str, chosen: HeldFilter) -> None:
    """Have held events delivered never, and recorded never again. What waited for them goes on."""
    _say(dsn, chosen, "discarded", holding.discard(dsn, chosen))


def _say(dsn: str, chosen: HeldFilter, what: str, decision: Decision) -> None:
    """Say what became of a decision.

    Raises:
        EventgenError: it was about a run of which nothing is held.
    """
    if decision.decided or decision.moved:
        click.echo(f"{decision.decided} events are {what}; {decision.moved} events are in the outbox now", err=True)
    if decision.waiting:
        click.echo(
            f"{decision.waiting} events still wait: for held events of their keys, or for a load that publishes them",
            err=True,
        )

    if not decision.decided:
        said = _none_fits(holding.groups(dsn, HeldFilter()))
        if chosen.run is not None:
            raise EventgenError(f"Nothing is {what} of the run {chosen.run}. {said}")
        click.echo(said, err=True)


def _none_fits(groups: Sequence[HeldGroup]) -> str:
    """Return why no held event was chosen: there are none, or other ones."""
    there = [f'{one.held:,} of {one.type} (stream "{one.stream}", run {one.run})' for one in groups if one.held]
    return f"No held event fits; held are {printing.some(there)}" if there else "No events are held."


def _filter(run: int | None, rules: tuple[str, ...], streams: tuple[str, ...]) -> HeldFilter:
    return HeldFilter(run, routes.patterns(rules or None), routes.patterns(streams or None))
