#!/usr/bin/env bash
# What one expects: a BATCH file holds what the stream's SCHEMA declares. The SDK's guide to batches says that records
# are written to files instead of RECORD messages, and names jsonl and parquet as two encodings of the same thing.
# What happens (singer-sdk 0.54.9): the columns of a Parquet file are those of the first record of its batch. A property
# that the first record happens not to have is left out of the whole file, for each record, without a word. The jsonl
# encoding of the same records has it.
# Whom it hurts: every tap of an API that leaves null properties out of its records, and taps that mark deletions in a
# property that only deleted records have: the deletion never arrives.
# What to do: write jsonl; or fill each record up to the properties of the schema in post_process.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'singer-sdk[parquet]==0.54.9' 'pyarrow==26.0.1'
cd "$folder"
venv/bin/python - <<'PY'
import contextlib
import gzip
import importlib.metadata
import io
import json
import logging
import pathlib
import sys

import pyarrow.parquet
from singer_sdk import Stream, Tap
from singer_sdk import typing as th

logging.disable(logging.CRITICAL)
RECORDS = [{"id": 1}, {"id": 2, "note": "second"}, {"id": 3, "deleted_at": "2024-01-01T00:00:00Z"}]


class Orders(Stream):
    name = "orders"
    schema = th.PropertiesList(
        th.Property("id", th.IntegerType), th.Property("note", th.StringType), th.Property("deleted_at", th.DateTimeType)
    ).to_dict()

    def get_records(self, context):
        yield from (dict(record) for record in RECORDS)


class TapOrders(Tap):
    name = "tap-orders"

    def discover_streams(self):
        return [Orders(self)]


def files(encoding):
    """Return the paths of the files that a run in BATCH mode announces."""
    folder = pathlib.Path(encoding["format"]).absolute()
    folder.mkdir()
    config = {"batch_config": {"encoding": encoding, "storage": {"root": folder.as_uri()}}}
    with contextlib.redirect_stdout(io.StringIO()) as output:
        TapOrders(config=config).sync_all()
    messages = [json.loads(line) for line in output.getvalue().splitlines()]
    manifests = [message["manifest"] for message in messages if message["type"] == "BATCH"]
    return [name.removeprefix("file://") for manifest in manifests for name in manifest]


jsonl = [json.loads(line) for name in files({"format": "jsonl", "compression": "gzip"}) for line in gzip.open(name)]
parquet = [pyarrow.parquet.read_table(name) for name in files({"format": "parquet", "compression": "gzip"})]
columns = sorted({name for table in parquet for name in table.column_names})
print("singer-sdk", importlib.metadata.version("singer-sdk"), "pyarrow", importlib.metadata.version("pyarrow"))
print("in the jsonl file:  ", jsonl)
print("in the Parquet file:", [record for table in parquet for record in table.to_pylist()])
if jsonl != RECORDS:
    sys.exit("Changed: the jsonl file no longer holds the records as they are, so there is nothing to compare with.")
if columns != ["id"]:
    sys.exit(f"Changed: the Parquet file has the columns {columns}, not only those of its first record.")
PY
