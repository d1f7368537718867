#!/usr/bin/env bash
# cloudevents 2.2.0 (the CNCF's package for Python): an event's data does not survive the binary mode of the new API.
#
# An event may be sent over HTTP or Kafka in two modes, and a gateway may turn one into the other; the specification wants
# it to be the same event. In binary mode the data is the body, in the form that datacontenttype names. With
# application/json the new API (cloudevents.core) writes a string without quotes, so the body is not the JSON of it, and
# a receiver, itself included, reads the order number "12345" as a number and "true" as a boolean. A list or a boolean
# is written as Python's repr, [{'id': 'A'}], which no parser of JSON takes; the same API reads it as a string. (Its type
# hints name dict, str and bytes; what it reads from others' events is all of JSON, and it writes that again.) And it
# reads bytes of application/octet-stream as str where they happen to be valid UTF-8, as bytes where not: a message of
# Protocol Buffers arrives as the one or the other depending on its numbers. Nothing is raised. Structured mode of the
# same API gives the data back as it was, and the former API of the same package (cloudevents.v1) writes bodies that are
# JSON; these are the controls.
#
# Seen, data, the body in binary mode, and what the receiver gets:
#        "12345"               12345              12345 (a number)
#        "true"                true               True
#        [{"id": "A"}]         [{'id': 'A'}]      "[{'id': 'A'}]"
#        True                  True               "True"
#        b"\x08\x01"           the same           "\x08\x01" (a str)      (b"\x08\x96\x01" stays bytes)
# Exit status: 0 while it is so, 1 when it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check cloudevents==2.2.0 2>/dev/null
cat >"$folder/run.py" <<'PY'
import importlib.metadata
import json
import sys

import cloudevents.v1.conversion
import cloudevents.v1.http
from cloudevents.core.bindings import http, kafka
from cloudevents.core.v1.event import CloudEvent

JSON, OCTETS = "application/json", "application/octet-stream"
CHANGED = [  # content type, data, what the receiver gets
    (JSON, "12345", 12345),
    (JSON, "true", True),
    (JSON, [{"id": "A"}], "[{'id': 'A'}]"),
    (JSON, True, "True"),
    (OCTETS, b"\x08\x01", "\x08\x01"),
]
SAME = [(JSON, {"id": "12345"}), (OCTETS, b"\x08\x96\x01")]


def event(content_type, data):
    return CloudEvent({"type": "order.paid", "source": "/shop", "id": "1", "datacontenttype": content_type}, data)


def alike(one, other):
    return type(one) is type(other) and one == other


def is_json_of(body, data):
    try:
        return alike(json.loads(body), data)
    except ValueError:
        return False


def former_body(content_type, data):
    old = cloudevents.v1.http.CloudEvent(
        {"type": "order.paid", "source": "/shop", "datacontenttype": content_type}, data
    )
    return cloudevents.v1.conversion.to_binary(old)[1]


def both_ways(content_type, data):
    """The body in binary mode, and what the new API reads after binary mode and after structured mode."""
    sent = event(content_type, data)
    message = http.to_binary_event(sent)
    by_kafka = kafka.from_binary_event(kafka.to_binary_event(sent)).get_data()
    binary = http.from_binary_event(message).get_data()
    assert alike(by_kafka, binary), by_kafka
    return message.body, binary, http.from_structured_event(http.to_structured_event(sent)).get_data()


print(f"cloudevents {importlib.metadata.version('cloudevents')}")
holds = True
for content_type, data, expected in CHANGED:
    body, binary, structured = both_ways(content_type, data)
    print(f"{content_type} {data!r}: body {body!r}, binary mode gives {binary!r}, structured mode {structured!r}")
    holds &= alike(binary, expected) and alike(structured, data)
    if content_type == JSON:
        former = former_body(content_type, data)
        own, control = is_json_of(body, data), is_json_of(former, data)
        print(f"  body is the JSON of it: {own}; the former API's, {former!r}: {control}")
        holds &= control and not own
for content_type, data in SAME:
    _, binary, structured = both_ways(content_type, data)
    print(f"{content_type} {data!r}: binary mode gives {binary!r}, structured mode {structured!r}")
    holds &= alike(binary, data) and alike(structured, data)
sys.exit(0 if holds else 1)
PY
"$folder/venv/bin/python" "$folder/run.py" && echo "It still is so." || { echo "It has changed."; exit 1; }
