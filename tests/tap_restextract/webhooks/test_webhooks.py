"""From a POST to a row: what was answered 2xx is in the queue, and leaves it once it is known to be loaded."""

from __future__ import annotations

from pathlib import Path

from tests.tap_restextract.processes import tap
from tests.tap_restextract.webhooks.receiving import configuration, event, receiving


def test_a_notification_that_was_answered_comes_out_as_a_record(tmp_path: Path, database: str) -> None:
    config = configuration(database)
    with receiving(tmp_path, config) as receiver:
        assert receiver.post(event(1, 5, value=1.50, status="new")).status == 200
        assert receiver.stop() == 0
    run = tap(tmp_path, config)
    assert run.code == 0, run.err
    assert run.records == [{"id": 1, "updated_at": "2026-01-01T00:00:05Z", "value": 1.5, "status": "new"}]


def test_what_a_state_covers_leaves_the_queue_when_it_comes_back_and_not_before(tmp_path: Path, database: str) -> None:
    config = configuration(database)
    with receiving(tmp_path, config) as receiver:
        assert receiver.post(event(1, 5)).status == 200
        first, again = tap(tmp_path, config), tap(tmp_path, config)
        assert [record["id"] for record in first.records] == [record["id"] for record in again.records] == [1]
        assert receiver.post(event(2, 6)).status == 200
    later = tap(tmp_path, config, state=first.states[-1])
    assert [record["id"] for record in later.records] == [2]
    assert [record["id"] for record in tap(tmp_path, config).records] == [2]
