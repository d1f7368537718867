"""Exercise 1, repair: a keeper of a lease, whose registry dies, forgets, hangs, and is down at the goodbye."""

import statistics
import threading
import time
from types import SimpleNamespace

import consul
import requests
from flask import Flask

from servicelab.checks.lab08.registry_stage import RegistryStage, wait_until
from servicelab.checks.scenario import scenario, words
from servicelab.servers import serve

ID, TTL, SHORT, DRAIN = "orders-1", 0.75, 0.4, 0.6  # seconds; SHORT is another TTL
ENTER, GOODBYE = "PUT /v1/agent/service/register", "PUT /v1/agent/service/deregister"
BEATS = ("PUT /v1/agent/check/pass", "PUT /v1/agent/check/update")
HELD = 0.5  # seconds at most for which a request is held up on its way, while stop() is called
FEW, MOST = 0.495, 6  # leases between two heartbeats at the most, and heartbeats in a lease
SLOWER = 0.65  # … with SHORT, after an error; a right answer is at 0.5, a period of 0.3 s at 0.75
MANY = 15  # requests while the registry is down or ill; there should be about three

WORDS = words("""
not-registered: when start() returns, the instance is in the book
    What has to reach the registry before the first heartbeat, and who waits for it?
not-passing: … and is passing, so that it is called at once
    What does a registry think of a check that has had no heartbeat yet, unless it is told otherwise?
one-lost-kills: all is well: more than two heartbeats in each lease
    How many heartbeats are in a lease, and how many are left when one gets lost?
hammers: all is well: six heartbeats in a lease at the most
    Each heartbeat costs the registry a write. How many are enough to survive one that is lost?
dies-of-500: the registry answers 500 for a lease: the heartbeats go on afterwards
    What does your loop do after an error: does it live, and for how long does it wait then?
stays-slow: … as often as they should, with this TTL, too
    Which of your numbers is a share of the lease, and what does a success change in the pauses?
thread-died: the registry is down for a moment: the heartbeats go on when it is back
    Which exceptions leave your loop, and for how long does it wait then?
no-pause: … and meanwhile it tries with pauses
    What does your loop wait for after a failure?
stays-critical: … and the instance is passing again
    It became critical while the registry was down. What, sent by you, makes a known check pass again?
not-registered-again: the registry has forgotten everything: the instance registers again, each time
    What does py-consul make of a 404 to a heartbeat: does it raise, or return? And what if it cannot register at once?
registered-otherwise: it is in the book with its id, its name, its address, its port, and a check with the TTL
    What does a caller need who finds this entry, and what buries the instance when it dies?
not-stopped: stop(drain) returns, and the server is stopped
    What is the last thing that has to happen?
no-goodbye: … and the instance is out of the book
    Who tells the registry? Otherwise callers go on until the lease has run out.
stops-first: … first out of the book, and then stopped
    Who reads the book must not find anybody who has gone.
no-drain: … and between the two it serves for the whole drain
    Callers keep what they have read for a while. Where does your wait stand?
comes-back: … and it stays out of the book
    What does a heartbeat do that comes after the goodbye? When is the loop over?
races-its-goodbye: … and it stays out of the book, although it was just registering again when stop was called
    An event ends no request that has begun. Who waits for it to be over?
goodbye-fails: the registry is down, or answers 500: stop() stops the server all the same, and raises nothing
    A goodbye that nobody hears is no reason to stay. Which exceptions can it raise?
hangs: the registry accepts and never answers: the next heartbeat is sent all the same, within a lease
    For how long does a request of yours wait? The default of py-consul is longer than this lease.
stop-hangs: … and stop() stops the server within two leases and the drain
    Which of the things that stop waits for may take for ever?
""")


