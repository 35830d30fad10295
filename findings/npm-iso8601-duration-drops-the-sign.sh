#!/usr/bin/env bash
# What one expects: a negative duration is read as negative, or refused. XML Schema's duration and ISO 8601-2 have a sign in
# front, and Python's isodate writes timedelta(days=-1) so: -P1D. PostgreSQL's IntervalStyle iso_8601 has signs inside:
# P1DT-1H.
# What happens where two meet (isodate 0.7.2, npm iso8601-duration 2.1.4): the pattern is searched anywhere in the text, so
# that -P1D is read as one day forward, and of P1DT-1H the part from the sign on is dropped: one day, no hours. A fraction of
# a day, P1.5D, which ISO 8601 allows in the last part, is refused, which is better.
# Whom it hurts: consumers in Node of time limits and lags that Python or Postgres wrote: "a day overdue" becomes "a day
# left".
# What to do: send seconds as a number; or parse with luxon or tinyduration, which know signs.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >npm.log
npm install --silent --no-audit --no-fund iso8601-duration@2.1.4 luxon@3.7.2
python3 -m venv venv
venv/bin/pip install --quiet 'isodate==0.7.2'
python_wrote=$(venv/bin/python -c 'import datetime, isodate; print(isodate.duration_isoformat(datetime.timedelta(days=-1)))')
echo "isodate $(venv/bin/python -c 'import importlib.metadata as m; print(m.version("isodate"))') writes timedelta(days=-1) as $python_wrote"
PYTHON_WROTE=$python_wrote node - <<'JS'
const { parse, toSeconds } = require("iso8601-duration");
const { Duration } = require("luxon");
console.log("iso8601-duration", require("iso8601-duration/package.json").version);
const fail = (sentence) => {
  console.error(sentence);
  process.exit(1);
};
const expected = { [process.env.PYTHON_WROTE]: [-86400, 86400], "P1DT-1H": [82800, 86400], P1DT1H: [90000, 90000] };
for (const [text, [right, seen]] of Object.entries(expected)) {
  const reference = Duration.fromISO(text).as("seconds");
  const got = toSeconds(parse(text));
  console.log(`${text}: luxon reads ${reference} seconds, iso8601-duration ${got}`);
  if (reference !== right) fail("Changed: the library compared with reads something else.");
  if (got !== seen) fail(`Changed: iso8601-duration reads ${text} as ${got} seconds, not ${seen}.`);
}
JS
