"""Generated histories, told to Postgres and to the reference model, which must agree on rows and events.

A history has up to three writers with batches of their own, in any interleaving. A checkpoint may be killed between any
two of its statements, or after its commit before its STATE; its writer then begins again from its last STATE, as a new
run, with the same records in other batches. Another writer's checkpoint may fall between two statements of one. Each
stream's replication key has a type of its own; values come in several spellings, NULLs, ties, stale and missing ones.

A feed is a history of one writer whose records come in their order, whole, and with no content twice within one
instant. What it means can be said without any model of kills: it is as if nobody had been killed, and all had come at
once.

Each history is told to two pipelines in one database, whose streams, keys, contents, rules and sources are equal, each
with tables and writers of its own: what one of them has recorded must be nothing to the other.

The connection is reused: a killed transaction is rolled back, and a new run is a new number.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg2
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from proofs.histories import enumeration
from proofs.histories.reference import Reference
from proofs.histories.vocabulary import DETAILS, ORDERS, RULES, STATUSES, UNORDERED, VALUES, VERSIONS, in_order
from target_eventgen import embedded, failpoints
from target_eventgen.intake.general import GeneralEncoder
from target_eventgen.model import rules, tables
from target_eventgen.model.checkpoint import Batch, Checkpoint
from target_eventgen.store.postgres import Postgres
from tests.support.queries import query

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from target_eventgen.model.plan import Plan

PLACES = ["after_staging", "after_lock", "after_events", "before_commit", "before_state"]
STATE_LOST = "state_lost"
"""Where a run is killed whose last STATE left the target, but was not stored: the next begins from the one before."""

_TRUNCATED_AFTER = 100
"""Histories with keys of their own before what they left is removed."""


class KilledError(BaseException):
    """The end of a run at a failpoint."""


@dataclass(frozen=True)
class Step:
    """A writer's next checkpoint; `place`: where it is killed; `meanwhile`: who comes between two statements of it."""

    writer: int
    place: str | None = None
    meanwhile: int | None = None


@dataclass(frozen=True)
class History:
    """What is told: each writer's batches, and in which order their checkpoints come."""

    version: str
    batches: list[list[list[dict[str, Any]]]]
    steps: list[Step]


@st.composite
def records(draw: st.DrawFn, version: str) -> dict[str, Any]:
    found: dict[str, Any] = {"id": draw(st.integers(1, 2))}
    values = {
        "version": list(VERSIONS[version][1]),
        "value": list(VALUES),
        "status": list(STATUSES),
        "detail": DETAILS,
    }
    for name, choices in values.items():
        if draw(st.integers(0, 5)):
            found[name] = draw(st.sampled_from(choices))
    return found


@st.composite
def histories(draw: st.DrawFn) -> History:
    version = draw(st.sampled_from(list(VERSIONS)))
    batch = st.lists(records(version), min_size=1, max_size=4)
    batches = draw(st.lists(st.lists(batch, min_size=1, max_size=3), min_size=1, max_size=3))
    turns = draw(st.permutations([n for n, told in enumerate(batches) for _ in told]))
    steps = [
        Step(
            turn,
            draw(st.sampled_from([None, None, None, *PLACES])),
            draw(st.sampled_from([None, *range(len(batches))])),
        )
        for turn in turns
    ]
    return History(version, batches, steps)


