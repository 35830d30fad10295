#!/usr/bin/env bash
# What one expects: records with different keys become different rows. In the Singer specification the SCHEMA message's
# key_properties are a list of properties that identify a record together.
# What happens (pipelinewise-target-postgres 2.1.2): within a batch the parts of a key are joined with a comma, as text,
# and records with the same text replace each other. The keys ("x,y", "z") and ("x", "y,z") make one row, the later one;
# the other record never reaches the COPY. STATE comes out, exit status 0. The table's own primary key would take both,
# and does where they come in different batches. Shown without a server: what the target hands to COPY.
# Whom it hurts: streams with keys of several texts: names ("Doe, Jane"), paths, tags, places.
# What to do: add one column in front that is unique, such as a hash of the parts; or use a target of another family.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'pipelinewise-target-postgres==2.1.2'
cd "$folder"
venv/bin/python - <<'PY'
import importlib.metadata
import json
import logging
import pathlib
import sys

import target_postgres
from target_postgres.db_sync import DbSync

logging.disable(logging.CRITICAL)
SERVER = {"host": "127.0.0.1", "port": 1, "user": "u", "password": "p", "dbname": "d"}
CONFIG = {**SERVER, "default_target_schema": "public"}
TEXT, NUMBER = {"type": ["string"]}, {"type": ["null", "integer"]}
copied = []

# The server's part: no tables to look at, none to make, and COPY keeps what it is given.
DbSync.get_table_columns = lambda *_, **__: []
for step in ("create_schema_if_not_exists", "sync_table", "create_indices"):
    setattr(DbSync, step, lambda *_, **__: None)
DbSync.load_csv = lambda self, file, count, size: copied.extend(pathlib.Path(file).read_text().split())


def loaded(keys, **config):
    """Return the lines that the target hands to COPY for records with these keys."""
    copied.clear()
    schema = {"type": "object", "properties": {"owner": TEXT, "path": TEXT, "size": NUMBER}}
    messages = [{"type": "SCHEMA", "stream": "files", "schema": schema, "key_properties": ["owner", "path"]}]
    for size, (owner, path) in enumerate(keys, 1):
        messages.append({"type": "RECORD", "stream": "files", "record": {"owner": owner, "path": path, "size": size}})
    messages.append({"type": "STATE", "value": {"seen": len(keys)}})
    target_postgres.persist_lines({**CONFIG, **config}, [json.dumps(message) for message in messages])
    return list(copied)


print("pipelinewise-target-postgres", importlib.metadata.version("pipelinewise-target-postgres"))
keys = [("x,y", "z"), ("x", "y,z"), ("x", "y")]
together, apart = loaded(keys), loaded(keys, batch_size_rows=1)
print("keys:                 ", keys)
print("COPY, one batch:      ", together)
print("COPY, batches of one: ", apart)
if apart != ['"x,y","z",1', '"x","y,z",2', '"x","y",3']:
    sys.exit("Changed: in batches of one, not every record is handed to COPY.")
if together != ['"x","y,z",2', '"x","y",3']:
    sys.exit("Changed: keys with a comma in their parts no longer replace each other.")
PY
