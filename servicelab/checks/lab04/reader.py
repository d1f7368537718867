"""Exercise 5, build: a reader that is too slow, drops, and tells exactly how many of each publisher it has missed."""

import time
from contextlib import suppress

import zmq

from servicelab.checks.lab04.wires import WireStage
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import scenario, words

KEEP, SENT = 10, 200  # messages that may wait at the publisher's end, and that are sent while the reader sleeps
FEW, SPARE = 5, 3  # that may wait at the reader's end then, and how many more are forgiven
SHORT, LIMIT = 0.1, 3.0  # seconds
WAITS = ((SHORT, 1.0), (1.5, 2.6))  # seconds that a read waits for nothing, and how many at the most

WORDS = words("""
not-heard: read(wait) returns the body of the next event, in the order in which they came
    What did your socket subscribe to, and is it connected to each address? Which of the four frames is the body?
waits: read(wait) returns None when nothing comes for `wait` seconds, and no later
    Which call waits in your read, and who tells it for how long? In which unit does it count?
too-soon: … and no sooner, also when `wait` is a fraction
    What has become of the fraction? And for how many milliseconds did you wait?
before: what was sent before the first event that was heard is not missed
    What is the first number compared with, when there was none before it?
miscounted: missed(name) is exact: the numbers between two that were heard
    Heard were 3 and 7: how many are missing? By what are numbers compared that come as bytes?
mixed: each publisher counts for itself; of one that was never heard, 0 are missed
    What do you remember of the last event, and of whom was it? What does your missed do with a name that is new to it?
late: an event that comes late is handed out, and is no longer missing
    A number is smaller than the last one, and was never heard: what was it counted as before?
twice: an event that comes a second time is not handed out, and changes nothing
    How could you tell a number that comes late from one that comes again?
new-run: the publisher has restarted: what is missing at the beginning of its new run is counted, too
    Its numbers begin at 1 again, and you were there all the time. What is missing when the first that you hear is 4?
forgets: … and what was missed of the runs before stays counted
    What happens to the old count when a run begins?
hoards: at most `keep` events of an address wait at the reader's end
    What is the high-water mark of a SUB socket if nobody sets it? And to which number did you set it?
left-open: after close() no socket is open
    Which sockets did you make?
""")


class Slow(WireStage):
    """The learner's reader, and the sockets that publish to it: ``orders``, ``stock``, ``vans``, by their names."""

    def __init__(self, ask, Reader):
        super().__init__(ask, Reader)
        self.sockets, self.ids, self.room = {}, {}, 1000  # what waits at the publishers' end

    def begin(self, keep=KEEP, **addresses):
        """Bind publishers at these addresses, and let the learner's reader connect. Have all of them heard of it?"""
        bound = [self.bind(name, address) for name, address in addresses.items()]
        self.last = self.arrow("reader", "orders", "subscribe")
        methods = ("read", "missed", "close")
        self.reader = self.make(self.yours, self.context, bound, keep, methods=methods)
        self.theirs.append(self.reader)
        return all(self.sockets[name].poll(1000 * LIMIT) and self.sockets[name].recv() for name in addresses)

    def bind(self, name, address):
        """A publisher, bound to this address, where another one may just be going. Returns where it is."""
        made, end = self.socket(zmq.XPUB), time.monotonic() + LIMIT
        made.sndhwm = self.room
        while not made.getsockopt(zmq.LAST_ENDPOINT) and time.monotonic() < end:
            with suppress(zmq.ZMQError):
                made.bind(address)
            time.sleep(0.01)
        self.sockets[name] = made
        return made.getsockopt(zmq.LAST_ENDPOINT).decode().rstrip("\0")

    def publish(self, name, number, run="run 1", body=None):
        """One event; returns its body. With a ``body`` of the check's it is not drawn: there may be many."""
        if body is None:
            body = f"{name} {number}".encode()
            self.last = self.ids[body] = self.ask.trace.send(name, "reader", f"{run}, {number}", kind="message")
        self.sockets[name].send_multipart([name.encode(), run.encode(), b"%d" % number, body])
        return body

    def read(self, wait=LIMIT):
        """What the next read returns."""
        body = self.call(self.reader.read, wait, limit=wait + 2.0)
        if isinstance(body, bytes) and body in self.ids:
            self.ask.trace.receive(self.ids[body], "reader")
        return body

    def hears(self, name, *numbers, run="run 1"):
        """Publish these, and read as many times: ``(was it right, what was read, in words)``."""
        wanted = [self.publish(name, number, run) for number in numbers]
        found = [self.read() for _ in wanted]
        return found == wanted, f"sent were {shown(wanted)}, and read {shown(found)}"

    def misses(self, missing, after, name="orders"):
        """``(passed, happened)``: so many are missing."""
        outcome = self.ask.run(self.reader.missed, name.encode(), limit=2.0, keep=True)
        return outcome.value == missing, f"{after}; right is {missing}, and missed({name.encode()}): {outcome}"


