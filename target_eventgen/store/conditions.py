"""Rules' conditions, judged by Postgres before any record comes; see `store.sql.conditions` for how."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice, product
from typing import Final

import psycopg2
from psycopg2 import errors, extensions

from target_eventgen.errors import RuleError
from target_eventgen.model.rules import Enters, Leaves, Rule, When
from target_eventgen.model.spelling import nearest
from target_eventgen.model.tables import Column, Table
from target_eventgen.store.connection import single_value
from target_eventgen.store.refusals import message_of
from target_eventgen.store.schema import free_columns, to_type, to_widen
from target_eventgen.store.sql import conditions

FREE_TYPES: Final = ("text", "numeric", "timestamp with time zone", "boolean", "jsonb")
"""What a column of a property that only ever was null may be, for rules' conditions."""
MAX_TRIES: Final = len(FREE_TYPES) ** 3  # three such properties in the rules of one stream, in any types


def check(cursor: extensions.cursor, table: Table, types: tuple[Column, ...], rules: Sequence[Rule]) -> dict[str, str]:
    """Let Postgres judge each condition; nothing remains of it.

    A property that only ever was null is taken for a text; for another type where the conditions are sound with that
    alone, such as `amount > 100`: a column that is all NULL may have any.

    Returns the types, by column, that the conditions so need in place of text.

    Raises:
        RuleError: naming the stream, the location in the configuration, and the message of Postgres.
    """
    judged = [rule for rule in rules if isinstance(rule.trigger, Enters | Leaves | When)]
    if not judged:
        return {}
    stored = {column.name: column for column in types}
    stored |= {column.name: column for column in [*to_widen(table, types), *to_type(cursor, table, types)]}
    sample = [stored.get(column.name, column) for column in table.content]
    try:
        _judge(cursor, table, sample, judged)
    except RuleError as error:
        cursor.execute("ROLLBACK TO SAVEPOINT eventgen_checks")
        texts = " ".join(rule.trigger.condition for rule in judged if isinstance(rule.trigger, Enters | Leaves | When))
        free = [name for name in sorted(free_columns(cursor, table, types)) if name.casefold() in texts.casefold()]
        for given in islice(product(FREE_TYPES, repeat=len(free)), 1, MAX_TRIES) if free else ():
            needed = dict(zip(free, given, strict=True))
            tried = [Column(column.name, needed.get(column.name, column.type)) for column in sample]
            try:
                _judge(cursor, table, tried, judged)
            except RuleError:
                cursor.execute("ROLLBACK TO SAVEPOINT eventgen_checks")
            else:
                return {name: type_ for name, type_ in needed.items() if type_ != "text"}
        raise error from error.__cause__
    return {}


def _judge(cursor: extensions.cursor, table: Table, sample: Sequence[Column], judged: Sequence[Rule]) -> None:
    """Let Postgres judge conditions over columns of these types.

    Raises:
        RuleError: of the first that it doesn't take; what was made for it is still there.
    """
    cursor.execute("SAVEPOINT eventgen_checks")
    cursor.execute(conditions.create_sample(table.name, sample))
    for rule in judged:
        assert isinstance(rule.trigger, Enters | Leaves | When)
        text = rule.trigger.condition
        over_versions = isinstance(rule.trigger, When)
        cursor.execute("SAVEPOINT eventgen_check")
        try:
            cursor.execute(conditions.carry(text))
            for statement in conditions.single_expression(table.name, over_versions=over_versions):
                cursor.execute(statement)
            cursor.execute(conditions.row_condition(table.name, over_versions=over_versions))
            cursor.execute(conditions.parsed(table.name, over_versions=over_versions))
            cursor.execute(conditions.volatile(str(single_value(cursor))))
        except psycopg2.OperationalError:
            raise
        except psycopg2.Error as error:
            raise RuleError(_condition_fault(table, rule, text, error)) from error
        if names := [name for (name,) in cursor.fetchall()]:
            raise RuleError(
                f'stream "{table.stream}", {rule.location} of the rule "{rule.type}": a condition may not call '
                f"{', '.join(f'{name}()' for name in names)}, whose result changes from call to call; "
                "use columns, constants and stable functions such as now()"
            )
        cursor.execute("ROLLBACK TO SAVEPOINT eventgen_check")
    cursor.execute("ROLLBACK TO SAVEPOINT eventgen_checks")


def _condition_fault(table: Table, rule: Rule, text: str, error: psycopg2.Error) -> str:
    """Return the message for a condition that Postgres refuses, with the position in it where Postgres names one."""
    diag, message = error.diag, message_of(error)
    position = ""
    if diag.internal_position and diag.internal_query:
        character = conditions.position_in_condition(int(diag.internal_position), diag.internal_query, text)
        if character is not None:
            position = f' at character {character} ("{" ".join(text[character - 1 : character + 19].split())}")'
    names = [column.name for column in table.properties]
    hint = ""
    if isinstance(error, errors.UndefinedColumn) and (match := re.search(r'column "?(?:\w+\.)?([^"\s]+)"?', message)):
        hint = f"{nearest(match.group(1), names)}; the stream's columns are {', '.join(names)}"
    return (
        f'stream "{table.stream}", {rule.location} of the rule "{rule.type}": Postgres does not take the condition'
        f"{position}: {message}{hint}; it must be one boolean expression over the stream's columns, without subqueries"
    )
