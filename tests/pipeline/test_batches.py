"""BATCH files from the tap into the target: the rows and events that RECORD lines give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.api import Asked, Reply, serving
from tests.support.processes import TAP, TARGET, ran, written
from tests.support.queries import rows

AT = "2026-01-01T00:00:0{}Z"
FIRST: list[dict[str, Any]] = [
    {"id": number, "name": f"thing {number}", "updated_at": AT.format(number)} for number in (1, 2, 3)
]
SECOND: list[dict[str, Any]] = [
    {"id": 1, "name": "one!", "updated_at": AT.format(4)},
    {"id": 2, "name": "thing 2", "note": "late", "tree": {"a": 0.5}, "updated_at": AT.format(5)},
    {"id": 3, "deleted": True, "updated_at": AT.format(6)},
]


@pytest.mark.parametrize("encoding", [None, "jsonl", "parquet"])
def test_files_give_the_rows_the_events_and_the_deletions_that_records_give(
    database: str, tmp_path: Path, encoding: str | None
) -> None:
    things = list(FIRST)

    def answers(asked: Asked) -> Reply:
        return Reply([each for each in things if each["updated_at"] >= asked.params.get("since", "")])

    with serving(answers) as api:
        stream: dict[str, Any] = {
            "name": "things",
            "path": "/things",
            "primary_key": ["id"],
            "deleted_path": "deleted",
            "params": {"since": "{cursor.updated_at}"},
            "incremental": {"cursor_path": "updated_at"},
        }
        whole: dict[str, Any] = {"base_url": api.url, "streams": [stream]}
        if encoding:
            storage = {"root": (tmp_path / "files").as_uri()}
            whole["batch_config"] = {"encoding": {"format": encoding, "compression": "gzip"}, "storage": storage}
        tap: list[str | Path] = [TAP, "--config", written(tmp_path, "tap.json", whole)]
        rules = [{"type": f"thing.{kind}", "stream": "things", "on": kind} for kind in ("updated", "deleted")]
        settings = {"database_url": database, "default_target_schema": "public", "events": rules}
        target: list[str | Path] = [TARGET, "--config", written(tmp_path, "target.json", settings)]
        first = ran(tap, target, tmp_path / "first")
        things[:] = SECOND
        again = [*tap, "--state", written(tmp_path, "state.json", first.states[-1])]
        second = ran(again, target, tmp_path / "second")
        third = ran([*tap, "--state", written(tmp_path, "state.json", second.states[-1])], target, tmp_path / "third")
    assert bool(second.records) == (encoding is None)
    assert not any('"BATCH"' in line for line in third.lines)
    found = rows(database, "select id, name, note, tree, _sdc_deleted_at is not null as gone from things order by id")
    assert [tuple(row.values()) for row in found] == [
        (1, "one!", None, None, False),
        (2, "thing 2", "late", {"a": 0.5}, False),
        (3, "thing 3", None, None, True),
    ]
    events = rows(database, "select type, key->>'id' as id from eventgen.events order by sequence")
    assert sorted((event["id"], event["type"]) for event in events) == [
        ("1", "thing.updated"),
        ("2", "thing.updated"),
        ("3", "thing.deleted"),
    ]
