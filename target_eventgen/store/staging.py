"""The stage of a batch, filled and completed before its versions are compared with the rows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import psycopg2
from psycopg2 import errors, extensions

from target_eventgen.errors import DatabaseError, ValueRefusedError
from target_eventgen.intake import general
from target_eventgen.model.arrival import arrivals, wide_enough
from target_eventgen.model.checkpoint import Batch
from target_eventgen.model.plan import Plan
from target_eventgen.model.tables import DELETED_AT, Column
from target_eventgen.store import replays as store_replays
from target_eventgen.store.connection import single_value
from target_eventgen.store.culprits import key_of
from target_eventgen.store.refusals import refusal
from target_eventgen.store.sql import arrival, deletions, invalid_records, replays, stage, two_pass

REFUSED_BY_COPY: Final = (errors.DataError, errors.IntegrityError, errors.ProgramLimitExceeded)
"""Errors by which COPY refuses a line."""

COPY_BYTES: Final = 4 * 1024 * 1024
"""Bytes that are handed to COPY at once. Each piece waits for its turn to run Python, while lines are being decoded."""


class NarrowColumnsError(Exception):
    """Columns would change values that have come.

    Attributes:
        plan: of the stream.
        columns: each of them as it is, and as it must be.
    """

    def __init__(self, plan: Plan, columns: tuple[tuple[Column, Column], ...]) -> None:
        super().__init__(plan.table.stream)
        self.plan = plan
        self.columns = columns


def fill_stage(cursor: extensions.cursor, batch: Batch) -> int:
    """Stage the records of a batch, or the deletions or parked records that it stands for.

    Returns how many records went to the dead letters.

    Raises:
        NarrowColumnsError: columns must be widened first, so that no value is changed.
    """
    plan, rejected = batch.plan, batch.rejected
    arriving = arrivals(plan, batch.loose) if batch.rows else {}
    cursor.execute(stage.create_stage(plan, arriving))
    if batch.constants:
        cursor.execute(stage.constants(plan, batch.constants))
    if batch.originals:
        rejected += _copy_what_fits(cursor, batch)
    elif batch.judges_parked:
        cursor.execute(replays.judge_parked(plan))
    elif batch.activated is None:
        try:
            cursor.copy_expert(stage.copy(plan), _Lines(batch.lines), COPY_BYTES)
        except REFUSED_BY_COPY as error:
            refused = _refused_record(batch, batch.lines, error)
            # What a table refuses is found, and named, by trials (see `culprits`).
            if type(refused) is not ValueRefusedError:
                raise
            raise refused from error
    else:
        cursor.execute(deletions.stage_deletions(plan, batch.activated))
    if arriving:
        _settle(cursor, plan, arriving)
    for reason, record in rejected:
        cursor.execute(invalid_records.add(plan, reason, record))
    return len(rejected)


def _settle(cursor: extensions.cursor, plan: Plan, arriving: Mapping[str, str]) -> None:
    """Bring staged values into the types of their columns.

    Raises:
        NarrowColumnsError: columns would change some of them.
    """
    question = arrival.misfits(plan, arriving)
    if question is not None:
        cursor.execute(question)
        if names := single_value(cursor):
            raise NarrowColumnsError(
                plan,
                tuple(
                    (column, Column(column.name, wide_enough(column, arriving[column.name])))
                    for column in plan.types
                    if column.name in names
                ),
            )
    cursor.execute(arrival.settle(plan, arriving))


def _copy_what_fits(cursor: extensions.cursor, batch: Batch) -> tuple[tuple[str, str], ...]:
    """Stage the records whose values fit their columns; return (reason, record) of the others.

    Postgres names one line at a time. A savepoint keeps what came before the COPY, and nothing but the staging table
    is written within it.
    """
    lines, originals = batch.lines, list(batch.originals)
    rejected: list[tuple[str, str]] = []
    while True:
        cursor.execute("SAVEPOINT eventgen_copy")
        try:
            cursor.copy_expert(stage.copy(batch.plan), _Lines(lines), COPY_BYTES)
        except REFUSED_BY_COPY as error:
            if (number := _line_of(error)) is None:
                raise
            reason = str(_refused_record(batch, lines, error))
            rejected.append((reason, originals.pop(number - 1)))
            lines = general.without_line(lines, number)
            # Both, since a savepoint outlives the return to it, and rows written within one have its transaction id.
            cursor.execute("ROLLBACK TO SAVEPOINT eventgen_copy; RELEASE SAVEPOINT eventgen_copy")
        else:
            cursor.execute("RELEASE SAVEPOINT eventgen_copy")
            return tuple(rejected)


def _line_of(error: psycopg2.Error) -> int | None:
    """Return the number, from 1, of the line that COPY refuses; None where it refuses none."""
    match = re.search(r"^COPY \S+, line (\d+)", error.diag.context or "", flags=re.MULTILINE)
    return None if match is None else int(match.group(1))


def _refused_record(batch: Batch, lines: str, error: psycopg2.Error) -> DatabaseError:
    """Return the error for what COPY refuses, with the key of its record: nothing else finds the record."""
    plan, number = batch.plan, _line_of(error)
    stream = f'stream "{plan.table.stream}"'
    # The line is that of a whole piece, and may be none, where a row is too large for the stage.
    known = number is not None and number <= lines.count("\n")
    key = key_of(plan.table, lines, number) if known and number is not None else ""
    if key and re.search(rf"^COPY \S+, line \d+, column {DELETED_AT}: ", error.diag.context or "", flags=re.MULTILINE):
        return ValueRefusedError(
            f"{stream}, the deletion of the key ({key}): its {DELETED_AT} is not an instant that Postgres reads; correct it in "
            "the tap or a stream map, or set on_invalid_record to dead_letter"
        )
    refused = refusal(stream, plan, error)
    return (
        ValueRefusedError(f"{refused}; the record is that of {key}")
        if key and type(refused) is ValueRefusedError
        else refused
    )


def complete_stage(
    cursor: extensions.cursor, batch: Batch, shape: dict[str, Any], *, restored: bool
) -> tuple[dict[str, Any], list[int]]:
    """Fill absent properties, and skip or park the staged records that repeat, or may repeat, those of another run.

    Args:
        cursor: of a transaction in which the keys of the batch are claimed.
        batch: what was staged.
        shape: arguments of `two_pass.record` for it.
        restored: whether rows came back from tombstones.

    Returns the shape of what is left in the stage, and the numbers of the records whose rows' instant histories have
    been checked as far as this run goes.
    """
    plan = batch.plan
    cursor.execute(replays.replay_detected(plan))
    replayed, parked, _ = cursor.fetchone() or (False, False, None)
    if replayed or restored:
        cursor.execute(replays.remembers(plan))
        replayed = single_value(cursor)
    if not (replayed or parked or batch.judges_parked):
        if batch.sparse and not batch.single:
            cursor.execute(two_pass.fill(plan, sparse=batch.sparse, unversioned=batch.unversioned))
        return shape, []
    if batch.single:
        cursor.execute(stage.force_index_lookups(by_key=False))
        cursor.execute(stage.analyze(plan))
    if parked:
        cursor.execute(replays.number_after_parked(plan))
        cursor.execute(replays.unpark(plan))
    cursor.execute(replays.gaps(plan))
    sparse = tuple(index for (index,) in cursor.fetchall())
    if sparse:
        cursor.execute(two_pass.fill(plan, sparse=sparse, unversioned=True))
    cursor.execute(replays.repeated(plan, sparse=sparse))
    repeated: list[int] = []
    parking: list[int] = []
    checked: list[int] = []
    for history, numbers, hashes, of_instant in cursor.fetchall():
        count = of_instant.index(False) if False in of_instant else len(of_instant)
        verdict = store_replays.judge(history, hashes[:count], ended=batch.judges_parked or count < len(of_instant))
        repeated += numbers[: verdict.repeated]
        (parking if verdict.parked else checked).extend(numbers)
    if parking:
        cursor.execute(replays.park(plan, parking))
    if parking or repeated:
        cursor.execute(replays.skip(plan, parking + repeated))
    return {"sparse": sparse, "unversioned": True, "single": False}, checked


class _Lines:
    """Text as the file that COPY reads."""

    def __init__(self, text: str) -> None:
        self._bytes = text.encode()
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        end = len(self._bytes) if size < 0 else self._position + size
        piece = self._bytes[self._position : end]
        self._position += len(piece)
        return piece

    def readline(self, size: int = -1) -> bytes:
        return self.read(size)
