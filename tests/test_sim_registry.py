"""The registry in SimPy: leases, networks that lose and part, and clients that find out in four ways."""

import math
from random import Random
from statistics import mean, stdev

import numpy as np
import pytest
import simpy

from servicelab import theory
from servicelab.leases import Catalog, NeverEvict, SelfPreservation
from servicelab.policies.lookup import Lookup
from servicelab.sim.discovery import Discovery
from servicelab.sim.registry import Instance, Network, Registry

TTL, BEAT = 10.0, 3.0


def registry(env, **settings):
    network = Network(env, settings.pop("delay", 0.001), settings.pop("loss", None))
    return Registry(env, network, **settings)


def looking_up(env, registry, *lookups, **how):
    """Make these lookups one after another; returns the list that their answers go to."""
    found = []

    def client():
        for lookup in lookups:
            found.append((yield from registry.ask(lookup, **how)))

    env.process(client())
    return found


def ids(found):
    return [known.id for known in found.instances]


# -- the registry, one thing at a time --------------------------------------------------------------


def test_registered_renewed_killed_and_found_out_to_the_second():
    env = simpy.Environment()
    here = registry(env)
    one = Instance(env, here, "a", TTL, BEAT)  # beats arrive at 0.001, 3.001, 6.001, …
    env.run(until=7.5)
    one.kill()
    env.run(until=30)
    assert [(round(event.at, 6), event.what) for event in here.events if event.what != "renewed"] == [
        (0.001, "registered"),
        (16.001, "expired"),
    ]
    assert (one.died, one.is_alive) == (7.5, False)


def test_who_leaves_is_gone_after_one_way_of_the_network():
    env = simpy.Environment()
    here = registry(env, delay=0.25)
    one = Instance(env, here, "a", TTL, BEAT)
    env.run(until=5)
    one.leave()
    env.run(until=30)
    assert [(event.at, event.what) for event in here.events if event.what != "renewed"] == [
        (0.25, "registered"),
        (5.25, "deregistered"),
    ]


def test_a_lookup_takes_the_network_twice_and_tells_who_is_well():
    env = simpy.Environment()
    here = registry(env, delay=0.1)
    Instance(env, here, "a", TTL, BEAT)
    sick = Instance(env, here, "b", TTL, BEAT)
    env.run(until=1)
    sick.kill()
    env.run(until=20)
    well = looking_up(env, here, Lookup("orders", 1.0))
    everyone = looking_up(env, here, Lookup("orders", 1.0), passing=False)
    env.run(until=30)
    assert (well[0].status, ids(well[0]), well[0].at) == ("ok", ["a"], pytest.approx(20.1))
    assert dict(everyone[0].instances) == {"a": "passing", "b": "critical"}
    assert here.lookups == [pytest.approx(20.1)] * 2


def test_a_blocking_query_returns_with_the_change_and_not_before():
    env = simpy.Environment()
    here = registry(env, delay=0.1)
    one = Instance(env, here, "a", TTL, BEAT)
    env.run(until=5)
    index = here.catalog.index_of("orders")
    blocked = looking_up(env, here, Lookup("orders", 100.0, index, 60.0))
    other = looking_up(env, here, Lookup("payment", 100.0, here.catalog.index_of("payment"), 60.0))
    times = []

    def clock():
        while not blocked:
            yield env.timeout(0.01)
        times.append(env.now)

    env.process(clock())
    env.run(until=20)
    assert blocked == [] and here.lookups == [pytest.approx(5.1)] * 2
    one.leave()
    env.run(until=21)
    assert times == [pytest.approx(20.2, abs=0.02)], "two ways: the goodbye there, the news back"
    assert ids(blocked[0]) == [] and blocked[0].index > index
    env.run(until=100)
    assert len(other) == 1, "a wait ends without a change, too"


def test_a_wait_that_ends_without_a_change_is_spread_over_a_sixteenth():
    env = simpy.Environment()
    here = registry(env, delay=0.0, rng=Random(3))
    Instance(env, here, "a", 1000.0, 300.0)
    env.run(until=1)
    index, ended = here.catalog.index_of("orders"), []

    def client():
        yield from here.ask(Lookup("orders", 100.0, index, 16.0))
        ended.append(env.now - 1)

    for _ in range(200):
        env.process(client())
    env.run(until=50)
    assert len(ended) == 200 and min(ended) >= 16.0 and max(ended) <= 17.0
    assert max(ended) - min(ended) > 0.9


