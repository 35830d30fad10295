"""Several targets on one table at once."""

from __future__ import annotations

import itertools
import random
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.support.loading import Loader
from tests.support.messages import record, schema, state, version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

RULES = [
    {"type": "created", "stream": "subscriptions", "on": "created"},
    {"type": "passed", "stream": "subscriptions", "enters": "value > 10000"},
]
WRITERS = 4


def at_once(
    loader: Loader, inputs: Iterable[list[Mapping[str, Any] | str]], **settings: Any
) -> list[subprocess.CompletedProcess[str]]:
    """Run a target for each input, all at the same time, each with a folder of its own."""

    def run(numbered: tuple[int, list[Mapping[str, Any] | str]]) -> subprocess.CompletedProcess[str]:
        number, messages = numbered
        folder = loader.folder / str(number)
        folder.mkdir(exist_ok=True)
        return replace(loader, folder=folder).run(messages, **settings)

    with ThreadPoolExecutor(WRITERS) as pool:
        return list(pool.map(run, enumerate(inputs)))


def test_writers_of_the_same_new_keys_create_each_once_and_never_fail(loader: Loader) -> None:
    for round_ in range(4):
        keys = [*range(round_ * 1000, round_ * 1000 + 400)]
        inputs: list[list[Mapping[str, Any] | str]] = []
        for writer in range(WRITERS):
            shuffled = random.Random(round_ * 10 + writer).sample(keys, len(keys))
            messages: list[Mapping[str, Any] | str] = [schema()]
            for number, key in enumerate(shuffled):
                messages.append(version(key, 1, 20000))
                if number % 100 == 99:
                    messages.append(state(number))
            inputs.append(messages)
        for done in at_once(loader, inputs, events=RULES, batch_size_rows=100):
            assert done.returncode == 0, done.stderr
            assert "asked for a retry" not in done.stderr  # no deadlock: keys are taken in one order
    found = loader.query(
        "select type, count(*), count(distinct key), count(distinct id) from eventgen.events group by 1"
    )
    assert sorted(found) == [("created", 1600, 1600, 1600), ("passed", 1600, 1600, 1600)]


def test_writers_of_other_versions_of_the_same_keys_fire_the_edges_of_one_sequence(loader: Loader) -> None:
    drawn = random.Random(3)
    inputs: list[list[Mapping[str, Any] | str]] = []
    for _ in range(WRITERS):
        messages: list[Mapping[str, Any] | str] = [schema()]
        for number in range(600):
            messages.append(version(drawn.randint(1, 20), number, drawn.choice([9000, 11000])))
            if number % 30 == 29:
                messages.append(state(number))
        inputs.append(messages)
    rules = [
        *RULES,
        {"type": "updated", "stream": "subscriptions", "on": "updated"},
        {"type": "fell", "stream": "subscriptions", "leaves": "value > 10000"},
    ]
    for done in at_once(loader, inputs, events=rules, batch_size_rows=30):
        assert done.returncode == 0, done.stderr
    rows = dict(loader.query("select id, _eventgen_version from subscriptions"))
    for key, versions in rows.items():
        told = loader.query(
            "select type, (data->'old'->>'value')::int, (data->'new'->>'value')::int, data->'old', data->'new'"
            f" from eventgen.events where partitionkey = '{key}' order by sequence"
        )
        steps = [step for step in told if step[0] in {"created", "updated"}]
        assert len(steps) == versions
        assert all(step[3] == before[4] for before, step in itertools.pairwise(steps))
        edges = [kind for kind, *_ in told if kind in {"passed", "fell"}]
        expected = [
            "passed" if new > 10000 else "fell"
            for _, old, new, *_ in steps
            if (new > 10000) != (old is not None and old > 10000)
        ]
        assert edges == expected


def test_writers_that_make_the_same_tables_at_once_do_not_fail(loader: Loader) -> None:
    for round_ in range(3):
        streams = [f"made{round_}_{n}-things" for n in range(5)]
        messages = [
            part for name in streams for part in (schema(name), record(name, id=1, value=1, status="", updated_at=None))
        ]
        wider = {"id": {"type": "integer"}, "more": {"type": "string"}}
        messages += [part for name in streams for part in (schema(name, wider), record(name, id=2, more="x"))]
        for done in at_once(loader, [[*messages] for _ in range(WRITERS)]):
            assert done.returncode == 0, done.stderr
    assert loader.query("select count(*), count(more) from made0_0.things") == [(2, 1)]


def test_rows_of_a_foreign_key_can_be_checked_while_a_checkpoint_holds_its_locks(
    loader: Loader, tmp_path: Path
) -> None:
    loader.load([schema(), version(1, 1, 1)])
    assert tmp_path.is_dir()
    loader.query("create table child (id bigint references subscriptions (id))")
    loader.load([schema(), version(1, 2, 2)])
    loader.query("insert into child values (1)")
    assert loader.query("select value from subscriptions") == [(2,)]
