#!/usr/bin/env bash
# What one expects: the next page's link of a valid Link header is found, whatever else the header says. By RFC 8288 (section 3)
# parameters stand in any order, their names are case-insensitive, a value in quotes may hold ";" and "=", and rel may name
# several relations at once, separated by blanks.
# What happens (requests 2.34.2, singer-sdk 0.54.9, dlt 1.31.0): requests cuts at each ";", stops reading a link's parameters
# at the first without exactly one "=", and takes the name and the value of rel by the letter. A title with ";" or "=" in
# it, or a parameter without a value, before rel hides the next page; so do rel="next last" and REL=next. The paginators of
# singer-sdk and dlt that follow Link headers ask requests, find nothing, and end the list after this page, without a word.
# Whom it hurts: taps of APIs that describe their links, and whoever reads a list of two pages, where next is last too.
# What to do: look at the Link header of the API once. Where it has more than rel, parse it in get_next_url.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'requests==2.34.2' 'singer-sdk==0.54.9' 'dlt==1.31.0'
cd "$folder"
RUNTIME__DLTHUB_TELEMETRY=false venv/bin/python - <<'PY'
import importlib.metadata
import sys

import requests
from dlt.sources.helpers.rest_client.paginators import HeaderLinkPaginator as DltPaginator
from singer_sdk.pagination import HeaderLinkPaginator as SdkPaginator

LINK = "<https://api.example.com/items?page=2>; "
HEADERS = {
    "plain": LINK + 'rel="next"',
    "title after rel": LINK + 'rel="next"; title="page 2; of 2"',
    "title before rel": LINK + 'title="page 2; of 2"; rel="next"',
    "an equals sign": LINK + 'title="page=2"; rel="next"',
    "no value": LINK + 'crossorigin; rel="next"',
    "two relations": LINK + 'rel="next last"',
    "upper case": LINK + 'REL="next"',
}
FOUND = {"plain", "title after rel"}


def answers(link):
    """Return which of the three find a next page behind an answer with this header."""
    response = requests.Response()
    response.status_code = 200
    response.headers["Link"] = link
    dlt = DltPaginator()
    dlt.update_state(response, data=[{"id": 1}])
    next_url = SdkPaginator().get_next_url(response)
    return {"requests": "next" in response.links, "singer-sdk": bool(next_url), "dlt": bool(dlt.has_next_page)}


print(*(f"{package} {importlib.metadata.version(package)}" for package in ("requests", "singer-sdk", "dlt")))
changed = []
for name, link in HEADERS.items():
    found = answers(link)
    print(f"{name:17} {link.removeprefix(LINK):35} next page found: {found}")
    changed += [f"{who} with {name}" for who, finds in found.items() if finds != (name in FOUND)]
if changed:
    sys.exit("Changed: what a Link header says was expected to be found or lost, but wasn't: " + ", ".join(changed) + ".")
PY
