#!/usr/bin/env bash
# What one expects: 10:00 at an offset of +05:45 is 04:15 in UTC. Nepal has this offset, the Chatham Islands +12:45, and
# RFC 3339 allows any minutes.
# What happens (npm spacetime 7.15.0): of an offset of three quarters of an hour the minutes are dropped: +05:45 is read as
# +05:00, +12:45 as +12:00. Half hours (+05:30, -03:30) are right. There is no error; Date and luxon 3.7.2 read all of them.
# Whom it hurts: programs that read times of an API as their offsets tell: rows from these zones are 45 minutes late, and
# their order among others is wrong.
# What to do: spacetime(new Date(text)), or read with luxon.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >npm.log
npm install --silent --no-audit --no-fund spacetime@7.15.0 luxon@3.7.2
cat >read.mjs <<'JS'
import { readFileSync } from "fs";
import { DateTime } from "luxon";
import spacetime from "spacetime";

const version = (name) => JSON.parse(readFileSync(`node_modules/${name}/package.json`)).version;
console.log("spacetime", version("spacetime"), "luxon", version("luxon"));
const late = {};
for (const offset of ["+05:45", "+12:45", "+05:30", "-03:30", "+00:00"]) {
  const text = `2024-01-01T10:00:00${offset}`;
  const right = new Date(text);
  const found = spacetime(text).toNativeDate();
  late[offset] = (found - right) / 60000;
  console.log(text, "spacetime:", found.toISOString(), "Date:", right.toISOString(), "minutes late:", late[offset]);
  if (DateTime.fromISO(text).toMillis() !== right.getTime()) {
    console.log("Changed: luxon and Date disagree.");
    process.exitCode = 1;
  }
}
if (Object.values(late).join() !== "45,45,0,0,0") {
  console.log("Changed: spacetime no longer drops the quarter hours of an offset alone.");
  process.exitCode = 1;
}
JS
node read.mjs
