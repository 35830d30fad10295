"""Metrics as Prometheus' own parser reads them, of real loads and a real relay."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from target_eventgen.observe import outcomes
from tests.support.messages import record, schema, state
from tests.support.queries import waits_for_a_lock
from tests.support.receiver import Answer, Receiver
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.support.loading import Loader

CREATED = {"type": "subscription.created", "stream": "subscriptions", "on": "created"}
PASSED = {"type": "subscription.passed", "stream": "subscriptions", "enters": "value > 100"}


def values(text: str) -> dict[tuple[str, ...], float]:
    """Every sample, by its name and the values of its labels."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def version(id_: int, value: float, day: int = 1) -> dict[str, Any]:
    return record(id=id_, value=value, status="a", updated_at=f"2026-01-{day:02}T00:00:00Z")


def webhook(url: str) -> list[dict[str, Any]]:
    return [{"type": "webhook", "name": "hook", "url": url, "allow_private_addresses": True}]


def test_a_load_writes_what_it_did_and_the_next_goes_on_counting(loader: Loader, receiver: Receiver) -> None:
    file = loader.folder / "eventgen.prom"
    given = {
        "events": [CREATED, PASSED], "metrics_textfile": str(file), "publishers": webhook(receiver.url),
        "on_invalid_record": "dead_letter",
    }  # fmt: skip
    loader.load([schema(), version(1, 50, 2), version(2, 150, 2), record(id="x"), state({})], **given)
    first = values(file.read_text())
    assert first["eventgen_records_total", "subscriptions"] == 2
    assert first["eventgen_invalid_records_total", "subscriptions"] == 1
    assert first["eventgen_transitions_total", "created", "subscriptions"] == 2
    assert first["eventgen_events_recorded_total", "subscriptions", CREATED["type"]] == 2
    assert first["eventgen_events_recorded_total", "subscriptions", PASSED["type"]] == 1
    assert first["eventgen_delivered_events_total", "hook", CREATED["type"]] == 2
    assert first["eventgen_runs_total", "finished"] == 1
    assert first["eventgen_lock_wait_seconds_count", "subscriptions"] == 1
    loader.load([schema(), version(1, 150, 3), version(2, 1, 1), state({})], **given)
    second = values(file.read_text())
    assert second["eventgen_records_total", "subscriptions"] == 4
    assert second["eventgen_stale_records_total", "subscriptions"] == 1
    assert second["eventgen_transitions_total", "changed", "subscriptions"] == 1
    assert second["eventgen_events_recorded_total", "subscriptions", PASSED["type"]] == 2
    assert second["eventgen_runs_total", "finished"] == 2
    assert second["eventgen_lock_wait_seconds_count", "subscriptions"] == 2
    assert second["eventgen_checkpoint_seconds_count",] > first["eventgen_checkpoint_seconds_count",]
    assert second["eventgen_checkpoint_seconds_sum",] > first["eventgen_checkpoint_seconds_sum",]
    assert second["eventgen_checkpoint_seconds_bucket", "+Inf"] == second["eventgen_checkpoint_seconds_count",]
    assert second["eventgen_publish_seconds_count", "hook"] == first["eventgen_publish_seconds_count", "hook"] + 1
    assert abs(second["eventgen_last_commit_timestamp_seconds",] - time.time()) < 60
    assert [path.name for path in loader.folder.glob("eventgen.prom*")] == ["eventgen.prom"]


def test_a_run_that_fails_is_counted_with_what_it_had_committed(loader: Loader) -> None:
    file = loader.folder / "eventgen.prom"
    messages: list[dict[str, Any] | str] = [
        schema(),
        version(1, 50),
        state({}),
        version(2, 50),
        state({"a": 1}),
        "no Singer message",
    ]
    message = loader.run(messages, metrics_textfile=str(file), batch_size_rows=1)
    assert message.returncode == 1
    found = values(file.read_text())
    assert found["eventgen_runs_total", "failed"] == 1
    assert found["eventgen_records_total", "subscriptions"] >= 1


@pytest.mark.parametrize(
    "content", ["", "no metrics", "eventgen_records_total{stream=", "\x00\xff", "eventgen_runs_total 5\n"]
)
def test_a_file_that_is_none_of_ours_counts_for_nothing(loader: Loader, content: str) -> None:
    file = loader.folder / "eventgen.prom"
    file.write_text(content)
    loader.load([schema(), version(1, 50)], metrics_textfile=str(file))
    assert values(file.read_text())["eventgen_records_total", "subscriptions"] == 1


def test_a_file_that_can_not_be_written_is_a_warning(loader: Loader) -> None:
    done = loader.run([schema(), version(1, 50)], metrics_textfile=str(loader.folder / "missing" / "eventgen.prom"))
    assert done.returncode == 0
    assert "metrics_textfile" in done.stderr
    assert loader.query("select count(*) from subscriptions") == [(1,)]


