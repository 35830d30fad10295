"""Generated histories of runs and of undos, told to Postgres and to a model in plain Python, which must agree.

Two writers, whose runs lie side by side, change a few rows; a person changes some by hand. Now and then one of the runs
is undone: an undo may be killed between any two of its statements, and done again, and a writer's checkpoint may fall
between its choice of rows and their locks. Versions only grow, so that each record is a change.

The model knows of each row who has written it last: a change has a number of its own, and so has its absence. A run can
be undone where the number is still that of the run's last change, and gives the row back the number that it had, so
that the change before can be undone in turn.
"""

from __future__ import annotations

import argparse
import itertools
import random
import tempfile
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from msgspec.structs import replace

from target_eventgen import embedded, failpoints
from target_eventgen.intake.general import GeneralEncoder, Metadata
from target_eventgen.model import rules, tables
from target_eventgen.model.checkpoint import Batch, Checkpoint, judgement_of_parked
from target_eventgen.store.connection import Connection
from target_eventgen.store.postgres import Postgres
from target_eventgen.store.undo import Undo
from tests.support.queries import query

RULES: list[dict[str, Any]] = [
    {"type": "created", "stream": "things", "on": "created"},
    {"type": "entered", "stream": "things", "enters": "value > 10"},
    {"type": "left", "stream": "things", "leaves": "value > 10"},
    {"type": "updated", "stream": "things", "on": "updated"},
    {"type": "deleted", "stream": "things", "on": "deleted"},
]
KEYS = (1, 2, 3)
PLACES = (failpoints.AFTER_STAGING, failpoints.AFTER_LOCK, failpoints.AFTER_EVENTS, failpoints.BEFORE_COMMIT)
STEPS = 14


class KilledError(BaseException):
    """The end of an undo at a failpoint."""


class State(NamedTuple):
    """A row: its content, None where there is none; whether it is marked as deleted; the number of its last change."""

    content: tuple[int, int | None] | None
    gone: bool
    change: int

    @property
    def seen(self) -> tuple[int, int | None] | None:
        """The content that rules see."""
        return None if self.gone else self.content


class Kept(NamedTuple):
    """A row as it was before a run changed it, and the number of the run's last change."""

    before: State
    left: int


@dataclass
class Model:
    """The rows and events that there should be."""

    hard: bool
    rows: dict[int, State] = field(default_factory=dict)
    kept: dict[tuple[int, int], Kept] = field(default_factory=dict)
    events: list[tuple[str, int]] = field(default_factory=list)
    changes: int = 0

    def state(self, key: int) -> State:
        """A row, or its absence."""
        return self.rows.get(key, State(None, gone=False, change=0))

    def commit(self, records: list[tuple[int, int, int | None, bool]], run: int | None) -> None:
        """Write (key, version, value, whether it is a deletion); `run` is None of what a person does."""
        for key in sorted({record[0] for record in records}):
            old = self.state(key)
            self.changes += 1
            for _, version, value, deletes in (record for record in records if record[0] == key):
                self._follow(key, version, value, deletes=deletes)
            if run is not None:
                self._keep(key, run, old)

    def _follow(self, key: int, version: int, value: int | None, *, deletes: bool) -> None:
        old = self.state(key)
        if not deletes:
            new = State((version, value), gone=False, change=self.changes)
        elif self.hard:
            new = State(None, gone=False, change=self.changes)
        else:
            kept = old.content[1] if old.content else None
            new = State((version, kept), gone=True, change=self.changes)
        self.rows[key] = new
        self._edges(key, old, new)

    def _keep(self, key: int, run: int, old: State) -> None:
        kept = self.kept.get((run, key))
        before = old if kept is None or kept.left != old.change else kept.before
        self.kept[run, key] = Kept(before, self.state(key).change)
        if before.content is None and self.state(key).content is None:
            del self.kept[run, key]

    def undo(self, run: int) -> set[int]:
        """Undo a run; return the keys that are refused."""
        refused = set()
        for (of, key), kept in sorted(self.kept.items()):
            if of != run:
                continue
            row = self.state(key)
            if row.change != kept.left:
                refused.add(key)
                continue
            new = kept.before
            if new.content is None and not self.hard:
                self.changes += 1
                new = State(row.content, gone=True, change=self.changes)
            self.rows[key] = new
            self._edges(key, row, new)
            del self.kept[of, key]
        return refused

    def _edges(self, key: int, before: State, after: State) -> None:
        old, new = before.seen, after.seen

        def high(content: tuple[int, int | None] | None) -> bool:
            return bool(content and content[1] is not None and content[1] > 10)

        fires = {
            "created": new and not old,
            "entered": high(new) and not high(old),
            "left": high(old) and not high(new),
            "updated": old and new and old != new,
            "deleted": old and not new,
        }
        self.events += [(rule["type"], key) for rule in RULES if fires[rule["type"]]]


