#!/usr/bin/env bash
# What one expects: a value that fits its schema passes singer-python's Transformer as it is. In JSON Schema, a list of
# types is a set (the keyword "type": the instance's type must be any of them), so their order means nothing.
# What happens (singer-python 6.8.0): the first type in the list to which the value can be converted wins, "null" aside.
# With ["integer", "number"] 7.9 becomes 7; with ["boolean", "integer"] 5 becomes true; with ["integer", "string"] the text
# "00501" becomes 501, and, as commas are dropped first, "1,5" becomes 15. The reversed list gives other values.
# It meets singer-encodings 0.6.1, which CSV taps use: it finds "integer or string" for a column of zip codes, in that
# order, so that such a tap sends 501 for 00501.
# Whom it hurts: taps of files and APIs whose schema allows two types for a property: all that was valid, some of it changed.
# What to do: in schemas for the Transformer, put the type first that loses nothing: "string", then "number", then "integer".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'singer-python==6.8.0' 'singer-encodings==0.6.1'
cd "$folder"
venv/bin/python - <<'PY'
import importlib.metadata
import json
import sys

import jsonschema
from singer import Transformer
from singer_encodings import csv, json_schema


def transformed(types, value):
    """Return what the Transformer makes of a value that is valid by a schema of these types."""
    schema = {"type": "object", "properties": {"value": {"type": types}}}
    jsonschema.validate({"value": value}, schema)
    with Transformer() as transformer:
        return transformer.transform({"value": value}, json.loads(json.dumps(schema)))["value"]


expected = [
    (["integer", "number"], 7.9, 7),
    (["number", "integer"], 7.9, 7.9),
    (["boolean", "integer"], 5, True),
    (["integer", "boolean"], 5, 5),
    (["null", "integer", "string"], "00501", 501),
    (["null", "integer", "string"], "1,5", 15),
    (["null", "string", "integer"], "1,5", "1,5"),
]
for package in ("singer-python", "singer-encodings"):
    print(package, importlib.metadata.version(package))
failed = []
for types, value, then in expected:
    now = transformed(types, value)
    print(f"{types}: {value!r} -> {now!r}")
    if (type(now), now) != (type(then), then):
        failed.append(f"{value!r} as {types} gives {now!r}, not {then!r}")

lines = [b"town,zip\n", b"Holtsville,00501\n", b"Boston,02108\n"]
rows = list(csv.get_row_iterator(lines))
schema = {"type": "object", "properties": json_schema.generate_schema(rows, {})}
print("schema of a CSV file:", schema["properties"]["zip"])
with Transformer() as transformer:
    records = [transformer.transform(row, schema) for row in rows]
print("its records:", records)
if [record["zip"] for record in records] != [501, 2108]:
    failed.append("a CSV file's zip codes come out as " + repr([record["zip"] for record in records]))
if failed:
    sys.exit("Changed: " + "; ".join(failed) + ".")
PY
