"""Every schedule that ever broke a promise stays a test: those of faults that were mended, and of those that are open."""

from __future__ import annotations

import pytest

from tests.simulator.open_faults import OPEN_FAULTS, OpenFault
from tests.simulator.quirks import parsed
from tests.simulator.schedule import Schedule, Size

SEEDS = [
    ("paginator=single_page tick=1 late=1000 faults=1", 985, "rows joined the tick behind a keyset's position"),
    ("paginator=single_page tick=60000", 34, "rows joined the minute behind a keyset's position"),
    ("has_more=1", 20, "a row of the server's current second was thought to be settled"),
    ("paginator=single_page future=20000 skew=-4000 revive=1 initial=1", 0, "a future row moved the mark"),
    (
        "order=desc filter=none paginator=offset unstable_ties=1",
        98,
        "unstable ties slipped over the seam of a falling list",
    ),
    ("order=desc filter=none paginator=offset", 17, "what left a page drew others over the seam"),
    (
        "order=desc filter=none paginator=offset unstable_ties=1 has_more=1 initial=1",
        2544,
        "what joined the end of a page was thought to be new",
    ),
    (
        "order=asc filter=sweep paginator=page_number silent=1 revive=1",
        37,
        "a sweep by pages missed what moved between them",
    ),
    (
        "order=desc filter=none paginator=offset late=2000 future=5000",
        130,
        "an interrupted pass was thought to reach the top",
    ),
    ("order=desc filter=none future=90000 cycle=3", 64, "the edges of an interrupted pass were thought to be whole"),
    ("filter=inclusive page=3 cycle=4", 0, "tokens went in a circle without end"),
    ("future=90000 short_pages=1 empty_pages=1 overlap=1 revive=1", 0, "an empty page with a token ended a keyset"),
    ("paginator=single_page late=3000", 40, "a STATE without tie-breaker was asked behind, not from"),
    ("filter=exclusive tick=1 writing=trimmed", 5, "fractions of changing length were compared by their digits"),
    (
        "order=none filter=sweep paginator=json_link short_pages=1 empty_pages=1 revive=1",
        11,
        "an empty page ended a sweep",
    ),
    (
        "order=desc filter=none tick=1 initial=1",
        22072,
        "a falling list without a record from the initial value on was bookmarked before it",
    ),
    (
        "filter=inclusive paginator=offset late=3000 lookback=1",
        30,
        "a run longer than its lookback moved over what came late",
    ),
    ("filter=inclusive clock=0", 262, "without a clock a walk moved over what joined the newest tick behind it"),
]


@pytest.mark.parametrize(("quirks", "seed", "once"), SEEDS, ids=[once for *_, once in SEEDS])
def test_a_schedule_that_failed_once_breaks_no_promise_any_more(quirks: str, seed: int, once: str) -> None:
    assert Schedule(parsed(quirks), seed).play().findings == [], once


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, id=fault.name, marks=pytest.mark.xfail(strict=True, reason="it is open"))
        for fault in OPEN_FAULTS
    ],
)
def test_a_schedule_that_shows_an_open_fault_breaks_no_promise(fault: OpenFault) -> None:
    assert Schedule(parsed(fault.quirks), fault.seed, fault.size).play().findings == []


@pytest.mark.parametrize("fault", OPEN_FAULTS, ids=lambda fault: fault.name)
def test_an_open_fault_shows_only_what_it_is_known_for(fault: OpenFault) -> None:
    assert fault.kinds.issuperset(Schedule(parsed(fault.quirks), fault.seed, fault.size).play().kinds)


def test_a_longer_schedule_than_usual_breaks_no_promise_either() -> None:
    for text in (
        "paginator=cursor page=20",
        "filter=inclusive page=20",
        "order=desc filter=none page=20 paginator=offset",
    ):
        assert Schedule(parsed(text), 3, Size(rows=600, runs=12)).play().findings == []