@dataclass
class Writer:
    """A target: its connection, and its run that is under way."""

    postgres: Postgres
    run: int = 0


class Stage:
    """A database in which histories are told, and compared."""

    def __init__(self, database: str) -> None:
        query(database, f"alter database {urlsplit(database).path[1:]} set synchronous_commit = off")
        self._database = database
        self._told = 0
        self._runs = itertools.count(1)
        self._versions = itertools.count(1)
        self._connection = Connection(database)
        self.writers = [Writer(Postgres(database, 0)) for _ in range(2)]
        parsed, _ = rules.parse(RULES)
        self._undos = {
            hard: Undo(self._connection, [replace(rule, stream=f"{name}-things") for rule in parsed], "here", hard=hard)
            for hard, name in ((False, "soft"), (True, "hard"))
        }
        self._plans = {
            hard: [
                replace(
                    writer.postgres.prepare(
                        _table(name), tuple(undo.rules), source="here", emit_first_load=True, hard=hard
                    ),
                    undo_days=1.0,
                )
                for writer in self.writers
            ]
            for (hard, undo), name in zip(self._undos.items(), ("soft", "hard"), strict=True)
        }
        # What is loaded has had its first load.
        query(database, "update eventgen.streams set loaded_at = now()")

    def close(self) -> None:
        """Close all connections."""
        self._connection.close()
        for writer in self.writers:
            writer.postgres.close()

    def tell(self, number: int) -> None:
        """Tell the history of a seed, and compare."""
        drawn = random.Random(number)
        hard = drawn.random() < 0.5
        self._told += 1
        base = self._told * 10
        model = Model(hard)
        for writer in self.writers:
            self._begin(writer)
        runs = [writer.run for writer in self.writers]
        for _ in range(STEPS):
            act = drawn.random()
            if act < 0.55:
                self._commit(drawn, model, base)
            elif act < 0.63:
                writer = drawn.choice(self.writers)
                self._end(writer, hard=hard)
                runs.append(writer.run)
            elif act < 0.75:
                self._by_hand(drawn, model, base)
            else:
                self._undo(drawn, model, base, drawn.choice(runs))
        for writer in self.writers:
            self._end(writer, hard=hard)
        for run in drawn.sample(runs, len(runs)):
            self._undo(drawn, model, base, run)
        self._compare(model, base)

    def _begin(self, writer: Writer) -> None:
        writer.run = next(self._runs)
        writer.postgres._run, writer.postgres._confirmed = writer.run, 0

    def _end(self, writer: Writer, *, hard: bool) -> None:
        plan = replace(self._plans[hard][self.writers.index(writer)], run=writer.run)
        writer.postgres.commit(Checkpoint((judgement_of_parked(plan),)))
        writer.postgres.forget()
        self._begin(writer)

    def _commit(self, drawn: random.Random, model: Model, base: int, besides: int | None = None) -> None:
        writer = drawn.choice([writer for writer in self.writers if writer.run != besides])
        plan = replace(self._plans[model.hard][self.writers.index(writer)], run=writer.run)
        encoding = GeneralEncoder(plan.table, plan.types)
        lines, told, sparse = [], [], set()
        for number in range(1, drawn.randint(1, 4) + 1):
            key, version, deletes = drawn.choice(KEYS), next(self._versions), drawn.random() < 0.3
            value = None if deletes else drawn.choice([4, 16, None])
            content = {"id": base + key, "version": version, **({} if deletes else {"value": value})}
            mark = "2026-01-01T00:00:00Z" if deletes else None
            line, absent = encoding.line(number, content, Metadata(None, "", mark, 0, None))
            lines.append(line)
            sparse.update(absent)
            told.append((key, version, value, deletes))
        deleting = any(deletes for *_, deletes in told)
        batch = Batch(
            plan,
            "".join(lines),
            len(lines),
            tuple(sorted(sparse)),
            deletes=deleting,
            single=len({key for key, *_ in told}) == len(told) and not deleting,
        )
        writer.postgres.commit(Checkpoint((batch,)))
        model.commit(told, writer.run)

    def _by_hand(self, drawn: random.Random, model: Model, base: int) -> None:
        there = [key for key in KEYS if model.state(key).seen]
        if there:
            key = drawn.choice(there)
            content = model.state(key).content
            assert content is not None
            model.changes += 1
            model.rows[key] = State((content[0], 99), gone=False, change=model.changes)
            query(self._database, f"update {_name(hard=model.hard)} set value = 99 where id = {base + key}")

    def _undo(self, drawn: random.Random, model: Model, base: int, run: int) -> None:
        place, meanwhile = drawn.choice([None, *PLACES]), drawn.random() < 0.3

        def act(name: str) -> None:
            nonlocal meanwhile
            if name == failpoints.AFTER_STAGING and meanwhile:
                meanwhile, failpoints.action = False, None
                # A run that goes on while it is undone may change keys that were not chosen.
                self._commit(drawn, model, base, besides=run)
                failpoints.action = act
            if name == place:
                raise KilledError

        undoing = self._undos[model.hard]
        failpoints.action = act
        try:
            found = list(undoing.take_back(run))
        except KilledError:
            failpoints.action = None
            found = list(undoing.take_back(run))
        finally:
            failpoints.action = None
        refused = {int(key) - base for _, undone in found for key, _ in undone.refused}
        assert refused == model.undo(run), (refused, run)

    def _compare(self, model: Model, base: int) -> None:
        rows = query(
            self._database,
            f"select id, version, value, _sdc_deleted_at is not null from {_name(hard=model.hard)}"
            f" where id between {base} and {base + 9} order by id",
        )
        kept = [(base + key, *state.content, state.gone) for key, state in sorted(model.rows.items()) if state.content]
        assert rows == kept, (rows, kept)
        events = query(
            self._database,
            "select type, partitionkey::int, id from eventgen.events"
            f" where stream = '{'hard' if model.hard else 'soft'}-things' and partitionkey::int between {base} and {base + 9}"
            " order by sequence",
        )
        assert len({event[2] for event in events}) == len(events)
        for key in KEYS:
            found = [kind for kind, of, _ in events if of == base + key]
            expected = [kind for kind, of in model.events if of == key]
            assert found == expected, (key, found, expected)