def test_no_wake_up_is_lost_or_doubled_with_200_waiting():
    env = simpy.Environment()
    here = registry(env)
    Instance(env, here, "a", TTL, BEAT)
    env.run(until=1)
    index, woken = here.catalog.index_of("orders"), []

    def client(number):
        found = yield from here.ask(Lookup("orders", 400.0, index, 300.0))
        woken.append((number, len(found.instances)))

    for number in range(200):
        env.process(client(number))
    env.run(until=2)
    Instance(env, here, "b", TTL, BEAT)
    env.run(until=3)
    assert sorted(woken) == [(number, 2) for number in range(200)]


def test_lost_on_the_way_is_a_timeout_and_behind_a_cut_too():
    env = simpy.Environment()
    here = registry(env)
    here.network.cut("shop", "registry")
    cut = looking_up(env, here, Lookup("orders", 0.5))
    env.run(until=2)
    here.network.heal()
    lossy = registry(env, loss=lambda: True)
    lost = looking_up(env, lossy, Lookup("orders", 0.5))
    env.run(until=4)
    assert [(cut[0].status, cut[0].at), (lost[0].status, lost[0].at)] == [("timeout", 0.5), ("timeout", 2.5)]
    assert here.lookups == lossy.lookups == []


def test_a_crash_ends_waiting_queries_and_refuses_new_ones():
    env = simpy.Environment()
    here = registry(env)
    Instance(env, here, "a", TTL, BEAT)
    env.run(until=1)
    waiting = looking_up(env, here, Lookup("orders", 400.0, here.catalog.index_of("orders"), 300.0))
    env.run(until=2)
    here.crash()
    refused = looking_up(env, here, Lookup("orders", 1.0))
    env.run(until=40)
    assert (waiting[0].status, refused[0].status) == ("lost", "refused")
    assert [event.what for event in here.events if event.what != "renewed"] == ["registered"], "nobody looks"
    here.restart()
    assert here.events[-1].what == "expired", "the leases that nobody could renew"
    env.run(until=50)
    assert here.catalog.instances("orders", passing=True), "the next heartbeat"


def test_an_empty_registry_is_filled_by_the_next_heartbeats_and_its_index_begins_anew():
    env = simpy.Environment()
    here = registry(env)
    Instance(env, here, "a", TTL, BEAT)
    for _ in range(3):
        Instance(env, here, "b", TTL, BEAT, service="other")
    env.run(until=10)
    before = here.catalog.index_of("orders")
    here.crash()
    here.restart(Catalog())
    assert here.catalog.instances("orders") == [] and here.catalog.index < before
    env.run(until=10 + BEAT + 0.1)
    assert len(here.catalog.instances("orders", passing=True)) == 1


def test_who_flaps_expires_and_returns():
    env = simpy.Environment()
    here = registry(env)
    Instance(env, here, "a", 2.0, 0.6).flap(5.0, 5.0)
    env.run(until=41)
    what = [event.what for event in here.events if event.what != "renewed"]
    assert what == ["registered", *["expired", "status"] * 4]


# -- a shop of clients: the four ways ----------------------------------------------------------------


def dead_routes(how, runs=40, **settings):
    """The mean dead-route time of each of so many shops, the instance killed at a time that no phase knows."""
    found, failed, when = [], [], Random(17)
    for seed in range(runs):
        at = 30 + 10 * when.random()
        shop = Discovery(how, seed=seed, ttl=TTL, heartbeat=BEAT, **{"clients": 5, "rate": 2.0, **settings}).run(at)
        shop.instances["orders-1"].kill()
        shop.run(at + 40)
        found.append(shop.dead_route_times("orders-1").mean())
        failed.append(shop.failed_calls(at))
    return found, failed


WAYS = {
    "lease": theory.lease_window(TTL, BEAT) + theory.cache_window(0.0, 2.0) + theory.watch_window(0.001),
    "watch": theory.lease_window(TTL, BEAT) + theory.watch_window(0.002),
    "poll": theory.lease_window(TTL, BEAT) + theory.poll_window(5.0, 0.2),
    "dns": theory.lease_window(TTL, BEAT) + theory.cache_window(5.0, 2.0),
}


