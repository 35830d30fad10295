"""The thin shell around Postgres: one connection, one transaction a checkpoint, its errors in words.

Theory of operation. A `Postgres` is used by one thread at a time: the target prepares streams with it while no
checkpoint is under way, and hands it checkpoints one after the other. A transaction that meets a deadlock or a
serialization failure is repeated whole; nothing has left before the commit, so nothing is said twice. Any other error
rolls back and ends the run. Where events are published before the commit (`before_commit`), that comes behind all
decisions: what is behind it is the commit alone.

A transaction stands alone: its settings and its staging tables end with it, and it needs nothing of the session. So
any connection can carry the next one, that of a pooler in transaction mode as well as one made after a loss.

Where the connection is lost, a new one is made, again and again for a bounded time, and the transaction is repeated
whole. It may have been committed already: the answer to COMMIT is what was lost. Therefore each checkpoint moves this
run's number in `eventgen.runs` from the one before to its own, as its first statement. A repetition that finds its own
number there is done. One whose predecessor still runs, unaware of the loss, waits for it at this row and sees how it
ends. The number is part of the transaction, so it can't say otherwise than the rows do; a transaction id could, since
one that crashed before it reached the disk is given again after recovery, and a standby that was promoted knows its own.
A number that is smaller than the last confirmed one says that the database forgot a commit, which nothing here can mend.
"""

from __future__ import annotations

import contextlib
import logging
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import backoff
import psycopg2
from psycopg2 import errors, extensions, sql

from target_eventgen import failpoints
from target_eventgen.errors import (
    ConnectionLostError,
    DatabaseError,
    EventgenError,
    RuleError,
    SettingsError,
    TableError,
    ValueRefusedError,
)
from target_eventgen.intake import general
from target_eventgen.model.checkpoint import Outcome
from target_eventgen.model.plan import Plan
from target_eventgen.model.rules import Enters, Leaves, Rule, When
from target_eventgen.model.spelling import nearest
from target_eventgen.model.tables import METADATA, OWN, PREFIX, TABLE_VERSION, Column, Table, widened
from target_eventgen.store import catalog, condition_checks, replays, statements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from target_eventgen.model.checkpoint import Batch, Checkpoint

UPSERTING_SERVER = 180000
"""libpq's number of the oldest Postgres whose RETURNING gives the row before."""

OLDEST_SERVER = 150000
"""libpq's number of the oldest Postgres that is tested."""

CONNECT_SECONDS = 15

_LOCAL_SETTINGS = sql.SQL(
    # Compiling a checkpoint's statement takes seconds, running it a fraction of one.
    "SET LOCAL jit = off; SET LOCAL work_mem = '64MB'; SET LOCAL TIME ZONE 'UTC'; SET LOCAL datestyle = 'ISO, YMD';"
    " SET LOCAL intervalstyle = 'iso_8601'; SET LOCAL standard_conforming_strings = on;"
    " SET LOCAL client_min_messages = warning; SET LOCAL idle_in_transaction_session_timeout = 0;"
    " SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {}"
)

_NO_URL = (
    "database_url is not a Postgres URL: it must look like postgresql://user:password@host:5432/database, "
    "with special characters percent-encoded"
)

_RETRIED = (errors.DeadlockDetected, errors.SerializationFailure)

_LOST = (errors.AdminShutdown, errors.CrashShutdown, errors.CannotConnectNow, errors.IdleInTransactionSessionTimeout)
"""Errors after which the connection is of no use, though libpq may not have noticed yet."""

COPY_BYTES = 4 * 1024 * 1024
"""Bytes that are handed to COPY at once. Each piece waits for its turn to run Python, while lines are being decoded."""

LONGEST_PAUSE = 5.0
"""Seconds between two attempts to connect again, at most."""

T = TypeVar("T")

logger = logging.getLogger("target-eventgen")


class BeforeCommit(Protocol):
    """What is done with a transaction's events before it is committed; see `publication`."""

    def begin(self, cursor: extensions.cursor) -> int:
        """Return a number that the sequences of the transaction's events will be above."""

    def publish(self, cursor: extensions.cursor, above: int, began: float) -> None:
        """Publish them; any error rolls the transaction back."""


