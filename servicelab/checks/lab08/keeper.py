"""Exercise 1, repair: a keeper of a lease, whose registry dies, forgets, and is down when it wants to say goodbye."""

import statistics
import threading
import time

import consul
from flask import Flask

from servicelab.checks.exercise import exercise
from servicelab.checks.lab08.registry_stage import Deaths, Stand, stand, wait_until
from servicelab.checks.learner_traceback import shown
from servicelab.servers import serve

ID, TTL, DRAIN = "orders-1", 0.9, 0.8  # seconds
BEAT, ENTER, GOODBYE = "PUT /v1/agent/", "PUT /v1/agent/service/register", "PUT /v1/agent/service/deregister"
PASS = ("PUT /v1/agent/check/pass", "PUT /v1/agent/check/update")
HELD = 0.5  # seconds at most for which a heartbeat is held up on its way, while stop() is called
WATCHED = 1.7 * TTL
MANY = 15  # requests while the registry is down; there should be about three
MOST = 6  # heartbeats in a lease


@exercise("08", 1, "A lease that is kept", limit=40.0)
def check_keeper(ask, Keeper):
    """Let ``Keeper(client, id, server, ttl)`` keep a lease in a registry that has a bad day."""
    deaths = ask.use(Deaths())
    for examine in (_calm, _outage, _forgotten, _goodbye, _goodbye_to_nobody):
        with stand(ask, Keeping) as keeping:
            if not examine(keeping.begin(Keeper), deaths):
                break


class Doomed:
    """The service's server: real, and it notes when it was stopped."""

    def __init__(self, stand):
        app = Flask(ID)
        app.add_url_rule("/orders", "orders", lambda: "taken")
        self._server = serve(app, "orders of the check", trace=stand.trace, lane=ID)
        self._stand, self.port, self.url = stand, self._server.port, self._server.url
        self.stopped = None

    def __repr__(self):
        return f"<the server of {ID}, port {self.port}>"

    def stop(self):
        if self.stopped is None:
            self.stopped = self._stand.trace.clock()
            self._stand.trace.state(ID, "stopped")
            self._server.stop()


class Keeping(Stand):
    """The learner's keeper at a registry of its own."""

    keeper = None
    over = False

    def begin(self, kind):
        self.server = Doomed(self)
        self.client = consul.Consul(host=self.registry.host, port=self.registry.port, connections_timeout=2)
        self.client.http.session.close()
        self.client.http.session = self.session(ID)
        ask = self.ask
        keeper = ask.call(kind, self.client, ID, self.server, TTL, keep=True)
        missing = [name for name in ("start", "stop") if not callable(getattr(keeper, name, None))]
        if missing:
            what, hint = "a Keeper has the methods start() and stop(drain)", "Keep the names that the task gives."
            ask.need("wrong-type", what, False, f"it is {shown(keeper)}", hint)
        self.keeper = keeper
        ask.call(keeper.start, keep=True)
        there = wait_until(lambda: self.known, 1.0)
        if not (there and ask.expectations):  # said once
            self.need(
                "not-registered",
                "after start() the instance is in the book",
                there,
                f"{len(self.asked())} requests came, and no {ID} is known",
                "client.agent.service.register(…), before the first heartbeat.",
            )
        return self

    def hold_a_heartbeat(self):
        """Wait until a heartbeat is on its way, which then reaches the registry only after the goodbye, or late."""
        under_way, send = threading.Event(), self.client.http.session.send

        def slow(request, **how):
            if "/deregister/" not in request.url and not under_way.is_set():
                under_way.set()
                wait_until(lambda: not self.known, HELD)
            return send(request, **how)

        self.client.http.session.send = slow
        return under_way.wait(2 * TTL)

    def close(self):
        if self.keeper is not None and not self.over:  # so that its thread does not outlive a check that ended early
            self.ask.run(self.keeper.stop, 0.0, limit=4.0, keep=True)
        self.server.stop()
        super().close()

    @property
    def known(self):
        return bool(self.registry.instances("orders"))

    @property
    def failed(self):
        return sum(call.status not in (None, "ok") and not call.status.startswith("HTTP") for call in self.trace.calls)

    def expect(self, code, what, passed, happened, hint, *marks):
        return self.ask.expect(code, what, passed, happened, hint, self.mark(*marks))

    def need(self, code, what, passed, happened, hint, *marks):
        self.ask.need(code, what, passed, happened, hint, self.mark(*marks))


