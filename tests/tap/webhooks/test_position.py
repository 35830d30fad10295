"""How far a queue was drained, in STATE."""

from __future__ import annotations

import pytest

from tap_restextract.plan.bookmarks.protocol import Sweep
from tap_restextract.webhooks.position import QueuePosition, position_in
from tests.support.streams import stream

pytestmark = pytest.mark.pure

POSITION = QueuePosition("q", "7", Sweep(3, "c"), polled=True)


def test_a_position_is_read_as_it_was_written() -> None:
    assert position_in("things", POSITION.checkpointed(stream(), {"theirs": 1})) == POSITION


def test_the_pass_of_the_cache_is_found_in_state_that_0_1_0_wrote() -> None:
    written = {"queue": "q", "position": "7", "told": {"number": 3, "cache": "c"}, "polled": True}
    assert position_in("things", {"webhooks": written}) == POSITION
