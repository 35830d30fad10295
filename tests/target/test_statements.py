"""Statements as values: what they hold and what they leave out. What they mean is tried on Postgres."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from target_eventgen.model.plan import Plan
from target_eventgen.model.rules import parse
from target_eventgen.model.tables import Column, Table
from target_eventgen.store import catalog
from target_eventgen.store.sql import conditions, events, two_pass

if TYPE_CHECKING:
    from psycopg2 import sql

pytestmark = pytest.mark.pure

CONTENT = (Column("id", "bigint"), Column("at", "date"), Column("value", "numeric"))
KEYED = Table("s", "public", "s", CONTENT, key=("id",), replication_key=CONTENT[1])
RULES, _ = parse([{"type": "t", "stream": "s", "enters": "value > 1"}, {"type": "u", "stream": "s", "changes": ["at"]}])


def plan(table: Table = KEYED, *, rules: bool = True) -> Plan:
    return Plan(table, CONTENT, RULES if rules else (), "stage_1", "here", 7)


def text(statement: sql.Composable) -> str:
    """The statement's parts, whatever spells them."""
    return repr(statement)


def test_the_outbox_is_written_only_where_rules_watch() -> None:
    assert "INSERT INTO eventgen.events" in text(two_pass.record(plan(), sparse=(), unversioned=False))
    assert "eventgen.events" not in text(two_pass.record(plan(rules=False), sparse=(), unversioned=False))


def test_a_claim_judges_nothing_and_writes_nothing_that_exists() -> None:
    claim = text(two_pass.claim(plan(), unversioned=False))
    assert "set_config('eventgen.replay_detected', 'yes', true) IS NULL" in claim  # which it never is
    assert "value > 1" not in claim


def test_gaps_are_filled_only_where_records_have_them() -> None:
    assert "first_value" in text(two_pass.record(plan(), sparse=(2,), unversioned=False))
    assert "filled" not in text(two_pass.record(plan(), sparse=(), unversioned=False))


def test_missing_versions_cost_a_window_only_where_records_have_them() -> None:
    window = "OVER (PARTITION BY "
    with_gaps = text(two_pass.claim(plan(), unversioned=True))
    without = text(two_pass.claim(plan(), unversioned=False))
    assert with_gaps.count(window) == without.count(window) + 1


def test_nothing_is_older_without_a_version() -> None:
    unordered = Table("s", "public", "s", CONTENT, key=("id",))
    assert "IS NOT TRUE" not in text(two_pass.record(plan(unordered, rules=False), sparse=(), unversioned=False))
    assert "IS NOT TRUE" in text(two_pass.record(plan(rules=False), sparse=(), unversioned=False))


def test_the_key_is_never_assigned_so_that_its_lock_stays_weak() -> None:
    update = text(two_pass.record(plan(rules=False), sparse=(), unversioned=False)).partition("UPDATE ")[2]
    assignments = update.partition("FROM transitions AS transition")[0]
    assert "Identifier('value')" in assignments
    assert "Identifier('id')" not in assignments


def test_a_conditions_text_travels_as_a_value_until_it_is_known_to_be_one_expression() -> None:
    hostile = "true); drop table x; --"
    assert "Literal" in text(conditions.carry(hostile))
    for statement in conditions.single_expression("s", over_versions=False):
        assert hostile not in text(statement)
    assert hostile not in text(conditions.row_condition("s", over_versions=False))


def test_a_condition_ends_with_a_line_break_so_that_its_comment_ends_too() -> None:
    assert text(events.condition("a -- b")).endswith("SQL('a -- b'), SQL('\\n) IS TRUE)')])")


def test_the_first_loads_of_all_tables_end_in_one_statement() -> None:
    assert text(catalog.end_first_load([KEYED, KEYED])).count("Literal('s')") == 2


@pytest.mark.parametrize("loaded", [True, False])
def test_a_table_of_unknown_origin_is_remembered_as_loaded_only_if_it_has_rows(*, loaded: bool) -> None:
    assert ("clock_timestamp()" in text(catalog.add_table(KEYED, loaded=loaded))) is loaded