def _name(*, hard: bool) -> str:
    return f"{'hard' if hard else 'soft'}.things"


def _table(schema: str) -> tables.Table:
    properties = {"id": {"type": "integer"}, "version": {"type": "integer"}, "value": {"type": ["number", "null"]}}
    return tables.table(
        f"{schema}-things",
        {"properties": properties},
        key=["id"],
        replication_key="version",
        default_schema=None,
        with_metadata=False,
        with_marks=True,
    )


def tell(database: str, count: int, first: int = 1) -> None:
    """Tell `count` histories; the first that differs is raised, with its seed.

    Args:
        database: an empty one.
        count: how many.
        first: the first seed.
    """
    with closing(Stage(database)) as stage:
        for number in range(first, first + count):
            try:
                stage.tell(number)
            except AssertionError as error:
                raise AssertionError(f"the history of the seed {number} differs: {error}") from error


def main() -> None:
    """Tell as many histories as the command line says."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("count", type=int, nargs="?", default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = embedded.up(Path(folder) / "postgres")
        try:
            tell(url, options.count, options.seed)
            print(f"{options.count} histories of runs and undos: rows, events and refusals are those of the model")  # noqa: T201
        finally:
            embedded.remove(Path(folder) / "postgres")


if __name__ == "__main__":
    main()
