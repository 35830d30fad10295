"""What is lost in silence today, where an answer could show it: the work that is left to do for T5.

Each row is a fact that is false and a walk, with the smallest schedule that was found; `make simulate LIES=1` prints
such commands. A row is removed once the schedule is noticed, and none is added (tests/proofs/test_lies.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proofs.simulate.lying import SILENT
from proofs.simulate.schedule import Size


@dataclass(frozen=True)
class Silent:
    """What becomes of false facts in a walk, and a schedule that shows it.

    Attributes:
        verdict: how the schedule ends.
        lies: the names of the lies, separated by semicolons.
        walk: the walk that the configuration leads to.
        claimed: the quirks that the configuration states.
        instead: those of the API that are others.
        seed: of the schedule.
        size: of the schedule.
    """

    verdict: str
    lies: str
    walk: str
    claimed: str
    instead: str
    seed: int
    size: Size

    @property
    def fact(self) -> str:
        """The facts that are false."""
        return " + ".join(lie.partition(":")[0] for lie in self.lies.split(";"))

    @property
    def real(self) -> str:
        """The quirks of the API."""
        return f"{self.claimed} {self.instead}"


# A row is one line, so that its removal is one.
# fmt: off
STILL_SILENT: Final = (
    Silent(SILENT, "order of ties: another each time", "restart keyset", "filter=inclusive paginator=page_number null_request=1", "unstable_ties=1", 9756, Size(20, 4, 2, deaths=True)),
    Silent(SILENT, "paginator path: lies elsewhere;end mark: has_more is never true", "stable tokens", "filter=inclusive has_more=1 null_request=1 nulls_told=1", "renamed=following flag=never", 7395, Size(120, 3, 2, deaths=False)),
    Silent(SILENT, "paginator path: lies elsewhere;paging parameter: ignored", "stable tokens", "filter=inclusive", "ignored=token renamed=following", 7735, Size(20, 0, 0, deaths=False)),
    Silent(SILENT, "stable tokens: offsets in disguise", "stable tokens", "filter=inclusive", "stable=0", 6524, Size(120, 2, 1, deaths=False)),
    Silent(SILENT, "paging parameter: ignored;total: of the page", "windows", "filter=inclusive paginator=offset total=1 step=3000", "ignored=offset totals=page", 0, Size(120, 0, 0, deaths=False)),
    Silent(SILENT, "primary key: shared;end mark: has_more is inverted", "descending", "order=desc filter=exclusive paginator=page_number total=1 has_more=1 tie=rank", "flag=inverted same_ids=1", 6, Size(20, 0, 0, deaths=False)),
)
# fmt: on
