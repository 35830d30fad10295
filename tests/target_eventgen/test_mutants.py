"""The faults that `make crash` and `make relay-mutants` put into the code still have their places there."""

from __future__ import annotations

import pytest

from tests.mutation import ROOT, edited, read
from tests.target_eventgen import mutants, relay_mutants

CODE = read(ROOT / mutants.PACKAGE)


@pytest.mark.parametrize("mutant", [*mutants.MUTANTS, *relay_mutants.MUTANTS], ids=lambda mutant: mutant.name)
def test_what_a_fault_replaces_is_in_the_code(mutant: mutants.Mutant) -> None:
    assert edited(CODE, mutant)  # each text is there once, and what comes of it is Python