@pytest.mark.parametrize("how", WAYS)
def test_dead_route_times_are_those_of_the_formula(how):
    found, _ = dead_routes(how)
    error = stdev(found) / math.sqrt(len(found))
    assert abs(mean(found) - WAYS[how].mean) < 5 * error
    assert error < 0.35, "or the band would hold anything"
    assert min(found) >= WAYS[how].least - 0.01


@pytest.mark.parametrize("how", ["watch", "poll"])
def test_failed_calls_are_rate_times_share_times_dead_route_time(how):
    found, failed = dead_routes(how)
    # Five clients of 2 calls/s, four instances; given the dead-route times the number of failures is Poisson.
    expected = [theory.failed_calls(10.0, 1 / 4, seconds) for seconds in found]
    assert abs(sum(failed) - sum(expected)) < 5 * math.sqrt(sum(expected))


def test_who_asks_faster_knows_sooner_and_pays_for_it():
    """The knee: staleness falls as period / 2, the price grows as clients / period."""
    prices, stale = [], []
    for period in (1.0, 4.0):
        stale.append(mean(dead_routes("poll", runs=20, clients=2, period=period)[0]))
        shop = Discovery("poll", clients=40, rate=0.01, period=period, seed=1).run(200)
        prices.append(len([at for at in shop.registry.lookups if at > 50]) / 150)
        assert prices[-1] == pytest.approx(theory.lookup_rate(40, period), rel=0.05)
    assert stale[0] < stale[1]


@pytest.mark.parametrize("how", WAYS)
def test_a_graceful_leave_saves_the_lease(how):
    shop = Discovery(how, clients=10, rate=5.0, period=3.0, seed=2).run(40)
    shop.instances["orders-1"].leave()
    times = shop.run(60).dead_route_times("orders-1")
    assert times.max() < {"lease": 2.0, "watch": 0.01, "poll": 3.7, "dns": 5.0}[how]


def test_a_living_lease_is_lost_as_often_as_the_formula_says():
    shop = Discovery("watch", ttl=TTL, heartbeat=BEAT, loss=0.3, clients=1, instances=50, rate=0.001, seed=3).run(2000)
    expired = sum(event.what == "expired" for event in shop.registry.events)
    expected = theory.false_expiries(0.3, TTL, BEAT) * 50 * 2000
    assert abs(expired - expected) < 5 * math.sqrt(expected)


def test_clients_in_step_are_a_herd_and_jitter_ends_it():
    peaks = {}
    for jitter in (0, 0.2):
        shop = Discovery("poll", clients=200, rate=0.01, period=10.0, jitter=jitter, seed=4).run(100)
        at, rate = shop.lookup_rate(0.1)
        peaks[jitter] = rate[at > 50].max()
        assert rate[at > 50].mean() == pytest.approx(20.0, rel=0.05), "the price is the same"
    assert peaks[0] == 2000.0, "all in one bin"
    assert peaks[0.2] < 200.0


def test_clients_begin_spread_over_a_period_and_together_without_jitter():
    """Or the caches of all DNS clients would end at the same time, for ever."""
    for jitter, least, most in ((0.2, 5.0, 11.0), (0, 0.0, 1.0)):
        shop = Discovery("dns", clients=50, rate=20.0, period=10.0, jitter=jitter, seed=4).run(15)
        first = [client.heard[0][0] for client in shop.clients]
        assert least <= max(first) - min(first) <= most


def test_a_herd_overruns_a_registry_that_could_serve_it_spread():
    """400 clients every 10 s are 40 lookups/s; the registry can do 200/s, and yet half of the herd time out."""
    late = {}
    for jitter in (0, 0.2):
        shop = Discovery("poll", clients=400, rate=0.01, period=10.0, jitter=jitter, answers=200.0, seed=4).run(55)
        ages = [client.cache.view("orders", 55.0).age for client in shop.clients]
        late[jitter] = mean(age is None or age > 12.5 for age in ages)
    assert late[0] > 0.3 and late[0.2] < 0.02, "and it is always the same half"


# -- partition, outage --------------------------------------------------------------------------------


def partition(eviction=None, panic=None, sides=("west",), **settings):
    """Cut the instances of the west off the registry while all clients reach both."""
    shop = Discovery(
        "watch", sides=sides, askers=("east",), clients=10, instances=8, rate=20.0, period=10.0, capacity=40.0,
        eviction=eviction, panic=panic, seed=5, **settings,
    ).run(60)  # fmt: skip
    assert shop.usable(40) > 0.98
    shop.network.cut("west", "registry")
    shop.run(120)
    return shop


