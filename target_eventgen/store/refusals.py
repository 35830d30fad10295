"""Postgres's errors as ours: SQLSTATE → class and words, the one table of both.

Checkpoints are refused by `refusal`: the tables are the user's, and so is the remedy. All else (the relay's sessions,
the companions that ask and change the outbox) is refused by `session_refusal`.

A message names stream, column, cause and remedy. It holds no value of a record: of what Postgres says only the first
line is shown, without what it quotes after a colon.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

import psycopg2
from psycopg2 import errors

from target_eventgen.errors import ConnectionLostError, DatabaseError, TableError, ValueRefusedError, first_line
from target_eventgen.model.plan import Plan
from target_eventgen.model.rules import Enters, Leaves, Rule, When
from target_eventgen.model.tables import TABLE_VERSION, Column, Table

RETRIED: Final = (errors.DeadlockDetected, errors.SerializationFailure)
"""Errors after which the same transaction may succeed."""

LOST: Final = (
    errors.AdminShutdown,
    errors.CrashShutdown,
    errors.CannotConnectNow,
    errors.IdleInTransactionSessionTimeout,
)
"""Errors after which the connection is of no use, though libpq may not have noticed yet."""

SESSION_LOST: Final = (psycopg2.OperationalError, psycopg2.InterfaceError, errors.ReadOnlySqlTransaction)
"""Errors after which a session's transaction is worth another connection.

A session sets no timeouts that a person could raise, and any of its transactions can be repeated: whatever befell the
server counts as a loss. After a failover the old name may lead to a standby, which is read-only, for a while.
"""

UNTRANSLATABLE: Final = "22P05"
"""SQLSTATE of a character that the database's encoding lacks."""

_VALUE_FAULTS: Final = {
    "22P02": "is not a valid {type}",
    "22003": "is out of range for {type}",
    "22007": "is not a valid {type}",
    "22008": "is out of range for {type}",
    "22P05": "holds a character that the database's encoding lacks",
    "22021": "holds bytes that are not characters",
    "54000": "is larger than Postgres can hold",
}
"""What is wrong with a value, by SQLSTATE."""

_INSTANTS: Final = "write instants like 2026-01-31T12:00Z"
_RIGHTS: Final = (
    "its user needs SELECT, INSERT, UPDATE and DELETE on the tables of the schema eventgen, which must exist, or which it "
    "must be allowed to make; what an earlier version made is altered once by its owner"
)


class Remedies(NamedTuple):
    """What helps a session: after a loss, and after a refusal by its SQLSTATE."""

    lost: str
    by_state: Mapping[str, str]


DELIVERY_REMEDIES: Final = Remedies(
    "what was not committed is as if it had not been, and is to be repeated once the server is up",
    {"42501": _RIGHTS, "42P01": _RIGHTS, "3F000": _RIGHTS, "22007": _INSTANTS, "22008": _INSTANTS},
)
READER_REMEDIES: Final = Remedies(
    "run it again once the server is up",
    {"42501": "its user needs USAGE on the schema eventgen, and SELECT on eventgen.events"},
)


