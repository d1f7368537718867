"""Exercise 4, repair: is the other side still there? The dead must be found, the living left alone.

The learner's object sees a clock and payloads only, so most parts run on a clock of the check's own, in no time. The
last one runs on WebSockets behind the fault proxy.
"""

import threading
import time

from servicelab.checks.exercise import exercise
from servicelab.checks.learner_traceback import shown
from servicelab.checks.section import section
from servicelab.clients.streams import open_websocket
from servicelab.faults import FaultProxy, Latency, Timeout
from servicelab.servers.websocket import WebSocketServer

INTERVAL, PATIENCE = 1.0, 2.5  # seconds, on the clock of the check
STEP = 0.05
SHORT, REAL_PATIENCE = 0.2, 1.6  # seconds, on real sockets

_HINTS = {
    "no-ping": "ping(now) returns a payload when `interval` seconds have gone by since the last one.",
    "ping-flood": "One ping in each interval: note when the next is due.",
    "one-ping": "The next ping is due `interval` after the last, whether that was answered or not.",
    "same-payload": "Only its payload says which ping a pong answers: count them.",
    "bursts": "`interval` after the last ping, and not after the moment when that was due: now + self.interval. A "
    "server that was busy has nothing to make up for.",
    "too-eager": "Only a ping that has waited for `patience` seconds makes a peer dead.",
    "slow-killed": "Several pings may be on their way at once. A pong answers its ping, and those before.",
    "not-found": "That a ping could be sent proves nothing: the kernel takes it, for minutes. And it is the oldest "
    "unanswered ping that counts; the newest is always young.",
    "too-late": "Count from when the ping was sent that was not answered.",
    "old-pong": "A pong proves that the peer lived when it answered *this* ping. Pings sent later are still open.",
    "any-pong": "Look the payload up among the open pings; what is not there answers nothing.",
    "shared": "Each connection has its own pings: set them up in __init__, not in the class.",
    "revived": "The connection has been given up, and its subscription with it. Note that it is dead.",
    "half-open": "On a half-open connection comes neither an end nor an error. Only the missing pong does.",
    "living-cut": "It answered each ping within its patience.",
}


@exercise("06", 4, "A heartbeat that the dead cannot answer", limit=60.0)
def check_heartbeat(ask, Pulse):
    """Let ``Pulse(interval, patience, now)`` watch peers that live, die, answer late, or answer nonsense."""
    for examine in (_quick, _slow, _asked_late, _dead, _last_words, _strangers, _two, _for_ever):
        with section(ask):
            examine(Ward(ask, Pulse))
        if any(one.code in ("no-ping", "ping-flood", "same-payload") and not one.passed for one in ask.expectations):
            return
    with section(ask):
        _sockets(ask, Pulse)


class Ward:
    """Drives one learner's object, or two, on a clock that starts at 0."""

    def __init__(self, ask, Pulse):
        self.ask, self.kind = ask, Pulse
        self.mark = None
        self.pings = {}  # peer -> [(sent at, payload)]

    def new(self, interval=INTERVAL, patience=PATIENCE, now=0.0):
        return new_pulse(self.ask, self.kind, interval, patience, now)

    def watch(self, seconds, peers):
        """Run for ``seconds``; returns ``{peer: when it was found dead}``. ``peers`` maps a name to a Peer."""
        pulses = {name: self.new() for name in peers}
        return asked(self.ask, self._drive, seconds, peers, pulses)

    def _drive(self, seconds, peers, pulses):
        trace, found, coming = self.ask.trace, {}, []  # coming: (at, peer, payload, id)
        self.pings = {name: [] for name in peers}
        for name in peers:
            trace.receive(trace.send(name, "server", "connect", at=0.0), "server", at=0.0)
        for tick in range(round(seconds / STEP) + 1):
            now = tick * STEP
            for due in sorted((one for one in coming if one[0] <= now), key=lambda one: one[0]):
                coming.remove(due)
                trace.receive(due[3], "server", at=now)
                pulses[due[1]].pong(due[2], now)
            for name, pulse in pulses.items():
                if name in found:
                    continue
                if pulse.is_dead(now):
                    found[name] = now
                    trace.state("server", f"{name} is dead", at=now)
                    continue
                payload = pulse.ping(now)
                if payload is None:
                    continue
                number = len(self.pings[name]) + 1
                self.pings[name].append((now, payload))
                id = trace.send("server", name, f"ping {number}", at=now)
                self.mark = self.mark or id
                arrives = now + peers[name].delay
                if arrives >= peers[name].dies:
                    self.mark = id if not any(m.lost for m in trace.messages) else self.mark
                    trace.lose(id, "nobody there", at=arrives)
                else:
                    trace.receive(id, name, at=arrives)
                answer = peers[name].answer(self.pings[name], arrives)
                if answer is not None:
                    pong = trace.send(name, "server", "pong", at=arrives)
                    coming.append((arrives + peers[name].delay, name, answer, pong))
                if len(self.pings[name]) > 3 * seconds / INTERVAL:
                    return found
        return found

    def need(self, code, what, passed, happened):
        self.ask.need(code, what, passed, happened, _HINTS[code], self.mark)

    def expect(self, code, what, passed, happened):
        return self.ask.expect(code, what, passed, happened, _HINTS[code], self.mark)


