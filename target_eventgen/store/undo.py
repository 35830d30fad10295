"""A run taken back: its rows are as they were before it, where nothing newer has come; see `store.sql.undo`.

Theory of operation. Each piece of the run's keys is a transaction: rows are locked, those that are still as the run
left them are restored, with the events of these transitions, and their entries in `eventgen.replaced` are forgotten. So
an undo that was killed, or is repeated, goes on with what is left; entries that were refused stay.

The order of the pieces is that of foreign keys (`model.foreign_keys.phases`): rows come back after what they refer to,
and go before it. What a foreign key forbids, then, is forbidden by rows that the undo leaves alone: it is looked for
before anything is written (`store.sql.references`), and refused by key.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace
from psycopg2 import errors, extensions

from target_eventgen import failpoints
from target_eventgen.errors import TableError
from target_eventgen.model.foreign_keys import ForeignKey, Phase, Place, phases
from target_eventgen.model.plan import Plan
from target_eventgen.model.rules import Rule
from target_eventgen.model.trace import Trace
from target_eventgen.store import conditions, held, schema
from target_eventgen.store.connection import Connection
from target_eventgen.store.live import STAGE, live_plan
from target_eventgen.store.postgres import BeforeCommit
from target_eventgen.store.refusals import message_of
from target_eventgen.store.sql import references, stage, tables, undo

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


class _Changed(Struct, frozen=True):
    """A table that a run has changed.

    Attributes:
        plan: of its stream.
        columns: those that may be written.
        place: where it is among foreign keys.
        keys: the foreign keys to and from it.
    """

    plan: Plan
    columns: Sequence[str]
    place: Place
    keys: Sequence[ForeignKey]


class _Piece(NamedTuple):
    """Which keys of a run are undone in one transaction: of these tables, from the key after `after` on, so many."""

    run: int
    tables: Sequence[_Changed]
    phase: Phase
    after: str | None
    rows: int | None

    @property
    def doing(self) -> str:
        """What its transaction does, as messages name it."""
        names = ", ".join(f'"{changed.plan.table.stream}"' for changed in self.tables)
        return f"stream{'s' if len(self.tables) > 1 else ''} {names}: undoing the run {self.run}"


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
            piece: keys in a transaction, but of tables that refer to one another in a circle.

        Raises:
            TableError: a table that the run has changed is no more, or another one is the stream's; or no load by this
                version has been here; or a foreign key forbids what nothing was found to forbid.
            RuleError: a rule that can't be followed.
        """
        with self.connection.transaction("looking for what a run has changed") as cursor:
            schema.check_own_tables(cursor)
            cursor.execute(undo.tables_of(run))
            changed = cursor.fetchall()
        # Nothing is undone of a run of which something can't be.
        found = [
            self._changed(str(stream or name), str(within), str(name), int(rows), number)
            for number, (within, name, stream, rows) in enumerate(changed)
        ]
        for phase in phases([each.place for each in found], writes=writes):
            asked = _Piece(run, [found[number] for number in phase.tables], phase, None, None if phase.whole else piece)
            while True:
                last, undone = self.connection.repeat_until_done(functools.partial(self._piece, asked, writes=writes))
                yield from undone
                if last is None or phase.whole:
                    break
                asked = asked._replace(after=last)

    def _changed(self, stream: str, table_schema: str, name: str, rows: int, number: int) -> _Changed:
        """Return what is to be known of a table, whose temporary tables are named by a number."""
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
            plan = replace(plan, stage=f"{STAGE}_{number}")
            cursor.execute(undo.assignable_columns(plan))
            columns = [str(column) for (column,) in cursor.fetchall()]
            cursor.execute(tables.foreign_keys(plan.table))
            keys = [
                ForeignKey(key, (a, b), tuple(names), (c, d), tuple(equal))
                for key, a, b, names, c, d, equal in cursor.fetchall()
            ]
            return _Changed(plan, columns, schema.place_of(cursor, plan.table), keys)

    def _piece(self, piece: _Piece, *, writes: bool) -> tuple[str | None, list[tuple[str, Undone]]]:
        """Undo a piece; return its last key, None where it has none, and (stream, what became of it) of each table."""
        with self.connection.transaction(piece.doing) as cursor, _naming_keys(piece.doing):
            began = time.monotonic()
            above = 0 if self.before_commit is None else self.before_commit.begin(cursor)
            cursor.execute(stage.DEFER_CONSTRAINTS)
            last, chosen = None, []
            for changed in piece.tables:
                if (key := _choose(cursor, changed.plan, piece)) is not None:
                    last = key
                    chosen.append(changed)
            if not chosen:
                return None, []
            failpoints.reach(failpoints.AFTER_STAGING)
            for changed in chosen:
                cursor.execute(undo.lock_rows(changed.plan))
            failpoints.reach(failpoints.AFTER_LOCK)
            for changed in chosen:
                cursor.execute(undo.judge(changed.plan, piece.run))
                if piece.phase.whole:
                    cursor.execute(undo.analyze(changed.plan))
            _refuse_by_references(cursor, chosen)
            told = self._write(cursor, chosen, piece.run)
            cursor.execute(stage.CHECK_CONSTRAINTS)
            failpoints.reach(failpoints.AFTER_EVENTS)
            undone = [
                (each.plan.table.stream, _undone(cursor, each.plan, *told[each.plan.table.quoted])) for each in chosen
            ]
            if not writes:
                cursor.connection.rollback()
            elif self.before_commit is not None and any(recorded for recorded, _ in told.values()):
                self.before_commit.publish(cursor, above, began)
            failpoints.reach(failpoints.BEFORE_COMMIT)
        return last, undone

    def _write(
        self, cursor: extensions.cursor, chosen: Sequence[_Changed], run: int
    ) -> dict[str, tuple[Mapping[str, int], Mapping[str, Sequence[int]]]]:
        """Restore and delete what isn't refused; return events and (held, waiting) ones by type, by table."""
        told: dict[str, tuple[Mapping[str, int], Mapping[str, Sequence[int]]]] = {}
        cursor.execute(undo.at_once(undo.restore_absent(each.plan, each.columns) for each in chosen))
        for each in chosen:
            cursor.execute(undo.settle_absent(each.plan))
        for each in chosen:
            told[each.plan.table.quoted] = ({}, {})
            if each.plan.rules:
                cursor.execute(undo.record(held.behind(cursor, replace(each.plan, run=run))))
                told[each.plan.table.quoted] = cursor.fetchone() or ({}, {})
            cursor.execute(undo.restore(each.plan, each.columns))
        cursor.execute(undo.at_once(undo.delete(each.plan) for each in chosen))
        for each in chosen:
            cursor.execute(undo.settle(each.plan, run))
        return told


