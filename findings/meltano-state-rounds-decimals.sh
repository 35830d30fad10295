#!/usr/bin/env bash
# What one expects: a state comes back as it was kept. Meltano's documentation calls it an artifact of the tap, which Meltano
# doesn't interpret, so that it has no reason to touch the digits of a number.
# What happens (meltano 4.4.1): state goes through Python's floats. `meltano state set` of 1700000000.123456799 and `meltano
# state get` gives 1700000000.1234567 back. A whole number of any length, and a text, stay as they are.
# Whom it hurts: taps whose bookmark is a number with a fraction, such as seconds since 1970 with nanoseconds. Rounded down,
# records come again; rounded up, the next run begins behind a record that it never saw.
# What to do: in a tap, write such a bookmark as a text.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'meltano==4.4.1'
cd "$folder"
export MELTANO_SEND_ANONYMOUS_USAGE_STATS=false MELTANO_CLI_LOG_LEVEL=error
cat >meltano.yml <<'YAML'
default_environment: dev
send_anonymous_usage_stats: false
environments: [{name: dev}]
plugins:
  extractors: [{name: tap-orders, namespace: tap_orders, executable: "true"}]
  loaders: [{name: target-none, namespace: target_none, executable: "true"}]
YAML
venv/bin/meltano --version
state='{"singer_state":{"down":1700000000.123456799,"up":1700000000.12345669,"whole":170000000012345679900,"text":"1700000000.123456799"}}'
venv/bin/meltano state set --force dev:tap-orders-to-target-none "$state" >set.log 2>&1
venv/bin/meltano state get dev:tap-orders-to-target-none >got.json 2>get.log
echo "kept: $state"
echo "got:  $(cat got.json)"
python3 - <<'PY'
import decimal
import json
import sys

got = json.load(open("got.json"), parse_float=decimal.Decimal)["singer_state"]
if got["whole"] != 170000000012345679900 or got["text"] != "1700000000.123456799":
    sys.exit("Changed: not even a whole number or a text comes back as it was kept.")
if not got["down"] < decimal.Decimal("1700000000.123456799"):
    sys.exit("Changed: 1700000000.123456799 is no longer rounded down.")
if not got["up"] > decimal.Decimal("1700000000.12345669"):
    sys.exit("Changed: 1700000000.12345669 is no longer rounded up.")
PY
