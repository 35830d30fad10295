#!/usr/bin/env bash
# What one expects: a number in a file of JSON Lines comes out of the reader as that number, or the reader refuses the file.
# DuckDB refuses one in which a key or a text turns up where its detection of columns hadn't seen it.
# What happens (duckdb 2.0.1): read_json looks at the first 20,480 records to find a column's type. Where they hold whole
# numbers, a fraction further down is rounded to a whole one, without a word: 19.99 becomes 20, 0.4 becomes 0. The same
# records with the fraction among the first are read as they are.
# Whom it hurts: whoever loads the files of an extraction: amounts, rates and measures that are whole for a long time and then
# aren't. Sums are near the true ones, so that nobody looks.
# What to do: read_json(..., sample_size = -1), or name the columns' types.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'duckdb==2.0.1'
cd "$folder"
venv/bin/python - <<'PY'
import json
import pathlib
import sys

import duckdb

WHOLE = [{"amount": 20}] * 20_480
LATE = [{"amount": 19.99}, {"amount": 0.4}]


def read(records, options=""):
    """Return the column's type and its last two values, or the first word of DuckDB's refusal."""
    pathlib.Path("orders.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    try:
        rows = duckdb.sql(f"SELECT typeof(amount), amount FROM read_json('orders.jsonl'{options})").fetchall()
    except duckdb.Error as error:
        return type(error).__name__
    return rows[-1][0], [float(amount) for _, amount in rows[-2:]]


print("duckdb", duckdb.__version__)
seen = {
    "fractions after 20,480 whole numbers": read(WHOLE + LATE),
    "the same with sample_size = -1": read(WHOLE + LATE, ", sample_size = -1"),
    "fractions after 20,478 whole numbers": read(WHOLE[:-2] + LATE),
    "a text after 20,480 whole numbers": read([*WHOLE, {"amount": "none"}]),
}
for case, found in seen.items():
    print(f"{case:38} {found}")
if list(seen.values())[1:] != [("DOUBLE", [19.99, 0.4])] * 2 + ["InvalidInputException"]:
    sys.exit("Changed: DuckDB reads the control cases differently.")
if seen["fractions after 20,480 whole numbers"] != ("BIGINT", [20.0, 0.0]):
    sys.exit("Changed: DuckDB no longer rounds fractions that come late in a file.")
PY