def new_pulse(ask, Pulse, interval, patience, now):
    pulse = ask.call(Pulse, interval, patience, now)
    if not all(callable(getattr(pulse, name, None)) for name in ("ping", "pong", "is_dead")):
        what, hint = "a Pulse has ping, pong and is_dead", "def ping(self, now), def pong(self, payload, now), …"
        ask.need("wrong-type", what, False, f"it is {shown(pulse)}", hint)
    return pulse


def asked(ask, drive, *args, limit=5.0):
    """What ``drive`` returns, which calls the learner's methods; the check ends when one of them raises or hangs."""
    outcome = ask.run(drive, *args, limit=limit)
    if not outcome.returned:
        hint = "Read the last line first: it is where your code stood."
        ask.need(outcome.how, "ping, pong and is_dead return, whatever they are asked", False, str(outcome), hint)
    return outcome.value


class Peer:
    """Answers each ping after ``delay`` seconds there and as many back, until it ``dies``."""

    def __init__(self, delay=0.05, dies=1e9):
        self.delay, self.dies = delay, dies

    def answer(self, pings, arrives):
        return pings[-1][1] if arrives < self.dies else None


class Stranger(Peer):
    """Dead; something in its place answers each ping with the same words."""

    def __init__(self, words=None):
        super().__init__(0.05, dies=1.5 if words is None else 0.0)
        self.words = words  # None: the payload of the first ping

    def answer(self, pings, arrives):
        return pings[0][1] if self.words is None else self.words


def _at(found, name="peer"):
    return f"found dead at {found[name]:.2f} s" if name in found else "it was never found"


def _quick(ward):
    found = ward.watch(10.0, {"peer": Peer()})
    pings = ward.pings["peer"]
    if not pings:
        ward.mark = ward.ask.trace.send("client", "server", "hello", at=0.0)
    told = f"{len(pings)} pings in 10 s"
    ward.need("no-ping", "it pings once a second: nine or ten pings in 10 s", len(pings) > 1 or bool(found), told)
    ward.need("ping-flood", "… and not more", len(pings) <= 11, told)
    payloads = [payload for _, payload in pings]
    told = f"the payloads are {', '.join(shown(one, 12) for one in payloads[:3])}, …"
    ward.expect("same-payload", "each ping has a payload of its own", len(set(payloads)) == len(payloads), told)
    what = "a peer that answers within 0.1 s lives"
    ward.expect("too-eager", what, not found, _at(found))


def _slow(ward):
    found = ward.watch(10.0, {"peer": Peer(delay=0.9)})
    what = "a peer that answers after 1.8 s lives, with a patience of 2.5 s"
    if ward.expect("slow-killed", what, not found, _at(found)):
        pings = len(ward.pings["peer"])
        ward.expect("one-ping", "… and is pinged each second all the same", pings >= 9, f"{pings} pings in 10 s")


def _asked_late(ward):
    """The server has other things to do from 1 s to 4.6 s."""
    pulse, trace = ward.new(), ward.ask.trace

    def drive():
        wanted = []
        for now in (1.0, 4.6, 4.7, 4.8, 5.65):
            payload = pulse.ping(now)
            if payload is not None:
                wanted.append(now)
                ward.mark = trace.send("server", "peer", f"ping {len(wanted)}", at=now)
                trace.receive(ward.mark, "peer", at=now + STEP)
                pulse.pong(payload, now + STEP)
        return wanted

    wanted = asked(ward.ask, drive)
    told = f"between 4.6 and 4.8 s it wanted {sum(4 < at < 5 for at in wanted)}"
    what = "the server is busy: it asks at 1 s, and then at 4.6, 4.7 and 4.8 s, when one ping is due and not three"
    ward.expect("bursts", what, sum(4 < at < 5 for at in wanted) <= 1, told)


def _dead(ward):
    found = ward.watch(20.0, {"peer": Peer(dies=4.3)})
    what = "a peer dies at 4.3 s, so the ping at 5 s is not answered: it is found dead at 7.5 s"
    at = found.get("peer")
    code = "not-found" if at is None else "too-late" if at > 7.6 else "too-eager"
    ward.expect(code, what, at is not None and 7.4 <= at <= 7.6, _at(found))


def _last_words(ward):
    found = ward.watch(20.0, {"peer": Peer(delay=1.0, dies=4.3)})
    at = found.get("peer")
    said = any(one.code in ("not-found", "too-late", "one-ping") and not one.passed for one in ward.ask.expectations)
    if said or at is None or at < 6.4:
        return  # which has been said
    what = "its last pong, for the ping at 3 s, comes at 5 s: the ping at 4 s is still open, and it is found at 6.5 s"
    ward.expect("old-pong", what, at <= 6.6, _at(found))


