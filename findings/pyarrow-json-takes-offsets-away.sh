#!/usr/bin/env bash
# What one expects: a time with an offset is read as an instant with a zone, one without as a local time, and the two don't
# share a column.
# What happens (pyarrow 26.0.1): pyarrow.json makes of "2024-01-01T10:00:00+02:00" and "2024-01-01 10:00:00" one column of times
# without a zone, 08:00 and 10:00: the first moved to UTC, the second as it was, and nothing says which is which. Parquet
# written from it says "not adjusted to UTC". With one fraction of a second in the file the column has the texts instead.
# Whom it hurts: whoever turns JSON Lines into Parquet: readers take these times for local ones, two hours off, and the type
# of a column depends on whether a second is whole.
# What to do: read with ParseOptions(explicit_schema=...), with pyarrow.string() for times.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'pyarrow==26.0.1'
cd "$folder"
venv/bin/python - <<'PY'
import io
import json
import sys

import pyarrow
import pyarrow.json

print("pyarrow", pyarrow.__version__)


def read(*texts):
    """Return the column's type and its values as texts."""
    lines = "".join(json.dumps({"at": text}) + "\n" for text in texts)
    column = pyarrow.json.read_json(io.BytesIO(lines.encode())).column("at")
    print(texts, "are read as", column.type, [str(value) for value in column.to_pylist()])
    return str(column.type), [str(value) for value in column.to_pylist()]


OFFSET, LOCAL, FRACTION = "2024-01-01T10:00:00+02:00", "2024-01-01 10:00:00", "2024-01-01T10:00:00.5+02:00"
mixed, alone, texts = read(OFFSET, LOCAL), read(OFFSET), read(OFFSET, FRACTION)
if texts != ("string", [OFFSET, FRACTION]):
    sys.exit("Changed: with a fraction of a second the column no longer holds the texts.")
if mixed != ("timestamp[s]", ["2024-01-01 08:00:00", "2024-01-01 10:00:00"]) or alone != ("timestamp[s]", ["2024-01-01 08:00:00"]):
    sys.exit("Changed: pyarrow.json no longer makes times without a zone of times with an offset.")
PY
