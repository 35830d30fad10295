"""Waits for locks: short where tables are altered, told where they are long, bounded by the setting or the role's."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg2
import pytest

from tests.support.messages import PROPERTIES, lines, record, schema, state
from tests.support.relaying import Outbox, Receiver

if TYPE_CHECKING:
    import subprocess

    from tests.support.loading import Loader

ONE = record(id=1, value=1, status="a", updated_at="2026-01-01T00:00:00Z")
TWO = record(id=1, value=2, status="a", updated_at="2026-01-02T00:00:00Z")
GROWN = schema(properties={**PROPERTIES, "more": {"type": ["string", "null"]}})


def said_by(process: subprocess.Popen[str], messages: list[dict[str, Any]], part: str) -> str:
    """Send messages; the first line of the log that has this in it."""
    assert process.stdin is not None
    process.stdin.write(lines(messages))
    process.stdin.close()
    assert process.stderr is not None
    for line in process.stderr:
        if part in line:
            return line
    raise AssertionError(f"it never said {part!r}")


def test_a_table_is_altered_without_a_queue_behind_a_long_reader(loader: Loader) -> None:
    loader.load([schema(), ONE])
    with closing(psycopg2.connect(loader.database, application_name="dump")) as reader, reader.cursor() as cursor:
        cursor.execute("select from subscriptions")
        with loader.start() as process:
            said = said_by(process, [GROWN, TWO, state(1)], "waits for a lock")
            pid = reader.info.backend_pid
            assert all(part in said for part in ["WARNING", '"public"."subscriptions"', f"process {pid} (dump)"]), said
            try:
                for _ in range(5):
                    assert loader.query("set lock_timeout = 3000; select value from subscriptions") == [(1,)]
            finally:
                reader.rollback()
            assert process.stdout is not None
            assert process.stdout.read() == "1\n"
        assert process.returncode == 0
    assert loader.query("select value from subscriptions") == [(2,)]


def test_a_checkpoint_that_waits_for_a_lock_says_for_whom(loader: Loader) -> None:
    loader.load([schema(), ONE])
    with closing(psycopg2.connect(loader.database, application_name="person")) as other, other.cursor() as cursor:
        cursor.execute("lock table subscriptions in share row exclusive mode")
        with loader.start() as process:
            said = said_by(process, [schema(), TWO, state(1)], "waits for a lock")
            assert all(part in said for part in ["a checkpoint", f"process {other.info.backend_pid} (person)"]), said
            other.rollback()
            assert process.stdout is not None
            assert process.stdout.read() == "1\n"
        assert process.returncode == 0
    assert loader.query("select value from subscriptions") == [(2,)]


@pytest.mark.parametrize("given", [GROWN, schema()])
@pytest.mark.parametrize("by", ["the setting", "the role"])
def test_lock_timeout_is_the_setting_or_else_the_roles(loader: Loader, given: dict[str, Any], by: str) -> None:
    loader.load([schema(), ONE])
    settings = {}
    if by == "the setting":
        settings = {"lock_timeout": 1}
    else:
        loader.query(f"alter database {urlsplit(loader.database).path[1:]} set lock_timeout = '1s'")
    with closing(psycopg2.connect(loader.database)) as other, other.cursor() as cursor:
        cursor.execute("lock table subscriptions in share row exclusive mode")
        assert "was not granted within lock_timeout" in loader.refused([given, TWO, state(1)], **settings)


def test_a_timeout_of_transactions_is_lifted_as_other_timeouts_are(loader: Loader) -> None:
    loader.load([schema(), ONE])
    if loader.query("select current_setting('server_version_num')::int < 170000") == [(True,)]:
        pytest.skip("before Postgres 17 there is no transaction_timeout")
    loader.query(
        f"alter database {urlsplit(loader.database).path[1:]} set transaction_timeout = '1s';"
        " create function slow() returns trigger language plpgsql as 'begin perform pg_sleep(1.5); return new; end';"
        " create trigger slow before update on subscriptions for each row execute function slow()"
    )
    assert loader.load([schema(), TWO, state(1)]) == [1]


def test_a_timeout_of_transactions_ends_no_turn_of_a_relay(database: str) -> None:
    outbox, receiver = Outbox(database), Receiver()
    if outbox.query("select current_setting('server_version_num')::int < 170000") == [(True,)]:
        pytest.skip("before Postgres 17 there is no transaction_timeout")
    outbox.announce(receiver.delivery())
    outbox.add()
    outbox.query(f"alter database {urlsplit(database).path[1:]} set transaction_timeout = '200ms'")

    def lasts(_: object) -> None:
        outbox.query("set transaction_timeout = 0; select pg_sleep(0.4)")

    receiver.before = lasts
    outbox.drain(receiver.delivery(), reconnect_seconds=0)
    assert (receiver.calls, len(receiver.got)) == (1, 1)
