"""`drain --follow | target`: a notification is a row with events within a second, and leaves the queue once loaded."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests.support.processes import TAP, TARGET, ended, environment, written
from tests.support.queries import rows
from tests.support.receiving import Serving, configuration, event, receiving
from tests.support.waiting import wait_until

MEDIAN_SECONDS = 0.5
TURNS = 5  # of which one must be so quick; whatever waits for a clock is never
PATIENCE = 180  # two programs start meanwhile, on a machine that may be busy


class Listening:
    """`drain --follow | target >> states` as a shell would start it."""

    def __init__(self, folder: Path, config: dict[str, Any], database: str, *arguments: str, **target: Any) -> None:
        self.states, self.log = folder / "states.jsonl", folder / "listening.log"
        rules = [{"type": "thing.passed", "stream": "things", "enters": "value > 100"}]
        settings = {"database_url": database, "events": rules, "initial_load": "emit", "checkpoint_seconds": 0.05}
        tap_config = written(folder, "tap.json", config)
        target_config = written(folder, "target.json", {**settings, **target})
        drain: list[str | Path] = [TAP, "webhooks", "drain", "--follow", "--config", tap_config, *arguments]
        if self.states.exists():
            lines = self.states.read_text().splitlines()
            drain += ["--state", written(folder, "state.json", lines[-1])] if lines else []
        with self.states.open("ab") as states, self.log.open("ab") as log:
            self.tap = subprocess.Popen(
                drain, cwd=folder, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
            )
            self.target = subprocess.Popen(
                [TARGET, "--config", target_config], cwd=folder, stdin=self.tap.stdout, stdout=states, stderr=log
            )
        assert self.tap.stdout is not None
        self.tap.stdout.close()


@contextmanager
def listening(
    folder: Path, config: dict[str, Any], database: str, *arguments: str, **target: Any
) -> Iterator[Listening]:
    pipe = Listening(folder, config, database, *arguments, **target)
    try:
        yield pipe
    finally:
        ended(pipe.tap)
        ended(pipe.target, 60)


@pytest.fixture
def receiver(tmp_path: Path, database: str) -> Iterator[Serving]:
    with receiving(tmp_path, configuration(database)) as serving:
        yield serving


def fired(database: str) -> list[int]:
    """The ids whose event was recorded."""
    if rows(database, "select to_regclass('eventgen.events') as there")[0]["there"] is None:
        return []
    return [
        row["id"] for row in rows(database, "select (key->>'id')::int as id from eventgen.events order by sequence")
    ]


def test_from_post_to_event_row_takes_less_than_half_a_second(tmp_path: Path, database: str, receiver: Serving) -> None:
    with listening(tmp_path, configuration(database), database):
        assert receiver.post(event(0, 1, value=500)).status == 200
        wait_until(lambda: fired(database) == [0], PATIENCE, what="the first event")
        medians = []
        for turn in range(TURNS):
            medians.append(statistics.median(took(receiver, database, range(100 * turn + 1, 100 * turn + 16))))
            if medians[-1] < MEDIAN_SECONDS:
                break
    assert min(medians) < MEDIAN_SECONDS, medians


def took(receiver: Serving, database: str, keys: Iterable[int]) -> list[float]:
    """Seconds from the POST of a thing to its event's row, one thing after the other."""
    found = []
    with closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
        connection.autocommit = True

        def is_recorded(key: int) -> bool:
            cursor.execute("select count(*) from eventgen.events where key->>'id' = %s", (str(key),))
            return cursor.fetchone() == (1,)

        for key in keys:
            began = time.perf_counter()
            assert receiver.post(event(key, 1, value=500)).status == 200
            wait_until(partial(is_recorded, key), what="the event", every=0.002)
            found.append(time.perf_counter() - began)
            time.sleep(0.1)
    return found


def test_what_the_target_printed_leaves_the_queue_while_the_pipe_is_open(
    tmp_path: Path, database: str, receiver: Serving
) -> None:
    def queued() -> int:
        return int(rows(database, "select count(*) from tap_restextract.webhooks")[0]["count"])

    with listening(tmp_path, configuration(database), database, "--loaded", "states.jsonl") as pipe:
        assert receiver.post(event(1, 1, value=500)).status == 200
        wait_until(lambda: fired(database) == [1] and queued() == 0, PATIENCE, what="a queue that is empty again")
        assert json.loads(pipe.states.read_text().splitlines()[-1])["bookmarks"]["things"]["webhooks"]["position"]


def test_a_drain_that_is_terminated_ends_with_a_state_and_nothing_is_lost_or_doubled_by_the_next(
    tmp_path: Path, database: str, receiver: Serving
) -> None:
    config = configuration(database)
    with listening(tmp_path, config, database) as pipe:
        assert receiver.post(event(1, 1, value=500)).status == 200
        wait_until(lambda: fired(database) == [1], PATIENCE, what="the event")
        pipe.tap.terminate()
        assert pipe.tap.wait(30) == 0
        assert pipe.target.wait(60) == 0
    assert receiver.post(event(2, 1, value=500)).status == 200
    with listening(tmp_path, config, database):
        wait_until(lambda: fired(database) == [1, 2], PATIENCE, what="the second event")


def test_a_pipe_that_is_killed_loses_nothing(tmp_path: Path, database: str, receiver: Serving) -> None:
    config = configuration(database)
    for key in range(1, 4):
        with listening(tmp_path, config, database) as pipe:
            assert receiver.post(event(key, key, value=500)).status == 200
            if key == 2:  # the others are killed before they have written anything
                wait_until(lambda: fired(database) == [1, 2], PATIENCE, what="two events")
            pipe.tap.kill()
            pipe.target.kill()
    with listening(tmp_path, config, database):
        wait_until(lambda: sorted(fired(database)) == [1, 2, 3], PATIENCE, what="all events, each once")
