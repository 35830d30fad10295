"""Whether an answer is good, worth another try, or refused, and when another try is due: pure decisions.

`Retry-After` (RFC 9110, 10.2.3) is read as seconds and as a date, and obeyed whole; without it the waits double from
one second to a minute, with full jitter added by the caller.
"""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Mapping
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import Any, Final

from msgspec import Struct

TRANSIENT: Final = frozenset({408, 425})
MAX_BACKOFF_SECONDS: Final = 60.0
SECONDS: Final = re.compile(r"^[0-9]+(\.[0-9]+)?$")  # some servers write fractions, against the RFC


class Verdict(enum.Enum):
    """What to do with an answer."""

    ACCEPT = "accept"
    RETRY = "retry"
    RATE_LIMITED = "rate limited"
    IGNORE = "ignore"
    REDIRECT = "redirect"
    UNCHANGED = "unchanged"
    UNAUTHORIZED = "unauthorized"
    REFUSE = "refuse"


class TransientError(Exception):
    """A fault that another try may pass.

    Attributes:
        reason: the fault in words, without an address.
        wait: seconds that the server asks to wait; None where it doesn't say.
        limited: a rate limit, which doesn't count as a failed try.
        said: the answer's body where it may hold the API's own words; None otherwise.
    """

    def __init__(self, reason: str, wait: float | None = None, *, limited: bool = False, said: Any = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait = wait
        self.limited = limited
        self.said = said


class RetrySchedule(Struct):
    """The waits between the tries of one request.

    Attributes:
        max_attempts: failed tries after which it gives up; rate limits don't count.
        failed: failed tries until now.
        waits: waits until now.
        limited_seconds: the seconds waited for rate limits until now.
    """

    max_attempts: int
    failed: int = 0
    waits: int = 0
    limited_seconds: float = 0.0

    def next_wait(self, fault: TransientError, jitter: float) -> float | None:
        """Return the seconds to wait after a fault; None to give up.

        Args:
            fault: the last try's.
            jitter: from 0 to 1, how much is waited of the second half of a backoff.
        """
        self.failed += not fault.limited
        if self.failed >= self.max_attempts:
            return None
        self.waits += 1
        # A server that says "now" without end is asked more slowly after some time.
        longest = max_backoff(self.waits if fault.wait is None else self.waits - self.max_attempts)
        backs_off = fault.wait is None or self.waits > self.max_attempts
        seconds = max(fault.wait or 0.0, (1 + jitter) * longest / 2 if backs_off else 0.0)
        self.limited_seconds += seconds if fault.limited else 0.0
        return seconds


def verdict(status: int) -> Verdict:
    """Return what an HTTP status asks for: 408, 425, 429 and 5xx pass; other 4xx don't."""
    if 200 <= status < 300:
        return Verdict.ACCEPT
    if status == 429:
        return Verdict.RATE_LIMITED
    if status in TRANSIENT or status >= 500:
        return Verdict.RETRY
    if status in {301, 302, 303, 307, 308}:
        return Verdict.REDIRECT
    if status == 304:
        return Verdict.UNCHANGED
    return Verdict.UNAUTHORIZED if status == 401 else Verdict.REFUSE


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that the server asks to wait; None where it doesn't say.

    Args:
        headers: under lower-case names.
        now: this moment by this machine's clock, in seconds since the epoch, for an answer without a Date.
    """
    text = headers.get("retry-after", "").strip()
    if SECONDS.match(text):
        return float(text)
    until = http_date(text)
    if until is None:
        return None
    return max(0.0, until - (http_date(headers.get("date", "")) or now))


@functools.lru_cache(maxsize=64)
def http_date(text: str) -> float | None:
    """Return an HTTP date in seconds since the epoch; None for anything else."""
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


def max_backoff(attempt: int) -> float:
    """Return the most seconds to wait before another try, where the server doesn't say; the first attempt is 1."""
    return min(MAX_BACKOFF_SECONDS, 2.0 ** (attempt - 1))
