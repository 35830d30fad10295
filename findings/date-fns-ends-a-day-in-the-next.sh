#!/usr/bin/env bash
# What one expects: 2024-01-31T23:59:59.9999999Z is a time of January 31. Systems with ticks of 100 ns write the last moment of
# a day so, and a reader with milliseconds drops the digits it has no room for, as ECMAScript's Date and luxon do.
# What happens (npm date-fns 4.4.0): parseISO reads it as February 1, 00:00. Seven nines or more are rounded up, as the number
# of milliseconds has no digits left for them; six nines are cut off to .999.
# Whom it hurts: whoever reads ends of days, months and subscriptions from an API: the last day of a report falls into the
# next one, and `end < 2024-02-01` is false.
# What to do: new Date(text) for texts with an offset; or cut the fraction to six digits.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >npm.log
npm install --silent --no-audit --no-fund date-fns@4.4.0 luxon@3.7.2
cat >read.mjs <<'JS'
import { readFileSync } from "fs";
import { parseISO } from "date-fns";
import { DateTime } from "luxon";

const version = (name) => JSON.parse(readFileSync(`node_modules/${name}/package.json`)).version;
console.log("date-fns", version("date-fns"), "luxon", version("luxon"));
const found = [];
for (const digits of [3, 6, 7, 9]) {
  const text = `2024-01-31T23:59:59.${"9".repeat(digits)}Z`;
  const ours = parseISO(text).toISOString();
  const others = [new Date(text).toISOString(), DateTime.fromISO(text).toUTC().toISO()];
  console.log(text.padEnd(31), "date-fns:", ours, "Date:", others[0], "luxon:", others[1]);
  found.push(ours.slice(0, 10));
  if (others.some((other) => other !== "2024-01-31T23:59:59.999Z")) {
    console.log("Changed: Date or luxon no longer drops the digits.");
    process.exitCode = 1;
  }
}
if (found.join() !== "2024-01-31,2024-01-31,2024-02-01,2024-02-01") {
  console.log("Changed: date-fns no longer reads a day's last 100 ns as the next day.");
  process.exitCode = 1;
}
JS
node read.mjs
