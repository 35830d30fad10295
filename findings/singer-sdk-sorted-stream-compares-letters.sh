#!/usr/bin/env bash
# What one expects: a stream with is_sorted whose replication key is a date-time comes through as long as its times
# ascend. RFC 3339, which JSON Schema's date-time stands for, lets a time have any number of fractional digits, so an API
# that leaves the fraction out where it is zero sends an ascending list: 00:00:00Z, then 00:00:00.5Z.
# What happens (singer-sdk 0.54.9): bookmarks are compared as text, "." sorts before "Z", and the run ends with
# InvalidStreamSortException at the second record. Offsets do the same: 10:00+02:00 is before 09:00Z, and sorts after.
# Whom it hurts: taps of APIs that shorten fractions or write offsets, in a run that is right; it fails again each time.
# What to do: bring times to one form (UTC, a fixed number of digits) in post_process, or leave is_sorted off, which
# costs the ability to resume and still keeps the text that sorts last as the bookmark.
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
import logging
import sys

from singer_sdk import Stream, Tap
from singer_sdk import typing as th
from singer_sdk.exceptions import InvalidStreamSortException

logging.disable(logging.CRITICAL)


def run(times):
    """Return how a sorted stream of these times ends."""

    class Orders(Stream):
        name = "orders"
        schema = th.PropertiesList(
            th.Property("id", th.IntegerType), th.Property("updated_at", th.DateTimeType)
        ).to_dict()
        replication_key = "updated_at"
        is_sorted = True

        def get_records(self, context):
            yield from ({"id": number, "updated_at": time} for number, time in enumerate(times))

    class TapOrders(Tap):
        name = "tap-orders"

        def discover_streams(self):
            return [Orders(self)]

    with contextlib.redirect_stdout(io.StringIO()):
        try:
            TapOrders(config={}).sync_all()
        except InvalidStreamSortException as error:
            return f"InvalidStreamSortException: {error}"
    return "all records came"


same_form = run(["2024-01-01T00:00:00.0Z", "2024-01-01T00:00:00.5Z"])
shortened = run(["2024-01-01T00:00:00Z", "2024-01-01T00:00:00.5Z"])
offsets = run(["2024-01-01T10:00:00+02:00", "2024-01-01T09:00:00Z"])
print("singer-sdk", importlib.metadata.version("singer-sdk"))
print("ascending, one form:       ", same_form)
print("ascending, a fraction more:", shortened)
print("ascending, with offsets:   ", offsets)
if same_form != "all records came":
    sys.exit("Changed: even times of one form don't come through, so this script no longer shows what it says.")
if not (shortened.startswith("Invalid") and offsets.startswith("Invalid")):
    sys.exit("Changed: singer-sdk no longer refuses an ascending list whose times are written in different forms.")
PY
