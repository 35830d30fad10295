"""Constraints that a table has of its own: the record that breaks one is found, named, or set aside alone."""

from __future__ import annotations

import json
import random
import signal
from typing import TYPE_CHECKING, Any

import pytest

from target_eventgen.model.checkpoint import Batch
from target_eventgen.store.culprits import first_refused
from tests.support.messages import lines, record, schema, state
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.support.loading import Loader

NO_PLAN: Any = None
PEOPLE: dict[str, Any] = {
    "id": {"type": ["integer", "string"]},
    "name": {"type": ["string", "null"]},
    "v": {"type": ["integer", "null"]},
}
RULES = [
    {"type": "came", "stream": "people", "on": "created"},
    {"type": "touched", "stream": "people", "on": "updated"},
]


def people(*records: dict[str, Any]) -> list[Any]:
    return [schema("people", PEOPLE, version=None), *(record("people", **each) for each in records), state(1)]


GOOD = [{"id": str(number), "name": f"n{number}", "v": number} for number in range(1, 40)]
LONG = "".join(random.Random(1).choices("0123456789abcdef", k=9000))
BROKEN: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "a check": ("check (v < 100)", {"id": "x", "name": "a", "v": 100}, ["check constraint", 'of "public"."people"']),
    "not null": ("check (true); alter table people alter v set not null", {"id": "x", "name": "a", "v": None}, ['column "v"']),
    "not null of a column that no record has": (
        ("check (true); alter table people add must text check (true); create function f() returns trigger language plpgsql as"
        " $$ begin new.must = case when new.v < 100 then 'm' end; return new; end $$;"
        " create trigger t before insert on people for each row execute function f(); alter table people alter must set not null"),
        {"id": "x", "name": "a", "v": 100},
        ['column "must"'],
    ),
    "unique": ("unique (name)", {"id": "x", "name": "n7", "v": 1}, ["unique constraint", "DEFERRABLE"]),
    "unique, deferrable": (
        "unique (name) deferrable", {"id": "x", "name": "n7", "v": 1}, ["unique constraint"],
    ),
    "a foreign key": (
        ("check (true); create table ages (v bigint primary key); insert into ages select generate_series(1, 50);"
        " alter table people add foreign key (v) references ages"),
        {"id": "x", "name": "a", "v": 100},
        ["foreign key", "DEFERRABLE"],
    ),
    "a foreign key, deferred": (
        ("check (true); create table ages (v bigint primary key); insert into ages select generate_series(1, 50);"
        " alter table people add foreign key (v) references ages deferrable initially deferred"),
        {"id": "x", "name": "a", "v": 100},
        ["foreign key"],
    ),
    "an exclusion": ("exclude (name with =)", {"id": "x", "name": "n7", "v": 1}, ["exclusion constraint"]),
    "a key that is too long": ("check (true)", {"id": LONG, "name": "a", "v": 1}, ["larger than"]),
    "a domain": (
        "check (true); create domain d as bigint check (value < 100); alter table people alter v type d",
        {"id": "x", "name": "a", "v": 100},
        ["does not fit d"],
    ),
    "a trigger": (
        ("check (true); create function f() returns trigger language plpgsql as"
        " $$ begin if new.v > 99 then raise 'too much'; end if; return new; end $$;"
        " create trigger t before insert on people for each row execute function f()"),
        {"id": "x", "name": "a", "v": 100},
        ["a trigger of the table", "too much"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_record_that_its_table_refuses_is_set_aside_alone(loader: Loader, case: str) -> None:
    constraint, bad, wanted = BROKEN[case]
    loader.query(
        f"create table people (id text primary key, name text, v bigint, {constraint.replace(';', ');', 1)}"
        + ("" if ";" in constraint else ")")
    )
    given = [*GOOD[:20], bad, *GOOD[20:]]
    message = loader.refused(people(*given), events=RULES)
    long = "of 9000 characters" if case == "a key that is too long" else "x"
    key = "" if case == "a domain" else f"the record is that of id {long}"
    assert all(part in message for part in ['stream "people"', key, *wanted]), message
    assert loader.query("select count(*) from people") == [(0,)]
    for _ in range(2):
        assert loader.load(people(*given), events=RULES, on_invalid_record="dead_letter") == [1]
    assert loader.query("select id from people order by v") == [(each["id"],) for each in GOOD]
    ((reason, stored),) = loader.query("select reason, record from eventgen.invalid_records")
    assert stored == bad
    assert all(part in reason for part in [key, *wanted]), reason
    assert loader.events("type, key->>'id'") == [("came", each["id"]) for each in GOOD]


def test_several_records_that_their_table_refuses_are_set_aside_and_the_rest_is_told_once(loader: Loader) -> None:
    loader.query("create table people (id text primary key, name text unique, v bigint check (v <> 13))")
    bad = [{"id": f"x{number}", "name": f"n{number}", "v": number} for number in (3, 13, 30)]
    loader.load(people(*GOOD, *bad, {**GOOD[0], "v": 100}), events=RULES, on_invalid_record="dead_letter")
    assert loader.query("select count(*) from people") == [(38,)]
    refused = {stored["id"] for (stored,) in loader.query("select record from eventgen.invalid_records")}
    assert refused == {"13", "x3", "x13", "x30"}
    assert loader.events("type, key->>'id'")[-1] == ("touched", "1")
    assert loader.query("select count(*) from eventgen.events") == [(39,)]


def test_a_row_without_a_partition_is_set_aside(loader: Loader) -> None:
    loader.query(
        "create table people (id text primary key, name text, v bigint) partition by range (id);"
        " create table people_0 partition of people for values from ('0') to ('a')"
    )
    loader.load(people(*GOOD, {"id": "x", "name": "x", "v": 1}), events=RULES, on_invalid_record="dead_letter")
    ((reason,),) = loader.query("select reason from eventgen.invalid_records")
    assert all(part in reason for part in ["no partition", "id x"]), reason
    assert loader.query("select count(*) from people") == [(39,)]


def test_values_are_swapped_and_become_free_within_a_checkpoint_where_the_constraint_is_deferrable(
    loader: Loader,
) -> None:
    loader.query(
        "create table people (id text primary key, name text unique deferrable, v bigint, _sdc_deleted_at timestamptz)"
    )
    loader.load(people({"id": "1", "name": "a"}, {"id": "2", "name": "b"}, {"id": "3", "name": "c"}))
    gone = {"id": "3", "_sdc_deleted_at": "2026-01-01T00:00:00Z"}
    changed = [{"id": "1", "name": "b"}, {"id": "2", "name": "a"}, {"id": "4", "name": "c"}, gone]
    loader.load(people(*changed), events=RULES, hard_delete=True)
    assert loader.query("select id, name from people order by id") == [("1", "b"), ("2", "a"), ("4", "c")]


@pytest.mark.parametrize("method", ["upsert", "overwrite"])
def test_what_others_refer_to_is_written_before_them_and_deleted_after_them(loader: Loader, method: str) -> None:
    loader.query(
        "create table zones (id bigint primary key);"
        " create table people (id bigint primary key, zone bigint references zones);"
        " create table a (id bigint primary key, person bigint references people, boss bigint references a)"
    )
    integer = {"type": ["integer", "null"]}
    for first in (1, 11):
        second = first + 1
        loader.load(
            [
                schema("a", {"id": integer, "person": integer, "boss": integer}, version=None),
                schema("people", {"id": integer, "zone": integer}, version=None),
                schema("zones", {"id": integer}, version=None),
                record("a", id=first, person=first, boss=second),
                record("a", id=second, person=second, boss=None),
                *(record("people", id=each, zone=each) for each in (first, second)),
                *(record("zones", id=each) for each in (first, second)),
                state(1),
            ],
            load_method=method,
        )
    rows = [(11,), (12,)] if method == "overwrite" else [(1,), (2,), (11,), (12,)]
    for name in ("a", "people", "zones"):
        assert loader.query(f"select id from {name} order by id") == rows


ZONES = "create table zones (id bigint primary key); create table people (id bigint primary key, zone bigint {})"
KEYS = {"id": {"type": "integer"}, "zone": {"type": ["integer", "null"]}}


def versions(version: int, *, first: str = "zones") -> list[Any]:
    """Zones and people of a table version, whose key is the version, one stream after the other."""
    zones = [schema("zones", {"id": KEYS["id"]}, version=None), {**record("zones", id=version), "version": version}]
    folk = [schema("people", KEYS, version=None), {**record("people", id=version, zone=version), "version": version}]
    activated = [{"type": "ACTIVATE_VERSION", "stream": stream, "version": version} for stream in ("zones", "people")]
    one, other = [*zones, activated[0]], [*folk, activated[1]]
    if first == "people":
        one, other = other, one
    return [*one, *other]


def gone(stream: str, key: int) -> dict[str, Any]:
    """The deletion of a row, by a record."""
    return record(stream, id=key, _sdc_deleted_at="2026-01-02T00:00:00Z")


GONE = [{"type": f"{name}.gone", "stream": name, "on": "deleted"} for name in ("zones", "people")]
ZONES_SCHEMA = schema("zones", {"id": KEYS["id"]}, version=None)
PEOPLE_SCHEMA = schema("people", KEYS, version=None)


@pytest.mark.parametrize(
    "action",
    [
        "references zones",
        "references zones on delete restrict",
        "references zones deferrable",
        "references zones on delete cascade",
        "references zones on delete set null",
    ],
)
@pytest.mark.parametrize("undo_days", [None, 7])
def test_rows_and_those_that_refer_to_them_are_deleted_by_records_of_one_checkpoint(
    loader: Loader, action: str, undo_days: float | None
) -> None:
    loader.query(ZONES.format(action))
    both = [ZONES_SCHEMA, PEOPLE_SCHEMA]
    zones = [record("zones", id=key) for key in (1, 2)]
    people = [record("people", id=key, zone=zone) for key, zone in ((1, 1), (2, 1), (3, 2))]
    loader.load([*both, *zones, *people, state(1)], hard_delete=True)
    moved = [record("zones", id=3), record("people", id=2, zone=3), record("people", id=4, zone=3)]
    settings = {"hard_delete": True, "events": GONE, "undo_days": undo_days}
    assert loader.load([*both, gone("zones", 1), gone("people", 1), *moved, state(2)], **settings) == [2]
    assert loader.query("select id from zones order by id") == [(2,), (3,)]
    assert loader.query("select id, zone from people order by id") == [(2, 3), (3, 2), (4, 3)]
    assert sorted(loader.events()) == [("people.gone", "1"), ("zones.gone", "1")]
    # A replay tells nothing twice, and what was deleted comes back with what it refers to.
    assert loader.load([*both, gone("zones", 1), gone("people", 1), state(3)], **settings) == [3]
    assert loader.load([*both, record("people", id=1, zone=1), record("zones", id=1), state(4)], **settings) == [4]
    assert loader.query("select count(*) from people") == [(4,)]
    assert len(loader.events()) == 2


def test_what_refers_to_a_circle_of_tables_is_written_after_it_and_deleted_before_it(loader: Loader) -> None:
    loader.query(
        "create table m (id bigint primary key, other bigint);"
        " create table n (id bigint primary key, other bigint references m deferrable);"
        " alter table m add foreign key (other) references n deferrable;"
        " create table a (id bigint primary key, other bigint references n)"
    )
    schemas = [schema(name, {"id": KEYS["id"], "other": KEYS["zone"]}, version=None) for name in "amn"]
    loader.load([*schemas, *(record(name, id=1, other=1) for name in "amn"), state(1)], hard_delete=True)
    loader.load([*schemas, *(gone(name, 1) for name in "nma"), state(2)], hard_delete=True)
    for name in "amn":
        assert loader.query(f"select count(*) from {name}") == [(0,)]


@pytest.mark.parametrize(
    "action", ["references zones", "references zones on delete restrict", "references zones deferrable"]
)
def test_a_deletion_that_what_refers_to_the_row_forbids_is_named_or_set_aside_alone(
    loader: Loader, action: str
) -> None:
    loader.query(ZONES.format(action))
    both = [ZONES_SCHEMA, PEOPLE_SCHEMA]
    rows = [*(record("zones", id=key) for key in (1, 2, 3)), *(record("people", id=key, zone=key) for key in (1, 2))]
    loader.load([*both, *rows, state(1)], hard_delete=True)
    given = [*both, gone("zones", 3), gone("zones", 2), gone("zones", 1), gone("people", 1), state(2)]
    message = loader.refused(given, hard_delete=True)
    wanted = ['stream "zones" of "public"."zones"', '"people_zone_fkey"', "delete what refers to it", "that of id 2"]
    assert all(part in message for part in wanted), message
    assert "load what it refers to" not in message
    assert loader.load(given, hard_delete=True, events=GONE, on_invalid_record="dead_letter") == [2]
    assert loader.query("select id from zones") == loader.query("select id from people") == [(2,)]
    ((reason, stored),) = loader.query("select reason, record->>'id' from eventgen.invalid_records")
    assert (stored, all(part in reason for part in wanted)) == ("2", True), reason
    assert sorted(loader.events()) == [("people.gone", "1"), ("zones.gone", "1"), ("zones.gone", "3")]


@pytest.mark.parametrize("first", ["zones", "people"])
@pytest.mark.parametrize("action", ["references zones", "references zones on delete restrict"])
def test_versions_of_tables_are_activated_together_where_one_refers_to_the_other(
    loader: Loader, first: str, action: str
) -> None:
    loader.query(ZONES.format(action))
    loader.load([*versions(1), state(1)], hard_delete=True)
    again = [*versions(2), state(3)] if first == "zones" else [*versions(2)[:2], *versions(2, first="people"), state(3)]
    rules = [{"type": f"{name}.gone", "stream": name, "on": "deleted"} for name in ("zones", "people")]
    assert loader.load(again, hard_delete=True, events=rules) == [3]
    assert loader.query("select id from zones") == loader.query("select id from people") == [(2,)]
    assert loader.events() == [("people.gone", "1"), ("zones.gone", "1")]
    if first == "zones":
        assert loader.query("select count(distinct transaction_id) from eventgen.events") == [(1,)]


def test_no_state_leaves_while_a_version_waits_to_be_activated(loader: Loader) -> None:
    loader.query(ZONES.format("references zones"))
    loader.load([*versions(1), state(1)], hard_delete=True)
    process = loader.start(hard_delete=True, checkpoint_seconds=0.001)
    assert process.stdin is not None
    assert process.stdout is not None
    sent = versions(2)
    process.stdin.write(lines([state(2), *sent[:3], state(3), *sent[3:5]]))
    process.stdin.flush()
    assert process.stdout.readline() == "2\n"
    wait_until(lambda: loader.query("select max(id) from people") == [(2,)], what="the people")
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")
    assert loader.query("select id from zones order by id") == [(1,), (2,)]
    assert loader.load([*versions(2), state(4)], hard_delete=True) == [4]
    assert loader.query("select id from zones") == loader.query("select id from people") == [(2,)]


@pytest.mark.parametrize(
    ("action", "settings"),
    [
        ("references zones", {}),
        ("references zones on delete cascade", {"hard_delete": True}),
        ("", {"hard_delete": True}),
    ],
)
def test_a_version_is_activated_at_once_where_nothing_forbids_it(
    loader: Loader, action: str, settings: dict[str, Any]
) -> None:
    loader.query(ZONES.format(action))
    loader.load([*versions(1), state(1)], **settings)
    process = loader.start(checkpoint_seconds=0.001, **settings)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(lines([*versions(2)[:3], state(3)]))
    process.stdin.flush()
    assert process.stdout.readline() == "3\n"
    out, _ = process.communicate(lines([*versions(2)[3:], state(4)]), timeout=60)
    assert (process.returncode, out) == (0, "4\n")


def test_a_version_that_nothing_else_comes_for_is_activated_at_the_end(loader: Loader) -> None:
    loader.query(ZONES.format("references zones"))
    loader.load([*versions(1), state(1)], hard_delete=True)
    loader.query("delete from people")
    assert loader.load([*versions(2)[:3], state(2)], hard_delete=True) == [2]
    assert loader.query("select id from zones") == [(2,)]
    loader.query("insert into people (id, zone) values (1, 2)")
    message = loader.refused([*versions(3)[:3], state(3)], hard_delete=True)
    assert all(part in message for part in ['stream "zones"', "foreign key"]), message


def test_a_generated_column_is_named_with_what_to_do(loader: Loader) -> None:
    loader.query("create table people (id text primary key, name text, v bigint generated always as (1) stored)")
    message = loader.refused(people({"id": "1", "name": "a", "v": 1}))
    assert all(part in message for part in ['stream "people"', '"v"', "stream map", "DROP EXPRESSION"]), message
    fewer = schema("people", {name: PEOPLE[name] for name in ("id", "name")}, version=None)
    loader.load([fewer, record("people", id="1", name="a")])
    assert loader.query("select v from people") == [(1,)]


def test_a_type_without_equality_is_named(loader: Loader) -> None:
    loader.query("create table people (id text primary key, name point, v bigint)")
    message = loader.refused(
        [*people({"id": "1", "name": "(1,2)"})[:-1], record("people", id="1", name="(3,4)"), state(1)]
    )
    assert all(part in message for part in ['column "name"', "type point", "equality"]), message


@pytest.mark.parametrize("rows", [1, 2, 3, 10, 1000])
def test_the_first_record_that_is_refused_is_found_by_halving(rows: int) -> None:
    for bad in {1, rows // 2 + 1, rows}:
        tried: list[int] = []

        def passes(count: int, bad: int = bad, tried: list[int] = tried) -> bool:
            tried.append(count)
            return count < bad

        assert first_refused(Batch(NO_PLAN, "", rows), passes) == bad
        assert len(tried) <= rows.bit_length() + 1
    assert first_refused(Batch(NO_PLAN, "", rows), lambda _: False) is None


def test_reasons_are_json_texts_without_line_ends(loader: Loader) -> None:
    loader.query("create table people (id text primary key, name text check (name <> 'bad'), v bigint)")
    loader.load(people({"id": "a\nb", "name": "bad"}), on_invalid_record="dead_letter")
    ((reason,),) = loader.query("select reason from eventgen.invalid_records")
    assert "\n" not in reason
    assert json.dumps(reason).count("id a") == 1
