"""`undo`: rows of a run as they were before it, where nothing newer has come."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from target_eventgen import failpoints
from tests.support.messages import PROPERTIES, lines, record, schema, state, version
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.support.loading import Loader

RULES = [
    {"type": "large", "stream": "subscriptions", "enters": "value > 10"},
    {"type": "small", "stream": "subscriptions", "leaves": "value > 10"},
    {"type": "deleted", "stream": "subscriptions", "on": "deleted"},
]
SETTINGS: dict[str, Any] = {"events": RULES, "undo_days": 7}
NOTHING = {"events_per_run": 0}
PLACES = [failpoints.AFTER_STAGING, failpoints.AFTER_LOCK, failpoints.AFTER_EVENTS, failpoints.BEFORE_COMMIT]


def load(loader: Loader, messages: list[Any], **settings: Any) -> int:
    """Load, and return the run's number."""
    done = loader.run([*messages, state(1)], **{**SETTINGS, **settings})
    assert done.returncode == 0, done.stderr
    (said,) = [line for line in done.stderr.splitlines() if "`target-eventgen undo " in line]
    return int(said.split("undo ")[1].split("`")[0])


def undone(loader: Loader, *arguments: Any, **settings: Any) -> subprocess.CompletedProcess[str]:
    config = loader.write_config(**{**SETTINGS, **settings})
    return loader.run_command(["undo", *map(str, arguments), "--config", str(config)])


def values(loader: Loader) -> list[tuple[Any, ...]]:
    return loader.query("select id, value::int, _sdc_deleted_at is null from subscriptions order by id")


def test_a_run_is_undone_where_nothing_newer_came_and_the_rest_is_refused_by_key(loader: Loader) -> None:
    load(loader, [schema(), *(version(key, 1, 5) for key in range(1, 5))])
    bad = load(
        loader,
        [
            schema(),
            *(version(key, 2, 15) for key in (1, 2, 6)),
            record(id=3, updated_at="2026-01-01T00:00:02Z", _sdc_deleted_at="2026-01-01T00:00:02Z"),
            version(4, 1, 5),
        ],
    )
    load(loader, [schema(), version(2, 3, 25)])
    before = loader.query("select count(*) from eventgen.events")
    asked = undone(loader, bad, "--dry-run")
    assert asked.returncode == 1
    assert "subscriptions: 2 rows would be restored, 1 would be deleted again" in asked.stdout
    assert loader.query("select count(*) from eventgen.events") == before
    done = undone(loader, bad)
    assert done.returncode == 1
    assert "refused subscriptions/2: it was changed since" in done.stdout
    assert "subscriptions: 2 rows restored, 1 deleted again" in done.stdout
    assert f"1 rows of the run {bad} are left as they are" in done.stderr
    assert values(loader) == [(1, 5, True), (2, 25, True), (3, 5, True), (4, 5, True), (6, 15, False)]
    assert loader.query(
        "select type, key->>'id', data->'old'->'value', data->'new'->'value' from eventgen.events"
        " where data ? 'undone' order by 2, sequence"
    ) == [("small", "1", 15, 5), ("small", "6", 15, None), ("deleted", "6", 15, None)]
    again = undone(loader, bad)
    assert "refused subscriptions/2" in again.stdout
    assert values(loader)[1] == (2, 25, True)


def test_runs_are_undone_one_after_the_other_from_the_last(loader: Loader) -> None:
    runs = [load(loader, [schema(), version(1, second, 5 * second)]) for second in (1, 2, 3)]
    listed = undone(loader).stdout.splitlines()
    assert [int(line.split()[0]) for line in listed] == runs
    assert "1 rows  subscriptions" in listed[0]
    refused = undone(loader, runs[0])
    assert refused.returncode == 1
    assert f"undo {runs[2]}, then {runs[1]}, and then this one again" in refused.stderr
    for run, left in ((runs[2], [(1, 10, True)]), (runs[1], [(1, 5, True)]), (runs[0], [])):
        done = undone(loader, run, "--silent", hard_delete=True)
        assert done.returncode == 0, done.stderr
        assert values(loader) == left
    assert loader.events("type") == [("large",)]
    assert undone(loader).stdout == ""