check_reader = scenario("04", 5, "Drop, and tell", WORDS, Reader=Slow)
part = check_reader.part


@part
def one_publisher(at):
    there = at.begin(orders="inproc://orders", stock="inproc://stock")
    yield "not-heard", there, f"{LIMIT:g} s later nobody had subscribed at both addresses"
    yield "not-heard", *at.hears("orders", 41, 42)
    yield "before", *at.misses(0, "41 and 42 came")
    for wait, most in WAITS:
        began = time.monotonic()
        outcome = at.ask.run(at.reader.read, wait, limit=most, keep=True)
        took = time.monotonic() - began
        yield "waits", outcome.returned and outcome.value is None, f"nothing was sent; read({wait}): {outcome}"
        yield "too-soon", took > 0.9 * wait, f"nothing was sent, and read({wait}) returned None after {took:.2f} s"
    for number, missing in ((45, 2), (46, 2), (100, 55), (1001, 955)):
        yield "not-heard", *at.hears("orders", number)
        yield "miscounted", *at.misses(missing, f"now {number} came")


@part
def three_publishers_in_turn(at):
    at.begin(orders="inproc://orders", stock="inproc://stock", vans="inproc://vans")
    for orders, stock, vans in ((1, 501, 31), (2, 502, 32), (5, 504, 36)):
        at.hears("orders", orders)
        at.hears("stock", stock)
        at.hears("vans", vans, run="run 7")
    for name, missing in (("orders", 2), ("stock", 1), ("vans", 3), ("parcels", 0)):
        yield "mixed", *at.misses(missing, "orders 1, 2, 5, stock 501, 502, 504, vans 31, 32, 36 came in turn", name)


@part
def late_and_twice(at):
    at.begin(orders="inproc://orders")
    sent = [at.publish("orders", number) for number in (7, 8, 1012, 9)]
    read = [at.read() for _ in sent[:3]] + [at.read(2 * SHORT)]
    told = f"sent were {shown(sent)}, and read {shown(read)}"
    yield "not-heard", read[:3] == sent[:3], told
    yield "late", read == sent, told
    yield "late", *at.misses(1002, "7, 8, 1012 and then 9 came")
    empty = [at.publish("orders", number, body=b"") == at.read() for number in range(1013, 1025)]
    yield "not-heard", all(empty), f"of {len(empty)} events with an empty body {sum(empty)} were read"
    for number in (1012, 9, 8, 1020):
        at.publish("orders", number)
    body, read = at.publish("orders", 1025), at.read()
    yield "twice", read == body, f"1012, 9, 8, 1020 came again, and then 1025; read was {shown(read)}"
    yield "twice", *at.misses(1002, "1012, 9, 8, 1020 came again, and then 1025")


@part
def a_restart(at):
    at.begin(orders="tcp://127.0.0.1:*")
    at.hears("orders", 1, 2, 5)
    before = at.sockets["orders"]
    address = before.getsockopt(zmq.LAST_ENDPOINT).decode()
    before.close(0)
    at.bind("orders", address)
    end = time.monotonic() + LIMIT
    while not at.sockets["orders"].poll(20) and time.monotonic() < end:
        at.read(SHORT)  # a socket sees to its connections only while somebody is in it
    _, told = at.hears("orders", 4, 6, run="run 2")
    exact, happened = at.misses(6, f"1, 2, 5 came, then a new run, and of it 4 and 6; {told}")
    forgot = at.misses(4, "")[0]
    yield "forgets" if forgot else "new-run", exact, happened
    at.hears("orders", 2, run="run 3")
    yield "forgets", *at.misses(7, "and then a third run, and of it 2")


@part
def a_sleep(at):
    at.room = KEEP
    at.begin(keep=FEW, orders="inproc://orders")
    at.hears("orders", 1)
    for number in range(2, SENT + 1):
        at.publish("orders", number, body=bytes(10_000))
    kept = 0
    while kept < SENT and at.read(SHORT) is not None:
        kept += 1
    yield "hoards", kept <= KEEP + FEW + SPARE, f"{kept} waited; {KEEP} may at the publisher's end, {FEW} at yours"
    at.hears("orders", SENT + 1)
    yield "miscounted", *at.misses(SENT - 1 - kept, f"of {SENT + 1} events {kept + 2} came")
    yield "left-open", *at.none_open()
