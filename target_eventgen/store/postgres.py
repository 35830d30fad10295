"""Checkpoints in Postgres: each of them one transaction, committed once.

Theory of operation. A `Postgres` is used by one thread at a time: the target prepares streams with it while no
checkpoint is under way, and hands it checkpoints one after the other. A checkpoint that fails is repeated whole where
that helps (see `connection`); nothing has left before the commit, so nothing is published twice. Where events are
published before the commit (`before_commit`), they are published after all decisions: only the commit follows.

A transaction whose connection was lost may have been committed already: the answer to COMMIT is what was lost.
Therefore each checkpoint moves this run's number in `eventgen.runs` from the one before to its own, as its first
statement. A repetition that finds its own number there is done. One whose predecessor still runs, unaware of the loss,
waits for it at this row and sees how it ends. The number is part of the transaction, so it can't disagree with the
rows; a transaction id could, since one that crashed before it reached the disk is given again after recovery, and a
standby that was promoted knows its own. A number that is smaller than the last confirmed one says that the database
forgot a commit, which nothing here can repair.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

import psycopg2
from msgspec.structs import replace
from psycopg2 import extensions

from target_eventgen import failpoints
from target_eventgen.errors import DatabaseError, EventgenError
from target_eventgen.model.checkpoint import Batch, Checkpoint, Outcome
from target_eventgen.model.grants import Grant
from target_eventgen.model.guard import Guard, HeldByGuards
from target_eventgen.model.plan import Plan
from target_eventgen.model.rules import Rule
from target_eventgen.model.tables import Column, Table
from target_eventgen.store import catalog, conditions, culprits, grants, held, schema, staging, widening
from target_eventgen.store.connection import Connection, single_value
from target_eventgen.store.keyed_writer import KeyedWriter, ReplayDetectedError, Written
from target_eventgen.store.refusals import RefusedByTableError, is_of
from target_eventgen.store.sql import deletions, replaced, replays, single_pass, stage, tables
from target_eventgen.store.sql import guard as guarding
from target_eventgen.store.staging import NarrowColumnsError

logger = logging.getLogger("target-eventgen")


class BeforeCommit(Protocol):
    """What is done with a transaction's events before it is committed; see `delivery.before_commit`."""

    def begin(self, cursor: extensions.cursor) -> int:
        """Return a number that the sequences of the transaction's events will be above."""

    def publish(self, cursor: extensions.cursor, above: int, began: float) -> None:
        """Publish the transaction's events; any error rolls the transaction back."""


