"""Exercise 2: ways to know that a subscriber is there, and ways to believe it."""

import time

import zmq
from zmq.utils.monitor import recv_monitor_message

READY = b"\xffready"


class Publisher:
    """An XPUB that counts a topic to which each subscriber subscribes last."""

    verbose, sign = True, b"\x01" + READY

    def __init__(self, context):
        self.socket = context.socket(zmq.XPUB)
        self.socket.setsockopt(zmq.XPUB_VERBOSE, self.verbose)
        self.ports, self.there = [self.socket.bind_to_random_port("tcp://127.0.0.1")], 0

    def publish(self, events, subscribers):
        while self.there < subscribers:
            self.there += self.socket.recv().startswith(self.sign)
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


# -- what goes wrong ----------------------------------------------------------------------------------


class Sleeps(Publisher):
    """The cure that people find first: a little sleep."""

    def publish(self, events, subscribers):
        time.sleep(0.1)
        for event in events:
            self.socket.send_multipart(event)


class CountsConnections(Publisher):
    """Somebody has connected, so it will have subscribed, too."""

    def __init__(self, context):
        super().__init__(context)
        self.monitor = self.socket.get_monitor_socket(zmq.EVENT_ACCEPTED)
        self.monitor.rcvtimeo, self.monitor.linger = 3000, 0

    def publish(self, events, subscribers):
        while self.there < subscribers:
            self.there += recv_monitor_message(self.monitor)["event"] == zmq.EVENT_ACCEPTED
        for event in events:
            self.socket.send_multipart(event)

    def close(self):
        self.socket.disable_monitor()
        super().close()


class SleepsLong(Publisher):
    """Longer than anybody needs; and nobody is asked. (A poll, so that it ends with the check.)"""

    def __init__(self, context):
        super().__init__(context)
        self.never = context.socket(zmq.PULL)

    def close(self):
        super().close()
        self.never.close()

    def publish(self, events, subscribers):
        if not self.there:
            self.never.poll(4500)
        self.there = True
        for event in events:
            self.socket.send_multipart(event)


class SaysItTwice(Publisher):
    """To be sure."""

    def publish(self, events, subscribers):
        super().publish([event for event in events for _ in range(2)], subscribers)


class HearsAll(Subscriber):
    def __init__(self, context, ports, topics):
        super().__init__(context, ports, [*topics, b""])


class OneIsEnough(Publisher):
    def publish(self, events, subscribers):
        super().publish(events, min(subscribers, 1))


class GivesUp(Publisher):
    """Three seconds are enough for anybody."""

    def publish(self, events, subscribers):
        self.socket.rcvtimeo = 2500
        try:
            super().publish(events, subscribers)
        except zmq.Again:
            super().publish(events, 0)


class SendsToThoseItWaitedFor(Publisher):
    def publish(self, events, subscribers):
        if subscribers:
            super().publish(events, subscribers)


class SaysItOnce(Publisher):
    """Equal events are one."""

    def publish(self, events, subscribers):
        super().publish(dict.fromkeys(events), subscribers)


class ThrowsAway(Subscriber):
    """What comes after its count is somebody else's."""

    def receive(self, count):
        found = super().receive(count)
        while self.socket.poll(50):
            self.socket.recv_multipart()
        return found


class LeavesWhenServed(Subscriber):
    """It has what it asked for, and goes."""

    def receive(self, count):
        found = super().receive(count)
        self.close()
        return found


class Believes(Greets):
    """Says nothing before the events, and believes who says that it is there."""

    def publish(self, events, subscribers):
        while self.there < subscribers:
            self.asked.recv()
            self.asked.send(b"")
            self.there += 1
        for event in events:
            self.out.send_multipart(event)


class Hopes(Answers):
    """Says that it is there when it has subscribed."""

    def __init__(self, context, ports, topics):
        super().__init__(context, ports, topics)
        self.ask.send(b"I am here")
        self.ask.recv()
        self.known = True


class FixedPort(Publisher):
    def __init__(self, context):
        self.socket, self.ports, self.there = context.socket(zmq.XPUB), [5563], 0
        self.socket.setsockopt(zmq.XPUB_VERBOSE, True)
        self.socket.bind("tcp://127.0.0.1:5563")


class ForTheWorld(Publisher):
    def __init__(self, context):
        super().__init__(context)
        self.ports = [self.socket.bind_to_random_port("tcp://*")]


class WaitsForOneMore(Publisher):
    """Until somebody says that it heard."""

    def publish(self, events, subscribers):
        super().publish(events, subscribers)
        self.socket.recv()


class CountsSubscriptions(Publisher):
    """Everything that begins with 1."""

    sign = b"\x01"


class SaysNothingMore(Subscriber):
    def __init__(self, context, ports, topics):
        self.socket = context.socket(zmq.SUB)
        self.socket.connect(f"tcp://127.0.0.1:{ports[0]}")
        for topic in topics:
            self.socket.subscribe(topic)


class Quiet(Publisher):
    """Hears the second of two equal subscriptions never."""

    verbose = False


class QuietAndSimple(Quiet):
    sign = b"\x01"


class CountsAnew(Publisher):
    def publish(self, events, subscribers):
        self.there = 0
        super().publish(events, subscribers)


class AtLeastOne(Publisher):
    def publish(self, events, subscribers):
        super().publish(events, max(1, subscribers))


class Leaves(Subscriber):
    def close(self):
        self.socket = None


class OnePort(Publisher):
    def __init__(self, context):
        super().__init__(context)
        self.ports = self.ports[0]


RIGHT = {
    "XPUB and a topic for it": (Publisher, Subscriber),
    "hello until it is heard": (Greets, Answers),
    "a letter for each": (Posts, Orders),
}
WRONG = {
    "a little sleep": ((Sleeps, Subscriber), {"first-lost"}),
    "counts connections": ((CountsConnections, Subscriber), {"first-lost"}),
    "subscribed is not heard of": ((Believes, Hopes), {"first-lost"}),
    "says it twice": ((SaysItTwice, Subscriber), {"not-all"}),
    "hears all": ((Publisher, HearsAll), {"not-all"}),
    "equal ones once": ((SaysItOnce, Subscriber), {"not-all"}),
    "leaves when it is served": ((Publisher, LeavesWhenServed), {"not-all"}),
    "throws away": ((Publisher, ThrowsAway), {"not-all"}),
    "one is enough": ((OneIsEnough, Subscriber), {"not-waited"}),
    "gives up": ((GivesUp, Subscriber), {"not-waited"}),
    "waits for one more": ((WaitsForOneMore, Subscriber), {"hangs"}),
    "counts subscriptions": ((CountsSubscriptions, SaysNothingMore), {"counts-topics"}),
    "equal ones are one": ((Quiet, Subscriber), {"hangs"}),
    "equal topics are one": ((QuietAndSimple, SaysNothingMore), {"hangs"}),
    "counts anew": ((CountsAnew, Subscriber), {"again"}),
    "waits for one at least": ((AtLeastOne, Subscriber), {"nobody"}),
    "a long sleep": ((SleepsLong, Subscriber), {"nobody"}),
    "0 is not sent": ((SendsToThoseItWaitedFor, Subscriber), {"nobody"}),
    "leaves a socket open": ((Publisher, Leaves), {"left-open"}),
    "a number for a list": ((OnePort, Subscriber), {"no-ports"}),
    "a port of its own choice": ((FixedPort, Subscriber), {"exception"}),
    "for the world": ((ForTheWorld, Subscriber), {"no-ports"}),
}
