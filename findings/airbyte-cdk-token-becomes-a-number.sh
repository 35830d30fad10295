#!/usr/bin/env bash
# What one expects: a page token is opaque. The answer gives a JSON string, and the next request carries that string; the
# reference of CursorPagination calls cursor_value the value of the cursor and says nothing of its being converted.
# What happens (airbyte-cdk 7.39.1): what the template gives is read as a Python literal if it can be. The token "48e3" is
# sent as 48000.0, "1.10" as 1.1, "1_000" as 1000, "0x1f" as 31; "abc" goes through. An API that answers an unknown token with
# an empty page then ends the list after its first page, with exit status 0.
# Whom it hurts: connectors without code for APIs whose tokens are short texts of digits and letters. Of random hexadecimal
# tokens a few look like a number with an exponent, so that it happens once in a while.
# What to do: let the template yield something that is no Python literal, for instance a whole URL with `page_token_option:
# {type: RequestPath}`; or write the pagination strategy in Python.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'airbyte-cdk==7.39.1'
cd "$folder"
venv/bin/python - <<'PY'
import http.server
import importlib.metadata
import json
import pathlib
import subprocess
import sys
import threading
import urllib.parse

given, asked = [], []


class Api(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        page = {"items": [], "next": None}
        if "after" not in query:
            page = {"items": [{"id": 1}], "next": given[-1]}
        elif query["after"] == given[-1]:
            page = {"items": [{"id": 2}], "next": None}
        asked.append(query.get("after"))
        body = json.dumps(page).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
threading.Thread(target=server.serve_forever, daemon=True).start()
requester = {"type": "HttpRequester", "url_base": f"http://127.0.0.1:{server.server_port}", "path": "/items", "http_method": "GET"}
strategy = {
    "type": "CursorPagination",
    "cursor_value": "{{ response.get('next') }}",
    "stop_condition": "{{ not response.get('next') }}",
}
option = {"type": "RequestOption", "inject_into": "request_parameter", "field_name": "after"}
retriever = {
    "type": "SimpleRetriever",
    "requester": requester,
    "record_selector": {"type": "RecordSelector", "extractor": {"type": "DpathExtractor", "field_path": ["items"]}},
    "paginator": {"type": "DefaultPaginator", "page_token_option": option, "pagination_strategy": strategy},
}
schema = {"type": "InlineSchemaLoader", "schema": {"type": "object", "properties": {"id": {"type": "integer"}}}}
stream = {"type": "DeclarativeStream", "name": "items", "schema_loader": schema, "retriever": retriever}
check = {"type": "CheckStream", "stream_names": ["items"]}
manifest = {"version": "7.0.0", "type": "DeclarativeSource", "check": check, "streams": [stream]}
manifest["spec"] = {"type": "Spec", "connection_specification": {"type": "object", "properties": {}}}
chosen = {"stream": {"name": "items", "json_schema": {}, "supported_sync_modes": ["full_refresh"]}}
chosen |= {"sync_mode": "full_refresh", "destination_sync_mode": "overwrite"}
pathlib.Path("config.json").write_text(json.dumps({"__injected_declarative_manifest": manifest}))
pathlib.Path("catalog.json").write_text(json.dumps({"streams": [chosen]}))
command = ["venv/bin/source-declarative-manifest", "read", "--config", "config.json", "--catalog", "catalog.json"]
print("airbyte-cdk", importlib.metadata.version("airbyte-cdk"))
for token, sent, records in [("abc", "abc", 2), ("48e3", "48000.0", 1), ("1.10", "1.1", 1), ("1_000", "1000", 1)]:
    given.append(token)
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    got = sum('"type":"RECORD"' in line for line in run.stdout.splitlines())
    print(f"token {token!r}: sent back as {asked[-1]!r}, {got} of 2 records")
    if (asked[-1], got) != (sent, records):
        sys.exit(f"Changed: the token {token!r} was expected to be sent back as {sent!r}, with {records} of 2 records.")
PY
