"""Campaigns: many schedules over many cases, on all cores, and what they add up to."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from proofs.simulate.cases import case, drawn, size_of
from proofs.simulate.open_faults import is_open
from proofs.simulate.quirks import Quirks
from proofs.simulate.schedule import Outcome, Schedule, Size

CHUNK = 50
Failure = tuple[str, Quirks, int, Size]


@dataclass(frozen=True)
class Job:
    """Schedules to play: the cases in turn, each with the next seed."""

    names: tuple[str, ...]
    first: int
    count: int
    combined: bool = True
    open_too: bool = False

    def parts(self) -> Iterator[Job]:
        """The same in pieces."""
        for start in range(0, self.count, CHUNK):
            yield replace(self, first=self.first + start, count=min(CHUNK, self.count - start))

    def schedules(self) -> Iterator[tuple[str, Schedule]]:
        """The schedules, with their cases' names; every second one has more quirks drawn to its case."""
        for seed in range(self.first, self.first + self.count):
            name = self.names[seed % len(self.names)]
            rng = random.Random(f"{name} {seed}")
            both = self.combined and rng.random() < 0.5
            quirks = drawn(name, rng) if both else case(name)
            yield name, Schedule(quirks, seed, size_of(rng) if self.combined else Size())


@dataclass
class Line:
    """What the schedules of one walk, or of one case, add up to."""

    schedules: int = 0
    records: int = 0
    requests: int = 0
    runs: int = 0
    deaths: int = 0
    refused: int = 0
    worst: float = 0.0
    known: int = 0
    findings: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome, *, known: bool) -> None:
        """One schedule more."""
        self.schedules += 1
        self.records += outcome.records
        self.requests += outcome.requests
        self.runs += outcome.runs
        self.deaths += outcome.deaths
        self.refused += outcome.refused
        self.worst = max(self.worst, outcome.worst)
        self.known += known
        self.findings.update([] if known else outcome.kinds)

    def join(self, other: Line) -> None:
        """Another process's."""
        for name in ("schedules", "records", "requests", "runs", "deaths", "refused", "known"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.worst = max(self.worst, other.worst)
        self.findings.update(other.findings)


@dataclass
class Summary:
    """What one process has to say: lines by (walk, case), and the schedules that failed."""

    lines: dict[tuple[str, str], Line] = field(default_factory=lambda: defaultdict(Line))
    failures: list[Failure] = field(default_factory=list)


@dataclass
class Campaign:
    """All processes' summaries."""

    by_case: bool = False
    lines: dict[str, Line] = field(default_factory=lambda: defaultdict(Line))
    failures: list[Failure] = field(default_factory=list)

    @property
    def schedules(self) -> int:
        """How many were played."""
        return sum(line.schedules for line in self.lines.values())

    def add(self, summary: Summary) -> None:
        """One more summary."""
        for (walk, name), line in summary.lines.items():
            self.lines[name if self.by_case else walk].join(line)
        self.failures += summary.failures

    def smallest(self, most: int) -> list[Failure]:
        """Failures of as many kinds as there are, those with the fewest quirks."""
        by_kind: dict[str, list[Failure]] = defaultdict(list)
        for failure in sorted(self.failures, key=lambda failure: len(str(failure[1]))):
            by_kind[failure[0]].append(failure)
        rounds = itertools.zip_longest(*by_kind.values())
        return [failure for turn in rounds for failure in turn if failure is not None][:most]


def played(job: Job, processes: int = 0, *, stop: bool = False) -> Iterator[Summary]:
    """The job's summaries as they come; `stop` ends with the first failure."""
    parts = list(job.parts())
    many = min(processes or os.cpu_count() or 1, len(parts))
    if many == 1:
        for part in parts:
            summary = summarised(part, stop=stop)
            yield summary
            if stop and summary.failures:
                return
        return
    with multiprocessing.get_context("spawn").Pool(many) as pool:
        for summary in pool.imap_unordered(partial(summarised, stop=stop), parts):
            yield summary
            if stop and summary.failures:
                return


def summarised(job: Job, *, stop: bool = False) -> Summary:
    """The job, played in this process; `stop` ends it with the first failure."""
    summary = Summary()
    for name, schedule in job.schedules():
        outcome = schedule.play()
        known = not job.open_too and is_open(schedule.quirks, outcome.kinds)
        summary.lines[outcome.walk, name].add(outcome, known=known)
        if outcome.findings and not known:
            summary.failures.append((outcome.kinds[0], schedule.quirks, schedule.seed, schedule.size))
            if stop:
                break
    summary.lines = dict(summary.lines)
    return summary
