"""Exercise 4, measure and decide: heartbeat, lease and polling for a budget, by formula and in SimPy.

The formulas are :mod:`servicelab.theory`'s; the simulated registry keeps the lease objects of the real one.
"""

import math
from dataclasses import dataclass
from numbers import Real

import numpy as np

from servicelab import theory
from servicelab.checks.exercise import exercise
from servicelab.checks.section import section
from servicelab.checks.theirs import shown
from servicelab.sim.discovery import Discovery

DAY, JITTER = 86400.0, 0.2
NAMES = ("ttl", "heartbeat", "period")
ROOM = 1.1  # a simulated mean may lie so far above its limit
LIMIT = 5.0  # seconds for the learner's function


@dataclass(frozen=True)
class Shop:
    """A shop, and what discovery may cost in it.

    | number    | unit        | meaning                                                                   |
    |-----------|-------------|---------------------------------------------------------------------------|
    | instances |             | how many keep a lease                                                     |
    | clients   |             | how many poll                                                             |
    | loss      | share       | of the heartbeats that get lost, each by itself                           |
    | requests  | /s          | heartbeats and lookups that the registry may get, at most                 |
    | late      | s           | a dead instance may be called for so long, on average, when nothing is lost |
    | buried    | /day        | living instances that may lose their lease, all together                  |
    """

    instances: int
    clients: int
    loss: float
    requests: float
    late: float
    buried: float


PRACTICE = Shop(instances=10, clients=100, loss=0.05, requests=40, late=8, buried=100)
#: Hidden. In the first one heartbeats are dear and lossy; in the second there are clients by the hundred.
CHECKED = (
    Shop(instances=20, clients=60, loss=0.10, requests=25, late=10, buried=100),
    Shop(instances=6, clients=300, loss=0.05, requests=60, late=18, buried=40),
)

_HINTS = {
    "forgot-heartbeats": "The lookups alone are within the budget. Each instance sends its heartbeats, too: "
    "instances / heartbeat.",
    "too-many-requests": "instances / heartbeat + clients / period. Which of the two is the larger part?",
    "forgot-refresh": "The lease alone is short enough. After it has run out, a client still needs half a period on "
    "average to hear of it.",
    "too-late": "ttl - heartbeat / 2, until the registry knows, and period / 2 more until the client does.",
    "buried-alive": "A lease with room for k heartbeats runs out when k in a row are lost: about loss**k for each. One "
    "more in the lease makes it rarer by the factor 1 / loss.",
    "whole-multiple": "With a lease of exactly k heartbeats the k-th comes with its end, which is too late. Choose "
    "a lease of k and a bit: 4.3 heartbeats, not 4.",
}


def practice_shop() -> Shop:
    """A shop to try things on; the check has others."""
    return PRACTICE


def formulas(shop: Shop, ttl: float, heartbeat: float, period: float) -> tuple[float, float, float]:
    """Requests/s, mean dead-route time (s) and living instances buried per day."""
    requests = shop.instances / heartbeat + theory.lookup_rate(shop.clients, period)
    late = (theory.lease_window(ttl, heartbeat) + theory.poll_window(period, JITTER)).mean
    in_time = math.ceil(ttl / heartbeat - 0.02) - 1  # that which comes with the end comes too late
    return requests, late, _buried(shop, in_time, heartbeat)


def _buried(shop, in_time, heartbeat):
    return (1 - shop.loss) * shop.loss**in_time / heartbeat * shop.instances * DAY


@exercise("08", 4, "A budget for freshness", limit=45.0)
def check_budget(ask, choose):
    """Let ``choose(shop)`` decide for two shops."""
    for number, shop in enumerate(CHECKED, 1):
        with section(ask):
            _examine(ask, number, shop, choose)


