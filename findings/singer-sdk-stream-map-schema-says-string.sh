#!/usr/bin/env bash
# What one expects: a stream map's RECORD fits the SCHEMA that the same run sends before it. The SDK's page on stream maps
# says how types are found: a call of float(), int() or str() has that type, a bare property keeps its own, and anything
# else is treated as a string, so one expects the value to be made one.
# What happens (singer-sdk 0.54.9): only the SCHEMA says string; the value stays what the expression gave. `amount + amount`
# is declared a string and sent as a number. And not the call counts, but the first letters: `int(amount) > 1` is
# declared an integer and sent as a boolean.
# Whom it hurts: users of stream_maps with an operator in them, in front of targets that validate, or that make columns from
# the SCHEMA: they refuse the own record of a tap that did nothing wrong, or store a number as text.
# What to do: put one conversion around the whole expression: `float(amount + amount)`, `bool(int(amount) > 1)`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'singer-sdk==0.54.9'
cd "$folder"
venv/bin/python - <<'PY'
import contextlib
import importlib.metadata
import io
import json
import logging
import sys

import jsonschema
from singer_sdk import Stream, Tap
from singer_sdk import typing as th

logging.disable(logging.CRITICAL)


class Orders(Stream):
    name = "orders"
    schema = th.PropertiesList(th.Property("id", th.IntegerType), th.Property("amount", th.NumberType)).to_dict()

    def get_records(self, context):
        yield {"id": 1, "amount": 1.5}


class TapOrders(Tap):
    name = "tap-orders"

    def discover_streams(self):
        return [Orders(self)]


maps = {
    "orders": {
        "same": "amount",
        "sum": "amount + amount",
        "large": "int(amount) > 1",
        "sum_wrapped": "float(amount + amount)",
        "large_wrapped": "bool(int(amount) > 1)",
    }
}
with contextlib.redirect_stdout(io.StringIO()) as output:
    TapOrders(config={"stream_maps": maps}).sync_all()
messages = [json.loads(line) for line in output.getvalue().splitlines()]
schema = next(message["schema"] for message in messages if message["type"] == "SCHEMA")
record = next(message["record"] for message in messages if message["type"] == "RECORD")
print("singer-sdk", importlib.metadata.version("singer-sdk"))
for name, expression in maps["orders"].items():
    print(f"{name} = {expression}: value {record[name]!r}, declared {schema['properties'][name]['type']}")
refused = sorted(error.path[0] for error in jsonschema.Draft7Validator(schema).iter_errors(record))
print("its own SCHEMA refuses of the RECORD:", refused)
if refused != ["large", "sum"]:
    sys.exit("Changed: other values of stream maps than those with an operator outside a call disagree with their SCHEMA.")
PY
