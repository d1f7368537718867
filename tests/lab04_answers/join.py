"""Exercise 2: ways to know that a subscriber is there, and ways to believe it."""

import time

import zmq

from tests.lab11_answers import but

READY = b"\xffready"


class Publisher:
    """An XPUB that counts a topic to which each subscriber subscribes last."""

    def __init__(self, context):
        self.socket = context.socket(zmq.XPUB)
        self.socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        self.ports, self.there = [self.socket.bind_to_random_port("tcp://127.0.0.1")], 0

    def publish(self, events, subscribers):
        while self.there < subscribers:
            self.there += self.socket.recv() == b"\x01" + READY
        for event in events:
            self.socket.send_multipart(event)

    def close(self):
        self.socket.close()


class Subscriber:
    def __init__(self, context, ports, topics):
        self.socket = context.socket(zmq.SUB)
        self.socket.connect(f"tcp://127.0.0.1:{ports[0]}")
        for topic in [*topics, READY]:
            self.socket.subscribe(topic)

    def receive(self, count):
        return [self.socket.recv_multipart() for _ in range(count)]

    def close(self):
        self.socket.close()


class Greets:
    """A PUB that says hello until enough have told, on another socket, that they heard it."""

    def __init__(self, context):
        self.out, self.asked = context.socket(zmq.PUB), context.socket(zmq.REP)
        self.ports, self.there = [one.bind_to_random_port("tcp://127.0.0.1") for one in (self.out, self.asked)], 0

    def publish(self, events, subscribers):
        end = time.monotonic() + 10
        while self.there < subscribers and time.monotonic() < end:
            self.out.send_multipart([READY, b""])
            if self.asked.poll(10):
                self.asked.recv()
                self.asked.send(b"")
                self.there += 1
        for event in events:
            self.out.send_multipart(event)

    def close(self):
        self.out.close()
        self.asked.close()


class Answers:
    """Hears one hello, says so, and skips the others."""

    def __init__(self, context, ports, topics):
        self.into, self.ask = context.socket(zmq.SUB), context.socket(zmq.REQ)
        for socket, port in zip((self.into, self.ask), ports):
            socket.connect(f"tcp://127.0.0.1:{port}")
        for topic in [*topics, READY]:
            self.into.subscribe(topic)
        self.known = False

    def receive(self, count):
        if not self.known:
            self.into.recv_multipart()
            self.ask.send(b"I hear")
            self.ask.recv()
            self.known = True
        found = []
        while len(found) < count:
            topic, body = self.into.recv_multipart()
            if topic != READY:
                found.append((topic, body))
        return found

    def close(self):
        self.into.close()
        self.ask.close()


class Posts:
    """No PUB at all: a ROUTER that knows who wants what, and sends to each."""

    def __init__(self, context):
        self.socket, self.wanted = context.socket(zmq.ROUTER), {}
        self.ports = (self.socket.bind_to_random_port("tcp://127.0.0.1"),)

    def publish(self, events, subscribers):
        while len(self.wanted) < subscribers:
            who, *topics = self.socket.recv_multipart()
            self.wanted[who] = topics
        for topic, body in events:
            for who, topics in self.wanted.items():
                if topic in topics:
                    self.socket.send_multipart([who, topic, body])

    def close(self):
        self.socket.close()


class Orders:
    def __init__(self, context, ports, topics):
        self.socket = context.socket(zmq.DEALER)
        self.socket.connect(f"tcp://127.0.0.1:{ports[0]}")
        self.socket.send_multipart(topics)

    def receive(self, count):
        return tuple(tuple(self.socket.recv_multipart()) for _ in range(count))

    def close(self):
        self.socket.close()


RIGHT = {
    "XPUB and a topic for it": (Publisher, Subscriber),
    "hello until it is heard": (Greets, Answers),
    "a letter for each": (Posts, Orders),
}
WAIT = r"""while self.there < subscribers:
            self.there += self.socket.recv() == b"\x01" + READY"""
