"""Postgres's errors as ours: SQLSTATE → class and words, the one table of both for what writes the streams' tables.

A message names stream, column, cause and remedy. It holds no value of a record: of what Postgres says only the first line is
shown, without what it quotes after a colon.
"""

from __future__ import annotations

import re
from typing import Final

import psycopg2
from psycopg2 import errors

from target_eventgen.errors import DatabaseError, TableError, ValueRefusedError
from target_eventgen.model.plan import Plan
from target_eventgen.model.rules import Enters, Leaves, When
from target_eventgen.model.tables import TABLE_VERSION, Column

RETRIED: Final = (errors.DeadlockDetected, errors.SerializationFailure)
"""Errors after which the same transaction may succeed."""

LOST: Final = (
    errors.AdminShutdown,
    errors.CrashShutdown,
    errors.CannotConnectNow,
    errors.IdleInTransactionSessionTimeout,
)
"""Errors after which the connection is of no use, though libpq may not have noticed yet."""

_VALUE_FAULTS: Final = {
    "22P02": "is not a valid {type}",
    "22003": "is out of range for {type}",
    "22007": "is not a valid {type}",
    "22008": "is out of range for {type}",
    "22P05": "holds a NUL character, which Postgres can't store",
    "22021": "holds bytes that are no characters",
    "54000": "is larger than Postgres can hold",
}
"""What is wrong with a value, by SQLSTATE."""


class RetryableError(DatabaseError):
    """A deadlock or a serialization failure: the same transaction may succeed the next time."""

    def __init__(self, message: str, sqlstate: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, or its class where the text is empty."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def refusal(doing: str, plan: Plan | None, error: psycopg2.Error) -> DatabaseError:
    """Return the error of ours for one of Postgres's.

    Args:
        doing: what was done, which begins the message.
        plan: of the stream whose records were written; None: the error is not of records.
        error: as psycopg2 raises it.
    """
    state = error.pgcode or ""
    message = _without_values(error.diag.message_primary or first_line(error))
    column = None if plan is None else _column_in(plan, error.diag.context or "")
    if column is not None:
        fault = _VALUE_FAULTS.get(state, "does not fit {type}").format(type=column.type)
        if column.name == TABLE_VERSION:
            return ValueRefusedError(f"{doing}: the `version` of a message {fault}; correct the tap")
        return ValueRefusedError(
            f'{doing}, column "{column.name}": a value {fault}; '
            "correct the type in the stream's SCHEMA, or convert the value in the tap or a stream map"
        )
    if plan is not None and state.startswith("22"):
        conditions = ", ".join(
            f'{rule.place} of "{rule.type}"' for rule in plan.rules if isinstance(rule.trigger, Enters | Leaves | When)
        )
        return ValueRefusedError(
            f"{doing}: a rule's condition can't be computed for a record: {message}; "
            f"guard it, for instance with nullif() or CASE: {conditions}"
        )
    if plan is not None and error.diag.column_name:
        return ValueRefusedError(
            f'{doing}, column "{error.diag.column_name}" of {plan.table.title}: {message}; '
            "the table's own constraints must allow what the stream sends"
        )
    if plan is not None and state == "54000":
        return ValueRefusedError(
            f"{doing}: a record is larger than {plan.table.title} can hold: {message}; have the tap send shorter keys, leave "
            "columns out with a stream map, or keep many short ones in one object"
        )
    if state == "53100":
        return DatabaseError(
            f"{doing}: Postgres's disk is full: {message}; make room, then run again: STATE is where it was"
        )
    if state == "55P03":
        return DatabaseError(
            f"{doing}: a lock was not granted within lock_timeout; find who holds it (pg_locks), or allow more seconds"
        )
    if state == "57014":
        return DatabaseError(
            f"{doing}: {message}; allow more seconds with statement_timeout, or make checkpoints smaller with batch_size_rows"
        )
    if plan is not None and state == "23505" and not plan.table.key:
        return TableError(
            f"{doing}: each record is to be a row of its own, but {plan.table.title} has a primary key or a unique index "
            f'("{error.diag.constraint_name}"); drop it, or load into another table'
        )
    if state == "42501":
        return DatabaseError(f"{doing}: Postgres says {message}; grant the user the right, or use another user")
    return DatabaseError(f"{doing}: Postgres refused it (SQLSTATE {state}): {message}")


def _without_values(message: str) -> str:
    """Cut what Postgres quotes after a colon, which may be a value."""
    return re.sub(r': ".*', "", message.splitlines()[0])


def _column_in(plan: Plan, context: str) -> Column | None:
    """Return the column that a COPY error's context names."""
    match = re.search(r"^COPY \S+, line \d+, column (.*)", context, flags=re.DOTALL | re.MULTILINE)
    if match is None:
        return None
    rest = match.group(1)
    named = [c for c in plan.table.columns if rest == c.name or rest.startswith((f"{c.name}:", f"{c.name},"))]
    longest = max(named, key=lambda column: len(column.name), default=None)
    return None if longest is None else plan.type_of(longest.name)
