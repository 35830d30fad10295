"""Who waits for whom: two checkpoints of the same keys, and writers of hot keys, each thread with its connection."""

from __future__ import annotations

import itertools
import logging
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import IO, TYPE_CHECKING, Any, cast

import psycopg2
import pytest

from target_eventgen import failpoints
from target_eventgen.intake.general import GeneralEncoder
from target_eventgen.model import rules, tables
from target_eventgen.model.checkpoint import Batch, Checkpoint
from target_eventgen.store.postgres import Postgres
from target_eventgen.target import TargetEventgen
from tests.support.loading import Loader
from tests.support.messages import lines, record, schema, state

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RULES = [
    {"type": "created", "stream": "subscriptions", "on": "created"},
    {"type": "updated", "stream": "subscriptions", "on": "updated"},
    {"type": "passed", "stream": "subscriptions", "enters": "value > 10"},
    {"type": "fell", "stream": "subscriptions", "leaves": "value > 10"},
]
SECONDS = float(os.environ.get("EVENTGEN_TEST_HOT_SECONDS", "8"))
"""How long the hot keys are written."""

WRITERS = 8
HOT_KEYS = 1000


class Writer:
    """A connection, and checkpoints of (key, value) of a stream whose versions are told apart by arrival."""

    def __init__(self, database: str, run: int) -> None:
        self.postgres = Postgres(database, run)
        described = schema(version=None)
        table = tables.table(
            "subscriptions",
            described["schema"],
            key=["id"],
            replication_key=None,
            default_schema=None,
            with_metadata=False,
        )
        parsed, _ = rules.parse(RULES)
        self._plan = self.postgres.prepare(table, parsed, source="here", emit_first_load=True)
        self._encoding = GeneralEncoder(table, self._plan.types)

    def commit(self, versions: Sequence[tuple[int, int]]) -> None:
        told = [
            self._encoding.line(number, {"id": key, "value": value, "status": "", "updated_at": None}, None)[0]
            for number, (key, value) in enumerate(versions, start=1)
        ]
        self.postgres.commit(Checkpoint((Batch(self._plan, "".join(told), len(told)),)))


@pytest.fixture
def writers(database: str) -> Iterator[list[Writer]]:
    found = [Writer(database, run) for run in (1, 2)]
    yield found
    failpoints.action = None
    for writer in found:
        writer.postgres.close()


@pytest.mark.parametrize("exists", [True, False])
def test_a_checkpoint_waits_for_another_that_has_locked_its_key_and_sees_what_that_wrote(
    loader: Loader, writers: list[Writer], *, exists: bool
) -> None:
    first, second = writers
    if exists:
        first.commit([(1, 0)])
    locked, go_on = threading.Event(), threading.Event()
    holder = threading.Thread(target=lambda: first.commit([(1, 11)]))

    def hold(name: str) -> None:
        if name == failpoints.AFTER_LOCK and threading.current_thread() is holder:
            locked.set()
            go_on.wait(30)

    failpoints.action = hold
    holder.start()
    assert locked.wait(30)
    waiter = threading.Thread(target=lambda: second.commit([(1, 12), (1, 5)]))
    waiter.start()
    waiter.join(0.5)
    assert waiter.is_alive()
    go_on.set()
    holder.join(30)
    waiter.join(30)
    told = loader.events("type, (data->'old'->>'value')::int, (data->'new'->>'value')::int")
    begun = [("created", None, 0), ("updated", 0, 11)] if exists else [("created", None, 11)]
    passed = ("passed", 0 if exists else None, 11)
    assert told == [*begun, passed, ("updated", 11, 12), ("updated", 12, 5), ("fell", 12, 5)]


def test_checkpoints_take_their_keys_in_one_order_and_never_deadlock(
    loader: Loader, writers: list[Writer], caplog: pytest.LogCaptureFixture
) -> None:
    keys = range(50)
    writers[0].commit([(key, 0) for key in keys])
    loader.query(
        "create function slow() returns trigger language plpgsql as 'begin perform pg_sleep(0.004); return new; end';"
        "create trigger slow before insert on subscriptions for each row execute function slow()"
    )

    def write(writer: Writer, order: list[int]) -> None:
        for value in range(3):
            writer.commit([(key, value) for key in order])

    with caplog.at_level(logging.INFO, "target-eventgen"), ThreadPoolExecutor(2) as pool:
        orders = [list(keys), list(reversed(keys))]
        list(pool.map(write, writers, orders))
    assert "asked for a retry" not in caplog.text


# -- hot keys ---------------------------------------------------------------------------------------------------------


def at(microseconds: int) -> str:
    """An instant; those of different writers differ, so that there is one newest version of each key."""
    return f"2026-01-01T00:{microseconds // 60_000_000:02}:{microseconds // 1_000_000 % 60:02}.{microseconds % 1_000_000:06}Z"