def _calm(keeping, deaths):
    """All is well for nearly two leases: is it renewed, and with a beat to spare?"""
    keeping.expect(
        "not-passing",
        "… and is passing, so that it is called at once",
        wait_until(lambda: keeping.passing() == [ID], TTL / 9),
        "it is known and critical",
        'A check is critical until its first heartbeat, unless it is registered with "Status": "passing".',
    )
    begin = keeping.trace.clock()
    time.sleep(WATCHED)
    leases = (keeping.trace.clock() - begin) / TTL
    beats = keeping.asked(BEAT)
    stamps = [beat.sent for beat in beats] + [max(keeping.trace.clock(), beats[-1].sent)]
    gaps = [b - a for a, b in zip(stamps, stamps[1:])]
    gap = statistics.median(gaps[:-1]) if len(gaps) > 1 else gaps[0]
    many = sum(beat.sent >= begin for beat in beats)
    code = "late" if gap > 0.9 * TTL else "one-lost-kills" if gap > 0.45 * TTL else "hammers"
    happened = f"heartbeats in {leases:.1f} leases: {many}, one every {gap / TTL:.2g} leases"
    hint = {
        "late": "A heartbeat that comes with the end of the lease comes too late. A period of a third of the TTL is "
        "usual.",
        "one-lost-kills": "With less than two more in a lease, one lost packet buries an instance that is well. A "
        "period of a third of the TTL is usual.",
        "hammers": "Each heartbeat costs the registry a write. Three or four in a lease are enough: wait in between.",
    }[code]
    keeping.expect(
        code,
        f"all is well: more than two heartbeats in each lease, and {MOST} at most",
        gap <= 0.45 * TTL and many <= MOST * leases + 1,
        happened,
        hint,
        *PASS,
    )
    return True


def _outage(keeping, deaths):
    """The registry dies, and is back a moment later with all it knew."""
    keeping.registry.kill()
    killed = keeping.trace.clock()
    wait_until(lambda: keeping.failed >= 2, 1.3 * TTL)
    before, begin = keeping.failed, keeping.trace.clock()
    time.sleep(max(TTL / 3, killed + 1.5 * TTL - begin))  # until the lease has run out, on any machine
    tried, watched = keeping.failed - before, keeping.trace.clock() - begin
    keeping.registry.restart(keep=True)
    back = keeping.trace.clock()
    beats = wait_until(lambda: keeping.asked(BEAT, since=back), 3 * TTL)
    keeping.expect(
        "thread-died",
        "the registry is down for a moment: the heartbeats go on when it is back",
        beats,
        f"no heartbeat came any more{deaths}",
        "A heartbeat that gets no answer raises a requests.RequestException, and an exception ends a thread. Catch it, "
        "in the loop and not around it, and go on.",
        *PASS,
    )
    keeping.expect(
        "no-pause",
        "… and meanwhile it tries with pauses",
        tried <= MANY,
        f"it tried {tried} times in {watched:.1f} s",
        "After a failure, too, wait for the period before the next try.",
        *PASS,
    )
    if beats:
        wait_until(lambda: len(keeping.asked(BEAT, since=back)) > 1, TTL)
        keeping.expect(
            "stays-critical",
            "… and the instance is passing again",
            wait_until(lambda: keeping.passing() == [ID], 3 * TTL),
            "it stays critical",
            "It became critical while the registry was down. To register again changes nothing in that; a heartbeat "
            "does: check.ttl_pass.",
            *PASS,
        )
    return beats


