"""Plays production's walks a page at a time, from any of their positions, and knows two that go on alike."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from proofs.simulate.facts import source_of
from proofs.simulate.frozen import dump_of, frozen, restore
from proofs.simulate.quirks import Quirks
from proofs.simulate.small_api import SmallApi
from tap_restextract.errors import AnswerError, TapError
from tap_restextract.hash_cache.sqlite import SqliteHashes
from tap_restextract.plan.bookmarks.state import checkpointed
from tap_restextract.plan.plan import Plan
from tap_restextract.walks.protocol import StreamWalk, SubWalk
from tap_restextract.walks.steps import Page, PageRequest, Step
from tap_restextract.walks.table import stream_walk_for

NOW: Final = "2024-01-01T00:00:00+00:00"
MOST_WAITING: Final = 20_000
"""Walks that are kept where they stand."""


Story = tuple[int, int, tuple[Page | AnswerError, ...]]
"""The STATE and the hash cache that a run began with, and the pages that it was sent."""


@dataclass(frozen=True, slots=True)
class Line:
    """A step's records (id, rev, second), the name of the STATE behind them, and that of the cache as it is then."""

    records: tuple[tuple[int, int | None, int], ...]
    state: int | None
    cache: int


@dataclass(frozen=True, slots=True)
class Position:
    """A walk that waits for a page: from where its run began, what it was sent, and what it asks for.

    `key` is equal for walks that go on alike; `held` is the hash cache as it is here.
    """

    key: int
    state: int
    cache: int
    held: int
    trail: tuple[Page | AnswerError, ...]
    request: PageRequest


@dataclass(frozen=True, slots=True)
class Move:
    """What a walk does with a page: the lines that it writes, and where it is then; None where its run is over."""

    lines: tuple[Line, ...]
    position: Position | None
    cache: int
    error: str = ""


