#!/usr/bin/env bash
# What one expects: each cell of a CSV file is in the record that the reader makes of its row. Exports of nested records have
# columns such as "plan" and "plan.id", and RFC 4180 (2) counts blanks as part of a field.
# What happens (npm csvtojson 2.0.14): a dot in a column's name makes an object, and of "plan" and "plan.id" the later column
# replaces the earlier one, so that one value of each row is gone. A column named "1.5" makes a list of six, a blank at an
# unquoted field's end is cut, and a field of blanks is empty. csv-parse 7.0.3 keeps all.
# Whom it hurts: services that read exports by the default settings: no error, no warning, and most files have no such pair.
# What to do: csvtojson({ flatKeys: true, trim: false }), or csv-parse.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >npm.log
npm install --silent --no-audit --no-fund csvtojson@2.0.14 csv-parse@7.0.3
cat >read.mjs <<'JS'
import { readFileSync } from "fs";
import { parse } from "csv-parse/sync";
import csvtojson from "csvtojson";

const version = (name) => JSON.parse(readFileSync(`node_modules/${name}/package.json`)).version;
console.log("csvtojson", version("csvtojson"), "csv-parse", version("csv-parse"));
const CASES = [
  ["id,plan,plan.id\n1,basic,7\n", '[{"id":"1","plan":{"id":"7"}}]', '[{"id":"1","plan":"basic","plan.id":"7"}]'],
  ["id,plan.id,plan\n1,7,basic\n", '[{"id":"1","plan":"basic"}]', '[{"id":"1","plan.id":"7","plan":"basic"}]'],
  ["id,1.5\n1,x\n", '[{"1":[null,null,null,null,null,"x"],"id":"1"}]', '[{"id":"1","1.5":"x"}]'],
  ["id,prefix,pad\n1,re ,  \n", '[{"id":"1","prefix":"re","pad":""}]', '[{"id":"1","prefix":"re ","pad":"  "}]'],
];
for (const [text, wrong, right] of CASES) {
  const ours = JSON.stringify(await csvtojson().fromString(text));
  const careful = JSON.stringify(await csvtojson({ flatKeys: true, trim: false }).fromString(text));
  const other = JSON.stringify(parse(text, { columns: true }));
  console.log(JSON.stringify(text));
  console.log("  csvtojson:               ", ours);
  console.log("  with flatKeys, untrimmed:", careful);
  console.log("  csv-parse:               ", other);
  const same = (a, b) => JSON.stringify(Object.entries(JSON.parse(a)[0]).sort()) === JSON.stringify(Object.entries(JSON.parse(b)[0]).sort());
  if (!same(other, right) || !same(careful, right)) {
    console.log("Changed: csv-parse, or csvtojson with flatKeys and without trim, no longer keeps all cells.");
    process.exitCode = 1;
  }
  if (!same(ours, wrong)) {
    console.log("Changed: csvtojson no longer loses or changes these cells.");
    process.exitCode = 1;
  }
}
JS
node read.mjs
