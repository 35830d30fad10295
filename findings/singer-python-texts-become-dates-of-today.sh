#!/usr/bin/env bash
# What one expects: a text in a property that is "a date-time, or else a text" is kept, unless it is a date-time, that is, has
# the form of RFC 3339. In JSON Schema such an anyOf takes either.
# What happens (singer-python 6.8.0): the Transformer tries the date-time with a parser that guesses. "May" becomes today's
# day in May, "10" the tenth of this month, "2024" today's date in 2024, "Sun" the next Sunday. Each run of the same data can
# give another record. "n/a" and "v2" are kept.
# Whom it hurts: readers of columns that hold dates in most rows: singer-encodings 0.6.1 gives this schema to each column of a
# CSV file that is named in date_overrides, and taps give it to custom fields.
# What to do: in a tap, give properties that aren't dates throughout the type string, and parse them behind the target.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'singer-python==6.8.0' 'singer-encodings==0.6.1'
cd "$folder"
venv/bin/python - <<'PY'
import datetime
import importlib.metadata
import logging
import sys

import singer
from singer_encodings import json_schema

logging.disable(logging.CRITICAL)
TEXTS = ["2024-01-01T00:00:00Z", "May", "10", "2024", "Sun", "n/a", "v2"]
properties = json_schema.generate_schema([{"due": text} for text in TEXTS], {"date_overrides": ["due"]})
with singer.Transformer() as transformer:
    records = [transformer.transform({"due": text}, {"type": "object", "properties": properties}) for text in TEXTS]
today = datetime.date.today()
for package in ("singer-python", "singer-encodings"):
    print(package, importlib.metadata.version(package))
print("schema:", properties["due"])
seen = {text: record["due"] for text, record in zip(TEXTS, records)}
for text, due in seen.items():
    print(f"{text!r} -> {due!r}")
begins = {"May": f"{today.year}-05-", "10": f"{today:%Y-%m}-10T", "2024": f"2024-{today:%m}-", "Sun": "20"}
if any(seen[text] != text for text in ("n/a", "v2")) or not seen[TEXTS[0]].startswith("2024-01-01T00:00:00"):
    sys.exit("Changed: date-times, or texts that can't be a date, come out differently.")
for text, begin in begins.items():
    if not (seen[text].startswith(begin) and len(seen[text]) == len("2024-01-01T00:00:00.000000Z")):
        sys.exit(f"Changed: {text!r} is no longer made a date that depends on the present.")
PY
