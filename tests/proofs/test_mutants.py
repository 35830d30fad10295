"""The simulator finds faults: some mutants at each run of the tests, all of them by `make mutants`."""

from __future__ import annotations

import pytest

from proofs.mutants.harness import ROOT, Edit, edited, read
from proofs.mutants.walks import MUTANTS, PACKAGE, Mutant, tried
from proofs.simulate.cases import CASES

CODE = read(ROOT / PACKAGE)

QUICK = [
    mutant
    for mutant in MUTANTS
    if mutant.name
    in {
        "`>` for `>=`: an exclusive filter isn't stepped back",
        "repeats are known by key alone",
        "STATE before its records, along tokens",
        "an empty page with a token ends the list",
        "the lag is ignored",
        "seams are never checked",
        "the hash cache is confirmed too early",
        "tokens are not remembered",
        "STATE moves in the middle of a pass down the list",
    }
]


@pytest.mark.parametrize("mutant", QUICK, ids=lambda mutant: mutant.name)
def test_the_simulator_finds_a_deliberate_fault(mutant: Mutant) -> None:
    trial = tried(mutant)
    assert trial.is_good, str(trial)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_s_text_is_there_once_and_its_cases_exist(mutant: Mutant) -> None:
    assert edited(CODE, mutant)
    assert any(mutant.cases in name for name in CASES)


def test_a_fault_that_is_rarely_met_is_found_by_its_own_story() -> None:
    (mutant,) = [mutant for mutant in MUTANTS if mutant.name == "what a falling list repeats over a seam is new"]
    trial = tried(mutant)
    assert (trial.verdict, trial.seeds, trial.findings) == ("caught", 1, "descending: repeat")


def test_a_fault_that_is_none_survives() -> None:
    harmless = Mutant("a word", (Edit("Listing.next_page", "has moved; what", "has moved, what"),), "restart, offsets")
    assert tried(harmless, most=50).verdict == "survived"


def test_a_mutant_whose_text_has_gone_is_reported() -> None:
    gone = Mutant("gone", (Edit("Listing.next_page", "no such text", ""),), "keyset")
    assert tried(gone).verdict.startswith("no longer applies")


def test_there_are_many_mutants_and_no_two_are_alike() -> None:
    assert len(MUTANTS) >= 50
    assert len(QUICK) == 9
    assert len({mutant.edits for mutant in MUTANTS}) == len(MUTANTS)
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