def _examine(ask, number, shop, choose):
    chosen = ask.call(choose, shop, limit=LIMIT)
    wrong = _wrong(chosen)
    ask.need(
        "wrong-type",
        f"shop {number}: choose returns a dict with {', '.join(NAMES)}, each in seconds and above 0",
        not wrong,
        wrong,
        "Does every path through your function end with a return?"
        if chosen is None
        else 'Plain numbers of seconds, in a dict with these keys: {"ttl": …, "heartbeat": …, "period": …}.',
    )
    ttl, heartbeat, period = (float(chosen[name]) for name in NAMES)
    mark = _draw(ask.trace, ttl, heartbeat, period)
    ask.need(
        "heartbeat-above-ttl",
        "… with a heartbeat that comes before the lease ends",
        heartbeat < ttl,
        f"a heartbeat every {heartbeat:g} s, and a lease of {ttl:g} s",
        "The lease of an instance that is well would run out between two heartbeats: it flaps.",
        mark,
    )
    requests, late, buried = formulas(shop, ttl, heartbeat, period)
    within = requests <= shop.requests * 1.001, late <= shop.late * 1.001, buried <= shop.buried * 1.001
    # Only what the formulas accept is worth a simulation, which might take long for strange numbers.
    rate, seen, found = _simulate(shop, ttl, heartbeat, period) if all(within) else (None, None, None)
    code = "too-many-requests" if shop.clients / period > shop.requests else "forgot-heartbeats"
    ask.expect(
        code,
        f"… at most {shop.requests:g} requests/s at the registry",
        within[0] and (rate is None or rate <= ROOM * shop.requests),
        f"{requests:.1f}/s by formula{_told(rate, '/s')}: {shop.instances / heartbeat:.1f} heartbeats and "
        f"{shop.clients / period:.1f} lookups",
        _HINTS[code],
        mark,
    )
    lease = ttl - heartbeat / 2
    code = "forgot-refresh" if lease <= shop.late else "too-late"
    ask.expect(
        code,
        f"… a dead instance is called for {shop.late:g} s at most, on average",
        within[1] and (seen is None or seen <= ROOM * shop.late),
        f"{late:.1f} s by formula{_told(seen, ' s')}: {lease:.1f} s until the lease has run out, {late - lease:.1f} s "
        "until a client asks",
        _HINTS[code],
        mark,
    )
    whole = math.floor(ttl / heartbeat + 0.02)
    code = "whole-multiple" if _buried(shop, whole, heartbeat) <= shop.buried < buried else "buried-alive"
    ask.expect(
        code,
        f"… at most {shop.buried:g} living instances are buried in a day, with {shop.loss:.0%} of the heartbeats lost",
        within[2] and (found is None or found <= shop.buried * 2 + DAY / _hours(shop) * 5),
        f"{buried:.3g} a day by formula{_told(found, ' a day')}: a lease of {ttl / heartbeat:.2g} heartbeats",
        _HINTS[code],
        mark,
    )


def _wrong(chosen):
    """What is wrong with the form of it, in words; "" when nothing is."""
    if not isinstance(chosen, dict):
        return f"it returned {shown(chosen)}"
    for name in NAMES:
        if name not in chosen:
            return f"{name} is missing: it returned {shown(chosen)}"
        value = chosen[name]
        if not isinstance(value, Real) or isinstance(value, bool):
            return f"{name}={shown(value)} must be a number of seconds"
        if not (math.isfinite(value) and value > 0):
            return f"{name}={shown(value)} must be above 0, and finite"
    return ""


def _told(value, unit):
    return "" if value is None else f", {value:.3g}{unit} simulated"


def _hours(shop):
    """How long heartbeats are simulated (seconds): an hour for twenty instances, more for fewer."""
    return 3600.0 * 20 / shop.instances


def _simulate(shop, ttl, heartbeat, period):
    """The same three numbers, from SimPy: the mean of deaths at eight moments, and hours with losses."""
    lease = {"ttl": ttl, "heartbeat": heartbeat, "jitter": JITTER}
    times = []
    for seed in range(8):
        world = Discovery("poll", clients=12, instances=2, rate=0.01, period=period, seed=seed, **lease)
        world.run(2 * ttl + 2 * period + (seed + 0.5) / 8 * heartbeat)
        world.instances["orders-1"].kill()
        times.append(world.run(world.env.now + ttl + 3 * period + 3).dead_route_times("orders-1").mean())
    begin, end = 3 * period, 13 * period
    crowd = Discovery("poll", clients=shop.clients, instances=shop.instances, rate=0.01, period=period, **lease).run(
        end
    )
    asked = sum(begin <= at < end for at in crowd.registry.lookups + crowd.registry.heartbeats)
    quiet = {"clients": 1, "rate": 0.01, "period": 100, "ttl": ttl, "heartbeat": heartbeat}
    seconds = _hours(shop)
    lossy = Discovery("poll", instances=shop.instances, loss=shop.loss, **quiet).run(seconds)
    buried = sum(event.what == "expired" for event in lossy.registry.events)
    return asked / (end - begin), float(np.mean(times)), buried / seconds * DAY


def _draw(trace, ttl, heartbeat, period):
    """A death with these numbers, as a diagram: the id of the last lookup that still finds the dead one."""
    for beat in range(3):
        id = trace.send("orders-1", "registry", "heartbeat", at=beat * heartbeat)
        trace.receive(id, "registry", at=beat * heartbeat + 0.02)
    trace.state("orders-1", "passing", at=0.0)
    trace.state("orders-1", "dead", at=2.6 * heartbeat)
    ends = 2 * heartbeat + ttl
    trace.state("registry", "passing", at=0.02)
    trace.state("registry", "critical", at=ends)
    lookups = [ends + (0.5 - back) * period for back in range(6, -1, -1)]
    mark = id
    for at in lookups:
        if at <= 0:
            continue
        id = trace.send("gateway", "registry", "who is there?", at=at)
        trace.receive(id, "registry", at=at + 0.02)
        mark = id if at < ends else mark
    return mark
