"""Each test loads into a database of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.loading import Loader

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def loader(database: str, tmp_path: Path) -> Loader:
    return Loader(database, tmp_path)
