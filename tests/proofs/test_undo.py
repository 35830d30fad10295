"""Postgres and the model of undos agree on generated histories of runs, undos, kills and changes by hand."""

from __future__ import annotations

from proofs.histories.undoing import tell


def test_a_hundred_histories_of_runs_and_undos_agree_with_the_model(database: str) -> None:
    tell(database, 100)
