"""`rules check` and `rules try`, as commands: they tell, and change nothing."""

from __future__ import annotations

import json
import random
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest

from tests.support.messages import PROPERTIES, at, lines, record, schema, state, version
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    import subprocess

    from tests.support.loading import Loader

GOOD = {"type": "order.large", "stream": "orders", "enters": "total > 100"}
GONE = {"type": "order.deleted", "stream": "orders", "on": "deleted"}
TYPO = {"type": "order.typo", "stream": "orders", "enters": "totl > 100"}
ORDERS = schema("orders", {"id": {"type": "integer"}, "total": {"type": "number"}}, version=None)
TRIALS = "select datname from pg_database where datname like 'eventgen_try%'"
"""The databases in which rules are tried, also those of other tests that run at the same time."""

RELATIONS = "select count(*) from pg_class where relnamespace = 'public'::regnamespace"


def commanded(loader: Loader, *arguments: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    return loader.run_command(["rules", *arguments, "--config", str(loader.write_config(**settings))])


def catalog(loader: Loader) -> str:
    path = loader.folder / "catalog.json"
    path.write_text(json.dumps({"streams": [{**ORDERS, "tap_stream_id": "orders"}]}))
    return str(path)


def test_check_finds_the_faults_of_rules_in_a_catalog_and_makes_nothing(loader: Loader) -> None:
    other = {"type": "x", "stream": "ordres", "on": "created"}
    done = commanded(loader, "check", "--catalog", catalog(loader), events=[GOOD, GONE, TYPO, other])
    assert done.returncode == 1
    said = done.stdout.splitlines()
    assert [line.split()[0] for line in said] == ["ok", "ok", "FAULT", "FAULT"]
    assert "events[2].enters" in said[2]
    assert 'did you mean "total"' in said[2]
    assert 'did you mean "orders"' in said[3]
    assert "Traceback" not in done.stderr
    assert loader.query("select to_regnamespace('eventgen'), to_regclass('orders')") == [(None, None)]


def test_check_passes_rules_that_can_be_followed(loader: Loader) -> None:
    done = commanded(loader, "check", "--catalog", catalog(loader), events=[GOOD, GONE])
    assert done.returncode == 0, done.stderr


def test_check_says_that_there_are_no_rules(loader: Loader) -> None:
    done = commanded(loader, "check", "--catalog", catalog(loader), events=[])
    assert (done.returncode, done.stdout) == (0, "")
    assert 'no rules: the setting "events"' in done.stderr


def test_check_notes_a_rule_that_waits_for_the_time_to_pass(loader: Loader) -> None:
    rule = {"type": "order.old", "stream": "orders", "enters": "total > extract(epoch from now())"}
    done = commanded(loader, "check", "--catalog", catalog(loader), events=[rule])
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["ok", "note"]


def test_check_compares_rules_with_the_live_tables(loader: Loader) -> None:
    assert commanded(loader, "check", events=[GOOD]).returncode == 1
    loader.load([ORDERS, record("orders", id=1, total=1)])
    assert commanded(loader, "check", events=[GOOD, GONE]).returncode == 0
    done = commanded(loader, "check", events=[TYPO, {"type": "x", "stream": "orders", "changes": ["_sdc_sequence"]}])
    assert done.returncode == 1
    assert done.stdout.count("FAULT") == 2


def test_check_compares_rules_with_the_table_of_the_configuration_and_names_it(loader: Loader) -> None:
    for place, column in (("a", "total"), ("b", "amount")):
        orders = schema("orders", {"id": {"type": "integer"}, column: {"type": "number"}}, version=None)
        loader.load([orders, record("orders", id=1)], default_target_schema=place)
    for place, column in (("a", "total"), ("b", "amount")):
        rule = {**GOOD, "enters": f"{column} > 100"}
        done = commanded(loader, "check", events=[rule], default_target_schema=place)
        assert done.stdout == f'ok     order.large: events[0].enters, orders (table "{place}"."orders")\n'
    done = commanded(loader, "check", events=[GOOD], default_target_schema="b")
    assert done.returncode == 1
    assert done.stdout.endswith('(table "b"."orders")\n')


def test_check_takes_none_of_several_tables_where_the_configuration_names_another_place(loader: Loader) -> None:
    for place in ("a", "b"):
        loader.load([ORDERS, record("orders", id=1)], default_target_schema=place)
    done = commanded(loader, "check", events=[GOOD])
    assert done.returncode == 1
    assert 'no table of it is known here yet in "public"."orders", where loads store it' in done.stdout
    assert 'streams of this name are in "a"."orders", "b"."orders"' in done.stdout


def test_try_prints_the_events_of_an_input_and_leaves_no_trace(loader: Loader) -> None:
    source = loader.folder / "orders.singer"
    source.write_text(lines([ORDERS, record("orders", id=1, total=50), record("orders", id=1, total=150)]))
    before = set(loader.query(TRIALS))
    done = commanded(loader, "try", "--json", "--input", str(source), events=[GOOD, GONE])
    assert done.returncode == 0, done.stderr
    (event,) = map(json.loads, done.stdout.splitlines())
    assert (event["type"], event["subject"]) == ("order.large", "orders/1")
    assert event["data"]["old"] == {"id": 1, "total": 50}
    assert loader.query(RELATIONS) == [(0,)]
    wait_until(lambda: set(loader.query(TRIALS)) <= before, what="a server without further databases")


def test_try_reports_what_is_wrong_with_an_input_and_leaves_no_trace(loader: Loader) -> None:
    source = loader.folder / "orders.singer"
    source.write_text(lines([ORDERS, "no message"]))
    done = commanded(loader, "try", "--input", str(source), events=[GOOD])
    assert done.returncode == 1
    assert "line 2" in done.stderr
    assert "Traceback" not in done.stderr
    assert loader.query("select to_regnamespace('eventgen')") == [(None,)]


LARGE = {"type": "large", "stream": "subscriptions", "enters": "value > 10"}
RULES = [LARGE, {"type": "left", "stream": "subscriptions", "leaves": "value > 10"}, GOOD]
EVERYTHING = (
    "select (select jsonb_agg(s order by id) from subscriptions s), (select count(*) from eventgen.events),"
    " (select jsonb_agg(s order by table_name) from eventgen.streams s), (select count(*) from eventgen.runs),"
    " (select array_agg(relname order by oid) from pg_class where relkind = 'r'),"
    " (select array_agg(attname::text order by attrelid, attnum) from pg_attribute where attrelid > 16384)"
)


def tried_live(
    loader: Loader, messages: list[Any], *arguments: str, **settings: Any
) -> subprocess.CompletedProcess[str]:
    source = loader.folder / "input.singer"
    source.write_text(lines(messages))
    return commanded(loader, "try", "--live", "--input", str(source), *arguments, **{"events": RULES, **settings})


def counts(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """Return the numbers that a trial has printed, without those that are zero."""
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    return {each["type"]: each["events"] for each in told if each["events"]}


def test_a_live_trial_counts_against_the_rows_that_are_there_and_writes_nothing(loader: Loader) -> None:
    loader.load([schema(), *(version(key, 1, 15 if key < 3 else 5) for key in range(1, 7)), state(1)], events=RULES)
    before = loader.query(EVERYTHING)
    told = [schema(), *(version(key, 2, 15) for key in range(1, 7)), version(1, 3, 5), state(2)]
    done = tried_live(loader, told)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "would fire 4 \N{MULTIPLICATION SIGN} large, such as subscriptions/3",
        "would fire 1 \N{MULTIPLICATION SIGN} left, such as subscriptions/1",
        "would fire 0 \N{MULTIPLICATION SIGN} order.large",
    ]
    assert loader.query(EVERYTHING) == before
    loader.load(told, events=RULES)
    assert loader.query("select type, count(*) from eventgen.events group by 1 order by 1") == [
        ("large", 6),
        ("left", 1),
    ]


def test_a_live_trial_alters_tables_and_makes_new_ones_until_its_end_alone(loader: Loader) -> None:
    loader.load([schema(), version(1, 1, 5), state(1)], events=RULES)
    before = loader.query(EVERYTHING)
    wider = {**PROPERTIES, "note": {"type": ["string", "null"]}, "value": {"type": ["string", "number", "null"]}}
    new = [ORDERS, record("orders", id=1, total=150)]
    done = tried_live(
        loader,
        [schema(properties=wider), version(1, 2, 15), *new, state(2)],
        "--json",
        events=[{**LARGE, "enters": "note is not null or value = '15'"}, GOOD],
    )
    assert counts(done) == {"large": 1, "order.large": 1}
    assert loader.query(EVERYTHING) == before


def test_a_live_trial_of_a_first_load_says_that_it_is_suppressed(loader: Loader) -> None:
    loader.load([schema(), version(1, 1, 5), state(1)], events=RULES)
    done = tried_live(loader, [ORDERS, record("orders", id=1, total=150), state(2)], "--json", initial_load="suppress")
    assert counts(done) == {}
    assert 'first load of the stream "orders"' in done.stderr


def test_a_live_trial_counts_what_would_wait_for_held_events_and_nothing_that_was_released(loader: Loader) -> None:
    publisher = {"type": "file", "path": str(loader.folder / "events.jsonl")}
    held: dict[str, Any] = {"delivery": "before_commit", "publishers": [publisher], "guard": {"events_per_run": 0}}
    loader.load([schema(), version(1, 1, 5), version(2, 1, 5), state(1)], events=[])
    assert loader.run([schema(), version(1, 2, 15), version(2, 2, 15), state(2)], events=RULES, **held).returncode == 3
    loader.query("update eventgen.held_events set state = 'waiting' where subject = 'subscriptions/1'; select 1")
    before = loader.query(EVERYTHING)
    done = tried_live(loader, [schema(), version(2, 3, 5), version(3, 3, 15), state(3)], "--json", **held)
    assert counts(done) == {"large": 1, "left": 1}
    assert loader.query(EVERYTHING) == before


def test_a_live_trial_delivers_nothing(loader: Loader) -> None:
    loader.load([schema(), version(1, 1, 5), state(1)], events=RULES)
    publisher = {"type": "file", "path": str(loader.folder / "events.jsonl")}
    for delivery in ("after_load", "before_commit"):
        told = [schema(), version(1, 2, 15), state(2)]
        assert counts(tried_live(loader, told, "--json", publishers=[publisher], delivery=delivery)) == {"large": 1}
    assert not (loader.folder / "events.jsonl").exists()


def test_a_live_trial_waits_for_a_lock_no_longer_than_it_may(loader: Loader) -> None:
    loader.load([schema(), version(1, 1, 5), state(1)], events=RULES)
    with closing(psycopg2.connect(loader.database)) as other, other.cursor() as cursor:
        cursor.execute("update subscriptions set value = 6")
        done = tried_live(loader, [schema(), version(1, 2, 15), state(2)], lock_timeout=1)
        assert done.returncode == 1
        assert "lock_timeout" in done.stderr
        done = tried_live(loader, [schema(), version(1, 2, 15), state(2)], "--max-seconds", "0.5")
        assert done.returncode == 1
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("keyed", ["updated_at", None])
def test_a_live_trial_of_many_checkpoints_counts_what_a_load_records(
    loader: Loader, *, hard: bool, keyed: str | None
) -> None:
    drawn = random.Random(f"{hard}{keyed}")
    rules = [
        *RULES,
        {"type": "created", "stream": "subscriptions", "on": "created"},
        {"type": "deleted", "stream": "subscriptions", "on": "deleted"},
        {"type": "updated", "stream": "subscriptions", "on": "updated"},
    ]
    second = 0

    def drawn_messages(number: int) -> list[Any]:
        nonlocal second
        messages: list[Any] = [schema(version=keyed)]
        for _ in range(number):
            second += 1
            key, when = drawn.randint(1, 9), at(max(0, second - drawn.choice([0, 0, 5])))
            if drawn.random() < 0.2:
                messages.append(record(id=key, updated_at=when, _sdc_deleted_at=at(second)))
            else:
                told: dict[str, Any] = {"id": key, "value": drawn.choice([5, 15]), "updated_at": when}
                messages.append(record(**told, **({"status": "x"} if drawn.random() < 0.5 else {})))
            messages.append(state(second))
        return messages

    settings: dict[str, Any] = {"events": rules, "hard_delete": hard, "batch_size_rows": 4}
    loader.load(drawn_messages(40), **settings)
    messages = drawn_messages(60)
    wider = {**PROPERTIES, "note": {"type": ["string", "null"]}}
    messages[80] = schema(properties=wider, version=keyed)
    messages.append(record(id=3, value=15, note="n", updated_at=at(second + 9)))
    expected = counts(tried_live(loader, messages, "--json", **settings))
    (last,) = loader.query("select max(sequence) from eventgen.events")[0]
    loader.load(messages, **settings)
    recorded = dict(loader.query(f"select type, count(*) from eventgen.events where sequence > {last} group by 1"))
    assert recorded == expected
    assert len(recorded) > 4