class Postgres:
    """The database that streams are stored in."""

    def __init__(  # noqa: PLR0913  each is a setting
        self,
        dsn: str,
        run: int,
        *,
        lock_timeout: float | None = None,
        statement_timeout: float = 0,
        reconnect_seconds: float = 0,
        creates: bool = True,
        before_commit: BeforeCommit | None = None,
        connection: Connection | None = None,
        granted: Sequence[Grant] = (),
    ) -> None:
        """Connect, and create the outbox where it is missing.

        Args:
            dsn: a postgresql:// URL or libpq's `name=value` form.
            run: a number that no other run of the target has.
            lock_timeout: seconds that a statement may wait for a lock; 0: as long as it takes; None: as the role's
                own setting has it.
            statement_timeout: seconds that a statement may take; 0: as long as it takes.
            reconnect_seconds: for how long to keep reconnecting after a loss; 0: a loss ends the run.
            creates: whether the outbox is created where it is missing.
            before_commit: publishes events within their transaction.
            connection: one that is there already.
            granted: who may use the tables that are made.

        Raises:
            SettingsError: the dsn is neither.
            ConnectionLostError: nothing answers there, or it refuses.
            DatabaseError: the outbox can't be created.
        """
        self._connection = connection or Connection(
            dsn,
            lock_timeout=lock_timeout,
            statement_timeout=statement_timeout,
            reconnect_seconds=reconnect_seconds,
        )
        self._run = run
        self._before_commit = before_commit
        self._granted = granted
        self._confirmed = 0
        self._keyed = KeyedWriter(self._connection)
        self._stages: dict[str, str] = {}
        self._types: dict[str, tuple[Column, ...]] = {}
        self._depths: dict[str, int] = {}
        self._rows: dict[str, int | None] = {}
        self._source: str | None = None
        self._may_hold = False
        if creates:
            doing = "making the tables of the schema eventgen"
            self._connection.repeat_until_done(lambda: self._connection.alter(doing, schema.create_own_tables))

    @property
    def database(self) -> str:
        """The name of the database."""
        return self._connection.database

    def close(self) -> None:
        """Close the connection; what was not committed is rolled back."""
        self._connection.close()

    def prepare(  # noqa: PLR0913  each is a fact of the SCHEMA message or of the settings
        self,
        table: Table,
        rules: tuple[Rule, ...],
        *,
        source: str,
        emit_first_load: bool,
        guards: Sequence[Guard] = (),
        hard: bool = False,
        overwrite: bool = False,
    ) -> Plan:
        """Check a stream's rules and bring its table up to its SCHEMA; all or nothing.

        Args:
            table: what the SCHEMA asks for.
            rules: those that watch the stream.
            source: the CloudEvents source.
            emit_first_load: whether a table's very first load records events.
            guards: of the rules, one each; none: nothing is held.
            hard: whether deletions take rows out of the table.
            overwrite: whether rows that don't come in this run are taken out at its end.

        Raises:
            RuleError: a condition that is not an expression over this stream's columns.
            TableError: the table belongs to another stream, or has another key.
            DatabaseError: Postgres refuses to make or alter the table.
        """
        name = self._stages.get(table.stream, f"eventgen_stage_{len(self._stages) + 1}")

        def work(cursor: extensions.cursor) -> Plan:
            types = schema.columns(cursor, table)
            existed = bool(types)
            needed = conditions.check(cursor, table, types, rules)
            types, past = schema.adapt(cursor, table.with_needed(needed), types)
            if not existed:
                grants.give(cursor, table, self._granted)
            watching = rules if past.loaded or emit_first_load else ()
            renewable = hard or overwrite or past.remade
            self._depths[table.quoted] = schema.place_of(cursor, table).depth
            plan = Plan(table, types, watching, name, source, self._run, hard or overwrite, renewable, past.generations)
            plan = replace(plan, names_table=past.names_table)
            if plan.hard:
                cursor.execute(tables.referring_tables(table))
                plan = replace(plan, referring=frozenset(single_value(cursor)))
            return self._guarded(cursor, plan, guards if watching else (), loaded=past.loaded)

        doing = f'stream "{table.stream}": making its table {table.title}'
        plan = self._connection.repeat_until_done(lambda: self._connection.alter(doing, work, table.quoted))
        self._source = source
        _warn_of_citext(plan)
        self._stages[table.stream] = name
        self._types.pop(table.stream, None)
        return plan

    def _guarded(self, cursor: extensions.cursor, plan: Plan, guards: Sequence[Guard], *, loaded: bool) -> Plan:
        """Return a plan with the bounds of its rules, which stay those of the run's beginning."""
        table = plan.table
        if table.quoted not in self._rows and any(guard.share_of_rows is not None for guard in guards):
            self._rows[table.quoted] = schema.count_rows(cursor, table) if loaded else None
        allowed = tuple(guard.allows(self._rows.get(table.quoted)) for guard in guards)
        cursor.execute(guarding.of_table(table))
        may_hold = single_value(cursor) or any(bound is not None for bound in allowed)
        self._may_hold |= may_hold
        return replace(plan, allowed=allowed, may_hold=bool(plan.rules) and may_hold)

    def held(self) -> HeldByGuards:
        """Return what guards hold of this run's events, and of the pipeline's."""
        if not self._may_hold:
            return HeldByGuards()
        return self._connection.repeat_until_done(
            lambda: held.by_guards(self._connection, self._run, self._source or "")
        )

    def execute(self, setting: str, statements: str) -> None:
        """Execute SQL of a setting in a transaction of its own; once more where the answer to its COMMIT was lost.

        Raises:
            DatabaseError: Postgres refuses it; the message names the setting, and the first line of the SQL.
        """
        first = next((line.strip() for line in statements.splitlines() if line.strip()), "")
        doing = f'{setting} ("{first[:80]}")'

        def work() -> None:
            with self._connection.transaction(doing) as cursor:
                cursor.execute(statements)

        self._connection.repeat_until_done(work)

    def check(self, table: Table, rules: Sequence[Rule]) -> None:
        """Let Postgres judge rules over a table that need not exist; nothing remains of it.

        Raises:
            RuleError: a condition that is not an expression over this table's columns.
        """
        with self._connection.transaction(f'stream "{table.stream}": checking its rules') as cursor:
            conditions.check(cursor, table, (), rules)

    def table_of(self, stream: str, place: tuple[str, str]) -> Table | str:
        """Return the table that a stream is stored in, or in words why there is none; see `schema.table_of`."""
        with self._connection.transaction(f'stream "{stream}": looking for its table') as cursor:
            return schema.table_of(cursor, stream, place)

    def commit(self, checkpoint: Checkpoint) -> tuple[Outcome, ...]:
        """Write a checkpoint: rows and events of all its streams in one transaction, once.

        Returns the outcome of each batch, nothing where a transaction had been committed whose answer was lost.

        Raises:
            ValueRefusedError: a value that its column can't hold.
            ConnectionLostError: Postgres went away and did not come back in time.
            DatabaseError: anything else that Postgres refuses. Nothing of the checkpoint is written then.
        """
        if self._may_hold and (self._before_commit is not None or not self._confirmed):
            self._connection.repeat_until_done(self._move_released)
        outcomes = self._connection.repeat_until_done(lambda: self._commit_either_way(checkpoint))
        self._confirmed += 1
        self._connection.has_committed = True
        return outcomes

    def _commit_either_way(self, checkpoint: Checkpoint) -> tuple[Outcome, ...]:
        """Commit a transaction; once more in two passes, where one pass has met what may be a replay of a stream."""
        while True:
            try:
                return self._commit(checkpoint)
            except ReplayDetectedError as error:
                self._keyed.two_pass_streams.add(error.stream)
            except NarrowColumnsError as error:
                self._widen(error)
            except RefusedByTableError as error:
                checkpoint = culprits.without_refused(checkpoint, error, self._passes)

    def _passes(self, checkpoint: Checkpoint, stream: str) -> bool:
        """Return whether a stream's table takes its records of a checkpoint, of which nothing remains."""
        while True:
            try:
                with self._connection.transaction(f'stream "{stream}": looking for a record') as cursor:
                    self._write_all(cursor, checkpoint)
                    cursor.connection.rollback()
            except RefusedByTableError as error:
                return error.stream != stream
            except ReplayDetectedError as error:
                self._keyed.two_pass_streams.add(error.stream)
            except NarrowColumnsError as error:
                self._widen(error)
            else:
                return True

    def _widen(self, error: NarrowColumnsError) -> None:
        """Widen columns for values that these would change, which the batches of earlier plans then know of."""
        self._types[error.plan.table.stream] = widening.widen(self._connection, error.plan, error.columns)

    def _commit(self, checkpoint: Checkpoint) -> tuple[Outcome, ...]:
        with self._connection.transaction("a checkpoint") as cursor:
            if self._is_done(cursor):
                return ()
            began = time.monotonic()
            above = 0 if self._before_commit is None else self._before_commit.begin(cursor)
            outcomes = self._write_all(cursor, checkpoint)
            if checkpoint.loaded:
                cursor.execute(catalog.end_first_load(checkpoint.loaded))
            if self._before_commit is not None and any(outcome.recorded for outcome in outcomes):
                self._before_commit.publish(cursor, above, began)
            failpoints.reach(failpoints.BEFORE_COMMIT)
        return outcomes

    def _move_released(self) -> None:
        """Move the released events that a load must publish into the outbox, and publish them, in one transaction."""
        source = self._source or ""
        with self._connection.transaction("released events") as cursor:
            cursor.execute(guarding.released_to_loads(source))
            if not single_value(cursor):
                return
            began = time.monotonic()
            cursor.execute(guarding.LOCK_EVENTS)
            above = 0 if self._before_commit is None else self._before_commit.begin(cursor)
            cursor.execute(guarding.move(source))
            if self._before_commit is not None:
                self._before_commit.publish(cursor, above, began)

    def _write_all(self, cursor: extensions.cursor, checkpoint: Checkpoint) -> tuple[Outcome, ...]:
        """Write all rows and their events; then take rows out, what refers to others before these."""
        stored = [_as_stored(batch, self._types) for batch in checkpoint.batches]
        batches = sorted(stored, key=lambda batch: _place(batch, self._depths))
        cursor.execute(stage.DEFER_CONSTRAINTS)
        written = [(batch, self._write(cursor, batch)) for batch in batches]
        written.sort(key=lambda each: -_depth(each[0], self._depths))
        outcomes = [self._take_out(cursor, batch, each) for batch, each in written]
        for batch, each in written:
            self._keyed.settle(cursor, batch, each)
        _check_deferred(self._connection, cursor, batches)
        return tuple(outcomes)

    def _is_done(self, cursor: extensions.cursor) -> bool:
        """Move this run's number on; return whether the checkpoint was committed already."""
        number = self._confirmed + 1
        cursor.execute(catalog.count_checkpoint(self._run, number))
        if cursor.rowcount == 1:
            return False
        cursor.execute(catalog.last_checkpoint(self._run))
        row = cursor.fetchone()
        if row == (number,):
            logger.info("The commit whose answer was lost had been done")
            return True
        raise _forgetful(self._connection.location)

    def forget(self) -> None:
        """Remove this run's number once the run has ended well; a failure is of no consequence."""
        with contextlib.suppress(EventgenError), self._connection.transaction("the end of a run") as cursor:
            cursor.execute(catalog.forget_run(self._run))

    def _write(self, cursor: extensions.cursor, batch: Batch) -> Written:
        plan = batch.plan
        with self._connection.translating_errors(f'stream "{plan.table.stream}"', plan):
            if batch.activated is not None and not plan.table.key:
                cursor.execute(deletions.delete_older(plan, batch.activated, hard=plan.hard))
                return Written(Outcome(0, cursor.rowcount, 0, 0, 0))
            if batch.judges_parked:
                if plan.undo_days is not None:
                    cursor.execute(replaced.forget_older(plan.undo_days))
                cursor.execute(replays.has_parked(plan))
                if not single_value(cursor):
                    return Written(Outcome(0, 0, 0, 0, 0))
            rejected = staging.fill_stage(cursor, batch)
            failpoints.reach(failpoints.AFTER_STAGING)
            if not plan.table.key:
                cursor.execute(single_pass.append(plan))
                return Written(Outcome(cursor.rowcount, 0, 0, 0, 0, rejected))
            return self._keyed.write(cursor, batch, rejected)

    def _take_out(self, cursor: extensions.cursor, batch: Batch, written: Written) -> Outcome:
        stream = batch.plan.table.stream
        with self._connection.translating_errors(f'stream "{stream}"', batch.plan):
            outcome = self._keyed.take_out(cursor, batch, written)
        return replace(outcome, stream=stream, records=batch.rows + batch.repeated)


