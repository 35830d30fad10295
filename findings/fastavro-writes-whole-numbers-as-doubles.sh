#!/usr/bin/env bash
# What one expects: of an Avro union ["null", "double", "long"] an int is written as a long, which holds it exactly, and a float
# as a double: the branch of a value is that of its type.
# What happens (fastavro 1.13.1): the first branch that takes the value is used, and "double" takes an int. 9007199254740993 is
# read back as 9007199254740992.0, and under ["null", "float", "long"] 16777217 as 16777216.0. With "long" first both are
# right. Avro doesn't order the branches of a union, so that one schema is as good as the other.
# Whom it hurts: whoever makes schemas from JSON Schema types ["number", "integer"], or has a union's names sorted by the
# alphabet (double comes before long): ids of 64 bits become their neighbours.
# What to do: put "long" before "double" and "float", or write (branch, value) as fastavro's tuple notation has it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'fastavro==1.13.1'
cd "$folder"
venv/bin/python - <<'PY'
import io
import sys

import fastavro

print("fastavro", fastavro.__version__)


def back(union, value):
    """Return what is read back of a value of a union."""
    schema = {"type": "record", "name": "order", "fields": [{"name": "id", "type": union}]}
    file = io.BytesIO()
    fastavro.writer(file, schema, [{"id": value}])
    file.seek(0)
    (record,) = fastavro.reader(file)
    print(f"{str(union):28} {str(value):29} is read back as {record['id']!r}")
    return record["id"]


long, short = 2**53 + 1, 2**24 + 1
wrong = [back(["null", "double", "long"], long), back(["null", "float", "long"], short)]
right = [back(["null", "long", "double"], long), back(["null", "long", "float"], short)]
named = back(["null", "double", "long"], ("long", long))
if right != [long, short] or named != long:
    sys.exit("Changed: with long first, or with the branch named, a whole number is no longer read back as it was.")
if [repr(value) for value in wrong] != ["9007199254740992.0", "16777216.0"]:
    sys.exit("Changed: fastavro no longer writes whole numbers as double or float where those come first.")
PY
