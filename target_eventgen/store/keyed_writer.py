"""How the staged records of a stream with a key are written: in one pass over its table, or in two.

One pass is the faster way, for records that each have a key and a version of their own; it can't judge what may repeat
another run's records, which it notices before anything is written.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from msgspec import Struct, field
from msgspec.structs import replace
from psycopg2 import extensions

from target_eventgen import failpoints
from target_eventgen.model import versions
from target_eventgen.model.checkpoint import Batch, Outcome
from target_eventgen.model.plan import Plan
from target_eventgen.store import staging
from target_eventgen.store.connection import Connection, single_value
from target_eventgen.store.held import behind
from target_eventgen.store.sql import added_columns, deletions, replaced, replays, single_pass, stage, two_pass

MIN_UPSERT_SERVER_VERSION: Final = 180000
"""libpq's number of the oldest Postgres whose RETURNING gives the row before."""


class ReplayDetectedError(Exception):
    """A stream's records may repeat another run's, or their events follow held ones, which is to be known first."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.stream = stream


class Written(NamedTuple):
    """What became of a batch whose rows may have to be taken out of their table yet, once all batches are written.

    Attributes:
        outcome: as if no row were taken out.
        may_be_gone: whether some row is one that a deletion leaves.
        keeps: whether what is kept of the rows before is to be settled.
    """

    outcome: Outcome
    may_be_gone: bool = False
    keeps: bool = False


class KeyedWriter(Struct):
    """Writes the rows of streams with keys, and learns which way suits each of them.

    Attributes:
        connection: to Postgres, which may come back as another version.
        two_pass_streams: those that may be replays, and need two passes.
        mostly_unchanged: those most of whose records changed nothing in the last batch.
    """

    connection: Connection
    two_pass_streams: set[str] = field(default_factory=set)
    mostly_unchanged: set[str] = field(default_factory=set)

    def _may_upsert(self, batch: Batch) -> bool:
        """Return whether each staged record has a key and a version of its own, and mentions all there is to say."""
        plan = batch.plan
        is_plain = batch.single and not (
            batch.unversioned or batch.sparse or batch.deletes or batch.judges_parked or batch.has_table_version
        )
        return (
            is_plain
            and self.connection.server_version >= MIN_UPSERT_SERVER_VERSION
            and plan.undo_days is None
            and plan.table.stream not in self.two_pass_streams
            and single_pass.upsertable(plan)
        )

    def _upsert(self, cursor: extensions.cursor, batch: Batch, rejected: int) -> Outcome:
        """Write what may be written in one pass.

        Raises:
            ReplayDetectedError: records may repeat those of another run, or their keys have held events, so that the
            transaction must be done in two passes.
        """
        plan, began = batch.plan, time.monotonic()
        cursor.execute(single_pass.upsert(plan, skip_unchanged=plan.table.stream in self.mostly_unchanged))
        created, updated, fired, types, held = cursor.fetchone() or (0, 0, 0, {}, {})
        # What comes next is most often like what came last: a replay is not over at once.
        unchanged = 2 * (created + updated) < batch.rows
        (self.mostly_unchanged.add if unchanged else self.mostly_unchanged.discard)(plan.table.stream)
        locked = time.monotonic() - began
        failpoints.reach(failpoints.AFTER_LOCK)
        cursor.execute(single_pass.overtaken(plan))
        replayed, parked, held_by_others, stale, *_ = cursor.fetchone() or (False, False, False, False)
        if replayed or parked or held_by_others:
            raise ReplayDetectedError(plan.table.stream)
        old, key = 0, None
        if stale:
            cursor.execute(single_pass.older(plan))
            old, key = cursor.fetchone() or (0, None)
            self._keep_stale(cursor, plan, locked=False)
        failpoints.reach(failpoints.AFTER_EVENTS)
        written = Outcome(created, updated, old, fired, 0, rejected, lock_seconds=locked, stale_key=key)
        return _with_events(written, types, held)

    def _keep_stale(self, cursor: extensions.cursor, plan: Plan, *, locked: bool) -> None:
        """Keep the records that are older than their rows, where the stream says so; see `two_pass.keep_stale`."""
        if plan.version is not None and plan.table.stale == versions.KEEP:
            reason = (
                f'stream "{plan.table.stream}": a record is older than its row, by its replication key, and `stale` is '
                "keep; load it with stale set to apply, if it is the truth"
            )
            cursor.execute(two_pass.keep_stale(plan, reason, locked=locked))

    def write(self, cursor: extensions.cursor, batch: Batch, rejected: int) -> Written:
        """Write a batch's staged records, of which so many were rejected; return what became of them.

        Rows that are gone are left in the table: `take_out` follows, and `settle`.

        Raises:
            ReplayDetectedError: see `_upsert`.
        """
        plan = batch.plan
        if self._may_upsert(batch):
            return Written(self._upsert(cursor, batch, rejected))
        cursor.execute(stage.force_index_lookups(by_key=batch.single))
        if not batch.single:
            cursor.execute(stage.analyze(plan))
        shape: dict[str, Any] = {"sparse": batch.sparse, "unversioned": batch.unversioned, "single": batch.single}
        began = time.monotonic()
        cursor.execute(two_pass.claim(plan, unversioned=batch.unversioned, single=batch.single))
        locked = time.monotonic() - began
        created, restored = cursor.rowcount, 0
        if plan.undo_days is not None:
            cursor.execute(replaced.keep(plan))
        if plan.hard:
            cursor.execute(deletions.restore_tombstoned(plan))
            restored = cursor.rowcount
            created -= restored
        if plan.generation:
            cursor.execute(added_columns.backfill_new_columns(plan))
        failpoints.reach(failpoints.AFTER_LOCK)
        goes_on = batch.deletes or batch.judges_parked or plan.undo_days is not None
        if created == batch.rows and not plan.rules and not goes_on:
            return Written(Outcome(created, 0, 0, 0, 0, rejected, lock_seconds=locked))
        shape, checked = staging.complete_stage(cursor, batch, shape, restored=restored > 0)
        self._keep_stale(cursor, plan, locked=True)
        cursor.execute(two_pass.record(plan, **shape, may_hold=behind(cursor, plan).may_hold))
        row = cursor.fetchone()
        assert row is not None
        updated, fired, types, held, stale, key = row
        if checked:
            cursor.execute(replays.mark_history_checked(plan, checked))
        if plan.generation:
            cursor.execute(added_columns.mark_backfilled(plan))
        if batch.has_table_version:
            cursor.execute(deletions.stamp_table_version(plan))
        failpoints.reach(failpoints.AFTER_EVENTS)
        outcome = Outcome(created, updated, stale, fired, 0, rejected, lock_seconds=locked, stale_key=key)
        may_be_gone = batch.deletes or restored > 0 or (batch.judges_parked and plan.deletable)
        return Written(_with_events(outcome, types, held), may_be_gone, keeps=plan.undo_days is not None)

    @staticmethod
    def take_out(cursor: extensions.cursor, batch: Batch, written: Written) -> Outcome:
        """Take the rows that are gone out of their table, where deletions do so; return what became of the batch."""
        if not written.may_be_gone:
            return written.outcome
        plan = batch.plan
        cursor.execute(stage.force_index_lookups(by_key=batch.single))
        cursor.execute(
            deletions.delete_gone_rows(plan, hard=plan.hard, keep_tombstones=plan.hard and batch.activated is None)
        )
        return replace(written.outcome, created=written.outcome.created - single_value(cursor))

    @staticmethod
    def settle(cursor: extensions.cursor, batch: Batch, written: Written) -> None:
        """Settle what is kept of the rows before, once no batch takes out rows any more."""
        if written.keeps:
            cursor.execute(replaced.settle(batch.plan))


def _with_events(outcome: Outcome, types: Mapping[str, int], held: Mapping[str, Sequence[int]]) -> Outcome:
    """Return an outcome with its events: recorded ones, and (held, waiting) ones, by type."""
    return replace(
        outcome,
        recorded=sum(types.values()),
        types=types,
        held={type_: number for type_, (number, _) in held.items() if number},
        waiting=sum(number for _, number in held.values()),
    )
