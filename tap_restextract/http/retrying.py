"""The loop that tries again: it sleeps for as long as a pure schedule says (`exchange.retry.RetrySchedule`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import backoff

from tap_restextract.exchange.retry import MAX_BACKOFF_SECONDS, TransientError

Result = TypeVar("Result")


def with_retries(attempt: Callable[[], Result], next_wait: Callable[[TransientError], float | None]) -> Result:
    """Attempt until it succeeds, or until there is no next wait.

    Args:
        attempt: what may fail.
        next_wait: the seconds to wait after this failure; None to give up.

    Raises:
        TransientError: the last failure.
    """
    while True:
        try:
            return attempt()
        except TransientError as fault:
            seconds = next_wait(fault)
            if seconds is None:
                raise
        time.sleep(seconds)


def exponential_waits(max_attempts: int) -> Iterator[float]:
    """Yield the waits between so many attempts, in seconds: doubling, with full jitter."""
    waits = backoff.expo(max_value=MAX_BACKOFF_SECONDS)
    next(waits)  # the generator's first value is no wait
    for _ in range(max_attempts - 1):
        yield backoff.full_jitter(next(waits))
