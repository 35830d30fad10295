"""APIs that others wrote, extracted while they change: nothing is missing and nothing is stale."""

from __future__ import annotations

import itertools
import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from proofs.real_apis import datasette, kinto
from proofs.real_apis.campaign import LEAST_DELETIONS, mutating
from proofs.real_apis.judge import Verdict, judge, undeleted
from tests.support.processes import TAP, ended, whole_lines
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from proofs.real_apis.campaign import Mutating

SEED = 1
NOTHING = Verdict(missing=[], stale=[])
HELD = 300
"""The line behind which a run isn't read on until an API has changed; a pipe holds not even half of a run's lines."""

CHANGES = 100


def messages(
    folder: Path, configuration: dict[str, Any], meanwhile: Callable[[], None] = lambda: None
) -> list[dict[str, Any]]:
    """The messages of a run from the last STATE of the run before it, if any; `meanwhile` is called in its midst."""
    (folder / "tap.json").write_text(json.dumps(configuration))
    command: list[str | Path] = [TAP, "--config", folder / "tap.json"]
    state = folder / "state.json"
    if state.exists():
        command += ["--state", state]
    with (folder / "tap.log").open("w") as log:
        tap = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=folder)
    try:
        assert tap.stdout is not None
        head = "".join(itertools.islice(tap.stdout, HELD))
        meanwhile()
        out = head + tap.stdout.read()
        code = tap.wait(60)
    finally:
        ended(tap)
    assert code == 0, (folder / "tap.log").read_text()[-4000:]
    found = [json.loads(line) for line in whole_lines(out)]
    states = [message["value"] for message in found if message["type"] == "STATE"]
    state.write_text(json.dumps(states[-1]))
    return found


def changes(writer: Mutating) -> Callable[[], None]:
    """What waits until the API has changed some more."""

    def wait() -> None:
        before = writer.count
        wait_until(lambda: writer.count >= before + CHANGES or not writer.is_alive(), what=f"{CHANGES} writes")

    return wait


def of_stream(found: list[dict[str, Any]], stream: str) -> list[dict[str, Any]]:
    return [message["record"] for message in found if message["type"] == "RECORD" and message["stream"] == stream]


@pytest.fixture(scope="module")
def kinto_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with kinto.running(tmp_path_factory.mktemp("kinto")) as address:
        yield address


def test_kinto_extracted_while_it_changes_and_once_more_misses_nothing(kinto_address: str, tmp_path: Path) -> None:
    orders = kinto.collection(kinto_address, "shop-once")
    orders.seed()
    with mutating(orders.mutations(SEED)) as writer:
        found = messages(tmp_path, kinto.tap_configuration(orders), changes(writer))
    extracted = of_stream(found, "orders")
    again = of_stream(messages(tmp_path, kinto.tap_configuration(orders)), "orders")

    assert writer.count >= CHANGES
    assert len(extracted) > len({record["id"] for record in extracted})  # some changed behind the walk, and came again
    assert judge(orders.rows(), extracted + again, ["id"]) == NOTHING
    assert len(again) <= writer.count


def test_datasette_extracted_while_it_changes_and_once_more_misses_nothing(tmp_path: Path) -> None:
    with datasette.running(tmp_path) as shop:
        with mutating(shop.mutations(SEED)) as writer:
            found = messages(tmp_path, datasette.tap_configuration(shop), changes(writer))
        again = messages(tmp_path, datasette.tap_configuration(shop))
        orders = shop.rows("select id, number, revision, amount, updated_at, silent from orders")
        lines = shop.rows("select * from order_lines")
        notes = shop.rows("select rowid, body from notes")

    assert writer.count >= CHANGES
    assert judge(orders, of_stream(found, "orders"), ["id"]) != NOTHING  # some changed behind the walk
    columns = ("id", "number", "revision", "amount", "updated_at")
    everything = [{name: row[name] for name in columns} for row in orders]
    visible = [row for row, whole in zip(everything, orders, strict=True) if row["updated_at"] and not whole["silent"]]
    assert len(visible) > datasette.LARGEST_TIE
    both = found + again
    assert judge(everything, of_stream(both, "orders"), ["id"]) == NOTHING
    assert judge(lines, of_stream(both, "order_lines"), ["order_id", "line"]) == NOTHING
    assert judge(notes, of_stream(both, "notes"), ["rowid"]) == NOTHING
    assert judge(visible, of_stream(both, "orders_by_time"), ["id"]) == NOTHING
    assert len(of_stream(again, "orders_by_time")) <= writer.count


def test_kinto_changing_and_the_tap_killed_again_and_again_loses_nothing_and_emits_each_deletion(
    kinto_address: str, tmp_path: Path
) -> None:
    found = kinto.campaign(kinto_address, tmp_path / "campaign", SEED)
    for stream, outcome in found.items():
        assert outcome.is_clean, (stream, outcome)
        assert outcome.kills > 1
        assert outcome.deletions >= LEAST_DELETIONS


def test_datasette_changing_and_the_tap_killed_again_and_again_loses_nothing_and_sweeps_emit_each_deletion(
    tmp_path: Path,
) -> None:
    found = datasette.campaign(tmp_path / "campaign", SEED)
    for stream, outcome in found.items():
        assert outcome.is_clean, (stream, outcome)
        assert outcome.kills > 1
        assert outcome.deletions >= LEAST_DELETIONS


def test_a_fact_that_is_not_true_of_kinto_loses_records_and_the_judge_sees_it(
    kinto_address: str, tmp_path: Path
) -> None:
    orders = kinto.collection(kinto_address, "shop-false")
    orders.seed()
    configuration = kinto.tap_configuration(orders)
    configuration["streams"][0]["params"]["_sort"] = "last_modified"  # its token then names no place within a tie
    found = of_stream(messages(tmp_path, configuration), "orders")
    assert len(judge(orders.rows(), found, ["id"]).missing) > kinto.LARGEST_TIE / 2


def test_the_judge_sees_a_missing_a_stale_and_a_deleted_row() -> None:
    truth = [{"id": 1, "revision": 1}, {"id": 2, "revision": 2}, {"id": 3, "revision": 0}]
    records = [{"id": 1, "revision": 1}, {"id": 2, "revision": 2}, {"id": 2, "revision": 1}, {"id": 9, "revision": 0}]
    assert judge(truth, records, ["id"]) == Verdict(missing=[(3,)], stale=[(2,)])


def test_the_judge_sees_a_row_that_is_gone_and_was_not_emitted_as_deleted() -> None:
    records: list[dict[str, Any]] = [
        {"id": 1},
        {"id": 2},
        {"id": 2, "_sdc_deleted_at": "2026-01-01T00:00:00Z"},
        {"id": 3},
    ]
    assert undeleted([{"id": 1}], records, ["id"]) == [(3,)]
