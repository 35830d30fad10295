"""Commands whose modules are imported once they are called, so that none of them pays for another's imports."""

from __future__ import annotations

import importlib
from typing import Any

import click


class LazyCommand(click.Command):
    """A command or group whose module is imported once it is called; `help` is its line in a list of commands."""

    def __init__(self, name: str, reference: str, help: str) -> None:  # noqa: A002  click's name
        super().__init__(name, help=help)
        self.reference = reference
        """`module:attribute` of the command."""

    def load(self) -> click.Command:
        """Import the command's module; return the command."""
        module, _, attribute = self.reference.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse the arguments as the loaded command does; click then invokes the context's command, the loaded one."""
        return self.load().make_context(info_name, args, parent, **extra)
