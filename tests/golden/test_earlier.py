"""STATE, hash caches and databases that an earlier version wrote go on: nothing is lost, nothing comes twice."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.golden import shop
from tests.golden.api import served
from tests.golden.earlier import CACHED, FILES, in_postgres, restored
from tests.golden.forking import Programs
from tests.golden.walks import CASES, configuration, found, last_state, messages, run
from tests.support.messages import state
from tests.support.receiver import Answer

VERSIONS = sorted(path.name for path in FILES.glob("state_*"))
WALKS = [
    (version, path.stem)
    for version in VERSIONS
    for path in sorted((FILES / version).glob("*.json"))
    if path.stem != "tap"
]


def test_there_is_a_state_of_every_walk() -> None:
    assert {name for version, name in WALKS if version == VERSIONS[-1]} == set(CASES)


@pytest.mark.parametrize(("version", "name"), WALKS)
def test_a_run_from_an_earlier_state_finds_what_has_changed_since_and_nothing_else(
    version: str, name: str, programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state_before = json.loads((FILES / version / f"{name}.json").read_text())
    cache = FILES / version / f"{name}.sqlite.sql"
    if cache.exists():
        with closing(sqlite3.connect(tmp_path / "hashes.db")) as made:
            made.executescript(cache.read_text())
    case = CASES[name]
    with served(monkeypatch) as (things, api):
        config = configuration(name, api.url)
        still = run(programs, tmp_path, config, state_before)
        things.happen()
        after = run(programs, tmp_path, config, last_state(still))
    assert found(still, name) == (case.again and [1, 2, 3, 4, 5, 6, 7], [])
    assert found(after, name) == (case.finds, case.gone)


@pytest.mark.parametrize("version", VERSIONS)
def test_an_earlier_hash_cache_and_queue_in_postgres_go_on(
    version: str, programs: Programs, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    restored(database, FILES / version / "tap.sql")
    state_before = json.loads((FILES / version / "tap.json").read_text())
    with served(monkeypatch) as (things, api):
        config = in_postgres(CACHED, api.url, database)
        things.happen()
        after = run(programs, tmp_path, config, state_before)
        still = run(programs, tmp_path, config, last_state(after))
    assert found(after, CACHED) == (CASES[CACHED].finds, CASES[CACHED].gone)
    assert [message["record"]["id"] for message in messages(after, "RECORD", "things")] == [3]
    assert messages(still, "RECORD", CACHED) == messages(still, "RECORD", "things") == []


@pytest.fixture(params=VERSIONS)
def earlier(request: pytest.FixtureRequest, programs: Programs, database: str, tmp_path: Path) -> Iterator[shop.Shop]:
    """The shop as an earlier version left it."""
    restored(database, FILES / request.param / "target.sql")
    with shop.opened(programs, database, tmp_path) as opened:
        opened.receiver.answer = lambda _: Answer()
        yield opened


def test_the_earlier_database_has_rows_in_all_its_tables(earlier: shop.Shop) -> None:
    tables = earlier.query("select format('%I.%I', schemaname, tablename) from pg_tables where schemaname = 'eventgen'")
    assert len(tables) == 12
    assert [name for (name,) in tables if earlier.query(f"select exists (select from {name})") != [(True,)]] == []
    stories = "select count(_eventgen_story), count(_eventgen_instant), max(_eventgen_generation) from subscriptions"
    assert earlier.query(stories) == [(2, 1, 1)]


def test_what_killed_runs_told_an_earlier_version_is_not_recorded_again(earlier: shop.Shop) -> None:
    before = earlier.events()
    assert earlier.load([*shop.TOLD, *shop.AGAIN[-2:], *shop.DELETED, state(1)]) == [1]
    assert earlier.events() == before
    assert earlier.query("select id, value, status, plan from subscriptions order by id") == [
        (1, 90, "active", "small"),
        (2, 160, "active", "large"),
        (3, 260, "active", "small"),
        (4, 45, "paused", "small"),
        (6, 1, "active", "small"),
    ]
    assert earlier.query("select number, total from orders") == [(2, 45)]
    assert earlier.query("select count(*) from eventgen.parked") == [(0,)]


def test_what_an_earlier_version_parked_is_recorded_once_where_it_was_not_a_repetition(earlier: shop.Shop) -> None:
    before = earlier.events()
    earlier.load([shop.WIDENED, shop.version(6, 10, 1, plan="small"), state(1)])
    told = [(type_, subject) for _, type_, subject in earlier.events()[len(before) :]]
    assert told == [("subscription.passed_100", "subscriptions/1"), ("subscription.status", "subscriptions/1")]
    assert earlier.query("select value, status from subscriptions where id = 1") == [(120, "trial")]
    assert earlier.query("select count(*) from eventgen.parked") == [(0,)]


def test_a_change_of_an_earlier_row_fires_once(earlier: shop.Shop) -> None:
    before = earlier.events()
    changes = [
        shop.WIDENED,
        shop.version(4, 30, 200, plan="small"),
        shop.version(3, 5, 1),
        shop.ORDERS,
        shop.order(2, 90),
    ]
    for number in range(2):
        earlier.load([*changes, state(number)])
        others = [
            event for event in earlier.events()[len(before) :] if event[2] != "subscriptions/1"
        ]  # that was held back
        told = [(type_, subject) for _, type_, subject in others]
        assert told == [
            ("subscription.passed_100", "subscriptions/4"),
            ("subscription.status", "subscriptions/4"),
            ("order.doubled", 'orders/["north", 2]'),
        ]


def test_a_column_that_an_earlier_version_added_is_known_to_its_rows(earlier: shop.Shop) -> None:
    rule = {"type": "plan", "stream": "subscriptions", "changes": ["plan"]}
    earlier.load([shop.WIDENED, shop.version(2, 30, 160, plan="small"), state(1)], events=[rule])
    assert [type_ for _, type_, _ in earlier.events()[-2:]] == ["order.doubled", "plan"]


def test_each_event_of_an_earlier_version_is_delivered_once_in_its_keys_order(earlier: shop.Shop) -> None:
    assert earlier.command("relay").code == 0
    archived = [json.loads(line)["id"] for line in (earlier.folder / "archive.jsonl").read_text().splitlines()]
    recorded = [id_ for id_, _, _ in earlier.events()]
    assert sorted(archived) == sorted(recorded[6:])  # the first six had been delivered before
    assert earlier.receiver.ids == [recorded[13], recorded[15]]  # what subscription 3 was put off with
    assert earlier.command("dead-letters", "retry", "--all").code == 0
    assert earlier.command("relay").code == 0
    waited = [id_ for id_, type_, subject in earlier.events() if subject == "subscriptions/2"]
    assert earlier.receiver.ids[2:] == waited
    assert len((earlier.folder / "archive.jsonl").read_text().splitlines()) == len(archived)
