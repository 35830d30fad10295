"""A small API whose whole state is a value: four records in two or three instants, and every change of them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from proofs.simulate.api import Api, Place, Row
from proofs.simulate.quirks import BASE, Quirks

SECOND: Final = 1000
MOST_MOVES: Final = 1
"""How often the clock moves on to another instant, with a change."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A record: the second of its last write (`UNTIMED`: it has no time), and which write of it in that second it was.

    Of one that is not there (`gone`), no more is kept than makes a version of it in this second a new one.
    """

    instant: int
    rev: int
    gone: bool = False


UNTIMED: Final = -1
NEVER: Final = Entry(UNTIMED, 0, gone=True)


@dataclass(frozen=True, slots=True)
class World:
    """The API's records, by their ids from 1 on, and its clock, in seconds."""

    entries: tuple[Entry, ...]
    now: int
    moved: int = 0

    @property
    def present(self) -> frozenset[int]:
        """The ids of the records that are there."""
        return frozenset(key for key, entry in enumerate(self.entries, 1) if not entry.gone)


@dataclass(frozen=True, slots=True)
class Change:
    """A write, a late one, or a deletion of a record; perhaps in the next second."""

    kind: str
    id: int
    later: bool

    def __str__(self) -> str:
        return f"{self.kind} {self.id}{' in the next second' if self.later else ''}"


def changes(world: World, *, late: bool, rising: bool) -> Iterator[Change]:
    """Yield every change that may come next.

    Args:
        world: as it is.
        late: writes may be dated a second before they are seen.
        rising: a new record has a greater id than all before it, and none comes back.
    """
    newest = max((key for key, entry in enumerate(world.entries, 1) if entry != NEVER), default=0)
    for later in (False, True) if world.moved < MOST_MOVES else (False,):
        for key, entry in enumerate(world.entries, 1):
            if not entry.gone:
                yield Change("delete", key, later)
            elif rising and key != newest + 1:
                continue
            yield Change("write", key, later)
            if late and not later and entry.instant < world.now:
                yield Change("late write", key, later)


def changed(world: World, change: Change, *, rising: bool = False) -> World:
    """Return the world after a change."""
    now = world.now + change.later
    entries = list(world.entries)
    before = entries[change.id - 1]
    if change.kind == "delete":
        entries[change.id - 1] = replace(before, gone=True)
    else:
        instant = now - (change.kind == "late write")
        entries[change.id - 1] = Entry(instant, before.rev + 1 if before.instant == instant else 1)
    if not rising:
        entries = [NEVER if entry.gone and entry.instant < now - 1 else entry for entry in entries]
    return World(tuple(entries), now, world.moved + change.later)


class SmallApi(Api):
    """An API that is in the state of a world; its tokens say all that it must know."""

    def __init__(self, quirks: Quirks, world: World, *, quiet: bool) -> None:
        super().__init__(quirks, random.Random(0), busy=not quiet)
        self.now = BASE + world.now * SECOND + SECOND // 2
        for key, entry in enumerate(world.entries, 1):
            if not entry.gone:
                time = None if entry.instant == UNTIMED else BASE + entry.instant * SECOND
                self.rows[key] = Row(key, time, entry.rev, 0)
        self.issued = _Positions()
        if quiet:
            self.settle()

    def _next(self, path: str, params: dict[str, str], ordinal: int, offset: int, place: Place) -> str:
        del path, params
        return json.dumps([0, 0, place] if self.quirks.stable else [ordinal, offset, []])


class _Positions(dict[str, tuple[int, int, Place]]):
    def __contains__(self, token: object) -> bool:
        return True

    def __missing__(self, token: str) -> tuple[int, int, Place]:
        ordinal, offset, place = json.loads(token)
        return ordinal, offset, tuple(tuple(part) if isinstance(part, list) else part for part in place)


def shown(world: World) -> str:
    """Return the world in a line."""
    here = [f"{key}@{entry.instant}#{entry.rev}" for key, entry in enumerate(world.entries, 1) if not entry.gone]
    return f"{' '.join(here) or 'nothing'} at {world.now}"
