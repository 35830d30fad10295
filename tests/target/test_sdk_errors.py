"""Errors are the SDK's too where the SDK is in use, and don't load it where it is not."""

from __future__ import annotations

import subprocess
import sys

import pytest
from singer_sdk.exceptions import ConfigValidationError, InvalidJSONSchema

from target_eventgen.errors import DatabaseError, InvalidSchemaError, SettingsError
from target_eventgen.intake.sdk_errors import of_the_sdk
from target_eventgen.target import TargetEventgen


def test_commands_beside_the_target_do_not_load_the_sdk() -> None:
    program = "import sys, target_eventgen.cli.main, target_eventgen.errors; sys.exit('singer_sdk' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_faults_of_settings_come_as_the_sdks_error_too() -> None:
    with pytest.raises(ConfigValidationError) as caught:
        TargetEventgen(config={"batch_size_rows": -1})
    assert isinstance(caught.value, SettingsError)
    assert caught.value.errors == ["batch_size_rows must be greater than 0"]


def test_an_error_keeps_its_text_and_its_cause() -> None:
    cause = ValueError("why")
    with pytest.raises(InvalidJSONSchema, match="what") as caught, of_the_sdk():
        raise InvalidSchemaError("what") from cause
    assert caught.value.__cause__ is cause


def test_an_error_that_the_sdk_does_not_know_stays_as_it_is() -> None:
    with pytest.raises(DatabaseError) as caught, of_the_sdk():
        raise DatabaseError("what")
    assert type(caught.value) is DatabaseError