@st.composite
def feeds(draw: st.DrawFn) -> History:
    version = draw(st.sampled_from(list(VERSIONS)))
    meant = VERSIONS[version][1]
    told = []
    for key in (1, 2):
        sent = sorted(
            (
                value
                for value in draw(st.lists(st.sampled_from(list(meant)), max_size=8))
                if value not in {None, *UNORDERED.get(version, ())}
            ),
            key=meant.__getitem__,
        )
        contents = draw(
            st.lists(
                st.tuples(st.sampled_from([4, 8, 16, None]), st.sampled_from(list(STATUSES)), st.sampled_from(DETAILS)),
                min_size=len(sent),
                max_size=len(sent) + 2 * (None in meant),
                unique_by=lambda content: (content[0], content[1], DETAILS.index(content[2])),
            )
        )
        newest = sent.index(sent[-1]) + 1 if sent else 0
        for _ in range(len(contents) - len(sent)):
            # Sent again after a newer version, one without any could not be told from a new one.
            sent.insert(draw(st.integers(newest, len(sent))), None)
        for value, content in zip(sent, contents, strict=True):
            found = {"id": key, "version": value, **dict(zip(("value", "status", "detail"), content, strict=True))}
            told += [found] * draw(st.sampled_from([1, 1, 2]))
    # Each key's records stay in their order.
    turns = draw(st.permutations([record["id"] for record in told]))
    left = {key: [record for record in told if record["id"] == key] for key in (1, 2)}
    feed = [left[key].pop(0) for key in turns]
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(feed) - 1)), max_size=4)))
    batches = [batch for a, b in itertools.pairwise([0, *cuts, len(feed)]) if (batch := feed[a:b])]
    places = st.sampled_from([None, None, *PLACES, "before_state", "before_state", STATE_LOST])
    return History(version, [batches], [Step(0, place) for place in draw(st.lists(places, max_size=8))])


def referee(version: str) -> Reference:
    """A reference model for a table."""
    return Reference(versioned=version != "none", unordered=UNORDERED.get(version, frozenset()))


def meaning(record: dict[str, Any], version: str, base: int) -> dict[str, Any]:
    """A record as the reference model has it."""
    known = {"version": VERSIONS[version][1], "value": VALUES, "status": STATUSES}
    meant = {name: known[name][value] if name in known else value for name, value in record.items()}
    return {**meant, "id": base + record["id"]}


@dataclass
class Writer:
    """One writer: its connection, its run, and what it has still to tell from its last STATE on."""

    postgres: Postgres
    left: list[list[dict[str, Any]]] = field(default_factory=list)
    before: list[dict[str, Any]] = field(default_factory=list)
    run: int = 0


