"""The command line: singer-sdk's own, the companion command `plan`, and errors as messages instead of tracebacks.

Most of a short run is imports: what only some runs need is imported where they need it, and Python's collector of
cycles, which would look through the modules again and again, waits until they are there and then leaves them alone.
"""

from __future__ import annotations

import gc
import importlib.metadata
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from tap_restextract.errors import ConfigurationError, QuotaError, TapError

END_OF_LIFE: Final = r"Python [\d.]+ (reached|will reach) its end of life"
"""Warnings of packages below this one about the interpreter: README says which ones are supported, and until when."""


def main() -> None:
    """Run the command that the arguments name; every error that a person can fix is one message and exit code 1."""
    warnings.filterwarnings("ignore", END_OF_LIFE, FutureWarning)
    arguments = sys.argv[1:]
    if arguments and arguments[0] == "plan":
        sys.exit(_exit_code(lambda: plan.main(arguments[1:], prog_name="tap-restextract plan", standalone_mode=False)))
    if arguments and arguments[0] == "webhooks":
        from tap_restextract.cli.webhooks_commands import webhooks  # noqa: PLC0415  a part that few runs need

        sys.exit(
            _exit_code(
                lambda: webhooks.main(arguments[1:], prog_name="tap-restextract webhooks", standalone_mode=False)
            )
        )
    sys.exit(_exit_code(lambda: _tap(arguments)))


def _tap(arguments: list[str]) -> Any:
    if arguments == ["--version"]:
        versions = tuple(importlib.metadata.version(name) for name in ("tap-restextract", "singer-sdk"))
        click.echo("tap-restextract v{}, Meltano SDK v{}".format(*versions))
        return 0
    gc.disable()
    from tap_restextract.tap import TapRestextract  # noqa: PLC0415  the companion command's help needs none of it

    gc.freeze()
    gc.enable()
    command = TapRestextract.cli
    return command.main(arguments, prog_name="tap-restextract", standalone_mode=False)


def _exit_code(run: Callable[[], Any]) -> int:
    if sys.stdout is None:
        click.echo("tap-restextract: stdout is closed, and all messages go there; leave it open", err=True)
        return 1
    try:
        code = run()
        sys.stdout.flush()
    except TapError as error:
        for line in str(error).splitlines():
            click.echo(f"tap-restextract: {line}", err=True)
        return error.exit_code if isinstance(error, QuotaError) else 1
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        return _reader_gone()
    except SystemExit:
        # click ends the process itself where a pipe is broken, and wraps what can't be flushed; but it says nothing.
        if type(sys.stdout).__name__.endswith("PacifyFlushWrapper"):
            return _reader_gone()
        raise
    except OSError as error:
        click.echo(
            f"tap-restextract: {error.filename or 'a file, or stdout'}: {error.strerror or type(error).__name__}",
            err=True,
        )
        return 1
    except Exception as error:  # noqa: BLE001  a fault of ours: reported without its text, which may hold a secret
        if _is_of_the_sdk(error):
            click.echo(f"tap-restextract: {error}; check stream_maps and the other settings of singer-sdk", err=True)
            return 1
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
        places = ", ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames[-4:]))
        if isinstance(error, ImportError) and not (error.name or "").startswith("tap_restextract"):
            missing = isinstance(error, ModuleNotFoundError)
            click.echo(
                f"tap-restextract: the module {error.name!r} {'is missing' if missing else 'is of another version than is needed'} "
                f"(at {places}); install tap-restextract anew in an environment of its own, with what its plugins need",
                err=True,
            )
            return 1
        click.echo(
            f"tap-restextract: a fault of tap-restextract itself ({type(error).__name__} at {places}); nothing after the "
            "last STATE is lost. Please report these places, and the configuration without its secrets",
            err=True,
        )
        return 1
    return code if isinstance(code, int) else 0


def _is_of_the_sdk(error: Exception) -> bool:
    """Say whether singer-sdk names what a person can fix; without its import, nothing was raised by it."""
    if "singer_sdk.exceptions" not in sys.modules:
        return False
    from singer_sdk.exceptions import SingerSDKError  # noqa: PLC0415  its import takes a quarter of a second

    return isinstance(error, SingerSDKError)


def _reader_gone() -> int:
    """Report that stdout's reader has ended: the last STATE that it read covers all that it read."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)
    click.echo("tap-restextract: the reader of stdout has ended; the next run goes on from the last STATE", err=True)
    return 1


@click.command(help="Show for each stream the walk, why it is safe, when STATE moves, and its first two requests.")
@click.option("--config", multiple=True, help="Configuration file, or ENV for environment variables; may be repeated.")
@click.option("--state", type=click.Path(dir_okay=False, path_type=Path), help="STATE of an earlier run.")
@click.option("--stream", "names", multiple=True, help="Only this stream; may be repeated.")
def plan(config: tuple[str, ...], state: Path | None, names: tuple[str, ...]) -> None:
    """Print the plans."""
    logging.disable(logging.INFO)
    from tap_restextract.cli.plan_report import preview  # noqa: PLC0415
    from tap_restextract.plan.bookmarks.state import from_state  # noqa: PLC0415
    from tap_restextract.tap import TapRestextract, config_in, state_in  # noqa: PLC0415

    given = config_in(config)
    given_state = {} if state is None else state_in(state.read_bytes(), str(state))
    tap = TapRestextract(config=given.config, state=given_state, parse_env_config=given.parse_env, setup_mapper=False)
    plans = tap.plans()
    if unknown := set(names) - {each.stream.name for each in plans}:
        known = ", ".join(each.stream.name for each in plans)
        raise ConfigurationError([f"there is no stream {min(unknown)!r}; there are {known}"])
    bookmarks = given_state.get("bookmarks", {})
    chosen = [each for each in plans if not names or each.stream.name in names]
    click.echo("\n\n".join(preview(each, from_state(each, bookmarks.get(each.stream.name, {}))) for each in chosen))
