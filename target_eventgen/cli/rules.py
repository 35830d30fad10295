"""`target-eventgen rules`: event rules, checked or tried before they are relied on."""

from __future__ import annotations

import click

from target_eventgen.cli.lazy import LazyCommand


@click.group(help="The event rules of the configuration: check them, or try them on an input.")
def rules() -> None:
    """Group the commands of the event rules."""


rules.add_command(
    LazyCommand(
        "check",
        "target_eventgen.cli.rules_check:check_rules",
        "Say of each rule whether its stream and Postgres can follow it; exit status 1 if one can't be. Change nothing.",
    )
)
rules.add_command(
    LazyCommand(
        "try",
        "target_eventgen.cli.rules_try:try_rules",
        "Load an input into a throw-away database, print the events that its rules record, and remove it again.",
    )
)