def _forgetful(location: str) -> DatabaseError:
    """Return the error for a database that has lost what it had committed."""
    return DatabaseError(
        f"the database at {location} has forgotten commits that it had confirmed (a standby that lagged behind was promoted, "
        "or a backup was restored): the STATE that was sent since then is ahead of the data; run again from an older one"
    )


def _as_stored(batch: Batch, types: Mapping[str, tuple[Column, ...]]) -> Batch:
    """Return a batch whose plan knows the columns that were widened since it was made, by its stream."""
    widened = types.get(batch.plan.table.stream)
    return batch if widened is None else replace(batch, plan=replace(batch.plan, types=widened))


def _place(batch: Batch, depths: Mapping[str, int]) -> tuple[int, str, str]:
    """Return the place of a batch in its checkpoint.

    One order of tables for every writer: else two of them could wait for each other. What others refer to by foreign
    keys is written before them, and deleted after them.

    Args:
        batch: of a stream.
        depths: of the streams' tables among foreign keys.
    """
    depth, table = _depth(batch, depths), batch.plan.table
    return (depth if batch.activated is None else -depth, table.schema, table.name)


def _depth(batch: Batch, depths: Mapping[str, int]) -> int:
    return depths.get(batch.plan.table.quoted, 0)


def _check_deferred(connection: Connection, cursor: extensions.cursor, batches: Sequence[Batch]) -> None:
    """Check the constraints that are deferrable, before anything is published.

    Raises:
        DatabaseError: one of them doesn't hold.
    """
    try:
        cursor.execute(stage.CHECK_CONSTRAINTS)
    except psycopg2.Error as error:
        plan = next((each.plan for each in batches if is_of(each.plan.table, error)), None)
        with connection.translating_errors(f'stream "{plan.table.stream}"' if plan else "a checkpoint", plan):
            raise


def _warn_of_citext(plan: Plan) -> None:
    table = plan.table
    for column in plan.types:
        if column.ignores_case and column.name in {each.name for each in table.content}:
            logger.warning(
                'stream "%s": column "%s" of %s is citext, to which values that differ in case alone are equal: '
                "such a change is none, and such keys are one row",
                table.stream,
                column.name,
                table.title,
            )
