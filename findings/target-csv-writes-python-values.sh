#!/usr/bin/env bash
# What one expects: an object or a list in a CSV cell is JSON, which whatever reads the file next can parse; the RECORD came
# as JSON.
# What happens (meltanolabs-target-csv 0.5.0): it is Python's own notation of what singer-sdk parsed: single quotes, None,
# True, and Decimal('1.5') for a number with a fraction. No JSON parser reads it, nor does ast.literal_eval, because of the
# Decimal.
# Whom it hurts: those who load the CSV files into a warehouse's JSON or variant column, or read them in another language.
# What to do: a stream map in the target, `plan: json.dumps(plan, default=str)`, writes JSON, in which fractions are texts.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'meltanolabs-target-csv==0.5.0'
cd "$folder"
venv/bin/python - <<'PY'
import ast
import csv
import importlib.metadata
import json
import pathlib
import subprocess
import sys

PLAN = {"name": "basic", "rate": 1.5, "trial": None, "tags": ["a"], "active": True}
properties = {"id": {"type": "integer"}, "plan": {"type": ["null", "object"]}}
messages = [
    {"type": "SCHEMA", "stream": "orders", "schema": {"type": "object", "properties": properties}, "key_properties": ["id"]},
    {"type": "RECORD", "stream": "orders", "record": {"id": 1, "plan": PLAN}},
]
pathlib.Path("output").mkdir()
pathlib.Path("config.json").write_text(json.dumps({"output_path": "output"}))
lines = "\n".join(map(json.dumps, messages))
subprocess.run(["venv/bin/target-csv", "--config", "config.json"], input=lines, text=True, capture_output=True, check=True)
(path,) = pathlib.Path().rglob("*.csv")
with path.open(newline="") as file:
    (row,) = csv.DictReader(file)
cell = row["plan"]


def reads(parser):
    """Return whether a parser reads the cell."""
    try:
        parser(cell)
    except (ValueError, SyntaxError):
        return False
    return True


print("meltanolabs-target-csv", importlib.metadata.version("meltanolabs-target-csv"))
print("sent:   ", json.dumps(PLAN))
print("written:", cell)
print("a JSON parser reads it:", reads(json.loads), "- ast.literal_eval reads it:", reads(ast.literal_eval))
if reads(json.loads) or reads(ast.literal_eval) or "Decimal('1.5')" not in cell:
    sys.exit("Changed: an object in a cell is no longer written in Python's notation.")
PY
