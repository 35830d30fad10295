"""Shrinking: from a schedule that failed to the smallest one that fails in the same way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from proofs.simulate.quirks import NAMES, Quirks
from proofs.simulate.schedule import Schedule, Size

SEEDS_TRIED = 60
KEPT = frozenset({"order", "filter", "paginator"})
ROWS = (2, 3, 4, 6, 10, 20, 40)


def shrunk(kind: str, quirks: Quirks, seed: int, size: Size) -> tuple[Schedule, str]:
    """A smaller schedule with the same kind of finding: fewer rows, runs, writes and quirks, whatever its seed."""
    found = (quirks, seed, size)
    while (smaller := _first_that_fails(kind, _candidates(*found))) is not None:
        found = smaller
    return Schedule(*found), kind


def command(schedule: Schedule) -> str:
    """What replays it."""
    size = schedule.size
    lengths = f"rows={size.rows},runs={size.runs},writes={size.writes},deaths={int(size.deaths)}"
    return f'python -m proofs.simulate --replay "{schedule.quirks}" --seed {schedule.seed} --size {lengths}'


def _candidates(quirks: Quirks, seed: int, size: Size) -> Iterator[tuple[Quirks, int, Size]]:
    for name in NAMES:
        if name not in KEPT and quirks.without(name) != quirks:
            yield quirks.without(name), seed, size
    if size.deaths:
        yield quirks, seed, replace(size, deaths=False)
    if size.writes:
        yield quirks, seed, replace(size, writes=size.writes - 1)
    if size.runs:
        yield quirks, seed, replace(size, runs=size.runs - 1)
    for rows in ROWS:
        if rows < size.rows:
            yield quirks, seed, replace(size, rows=rows)


def _first_that_fails(kind: str, candidates: Iterator[tuple[Quirks, int, Size]]) -> tuple[Quirks, int, Size] | None:
    for quirks, seed, size in candidates:
        for other in (seed, *range(SEEDS_TRIED)):
            if kind in Schedule(quirks, other, size).play().kinds:
                return quirks, other, size
    return None
