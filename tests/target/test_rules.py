"""Rules and settings as they are read, alone."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg2.extensions import parse_dsn

from target_eventgen.errors import RuleError, SettingsError
from target_eventgen.model.plan import Plan, check, rules_for
from target_eventgen.model.rules import (
    Changes,
    Created,
    Deleted,
    Enters,
    Leaves,
    Trigger,
    Updated,
    When,
    parse,
    warning,
)
from target_eventgen.model.settings import SCHEMA, faults
from target_eventgen.model.settings import parse as parse_settings
from target_eventgen.model.spelling import nearest
from target_eventgen.model.tables import Column, Table

pytestmark = pytest.mark.pure

FORMS: list[tuple[dict[str, Any], Trigger]] = [
    ({"enters": "a > 1"}, Enters("a > 1")),
    ({"leaves": "a > 1"}, Leaves("a > 1")),
    ({"changes": ["a", "b"]}, Changes(("a", "b"))),
    ({"on": "created"}, Created()),
    ({"on": "updated"}, Updated()),
    ({"on": "deleted"}, Deleted()),
    ({"when": "new.a > old.a"}, When("new.a > old.a")),
]


@pytest.mark.parametrize(("form", "trigger"), FORMS)
def test_each_form_is_its_own_trigger(form: dict[str, Any], trigger: Trigger) -> None:
    rules, found = parse([{"type": "t", "stream": "s", **form}])
    assert found == []
    assert [rule.trigger for rule in rules] == [trigger]
    assert rules[0].location == f"events[0].{next(iter(form))}"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (5, "events[0] must be an object"),
        ({"type": "t", "stream": "s"}, "it has none"),
        ({"type": "", "stream": "s", "on": "created"}, "events[0].type must be a text"),
        ({"type": "t", "on": "created"}, "events[0].stream must be a text"),
        ({"type": "t", "stream": "s", "on": "gone"}, "events[0].on must be created, updated or deleted"),
        ({"type": "t", "stream": "s", "on": ["created"]}, "events[0].on must be created, updated or deleted"),
        ({"type": "t", "stream": "s", "changes": []}, "events[0].changes must be a list"),
        ({"type": "t", "stream": "s", "changes": "a"}, "events[0].changes must be a list"),
        ({"type": "t", "stream": "s", "enters": " "}, "events[0].enters must be a Postgres boolean"),
        ({"type": "t", "stream": "s", "enters": "a = '\0'"}, "NUL"),
        ({"type": "t", "stream": "s", "leaves": "a", "name": "x"}, 'unknown key "name"'),
        ({"type": "t", "stream": "s", True: "created"}, 'quote it: "on": created'),
        ({"type": "t", "stream": "s", "true": "created"}, 'quote it: "on": created'),
        (
            {"type": "t", "stream": "s", "leaves": "a", "payload": "all"},
            "events[0].payload must be one of full, changed, key",
        ),
        (
            {"type": "t", "stream": "s", "leaves": "a", "include": "a"},
            "events[0].include must be a list of column names",
        ),
    ],
)
def test_a_rule_that_is_none_is_a_fault_with_its_place(entry: Any, said: str) -> None:
    rules, found = parse([entry])
    assert rules == ()
    assert len(found) == 1
    assert said in found[0]


@pytest.mark.parametrize(
    ("form", "noted"),
    [
        ({"enters": "expires_at < now()"}, True),
        ({"leaves": "day = CURRENT_DATE"}, True),
        ({"enters": "status = 'now()' and knows > 1 and name = 'it''s localtime'"}, False),
        ({"when": "new.expires_at < now()"}, False),
        ({"on": "created"}, False),
    ],
)
def test_a_condition_that_asks_for_the_time_is_noted(form: dict[str, Any], *, noted: bool) -> None:
    ((rule,), _) = parse([{"type": "t", "stream": "s", **form}])
    assert (warning(rule) is not None) == noted


def test_all_faults_of_all_rules_are_found_at_once() -> None:
    _, found = parse([{"stream": "s"}, {"type": "t", "stream": "s", "on": "created"}, 5])
    assert [fault.partition(" ")[0] for fault in found] == ["events[0].type", "events[0]", "events[2]"]


def test_the_same_rule_twice_is_a_fault() -> None:
    rule = {"type": "t", "stream": "s", "on": "created"}
    _, found = parse([rule, {**rule, "type": "u"}, dict(reversed(rule.items()))])
    assert found == ["events[2] is the same rule as an earlier one"]


def test_the_nearest_name_is_named_and_a_far_one_is_not() -> None:
    assert nearest("valeu", ["id", "value"]) == ' (did you mean "value"?)'
    assert nearest("zzz", ["id", "value"]) == ""


def test_a_rule_watches_its_own_stream() -> None:
    rules, _ = parse([{"type": "t", "stream": name, "on": "created"} for name in ("a", "b", "a-b")])
    assert [rule.stream for rule in rules_for("a", rules)] == ["a"]


TABLE = Table(
    "s",
    "public",
    "s",
    (Column("id", "bigint"), Column("at", "text")),
    key=("id",),
    replication_key=Column("at", "text"),
)


def test_a_column_to_watch_that_there_is_not_is_refused_with_the_nearest() -> None:
    rules, _ = parse([{"type": "t", "stream": "s", "changes": ["att"]}])
    with pytest.raises(RuleError, match=r'events\[0\].changes .* "att" \(did you mean "at"\?\)'):
        check(TABLE, rules)


@pytest.mark.parametrize(
    ("stored", "ordered"), [("text", True), ("timestamp with time zone", True), ("jsonb", True), ("uuid", False)]
)
def test_a_version_is_of_a_type_that_has_an_order(stored: str, *, ordered: bool) -> None:
    plan = Plan(TABLE, (Column("id", "bigint"), Column("at", stored)), (), "stage", "source")
    assert plan.version == (Column("at", stored) if ordered else None)


def test_settings_have_defaults_and_drivers_are_cut_from_the_url() -> None:
    settings = parse_settings({"database_url": "postgresql+psycopg2://u@h/d"})
    assert settings.dsn == "postgresql://u@h/d"
    assert (settings.emit_first_load, settings.batch_size_rows, settings.checkpoint_seconds) == (False, 10_000, 5.0)
    assert settings.validate
    assert settings.with_metadata
    assert parse_settings({}).dsn is None


def test_parts_of_a_url_are_quoted_where_they_need_it() -> None:
    settings = parse_settings({"host": "h", "port": 5, "user": "u", "password": "a b'", "database": "d"})
    assert parse_dsn(str(settings.dsn)) == {"host": "h", "port": "5", "user": "u", "password": "a b'", "dbname": "d"}


def test_settings_of_tls_are_part_of_the_dsn_however_it_is_given() -> None:
    tls = {"ssl_mode": "verify-full", "ssl_certificate_authority": "/c a", "ssl_client_certificate": "/c"}
    tls["ssl_client_private_key"] = "/k"
    wanted = {"sslmode": "verify-full", "sslrootcert": "/c a", "sslcert": "/c", "sslkey": "/k"}
    for place in ({"database_url": "postgresql://u@h/d"}, {"host": "h", "user": "u", "database": "d"}):
        dsn = str(parse_settings({**place, **tls}).dsn)
        assert parse_dsn(dsn) == {"host": "h", "user": "u", "dbname": "d", **wanted}
    assert parse_settings({"database_url": "no:url", **tls}).dsn == "no:url"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"ssl_mode": "require"}, "ssl_mode needs a database_url or a host; the embedded Postgres has no TLS"),
        ({"databse_url": "x"}, 'there is no setting "databse_url" (did you mean "database_url"?)'),
        ({"database_url": "x", "host": "y"}, "database_url and host are both given: give the URL or its parts"),
        ({"user": "y"}, "host is missing beside user"),
        ({"batch_size_rows": -1}, "batch_size_rows must be greater than 0"),
        ({"checkpoint_seconds": 0}, "checkpoint_seconds must be greater than 0"),
        ({"stale": {"a": "keep", "b*": "lose"}}, "stale.b* must be one of drop, keep, apply"),
        ({"version_order": {"a": "time"}}, "version_order.a must be one of instant, number, text, arrival"),
        (
            {"schema_mapping": {"crm": {"target_schema": "sales", "tables": {}}}},
            'schema_mapping.crm must be the name of a schema, or {"target_schema": name} alone, and not "tables"',
        ),
        (
            {"schema_mapping": {"crm": ""}},
            'schema_mapping.crm must be the name of a schema, or {"target_schema": name} alone',
        ),
    ],
)
def test_a_fault_of_the_settings_is_a_sentence(config: dict[str, Any], said: str) -> None:
    assert faults(config, SCHEMA["properties"]) == [said]


def test_rules_that_are_none_do_not_become_settings() -> None:
    with pytest.raises(SettingsError, match=r"events\[0\]"):
        parse_settings({"events": [1]})
