"""BATCH: files in place of RECORD lines, with the same content, and STATE behind them."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pytest
from pyarrow import parquet

from tap_restextract.errors import ConfigurationError
from tap_restextract.singer.batches import faults_in, table_of
from tests.support.api import Answers, Reply, serving
from tests.support.processes import Run, tap
from tests.support.streams import INCLUSIVE, config

FORMATS: dict[str, dict[str, Any]] = {
    "lines": {"format": "jsonl", "compression": "gzip"},
    "plain lines": {"format": "jsonl", "compression": "none"},
    "parquet": {"format": "parquet", "compression": "gzip"},
}
THINGS: list[dict[str, Any]] = [
    {"id": 1, "updated_at": "2026-01-01T00:00:01Z", "n": 1, "tree": {"a": [1, None]}},
    {"id": 2, "updated_at": "2026-01-01T00:00:02Z", "n": 0.1, "note": "late", "tree": {"b": "x"}, "big": 2**70},
    {"id": 3, "updated_at": "2026-01-01T00:00:03Z", "deleted": True},
    {"id": 4, "updated_at": "2026-01-01T00:00:04Z", "n": None, "mixed": 5, "on": True},
    {"id": 5, "updated_at": "2026-01-01T00:00:05Z", "mixed": "five", "on": False},
]


def since(things: list[dict[str, Any]], size: int = 2) -> Answers:
    """The things since an instant, some at a time."""
    return lambda asked: Reply([each for each in things if each["updated_at"] >= asked.params.get("since", "")][:size])


def configuration(url: str, folder: Path, encoding: dict[str, Any], *, size: int = 3, **keys: Any) -> dict[str, Any]:
    paginator = {"type": "single_page", "limit": 2}
    given = {"schema": None, "paginator": paginator, **INCLUSIVE, **keys}
    return config(url, **given) | {
        "batch_config": {"encoding": encoding, "storage": {"root": (folder / "files").as_uri()}, "batch_size": size}
    }


def read(address: str, encoding: dict[str, Any]) -> list[dict[str, Any]]:
    """The records of a file."""
    path = Path(urlsplit(address).path)
    if encoding["format"] == "parquet":
        table = parquet.read_table(path)
        documents = [each.name for each in table.schema if each.type == pa.json_()]
        found: list[dict[str, Any]] = table.to_pylist()
        return [
            {
                name: json.loads(value) if name in documents else value
                for name, value in row.items()
                if value is not None
            }
            for row in found
        ]
    content = path.read_bytes()
    text = gzip.decompress(content) if encoding["compression"] == "gzip" else content
    return [json.loads(line, parse_float=Decimal) for line in text.splitlines()]


def files(done: Run, encoding: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """The records of each file, which its message names truly."""
    assert done.code == 0, done.err
    messages = [message for message in done.messages if message["type"] == "BATCH"]
    assert all(message["encoding"] == encoding for message in messages)
    return [read(address, encoding) for message in messages for address in message["manifest"]]


@pytest.mark.parametrize("encoding", FORMATS.values(), ids=FORMATS)
def test_files_hold_what_records_would_and_state_moves_behind_each(tmp_path: Path, encoding: dict[str, Any]) -> None:
    with serving(since(THINGS)) as api:
        whole = configuration(api.url, tmp_path, encoding, deleted_path="deleted")
        plain = tap(tmp_path, {name: value for name, value in whole.items() if name != "batch_config"})
        done = tap(tmp_path, whole)
        again = tap(tmp_path, whole, state=done.states[-1])
    found = [record for file in files(done, encoding) for record in file]
    expected = [{name: value for name, value in record.items() if value is not None} for record in plain.records]
    assert json.loads(json.dumps(found, default=float)) == [
        record if encoding["format"] == "parquet" else full
        for record, full in zip(expected, plain.records, strict=True)
    ]
    assert found[2]["_sdc_deleted_at"] == THINGS[2]["updated_at"]
    order = [message["type"] for message in done.messages if message["type"] != "SCHEMA"]
    assert order == ["BATCH", "STATE"] * (len(order) // 2) + ["STATE"]
    assert done.states[-1]["bookmarks"]["things"]["replication_key_value"] == THINGS[-1]["updated_at"]
    assert files(again, encoding) == []


def test_a_file_is_of_one_schema_and_no_larger_than_it_may_be(tmp_path: Path) -> None:
    things = [{"id": n, "updated_at": f"2026-01-01T00:00:{n:02}Z"} for n in range(7)]
    things += [{"id": 7, "updated_at": "2026-01-01T00:00:07Z", "new": 1}]
    with serving(since(things, 100)) as api:
        whole = configuration(api.url, tmp_path, FORMATS["lines"], paginator={"type": "single_page"})
        found = files(tap(tmp_path, whole), FORMATS["lines"])
    assert [len(file) for file in found] == [3, 3, 2]


def test_what_is_deselected_is_in_no_file_and_maps_make_files_of_their_own(tmp_path: Path) -> None:
    encoding = FORMATS["parquet"]
    with serving(since(THINGS[:2])) as api:
        whole = configuration(api.url, tmp_path, encoding)
        catalog = json.loads(tap(tmp_path, whole, "--discover").out)
        for entry in catalog["streams"][0]["metadata"]:
            if entry["breadcrumb"] == ["properties", "tree"]:
                entry["metadata"]["selected"] = False
        whole["stream_maps"] = {
            "others": {"__source__": "things", "id": "id", "twice": "int(id) * 2", "__else__": None}
        }
        done = tap(tmp_path, whole, catalog=catalog)
    assert done.code == 0, done.err
    assert [message["stream"] for message in done.messages if message["type"] == "BATCH"] == ["things", "others"]
    things, others = files(done, encoding)
    assert all("tree" not in record for record in things)
    assert others == [{"id": 1, "twice": 2}, {"id": 2, "twice": 4}]


@pytest.mark.pure
@pytest.mark.parametrize(
    ("kind", "value"), [("number", Decimal("1e-90")), ("integer", "five"), ("string", 5), ("boolean", "yes")]
)
def test_what_a_column_can_not_hold_is_an_error_that_names_it(kind: str, value: Any) -> None:
    schema = {"properties": {"v": {"type": [kind, "null"]}}}
    with pytest.raises(ConfigurationError, match="stream things: a value of v is not what its SCHEMA says"):
        table_of("things", schema, [{"v": None}, {"v": value}])


@pytest.mark.pure
def test_whole_numbers_beyond_64_bits_are_kept() -> None:
    schema = {"properties": {"v": {"type": ["integer", "null"]}}}
    assert table_of("things", schema, [{"v": 2**63}, {"v": -1}, {}]).to_pylist() == [
        {"v": 2**63},
        {"v": -1},
        {"v": None},
    ]


@pytest.mark.pure
@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"storage": None}, "it lacks storage.root; set it to where the files are to be"),
        ({"encoding": {}}, "it lacks encoding.format; set it to jsonl or parquet"),
        ({"batch_size": 0}, "batch_size: it is 0; set it to 1 or more"),
    ],
)
def test_what_no_file_can_be_written_with_is_a_fault_of_the_configuration(changed: dict[str, Any], fault: str) -> None:
    whole = {"encoding": {"format": "jsonl"}, "storage": {"root": "file:///data"}, "batch_size": 10}
    assert faults_in(whole) == []
    (told,) = faults_in({**whole, **changed})
    assert fault in told


@pytest.mark.parametrize("encoding", FORMATS.values(), ids=FORMATS)
def test_a_storage_that_can_not_be_written_to_is_an_error_that_names_the_stream(
    tmp_path: Path, encoding: dict[str, Any]
) -> None:
    (tmp_path / "files").write_text("no folder")
    with serving(since(THINGS)) as api:
        done = tap(tmp_path, configuration(api.url, tmp_path, encoding))
        done_elsewhere = tap(
            tmp_path, configuration(api.url, tmp_path, encoding) | {"batch_config": {"encoding": encoding}}
        )
    assert (done.code, done.states) == (1, [])
    assert "stream things: a BATCH file can't be written" in done.told[-1]
    assert "check batch_config.storage" in done.told[-1]
    assert done_elsewhere.code == 1
    assert done_elsewhere.told[-1].startswith("tap-restextract: config.batch_config: it lacks storage.root")
