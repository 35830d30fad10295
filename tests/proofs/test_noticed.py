"""Facts that are false, and that were lost in silence until a check noticed them: each seed stays, as a test."""

from __future__ import annotations

import pytest

from proofs.simulate.lies import LIES, Claim
from proofs.simulate.lying import NAMED, REPORTED, RIGHT, UNSEEN, schedule_for
from proofs.simulate.quirks import parsed
from proofs.simulate.schedule import Size
from tests.proofs.still_silent import Silent

FEW = Size(20, 0, 0, deaths=False)
UNREAD = "paginator path: lies elsewhere;paging parameter: ignored"
UNREAD_BY = "ignored=token renamed=following"
SHARED = "paginator path: lies elsewhere;primary key: shared"
SHARED_BY = "renamed=following same_ids=1"
FALLING = "order=desc filter=none paginator=offset"
NULLS = "order=desc filter=none paginator=page_number nulls=1 nulls_told=1 first=1"
TURNED = "first page: one earlier;place of null keys: first, not last"
TIES = "order of ties: another each time"
DEAF, DEAF_BY = f"paging parameter: ignored;{TIES}", "unstable_ties=1 ignored=offset"
TOKENS, TOKENS_BY = f"paginator type: tokens;{TIES}", "paginator=cursor unstable_ties=1"
BY_REQUEST = f"{FALLING} null_request=1 nulls_told=1 nulls_turned=1"
EARLIER = "first page: one earlier;primary key: shared"
RANKED = "order=desc filter=none paginator=page_number nulls=1 nulls_told=1 tie=rank first=1"
COUNTED = "filter=inclusive paginator=page_number page=3 unstable_ties=1 tie=rank"
OFFSETS = "paginator type: offsets;end mark: has_more is never true"
OFFSETS_BY = "paginator=offset flag=never"
SWEPT = "order=none filter=sweep paginator=offset total=1 silent=1"
NOTICED = [
    Silent(
        UNSEEN,
        OFFSETS,
        "traversal",
        "filter=traversal paginator=page_number has_more=1",
        OFFSETS_BY,
        0,
        Size(20, 4, 1, deaths=False),
    ),
    Silent(RIGHT, "paging parameter: ignored", "sweep", SWEPT, "ignored=offset", 36112, Size(24, 4, 1)),
    Silent(REPORTED, EARLIER, "sweep", "filter=sweep paginator=page_number first=1", "first=0 same_ids=1", 6, FEW),
    Silent(REPORTED, EARLIER, "descending", RANKED, "first=0 same_ids=1", 23759, Size(120, 3)),
    Silent(RIGHT, "primary key: shared", "restart keyset", COUNTED, "same_ids=1", 23905, Size(120, 3)),
    Silent(NAMED, "first page: one earlier", "descending", NULLS, "first=0", 6, FEW),
    Silent(NAMED, TURNED, "descending", NULLS, "first=0 nulls_turned=1", 17347, Size(120, 3)),
    Silent(NAMED, TOKENS, "descending", FALLING, TOKENS_BY, 10239, Size(120, 3)),
    Silent(NAMED, DEAF, "descending", FALLING, DEAF_BY, 34067, Size(24)),
    Silent(NAMED, DEAF, "descending", BY_REQUEST, DEAF_BY, 35351, Size(24)),
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
