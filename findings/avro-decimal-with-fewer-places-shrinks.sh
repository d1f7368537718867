#!/usr/bin/env bash
# avro 1.12.2 (Apache's package for Python) writes the decimal 5 as 0.05 where the schema has two places.
#
# The specification says that a decimal is an unscaled integer times ten to the power of minus `scale`, and scale is the
# schema's. A Decimal knows its own exponent, so 5, 5.0 and 5.00 should all be written as 500 in a field with scale 2. avro
# writes the digits as they stand: 5, 50 and 500, which are read as 0.05, 0.50 and 5.00, by itself and by everybody. Nothing
# is raised. A price that comes from a database column or from JSON as "19.9" is sent as 1.99; Decimal(100).normalize(),
# which is 1E+2, as 0.01. Too *many* places are refused, so one thinks that the scale is looked after. Both forms, bytes
# and fixed, do it. fastavro 1.13.1, given the same schema and values, writes what was meant, and 5.00 is written alike by
# both; these are the controls.
#
# Seen, for amounts 5.00, 5.0, 5, 19.9 and 1E+2 in a field with precision 8 and scale 2:
#        avro: 5.00, 0.50, 0.05, 1.99, 0.01     fastavro: 5.00, 5.00, 5.00, 19.90, 100.00
# Exit status: 0 while it is so, 1 when it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check avro==1.12.2 fastavro==1.13.1 2>/dev/null
cat >"$folder/run.py" <<'PY'
import importlib.metadata
import io
import json
import sys
from decimal import Decimal

import avro.datafile
import avro.errors
import avro.io
import avro.schema
import fastavro

AMOUNTS = [Decimal(text) for text in ("5.00", "5.0", "5", "19.9", "1E+2")]
MEANT = ["5.00", "5.00", "5.00", "19.90", "100.00"]
LOGICAL = {"logicalType": "decimal", "precision": 8, "scale": 2}
TYPES = {"bytes": {"type": "bytes", **LOGICAL}, "fixed": {"type": "fixed", "name": "Amount", "size": 8, **LOGICAL}}


def order(of_type):
    return {"type": "record", "name": "Order", "fields": [{"name": "amount", "type": of_type}]}


def by_avro(schema):
    file = io.BytesIO()
    writer = avro.datafile.DataFileWriter(file, avro.io.DatumWriter(), avro.schema.parse(json.dumps(schema)))
    for amount in AMOUNTS:
        writer.append({"amount": amount})
    writer.flush()
    return file.getvalue()


def by_fastavro(schema):
    file = io.BytesIO()
    fastavro.writer(file, schema, [{"amount": amount} for amount in AMOUNTS])
    return file.getvalue()


def readings(data):
    """What either package reads from the file; the two have to agree."""
    with avro.datafile.DataFileReader(io.BytesIO(data), avro.io.DatumReader()) as reader:
        own = [str(record["amount"]) for record in reader]
    assert own == [str(record["amount"]) for record in fastavro.reader(io.BytesIO(data))], own
    return own


def refuses_too_many_places(schema):
    writer = avro.io.DatumWriter(avro.schema.parse(json.dumps(schema)))
    try:
        writer.write({"amount": Decimal("5.001")}, avro.io.BinaryEncoder(io.BytesIO()))
    except avro.errors.AvroException:
        return True
    return False


holds = True
for name, of_type in TYPES.items():
    schema = order(of_type)
    shrunk, control = readings(by_avro(schema)), readings(by_fastavro(schema))
    refused = refuses_too_many_places(schema)
    print(f"{name}: amounts {', '.join(map(str, AMOUNTS))}; avro refuses 5.001: {refused}")
    print(f"  written by avro {importlib.metadata.version('avro')}, read: {', '.join(shrunk)}")
    print(f"  written by fastavro {importlib.metadata.version('fastavro')}, read: {', '.join(control)}")
    holds &= refused and control == MEANT and shrunk == ["5.00", "0.50", "0.05", "1.99", "0.01"]
sys.exit(0 if holds else 1)
PY
"$folder/venv/bin/python" "$folder/run.py" && echo "It still is so." || { echo "It has changed."; exit 1; }
