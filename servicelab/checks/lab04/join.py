"""Exercise 2, build: a publisher that waits to be asked, and subscribers that come late and from far away."""

import time
from types import SimpleNamespace

import zmq

from servicelab.checks.lab04.wires import WireStage, what_became
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import scenario, words
from servicelab.faults import FaultProxy, Latency

COUNT = 20  # events in a batch
FAR = 0.04  # seconds, one way
LATE, LATER, LAST = 0.2, 1.2, 3.5  # seconds after publish was called
LIMIT, SOON = 5.0, 1.0  # seconds for all of a batch, and in which nobody is not waited for
DRAWN = 4  # events in the diagram, of each subscriber

WORDS = words("""
no-ports: ports is a list of the TCP ports of 127.0.0.1 to which a subscriber has to connect
    bind_to_random_port returns one. Who can reach a port of `*`?
first-lost: a subscriber comes late: the first event that it hears is number 1
    What has to have arrived at the publisher before it sends the first event? At 40 ms one way, how long is that? Who \
could tell it?
not-all: … and it hears all events of its topics, each once, in order, and nothing else
    What did you send besides the events, and who hears that? May two events be equal? Who gets what \
came after the first `count`?
not-waited: publish waits for all the subscribers, also when the last one comes after 3.5 s
    How many have to be there, for how many did you wait, and when did you give up?
counts-topics: a subscriber with three topics is one subscriber
    What exactly do you count? What could each subscriber send just once, after all its topics?
hangs: … and comes to its end when they are there; two with the same topics are two
    What does each of the two send, and what of it do you get to read? (XPUB: what does it pass on of a subscription \
that it has already? zmq_setsockopt(3) has an option for that. Another socket: who reads it, and how long does he stay?)
again: publish is called again, for those who are there already: they hear it all
    How many are there when your publish begins for the second time? Where is that kept?
nobody: publish(events, 0) waits for nobody, not even for a moment, and who is there hears it
    What does your publish do before it looks at the number? And what, if more are there than it waits for?
left-open: after close() no socket is open
    Which sockets did you make, and who closes each of them?
""")