def test_waiting_for_a_lock_is_seen(loader: Loader) -> None:
    file = loader.folder / "eventgen.prom"
    loader.load([schema(), version(1, 50)])
    with closing(psycopg2.connect(loader.database)) as holder, holder.cursor() as cursor:
        cursor.execute("select from subscriptions where id = 1 for update")
        process = loader.start(metrics_textfile=str(file))
        assert process.stdin is not None
        process.stdin.write("".join(json.dumps(each) + "\n" for each in (schema(), version(1, 60, 2))))
        process.stdin.close()
        wait_until(lambda: waits_for_a_lock(loader.database), what="a target that waits for a lock")
        time.sleep(0.7)
        holder.rollback()
    process.stdin = None
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert values(file.read_text())["eventgen_lock_wait_seconds_sum", "subscriptions"] > 0.5


@contextlib.contextmanager
def relaying(loader: Loader, *arguments: str, **settings: Any) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "target_eventgen", "relay", "--config", str(loader.write_config(**settings))]
    environment = loader.environment()
    process = subprocess.Popen(
        [*command, *arguments], stderr=subprocess.PIPE, text=True, cwd=loader.folder, env=environment
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def test_a_relay_serves_its_metrics_and_the_backlog_as_it_is(loader: Loader, receiver: Receiver) -> None:
    receiver.answer = lambda request: Answer(503 if b'"id": 2' in request.body or b'"id":2' in request.body else 200)
    given = {"events": [CREATED], "publishers": webhook(receiver.url), "delivery": "relay"}
    loader.load([schema(), version(1, 1), version(2, 1), version(3, 1)], **given)
    with relaying(loader, "--follow", "--metrics-port", "0", **given) as relay:
        assert relay.stderr is not None
        address = ""
        while not address:
            line = relay.stderr.readline()
            assert line
            address = next(iter(re.findall(r"http://127\.0\.0\.1:\d+/metrics", line)), "")

        def settled() -> dict[tuple[str, ...], float] | None:
            with urllib.request.urlopen(address, timeout=10) as answer:
                found = values(answer.read().decode())
            retried = found.get(("eventgen_delivery_retries_total", "hook"), 0) >= 1
            due = found.get(("eventgen_undelivered_events", "hook", "due"))
            delivered = found.get(("eventgen_delivered_events_total", "hook", CREATED["type"]))
            return found if delivered == 2 and retried and due == 0 else None

        found = wait_until(settled, what="two events delivered, and one that is retried", every=0.1)
        assert found is not None
    assert found["eventgen_undelivered_events", "hook", "retrying"] == 1
    assert found["eventgen_oldest_undelivered_seconds", "hook"] > 0
    assert found["eventgen_publish_seconds_count", "hook"] >= 1


def test_a_port_that_is_taken_is_one_message(loader: Loader, receiver: Receiver) -> None:
    given = {"publishers": webhook(receiver.url)}
    config = str(loader.write_config(**given))
    done = loader.run_command(["relay", "--config", config, "--metrics-port", str(receiver.port)])
    assert done.returncode == 1
    assert "--metrics-port" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_log_of_a_relay_is_json_where_that_is_asked_for(loader: Loader, receiver: Receiver) -> None:
    receiver.answer = lambda _: Answer(400)
    given = {"events": [CREATED], "publishers": webhook(receiver.url), "delivery": "relay"}
    loader.load([schema(), version(1, 1)], **given)
    config = str(loader.write_config(**given))
    done = loader.run_command(["relay", "--config", config, "--log-format", "json"])
    told = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    (turn,) = (line for line in told if "dead" in line)
    assert turn["publisher"] == "hook"
    assert (turn["delivered"], turn["retried"], turn["dead"]) == (0, 0, 1)
    assert turn["level"] == "INFO"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", turn["time"])


def test_a_long_load_says_how_far_it_has_come(
    loader: Loader, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(outcomes, "PROGRESS_SECONDS", 0.0)
    caplog.set_level("INFO", "target-eventgen")
    messages = [schema(), version(1, 50), state({"a": 1}), version(2, 50), version(3, 50), state({"a": 2})]
    loader.load(messages, events=[CREATED], batch_size_rows=1)
    said = [record.getMessage() for record in caplog.records if "so far" in record.getMessage()]
    assert said[0] == "1 records are committed so far, 1 events recorded"
    assert said[-1] == "3 records are committed so far, 3 events recorded"


def test_on_a_terminal_a_bar_shows_how_far_delivery_has_come(loader: Loader, receiver: Receiver) -> None:
    given = {"events": [CREATED], "publishers": webhook(receiver.url), "delivery": "relay"}
    loader.load([schema(), *(version(number, 1) for number in range(40))], **given)
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "target_eventgen", "relay", "--config", str(loader.write_config(**given))]
    environment = {**loader.environment(), "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(command, stderr=theirs, cwd=loader.folder, env=environment) as process:
        os.close(theirs)
        said = b""
        with contextlib.suppress(OSError):  # the end of a terminal
            while piece := os.read(ours, 65536):
                said += piece
        assert process.wait(60) == 0
    os.close(ours)
    assert b"40/40" in said
    elsewhere = loader.run_command(["relay", "--config", str(Path(loader.folder) / "config.json")])
    assert "\x1b" not in elsewhere.stderr