def test_rows_that_a_run_took_out_come_back(loader: Loader) -> None:
    load(loader, [schema(), version(1, 1, 15), version(2, 1, 15)], hard_delete=True)
    gone = [record(id=key, updated_at="2026-01-01T00:00:02Z", _sdc_deleted_at="2026-01-01T01:00:00Z") for key in (1, 2)]
    bad = load(loader, [schema(), *gone], hard_delete=True)
    load(loader, [schema(), version(2, 3, 5)], hard_delete=True)
    assert values(loader) == [(2, 5, True)]
    done = undone(loader, bad, hard_delete=True)
    assert "refused subscriptions/2: it came back since" in done.stdout
    assert values(loader) == [(1, 15, True), (2, 5, True)]
    load(loader, [schema(), version(1, 4, 25)], hard_delete=True)
    assert values(loader) == [(1, 25, True), (2, 5, True)]


def test_after_a_bad_run_its_held_events_are_discarded_and_it_is_undone_in_silence(loader: Loader) -> None:
    load(loader, [schema(), *(version(key, 1, 5) for key in (1, 2, 3))])
    told = loader.run([schema(), *(version(key, 2, 15) for key in (1, 2, 3)), state(2)], **SETTINGS, guard=NOTHING)
    assert told.returncode == 3
    ((run,),) = loader.query("select distinct run from eventgen.held_events")
    config = str(loader.write_config(**SETTINGS))
    assert loader.run_command(["events", "discard", "--run", str(run), "--config", config]).returncode == 0
    done = undone(loader, run, "--silent")
    assert done.returncode == 0, done.stderr
    assert values(loader) == [(key, 5, True) for key in (1, 2, 3)]
    assert loader.events() == []
    load(loader, [schema(), version(1, 3, 5), version(2, 3, 25)])
    assert loader.events() == [("large", "2")]


def test_a_row_that_was_changed_by_hand_is_refused(loader: Loader) -> None:
    load(loader, [schema(), version(1, 1, 5)])
    bad = load(loader, [schema(), version(1, 2, 15)])
    loader.query("update subscriptions set status = 'mine'; select 1")
    done = undone(loader, bad)
    assert "refused subscriptions/1: it was changed since" in done.stdout
    assert "Later runs" not in done.stderr


def test_columns_that_a_run_added_are_as_unknown_as_before(loader: Loader) -> None:
    told = [*RULES, {"type": "noted", "stream": "subscriptions", "changes": ["note"]}]
    wider = schema(properties={**PROPERTIES, "note": {"type": ["string", "null"]}})
    load(loader, [schema(), version(1, 1, 5)])
    bad = load(loader, [wider, record(id=1, value=15, note="bad", updated_at="2026-01-01T00:00:02Z")])
    assert undone(loader, bad).returncode == 0
    assert loader.query("select value::int, note from subscriptions") == [(5, None)]
    load(loader, [wider, record(id=1, value=5, note="n", updated_at="2026-01-01T00:00:03Z")], events=told)
    assert loader.events("type") == [("large",), ("small",)]


def test_what_is_sent_again_after_an_undo_is_applied_again(loader: Loader) -> None:
    load(loader, [schema(), version(1, 1, 5)])
    messages = [schema(), version(1, 2, 15)]
    assert undone(loader, load(loader, messages)).returncode == 0
    load(loader, messages)
    assert values(loader) == [(1, 15, True)]
    assert loader.events("type") == [("large",), ("small",), ("large",)]


def test_a_run_without_undo_days_can_not_be_undone(loader: Loader) -> None:
    loader.load([schema(), version(1, 1, 5), state(1)])
    done = undone(loader, 17)
    assert done.returncode == 1
    assert "Of the run 17 nothing is kept" in done.stderr


def test_what_was_kept_goes_after_so_many_days(loader: Loader) -> None:
    load(loader, [schema(), version(1, 1, 5)])
    loader.query("update eventgen.replaced set recorded_at = now() - interval '8 days'; select 1")
    last = load(loader, [schema(), version(2, 1, 5)])
    assert [int(line.split()[0]) for line in undone(loader).stdout.splitlines()] == [last]


