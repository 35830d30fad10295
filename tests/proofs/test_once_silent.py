"""Schedules of false facts that were lost in silence once: each is noticed now, and stays so."""

from __future__ import annotations

import pytest

from proofs.simulate.lying import NAMED, REPORTED, schedule_for
from proofs.simulate.schedule import Size
from tests.proofs.still_silent import Silent

pytestmark = pytest.mark.in_process

# fmt: off
ONCE_SILENT = [
    Silent(NAMED, "filter: exclusive by time alone", "compound keyset", "short_pages=1", "filter=exclusive", 7, Size(120, 0, 0, deaths=False)),
    Silent(NAMED, "filter: by the time of creation", "restart keyset", "filter=inclusive paginator=offset page=3 window=8", "filters_by=born", 45653, Size(120, 3, 2, deaths=True)),
    Silent(NAMED, "filter: by the time of creation", "windows", "filter=inclusive paginator=offset step=3000", "filters_by=born", 4, Size(120, 2, 2, deaths=True)),
    Silent(NAMED, "filter: exclusive", "unordered", "order=none filter=inclusive", "filter=exclusive", 10444, Size(120, 3, 1, deaths=True)),
    Silent(NAMED, "time zone of the filter: an hour too late", "compound keyset", "short_pages=1", "misread=60", 0, Size(20, 2, 2, deaths=False)),
    Silent(REPORTED, "lag: late writes", "compound keyset", "paginator=single_page", "late=8000", 27852, Size(120, 2, 2, deaths=False)),
    Silent(REPORTED, "lag: late writes", "single page", "filter=inclusive paginator=single_page page=20", "late=8000", 19628, Size(40, 2, 0, deaths=False)),
    Silent(NAMED, "order of ties: another each time", "descending", "order=desc filter=none paginator=offset null_request=1 nulls_told=1 nulls_turned=1", "unstable_ties=1", 7, Size(40, 0, 0, deaths=False)),
]
# fmt: on


@pytest.mark.parametrize("once", ONCE_SILENT, ids=lambda once: f"{once.lies}, {once.walk}, {once.seed}")
def test_what_was_lost_in_silence_once_is_noticed(once: Silent) -> None:
    claim = once.claim
    schedule = schedule_for(claim, once.seed, size=once.size)
    assert schedule.verdict(claim) == once.verdict
    assert schedule.outcome.walk == once.walk
