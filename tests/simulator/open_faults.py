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
        lambda quirks: quirks.filter == "sweep",
        frozenset({FALSE_DELETION}),
        "order=desc filter=sweep paginator=offset",
        28209,
    ),
    OpenFault(
        "a list that falls and holds nothing from the initial value on yet is bookmarked before it",
        lambda quirks: quirks.initial and quirks.order == "desc",
        frozenset({REPEAT}),
        "order=desc filter=none tick=1 initial=1",
        22072,
    ),
)


def is_open(quirks: Quirks, kinds: list[str]) -> bool:
    """Whether these findings are those of an open fault."""
    return bool(kinds) and any(fault.needs(quirks) and fault.kinds.issuperset(kinds) for fault in OPEN_FAULTS)
