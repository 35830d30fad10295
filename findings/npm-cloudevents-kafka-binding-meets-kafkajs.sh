#!/usr/bin/env bash
# What one expects: the SDK's Kafka binding makes messages that Node's Kafka client sends, and reads those that it receives.
# The SDK's table of bindings ticks Kafka, its message has kafkajs's fields (key, value, headers, timestamp), and in Kafka
# itself header values are bytes (the protocol's record format), so that every client hands out bytes.
# What happens where two meet (npm cloudevents 10.0.0, kafkajs 2.2.4): Kafka.binary leaves an object in `value` and headers
# that are undefined (ce_subject of an event without one), and kafkajs refuses to encode either. With both mended it is sent,
# but kafkajs hands headers out as Buffers: of those Kafka.isEvent says yes, and Kafka.toEvent throws a TypeError.
# Whom it hurts: Node services that consume events which any other client or language put into Kafka.
# What to do: before sending, JSON.stringify the value and leave undefined headers out; turn the header values into texts
# before Kafka.toEvent.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >npm.log
npm install --silent --no-audit --no-fund cloudevents@10.0.0 kafkajs@2.2.4
node - <<'JS'
const { CloudEvent, Kafka } = require("cloudevents");
const Decoder = require("kafkajs/src/protocol/decoder");
const encodeRecord = require("kafkajs/src/protocol/recordBatch/record/v0");
const decodeRecord = require("kafkajs/src/protocol/recordBatch/record/v0/decoder");

/* What a consumer gets of this message: kafkajs's own encoding and decoding of a record, without a broker between. */
const throughKafkajs = (message) => {
  const decoder = new Decoder(encodeRecord(message).buffer);
  decoder.readVarInt();
  return decodeRecord(decoder, { firstOffset: "0", firstTimestamp: "0" });
};
const attempt = (work) => {
  try {
    return work();
  } catch (error) {
    return `${error.constructor.name}: ${error.message}`;
  }
};
for (const name of ["cloudevents", "kafkajs"]) console.log(name, require(`${name}/package.json`).version);
const data = { paid: true };
const event = new CloudEvent({ source: "/s", type: "order.paid", partitionkey: "7", datacontenttype: "application/json", data });
const message = Kafka.binary(event);
const defined = Object.fromEntries(Object.entries(message.headers).filter(([, value]) => value !== undefined));
const value = JSON.stringify(message.value);
const asItIs = attempt(() => throughKafkajs(message) && "works");
const valueMended = attempt(() => throughKafkajs({ ...message, value }) && "works");
const received = throughKafkajs({ ...message, value, headers: defined });
const says = Kafka.isEvent(received);
const read = attempt(() => Kafka.toEvent(received) && "works");
const headers = Object.fromEntries(Object.entries(received.headers).map(([key, bytes]) => [key, bytes.toString()]));
const mended = attempt(() => JSON.stringify(Kafka.toEvent({ ...received, headers }).data));
console.log("sending Kafka.binary(event):          ", asItIs.slice(0, 100));
console.log("the same with its value as text:      ", valueMended.slice(0, 100));
console.log("Kafka.isEvent(what was received):     ", says);
console.log("Kafka.toEvent(what was received):     ", read);
console.log("data, once headers are texts:         ", mended);
const changed = [];
if (!asItIs.startsWith("TypeError") || !valueMended.startsWith("TypeError")) changed.push("kafkajs sends what Kafka.binary makes");
if (says !== true || !read.startsWith("TypeError")) changed.push("Kafka.toEvent no longer fails on kafkajs's Buffers");
if (mended !== JSON.stringify(data)) changed.push("texts as headers no longer help");
if (changed.length) {
  console.error(`Changed: ${changed.join("; ")}.`);
  process.exit(1);
}
JS