class Postgres:
    """A connection to the database that streams are stored in."""

    def __init__(  # noqa: PLR0913  each is a setting
        self,
        dsn: str,
        run: int,
        *,
        lock_timeout: float = 0,
        statement_timeout: float = 0,
        reconnect_seconds: float = 0,
        creates: bool = True,
        before_commit: BeforeCommit | None = None,
    ) -> None:
        """Connect, and make the outbox where it is missing.

        Args:
            dsn: a postgresql:// URL or libpq's `name=value` form.
            run: a number that tells this run of the target from others.
            lock_timeout: seconds that a statement may wait for a lock; 0: as long as it takes.
            statement_timeout: seconds that a statement may take; 0: as long as it takes.
            reconnect_seconds: for how long a lost connection is made anew; 0: it ends the run.
            creates: whether the outbox is made where it is missing.
            before_commit: what publishes events within their transaction.

        Raises:
            SettingsError: the dsn is neither.
            ConnectionLostError: nothing answers there, or it refuses.
            DatabaseError: the outbox can't be made.
        """
        self._place = place_of(dsn)
        self._dsn = dsn
        self._run = run
        self._reconnect_seconds = reconnect_seconds
        self._settings = _LOCAL_SETTINGS.format(
            sql.Literal(round(statement_timeout * 1000)), sql.Literal(round(lock_timeout * 1000))
        )
        self._before_commit = before_commit
        self._confirmed = 0
        self._patient: set[str] = set()
        self._quiet: set[str] = set()
        self._connection = self._connect()
        if self._connection.server_version < OLDEST_SERVER:
            self.close()
            raise DatabaseError(f"Postgres at {self._place} is older than 15; use 15 or newer")
        self._stages: dict[str, Plan] = {}
        if creates:
            self._retrying(self._create)

    def _connect(self) -> extensions.connection:
        try:
            connection = psycopg2.connect(
                self._dsn, application_name="target-eventgen", connect_timeout=CONNECT_SECONDS, client_encoding="UTF8"
            )
        except psycopg2.OperationalError as error:
            raise ConnectionLostError(
                f"can't connect to Postgres at {self._place}: {_first_line(error)}; "
                "check that it runs and that database_url (or host, port, user, password, database) is right"
            ) from error
        # A checkpoint's second statement must see what the first waited for, whatever the role's default is.
        connection.isolation_level = extensions.ISOLATION_LEVEL_READ_COMMITTED
        return connection

    def _create(self) -> None:
        with self._refusals("making the tables of the schema eventgen"), self._transaction() as cursor:
            cursor.execute(catalog.EXIST)
            if cursor.fetchone() != (True,):
                cursor.execute(catalog.LOCK_TABLES)
                cursor.execute(catalog.CREATE)

    @property
    def database(self) -> str:
        """The name of the database."""
        return str(self._connection.info.dbname)

    def close(self) -> None:
        """Close the connection; what was not committed is rolled back."""
        with contextlib.suppress(psycopg2.Error):
            self._connection.close()

    # -- streams ------------------------------------------------------------------------------------------------------

    def prepare(  # noqa: PLR0913  each is a fact of the SCHEMA message or of the settings
        self,
        table: Table,
        rules: tuple[Rule, ...],
        *,
        source: str,
        emit_first_load: bool,
        hard: bool = False,
        overwrite: bool = False,
    ) -> Plan:
        """Check a stream's rules and bring its table up to its SCHEMA; all or nothing.

        Args:
            table: what the SCHEMA asks for.
            rules: those that watch the stream.
            source: the CloudEvents source.
            emit_first_load: whether a table's very first load records events.
            hard: whether deletions take rows out of the table.
            overwrite: whether rows that don't come in this run are taken out at its end.

        Raises:
            RuleError: a condition that is not one, or not over this stream's columns.
            TableError: the table belongs to another stream, or has another key.
            DatabaseError: Postgres refuses to make or alter the table.
        """

        def plan(
            types: tuple[Column, ...], stage: str, *, loaded: bool, remade: bool, generations: dict[str, int]
        ) -> Plan:
            watching = rules if loaded or emit_first_load else ()
            renewable = hard or overwrite or remade
            return Plan(table, types, watching, stage, source, self._run, hard or overwrite, renewable, generations)

        return self._retrying(lambda: self._prepare(table, rules, plan))

    def _prepare(self, table: Table, rules: tuple[Rule, ...], planned: Callable[..., Plan]) -> Plan:
        stage = self._stages.get(table.stream)
        name = f"eventgen_stage_{len(self._stages) + 1}" if stage is None else stage.stage
        doing = f'stream "{table.stream}": making its table {table.title}'
        with self._refusals(doing), self._transaction() as cursor:
            types = self._columns(cursor, table)
            self._check(cursor, table, types, rules)
            types, past = self._adapt(cursor, table, types)
            plan = planned(types, name, **past)
        self._stages[table.stream] = plan
        return plan

    def check(self, table: Table, rules: Sequence[Rule]) -> None:
        """Let Postgres judge rules over a table that need not be there; nothing remains of it.

        Raises:
            RuleError: a condition that is not one, or not over this table's columns.
        """
        with self._refusals(f'stream "{table.stream}": checking its rules'), self._transaction() as cursor:
            self._check(cursor, table, (), rules)

    def table_of(self, stream: str) -> Table | None:
        """Return the table that a stream is stored in, as it is; None where none is known."""
        with self._refusals(f'stream "{stream}": looking for its table'), self._transaction() as cursor:
            cursor.execute("SELECT to_regclass('eventgen.streams') IS NOT NULL")
            if not _value(cursor):
                return None
            cursor.execute(catalog.place_of_stream(stream))
            place = cursor.fetchone()
            if place is None:
                return None
            schema, name = map(str, place)
            bare = Table(stream, schema, name, ())
            content = tuple(
                column
                for column in self._columns(cursor, bare)
                if column.name not in METADATA and not column.name.startswith(PREFIX)
            )
            cursor.execute(statements.existing_keys(bare))
            keys = [tuple(names) for primary, names in cursor.fetchall() if primary]
            return Table(stream, schema, name, content, key=keys[0] if keys else ()) if content else None

    def _columns(self, cursor: extensions.cursor, table: Table) -> tuple[Column, ...]:
        """Return the table's columns as they are in the database."""
        cursor.execute(statements.existing_columns(table))
        return tuple(Column(name, type_) for name, type_ in cursor.fetchall())

    def _adapt(
        self, cursor: extensions.cursor, table: Table, types: tuple[Column, ...]
    ) -> tuple[tuple[Column, ...], dict[str, Any]]:
        """Make or alter the table; return its columns, and its past.

        That is whether its first load has ended, whether it was made again, and which columns were added to it.
        """
        wanted = (*table.columns, *(Column(name, type_) for name, type_ in OWN))
        if (
            {column.name for column in wanted} - {column.name for column in types}
            or _to_widen(table, types)
            or not self._known(cursor, table)
        ):
            # Others may be at the same: whoever gets the lock looks again.
            cursor.execute(catalog.LOCK_TABLES)
            types = self._columns(cursor, table)
            if not types:
                cursor.execute(statements.schema_exists(table.schema))
                if not _value(cursor):
                    cursor.execute(statements.create_schema(table.schema))
                cursor.execute(statements.create_table(table))
                cursor.execute(catalog.begin_anew(table))
            if not self._known(cursor, table):
                cursor.execute(statements.has_rows(table))
                cursor.execute(catalog.remember(table, loaded=_value(cursor)))
            if types:
                self._alter(cursor, table, types, wanted)
            types = self._columns(cursor, table)
        if table.key:
            self._ensure_key(cursor, table)
        cursor.execute(catalog.first_load(table))
        row = cursor.fetchone()
        assert row is not None
        stream, loaded, remade, generations = row
        if stream != table.stream:
            raise TableError(
                f'stream "{table.stream}": its table {table.title} is that of the stream "{stream}"; '
                "give one of them another name with a stream map's __alias__, or unset default_target_schema"
            )
        return types, {"loaded": bool(loaded), "remade": bool(remade), "generations": generations}

    def _alter(
        self, cursor: extensions.cursor, table: Table, types: tuple[Column, ...], wanted: tuple[Column, ...]
    ) -> None:
        """Add the columns that a table lacks, and widen those whose SCHEMA says so."""
        existing = {column.name for column in types}
        if missing := [column for column in wanted if column.name not in existing]:
            cursor.execute(statements.add_columns(table, missing))
        added = [column.name for column in table.content if column.name not in existing]
        cursor.execute(statements.has_rows(table))
        if added and table.key and _value(cursor):
            cursor.execute(statements.add_generation(table))
            cursor.execute(catalog.first_load(table))
            *_, generations = cursor.fetchone() or ({},)
            number = max(generations.values(), default=0) + 1
            cursor.execute(catalog.note_generations(table, {**generations, **dict.fromkeys(added, number)}))
        if wider := _to_widen(table, types):
            try:
                cursor.execute(statements.widen(table, wider))
            except (errors.FeatureNotSupported, errors.DatatypeMismatch, errors.InvalidTableDefinition) as error:
                names = ", ".join(f'"{column.name}" to {column.type}' for column in wider)
                raise TableError(
                    f'stream "{table.stream}": {table.title} must be widened for its SCHEMA, {names}, but Postgres says '
                    f"{_first_line(error)}; drop what depends on the column, run again, and make it anew"
                ) from error

    def _known(self, cursor: extensions.cursor, table: Table) -> bool:
        cursor.execute(catalog.first_load(table))
        return cursor.fetchone() is not None

    def _ensure_key(self, cursor: extensions.cursor, table: Table) -> None:
        cursor.execute(statements.existing_keys(table))
        keys = cursor.fetchall()
        if any(set(names) == set(table.key) for _, names in keys):
            return
        if any(primary for primary, _ in keys):
            primary = next(names for is_primary, names in keys if is_primary)
            raise TableError(
                f'stream "{table.stream}": its key properties are ({", ".join(table.key)}), but the primary key of '
                f"{table.title} is ({', '.join(primary)}); change the table's key, or load into another table"
            )
        cursor.execute(catalog.LOCK_TABLES)
        try:
            cursor.execute(statements.add_key(table))
        except (errors.UniqueViolation, errors.NotNullViolation) as error:
            raise TableError(
                f'stream "{table.stream}": {table.title} has no primary key, and its rows are not distinct by '
                f"({', '.join(table.key)}), the stream's key properties; remove the duplicates, or load into another table"
            ) from error

    # -- rules --------------------------------------------------------------------------------------------------------

    def _check(self, cursor: extensions.cursor, table: Table, types: tuple[Column, ...], rules: Sequence[Rule]) -> None:
        """Let Postgres judge each condition; nothing remains of it.

        Raises:
            RuleError: naming the stream, the place in the configuration, and what Postgres said.
        """
        conditions = [rule for rule in rules if isinstance(rule.trigger, Enters | Leaves | When)]
        if not conditions:
            return
        stored = {column.name: column for column in types}
        stored |= {column.name: column for column in _to_widen(table, types)}
        sample = [stored.get(column.name, column) for column in table.content]
        cursor.execute("SAVEPOINT eventgen_checks")
        cursor.execute(condition_checks.create_sample(table.name, sample))
        for rule in conditions:
            assert isinstance(rule.trigger, Enters | Leaves | When)
            text = rule.trigger.condition
            over_versions = isinstance(rule.trigger, When)
            cursor.execute("SAVEPOINT eventgen_check")
            try:
                cursor.execute(condition_checks.carry(text))
                for statement in condition_checks.single_expression(table.name, over_versions=over_versions):
                    cursor.execute(statement)
                cursor.execute(condition_checks.row_condition(table.name, over_versions=over_versions))
                cursor.execute(condition_checks.parsed(table.name, over_versions=over_versions))
                cursor.execute(condition_checks.volatile(str(_value(cursor))))
            except psycopg2.OperationalError:
                raise
            except psycopg2.Error as error:
                raise RuleError(_condition_fault(table, rule, text, error)) from error
            if names := [name for (name,) in cursor.fetchall()]:
                raise RuleError(
                    f'stream "{table.stream}", {rule.place} of the rule "{rule.type}": a condition may not call '
                    f"{', '.join(f'{name}()' for name in names)}, whose result changes from call to call; "
                    "use columns, constants and stable functions such as now()"
                )
            cursor.execute("ROLLBACK TO SAVEPOINT eventgen_check")
        cursor.execute("ROLLBACK TO SAVEPOINT eventgen_checks")

    # -- checkpoints --------------------------------------------------------------------------------------------------

    def commit(self, checkpoint: Checkpoint) -> tuple[Outcome, ...]:
        """Write a checkpoint: rows and events of all its streams in one transaction, once.

        Returns the outcome of each batch, nothing where a transaction had been committed whose answer was lost.

        Raises:
            ValueRefusedError: a value that its column can't hold.
            ConnectionLostError: Postgres went away and did not come back in time.
            DatabaseError: anything else that Postgres refuses. Nothing of the checkpoint is written then.
        """
        outcomes = self._retrying(lambda: self._commit_patiently(checkpoint))
        self._confirmed += 1
        return outcomes

    def _commit_patiently(self, checkpoint: Checkpoint) -> tuple[Outcome, ...]:
        """Do a transaction; once more, where a stream must be listened to before anything of it is written."""
        while True:
            try:
                return self._commit(checkpoint)
            except _RetoldError as error:
                self._patient.add(error.stream)

    def _commit(self, checkpoint: Checkpoint) -> tuple[Outcome, ...]:
        # One order of tables for every writer: else two of them could wait for each other.
        batches = sorted(checkpoint.batches, key=lambda batch: (batch.plan.table.schema, batch.plan.table.name))
        with self._refusals("a checkpoint"), self._transaction() as cursor:
            if self._is_done(cursor):
                return ()
            began = time.monotonic()
            above = 0 if self._before_commit is None else self._before_commit.begin(cursor)
            outcomes = tuple(
                replace(self._write(cursor, batch), stream=batch.plan.table.stream, records=batch.rows + batch.repeated)
                for batch in batches
            )
            if checkpoint.loaded:
                cursor.execute(catalog.end_first_load(checkpoint.loaded))
            if self._before_commit is not None and any(outcome.recorded for outcome in outcomes):
                self._before_commit.publish(cursor, above, began)
            failpoints.reach(failpoints.BEFORE_COMMIT)
        return outcomes

    def _is_done(self, cursor: extensions.cursor) -> bool:
        """Move this run's number on; return whether the checkpoint is found to be committed."""
        number = self._confirmed + 1
        cursor.execute(catalog.count_checkpoint(self._run, number))
        if cursor.rowcount == 1:
            return False
        cursor.execute(catalog.last_checkpoint(self._run))
        row = cursor.fetchone()
        if row == (number,):
            logger.info("The commit whose answer was lost had been done")
            return True
        raise DatabaseError(
            f"the database at {self._place} has forgotten commits that it had confirmed (a standby that lagged behind "
            "was promoted, or a backup was restored): the STATE that was sent since then is ahead of the data; "
            "run again from an older one"
        )

    def forget(self) -> None:
        """Remove this run's number once the run has ended well; a failure is of no consequence."""
        with contextlib.suppress(EventgenError), self._refusals("the end of a run"), self._transaction() as cursor:
            cursor.execute(catalog.forget_run(self._run))

    def _write(self, cursor: extensions.cursor, batch: Batch) -> Outcome:
        plan = batch.plan
        with self._refusals(f'stream "{plan.table.stream}"', plan):
            if batch.activated is not None and not plan.table.key:
                cursor.execute(statements.delete_older(plan, batch.activated, hard=plan.hard))
                return Outcome(0, cursor.rowcount, 0, 0, 0)
            if batch.settles:
                cursor.execute(statements.holds(plan))
                if not _value(cursor):
                    return Outcome(0, 0, 0, 0, 0)
            rejected = self._stage(cursor, batch)
            failpoints.reach(failpoints.AFTER_STAGING)
            if not plan.table.key:
                cursor.execute(statements.append(plan))
                return Outcome(cursor.rowcount, 0, 0, 0, 0, rejected)
            return self._write_keyed(cursor, batch, rejected)

    def _stage(self, cursor: extensions.cursor, batch: Batch) -> int:
        """Stage what a batch holds or stands for; return how many records went to the dead letters."""
        plan, rejected = batch.plan, batch.rejected
        cursor.execute(statements.create_stage(plan))
        if batch.constants:
            cursor.execute(statements.constants(plan, batch.constants))
        if batch.originals:
            rejected += self._copy_what_fits(cursor, batch)
        elif batch.settles:
            cursor.execute(statements.settle(plan))
        elif batch.activated is None:
            cursor.copy_expert(statements.copy(plan), _Lines(batch.lines), COPY_BYTES)
        else:
            cursor.execute(statements.stage_deletions(plan, batch.activated))
        for reason, record in rejected:
            cursor.execute(catalog.reject(plan.table.stream, reason, record))
        return len(rejected)

    def _may_upsert(self, batch: Batch) -> bool:
        """Return whether each staged record has a key and a version of its own, and mentions all there is to say."""
        plan = batch.plan
        plain = batch.single and not (
            batch.unversioned or batch.sparse or batch.deletes or batch.settles or batch.marks
        )
        new = self._connection.server_version >= UPSERTING_SERVER and plan.table.stream not in self._patient
        return plain and new and statements.upsertable(plan)

    def _upsert(self, cursor: extensions.cursor, batch: Batch, rejected: int) -> Outcome:
        """Write what may be written in one pass.

        Raises:
            _RetoldError: another run's story may be told again, so that the transaction must be done another way.
        """
        plan, began = batch.plan, time.monotonic()
        cursor.execute(statements.upsert(plan, skims=plan.table.stream in self._quiet))
        created, updated, fired, types = cursor.fetchone() or (0, 0, 0, {})
        # What comes next is most often like what came last: a replay is not over at once.
        (self._quiet.add if 2 * (created + updated) < batch.rows else self._quiet.discard)(plan.table.stream)
        locked = time.monotonic() - began
        failpoints.reach(failpoints.AFTER_LOCK)
        cursor.execute(statements.overtaken(plan))
        told, held, stale, *_ = cursor.fetchone() or (False, False, False)
        if told or held:
            raise _RetoldError(plan.table.stream)
        if stale:
            cursor.execute(statements.older(plan))
            stale = _value(cursor)
        failpoints.reach(failpoints.AFTER_EVENTS)
        return Outcome(
            created, updated, stale or 0, fired, sum(types.values()), rejected, types=types, lock_seconds=locked
        )

    def _write_keyed(self, cursor: extensions.cursor, batch: Batch, rejected: int) -> Outcome:
        plan = batch.plan
        if self._may_upsert(batch):
            return self._upsert(cursor, batch, rejected)
        cursor.execute(statements.visit(by_key=batch.single))
        if not batch.single:
            cursor.execute(statements.analyze(plan))
        shape: dict[str, Any] = {"sparse": batch.sparse, "unversioned": batch.unversioned, "single": batch.single}
        began = time.monotonic()
        cursor.execute(statements.claim(plan, unversioned=batch.unversioned, single=batch.single))
        locked = time.monotonic() - began
        created, revived = cursor.rowcount, 0
        if plan.hard:
            cursor.execute(statements.revive(plan))
            revived = cursor.rowcount
            created -= revived
        if plan.generation:
            cursor.execute(statements.adopt(plan))
        failpoints.reach(failpoints.AFTER_LOCK)
        if created == batch.rows and not plan.rules and not (batch.deletes or batch.settles):
            return Outcome(created, 0, 0, 0, 0, rejected, lock_seconds=locked)
        shape, decided = self._completed(cursor, batch, shape, revived=revived > 0)
        cursor.execute(statements.record(plan, **shape))
        row = cursor.fetchone()
        assert row is not None
        updated, fired, types, stale = row
        if decided:
            cursor.execute(statements.take_over(plan, decided))
        if plan.generation:
            cursor.execute(statements.adapted(plan))
        if batch.marks:
            cursor.execute(statements.mark(plan))
        if batch.deletes or revived or (batch.settles and plan.deletable):
            cursor.execute(statements.clear(plan, hard=plan.hard, buries=plan.hard and batch.activated is None))
        failpoints.reach(failpoints.AFTER_EVENTS)
        return Outcome(created, updated, stale, fired, sum(types.values()), rejected, types=types, lock_seconds=locked)

    def _completed(
        self, cursor: extensions.cursor, batch: Batch, shape: dict[str, Any], *, revived: bool
    ) -> tuple[dict[str, Any], list[int]]:
        """Fill the stage, and lay aside the staged records with which another run's story is told again, or may be.

        Returns the shape of what is left in the stage, and the numbers of records by which it is now known that this run
        has gone through the stories of their rows.
        """
        plan = batch.plan
        cursor.execute(statements.heard(plan))
        told, held, _ = cursor.fetchone() or (False, False, None)
        if told or revived:
            cursor.execute(statements.recalls(plan))
            told = _value(cursor)
        if not (told or held or batch.settles):
            if batch.sparse and not batch.single:
                cursor.execute(statements.fill(plan, sparse=batch.sparse, unversioned=batch.unversioned))
            return shape, []
        if batch.single:
            cursor.execute(statements.visit(by_key=False))
            cursor.execute(statements.analyze(plan))
        if held:
            cursor.execute(statements.make_room(plan))
            cursor.execute(statements.take_back(plan))
        cursor.execute(statements.gaps(plan))
        sparse = tuple(place for (place,) in cursor.fetchall())
        if sparse:
            cursor.execute(statements.fill(plan, sparse=sparse, unversioned=True))
        cursor.execute(statements.retold(plan, sparse=sparse))
        repeated: list[int] = []
        waiting: list[int] = []
        decided: list[int] = []
        for story, numbers, said, still in cursor.fetchall():
            here = still.index(False) if False in still else len(still)
            found = replays.judge(story, said[:here], ended=batch.settles or here < len(still))
            repeated += numbers[: found.told]
            (waiting if found.held else decided).extend(numbers)
        if waiting:
            cursor.execute(statements.hold(plan, waiting))
        if waiting or repeated:
            cursor.execute(statements.lay_aside(plan, waiting + repeated))
        return {"sparse": sparse, "unversioned": True, "single": False}, decided

    def _copy_what_fits(self, cursor: extensions.cursor, batch: Batch) -> tuple[tuple[str, str], ...]:
        """Stage the records whose values fit their columns; return the others, with what Postgres said of them.

        Postgres names one line at a time. A savepoint keeps what came before the COPY, and nothing but the staging table
        is written within it.
        """
        lines, originals = batch.lines, list(batch.originals)
        rejected: list[tuple[str, str]] = []
        while True:
            cursor.execute("SAVEPOINT eventgen_copy")
            try:
                cursor.copy_expert(statements.copy(batch.plan), _Lines(lines), COPY_BYTES)
            except (errors.DataError, errors.ProgramLimitExceeded) as error:
                match = re.search(r"^COPY \S+, line (\d+)", error.diag.context or "", flags=re.MULTILINE)
                if match is None:
                    raise
                number = int(match.group(1))
                reason = str(_refusal(f'stream "{batch.plan.table.stream}"', batch.plan, error))
                rejected.append((reason, originals.pop(number - 1)))
                lines = general.without_line(lines, number)
                # Both, since a savepoint outlives the return to it, and rows written within one have its transaction id.
                cursor.execute("ROLLBACK TO SAVEPOINT eventgen_copy; RELEASE SAVEPOINT eventgen_copy")
            else:
                cursor.execute("RELEASE SAVEPOINT eventgen_copy")
                return tuple(rejected)

    # -- the connection -----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[extensions.cursor]:
        """Commit at the end, roll back on any error."""
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(self._settings)
                yield cursor
            self._connection.commit()
        except BaseException:
            if not self._connection.closed:
                with contextlib.suppress(psycopg2.Error):
                    self._connection.rollback()
            raise

    def _retrying(self, work: Callable[[], T]) -> T:
        """Do a transaction until it is through, or nothing speaks for another attempt."""
        lost_at: float | None = None
        pauses: Iterator[float] = iter(())
        while True:
            try:
                if self._connection.closed:
                    self._connection = self._connect()
                return self._repeating(work)
            except ConnectionLostError as error:
                # backoff's own bound counts from the first attempt, which may have been a long transaction.
                if lost_at is None:
                    lost_at, pauses = time.monotonic(), _pauses()
                    if self._reconnect_seconds:
                        logger.warning("The connection to Postgres at %s is lost; connecting again", self._place)
                self.close()
                pause = next(pauses)
                if time.monotonic() + pause - lost_at >= self._reconnect_seconds:
                    raise
                logger.debug("%s", error)
                time.sleep(pause)

    def _repeating(self, work: Callable[[], T]) -> T:
        def announce(details: Any) -> None:
            logger.info("Postgres asked for a retry (%s); attempt %d", details["exception"].sqlstate, details["tries"])

        repeated = backoff.on_exception(
            backoff.expo, RetryableError, max_tries=10, max_value=5, factor=0.05, on_backoff=announce, logger=None
        )(work)
        result: T = repeated()
        return result

    @contextlib.contextmanager
    def _refusals(self, doing: str, plan: Plan | None = None) -> Iterator[None]:
        """Say what Postgres refused in a sentence that names the place and the remedy, but no value."""
        try:
            yield
        except EventgenError:
            raise
        except _RETRIED as error:
            raise RetryableError(
                f"{doing}: Postgres gave up again and again ({_first_line(error)}); fewer writers at once may help",
                str(error.pgcode),
            ) from error
        except psycopg2.Error as error:
            if self._is_loss(error):
                raise ConnectionLostError(
                    f"{doing}: the connection to Postgres at {self._place} broke; nothing since the last STATE counts: "
                    "run again once it is up"
                ) from error
            raise _refusal(doing, plan, error) from error

    def _is_loss(self, error: psycopg2.Error) -> bool:
        """Return whether another connection may carry what this one could not."""
        if self._connection.closed or isinstance(error, _LOST) or (error.pgcode or "").startswith("08"):
            return True
        # After a failover the old name may lead to a standby for a while.
        return self._confirmed > 0 and isinstance(error, errors.ReadOnlySqlTransaction)


