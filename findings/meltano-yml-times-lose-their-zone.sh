#!/usr/bin/env bash
# What one expects: a time that is written in meltano.yml reaches the plugin as the same instant. A time with an offset
# is a timestamp of YAML, the quotes are no part of it, and `start_date` is the setting that nearly every tap has;
# Singer's own description of it wants RFC 3339, where the zone is not optional.
# What happens (meltano 4.4.1): without quotes, the offset is cut off, and the digits before it stay. 10:00:00+02:00,
# which is 08:00 UTC, becomes 10:00:00, and 00:00:00Z becomes 00:00:00; within objects too. In quotes, or from the
# environment, the same text arrives whole. A date alone stays a date.
# Whom it hurts: a tap that takes a time without a zone for UTC begins two hours too late: what happened in between is
# never read, and nothing shows it. West of Greenwich it reads hours twice. Others refuse the text.
# What to do: put quotes around times in meltano.yml; look at `meltano config print NAME` once.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'meltano==4.4.1'
cd "$folder"
export MELTANO_SEND_ANONYMOUS_USAGE_STATS=false MELTANO_CLI_LOG_LEVEL=error
export TAP_ORDERS_BY_VARIABLE=2024-01-01T10:00:00+02:00
cat >meltano.yml <<'YAML'
default_environment: dev
send_anonymous_usage_stats: false
environments: [{name: dev}]
plugins:
  extractors:
  - name: tap-orders
    namespace: tap_orders
    executable: "true"
    settings:
    - {name: offset}
    - {name: utc}
    - {name: nested, kind: object}
    - {name: quoted}
    - {name: day}
    - {name: by_variable}
    config:
      offset: 2024-01-01T10:00:00+02:00
      utc: 2024-01-01T00:00:00Z
      nested: {since: 2024-01-01T10:00:00-05:00}
      quoted: "2024-01-01T10:00:00+02:00"
      day: 2024-01-01
YAML
venv/bin/meltano --version
venv/bin/meltano config print tap-orders >config.json 2>config.log
python3 - <<'PY'
import json
import sys

config = json.load(open("config.json"))
print("offset, Z and nested, unquoted:", config["offset"], config["utc"], config["nested"])
print("quoted, and by the environment:", config["quoted"], config["by_variable"])
print("a date:                        ", config["day"])
if {config["quoted"], config["by_variable"]} != {"2024-01-01T10:00:00+02:00"} or config["day"] != "2024-01-01":
    sys.exit("Changed: not even a time in quotes, or a date, reaches the plugin as it was written.")
if config["offset"] != "2024-01-01T10:00:00" or config["nested"] != {"since": "2024-01-01T10:00:00"}:
    sys.exit("Changed: the offset of an unquoted time is no longer cut off.")
if config["utc"] != "2024-01-01T00:00:00":
    sys.exit("Changed: the Z of an unquoted time is no longer cut off.")
PY
