#!/usr/bin/env bash
# AmqpStorm 3.1.4 sends body frames that are 8 bytes larger than the frame-max it has just agreed to.
#
# AMQP 0-9-1 (section 4.2.3, and "frame-max" of connection.tune) counts a whole frame: 7 bytes of head, the payload, and
# the end byte. A peer that sends more than the negotiated size makes an error of its own: the receiver may close the
# connection with 501. AmqpStorm cuts a message into *payloads* of frame-max bytes. RabbitMQ tolerates exactly this
# much, so it goes unnoticed; a broker, proxy or load balancer that allocates what was negotiated refuses any message
# larger than one frame. pika, given the same connection.tune, stays within it; that is the control.
#
# Seen, with frame-max 4096 and a message of 20000 bytes:
#        AmqpStorm 3.1.4: largest frame 4104 bytes     pika 1.4.4: largest frame 4096 bytes
# Exit status: 0 while it is so, 1 when it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check AMQPStorm==3.1.4 pika==1.4.4 pamqp==4.0.1 2>/dev/null
cat >"$folder/run.py" <<'PY'
"""A server of a few lines agrees on frame-max 4096 and measures the frames of one published message."""

import socket
import struct
import sys
import threading
from importlib.metadata import version

import amqpstorm
import pika

FRAME_MAX, SIZE = 4096, 20000
ANSWERS = {  # (class, method) → (class, method, arguments) of the answer
    (10, 11): (10, 30, struct.pack("!HIH", 10, FRAME_MAX, 0)),  # start-ok → tune: channels, frame-max, no heartbeat
    (10, 40): (10, 41, b"\0"),  # open → open-ok
    (20, 10): (20, 11, b"\0\0\0\0"),  # channel open → open-ok
    (20, 40): (20, 41, b""),  # channel close → close-ok
    (10, 50): (10, 51, b""),  # close → close-ok
}


def exactly(line, count):
    data = b""
    while len(data) < count:
        more = line.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def method(channel, number, name, arguments):
    payload = struct.pack("!HH", number, name) + arguments
    return struct.pack("!BHI", 1, channel, len(payload)) + payload + b"\xce"


def serve(listener, sizes):
    line, _ = listener.accept()
    with line:
        line.settimeout(10)
        exactly(line, 8)  # the protocol header
        start = b"\0\x09" + struct.pack("!I", 0) + struct.pack("!I", 5) + b"PLAIN" + struct.pack("!I", 5) + b"en_US"
        line.sendall(method(0, 10, 10, start))
        try:
            while True:
                kind, channel, length = struct.unpack("!BHI", exactly(line, 7))
                payload = exactly(line, length + 1)
                if kind == 3:
                    sizes.append(7 + length + 1)
                elif kind == 1 and (answer := ANSWERS.get(struct.unpack("!HH", payload[:4]))):
                    line.sendall(method(channel, *answer))
        except (EOFError, OSError):
            pass


def measure(publish):
    sizes = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener, sizes), daemon=True)
        thread.start()
        publish(listener.getsockname()[1])
        thread.join(10)
    assert sum(sizes) - 8 * len(sizes) == SIZE, sizes
    return max(sizes)


def by_amqpstorm(port):
    with amqpstorm.Connection("127.0.0.1", "guest", "guest", port=port, heartbeat=0, timeout=10) as connection:
        with connection.channel() as channel:
            channel.basic.publish(b"x" * SIZE, "orders")


def by_pika(port):
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port, heartbeat=0))
    connection.channel().basic_publish("", "orders", b"x" * SIZE)
    connection.close()


storm, control = measure(by_amqpstorm), measure(by_pika)
print(f"frame-max agreed: {FRAME_MAX} bytes, one message of {SIZE} bytes")
print(f"AmqpStorm {version('AMQPStorm')}: largest frame {storm} bytes")
print(f"pika {version('pika')}: largest frame {control} bytes")
sys.exit(0 if storm > FRAME_MAX >= control else 1)
PY
"$folder/venv/bin/python" "$folder/run.py" && echo "It still is so." || { echo "It has changed."; exit 1; }
