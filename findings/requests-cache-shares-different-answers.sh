#!/usr/bin/env bash
# What one expects: requests-cache sorts the parameters of a URL, as its page on request matching says, so that ?a=1&b=2 and
# ?b=2&a=1 share an answer. Values of one name, though, have an order: ?sort=name&sort=-date isn't ?sort=-date&sort=name, and
# ?archived= isn't a request without `archived`. RFC 3986 (section 6) calls none of these equal.
# What happens (requests-cache 1.3.3): both pairs share one entry. The second request isn't sent, and gets the answer to the
# first: a list in another order, or one that a filter should have cut.
# Whom it hurts: clients of APIs with repeated sort or filter parameters, or with empty ones as flags; tests that replay.
# What to do: give the session a key_fn of your own that hashes method and URL, where the API has such parameters.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'requests-cache==1.3.3'
cd "$folder"
venv/bin/python - <<'PY'
import http.server
import importlib.metadata
import sys
import threading

import requests_cache


class Echo(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.path.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_port}"


def second_answer(first, second, **options):
    """Return the answer to the second request, and whether it came from the cache."""
    session = requests_cache.CachedSession(backend="memory", **options)
    session.get(base + first)
    answer = session.get(base + second)
    return answer.text, answer.from_cache


def by_url(request, **_):
    return f"{request.method} {request.url}"


PAIRS = [
    ("/items?sort=name&sort=-date", "/items?sort=-date&sort=name"),
    ("/items?archived=", "/items"),
]
print("requests-cache", importlib.metadata.version("requests-cache"))
for first, second in PAIRS:
    text, cached = second_answer(first, second)
    own_text, own_cached = second_answer(first, second, key_fn=by_url)
    print(f"{first} then {second}: answer of {text}, from the cache: {cached}; with a key_fn: answer of {own_text}")
    if not cached or text != first:
        sys.exit(f"Changed: {second} no longer gets the answer to {first}.")
    if own_cached or own_text != second:
        sys.exit("Changed: a key_fn by the URL no longer keeps them apart.")
PY
