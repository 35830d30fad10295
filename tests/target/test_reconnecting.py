"""How long a lost connection is made again, by the schedule alone."""

from __future__ import annotations

import threading

import pytest

from target_eventgen.errors import ConnectionLostError
from target_eventgen.store.connection import MAX_PAUSE_SECONDS, pause_after, reconnect_pause, reconnecting

pytestmark = pytest.mark.pure


def lost() -> None:
    raise ConnectionLostError("gone")


def test_pauses_double_from_a_twentieth_of_a_second_to_five_seconds() -> None:
    assert [pause_after(failures) for failures in range(1, 10)] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert pause_after(1_000_000) == MAX_PAUSE_SECONDS


@pytest.mark.parametrize(
    ("failures", "elapsed", "bound", "pause"),
    [
        (1, 0.0, 0.0, None),
        (1, 0.0, 0.05, None),
        (1, 0.0, 60.0, 0.05),
        (8, 54.9, 60.0, 5.0),
        (8, 55.0, 60.0, None),
        (1, 61.0, 60.0, None),
    ],
)
def test_no_attempt_begins_after_the_bound(failures: int, elapsed: float, bound: float, pause: float | None) -> None:
    assert reconnect_pause(failures, elapsed, bound) == pause


def test_work_is_repeated_after_losses_until_it_is_done(caplog: pytest.LogCaptureFixture) -> None:
    attempts: list[int] = []

    def work() -> str:
        attempts.append(1)
        if len(attempts) < 3:
            lost()
        return "done"

    assert reconnecting(work, 60, "here") == "done"
    assert len(attempts) == 3
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "The connection to Postgres at here is lost (gone); connecting again"
    ]


def test_without_time_to_reconnect_a_loss_is_an_error_at_once_and_nothing_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(ConnectionLostError):
        reconnecting(lost, 0, "here")
    assert caplog.records == []


def test_who_stops_waits_for_no_connection() -> None:
    stopping, attempts = threading.Event(), 0
    stopping.set()

    def work() -> None:
        nonlocal attempts
        attempts += 1
        lost()

    with pytest.raises(ConnectionLostError):
        reconnecting(work, 1, "here", stopping)
    assert attempts == 1
