"""Thirty kills: no record is missing, and every event is told exactly once."""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING

from tests.pipeline.example import due_at_first, due_events, serving, told
from tests.pipeline.loaded import subscriptions, told_events
from tests.pipeline.processes import TAP, TARGET, Pipe

if TYPE_CHECKING:
    from pathlib import Path

    from tests.pipeline.processes import Run

KILLS = 30
SEED = 20_240_301


def test_after_thirty_kills_no_record_is_missing_and_each_event_was_told_once(database: str, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    happenings = []
    states: list[str] = []
    killed = {"tap": 0, "target": 0}
    (tmp_path / "target.json").write_text(json.dumps(target_configuration(database)))

    def started(name: str) -> Pipe:
        state = tmp_path / "state.json"
        state.write_text(states[-1] if states else "{}")
        tap: list[str | Path] = [TAP, "--config", tmp_path / "tap.json", "--state", state]
        return Pipe(tap, [TARGET, "--config", tmp_path / "target.json"], tmp_path / name)

    def remembered(run: Run) -> Run:
        states.extend(run.states[-1:])
        return run

    with serving(tmp_path, delay=0.03) as example:
        seeded = list(example.rows().values())
        (tmp_path / "tap.json").write_text(json.dumps(example.configuration(limit=10)))
        took = 3.0  # seconds that a run takes, learnt from the runs that are left alone
        for number in range(KILLS):
            # Only a subscription that is loaded can be replanned: a first version has nothing to differ from.
            replanned = 3 if number else 0
            counts = {"passed": 4, "canceled": 3, "created": 3, "touched": 30, "replanned": replanned}
            happenings += example.happen(SEED + number, **counts)
            while True:
                pipe = started(f"killed-{number}")
                busy = example.happening(number, rounds=4, pause=0.2, passed=1, created=1, touched=5)
                victim = chance.choice(["tap", "target"])
                time.sleep(took * chance.uniform(0.35, 0.95))
                process = pipe.tap if victim == "tap" else pipe.target
                alive = process.poll() is None
                if alive:
                    process.kill()
                remembered(pipe.finished())
                happenings += told(busy)
                if alive:
                    break
            killed[victim] += 1
            begun = time.monotonic()
            run = remembered(started(f"whole-{number}").finished())
            assert run.codes == (0, 0), run.log[-4000:]
            took = time.monotonic() - begun
        rows = example.rows()

    assert sum(killed.values()) == KILLS
    assert min(killed.values()) > 0
    assert subscriptions(database) == rows
    assert told_events(database) == due_at_first(seeded) + due_events(happenings)


def target_configuration(database: str) -> dict[str, object]:
    rules = [
        {"type": "subscription.passed_10000", "stream": "subscriptions", "enters": "value > 10000"},
        {"type": "subscription.canceled", "stream": "subscriptions", "enters": "status = 'canceled'"},
        {"type": "subscription.replanned", "stream": "subscriptions", "changes": ["plan_id", "quantity"]},
        {"type": "subscription.created", "stream": "subscriptions", "on": "created"},
    ]
    return {"database_url": database, "default_target_schema": "public", "events": rules, "initial_load": "emit"}
