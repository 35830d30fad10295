"""Two targets that load the same new keys at once."""

from __future__ import annotations

import json
import random
import subprocess
from collections import Counter
from typing import TYPE_CHECKING

from tests.support.messages import lines, record, schema, state
from tests.support.processes import TARGET
from tests.support.queries import events, recorded_events, rows

if TYPE_CHECKING:
    from pathlib import Path

KEYS = 3000
SCHEMA = schema("orders", {"id": {"type": "integer"}, "amount": {"type": "number"}}, version=None)


def singer(order: list[int], round_: int, amount: int) -> bytes:
    records = [record("orders", id=key, amount=amount) for key in order]
    return lines([SCHEMA, *records, state({"round": round_})]).encode()


def started(command: list[str | Path], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output)


def test_two_targets_that_load_the_same_new_keys_at_once_record_each_created_event_once(
    database: str, tmp_path: Path
) -> None:
    chance = random.Random(7)
    configuration = {
        "database_url": database,
        "default_target_schema": "public",
        "initial_load": "emit",
        "events": [
            {"type": "order.created", "stream": "orders", "on": "created"},
            {"type": "order.updated", "stream": "orders", "on": "updated"},
        ],
    }
    (tmp_path / "target.json").write_text(json.dumps(configuration))
    rounds = 3
    for round_ in range(rounds):
        keys = list(range(round_ * KEYS, (round_ + 1) * KEYS))
        inputs = [singer(chance.sample(keys, len(keys)), round_, amount) for amount in range(2)]
        logs = [tmp_path / f"log-{number}" for number in range(2)]
        targets = [started([TARGET, "--config", tmp_path / "target.json"], log) for log in logs]
        # Both have their whole input but the end before either is let go, so that they load at the same moment.
        for target, input_ in zip(targets, inputs, strict=True):
            assert target.stdin is not None
            target.stdin.write(input_)
            target.stdin.flush()
        for target in targets:
            assert target.stdin is not None
            target.stdin.close()
        for target, log in zip(targets, logs, strict=True):
            assert target.stdout is not None
            assert json.loads(target.stdout.read()) == {"round": round_}
            target.stdout.close()
            assert target.wait(60) == 0, log.read_text()[-4000:]
            assert "Error" not in log.read_text()

    # Who came second saw the row of who came first: each key was created by one and updated by the other.
    kinds = ("order.created", "order.updated")
    assert recorded_events(database) == Counter({(kind, key): 1 for kind in kinds for key in range(rounds * KEYS)})
    for event in events(database):
        old, new = event["data"]["old"], event["data"]["new"]
        assert {0, 1} >= {new["amount"]}
        assert (old is None) == (event["type"] == "order.created")
        assert old is None or old["amount"] == 1 - new["amount"]
    assert rows(database, "select count(*), count(distinct id) as distinct from public.orders") == [
        {"count": rounds * KEYS, "distinct": rounds * KEYS}
    ]
