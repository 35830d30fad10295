"""The driver: a fleet's walks in one thread, their pages fetched beside it.

Theory of operation. All decisions are made by the caller's thread: it takes a page that has come, sends it into its
walk, hands the next question to a worker at once, and only then gives out the step to be written. So a page is on its
way while the one before is encoded, each walk sees its own pages in order, and nothing but fetching is concurrent. The
workers are daemons: a process that is told to end doesn't wait for an answer in flight.

One interpreter runs one thread at a time, and a page is encoded without a pause: a question that was only handed over would
leave after the page. So the caller's thread waits until it is about to leave, but not longer than `DEPARTURE_SECONDS`, since
a request may have to wait for its turn.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Final

from tap_restextract.errors import AnswerError
from tap_restextract.http.session import before_departure, departed
from tap_restextract.walks.protocol import Fleet, Unit
from tap_restextract.walks.steps import Ask, Page, Step

Fetch = Callable[[Ask], Page]
DEPARTURE_SECONDS: Final = 0.005


class Call:
    """A question and, once it is there, its page or the error that came instead."""

    __slots__ = ("_done", "_leaving", "answered", "ask", "error", "page")

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.page: Page | None = None
        self.error: BaseException | None = None
        self.answered = False
        # Plain locks: a Future's condition costs as much as a small page.
        self._leaving, self._done = threading.Lock(), threading.Lock()
        self._leaving.acquire()
        self._done.acquire()

    def answer(self, fetch: Fetch) -> None:
        """Fetch the page; in a worker's thread."""
        before_departure(self._leaving.release)
        try:
            self.page = fetch(self.ask)
        except BaseException as error:  # noqa: BLE001  it is raised again where the page is taken
            self.error = error
        self.answered = True
        self._done.release()
        departed()

    def left(self) -> None:
        """Wait until its request is about to leave, or for so long that it must have to wait for its turn."""
        self._leaving.acquire(timeout=DEPARTURE_SECONDS)

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

    def __init__(self, fetch: Fetch, most: int, done: queue.SimpleQueue[Call] | None = None) -> None:
        self._fetch = fetch
        self._most = most
        self._asked: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._started = 0
        self._open: list[Call] = []
        self._done = done

    def ask(self, ask: Ask) -> Call:
        """The page to come, its request on its way or waiting for its turn."""
        call = Call(ask)
        self._open = [other for other in self._open if not other.answered]
        if len(self._open) >= self._started < self._most:
            self._started += 1
            threading.Thread(target=self._work, name=f"pages {self._started}", daemon=True).start()
        self._open.append(call)
        self._asked.put(call)
        call.left()
        return call

    def close(self) -> None:
        """Let every worker end once it has done what it is at."""
        for _ in range(self._started):
            self._asked.put(None)

    def _work(self) -> None:
        while (call := self._asked.get()) is not None:
            call.answer(self._fetch)
            if self._done is not None:
                self._done.put(call)


class Ahead:
    """Asks for pages before their turn, where their questions are known by counting.

    It begins once the second page is asked for, with one page, and doubles with each that was wanted: a short list costs
    few requests too many, those behind its end. What comes of a page that isn't asked for is dropped, errors too.
    """

    def __init__(self, fetch: Fetch, foresee: Callable[[Ask], Ask | None], most: int) -> None:
        self._workers = Workers(fetch, most)
        self._foresee = foresee
        self._most = most
        self._depth = 0
        self._flying: dict[Ask, Call] = {}

    def __call__(self, ask: Ask) -> Page:
        """The page, perhaps asked for already."""
        call = self._flying.pop(ask, None)
        if call is None:
            # Counted otherwise than foreseen: what flies is of no use, and asking ahead begins anew.
            self._flying.clear()
            self._depth = 1 if ask.at is not None else 0
            call = self._workers.ask(ask)
        else:
            self._depth = min(2 * self._depth, self._most - 1)
        guess: Ask | None = ask
        for _ in range(self._depth):
            guess = None if guess is None else self._foresee(guess)
            if guess is not None and guess not in self._flying:
                self._flying[guess] = self._workers.ask(guess)
        departed()
        return call.result()

    def close(self) -> None:
        """Ask for nothing more."""
        self._workers.close()


def driven(fleet: Fleet, fetch: Fetch, concurrency: int) -> Iterator[Step]:
    """The stream's steps, in the order in which pages come.

    Args:
        fleet: the walks.
        fetch: gets a page; called by several threads at once.
        concurrency: walks at once.

    Raises:
        ApiError: what a fetch raised and the fleet can't go on without.
        WalkError: what a walk raised.
    """
    done: queue.SimpleQueue[Call] = queue.SimpleQueue()
    workers = Workers(fetch, concurrency, done)
    flying: dict[Call, Unit] = {}
    try:
        while True:
            while len(flying) < concurrency and (unit := fleet.next()) is not None:
                yield _advanced(fleet, unit, next(unit.steps), workers, flying)
            if not flying:
                return
            call = done.get()
            unit = flying.pop(call)
            try:
                page = call.result()
            except AnswerError as error:
                step = fleet.absorbs(unit, error)
                if step is None:
                    raise
                if step.ask is not None:
                    flying[workers.ask(step.ask)] = unit
                yield step
            else:
                yield _advanced(fleet, unit, unit.steps.send(page), workers, flying)
    finally:
        workers.close()
        for unit in flying.values():
            unit.steps.close()


def _advanced(fleet: Fleet, unit: Unit, step: Step, workers: Workers, flying: dict[Call, Unit]) -> Step:
    if step.ask is not None:
        flying[workers.ask(step.ask)] = unit
    return fleet.taken(unit, step)
