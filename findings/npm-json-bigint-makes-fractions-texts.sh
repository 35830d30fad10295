#!/usr/bin/env bash
# What one expects: with storeAsString, integers too large for JavaScript are texts, and all other numbers stay numbers.
# The README says that the option is about BigInts.
# What happens (npm json-bigint 1.0.0): what counts is the number's length as written, more than 15 characters, sign and
# point included. 19.99 is a number, 19.989999999999998 a text, -0.1234567890123 one too, and 1000000000000000, which
# fits, as well. So a column has both: where a text comes first, + joins instead of adding, and === is false between
# equal numbers. In the default mode these are BigNumber objects. lossless-json 4.3.3, set to keep large integers only,
# has them as numbers.
# Whom it hurts: consumers in Node that read ids of 64 bits beside amounts which Python or Postgres computed: 0.1 + 0.2
# is written 0.30000000000000004.
# What to do: lossless-json with a number parser of one's own; or Number(…) around each amount.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >npm.log
npm install --silent --no-audit --no-fund json-bigint@1.0.0 lossless-json@4.3.3
python3 - >sent.json <<'PY'
import json

print(json.dumps({"id": 2**63 - 1, "amounts": [0.2, 0.1 + 0.2, 19.99, -0.1234567890123, 10**15]}))
PY
node - <<'JS'
const { readFileSync } = require("fs");
const jsonBigint = require("json-bigint");
const { parse } = require("lossless-json");

const sent = readFileSync("sent.json", "utf8").trim();
const large = (text) => (/^-?\d+$/.test(text) && !Number.isSafeInteger(Number(text)) ? text : Number(text));
const read = {
  "json-bigint": jsonBigint({ storeAsString: true }).parse(sent),
  "lossless-json": parse(sent, null, large),
};
console.log("sent by Python:", sent);
for (const [name, { id, amounts }] of Object.entries(read)) {
  console.log(name, require(`./node_modules/${name}/package.json`).version);
  console.log("  id:     ", typeof id, id);
  console.log("  amounts:", amounts.map((amount) => `${typeof amount} ${amount}`).join(", "));
  console.log("  the sum of the first two:", amounts[0] + amounts[1]);
}
const types = ({ id, amounts }) => [id, ...amounts].map((value) => typeof value).join(" ");
if (types(read["lossless-json"]) !== "string number number number number number") {
  console.log("Changed: lossless-json no longer reads the amounts as numbers.");
  process.exitCode = 1;
}
const texts = types(read["json-bigint"]) === "string number string number string string";
if (!texts || read["json-bigint"].amounts[0] + read["json-bigint"].amounts[1] !== "0.20.30000000000000004") {
  console.log("Changed: json-bigint no longer makes texts of numbers of more than 15 characters.");
  process.exitCode = 1;
}
JS
