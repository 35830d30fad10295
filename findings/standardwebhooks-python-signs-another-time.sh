#!/usr/bin/env bash
# What one expects: sign() signs the instant that its argument, a datetime, is. The Standard Webhooks specification
# ("Signature scheme") signs the timestamp of the header, seconds since 1970, and a datetime that knows its zone is such
# an instant.
# What happens (Python's standardwebhooks 1.1.0, npm standardwebhooks 1.1.1): the zone is replaced by UTC, not
# converted. Of datetime.now(ZoneInfo("Europe/Berlin")) the signature holds a time that is one or two hours later than
# the header webhook-timestamp, int(moment.timestamp()), so that every receiver refuses the message, Python's own and
# npm's. npm's sign() of the same instant is accepted everywhere. Python's datetimes in UTC are right.
# Whom it hurts: senders, and tests of receivers, that take the time in a zone of their own: each delivery is refused,
# and on a machine in UTC, where most tests run, none is.
# What to do: sign datetime.now(datetime.timezone.utc), or moment.astimezone(datetime.timezone.utc).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >npm.log
npm install --silent --no-audit --no-fund standardwebhooks@1.1.1
python3 -m venv venv
venv/bin/pip install --quiet 'standardwebhooks==1.1.0'
cat >receive.js <<'JS'
const { Webhook } = require("standardwebhooks");
const { secret, body, headers } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const webhook = new Webhook(secret);
let said = "accepted";
try {
  webhook.verify(body, headers);
} catch (error) {
  said = error.message;
}
const signature = webhook.sign(headers["webhook-id"], new Date(1000 * headers["webhook-timestamp"]), body);
console.log(JSON.stringify({ said, signature }));
JS
venv/bin/python - <<'PY'
import base64
import datetime
import importlib.metadata
import json
import subprocess
import sys

from standardwebhooks import Webhook, WebhookVerificationError

SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()
BODY = '{"type":"order.paid"}'
NOW = datetime.datetime.now(datetime.timezone.utc)
ZONES = {"UTC": datetime.timezone.utc, "+02:00": datetime.timezone(datetime.timedelta(hours=2))}


def headers(signature):
    """Return the headers of a message that is sent now."""
    return {"webhook-id": "msg_1", "webhook-timestamp": str(int(NOW.timestamp())), "webhook-signature": signature}


def python_says(signature):
    """Return what Python's receiver says of a message."""
    try:
        Webhook(SECRET).verify(BODY, headers(signature))
    except WebhookVerificationError as error:
        return str(error)
    return "accepted"


def node(signature):
    """Return what Node's receiver says of a message, and how Node itself signs it."""
    given = json.dumps({"secret": SECRET, "body": BODY, "headers": headers(signature)})
    command = ["node", "receive.js"]
    return json.loads(subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout)


print("npm standardwebhooks", json.load(open("node_modules/standardwebhooks/package.json"))["version"])
print("Python's standardwebhooks", importlib.metadata.version("standardwebhooks"))
for name, zone in ZONES.items():
    signature = Webhook(SECRET).sign("msg_1", NOW.astimezone(zone), BODY)
    answer = node(signature)
    said = {"Python": python_says(signature), "Node": answer["said"]}
    print(f"now, as a datetime in {name:6} signed like Node does: {signature == answer['signature']}, received: {said}")
    if python_says(answer["signature"]) != "accepted":
        sys.exit("Changed: Python no longer accepts what Node signs.")
    if (said == {"Python": "accepted", "Node": "accepted"}) != (name == "UTC"):
        sys.exit("Changed: a datetime in UTC is no longer signed rightly, or one in another zone is.")
PY
