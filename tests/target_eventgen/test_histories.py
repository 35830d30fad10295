"""Postgres and the reference model agree on generated histories of several writers, with kills between statements."""

from __future__ import annotations

from tests.target_eventgen.histories import tell


def test_five_hundred_histories_agree_with_the_reference_model(database: str) -> None:
    tell(database, 500)
