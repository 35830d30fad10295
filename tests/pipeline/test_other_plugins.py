"""Our tap into another's target, and another's tap into ours."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from typing import TYPE_CHECKING

from tests.support.environments import environment
from tests.support.messages import lines
from tests.support.processes import TAP, TARGET, ran
from tests.support.queries import recorded_events, rows

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.example import Example


def test_target_jsonl_takes_all_records_and_the_state_of_our_tap(example: Example, tmp_path: Path) -> None:
    target = environment("target-jsonl", "target-jsonl==0.1.4", "setuptools<81") / "target-jsonl"
    (tmp_path / "tap.json").write_text(json.dumps(example.configuration()))
    (tmp_path / "target.json").write_text(json.dumps({"destination_path": str(tmp_path), "do_timestamp_file": False}))
    out: list[str | Path] = [target, "--config", tmp_path / "target.json"]

    first = ran([TAP, "--config", tmp_path / "tap.json"], out, tmp_path / "first")
    (tmp_path / "state.json").write_text(first.states[-1])
    again: list[str | Path] = [TAP, "--config", tmp_path / "tap.json", "--state", tmp_path / "state.json"]
    second = ran(again, out, tmp_path / "second")
    happenings = example.happen(5, passed=3, created=2, touched=4)
    third = ran(again, out, tmp_path / "third")

    assert len(first.records) == 1000
    assert second.records == []
    assert {record["id"] for record in third.records} == {happening["id"] for happening in happenings}
    written = [json.loads(line) for line in (tmp_path / "subscriptions.jsonl").read_text().splitlines()]
    assert len(written) == 1000 + len(third.records)
    assert {row["id"]: row for row in written} == example.rows()


def test_our_target_loads_what_tap_jsonl_reads_and_records_what_changed(database: str, tmp_path: Path) -> None:
    tap = environment("tap-jsonl", "tap-jsonl==0.3.1") / "tap-jsonl"
    (tmp_path / "target.json").write_text(json.dumps({
        "database_url": database,
        "default_target_schema": "public",
        "events": [
            {"type": "order.paid", "stream": "orders", "enters": "status = 'paid'"},
            {"type": "order.created", "stream": "orders", "on": "created"},
        ],
    }))  # fmt: skip
    (tmp_path / "tap.json").write_text(
        json.dumps({"path": str(tmp_path / "orders.jsonl"), "stream_name": "orders", "primary_keys": ["id"]})
    )

    def run() -> None:
        finished = subprocess.run(
            f"'{tap}' --config tap.json 2>tap.log | '{TARGET}' --config target.json 2>target.log",
            shell=True,
            cwd=tmp_path,
            check=False,
        )
        assert finished.returncode == 0, (tmp_path / "target.log").read_text()[-4000:]

    orders = [{"id": number, "status": "open", "lines": [{"sku": f"S{number}"}]} for number in range(1500)]
    (tmp_path / "orders.jsonl").write_text(lines(orders))
    run()
    assert recorded_events(database) == Counter()
    (tmp_path / "orders.jsonl").write_text(
        lines([*orders[:-1], {**orders[-1], "status": "paid"}, {"id": 1500, "status": "paid", "lines": []}])
    )
    run()

    assert recorded_events(database) == Counter(
        {("order.paid", 1499): 1, ("order.paid", 1500): 1, ("order.created", 1500): 1}
    )
    assert rows(database, "select status, count(*) from public.orders group by status order by status") == [
        {"status": "open", "count": 1499},
        {"status": "paid", "count": 2},
    ]