class Keeping(RegistryStage):
    """The learner's keeper at a registry of its own, with a real server that notes when it was stopped."""

    marked = BEATS
    stopped = None
    over = False

    def __init__(self, ask, Keeper):
        super().__init__(ask, Keeper)
        app = Flask(ID)
        app.add_url_rule("/orders", "orders", lambda: "taken")
        self.server = self.use(serve(app, "orders of the check", trace=ask.trace, lane=ID))
        self.port = self.server.port
        client = consul.Consul(host=self.registry.host, port=self.registry.port)
        client.http.session.close()
        self.web = client.http.session = self.session(ID)
        given = SimpleNamespace(port=self.port, url=self.server.url, stop=self.stop_server)
        self.ttl = SHORT if ask.trace_of == "errors" else TTL
        self.keeper = self.make(Keeper, client, ID, given, self.ttl, methods=("start", "stop"), keep=True)
        self.at_end(self.end)
        self.call(self.keeper.start, keep=True)

    def stop_server(self):
        if self.stopped is None:
            self.stopped = self.ask.trace.clock()
            self.ask.trace.state(ID, "stopped")
            self.server.stop()

    def stop(self, drain, limit):
        self.over = True
        return self.ask.run(self.keeper.stop, drain, limit=limit, keep=True)

    def end(self):
        """So that its thread does not outlive a check that ended early."""
        if not self.over:
            self.registry.kill()
            self.stop(0.0, 3.0)

    def on_the_way(self, deal):
        """Let ``deal(send, request, **how)`` carry the keeper's requests to the registry."""
        send = self.web.send
        self.web.send = lambda request, **how: deal(send, request, **how)

    @property
    def entry(self):
        return next(iter(self.registry.instances("orders")), None)

    def rhythm(self, since):
        """``(how many requests were sent, leases from one to the next)``."""
        stamps = [one.sent for one in self.asked("PUT", since=since)]
        gaps = [b - a for a, b in zip(stamps, stamps[1:])] or [self.ask.trace.clock() - since]
        return len(stamps), statistics.median(gaps) / self.ttl

    def is_passing(self):
        return [one.service.id for one in self.registry.instances("orders", passing=True)] == [ID]

    def beats(self):
        return self.asked(*BEATS)

    @property
    def failed(self):
        calls = self.ask.trace.calls
        return sum(call.status not in (None, "ok") and not call.status.startswith("HTTP") for call in calls)

    def differs(self) -> str:
        """What is wrong with the entry in the book, in words."""
        entry, wrong = self.entry, []
        for name, wanted in {"id": ID, "address": "127.0.0.1", "port": self.port}.items():
            if (found := getattr(entry.service, name)) != wanted:
                wrong.append(f"its {name} is {found!r} and not {wanted!r}")
        ttl = next((check.ttl for check in entry.checks if check.service_id == ID), None)
        if ttl is None or abs(ttl - self.ttl) > 0.01:
            wrong.append(f"its check has {'no TTL' if ttl is None else f'a TTL of {ttl:g} s'}")
        return " and ".join(wrong)


check_keeper = scenario("08", 1, "A lease that is kept", WORDS, Keeper=Keeping)
part = check_keeper.part


def _reply(status):
    reply = requests.Response()
    reply.status_code, reply._content = status, b"No cluster leader"
    return reply


@part
def calm(k):
    yield "not-registered", k.entry, f"{len(k.asked())} requests came, and no {ID} is known"
    yield "not-passing", k.is_passing(), "it is known and critical"
    yield "registered-otherwise", not k.differs(), k.differs()
    begin = k.ask.trace.clock()
    time.sleep(1.7 * TTL)
    leases = (k.ask.trace.clock() - begin) / TTL
    many, gap = k.rhythm(begin)
    told = f"heartbeats in {leases:.1f} leases: {many}, one every {gap:.2g} leases"
    yield "one-lost-kills", gap <= FEW, told
    yield "hammers", many <= MOST * leases + 1, told


@part
def errors(k):
    answered = []

    def ill(send, request, **how):
        now = k.ask.trace.clock()
        if answered and now > answered[0] + k.ttl:
            return send(request, **how)
        answered.append(now)
        return _reply(500)

    k.on_the_way(ill)
    wait_until(lambda: answered and k.asked("PUT", since=answered[0] + k.ttl), 4 * k.ttl)
    since = answered[0] + k.ttl if answered else 0.0
    told = "no heartbeat came any more" if answered else "none came through the client that the keeper was given"
    yield "dies-of-500", answered and k.asked("PUT", since=since), told + k.died
    yield "no-pause", len(answered) <= MANY, f"it asked {len(answered)} times in a lease"
    wait_until(lambda: len(k.asked("PUT", since=since)) >= 5, 3 * k.ttl)
    many, gap = k.rhythm(since)
    yield "stays-slow", gap <= SLOWER, f"the TTL was {k.ttl:g} s, and they came every {gap:.2g} leases"


