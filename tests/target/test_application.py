"""`rules apply` and `backfill`: what a new rule reports of rows that are there, and loads that report nothing."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from target_eventgen import failpoints
from target_eventgen.model import rules
from target_eventgen.store.application import Application
from target_eventgen.store.connection import Connection
from tests.support.messages import record, schema, state, version
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.loading import Loader

LARGE = {"type": "large", "stream": "subscriptions", "enters": "value > 10"}
SMALL = {"type": "small", "stream": "subscriptions", "leaves": "value > 10"}
TIMES = "\N{MULTIPLICATION SIGN}"
PLACES = [failpoints.AFTER_STAGING, failpoints.AFTER_LOCK, failpoints.AFTER_EVENTS, failpoints.BEFORE_COMMIT]


@pytest.fixture(autouse=True)
def _no_failpoint_stays() -> Iterator[None]:
    yield
    failpoints.action = None


def applied(loader: Loader, *arguments: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    config = loader.write_config(**{"events": [LARGE, SMALL], **settings})
    return loader.run_command(["rules", "apply", *arguments, "--config", str(config)])


def application(connection: Connection, rule: dict[str, Any] = LARGE) -> Application:
    (parsed,), _ = rules.parse([rule])
    source = f"target-eventgen/{connection.database}"
    place = ("public", parsed.stream)
    return Application.of(
        connection, parsed, source=source, described=None, trace=None, emits_first_load=True, place=place
    )


def reported(loader: Loader, type_: str = "large") -> list[str]:
    """Return the keys that have been reported, one for each event."""
    return [key for (key,) in loader.query(f"select key->>'id' from eventgen.events where type = '{type_}' order by 1")]


def silent(loader: Loader, values: dict[int, int | None], second: int = 1) -> None:
    """Load rows without any rule."""
    loader.load([schema(), *(version(key, second, value) for key, value in values.items()), state(1)], events=[])


def test_a_new_rule_reports_once_who_satisfies_it_now(loader: Loader) -> None:
    silent(loader, {1: 5, 2: 15, 3: None, 4: 25})
    counted = applied(loader, "large", "--dry-run")
    assert counted.stdout == f"2 rows satisfy it; would record 2 {TIMES} large, such as subscriptions/2\n", (
        counted.stderr
    )
    assert reported(loader) == []
    assert applied(loader, "large").stdout == f"recorded 2 {TIMES} large\n"
    assert applied(loader, "large").stdout == f"recorded 0 {TIMES} large\n"
    (event, _) = loader.query("select data, key, subject, source from eventgen.events order by sequence")
    assert event[0]["old"] is None
    assert event[0]["applied"] is True
    assert event[0]["new"]["value"] == 15
    assert event[1:3] == ({"id": 2}, "subscriptions/2")
    assert reported(loader) == ["2", "4"]


def test_an_application_that_the_outbox_has_forgotten_has_the_same_ids(loader: Loader) -> None:
    silent(loader, {1: 15, 2: 25})
    applied(loader, "large")
    ids = loader.events("id")
    loader.query("truncate eventgen.events; select 1")
    applied(loader, "large")
    assert loader.events("id") == ids


def test_an_application_tells_the_time_of_a_record_by_the_catalog(loader: Loader) -> None:
    silent(loader, {1: 15})
    path = loader.folder / "catalog.json"
    path.write_text(json.dumps({"streams": [{**schema(), "replication_key": "updated_at"}]}))
    done = applied(loader, "large", "--catalog", str(path))
    assert done.returncode == 0, done.stderr
    assert loader.events("time::text") == [("2026-01-01 00:00:01+00",)]


def test_rows_that_are_gone_and_rows_that_were_reported_are_left_out(loader: Loader) -> None:
    silent(loader, {1: 15, 2: 15, 3: 5})
    gone = record(id=1, _sdc_deleted_at="2026-01-01T01:00:00Z")
    loader.load([schema(), version(3, 2, 15), gone, state(1)], events=[LARGE])
    assert reported(loader) == ["3"]
    applied(loader, "large")
    assert reported(loader) == ["2", "3"]


@pytest.mark.parametrize(
    ("arguments", "settings", "words"),
    [
        (["small"], {}, "nothing says that it ever did"),
        (["larg"], {}, 'did you mean "large"'),
        (["large", "--stream", "x"], {}, 'on the stream "x"'),
        (["large"], {"events": [LARGE, {**LARGE, "enters": "value > 20"}]}, "a type of its own"),
        (["large"], {"events": [LARGE, {**LARGE, "stream": "others"}]}, "choose one with --stream"),
        (["large"], {"backfill": True}, "backfill is on"),
        (["large"], {"events": [{**LARGE, "stream": "others"}]}, "no table of it is known"),
        (["large"], {"events": [{**LARGE, "enters": "vlue > 10"}]}, 'did you mean "value"'),
    ],
)
def test_what_can_not_be_applied_is_refused_with_the_reason(
    loader: Loader, arguments: list[str], settings: dict[str, Any], words: str
) -> None:
    silent(loader, {1: 15})
    done = applied(loader, *arguments, **settings)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert reported(loader) == []


def test_a_rule_is_refused_while_the_first_load_goes_on(loader: Loader) -> None:
    loader.load([schema(), version(1, 1, 15), state({"currently_syncing": "subscriptions"})], initial_load="suppress")
    done = applied(loader, "large", initial_load="suppress")
    assert done.returncode == 1
    assert "first load has not ended" in done.stderr


@pytest.mark.parametrize("place", PLACES)
def test_an_application_that_is_killed_anywhere_is_finished_by_the_next(loader: Loader, place: str) -> None:
    silent(loader, {key: 15 if key % 2 else 5 for key in range(1, 21)})
    gate = loader.folder / "gate"
    config = loader.write_config(events=[LARGE], batch_size_rows=3)
    process = subprocess.Popen(
        [sys.executable, "-m", "target_eventgen", "rules", "apply", "large", "--config", str(config)],
        cwd=loader.folder,
        env=loader.environment() | {"TARGET_EVENTGEN_FAILPOINT": f"{place}:2:{gate}"},
        stderr=subprocess.PIPE,
    )
    wait_until(gate.exists, what="the second piece")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(reported(loader)) == 3
    assert applied(loader, "large", batch_size_rows=3).stdout == f"recorded 7 {TIMES} large\n"
    assert sorted(map(int, reported(loader))) == list(range(1, 21, 2))


def test_compound_keys_are_applied_in_pieces(loader: Loader) -> None:
    told = schema("lines", {"a": {"type": "string"}, "b": {"type": "integer"}}, key=("a", "b"), version=None)
    keys = [(a, b) for a in ("x", "y", "Z", "ä") for b in (2, 10, 1)]
    loader.load([told, *(record("lines", a=a, b=b) for a, b in keys), state(1)], events=[])
    done = applied(loader, "line", events=[{"type": "line", "stream": "lines", "on": "created"}], batch_size_rows=5)
    assert done.stdout == f"recorded 12 {TIMES} line\n", done.stderr
    assert sorted(loader.events("key->>'a', (key->>'b')::int")) == sorted(keys)


def meanwhile(place: str, act: Callable[[], None]) -> None:
    """Do something once, at the first reach of a place."""

    def reached(name: str) -> None:
        if name == place:
            failpoints.action = None
            act()

    failpoints.action = reached


def test_a_row_that_enters_during_an_application_has_exactly_one_event(loader: Loader) -> None:
    silent(loader, {1: 15, 2: 5, 3: 15, 4: 15})
    changes = [version(2, 2, 15), version(3, 2, 5), version(4, 2, 5), version(4, 3, 15), version(5, 2, 15)]
    with closing(Connection(loader.database)) as connection:

        def write() -> None:
            loader.load([schema(), *changes, state(2)], events=[LARGE])

        meanwhile(failpoints.AFTER_STAGING, write)
        application(connection).report(10)
    # 3 has left before it was reported; 4 has left and come again, which its own event tells.
    assert reported(loader) == ["1", "2", "4", "5"]
    assert loader.query("select key->>'id' from eventgen.events where data ? 'applied'") == [("1",)]


def test_events_of_a_row_keep_their_order_around_an_application(loader: Loader) -> None:
    silent(loader, {1: 15})
    with closing(Connection(loader.database)) as connection:
        writers: list[subprocess.Popen[str]] = []

        def write() -> None:
            config = {"events": [LARGE, SMALL]}
            writer = loader.start(**config)
            assert writer.stdin is not None
            writer.stdin.write("".join(json.dumps(m) + "\n" for m in [schema(), version(1, 2, 5), state(2)]))
            writer.stdin.close()
            writer.stdin = None
            writers.append(writer)
            waiting = (
                "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
            )
            wait_until(lambda: loader.query(waiting) == [(1,)], what="a writer that waits for the row")

        meanwhile(failpoints.AFTER_LOCK, write)
        application(connection).report(10)
        (writer,) = writers
        _, said = writer.communicate(timeout=60)
        assert writer.returncode == 0, said
    assert loader.events("type") == [("large",), ("small",)]


def test_applications_and_loads_in_any_order_tell_each_entry_once(loader: Loader) -> None:
    drawn = random.Random(3)
    silent(loader, {key: drawn.choice([5, 15]) for key in range(1, 9)})
    values: dict[int, int] = dict(loader.query("select id, value::int from subscriptions"))
    expected: list[str] = []
    unreported = {key for key, value in values.items() if value > 10}
    second = 1

    def load() -> None:
        nonlocal second
        messages: list[Any] = [schema()]
        for _ in range(4):
            second += 1
            key, value = drawn.randint(1, 10), drawn.choice([5, 15])
            if value > 10 and values.get(key, 0) <= 10:
                expected.append(str(key))
            if value <= 10:
                unreported.discard(key)
            values[key] = value
            messages.append(version(key, second, value))
        loader.load([*messages, state(second)], events=[LARGE])

    with closing(Connection(loader.database)) as connection:
        for _ in range(6):
            load()
            if drawn.random() < 0.6:
                meanwhile(failpoints.AFTER_STAGING, load)
                application(connection).report(2)
                failpoints.action = None
                expected += [str(key) for key in unreported]
                unreported.clear()
    assert reported(loader) == sorted(expected)


def test_a_declared_backfill_in_pieces_records_nothing_and_transitions_count_from_there(loader: Loader) -> None:
    told = [LARGE, SMALL, {"type": "created", "stream": "subscriptions", "on": "created"}]
    for piece in range(3):
        done = loader.run(
            [schema(), *(version(key, piece, 15 + piece) for key in range(piece, piece + 5)), state(piece)],
            events=told,
            backfill=True,
        )
        assert done.returncode == 0, done.stderr
        assert "backfill is on, so its 3 rules record no events" in done.stderr
    assert loader.events() == []
    assert loader.query("select count(*) from subscriptions") == [(7,)]
    loader.load([schema(), version(1, 9, 25), version(2, 9, 5), version(7, 9, 15), state(9)], events=told)
    assert loader.events() == [("small", "2"), ("large", "7"), ("created", "7")]


def test_a_backfill_checks_its_rules_all_the_same(loader: Loader) -> None:
    said = loader.refused([schema(), version(1, 1, 1)], events=[{**LARGE, "enters": "vlue > 10"}], backfill=True)
    assert 'did you mean "value"' in said


# -- beside a guard ---------------------------------------------------------------------------------------------------


def test_a_row_whose_event_is_held_or_discarded_is_reported_by_no_application(loader: Loader) -> None:
    silent(loader, {1: 5, 2: 5})
    assert (
        loader.run([schema(), version(1, 2, 15), state(2)], events=[LARGE], guard={"events_per_run": 0}).returncode == 3
    )
    assert applied(loader, "large", "--dry-run").stdout == f"1 rows satisfy it; would record 0 {TIMES} large\n"
    assert applied(loader, "large").stdout == f"recorded 0 {TIMES} large\n"
    loader.run_command(["events", "discard", "--all", "--config", str(loader.write_config())])
    assert applied(loader, "large").stdout == f"recorded 0 {TIMES} large\n"
    assert reported(loader) == []


def test_an_applied_event_waits_behind_a_held_one_of_its_key(loader: Loader) -> None:
    updated = {"type": "updated", "stream": "subscriptions", "on": "updated"}
    silent(loader, {1: 5, 2: 15})
    assert (
        loader.run([schema(), version(1, 2, 15), state(2)], events=[updated], guard={"events_per_run": 0}).returncode
        == 3
    )
    done = applied(loader, "large")
    assert done.stdout == f"recorded 1 {TIMES} large\n"
    assert "1 more wait for held events of their keys" in done.stderr
    assert reported(loader) == ["2"]
    assert applied(loader, "large").stdout == f"recorded 0 {TIMES} large\n"
    loader.run_command(["events", "release", "--all", "--config", str(loader.write_config())])
    assert loader.events() == [("large", "2"), ("updated", "1"), ("large", "1")]


# -- where it is applied ----------------------------------------------------------------------------------------------


def test_a_rule_is_applied_to_the_table_of_its_pipeline(loader: Loader) -> None:
    for place, keys in (("a", (1, 2)), ("b", (1, 3))):
        messages = [schema(), *(version(key, 1, 15) for key in keys), state(1)]
        loader.load(messages, events=[], default_target_schema=place)
    for place in ("a", "b"):
        assert applied(loader, "large", default_target_schema=place).stdout == f"recorded 2 {TIMES} large\n"
    told = loader.events("table_schema, key->>'id'")
    assert told == [("a", "1"), ("a", "2"), ("b", "1"), ("b", "3")]
    refused = applied(loader, "large", default_target_schema="c")
    assert refused.returncode == 1
    assert 'no table of it is known here yet in "c"."subscriptions", where loads store it' in refused.stderr


def test_a_database_of_earlier_code_is_to_be_loaded_once_before(loader: Loader) -> None:
    silent(loader, {1: 15})
    loader.query("drop table eventgen.replaced; alter table eventgen.streams drop column identity; select 1")
    for command in (["rules", "apply", "large"], ["undo"], ["undo", "1"]):
        done = loader.run_command([*command, "--config", str(loader.write_config(events=[LARGE]))])
        assert done.returncode == 1
        assert "an earlier version made them; load once with this version" in done.stderr
