#!/usr/bin/env bash
# avro 1.12.2 (Apache's package for Python) gives every schema with a date, a time or a decimal a fingerprint of its own.
#
# A fingerprint is taken of a schema's Parsing Canonical Form, so that writers and readers in any language name a schema
# alike: it is the 8 bytes at the head of a message in Avro's single-object encoding, and the key of many a registry. The
# specification strips everything that does not matter to parsing, logicalType with it, and writes a primitive type in its
# simple form: {"type": "long", "logicalType": "timestamp-millis"} becomes "long". avro strips the attribute, but leaves the
# braces: {"type":"long"}. That is no canonical form, not even to itself: parsed again it gives "long" and another
# fingerprint. A consumer that looks the schema up by the fingerprint in a message from Java does not find it. fastavro
# 1.13.1 does as specified; the same record with a plain long, for which both agree, is the control.
#
# Seen:  with a plain long:       avro and fastavro agree
#        timestamp-millis, date, time-micros, decimal, uuid: they differ; avro's form, parsed and canonised again by avro, is
#        fastavro's, and so is avro's form of the plain type
# Exit status: 0 while it is so, 1 when it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check avro==1.12.2 fastavro==1.13.1 2>/dev/null
cat >"$folder/run.py" <<'PY'
import importlib.metadata
import json
import sys

import avro.schema
from fastavro.schema import fingerprint, to_parsing_canonical_form

ALGORITHM = "CRC-64-AVRO"
LOGICAL = [
    {"type": "long", "logicalType": "timestamp-millis"},
    {"type": "int", "logicalType": "date"},
    {"type": "long", "logicalType": "time-micros"},
    {"type": "bytes", "logicalType": "decimal", "precision": 8, "scale": 2},
    {"type": "string", "logicalType": "uuid"},
]


def order(of_type):
    return {"type": "record", "name": "Order", "namespace": "shop", "fields": [{"name": "at", "type": of_type}]}


def by_avro(schema):
    parsed = avro.schema.parse(schema if isinstance(schema, str) else json.dumps(schema))
    return parsed.canonical_form, parsed.fingerprint(ALGORITHM).hex()


def by_fastavro(schema):
    form = to_parsing_canonical_form(schema)
    return form, fingerprint(form, ALGORITHM)


print(f"avro {importlib.metadata.version('avro')}, fastavro {importlib.metadata.version('fastavro')}")
holds = True
for of_type in LOGICAL:
    plain, logical = order(of_type["type"]), order(of_type)
    control = by_avro(plain) == by_fastavro(plain)
    own, expected = by_avro(logical), by_fastavro(logical)
    again = by_avro(own[0])
    print(f"{of_type['logicalType']}: avro {own[1]}, fastavro {expected[1]}, avro's form canonised again {again[1]}")
    print(f"  {own[0]}\n  {expected[0]}")
    print(f"  with plain {of_type['type']} both agree: {control}")
    holds &= control and own != expected and again == expected == by_avro(plain)
sys.exit(0 if holds else 1)
PY
"$folder/venv/bin/python" "$folder/run.py" && echo "It still is so." || { echo "It has changed."; exit 1; }
