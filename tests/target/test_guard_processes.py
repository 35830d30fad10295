"""The guard under kills and with many writers: nothing held is ever delivered, nothing released is lost."""

from __future__ import annotations

import itertools
import json
import operator
import random
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from target_eventgen import failpoints
from target_eventgen.delivery import holding
from target_eventgen.delivery.sql.held import HeldFilter
from target_eventgen.publishers.cloudevent import CloudEvent
from tests.support.loading import Loader
from tests.support.messages import lines, schema, state, version
from tests.support.proxy import PostgresProxy
from tests.support.queries import query, waits_for_a_lock
from tests.support.relaying import EMPTY, Outbox, Receiver, in_order
from tests.support.waiting import wait_until

CREATED = {"type": "created", "stream": "subscriptions", "on": "created"}
UPDATED = {"type": "updated", "stream": "subscriptions", "on": "updated"}
PASSED = {"type": "passed", "stream": "subscriptions", "enters": "value > 10"}
RULES = [CREATED, UPDATED, PASSED]
ALL = HeldFilter()

POINTS = (
    failpoints.AFTER_STAGING,
    failpoints.AFTER_LOCK,
    failpoints.AFTER_EVENTS,
    failpoints.BEFORE_COMMIT,
    failpoints.BEFORE_STATE,
    failpoints.STATE_HALF_WRITTEN,
)

WRITERS = 8

Messages = Sequence[Mapping[str, Any] | str]

SESSIONS = (
    "select count(*) from pg_stat_activity where datname = current_database()"
    " and application_name = 'target-eventgen held events'"
)
WAITS = f"{SESSIONS} and wait_event_type = 'Lock'"


@dataclass
class Watch:
    """A receiver that asks, of all that it is given, whether a guard holds it at that moment."""

    database: str
    receiver: Receiver = field(default_factory=Receiver)

    def __post_init__(self) -> None:
        self.receiver.before = self.look

    def look(self, events: Sequence[CloudEvent]) -> None:
        ids = ", ".join(f"'{event.id}'" for event in events)
        found = query(self.database, f"select type, key, state from eventgen.held_events where id in ({ids})")
        assert found == [], f"delivered, though held: {found}"


def history(keys: int, versions: int, seed: int) -> list[Mapping[str, Any] | str]:
    """Versions of keys in the order of their time, with a STATE now and then; no two seeds share an instant."""
    drawn = random.Random(seed)
    messages: list[Mapping[str, Any] | str] = [schema()]
    for number in range(versions):
        messages.append(version(drawn.randint(1, keys), number * WRITERS + seed, drawn.choice([5, 15])))
        if number % 10 == 9:
            messages.append(state(number))
    return messages


