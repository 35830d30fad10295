"""The command `target-eventgen`: the Singer target, and its companions.

A companion loads neither the target nor singer-sdk's command line, and no other companion. An error that a person must
act on is one message on stderr and exit status 1, whatever the log level; anything else is a fault of this program and
keeps its traceback.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from typing import Final

import click

from target_eventgen.cli.lazy import LazyCommand
from target_eventgen.cli.reporting import reported
from target_eventgen.errors import OutputError

END_OF_LIFE: Final = r"Python [\d.]+ (reached|will reach) its end of life"
"""Warnings of packages below this one about the interpreter: README says which ones are supported, and until when."""


@click.group()
def companions() -> None:
    """Singer target that loads Postgres and records events; these are its companion commands."""


for _name, _reference, _help in (
    ("db", "db:db", "The embedded Postgres in this folder (.eventgen/postgres), used when no database_url is given."),
    ("events", "events:events", "Print the recorded events, oldest first."),
    (
        "rules",
        "rules:rules",
        "The event rules of the configuration: check them, try them on an input, apply one to the rows that are there.",
    ),
    (
        "relay",
        "relay:relay",
        "Deliver recorded events to the configured publishers; exit status 1 where some had to be left for later.",
    ),
    ("undo", "undo:undo", "Restore the rows that a run has changed, where nothing newer has come."),
    ("status", "status:status", "Say how far delivery has come, by publisher and by event type."),
    (
        "dead-letters",
        "dead_letters:dead_letters",
        "Events that a receiver refused for good, or that have failed too often.",
    ),
    ("publishers", "publishers:publishers", "The publishers that the database knows."),
):
    companions.add_command(LazyCommand(_name, f"target_eventgen.cli.{_reference}", _help))


def main() -> None:
    """Run what the arguments name: a companion, or the Singer target."""
    warnings.filterwarnings("ignore", END_OF_LIFE, FutureWarning)
    with reported():
        if sys.stdout is None:
            raise OutputError("standard output is closed, and STATE and all answers go there; leave it open")
        if sys.argv[1:] and not sys.argv[1].startswith("-"):
            # The target itself takes options alone: click names the companion that is nearest to a mistyped one.
            companions.main(prog_name="target-eventgen")
        elif sys.argv[1:] == ["--version"]:
            _print_version()
        else:
            _target()


def _print_version() -> None:
    from importlib.metadata import version  # noqa: PLC0415  a slow import, needed by this alone

    click.echo(f"target-eventgen v{version('tap-restextract')}, Meltano SDK v{version('singer-sdk')}")


def _target() -> None:
    """Run the Singer target under singer-sdk's own command line."""
    command: click.Command = importlib.import_module("target_eventgen.cli.load").command(companions.commands)
    command.main(prog_name="target-eventgen")
