#!/usr/bin/env bash
# What one expects: the AsyncAPI project's converter turns a valid document of version 2.6 into a valid one of 3.0, or stops.
# Its README says that it converts documents to newer versions, and it warns of what it leaves out: a parameter's type and
# minimum.
# What happens where two meet (npm @asyncapi/converter 2.0.2, @asyncapi/parser 3.6.6): a parameter that is an integer with an
# enum, a default or examples keeps these as numbers. In 3.0 they are texts, so that the parser of the same project, which
# found no fault in the original, refuses the result and yields no document. Nothing says so before.
# Whom it hurts: documents whose channels hold a partition, a shard or a version, "orders/{shard}": whatever reads 3.0 stops.
# What to do: turn enum, default and examples of channel parameters into texts before converting; parse what comes out.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >npm.log
npm install --silent --no-audit --no-fund @asyncapi/converter@2.0.2 @asyncapi/parser@3.6.6
node - <<'JS'
const { convert } = require("@asyncapi/converter");
const { Parser } = require("@asyncapi/parser");
const withParameter = (schema) => ({
  asyncapi: "2.6.0",
  info: { title: "Orders", version: "1" },
  channels: {
    "orders/{shard}": {
      parameters: { shard: { schema } },
      subscribe: { message: { payload: { type: "object" } } },
    },
  },
});
const faults = async (value) => {
  const { document: parsed, diagnostics } = await new Parser().parse(value);
  const errors = diagnostics.filter((diagnostic) => diagnostic.severity === 0).map((diagnostic) => diagnostic.message);
  return { refused: parsed === undefined, errors: [...new Set(errors)] };
};
(async () => {
  for (const name of ["converter", "parser"]) console.log(name, require(`./node_modules/@asyncapi/${name}/package.json`).version);
  const numbers = withParameter({ type: "integer", enum: [1, 2], default: 1 });
  const texts = withParameter({ type: "string", enum: ["1", "2"], default: "1" });
  const before = await faults(numbers);
  const after = await faults(convert(structuredClone(numbers), "3.0.0"));
  const other = await faults(convert(structuredClone(texts), "3.0.0"));
  console.log("2.6, parameter with numbers:", JSON.stringify(before));
  console.log("converted to 3.0:           ", JSON.stringify(after));
  console.log("converted, with texts:      ", JSON.stringify(other));
  let changed;
  if (before.refused || other.refused) changed = "the parser refuses the original, or a parameter with texts";
  else if (!after.refused) changed = "the parser no longer refuses the converted parameter with numbers";
  if (changed) console.log(`Changed: ${changed}.`);
  process.exit(changed ? 1 : 0);
})();
JS
