"""Group commit: requests that wait for the disk together.

Theory of operation. One thread owns the queue. It takes every request that has come meanwhile, up to a batch, stores
them at once, and answers them all: while one batch is on its way to the disk the next gathers, so the more load there
is, the more requests share a commit. What could not be stored is answered so, and nobody waits for ever: where too many
wait already, or the queue is full, a request is refused at once.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from tap_restextract.errors import TapError
from tap_restextract.webhooks.notifications import Notification
from tap_restextract.webhooks.queues.protocol import Queue
from tap_restextract.webhooks.signatures import Refusal

MAX_BATCH_NOTIFICATIONS: Final = 500
MAX_BATCH_BYTES: Final = 8_388_608
LOOK_SECONDS: Final = 1.0

Waiting = tuple[Sequence[Notification], "asyncio.Future[None]"]


class Committer:
    """Stores what requests bring; made within a running event loop."""

    def __init__(self, open_queue: Callable[[], Queue], max_pending: int, max_queued: int, log: logging.Logger) -> None:
        self._open = open_queue
        self._max_pending = max_pending
        self._max_queued = max_queued
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._waiting: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._pending = 0
        self._thread = threading.Thread(target=self._work, name="committer", daemon=True)
        self.length = 0
        self.ready = False
        self.batches = 0
        self.seconds = 0.0

    def start(self) -> None:
        """Begin to store."""
        self._thread.start()

    @property
    def is_full(self) -> bool:
        """Whether the queue holds as much as it may."""
        return self.length >= self._max_queued

    async def store(self, notifications: Sequence[Notification]) -> None:
        """Return once they are durable.

        Raises:
            Refusal: 503, with `queue_full`, `overloaded` or `queue_failed`: the sender should try again.
        """
        if self.is_full:
            raise Refusal("queue_full", 503)
        if self._pending >= self._max_pending:
            raise Refusal("overloaded", 503)
        future = self._loop.create_future()
        self._pending += 1
        self._waiting.put((notifications, future))
        try:
            await future
        finally:
            self._pending -= 1

    def close(self) -> None:
        """Store what is waiting, then let go of the queue."""
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        store: Queue | None = None
        looked = 0.0
        ended = False
        while not ended:
            batch, ended = self._gather()
            try:
                if store is None:
                    store = self._open()
                if batch:
                    self._store_batch(store, batch)
                if (now := time.monotonic()) - looked >= LOOK_SECONDS:
                    self.length, looked = store.length(), now
                self._is_ready(ready=True)
            except TapError as error:
                self._is_ready(ready=False, why=str(error))
                self._answer(batch, Refusal("queue_failed", 503))
            except Exception as error:  # noqa: BLE001  whatever it is, nobody may wait for ever, and the next batch may fare better
                self._is_ready(ready=False, why=type(error).__name__)
                self._answer(batch, Refusal("queue_failed", 503))
        if store is not None:
            store.close()

    def _gather(self) -> tuple[list[Waiting], bool]:
        """Return what has come, and whether it is the last."""
        batch: list[Waiting] = []
        size = count = 0
        try:
            waiting = self._waiting.get(timeout=LOOK_SECONDS)
            while waiting is not None:
                batch.append(waiting)
                count += len(waiting[0])
                size += sum(len(each.body) for each in waiting[0])
                if count >= MAX_BATCH_NOTIFICATIONS or size >= MAX_BATCH_BYTES:
                    return batch, False
                waiting = self._waiting.get_nowait()
        except queue.Empty:
            return batch, False
        return batch, True

    def _store_batch(self, store: Queue, batch: list[Waiting]) -> None:
        began = time.perf_counter()
        store.store([each for notifications, _ in batch for each in notifications])
        self.seconds += time.perf_counter() - began
        self.batches += 1
        self._answer(batch, None)

    def _answer(self, batch: list[Waiting], refusal: Refusal | None) -> None:
        if batch:
            self._loop.call_soon_threadsafe(_resolve, [future for _, future in batch], refusal)

    def _is_ready(self, *, ready: bool, why: str = "") -> None:
        """Keep it, and say so where it changes."""
        if ready != self.ready:
            self.ready = ready
            if ready:
                self._log.info("the queue of webhooks takes notifications")
            else:
                self._log.error("%s; senders get 503 until that is fixed", why)


def _resolve(futures: Sequence[asyncio.Future[None]], refusal: Refusal | None) -> None:
    for future in futures:
        if future.done():
            continue
        if refusal is None:
            future.set_result(None)
        else:
            future.set_exception(refusal)
