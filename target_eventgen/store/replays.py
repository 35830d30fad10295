"""Whether what a run says of a row was told before it, by another run.

Theory of operation. A version older than its row is dropped, and one equal to it is no transition, so a replay of these
needs no thought. What needs it are several contents of one row at one instant (equal versions, or a stream without any):
A, B, sent once more, would be taken for B, A, B.

So a row remembers the contents of its present instant, and which run told the last of them, as its *story*. Another run
may tell some part of it again, up to its end, and then go on: it begins from an older STATE, or reads some time back. How
much of it comes in which checkpoint is chance. So what it says of the row is *held back*, in `eventgen.held`, while it is
a piece of the story that has not reached the end yet; and judged again together with what follows:

- it reaches the story's end: all of it was a repetition, and nothing happens. What this run says from here on is new;
- it says something else, or of a later instant, or its input ends: then it was no repetition. Each of its words is a
  change, in its order, but for a beginning that repeats the story's end.

So a source that sends the same records again from some place on, as a log does, is told once, wherever the checkpoints
were cut. A source that gives each row's present state, and whose row went back to a content of the same instant, is
followed too, if only at the end of the run. What no data can decide: a row that went A, B, and in the next run A, B once
more within one instant. That is taken for the repetition which it looks like.

Of a stream without versions all time is one instant, where A, B and again A, B is nothing strange. But such a stream is read
once more only from a STATE that did not get as far: a run that ends well, with a STATE behind all its records, is heard
no more, and its stories are over. A run that was killed, or whose input has no STATE, leaves its number in `eventgen.runs`.

A record that doesn't mention all properties is judged by what it makes of the row as it is now. Where some records of one
instant mention these and others those, a repetition may not be recognised.

A run that is killed while it holds something back is replaced by the next one's words; where there are none, those that
it left are judged at the end of the next run that reads the stream to its end.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_STORY = 16
"""Contents of one instant that a row remembers; the last ones."""


class Retelling(NamedTuple):
    """What a run's words are: how many of the first ones are a repetition, and whether all must wait for more."""

    told: int
    held: bool


def judge(story: Sequence[int], said: Sequence[int], *, ended: bool) -> Retelling:
    """Return how much of what a run says of a row at its instant was told before.

    Args:
        story: hashes of the row's contents, the present one last.
        said: hashes of the contents that a new run gives it, in their order.
        ended: whether nothing more of this instant can come.
    """
    runs = [(hash_, len(list(same))) for hash_, same in groupby(said)]
    steps = [hash_ for hash_, _ in runs]
    if not ended and _is_underway(list(story), steps):
        return Retelling(0, held=True)
    told = 0
    for step in range(1, len(steps) + 1):
        heard = steps[max(0, step - len(story)) : step]
        if heard == list(story[-step:]) and (step <= len(story) or len(story) >= LONGEST_STORY):
            told = step
    return Retelling(sum(count for _, count in runs[:told]), held=False)


def _is_underway(story: list[int], steps: list[int]) -> bool:
    """Return whether these are a piece of the story that ends before its end."""
    count = len(steps)
    if any(story[first : first + count] == steps for first in range(len(story) - count)):
        return True
    # Of a long story the beginning is forgotten: only the last words may be in what is remembered.
    forgotten = len(story) >= LONGEST_STORY
    return forgotten and any(steps[-known:] == story[:known] for known in range(1, min(count, len(story) - 1) + 1))
