"""What is lost in silence today, where an answer could show it: the work that is left to do for T5; there is none.

A row is a fact that is false and a walk, with the smallest schedule that was found; `make simulate LIES=1` prints such
commands. A row is removed once the schedule is noticed, and none is added (tests/proofs/test_lies.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proofs.simulate.lies import LIES, Claim
from proofs.simulate.quirks import parsed
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

    @property
    def claim(self) -> Claim:
        """What the configuration states, and what the API does."""
        named = self.lies.split(";")
        return Claim(tuple(lie for lie in LIES if lie.name in named), parsed(self.claimed), parsed(self.real))


STILL_SILENT: Final[tuple[Silent, ...]] = ()
