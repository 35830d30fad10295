"""The guard: what goes beyond it is committed, held, and delivered by nobody until a person decides."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from target_eventgen.cli.main import companions
from target_eventgen.delivery import holding, registration, status
from target_eventgen.delivery.relay import tidy
from target_eventgen.delivery.session import Session
from target_eventgen.delivery.sql.held import HeldFilter
from target_eventgen.errors import EventgenError, EventsHeldError
from tests.support.messages import PROPERTIES, record, schema, state, version
from tests.support.relaying import Outbox, Receiver

if TYPE_CHECKING:
    from tests.support.loading import Loader

CREATED = {"type": "created", "stream": "subscriptions", "on": "created"}
UPDATED = {"type": "updated", "stream": "subscriptions", "on": "updated"}
PASSED = {"type": "passed", "stream": "subscriptions", "enters": "value > 10"}
GUARD: dict[str, Any] = {"events_per_run": 3}
ALL = HeldFilter()


def held(loader: Loader, columns: str = "type, partitionkey, state") -> list[tuple[Any, ...]]:
    return loader.query(f"select {columns} from eventgen.held_events order by sequence")


def load_held(loader: Loader, messages: Iterable[Mapping[str, Any] | str], **settings: Any) -> str:
    """Load what must be held in part; the message."""
    with pytest.raises(EventsHeldError) as error:
        loader.load(messages, **{"guard": GUARD, "events": [CREATED], **settings})
    return str(error.value)


def keys(*numbers: int, second: int = 1, value: float = 1) -> list[dict[str, Any]]:
    return [version(number, second, value) for number in numbers]


# -- what is held -----------------------------------------------------------------------------------------------------


def test_what_goes_beyond_the_guard_is_held_with_its_rows_and_the_run_ends_with_status_3(loader: Loader) -> None:
    done = loader.run([schema(), *keys(1, 2, 3, 4, 5), state({"a": 1})], guard=GUARD, events=[CREATED])
    assert done.returncode == 3
    assert json.loads(done.stdout) == {"a": 1}
    assert "Traceback" not in done.stderr
    assert loader.events() == [("created", str(n)) for n in (1, 2, 3)]
    assert held(loader) == [("created", "4", "held"), ("created", "5", "held")]
    assert loader.query("select count(*) from subscriptions") == [(5,)]
    ((run,),) = loader.query("select distinct run from eventgen.held_events")
    message = done.stderr.splitlines()[-1]
    assert 'stream "subscriptions", rule "created": 2 of 5 events' in message
    assert f"events release --run {run}" in message
    assert loader.query("select count(*) from eventgen.runs") == [(0,)]


def test_without_a_guard_nothing_is_held(loader: Loader) -> None:
    loader.load([schema(), *keys(*range(50))], events=[CREATED])
    assert len(loader.events()) == 50
    assert held(loader) == []


@pytest.mark.parametrize("batch", [1, 2, 100])
@pytest.mark.parametrize("duplicated", [False, True])
def test_events_are_counted_over_all_checkpoints_of_a_run(loader: Loader, batch: int, duplicated: bool) -> None:  # noqa: FBT001  a parameter
    messages: list[Mapping[str, Any] | str] = [schema()]
    for number in range(1, 8):
        messages += [*keys(number), *(keys(number, second=2) if duplicated else ()), state(number)]
    load_held(loader, messages, batch_size_rows=batch)
    assert loader.events() == [("created", str(n)) for n in (1, 2, 3)]
    assert held(loader) == [("created", str(n), "held") for n in (4, 5, 6, 7)]


def test_each_rule_and_each_stream_is_counted_by_itself(loader: Loader) -> None:
    rules = [CREATED, PASSED, {**CREATED, "stream": "orders"}]
    messages = [
        schema(),
        *keys(1, 2, 3),
        *keys(4, value=20),
        schema("orders"),
        *(record("orders", id=n) for n in (1, 2, 3)),
    ]
    load_held(loader, messages, events=rules)
    assert held(loader) == [("created", "4", "held"), ("passed", "4", "waiting")]
    assert [each for each in loader.events("stream, partitionkey") if each[0] == "orders"] == [
        ("orders", "1"),
        ("orders", "2"),
        ("orders", "3"),
    ]


def test_a_guard_of_a_rule_bounds_that_rule_alone(loader: Loader) -> None:
    rules = [{**PASSED, "guard": {"events_per_run": 0}}, CREATED]
    load_held(loader, [schema(), *keys(1, 2, 3, 4), *keys(5, value=20)], events=rules, guard={})
    assert held(loader) == [("passed", "5", "held"), ("created", "5", "waiting")]
    assert len(loader.events()) == 4


def test_the_next_run_counts_anew(loader: Loader) -> None:
    load_held(loader, [schema(), *keys(1, 2, 3, 4)])
    loader.load([schema(), *keys(5, 6, 7)], guard=GUARD, events=[CREATED])
    assert loader.events("partitionkey") == [("1",), ("2",), ("3",), ("5",), ("6",), ("7",)]


def test_a_share_is_of_the_rows_that_the_table_had_as_the_run_began(loader: Loader) -> None:
    share = {"share_of_rows": 0.2}
    loader.load([schema(), *keys(*range(10))], events=[CREATED], guard=share)  # of an empty table no share is asked for
    assert len(loader.events()) == 10
    messages: list[Mapping[str, Any] | str] = [schema()]
    for number in range(20, 40):
        messages += [*keys(number), state(number)]
    load_held(loader, messages, guard=share, batch_size_rows=5)
    assert len(loader.events()) == 12
    assert len(held(loader)) == 18


def test_a_schema_that_comes_within_a_run_does_not_change_what_the_run_began_with(loader: Loader) -> None:
    loader.load([schema(), *keys(*range(10))], events=[CREATED])
    wider = schema(properties={**PROPERTIES, "more": {"type": ["string", "null"]}})
    load_held(loader, [schema(), *keys(*range(20, 30)), wider, *keys(*range(30, 40))], guard={"share_of_rows": 1.5})
    assert len(held(loader)) == 5


def test_a_first_load_that_died_is_still_no_matter_of_shares(loader: Loader) -> None:
    share = {"share_of_rows": 0.1}
    loader.load([schema(), *keys(*range(10)), state(1), *keys(10)], events=[CREATED], guard=share)
    loader.load([schema(), *keys(*range(10, 30)), state(2)], events=[CREATED], guard=share)
    assert len(loader.events()) == 30
    load_held(loader, [schema(), *keys(*range(30, 40)), state(3)], guard=share)
    assert len(held(loader)) == 7


def test_the_rows_of_a_large_table_are_those_that_postgres_takes_it_to_have(loader: Loader) -> None:
    loader.load([schema(), *keys(0)], events=[CREATED])
    loader.query("insert into subscriptions (id, _eventgen_version) select n, 1 from generate_series(1, 20000) n")
    loader.query("analyze subscriptions")
    load_held(loader, [schema(), *keys(*range(30000, 30300))], guard={"share_of_rows": 0.01})
    assert len(held(loader)) == 300 - 201


def test_deletions_of_a_table_version_are_guarded(loader: Loader) -> None:
    deleted = {"type": "deleted", "stream": "subscriptions", "on": "deleted"}
    loader.load([schema(), *({**each, "version": 1} for each in keys(*range(10)))], events=[deleted])
    activate = {"type": "ACTIVATE_VERSION", "stream": "subscriptions", "version": 2}
    load_held(loader, [schema(), {**keys(0)[0], "version": 2}, activate, state(1)], events=[deleted])
    assert len(loader.events()) == 3
    assert len(held(loader)) == 6


# -- order of a key, and what comes again -----------------------------------------------------------------------------


def test_a_later_event_of_a_key_that_has_a_held_one_waits_behind_it(loader: Loader) -> None:
    rules = [{**CREATED, "guard": {"events_per_run": 1}}, UPDATED]
    load_held(loader, [schema(), *keys(1, 2)], events=rules, guard={})
    loader.load([schema(), *keys(1, 2, second=2, value=2)], events=rules)
    loader.load([schema(), *keys(2, second=3, value=3), state(1)], events=[UPDATED])
    assert loader.events() == [("created", "1"), ("updated", "1")]
    assert held(loader) == [("created", "2", "held"), ("updated", "2", "waiting"), ("updated", "2", "waiting")]
    holding.release(loader.database, ALL)
    told = loader.events("type, partitionkey, data->'new'->'value'")
    assert told[2:] == [("created", "2", 1), ("updated", "2", 2), ("updated", "2", 3)]
    assert held(loader) == []


def test_a_released_event_waits_for_a_held_one_of_its_key_before_it(loader: Loader) -> None:
    none = {"guard": {"events_per_run": 0}}
    load_held(loader, [schema(), *keys(1, value=20)], events=[{**CREATED, **none}, {**PASSED, **none}], guard={})
    assert holding.release(loader.database, HeldFilter(types=["passed"])) == holding.Decision(1, 0, 1)
    assert loader.events() == []
    assert holding.release(loader.database, HeldFilter(types=["created"])) == holding.Decision(1, 2, 0)
    assert loader.events() == [("created", "1"), ("passed", "1")]


def test_a_replay_of_what_is_held_released_or_discarded_records_nothing_twice(loader: Loader) -> None:
    messages = [schema(), *keys(1, 2, 3, 4, 5, 6)]
    load_held(loader, messages)
    ids = [*loader.events("id"), *held(loader, "id")]
    for decide in (None, holding.discard, holding.release):
        if decide is not None:
            loader.query("update eventgen.held_events set run = 7 where partitionkey = '4'")
            decide(loader.database, HeldFilter(run=7) if decide is holding.discard else ALL)
        # A table that was restored from a backup has its transitions once more.
        loader.query("truncate subscriptions")
        loader.load(messages, events=[CREATED], guard=GUARD)
        assert sorted([*loader.events("id"), *held(loader, "id")]) == sorted(ids)
    assert held(loader) == [("created", "4", "discarded")]


def test_a_discarded_event_is_not_recorded_again_by_a_run_without_a_guard(loader: Loader) -> None:
    load_held(loader, [schema(), *keys(1, 2, 3, 4)])
    assert holding.discard(loader.database, ALL) == holding.Decision(1, 0, 0)
    for _ in range(2):
        loader.query("truncate subscriptions")
        loader.load([schema(), *keys(1, 2, 3, 4)], events=[CREATED])
    assert len(loader.events()) == 3


def test_what_waited_for_a_discarded_event_goes_on(loader: Loader) -> None:
    rules = [{**CREATED, "guard": {"events_per_run": 0}}, UPDATED]
    load_held(loader, [schema(), *keys(1), *keys(1, second=2, value=2)], events=rules, guard={})
    assert holding.discard(loader.database, ALL) == holding.Decision(1, 1, 0)
    assert loader.events() == [("updated", "1")]
    loader.load([schema(), *keys(1, second=3, value=3)], events=[UPDATED])
    assert len(loader.events()) == 2


# -- delivery ---------------------------------------------------------------------------------------------------------


def test_a_relay_delivers_a_held_event_once_it_is_released_and_not_before(loader: Loader) -> None:
    outbox, receiver = Outbox(loader.database), Receiver()
    load_held(loader, [schema(), *keys(1, 2, 3, 4, 5)])
    late = Receiver()
    outbox.drain(receiver.delivery())
    outbox.drain(receiver.delivery(), late.delivery("late"))
    assert [event.partitionkey for event in receiver.got] == ["1", "2", "3"]
    assert receiver.ids == late.ids
    replayed = CliRunner().invoke(
        companions, ["events", "replay", "--all", "--database-url", loader.database], catch_exceptions=False
    )
    assert "test: 3 events" in replayed.output
    ((*_, held_id),) = loader.query("select id from eventgen.held_events order by sequence limit 1")
    ids = ["events", "replay", "--id", held_id, "--database-url", loader.database]
    with pytest.raises(EventgenError, match="No recorded event that fits has the id"):
        CliRunner().invoke(companions, ids, catch_exceptions=False)
    outbox.drain(receiver.delivery(), late.delivery("late"))
    assert {event.partitionkey for event in receiver.got} == {"1", "2", "3"}
    holding.release(loader.database, ALL)
    outbox.drain(receiver.delivery(), late.delivery("late"))
    assert sorted(event.partitionkey for event in receiver.got[6:]) == ["4", "5"]
    assert sorted(late.ids) == sorted(receiver.ids)


def test_a_load_delivers_what_is_not_held_and_the_next_one_what_was_released(loader: Loader) -> None:
    path = loader.folder / "events.jsonl"
    publishers = [{"type": "file", "path": str(path)}]
    load_held(loader, [schema(), *keys(1, 2, 3, 4, 5), state(1)], publishers=publishers)
    assert len(path.read_text().splitlines()) == 3
    holding.release(loader.database, ALL)
    loader.load([schema(), state(2)], publishers=publishers, events=[CREATED])
    published = [json.loads(line)["partitionkey"] for line in path.read_text().splitlines()]
    assert (published[:3], sorted(published[3:])) == (["1", "2", "3"], ["4", "5"])  # in order is each key, no more


def test_before_commit_publishes_no_held_event_and_the_next_load_publishes_what_was_released(loader: Loader) -> None:
    path = loader.folder / "events.jsonl"
    settings = {"publishers": [{"type": "file", "path": str(path)}], "delivery": "before_commit"}

    def published() -> list[str]:
        return [json.loads(line)["partitionkey"] for line in path.read_text().splitlines()]

    load_held(loader, [schema(), *keys(1, 2, 3, 4, 5), state(1)], **settings)
    assert published() == ["1", "2", "3"]
    assert holding.release(loader.database, ALL) == holding.Decision(2, 0, 2)
    assert loader.query("select count(*) from eventgen.events") == [(3,)]
    loader.load([schema(), *keys(4, second=2, value=2)], **settings, events=[UPDATED], source="another pipeline")
    assert published() == ["1", "2", "3"]
    loader.load([schema(), *keys(5, second=2, value=2), state(2)], **settings, events=[UPDATED])
    assert published() == ["1", "2", "3", "4", "5", "5"]
    assert held(loader) == [("updated", "4", "waiting")]  # of the other pipeline, whose next load publishes it
    loader.load([schema(), state(3)], **settings, source="another pipeline")
    assert published()[6:] == ["4"]


def test_what_was_released_under_before_commit_is_delivered_after_the_setting_has_changed(loader: Loader) -> None:
    path = loader.folder / "events.jsonl"
    settings = {"publishers": [{"type": "file", "path": str(path)}]}
    load_held(loader, [schema(), *keys(1, 2, 3, 4), state(1)], **settings, delivery="before_commit")
    holding.release(loader.database, ALL)
    loader.load([schema(), *keys(4, second=2, value=2), state(2)], **settings, events=[UPDATED])
    told = [json.loads(line) for line in path.read_text().splitlines()]
    assert [event["type"] for event in told if event["partitionkey"] == "4"] == ["created", "updated"]


def test_retention_deletes_what_was_discarded_long_ago_and_nothing_that_is_held(loader: Loader) -> None:
    load_held(loader, [schema(), *keys(1, 2, 3, 4, 5, 6)])
    registration.announce(loader.database, [])
    loader.query("update eventgen.held_events set run = 7 where partitionkey = '4'")
    holding.discard(loader.database, HeldFilter(run=7))
    loader.query("update eventgen.events set recorded_at = now() - interval '9 days'")
    loader.query("update eventgen.held_events set recorded_at = now() - interval '9 days'")
    session = Session(loader.database, "test")
    assert tidy(session, 5, lambda: False) == 3
    assert len(held(loader)) == 3
    loader.query("update eventgen.held_events set decided_at = now() - interval '9 days' where decided_at is not null")
    tidy(session, 5, lambda: False)
    session.close()
    assert held(loader) == [("created", "5", "held"), ("created", "6", "held")]
    holding.release(loader.database, ALL)
    assert tidy(Session(loader.database, "test"), 5, lambda: False) == 0


# -- what a person sees -----------------------------------------------------------------------------------------------


def command(loader: Loader, *arguments: str) -> str:
    result = CliRunner().invoke(companions, [*arguments, "--database-url", loader.database], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_commands_list_release_and_discard_by_run_rule_and_stream(loader: Loader) -> None:
    assert command(loader, "events", "held") == "No events are held.\n"
    load_held(loader, [schema(), *keys(1, 2, 3, 4, 5, 6)])
    load_held(loader, [schema(), *keys(4, second=2, value=20), *keys(7, 8, 9, 10)], events=[CREATED, PASSED])
    listed = [json.loads(line) for line in command(loader, "events", "held", "--json").splitlines()]
    shown = [(each["type"], each["held"], each["waiting"], each["key"]) for each in listed]
    assert shown == [("created", 3, 0, "4"), ("created", 1, 0, "10"), ("passed", 0, 1, "4")]
    first, second, _ = (str(each["run"]) for each in listed)
    table = command(loader, "events", "held", "--rule", "cr*").splitlines()
    assert table[0].split() == ["RUN", "STREAM", "RULE", "HELD", "WAITING", "OLDEST", "KEY"]
    assert [line.split()[0] for line in table[1:]] == [first, second]
    assert CliRunner().invoke(companions, ["events", "release", "--database-url", loader.database]).exit_code == 2
    for action in ("release", "discard", "held"):
        assert command(loader, "events", action, "--stream", "orders").endswith(
            'No held event fits; held are 3 of created (stream "subscriptions", run '
            f'{first}), 1 of created (stream "subscriptions", run {second})\n'
        )
    for choice in (["--run", "5"], ["--run", first, "--rule", "passed"]):
        with pytest.raises(
            EventgenError, match=r"Nothing is released of the run \d+. No held event fits; held are 3 of"
        ):
            command(loader, "events", "release", *choice)
    said = command(loader, "events", "release", "--run", first)
    assert said == "3 events are released; 4 events are in the outbox now\n"
    assert command(loader, "events", "discard", "--run", second, "--rule", "created").startswith(
        "1 events are discarded"
    )
    assert command(loader, "events", "held") == "No events are held.\n"
    assert command(loader, "events", "release", "--all") == "No events are held.\n"


def test_status_says_how_many_events_are_held(loader: Loader) -> None:
    load_held(loader, [schema(), *keys(1, 2, 3, 4, 5)])
    current = status.read(loader.database)
    assert (current.held.held, current.held.waiting) == (2, 0)
    assert status.document(current)["held"]["held"] == 2
    assert "2 events are held, the oldest for " in status.text(current)
    holding.discard(loader.database, ALL)
    assert "are held" not in status.text(status.read(loader.database))


def test_a_run_says_at_once_that_it_holds_and_a_later_one_that_some_are_held(
    loader: Loader, caplog: pytest.LogCaptureFixture
) -> None:
    load_held(loader, [schema(), *keys(1, 2, 3, 4), state(1), *keys(5, 6), state(2)], batch_size_rows=1)
    (said,) = [text for text in caplog.messages if "has fired more events than its guard allows" in text]
    assert said.startswith('stream "subscriptions": the rule "created"')
    caplog.clear()
    loader.load([schema(), *keys(4, second=2, value=2), state(3)], events=[UPDATED], guard=GUARD)
    assert "1 events wait for held events of their keys" in caplog.messages
    assert any(text.startswith("3 events of earlier runs are held") for text in caplog.messages)
    assert not any("in the outbox already" in text for text in caplog.messages)


def test_rules_are_tried_without_their_guards(loader: Loader) -> None:
    rules = [{**CREATED, "guard": {"events_per_run": 1}}]
    config = str(loader.write_config(events=rules, guard=GUARD))
    source = loader.folder / "input.singer"
    source.write_text("\n".join(map(json.dumps, [schema(), *keys(1, 2, 3, 4, 5)])))
    shown = command(loader, "rules", "try", "--json", "--config", config, "--input", str(source))
    assert len(shown.splitlines()) == 5


def test_metrics_count_held_events(loader: Loader) -> None:
    path = loader.folder / "metrics.prom"
    load_held(loader, [schema(), *keys(1, 2, 3, 4, 5)], metrics_textfile=str(path))
    text = path.read_text()
    assert 'eventgen_events_held_total{stream="subscriptions",type="created"} 2.0' in text
    assert 'eventgen_events_recorded_total{stream="subscriptions",type="created"} 3.0' in text
    assert 'eventgen_runs_total{result="finished"} 1.0' in text
    assert 'result="failed"' not in text