@dataclass
class Player:
    """The walks of one stream against its small API.

    What is met often goes by its name, a number: worlds, STATEs and caches, and the keys of positions. A walk is a
    generator that can't be copied: the first page that is sent to a position goes to the walk that came there; for
    each other page a walk is played again from its run's start.
    """

    quirks: Quirks
    interned: dict[Any, int] = field(default_factory=dict)
    values: list[Any] = field(default_factory=list)
    pages: dict[Any, tuple[Page | AnswerError, int]] = field(default_factory=dict)
    moves: dict[tuple[int, int], Move] = field(default_factory=dict)
    waiting: dict[int, _Run] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.source = source_of(self.quirks)
        self.plan = self.source.plan
        self.cache = SqliteHashes(":memory:", "list") if self.quirks.swept else None

    def close(self) -> None:
        """Close the hash cache."""
        if self.cache is not None:
            self.cache.close()

    def intern(self, value: Any) -> int:
        """Return the name of a value, by which it is found in `values`."""
        name = self.interned.setdefault(value, len(self.interned))
        if name == len(self.values):
            self.values.append(value)
        return name

    def name(self, value: Any) -> int:
        """Return a name for what is never asked for by it."""
        name = self.interned.setdefault(hash(value), len(self.interned))
        if name == len(self.values):
            self.values.append(None)
        return name

    def page(self, world: int, request: PageRequest, *, quiet: bool) -> tuple[Page | AnswerError, int]:
        """What the API answers through production's client, and a name that is equal for equal answers."""
        key = (world, quiet, request)
        found = self.pages.get(key)
        if found is None:
            api = SmallApi(self.quirks, self.values[world], quiet=quiet)
            client = self.source.clients[request.list_name]
            client.use(api, api.rng, None)
            try:
                page = client.page(request)
                found = page, self.name(("page", frozen(page)))
            except AnswerError as error:
                found = error, self.name(("error", str(error)))
            self.pages[key] = found
        return found

    def started(self, state: int, cache: int) -> Move:
        """Begin a run with a STATE and a hash cache, both by their names."""
        key = (self.name(("start", state, cache)), -1)
        if key not in self.moves:
            self._restore(cache)
            run = self._new_run(state)
            self.moves[key] = self._moved(run, run.begin, (state, cache, ()))
        return self.moves[key]

    def sent(self, position: Position, page: Page | AnswerError, name: int) -> Move:
        """Send a walk the page of this name."""
        key = (position.key, name)
        if key not in self.moves:
            run = self.waiting.pop(position.key, None)
            if run is None:
                run = self._played_to(position)
            else:
                self._restore(position.held)
            story = (position.state, position.cache, (*position.trail, page))
            self.moves[key] = self._moved(run, functools.partial(run.send, page), story)
        return self.moves[key]

    def _restore(self, cache: int) -> None:
        if self.cache is not None:
            restore(self.cache, self.values[cache])

    def _new_run(self, state: int) -> _Run:
        begun_with = json.loads(self.values[state])
        walk = stream_walk_for(self.plan, self.source.bookmark(begun_with), cache=self.cache, now=NOW)
        return _Run(self.plan, walk, begun_with)

    def _played_to(self, position: Position) -> _Run:
        """Play a run from its start to this position."""
        self._restore(position.cache)
        run = self._new_run(position.state)
        run.begin()
        for page in position.trail:
            run.send(page)
        return run

    def _moved(self, run: _Run, move: Callable[[], None], story: Story) -> Move:
        """Let a run move, and return what it did; `story` has what it is sent now, too."""
        state, cache, trail = story
        run.lines.clear()
        error = ""
        try:
            move()
        except TapError as stop:
            error, run.request = str(stop), None
        held = self.intern(() if self.cache is None else dump_of(self.cache))
        lines = tuple(Line(records, None if text is None else self.intern(text), held) for records, text in run.lines)
        if run.request is None:
            return Move(lines, None, held, error)
        steps = None if run.sub_walk is None else run.sub_walk.steps
        key = self.name(("at", len(trail), json.dumps(run.state), held, frozen((run.walk, steps))))
        self.waiting[key] = run
        while len(self.waiting) > MOST_WAITING:
            del self.waiting[next(iter(self.waiting))]
        return Move(lines, Position(key, state, cache, held, trail, run.request), held)


@dataclass
class _Run:
    """A run's walks, one at a time, as production's driver takes them."""

    plan: Plan
    walk: StreamWalk
    state: dict[str, Any] = field(default_factory=dict)
    sub_walk: SubWalk | None = None
    request: PageRequest | None = None
    lines: list[tuple[tuple[tuple[int, int | None, int], ...], str | None]] = field(default_factory=list)

    def begin(self) -> None:
        """Go on to the next part of the walk that asks for something."""
        self.request = None
        for sub_walk in iter(self.walk.next, None):
            self.sub_walk = sub_walk
            self._take(next(sub_walk.steps))
            if self.request is not None:
                return

    def send(self, page: Page | AnswerError) -> None:
        """Send the walk what came.

        Raises:
            AnswerError: what came, where the walk can't do without it.
        """
        assert self.sub_walk is not None
        if isinstance(page, AnswerError):
            step = self.walk.recover(self.sub_walk, page)
            if step is None:
                raise page
            self.request = step.request
            self._write(step)
        else:
            self._take(self.sub_walk.steps.send(page))
        if self.request is None:
            self.begin()

    def _take(self, step: Step) -> None:
        assert self.sub_walk is not None
        self.request = step.request
        self._write(self.walk.translate(self.sub_walk, step))

    def _write(self, step: Step) -> None:
        records = tuple(
            (record["id"], record.get("rev"), _second(record.get("updated_at"))) for record in map(dict, step.records)
        )
        state = None
        if step.bookmark is not None:
            self.state = checkpointed(self.plan, self.state, step.bookmark)
            state = json.dumps(self.state)
        if records or state is not None:
            self.lines.append((records, state))


def _second(text: Any) -> int:
    return -1 if text is None else int(text[-3:-1])
