"""Connections that break, answers that are lost, databases that stay away; each over a real socket."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg2
import pytest

from tests.support.loading import Loader
from tests.support.messages import lines, record, schema, state
from tests.support.proxy import PostgresProxy
from tests.support.queries import waits_for_a_lock
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

RULES = [{"type": "created", "stream": "subscriptions", "on": "created"}]
KEYLESS = schema("log", {"line": {"type": "integer"}}, key=(), version=None)
"""A stream without key: what is committed twice is stored twice."""


@pytest.fixture
def proxy(database: str) -> Iterator[PostgresProxy]:
    with PostgresProxy(database) as proxy:
        yield proxy


def entry(number: int) -> dict[str, Any]:
    return record(id=number, value=1, status="", updated_at="2026-01-01T00:00:00Z")


def begun(loader: Loader, **settings: Any) -> subprocess.Popen[str]:
    """A run that has committed one checkpoint and waits for more."""
    process = loader.start(events=RULES, batch_size_rows=1, **settings)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(lines([schema(), KEYLESS, entry(1), record("log", line=1), state(1)]))
    process.stdin.flush()
    assert process.stdout.readline() == "1\n"
    return process


MORE = [entry(2), record("log", line=2), state(2), entry(3), record("log", line=3), state(3)]


def assert_whole(loader: Loader) -> None:
    assert loader.query("select count(*), count(distinct line) from log") == [(3, 3)]
    assert sorted(loader.events()) == [("created", "1"), ("created", "2"), ("created", "3")]


def test_a_connection_that_the_server_ends_is_reopened(loader: Loader) -> None:
    process = begun(loader)
    terminate(loader)
    out, said = process.communicate(lines(MORE), timeout=60)
    assert (process.returncode, out) == (0, "2\n3\n"), said
    assert "connecting again" in said
    assert_whole(loader)


def terminate(loader: Loader) -> None:
    loader.query(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where application_name = 'target-eventgen' and datname = current_database()"
    )


@pytest.mark.parametrize(
    "change", ["drop table subscriptions", "alter table subscriptions rename column value to amount"]
)
def test_what_somebody_drops_or_renames_during_a_run_is_named_and_made_by_the_next_one(
    loader: Loader, change: str
) -> None:
    process = begun(loader)
    loader.query(change)
    out, said = process.communicate(lines(MORE), timeout=60)
    assert (process.returncode, out) == (1, ""), said
    assert 'stream "subscriptions"' in said
    assert "was dropped or renamed since; run again" in said
    loader.load([schema(), KEYLESS, *MORE], events=RULES)
    assert loader.query("select count(value) from subscriptions where id > 1") == [(2,)]


def test_a_database_that_takes_no_writes_is_named_with_what_helps(loader: Loader) -> None:
    name = urlsplit(loader.database).path[1:]
    loader.query(f"alter database {name} set default_transaction_read_only = on")
    message = loader.refused([schema(), entry(1), state(1)])
    assert "default_transaction_read_only is on for the database or the user" in message
    assert "Traceback" not in message


def test_a_commit_whose_answer_was_lost_is_not_done_twice(loader: Loader, proxy: PostgresProxy) -> None:
    process = begun(replace(loader, database=proxy.url))
    proxy.lose_commit(1)
    out, said = process.communicate(lines(MORE), timeout=60)
    assert (process.returncode, out) == (0, "2\n3\n"), said
    assert proxy.lost == 1
    assert "whose answer was lost had been done" in said
    assert_whole(loader)


def test_the_very_first_commit_of_a_run_may_lose_its_answer_too(loader: Loader, proxy: PostgresProxy) -> None:
    messages = [schema(), KEYLESS, entry(1), record("log", line=1), state(1), *MORE]
    loader.load(messages[:2])
    for number in range(1, 7):  # the COMMITs of the SCHEMAs among them
        loader.query("truncate log, subscriptions, eventgen.events")
        proxy.lose_commit(number)
        out = replace(loader, database=proxy.url).load(messages, events=RULES, batch_size_rows=1)
        assert out == [1, 2, 3]
        assert_whole(loader)
    assert proxy.lost == 6


def test_a_database_that_comes_back_in_time_is_waited_for(loader: Loader, proxy: PostgresProxy) -> None:
    process = begun(replace(loader, database=proxy.url))
    proxy.down()
    threading.Timer(1.0, proxy.up).start()
    out, said = process.communicate(lines(MORE), timeout=60)
    assert (process.returncode, out) == (0, "2\n3\n"), said
    assert_whole(loader)


@pytest.mark.parametrize("seconds", [0, 1])
def test_a_database_that_stays_down_is_one_message_and_its_state_stays(
    loader: Loader, proxy: PostgresProxy, seconds: int
) -> None:
    process = begun(replace(loader, database=proxy.url), reconnect_seconds=seconds)
    proxy.down()
    begun_at = time.monotonic()
    out, said = process.communicate(lines(MORE), timeout=60)
    assert time.monotonic() - begun_at < 40  # not the minute that it waits where nothing is said
    assert (process.returncode, out) == (1, "")
    told = [line for line in said.splitlines() if " | " not in line]
    assert len(told) == 1, said
    assert told[0].startswith("Error: ")
    assert ("the connection to Postgres" if seconds == 0 else "can't connect to Postgres") in told[0]
    assert loader.query("select count(*) from log") == [(1,)]


def test_a_database_that_forgot_a_confirmed_commit_is_reported_and_not_written_to(loader: Loader) -> None:
    process = begun(loader)
    loader.query("delete from eventgen.runs; delete from log; delete from subscriptions")
    out, said = process.communicate(lines(MORE), timeout=60)
    assert (process.returncode, out) == (1, "")
    assert "has forgotten commits that it had confirmed" in said
    assert loader.query("select count(*) from log") == [(0,)]


def test_a_run_that_ended_leaves_no_number(loader: Loader) -> None:
    loader.load([schema(), entry(1), state(1)])
    assert loader.query("select * from eventgen.runs") == []


@pytest.mark.parametrize(
    ("settings", "word"), [({"lock_timeout": 1}, "lock_timeout"), ({"statement_timeout": 1}, "statement_timeout")]
)
def test_a_timeout_ends_in_one_message_that_names_its_setting(
    loader: Loader, settings: dict[str, int], word: str
) -> None:
    loader.load([schema(), entry(1), state(1)])
    with closing(psycopg2.connect(loader.database)) as connection, connection.cursor() as cursor:
        cursor.execute("select from subscriptions for update")
        changed = record(id=1, value=2, status="", updated_at="2026-01-01T00:00:01Z")
        assert word in loader.refused([schema(), changed, state(2)], **settings)


def test_timeouts_of_the_settings_are_checked(loader: Loader) -> None:
    assert "lock_timeout must be from 0" in loader.refused([], lock_timeout=-1)


@pytest.mark.parametrize("level", ["serializable", "repeatable read"])
def test_a_stricter_default_isolation_of_the_database_does_not_matter(loader: Loader, level: str) -> None:
    name = urlsplit(loader.database).path[1:]
    loader.query(f"alter database {name} set default_transaction_isolation = '{level}'")
    loader.load([schema(), entry(1), state(1)])
    done: list[Any] = []
    with closing(psycopg2.connect(loader.database)) as connection, connection.cursor() as cursor:
        cursor.execute("update subscriptions set value = 5")
        changed = record(id=1, value=2, status="", updated_at="2026-01-01T00:00:01Z")
        updated = [{"type": "updated", "stream": "subscriptions", "on": "updated"}]
        thread = threading.Thread(target=lambda: done.append(loader.run([schema(), changed, state(2)], events=updated)))
        thread.start()
        wait_until(lambda: waits_for_a_lock(loader.database), what="a target that waits for a lock")
        connection.commit()
        thread.join()
    assert done[0].returncode == 0
    assert "asked for a retry" not in done[0].stderr
    assert loader.events("data->'old'->'value', data->'new'->'value'") == [(5, 2)]
