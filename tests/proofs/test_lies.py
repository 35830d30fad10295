"""Configurations that lie about their API: what is lost in silence today, and how lies are made, judged and shown."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from proofs.simulate import evidence
from proofs.simulate.cases import case
from proofs.simulate.evidence import Answer
from proofs.simulate.lie_campaign import LieJob, places_of, single_claims, summarised
from proofs.simulate.lie_tables import markdown_page, text_table
from proofs.simulate.lies import LIES, TRUTHFUL, Claim, claim_of, pairs, singles
from proofs.simulate.lying import BAD, NAMED, REPORTED, RIGHT, SILENT, UNSEEN, VERDICTS, schedule_for
from proofs.simulate.quirks import BASE, Quirks
from proofs.simulate.running import ENDLESS
from proofs.simulate.schedule import Size
from proofs.simulate.shrinking import lie_command
from proofs.simulate.unnoticeable import UNNOTICEABLE, is_unseen
from tap_restextract.singer.stream import RestStream
from tests.proofs.still_silent import STILL_SILENT

ROOT = Path(__file__).parents[2]
SILENT_PLACES = {(silent.fact, silent.walk) for silent in STILL_SILENT}
STRIDE = 8
WRONG_FACTS = ROOT / "docs" / "wrong-facts.md"
NOT_NOTICED = ["fact", "when it is", "why nothing shows it"]


def test_what_is_still_silent_is_so_until_a_check_notices_it_and_its_row_is_removed() -> None:
    for silent in STILL_SILENT:
        claim = silent.claim
        schedule = schedule_for(claim, silent.seed, size=silent.size)
        assert schedule.verdict(claim) == silent.verdict, f"it is noticed now: remove it from STILL_SILENT: {silent}"
        assert schedule.outcome.walk == silent.walk


@pytest.mark.parametrize("part", range(STRIDE))
def test_no_other_fact_that_is_false_loses_anything_in_silence(part: int) -> None:
    claims = single_claims("")[part :: STRIDE * STRIDE]
    assert len(claims) > 30
    for seed, claim in enumerate(claims):
        schedule = schedule_for(claim, seed, size=Size(rows=16, runs=3))
        verdict = schedule.verdict(claim)
        assert verdict in VERDICTS
        if (claim.fact, schedule.outcome.walk) not in SILENT_PLACES:
            assert verdict not in BAD, lie_command(claim, seed, Size(rows=16, runs=3))


def test_lies_that_go_together_are_paired() -> None:
    both = pairs("restart, offsets")
    assert len(both) > 100
    assert all(len(claim.lies) == 2 and claim.real != claim.claimed for claim in both)
    assert all(claim.lies[0].fact != claim.lies[1].fact for claim in both)


def test_every_lie_is_in_a_case_and_names_of_cases_that_stop_by_themselves_are_left_out() -> None:
    assert {claim.lies[0].name for name in TRUTHFUL for claim in singles(name)} == {lie.name for lie in LIES}
    assert "tokens, faults" not in TRUTHFUL
    assert "tokens, no clock" not in TRUTHFUL


def test_a_lie_changes_what_the_api_does_and_not_what_the_configuration_states() -> None:
    falls = next(lie for lie in LIES if lie.name == "order: falls")
    claim = claim_of(case("tokens"), (falls,))
    assert claim is not None
    assert (claim.claimed.order, claim.real.order) == ("asc", "desc")
    assert claim_of(case("unordered, tokens"), (falls,)) is None
    assert claim_of(case("tokens"), (falls, falls)) is None


def test_a_lie_that_a_check_notices_is_a_named_error() -> None:
    falls = next(lie for lie in LIES if lie.name == "order: falls")
    claim = claim_of(case("tokens"), (falls,))
    assert claim is not None
    schedule = schedule_for(claim, 3)
    assert schedule.verdict(claim) == NAMED
    assert "isn't in ascending order" in schedule.noticed[0]


def unnoticed() -> tuple[Claim, int]:
    """A lie that no answer shows, and the seed of a schedule that loses something by it."""
    omits = next(lie for lie in LIES if lie.fact == "the list is whole")
    claim = claim_of(case("tokens"), (omits,))
    assert claim is not None
    return claim, next(seed for seed in range(6) if schedule_for(claim, seed).verdict(claim) == UNSEEN)


def test_a_loss_with_a_warning_is_reported_and_one_without_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    claim, seed = unnoticed()
    monkeypatch.setattr("proofs.simulate.lying.is_unseen", lambda *_: False)
    assert schedule_for(claim, seed).verdict(claim) == SILENT

    def report(stream: Any, _: Any) -> None:
        stream.logger.warning("stream %s: a continuation isn't read", stream.name)

    monkeypatch.setattr(RestStream, "_report", report)
    schedule = schedule_for(claim, seed)
    assert schedule.verdict(claim) == REPORTED
    assert "stream list: a continuation isn't read" in schedule.reports


def test_an_honest_configuration_loses_nothing_and_reports_nothing() -> None:
    for name in ("tokens", "restart, offsets", "sweep, tokens", "keyset"):
        claim = Claim((), case(name), case(name))
        schedule = schedule_for(claim, 5)
        assert schedule.verdict(claim) == RIGHT
        assert schedule.reports == []


def test_what_no_client_can_notice_is_declared_with_a_reason() -> None:
    facts = {lie.fact for lie in LIES}
    assert all(entry.fact in facts and len(entry.reason) > 30 for entry in UNNOTICEABLE)
    omits = next(lie for lie in LIES if lie.fact == "the list is whole")
    claim = claim_of(case("tokens"), (omits,))
    assert claim is not None
    assert is_unseen(claim, ())
    assert UNSEEN in {schedule_for(claim, seed).verdict(claim) for seed in range(6)}


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
    single = Quirks(filter="inclusive", paginator="single_page")
    assert evidence.cut_short(single, [answer(1, 2, seen=answer(1, 2, 3).rows), answer(2, 3, since=2)])
    assert not evidence.cut_short(single, [answer(1, 2, seen=answer(1, 2, 3).rows), answer(1, 2)])
    assert not evidence.never(rising, [answer(3, 1)])
    first, shifted = answer(3, 4, 5, seen=answer(1, 2, 3, 4, 5).rows), answer(4, 5, seen=answer(2, 3, 4, 5).rows)
    asked = [replace(each, params=(("token", "t0"),)) for each in (first, shifted)]
    assert evidence.a_page_lost_some(rising, asked)
    assert not evidence.a_page_lost_some(rising, [asked[0], replace(asked[1], seen=answer(2, 4, 5).rows)])
    assert not evidence.a_page_lost_some(rising, [first, shifted])


def test_what_comes_behind_a_stated_end_was_there_before_by_its_time_or_is_lacked_by_the_first_page_still() -> None:
    """An API that looks at no page number answers its first page to each; by has_more it ends."""
    claimed = Quirks(filter="traversal", paginator="page_number", has_more=True)
    seen = answer(1, 2, 3).rows
    first, again = (replace(answer(*times, seen=seen), flag=False, names=(1, 2, 3)) for times in ((1, 2), (2, 3)))
    behind = replace(again, params=(("page", "1"),))
    assert not evidence.more_was_there(claimed, [first, behind])
    assert not evidence.more_was_there(claimed, [first, behind, again])
    assert evidence.more_was_there(claimed, [first, behind, first])
    assert evidence.more_was_there(replace(claimed, filter="none"), [first, behind])


def test_a_schedule_of_a_lie_is_replayed_by_one_command() -> None:
    claim, seed = unnoticed()
    line = lie_command(claim, seed, Size())
    text = line.removeprefix("python ")
    arguments = [part for index, part in enumerate(text.split('"')) for part in ([part] if index % 2 else part.split())]
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"stable tokens: {UNSEEN}\n")


def test_the_tables_count_verdicts_by_fact_and_walk() -> None:
    summary = summarised(LieJob(0, 12, "order", paired=False))
    head, *lines = text_table(summary).splitlines()
    assert all(verdict in head for verdict in VERDICTS)
    assert sum(int(number) for line in lines for number in line.split()[-len(VERDICTS) :]) == 12
    assert ENDLESS in VERDICTS


@pytest.mark.parametrize("written", ["in the documentation", "now"])
def test_the_page_has_a_row_for_each_fact_and_a_cell_for_each_walk_whose_configuration_states_it(written: str) -> None:
    summary = summarised(LieJob(0, 2, "order", paired=False))
    page = WRONG_FACTS.read_text(encoding="utf-8") if written != "now" else markdown_page(summary)
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:1] == "|"]
    above, below = lines[: lines.index(NOT_NOTICED)], lines[lines.index(NOT_NOTICED) + 2 :]
    (_, _, *walks), _, *rows = above
    assert [row[0] for row in rows] == [*dict.fromkeys(lie.fact for lie in LIES)]
    assert [row[1] for row in rows] == ["; ".join(dict.fromkeys(ways_of(row[0]))) for row in rows]
    cells = {(row[0], walk) for row in rows for walk, cell in zip(walks, row[2:], strict=True) if cell}
    assert cells == places_of(single_claims(""))
    assert [(row[0], row[2]) for row in below] == [(entry.fact, entry.reason) for entry in UNNOTICEABLE]
    if written != "now":
        assert "not played" not in page


def ways_of(fact: str) -> list[str]:
    return [lie.way for lie in LIES if lie.fact == fact]
