"""Shrinking: from a schedule that failed to the smallest one that fails in the same way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from proofs.simulate.lies import Claim
from proofs.simulate.lying import schedule_for
from proofs.simulate.quirks import NAMES, Quirks
from proofs.simulate.running import ENDLESS
from proofs.simulate.schedule import Schedule, Size

SEEDS_TRIED = 60
LIES_SEEDS_TRIED = 8
KEPT = frozenset({"order", "filter", "paginator"})
ROWS = (2, 3, 4, 6, 10, 20, 40)


def shrunk(kind: str, quirks: Quirks, seed: int, size: Size) -> tuple[Schedule, str]:
    """A smaller schedule with the same kind of finding: fewer rows, runs, writes and quirks, whatever its seed."""
    found = (quirks, seed, size)
    while (smaller := _first_that_fails(kind, _candidates(*found))) is not None:
        found = smaller
    return Schedule(*found), kind


def shrunk_lie(verdict: str, walk: str, claim: Claim, seed: int, size: Size) -> tuple[Claim, int, Size]:
    """A smaller schedule of the same lies and walk that ends alike: fewer rows, runs, writes, quirks of both sides."""
    found = (claim, seed, size)
    while (smaller := _first_that_ends(verdict, walk, found)) is not None:
        found = smaller
    return found


def lie_command(claim: Claim, seed: int, size: Size) -> str:
    """What replays it."""
    facts = ";".join(lie.name for lie in claim.lies)
    return (
        f'python -m proofs.simulate --replay "{claim.real}" --claimed "{claim.claimed}" --lie "{facts}" '
        f"--seed {seed} --size {_lengths(size)}"
    )


def _first_that_ends(verdict: str, walk: str, found: tuple[Claim, int, Size]) -> tuple[Claim, int, Size] | None:
    claim, seed, size = found
    for real, claimed, less in _lie_candidates(claim, size):
        tried = replace(claim, real=real, claimed=claimed)
        for other in (seed, *range(0 if verdict == ENDLESS else LIES_SEEDS_TRIED)):
            schedule = schedule_for(tried, other, size=less)
            if schedule.verdict(tried) == verdict and schedule.outcome.walk == walk:
                return tried, other, less
    return None


def _lie_candidates(claim: Claim, size: Size) -> Iterator[tuple[Quirks, Quirks, Size]]:
    needed = KEPT | {name for lie in claim.lies for name in (*lie.real, *lie.claims)}
    for name in NAMES:
        if name not in needed and claim.claimed.without(name) != claim.claimed:
            yield claim.real.without(name), claim.claimed.without(name), size
    for _, _, less in _candidates(Quirks(), 0, size):
        yield claim.real, claim.claimed, less


def command(schedule: Schedule) -> str:
    """What replays it."""
    return f'python -m proofs.simulate --replay "{schedule.quirks}" --seed {schedule.seed} --size {_lengths(schedule.size)}'


def _lengths(size: Size) -> str:
    return f"rows={size.rows},runs={size.runs},writes={size.writes},deaths={int(size.deaths)}"


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
