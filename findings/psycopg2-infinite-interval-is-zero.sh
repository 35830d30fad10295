#!/usr/bin/env bash
# What one expects: an infinite interval, which PostgreSQL has had since version 17 (release notes; "infinity" is what it
# sends), becomes something infinite in Python, or an error. psycopg2 gives the greatest datetime for an infinite timestamp,
# and the greatest date for an infinite date; its documentation describes infinite dates, and no intervals.
# What happens (psycopg2-binary 2.9.13): "infinity" as an interval becomes timedelta(0), as does "-infinity". No error, no
# warning.
# Whom it hurts: taps and programs that read "valid for" or "retain for" columns: what should last for ever has run out.
# What to do: select the interval as text, or register a typecaster of your own for it (psycopg2.extensions.new_type, oid
# 1186).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'psycopg2-binary==2.9.13'
cd "$folder"
venv/bin/python - <<'PY'
import datetime
import importlib.metadata
import sys

from psycopg2 import extensions


def read(caster, text):
    """Return what psycopg2 makes of a value that the server sends as this text. The casters are those of each fetch."""
    return caster(text, None)


print("psycopg2-binary", importlib.metadata.version("psycopg2-binary"))
date = read(extensions.PYDATE, "infinity")
timestamp = read(extensions.PYDATETIME, "infinity")
intervals = [read(extensions.PYINTERVAL, text) for text in ("1 day 02:00:00", "infinity", "-infinity")]
print("date 'infinity':        ", repr(date))
print("timestamp 'infinity':   ", repr(timestamp))
print("interval '1 day 02:00': ", repr(intervals[0]))
print("interval 'infinity':    ", repr(intervals[1]))
print("interval '-infinity':   ", repr(intervals[2]))
if extensions.string_types[1186] is not extensions.INTERVAL and 1186 not in extensions.PYINTERVAL.values:
    sys.exit("Changed: psycopg2 no longer reads intervals with this caster.")
if intervals[0] != datetime.timedelta(days=1, hours=2) or date != datetime.date.max:
    sys.exit("Changed: psycopg2 reads finite intervals or infinite dates differently.")
if intervals[1:] != [datetime.timedelta(0), datetime.timedelta(0)]:
    sys.exit("Changed: an infinite interval no longer becomes timedelta(0).")
PY
