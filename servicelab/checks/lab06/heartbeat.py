"""Exercise 4, repair: is the other side still there? The dead must be found, the living left alone.

The learner's object sees a clock and payloads only, so it is put on a clock of the check's own, in no time. All times
on it are whole sixteenths, which a float holds exactly.
"""

from collections.abc import Callable
from math import inf
from typing import NamedTuple

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

START = 1000.0  # where the clock begins, seconds
STEP = 1 / 16
INTERVAL, PATIENCE = 1.0, 2.5  # seconds

WORDS = words("""
no-ping: it pings when a ping is due
    When does `ping` return something, and what did the last ping leave behind?
first-ping: … for the first time when `interval` seconds have gone by since the connection was opened
    At which time was it opened? The clock does not begin at 0.
ping-flood: … and then `interval` after the last ping, neither sooner nor later
    What do you note when you have sent one, and how do you compare?
not-bytes: a payload is bytes
    What goes into a frame on the wire?
same-payload: each ping has a payload of its own
    A pong brings nothing but the payload. Which ping does it answer?
too-eager: no ping has waited for `patience` seconds: nobody is dead
    From when to when does a ping wait, and which of the two numbers is its limit?
slow-killed: a peer whose answers are slower than the interval, and quicker than the patience, lives
    How many pings can be under way at once, and what do you know of each of them?
one-ping: … and is pinged each `interval` all the same
    The next ping is due whether or not the last was answered. What do yours wait for?
skipped: a peer that answers only the later of two pings lives
    What does this answer say about the ping before?
bursts: after a time when nobody asked, one ping is due, and the next one `interval` later
    From when do you count to the next: from the ping, or from when it was due?
not-found: a peer that has fallen silent is found dead
    That a ping could be sent proves nothing: the kernel takes it. And which of several open pings says the most?
too-late: … as soon as the first unanswered ping has waited for `patience` seconds
    From which moment do you count, and what happens at just that moment?
old-pong: … also when an answer to an earlier ping was still under way
    Of which moment does this pong tell? And what of the pings that were sent later?
any-pong: a payload that answers no open ping changes nothing
    Which pings are open, and is the payload that came one of theirs?
shared: two connections do not disturb each other
    What of yours is there once for all objects?
revived: who was declared dead stays dead, whatever comes
    The connection has been given up. Who remembers that?
""")


class Peer(NamedTuple):
    """Is ``delay`` seconds away, one way, and answers each ping until it ``dies``. ``answers(number)`` is what it
    answers to a ping (from 1): the number of one, bytes of its own, or None."""

    delay: float = STEP
    dies: float = inf
    answers: Callable = lambda number: number


class Ward(Stage):
    """The learner's pulse on a peer. ``pings`` are ``(when, payload)``."""

    def __init__(self, ask, Pulse):
        super().__init__(ask, Pulse)
        self.pings = []

    def new(self, interval=INTERVAL, patience=PATIENCE):
        self.last = self.ask.trace.send("peer", "server", "connect", at=0.0)
        self.ask.trace.receive(self.last, "server", at=0.0)
        return self.make(self.yours, interval, patience, START, methods=("ping", "pong", "is_dead"))

    def asked(self, drive, *args):
        """What ``drive`` returns, which calls the learner's methods."""
        outcome = self.ask.run(drive, *args, limit=3.0)
        if not outcome.returned:
            what, hint = "ping, pong and is_dead return, whatever they are asked", "Read the last line of it first."
            self.ask.need(outcome.how, what, False, str(outcome), hint, self.last)
        return outcome.value

    def watch(self, seconds, peer, interval=INTERVAL, patience=PATIENCE):
        """When the peer was found dead, None if never."""
        self.ask.trace.clear()
        self.pings.clear()
        found = self.asked(self._watch, seconds, peer, self.new(interval, patience), 2 * seconds / interval)
        lost = [one.id for one in self.ask.trace.messages if one.lost]
        self.last = (lost or [self.last])[0]
        self.told = "it was never found" if found is None else f"it was found dead at {found:.3g} s"
        return found

    def _watch(self, seconds, peer, pulse, most):
        trace, coming = self.ask.trace, []
        for at in (tick * STEP for tick in range(int(seconds / STEP) + 1)):
            while coming and coming[0][0] <= at:
                _, payload, id = coming.pop(0)
                trace.receive(id, "server", at=at)
                pulse.pong(payload, START + at)
            if pulse.is_dead(START + at):
                trace.state("server", "the peer is dead", at=at)
                return at
            payload = pulse.ping(START + at)
            if payload is not None and len(self.pings) < most:
                self.pings.append((at, payload))
                id, arrives = trace.send("server", "peer", f"ping {len(self.pings)}", at=at), at + peer.delay
                answer = peer.answers(len(self.pings))
                if arrives >= peer.dies:
                    trace.lose(id, "nobody there", at=arrives)
                    continue
                trace.receive(id, "peer", at=arrives)
                if answer is not None:
                    id = trace.send("peer", "server", f"pong {answer}", at=arrives)
                    answer = answer if isinstance(answer, bytes) else self.pings[answer - 1][1]
                    coming.append((arrives + peer.delay, answer, id))
        return None

    @property
    def pinged(self):
        return f"it pinged at {', '.join(f'{at:.3g}' for at, _ in self.pings[:12]) or 'no time at all'} s"


