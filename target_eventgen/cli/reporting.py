"""Errors that a person must act on, as one message on standard error and an exit status; others keep a traceback."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Final

import click

from target_eventgen.errors import EventgenError

_SDK_ERRORS: Final = (("singer_sdk.exceptions", "SingerSDKError"), ("singer_sdk.singerlib.exceptions", "SingerError"))
"""Modules of singer-sdk, and the errors in them that a person must act on."""


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """Turn an error that a person must act on into one message and its exit status, which is 1 but for held events."""
    try:
        yield
    except _expected() as error:
        faults = getattr(error, "errors", None)
        message = str(error) if isinstance(error, EventgenError) or not faults else "; ".join(faults)
        click.echo(f"Error: {message}", err=True)
        raise SystemExit(error.exit_status if isinstance(error, EventgenError) else 1) from error
    except OSError as error:
        file = error.filename or "a file, or standard output"
        click.echo(f"Error: {file}: {error.strerror or type(error).__name__}", err=True)
        raise SystemExit(1) from error
    except KeyboardInterrupt as error:  # before anything has begun: later on, handlers of signals are in place
        raise SystemExit(130) from error


def _expected() -> tuple[type[Exception], ...]:
    """Return the errors that a person must act on: ours, and singer-sdk's where it has been imported at all."""
    sdk = (getattr(sys.modules[module], name) for module, name in _SDK_ERRORS if module in sys.modules)
    return (EventgenError, *sdk)
