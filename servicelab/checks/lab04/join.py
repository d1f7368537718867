"""Exercise 2, build: a publisher that waits to be asked, and subscribers that come late and from far away."""

import time
from itertools import count
from types import SimpleNamespace

from servicelab.checks.lab04.wires import WireStage
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import scenario, words
from servicelab.faults import FaultProxy, Latency

COUNT, DRAWN = 20, 4  # events in a batch, and of these in the diagram, for each subscriber
FAR = 0.04  # seconds, one way
LATE, LATER, LAST = 0.2, 1.2, 3.5  # seconds after publish was called
LIMIT, SOON = 5.0, 1.0  # seconds for all of a batch, and in which nobody is not waited for

WORDS = words("""
no-ports: ports is a list of the TCP ports of 127.0.0.1 to which a subscriber has to connect
    bind_to_random_port returns one. Who can reach a port of `*`?
first-lost: a subscriber comes late, from 40 ms away, and hears number 1
    What has to have arrived at the publisher before it sends the first event? How long is that? Who could tell it?
not-all: … and it hears all events of its topics, each once, in order, and nothing else
    What else did you send, and who hears it? May two events be equal? Who gets what came after the first `count`?
not-waited: publish waits for all the subscribers, also when the last one comes after 3.5 s
    How many have to be there, for how many did you wait, and when did you give up?
counts-topics: a subscriber with two topics is one subscriber
    What exactly do you count? What could each subscriber send just once, after all its topics?
hangs: publish comes to its end when all are there; two with the same topics are two
    What does each of the two send, and what of it do you get to read? Does an XPUB pass on what it has already?
again: publish is called again, for those who are there already: they hear it all
    How many are there when your publish begins for the second time? Where is that kept?
nobody: publish(events, 0) waits for nobody, not even for a moment, and who is there hears it
    What does your publish do before it looks at the number? And what, if more are there than it waits for?
left-open: after close() no socket is open
    Which sockets did you make, and who closes each of them?
""")


class Join(WireStage):
    """A publisher, and subscribers that reach it through proxies ``FAR`` seconds away."""

    def __init__(self, ask, Publisher, Subscriber):
        super().__init__(ask, Publisher, Subscriber)
        self.numbers = count(1)
        self.say("orders", "publisher", "begin")
        self.publisher, _ = [self.make(Publisher, self.context, methods=("publish", "close")) for _ in range(2)]
        ports, ends = getattr(self.publisher, "ports", None), [one.LAST_ENDPOINT.decode() for one in self.context.made]
        wide = [end for end in ends if end.startswith("tcp:") and "//127.0.0.1:" not in end]
        if wide or not isinstance(ports, list | tuple) or not ports or {*map(type, ports)} != {int}:
            self.refuse("no-ports", f"ports is {shown(ports)}; what you bound is {', '.join(ends) or 'nothing'}")
        self.ways = [self.use(FaultProxy(("127.0.0.1", port), f"way {n}")) for n, port in enumerate(ports, 1)]

    def far(self, which):
        """One of the ways is long, the first or the last: a subscriber's two connections know nothing of each other."""
        for direction in ("upstream", "downstream"):
            self.ways[which].add(Latency(FAR, direction=direction, name=direction))

    def publish(self, subscribers, *topics):
        """Publish a batch aside: events for these topics in turn. The last of each topic is equal to the one before."""
        self.events = [(topics[n % len(topics)], b"event %d" % (n + 1)) for n in range(COUNT)]
        self.events += self.events[-len(topics) :]
        self.ended = None
        self.say("orders", "publisher", f"publish(…, {subscribers})")

        def publish():
            self.publisher.publish(list(self.events), subscribers)
            self.ended = time.monotonic()

        self.published = self.aside(publish)

    def subscriber(self, *topics):
        """A subscriber that connects now, and then hears all there is for it."""
        one = SimpleNamespace(name=f"subscriber {next(self.numbers)}", topics=list(topics), made=None)
        self.say(one.name, "publisher", "comes")
        self.hear(one)
        return one

    def hear(self, one):
        """Hear all of a batch, in two goes: what comes in between is not lost."""
        one.found, one.wanted = [], [event for event in self.events if event[0] in one.topics]
        half = len(one.wanted) // 2

        def receive():
            if not one.made:
                one.made = self.yours[1](self.context, [way.address[1] for way in self.ways], list(one.topics))
                self.theirs.append(one.made)
            for some in (half, len(one.wanted) - half):
                one.found += one.made.receive(some)

        one.hears = self.aside(receive)

    def all_hear(self, code, *subscribers, stuck="hangs"):
        """They hear the batch; the first of it is drawn. ``stuck`` is the code of a publish that comes to no end."""
        end = time.monotonic() + LIMIT
        for one in subscribers:
            for aside in (self.published, one.hears):
                aside.wait(end - time.monotonic())
            heard = [tuple(pair) if isinstance(pair, list) else pair for pair in one.found]
            sent = self.ended or time.monotonic()  # when each of them was, nobody knows: it was before publish ended
            ids = [self.arrow("publisher", one.name, e[1].decode(), e in heard, sent) for e in one.wanted[:DRAWN]]
            self.last = ids[0]
            told = f"{one.name} heard {len(heard)} of {len(one.wanted)}: {shown(heard)}"
            told += self.became(self.published, "publish") + self.became(one.hears, "receive")
            if code == "not-all":
                yield "first-lost", one.wanted[0] in heard, told
            yield code if self.ended else stuck, bool(self.ended) and heard == one.wanted, told


check_join = scenario("04", 2, "Late, and nothing missed", WORDS, Publisher=Join, Subscriber=None)
part = check_join.part("Publisher", "Subscriber")


@part
def one_subscriber_40_ms_away(at):
    at.far(0)
    at.publish(0, b"orders")
    at.published.wait(SOON)
    yield "nobody", at.ended, f"nobody came for {SOON:g} s{at.became(at.published, 'publish')}"
    at.publish(1, b"orders", b"parcels")
    time.sleep(LATE)
    yield from at.all_hear("not-all", at.subscriber(b"orders"))


@part
def the_last_one_comes_late(at):
    at.far(-1)
    at.publish(2, b"orders", b"parcels")
    first = at.subscriber(b"orders")
    time.sleep(LAST)
    yield from at.all_hear("not-waited", first, at.subscriber(b"parcels"))


@part
def two_alike_and_once_more(at):
    at.far(0)
    at.publish(2, b"orders", b"parcels")
    first = at.subscriber(b"orders", b"parcels")
    time.sleep(LATER)
    both = first, at.subscriber(b"orders", b"parcels")
    yield from at.all_hear("counts-topics", *both)
    for code, subscribers in (("again", 2), ("nobody", 0)):
        at.publish(subscribers, b"orders")
        for one in both:
            at.hear(one)
        yield from at.all_hear(code, *both, stuck=code)
    yield "left-open", *at.none_open()
