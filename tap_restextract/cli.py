"""The command line: singer-sdk's own, the companion command `plan`, and errors as messages instead of tracebacks."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tap_restextract.errors import StateError, TapError


def main() -> None:
    """Run the command that the arguments name; every error that a person can mend is one message and exit code 1."""
    arguments = sys.argv[1:]
    if arguments and arguments[0] == "plan":
        sys.exit(_told(lambda: plan.main(arguments[1:], prog_name="tap-restextract plan", standalone_mode=False)))
    from tap_restextract.tap import TapRestextract  # noqa: PLC0415  the companion command's help needs none of it

    command = TapRestextract.cli
    sys.exit(_told(lambda: command.main(arguments, prog_name="tap-restextract", standalone_mode=False)))


def _told(run: Callable[[], Any]) -> int:
    try:
        code = run()
    except TapError as error:
        for line in str(error).splitlines():
            click.echo(f"tap-restextract: {line}", err=True)
        return 1
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return 130
    except json.JSONDecodeError as error:
        click.echo(
            f"tap-restextract: the configuration, catalog or STATE is no JSON: {error}; check the files given", err=True
        )
        return 1
    except FileNotFoundError as error:
        click.echo(f"tap-restextract: there is no file {error.filename}; check the path", err=True)
        return 1
    except BrokenPipeError:
        # The reader is gone; what it read is covered by the last STATE that it read. Nothing is left to flush to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        click.echo(
            "tap-restextract: the reader of stdout has ended; the next run goes on from the last STATE", err=True
        )
        return 1
    return code if isinstance(code, int) else 0


@click.command(help="Show for each stream the walk, why it is safe, when STATE moves, and its first two requests.")
@click.option("--config", multiple=True, help="Configuration file, or ENV for environment variables; may be repeated.")
@click.option("--state", type=click.Path(dir_okay=False, path_type=Path), help="STATE of an earlier run.")
@click.option("--stream", "names", multiple=True, help="Only this stream; may be repeated.")
def plan(config: tuple[str, ...], state: Path | None, names: tuple[str, ...]) -> None:
    """Print the plans."""
    logging.disable(logging.INFO)
    from singer_sdk.plugin_base import _ConfigInput  # noqa: PLC0415

    from tap_restextract.bookmarks import from_state  # noqa: PLC0415
    from tap_restextract.preview import preview  # noqa: PLC0415
    from tap_restextract.tap import TapRestextract  # noqa: PLC0415

    given = _ConfigInput.from_cli_args(*config)
    tap = TapRestextract(config=given.config, parse_env_config=given.parse_env, setup_mapper=False)
    text = "{}" if state is None else state.read_text()
    try:
        bookmarks = json.loads(text).get("bookmarks", {})
    except (json.JSONDecodeError, AttributeError) as error:
        raise StateError(f"the STATE in {state} can't be read; restore it, or start without one") from error
    chosen = [each for each in tap.plans() if not names or each.stream.name in names]
    click.echo("\n\n".join(preview(each, from_state(each, bookmarks.get(each.stream.name, {}))) for each in chosen))
