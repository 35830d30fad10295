#!/usr/bin/env bash
# What one expects: 2024-01-31T24:00:00Z is the end of January 31, the same instant as 2024-02-01T00:00:00Z. ISO
# 8601:2004 (4.2.3, midnight) says so, PostgreSQL reads it so, and files of intervals write the end of a period in this
# form.
# What happens (aniso8601 10.0.1): it is read as the beginning of January 31, a day too early. The interval of a whole
# day, 2024-01-31T00:00:00Z/2024-01-31T24:00:00Z, begins and ends at once. ciso8601 2.4.1 and python-dateutil 4.0.0's
# isoparse read February 1; others refuse the text, which nobody takes for a day.
# Whom it hurts: programs on Flask-RESTful, graphene and others that bring aniso8601 along: a last day falls out of a
# report, and a bookmark goes back by one.
# What to do: look for "T24:" first; or read with ciso8601.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'aniso8601==10.0.1' 'ciso8601==2.4.1' 'python-dateutil==4.0.0'
cd "$folder"
venv/bin/python - <<'PY'
import datetime
import importlib.metadata
import sys

import aniso8601
import ciso8601
import dateutil.parser

TEXT = "2024-01-31T24:00:00Z"
EARLY, RIGHT = (datetime.datetime(2024, *day, tzinfo=datetime.timezone.utc) for day in ((1, 31), (2, 1)))

print(*(f"{package} {importlib.metadata.version(package)}" for package in ("aniso8601", "ciso8601", "python-dateutil")))
found = {
    "ciso8601": ciso8601.parse_datetime(TEXT),
    "isoparse": dateutil.parser.isoparse(TEXT),
    "aniso8601": aniso8601.parse_datetime(TEXT),
}
begin, end = aniso8601.parse_interval(f"2024-01-31T00:00:00Z/{TEXT}")
for name, moment in found.items():
    print(f"{TEXT} read by {name:10} {moment.isoformat()}")
print("the interval of January 31, read by aniso8601, lasts", end - begin)
if found["ciso8601"] != RIGHT or found["isoparse"] != RIGHT:
    sys.exit("Changed: ciso8601 or isoparse no longer reads the end of a day as the beginning of the next.")
if found["aniso8601"] != EARLY or end != begin:
    sys.exit("Changed: aniso8601 no longer reads the end of a day as its beginning.")
PY
