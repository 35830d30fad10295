"""Stream walks: sub-walks that may go at once, and what their stream may say in STATE of them together.

A stream walk gives out sub-walks (a parent's children, a slice of time), and translates each sub-walk's step into the
stream's: the bookmark of a step is what STATE may say of the whole stream once the step's records are written,
whichever sub-walk it was that moved. One thread runs a stream walk; only pages are fetched beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from msgspec import Struct

from tap_restextract.errors import AnswerError
from tap_restextract.walks.steps import Step, Steps


class SubWalk(Struct, eq=False):
    """One walk of a stream, by the name of its part."""

    steps: Steps
    name: str = ""


class StreamWalk(Protocol):
    """Sub-walks, and the stream's view of them."""

    def next(self) -> SubWalk | None:
        """Return a sub-walk that may start now; None where there is none, for now or for good."""
        ...

    def translate(self, sub_walk: SubWalk, step: Step) -> Step:
        """Translate a sub-walk's step (its bookmark) into one of the whole stream."""
        ...

    def recover(self, sub_walk: SubWalk, error: AnswerError) -> Step | None:
        """Return what the sub-walk's error means for the stream; None where the stream can't go on."""
        ...


@dataclass(slots=True)
class SingleWalk:
    """A stream walk of one sub-walk, which is the stream's."""

    steps: Steps
    started: bool = field(default=False, init=False)

    def next(self) -> SubWalk | None:
        """Return a sub-walk that may start now; None where there is none, for now or for good."""
        if self.started:
            return None
        self.started = True
        return SubWalk(self.steps)

    def translate(self, sub_walk: SubWalk, step: Step) -> Step:
        """Translate a sub-walk's step (its bookmark) into one of the whole stream."""
        del sub_walk
        return step

    def recover(self, sub_walk: SubWalk, error: AnswerError) -> None:
        """Return what the sub-walk's error means for the stream; None where the stream can't go on."""
        del sub_walk, error
