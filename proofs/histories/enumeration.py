"""Every history of one key: all sequences of a few messages, under all cuts into checkpoints and runs, on Postgres.

Theory of operation. Histories of different keys have nothing to do with each other, so thousands of them are told in
one checkpoint, each as a key of its own, and compared with the reference model by two queries. Only what the sequences
share must be the same for all of them: where their checkpoints are cut, whose turn it is, how rows are deleted.

The target chooses the statements for a batch by all records in it. So that each history is written as it would be if it
were alone, a checkpoint comes in up to three batches: keys with one whole record, keys with one that lacks something,
keys with several records or deletions.

Sequences that differ only in the names of their versions or contents mean the same: one of each is told.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import psycopg2
from msgspec.structs import replace

from proofs.histories.reference import GONE, Reference
from proofs.histories.vocabulary import RULES, in_order
from target_eventgen.intake.general import GeneralEncoder, Metadata
from target_eventgen.model import rules, tables
from target_eventgen.model.checkpoint import Batch, Checkpoint
from target_eventgen.model.plan import Plan
from target_eventgen.store.postgres import Postgres
from tests.support.queries import query

CONTENTS: Final = (4, 16)
VERSIONS: Final = (1, 2, 3)
JOINED, CHECKPOINT, RUN = range(3)
"""What lies between two messages: nothing, the end of a checkpoint, the end of a run."""

Message = dict[str, Any]


def alphabet(*, core: bool = False) -> list[Message]:
    """Return the messages that a sequence is made of.

    Args:
        core: whether these are whole records, one without version, one without content, and deletions of the key; else
            there are records and deletions that lack or have anything.
    """
    whole = [{"version": version, "value": value} for version in VERSIONS for value in CONTENTS]
    deletions = [{"version": version, GONE: True} for version in VERSIONS]
    if core:
        return [*whole, {"version": None, "value": CONTENTS[0]}, {"version": VERSIONS[1]}, *deletions]
    return [
        *whole,
        *({"version": None, "value": value} for value in CONTENTS),
        *({"version": version} for version in VERSIONS),
        *deletions,
        *({"version": version, "value": value, GONE: True} for version in VERSIONS for value in CONTENTS),
        {GONE: True},
    ]


MAX_WHOLE: Final = 4
"""Messages of the longest sequences that are of the whole alphabet; longer ones are of its core."""


def sequences(length: int) -> Iterator[tuple[Message, ...]]:
    """Yield the sequences of so many messages, one of those that differ in names alone."""
    for chosen in itertools.product(alphabet(core=length > MAX_WHOLE), repeat=length):
        versions = {message.get("version") for message in chosen} - {None}
        contents = [message["value"] for message in chosen if "value" in message]
        if versions == set(VERSIONS[: len(versions)]) and contents[:1] != [CONTENTS[1]]:
            yield chosen


def cuts(length: int) -> Iterator[tuple[int, ...]]:
    """Yield what may lie between so many messages."""
    return itertools.product((JOINED, CHECKPOINT, RUN), repeat=length - 1)


class Way(NamedTuple):
    """How sequences are told: what lies between their messages, how rows are deleted, how many writers take turns."""

    cut: tuple[int, ...]
    hard: bool
    writers: int


def ways(length: int) -> Iterator[Way]:
    """Yield every way to tell sequences of so many messages; without a cut there is nothing to take turns at."""
    for cut, hard, writers in itertools.product(cuts(length), (False, True), (1, 2)):
        if writers == 1 or any(cut):
            yield Way(cut, hard, writers)


@dataclass
class Writer:
    """A connection, how it stores the stream in each way of deleting, and its run."""

    postgres: Postgres
    plans: dict[bool, Plan]
    run: int = 0


class Teller:
    """A database in which sequences are told, and compared with the reference model."""

    def __init__(self, database: str) -> None:
        query(database, f"alter database {urlsplit(database).path[1:]} set synchronous_commit = off")
        self._runs = itertools.count(1)
        self._writers = [self._writer(database) for _ in range(2)]
        self._connection = psycopg2.connect(database)
        self._connection.autocommit = True

    def _writer(self, database: str) -> Writer:
        postgres = Postgres(database, 0)
        parsed, _ = rules.parse(RULES)
        plans = {}
        for hard in (False, True):
            table = tables.table(
                f"{'hard' if hard else 'soft'}-things",
                {
                    "properties": {
                        "id": {"type": "integer"},
                        "version": {"type": ["integer", "null"]},
                        "value": {"type": ["integer", "null"]},
                        "status": {"type": "null"},
                    }
                },
                key=["id"],
                replication_key="version",
                default_schema=None,
                with_metadata=False,
                with_marks=True,
            )
            plans[hard] = postgres.prepare(table, parsed, source="here", emit_first_load=True, hard=hard)
        return Writer(postgres, plans)

    def close(self) -> None:
        for writer in self._writers:
            writer.postgres.close()
        self._connection.close()

    def tell(self, told: Sequence[tuple[Message, ...]], way: Way) -> list[str]:
        """Tell sequences of one length; return what is not as the reference model has it."""
        schema = self._writers[0].plans[way.hard].table.schema
        self._query(f"truncate {schema}.things, eventgen.events, eventgen.runs, eventgen.parked, eventgen.tombstones")
        reference = Reference(hard=way.hard)
        started: set[int] = set()
        for turn, (first, last, ends) in enumerate(pieces(way.cut)):
            number = turn % way.writers
            writer = self._writers[number]
            if number not in started:
                started.add(number)
                writer.run = next(self._runs)
                writer.postgres._run, writer.postgres._confirmed = writer.run, 0
            records = [
                {**message, "id": key} for key, messages in enumerate(told) for message in messages[first : last + 1]
            ]
            reference.commit([dict(record) for record in records], writer.run, reference.begin())
            self._commit(writer, records, hard=way.hard)
            if ends:
                for each in sorted(started):
                    self._end(self._writers[each], reference, hard=way.hard)
                started.clear()
        for each in sorted(started):
            self._end(self._writers[each], reference, hard=way.hard)
        return self._differences(told, reference, schema)

    def _end(self, writer: Writer, reference: Reference, *, hard: bool) -> None:
        plan = replace(writer.plans[hard], run=writer.run)
        writer.postgres.commit(Checkpoint((Batch(plan, "", 0, unversioned=True, judges_parked=True),)))
        writer.postgres.forget()
        reference.end(writer.run)

    def _commit(self, writer: Writer, records: Sequence[Message], *, hard: bool) -> None:
        plan = replace(writer.plans[hard], run=writer.run)
        counts: dict[int, int] = {}
        for record in records:
            counts[record["id"]] = counts.get(record["id"], 0) + 1
        batches: tuple[list[Message], list[Message], list[Message]] = ([], [], [])
        for record in records:
            alone = counts[record["id"]] == 1 and GONE not in record
            whole = record.get("version") is not None and "value" in record
            batches[0 if alone and whole else 1 if alone else 2].append(record)
        for number, batch in enumerate(batches):
            if batch:
                writer.postgres.commit(Checkpoint((_batch(plan, batch, single=number < 2),)))

    def _query(self, statement: str) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def _differences(self, told: Sequence[tuple[Message, ...]], reference: Reference, schema: str) -> list[str]:
        rows = {
            row[0]: row[1:]
            for row in self._query(
                f"select id, version, value, _sdc_deleted_at is not null, coalesce(version, _eventgen_instant::bigint)"
                f" from {schema}.things"
            )
        }
        wanted = {
            key: (row.content["version"], row.content["value"], row.content[GONE], row.at)
            for key, row in reference.seen().items()
        }
        events: dict[int, list[str]] = {}
        for key, kind in self._query("select (key->>'id')::bigint, type from eventgen.events order by sequence"):
            events.setdefault(key, []).append(kind)
        meant: dict[int, list[tuple[int, int, str]]] = {}
        for kind, key, count in reference.events:
            meant.setdefault(key, []).append((*in_order((kind, key, count)), kind))
        found = []
        for key, messages in enumerate(told):
            kinds = [kind for *_, kind in sorted(meant.get(key, []))]
            if rows.get(key) != wanted.get(key) or events.get(key, []) != kinds:
                found.append(
                    f"{messages}: row {rows.get(key)}, not {wanted.get(key)}; events {events.get(key, [])}, not {kinds}"
                )
        return found


def pieces(cut: Sequence[int]) -> Iterator[tuple[int, int, bool]]:
    """Yield of each checkpoint the first and the last message, and whether all runs end after it."""
    first = 0
    for place, between in enumerate((*cut, JOINED)):
        last = place == len(cut)
        if last or between != JOINED:
            yield first, place, not last and between == RUN
            first = place + 1


def _batch(plan: Plan, records: Sequence[Message], *, single: bool) -> Batch:
    encoding = GeneralEncoder(plan.table, plan.types)
    lines: list[str] = []
    sparse: set[int] = set()
    for number, record in enumerate(records, start=1):
        deleted = "2026-01-01T00:00:00Z" if GONE in record else None
        content = {name: value for name, value in record.items() if name != GONE}
        line, absent = encoding.line(number, content, Metadata(None, "", deleted, 0, None))
        lines.append(line)
        sparse.update(absent)
    return Batch(
        plan,
        "".join(lines),
        len(lines),
        tuple(sorted(sparse)),
        unversioned=any(record.get("version") is None for record in records),
        single=single,
        deletes=any(GONE in record for record in records),
    )


def tell_all(
    database: str, lengths: Sequence[int], *, every: int = 1, most: int = 2_000
) -> Iterator[tuple[Way, int, list[str]]]:
    """Tell all sequences of these lengths in every way; yield of each pack the way, their number, and differences.

    Args:
        database: an empty one.
        lengths: numbers of messages.
        every: of how many ways one is taken, another one for each length.
        most: sequences of a pack.
    """
    with closing(Teller(database)) as teller:
        for length in lengths:
            told = list(sequences(length))
            for way in itertools.islice(ways(length), length % every, None, every):
                for start in range(0, len(told), most):
                    pack = told[start : start + most]
                    yield way, len(pack), teller.tell(pack, way)


def report(database: str, lengths: Sequence[int]) -> Iterator[str]:
    """Tell all sequences of these lengths in every way; yield the lines that say how far it has come.

    Raises:
        AssertionError: a history is not as the reference model has it.
    """
    for length in lengths:
        count = packs = 0
        for way, number, differences in tell_all(database, [length]):
            assert not differences, f"{way}: {len(differences)} of {number} differ, such as {differences[0]}"
            count, packs = count + number, packs + 1
        yield f"{length} messages: {count} histories in {packs} packs are as the reference model has them"
