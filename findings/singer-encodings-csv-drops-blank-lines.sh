#!/usr/bin/env bash
# What one expects: a CSV field in double quotes may hold line breaks (RFC 4180, section 2, rule 6), an empty line among them,
# and comes out as it was written. Python's own csv module, which singer-encodings reads with, does so.
# What happens (singer-encodings 0.6.1): the line breaks at the start of each physical line are stripped before the csv module
# sees the line, so that an empty line inside a quoted field is gone: two paragraphs become two lines. Nothing is said.
# With with_duplicate_headers=True, another branch of the same function, the text stays whole.
# Whom it hurts: CSV taps (S3, SFTP) with comments, addresses or descriptions in them; and comparisons with a copy of the
# same data that came by another way.
# What to do: pass with_duplicate_headers=True, or read the file with the csv module itself.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'singer-encodings==0.6.1'
cd "$folder"
venv/bin/python - <<'PY'
import csv
import importlib.metadata
import io
import sys

import singer_encodings.csv

NOTE = "first paragraph\r\n\r\nsecond paragraph"
file = io.StringIO(newline="")
csv.writer(file).writerows([["id", "note"], [1, NOTE]])
content = file.getvalue().encode()


def note(**options):
    """Return the note as singer-encodings reads it."""
    (row,) = singer_encodings.csv.get_row_iterator(io.BytesIO(content), **options)
    return row["note"]


(row,) = csv.DictReader(io.StringIO(content.decode(), newline=""))
default, other = note(), note(with_duplicate_headers=True)
print("singer-encodings", importlib.metadata.version("singer-encodings"))
print("written:                         ", repr(NOTE))
print("Python's csv module reads:       ", repr(row["note"]))
print("singer-encodings reads:          ", repr(default))
print("with_duplicate_headers=True reads:", repr(other))
if not row["note"] == other == NOTE:
    sys.exit("Changed: the csv module or the other branch no longer returns the field as it was written.")
if default != "first paragraph\r\nsecond paragraph":
    sys.exit("Changed: singer-encodings no longer drops the empty line of a quoted field.")
PY
