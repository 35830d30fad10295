"""The record that a table's own constraint refuses: found by trials, each a transaction that is rolled back.

Postgres names a constraint, at best a value, and not the record. Which one it is shows by halving: of the records in
their order, so many pass, and one more doesn't. Nothing of the trials remains, so what is written in the end is one
transaction, as ever, without the records that were set aside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from target_eventgen.intake import general
from target_eventgen.model.checkpoint import Batch, Checkpoint
from target_eventgen.model.tables import Table
from target_eventgen.store.refusals import RefusedByTableError

MAX_KEY_CHARACTERS: Final = 100
"""Characters of a key's value that a message shows; of a longer one it shows how long it is."""


def without_refused(
    checkpoint: Checkpoint, error: RefusedByTableError, passes: Callable[[Checkpoint, str], bool]
) -> Checkpoint:
    """Return a checkpoint without the record that its table refuses, which goes to the dead letters.

    Args:
        checkpoint: that was refused.
        error: the refusal.
        passes: whether a stream's table takes its records of a checkpoint.

    Raises:
        RefusedByTableError: with the record's key, where there are no dead letters; or the refusal is of no record.
    """
    batch = next((each for each in checkpoint.batches if each.plan.table.stream == error.stream), None)
    if batch is None:
        raise error
    number = first_refused(batch, lambda rows: passes(with_first(checkpoint, error.stream, rows), error.stream))
    if number is None:
        raise error
    key = key_of(batch.plan.table, batch.lines, number)
    reason = f"{error}; the record is that of {key}" if key else str(error)
    if not batch.originals:
        raise RefusedByTableError(reason, error.stream) from error
    return without(checkpoint, batch, number, reason)


def first_refused(batch: Batch, passes: Callable[[int], bool]) -> int | None:
    """Return the number of the record, from 1, with which the records up to it are refused; None: it is none of them.

    Args:
        batch: of which not all records pass.
        passes: whether so many of its first records do.
    """
    low, high = 0, batch.rows
    while high - low > 1:
        middle = (low + high) // 2
        if passes(middle):
            low = middle
        else:
            high = middle
    return None if high == 0 or (low == 0 and not passes(0)) else high


def with_first(checkpoint: Checkpoint, stream: str, rows: int) -> Checkpoint:
    """Return a checkpoint with so many of a stream's records."""

    def cut(batch: Batch) -> Batch:
        if batch.plan.table.stream != stream:
            return batch
        lines = batch.lines.split("\n")[:rows]
        return replace(batch, lines="".join(f"{line}\n" for line in lines), rows=rows, originals=batch.originals[:rows])

    return replace(checkpoint, batches=tuple(map(cut, checkpoint.batches)))


def without(checkpoint: Checkpoint, batch: Batch, number: int, reason: str) -> Checkpoint:
    """Return a checkpoint in which a batch's record, by its number from 1, is among the rejected."""
    originals = list(batch.originals)
    rejected = (*batch.rejected, (reason, originals.pop(number - 1)))
    rest = replace(
        batch,
        lines=general.without_line(batch.lines, number),
        rows=batch.rows - 1,
        originals=tuple(originals),
        rejected=rejected,
    )
    return replace(checkpoint, batches=tuple(rest if each is batch else each for each in checkpoint.batches))


def key_of(table: Table, lines: str, number: int) -> str:
    """Return the key of a record, by its number from 1 among lines of COPY, as a message shows it; else nothing."""
    fields = lines.split("\n", number)[number - 1].split("\t")[2:]
    values = [fields[index] for index, column in enumerate(table.content) if column.name in table.key]
    names = [column.name for column in table.content if column.name in table.key]
    shown = [value if len(value) <= MAX_KEY_CHARACTERS else f"of {len(value)} characters" for value in values]
    return ", ".join(f"{name} {value}" for name, value in zip(names, shown, strict=True))