class Join(WireStage):
    """A publisher, and subscribers that reach it through proxies ``delay`` seconds away."""

    def __init__(self, ask, Publisher, Subscriber):
        super().__init__(ask, Publisher, Subscriber)
        self.kind, self.there = Subscriber, 0
        self.publisher = self.make(Publisher, self.context, methods=("publish", "close"))
        self.theirs.append(self.publisher)
        ports = getattr(self.publisher, "ports", None)
        if not isinstance(ports, list | tuple) or not ports or not all(type(port) is int for port in ports):
            self.last = self.arrow("publisher", "subscriber 1", f"ports: {shown(ports)}")
            self.refuse("no-ports", f"ports is {shown(ports)}")
        ends = [socket.getsockopt(zmq.LAST_ENDPOINT).decode().strip("\0") for socket in self.context.made]
        if wide := [end for end in ends if end.startswith("tcp:") and "//127.0.0.1:" not in end]:
            self.refuse("no-ports", f"a socket is bound to {wide[0]}")
        self.ways = [self.use(FaultProxy(("127.0.0.1", port), f"way {n}")) for n, port in enumerate(ports, 1)]

    def far(self, which):
        """One of the ways is long, the first or the last: a subscriber's two connections know nothing of each other."""
        for direction in ("upstream", "downstream"):
            self.ways[which].add(Latency(FAR, direction=direction, name=direction))

    def publish(self, subscribers, *topics, start=1):
        """Publish a batch aside: events for these topics in turn. The last of each topic is equal to the one before."""
        last = COUNT - len(topics)
        bodies = [b"event %d" % (start + n - len(topics) * (n >= last)) for n in range(COUNT)]
        self.events = [(topics[n % len(topics)], body) for n, body in enumerate(bodies)]
        self.ended = None
        self.last = self.arrow("orders", "publisher", f"publish(…, {subscribers})")

        def publish():
            try:
                self.publisher.publish(list(self.events), subscribers)
            finally:
                self.ended = time.monotonic()

        self.published = self.aside(publish)

    def subscriber(self, *topics):
        """A subscriber that connects now, and then hears all there is for it."""
        self.there += 1
        one = SimpleNamespace(name=f"subscriber {self.there}", topics=topics, found=[])
        self.arrow(one.name, "publisher", "comes")

        def live():
            one.made = self.kind(self.context, [way.address[1] for way in self.ways], list(topics))
            self.theirs.append(one.made)
            receive()

        def receive():
            """In two goes: what comes in between is not lost."""
            one.found, several = [], len(self.wanted(one))
            for count in (several // 2, several - several // 2):
                one.found += one.made.receive(count)

        one.again = lambda: setattr(one, "hears", self.aside(receive))
        one.hears = self.aside(live)
        return one

    def wanted(self, one):
        return [event for event in self.events if event[0] in one.topics]

    def outcome(self, one):
        """``(events that it heard, events that it should have heard, in words)``; draws the first of them."""
        end = time.monotonic() + LIMIT
        for aside in (self.published, one.hears):
            aside.wait(end - time.monotonic())
        wanted = self.wanted(one)
        heard = [tuple(pair) if isinstance(pair, list | tuple) else pair for pair in one.found]
        sent = self.ended or time.monotonic()  # when each of them was, nobody knows: it was before publish ended
        ids = [
            self.arrow("publisher", one.name, event[1].decode(), event in heard, at=sent) for event in wanted[:DRAWN]
        ]
        self.last = ids[0]
        ends = what_became(self.published, "publish") + what_became(one.hears, "receive")
        return heard, wanted, f"{one.name} heard {len(heard)} of {len(wanted)}: {shown(heard)}{ends}"

    def all_hear(self, code, *subscribers, stuck=None):
        """``stuck`` is the code of a publish that never comes to its end."""
        for one in subscribers:
            heard, wanted, told = self.outcome(one)
            ended = self.published.is_back and not self.published.error
            yield stuck if stuck and not ended else code, heard == wanted and (ended or not stuck), told


check_join = scenario("04", 2, "Late, and nothing missed", WORDS, Publisher=Join, Subscriber=None)
part = check_join.part("Publisher", "Subscriber")


def _one_subscriber(is_far):
    def one_subscriber(at):
        if is_far:
            at.far(0)
        at.publish(1, b"orders", b"parcels")
        time.sleep(LATE)
        heard, wanted, told = at.outcome(at.subscriber(b"orders"))
        yield "first-lost", heard[:1] == wanted[:1], told
        yield "not-all", heard == wanted, told

    one_subscriber.__name__ = f"one subscriber {FAR * is_far * 1e3:.0f} ms away"
    return one_subscriber


part(_one_subscriber(False))
part(_one_subscriber(True))


@part
def the_last_one_comes_late(at):
    at.far(-1)
    at.publish(2, b"orders", b"parcels")
    first = at.subscriber(b"orders")
    time.sleep(LAST)
    yield from at.all_hear("not-waited", first, at.subscriber(b"parcels"), stuck="hangs")


@part
def two_alike_and_once_more(at):
    at.far(0)
    at.publish(2, b"orders")
    both = [at.subscriber(b"orders"), at.subscriber(b"orders")]
    yield from at.all_hear("hangs", *both)
    for code, subscribers, start in (("again", 2, COUNT), ("nobody", 0, 2 * COUNT)):
        at.publish(subscribers, b"orders", start=start + 1)
        for one in both:
            one.again()
        yield from at.all_hear(code, *both)
    yield "left-open", *at.none_open()


@part
def three_topics(at):
    at.far(0)
    at.publish(2, b"orders", b"parcels", b"invoices")
    first = at.subscriber(b"orders", b"parcels", b"invoices")
    time.sleep(LATER)
    yield from at.all_hear("counts-topics", first, at.subscriber(b"parcels"))


@part
def nobody_is_waited_for(at):
    at.publish(0, b"orders")
    back = at.published.wait(SOON)
    became = what_became(at.published, "publish").removeprefix("; ")
    yield "nobody", back and not at.published.error, f"nobody was there, and {SOON:g} s later: {became}"
    # Two publishers at the same time: the system chooses the ports of both.
    other = at.make(at.yours[0], at.context)
    at.theirs.append(other)
    yield "no-ports", not {*other.ports} & {*at.publisher.ports}, f"another publisher has {shown(other.ports)}, too"
