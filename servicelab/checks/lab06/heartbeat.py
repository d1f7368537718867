"""Exercise 4, repair: is the other side still there? The dead must be found, the living left alone.

The learner's object sees a clock and payloads only, so it is put on a clock of the check's own, in no time, and
compared with what the task says at each tick. All times are whole sixteenths, which a float holds exactly.
"""

from collections.abc import Callable
from math import inf
from typing import NamedTuple

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

START = 1000.0  # where the clock begins, seconds
STEP = 1 / 16

WORDS = words("""
due: it pings `interval` after the connection was opened, and then `interval` after the last ping, answered or not
    At which time was it opened? The clock does not begin at 0. What do you note when you have sent one: when it was,
    or when it was due? What does yours wait for?
payload: each ping has a payload of its own, of bytes
    A pong brings nothing but the payload. Which ping does it answer?
too-eager: no ping has waited for `patience` seconds: nobody is dead
    From when to when does a ping wait, and which of the two numbers is its limit?
slow-killed: a peer whose answers are slower than the interval, and quicker than the patience, lives
    How many pings can be under way at once, and what do you know of each of them?
skipped: a peer that answers only the later of two pings lives
    What does this answer say about the ping before?
not-found: a peer that has fallen silent is found dead as soon as the first unanswered ping has waited for `patience`
    That a ping could be sent proves nothing: the kernel takes it. Which of several open pings says the most, from which
    moment do you count, and what happens at just that moment?
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
    """Is ``delay`` seconds away, one way, and answers each ping until it ``dies``, with ``answers(sent, ward)``: of the
    payloads that were sent so far, with the last; or with none."""

    delay: float = STEP
    dies: float = inf
    answers: Callable = lambda sent, ward: sent[-1]


class Ward(Stage):
    """The learner's pulses on peers."""

    def play(self, code, *runs):
        for *peers, settings in runs:
            yield from self.watch(code, *peers, **settings)

    def watch(self, code, *peers, interval=1.0, patience=2.5, seconds=20.0, ticks=()):
        """Of these peers, watched side by side, the pulses say what they should: ``code`` if not."""
        self.ask.trace.clear()
        ticks, lives = ticks or [tick * STEP for tick in range(int(seconds / STEP))], []
        for peer in peers:
            self.draw("peer", "server", "connect", 0.0)
            pulse = self.make(self.yours, interval, patience, START, methods=("ping", "pong", "is_dead"))
            lives.append(self.life(code, pulse, peer, interval, patience, ticks))

        def live():
            return next((wrong for wrongs in zip(*lives) for wrong in wrongs if wrong), (code, ""))

        live.__name__ = "any call of ping, pong and is_dead"
        wrong, told = self.call(live)
        yield wrong, not told, f"the interval is {interval:g} s, the patience {patience:g} s; {told}"

    def life(self, code, pulse, peer, interval, patience, ticks):
        """At each tick None, or what was wrong: a code, and words. ``waiting`` are the pings that are open."""
        trace, due, waiting, sent, coming, dead = self.ask.trace, interval, {}, [], [], False
        for at in ticks:
            while coming and coming[0][0] <= at:
                _, payload, id = coming.pop(0)
                trace.receive(id, "server", at=at)
                pulse.pong(payload, START + at)
                if payload in waiting:
                    waiting = {one: then for one, then in waiting.items() if then > waiting[payload]}
            dead = dead or any(at - then >= patience for then in waiting.values())
            if bool(said := pulse.is_dead(START + at)) != dead:
                pings = ", ".join(f"{then:g} s" for then in waiting.values()) or "none"
                yield code, f"at {at:g} s is_dead said {shown(said)}; pings that were open, by their times: {pings}"
            if dead and code != "revived":
                return
            payload = None if dead else pulse.ping(START + at)
            if (payload is None) == (at >= due) and not dead:
                told = f"at {at:g} s ping returned {shown(payload)}; the next was due at {due:g} s"
                yield code if code == "shared" else "due", told
            if payload is not None:
                if not isinstance(payload, bytes) or payload in sent:
                    yield "payload", f"the payloads are {shown([*sent[-2:], payload])}"
                due, waiting[payload] = at + interval, at
                sent.append(payload)
                coming += self.pinged(peer, sent, at)
            yield None

    def pinged(self, peer, sent, at):
        """The pong that comes for the ping just sent: ``[(when, payload, id)]``, or nothing."""
        trace, arrives, payload = self.ask.trace, at + peer.delay, peer.answers(sent, self)
        self.last = trace.send("server", "peer", f"ping {shown(sent[-1], 12)}", at=at)
        if arrives >= peer.dies:
            trace.lose(self.last, "nobody there", at=arrives)
            return []
        trace.receive(self.last, "peer", at=arrives)
        if payload is None:
            return []
        return [(arrives + peer.delay, payload, trace.send("peer", "server", f"pong {shown(payload, 12)}", at=arrives))]

    def later(self):
        """The payload of a ping that was not sent, here."""
        another = self.yours(1.0, 2.5, START)
        return [another.ping(START + at) for at in range(1, 31)][-1]


#: Of each part the code, and of each run the peers and the settings.
RUNS = {
    "a living peer": ("too-eager", (Peer(), {}), (Peer(), {"interval": 4.0, "patience": 1.5}),
                      (Peer(), {"interval": 0.25, "patience": 0.5, "seconds": 75.0})),
    "a server with other things to do": (
        "too-eager", (Peer(), {"ticks": (1.0, 1.125, 4.5, 4.625, 4.75, 5.0, 5.5, 5.625)})),
    "a slow peer": ("slow-killed", (Peer(delay=0.875), {})),
    "a peer that answers every other ping": (
        "skipped", (Peer(answers=lambda sent, _: None if len(sent) % 2 else sent[-1]), {})),
    "a peer that never answers": ("not-found", (Peer(dies=0.0), {})),
    "two connections": ("shared", (Peer(dies=0.0), Peer(), {})),
    "a peer that dies": ("not-found", (Peer(dies=4.25), {}), (Peer(dies=5.0), {"interval": 4.0, "patience": 1.5}),
                         (Peer(dies=5.0), {"interval": 0.5, "patience": 5.0})),
    "last words": ("old-pong", (Peer(1.0, dies=4.25), {}), (Peer(1.0, dies=10.25), {})),
    "something else answers": ("any-pong", *((Peer(answers=answers), {}) for answers in (
        lambda sent, _: b"hello", lambda sent, _: b"", lambda sent, ward: ward.later(),
        lambda sent, _: sent[0], lambda sent, _: sent[len(sent) == 2]))),
    "for ever": ("revived", (Peer(delay=1.5), {})),
}  # fmt: skip
check_heartbeat = scenario("06", 4, "A heartbeat that the dead cannot answer", WORDS, Pulse=Ward)
check_heartbeat.parts(RUNS, Ward.play)
