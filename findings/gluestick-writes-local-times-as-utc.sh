#!/usr/bin/env bash
# What one expects: a column of times that know their zone reaches the Singer file as the same instants. The schema that goes
# with it says date-time, RFC 3339, where a Z at the end means UTC.
# What happens (gluestick 3.0.21): to_singer writes the wall clock's digits of the column's own zone, and a Z behind them.
# 2024-01-01T10:00:00+02:00, which is 08:00 UTC, is written as 10:00:00Z, two hours off; pandas and polars frames alike.
# Whom it hurts: ETL scripts that parse times with an offset, as pandas does on its own, and write them on. Nothing fails, and
# records near an edge fall into the wrong day, or behind a bookmark.
# What to do: convert before writing: `frame["at"].dt.tz_convert("UTC")`, in polars `dt.convert_time_zone("UTC")`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'gluestick==3.0.21' 'pandas==3.1.1'
cd "$folder"
venv/bin/python - <<'PY'
import importlib.metadata
import json
import pathlib
import sys

import gluestick
import pandas
import polars

TEXT = "2024-01-01T10:00:00+02:00"


def written(frame, folder):
    """Return the time as it stands in the Singer file."""
    pathlib.Path(folder).mkdir()
    gluestick.to_singer(frame, "orders", folder, keys=["id"])
    lines = [json.loads(line) for line in pathlib.Path(folder, "data.singer").read_text().splitlines() if line]
    return next(line["record"]["at"] for line in lines if line["type"] == "RECORD")


local = pandas.DataFrame({"id": [1], "at": pandas.to_datetime([TEXT])})
utc = local.assign(at=local["at"].dt.tz_convert("UTC"))
berlin = polars.DataFrame({"id": [1], "at": [local["at"][0].to_pydatetime()]}).with_columns(
    polars.col("at").dt.convert_time_zone("Europe/Berlin")
)
for package in ("gluestick", "pandas", "polars"):
    print(package, importlib.metadata.version(package))
seen = [written(frame, name) for name, frame in [("local", local), ("utc", utc), ("berlin", berlin)]]
print("the instant:                        ", TEXT)
print("pandas, as parsed, is written as:   ", seen[0])
print("pandas, converted to UTC first:     ", seen[1])
print("polars, in Europe/Berlin:           ", seen[2])
if seen != ["2024-01-01T10:00:00.000000Z", "2024-01-01T08:00:00.000000Z", "2024-01-01T09:00:00.000000Z"]:
    sys.exit("Changed: gluestick no longer writes the local wall clock's digits with a Z behind them.")
PY
