"""A run taken back: its rows are as they were before it, where nothing newer has come; see `store.sql.undo`.

Theory of operation. Each piece of the run's keys is a transaction: rows are locked, those that are still as the run
left them are restored, with the events of these transitions, and their entries in `eventgen.replaced` are forgotten. So
an undo that was killed, or is repeated, goes on with what is left; entries that were refused stay.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from target_eventgen import failpoints
from target_eventgen.errors import TableError
from target_eventgen.model.plan import Plan
from target_eventgen.model.rules import Rule
from target_eventgen.model.trace import Trace
from target_eventgen.store import conditions, held, schema
from target_eventgen.store.connection import Connection
from target_eventgen.store.live import live_plan
from target_eventgen.store.postgres import BeforeCommit
from target_eventgen.store.sql import stage, undo

PIECE_ROWS: Final = 1000
"""Keys that are undone in one transaction."""


class Run(NamedTuple):
    """A run that can be undone: its number, when its first change was, how many rows it changed, of which streams."""

    number: int
    began: str
    rows: int
    streams: str


class Undone(NamedTuple):
    """What became of a piece: rows restored, rows deleted again, events by type, (key, reason) of the other rows.

    `waiting` is how many more events wait for held ones of their keys.
    """

    restored: int
    deleted: int
    events: Mapping[str, int]
    refused: Sequence[tuple[str, str]]
    waiting: int = 0


class Undo(Struct, frozen=True):
    """Takes runs back.

    Attributes:
        connection: to Postgres.
        rules: of the configuration; none: nothing is recorded.
        source: the CloudEvents source.
        hard: whether deletions take rows out of their tables.
        emits_first_load: whether a table's very first load records events.
        trace: where the trace of the events comes from.
        before_commit: publishes events within their transactions.
        place: returns schema and table that loads store a stream in; None: a stream may be stored anywhere.
    """

    connection: Connection
    rules: Sequence[Rule]
    source: str
    hard: bool = False
    emits_first_load: bool = False
    trace: Trace | None = None
    before_commit: BeforeCommit | None = None
    place: Callable[[str], tuple[str, str]] | None = None

    def runs(self) -> list[Run]:
        """Return the runs that can be undone, the oldest first."""
        with self.connection.transaction("looking for runs") as cursor:
            schema.check_own_tables(cursor)
            cursor.execute(undo.RUNS)
            return [Run(*row) for row in cursor.fetchall()]

    def runs_since(self, run: int) -> list[int]:
        """Return the later runs that have changed what is left of a run, in the order in which to undo them."""
        with self.connection.transaction("looking for later runs") as cursor:
            cursor.execute(undo.runs_since(run))
            return [number for (number,) in cursor.fetchall()]

    def take_back(self, run: int, *, writes: bool = True, piece: int = PIECE_ROWS) -> Iterator[tuple[str, Undone]]:
        """Take a run back; yield (stream, what became of a piece) of each piece.

        Args:
            run: its number.
            writes: whether the pieces are committed; else each is rolled back.
            piece: keys in a transaction.

        Raises:
            TableError: a table that the run has changed is no more, or another one is the stream's; or no load by this
                version has been here.
            RuleError: a rule that can't be followed.
        """
        with self.connection.transaction("looking for what a run has changed") as cursor:
            schema.check_own_tables(cursor)
            cursor.execute(undo.tables_of(run))
            changed = cursor.fetchall()
        # Nothing is undone of a run of which something can't be.
        plans = [
            self._plan_of(str(stream or name), str(within), str(name), int(rows))
            for within, name, stream, rows in changed
        ]
        for plan, columns in plans:
            after: str | None = None
            while True:
                work = functools.partial(self._piece, plan, columns, run, after, piece, writes=writes)
                after, undone = self.connection.repeat_until_done(work)
                if after is None or undone is None:
                    break
                yield plan.table.stream, undone

    def _plan_of(self, stream: str, table_schema: str, name: str, rows: int) -> tuple[Plan, list[str]]:
        """Return the plan of a table, and its columns that may be written."""
        if self.place is not None and (place := self.place(stream)) != (table_schema, name):
            raise TableError(
                f'stream "{stream}": the run has changed its table "{table_schema}"."{name}", but loads of this configuration '
                f'store it in "{place[0]}"."{place[1]}"; undo the run with the configuration that it had'
            )
        with self.connection.transaction(f'stream "{stream}": looking for its table') as cursor:
            table = schema.table_at(cursor, stream, table_schema, name)
            if table is None:
                raise TableError(
                    f'stream "{stream}": its table "{table_schema}"."{name}", of which the run has changed {rows} rows, is no '
                    "more; nothing of it can be restored"
                )
            rules = [rule for rule in self.rules if rule.stream == stream]
            plan, loaded = live_plan(cursor, table, rules, source=self.source, hard=self.hard, trace=self.trace)
            if not (loaded or self.emits_first_load):
                plan = replace(plan, rules=())
            conditions.check(cursor, plan.table, plan.types, plan.rules)
            cursor.execute(undo.assignable_columns(plan))
            return plan, [str(column) for (column,) in cursor.fetchall()]

    def _piece(  # noqa: PLR0913  each is a fact of the piece
        self, plan: Plan, columns: list[str], run: int, after: str | None, piece: int, *, writes: bool
    ) -> tuple[str | None, Undone | None]:
        """Undo the next keys of a run; return the last of them and what became of them, None where none is left."""
        with self.connection.transaction(f'stream "{plan.table.stream}": undoing the run {run}') as cursor:
            began = time.monotonic()
            above = 0 if self.before_commit is None else self.before_commit.begin(cursor)
            cursor.execute(undo.next_keys(plan, run, after, piece))
            cursor.execute(undo.LAST_KEY)
            found = cursor.fetchone()
            if found is None:
                return None, None
            cursor.execute(stage.create_stage(plan, {}))
            cursor.execute(undo.stage_keys(plan))
            failpoints.reach(failpoints.AFTER_STAGING)
            cursor.execute(undo.lock_rows(plan))
            failpoints.reach(failpoints.AFTER_LOCK)
            cursor.execute(undo.judge(plan, run))
            cursor.execute(undo.restore_absent(plan, columns))
            recorded: Mapping[str, int] = {}
            waits: Mapping[str, Sequence[int]] = {}
            if plan.rules:
                cursor.execute(undo.record(held.behind(cursor, replace(plan, run=run))))
                recorded, waits = cursor.fetchone() or ({}, {})
            cursor.execute(undo.restore(plan, columns))
            cursor.execute(undo.delete(plan))
            cursor.execute(undo.settle(plan, run))
            failpoints.reach(failpoints.AFTER_EVENTS)
            cursor.execute(undo.RESULT)
            restored, deleted, refused = cursor.fetchone() or (0, 0, [])
            if not writes:
                cursor.connection.rollback()
            elif self.before_commit is not None and recorded:
                self.before_commit.publish(cursor, above, began)
            failpoints.reach(failpoints.BEFORE_COMMIT)
        named = [(", ".join(map(str, key)), reason) for key, reason in refused]
        waiting = sum(number for _, number in waits.values())
        return str(found[0]), Undone(restored, deleted, recorded, named, waiting)
