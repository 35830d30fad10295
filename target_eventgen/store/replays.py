"""Which records of a run repeat those that another run has recorded: replays within one instant.

Theory of operation. A version older than its row is dropped, and one equal to it is not a transition, so a replay of
these needs no thought. What needs it are several contents of one row at one instant (equal versions, or a stream
without any): A, B, sent once more, would be taken for B, A, B.

So a row remembers the contents of its present instant, and which run recorded the last of them, as its *instant
history*. Another run may repeat some part of it, up to its end, and then go on: it begins from an older STATE, or reads
some time back. How much of it comes in which checkpoint is chance. So the run's records of the row are *parked*, in
`eventgen.parked`, while they are a piece of the history that has not reached the history's end yet; and judged again
together with those that follow:

- they reach the history's end: all of them were a repetition, and nothing happens. What this run sends from here on is
  new;
- other contents follow, or a later instant, or the input ends: then the records were not a repetition. Each of them is
  a change, in its order, but for a beginning that repeats the history's end.

So a source that sends the same records again from some point on, as a log does, has each recorded once, wherever the
checkpoints were cut. A source that gives each row's present state, and whose row went back to a content of the same
instant, is followed too, if only at the end of the run. What no data can decide: a row that went A, B, and in the next
run A, B once more within one instant. That is taken for the repetition which it looks like.

Of a stream without versions all time is one instant, where A, B and again A, B is nothing strange. But such a stream is
read once more only from a STATE that did not get as far: a run that ends well, with a STATE after all its records, is
not replayed, and its histories are over. A run that was killed, or whose input has no STATE, leaves its number in
`eventgen.runs`.

A record that doesn't mention all properties is judged by what it makes of the row as it is now. Where some records of
one instant mention these properties and others those, a repetition may not be recognised.

What a run had parked when it was killed is replaced by the next run's records of the same key; where none come, it is
judged at the end of the next run that reads the stream to its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Final, NamedTuple

MAX_HISTORY_CONTENTS: Final = 16
"""Contents of one instant that a row remembers; the last ones."""


class ReplayVerdict(NamedTuple):
    """What a run's records of a row are.

    Attributes:
        repeated: how many of the first ones are a repetition.
        parked: whether all of them must wait for more.
    """

    repeated: int
    parked: bool


def judge(history: Sequence[int], sent: Sequence[int], *, ended: bool) -> ReplayVerdict:
    """Return how many of a run's records of a row at its instant are a repetition.

    Args:
        history: hashes of the row's contents, the present one last.
        sent: hashes of the contents that a new run gives the row, in their order.
        ended: whether nothing more of this instant can come.
    """
    runs = [(hash_, len(list(same))) for hash_, same in groupby(sent)]
    steps = [hash_ for hash_, _ in runs]
    if not ended and _is_underway(list(history), steps):
        return ReplayVerdict(0, parked=True)
    repeated = 0
    for step in range(1, len(steps) + 1):
        last = steps[max(0, step - len(history)) : step]
        if last == list(history[-step:]) and (step <= len(history) or len(history) >= MAX_HISTORY_CONTENTS):
            repeated = step
    return ReplayVerdict(sum(count for _, count in runs[:repeated]), parked=False)


def _is_underway(history: list[int], steps: list[int]) -> bool:
    """Return whether these contents are a piece of the history that ends before the history does."""
    count = len(steps)
    if any(history[first : first + count] == steps for first in range(len(history) - count)):
        return True
    # Of a long history the beginning is forgotten: only the last contents may be among the remembered ones.
    forgotten = len(history) >= MAX_HISTORY_CONTENTS
    return forgotten and any(steps[-known:] == history[:known] for known in range(1, min(count, len(history) - 1) + 1))
