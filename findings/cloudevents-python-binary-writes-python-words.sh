#!/usr/bin/env bash
# What one expects: in binary mode an attribute of the type Boolean is "true" or "false" (CloudEvents 1.0.2, "Type System",
# the canonical string), and data with datacontenttype application/json is JSON.
# What happens (Python's cloudevents 2.2.0): to_binary_event writes an extension True as "True", and data False as False,
# which is no JSON. A text is written without its quotes, so it is no JSON either. The SDK reads its own False back as the
# text "False", which is true where it is asked. Objects, lists and numbers are right, as is structured mode.
# Whom it hurts: receivers in other languages that compare with "true" or parse the body, and Python receivers with `if
# data:`.
# What to do: send in structured mode; or send such data as bytes, json.dumps(False).encode(), and such extensions as texts.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'cloudevents==2.2.0'
cd "$folder"
venv/bin/python - <<'PY'
import importlib.metadata
import json
import sys

from cloudevents.core.bindings.http import from_binary_event, from_structured_event, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

ATTRIBUTES = {"id": "1", "source": "/s", "type": "switch.turned", "specversion": "1.0", "datacontenttype": "application/json"}


def is_json(body):
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


print("Python's cloudevents", importlib.metadata.version("cloudevents"))
seen = {}
for data in ({"on": False}, 5, False, "off"):
    event = CloudEvent(ATTRIBUTES | {"urgent": True}, data)
    message = to_binary_event(event)
    back, structured = from_binary_event(message).get_data(), from_structured_event(to_structured_event(event)).get_data()
    print(f"data {data!r}: body {message.body!r}, JSON: {is_json(message.body)}, read back: {back!r}, structured: {structured!r}")
    if structured != data:
        sys.exit("Changed: structured mode no longer keeps the data.")
    seen[str(data)] = (is_json(message.body), back)
print("extension True:", repr(message.headers["ce-urgent"]))
if seen != {"{'on': False}": (True, {"on": False}), "5": (True, 5), "False": (False, "False"), "off": (False, "off")}:
    sys.exit(f"Changed: what binary mode writes and reads back is {seen}.")
if message.headers["ce-urgent"] != "True":
    sys.exit("Changed: an extension True is no longer written as True.")
PY
