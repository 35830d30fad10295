#!/usr/bin/env bash
# What one expects: a stream map `__filter__: rate >= 0.1` lets a rate of 0.1 through. JSON has one kind of number, and
# the SDK's page on stream maps describes filters as expressions over the record's properties, with no word on kinds of
# numbers.
# What happens (singer-sdk 0.54.9): the record's 0.1 is a decimal.Decimal, as REST taps and all targets of the SDK read
# JSON, the 0.1 of the expression is a float, a little more than a tenth, and Python compares the two exactly. So >= 0.1
# leaves the record out, and so do == 0.1, in (0.1, 0.5) and <= 0.3 of 0.3; != 0.1 keeps it. 0.5 and whole numbers are
# right. Nothing is said.
# Whom it hurts: filters on rates, prices and amounts: the records at the bound are gone, or come in spite of !=.
# What to do: `float(rate) >= 0.1`, which makes both sides the same; or write whole numbers, `rate * 100 >= 10`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'singer-sdk==0.54.9'
cd "$folder"
cat >filter.py <<'PY'
import contextlib
import http.server
import importlib.metadata
import io
import json
import logging
import sys
import threading

from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th

logging.disable(logging.CRITICAL)
BODY = b'[{"id": 1, "rate": 0.1}, {"id": 2, "rate": 0.3}, {"id": 3, "rate": 0.5}, {"id": 4, "rate": 1}]'
EXPECTED = {  # the ids that the numbers as written give, and those that come
    "rate >= 0.1": ([1, 2, 3, 4], [2, 3, 4]),
    "rate == 0.1": ([1], []),
    "rate in (0.1, 0.5)": ([1, 3], [3]),
    "rate != 0.1": ([2, 3, 4], [1, 2, 3, 4]),
    "rate <= 0.3": ([1, 2], [1]),
    "rate == 0.5": ([3], [3]),
    "float(rate) >= 0.1": ([1, 2, 3, 4], [1, 2, 3, 4]),
    "float(rate) <= 0.3": ([1, 2], [1, 2]),
}


class Api(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_):
        pass


class Rates(RESTStream):
    name = "rates"
    path = "/rates"
    url_base = ""
    primary_keys = ("id",)
    schema = th.PropertiesList(th.Property("id", th.IntegerType), th.Property("rate", th.NumberType)).to_dict()


class TapRates(Tap):
    name = "tap-rates"

    def discover_streams(self):
        return [Rates(self)]


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
threading.Thread(target=server.serve_forever, daemon=True).start()
Rates.url_base = f"http://127.0.0.1:{server.server_port}"
print("singer-sdk", importlib.metadata.version("singer-sdk"))
print("the API's answer:", BODY.decode())
for expression, (right, wrong) in EXPECTED.items():
    with contextlib.redirect_stdout(io.StringIO()) as output:
        TapRates(config={"stream_maps": {"rates": {"__filter__": expression}}}).sync_all()
    messages = [json.loads(line) for line in output.getvalue().splitlines()]
    ids = [message["record"]["id"] for message in messages if message["type"] == "RECORD"]
    print(f"{expression:20} expected {right!s:14} sent {ids}")
    if ids != wrong:
        sys.exit(f"Changed: the filter {expression} no longer lets {wrong} through.")
PY
NO_PROXY=127.0.0.1 no_proxy=127.0.0.1 venv/bin/python filter.py
