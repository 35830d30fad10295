"""Campaigns of lies: each fact false in each way, in every case whose configuration states it, alone and in pairs."""

from __future__ import annotations

import functools
import multiprocessing
import os
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from proofs.simulate.facts import source_of
from proofs.simulate.lies import TRUTHFUL, Claim, pairs, singles
from proofs.simulate.lying import BAD, schedule_for
from proofs.simulate.schedule import Size
from proofs.simulate.shrinking import lie_command, shrunk_lie

CHUNK: Final = 50
SIZES: Final = (Size(rows=24), Size(rows=120, runs=3))
Place = tuple[str, str]
"""A fact, or two joined by a plus, and a walk."""
Failure = tuple[str, str, Claim, int]
"""Verdict, walk, what was claimed, and the seed."""


@dataclass(frozen=True)
class LieJob:
    """Schedules to play: lies in turn, alone in two of four seeds and, with `paired`, in pairs in the others.

    `only` is a part of the names of the cases, or of the lies.
    """

    first: int
    count: int
    only: str = ""
    paired: bool = True

    def parts(self) -> Iterator[LieJob]:
        """The same in pieces."""
        for start in range(0, self.count, CHUNK):
            yield replace(self, first=self.first + start, count=min(CHUNK, self.count - start))

    def schedules(self) -> Iterator[tuple[Claim, int]]:
        """What is claimed in each schedule, and the schedule's seed."""
        alone, both = single_claims(self.only), paired_claims(self.only) if self.paired else ()
        for seed in range(self.first, self.first + self.count):
            if both and seed % 4 > 1:
                yield both[random.Random(seed).randrange(len(both))], seed
            elif alone:
                yield alone[(seed // 4 * 2 + seed % 2 if both else seed) % len(alone)], seed


def size_of(seed: int) -> Size:
    """How long the schedule of a seed is: a list of several pages is lost in other ways than one of two."""
    return random.Random(f"size {seed}").choice(SIZES)


@functools.cache
def single_claims(only: str) -> tuple[Claim, ...]:
    """Every lie in every case whose name, or the lie's, has this in it."""
    return tuple(claim for name in TRUTHFUL for claim in singles(name) if only in name or only in claim.lies[0].name)


@functools.cache
def paired_claims(only: str) -> tuple[Claim, ...]:
    """Every two lies, likewise."""
    return tuple(
        claim
        for name in TRUTHFUL
        for claim in pairs(name)
        if only in name or any(only in lie.name for lie in claim.lies)
    )


def places_of(claims: Iterable[Claim]) -> set[Place]:
    """The facts of claims, and the walks that the configurations lead to."""
    return {(claim.fact, source_of(claim.claimed).plan.walk.name) for claim in claims}


@dataclass
class LieSummary:
    """What became of the schedules: how often each verdict by place, and those that ended badly."""

    counts: dict[Place, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    failures: list[Failure] = field(default_factory=list)

    def join(self, other: LieSummary) -> None:
        """Another process's."""
        for place, counts in other.counts.items():
            self.counts[place].update(counts)
        self.failures += other.failures

    @property
    def schedules(self) -> int:
        """How many were played."""
        return sum(counts.total() for counts in self.counts.values())

    def places(self, *verdicts: str, paired: bool = False) -> set[Place]:
        """Where a verdict was met, of lies alone or of pairs."""
        found = {place for place, counts in self.counts.items() if any(counts[verdict] for verdict in verdicts)}
        return {place for place in found if (" + " in place[0]) == paired}

    @property
    def found_by_pairing(self) -> set[Place]:
        """The pairs that ended badly though neither of their lies does alone, in that walk."""
        alone = self.places(*BAD)
        return {
            (facts, walk)
            for facts, walk in self.places(*BAD, paired=True)
            if not any((fact, walk) in alone for fact in facts.split(" + "))
        }


def summarised(job: LieJob) -> LieSummary:
    """The job, played in this process."""
    summary = LieSummary()
    for claim, seed in job.schedules():
        schedule = schedule_for(claim, seed, size=size_of(seed))
        verdict = schedule.verdict(claim)
        walk = schedule.outcome.walk
        summary.counts[claim.fact, walk][verdict] += 1
        if verdict in BAD:
            summary.failures.append((verdict, walk, claim, seed))
    summary.counts = dict(summary.counts)
    return summary


def played(job: LieJob, processes: int = 0, *, stop: bool = False) -> LieSummary:
    """The job's summary; `stop` ends with the first schedule that ended badly."""
    parts, whole = list(job.parts()), LieSummary()
    many = min(processes or os.cpu_count() or 1, len(parts))
    if many <= 1:
        for part in parts:
            whole.join(summarised(part))
            if stop and whole.failures:
                break
        return whole
    with multiprocessing.get_context("spawn").Pool(many) as pool:
        for summary in pool.imap_unordered(summarised, parts):
            whole.join(summary)
            if stop and whole.failures:
                break
    return whole


@dataclass(frozen=True)
class Witness:
    """The smallest schedule found that ends badly at a place."""

    fact: str
    walk: str
    verdict: str
    claim: Claim
    seed: int
    size: Size

    @property
    def command(self) -> str:
        """What replays it."""
        return lie_command(self.claim, self.seed, self.size)


def witnesses(summary: LieSummary, processes: int = 0) -> list[Witness]:
    """Return one for each place that ended badly, of lies alone, and of pairs where neither does alone."""
    wanted = summary.places(*BAD) | summary.found_by_pairing
    by_place: dict[tuple[str, str, str], list[tuple[Claim, int]]] = defaultdict(list)
    for verdict, walk, claim, seed in summary.failures:
        if (claim.fact, walk) in wanted:
            by_place[claim.fact, walk, verdict].append((claim, seed))
    largest = []
    for (fact, walk, verdict), found in sorted(by_place.items()):
        claim, seed = min(found, key=lambda each: (len(str(each[0].real)) + len(str(each[0].claimed)), each[1]))
        largest.append(Witness(fact, walk, verdict, claim, seed, size_of(seed)))
    many = min(processes or os.cpu_count() or 1, len(largest))
    if many <= 1:
        return [smallest(each) for each in largest]
    with multiprocessing.get_context("spawn").Pool(many) as pool:
        return pool.map(smallest, largest, chunksize=1)


def smallest(witness: Witness) -> Witness:
    """The same, shrunk."""
    claim, seed, size = shrunk_lie(witness.verdict, witness.walk, witness.claim, witness.seed, witness.size)
    return replace(witness, claim=claim, seed=seed, size=size)
