"""Exercise 1, repair: a keeper of a lease, whose registry dies, forgets, hangs, and is down at the goodbye."""

import math
import statistics
import threading
import time
from types import SimpleNamespace

import consul
import requests

from servicelab.checks.lab08.registry_stage import RegistryStage
from servicelab.checks.scenario import scenario, words
from servicelab.lifecycle import wait_until

ID, PORT, TTL, SHORT, DRAIN = "orders-1", 8017, 0.75, 0.4, 0.6  # in seconds; SHORT is another TTL
ENTER, GOODBYE = "PUT /v1/agent/service/register", "PUT /v1/agent/service/deregister"
BEATS = ("PUT /v1/agent/check/pass", "PUT /v1/agent/check/update")
HELD = 0.5  # seconds at most for which a request is held up on its way, while stop() is called
FEW, OFTEN = 0.495, 0.92 / 6  # leases between two heartbeats, at the most and at the least; the task says 1/6
PATIENT = 0.6  # leases that a request may wait; the task says a half
SLOWER = 0.65  # … with SHORT, after an outage; a right answer is at 0.5, a period of 0.3 s at 0.75
MANY = 15  # requests while the registry is ill, or down; there should be about four

WORDS = words("""
not-passing: when start() returns, the instance is in the book, and is passing
    What has to reach the registry before the first heartbeat, and what does it think of a check that has had none?
registered-otherwise: it is in the book with its id, its name, its address, its port, and a check with the TTL
    What does a caller need who finds this entry, and what buries the instance when it dies?
one-lost-kills, hammers: all is well: more than two heartbeats in each lease, and six at the most
    How many heartbeats are left in a lease when one gets lost, and how many are enough to survive that?
thread-died: the registry answers 500, and is dead, for a while: the heartbeats go on afterwards
    Which exceptions leave your loop, and for how long does it wait then?
no-pause: … and meanwhile it tries with pauses
    What does your loop wait for after a failure?
stays-critical: … and the instance is passing again
    It became critical while nobody heard it. What, sent by you, makes a known check pass again?
stays-slow: … and they come as often as they should, with this TTL, too
    Which of your numbers is a share of the lease, and what does a success change in the pauses?
not-registered-again: the registry has forgotten everything: the instance registers again, each time
    What does py-consul make of a 404 to a heartbeat: does it raise, or return? And what if it cannot register at once?
not-stopped, no-goodbye, no-drain: stop says goodbye, lets it serve for the drain, and stops the server
    What does somebody see who reads the book right now, and for how long does he keep it? Where does your wait stand?
comes-back: … and it stays out of the book
    What does a heartbeat do that comes after the goodbye? An event ends no request that has begun: who waits for it?
goodbye-fails: the registry is down, or answers 500: stop() stops the server all the same, and raises nothing
    A goodbye that nobody hears is no reason to stay. Which exceptions can it raise?
hangs, waits-long: the registry never answers: no request waits for longer than half a lease, and the next one is sent
    For how long does a request of yours wait? The default of py-consul is longer than this lease.
stop-hangs: … and stop() stops the server within two leases and the drain
    Which of the things that stop waits for may take for ever?
""")


class Keeping(RegistryStage):
    """The learner's keeper at a registry of its own, and a server of which nothing is asked but to stop."""

    marked = BEATS
    stopped, is_over = None, False

    def __init__(self, ask, Keeper):
        super().__init__(ask, Keeper)
        self.waited = []  # seconds until a request of the keeper's was given up
        client = consul.Consul(host=self.registry.host, port=self.registry.port)
        client.http.session.close()
        client.http.session = web = self.session(ID)
        send, web.send = web.send, lambda request, **how: self.carry(send, request, **how)
        given = SimpleNamespace(port=PORT, url=f"http://127.0.0.1:{PORT}", stop=self.stop_server)
        self.ttl = SHORT if ask.trace_of == "outage" else TTL
        self.keeper = self.make(Keeper, client, ID, given, self.ttl, methods=("start", "stop"), keep=True)
        self.at_end(self.end)
        self.call(self.keeper.start, keep=True)

    def meets(self, request) -> int | None:
        """What becomes of a request of the keeper's on its way: a status, or nothing, and it reaches the registry."""

    def carry(self, send, request, **how):
        reply = requests.Response()
        reply.status_code, reply._content = self.meets(request), b"No cluster leader"
        begin = self.ask.trace.clock()
        try:
            return reply if reply.status_code else send(request, **how)
        except requests.RequestException:
            self.waited.append(self.ask.trace.clock() - begin)
            raise

    def stop_server(self):
        self.stopped = self.stopped or self.ask.trace.clock()
        self.ask.trace.state(ID, "stopped")

    def stops(self, code, drain=0.1, limit=3.0):
        self.is_over = True
        outcome = self.ask.run(self.keeper.stop, drain, limit=limit, keep=True)
        told = f"{outcome}, after {outcome.seconds:.1f} s" + ("" if self.stopped else ", and the server runs")
        return code, outcome.returned and self.stopped is not None, told

    def end(self):
        """So that its thread does not outlive a check that ended early."""
        self.kill()
        if not self.is_over:
            self.stops("")

    @property
    def entry(self):
        return next(iter(self.registry.instances("orders")), None)

    def is_passing(self):
        return [one.service.id for one in self.registry.instances("orders", passing=True)] == [ID]

    def puts(self, since, many, limit):
        """Have so many requests been sent since then, within a time from now?"""
        return wait_until(lambda: len(self.asked("PUT", since)) >= many, limit)

    def gap(self, since):
        """Leases from one request to the next."""
        stamps = [one.sent for one in self.asked("PUT", since)]
        return statistics.median([b - a for a, b in zip(stamps, stamps[1:])] or [math.inf]) / self.ttl

    def as_it_should(self):
        """Is the entry in the book, if there is one, as the task says?"""
        found, wanted = None, (ID, "127.0.0.1", PORT, self.ttl)
        if entry := self.entry:
            ttls = [check.ttl for check in entry.checks if check.service_id == ID]
            found = entry.service.id, entry.service.address, entry.service.port, ttls[0] if ttls else "none"
        told = f"its id, address, port and TTL are {found}, and not {wanted}"
        return "registered-otherwise", found in (None, wanted), told