@pytest.mark.parametrize(("piece", "left"), [(1, (1, 15, True)), (2, (1, 5, True))])
@pytest.mark.parametrize("place", PLACES)
def test_an_undo_that_is_killed_anywhere_is_finished_by_the_next(
    loader: Loader, place: str, piece: int, left: tuple[Any, ...]
) -> None:
    load(loader, [schema(), version(1, 1, 5)])
    bad = load(loader, [schema(), version(1, 2, 15), version(2, 2, 15)])
    gate = loader.folder / "gate"
    config = loader.write_config(**SETTINGS)
    process = subprocess.Popen(
        [sys.executable, "-m", "target_eventgen", "undo", str(bad), "--config", str(config)],
        cwd=loader.folder,
        env=loader.environment() | {"TARGET_EVENTGEN_FAILPOINT": f"{place}:{piece}:{gate}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    wait_until(gate.exists, what="the piece")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert values(loader) == [left, (2, 15, True)]
    assert undone(loader, bad).returncode == 0
    assert values(loader) == [(1, 5, True), (2, 15, False)]
    assert loader.query("select count(*), count(distinct id) from eventgen.events where data ? 'undone'") == [(3, 3)]


def test_a_load_that_comes_meanwhile_waits_and_counts_after_the_undo(loader: Loader) -> None:
    load(loader, [schema(), version(1, 1, 5)])
    bad = load(loader, [schema(), version(1, 2, 15)])
    gate = loader.folder / "gate"
    config = loader.write_config(**SETTINGS)
    process = subprocess.Popen(
        [sys.executable, "-m", "target_eventgen", "undo", str(bad), "--config", str(config)],
        cwd=loader.folder,
        env=loader.environment() | {"TARGET_EVENTGEN_FAILPOINT": f"{failpoints.AFTER_LOCK}:1:{gate}"},
    )
    wait_until(gate.exists, what="the locks")
    writer = loader.start(**SETTINGS)
    assert writer.stdin is not None
    writer.stdin.write(lines([schema(), version(1, 3, 25), state(3)]))
    writer.stdin.close()
    writer.stdin = None
    waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    wait_until(lambda: loader.query(waiting) == [(1,)], what="a writer that waits for the row")
    gate.unlink()
    assert process.wait(timeout=60) == 0
    _, said = writer.communicate(timeout=60)
    assert writer.returncode == 0, said
    assert values(loader) == [(1, 25, True)]
    assert loader.events("type, data->'new'->'value'") == [("large", 15), ("small", 5), ("large", 25)]
    assert json.dumps(values(loader))


def test_events_of_an_undo_wait_behind_held_ones_of_their_keys(loader: Loader) -> None:
    load(loader, [schema(), version(1, 1, 5), version(2, 1, 5)])
    messages = [schema(), version(1, 2, 15), version(2, 2, 15), state(2)]
    assert loader.run(messages, **SETTINGS, guard={"events_per_run": 1}).returncode == 3
    ((bad,),) = loader.query("select distinct run from eventgen.held_events")
    done = undone(loader, bad)
    assert done.returncode == 0, done.stderr
    assert "1 more wait for held events of their keys" in done.stderr
    assert loader.events() == [("large", "1"), ("small", "1")]
    loader.run_command(["events", "release", "--all", "--config", str(loader.write_config())])
    assert loader.events() == [("large", "1"), ("small", "1"), ("large", "2"), ("small", "2")]


def test_a_run_is_undone_by_the_configuration_of_its_pipeline_alone(loader: Loader) -> None:
    for place in ("a", "b"):
        load(loader, [schema(), version(1, 1, 5)], default_target_schema=place, source=place)
    bad = load(loader, [schema(), version(1, 2, 15)], default_target_schema="a", source="a")
    refused = undone(loader, bad, default_target_schema="b", source="b")
    assert refused.returncode == 1
    assert 'store it in "b"."subscriptions"; undo the run with the configuration that it had' in refused.stderr
    assert loader.events("type, source") == [("large", "a")]
    assert undone(loader, bad, default_target_schema="a", source="a").returncode == 0
    assert loader.events("type, source") == [("large", "a"), ("small", "a")]
