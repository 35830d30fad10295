#!/usr/bin/env bash
# What one expects: a difference between two JSON documents holds each change, so that, applied to the first, it makes
# the second. In JSON, true and 1 are values of different types, as are false and 0; RFC 6902 (4.6) compares so.
# What happens (jsondiff 2.2.1, json-merge-patch 0.3.0, deepdiff 9.1.0): Python's True equals 1, and the packages ask no
# further. From 1 to true and from 0 to false jsondiff and json-merge-patch find nothing; deepdiff finds it in an
# object, and misses it in a list beside other changes, so that Delta makes 1 of it. jsonpatch 1.48 finds all of them.
# Whom it hurts: change detection and audit trails: an API that turns its flags from 0 and 1 into booleans has "not
# changed", and a copy that is kept by patches keeps the old type for good.
# What to do: compare the JSON texts too (json.dumps with sort_keys), or use jsonpatch.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'jsondiff==2.2.1' 'json-merge-patch==0.3.0' 'deepdiff==9.1.0' 'jsonpatch==1.48'
cd "$folder"
venv/bin/python - <<'PY'
import copy
import importlib.metadata
import json
import sys

import deepdiff
import json_merge_patch
import jsondiff
import jsonpatch

WAYS = {
    "jsonpatch": lambda old, new: jsonpatch.make_patch(old, new).apply(old),
    "jsondiff": lambda old, new: jsondiff.patch(old, jsondiff.diff(old, new)),
    "json-merge-patch": lambda old, new: json_merge_patch.merge(old, json_merge_patch.create_patch(old, new)),
    "deepdiff": lambda old, new: old + deepdiff.Delta(deepdiff.DeepDiff(old, new)),
}
CASES = [
    ({"active": 1}, {"active": True}, {"jsondiff", "json-merge-patch"}),
    ({"active": 0}, {"active": False}, {"jsondiff", "json-merge-patch"}),
    ({"flags": [1.5, 1]}, {"flags": [0, None, True, 2]}, {"deepdiff", "jsondiff"}),
    ({"active": 1}, {"active": 2}, set()),
]
print(*(f"{package} {importlib.metadata.version(package)}" for package in WAYS))
for old, new, wrong in CASES:
    print(f"{json.dumps(old)} to {json.dumps(new)}")
    for package, way in WAYS.items():
        made = json.dumps(way(copy.deepcopy(old), copy.deepcopy(new)))
        print(f"  {package:16} makes {made}")
        if (made != json.dumps(new)) != (package in wrong):
            sys.exit(f"Changed: {package} no longer {'misses' if package in wrong else 'finds'} this change.")
PY
