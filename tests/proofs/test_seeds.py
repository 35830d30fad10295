"""Every schedule that ever broke a promise stays a test."""

from __future__ import annotations

import pytest

from proofs.simulate.open_faults import OPEN_FAULTS
from proofs.simulate.quirks import parsed
from proofs.simulate.schedule import Schedule, Size

pytestmark = pytest.mark.in_process

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
    (
        "order=desc filter=none paginator=offset unstable_ties=1 total=1",
        9180,
        "what took the place of another of its tie was thought to have joined above it",
    ),
    (
        "order=none hidden=oldest filter=inclusive tick=1 page=7 skew=-4000 writing=trimmed zone=120 initial=1",
        22068,
        "a clock before the initial value set the mark before it",
    ),
    (
        "filter=inclusive late=1500 zone=-210 cycle=2",
        57388,
        "a second was thought to be settled before its last moment was",
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


SIZED = [
    (
        "filter=inclusive paginator=page_number page=3 unstable_ties=1",
        20614,
        Size(),
        "a tie over a seam came back by chance in the order that it had, though nothing orders it",
    ),
    (
        "order=desc filter=sweep paginator=offset",
        28209,
        Size(),
        "a record that moved while a list was swept was in no page, and told as deleted",
    ),
    (
        "order=desc filter=none paginator=offset",
        57722,
        Size(rows=250, runs=3),
        "a list that falls shifted to and fro between the three questions that checked a seam",
    ),
    (
        "filter=inclusive paginator=offset tick=60000 page=10",
        75785,
        Size(),
        "a wide tie shifted to and fro between the three questions that checked a seam",
    ),
    (
        "null_request=1 audit=1",
        0,
        Size(),
        "records without time, which have a request of their own, were told as deleted by the sweep of all others",
    ),
    (
        "filter=inclusive precision=60000 parents=4",
        1233,
        Size(rows=2, runs=0, writes=0, deaths=False),
        "children whose filter is coarser than their values came again from the floor's minute on",
    ),
    (
        "filter=inclusive initial=1 lookback=1",
        6,
        Size(rows=20, runs=0, writes=0, deaths=False),
        "a lookback reached behind the initial value",
    ),
    (
        "filter=inclusive paginator=offset late=2000 clock=0 lookback=1",
        30,
        Size(),
        "a lookback without a clock moved the bookmark over what came late while the run went on",
    ),
    (
        "order=desc filter=none late=3000 lookback=1",
        17,
        Size(rows=40, runs=4, writes=1),
        "what came late into the stretch of an interrupted pass down the list was thought to be emitted",
    ),
    (
        "order=none filter=inclusive late=4000 skew=-4000 parents=4",
        13,
        Size(rows=2, runs=0, writes=0, deaths=False),
        "children in no order, whose own bookmark is behind the floor of all, came again from the floor on",
    ),
    (
        "filter=inclusive clock=0 parents=4",
        1,
        Size(),
        "children whose API shows no clock were never bookmarked, and nobody was told",
    ),
    (
        "order=none filter=inclusive paginator=offset late=2000 future=5000 skew=-4000 zone=-210 ids=text",
        926675,
        Size(),
        "a record that moved by one place was taken for pages that go in a circle",
    ),
    (
        "filter=inclusive paginator=offset precision=1000 page=3 late=4000 skew=-4000 writing=epoch_s unstable_ties=1 window=8",
        910157,
        Size(),
        "a tie without order slipped through pages that overlap",
    ),
    (
        "order=desc filter=none paginator=offset unstable_ties=1",
        913786,
        Size(),
        "a tie without order slipped over the seam of a falling list whose pages overlap",
    ),
    (
        "order=none hidden=oldest filter=inclusive paginator=offset page=3 unstable_ties=1 total=1",
        912520,
        Size(),
        "a list whose order is another at each question was believed for its overlap",
    ),
    (
        "filter=inclusive tick=60000 precision=60000 page=2 duplicates=1 overlap=1 faults=1",
        933946,
        Size(rows=60, runs=12),
        "a run that went on longer than the minute by which the API counts, and no lag was declared",
    ),
    (
        "filter=inclusive paginator=page_number page=3 unstable_ties=1",
        2025666,
        Size(),
        "another order of a tie looked like a record that others pushed over the seam",
    ),
    (
        "filter=inclusive paginator=page_number page=3 unstable_ties=1",
        2035377,
        Size(),
        "a tie without order was believed after one reading",
    ),
    (
        "filter=inclusive paginator=offset tick=1 page=3 writing=text_ms unstable_ties=1 total=1 window=12 step=3000 declared=1",
        2021734,
        Size(),
        "a seam of a range lay within a tie without order",
    ),
    (
        "filter=inclusive paginator=offset tick=1 page=3 future=90000 total=1 window=12 step=3000 declared=1",
        2025010,
        Size(),
        "a page that overlaps the one before it reached beyond the result window",
    ),
    (
        "filter=inclusive precision=1000 late=4000 future=3000 skew=-4000 short_pages=1 empty_pages=1 has_more=1 overlap=1 initial=1 faults=1 parents=6 concurrency=3",
        2014485,
        Size(),
        "the floor of all children fell behind the initial value",
    ),
    (
        "filter=inclusive page=4 future=3000 short_pages=1 total=1 window=15 faults=1 declared=1",
        2048645,
        Size(),
        "a page behind short ones reached beyond the result window",
    ),
    (
        "order=desc filter=none tick=1 late=1500 future=3000 skew=-4000 writing=text_ms overlap=1 initial=1",
        2046505,
        Size(),
        "a record that came on two pages of a falling list was told twice",
    ),
    (
        "order=desc filter=inclusive paginator=page_number page=2 late=1500 future=3000 zone=-210 unstable_ties=1 step=3000 concurrency=2",
        2052151,
        Size(),
        "a seam of one of several ranges lay within a tie",
    ),
    (
        "order=desc filter=exclusive paginator=page_number total=1",
        33162,
        Size(writes=6),
        "a seam that the next one belied was kept in STATE",
    ),
    (
        "order=desc filter=none late=3000 lookback=1",
        300496,
        Size(),
        "what came late to an interrupted pass was thought to be emitted before the next one had read it",
    ),
]


@pytest.mark.parametrize(
    ("quirks", "seed", "size", "once"),
    [*((quirks, seed, Size(), once) for quirks, seed, once in SEEDS), *SIZED],
    ids=[once for _, _, once in SEEDS] + [once for *_, once in SIZED],
)
def test_a_schedule_that_failed_once_breaks_no_promise_any_more(quirks: str, seed: int, size: Size, once: str) -> None:
    assert Schedule(parsed(quirks), seed, size).play().findings == [], once


def test_no_fault_is_open() -> None:
    assert OPEN_FAULTS == ()


def test_a_longer_schedule_than_usual_breaks_no_promise_either() -> None:
    for text in (
        "paginator=cursor page=20",
        "filter=inclusive page=20",
        "order=desc filter=none page=20 paginator=offset",
    ):
        assert Schedule(parsed(text), 3, Size(rows=600, runs=12)).play().findings == []
