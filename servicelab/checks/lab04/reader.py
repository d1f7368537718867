"""Exercise 5, build: a reader that is too slow, drops, and tells exactly how many of each publisher it has missed."""

import zmq

from servicelab.checks.lab04.wires import WireStage
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import scenario, words

THEIRS, YOURS, SPARE = 10, 5, 3  # messages that may wait at a publisher's end, at the reader's, and are forgiven
SENT, LIMIT = 200, 3.0  # messages that are sent while the reader sleeps; seconds until one must have come
WAITS = ((0.1, 1.0), (1.5, 2.6))  # seconds that a read waits for nothing, and how many at the most

WORDS = words("""
not-heard: read(wait) returns the body of the next event, in the order in which they came
    What did your socket subscribe to, and is it connected to each address? Which of the four frames is the body?
waits: read(wait) returns None when nothing comes for `wait` seconds, and neither later nor sooner
    Which call waits in your read, and for how long? In which unit does it count, and what becomes of a fraction?
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
new-run: a publisher has restarted: what is missing at the beginning of its new run counts, and the old count stays
    Its numbers begin at 1 again: what is missing when the first that you hear is 4? And of the run before?
hoards: at most `keep` events of an address wait at the reader's end
    What is the high-water mark of a SUB socket if nobody sets it? And to which number did you set it?
left-open: after close() no socket is open
    Which sockets did you make?
""")


class Slow(WireStage):
    """The learner's reader, and the three ``sockets`` that publish to it, by their names."""

    def __init__(self, ask, Reader):
        super().__init__(ask, Reader)
        self.sockets = {name: self.socket(zmq.XPUB) for name in ("orders", "stock", "vans")}
        for name, socket in self.sockets.items():
            socket.sndhwm = THEIRS
            socket.bind(f"inproc://{name}")
        self.say("reader", "orders", "subscribe")
        addresses = [f"inproc://{name}" for name in self.sockets]
        self.reader = self.make(Reader, self.context, addresses, YOURS, methods=("read", "missed", "close"))
        self.is_there = all(one.poll(1000 * LIMIT) for one in self.sockets.values())

    def publish(self, name, number, run="run 1", body=None):
        body = f"{name} {number}".encode() if body is None else body
        self.say(name, "reader", f"{run}, {number}")
        self.sockets[name].send_multipart([name.encode(), run.encode(), b"%d" % number, body])
        return body

    def read(self, wait=LIMIT):
        return self.call(self.reader.read, wait, limit=wait + 2.0, keep=True)

    def hears(self, code, name, *numbers, **more):
        """Publish these, and read as many times."""
        sent = [self.publish(name, number, **more) for number in numbers]
        read = [self.read() for _ in sent]
        return code, read == sent, f"sent were {shown(sent)}, and read {shown(read)}"

    def misses(self, code, missing, after, name="orders"):
        outcome = self.ask.run(self.reader.missed, name.encode(), limit=2.0, keep=True)
        return code, outcome.value == missing, f"{after}; right is {missing}, and missed({name.encode()}): {outcome}"


check_reader = scenario("04", 5, "Drop, and tell", WORDS, Reader=Slow)
part = check_reader.part


@part
def one_publisher(at):
    yield "not-heard", at.is_there, f"{LIMIT:g} s later nobody had subscribed at each address"
    yield at.hears("not-heard", "orders", 41, 42)
    yield at.misses("before", 0, "41 and 42 came")
    for wait, most in WAITS:
        outcome = at.ask.run(at.reader.read, wait, limit=most, keep=True)
        is_right = outcome.returned and outcome.value is None and outcome.seconds > 0.9 * wait
        yield "waits", is_right, f"nothing was sent, and after {outcome.seconds:.3f} s read({wait}): {outcome}"
    for number, missing in ((45, 2), (46, 2), (100, 55), (1001, 955)):
        yield at.hears("not-heard", "orders", number)
        yield at.misses("miscounted", missing, f"now {number} came")


@part
def three_publishers_in_turn(at):
    for numbers in ((1, 501, 31), (2, 502, 32), (5, 504, 36)):
        for name, number, run in zip(at.sockets, numbers, ("run 1", "run 1", "run 7")):
            yield at.hears("mixed", name, number, run=run)
    for name, missing in (("orders", 2), ("stock", 1), ("vans", 3), ("parcels", 0)):
        yield at.misses("mixed", missing, "orders 1, 2, 5, stock 501, 502, 504, vans 31, 32, 36 came in turn", name)


@part
def late_and_twice(at):
    sent = [at.publish("orders", number) for number in (7, 8, 1012, 9)]
    read = [at.read() for _ in sent]
    yield "late" if None in read else "not-heard", read == sent, f"sent were {shown(sent)}, and read {shown(read)}"
    yield at.misses("late", 1002, "7, 8, 1012 and then 9 came")
    yield at.hears("not-heard", "orders", 1013, body=b"")
    for number in (1012, 9, 8, 7):
        at.publish("orders", number)
    sent, read = at.publish("orders", 1014), at.read()
    yield "twice", read == sent, f"1012, 9, 8 and 7 came a second time, and then 1014; read was {shown(read)}"
    yield at.misses("twice", 1002, "1012, 9, 8, 7 came again, and then 1014")


@part
def a_restart(at):
    at.hears("new-run", "orders", 1, 2, 5)
    yield at.hears("new-run", "orders", 4, 6, run="run 2")
    yield at.misses("new-run", 6, "1, 2, 5 came, then a new run, and of it 4 and 6")
    yield at.hears("new-run", "orders", 2, run="run 3")
    yield at.misses("new-run", 7, "and then a third run, and of it 2")


@part
def a_sleep(at):
    at.hears("hoards", "orders", 1)
    for number in range(2, SENT + 1):
        at.publish("orders", number)
    kept = 0
    while kept < SENT and at.read(WAITS[0][0]) is not None:
        kept += 1
    told = f"{kept} of {SENT} waited; {THEIRS} may at the publisher's end, {YOURS} at yours"
    yield "hoards", kept <= THEIRS + YOURS + SPARE, told
    at.hears("miscounted", "orders", SENT + 1)
    yield at.misses("miscounted", SENT - 1 - kept, f"of {SENT + 1} events {kept + 2} came")
    yield "left-open", *at.none_open()