def _forgotten(keeping, deaths):
    """The registry is back and empty: a heartbeat gets a 404."""
    keeping.registry.restart(keep=False)
    again = wait_until(lambda: keeping.passing() == [ID], 3 * TTL)
    beats = keeping.asked(*PASS)
    keeping.expect(
        "not-registered-again",
        "the registry has forgotten everything: the instance registers again",
        again,
        f"{3 * TTL:.1f} s later it is {'critical' if keeping.known else 'not in the book'}; the last of {len(beats)} "
        f"heartbeats got {keeping.trace.calls[-1].status}{deaths}",
        "A heartbeat for a check that nobody knows gets a 404. py-consul raises nothing then: ttl_pass returns False.",
        *PASS,
    )
    return True


def _goodbye(keeping, deaths):
    """An orderly end: out of the book, drain, and then stop. A heartbeat is under way when it begins."""
    keeping.hold_a_heartbeat()
    outcome = keeping.ask.run(keeping.keeper.stop, DRAIN, limit=DRAIN + 4, keep=True)
    keeping.over = True
    told = (
        f"stop({DRAIN}) {outcome}" if not outcome.returned else f"stop({DRAIN}) returned after {outcome.seconds:.1f} s"
    )
    stopped = keeping.server.stopped
    keeping.expect(
        "not-stopped",
        "stop(drain) stops the server",
        stopped is not None and outcome.returned,
        told,
        "self.server.stop(), at the end.",
    )
    goodbyes = keeping.asked(GOODBYE)
    if not keeping.expect(
        "no-goodbye",
        "… and takes the instance out of the book",
        bool(goodbyes),
        "nobody said goodbye: callers go on until the lease has run out",
        "client.agent.service.deregister(self.id).",
        *PASS,
    ):
        return True
    if stopped is None:
        return False
    said = goodbyes[0].sent
    first = keeping.expect(
        "stops-first",
        "… first out of the book, and then stopped",
        said < stopped,
        f"it was stopped {(said - stopped) * 1e3:.0f} ms before it said goodbye: whoever called it then got an error",
        "Who reads the book must not find anybody who has gone.",
        GOODBYE,
    )
    if first:
        keeping.expect(
            "no-drain",
            f"… and for {DRAIN} s it goes on serving those who have not heard yet",
            stopped - said > 0.85 * DRAIN,
            f"it was stopped {stopped - said:.2f} s after the goodbye",
            "Callers keep what they have read for a while. time.sleep(drain) between the goodbye and the end.",
            GOODBYE,
        )
    late = [m for m in keeping.asked(ENTER) if m.sent > said]
    beats = sum(m.sent > said for m in keeping.asked(*PASS))
    code = "races-its-goodbye" if beats == 1 else "comes-back"
    keeping.expect(
        code,
        "… and it stays out of the book, although a heartbeat was under way when stop was called",
        not late and not keeping.known,
        "it is still in the book"
        if not late
        else "that heartbeat came after the goodbye, got a 404, and registered it again"
        if beats == 1
        else f"{beats} heartbeats were sent after the goodbye; one got a 404, and registered it again",
        "An event ends no heartbeat that has begun: set the event, join the thread, and only then deregister."
        if beats == 1
        else "The keeping must end before the goodbye: set the event, join the thread, then deregister.",
        ENTER,
    )
    return True


def _goodbye_to_nobody(keeping, deaths):
    """The registry is down when the instance wants to leave."""
    keeping.registry.kill()
    outcome = keeping.ask.run(keeping.keeper.stop, 0.1, limit=5.0, keep=True)
    keeping.over = True
    keeping.expect(
        "goodbye-fails",
        "the registry is down: stop() stops the server all the same",
        outcome.returned and keeping.server.stopped is not None,
        str(outcome),
        "A goodbye that nobody hears is no reason to stay: catch what requests raises, and go on to server.stop().",
        GOODBYE,
    )
    return True
