"""Every schedule of up to a few changes over four records, walk by walk: no dice.

A schedule is two runs, and a last one on the quiet API. Before each request, and before the last run, any of the
changes that are left may happen, in any order; each of the two runs may be killed. T1 and T2 are checked at the end:
the last run leaves no hole together with what came out before it; where a run was killed, with what came out before
the STATE that the next run began with.

Schedules that can't differ are played once, and counted as often as they are:

- Two that have led to the same API, the same walk (see `frozen`), the same STATE and the same records emitted go on
  alike: the rest is played once, for as many changes as either has left.
- A run that is killed anywhere between two STATE lines leaves what a run leaves that is killed right after the first of
  them: T2 counts what came out before the STATE alone, and a change between the two lines may as well come before the
  first request of the next run. So kills are placed after STATE lines; where a hash cache remembers more than STATE,
  after each page. A run that is killed after its last STATE line is one that ended.
- A run that is killed before its first STATE is a first run of a list that had changed before; it is one of those.
- Of versions that are no more, nothing is kept but whether one was emitted last, as no walk can meet them again.
- Records differ by their ids alone, so what is at the start is: all in one instant, two and two, and one or two of each
  beside a place that is free before or behind them.

What it costs is nearly as many walks played by a page as there are states: each change makes ten to twenty times as
many, since a walk that was sent another page is another walk. Two walks differ by what they may still use: neither the
variables that are set before they are read again, nor the order of hashes, nor whether two equal pages are one object,
parts more than three states of a hundred, so snapshots keep all of it.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final

from proofs.simulate.player import Line, Move, Player, Position
from proofs.simulate.small_api import Change, World, changed, changes, shown
from proofs.simulate.small_cases import CASES, SmallCase
from tap_restextract.errors import AnswerError
from tap_restextract.walks.steps import Page, PageRequest

NOTHING, OLD, CURRENT = 0, 1, 2
"""What was emitted of a record last: nothing, or its deletion; a version that is no more; the one that is."""
FIRST, SECOND, QUIET = 0, 1, 2
"""The runs."""
MOST_REQUESTS: Final = 400
MOST_FINDINGS: Final = 5
Heard = tuple[int, ...]


@dataclass(slots=True)
class Node:
    """A story so far.

    Attributes:
        phase: which run it is at.
        position: of its walk; None before the last run.
        state: the last STATE, by its name (see `Player`).
        cache: the hash cache between runs, likewise.
        world: the API, likewise.
        emitted: of each record, what was emitted last.
        safe: the same as of the last STATE, where a run may be killed elsewhere.
        stayed: records that were there all the time since the run began, where deletions are told.
    """

    phase: int
    position: Position | None
    state: int
    cache: int
    world: int
    emitted: Heard
    safe: Heard = ()
    stayed: frozenset[int] = frozenset()

    @property
    def key(self) -> int:
        """Equal where the rest is alike."""
        at = -1 if self.position is None else self.position.key
        return hash((self.phase, at, self.state, self.cache, self.world, self.emitted, self.safe, self.stayed))


Counts = tuple[int, ...]
"""How many schedules there are with no change, with one, and so on."""


def added(one: Counts, other: Counts, *, behind: int = 0) -> Counts:
    """Add up counts, the other ones with so many changes more."""
    return tuple(
        here + (other[index - behind] if 0 <= index - behind < len(other) else 0) for index, here in enumerate(one)
    )


@dataclass
class Exploration:
    """All schedules of a case; `findings` are stories that broke a promise.

    Worlds, STATEs and caches go by their names: see `Player`.
    """

    case: SmallCase
    findings: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    errors: set[str] = field(default_factory=set)
    broken: int = 0
    story: list[Any] = field(default_factory=list)
    known: dict[int, Counts] = field(default_factory=dict)
    verdicts: dict[Any, tuple[str, ...]] = field(default_factory=dict)
    next_worlds: dict[int, list[tuple[Change, int]]] = field(default_factory=dict)
    shared: dict[Counts, Counts] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.quirks = self.case.quirks
        self.player = Player(self.quirks)
        self.values = self.player.values
        self.swept = self.quirks.swept
        self.unique = self.quirks.filter == "unique"
        self.forgetful = self.quirks.filter == "traversal"

    def count(self, world: World, most: int) -> Counts:
        """Return how many schedules of up to so many changes begin in this world, all of which were checked."""
        nothing = (NOTHING,) * len(world.entries)
        self.story.append(("there is", world))
        safe = nothing if self.swept else ()
        first = Node(
            FIRST, None, self.player.intern("{}"), self.player.intern(()), self.player.intern(world), nothing, safe
        )
        counted = self._begun(first, most)
        self.story.pop()
        return counted

    def _begun(self, node: Node, left: int) -> Counts:
        """Begin a run; the last one may be preceded by changes."""
        if node.phase == QUIET:
            return self._counted(Node(QUIET, None, node.state, node.cache, node.world, node.emitted), left)
        move = self.player.started(node.state, node.cache)
        assert move.position is not None
        emitted = (NOTHING,) * len(node.emitted) if self.forgetful else node.emitted
        stayed = self.values[node.world].present if self.swept else frozenset()
        nothing = self.player.intern(())
        begun = Node(node.phase, move.position, node.state, nothing, node.world, emitted, node.safe, stayed)
        return self._counted(begun, left)

    def _counted(self, node: Node, left: int) -> Counts:
        """Return how many schedules go on from here, with so many changes at most."""
        key = node.key
        known = self.known.get(key)
        if known is not None and len(known) > left:
            return known[: left + 1]
        if node.position is None:
            self._check(node)
            counted: Counts = (1,) + (0,) * left
        else:
            counted = self._answered(node, node.position, left)
        if left:
            for change, world in self._changes(node.world):
                self.story.append(change)
                counted = added(counted, self._counted(self._after(node, change, world), left - 1), behind=1)
                self.story.pop()
        self.known[key] = self.shared.setdefault(counted, counted)
        return counted

    def _changes(self, world: int) -> list[tuple[Change, int]]:
        if world not in self.next_worlds:
            here = self.values[world]
            each = changes(here, late=bool(self.quirks.late), rising=self.unique)
            self.next_worlds[world] = [
                (change, self.player.intern(changed(here, change, rising=self.unique))) for change in each
            ]
        return self.next_worlds[world]

    def _after(self, node: Node, change: Change, world: int) -> Node:
        place, gone = change.id - 1, change.kind == "delete"
        emitted, safe, stayed = node.emitted, node.safe, node.stayed
        if not (self.unique and not gone):  # the unique keyset tells of keys alone
            emitted = _with(emitted, place, min(emitted[place], OLD) if self.swept else NOTHING)
            safe = _with(safe, place, min(safe[place], OLD)) if safe else safe
        if gone and change.id in stayed:
            stayed = stayed - {change.id}
        return Node(node.phase, node.position, node.state, node.cache, world, emitted, safe, stayed)

    def _answered(self, node: Node, position: Position, left: int) -> Counts:
        """The API answers what the walk has asked."""
        page, name = self.player.page(node.world, position.request, quiet=False)
        move = self.player.sent(position, page, name)
        counted: Counts = (0,) * (left + 1)
        emitted, safe, state = node.emitted, node.safe, node.state
        self.story.append((position.request, page))
        for line in move.lines:
            emitted = self._heard(emitted, line, node)
            if line.state is not None:
                state, safe = line.state, emitted if self.swept else ()
            if line.state is not None or self.swept:
                self.story.append((line, "killed"))
                # Of what came behind STATE nothing counts.
                resumed = safe if self.swept else emitted
                again = Node(node.phase + 1, None, state, line.cache, node.world, resumed, safe)
                counted = added(counted, self._begun(again, left))
                self.story.pop()
        self.story.append(move)
        if move.position is not None:
            after = Node(node.phase, move.position, state, node.cache, node.world, emitted, safe, node.stayed)
            counted = added(counted, self._counted(after, left))
        else:
            if move.error:
                self.errors.add(move.error)
            safe = emitted if self.swept else ()
            again = Node(node.phase + 1, None, state, move.cache, node.world, emitted, safe)
            counted = added(counted, self._begun(again, left))
        self.story.pop()
        self.story.pop()
        return counted

    def _heard(self, emitted: Heard, line: Line, node: Node) -> Heard:
        entries = self.values[node.world].entries
        for key, rev, instant in line.records:
            entry = entries[key - 1]
            if rev is None:
                emitted = _with(emitted, key - 1, NOTHING)
                if key in node.stayed:
                    self._find("false deletion", (f"{key} was there all the time",))
            elif self.unique or (not entry.gone and (rev, instant) == (entry.rev, entry.instant)):
                emitted = _with(emitted, key - 1, CURRENT)
            elif self.swept:
                emitted = _with(emitted, key - 1, OLD)
        return emitted

    def _check(self, node: Node) -> None:
        """The last run, and what it leaves."""
        key = (node.state, node.cache, node.world, node.emitted)
        if key not in self.verdicts:
            self.verdicts[key] = tuple(self._left_out(node))
        if self.verdicts[key]:
            self._find("hole", self.verdicts[key])

    def _left_out(self, node: Node) -> Iterator[str]:
        move = self.player.started(node.state, node.cache)
        emitted = (NOTHING,) * len(node.emitted) if self.forgetful else node.emitted
        for _ in range(MOST_REQUESTS):
            if move.position is None:
                break
            page, name = self.player.page(node.world, move.position.request, quiet=True)
            move = self.player.sent(move.position, page, name)
            for line in move.lines:
                emitted = self._heard(emitted, line, node)
        else:
            yield "the last run asks without end"
        if move.error:
            yield f"the last run stopped: {move.error}"
        for key, (entry, heard) in enumerate(zip(self.values[node.world].entries, emitted, strict=True), 1):
            if not entry.gone and heard != CURRENT:
                yield f"never emitted: {key}@{entry.instant}#{entry.rev}"
            elif entry.gone and heard == OLD:
                yield f"its deletion was not told: {key}"

    def _find(self, kind: str, texts: Sequence[str]) -> None:
        self.broken += 1
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append((kind, (*map(self._line, self.story), *texts)))

    def _line(self, part: Any) -> str:
        """Return a part of a story in a line."""
        match part:
            case ("there is", World() as world):
                return f"there is {shown(world)}"
            case (PageRequest() as request, page):
                return f"asked {_asked(request)}, answered {_outlined(page)}"
            case (Line() as line, "killed"):
                return f"wrote {self._written(line)}; killed"
            case Move():
                return f"wrote {'; '.join(map(self._written, part.lines)) or 'nothing'}{part.error and f'; stopped: {part.error}'}"
        return str(part)

    def _written(self, line: Line) -> str:
        records = " ".join(f"{key}#{rev}" for key, rev, _ in line.records) or "no record"
        return records + ("" if line.state is None else f", STATE {self.values[line.state]}")


def _with(emitted: Heard, place: int, value: int) -> Heard:
    return emitted if emitted[place] == value else (*emitted[:place], value, *emitted[place + 1 :])


def _asked(request: PageRequest) -> str:
    return f"{request.cursor or ''} {request.at or ''} {request.scope or ''}"


def _outlined(page: Page | AnswerError) -> str:
    if isinstance(page, AnswerError):
        return str(page)
    records = [dict(record) for record in page.records]
    shown_records = (f"{record['id']}@{(record['updated_at'] or '--Z')[-3:-1]}#{record['rev']}" for record in records)
    return " ".join(shown_records) or "nothing"


@dataclass(frozen=True)
class Counted:
    """What was enumerated of a case: schedules by their changes, the states that they pass through, and what broke."""

    name: str
    schedules: Counts
    states: int
    broken: int
    findings: tuple[tuple[str, tuple[str, ...]], ...]
    errors: tuple[str, ...]
    seconds: float


def explored(name: str, most: int) -> Counted:
    """Enumerate a case's schedules of up to so many changes."""
    sys.setrecursionlimit(20_000)
    begun, case = time.process_time(), CASES[name]
    exploration, schedules = Exploration(case), (0,) * (most + 1)
    with closing(exploration.player):
        for world in case.worlds:
            schedules = added(schedules, exploration.count(world, most))
    return Counted(
        name,
        schedules,
        len(exploration.known),
        exploration.broken,
        tuple(exploration.findings),
        tuple(sorted(exploration.errors)),
        time.process_time() - begun,
    )


def all_explored(names: Sequence[str], most: int, processes: int = 0) -> Iterator[Counted]:
    """Enumerate several cases at once; they come as they end."""
    many = min(processes or os.cpu_count() or 1, len(names))
    if many <= 1:
        yield from (explored(name, most) for name in names)
        return
    with multiprocessing.get_context("spawn").Pool(many, maxtasksperchild=1) as pool:
        yield from pool.imap_unordered(functools.partial(explored, most=most), names, chunksize=1)


def line_of(counted: Counted) -> str:
    """Return what was enumerated of a case in a line, and below it what broke."""
    head = (
        f"{counted.name:32}{sum(counted.schedules):>16,} schedules of up to {len(counted.schedules) - 1} changes"
        f"{counted.states:>12,} states{counted.seconds:>8.0f} s  {counted.broken or 'nothing'} broken"
        f"{f', {len(counted.errors)} named errors' if counted.errors else ''}"
    )
    stories = ["\n".join([f"  {kind}", *(f"    {line}" for line in lines)]) for kind, lines in counted.findings[:1]]
    return "\n".join([head, *stories])
