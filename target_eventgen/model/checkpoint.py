"""What is committed together: every record of every stream since the checkpoint before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct, field

from target_eventgen.model.plan import Plan
from target_eventgen.model.tables import Table


class Batch(Struct, frozen=True):
    """The records of one stream, as COPY lines.

    Attributes:
        plan: of the stream.
        lines: COPY text, one line a record, in order of arrival.
        rows: how many.
        sparse: indexes of the content columns that some record doesn't mention, ascending.
        unversioned: whether some record has no version, though its stream has a replication key.
        single: whether each record is known to have a key of its own, which makes for a far simpler statement.
        deletes: whether some record is a deletion.
        has_table_version: whether some record came with a version of its whole table.
        activated: the table version of which all rows have come, so that those of older ones are deleted; such a batch
            has no records.
        judges_parked: whether nothing more is to come of the stream, so that parked records are judged; such a batch
            has no records either.
        repeated: how many records more were left out, each with the content of another of the same key in this batch.
        originals: the records as JSON, where those that Postgres refuses go to eventgen.invalid_records; else none.
        rejected: (reason, record as JSON) of those that the SCHEMA doesn't allow and that go there.
        loose: columns of dates and times in which some value may be more than that, and would be cut.
        constants: (column, text) of what the lines leave out, since it is the same for all of them.
    """

    plan: Plan
    lines: str
    rows: int
    sparse: tuple[int, ...] = ()
    unversioned: bool = False
    single: bool = False
    deletes: bool = False
    has_table_version: bool = False
    activated: int | None = None
    judges_parked: bool = False
    repeated: int = 0
    originals: tuple[str, ...] = ()
    rejected: tuple[tuple[str, str], ...] = ()
    constants: tuple[tuple[str, str], ...] = ()
    loose: frozenset[str] = frozenset()


def activation(plan: Plan, version: int) -> Batch:
    """Return the batch without records that deletes the rows of a table's older versions."""
    absent = (index for index, column in enumerate(plan.table.content) if column.name not in plan.table.key)
    return Batch(plan, "", 0, tuple(absent), unversioned=True, deletes=True, activated=version)


class Activations:
    """The table versions that are complete, and that are to be activated once nothing refers to what is deleted then.

    Theory of operation. Where deletions take rows out, rows that rows of other tables refer to can go in one
    transaction with those, or after them. A tap reads what is referred to first, mostly, and completes its version
    first. So an activation waits for the tables that refer to its own, each of which is to be activated in this run,
    or has been; and for no longer than the input lasts. A STATE that came after it must wait, too: it would tell the
    tap that nothing of the stream is left to do.
    """

    def __init__(self) -> None:
        """Know of none yet."""
        self._wanted: dict[str, int] = {}
        self._done: set[str] = set()
        self._state: Any = None
        self.state: Any = None
        """The last STATE that may leave once all before it is committed; None where there is none."""

    def __bool__(self) -> bool:
        """Return whether an activation waits."""
        return bool(self._wanted)

    def keep_state(self, value: Any) -> None:
        """Keep a STATE, which may leave where no activation waits."""
        self._state = value
        if not self._wanted:
            self.state = value

    def add(self, versions: Mapping[str, int]) -> None:
        """Have the versions of these streams' tables activated; a later one of a stream replaces the earlier."""
        self._wanted |= versions

    def release(self, plans: Iterable[Plan], *, everything: bool = False) -> tuple[Batch, ...]:
        """Return the activations to be committed now, in one transaction; they wait no longer.

        Args:
            plans: of all streams that have come.
            everything: whether no other ones can come.
        """
        chosen = {plan.table.stream: plan for plan in plans if plan.table.stream in self._wanted}
        while not everything:
            known = self._done | {plan.table.quoted for plan in chosen.values()}
            early = [stream for stream, plan in chosen.items() if not plan.referring <= known]
            if not early:
                break
            for stream in early:
                del chosen[stream]
        self._done |= {plan.table.quoted for plan in chosen.values()}
        batches = tuple(activation(plan, self._wanted.pop(stream)) for stream, plan in chosen.items())
        self.keep_state(self._state)
        return batches


def judgement_of_parked(plan: Plan) -> Batch:
    """Return the batch without records that has parked records judged, at the end of the input."""
    return Batch(plan, "", 0, unversioned=True, judges_parked=True)


class Checkpoint(Struct, frozen=True):
    """One transaction, and the STATE that may leave once it is committed.

    Attributes:
        batches: at most one a stream.
        state: a STATE line's value as JSON, None where no STATE is to be written.
        loaded: tables whose first load ends with this checkpoint.
    """

    batches: tuple[Batch, ...]
    state: str | None = None
    loaded: tuple[Table, ...] = ()


class Outcome(Struct, frozen=True):
    """What became of one batch: numbers of rows and events.

    Attributes:
        created: rows that were not there before.
        updated: rows that got other content.
        stale: records that were older than their rows.
        fired: events of all rules.
        recorded: those of them that went into the outbox.
        rejected: records that went to eventgen.invalid_records.
        stream: whose batch it was.
        records: how many the batch had.
        types: recorded events by type.
        lock_seconds: how long it took until all its rows were locked; None where none needed to be.
        stale_key: the key of one of the records that were older than their rows, as a JSON array.
        held: events that a guard holds, by type.
        waiting: events that wait for held ones of their keys.
    """

    created: int
    updated: int
    stale: int
    fired: int
    recorded: int
    rejected: int = 0
    stream: str = ""
    records: int = 0
    types: Mapping[str, int] = field(default_factory=dict)
    lock_seconds: float | None = None
    stale_key: str | None = None
    held: Mapping[str, int] = field(default_factory=dict)
    waiting: int = 0

    @property
    def known(self) -> int:
        """Events that fired and had been recorded, or held, before."""
        return self.fired - self.recorded - sum(self.held.values()) - self.waiting
