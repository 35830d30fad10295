"""A slice of the chaos run; the whole is `make webhooks N=2000`."""

from __future__ import annotations

from pathlib import Path

import pytest

from proofs.webhooks.chaos import chaos, shown


@pytest.mark.parametrize("kind", ["postgres", "redis", "kafka"])
def test_whatever_is_killed_nothing_answered_is_lost_and_what_was_never_sent_is_counted(
    kind: str, tmp_path: Path, database: str
) -> None:
    found = chaos(240, kind, 3, database, tmp_path)
    assert not any(found.faults.values()), shown(found)
    assert found.expected_missed > 0
    assert found.tries["503"] > 0 or kind == "kafka"  # whose client outlasts a short absence
    assert found.tries["no answer"] > 0
