"""Fleets: walks that may go at once, and what their stream may say in STATE of them together.

A fleet gives out units, each a walk of its own (a parent's children, a slice of time), and turns each unit's step into
the stream's: the bookmark of a step is what STATE may say of the whole stream once the step's records are written,
whichever unit it was that moved. A fleet is driven by one thread; only pages are fetched beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from tap_restextract.errors import AnswerError
from tap_restextract.walks.steps import Step, Steps


@dataclass(eq=False, slots=True)
class SubWalk:
    """One walk of a fleet."""

    steps: Steps
    name: str = ""


class StreamWalk(Protocol):
    """Units, and the stream's view of them."""

    def next(self) -> SubWalk | None:
        """A unit that may start now; None where there is none, for now or for good."""
        ...

    def translate(self, sub_walk: SubWalk, step: Step) -> Step:
        """The unit's step as the stream's."""
        ...

    def recover(self, sub_walk: SubWalk, error: AnswerError) -> Step | None:
        """What the unit's error means for the stream, where the fleet can go on without it."""
        ...


@dataclass(slots=True)
class SingleWalk:
    """A fleet of one walk, which is the stream's."""

    steps: Steps
    started: bool = field(default=False, init=False)

    def next(self) -> SubWalk | None:
        """The walk, once."""
        if self.started:
            return None
        self.started = True
        return SubWalk(self.steps)

    def translate(self, sub_walk: SubWalk, step: Step) -> Step:
        """The step as it is."""
        del sub_walk
        return step

    def recover(self, sub_walk: SubWalk, error: AnswerError) -> None:
        """Nothing."""
        del sub_walk, error
