#!/usr/bin/env bash
# What one expects: `$.items[?(@.price > 10)]` finds a price of 10.9. JSON has one kind of number, RFC 9535 (2.3.5.2.2) orders
# numbers by their value, and jsonpath-ng 1.16.0 follows that section.
# What happens where two meet (jsonpath-ng 1.16.0, singer-sdk 0.54.9): jsonpath-ng orders ints and floats only. A
# decimal.Decimal is no number to it, so <, <=, > and >= are false. singer-sdk's REST streams read JSON with Decimal, to keep
# each digit: the record with 10.9 is left out of records_jsonpath without a word, the one with 11 comes, as it has no
# fraction. Equality works.
# Whom it hurts: taps with a filter on amounts in records_jsonpath, and everybody who reads JSON with parse_float=Decimal.
# What to do: filter in post_process, or in the target. A comparison by == or != is safe.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'singer-sdk==0.54.9' 'jsonpath-ng==1.16.0'
cd "$folder"
venv/bin/python - <<'PY'
import importlib.metadata
import json
import logging
import sys

import requests
from jsonpath_ng.ext import parse
from singer_sdk import RESTStream, Tap

logging.disable(logging.CRITICAL)
BODY = '{"items": [{"id": 1, "price": 9.5}, {"id": 2, "price": 10.9}, {"id": 3, "price": 11}]}'
PATH = "$.items[?(@.price > 10)]"


class Items(RESTStream):
    name = "items"
    url_base = "https://api.example.com"
    path = "/items"
    records_jsonpath = PATH
    schema = {"type": "object", "properties": {"id": {"type": "integer"}, "price": {"type": "number"}}}


class TapItems(Tap):
    name = "tap-items"

    def discover_streams(self):
        return [Items(self)]


response = requests.Response()
response.status_code = 200
response._content = BODY.encode()
by_float = [match.value["id"] for match in parse(PATH).find(json.loads(BODY))]
by_sdk = [record["id"] for record in Items(TapItems(config={})).parse_response(response)]
print("jsonpath-ng", importlib.metadata.version("jsonpath-ng"), "singer-sdk", importlib.metadata.version("singer-sdk"))
print("the answer:", BODY)
print("ids that jsonpath-ng finds in floats with", PATH, "->", by_float)
print("ids that the REST stream finds with it   ", " " * len(PATH), "->", by_sdk)
if by_float != [2, 3]:
    sys.exit("Changed: jsonpath-ng no longer finds both prices above 10 among floats.")
if by_sdk != [3]:
    sys.exit("Changed: a filter by > on decimals no longer loses the price with a fraction in singer-sdk.")
PY
