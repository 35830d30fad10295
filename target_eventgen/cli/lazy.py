"""Commands whose modules are imported once they are called, so that none of them pays for another's imports."""

from __future__ import annotations

import importlib
from typing import Any

import click


class LazyCommand(click.Command):
    """A command, or a group of them, that is loaded once it is called; its line in a list of commands is given here."""

    def __init__(self, name: str, reference: str, help: str) -> None:  # noqa: A002  click's name
        super().__init__(name, help=help)
        self.reference = reference
        """Where the command is: `module:attribute`."""

    def load(self) -> click.Command:
        """Import the command's module; return the command."""
        module, _, attribute = self.reference.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse the arguments as the loaded command does; the context is the loaded command's, which is then invoked."""
        return self.load().make_context(info_name, args, parent, **extra)