def _choose(cursor: extensions.cursor, plan: Plan, piece: _Piece) -> str | None:
    """Choose and stage the keys of a table that a piece has; return the last of them, None where there is none."""
    cursor.execute(undo.next_keys(plan, piece.run, piece.phase, piece.after, piece.rows))
    cursor.execute(undo.last_key(plan))
    found = cursor.fetchone()
    if found is None:
        return None
    cursor.execute(stage.create_stage(plan, {}))
    cursor.execute(undo.stage_keys(plan))
    return str(found[0])


def _refuse_by_references(cursor: extensions.cursor, chosen: Sequence[_Changed]) -> None:
    """Refuse the keys that foreign keys forbid to undo, until none is found any more."""
    plans = {(each.plan.table.schema, each.plan.table.name): each.plan for each in chosen}
    questions = []
    for each in chosen:
        place = (each.plan.table.schema, each.plan.table.name)
        for key in each.keys:
            if key.referring == place:
                questions.append(references.refuse_dangling(each.plan, key, plans.get(key.referred)))
            if key.referred == place and undo.takes_out(each.plan):
                questions.append(references.refuse_referred(each.plan, key, plans.get(key.referring)))
    refuses = bool(questions)
    while refuses:
        refuses = False
        for question in questions:
            cursor.execute(question)
            refuses |= cursor.rowcount > 0


def _undone(
    cursor: extensions.cursor, plan: Plan, recorded: Mapping[str, int], waits: Mapping[str, Sequence[int]]
) -> Undone:
    """Return what became of the keys of a piece that are of one table."""
    cursor.execute(undo.result(plan))
    restored, deleted, refused = cursor.fetchone() or (0, 0, [])
    named = [(", ".join(map(str, key)), reason) for key, reason in refused]
    return Undone(restored, deleted, recorded, named, sum(number for _, number in waits.values()))


@contextlib.contextmanager
def _naming_keys(doing: str) -> Iterator[None]:
    """Raise in words of ours what a foreign key forbids though nothing was found that it would forbid.

    Raises:
        TableError: it names the foreign key.
    """
    try:
        yield
    except (errors.ForeignKeyViolation, errors.RestrictViolation) as error:
        raise TableError(
            f"{doing}: {message_of(error)}; make the constraint DEFERRABLE, so that it is checked once the rows at both its "
            "ends are undone, let the user read both tables (SELECT), so that the rows which it forbids to undo are "
            "found and left as they are, or drop it meanwhile"
        ) from error