class Killed:
    """Runs that are killed at a failpoint, each in a folder of its own, and run again from the beginning."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def run(self, number: int, messages: Messages, failpoint: str, **settings: Any) -> tuple[bool, list[int]]:
        """Kill a run at a failpoint, `name:count`, and run once more; whether it was reached, and the exit statuses."""
        folder = self.loader.folder / str(number)
        folder.mkdir()
        gate = folder / "gate"
        own = replace(self.loader, folder=folder)
        source = folder / "input.singer"
        source.write_text(lines(messages))
        command = own.command(**settings)
        environment = {**own.environment(), "TARGET_EVENTGEN_FAILPOINT": f"{failpoint}:{gate}"}
        with source.open() as given, (folder / "said").open("w") as said:
            process = subprocess.Popen(
                command, stdin=given, stdout=subprocess.DEVNULL, stderr=said, cwd=folder, env=environment
            )
            wait_until(lambda: gate.exists() or process.poll() is not None, 300, what=failpoint)
            reached = process.poll() is None
            process.kill()
            first = process.wait()
        done = own.run(messages, **settings)
        assert "Traceback" not in done.stderr
        return reached, [first, done.returncode]


Step = tuple[Any, Any, str]
"""The old and new content of a transition, and the time of its version."""


def chains(database: str) -> dict[str, list[Step]]:
    """Of each key, the transitions of its events, held ones among them, in the order of the versions."""
    columns = "partitionkey, data->'old', data->'new', data->'new'->>'updated_at' as at"
    rows = query(
        database,
        f"select {columns} from (select partitionkey, data, type from eventgen.events union all"
        " select partitionkey, data, type from eventgen.held_events) as e where type in ('created', 'updated') order by at",
    )
    found: dict[str, list[Step]] = defaultdict(list)
    for key, *step in rows:
        found[key].append((step[0], step[1], step[2]))
    return found


def linked(steps: Sequence[Step]) -> bool:
    """Whether each transition begins where the one before ended; writers may have had versions of one time."""
    ends: list[Any] = [None]
    for _, tied in itertools.groupby(steps, key=operator.itemgetter(2)):
        ends = [
            order[-1][1]
            for order in itertools.permutations(tied)
            for end in ends
            if all(
                before == after[0] for before, after in zip([end, *(step[1] for step in order)], order, strict=False)
            )
        ]
    return bool(ends)


def assert_each_transition_has_its_event(database: str) -> None:
    versions = dict(query(database, "select id::text, _eventgen_version from subscriptions"))
    found = chains(database)
    assert {key: len(steps) for key, steps in found.items()} == versions
    assert [steps for steps in found.values() if not linked(steps)] == []


# -- kills ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", POINTS)
def test_a_guarded_run_that_is_killed_and_run_again_delivers_nothing_held_and_loses_nothing_released(
    loader: Loader, point: str
) -> None:
    messages = history(keys=12, versions=60, seed=POINTS.index(point))
    watch, outbox = Watch(loader.database), Outbox(loader.database)
    outbox.announce(watch.receiver.delivery())
    with outbox.following(watch.receiver.delivery()):
        reached, statuses = Killed(loader).run(
            1, messages, f"{point}:3", events=RULES, guard={"events_per_run": 5}, batch_size_rows=10
        )
        assert reached
        assert statuses == [-9, 3]
        assert_each_transition_has_its_event(loader.database)
        held = loader.query("select count(*) from eventgen.held_events")[0][0]
        # Each of the two processes may hand on five events of each rule.
        assert loader.query("select max(count) <= 10 from (select count(*) from eventgen.events group by type) as e")
        assert held > 0
        wait_until(lambda: outbox.marks() == EMPTY, what="the relay")
        assert loader.query("select count(*) from eventgen.events") == [(len(set(watch.receiver.ids)),)]
        holding.release(loader.database, ALL)
        wait_until(lambda: outbox.marks() == EMPTY, what="the relay")
    in_order(watch.receiver.got)
    assert sorted(set(watch.receiver.ids)) == sorted(id_ for (id_,) in loader.events("id"))
    assert loader.query("select count(*) from eventgen.held_events") == [(0,)]


def test_a_commit_whose_answer_was_lost_counts_its_events_once(loader: Loader) -> None:
    loader.load([schema()])
    with PostgresProxy(loader.database) as proxy:
        for number in range(1, 6):
            loader.query("truncate subscriptions, eventgen.events, eventgen.held_events")
            proxy.lose_commit(number)
            messages: list[Mapping[str, Any] | str] = [schema()]
            for key in range(1, 9):
                messages += [version(key, 1, 5), state(key)]
            done = replace(loader, database=proxy.url).run(
                messages, events=[CREATED], guard={"events_per_run": 5}, batch_size_rows=1
            )
            assert done.returncode == 3, done.stderr
            assert "3 of 8 events" in done.stderr
            assert loader.events("partitionkey") == [(str(key),) for key in range(1, 6)]
            assert len(loader.query("select id from eventgen.held_events")) == 3
        assert proxy.lost == 5


def test_a_release_that_is_killed_has_released_nothing_and_loses_nothing(loader: Loader) -> None:
    loader.run([schema(), *(version(key, 1, 5) for key in range(9))], events=[CREATED], guard={"events_per_run": 0})
    outbox = Outbox(loader.database)
    with outbox.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("lock table eventgen.events in row exclusive mode")  # as a load has it
        command = [
            sys.executable,
            "-m",
            "target_eventgen",
            "events",
            "release",
            "--all",
            "--database-url",
            loader.database,
        ]
        process = subprocess.Popen(command, cwd=loader.folder, env=loader.environment(), stderr=subprocess.DEVNULL)
        wait_until(lambda: loader.query(WAITS) == [(1,)], what="the release")
        process.kill()
        process.wait()
    # Its session is told of the lock, finds nobody there, and ends.
    wait_until(lambda: loader.query(SESSIONS) == [(0,)], what="the end of its session")
    assert loader.events() == []
    done = loader.run_command(command[3:])
    assert "9 events are released; 9 events are in the outbox now" in done.stderr
    assert len(loader.events()) == 9


# -- races ------------------------------------------------------------------------------------------------------------


def test_a_writer_that_waited_for_a_row_sends_its_event_behind_what_was_held_meanwhile(loader: Loader) -> None:
    loader.load([schema(), version(1, 1, 5)])
    folder = loader.folder / "guarded"
    folder.mkdir()
    gate = folder / "gate"
    guarded = replace(loader, folder=folder)
    config = guarded.command(events=[PASSED], guard={"events_per_run": 0})
    environment = {**loader.environment(), "TARGET_EVENTGEN_FAILPOINT": f"before_commit:1:{gate}"}
    holds = subprocess.Popen(
        config, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder, env=environment
    )
    assert holds.stdin is not None
    holds.stdin.write(lines([schema(), version(1, 2, 15)]))
    holds.stdin.close()
    wait_until(gate.exists, what="the guarded writer")
    follows = loader.start(events=[UPDATED])
    assert follows.stdin is not None
    follows.stdin.write(lines([schema(), version(1, 3, 16)]))
    follows.stdin.close()
    wait_until(lambda: waits_for_a_lock(loader.database), what="the other writer")
    gate.unlink()
    assert (holds.wait(60), follows.wait(60)) == (3, 0)
    for process in (holds, follows):
        assert process.stderr is not None
        process.stderr.close()
    assert follows.stdout is not None
    follows.stdout.close()
    assert loader.events() == []
    assert loader.query("select type, state from eventgen.held_events order by sequence") == [
        ("passed", "held"),
        ("updated", "waiting"),
    ]
    holding.release(loader.database, ALL)
    assert loader.events("type") == [("passed",), ("updated",)]


@pytest.mark.parametrize("decide", [holding.release, holding.discard])
def test_a_decision_waits_for_a_writer_that_sends_an_event_behind_a_held_one(loader: Loader, decide: Any) -> None:
    loader.run([schema(), version(1, 1, 15)], events=[PASSED], guard={"events_per_run": 0})
    gate = loader.folder / "gate"
    environment = {**loader.environment(), "TARGET_EVENTGEN_FAILPOINT": f"after_events:1:{gate}"}
    source = loader.folder / "input.singer"
    source.write_text(lines([schema(), version(1, 2, 16)]))
    with source.open() as given:
        command = loader.command(events=[UPDATED])
        writer = subprocess.Popen(command, stdin=given, stderr=subprocess.DEVNULL, cwd=loader.folder, env=environment)
    wait_until(gate.exists, what="the writer")
    decisions: list[holding.Decision] = []
    thread = threading.Thread(target=lambda: decisions.append(decide(loader.database, ALL)))
    thread.start()
    wait_until(lambda: loader.query(WAITS) == [(1,)], what="the decision")
    gate.unlink()
    assert writer.wait(60) == 0
    thread.join(60)
    assert [each.waiting for each in decisions] == [0]
    assert loader.events("type") == [("passed",), ("updated",)][decide is holding.discard :]


def test_eight_writers_are_killed_while_a_relay_runs_and_a_person_decides(loader: Loader) -> None:
    watch, outbox = Watch(loader.database), Outbox(loader.database)
    outbox.announce(watch.receiver.delivery())
    loader.load([schema()])
    luck, ended = random.Random(5), threading.Event()
    decided: dict[str, int] = {"released": 0, "discarded": 0}

    def decide() -> None:
        while not ended.wait(0.2):
            groups = [group for group in holding.groups(loader.database, ALL) if group.held]
            if not groups:
                continue
            group, discards = luck.choice(groups), luck.random() < 0.3
            chosen = HeldFilter(group.run, [group.type] if luck.random() < 0.7 else None)
            decision = (holding.discard if discards else holding.release)(loader.database, chosen)
            decided["discarded" if discards else "released"] += decision.decided

    killed = Killed(loader)

    def write(number: int) -> tuple[bool, list[int]]:
        messages = history(keys=25, versions=150, seed=number)
        point = f"{POINTS[number % len(POINTS)]}:{3 + number}"
        bounds = {"events_per_run": number, "streams": {"none*": {}}}
        return killed.run(number, messages, point, events=RULES, guard=bounds, batch_size_rows=10)

    person = threading.Thread(target=decide)
    with outbox.following(watch.receiver.delivery()):
        person.start()
        with ThreadPoolExecutor(WRITERS) as pool:
            statuses = list(pool.map(write, range(WRITERS)))
        ended.set()
        person.join(60)
        assert_each_transition_has_its_event(loader.database)
        holding.release(loader.database, ALL)
        assert loader.query("select distinct state from eventgen.held_events") in ([], [("discarded",)])
        wait_until(lambda: outbox.marks() == EMPTY, what="the relay")
    assert {status for _, each in statuses for status in each[1:]} <= {0, 3}
    assert any(reached for reached, _ in statuses)
    assert decided["released"] > 0
    in_order(watch.receiver.got)
    delivered = set(watch.receiver.ids)
    discarded = {id_ for (id_,) in loader.query("select id from eventgen.held_events")}
    assert delivered == {id_ for (id_,) in loader.events("id")}
    assert not delivered & discarded
    assert len(discarded) == decided["discarded"]
    assert_keys_in_order_of_their_versions(watch.receiver.got)


def assert_keys_in_order_of_their_versions(events: Sequence[CloudEvent]) -> None:
    """Whatever was held and released: of a key, no event is seen for the first time after one of a later version."""
    seen: set[str] = set()
    latest: dict[str, str] = {}
    for event in events:
        if event.id in seen:
            continue
        seen.add(event.id)
        at = json.loads(bytes(event.data))["new"]["updated_at"]
        assert at >= latest.get(event.subject, ""), event
        latest[event.subject] = at
