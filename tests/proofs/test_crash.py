"""A slice of the crash matrix: each failpoint with each kind of fault, once."""

from __future__ import annotations

from proofs.crash.campaign import COUNTS, matrix, table


def test_no_fault_at_any_failpoint_loses_repeats_or_invents_anything() -> None:
    found = matrix(24, first=1000)
    assert all(counted["reached"] for counted in found.values()), table(found)
    assert not any(counted[name] for counted in found.values() for name in COUNTS[1:]), table(found)
