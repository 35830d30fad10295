"""What the tests of the whole pipe share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.example import Example, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Example]:
    """The example's API with its thousand subscriptions, this test's own."""
    folder = tmp_path / "api"
    folder.mkdir()
    with serving(folder) as running:
        yield running
