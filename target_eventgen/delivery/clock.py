"""The clock of a relay, which tests and campaigns hold or speed up."""

from __future__ import annotations

import threading
import time


class Clock:
    """The machine's clock."""

    def now(self) -> float:
        """Return seconds that only grow."""
        return time.monotonic()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait for an event, so many seconds at most; return whether it is set."""
        return event.wait(seconds)
