#!/usr/bin/env bash
# What one expects: the changes between two documents, applied to the first, make the second. json-diff-ts's README says
# so of diff and applyChangeset.
# What happens (npm json-diff-ts 4.10.4): in a list within a list, what was removed stays. Of [[9, 12], [13, 17]] to
# [[9, 12], [13]] the result is the old document; what is removed at one place and added at another is there twice.
# diff() finds the removal, only applying it fails, with a line on the console and no exception. Lists of objects and
# plain lists are right. fast-json-patch 3.1.1 and rfc6902 5.4.0 make the second document.
# Whom it hurts: copies that are kept up to date by changes: coordinates, opening hours, matrices, rows of a sheet.
# What to do: apply the changes and compare, or use JSON Patch (RFC 6902).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >npm.log
npm install --silent --no-audit --no-fund json-diff-ts@4.10.4 fast-json-patch@3.1.1 rfc6902@5.4.0
node - 2>said <<'JS'
const { diff, applyChangeset } = require("json-diff-ts");
const fastJsonPatch = require("fast-json-patch");
const rfc6902 = require("rfc6902");
const { readFileSync } = require("fs");

const text = JSON.stringify;
const copy = (document) => JSON.parse(text(document));
const ways = {
  "json-diff-ts": (from, to) => applyChangeset(copy(from), diff(from, to)),
  "fast-json-patch": (from, to) => fastJsonPatch.applyPatch(copy(from), fastJsonPatch.compare(from, to)).newDocument,
  rfc6902: (from, to) => {
    const document = copy(from);
    rfc6902.applyPatch(document, rfc6902.createPatch(from, to));
    return document;
  },
};
const cases = [
  [{ hours: [[9, 12], [13, 17]] }, { hours: [[9, 12], [13]] }, { hours: [[9, 12], [13, 17]] }],
  [{ teams: [["ann"], []] }, { teams: [[], ["ann"]] }, { teams: [["ann"], ["ann"]] }],
  [{ tags: ["a", "b"] }, { tags: ["a"] }, { tags: ["a"] }],
  [{ rows: [{ a: 1 }, { a: 2 }] }, { rows: [{ a: 2 }] }, { rows: [{ a: 2 }] }],
];
const version = (name) => JSON.parse(readFileSync(`node_modules/${name}/package.json`)).version;
for (const name of Object.keys(ways)) console.log(name, version(name));
for (const [from, to, wrong] of cases) {
  console.log(`${text(from)} to ${text(to)}`);
  for (const [name, way] of Object.entries(ways)) {
    const made = text(way(from, to));
    console.log(`  ${name.padEnd(15)} makes ${made}`);
    if (made !== text(name === "json-diff-ts" ? wrong : to)) {
      console.log(`Changed: ${name} no longer makes ${text(name === "json-diff-ts" ? wrong : to)}.`);
      process.exitCode = 1;
    }
  }
}
JS
echo "on the console: $(head -n 1 said)"
