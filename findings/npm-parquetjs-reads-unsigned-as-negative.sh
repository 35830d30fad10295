#!/usr/bin/env bash
# What one expects: an unsigned column of a Parquet file holds no negative number. By Parquet's logical types UINT_32
# and UINT_64 are stored in the same bytes as signed ones and must be read as unsigned; the package's README lists both
# types.
# What happens where two meet (pyarrow 26.0.1, npm @dsnp/parquetjs 1.8.8): the bytes are read as signed. 3000000000 in a
# column of uint32 becomes -1294967296, 2**64 - 1 in one of uint64 -1. Smaller values are right. hyparquet 1.33.0 reads
# all rightly.
# Whom it hurts: services in Node that read files which Polars, pandas or DuckDB wrote: row counts, byte sizes, hashes,
# ids and addresses in uint32 are right until one passes 2147483647.
# What to do: value >>> 0 for uint32, BigInt.asUintN(64, value) for uint64; or write signed columns.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >npm.log
npm install --silent --no-audit --no-fund @dsnp/parquetjs@1.8.8 hyparquet@1.33.0
python3 -m venv venv
venv/bin/pip install --quiet 'pyarrow==26.0.1'
venv/bin/python - <<'PY'
import importlib.metadata

import pyarrow
import pyarrow.parquet

columns = {
    "bytes": pyarrow.array([1, 2**31 - 1, 3_000_000_000], pyarrow.uint32()),
    "hash": pyarrow.array([1, 2**63 - 1, 2**64 - 1], pyarrow.uint64()),
}
pyarrow.parquet.write_table(pyarrow.table(columns), "files.parquet")
read = pyarrow.parquet.read_table("files.parquet").to_pydict()
print("pyarrow", importlib.metadata.version("pyarrow"), "reads:", read)
PY
cat >read.mjs <<'JS'
import { readFileSync } from "fs";
import parquet from "@dsnp/parquetjs";
import { asyncBufferFromFile, parquetReadObjects } from "hyparquet";

const text = (rows) => rows.map(({ bytes, hash }) => `${bytes} ${hash}`).join(", ");
const version = (name) => JSON.parse(readFileSync(`node_modules/${name}/package.json`)).version;
const reader = await parquet.ParquetReader.openFile("files.parquet");
const cursor = reader.getCursor();
const rows = [];
for (let row = await cursor.next(); row; row = await cursor.next()) rows.push(row);
await reader.close();
const ours = text(rows);
const others = text(await parquetReadObjects({ file: await asyncBufferFromFile("files.parquet") }));
console.log("@dsnp/parquetjs", version("@dsnp/parquetjs"), "reads:", ours);
console.log("hyparquet", version("hyparquet"), "reads:", others);
if (others !== "1 1, 2147483647 9223372036854775807, 3000000000 18446744073709551615") {
  console.log("Changed: hyparquet no longer reads the unsigned columns rightly.");
  process.exitCode = 1;
}
if (ours !== "1 1, 2147483647 9223372036854775807, -1294967296 -1") {
  console.log("Changed: @dsnp/parquetjs no longer reads large unsigned values as negative.");
  process.exitCode = 1;
}
JS
node read.mjs