check_keeper = scenario("08", 1, "A lease that is kept", WORDS, Keeper=Keeping)
part = check_keeper.part


@part
def calm(k):
    state = "known and critical" if k.entry else f"not known, after {len(k.asked())} requests"
    yield "not-passing", k.is_passing(), f"{ID} is {state}"
    yield k.as_it_should()
    begin = k.ask.trace.clock()
    time.sleep(1.7 * TTL)
    gap = k.gap(begin)
    told = f"heartbeats in 1.7 leases: {len(k.asked('PUT', begin))}, one every {gap:.2g} leases"
    yield "one-lost-kills", gap <= FEW, told
    yield "hammers", gap >= OFTEN, told


@part
def outage(k):
    ill = []
    k.meets = lambda request: ill.append(request) or 500
    time.sleep(1.3 * k.ttl)  # until the lease has run out
    k.registry.kill()
    del k.meets
    killed = k.ask.trace.clock()
    time.sleep(1.3 * k.ttl)
    dead = len(k.asked("PUT", killed))
    k.registry.restart(keep=True)
    since = k.ask.trace.clock()
    told = "no heartbeat came any more" if ill else "none came through the client that the keeper was given"
    yield "thread-died", k.puts(since, 1, 3 * k.ttl) and ill, told + k.died
    told = f"in {1.3 * k.ttl:.1f} s each it asked the ill one {len(ill)} times, and the dead one {dead} times"
    yield "no-pause", max(len(ill), dead) <= MANY, told
    yield "stays-critical", wait_until(k.is_passing, 2 * TTL), "it stays critical"
    k.puts(since, 5, 3 * k.ttl)
    gap = k.gap(since)
    yield "stays-slow", gap <= SLOWER, f"the TTL was {k.ttl:g} s, and they came every {gap:.2g} leases"


@part
def forgotten(k):
    for why, ill in (("", []), ("; the first time, to register was answered with 500", [500])):
        k.meets = lambda request, ill=ill: ill.pop() if ill and "/register" in request.url else None
        k.registry.restart(keep=False)
        again = wait_until(k.is_passing, 3 * TTL)
        yield k.as_it_should()
        last = k.ask.trace.calls[-1].status if k.ask.trace.calls else "nothing"
        where = "critical" if k.entry else "not in the book as 'orders'"
        told = f"{3 * TTL:.1f} s later it is {where}; the last of {len(k.asked(BEATS))} heartbeats got {last}{why}"
        yield "not-registered-again", again, told + k.died


@part
def goodbye(k):
    under_way, refused = threading.Event(), []

    def hold(request):  # a heartbeat gets a 404, and what follows reaches the registry after the goodbye
        if "/check/" in request.url and not refused:
            refused.append(request)
            return 404
        if "/deregister/" not in request.url and refused and not under_way.is_set():
            under_way.set()
            wait_until(lambda: not k.entry, HELD)

    k.meets = hold
    under_way.wait(2 * TTL)
    yield k.stops("not-stopped", DRAIN, DRAIN + 3)
    goodbyes = k.asked(GOODBYE)
    yield "no-goodbye", goodbyes, "nobody said goodbye"
    k.marked, said = GOODBYE, goodbyes[0].sent
    served = k.stopped - said
    told = f"{served:.2f} s after the goodbye" if served > 0 else "before it said goodbye"
    yield "no-drain", served > 0.85 * DRAIN, f"it was stopped {told}"
    k.marked, beats, late = ENTER, len(k.asked(BEATS, said)), k.asked(ENTER, said)
    told = f"after the goodbye {beats} heartbeats were sent, and it was registered {len(late)} times"
    yield "comes-back", not late and not k.entry, told


def goodbye_to_nobody(k, is_dead):
    k.marked = GOODBYE
    if is_dead:
        k.registry.kill()
    else:
        k.ask.trace.state("registry", "ill")
        k.meets = lambda request: 500
    yield k.stops("goodbye-fails")


check_keeper.parts({"goodbye to the dead": [True], "goodbye to the ill": [False]}, goodbye_to_nobody)


@part
def silence(k):
    wait_until(lambda: k.asked(BEATS), TTL)
    k.registry.pause()
    begin = k.ask.trace.clock()
    beats = k.puts(begin, 2, 1.5 * TTL)
    tried = len(k.asked("PUT", begin))
    yield "hangs", beats, f"in {1.5 * TTL:.1f} s it sent {tried}, which had no answer, and no other{k.died}"
    least = min(k.waited, default=0.0)
    told = f"{least:.2f} s is the shortest that a request waited, and half a lease is {TTL / 2:.2f} s"
    yield "waits-long", least < PATIENT * TTL, told
    yield k.stops("stop-hangs", 0.1, 0.1 + 2.3 * TTL)