class Stage:
    """A database in which histories are told, and compared."""

    def __init__(self, database: str) -> None:
        # Nothing here stops the server, so that no commit need wait for the disk.
        query(database, f"alter database {urlsplit(database).path[1:]} set synchronous_commit = off")
        self._runs = itertools.count(1)
        self._told = 0
        self._pipelines = [Pipeline(database, place) for place in (None, "other")]
        self._connection = psycopg2.connect(database)
        self._connection.autocommit = True

    def close(self) -> None:
        for pipeline in self._pipelines:
            for writer in pipeline.writers:
                writer.postgres.close()
        self._connection.close()

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def follow(self, history: History) -> None:
        """Tell a history to both, and compare."""
        base = self._base()
        for pipeline in self._pipelines:
            self._pipeline = pipeline
            reference = referee(history.version)
            self._tell(history, reference, base)
            self._compare(history, reference, base)

    def follow_feed(self, feed: History) -> None:
        """Tell a feed; what is left must be what comes of telling it at once."""
        base = self._base()
        for pipeline in self._pipelines:
            self._pipeline = pipeline
            self._tell(feed, referee(feed.version), base)
            reference = referee(feed.version)
            reference.commit([meaning(record, feed.version, base) for batch in feed.batches[0] for record in batch], 1)
            self._compare(feed, reference, base)

    def _base(self) -> int:
        """What the keys of the next history are counted from; now and then, what those before have left is removed."""
        if self._told % _TRUNCATED_AFTER == 0:
            plans = [plans[0] for pipeline in self._pipelines for plans in pipeline.plans.values()]
            names = ", ".join(plan.table.quoted for plan in plans)
            self.query(f"truncate {names}, eventgen.events, eventgen.runs, eventgen.parked")
        self._told += 1
        return 10 * self._told

    def _tell(self, history: History, reference: Reference, base: int) -> None:
        for number, writer in enumerate(self._pipeline.writers):
            writer.left = list(history.batches[number]) if number < len(history.batches) else []
            writer.before = []
            self._begin(writer)
        for step in history.steps:
            self._step(history, step, reference, base)
        for number, writer in enumerate(self._pipeline.writers):
            while writer.left:
                self._step(history, Step(number), reference, base)

    def _begin(self, writer: Writer) -> None:
        writer.run = next(self._runs)
        writer.postgres._run, writer.postgres._confirmed = writer.run, 0

    def _step(self, history: History, step: Step, reference: Reference, base: int) -> None:
        writer = self._pipeline.writers[step.writer]
        if not writer.left:
            return
        batch = writer.left[0]

        def act(name: str) -> None:
            if name == failpoints.AFTER_STAGING and step.meanwhile not in {None, step.writer}:
                assert step.meanwhile is not None
                failpoints.action = None
                self._step(history, Step(step.meanwhile), reference, base)
                failpoints.action = act
            if name == step.place:
                raise KilledError

        began = reference.begin()
        failpoints.action = act
        try:
            self._commit(history.version, writer, batch, base)
        except KilledError:
            self._again(writer)
            return
        finally:
            failpoints.action = None
        reference.commit([meaning(record, history.version, base) for record in batch], writer.run, began)
        if step.place == "before_state":
            self._again(writer)
            return
        if step.place == STATE_LOST:
            self._again(writer, from_before=True)
            return
        writer.left, writer.before = writer.left[1:], writer.left[0]
        if not writer.left:
            plan = replace(self._pipeline.plans[history.version][self._pipeline.writers.index(writer)], run=writer.run)
            writer.postgres.commit(Checkpoint((Batch(plan, "", 0, unversioned=True, judges_parked=True),)))
            writer.postgres.forget()
            reference.end(writer.run)

    def _again(self, writer: Writer, *, from_before: bool = False) -> None:
        """A new run from the last STATE, or the one before; what is left comes in other batches."""
        self._begin(writer)
        if from_before and writer.before:
            writer.left, writer.before = [writer.before, *writer.left], []
        if len(writer.left) > 1:
            writer.left = [writer.left[0] + writer.left[1], *writer.left[2:]]
        elif len(writer.left[0]) > 1:
            half = len(writer.left[0]) // 2
            writer.left = [writer.left[0][:half], writer.left[0][half:]]
        # The end of the history must not depend on who was killed.

    def _commit(self, version: str, writer: Writer, batch: Sequence[dict[str, Any]], base: int) -> None:
        plan = replace(self._pipeline.plans[version][self._pipeline.writers.index(writer)], run=writer.run)
        encoding = GeneralEncoder(plan.table, plan.types)
        lines, sparse = [], set()
        for number, record in enumerate(batch, start=1):
            line, absent = encoding.line(number, {**record, "id": base + record["id"]}, None)
            lines.append(line)
            sparse.update(absent)
        keys = [record["id"] for record in batch]
        told = Batch(
            plan,
            "".join(lines),
            len(lines),
            tuple(sorted(sparse)),
            unversioned=any(record.get("version") in {None, *UNORDERED.get(version, ())} for record in batch),
            single=len(set(keys)) == len(keys),
        )
        writer.postgres.commit(Checkpoint((told,)))

    def _compare(self, history: History, reference: Reference, base: int) -> None:
        table = self._pipeline.plans[history.version][0].table
        rows = self.query(
            f"select id, value, status, detail, _eventgen_version from {table.quoted}"
            f" where id between {base} and {base + 9} order by id"
        )
        assert rows == [
            (key, row.content["value"], row.content["status"], row.content["detail"], row.count)
            for key, row in sorted(reference.rows.items())
        ]
        events = self.query(
            "select type, partitionkey::int, data->'old', data->'new', id from eventgen.events"
            f" where partitionkey in ('{base + 1}', '{base + 2}') and table_schema = '{table.schema}' order by sequence"
        )
        assert len({event[4] for event in events}) == len(events)
        for key in reference.rows:
            assert [kind for kind, of, *_ in events if of == key] == [
                kind for kind, of, _ in sorted(reference.events, key=in_order) if of == key
            ]
            assert_continuous([(old, new) for _, of, old, new, _ in events if of == key])
        assert len(events) == len(reference.events)


