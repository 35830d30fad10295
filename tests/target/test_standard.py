"""The SDK's standard tests of a target."""

from __future__ import annotations

from typing import Any

import pytest
from singer_sdk.testing import TargetTestRunner, get_target_test_class

from target_eventgen.target import TargetEventgen

Standard: type = get_target_test_class(TargetEventgen, config={})


class TestStandard(Standard):  # type: ignore[misc]  # the SDK makes the class at run time
    @pytest.fixture
    def runner(self, database: str) -> TargetTestRunner:
        config: dict[str, Any] = {"database_url": database}
        return TargetTestRunner(target_class=TargetEventgen, config=config, parse_env_config=False)
