#!/usr/bin/env bash
# What one expects: 19.99 is a multiple of 0.01. In JSON Schema multipleOf is about the numbers as written, and Singer
# programs read JSON with Decimal to have them so. Taps of databases say `multipleOf: 0.01` for numeric(10,2), 1e-38 for a
# numeric without limits.
# What happens where they meet (fastjsonschema 2.22.3, jsonschema 4.26.0): fastjsonschema raises TypeError where schema and
# value are Decimals, decimal.InvalidOperation where the value alone is one, and calls 19.99 wrong where the schema alone is
# one. jsonschema calls 19.99 wrong among floats, raises TypeError where one of the two is a Decimal, and InvalidOperation for
# 5 and 1e-38, as the quotient has more digits than Python's decimal context has. Each of these numbers is a multiple.
# Whom it hurts: targets that validate: they end at the first valid record, with an exception that names no record.
# What to do: read schema and records with the same parse_float, jsonschema with Decimal, and drop a multipleOf below 1e-18.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'fastjsonschema==2.22.3' 'jsonschema==4.26.0'
cd "$folder"
venv/bin/python - <<'PY'
import importlib.metadata
import json
import sys
from decimal import Decimal

import fastjsonschema
import jsonschema

VALIDATORS = {
    "fastjsonschema": lambda schema, value: fastjsonschema.compile(schema)(value),
    "jsonschema": lambda schema, value: jsonschema.Draft7Validator(schema).validate(value),
}


def verdict(name, unit, number, schema_float, value_float):
    """Return what a validator says of a number, the schema and the number read with these types for fractions."""
    schema = json.loads(f'{{"type": "number", "multipleOf": {unit}}}', parse_float=schema_float)
    value = json.loads(number, parse_float=value_float)
    try:
        VALIDATORS[name](schema, value)
    except Exception as error:
        return type(error).__name__
    return "valid"


expected = [
    ("fastjsonschema", "0.01", "19.99", float, float, "valid"),
    ("fastjsonschema", "0.01", "19.99", Decimal, Decimal, "TypeError"),
    ("fastjsonschema", "0.01", "19.99", float, Decimal, "InvalidOperation"),
    ("fastjsonschema", "0.01", "19.99", Decimal, float, "JsonSchemaValueException"),
    ("jsonschema", "0.01", "19.99", float, float, "ValidationError"),
    ("jsonschema", "0.01", "19.99", Decimal, Decimal, "valid"),
    ("jsonschema", "0.01", "19.99", float, Decimal, "TypeError"),
    ("jsonschema", "0.01", "19.99", Decimal, float, "TypeError"),
    ("jsonschema", "1e-38", "5", Decimal, Decimal, "InvalidOperation"),
]
for package in VALIDATORS:
    print(package, importlib.metadata.version(package))
changed = []
for name, unit, number, schema_float, value_float, then in expected:
    now = verdict(name, unit, number, schema_float, value_float)
    print(f"{name:14} {number} by {unit}, schema read as {schema_float.__name__}, number as {value_float.__name__}: {now}")
    if now != then:
        changed.append(f"{name} says {now} of {number} by {unit}, not {then}")
if changed:
    sys.exit("Changed: " + "; ".join(changed) + ".")
PY
