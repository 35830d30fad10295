"""`target-eventgen relay`: delivers recorded events to the configured publishers."""

from __future__ import annotations

import importlib
from typing import Any

import click

from target_eventgen.cli import options


@click.command()
@click.option("--follow", "-f", is_flag=True, help="Go on with the events to come, until Ctrl-C or SIGTERM.")
@click.option("--publisher", "names", multiple=True, help="Only to this publisher; repeatable.")
@click.option("--verbose", "-v", is_flag=True, help="Say more.")
@click.option("--metrics-port", type=click.IntRange(0, 65535), help="Serve Prometheus metrics here; 0: any free port.")
@click.option("--metrics-host", default="127.0.0.1", show_default=True, help="The address to serve them at.")
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Of the log."
)
@options.CONFIG
@options.DATABASE
def relay(**given: Any) -> None:
    """Deliver recorded events to the configured publishers; exit status 1 where some had to be left for later.

    Any number of relays may run at once, on any number of machines: they share the work by key.
    """
    importlib.import_module("target_eventgen.cli.relaying").relay(**given)
