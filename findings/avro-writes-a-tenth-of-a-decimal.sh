#!/usr/bin/env bash
# What one expects: a Decimal that fits the schema is read as it was written. The Avro specification 1.12 ("Logical
# Types", decimal) makes the stored whole number and the schema's scale the value, so that at scale 2 the number 1.5 is
# stored as 150.
# What happens (avro 1.12.2): the digits of the Decimal are stored as they stand, whatever its own scale is. At scale 2,
# Decimal("1.5") is read back as 0.15, Decimal("100") as 1.00. Only a Decimal with just as many places as the schema
# comes back, 1.50 and 100.00. Bytes and fixed do the same, nothing is raised. fastavro 1.13.1 writes each of them
# rightly; what avro wrote it reads as avro does.
# Whom it hurts: whoever writes amounts that came from JSON, where 1.5 and 100 are usual, to Avro files or Kafka.
# What to do: write with fastavro; or bring each Decimal to the schema's scale first: amount.quantize(Decimal("0.01")).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'avro==1.12.2' 'fastavro==1.13.1'
cd "$folder"
venv/bin/python - <<'PY'
import importlib.metadata
import io
import json
import sys
from decimal import Decimal

import avro.io
import avro.schema
import fastavro

AMOUNTS = [Decimal(text) for text in ("1.50", "1.5", "100.00", "100", "-0.5", "0")]


def schema(**type_):
    """Return a schema of one field that holds decimals of two places."""
    amount = {"logicalType": "decimal", "precision": 10, "scale": 2, **type_}
    return {"type": "record", "name": "payment", "fields": [{"name": "amount", "type": amount}]}


def by_avro(fields, value):
    """Return the bytes that avro writes."""
    buffer = io.BytesIO()
    avro.io.DatumWriter(avro.schema.parse(json.dumps(fields))).write({"amount": value}, avro.io.BinaryEncoder(buffer))
    return buffer.getvalue()


def by_fastavro(fields, value):
    """Return the bytes that fastavro writes."""
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, fields, {"amount": value})
    return buffer.getvalue()


def read(fields, written):
    """Return what both packages read, which must be the same."""
    decoder = avro.io.BinaryDecoder(io.BytesIO(written))
    first = avro.io.DatumReader(avro.schema.parse(json.dumps(fields))).read(decoder)["amount"]
    if fastavro.schemaless_reader(io.BytesIO(written), fields, None)["amount"] != first:
        sys.exit("Changed: avro and fastavro read the same bytes differently.")
    return first


print(*(f"{package} {importlib.metadata.version(package)}" for package in ("avro", "fastavro")))
for fields in (schema(type="bytes"), schema(type="fixed", name="cents", size=8)):
    for amount in AMOUNTS:
        first, second = read(fields, by_avro(fields, amount)), read(fields, by_fastavro(fields, amount))
        kind = fields["fields"][0]["type"]["type"]
        print(f"{kind}, {amount!s:>6}: written by avro {first!s:>6}, by fastavro {second!s:>6}")
        if second != amount:
            sys.exit("Changed: fastavro no longer writes these amounts rightly.")
        if first != Decimal(int("".join(map(str, amount.as_tuple().digits)))).scaleb(-2).copy_sign(amount):
            sys.exit("Changed: avro no longer stores the digits of a Decimal as they stand.")
PY
