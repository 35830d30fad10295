"""Whatever is wrong with the input, the configuration or the database: one message, exit code 1, nothing changed."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.support.messages import record, schema, state

if TYPE_CHECKING:
    from tests.support.loading import Loader

GOOD = record(id=1, value=1, status="x", updated_at="2026-01-01T00:00:00Z")
SECRET = "s3cr3t-value"

LINES: dict[str, tuple[list[Any], list[str]]] = {
    "a line that is no JSON": ([schema(), GOOD, "Loading…"], ["line 3", "not JSON", "standard error"]),
    "a number that is none": (
        [schema(), '{"type": "RECORD", "stream": "subscriptions", "record": {"id": NaN}}'],
        ["line 2"],
    ),
    "JSON that is no message": ([schema(), "[1]"], ["line 2", "is not a Singer message"]),
    "a type that is none": ([schema(), {"type": "ROW"}], ["line 2", "RECORD, SCHEMA"]),
    "a RECORD without stream": ([schema(), {"type": "RECORD", "record": {}}], ["line 2", '"stream"']),
    "a record that is no object": ([schema(), {"type": "RECORD", "stream": "subscriptions", "record": []}], ["line 2"]),
    "a RECORD before its SCHEMA": ([GOOD], ['stream "subscriptions"', "before its SCHEMA"]),
    "a SCHEMA without properties": (
        [{"type": "SCHEMA", "stream": "s", "schema": {"type": "object"}, "key_properties": []}],
        ['stream "s"', "no properties"],
    ),
    "a SCHEMA that is no schema": (
        [schema(properties={"id": {"type": "wat"}})],
        ["subscriptions", "not a valid JSON Schema"],
    ),
    "a key that is no property": ([schema(key=["uid"])], ["subscriptions", 'key property "uid"']),
    "a record without its key": (
        [schema(), GOOD, record(value=1)],
        ['stream "subscriptions"', 'key property "id" is missing'],
    ),
    "a record with a null key": (
        [schema(properties={"id": {"type": ["integer", "null"]}}), record(id=None)],
        ['key property "id" is null'],
    ),
    "a record of another type": (
        [schema(), GOOD, record(id=2, value=SECRET)],
        ['stream "subscriptions", property "value"', "['number', 'null']"],
    ),
    "a timestamp that is none": (
        [schema(), GOOD, record(id=2, updated_at=SECRET)],
        ['column "updated_at"', "not a valid timestamp with time zone"],
    ),
    "a word for a moment": (
        [schema(), GOOD, record(id=2, updated_at="now")],
        ['stream "subscriptions", property "updated_at"', "a word", "without that format"],
    ),
    "a date without its century": (
        [schema(), GOOD, record(id=2, updated_at="5/6/24")],
        ['stream "subscriptions", property "updated_at"', "fewer than four digits"],
    ),
    "a word that is no moment": (
        [schema(), GOOD, record(id=2, updated_at="-Infinity")],
        ['stream "subscriptions", property "updated_at"', "a word"],
    ),
    "a time of extraction that is none": (
        [schema(), GOOD, {**GOOD, "record": {**GOOD["record"], "id": 2}, "time_extracted": f"\0{SECRET}"}],
        ['column "_sdc_extracted_at"', "not a valid timestamp with time zone"],
    ),
    "a time of extraction that is a number": (
        [schema(), GOOD, {**GOOD, "record": {**GOOD["record"], "id": 2}, "time_extracted": 5}],
        ['column "_sdc_extracted_at"', "not a valid timestamp with time zone"],
    ),
    "an integer that is too big": ([schema(), record(id=2**63)], ['column "id"', "out of range for bigint"]),
    "a property of too long a name": ([schema(properties={"id": {}, "ü" * 32: {}})], ["63 bytes", "stream map"]),
    "a property of ours": ([schema(properties={"id": {}, "_eventgen_n": {}})], ["_eventgen_n", "taken"]),
    "a property of Postgres's": ([schema(properties={"id": {}, "xmin": {}})], ["xmin", "taken"]),
    "two streams of one table": ([schema("a-things"), schema("b-things")], ['"b-things"', '"a-things"', "__alias__"]),
}


@pytest.mark.parametrize("case", LINES)
def test_a_bad_line_is_one_message_and_changes_nothing(loader: Loader, case: str) -> None:
    messages, wanted = LINES[case]
    default = {"default_target_schema": "one"} if case == "two streams of one table" else {}
    message = loader.refused([*messages, state(1)], **default)
    assert all(part in message for part in wanted), message
    assert SECRET not in message
    table = loader.query("select to_regclass('public.subscriptions') is not null")[0][0]
    assert not table or loader.query("select * from subscriptions") == []


SETTINGS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "an unknown setting": ({"inital_load": "emit"}, ['"inital_load"', 'did you mean "initial_load"']),
    "a setting of another type": ({"batch_size_rows": SECRET}, ["batch_size_rows"]),
    "a choice that is none": ({"initial_load": "never"}, ["initial_load", "suppress"]),
    "no rows": ({"batch_size_rows": 0}, ["batch_size_rows must be greater than 0"]),
    "a password that is none": ({"password": 5, "host": "x"}, ["password", "both given"]),
    "a URL that is none": ({"database_url": f"postgres:{SECRET}"}, ["postgresql://user:password@host"]),
    "all at once": ({"sauce": 1, "events": [{"type": "x"}, 5]}, ["sauce", "source", "events[0]", "events[1]"]),
    "a rule with two forms": (
        {"events": [{"type": "x", "stream": "s", "enters": "a", "leaves": "b"}]},
        ["events[0]", "exactly one of", "enters and leaves"],
    ),
    "a rule of what is no transition": (
        {"events": [{"type": "x", "stream": "s", "on": "removed"}]},
        ["events[0].on", "created, updated or deleted"],
    ),
    "a rule with a misspelt form": (
        {"events": [{"type": "x", "stream": "s", "enter": "a"}]},
        ['did you mean "enters"'],
    ),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_a_bad_setting_is_one_message(loader: Loader, case: str) -> None:
    given, wanted = SETTINGS[case]
    message = loader.refused([schema(), GOOD, state(1)], **given)
    assert all(part in message for part in wanted), message
    assert SECRET not in message


CONDITIONS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a syntax error": ({"enters": "value >> > 5 5"}, ["events[0].enters", "syntax error", "at character"]),
    "an unknown column": (
        {"enters": "valeu > 5"},
        ['column "valeu" does not exist', 'did you mean "value"', "character 1"],
    ),
    "an unknown column of new": ({"when": "new.valeu > old.value"}, ["valeu", 'did you mean "value"']),
    "an unknown column to watch": ({"changes": ["valeu"]}, ['"valeu"', 'did you mean "value"']),
    "no boolean": ({"enters": "value"}, ["boolean"]),
    "a list": ({"enters": "true, true"}, ["boolean"]),
    "nothing but a comment": ({"enters": "-- true"}, ["syntax error"]),
    "a subquery": ({"enters": "exists (select 1 from pg_class)"}, ["subquery"]),
    "a subquery in when": ({"when": "new.value > (select 1)"}, ["subquery"]),
    "an aggregate": ({"enters": "count(*) > 1"}, ["aggregate"]),
    "a window function": ({"leaves": "row_number() over () > 1"}, ["window"]),
    "a set-returning function": ({"enters": "generate_series(1, 2) > 1"}, ["must not return a set"]),
    "a volatile function": ({"enters": "random() > 0.5"}, ["random()", "call to call"]),
    "a volatile function in when": ({"when": "clock_timestamp() > new.updated_at"}, ["clock_timestamp()"]),
    "a side effect": ({"enters": "pg_notify('a', 'b') is null"}, ["pg_notify()"]),
    "another statement": ({"enters": "true); drop table victim; --"}, ["syntax error"]),
    "another statement in when": ({"when": "true); drop table victim; --"}, ["syntax error"]),
    "another table": ({"enters": "true) is true from victim where (select true) union select (true"}, ["syntax error"]),
    "another bracket": ({"enters": "true] from victim where (array[true"}, ["syntax error"]),
    "another quote": ({"enters": "status = 'a"}, ["unterminated"]),
    "a dollar quote": ({"enters": "status = $$a"}, ["unterminated"]),
    "a comment without end": ({"enters": "true /* a"}, ["unterminated"]),
    "another table's column": ({"enters": "victim.id = 1"}, ["victim"]),
    "old in enters": ({"enters": "old.value > 1"}, ["old"]),
    "a bare column in when": ({"when": "value > 1"}, ["ambiguous"]),
    "one of our own columns": ({"enters": "_eventgen_version > 1"}, ["_eventgen_version"]),
}


@pytest.mark.parametrize("case", CONDITIONS)
def test_a_bad_condition_is_one_message_with_its_place_and_touches_nothing(loader: Loader, case: str) -> None:
    rule, wanted = CONDITIONS[case]
    loader.query("create table victim (id int)")
    message = loader.refused([schema(), GOOD, state(1)], events=[{"type": "odd", "stream": "subscriptions", **rule}])
    assert all(part in message for part in [*wanted, 'stream "subscriptions"', "events[0]", '"odd"']), message
    assert loader.query("select to_regclass('public.subscriptions'), to_regclass('public.victim')::text") == [
        (None, "victim")
    ]


@pytest.mark.parametrize(
    "condition",
    [
        "value > 5 -- and a comment",
        "status in ('a);', $$b]$$, E'c\\'')",
        "updated_at > now() - interval '100 years' and value between 1 and 10",
        "subscriptions.value > 5",
        "(\"value\" > 5) /* { % } */ and status like '%x{}%'",
    ],
)
def test_a_good_condition_of_any_spelling_is_taken(loader: Loader, condition: str) -> None:
    rules = [{"type": "fine", "stream": "subscriptions", "enters": condition}]
    loader.load([schema(), record(id=1, value=9, status="ax{}c", updated_at="2026-01-01T00:00:00Z")], events=rules)
    assert len(loader.events()) == (0 if "in (" in condition else 1)


def test_a_rule_of_a_stream_without_key_is_refused(loader: Loader) -> None:
    message = loader.refused([schema(key=[])], events=[{"type": "x", "stream": "subscriptions", "on": "created"}])
    assert "no key properties" in message
    assert "events[0].on" in message


def test_a_rule_of_a_stream_that_never_comes_is_a_warning(loader: Loader) -> None:
    done = loader.run([schema(), GOOD], events=[{"type": "x", "stream": "subscription", "on": "created"}])
    assert done.returncode == 0
    assert 'no stream "subscription" came' in done.stderr
    assert 'did you mean "subscriptions"' in done.stderr


@pytest.mark.parametrize(
    ("described", "settings", "version", "warned"),
    [
        ({}, {}, "9", True),
        ({}, {}, "2026-01-01T00:00:00Z", False),
        ({}, {"version_order": {"*": "number"}}, "9", False),
        ({}, {"version_order": {"*": "number"}}, "nine", True),
        ({}, {"version_order": {"*": "arrival"}}, "nine", False),
        ({"format": "date-time"}, {}, "2026-01-01T00:00:00Z", False),
    ],
)
def test_a_replication_key_that_orders_nothing_is_a_warning(
    loader: Loader, described: dict[str, str], settings: dict[str, Any], version: str, *, warned: bool
) -> None:
    properties = {"id": {"type": "integer"}, "updated_at": {"type": "string"} | described}
    run = loader.run([schema(properties=properties), record(id=1, updated_at=version), state(1)], **settings)
    assert ('its replication key "updated_at" has values that are not' in run.stderr) is warned


def test_a_condition_that_fails_on_a_record_names_the_rule_but_no_value(loader: Loader) -> None:
    rules = [{"type": "odd", "stream": "subscriptions", "enters": "status::int > 5"}]
    message = loader.refused([schema(), record(id=1, status=SECRET), state(1)], events=rules)
    assert 'events[0].enters of "odd"' in message
    assert SECRET not in message
    assert loader.query("select * from subscriptions") == []


def test_a_database_that_is_down_is_named_without_its_password(loader: Loader) -> None:
    message = loader.refused([schema()], database_url=f"postgresql://me:{SECRET}@127.0.0.1:1/mine")
    assert "127.0.0.1:1" in message
    assert '"mine"' in message
    assert SECRET not in message


def test_a_database_that_does_not_exist_is_named(loader: Loader) -> None:
    message = loader.refused([schema()], database_url=urlsplit(loader.database)._replace(path="/nowhere").geturl())
    assert 'database "nowhere"' in message
    assert "does not exist" in message


def test_a_table_with_another_key_is_refused(loader: Loader) -> None:
    loader.query("create table public.subscriptions (uid bigint primary key, id bigint)")
    message = loader.refused([schema(), GOOD])
    assert "(uid)" in message
    assert "(id)" in message


def test_a_table_without_key_whose_rows_are_not_distinct_is_refused(loader: Loader) -> None:
    loader.query("create table public.subscriptions (id bigint); insert into subscriptions values (1), (1)")
    assert "not distinct" in loader.refused([schema(), GOOD])


def test_a_record_that_is_larger_than_a_row_or_a_key_can_be_is_refused_by_name(loader: Loader) -> None:
    wide = {"id": {"type": "string"}, **{f"c{n}": {"type": "number"} for n in range(490)}}
    described = schema("wide", wide, version=None)
    message = loader.refused([described, record("wide", id="a", **{f"c{n}": 10**34 + n for n in range(490)})])
    assert 'stream "wide": a record is larger than "public"."wide" can hold: row is too big' in message
    key = random.Random(1).randbytes(4000).hex()
    message = loader.refused([described, record("wide", id=key)])
    assert "index row" in message
    assert "shorter keys" in message
    assert key[:20] not in message


def test_a_version_of_a_table_beyond_bigint_is_the_message_s_fault(loader: Loader) -> None:
    message = loader.refused([schema(), {**GOOD, "version": 2**63}], add_record_metadata=True)
    assert "the `version` of a message is out of range" in message


def test_a_configuration_file_that_is_missing_or_broken_is_one_message(loader: Loader) -> None:
    loader.write_config()
    path = loader.folder / "config.json"
    path.write_text("{")
    path_missing = loader.folder / "nowhere.json"
    for name, wanted in ((path, "not JSON"), (path_missing, "can't be read")):
        done = loader.run_command(["--config", str(name)])
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert wanted in done.stderr


def test_a_state_that_nobody_reads_is_one_message(loader: Loader) -> None:
    process = loader.start()
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stdin.write("".join(json.dumps(message) + "\n" for message in (schema(), GOOD, state(1))))
    process.stdin.close()
    said = process.stderr.read()
    assert process.wait(60) == 1
    assert "Traceback" not in said
    assert "STATE can't be written" in said
    process.stderr.close()