@part
def outage(k):
    k.registry.kill()
    killed = k.ask.trace.clock()
    wait_until(lambda: k.failed >= 2, 1.3 * TTL)
    before, begin = k.failed, k.ask.trace.clock()
    time.sleep(max(TTL / 3, killed + 1.5 * TTL - begin))  # until the lease has run out, on any machine
    tried, watched = k.failed - before, k.ask.trace.clock() - begin
    k.registry.restart(keep=True)
    back = k.ask.trace.clock()
    yield "thread-died", wait_until(lambda: k.asked("PUT", since=back), 2 * TTL), f"no heartbeat came any more{k.died}"
    yield "no-pause", tried <= MANY, f"it tried {tried} times in {watched:.1f} s"
    yield "stays-critical", wait_until(k.is_passing, 2 * TTL), "it stays critical"


@part
def forgotten(k):
    refused = []

    def once_ill(send, request, **how):
        if "/register" not in request.url or refused:
            return send(request, **how)
        refused.append(request)
        return _reply(500)

    for why in ("", "; to register was answered with 500 the first time"):
        if why:
            k.on_the_way(once_ill)
        k.registry.restart(keep=False)
        again = wait_until(k.is_passing, 3 * TTL)
        yield "registered-otherwise", not k.entry or not k.differs(), k.entry and k.differs()
        where = "critical" if k.entry else "not in the book as 'orders'"
        last = k.ask.trace.calls[-1].status if k.ask.trace.calls else "nothing"
        told = f"{3 * TTL:.1f} s later it is {where}; the last of {len(k.beats())} heartbeats got {last}{why}{k.died}"
        yield "not-registered-again", again, told


@part
def goodbye(k):
    under_way, refused = threading.Event(), []

    def hold(send, request, **how):  # a heartbeat gets a 404, and what follows reaches the registry after the goodbye
        if "/check/" in request.url and not refused:
            refused.append(request)
            return _reply(404)
        if "/deregister/" not in request.url and refused and not under_way.is_set():
            under_way.set()
            wait_until(lambda: not k.entry, HELD)
        return send(request, **how)

    k.on_the_way(hold)
    under_way.wait(2 * TTL)
    outcome = k.stop(DRAIN, DRAIN + 3)
    ended = outcome.returned and k.stopped is not None
    yield "not-stopped", ended, str(outcome) if not outcome.returned else "stop returned, and the server runs"
    goodbyes = k.asked(GOODBYE)
    yield "no-goodbye", goodbyes, "nobody said goodbye"
    k.marked, said = (GOODBYE,), goodbyes[0].sent
    early = f"it was stopped {(said - k.stopped) * 1e3:.0f} ms before it said goodbye"
    yield "stops-first", said < k.stopped, early
    yield "no-drain", k.stopped - said > 0.85 * DRAIN, f"it was stopped {k.stopped - said:.2f} s after the goodbye"
    k.marked, beats = (ENTER,), sum(beat.sent > said for beat in k.beats())
    late = [m for m in k.asked(ENTER) if m.sent > said]
    told = f"{beats} heartbeats were sent after the goodbye" if beats else "it was registered again after the goodbye"
    yield "races-its-goodbye" if beats <= 1 else "comes-back", not late and not k.entry, told


@part
def goodbye_to_nobody(k):
    k.registry.kill()
    yield from _unheard(k)


@part
def goodbye_to_the_ill(k):
    k.on_the_way(lambda send, request, **how: _reply(500))
    k.ask.trace.state("registry", "ill")
    yield from _unheard(k)


def _unheard(k):
    k.marked = (GOODBYE,)
    outcome = k.stop(0.1, 3.0)
    yield "goodbye-fails", outcome.returned and k.stopped is not None, str(outcome)


@part
def silence(k):
    wait_until(k.beats, TTL)
    k.registry.pause()
    begin = k.ask.trace.clock()
    beats = wait_until(lambda: len(k.asked("PUT", since=begin)) >= 2, 1.5 * TTL)
    tried = len(k.asked("PUT", since=begin))
    yield "hangs", beats, f"in {1.5 * TTL:.1f} s it sent {tried}, which had no answer, and no other{k.died}"
    outcome = k.stop(0.1, 0.1 + 3 * TTL)
    ended = outcome.returned and outcome.seconds < 0.1 + 2.3 * TTL and k.stopped is not None
    yield "stop-hangs", ended, f"it took {outcome.seconds:.1f} s" if outcome.returned else str(outcome)
