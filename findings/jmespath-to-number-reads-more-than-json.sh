#!/usr/bin/env bash
# What one expects: JMESPath's to_number makes a number of a text that is one by JSON's grammar, and null of any other. Its
# specification says so, and expressions use it to sort numbers from codes, in Python and in Node alike.
# What happens (Python's jmespath 1.1.0, npm jmespath 0.16.0): each hands the text to its language. In Python "12_34" is 1234,
# "nan" and "Infinity" become values that JSON doesn't have, and "007" is 7. In Node "" and " " are 0, "0x10" is 16. The same
# expression over the same records finds other numbers, and totals.
# Whom it hurts: users of expressions in two languages: an empty price counts as 0 in Node and is left out in Python; a
# customer whose code is "nan" makes a document that no parser of JSON takes.
# What to do: ask for digits before to_number, or convert outside JMESPath.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >npm.log
npm install --silent --no-audit --no-fund jmespath@0.16.0
python3 -m venv venv
venv/bin/pip install --quiet 'jmespath==1.1.0'
cat >search.js <<'JS'
const texts = JSON.parse(require("fs").readFileSync(0, "utf8"));
const found = texts.map((text) => String(require("jmespath").search(text, "to_number(@)")));
console.log(JSON.stringify(found));
JS
venv/bin/python - <<'PY'
import importlib.metadata
import json
import subprocess
import sys

import jmespath

RIGHT = {"7": "7", "1.5": "1.5", "A1": "null"}
WRONG = {
    "12_34": ("1234", "null"),
    "nan": ("nan", "null"),
    "Infinity": ("inf", "Infinity"),
    "007": ("7", "7"),
    "": ("null", "0"),
    " ": ("null", "0"),
    "0x10": ("null", "16"),
}
texts = [*RIGHT, *WRONG]
run = subprocess.run(["node", "search.js"], input=json.dumps(texts), capture_output=True, text=True, check=True)
version = json.load(open("node_modules/jmespath/package.json"))["version"]
print("Python's jmespath", importlib.metadata.version("jmespath"), "npm jmespath", version)
seen = {}
for text, node in zip(texts, json.loads(run.stdout)):
    number = jmespath.search("to_number(@)", text)
    seen[text] = ("null" if number is None else str(number), node)
    print(f"to_number of {json.dumps(text):11} Python: {seen[text][0]:6} Node: {seen[text][1]}")
if any(seen[text] != (number, number) for text, number in RIGHT.items()):
    sys.exit("Changed: the two no longer agree on plain texts.")
if any(seen[text] != numbers for text, numbers in WRONG.items()):
    sys.exit("Changed: to_number of these texts, which aren't numbers of JSON, is another one.")
PY
