#!/usr/bin/env bash
# What one expects: a duration is sent as a duration, in the form that the stream's own SCHEMA names: the SDK's typing
# page has DurationType, whose format is "duration", P1D in JSON Schema (RFC 3339, appendix A).
# What happens (singer-sdk 0.54.9): a timedelta, which is what Python's database clients make of an interval, is added
# to 1970-01-01 and sent as that time: one day becomes 1970-01-02T00:00:00+00:00, an hour less than nothing
# 1969-12-31T23:00:00, whether the property is a duration or a plain text. The RECORD defies its SCHEMA's format, and
# nothing is said.
# Whom it hurts: taps of databases with intervals, "valid for", "took": the target stores a time that reads like a real
# one.
# What to do: send text or seconds from post_process: row["took"] = row["took"].total_seconds().
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'singer-sdk==0.54.9' 'isoduration==20.11.0'
cd "$folder"
venv/bin/python - <<'PY'
import contextlib
import datetime
import importlib.metadata
import io
import json
import logging
import sys

import isoduration
from singer_sdk import Stream, Tap
from singer_sdk import typing as th

logging.disable(logging.CRITICAL)


class Jobs(Stream):
    name = "jobs"
    schema = th.PropertiesList(
        th.Property("limit", th.DurationType), th.Property("late", th.DurationType), th.Property("text", th.StringType)
    ).to_dict()

    def get_records(self, context):
        day, hour = datetime.timedelta(days=1), datetime.timedelta(hours=1)
        yield {"limit": day, "late": -hour, "text": day}


class TapJobs(Tap):
    name = "tap-jobs"

    def discover_streams(self):
        return [Jobs(self)]


with contextlib.redirect_stdout(io.StringIO()) as output:
    TapJobs().sync_all()
messages = [json.loads(line) for line in output.getvalue().splitlines()]
properties = next(message["schema"]["properties"] for message in messages if message["type"] == "SCHEMA")
record = next(message["record"] for message in messages if message["type"] == "RECORD")
print("singer-sdk", importlib.metadata.version("singer-sdk"))
for name, value in record.items():
    print(f"{name:6} sent as {value!r}, declared {properties[name]}")
if properties["limit"].get("format") != "duration":
    sys.exit("Changed: DurationType no longer has the format duration.")
try:
    sys.exit(f"Changed: what is sent is a duration: {isoduration.parse_duration(record['limit'])}.")
except isoduration.DurationParsingException as error:
    print("as a duration:", type(error).__name__)
day, hour = "1970-01-02T00:00:00+00:00", "1969-12-31T23:00:00+00:00"
if record != {"limit": day, "late": hour, "text": day}:
    sys.exit("Changed: a timedelta is no longer sent as a time near 1970.")
PY
