"""A load into the real tables of which nothing remains: all of it is one transaction, which is rolled back.

Theory of operation. A `Trial` is a `Postgres` whose connection begins no second transaction and never commits. What it
has locked and altered stays so until its end, so a trial ends with an error where that takes too long. Sequences alone
don't go back; a load that is rolled back leaves such gaps, too.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, TypeVar

import psycopg2
from psycopg2 import extensions, sql

from target_eventgen.errors import DatabaseError
from target_eventgen.model.checkpoint import Batch, Checkpoint, Outcome
from target_eventgen.model.guard import Guard
from target_eventgen.model.plan import Plan
from target_eventgen.model.rules import Rule
from target_eventgen.model.tables import Table
from target_eventgen.store import catalog
from target_eventgen.store.connection import Connection, single_value
from target_eventgen.store.keyed_writer import Written
from target_eventgen.store.postgres import Postgres
from target_eventgen.store.sql import trials
from target_eventgen.store.staging import NarrowColumnsError

LOCK_SECONDS: Final = 5
"""How long a trial waits for a lock where the settings don't say."""

T = TypeVar("T")


class Fired(NamedTuple):
    """What a trial would record of a type: how many events, and the subject of the first."""

    stream: str
    type: str
    events: int
    example: str


class TrialConnection(Connection):
    """A connection with a single transaction, in which all that asks for one works."""

    def __init__(self, dsn: str, *, lock_timeout: float | None, max_seconds: float) -> None:
        """Connect.

        Args:
            dsn: a postgresql:// URL or libpq's `name=value` form.
            lock_timeout: seconds that a statement may wait for a lock; None: a few.
            max_seconds: seconds that the transaction may take.
        """
        super().__init__(dsn, lock_timeout=LOCK_SECONDS if lock_timeout is None else lock_timeout)
        self._max_seconds = max_seconds
        self._began: float | None = None

    @contextlib.contextmanager
    def transaction(self, doing: str, *, lock_timeout: float | None = None) -> Iterator[extensions.cursor]:
        """Go on with the transaction."""
        self._began = time.monotonic() if self._began is None else self._began
        left = self._began + self._max_seconds - time.monotonic()
        if left <= 0:
            raise DatabaseError(
                f"{doing}: the trial has held its locks for {self._max_seconds:g} seconds and is rolled back; try a smaller "
                "input, or allow more with --max-seconds"
            )
        self._statement_timeout = sql.Literal(max(1, round(left * 1000)))
        with self.translating_errors(doing), self._connection.cursor() as cursor:
            cursor.execute(self._local_settings(self._lock_timeout if lock_timeout is None else lock_timeout))
            yield cursor

    def alter(self, doing: str, work: Callable[[extensions.cursor], T], relation: str | None = None) -> T:  # noqa: ARG002  the form of what it overrides
        """Do in the transaction what may alter tables.

        A savepoint around it ends those that are left in it, and rows that are stored anew in it have another
        transaction's number than those that a checkpoint claims.
        """
        with self.transaction(doing) as cursor:
            cursor.execute("SAVEPOINT eventgen_trial")
            done = work(cursor)
            cursor.execute("RELEASE SAVEPOINT eventgen_trial")
            return done

    def repeat_until_done(self, work: Callable[[], T]) -> T:
        """Do something once: what it would be repeated after has ended the transaction."""
        return work()


class Trial(Postgres):
    """The database that streams are stored in, until the trial is over.

    Attributes:
        fired: what the trial would have recorded, once it is closed.
        suppressed: streams whose first load records no events.
    """

    def __init__(self, dsn: str, run: int, connection: TrialConnection) -> None:
        """Begin the transaction.

        Args:
            dsn: that the connection is made to.
            run: a number that no run of the target has.
            connection: without a transaction.
        """
        super().__init__(dsn, run, connection=connection)
        self.fired: list[Fired] = []
        self.suppressed: set[str] = set()
        self._written: dict[str, Written] = {}
        with connection.transaction("the begin of a trial") as cursor:
            cursor.execute(trials.BEGIN)
            self._above = int(single_value(cursor))

    def prepare(  # noqa: PLR0913  the form of what it overrides
        self,
        table: Table,
        rules: tuple[Rule, ...],
        *,
        source: str,
        emit_first_load: bool,
        guards: Sequence[Guard] = (),  # noqa: ARG002  a trial shows what fires, whatever would be held of it
        hard: bool = False,
        overwrite: bool = False,
    ) -> Plan:
        """Bring a stream's table up to its SCHEMA, until the trial is over; see `Postgres.prepare`."""
        plan = super().prepare(
            table, rules, source=source, emit_first_load=emit_first_load, hard=hard, overwrite=overwrite
        )
        # One pass can't be told what this transaction has written before.
        self._keyed.two_pass_streams.add(table.stream)
        if rules and not plan.rules:
            self.suppressed.add(table.stream)
        return plan

    def close(self) -> None:
        """Find out what would have been recorded, roll everything back, and close the connection."""
        with (
            contextlib.suppress(DatabaseError, psycopg2.Error),
            self._connection.transaction("the end of a trial") as cursor,
        ):
            cursor.execute(trials.events_above(self._above))
            self.fired = [Fired(*row) for row in cursor.fetchall()]
        super().close()

    def forget(self) -> None:
        """Leave all as it is: it is rolled back."""

    def _move_released(self) -> None:
        """Leave released events where they are: no rule of the trial has fired them."""

    def _commit_either_way(self, checkpoint: Checkpoint) -> tuple[Outcome, ...]:
        """Write a checkpoint; go on after its columns are widened, where that is needed."""
        while True:
            try:
                with self._connection.transaction("a checkpoint") as cursor:
                    cursor.execute(catalog.count_checkpoint(self._run, 1))
                    outcomes = self._write_all(cursor, checkpoint)
                    if checkpoint.loaded:
                        cursor.execute(catalog.end_first_load(checkpoint.loaded))
            except NarrowColumnsError as error:
                self._widen(error)
            else:
                self._written.clear()
                return outcomes

    def _write(self, cursor: extensions.cursor, batch: Batch) -> Written:
        """Write a batch, unless it was written before columns of another one had to be widened."""
        stream = batch.plan.table.stream
        if stream not in self._written:
            cursor.execute(trials.drop_stage(batch.plan))
            self._written[stream] = super()._write(cursor, batch)
        return self._written[stream]

    def _take_out(self, cursor: extensions.cursor, batch: Batch, written: Written) -> Outcome:
        """Take rows out, and mark those that stay as rows that were there."""
        outcome = super()._take_out(cursor, batch, written)
        cursor.execute(trials.stage_exists(batch.plan))
        if batch.plan.table.key and single_value(cursor):
            cursor.execute(trials.mark_as_there(batch.plan))
        return outcome