class Pipeline:
    """Writers of one table for each type of versions, in schemas of the pipeline's own."""

    def __init__(self, database: str, place: str | None) -> None:
        self.writers = [Writer(Postgres(database, 0)) for _ in range(3)]
        self.plans: dict[str, list[Plan]] = {}
        parsed, _ = rules.parse(RULES)
        for name, (definition, _) in VERSIONS.items():
            properties = {
                "id": {"type": "integer"},
                "version": definition,
                "value": {"type": ["number", "null"]},
                "status": {"type": ["string", "null"]},
                "detail": {},
            }
            table = tables.table(
                f"{name}-things" if name != "date-time" else "instant-things",
                {"properties": properties},
                key=["id"],
                replication_key=None if name == "none" else "version",
                default_schema=place and f"{place}_{name}",
                with_metadata=False,
            )
            table = replace(table, order=ORDERS.get(name, table.order))
            table = table.with_fine() if name == "finer" else table
            self.plans[name] = [
                writer.postgres.prepare(table, parsed, source="here", emit_first_load=True) for writer in self.writers
            ]


def assert_continuous(steps: list[tuple[Any, Any]]) -> None:
    """Each event's old version is the new version of the event before, or both tell of the same transition."""
    for (old, new), (next_old, next_new) in itertools.pairwise(steps):
        assert next_old == new or (next_old, next_new) == (old, new)


def tell(database: str, count: int, number: int | None = None, *, feed: bool = False, shrinks: bool = True) -> None:
    """Tell `count` generated histories; the first that differs is raised.

    Args:
        database: an empty one.
        count: how many.
        number: a seed, for the same histories again.
        feed: whether they are feeds.
        shrinks: whether the one that differs is made as small as it may be.
    """
    with closing(Stage(database)) as stage:

        @settings(
            max_examples=count,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, *([Phase.shrink] if shrinks else [])],
        )
        @given(feeds() if feed else histories())
        def agree(history: History) -> None:
            (stage.follow_feed if feed else stage.follow)(history)

        (agree if number is None else seed(number)(agree))()


def portions(count: int, largest: int = 1000) -> Iterator[int]:
    """Split a number of histories, so that what Hypothesis remembers of them stays small."""
    while count > 0:
        yield min(count, largest)
        count -= largest


def main() -> None:
    """Tell as many histories as the command line says; `--seed` tells the same ones again."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("count", type=int, nargs="?", default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--url", help="a database to use and to spoil, instead of an embedded one of its own")
    parser.add_argument("--as-found", action="store_true", help="don't shrink a history that differs")
    parser.add_argument("--exhaustive", type=int, metavar="MESSAGES", help="every history of so many messages, instead")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = options.url or embedded.up(Path(folder) / "postgres")
        try:
            if options.exhaustive:
                for line in enumeration.report(url, range(1, options.exhaustive + 1)):
                    print(line, flush=True)  # noqa: T201 - it is what the command is for
                return
            for number, portion in enumerate(portions(options.count), start=options.seed):
                tell(url, portion - portion // 4, number, shrinks=not options.as_found)
                tell(url, portion // 4, number, feed=True, shrinks=not options.as_found)
            feeds_ = sum(portion // 4 for portion in portions(options.count))
            done = f"{options.count} histories, {feeds_} of them feeds"
            print(f"{done}: rows and events are those of the reference model")  # noqa: T201 - it is what the command is for
        finally:
            if not options.url:
                embedded.remove(Path(folder) / "postgres")
