#!/usr/bin/env bash
# What one expects: data of a structured event is any JSON value (CloudEvents' JSON format, section 3.1), so false, 0 and ""
# arrive as they were sent, by the same SDK at that.
# What happens (npm cloudevents 10.0.0): HTTP.structured writes "data":false, and HTTP.toEvent of that very message gives an
# event without data. So do 0 and the empty text; true, 1 and "x" arrive. An extension that is false or 0 arrives too.
# Whom it hurts: senders of plain values: a switch's state, a count, a note that was emptied. "It is off" and "nothing was
# said" become the same.
# What to do: send an object around the value, {"value": false}; or read `data` from the body in the receiver.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >npm.log
npm install --silent --no-audit --no-fund cloudevents@10.0.0
node - <<'JS'
const { CloudEvent, HTTP } = require("cloudevents");
console.log("npm cloudevents", require("cloudevents/package.json").version);
const fail = (sentence) => {
  console.error(sentence);
  process.exit(1);
};
for (const data of [true, 1, "x", false, 0, ""]) {
  const event = new CloudEvent({ source: "/s", type: "switch.turned", datacontenttype: "application/json", data, off: false });
  const message = HTTP.structured(event);
  const arrived = HTTP.toEvent(message);
  const written = JSON.parse(message.body).data;
  console.log(`data ${JSON.stringify(data)}: written as ${JSON.stringify(written)}, arrives as ${JSON.stringify(arrived.data)}`);
  if (written !== data || arrived.off !== false) fail("Changed: the message itself, or an extension, is no longer right.");
  if (data && arrived.data !== data) fail("Changed: not even a value that counts as true arrives.");
  if (!data && arrived.data !== undefined) fail(`Changed: ${JSON.stringify(data)} is no longer lost.`);
}
JS
