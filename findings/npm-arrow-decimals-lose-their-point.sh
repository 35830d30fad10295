#!/usr/bin/env bash
# What one expects: a decimal column that Python writes as 1.50 shows 1.50 in JavaScript. In Arrow's format (Schema.fbs,
# Decimal) the stored whole number and the type's scale make the value.
# What happens where two meet (pyarrow 26.0.1, npm apache-arrow 21.2.0): every way to the value leaves the scale out.
# String(value) is "150", Number(value) 150, the table's text {"price": 150}, and JSON has "\"150\"", quotes within
# quotes, for the same reason in a text. With a scale of 9 it is a thousand million times too much. Nothing is raised,
# and only the schema's field still knows the scale. hyparquet 1.33.0 reads the same table from Parquet as 1.5.
# Whom it hurts: dashboards and services in Node that get amounts from DuckDB, Flight or Arrow files: sums a hundred
# times too high, which look like amounts.
# What to do: divide by 10 ** field.type.scale; or cast decimals to float64 or text before they leave Python.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >npm.log
npm install --silent --no-audit --no-fund apache-arrow@21.2.0 hyparquet@1.33.0
python3 -m venv venv
venv/bin/pip install --quiet 'pyarrow==26.0.1'
venv/bin/python - <<'PY'
import importlib.metadata
from decimal import Decimal

import pyarrow
import pyarrow.parquet

prices = [Decimal("1.50"), Decimal("-0.01")]
columns = {f"scale{scale}": pyarrow.array(prices, pyarrow.decimal128(18, scale)) for scale in (2, 9)}
table = pyarrow.table(columns)
with pyarrow.ipc.new_file("prices.arrow", table.schema) as writer:
    writer.write_table(table)
pyarrow.parquet.write_table(table, "prices.parquet")
read = pyarrow.ipc.open_file("prices.arrow").read_all().column("scale2").to_pylist()
print("pyarrow", importlib.metadata.version("pyarrow"), "reads:", *read)
PY
cat >read.mjs <<'JS'
import { readFileSync } from "fs";
import { tableFromIPC } from "apache-arrow";
import { asyncBufferFromFile, parquetReadObjects } from "hyparquet";

const version = (name) => JSON.parse(readFileSync(`node_modules/${name}/package.json`)).version;
const table = tableFromIPC(readFileSync("prices.arrow"));
const ways = {
  String: [...table.getChild("scale2")].map(String),
  Number: [...table.getChild("scale2")].map(Number),
  "Number, scale 9": [...table.getChild("scale9")].map(Number),
  JSON: JSON.stringify(table.select(["scale2"]).toArray()),
};
const parquet = await parquetReadObjects({ file: await asyncBufferFromFile("prices.parquet") });
console.log("apache-arrow", version("apache-arrow"), "hyparquet", version("hyparquet"));
for (const [way, value] of Object.entries(ways)) console.log(`apache-arrow, ${way}:`, value);
console.log("the field still says: scale", table.schema.fields[0].type.scale);
console.log("hyparquet:", JSON.stringify(parquet));
const expected = {
  String: ["150", "-1"],
  Number: [150, -1],
  "Number, scale 9": [1500000000, -10000000],
  JSON: '[{"scale2":"\\"150\\""},{"scale2":"\\"-1\\""}]',
};
if (JSON.stringify(ways) !== JSON.stringify(expected)) {
  console.error("Changed: apache-arrow no longer leaves the scale out.");
  process.exit(1);
}
if (parquet[0].scale2 !== 1.5 || parquet[1].scale9 !== -0.01) {
  console.error("Changed: hyparquet no longer reads the decimals with their scale.");
  process.exit(1);
}
JS
node read.mjs
