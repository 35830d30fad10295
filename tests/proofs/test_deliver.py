"""A slice of `make deliver`: two relays and each receiver, through one round of troubles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proofs.deliver import chaos, slow
from tests.support.receiver import Answer
from tests.support.rigs import Arrived, FileRig, KafkaRig, NatsClusterRig, RedisRig, Rig, WebhookRig

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "kind",
    [FileRig, WebhookRig, RedisRig, NatsClusterRig, KafkaRig],  # the others are with `make deliver`
    ids=lambda kind: kind.name,
)
def test_nothing_is_lost_or_overtaken_whatever_befalls_relays_brokers_and_connections(
    kind: type[Rig], database: str, tmp_path: Path
) -> None:
    with kind() as rig:
        verdict = chaos.run(rig, database, tmp_path, events=2000)
    assert verdict.is_right(deduplicates=kind.deduplicates), (
        f"{verdict}\n{(tmp_path / 'relays.log').read_text()[-3000:]}"
    )
    assert verdict.events >= 1500


@pytest.mark.parametrize(
    "case",
    [
        slow.Case("5/s, else 429 and 1 s", lambda: slow.a_rate(5, Answer(429, slow.LATER)), 400, most=1.2),
        slow.Case("503 for an hour", lambda: slow.an_outage(Answer(503), hours=1.0), 400),
        slow.Case("500 to one key", lambda: slow.an_event(slow.ONE_KEY, Answer(500)), 400, dead=1),
    ],
    ids=lambda case: case.name,
)
def test_a_receiver_that_is_slow_or_away_makes_no_dead_letter_and_is_not_stormed(
    case: slow.Case, database: str
) -> None:
    verdict = slow.play(case, database)
    assert verdict.is_right, slow.table([verdict])


def some(text: str) -> list[Arrived]:
    """One event for each two letters: its key and its number."""
    return [Arrived(id=pair, key=pair[0], sequence=int(pair[1])) for pair in text.split()]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ("a1 b2 a3 b4", (0, 0, 0, 0)),
        ("b2 b4 a1 a3", (0, 0, 0, 0)),
        ("a1 a3 a1 a3 b2 b4", (0, 0, 0, 2)),
        ("a1 a3 b4", (1, 0, 0, 0)),
        ("a3 a1 b2 b4", (0, 0, 1, 0)),
        ("a3 a1 a3 b4 b2", (0, 0, 2, 1)),
        ("a1 b2 a3 b4 c5", (0, 1, 1, 0)),
    ],
)
def test_the_judge_sees_what_is_lost_foreign_overtaken_and_repeated(
    found: str, expected: tuple[int, int, int, int]
) -> None:
    verdict = chaos.judge("x", some("a1 b2 a3 b4"), some(found), dead=0, troubles=0, seconds=0)
    assert (verdict.lost, verdict.foreign, verdict.disordered, verdict.repeated) == expected
