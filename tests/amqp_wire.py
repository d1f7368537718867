"""An AMQP 0-9-1 client that does just what a test says, wrong things included, and shows every frame that comes back.

The client libraries keep to the protocol and hide half of the answers. This one is a socket and the pamqp codec.
"""

import socket
import time

import pamqp.frame
from pamqp import body, commands, exceptions, header, heartbeat
from pika import URLParameters

LIMIT = 10.0  # seconds that an answer may take


class Gone(Exception):
    """The broker closed the socket."""


class Wire:
    """``Wire(url)`` is connected and open; ``Wire(url, shake=False)`` only has a socket.

    What it offers in the handshake can be set: ``mechanism`` and ``response`` (bytes of the SASL response), ``vhost``,
    ``channel_max``, ``frame_max``, ``heartbeat`` (None takes what the broker suggests), ``capabilities``.
    """

    def __init__(self, url, shake=True, **offers):
        where = URLParameters(url)
        self.socket = socket.create_connection((where.host, where.port), timeout=LIMIT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.where = where
        if shake:
            self.shake(**offers)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def shake(self, **offers):
        """The whole handshake; keeps ``start`` and ``tune`` as the broker sent them."""
        self.greet()
        self.start_ok(offers.get("mechanism", "PLAIN"), offers.get("response"), offers.get("capabilities"))
        self.tune = self.expect(commands.Connection.Tune)
        self.tune_ok(offers)
        self.open(offers.get("vhost"))

    def greet(self):
        self.socket.sendall(b"AMQP\x00\x00\x09\x01")
        self.start = self.expect(commands.Connection.Start)

    def start_ok(self, mechanism="PLAIN", response=None, capabilities=None):
        if response is None:
            response = f"\0{self.where.credentials.username}\0{self.where.credentials.password}"
        mine = {"product": "wire", "capabilities": capabilities or {}}
        self.send(commands.Connection.StartOk(mine, mechanism, response, "en_US"), 0)

    def tune_ok(self, offers):
        chosen = [offers.get(name) for name in ("channel_max", "frame_max", "heartbeat")]
        theirs = [self.tune.channel_max, self.tune.frame_max, 0]
        self.send(commands.Connection.TuneOk(*[t if c is None else c for c, t in zip(chosen, theirs)]), 0)

    def open(self, vhost=None):
        self.send(commands.Connection.Open(self.where.virtual_host if vhost is None else vhost), 0)
        self.expect(commands.Connection.OpenOk)

    def channel(self, number=1) -> int:
        self.send(commands.Channel.Open(), number)
        self.expect(commands.Channel.OpenOk, number)
        return number

    def send(self, frame, channel=1):
        self.socket.sendall(pamqp.frame.marshal(frame, channel))

    def send_bytes(self, data: bytes):
        self.socket.sendall(data)

    def publish(self, content=b"", exchange="", routing_key="", channel=1, properties=None, **flags):
        """One message, its body in one frame."""
        frames = [commands.Basic.Publish(0, exchange, routing_key, **flags)]
        frames.append(header.ContentHeader(0, len(content), properties or commands.Basic.Properties()))
        if content:
            frames.append(body.ContentBody(content))
        self.send_bytes(b"".join(pamqp.frame.marshal(frame, channel) for frame in frames))

    def receive(self, limit=LIMIT, heartbeats=False):
        """The next ``(channel, frame)``; heartbeats are passed over unless they are asked for. Raises Gone."""
        end = time.monotonic() + limit
        while True:
            found = self._from_buffer()
            if found is None:
                left = end - time.monotonic()
                if left <= 0:
                    raise TimeoutError("no frame came")
                self.socket.settimeout(left)
                try:
                    data = self.socket.recv(1 << 16)
                except ConnectionError as error:
                    raise Gone(str(error)) from error
                if not data:
                    raise Gone(f"closed, after {self.buffer!r}")
                self.buffer += data
            elif heartbeats or not isinstance(found[1], heartbeat.Heartbeat):
                return found

    def _from_buffer(self):
        if self.buffer.startswith(b"AMQP"):
            return None
        try:
            size, channel, frame = pamqp.frame.unmarshal(self.buffer)
        except exceptions.UnmarshalingException:
            return None
        if frame is None:
            return None
        self.buffer = self.buffer[size:]
        return channel, frame

    def expect(self, kind, channel=0):
        """The next frame, which must be of ``kind`` on ``channel``."""
        number, frame = self.receive()
        shown = {name: getattr(frame, name) for name in getattr(frame, "__slots__", ()) if hasattr(frame, name)}
        assert (type(frame), number) == (kind, channel), f"{frame.name} on channel {number}: {shown}"
        return frame

    def call(self, frame, channel=1):
        """Send a method and take its own answer."""
        self.send(frame, channel)
        kind = commands.INDEX_MAPPING[frame.index + 1] if not isinstance(frame, commands.Basic.Get) else None
        return self.expect(kind, channel) if kind else self.receive()[1]

    def error(self):
        """The close that the broker answers with: ``("channel" or "connection", code, text, (class, method))``."""
        while True:
            number, frame = self.receive()
            if isinstance(frame, (commands.Channel.Close, commands.Connection.Close)):
                where = "channel" if isinstance(frame, commands.Channel.Close) else "connection"
                return where, frame.reply_code, frame.reply_text, (frame.class_id, frame.method_id)

    def ends(self, limit=LIMIT) -> bool:
        """Read until the broker closes the socket."""
        end = time.monotonic() + limit
        try:
            while True:
                self.receive(end - time.monotonic())
        except Gone:
            return True
        except TimeoutError:
            return False


class Consumer(Wire):
    """A bare consumer: what was delivered to it, in order, and nothing acknowledged by itself."""

    def __init__(self, url, queue=None, prefetch=None, shared=False, **options):
        super().__init__(url)
        self.channel()
        if prefetch is not None:
            self.call(commands.Basic.Qos(0, prefetch, shared))
        self.tag = self.consume(queue, **options) if queue else None

    def consume(self, queue, tag="", channel=1, **options):
        return self.call(commands.Basic.Consume(0, queue, tag, **options), channel).consumer_tag

    def next(self, limit=10.0):
        """The next delivery as ``(tag, body, redelivered, consumer tag)``."""
        channel, frame = self.receive(limit)
        assert isinstance(frame, commands.Basic.Deliver), frame
        size, content = self.receive()[1].body_size, b""
        while len(content) < size:
            content += self.receive()[1].value
        return frame.delivery_tag, content, frame.redelivered, frame.consumer_tag

    def numbers(self, count):
        """The next bodies, which are numbers."""
        return [int(self.next()[1]) for _ in range(count)]

    def idle(self, seconds=0.2) -> bool:
        """Whether nothing more is delivered for a while."""
        try:
            found = self.receive(seconds)
        except TimeoutError:
            return True
        assert isinstance(found[1], (commands.Basic.Deliver, header.ContentHeader, body.ContentBody)), found
        return False
