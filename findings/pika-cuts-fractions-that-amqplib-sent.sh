#!/usr/bin/env bash
# What one expects: a message's header of 1.5 is 1.5 for whoever receives it. Field tables of AMQP 0-9-1, as RabbitMQ has them
# in its list of types that are really used, know doubles (type "d"), and Node's amqplib sends fractions as such.
# What happens where two meet (npm amqplib 2.3.1, pika 1.4.4): pika unpacks the eight bytes rightly and makes a whole number
# of them: 1.5 is received as 1, -0.9 as 0. Passed on, it goes out as 1. A float of its own pika refuses to send
# (UnsupportedAMQPFieldException), so that nobody sees it among Python programs.
# Whom it hurts: consumers in Python behind producers in Node, Java or Erlang that put a price, a score or a delay into a
# header.
# What to do: send numbers in headers as texts. pika's own Decimal (type "D") is read with its digits.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >npm.log
npm install --silent --no-audit --no-fund amqplib@2.3.1
python3 -m venv venv
venv/bin/pip install --quiet 'pika==1.4.4'
node - >table <<'JS'
const { encodeTable, decodeFields } = require("./node_modules/amqplib/lib/codec.js");
const headers = { attempts: 2, score: 1.5, change: -0.9, price: "1.5" };
const buffer = Buffer.alloc(1000);
const length = encodeTable(buffer, headers, 0);
const again = decodeFields(buffer.subarray(4, length));
console.error("amqplib", require("./node_modules/amqplib/package.json").version);
console.error("headers that Node sends and reads itself: ", JSON.stringify(again));
if (JSON.stringify(again) !== JSON.stringify(headers)) {
  console.error("Changed: not even amqplib reads what it wrote.");
  process.exit(1);
}
process.stdout.write(buffer.subarray(0, length));
JS
venv/bin/python - <<'PY'
import decimal
import importlib.metadata
import pathlib
import sys

import pika
from pika.data import decode_table, encode_table
from pika.exceptions import UnsupportedAMQPFieldException

received, _ = decode_table(pathlib.Path("table").read_bytes(), 0)
try:
    pika.BasicProperties(headers={"score": 1.5}).encode()
    own = "encoded"
except UnsupportedAMQPFieldException as error:
    own = f"UnsupportedAMQPFieldException: {error}"
pieces = []
encode_table(pieces, {"price": decimal.Decimal("1.5")})
as_decimal, _ = decode_table(b"".join(pieces), 0)
print("pika", importlib.metadata.version("pika"))
print("headers that pika receives:               ", received)
print("a float of pika's own:                    ", own)
print("a Decimal of pika's own, as received:     ", as_decimal)
if received != {"attempts": 2, "score": 1, "change": 0, "price": "1.5"} or as_decimal["price"] != decimal.Decimal("1.5"):
    sys.exit("Changed: pika no longer cuts the fraction of a double in a header, and of that alone.")
if not own.startswith("UnsupportedAMQPFieldException"):
    sys.exit("Changed: pika no longer refuses to send a float.")
PY
