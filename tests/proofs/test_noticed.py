"""Facts that are false, and that were lost in silence until a check noticed them: each seed stays, as a test."""

from __future__ import annotations

import pytest

from proofs.simulate.lies import LIES, Claim
from proofs.simulate.lying import REPORTED, schedule_for
from proofs.simulate.quirks import parsed
from proofs.simulate.schedule import Size
from tests.proofs.still_silent import Silent

FEW = Size(20, 0, 0, deaths=False)
UNREAD = "paginator path: lies elsewhere;paging parameter: ignored"
UNREAD_BY = "ignored=token renamed=following"
SHARED = "paginator path: lies elsewhere;primary key: shared"
SHARED_BY = "renamed=following same_ids=1"
NOTICED = [
    Silent(REPORTED, UNREAD, "descending", "order=desc filter=inclusive", UNREAD_BY, 6, FEW),
    Silent(REPORTED, UNREAD, "stable tokens", "filter=inclusive", UNREAD_BY, 0, Size(20, 2, 2, deaths=False)),
    Silent(REPORTED, UNREAD, "unordered", "order=none filter=inclusive", UNREAD_BY, 0, Size(20, 2, 0, deaths=False)),
    Silent(REPORTED, UNREAD, "windows", "filter=inclusive step=3000", UNREAD_BY, 6, FEW),
    Silent(REPORTED, SHARED, "descending", "order=desc filter=inclusive tie=rank", SHARED_BY, 6, FEW),
    Silent(REPORTED, SHARED, "stable tokens", "filter=inclusive tie=rank", SHARED_BY, 0, Size(20, 2, 0, deaths=False)),
]


@pytest.mark.parametrize("noticed", NOTICED, ids=lambda noticed: f"{noticed.fact}, {noticed.walk}")
def test_what_was_lost_in_silence_is_noticed(noticed: Silent) -> None:
    named = noticed.lies.split(";")
    claim = Claim(tuple(lie for lie in LIES if lie.name in named), parsed(noticed.claimed), parsed(noticed.real))
    schedule = schedule_for(claim, noticed.seed, size=noticed.size)
    assert schedule.verdict(claim) == noticed.verdict
    assert schedule.outcome.walk == noticed.walk
