"""`target-eventgen rules`: event rules, checked, tried and applied."""

from __future__ import annotations

import click

from target_eventgen.cli.lazy import LazyCommand


@click.group(
    help="The event rules of the configuration: check them, try them on an input, apply one to the rows that are there."
)
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
rules.add_command(
    LazyCommand(
        "apply",
        "target_eventgen.cli.rules_apply:apply_rule",
        "Record an event of a rule for each row that satisfies it now, as if the row had just been created.",
    )
)
