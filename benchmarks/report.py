"""The report: medians with minimum and maximum, and ratios, as Markdown tables; and the page around them."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from statistics import median
from typing import TYPE_CHECKING, Final

import peers

if TYPE_CHECKING:
    from run import Sample

OURS: Final = ("tap-restextract", "target-eventgen")
PAGE: Final = """# Benchmarks

What `make bench` wrote on one machine in one run. Seconds differ from machine to machine; ratios hold better. Every number
is of the whole process, its start included; medians, and in brackets the slowest and the fastest run.

{machine}

*Ours is* says how many times as fast the first row is; *by CPU* compares the seconds of computing of client and Postgres together,
which other work on the machine disturbs less.

{tables}

## What is compared

The inputs are made from a seed: {records:,} subscription records of about 360 bytes, 14 properties, three sharing each instant.
The API serves bytes that were encoded beforehand; what a client gets that only reads bytes is printed at the start of a run,
and was more than any contender took where the machine was quiet. All is on the loopback of one machine: client, API, Postgres and the reader of the pipe
share its cores. Contenders run in turn, one round after the other. Postgres is one instance with its defaults (`fsync` on), a
fresh database for each contender.

Every contender does what its documentation shows first; where it has a setting for speed, there is a row with it. They don't do
the same:

{notes}
- The tap's rows count a list that is read whole by its tokens; *compound keyset* is the incremental walk, which compares each
  record with the one before it and writes a STATE after each page. Both check each record for its primary key, and each page's token
  for a circle. The peers check neither.
- The floor of the taps decodes, wraps and encodes, and nothing else. The floor of the targets neither validates nor keeps what is
  older out.
- target-eventgen validates each record, puts versions of one key in order, keeps what is older out, and evaluates ten rules, of which one
  record in a hundred fires one. No peer has events; pipelinewise's target validates nothing unless it is asked to.
"""


def tables(samples: Sequence[Sample]) -> str:
    """A table for each phase."""
    phases = dict.fromkeys(sample.phase for sample in samples)
    return "\n\n".join(_table(phase, [each for each in samples if each.phase == phase]) for phase in phases)


def page(samples: Sequence[Sample]) -> str:
    """The whole page."""
    notes = dict.fromkeys(
        f"- {each.name}{f' {version}' if (version := (each.requirement or '').partition('==')[2]) else ''}: {each.note}."
        for each in (*peers.TAPS, *peers.TARGETS)
        if each.note
    )
    most = max((sample.records for sample in samples), default=0)
    return PAGE.format(machine=_machine(samples), tables=tables(samples), notes="\n".join(notes), records=most)


def _table(phase: str, samples: Sequence[Sample]) -> str:
    contenders = dict.fromkeys(sample.contender for sample in samples)
    ours = next((each for each in contenders if each.startswith(OURS)), None)
    starts = phase == "start"
    with_postgres = any(sample.postgres for sample in samples)
    with_span = ", " in phase and any(sample.span for sample in samples)
    head = ["", "seconds" if starts else "records/s", "CPU s"]
    head += ["CPU s in Postgres"] if with_postgres else []
    head += ["peak MB"]
    head += ["of the latency limit"] if with_span else []
    head += ["ratio"] if starts else ["ours is", "ours is, by CPU"]
    lines = [f"### {phase.capitalize()}", "", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    first = [each for each in samples if each.contender == (next(iter(contenders)) if starts else ours)]
    base, effort = median(each.wall for each in first), median(each.cpu + each.postgres for each in first)
    for contender in contenders:
        runs = [each for each in samples if each.contender == contender]
        wall = median(each.wall for each in runs)
        cells = [contender, _seconds(runs) if starts else _rate(runs), f"{median(each.cpu for each in runs):.2f}"]
        cells += [f"{median(each.postgres for each in runs):.2f}"] if with_postgres else []
        cells += [f"{median(each.peak for each in runs):.0f}"]
        cells += [f"{_of_limit(runs):.2f}"] if with_span else []
        cells += [f"{wall / base:.2f} x"]
        cells += [] if starts else [f"{median(each.cpu + each.postgres for each in runs) / effort:.2f} x"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _rate(runs: Sequence[Sample]) -> str:
    rates = sorted(each.records / each.wall for each in runs)
    return f"**{_thousands(median(rates))}** ({_thousands(rates[0])} to {_thousands(rates[-1])})"


def _seconds(runs: Sequence[Sample]) -> str:
    walls = sorted(each.wall for each in runs)
    return f"**{median(walls):.3f}** ({walls[0]:.3f} to {walls[-1]:.3f})"


def _of_limit(runs: Sequence[Sample]) -> float:
    """How near one request after the other comes to the API's own 50 ms each; more than 1 where they overlap."""
    return median(each.requests * 0.05 / each.span for each in runs if each.span)


def _thousands(rate: float) -> str:
    return f"{rate / 1000:.1f} k"


def _machine(samples: Iterable[Sample]) -> str:
    rounds = len({id(each) for each in samples})
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    ours = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("singer-sdk", "requests", "msgspec"))
    theirs = ", ".join(
        dict.fromkeys(each.requirement.replace("==", " ") for each in (*peers.TAPS, *peers.TARGETS) if each.requirement)
    )
    return (
        f"{datetime.now(timezone.utc):%Y-%m-%d}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"load {os.getloadavg()[1]:.1f} at the end, Python {platform.python_version()}, {rounds} runs. Ours with {ours}. Peers: {theirs}."
    )
