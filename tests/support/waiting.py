"""The one place that polls."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def wait_until(
    condition: Callable[[], Found],
    seconds: float = 60,
    *,
    what: str | Callable[[], str],
    every: float = 0.01,
    effort: Callable[[], float] = float,
) -> Found:
    """Ask the condition again and again until its answer is true, and return that answer.

    Args:
        condition: may raise, which ends the wait at once.
        seconds: after which the wait fails; the machine may be busy.
        what: names what is waited for, or is called for that name, in the error.
        every: seconds between two questions.
        effort: how much has been done; where it has grown when the seconds are over, as many are added.
    """
    deadline, done = time.monotonic() + seconds, effort()
    while not (found := condition()):
        if time.monotonic() > deadline:
            before, done = done, effort()
            if done <= before:
                raise AssertionError(f"after {seconds} s still not: {what if isinstance(what, str) else what()}")
            deadline = time.monotonic() + seconds
        time.sleep(every)
    return found
