"""BATCH messages: files in place of RECORD lines."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.target_eventgen.loading import schema, state

if TYPE_CHECKING:
    from pathlib import Path

    from tests.target_eventgen.loading import Loader

THINGS = schema("things", {"id": {"type": "integer"}, "n": {"type": ["number", "null"]}}, version=None)
RULES = [{"type": "high", "stream": "things", "enters": "n > 10"}, {"type": "new", "stream": "things", "on": "created"}]


def batch(*files: Path, kind: str = "jsonl", compression: str | None = "gzip", **more: Any) -> dict[str, Any]:
    encoding = {"format": kind, "compression": compression}
    return {"type": "BATCH", "stream": "things", "encoding": encoding, "manifest": [f.as_uri() for f in files], **more}


def written(path: Path, records: list[dict[str, Any]], *, zipped: bool = True) -> Path:
    text = "".join(json.dumps(each) + "\n" for each in records).encode()
    path.write_bytes(gzip.compress(text) if zipped else text)
    return path


@pytest.mark.parametrize("zipped", [True, False])
def test_the_records_of_files_are_loaded_in_their_order_with_their_events(loader: Loader, *, zipped: bool) -> None:
    first = written(loader.folder / "a.jsonl", [{"id": 1, "n": 5}, {"id": 2, "n": 11}], zipped=zipped)
    second = written(loader.folder / "b.jsonl", [{"id": 1, "n": 12}, {"id": 1, "n": 1}], zipped=zipped)
    message = batch(first, second, compression="gzip" if zipped else None)
    assert loader.load([THINGS, message, state(1)], events=RULES) == [1]
    assert loader.query("select id, n from things order by id") == [(1, 1), (2, 11)]
    assert loader.events() == [("new", "1"), ("high", "2"), ("new", "2"), ("high", "1")]


def test_a_batch_carries_the_version_of_its_table(loader: Loader) -> None:
    rules = [{"type": "gone", "stream": "things", "on": "deleted"}]
    for version, ids in ((1, (1, 2)), (2, (2,))):
        file = written(loader.folder / f"{version}.gz", [{"id": number} for number in ids])
        activate = {"type": "ACTIVATE_VERSION", "stream": "things", "version": version}
        loader.load([THINGS, batch(file, version=version), activate], events=rules)
    assert loader.events() == [("gone", "1")]


def test_a_large_file_is_committed_in_pieces_before_it_fills_the_memory(loader: Loader) -> None:
    file = written(loader.folder / "a.gz", [{"id": number} for number in range(120)])
    assert loader.load([THINGS, batch(file), state(1)], batch_size_rows=10) == [1]
    assert loader.query("select count(*), count(distinct xmin::text) from things") == [(120, 3)]


def test_stream_maps_apply_to_records_of_files_too(loader: Loader) -> None:
    file = written(loader.folder / "a.gz", [{"id": 1, "n": 2}, {"id": 2, "n": 3}])
    loader.load([THINGS, batch(file)], stream_maps={"things": {"__filter__": "id > 1"}})
    assert loader.query("select id from things") == [(2,)]


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("missing", "can't be read (FileNotFoundError)"),
        ("cut", "can't be read (EOFError)"),
        ("no JSON", "can't be read (DecodeError)"),
        ("no object", "no JSON object"),
        ("another format", "'csv'"),
    ],
)
def test_a_file_that_can_not_be_read_is_one_message(loader: Loader, case: str, said: str) -> None:
    file = loader.folder / "a.gz"
    whole = gzip.compress(b'{"id": 1}\n' * 1000 if case == "cut" else b"[]\n" if case == "no object" else b"{\n")
    if case != "missing":
        file.write_bytes(whole[:-12] if case == "cut" else whole)
    message = loader.refused([THINGS, batch(file, kind="csv" if case == "another format" else "jsonl"), state(1)])
    assert said in message
    assert 'stream "things": the BATCH file a.gz' in message
