"""A database with the names of earlier code for what is stored goes on as if the names had never been others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from target_eventgen.model import tables
from target_eventgen.store.postgres import Postgres
from tests.support.messages import record, schema, state

if TYPE_CHECKING:
    from tests.support.loading import Loader

STATUS = {"type": "status", "stream": "subscriptions", "changes": ["status"]}
MADE = {"type": "made", "stream": "subscriptions", "on": "created"}
GONE = {"type": "gone", "stream": "subscriptions", "on": "deleted"}

AGE = """
alter table subscriptions rename column _eventgen_instant_history to _eventgen_story;
update eventgen.tombstones set record = record - '_eventgen_instant_history'
  || jsonb_build_object('_eventgen_story', record -> '_eventgen_instant_history');
alter table eventgen.parked rename to held;
alter index eventgen.parked_key rename to held_key;
alter index eventgen.parked_pkey rename to held_pkey;
alter sequence eventgen.parked_sequence_seq rename to held_sequence_seq
"""
"""Gives what is stored the names that earlier code gave it."""


def version(key: int, status: str) -> dict[str, Any]:
    return record(id=key, value=1, status=status, updated_at="2026-01-01T00:00:00Z")


def names(loader: Loader) -> set[str]:
    """The tables, indexes and sequences of the schema eventgen, and the columns of the stream."""
    relations = "select relname from pg_class where relnamespace = 'eventgen'::regnamespace"
    columns = "select attname from pg_attribute where attrelid = 'subscriptions'::regclass and attnum > 0"
    return {name for (name,) in loader.query(f"{relations} union all {columns}")}


def test_a_database_of_earlier_code_gets_the_names_of_a_new_one(loader: Loader) -> None:
    loader.load([schema(), version(1, "a"), state(1)])
    new = names(loader)
    loader.query(AGE)
    assert {"held", "held_key", "held_pkey", "held_sequence_seq", "_eventgen_story"} <= names(loader)
    for _ in range(2):
        loader.load([schema(), version(1, "a"), state(1)])
        assert names(loader) == new


@pytest.mark.parametrize("key", ["updated_at", None])
def test_no_event_of_a_run_that_died_under_earlier_code_is_recorded_twice(loader: Loader, key: str | None) -> None:
    sent = [version(1, status) for status in "abcd"]
    loader.load([schema(version=key), sent[0], state(0), *sent[1:]], events=[STATUS])
    loader.query(AGE)
    loader.load([schema(version=key), *sent, state(1)], events=[STATUS], batch_size_rows=1)
    assert "".join(new for (new,) in loader.events("data->'new'->>'status'")) == "bcd"
    assert loader.query("select status, _eventgen_version from subscriptions") == [("d", 4)]


def test_records_that_earlier_code_has_parked_are_judged_at_the_end_of_the_next_run(loader: Loader) -> None:
    a, b, other = version(1, "a"), version(1, "b"), version(2, "a")
    loader.load([schema(), a, state(0), b], events=[STATUS])
    loader.load([schema(), a, state(1), other], events=[STATUS], batch_size_rows=1)  # its tap died
    loader.query(AGE)
    assert loader.query("select count(*) from eventgen.held") == [(1,)]
    loader.load([schema(), other, state(2)], events=[STATUS])
    assert loader.query("select status from subscriptions where id = 1") == [("a",)]
    assert loader.query("select count(*) from eventgen.parked") == [(0,)]
    assert loader.events("data->'new'->>'status'") == [("b",), ("a",)]


def test_a_row_that_earlier_code_took_out_comes_back_with_its_history(loader: Loader) -> None:
    described = schema()
    described["schema"]["properties"]["_sdc_deleted_at"] = {"type": ["string", "null"], "format": "date-time"}
    deletion = {
        "type": "RECORD",
        "stream": "subscriptions",
        "record": {"id": 1, "_sdc_deleted_at": "2026-03-02T00:00:00Z"},
    }
    sent = [version(1, "a"), version(1, "b"), deletion]
    settings: dict[str, Any] = {"events": [MADE, STATUS, GONE], "hard_delete": True, "batch_size_rows": 1}
    loader.load([described, sent[0], state(0), *sent[1:]], **settings)
    once = [("made",), ("status",), ("gone",)]
    assert loader.events("type") == once
    loader.query(AGE)
    loader.load([described, *[part for n, message in enumerate(sent, 1) for part in (message, state(n))]], **settings)
    assert loader.events("type") == once
    assert loader.query("select id from subscriptions") == []


def test_two_targets_rename_at_the_same_time(loader: Loader) -> None:
    loader.load([schema(), version(1, "a"), state(1)])
    new = names(loader)
    loader.query(AGE)
    table = tables.table(
        "subscriptions",
        schema()["schema"],
        key=["id"],
        replication_key="updated_at",
        default_schema=None,
        with_metadata=True,
    )

    def prepare(run: int) -> None:
        with closing(Postgres(loader.database, run)) as postgres:
            postgres.prepare(table, (), source="here", emit_first_load=True)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(prepare, range(1, 5)))
    assert names(loader) == new
