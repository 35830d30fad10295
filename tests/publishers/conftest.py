"""Each kind of broker in turn, one server a module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.rigs import RIGS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.rigs import Rig


@pytest.fixture(scope="module", params=RIGS, ids=lambda kind: kind.kind)
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with request.param() as found:
        yield found
