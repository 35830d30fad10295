"""`target-eventgen` as Singer's runners call it: the target, under singer-sdk's own command line."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import click

from target_eventgen.cli import configuration
from target_eventgen.cli.reporting import reported
from target_eventgen.target import TargetEventgen

_HELP_WIDTH: Final = 78
"""Characters of a line in a help, as click has it by default."""


def command(companions: Mapping[str, click.Command]) -> click.Command:
    """Return singer-sdk's command of the target, with our errors as messages, and the companions in its help."""
    sdk: click.Command = TargetEventgen.cli
    formatter = click.HelpFormatter(width=_HELP_WIDTH)
    with formatter.section("Companion commands, each with a --help of its own"):
        formatter.write_dl([(name, each.help or "") for name, each in companions.items()])
    sdk.epilog = f"\b\n{formatter.getvalue().strip()}"  # \b has click leave the lines as they are
    for option in sdk.params:
        if option.name == "config" and option.callback is not None:
            option.callback = _checking(option.callback)
    if sdk.callback is not None:
        sdk.callback = _reporting(sdk.callback)  # within the SDK's, which would log the message
    return sdk


def _checking(callback: Callable[..., Any]) -> Callable[..., Any]:
    """Return the SDK's callback of --config, preceded by a check of the files."""

    def check(context: click.Context, option: click.Parameter, value: tuple[str, ...]) -> Any:
        configuration.settings_of(tuple(map(Path, value)))
        return callback(context, option, value)

    return check


def _reporting(callback: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(callback)
    def report(*arguments: Any, **options: Any) -> Any:
        with reported():
            return callback(*arguments, **options)

    return report
