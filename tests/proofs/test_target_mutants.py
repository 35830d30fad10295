"""The faults that `make crash` and `make relay-mutants` put into the code still have their places there."""

from __future__ import annotations

import pytest

from proofs.mutants import relay, target
from proofs.mutants.harness import ROOT, edited, read

pytestmark = pytest.mark.pure

CODE = read(ROOT / target.PACKAGE)


@pytest.mark.parametrize("mutant", [*target.MUTANTS, *relay.MUTANTS], ids=lambda mutant: mutant.name)
def test_what_a_fault_replaces_is_in_the_code(mutant: target.Mutant) -> None:
    assert edited(CODE, mutant)  # each text is there once, and what comes of it is Python
