#!/usr/bin/env bash
# What one expects: the time of a received event is the time that its sender wrote, or none: the attribute is optional in
# CloudEvents 1.0, a timestamp by RFC 3339, and no specification lets a receiver make one up.
# What happens (npm cloudevents 10.0.0): the time goes through JavaScript's Date and back. Microseconds are cut; an offset
# becomes Z; a leap second (RFC 3339, section 5.7, 23:59:60Z) is no Date, and the event gets the time of its arrival instead,
# as does an event without a time. Nothing is said, validate() is content.
# Python's cloudevents 2.2.0 also makes up a time where there is none.
# Whom it hurts: consumers that order or compare by time: the same event, delivered twice, has two times.
# What to do: take what must be exact from the event's data, or read the header `ce-time` (or the body) yourself.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >npm.log
npm install --silent --no-audit --no-fund cloudevents@10.0.0
python3 -m venv venv
venv/bin/pip install --quiet 'cloudevents==2.2.0'
node - <<'JS'
const { HTTP } = require("cloudevents");
const required = { "ce-id": "1", "ce-source": "/orders", "ce-type": "order.paid", "ce-specversion": "1.0" };
const received = (time) => {
  const event = HTTP.toEvent({ headers: { ...required, ...(time && { "ce-time": time }) } });
  return event.validate() && event.time;
};
const start = Date.now();
console.log("npm cloudevents", require("cloudevents/package.json").version);
const cut = received("2024-01-01T00:00:00.123456Z");
const offset = received("2024-01-01T10:00:00+02:00");
const leap = received("2016-12-31T23:59:60Z");
const none = received(undefined);
for (const [sent, got] of Object.entries({ ".123456Z": cut, "10:00+02:00": offset, "23:59:60Z": leap, "no time": none }))
  console.log(`${sent.padEnd(12)} is received as ${got}`);
const isNow = (time) => Date.parse(time) >= start - 1000;
if (cut !== "2024-01-01T00:00:00.123Z" || offset !== "2024-01-01T08:00:00.000Z") {
  console.error("Changed: a time is no longer cut to milliseconds and turned to UTC.");
  process.exit(1);
}
if (!isNow(leap) || !isNow(none)) {
  console.error("Changed: a leap second, or no time at all, is no longer replaced by the present.");
  process.exit(1);
}
JS
venv/bin/python - <<'PY'
import datetime
import importlib.metadata
import sys

from cloudevents.core.bindings.http import HTTPMessage, from_binary_event

headers = {"ce-id": "1", "ce-source": "/orders", "ce-type": "order.paid", "ce-specversion": "1.0"}
time = from_binary_event(HTTPMessage(headers, b"")).get_time()
print("Python's cloudevents", importlib.metadata.version("cloudevents"))
print("no time      is received as", time)
if time is None or time.year < datetime.datetime.now(datetime.timezone.utc).year:
    sys.exit("Changed: Python's cloudevents no longer makes up a time where there is none.")
PY