def hot_messages(writer: int) -> Iterator[dict[str, Any]]:
    """Versions of hot keys until the time is over, a STATE after each two hundred and so at the end."""
    drawn = random.Random(writer)
    begun = time.monotonic()
    moment = 0
    yield schema()
    for number in itertools.count():
        elapsed = time.monotonic() - begun
        if elapsed > SECONDS and number % 200 == 0:  # an end behind a STATE, as a tap's is: nothing comes again
            return
        moment = max(moment + 1, int(elapsed * 100_000))
        updated_at = at(moment * 10 + writer)  # no two are equal, of one writer or of several
        yield record(
            id=drawn.randrange(HOT_KEYS), value=drawn.choice([5, 15]), status=f"{writer}", updated_at=updated_at
        )
        if number % 200 == 199:
            yield state(number)


class _Lines:
    """Messages as the lines of a file; what was sent is remembered."""

    def __init__(self, messages: Iterator[dict[str, Any]]) -> None:
        self._messages = messages
        self.sent: list[dict[str, Any]] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        message = next(self._messages)
        if message["type"] == "RECORD":
            self.sent.append(message["record"])
        return lines([message])


def test_eight_writers_of_hot_keys_meet_no_error_fire_each_edge_once_and_leave_the_newest_versions(
    loader: Loader,
) -> None:
    sources = [_Lines(hot_messages(writer)) for writer in range(WRITERS)]
    config = {
        "database_url": loader.database,
        "initial_load": "emit",
        "events": RULES,
        "batch_size_rows": 200,
        "lock_timeout": 60,
    }
    targets = [TargetEventgen(config=config) for _ in sources]
    with ThreadPoolExecutor(WRITERS) as pool:
        # The SDK asks for a file, and only iterates over it.
        list(pool.map(TargetEventgen.listen, targets, cast("list[IO[str]]", sources)))
    newest: dict[int, dict[str, Any]] = {}
    for found in itertools.chain.from_iterable(source.sent for source in sources):
        key = found["id"]
        newest[key] = max(newest.get(key, found), found, key=lambda version: version["updated_at"])
    rows = loader.query("select id, value::int, status, _eventgen_version from subscriptions order by id")
    assert [row[:3] for row in rows] == [(key, newest[key]["value"], newest[key]["status"]) for key in sorted(newest)]
    assert_every_edge_once(loader, {row[0]: row[3] for row in rows})
    assert loader.query("select * from eventgen.runs") == []


def assert_every_edge_once(loader: Loader, versions: dict[int, int]) -> None:
    """The events of each key are the edges of one unbroken sequence of versions, as long as the row says."""
    told: dict[int, list[tuple[Any, ...]]] = {}
    for event in loader.events("partitionkey::int, type, data->'old', data->'new'"):
        told.setdefault(event[0], []).append(event[1:])
    assert told.keys() == versions.keys()
    for key, events in told.items():
        steps = [event for event in events if event[0] in {"created", "updated"}]
        assert len(steps) == versions[key]
        assert all(step[1] == before[2] for before, step in itertools.pairwise(steps))
        high = [bool(new["value"] > 10) for _, _, new in steps]
        edges = ["passed" if now else "fell" for was, now in itertools.pairwise([False, *high]) if was != now]
        assert [event[0] for event in events if event[0] in {"passed", "fell"}] == edges
    assert loader.query("select count(*) - count(distinct id) from eventgen.events") == [(0,)]


def merge_as_others_do(database: str, versions: list[dict[str, Any]]) -> None:
    """A load as many a Postgres target does it: a temporary table, an UPDATE and an INSERT, the keys as they came."""
    with closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
        for begun in range(0, len(versions), 200):
            batch = {version["id"]: version for version in versions[begun : begun + 200]}  # the last of each key
            cursor.execute("create temp table batch (like subscriptions) on commit drop")
            cursor.executemany(
                "insert into batch values (%(id)s, %(value)s, %(status)s, %(updated_at)s)", batch.values()
            )
            cursor.execute(
                "update subscriptions s set value = b.value, status = b.status, updated_at = b.updated_at"
                " from batch b where b.id = s.id"
            )
            cursor.execute(
                "insert into subscriptions select * from batch b where b.id not in (select id from subscriptions)"
            )
            connection.commit()


def test_the_same_input_through_a_writer_without_locks_fails_or_loses(loader: Loader) -> None:
    loader.query(
        "create table subscriptions (id bigint primary key, value numeric, status text, updated_at timestamptz)"
    )
    drawn = random.Random(1)
    inputs: list[list[dict[str, Any]]] = [
        [
            {"id": drawn.randrange(HOT_KEYS), "value": 5, "status": f"{writer}", "updated_at": at(number * 10 + writer)}
            for number in range(2000)
        ]
        for writer in range(WRITERS)
    ]
    failed: list[str] = []

    def write(versions: list[dict[str, Any]]) -> None:
        try:
            merge_as_others_do(loader.database, versions)
        except psycopg2.Error as error:
            failed.append(type(error).__name__)

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, inputs))
    newest: dict[int, str] = {}
    for found in itertools.chain.from_iterable(inputs):
        newest[found["id"]] = max(newest.get(found["id"], ""), found["updated_at"])
    stored = dict(
        loader.query(
            "select id, to_char(updated_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') from subscriptions"
        )
    )
    lost = [key for key, instant in newest.items() if stored.get(key) != instant]
    assert set(failed) <= {"UniqueViolation", "DeadlockDetected"}
    assert failed or lost
