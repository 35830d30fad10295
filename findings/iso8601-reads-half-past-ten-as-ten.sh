#!/usr/bin/env bash
# What one expects: 2024-01-01T10:30.5Z is half a minute past half past ten. ISO 8601 lets the last element of a time have a
# decimal fraction, minutes included; loggers and instruments write so. A reader that doesn't know the form refuses it.
# What happens (iso8601 2.1.0): it is read as 10:00:30.5. The package takes "30.5" for the seconds and the minutes for absent.
# Without the fraction, 10:30 is right. isodate 0.7.2 reads 10:30:30.
# Whom it hurts: programs that read such times with the package, which has no dependencies and sits beneath many others:
# each time moves to the beginning of its hour, so that 10:59.9 comes before 10:01.
# What to do: read with isodate; or ask for the seconds before reading.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'iso8601==2.1.0' 'isodate==0.7.2'
cd "$folder"
venv/bin/python - <<'PY'
import importlib.metadata
import sys

import iso8601
import isodate

print(*(f"{package} {importlib.metadata.version(package)}" for package in ("iso8601", "isodate")))
seen = {}
for text in ("2024-01-01T10:01Z", "2024-01-01T10:30.5Z", "2024-01-01T10:59.9Z", "2024-01-01T10:30:30.5Z"):
    ours, other = iso8601.parse_date(text), isodate.parse_datetime(text)
    seen[text] = (f"{ours:%H:%M:%S.%f}", f"{other:%H:%M:%S.%f}")
    print(f"{text:24} iso8601: {seen[text][0]}   isodate: {seen[text][1]}")
if [other for _, other in seen.values()] != ["10:01:00.000000", "10:30:30.000000", "10:59:54.000000", "10:30:30.500000"]:
    sys.exit("Changed: isodate reads these times differently.")
if [ours for ours, _ in seen.values()] != ["10:01:00.000000", "10:00:30.500000", "10:00:59.900000", "10:30:30.500000"]:
    sys.exit("Changed: iso8601 no longer takes a fraction of minutes for seconds.")
PY
