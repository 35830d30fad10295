"""A primary key that records share: a sweep would keep one of them, so that one answer with two stops it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tap_restextract.errors import WalkError
from tap_restextract.hash_cache.sqlite import SqliteHashes
from tap_restextract.walks.steps import Page, Record
from tap_restextract.walks.table import stream_walk_for
from tests.support.streams import plan

pytestmark = pytest.mark.in_process


def swept(tmp_path: Path, records: list[Record], **keys: Any) -> list[Any]:
    """What a sweep of one page emits."""
    made = plan(sweep=True, **keys)
    cache = SqliteHashes(str(tmp_path / "hashes.db"), "things")
    try:
        sub_walk = stream_walk_for(made, None, cache=cache).next()
        assert sub_walk is not None
        next(sub_walk.steps)
        return [record["id"] for record in sub_walk.steps.send(Page(records)).records]
    finally:
        cache.close()


def test_two_records_of_one_answer_that_share_the_primary_key_and_differ_stop_a_sweep(tmp_path: Path) -> None:
    with pytest.raises(WalkError) as caught:
        swept(tmp_path, [{"id": 1, "line": 1}, {"id": 2, "line": 1}, {"id": 1, "line": 2}])
    assert str(caught.value) == (
        "stream things (sweep): two records of one answer share the primary key (id 1), and differ, so that a sweep would keep one of "
        "them; declare what parts them, such as primary_key: [id, …]"
    )


def test_one_record_that_is_listed_twice_is_no_contradiction(tmp_path: Path) -> None:
    assert swept(tmp_path, [{"id": 1, "line": 1}, {"line": 1, "id": 1}, {"id": 2}]) == [1, 2]


def test_a_record_and_its_tombstone_are_no_contradiction(tmp_path: Path) -> None:
    records = [{"id": 1, "deleted": False}, {"id": 1, "deleted": True}]
    assert swept(tmp_path, records, deleted_path="deleted") == [1]