BIND, SEND = '[self.socket.bind_to_random_port("tcp://127.0.0.1")]', "self.socket.send_multipart(event)"
QUIET, ANY = "XPUB_VERBOSE, 1 => XPUB_VERBOSE, 0", r"""recv() == b"\x01" + READY => recv()[0]"""
WRONG = {
    "a little sleep": (f"{WAIT} => time.sleep(0.1)", "first-lost"),
    "counts connections": (
        """self.ports, => self.monitor = self.socket.get_monitor_socket(zmq.EVENT_ACCEPTED)
        self.monitor.rcvtimeo, self.monitor.linger = 3000, 0
        self.ports,""",
        r"""self.socket.recv() == b"\x01" + READY => len(self.monitor.recv_multipart()[:1])""",
        "self.socket.close() => self.socket.disable_monitor(), self.socket.close()",
        "first-lost",
    ),
    "a long sleep": (  # a poll, so that it ends with the check
        "self.ports, => self.never = context.socket(zmq.PULL)\n        self.ports,",
        f"{WAIT} => self.there = self.there or not self.never.poll(4500)",
        "self.socket.close() => self.socket.close(), self.never.close()",
        "nobody",
    ),
    "says it twice": (f"{SEND} => {SEND}, {SEND}", "not-all"),
    "a word of its own first": (
        "for event in events => self.socket.send_multipart([READY, b'begin'])\n        for event in events",
        "not-all",
    ),
    "equal ones once": ("in events => in dict.fromkeys(events)", "not-all"),
    "one is enough": ("< subscribers => < min(subscribers, 1)", "not-waited"),
    "gives up": ("< subscribers => < subscribers and self.socket.poll(2500)", "not-waited"),
    "equal ones are one": (QUIET, "hangs"),
    "counts anew": ("while => self.there = 0\n        while", "again"),
    "waits for one more": (f"{SEND} => {SEND}\n        self.socket.recv()", "nobody"),
    "waits for one at least": ("< subscribers => < max(1, subscribers)", "nobody"),
    "0 is not sent": ("in events => in events if subscribers else []", "nobody"),
    "a number for a list": (f"{BIND} => {BIND[1:-1]}", "no-ports"),
    "a port of its own choice": (f"{BIND} => [self.socket.bind('tcp://127.0.0.1:5563') and 5563]", "exception"),
    "for the world": ("tcp://127.0.0.1 => tcp://*", "no-ports"),
}
WRONG = {name: ((but(Publisher, *changes), Subscriber), {code}) for name, (*changes, code) in WRONG.items()}
HEARS_MORE = {
    "hears all": ("READY] => READY, b'']", "not-all"),
    "leaves when it is served": (
        "return => try:\n            return",
        "range(count)] => range(count)]\n        finally:\n            self.close()",
        "not-all",
    ),
    "throws away": (
        "return => found =",
        "count)] => count)]\n        while self.socket.poll(50):\n            self.socket.recv()\n        return found",
        "not-all",
    ),
    "leaves a socket open": ("self.socket.close() => pass", "left-open"),
}
WRONG |= {name: ((Publisher, but(Subscriber, *changes)), {code}) for name, (*changes, code) in HEARS_MORE.items()}
Simple = but(Subscriber, "[*topics, READY] => topics")
Hopes = but(
    Answers, "self.known = False => self.ask.send(b'I am here')\n        self.ask.recv()\n        self.known = True"
)
WRONG |= {
    "counts subscriptions": ((but(Publisher, ANY), Simple), {"counts-topics"}),
    "equal topics are one": ((but(Publisher, ANY, QUIET), Simple), {"counts-topics"}),
    "subscribed is not heard of": (
        (but(Greets, 'self.out.send_multipart([READY, b""]) => pass'), Hopes),
        {"first-lost"},
    ),
}
