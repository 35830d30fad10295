#!/usr/bin/env bash
# What one expects: parameters that are the client's, or the call's, are added to the query that a URL has. requests
# does so, and httpx's own page on clients says that query parameters of client and call are combined.
# What happens where two meet (httpx 0.28.1, requests 2.34.2): the query of the URL is thrown away as soon as there is
# any parameter. A link to the next page, "/items?page=2", is asked for as "/items?limit=2", which is the first page
# once more, even where the call itself names no parameter and the client has one: httpx.Client(params={"limit": 2}). An
# empty params={} is enough to drop it all. A loop along such links reads the first page for ever; one that stops after
# as many pages as the first answer announced has the first page several times, and none of the others.
# Whom it hurts: taps that are moved from requests to httpx, and clients with a key or a limit in their default
# parameters.
# What to do: pass httpx.URL(link).copy_merge_params({"limit": 2}), and no params; keep keys in headers.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'httpx==0.28.1' 'requests==2.34.2'
cd "$folder"
cat >walk.py <<'PY'
import http.server
import importlib.metadata
import json
import sys
import threading
import urllib.parse

import httpx
import requests

RECORDS = list(range(1, 7))


class Api(http.server.BaseHTTPRequestHandler):
    """Six records, two a page, each answer with the link of the next page."""

    def do_GET(self):
        page = int(dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query)).get("page", 1))
        records = RECORDS[2 * page - 2 : 2 * page]
        following = f"http://{self.headers['Host']}/items?page={page + 1}" if 2 * page < len(RECORDS) else None
        body = json.dumps({"pages": 3, "records": records, "next": following}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def read(get, start):
    """Return the records along the links of at most three pages."""
    found, link = [], start
    for _ in range(3):
        answer = get(link).json()
        found += answer["records"]
        link = answer["next"]
        if link is None:
            break
    return found


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
threading.Thread(target=server.serve_forever, daemon=True).start()
start = f"http://127.0.0.1:{server.server_port}/items"
session = requests.Session()
session.trust_env = False
session.params = {"limit": 2}
limited, plain = (httpx.Client(params=params, trust_env=False) for params in ({"limit": 2}, None))
found = {
    "requests, params of the session": read(session.get, start),
    "httpx, no params": read(plain.get, start),
    "httpx, params of the client": read(limited.get, start),
    "httpx, params of the call": read(lambda link: plain.get(link, params={"limit": 2}), start),
    "httpx, empty params": read(lambda link: plain.get(link, params={}), start),
    "httpx, merged by hand": read(lambda link: plain.get(httpx.URL(link).copy_merge_params({"limit": 2})), start),
}
print("httpx", importlib.metadata.version("httpx"), "requests", importlib.metadata.version("requests"))
for how, records in found.items():
    print(f"{how:32} {records}")
    lost = how in ("httpx, params of the client", "httpx, params of the call", "httpx, empty params")
    if records != ([1, 2] * 3 if lost else RECORDS):
        sys.exit(f"Changed: {how} no longer reads these records.")
PY
venv/bin/python walk.py
