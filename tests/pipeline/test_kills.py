"""Thirty kills: no record is missing, and every event is told exactly once."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.support.example import due_at_first, due_events, serving, told
from tests.support.processes import TAP, TARGET, Pipe
from tests.support.queries import query, recorded_events, subscriptions
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.processes import PipeRun

KILLS = 30
SEED = 20_240_301
EARLY = (0.0, 0.3)
"""Seconds after its start that a run is killed at, before it can have committed anything."""

LATE = (0.0, 1.0)
"""Seconds after its first STATE that a run is killed at."""

NOTHING = {"type": "object", "properties": {"id": {"type": "integer"}}}
SLOW_EVENTS = """
create or replace function slow() returns trigger language plpgsql as 'begin perform pg_sleep(0.05); return null; end';
create trigger slow after insert on eventgen.events execute function slow();
"""
"""Makes transactions long, so that many a kill meets one that has written and is not yet committed."""


def target_configuration(database: str) -> dict[str, Any]:
    """Events from the first record on, and a commit every twenty records, so that kills find something half done."""
    rules = [
        {"type": "subscription.passed_10000", "stream": "subscriptions", "enters": "value > 10000"},
        {"type": "subscription.canceled", "stream": "subscriptions", "enters": "status = 'canceled'"},
        {"type": "subscription.replanned", "stream": "subscriptions", "changes": ["plan_id", "quantity"]},
        {"type": "subscription.created", "stream": "subscriptions", "on": "created"},
    ]
    return {"database_url": database, "events": rules, "initial_load": "emit", "batch_size_rows": 20}


def has_begun(pipe: Pipe) -> bool:
    """Whether a run has let a STATE out, or has ended."""
    return pipe.out.stat().st_size > 0 or pipe.target.poll() is not None


def test_after_thirty_kills_no_record_is_missing_and_each_event_was_recorded_once(
    database: str, tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    happenings: list[dict[str, Any]] = []
    states = ["{}"]
    killed: Counter[str] = Counter()
    without_a_new_state = with_a_new_state = 0
    (tmp_path / "target.json").write_text(json.dumps(target_configuration(database)))

    def started() -> Pipe:
        """A run from the last STATE that any target printed."""
        (tmp_path / "state.json").write_text(states[-1])
        tap: list[str | Path] = [TAP, "--config", tmp_path / "tap.json", "--state", tmp_path / "state.json"]
        return Pipe(tap, [TARGET, "--config", tmp_path / "target.json"], tmp_path / "run")

    def remembered(run: PipeRun) -> PipeRun:
        states.extend(run.states)
        return run

    with serving(tmp_path, delay=0.02) as example:
        seeded = example.rows().values()
        (tmp_path / "tap.json").write_text(json.dumps(example.configuration(limit=4)))
        attempts = 0
        empty = json.dumps({"type": "SCHEMA", "stream": "nothing", "key_properties": [], "schema": NOTHING}) + "\n"
        target: list[str | Path] = [TARGET, "--config", tmp_path / "target.json"]
        subprocess.run(target, input=empty, text=True, check=True, capture_output=True)
        query(database, SLOW_EVENTS)
        while killed.total() < KILLS:
            attempts += 1
            assert attempts < 3 * KILLS, "the runs end before they can be killed"
            # Only a subscription that is loaded can be replanned: a first version has nothing to differ from.
            replanned = 3 if killed else 0
            seed = SEED + attempts
            happenings += example.happen(seed, passed=4, canceled=3, created=3, touched=90, replanned=replanned)
            pipe = started()
            busy = example.happening(seed, rounds=3, pause=0.2, passed=1, created=1, touched=5)
            victim = chance.choice([each for each in ("tap", "target") if killed[each] < KILLS // 2])
            process = pipe.tap if victim == "tap" else pipe.target
            if chance.random() < 0.7:
                wait_until(partial(has_begun, pipe), what="a STATE, or the end of the run")
                time.sleep(chance.uniform(*LATE))
            else:
                time.sleep(chance.uniform(*EARLY))
            was_killed = process.poll() is None
            if was_killed:
                process.kill()
                killed[victim] += 1
            run = remembered(pipe.finished())
            without_a_new_state += was_killed and not run.states
            with_a_new_state += was_killed and bool(run.states)
            happenings += told(busy)
            whole = remembered(started().finished())
            assert whole.codes == (0, 0), whole.log[-4000:]
            assert subscriptions(database) == example.rows()  # now, before later changes could mend a loss

    assert killed == {"tap": KILLS // 2, "target": KILLS // 2}
    assert without_a_new_state  # some before the first commit
    assert with_a_new_state  # and some behind one
    assert recorded_events(database) == due_at_first(seeded) + due_events(happenings)