class _RetoldError(Exception):
    """A stream's records may be what another run told before, which is to be judged before anything is written."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.stream = stream


class RetryableError(DatabaseError):
    """A deadlock or a serialization failure: the same transaction may succeed the next time."""

    def __init__(self, message: str, sqlstate: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


def _pauses() -> Iterator[float]:
    """Yield the seconds to wait before each attempt to connect again: soon, then ever less often."""
    pause = 0.05
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE)


class _Lines:
    """Text as the file that COPY reads."""

    def __init__(self, text: str) -> None:
        self._bytes = text.encode()
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        end = len(self._bytes) if size < 0 else self._at + size
        piece = self._bytes[self._at : end]
        self._at += len(piece)
        return piece

    def readline(self, size: int = -1) -> bytes:
        return self.read(size)


def place_of(dsn: str) -> str:
    """Return host, port and database of a dsn, without its password.

    Raises:
        SettingsError: it is no dsn.
    """
    try:
        parts = extensions.parse_dsn(dsn)
    except psycopg2.ProgrammingError:
        # libpq's message quotes the dsn, and with it the password.
        raise SettingsError([_NO_URL]) from None
    if not all(port.isdigit() or not port for port in parts.get("port", "").split(",")):
        # An unescaped / or @ in the password makes a host and a port of its pieces, which no message may show.
        raise SettingsError([_NO_URL])
    host = parts.get("host", "localhost")
    return f'{host}:{parts.get("port", "5432")}, database "{parts.get("dbname", parts.get("user", ""))}"'


def _to_widen(table: Table, types: Sequence[Column]) -> list[Column]:
    """Return the columns whose SCHEMA asks for a wider type, with that."""
    stored = {column.name: column.type for column in types}
    found = [
        (column.name, widened(stored[column.name], column.type)) for column in table.content if column.name in stored
    ]
    return [Column(name, type_) for name, type_ in found if type_ is not None]


def _value(cursor: extensions.cursor) -> Any:
    row = cursor.fetchone()
    assert row is not None
    return row[0]


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


_MISFITS = {
    "22P02": "is not a valid {type}",
    "22003": "is out of range for {type}",
    "22007": "is not a valid {type}",
    "22008": "is out of range for {type}",
    "22P05": "holds a NUL character, which Postgres can't store",
    "22021": "holds bytes that are no characters",
    "54000": "is larger than Postgres can hold",
}
"""What is wrong with a value, by SQLSTATE."""


def _refusal(doing: str, plan: Plan | None, error: psycopg2.Error) -> DatabaseError:
    """Return our error for Postgres's, in words that hold no value of a record."""
    state = error.pgcode or ""
    said = _without_values(error.diag.message_primary or _first_line(error))
    column = None if plan is None else _column_in(plan, error.diag.context or "")
    if column is not None:
        misfit = _MISFITS.get(state, "does not fit {type}").format(type=column.type)
        if column.name == TABLE_VERSION:
            return ValueRefusedError(f"{doing}: the `version` of a message {misfit}; correct the tap")
        return ValueRefusedError(
            f'{doing}, column "{column.name}": a value {misfit}; '
            "correct the type in the stream's SCHEMA, or convert the value in the tap or a stream map"
        )
    if plan is not None and state.startswith("22"):
        conditions = ", ".join(
            f'{rule.place} of "{rule.type}"' for rule in plan.rules if isinstance(rule.trigger, Enters | Leaves | When)
        )
        return ValueRefusedError(
            f"{doing}: a rule's condition can't be computed for a record: {said}; "
            f"guard it, for instance with nullif() or CASE: {conditions}"
        )
    if plan is not None and error.diag.column_name:
        return ValueRefusedError(
            f'{doing}, column "{error.diag.column_name}" of {plan.table.title}: {said}; '
            "the table's own constraints must allow what the stream sends"
        )
    if plan is not None and state == "54000":
        return ValueRefusedError(
            f"{doing}: a record is larger than {plan.table.title} can hold: {said}; have the tap send shorter keys, leave "
            "columns out with a stream map, or keep many short ones in one object"
        )
    if state == "53100":
        return DatabaseError(
            f"{doing}: Postgres's disk is full: {said}; make room, then run again: STATE is where it was"
        )
    if state == "55P03":
        return DatabaseError(
            f"{doing}: a lock was not granted within lock_timeout; find who holds it (pg_locks), or allow more seconds"
        )
    if state == "57014":
        return DatabaseError(
            f"{doing}: {said}; allow more seconds with statement_timeout, or make checkpoints smaller with batch_size_rows"
        )
    if plan is not None and state == "23505" and not plan.table.key:
        return TableError(
            f"{doing}: each record is to be a row of its own, but {plan.table.title} has a primary key or a unique index "
            f'("{error.diag.constraint_name}"); drop it, or load into another table'
        )
    if state == "42501":
        return DatabaseError(f"{doing}: Postgres says {said}; grant the user the right, or use another user")
    return DatabaseError(f"{doing}: Postgres refused it (SQLSTATE {state}): {said}")


def _without_values(message: str) -> str:
    """Cut what Postgres quotes behind a colon, which may be a value."""
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


def _condition_fault(table: Table, rule: Rule, text: str, error: psycopg2.Error) -> str:
    """Return what Postgres says of a condition, and where in it."""
    diag = error.diag
    said = (diag.message_primary or _first_line(error)).splitlines()[0]
    place = ""
    if diag.internal_position and diag.internal_query:
        at = condition_checks.place_of(int(diag.internal_position), diag.internal_query, text)
        if at is not None:
            place = f' at character {at} ("{" ".join(text[at - 1 : at + 19].split())}")'
    names = [column.name for column in table.content]
    hint = ""
    if isinstance(error, errors.UndefinedColumn) and (match := re.search(r'column "?(?:\w+\.)?([^"\s]+)"?', said)):
        hint = f"{nearest(match.group(1), names)}; the stream's columns are {', '.join(names)}"
    return (
        f'stream "{table.stream}", {rule.place} of the rule "{rule.type}": Postgres does not take the condition'
        f"{place}: {said}{hint}; it must be one boolean expression over the stream's columns, without subqueries"
    )
