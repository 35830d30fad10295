#!/usr/bin/env bash
# What one expects: what JSON Lines hold is read, or the reader says that it can't. polars' read_json says so for the same
# records in a list: "extra field in struct data".
# What happens (polars 2.1.0): read_ndjson finds columns in the first 100 records. A key that first turns up later is left
# out with all its values, at the top and in nested objects, without a warning. A value of another type there is an error,
# so that one takes silence for success.
# Whom it hurts: whoever reads the files of an extraction: properties that are absent where they have no value (a refund, a
# cancellation) are the rare ones, and it is they that get lost.
# What to do: read_ndjson(..., infer_schema_length=None), or give a schema.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'polars==2.1.0'
cd "$folder"
venv/bin/python - <<'PY'
import json
import sys

import polars

RECORDS = [{"id": number, "card": {"last4": "4242"}} for number in range(100)]
RECORDS.append({"id": 100, "card": {"last4": "4242", "declined": True}, "refunded": 5})
LINES = "".join(json.dumps(record) + "\n" for record in RECORDS).encode()

print("polars", polars.__version__)
late = polars.read_ndjson(LINES).to_dicts()[-1]
whole = polars.read_ndjson(LINES, infer_schema_length=None).to_dicts()[-1]
try:
    listed = str(polars.read_json(json.dumps(RECORDS).encode()).to_dicts()[-1])
except polars.exceptions.ComputeError as error:
    listed = f"refused: {str(error).splitlines()[0]}"
print("the last record sent:         ", RECORDS[-1])
print("read_ndjson:                  ", late)
print("infer_schema_length=None:     ", whole)
print("read_json of the same records:", listed)
if whole != RECORDS[-1] or "extra field" not in listed:
    sys.exit("Changed: the two other ways read these records differently.")
if late != {"id": 100, "card": {"last4": "4242"}}:
    sys.exit("Changed: read_ndjson no longer drops keys that first turn up after 100 records.")
PY