def preserving():
    return SelfPreservation(Random(1), renewal_interval=TTL / 3.3, window=20.0, interval=10.0)


def test_to_evict_everybody_is_worse_than_to_tell_what_is_stale():
    usable = {
        "eviction": partition().usable(100),
        "self-preservation": partition(preserving()).usable(100),
        "panic": partition(panic=0.5).usable(100),
        "never": partition(NeverEvict()).usable(100),
    }
    assert usable["eviction"] == 0.0
    assert usable["self-preservation"] > 0.9 and usable["panic"] > 0.98 and usable["never"] > 0.98


def test_half_the_shop_cut_off_overloads_the_other_half():
    half = ("east", "west")
    evicting, panicking = partition(sides=half), partition(panic=0.6, sides=half)
    assert evicting.calls(100)["rejected"] > 10 * max(1, panicking.calls(100)["rejected"])
    assert panicking.usable(100) > 0.98 > 0.9 > evicting.usable(100)
    evicting.network.heal()
    assert evicting.run(160).usable(140) > 0.98


def test_what_preserving_costs_the_really_dead_stay():
    for shop in (partition(preserving()), partition(NeverEvict())):
        routes = shop.clients[0].routes
        shop.instances[routes[0]].kill()
        shop.run(180)
        assert shop.clients[0].routes == routes
        share = 1 / len(routes)
        assert shop.calls(140)["refused"] / shop.calls(140).total() == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("how", ["poll", "dns", "watch"])
def test_last_known_good_keeps_the_shop_open_and_without_it_closes(how):
    for keep, usable in ((None, 1.0), (0.0, 0.0)):
        shop = Discovery(how, clients=5, rate=4.0, period=4.0, keep=keep, seed=6).run(30)
        shop.registry.crash()
        shop.run(60)
        assert shop.usable(45) == usable
        assert set(shop.calls(45)) == ({"ok"} if usable else {"nobody"})
        shop.registry.restart()
        assert shop.run(90).usable(80) == 1.0


def test_last_known_good_may_be_too_old():
    shop = Discovery("poll", clients=5, rate=4.0, period=4.0, keep=20.0, seed=6).run(30)
    shop.registry.crash()
    shop.run(60)
    assert shop.usable(31, 45) == 1.0 and shop.usable(52) == 0.0


def test_a_watch_survives_a_registry_that_forgot_everything():
    shop = Discovery("watch", clients=5, rate=4.0, period=60.0, seed=7).run(30)
    shop.registry.crash()
    shop.registry.restart(Catalog())
    shop.run(60)
    assert shop.usable(45) == 1.0 and all(len(client.routes) == 4 for client in shop.clients)


# -- the vocabulary -----------------------------------------------------------------------------------


def test_the_same_seed_is_the_same_run_and_a_way_changes_no_other_draw():
    runs = [Discovery("poll", seed=8, loss=0.1).run(50).registry.lookups for _ in range(2)]
    assert runs[0] == runs[1]
    calls = [sorted(at for at, *_ in Discovery(how, clients=2, seed=8).run(30).clients[0].calls) for how in WAYS]
    assert all(times[:200] == calls[0][:200] for times in calls)


def test_the_outcome_is_a_table():
    shop = Discovery("watch", clients=2, rate=5.0, seed=9).run(20)
    assert shop.table().rows[0][0] == "ok" and "calls, watch" in str(shop.table())
    at, share = shop.course()
    assert len(at) == len(share) == 20 and np.isnan(share[0]) and share[-1] == 1.0


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"how": "gossip"}, "how='gossip' must be one of lease, watch, poll, dns"),
        ({"clients": 0}, "clients=0 must be a whole number >= 1"),
        ({"heartbeat": 0.0}, "period=0.0 must be > 0 seconds"),
        ({"delay": -1}, "delay=-1 must be >= 0 seconds"),
        ({"panic": 2}, "threshold=2 must be a share"),
    ],
)
def test_misuse_is_refused_with_the_mend(settings, text):
    with pytest.raises(ValueError, match=text):
        Discovery(**settings)


def test_how_long_a_living_instance_was_dead_is_not_asked():
    with pytest.raises(ValueError, match="'orders-1' is alive: kill"):
        Discovery().run(10).dead_route_times("orders-1")
