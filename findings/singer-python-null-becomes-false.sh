#!/usr/bin/env bash
# What one expects: null in a property of the types ["null", "boolean"] stays null. It is valid by that schema, and null,
# "not known", is a third answer beside true and false. Nulls in the other kinds of property do stay null.
# What happens (singer-python 6.8.0): the Transformer moves "null" to the end of the list, tries "boolean" first, and null
# as a Python truth value is false: RECORDs say false. The function's description tells that null is applied last, not this.
# An empty text becomes false too, and the texts "0", "no" and "f" become true.
# Whom it hurts: targets behind taps that are built on singer-python: "opted out" can't be told from "never asked", and a
# rule or an event on a change from null to false never fires.
# What to do: write the property's schema as {"anyOf": [{"type": "null"}, {"type": "boolean"}]}: anyOf is tried in its own order.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'singer-python==6.8.0'
cd "$folder"
venv/bin/python - <<'PY'
import importlib.metadata
import sys

import jsonschema
import singer

SCHEMA = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "opted_in": {"type": ["null", "boolean"]},
        "amount": {"type": ["null", "number"]},
        "note": {"type": ["null", "string"]},
    },
}
record = {"id": 1, "opted_in": None, "amount": None, "note": None}
jsonschema.validate(record, SCHEMA)
any_of = {"type": "object", "properties": {"opted_in": {"anyOf": [{"type": "null"}, {"type": "boolean"}]}}}
with singer.Transformer() as transformer:
    after = transformer.transform(dict(record), SCHEMA)
    kept = transformer.transform({"opted_in": None}, any_of)
print("singer-python", importlib.metadata.version("singer-python"))
print("before:", record)
print("after: ", after)
print("with anyOf:", kept)
if after != {"id": 1, "opted_in": False, "amount": None, "note": None}:
    sys.exit("Changed: singer-python no longer makes false of a null in a boolean property, and of that alone.")
if kept != {"opted_in": None}:
    sys.exit("Changed: anyOf with null first no longer keeps a null.")
PY