check_heartbeat = scenario("06", 4, "A heartbeat that the dead cannot answer", WORDS, Pulse=Ward)
part = check_heartbeat.part


@part
def a_living_peer(w):
    for interval, patience, pings in ((1.0, 2.5, 10), (4.0, 1.5, 2), (0.25, 0.5, 300)):
        due = [interval * n for n in range(1, pings + 1)]
        found = w.watch(max(10.0, due[-1]), Peer(), interval, patience)
        told = f"the interval is {interval:g} s, the patience {patience:g} s; {w.pinged}"
        yield "too-eager", found is None or w.pings, f"{told}; {w.told}"
        yield "no-ping", w.pings, told
        yield "ping-flood", len(w.pings) <= pings + 1, told
        yield "first-ping", w.pings[0][0] == interval, told
        yield "ping-flood", [at for at, _ in w.pings] == [at for at in due if found is None or at < found], told
        yield "too-eager", found is None, f"{told}; {w.told}"
        payloads = [payload for _, payload in w.pings]
        told = f"the payloads are {', '.join(shown(one, 20) for one in payloads[:3])}, …"
        yield "not-bytes", all(isinstance(one, bytes) for one in payloads), told
        yield "same-payload", len(set(payloads)) == len(payloads), told


@part
def a_slow_peer(w):
    alive = w.watch(10.0, Peer(delay=0.875)) is None
    yield "slow-killed", alive, f"each answer took 1.75 s, the patience is {PATIENCE} s; {w.told}"
    yield "one-ping", len(w.pings) == 10, w.pinged


@part
def a_peer_that_answers_every_other_ping(w):
    alive = w.watch(10.0, Peer(answers=lambda number: None if number % 2 else number)) is None
    yield "skipped", alive, w.told


@part
def two_connections(w):
    def drive(silent, living=None):
        for at in (1.0, 2.0, 3.0):
            silent.ping(START + at)
            w.last = w.ask.trace.send("server", "peer", "ping", at=at)
            w.ask.trace.receive(w.last, "peer", at=at + STEP)
            if living is not None:
                living.pong(living.ping(START + at), START + at + STEP)
        return bool(silent.is_dead(START + 3.5)), bool(living is not None and living.is_dead(START + 3.5))

    alone, dead = w.asked(drive, w.new()), w.asked(drive, w.new(), w.new())
    told = f"is_dead said {alone[0]} of one that was silent, at 3.5 s; beside one that answered, {dead[0]}"
    yield "shared", dead == alone, f"{told}, and {dead[1]} of that"


@part
def a_server_with_other_things_to_do(w):
    pulse = w.new()

    def drive():
        for at in (1.0, 4.5, 4.625, 4.75, 5.0, 5.5, 5.625):
            payload = pulse.ping(START + at)
            if payload is not None:
                w.pings.append((at, payload))
                w.last = w.ask.trace.send("server", "peer", f"ping {len(w.pings)}", at=at)
                w.ask.trace.receive(w.last, "peer", at=at + STEP)
                pulse.pong(payload, START + at + STEP)

    w.asked(drive)
    told = f"it was asked at 1, 4.5, 4.625, 4.75, 5, 5.5 and 5.625 s; {w.pinged}"
    yield "bursts", [at for at, _ in w.pings] == [1.0, 4.5, 5.5], told


@part
def a_peer_that_dies(w):
    for settings, dies, due in (((1.0, 2.5), 4.25, 7.5), ((4.0, 1.5), 5.0, 9.5)):
        found = w.watch(20.0, Peer(dies=dies), *settings)
        told = f"it died at {dies:g} s, the ping at {due - settings[1]:g} s was not answered, and {w.told}"
        yield "not-found", found is not None, told
        yield "too-late", found <= due, told
        yield "too-eager", found == due, told


@part
def last_words(w):
    for last in (3, 9):
        found = w.watch(20.0, Peer(delay=1.0, dies=last + 1.25))
        told = f"its last pong, for the ping at {last} s, came at {last + 2} s; that at {last + 1} s was not answered"
        yield "old-pong", found == last + 3.5, f"{told}, and {w.told}"


@part
def something_else_answers(w):
    another = w.new()
    later = w.asked(lambda: [another.ping(START + at) for at in range(1, 31)])
    for answers, due, what in (
        (lambda number: b"hello", 3.5, "b'hello' came for each ping"),
        (lambda number: b"", 3.5, "b'' came for each ping"),
        (lambda number: later[-1], 3.5, "the payload of a ping that had not been sent came for each ping"),
        (lambda number: 1, 4.5, "the pong for the first ping came again and again"),
        (lambda number: 2 if number == 2 else 1, 5.5, "the pong for the second ping came, and then that for the first"),
    ):
        found = w.watch(12.0, Peer(answers=answers))
        yield "any-pong", found == due, f"{what}; {w.told}"


@part
def for_ever(w):
    pulse = w.new()

    def drive():
        payloads = [pulse.ping(START + at) for at in (1.0, 2.0, 3.0)]
        pulse.is_dead(START + 3.5)
        for number, payload in enumerate(payloads, 1):
            w.last = w.ask.trace.send("peer", "server", f"pong {number}", at=4.0)
            w.ask.trace.receive(w.last, "server", at=4.5)
            pulse.pong(payload, START + 4.5)
        return pulse.is_dead(START + 4.625)

    yield "revived", w.asked(drive), "it was declared dead at 3.5 s; all pongs came at 4.5 s, and it was alive"
