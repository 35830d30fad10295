#!/usr/bin/env bash
# What one expects: an event that the CloudEvents SDK of one language sends comes out of another's as it went in.
# What happens where two meet (Python's cloudevents 2.2.0, npm cloudevents 10.0.0): in binary mode over HTTP the subject
# "orders/Müller 100%" arrives as "orders/M%C3%BCller%20100%25". Python encodes headers as the HTTP binding says (1.0.2,
# section 3.1.3.2: blanks, quotes, the percent sign and all beyond ASCII are percent-encoded); npm's SDK does not decode them.
# In the other direction npm sends the blank and the letter as they are. In structured mode both agree.
# Whom it hurts: Node consumers that look a record up by the subject: most subjects are plain, so that it shows late.
# What to do: send in structured mode; or decodeURIComponent(event.subject) in Node, for senders that follow the
# specification.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >npm.log
npm install --silent --no-audit --no-fund cloudevents@10.0.0
python3 -m venv venv
venv/bin/pip install --quiet 'cloudevents==2.2.0'
cat >receive.js <<'JS'
const { HTTP } = require("cloudevents");
const event = HTTP.toEvent(JSON.parse(require("fs").readFileSync(0, "utf8")));
console.log(JSON.stringify({ subject: event.subject, sent: HTTP.binary(event.cloneWith({ subject: process.argv[2] })).headers }));
JS
venv/bin/python - <<'PY'
import importlib.metadata
import json
import subprocess
import sys

from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

SUBJECT = "orders/M\u00fcller 100%"
event = CloudEvent({"id": "1", "source": "/s", "type": "order.paid", "specversion": "1.0", "subject": SUBJECT}, {"paid": True})


def received(message):
    """Return what Node receives of a message, and what it sends for the same subject."""
    given = json.dumps({"headers": message.headers, "body": message.body.decode()})
    command = ["node", "receive.js", SUBJECT]
    return json.loads(subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout)


binary, structured = received(to_binary_event(event)), received(to_structured_event(event))
version = json.load(open("node_modules/cloudevents/package.json"))["version"]
print("Python's cloudevents", importlib.metadata.version("cloudevents"), "npm cloudevents", version)
print("sent:                        ", SUBJECT)
print("Node receives, binary mode:  ", binary["subject"])
print("Node receives, structured:   ", structured["subject"])
print("Node itself would send:      ", binary["sent"]["ce-subject"])
if structured["subject"] != SUBJECT:
    sys.exit("Changed: not even in structured mode does the subject arrive.")
if binary["subject"] != "orders/M%C3%BCller%20100%25":
    sys.exit("Changed: Node no longer receives Python's subject percent-encoded in binary mode.")
PY
