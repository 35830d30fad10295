"""Errors that are the SDK's too: its standard tests, and programs that drive a target, expect these classes."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from singer_sdk.exceptions import (
    ConfigValidationError,
    InvalidInputLine,
    InvalidJSONSchema,
    MissingKeyPropertiesError,
    RecordsWithoutSchemaException,
)

from target_eventgen.errors import (
    EventgenError,
    InvalidSchemaError,
    MessageError,
    MissingKeyError,
    MissingSchemaError,
    SettingsError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


class _SettingsError(SettingsError, ConfigValidationError):
    schema = None


class _MessageError(MessageError, InvalidInputLine):
    pass


class _MissingSchemaError(MissingSchemaError, RecordsWithoutSchemaException):
    pass


class _InvalidSchemaError(InvalidSchemaError, InvalidJSONSchema):
    pass


class _MissingKeyError(MissingKeyError, MissingKeyPropertiesError):
    pass


_THEIRS: Final[dict[type[EventgenError], type[EventgenError]]] = {
    SettingsError: _SettingsError,
    MessageError: _MessageError,
    MissingSchemaError: _MissingSchemaError,
    InvalidSchemaError: _InvalidSchemaError,
    MissingKeyError: _MissingKeyError,
}


@contextlib.contextmanager
def of_the_sdk() -> Iterator[None]:
    """Let an error of ours out as the SDK's too: the same object, with its text, its cause and its traceback."""
    try:
        yield
    except EventgenError as error:
        error.__class__ = _THEIRS.get(type(error), type(error))
        raise
