"""BATCH messages: files in place of RECORD lines."""

from __future__ import annotations

import gzip
import json
import sys
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from target_eventgen.errors import MessageError
from tests.support.messages import schema, state

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.loading import Loader

THINGS = schema("things", {"id": {"type": "integer"}, "n": {"type": ["number", "null"]}}, version=None)
KINDS = {"another format": "csv", "no Parquet": "parquet"}
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


def test_values_of_a_parquet_file_are_those_that_json_would_have_carried(loader: Loader) -> None:
    properties: dict[str, Any] = {
        "id": {"type": "integer"},
        "at": {"type": "string", "format": "date-time"},
        "day": {"type": "string", "format": "date"},
        "n": {"type": "number"},
        "word": {"type": ["string", "null"]},
        "tree": {"type": "object"},
    }
    zone = timezone(timedelta(hours=2))
    rows = [
        {
            "id": number,
            "at": datetime(2026, 1, number, 12, tzinfo=zone),
            "day": date(2026, 1, number),
            "n": Decimal("0.10000000000000000001"),
            "word": None if number > 1 else "a",
            "tree": {"times": [datetime(2026, 1, 1, tzinfo=timezone.utc)], "n": 0.5},
        }
        for number in (1, 2)
    ]
    file = loader.folder / "a.parquet"
    parquet.write_table(pa.Table.from_pylist(rows), file)
    message = batch(file, kind="parquet", compression="snappy")
    rules = [{"type": "late", "stream": "things", "enters": "at > '2026-01-01T11:00:00Z'"}]
    assert loader.load([schema("things", properties, version="at"), message, state(1)], events=rules) == [1]
    assert loader.query("select id, at, day, n, word, tree from things order by id") == [
        (
            number,
            datetime(2026, 1, number, 10, tzinfo=timezone.utc),
            date(2026, 1, number),
            Decimal("0.10000000000000000001"),
            None if number > 1 else "a",
            {"times": ["2026-01-01T00:00:00Z"], "n": 0.5},
        )
        for number in (1, 2)
    ]
    assert loader.events() == [("late", "2")]


def test_parquet_without_pyarrow_is_one_message_that_names_the_extra(
    loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = loader.folder / "a.parquet"
    parquet.write_table(pa.table({"id": [1]}), file)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MessageError, match='install the extra "parquet"'):
        loader.load([THINGS, batch(file, kind="parquet", compression=None)])


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("missing", "can't be read (FileNotFoundError)"),
        ("cut", "can't be read (EOFError)"),
        ("no JSON", "can't be read (DecodeError)"),
        ("no object", "not a JSON object"),
        ("another format", "'csv'"),
        ("no Parquet", "can't be read (ArrowInvalid)"),
    ],
)
def test_a_file_that_can_not_be_read_is_one_message(loader: Loader, case: str, said: str) -> None:
    file = loader.folder / "a.gz"
    whole = gzip.compress(b'{"id": 1}\n' * 1000 if case == "cut" else b"[]\n" if case == "no object" else b"{\n")
    if case != "missing":
        file.write_bytes(whole[:-12] if case == "cut" else whole)
    message = loader.refused([THINGS, batch(file, kind=KINDS.get(case, "jsonl")), state(1)])
    assert said in message
    assert 'stream "things": the BATCH file a.gz' in message
