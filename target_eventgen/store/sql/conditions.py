"""Statements by which Postgres itself judges whether a rule's condition is sound, without evaluating it.

The text of a condition is not trusted to be one expression. Two questions, in this order:

1. *Is it one expression?* It is put between parentheses and between brackets, each in a query that plpgsql is made to
   open a cursor for. The text travels as a value; a cursor takes exactly one query, and opening one parses and plans it
   but runs nothing. A text that closes the parenthesis it stands in, to go on with something of its own, can't close
   the bracket at the same position, so nothing passes both but what is balanced in itself.
2. *Is it a condition on a row?* Only now it becomes part of a statement: the CHECK constraint of a throwaway table with
   the stream's columns, or for `when` the WHEN of a trigger on it. Both are positions in which Postgres refuses
   subqueries, aggregates, window and set-returning functions, and both know just the right names. Functions that the
   parsed expression calls are looked up: volatile ones are refused, since a condition must have no effect and the same
   answer each time it is asked within a transaction.

All of it is rolled back.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from psycopg2 import sql

from target_eventgen.model.tables import Column

SETTING: Final = "eventgen.condition"
"""The transaction-local setting in which a condition's text travels."""

_BRACKETS: Final = ("SELECT ARRAY[\n", "\n] FROM {source}")
_PARENTHESES: Final = ("SELECT (\n", "\n) IS TRUE FROM {source}")


def create_sample(name: str, columns: Sequence[Column]) -> sql.Composable:
    """Create the throwaway table, with the stream's columns under the stream's table name."""
    return sql.SQL("CREATE TEMPORARY TABLE {} ({})").format(
        sql.Identifier(name),
        sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(c.name), sql.SQL(c.type)) for c in columns),
    )


def carry(text: str) -> sql.Composable:
    """Hand the condition's text to the server, as a value."""
    return sql.SQL("SELECT set_config({}, {}, true)").format(sql.Literal(SETTING), sql.Literal(text))


def single_expression(name: str, *, over_versions: bool) -> list[sql.Composable]:
    """Return the statements that fail where the carried text is not one expression."""
    table = f"pg_temp.{_quoted(name)}"
    source = f'{table} AS "new", {table} AS "old"' if over_versions else table
    return [
        _executed(f"OPEN probe FOR EXECUTE {_wrapped(head, tail.format(source=source))}; CLOSE probe;")
        for head, tail in (_PARENTHESES, _BRACKETS)
    ]


def row_condition(name: str, *, over_versions: bool) -> sql.Composable:
    """Return the statement that fails where the carried text, one expression, is not a condition on a row."""
    table = f"pg_temp.{_quoted(name)}"
    if over_versions:
        head = f"CREATE TRIGGER eventgen_condition BEFORE UPDATE ON {table} FOR EACH ROW WHEN (\n"
        tail = "\n) EXECUTE FUNCTION pg_catalog.suppress_redundant_updates_trigger()"
    else:
        head, tail = f"ALTER TABLE {table} ADD CONSTRAINT eventgen_condition CHECK (\n", "\n)"
    return _executed(f"EXECUTE {_wrapped(head, tail)};")


def parsed(name: str, *, over_versions: bool) -> sql.Composable:
    """Return the statement that gives the parsed expression, in Postgres's own notation."""
    catalog, field, owner, label = (
        ("pg_trigger", "tgqual", "tgrelid", "tgname")
        if over_versions
        else ("pg_constraint", "conbin", "conrelid", "conname")
    )
    return sql.SQL("SELECT {}::text FROM {} WHERE {} = {}::regclass AND {} = 'eventgen_condition'").format(
        sql.Identifier(field),
        sql.Identifier("pg_catalog", catalog),
        sql.Identifier(owner),
        sql.Literal(f"pg_temp.{_quoted(name)}"),
        sql.Identifier(label),
    )


def volatile(expression: str) -> sql.Composable:
    """Return the statement that names the volatile functions which a parsed expression calls."""
    functions = sorted({int(number) for number in re.findall(r":(?:funcid|opfuncid) (\d+)", expression)})
    operators = sorted({int(number) for number in re.findall(r":opno (\d+)", expression)})
    return sql.SQL(
        "SELECT proname FROM pg_catalog.pg_proc WHERE provolatile = 'v' AND (oid = ANY ({}::oid[])"
        " OR oid IN (SELECT oprcode FROM pg_catalog.pg_operator WHERE oid = ANY ({}::oid[]))) ORDER BY proname"
    ).format(sql.Literal(functions), sql.Literal(operators))


def position_in_condition(position: int, internal_query: str, text: str) -> int | None:
    """Return the 1-based character of the condition that Postgres points at; None where it points outside of it."""
    start = internal_query.find(f"(\n{text}\n")
    if start < 0:
        start = internal_query.find(f"[\n{text}\n")
    offset = position - (start + 2)
    return offset if start >= 0 and 1 <= offset <= len(text) else None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _wrapped(head: str, tail: str) -> str:
    """Return a plpgsql expression for the statement around the carried text."""
    return f"{_literal(head)} || current_setting('{SETTING}') || {_literal(tail)}"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _executed(command: str) -> sql.Composable:
    """Return an anonymous block around one plpgsql command, which holds none of the carried text."""
    body = f"DECLARE probe refcursor; BEGIN {command} END"
    return sql.SQL("DO {}").format(sql.Literal(body))
