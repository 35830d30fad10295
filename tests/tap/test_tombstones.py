"""Tombstones: a record that says that it is deleted comes out as a deletion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tap_restextract.errors import ConfigurationError
from tap_restextract.plan.tombstones import as_deletion, is_tombstone
from tap_restextract.singer.schema import completed
from tests.support.api import Reply, serving
from tests.support.processes import tap
from tests.support.streams import INCLUSIVE, SCHEMA, config, plan

NOW = "2026-05-05T05:05:05+00:00"
EPOCH: dict[str, Any] = {
    "params": {"since": "{cursor.changed}"},
    "incremental": {"cursor_path": "changed", "epoch": "ms"},
    "schema": {"properties": {"id": {}, "changed": {}}},
}


@pytest.mark.parametrize(
    ("mark", "deleted"),
    [
        *((mark, True) for mark in (True, 1, "2026-01-01T00:00:00Z", "true", "Y", "1", "spam")),
        *((mark, False) for mark in (False, None, 0, "", " ", "false", "N", "0", "0000-00-00 00:00:00")),
    ],
)
def test_a_mark_that_is_neither_null_false_zero_nor_empty_makes_a_tombstone(mark: object, *, deleted: bool) -> None:
    stream = plan(deleted_path="meta.deleted", **INCLUSIVE).stream
    assert is_tombstone(stream, {"id": 1, "meta": {"deleted": mark}}) == deleted
    assert not is_tombstone(stream, {"id": 1})


def test_without_deleted_path_no_record_is_a_tombstone() -> None:
    assert not is_tombstone(plan(**INCLUSIVE).stream, {"id": 1, "deleted": True})


def test_a_deletion_is_its_keys_and_the_time_that_the_mark_says() -> None:
    record = {"id": 1, "updated_at": "2026-01-02T00:00:00Z", "name": "a", "gone": "2026-01-01T00:00:00Z"}
    assert as_deletion(plan(deleted_path="gone", **INCLUSIVE), record, NOW) == {
        "id": 1,
        "updated_at": "2026-01-02T00:00:00Z",
        "_sdc_deleted_at": "2026-01-01T00:00:00Z",
    }


def test_a_mark_that_is_not_a_time_takes_the_replication_keys() -> None:
    record = {"id": 1, "updated_at": "2026-01-02T00:00:00Z", "deleted": True}
    assert (
        as_deletion(plan(deleted_path="deleted", **INCLUSIVE), record, NOW)["_sdc_deleted_at"] == "2026-01-02T00:00:00Z"
    )


def test_a_counted_replication_key_is_written_as_an_instant() -> None:
    record = {"id": 1, "changed": 1_700_000_000_250, "deleted": True}
    found = as_deletion(plan(deleted_path="deleted", **EPOCH), record, NOW)
    assert found == {"id": 1, "changed": 1_700_000_000_250, "_sdc_deleted_at": "2023-11-14T22:13:20.25Z"}


def test_without_any_time_the_moment_of_the_extraction_is_emitted() -> None:
    assert as_deletion(plan(deleted_path="deleted"), {"id": 1, "deleted": 1}, NOW) == {"id": 1, "_sdc_deleted_at": NOW}


def test_the_schema_has_room_for_deletions() -> None:
    schema = completed({**SCHEMA, "required": ["id", "name"]}, plan(deleted_path="deleted", **INCLUSIVE))
    assert schema["properties"]["_sdc_deleted_at"]["format"] == "date-time"
    assert "required" not in schema


def test_deleted_path_without_a_primary_key_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="deleted_path needs primary_key"):
        plan(deleted_path="deleted", primary_key=[])


def test_the_tap_emits_a_tombstone_once_and_keeps_its_place_in_the_order(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "updated_at": "2026-01-01T00:00:00Z"},
        {"id": 2, "updated_at": "2026-01-02T00:00:00Z", "deleted": True},
    ]
    with serving(lambda _: Reply(rows)) as api:
        configuration = config(api.url, deleted_path="deleted", **INCLUSIVE)
        first = tap(tmp_path, configuration)
        again = tap(tmp_path, configuration, state=first.states[-1])
    deletion = {"id": 2, "updated_at": rows[1]["updated_at"], "_sdc_deleted_at": rows[1]["updated_at"]}
    assert first.records == [rows[0], deletion]
    assert first.states[-1]["bookmarks"]["things"]["replication_key_value"] == rows[1]["updated_at"]
    assert again.records == []
