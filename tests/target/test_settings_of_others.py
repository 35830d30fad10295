"""What moved configurations of other targets bring: bytes, named types, bounds, grants, SQL around a run."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.loading import Loader
from tests.support.messages import record, schema, state

if TYPE_CHECKING:
    from collections.abc import Iterator

ID = {"id": {"type": "integer"}}


def described(**properties: Any) -> dict[str, Any]:
    return schema("things", {**ID, **properties}, version=None)


def thing(number: int, **properties: Any) -> dict[str, Any]:
    return record("things", id=number, **properties)


def types(loader: Loader) -> dict[str, str]:
    return dict(
        loader.query(
            "select attname::text, format_type(atttypid, atttypmod) from pg_attribute where attrelid = 'things'::regclass"
            " and attnum > 0 and not attisdropped and attname !~ '^_'"
        )
    )


# -- bytes ------------------------------------------------------------------------------------------------------------

BASE64 = {"data": {"type": ["string", "null"], "contentEncoding": "base64"}}


def test_base64_is_stored_as_bytes_and_an_event_has_them_as_postgres_writes_them(loader: Loader) -> None:
    settings = {
        "interpret_content_encoding": True,
        "events": [
            {"type": "changed", "stream": "things", "changes": ["data"]},
            {"type": "long", "stream": "things", "enters": "length(data) > 5"},
        ],
    }
    loader.load([described(**BASE64), thing(1, data="aGVsbG8="), thing(2, data=None), thing(3), state(1)], **settings)
    loader.load([described(**BASE64), thing(1, data="aGVs\nbG8="), state(2)], **settings)  # the same bytes
    loader.load([described(**BASE64), thing(1, data="aGVsbG8gdGhlcmU="), state(3)], **settings)
    assert types(loader) == {"id": "bigint", "data": "bytea"}
    assert loader.query("select id, convert_from(data, 'UTF8') from things order by id") == [
        (1, "hello there"),
        (2, None),
        (3, None),
    ]
    assert loader.events("type, data->'old'->>'data', data->'new'->>'data'") == [
        ("changed", "\\x68656c6c6f", "\\x68656c6c6f207468657265"),
        ("long", "\\x68656c6c6f", "\\x68656c6c6f207468657265"),
    ]


def test_what_is_not_base64_is_an_invalid_record(loader: Loader) -> None:
    settings: dict[str, Any] = {"interpret_content_encoding": True}
    good = [thing(2, data="aGk="), state(1)]
    allowed = "a record is not what its SCHEMA allows, which is a text that must be encoded by base64"
    strict = "a record has a value there that is not base64, though its SCHEMA says so"
    for text, said, validates in (("S3cret!", allowed, True), ("aGVsbG8=!", strict, True), ("S3cret!", strict, False)):
        messages = [described(**BASE64), thing(1, data=text), *good]
        message = loader.refused(messages, **settings, validate_records=validates)
        assert f'stream "things", property "data": {said}' in message
        assert text not in message
    messages = [described(**BASE64), thing(1, data="S3cret!"), thing(3, data="aGVsbG8=!"), *good]
    assert loader.load(messages, **settings, on_invalid_record="dead_letter") == [1]
    assert loader.query("select id from things") == [(2,)]
    assert loader.query("select record->>'data' from eventgen.invalid_records order by sequence") == [
        ("S3cret!",),
        ("aGVsbG8=!",),
    ]


def test_a_text_column_stays_text_and_a_bytea_column_is_decoded_without_the_setting_too(loader: Loader) -> None:
    loader.load([described(**BASE64), thing(1, data="aGVsbG8="), state(1)])
    loader.load([described(**BASE64), thing(2, data="aGVsbG8="), state(2)], interpret_content_encoding=True)
    assert types(loader)["data"] == "text"
    assert loader.query("select distinct data from things") == [("aGVsbG8=",)]
    loader.query("drop table things; create table things (id bigint primary key, data bytea)")
    hexed = {"data": {"type": "string", "contentEncoding": "base16"}}
    loader.load([described(**hexed), thing(1, data="68656c6c6f"), state(3)])
    assert loader.query("select convert_from(data, 'UTF8') from things") == [("hello",)]


# -- names and bounds -------------------------------------------------------------------------------------------------


def test_new_columns_have_the_types_that_the_schema_names_and_hold_what_comes(loader: Loader) -> None:
    names = {
        "small": ("integer", "smallint"),
        "price": ("number", "numeric(10,2)"),
        "ratio": ("number", "real"),
        "code": ("string", "varchar(5)"),
    }
    properties = {name: {"type": type_, "x-sql-datatype": sql} for name, (type_, sql) in names.items()}
    properties["at"] = {"type": "string", "format": "date-time", "x-sql-datatype": "timestamp"}
    first = thing(1, small=5, price=1.25, ratio=0.5, code="ab", at="2026-01-01T02:00:00+02:00")
    loader.load([described(**properties), first, state(1)])
    made = {
        "id": "bigint",
        "small": "smallint",
        "price": "numeric(10,2)",
        "ratio": "real",
        "code": "character varying(5)",
        "at": "timestamp without time zone",
    }
    assert types(loader) == made
    loader.load([described(**properties), first, state(2)])
    assert types(loader) == made
    assert loader.query("select small, price::text, ratio, code, at::text, _eventgen_version from things") == [
        (5, "1.25", 0.5, "ab", "2026-01-01 00:00:00", 1)
    ]
    loader.load([described(**properties), thing(1, price=1.255, ratio=0.123456789), state(3)])
    assert {**types(loader)} == {**made, "price": "numeric", "ratio": "numeric"}
    loader.load([described(**properties), thing(1, small=6), state(4)])
    assert loader.query("select small, price::text, ratio::text from things") == [(6, "1.255", "0.123456789")]
    message = loader.refused([described(**properties), thing(1, small=40_000), state(5)])
    assert '"small"' in message
    assert "smallint" in message


def test_a_value_that_its_type_does_not_hold_is_named_by_the_key_of_its_record(loader: Loader) -> None:
    def coded(id_: str, **properties: Any) -> list[dict[str, Any]]:
        types = {"id": {"type": "string", "x-sql-datatype": "varchar(5)"}, "n": {"type": "integer"}}
        return [
            schema("codes", types, version=None),
            record("codes", id="a"),
            record("codes", id=id_, **properties),
            state(1),
        ]

    message = loader.refused(coded("abcdef"))
    assert 'stream "codes", column "id": a value does not fit character varying(5)' in message
    assert message.endswith("; the record is that of id abcdef")
    assert loader.refused(coded("b", n=2**63)).endswith("; the record is that of id b")
    loader.load(coded("abcdef"), on_invalid_record="dead_letter")
    ((reason,),) = loader.query("select reason from eventgen.invalid_records")
    assert reason.endswith("; the record is that of id abcdef")


def test_a_type_that_is_none_stops_a_new_column_and_leaves_an_old_one_alone(loader: Loader) -> None:
    vector = {"v": {"type": "string", "x-sql-datatype": "pgvector"}}
    message = loader.refused([described(**vector), thing(1, v="[1]"), state(1)])
    assert 'stream "things", property "v": there is no x-sql-datatype "pgvector" here' in message
    assert loader.load([described(**vector), thing(1, v="[1]"), state(1)], sql_datatypes="ignore") == [1]
    assert loader.load([described(**vector), thing(1, v="[2]"), state(2)]) == [2]
    assert types(loader)["v"] == "text"


def test_integers_widen_as_their_bounds_grow_and_tables_that_exist_do_not_change(loader: Loader) -> None:
    def bounded(maximum: int) -> dict[str, Any]:
        return described(n={"type": "integer", "minimum": 0, "maximum": maximum})

    loader.load([bounded(100), thing(1, n=100), state(1)])
    loader.load([bounded(100), thing(1, n=99), state(2)], bounded_integers=True)
    assert types(loader)["n"] == "bigint"
    loader.query("drop table things")
    for maximum, expected in (
        (100, "smallint"),
        (2**20, "integer"),
        (50, "integer"),
        (2**40, "bigint"),
        (2**70, "numeric"),
    ):
        loader.load([bounded(maximum), thing(1, n=maximum), state(maximum)], bounded_integers=True)
        assert types(loader)["n"] == expected
        assert loader.query("select n from things") == [(maximum,)]
    message = loader.refused([bounded(5), thing(1, n=6), state(1)], bounded_integers=True)
    assert "maximum 5" in message


# -- grants -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def role(loader: Loader) -> Iterator[str]:
    """A role whose name has to be quoted."""
    name = f'Re"porting {secrets.token_hex(4)}'
    quoted = '"' + name.replace('"', '""') + '"'
    loader.query(f"create role {quoted}")
    yield name
    loader.query(f"drop owned by {quoted}; drop role {quoted}")


def rights(loader: Loader, role: str, table: str) -> tuple[Any, ...]:
    literal = "'" + role.replace("'", "''") + "'"
    privileges = ", ".join(
        f"has_table_privilege({literal}, '{table}', '{each}')" for each in ("SELECT", "INSERT", "DELETE")
    )
    return loader.query(f"select has_schema_privilege({literal}, 'crm', 'USAGE'), {privileges}")[0]


def test_roles_may_use_the_tables_that_are_made_and_no_others(loader: Loader, role: str) -> None:
    loader.query("create schema crm; create table crm.old (id bigint primary key)")
    given = {"grants": [{"role": role}], "default_target_schema": "crm"}
    loader.load([schema("old", ID, version=None), described(), thing(1), state(1)], **given)
    assert rights(loader, role, "crm.things") == (True, True, False, False)
    assert rights(loader, role, "crm.old") == (True, False, False, False)
    loader.query("drop table crm.things")
    more = [{"role": role, "privileges": ["select", "INSERT"]}, {"role": "public"}]
    loader.load([described(), thing(1), state(2)], default_target_schema="crm", grants=more)
    assert rights(loader, role, "crm.things") == (True, True, True, False)
    assert rights(loader, "public", "crm.things") == (True, True, False, False)


def test_a_role_that_does_not_exist_is_named_and_no_table_is_made(loader: Loader) -> None:
    message = loader.refused([described(), thing(1), state(1)], grants=[{"role": "nobody; drop"}])
    assert 'stream "things": grants names the role "nobody; drop", which doesn\'t exist' in message
    assert loader.query("select to_regclass('things') is null") == [(True,)]


def test_grants_that_are_none_are_refused_all_at_once(loader: Loader) -> None:
    wrong = [
        {"rol": "x"},
        {"role": "x", "privileges": ["SELCT", 5]},
        {"role": 5},
        "x",
        {"role": "x", "privileges": "ALL"},
    ]
    message = loader.refused([described()], grants=wrong)
    for index in range(5):
        assert message.count(f"grants[{index}]") == (2 if index == 0 else 1)
    assert "must match" not in message
    assert 'and not "SELCT" (did you mean "SELECT"?), "5"' in message
    assert 'grants[0] has an unknown key "rol" (did you mean "role"?)' in message
    assert "grants[0].role must be" in message
    assert "grants[1].privileges must be of SELECT" in message


# -- SQL around a run -------------------------------------------------------------------------------------------------

LOG = "insert into log values ('{}', (select count(*) from things))"


def test_sql_runs_once_before_and_once_after_a_run(loader: Loader) -> None:
    loader.query("create table log (what text, rows bigint)")
    settings = {
        "before_run_sql": "-- a comment with 100%\ncreate table if not exists things (id bigint primary key);"
        + LOG.format("before"),
        "after_run_sql": LOG.format("after"),
        "batch_size_rows": 1,
    }
    messages = [described(), thing(1), state(1), thing(2), state(2)]
    assert loader.load(messages, **settings)[-1] == 2
    assert loader.query("select * from log") == [("before", 0), ("after", 2)]
    assert loader.load([], **settings) == []
    assert loader.query("select count(*) from log") == [(2,)]


def test_sql_that_postgres_refuses_is_named_by_its_setting_and_first_line(loader: Loader) -> None:
    message = loader.refused([described(), thing(1), state(1)], before_run_sql="\nselect nothing_like_it\nfrom x")
    assert 'before_run_sql ("select nothing_like_it")' in message
    assert loader.query("select to_regclass('things') is null") == [(True,)]
    done = loader.run([described(), thing(1), state(1)], after_run_sql="select 1/0")
    assert (done.returncode, done.stdout) == (1, "1\n")
    assert 'after_run_sql ("select 1/0")' in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert loader.query("select id from things") == [(1,)]


def test_sql_after_a_run_waits_for_an_input_that_ended_normally(loader: Loader) -> None:
    loader.query("create table log (what text, rows bigint)")
    settings = {"after_run_sql": LOG.format("after")}
    loader.load([described(), thing(1), state(1), thing(2)], **settings)  # the tap died: no STATE behind a record
    assert loader.query("select id from things order by id") == [(1,), (2,)]
    assert loader.query("select * from log") == []
    loader.load([described(), thing(2), state(2)], **settings)
    assert loader.query("select * from log") == [("after", 2)]