def _strangers(ward):
    for words, what in (
        (b"hello", "pongs that answer no ping of ours prove nothing: dead at 3.5 s"),
        (None, "the pong for the first ping, again and again: dead at 4.5 s"),
    ):
        found = ward.watch(12.0, {"peer": Stranger(words)})
        if not ward.expect("any-pong", what, "peer" in found, _at(found)):
            return


def _two(ward):
    found = ward.watch(12.0, {"peer": Peer(), "other": Peer(dies=0.0)})
    if "other" in found and "peer" not in found:
        return ward.expect("shared", "of two peers, the silent one is found, and the other lives", True, "")
    told = f"the silent one: {_at(found, 'other')}; the living one: {_at(found)}"
    return ward.expect("shared", "of two peers, the silent one is found, and the other lives", False, told)


def _for_ever(ward):
    pulse = ward.new()

    def late():
        payloads = [payload for now in (1.0, 2.0, 3.0) if (payload := pulse.ping(now)) is not None]
        if not pulse.is_dead(4.0):
            return None
        for payload in payloads:
            pulse.pong(payload, 4.5)
        return pulse.is_dead(4.6)

    ward.mark = ward.ask.trace.send("server", "peer", "ping 1", at=1.0)
    pong = ward.ask.trace.send("peer", "server", "pong", at=4.4)
    ward.ask.trace.receive(ward.mark, "peer", at=4.3)
    ward.ask.trace.receive(pong, "server", at=4.5)
    stays = asked(ward.ask, late)
    if stays is not None:  # that it was not found at all has been said
        what = "declared dead at 3.5 s, all pongs at 4.5 s: it stays dead"
        ward.expect("revived", what, bool(stays), "is_dead(4.6) was False")


# -- on real sockets ------------------------------------------------------------------------------------


def _sockets(ask, Pulse):
    """Three clients of one server, each behind a proxy of its own. One of the three lines goes silent."""
    ended, here = threading.Event(), {}

    def handler(connection):
        here[connection.request.path.strip("/")] = connection
        gone = threading.Event()
        connection.when_closed(gone.set)
        while not (gone.wait(0.05) or ended.is_set()):
            pass

    clients = []
    with WebSocketServer(handler, "watched of the check", ping_interval=None) as server:
        names = ("idle", "slow", "half-open")
        proxies = {name: ask.use(FaultProxy(server, f"line {name} of the check").start()) for name in names}
        try:
            proxies["slow"].add(Latency(0.25))
            for name, proxy in proxies.items():
                url = f"{proxy.url}/{name}"
                clients.append(open_websocket(url, ping_interval=None, compression=None))
            end = time.monotonic() + 3.0
            while len(here) < len(names) and time.monotonic() < end:
                time.sleep(0.01)
            began = time.monotonic()
            pulses = {name: new_pulse(ask, Pulse, SHORT, REAL_PATIENCE, began) for name in names}
            proxies["half-open"].add(Timeout(0))
            found, marks = asked(ask, _watch, ask.trace, here, pulses, began, limit=8.0)
        finally:
            ended.set()
            for proxy in proxies.values():
                proxy.stop()
            for client in clients:
                client.close()
    at = found.get("half-open")
    told = "it was never found" if at is None else f"found dead after {at:.2f} s"
    what = "a line goes silent, and nobody says so: it is found within three seconds"
    ask.expect("half-open", what, at is not None and at < 3.0, told, _HINTS["half-open"], marks.get("half-open"))
    cut = [name for name in ("idle", "slow") if name in found]
    told = f"declared dead: {', '.join(cut)}"
    what = "the idle client, and the one on the slow line, are not cut off"
    ask.expect("living-cut", what, not cut, told, _HINTS["living-cut"], next(iter(marks.values()), None))


def _watch(trace, connections, pulses, began):
    """Ping as the pulses say, until the half-open line is found or time is up; who was found dead, and when."""
    found, marks, open_pings = {}, {}, []  # open_pings: (name, payload, pong's event, number, id)
    latest, numbers = began, dict.fromkeys(pulses, 0)
    while "half-open" not in found and (now := time.monotonic()) < began + 3.5:
        stalled, latest = now - latest > 0.2, now  # the machine was busy: let the pongs be read first
        for one in list(open_pings):
            name, payload, answered, id = one
            if answered.is_set():
                open_pings.remove(one)
                trace.receive(id, name)
                pong = trace.send(name, "server", "pong")
                trace.receive(pong, "server")
                pulses[name].pong(payload, now)
        for name, pulse in pulses.items():
            if name in found or stalled:
                continue
            if pulse.is_dead(now):
                found[name] = now - began
                trace.state("server", f"{name} is dead")
            elif (payload := pulse.ping(now)) is not None and numbers[name] < 60:
                numbers[name] += 1
                id = trace.send("server", name, f"ping {numbers[name]}")
                marks.setdefault(name, id)
                # What travels is a number, so that equal payloads are no error of the library's.
                open_pings.append((name, payload, connections[name].ping(str(numbers[name])), id))
                if name == "half-open":
                    trace.lose(id, "nobody there")
        time.sleep(0.01)
    return found, marks
