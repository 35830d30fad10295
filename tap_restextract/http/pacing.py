"""The clock of `rates`: what makes every thread of a tap wait for its turn at one API.

Theory of operation. A request counts as in flight from the moment its departure is settled. A pacer belongs to a host
and the credentials used there, since that is what APIs count by; streams and threads share it. A thread settles its
departure under the lock and sleeps outside of it. When the API asks for a pause meanwhile, the sleeper settles again. A
wait that the API asks for beyond `max_wait` isn't begun: the run ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from tap_restextract.exchange import rates
from tap_restextract.exchange.rates import Pace, Quota


class TooLongError(Exception):
    """The API's quota is empty for longer than a run waits."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"{seconds:.0f} s")
        self.seconds = seconds


class Pacer:
    """The pace of all requests to one API with the same credentials."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._pace = Pace()
        self._flying = 0
        self._lock = threading.Lock()

    def wait(self, spacing: float, max_wait: float, on_wait: Callable[[float], None] = lambda _: None) -> None:
        """Wait for this request's turn.

        Args:
            spacing: the seconds between two requests that the configuration asks for.
            max_wait: the most seconds to wait for the API's quota.
            on_wait: called with each wait, in seconds.

        Raises:
            TooLongError: where the quota is empty for longer.
        """
        while True:
            with self._lock:
                now = self._clock()
                if self._pace.not_before - now > max_wait:
                    raise TooLongError(self._pace.not_before - now)
                at = rates.departure(self._pace, spacing, now)
                self._pace = rates.departed(self._pace, at)
                self._flying += 1
                if at <= now:
                    return
            on_wait(at - now)
            self._sleep(at - now)
            with self._lock:
                if self._pace.not_before <= at:
                    return
                self._flying -= 1

    def answered(self, quotas: tuple[Quota, ...] = ()) -> None:
        """Count a request as over, and learn from the quotas of its answer."""
        with self._lock:
            self._flying -= 1
            self._pace = rates.learned(self._pace, quotas, self._clock(), self._flying)

    def pause(self, seconds: float) -> None:
        """Make everyone wait, as the API asked."""
        with self._lock:
            self._pace = rates.paused(self._pace, self._clock() + seconds)


class Pacers:
    """The pacers of one tap: one for each host and way to authenticate there."""

    def __init__(self) -> None:
        self._pacers: dict[object, Pacer] = {}
        self._lock = threading.Lock()

    def of(self, identity: object) -> Pacer:
        """Return the pacer of those who share this identity."""
        with self._lock:
            return self._pacers.setdefault(identity, Pacer())
