#!/usr/bin/env bash
# What one expects: a text of JSON stays a text, or becomes a time where it has the full form of one. By ISO 8601 and RFC
# 3339 a year has four digits.
# What happens (duckdb 2.0.1): read_json takes texts of two digits each, such as the codes "24-01-02" and "99-12-31", for
# dates of 2024-01-02 and 1999-12-31, and the column has the type DATE. One code that is no date in the first 20,480 records
# ("24-13-02") and all stay texts: the type of a column depends on the codes of the day.
# Whom it hurts: whoever loads part numbers, box numbers and invoice numbers of this form: they come out as other texts, and
# no join finds them.
# What to do: name the columns' types: read_json(..., columns = {code: 'VARCHAR'}). dateformat = '%Y-%m-%d' makes dates of the
# years 24 and 99.
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


def read(codes, options=""):
    """Return the column's type and its values as texts."""
    pathlib.Path("parts.jsonl").write_text("".join(json.dumps({"code": code}) + "\n" for code in codes))
    rows = duckdb.sql(f"SELECT typeof(code), code::VARCHAR FROM read_json('parts.jsonl'{options})").fetchall()
    return rows[0][0], [code for _, code in rows]


CODES = ["24-01-02", "99-12-31"]
print("duckdb", duckdb.__version__, "reads the codes", CODES)
seen = {
    "alone": read(CODES),
    "with 24-13-02": read([*CODES, "24-13-02"]),
    "alone, with columns": read(CODES, ", columns = {code: 'VARCHAR'}"),
    "alone, with dateformat": read(CODES, ", dateformat = '%Y-%m-%d'"),
}
for case, found in seen.items():
    print(f"{case:24} {found}")
if seen["with 24-13-02"] != ("VARCHAR", [*CODES, "24-13-02"]) or seen["alone, with columns"] != ("VARCHAR", CODES):
    sys.exit("Changed: DuckDB reads the control cases differently.")
if seen["alone"] != ("DATE", ["2024-01-02", "1999-12-31"]) or seen["alone, with dateformat"][0] != "DATE":
    sys.exit("Changed: DuckDB no longer takes codes of two digits each for dates.")
PY
