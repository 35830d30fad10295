"""Fetching: a stream's sub-walks run in one thread, their pages are fetched beside it.

Theory of operation. All decisions are made by the caller's thread: it takes a page that has come, sends it into its
walk, hands the next request to a worker at once, and only then gives out the step to be written. So a page is on its
way while the one before is encoded, each walk sees its own pages in order, and nothing but fetching is concurrent. The
workers are daemons: a process that is asked to end doesn't wait for an answer in flight.

One interpreter runs one thread at a time, and a page is encoded without a pause: a request that was only handed over
would leave after the page. So the caller's thread waits until the request is about to leave, at most
`MAX_SEND_WAIT_SECONDS`, since a request may have to wait for its turn.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Final

from msgspec.structs import replace

from tap_restextract.errors import AnswerError
from tap_restextract.http.session import notify_when_sent, on_request_sent
from tap_restextract.walks.protocol import StreamWalk, SubWalk
from tap_restextract.walks.steps import Page, PageRequest, Step

Fetch = Callable[[PageRequest], Page]
MAX_SEND_WAIT_SECONDS: Final = 0.005


class PendingFetch:
    """A request and, once it is there, its page or the error that came instead."""

    __slots__ = ("_done", "_sent", "answered", "error", "page", "request")

    def __init__(self, request: PageRequest) -> None:
        self.request = request
        self.page: Page | None = None
        self.error: BaseException | None = None
        self.answered = False
        # Plain locks: a Future's condition costs as much as a small page.
        self._sent, self._done = threading.Lock(), threading.Lock()
        self._sent.acquire()
        self._done.acquire()

    def answer(self, fetch: Fetch) -> None:
        """Fetch the page; in a worker's thread."""
        notify_when_sent(self._sent.release)
        try:
            self.page = fetch(self.request)
        except BaseException as error:  # noqa: BLE001  it is raised again where the page is taken
            self.error = error
        self.answered = True
        self._done.release()
        on_request_sent()

    def wait_until_sent(self) -> None:
        """Block until the request has been sent, at most `MAX_SEND_WAIT_SECONDS`."""
        self._sent.acquire(timeout=MAX_SEND_WAIT_SECONDS)

    def result(self) -> Page:
        """Wait for the page; to be called once.

        Raises:
            BaseException: what fetching it raised.
        """
        self._done.acquire()
        if self.error is not None:
            raise self.error
        assert self.page is not None
        return self.page


class Workers:
    """Threads that fetch; one is started when no other is idle, up to `most`. One thread asks.

    Args:
        fetch: gets a page.
        most: threads.
        done: takes what was answered, in the order of the answers, where somebody waits for any of it.
    """

    def __init__(self, fetch: Fetch, max_threads: int, done: queue.SimpleQueue[PendingFetch] | None = None) -> None:
        self._fetch = fetch
        self._max_threads = max_threads
        self._submitted: queue.SimpleQueue[PendingFetch | None] = queue.SimpleQueue()
        self._started = 0
        self._open: list[PendingFetch] = []
        self._done = done

    def submit(self, request: PageRequest) -> PendingFetch:
        """Submit a request; return its page to come, once the request has left or waits for its turn."""
        pending = PendingFetch(request)
        self._open = [other for other in self._open if not other.answered]
        if len(self._open) >= self._started < self._max_threads:
            self._started += 1
            threading.Thread(target=self._work, name=f"pages {self._started}", daemon=True).start()
        self._open.append(pending)
        self._submitted.put(pending)
        pending.wait_until_sent()
        return pending

    def close(self) -> None:
        """Let every worker end once it has done what it is at."""
        for _ in range(self._started):
            self._submitted.put(None)

    def _work(self) -> None:
        while (pending := self._submitted.get()) is not None:
            pending.answer(self._fetch)
            if self._done is not None:
                self._done.put(pending)


class Prefetcher:
    """Asks for pages before their turn, where their requests are known by counting.

    It begins once the second page is asked for, with one page, and doubles with each that was wanted: a short list
    costs few requests too many, those after its end. What comes of a page that isn't asked for is dropped, errors too.
    """

    def __init__(self, fetch: Fetch, foresee: Callable[[PageRequest], PageRequest | None], max_threads: int) -> None:
        self._workers = Workers(fetch, max_threads)
        self._foresee = foresee
        self._max_threads = max_threads
        self._depth = 0
        self._pending: dict[PageRequest, PendingFetch] = {}

    def __call__(self, request: PageRequest) -> Page:
        """Return the page, which may have been asked for already; a probe says nothing of what comes next."""
        if request.probe:
            probing = self._workers.submit(request)
            on_request_sent()
            return probing.result()
        pending = self._pending.pop(request, None)
        if pending is None:
            # Counted otherwise than foreseen: what flies is of no use, and asking ahead begins again.
            self._pending.clear()
            self._depth = 1 if request.at is not None else 0
            pending = self._workers.submit(request)
        else:
            self._depth = min(2 * self._depth, self._max_threads - 1)
        guess: PageRequest | None = request
        for _ in range(self._depth):
            guess = None if guess is None else self._foresee(guess)
            if guess is not None and guess not in self._pending:
                self._pending[guess] = self._workers.submit(guess)
        on_request_sent()
        return pending.result()

    def close(self) -> None:
        """Ask for nothing more."""
        self._workers.close()


def run_walks(stream_walk: StreamWalk, fetch: Fetch, concurrency: int) -> Iterator[Step]:
    """Yield the stream's steps, in the order in which pages come.

    Args:
        stream_walk: the stream's sub-walks.
        fetch: gets a page; called by several threads at once.
        concurrency: walks at once.

    Raises:
        ApiError: what a fetch raised, without which the stream can't go on.
        WalkError: what a walk raised.
    """
    done: queue.SimpleQueue[PendingFetch] = queue.SimpleQueue()
    workers = Workers(fetch, concurrency, done)
    pending: dict[PendingFetch, SubWalk] = {}
    try:
        while True:
            while len(pending) < concurrency and (sub_walk := stream_walk.next()) is not None:
                yield _advance(stream_walk, sub_walk, next(sub_walk.steps), workers, pending)
            if not pending:
                return
            arrived = done.get()
            sub_walk = pending.pop(arrived)
            try:
                page = arrived.result()
            except AnswerError as error:
                step = stream_walk.recover(sub_walk, error)
                if step is None:
                    raise
                if step.request is not None:
                    pending[workers.submit(step.request)] = sub_walk
                yield step
            else:
                yield _advance(stream_walk, sub_walk, sub_walk.steps.send(page), workers, pending)
    finally:
        workers.close()
        for sub_walk in pending.values():
            sub_walk.steps.close()


def _advance(
    stream_walk: StreamWalk, sub_walk: SubWalk, step: Step, workers: Workers, pending: dict[PendingFetch, SubWalk]
) -> Step:
    if step.request is not None:
        pending[workers.submit(step.request)] = sub_walk
    translated = stream_walk.translate(sub_walk, step)
    return replace(translated, notices=step.notices) if step.notices else translated
