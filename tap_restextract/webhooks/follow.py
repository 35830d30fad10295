"""Listening: a pipe that stays open, and notifications that come out as they arrive.

Theory of operation. Each round emits what every stream's queue holds, then a STATE, at once where the last is long
enough ago, else when its time has come; then it waits until the queue says that there is more. A target that commits by
the clock may let a STATE wait until it sees another, so the last one is repeated, at growing intervals, while nothing
comes. What the target prints once it has committed may be read back, from the file that it goes to: then what it covers
leaves the queue while the pipe is open, else at the next start.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final

from tap_restextract.errors import QueueError, StateError
from tap_restextract.webhooks.drain import Drain
from tap_restextract.webhooks.queues.protocol import Queue
from tap_restextract.webhooks.stream import WebhookStream

WAIT_SECONDS: Final = 0.5
MAX_REPEAT_SECONDS: Final = 60.0
MAX_FAILING_SECONDS: Final = 60.0
READ_BACK_SECONDS: Final = 1.0


class StateFileTail:
    """The STATEs that a target printed, read from the file that its output goes to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._due = 0.0

    def latest(self) -> Mapping[str, Any] | None:
        """Return the last whole STATE since the last look; None where there is no new one, or it is too early to look.

        Raises:
            StateError: where a line isn't one.
        """
        if time.monotonic() < self._due or not self._path.exists():
            return None
        self._due = time.monotonic() + READ_BACK_SECONDS
        with self._path.open("rb") as file:
            file.seek(self._offset)
            lines = file.read().rpartition(b"\n")[0]
        if not lines.strip():
            return None
        self._offset += len(lines) + 1
        try:
            state = json.loads(lines.rpartition(b"\n")[2])
        except ValueError as error:
            raise StateError(
                f"the last line of {self._path} is not a STATE; give the file of the target's output"
            ) from error
        return state if isinstance(state, Mapping) else None


class StateThrottle:
    """When STATE is written: at once, but never more often than `every` seconds; and again while nothing comes."""

    def __init__(self, write: Callable[[], None], every: float) -> None:
        self._write = write
        self._every = every
        self._last = float("-inf")
        self._has_unwritten = False
        self._repeat = float("inf")
        self._pause = every

    def note_output(self) -> None:
        """Note that something was emitted that no STATE covers yet."""
        self._has_unwritten = True
        self._pause = self._every

    def due_in(self, now: float) -> float:
        """Return the seconds until a STATE is due."""
        return max(0.0, (self._last + self._every if self._has_unwritten else self._repeat) - now)

    def tick(self, now: float) -> None:
        """Write a STATE that is due."""
        if self.due_in(now) > 0:
            return
        self._write()
        self._last, self._has_unwritten = now, False
        self._pause = min(self._pause * 2, MAX_REPEAT_SECONDS)
        self._repeat = now + self._pause


def follow(
    streams: Sequence[WebhookStream],
    queue: Queue,
    *,
    every: float,
    committed: StateFileTail | None,
    ended: Callable[[], bool],
) -> None:
    """Emit what waits in the queue, and what comes, until it is time to end.

    Args:
        streams: to drain; one at least.
        queue: where notifications wait.
        every: seconds between two STATEs, at least.
        committed: the STATEs that the target has committed; None where they are not read back.
        ended: whether to end: once what was read is written, and its STATE.

    Raises:
        QueueError: where the queue stays away.
    """
    throttle = StateThrottle(streams[0].write_state, every)
    with ExitStack() as stack:
        drains = {stream: stack.enter_context(closing(stream.drain(queue))) for stream in streams}
        for stream in streams:
            stream._write_schema_message()  # noqa: SLF001  singer-sdk's own name for it
        failing_since: float | None = None
        while not ended():
            try:
                if failing_since is not None:
                    _resume(drains)
                    failing_since = None
                more = _emit_batches(drains, throttle)
                if committed is not None and (state := committed.latest()) is not None:
                    _acknowledge(drains, state)
                now = time.monotonic()
                throttle.tick(now)
                if not more:
                    positions = {stream.name: drain.position for stream, drain in drains.items()}
                    queue.wait(positions, min(WAIT_SECONDS, throttle.due_in(now)))
            except QueueError as error:
                now = time.monotonic()
                failing_since = failing_since or now
                if now - failing_since > MAX_FAILING_SECONDS:
                    raise
                streams[0].logger.warning("%s; trying again", error)
                throttle.tick(now)
                time.sleep(WAIT_SECONDS)
        throttle.note_output()
        throttle.tick(float("inf"))


def _emit_batches(drains: Mapping[WebhookStream, Drain], throttle: StateThrottle) -> bool:
    """Write each stream's next batch; whether any may have more."""
    any_more = False
    for stream, drain in drains.items():
        before = drain.position
        records, more = drain.next()
        any_more = any_more or more
        if drain.position != before:
            stream.emit(records)
            stream.keep_position(drain.bookmark)
            throttle.note_output()
    return any_more


def _resume(drains: Mapping[WebhookStream, Drain]) -> None:
    for drain in drains.values():
        drain.resume()


def _acknowledge(drains: Mapping[WebhookStream, Drain], state: Mapping[str, Any]) -> None:
    bookmarks = state.get("bookmarks", {})
    for stream, drain in drains.items():
        stored = bookmarks.get(stream.name) if isinstance(bookmarks, Mapping) else None
        if isinstance(stored, Mapping):
            drain.acknowledge(stored)
