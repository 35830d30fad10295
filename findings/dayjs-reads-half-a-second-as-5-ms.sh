#!/usr/bin/env bash
# What one expects: ".5" after the seconds is half a second, in ISO 8601 as in the texts that PostgreSQL writes, which
# leave the zeros at the end out. dayjs's page on parsing says that it reads ISO 8601 strings.
# What happens (npm dayjs 1.11.23): in a time without a zone the digits are taken as a number of milliseconds.
# 10:00:00.5 is read as 5 ms, and .12 as 12 ms, so that .12 comes after .5; .120 is right. The same text with a Z is
# read rightly, since Date reads it. date-fns 4.4.0, luxon 3.7.2 and Date itself read all of them rightly.
# Whom it hurts: programs in Node that order rows, or measure between them, by a timestamp without time zone of
# PostgreSQL or DuckDB: of values with milliseconds, one in ten is up to 0.9 s early.
# What to do: put the zone after the text, or pass dayjs a Date.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >npm.log
npm install --silent --no-audit --no-fund dayjs@1.11.23 date-fns@4.4.0 luxon@3.7.2
TZ=UTC node - <<'JS'
const dayjs = require("dayjs");
const { parseISO } = require("date-fns");
const { DateTime } = require("luxon");

dayjs.extend(require("dayjs/plugin/utc"));
const readers = {
  dayjs: (text) => dayjs(text).valueOf(),
  "dayjs.utc": (text) => dayjs.utc(text).valueOf(),
  "date-fns": (text) => parseISO(text).valueOf(),
  luxon: (text) => DateTime.fromISO(text, { zone: "utc" }).toMillis(),
  Date: (text) => new Date(text).valueOf(),
};
const fractions = { ".5": [500, 5], ".12": [120, 12], ".05": [50, 5], ".120": [120, 120], ".5Z": [500, 500] };
for (const name of ["dayjs", "date-fns", "luxon"]) console.log(name, require(`${name}/package.json`).version);
const changed = [];
for (const [fraction, [right, wrong]] of Object.entries(fractions)) {
  const texts = [`2024-01-01T10:00:00${fraction}`, `2024-01-01 10:00:00${fraction}`];
  for (const [name, read] of Object.entries(readers)) {
    const expected = name.startsWith("dayjs") ? wrong : right;
    for (const text of name === "luxon" ? texts.slice(0, 1) : texts) {
      const milliseconds = read(text) - Date.UTC(2024, 0, 1, 10);
      if (text === texts[0]) console.log(`${text.padEnd(27)} ${name.padEnd(9)} ${milliseconds} ms`);
      if (milliseconds !== expected) changed.push(`${name} of ${text}`);
    }
  }
}
const sorted = [".5", ".12"].sort((a, b) => dayjs(`2024-01-01T10:00:00${a}`) - dayjs(`2024-01-01T10:00:00${b}`));
console.log("in dayjs's order:", sorted.join(", "));
if (changed.length || sorted[0] !== ".5") {
  console.error(`Changed: the fractions are no longer read as expected: ${changed.join(", ") || "the order"}.`);
  process.exit(1);
}
JS
