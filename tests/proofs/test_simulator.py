"""A slice of the simulator's schedules over every case, and the simulator's own behaviour."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from proofs.simulate.campaign import Campaign, Job, summarised
from proofs.simulate.cases import CASES, case, drawn
from proofs.simulate.facts import source_of
from proofs.simulate.quirks import parsed
from proofs.simulate.schedule import HOLE, KINDS, REFUSAL, Schedule, Size
from proofs.simulate.shrinking import command, shrunk
from proofs.simulate.table import table
from tap_restextract.plan.walks import FEED, WALKS, WEBHOOKS

ROOT = Path(__file__).parents[2]
SCHEDULES = 27
UNKNOWABLE = "filter=inclusive tick=1 future=3000 clock=0"
"""Rows dated ahead and no clock to tell: nothing that is configured is false, and no walk can know."""


@pytest.mark.parametrize("name", CASES)
def test_no_schedule_of_a_case_breaks_a_promise(name: str) -> None:
    summary = summarised(Job((name,), 0, SCHEDULES))
    assert summary.failures == []
    assert sum(line.schedules for line in summary.lines.values()) == SCHEDULES


def test_the_slice_is_three_thousand_schedules_and_more() -> None:
    assert SCHEDULES * len(CASES) >= 3000


def test_the_cases_cover_every_walk() -> None:
    assert {source_of(case(name)).plan.walk for name in CASES} == set(WALKS) - NOT_SIMULATED


NOT_SIMULATED = {FEED, WEBHOOKS}


def test_a_schedule_is_determined_by_its_quirks_and_its_seed_alone() -> None:
    quirks = drawn("restart, offsets", random.Random(4))
    lines: list[list[str]] = [[], []]
    for told in lines:
        Schedule(quirks, 12, told=told.append).play()
    assert lines[0] == lines[1]
    assert any("asked" in line for line in lines[0])


def test_quirks_are_read_as_they_are_written() -> None:
    for seed in range(300):
        quirks = drawn(list(CASES)[seed % len(CASES)], random.Random(seed))
        assert parsed(str(quirks)) == quirks
    with pytest.raises(ValueError, match="unknown quirk lat; known are order"):
        parsed("lat=3")


def test_a_schedule_that_fails_is_shrunk_and_replayed_by_one_command() -> None:
    quirks = parsed(f"{UNKNOWABLE} short_pages=1 faults=1 ids=text")
    size = Size(rows=12, runs=3)
    seed = next(seed for seed in range(500) if HOLE in Schedule(quirks, seed, size).play().kinds)
    small, kind = shrunk(HOLE, quirks, seed, size)
    assert kind == HOLE
    assert len(str(small.quirks)) < len(str(quirks))
    assert not small.quirks.clock
    assert (small.size.rows, small.size.runs) < (12, 3)
    line = command(small).removeprefix("python -m ").replace('"', "")
    _, before, after = line.partition(" --replay ")
    text, _, rest = after.partition(" --seed ")
    arguments = ["proofs.simulate", before.strip(), text, "--seed", *rest.split()]
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "HOLE: never emitted" in done.stdout
    assert "wrote STATE" in done.stdout


def test_a_walk_that_refuses_without_need_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proofs.simulate.facts._excuses", lambda *_, **__: [])
    summary = summarised(Job(("unordered, no clock",), 0, 5, combined=False))
    assert [failure[0] for failure in summary.failures] == [REFUSAL] * 5


def test_the_table_has_a_line_a_walk_and_counts_findings_by_their_kind() -> None:
    campaign = Campaign()
    campaign.add(summarised(Job(("keyset", "tokens"), 0, 20)))
    head, *lines = table(campaign).splitlines()
    assert [line.split("  ")[0] for line in lines] == ["compound keyset", "stable tokens", "all"]
    assert all(kind in head for kind in KINDS)
