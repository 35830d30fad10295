"""The faults that `make crash` and `make relay-mutants` put into the code still have their places there."""

from __future__ import annotations

import pytest

from tests.target_eventgen import mutants, relay_mutants


@pytest.mark.parametrize("mutant", [*mutants.MUTANTS, *relay_mutants.MUTANTS], ids=lambda mutant: mutant.fault)
def test_what_a_fault_replaces_is_in_the_code(mutant: mutants.Mutant) -> None:
    text = (mutants.ROOT / "target_eventgen" / f"{mutant.module}.py").read_text(encoding="utf-8")
    for old, new in mutant.texts:
        assert old in text
        text = text.replace(old, new)
    compile(text, mutant.module, "exec")