class RetryableError(DatabaseError):
    """A deadlock or a serialization failure: the same transaction may succeed the next time."""

    def __init__(self, message: str, sqlstate: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class LockTimeoutError(DatabaseError):
    """A lock was not granted within lock_timeout."""


class RefusedByTableError(ValueRefusedError):
    """A record that a constraint, a trigger, an index or a missing partition of its table refuses."""

    def __init__(self, message: str, stream: str) -> None:
        super().__init__(message)
        self.stream = stream


_STILL_REFERRED_TO: Final = (
    "delete what refers to it, or change that, before, or in the same checkpoint; a constraint that is DEFERRABLE is checked "
    "at the end of a checkpoint"
)
"""What helps where a foreign key refuses that a row is deleted, or gets other values in the columns that it names."""

_REFUSALS: Final = {
    "23001": _STILL_REFERRED_TO,
    "23502": "have the tap send a value, give the column a default, or drop the constraint",
    "23503": "load what it refers to before, or in the same checkpoint; a constraint that is DEFERRABLE is checked at the "
    "end of a checkpoint",
    "23505": "where values are swapped or become free within a checkpoint, make the constraint DEFERRABLE: it is checked "
    "at the end of a checkpoint then",
    "23514": "the table's own constraints must allow what the stream sends, and its partitions hold it",
    "23P01": "the table's own constraints must allow what the stream sends",
    "P0001": "a trigger of the table says so",
}
"""What helps where a table refuses a record, by SQLSTATE."""


_CHANGED_MEANWHILE: Final = "it was there when its SCHEMA came, and was dropped or renamed since; run again, which makes what is missing: STATE is where it was"
_REMEDIES: Final = {
    "25006": "it is read-only, a standby perhaps, or default_transaction_read_only is on for the database or the user; give the "
    "primary's address, or all addresses with target_session_attrs=read-write, or switch that off",
    "42P01": _CHANGED_MEANWHILE,
    "42703": _CHANGED_MEANWHILE,
}
"""What helps where neither records nor rules are the cause, by SQLSTATE."""


def is_of(table: Table, error: psycopg2.Error) -> bool:
    """Return whether it is a row of the table that a constraint refuses.

    Where a row can't go since others refer to it, Postgres names their table as the error's, and its own in the text.
    """
    referred = _referred_table(error)
    if referred is not None:
        return referred == table.name
    return (error.diag.schema_name, error.diag.table_name) == (table.schema, table.name)


def _referred_table(error: psycopg2.Error) -> str | None:
    """Return the name of the table whose row can't go since others refer to it; None where that is not the matter."""
    match = re.match(r'update or delete on table "(.+?)" violates ', error.diag.message_primary or "")
    return None if match is None else match.group(1)


def _remedy(plan: Plan, error: psycopg2.Error) -> str:
    """Return what helps where a table refuses a record."""
    is_referred_to = _referred_table(error) is not None
    if error.pgcode == "23503" and not (error.diag.message_primary or "").startswith("insert or update"):
        # A server may speak another language.
        is_referred_to |= (error.diag.schema_name, error.diag.table_name) != (plan.table.schema, plan.table.name)
    return _STILL_REFERRED_TO if is_referred_to else _REFUSALS[error.pgcode or ""]


def message_of(error: psycopg2.Error) -> str:
    """Return the first line of what Postgres says, or of what libpq says where Postgres said nothing."""
    return (error.diag.message_primary or first_line(error)).splitlines()[0]


def refusal(doing: str, plan: Plan | None, error: psycopg2.Error) -> DatabaseError:
    """Return the error of ours for one of Postgres's.

    Args:
        doing: what was done, which begins the message.
        plan: of the stream whose records were written; None: the error is not of records.
        error: as psycopg2 raises it.
    """
    state, message = error.pgcode or "", _without_values(message_of(error))
    of_records = None if plan is None else _refusal_of_records(doing, plan, error, message)
    if of_records is not None:
        return of_records
    if state == UNTRANSLATABLE:
        encoding = re.search(r'in encoding "([^"]+)"$', message_of(error))
        return ValueRefusedError(
            f"{doing}: a record has a character that the database's encoding{f' {encoding.group(1)}' if encoding else ''} "
            "lacks; load into a database whose encoding is UTF8, or replace such characters with a stream map"
        )
    if state == "53100":
        return DatabaseError(
            f"{doing}: Postgres's disk is full: {message}; make room, then run again: STATE is where it was"
        )
    if state == "55P03":
        return LockTimeoutError(
            f"{doing}: a lock was not granted within lock_timeout; find who holds it (pg_locks), or allow more seconds"
        )
    if state == "57014":
        return DatabaseError(
            f"{doing}: {message}; allow more seconds with statement_timeout, or make checkpoints smaller with batch_size_rows"
        )
    if state == "42501":
        return DatabaseError(f"{doing}: Postgres says {message}; grant the user the right, or use another user")
    remedy = f"; {_REMEDIES[state]}" if state in _REMEDIES else ""
    return DatabaseError(f"{doing}: Postgres refused it (SQLSTATE {state}): {message}{remedy}")


def _refusal_of_records(doing: str, plan: Plan, error: psycopg2.Error, message: str) -> DatabaseError | None:
    """Return the error of ours for one that a stream's records, rules or table have caused; None for any other one."""
    state, column = error.pgcode or "", _column_in(plan, error.diag.context or "")
    if column is not None:
        fault = _VALUE_FAULTS.get(state, "does not fit {type}").format(type=column.type)
        if column.name == TABLE_VERSION:
            return ValueRefusedError(f"{doing}: the `version` of a message {fault}; correct the tap")
        return ValueRefusedError(
            f'{doing}, column "{column.name}": a value {fault}; '
            "correct the type in the stream's SCHEMA, or convert the value in the tap or a stream map"
        )
    if state == "428C9":
        return TableError(
            f"{doing}: {message} of {plan.table.title}, which Postgres computes; leave the property out with a stream map "
            "(`name: null`), or have the column take values: ALTER COLUMN … DROP EXPRESSION for a generated one, SET "
            "GENERATED BY DEFAULT for an identity"
        )
    if state == "42883" and (column := _incomparable(plan, message)) is not None:
        return TableError(
            f'{doing}, column "{column.name}" of {plan.table.title}: Postgres can\'t compare values of the type {column.type}, '
            "so no change of a row can be seen; give the column a type with an equality, such as text or jsonb"
        )
    if state.startswith("22") and state != UNTRANSLATABLE and any(map(_is_condition, plan.rules)):
        conditions = ", ".join(f'{rule.location} of "{rule.type}"' for rule in plan.rules if _is_condition(rule))
        return ValueRefusedError(
            f"{doing}: a rule's condition can't be computed for a record: {message}; "
            f"guard it, for instance with nullif() or CASE: {conditions}"
        )
    if state == "54000":
        return RefusedByTableError(
            f"{doing}: a record is larger than {plan.table.title} can hold: {message}; have the tap send shorter keys, leave "
            "columns out with a stream map, or keep many short ones in one object",
            plan.table.stream,
        )
    if state == "23505" and not plan.table.key:
        return TableError(
            f"{doing}: each record is to be a row of its own, but {plan.table.title} has a primary key or a unique index "
            f'("{error.diag.constraint_name}"); drop it, or load into another table'
        )
    if state in _REFUSALS:
        column_name = f', column "{error.diag.column_name}"' if error.diag.column_name else ""
        return RefusedByTableError(
            f"{doing}{column_name} of {plan.table.title}: {message}; {_remedy(plan, error)}", plan.table.stream
        )
    return None


def _is_condition(rule: Rule) -> bool:
    return isinstance(rule.trigger, Enters | Leaves | When)


def _incomparable(plan: Plan, message: str) -> Column | None:
    """Return the column whose type has no equality, where a message says so."""
    match = re.match(r"operator does not exist: (.+) = ", message)
    missing = re.match(r"could not identify an? (?:equality|comparison) .+ for type (.+)$", message)
    type_ = (match or missing or [None, None])[1]
    return next((column for column in plan.types if type_ in {column.type, column.domain_of}), None) if type_ else None


def session_refusal(
    session: str, location: str, error: psycopg2.Error, remedies: Remedies, *, closed: bool
) -> DatabaseError:
    """Return our error for one of Postgres's that ended a session's transaction: for a loss, a ConnectionLostError.

    Args:
        session: its name, as messages have it.
        location: host, port and database.
        error: as psycopg2 raises it.
        remedies: those of the session.
        closed: whether the connection is closed, so that it is lost whatever the error says.
    """
    message = message_of(error)
    if isinstance(error, errors.ReadOnlySqlTransaction) and " CREATE " in message:
        # What takes over after a failover has the tables.
        return read_only(session, location, message)
    if closed or isinstance(error, SESSION_LOST):
        return ConnectionLostError(
            f"the {session}: the connection to Postgres at {location} broke ({message}); {remedies.lost}"
        )
    return DatabaseError(
        f"the {session}: Postgres at {location} refused it (SQLSTATE {error.pgcode}): {message}; "
        + remedies.by_state.get(error.pgcode or "", "find its words in Postgres's documentation or log")
    )


def read_only(session: str, location: str, message: str) -> DatabaseError:
    """Return the error for a server that takes no writes.

    Args:
        session: its name, as messages have it.
        location: host, port and database.
        message: what it says.
    """
    return DatabaseError(
        f"the {session}: Postgres at {location} is read-only, a standby perhaps ({message}); give it the primary's "
        "address, or all addresses with target_session_attrs=read-write"
    )


def _without_values(message: str) -> str:
    """Cut what Postgres quotes after a colon, which may be a value."""
    return re.sub(r': ".*', "", message)


def _column_in(plan: Plan, context: str) -> Column | None:
    """Return the column that a COPY error's context names."""
    match = re.search(r"^COPY \S+, line \d+, column (.*)", context, flags=re.DOTALL | re.MULTILINE)
    if match is None:
        return None
    rest = match.group(1)
    named = [c for c in plan.table.columns if rest == c.name or rest.startswith((f"{c.name}:", f"{c.name},"))]
    longest = max(named, key=lambda column: len(column.name), default=None)
    return None if longest is None else plan.type_of(longest.name)
