"""Faults of the walks that the simulator found and that aren't mended yet: campaigns count them apart.

Each has a schedule that shows it, which a test expects to fail: with the repair its entry here must go.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tests.simulator.quirks import Quirks
from tests.simulator.schedule import FALSE_DELETION, HOLE, REPEAT, UNSAFE, Size


@dataclass(frozen=True)
class OpenFault:
    """A fault by what it needs, what it shows, and a schedule that shows it."""

    name: str
    needs: Callable[[Quirks], bool]
    kinds: frozenset[str]
    quirks: str
    seed: int
    size: Size = field(default_factory=Size)


def rare(_: Quirks) -> bool:
    """Never: it shows too seldom for a campaign to pass over what looks like it."""
    return False


OPEN_FAULTS: Final = (
    OpenFault(
        "a tie over the seam of two counted pages, without a tie-breaker, is read in an order that came back by chance",
        lambda quirks: quirks.unstable_ties and quirks.order == "asc" and not quirks.timeless,
        frozenset({HOLE, UNSAFE, REPEAT}),
        "filter=inclusive paginator=page_number page=3 unstable_ties=1",
        20614,
    ),
    OpenFault(
        "a record that moves while a list is swept, and so is in no page, is told as deleted",
        lambda quirks: quirks.swept,
        frozenset({FALSE_DELETION}),
        "order=desc filter=sweep paginator=offset",
        28209,
    ),
    OpenFault(
        "a list that falls shifts to and fro between the three questions that check a seam",
        rare,
        frozenset({HOLE, UNSAFE}),
        "order=desc filter=none paginator=offset",
        57722,
        Size(rows=250, runs=3),
    ),
    OpenFault(
        "a wide tie shifts to and fro between the three questions that check a seam",
        rare,
        frozenset({HOLE, UNSAFE}),
        "filter=inclusive paginator=offset tick=60000 page=10",
        75785,
    ),
    OpenFault(
        "records without time, which have a request of their own, are told as deleted by the sweep of all others",
        lambda quirks: quirks.null_request and quirks.audit,
        frozenset({HOLE, UNSAFE, REPEAT, FALSE_DELETION}),
        "null_request=1 audit=1",
        0,
    ),
    OpenFault(
        "children whose filter is coarser than their values come again when all are bookmarked by one floor",
        lambda quirks: bool(quirks.parents) and quirks.precision > 1,
        frozenset({REPEAT}),
        "filter=inclusive precision=60000 parents=4",
        1233,
        Size(rows=2, runs=0, writes=0, deaths=False),
    ),
    OpenFault(
        "a lookback reaches behind the initial value, so that records before it come out",
        lambda quirks: quirks.lookback and quirks.initial,
        frozenset({REPEAT}),
        "filter=inclusive initial=1 lookback=1",
        6,
        Size(rows=20, runs=0, writes=0, deaths=False),
    ),
    OpenFault(
        "a lookback without a clock moves the bookmark over what came late while the run went on",
        lambda quirks: quirks.lookback and not quirks.clock,
        frozenset({HOLE, UNSAFE}),
        "filter=inclusive paginator=offset late=2000 clock=0 lookback=1",
        30,
    ),
    OpenFault(
        "what comes late into the stretch of an interrupted pass down the list is thought to be emitted",
        lambda quirks: quirks.lookback and quirks.order == "desc",
        frozenset({HOLE, UNSAFE, REPEAT}),
        "order=desc filter=none late=3000 lookback=1",
        17,
        Size(rows=40, runs=4, writes=1),
    ),
    OpenFault(
        "children in no order, whose own bookmark is behind the floor of all, come again from the floor on",
        lambda quirks: bool(quirks.parents) and quirks.order == "none",
        frozenset({REPEAT}),
        "order=none filter=inclusive late=4000 skew=-4000 parents=4",
        13,
        Size(rows=2, runs=0, writes=0, deaths=False),
    ),
    OpenFault(
        "children whose API shows no clock are never bookmarked, and nobody is told",
        lambda quirks: bool(quirks.parents) and not quirks.clock,
        frozenset({REPEAT}),
        "filter=inclusive clock=0 parents=4",
        1,
    ),
)


def is_open(quirks: Quirks, kinds: list[str]) -> bool:
    """Whether these findings are those of an open fault."""
    return bool(kinds) and any(fault.needs(quirks) and fault.kinds.issuperset(kinds) for fault in OPEN_FAULTS)
