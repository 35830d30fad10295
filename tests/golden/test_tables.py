"""The tables that both programs make, with their columns, constraints, indexes and functions."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.golden import shop
from tests.golden.api import served
from tests.golden.conftest import Golden
from tests.golden.forking import Programs
from tests.golden.notifications import body, stored
from tests.golden.tables import described
from tests.golden.walks import configuration, run


def test_the_tables_that_the_target_makes_are_as_they_were(
    programs: Programs, golden: Golden, database: str, tmp_path: Path
) -> None:
    with shop.opened(programs, database, tmp_path) as opened:
        opened.load(shop.FIRST)
        fresh = described(database, "public", "eventgen")
        opened.load([shop.WIDENED])
        widened = described(database, "public").partition("table public.subscriptions")[1:]
    golden.check_all({"tables/target.sql": fresh, "tables/target_widened.sql": "".join(widened).partition("\n\n")[0]})


def test_the_tables_of_other_settings_are_as_they_were(
    programs: Programs, golden: Golden, database: str, tmp_path: Path
) -> None:
    with shop.opened(programs, database, tmp_path) as opened:
        settings = {"add_record_metadata": False, "default_target_schema": "loaded", "events": [], "publishers": []}
        opened.load(shop.FIRST, **settings, load_method="append-only")
    golden.check("tables/target_without_metadata.sql", described(database, "loaded"))


def test_the_tables_of_the_hash_cache_in_sqlite_are_as_they_were(
    programs: Programs, golden: Golden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(monkeypatch) as (_, api):
        run(programs, tmp_path, configuration("sweep", api.url))
    with closing(sqlite3.connect(tmp_path / "hashes.db")) as cache:
        made = cache.execute("select type, name, sql from sqlite_master order by type, name").fetchall()
        rows = cache.execute("select * from hashes order by stream, key").fetchall()
    text = "\n\n".join(f"-- {kind} {name}\n{sql}" for kind, name, sql in made)
    golden.check("tables/hash_cache.sqlite.sql", "\n".join([text, "\n-- rows of hashes", *map(str, rows)]))


def test_the_tables_of_the_hash_cache_and_of_the_queue_in_postgres_are_as_they_were(
    programs: Programs, golden: Golden, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(monkeypatch) as (_, api):
        run(programs, tmp_path, configuration("sweep", api.url, hash_cache=database))
    stored(database, body(1, 1))
    golden.check("tables/tap.sql", described(database, "tap_restextract"))
