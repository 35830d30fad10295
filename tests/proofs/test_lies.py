"""Configurations that lie about their API: what is lost in silence today, and how lies are made, judged and told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from proofs.simulate import evidence
from proofs.simulate.cases import case
from proofs.simulate.evidence import Answer
from proofs.simulate.lie_campaign import LieJob, markdown_table, summarised, text_table, told_alone
from proofs.simulate.lies import LIES, TRUTHFUL, Told, pairs, singles, told
from proofs.simulate.lying import BAD, NAMED, REPORTED, RIGHT, SILENT, UNSEEN, VERDICTS, schedule_for
from proofs.simulate.quirks import BASE, Quirks, parsed
from proofs.simulate.running import ENDLESS
from proofs.simulate.schedule import Size
from proofs.simulate.shrinking import lie_command
from proofs.simulate.unnoticeable import UNNOTICEABLE, is_unseen
from tap_restextract.singer.stream import RestStream
from tests.proofs.still_silent import STILL_SILENT, Silent

ROOT = Path(__file__).parents[2]
SILENT_PLACES = {(silent.fact, silent.walk) for silent in STILL_SILENT}
STRIDE = 8


def said_by(silent: Silent) -> Told:
    named = silent.lies.split(";")
    return Told(tuple(lie for lie in LIES if lie.name in named), parsed(silent.claimed), parsed(silent.real))


@pytest.mark.parametrize("silent", STILL_SILENT, ids=lambda silent: f"{silent.verdict}: {silent.fact}, {silent.walk}")
def test_what_is_still_silent_is_so_until_a_check_notices_it_and_its_row_is_removed(silent: Silent) -> None:
    said = said_by(silent)
    schedule = schedule_for(said, silent.seed, size=silent.size)
    assert schedule.verdict(said) == silent.verdict, "it is noticed now: remove its row from STILL_SILENT"
    assert schedule.outcome.walk == silent.walk


@pytest.mark.parametrize("part", range(STRIDE))
def test_no_other_fact_that_is_false_loses_anything_in_silence(part: int) -> None:
    told_here = told_alone("")[part :: STRIDE * STRIDE]
    assert len(told_here) > 30
    for seed, said in enumerate(told_here):
        schedule = schedule_for(said, seed, size=Size(rows=16, runs=3))
        verdict = schedule.verdict(said)
        assert verdict in VERDICTS
        if (said.fact, schedule.outcome.walk) not in SILENT_PLACES:
            assert verdict not in BAD, lie_command(said, seed, Size(rows=16, runs=3))


def test_lies_that_go_together_are_told_in_pairs() -> None:
    both = pairs("restart, offsets")
    assert len(both) > 100
    assert all(len(said.lies) == 2 and said.real != said.claimed for said in both)
    assert all(said.lies[0].fact != said.lies[1].fact for said in both)


def test_every_lie_is_told_by_a_case_and_names_of_cases_that_stop_by_themselves_are_left_out() -> None:
    assert {said.lies[0].name for name in TRUTHFUL for said in singles(name)} == {lie.name for lie in LIES}
    assert "tokens, faults" not in TRUTHFUL
    assert "tokens, no clock" not in TRUTHFUL


def test_a_lie_changes_what_the_api_does_and_not_what_the_configuration_states() -> None:
    falls = next(lie for lie in LIES if lie.name == "order: falls")
    said = told(case("tokens"), (falls,))
    assert said is not None
    assert (said.claimed.order, said.real.order) == ("asc", "desc")
    assert told(case("unordered, tokens"), (falls,)) is None
    assert told(case("tokens"), (falls, falls)) is None


def test_a_lie_that_a_check_notices_is_a_named_error() -> None:
    falls = next(lie for lie in LIES if lie.name == "order: falls")
    said = told(case("tokens"), (falls,))
    assert said is not None
    schedule = schedule_for(said, 3)
    assert schedule.verdict(said) == NAMED
    assert "isn't in ascending order" in schedule.noticed[0]


def test_a_loss_with_a_warning_is_reported_and_one_without_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    renamed = next(silent for silent in STILL_SILENT if silent.fact == "paginator path")
    said = said_by(renamed)
    assert schedule_for(said, renamed.seed, size=renamed.size).verdict(said) == SILENT

    def report(stream: Any, _: Any) -> None:
        stream.logger.warning("stream %s: a continuation isn't read", stream.name)

    monkeypatch.setattr(RestStream, "_report", report)
    schedule = schedule_for(said, renamed.seed, size=renamed.size)
    assert schedule.verdict(said) == REPORTED
    assert "stream list: a continuation isn't read" in schedule.reports


def test_an_honest_configuration_loses_nothing_and_reports_nothing() -> None:
    for name in ("tokens", "restart, offsets", "sweep, tokens", "keyset"):
        said = Told((), case(name), case(name))
        schedule = schedule_for(said, 5)
        assert schedule.verdict(said) == RIGHT
        assert schedule.reports == []


def test_what_no_client_can_notice_is_declared_with_a_reason() -> None:
    facts = {lie.fact for lie in LIES}
    assert all(entry.fact in facts and len(entry.reason) > 30 for entry in UNNOTICEABLE)
    omits = next(lie for lie in LIES if lie.fact == "the list is whole")
    said = told(case("tokens"), (omits,))
    assert said is not None
    assert is_unseen(said, ())
    assert UNSEEN in {schedule_for(said, seed).verdict(said) for seed in range(6)}


def answer(
    *times: int, at: int = 100, since: int | None = None, seen: tuple[Any, ...] = (), path: str = "/list"
) -> Answer:
    from proofs.simulate.api import Row  # noqa: PLC0415  only here

    rows = tuple(Row(time, BASE + time * 1000, time, 0) for time in times)
    records = tuple({"id": row.id, "updated_at": str(row.updated), "rev": row.rev, "rank": 1} for row in rows)
    params = () if since is None else (("since", f"2024-01-01T01:00:{since:02}Z"),)
    return Answer(path, params, BASE + at * 1000, records, rows, seen or rows, continued=True)


def test_evidence_is_what_two_answers_or_one_can_not_both_be() -> None:
    rising = Quirks(filter="inclusive")
    assert evidence.out_of_order(rising, [answer(1, 3, 2)])
    assert not evidence.out_of_order(rising, [answer(1, 2, 3)])
    boundary = answer(1, 2)
    assert evidence.a_known_one_is_missing(rising, [boundary, answer(3, 4, since=2, seen=answer(2, 3, 4).rows)])
    assert not evidence.a_known_one_is_missing(rising, [boundary, answer(2, 3, since=2)])
    of_another_parent = answer(3, 4, since=2, seen=answer(2, 3, 4).rows, path="/parents/1/list")
    assert not evidence.a_known_one_is_missing(rising, [boundary, of_another_parent])
    assert evidence.came_late(rising, [answer(1, 5), answer(1, 3, 5)])
    assert not evidence.came_late(rising, [answer(1, 5, at=3), answer(1, 3, 5)])
    assert not evidence.never(rising, [answer(3, 1)])


def test_a_schedule_of_a_lie_is_replayed_by_one_command() -> None:
    silent = next(silent for silent in STILL_SILENT if silent.fact == "paginator path")
    line = lie_command(said_by(silent), silent.seed, silent.size)
    text = line.removeprefix("python ")
    arguments = [part for index, part in enumerate(text.split('"')) for part in ([part] if index % 2 else part.split())]
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout.endswith(f"{silent.walk}: {SILENT}\n")


def test_the_tables_count_verdicts_by_fact_and_walk() -> None:
    summary = summarised(LieJob(0, 12, "order", paired=False))
    head, *lines = text_table(summary).splitlines()
    assert all(verdict in head for verdict in VERDICTS)
    assert sum(int(number) for line in lines for number in line.split()[-len(VERDICTS) :]) == 12
    first, rule, *rows = markdown_table(summary).splitlines()
    assert first.startswith("| fact that is false | ")
    assert rule.count("|") == first.count("|")
    assert any(row.startswith("| order | ") for row in rows)
    assert ENDLESS in VERDICTS
