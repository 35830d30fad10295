"""`target-eventgen events`: the recorded events, printed, and followed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import click

from target_eventgen.cli import configuration, printing
from target_eventgen.cli.lazy import LazyCommand
from target_eventgen.delivery.outbox import Outbox, Selection
from target_eventgen.model import routes
from target_eventgen.model.recorded import Recorded

FOLLOW_SECONDS: Final = 0.5
"""Seconds that `events --follow` waits between two looks."""


@click.group(invoke_without_command=True)
@click.option("--follow", "-f", is_flag=True, help="Go on with the events to come, until Ctrl-C.")
@click.option(
    "--type", "types", multiple=True, help="Only events of this type; * stands for any characters; repeatable."
)
@click.option("--stream", "streams", multiple=True, help="Only events of this stream; likewise.")
@click.option("--json", "as_json", is_flag=True, help="CloudEvents 1.0, one JSON object a line.")
@click.option("--limit", "-n", type=click.IntRange(min=0), help="Only the newest so many that are there now.")
@click.option("--config", type=click.Path(path_type=Path), multiple=True, help="The target's configuration file.")
@click.option("--database-url", help="The database, instead of the configuration's.")
@click.pass_context
def events(  # noqa: PLR0913  one argument an option
    context: click.Context,
    *,
    follow: bool,
    types: tuple[str, ...],
    streams: tuple[str, ...],
    as_json: bool,
    limit: int | None,
    config: tuple[Path, ...],
    database_url: str | None,
) -> None:
    """Print the recorded events, oldest first.

    A long transaction that still writes in the database holds newer events back from --follow until it ends, so that
    none is skipped.
    """
    if context.invoked_subcommand is not None:
        return

    selection = Selection(routes.patterns(types or None), routes.patterns(streams or None), limit)
    show = printing.json_lines if as_json else printing.table
    with contextlib.closing(Outbox(configuration.database(database_url, config))) as outbox:
        if follow:
            with contextlib.suppress(KeyboardInterrupt):
                show(_polled(outbox.follow(selection)))
        elif not show(outbox.newest(selection)):
            click.echo(printing.recorded(outbox.kinds() if types or streams else ()), err=True)


events.add_command(
    LazyCommand(
        "describe",
        "target_eventgen.cli.describe:describe",
        "Print an AsyncAPI 3 document of the event types, with the JSON Schema of each, as JSON.",
    )
)
events.add_command(
    LazyCommand(
        "replay",
        "target_eventgen.cli.replay:replay",
        "Have recorded events delivered again, with the same ids, to the publishers whose events they are.",
    )
)
for _name, _attribute, _help in (
    ("held", "list_held", "Print how many events a guard holds, by run, stream and rule."),
    ("release", "release", "Have held events delivered after all, each key's in their order."),
    ("discard", "discard", "Have held events delivered never, and recorded never again."),
):
    events.add_command(LazyCommand(_name, f"target_eventgen.cli.held:{_attribute}", _help))


def _polled(looks: Iterable[Recorded | None]) -> Iterator[Recorded | None]:
    """Yield what each look finds, and wait after it."""
    for event in looks:
        yield event
        if event is None:
            time.sleep(FOLLOW_SECONDS)
