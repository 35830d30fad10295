"""The order of ties: the check that records which share a replication key stand in an order of their tie-breaker.

Theory of operation. Where a `tie_breaker` is declared, a seam within a tie is believed: what stands before the last
record that is known was there before. An API that orders a tie another way at each request breaks that. Its pages
show it: numbers that rise within one tie and fall within another are in no order. Rising and falling ones are legal,
and so are numbers that are ordered as texts (10 before 9); texts are ordered by rules that nobody tells, and say
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from msgspec import Struct, field

from tap_restextract.errors import WalkError
from tap_restextract.exchange.paginators import is_stable
from tap_restextract.plan.plan import Plan, incremental_of, label_of
from tap_restextract.values.cursor import Rank
from tap_restextract.values.paths import find_each
from tap_restextract.walks.steps import Record

ORDERS: Final = (("as numbers", "rise"), ("as numbers", "fall"), ("as texts", "rise"), ("as texts", "fall"))


class TieOrder(Struct):
    """Looks at the ties of each page of a run.

    Attributes:
        left: the orders that no tie has contradicted.
    """

    plan: Plan
    left: set[tuple[str, str]] = field(default_factory=lambda: {*ORDERS})

    def check(self, records: Sequence[Record], ranks: Sequence[Rank | None]) -> None:
        """Compare the tie-breakers of neighbours that share a rank.

        Raises:
            WalkError: where no order is left.
        """
        tie = incremental_of(self.plan).tie_breaker
        if (
            tie is None
            or incremental_of(self.plan).order == "none"
            or is_stable(self.plan.stream.paginator)
            or len({*ranks}) == len(ranks)
        ):
            return
        placed = zip(ranks, find_each(tie, records), strict=True)
        for (rank_above, above), (rank_below, below) in pairwise(placed):
            if rank_above == rank_below and type(above) is type(below) is int and above != below:
                self.left -= {
                    ("as numbers", "fall" if above < below else "rise"),
                    ("as texts", "fall" if str(above) < str(below) else "rise"),
                }
                if not self.left:
                    raise self._error(tie, above, below)

    def _error(self, tie: str, above: Any, below: Any) -> WalkError:
        key = incremental_of(self.plan).cursor_path
        return WalkError(
            f"{label_of(self.plan)}: records that share {key} stand in no order of {tie}: {above} is before {below}, and others before them stood "
            f"the other way; make the request sort by {key} and {tie}, or leave tie_breaker out, so that no page may end within a tie"
        )
