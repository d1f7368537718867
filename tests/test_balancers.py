"""Balancers that remember: least time, weights and slow start, ring, ejection, subsets; on sockets and in SimPy."""

from collections import Counter
from functools import partial
from math import inf
from random import Random

import pytest
import simpy

from servicelab.clients import Balanced
from servicelab.policies import (
    HashRing,
    LeastOutstanding,
    LeastTime,
    OutlierEjection,
    PowerOfTwo,
    RandomChoice,
    RoundRobin,
    SlowStart,
    Weighted,
    subset,
)
from servicelab.policies.balancer import driven
from servicelab.sim import Balancer, Draws, Service, users

NAMES = [f"orders-{n}" for n in range(10)]


def share_in_simpy(balancer, callers=20, n=10, fast=0.005, usual=0.1):
    """Share of the calls that go to server 0, which fails in 5 ms where the others work for 100 (exponential)."""
    env, draws = simpy.Environment(), Draws(1)
    laws = [fast] + [draws.exponential(f"work {i}", usual) for i in range(1, n)]
    counts = [0] * n

    class Counted(Service):
        def call(self, message):
            counts[int(self.name)] += 1
            return (yield from super().call(message))

    places = [Counted(env, f"{i}", laws[i], workers=200, fails=(lambda: True) if i == 0 else None) for i in range(n)]
    users(env, callers, 1e-6, Balancer(env, places, balancer), count=4000)
    env.run()
    return counts[0] / sum(counts)


@pytest.mark.parametrize(
    "make, low, high",
    [
        (RoundRobin, 0.09, 0.11),
        (lambda: PowerOfTwo(Random(1)), 0.1, 0.21),
        (lambda: LeastOutstanding(Random(1)), 0.62, 0.74),  # (1/f) / (1/f + (n-1)/S) is 0.690
        (lambda: LeastTime(Random(1)), 0.0, 0.06),
        (lambda: OutlierEjection(LeastOutstanding(Random(1))), 0.0, 0.02),
    ],
)
def test_the_black_hole_draws_what_each_law_lets_it(make, low, high):
    assert low <= share_in_simpy(make()) <= high


# -- how a driver asks --------------------------------------------------------------------------


def test_a_driver_gives_each_what_it_wants_to_know_and_no_more():
    class Curious:
        def __init__(self):
            self.seen = []

        def pick(self, outstanding, key, now):
            self.seen.append((list(outstanding), key, now))
            return 0

        def heard(self, *what):
            self.seen.append(what)

    curious = Curious()
    pick, heard = driven(curious)
    assert pick([0, 1], 3.0, "ann") == 0
    heard(0, 0.5, True, 3.5)
    assert curious.seen == [([0, 1], "ann", 3.0), (0, 0.5, True, 3.5)]
    pick, heard = driven(RoundRobin())
    assert pick([0, 0], 1.0, None) == 0 and heard(0, 0.1, True, 1.1) is None


def test_who_cannot_pick_is_no_balancer():
    with pytest.raises(TypeError, match="pick='random' cannot pick"):
        driven("random")


def test_on_sockets_calls_are_counted_and_their_ends_told():
    told = []

    class Told(RoundRobin):
        def heard(self, *what):
            told.append(what)

    clock = iter(range(100))
    asks = [lambda timeout, number: ("ok", timeout), lambda timeout, number: ("error", None)]
    one = Balanced(asks, Told(), clock=lambda: next(clock))
    assert one.call(0.5) == ("ok", 0.5, 0) and one.call() == ("error", None, 1)
    assert told == [(0, 1, True, 1), (1, 1, False, 3)] and one.calls == [1, 1] and one.outstanding == [0, 0]


def test_a_call_that_raises_is_over_and_no_success():
    ends = []

    class Told(RoundRobin):
        def heard(self, index, took, ok, now):
            ends.append(ok)

    one = Balanced([lambda timeout, number: 1 / 0], Told())
    with pytest.raises(ZeroDivisionError):
        one.call()
    assert one.outstanding == [0] and ends == [False]


@pytest.mark.parametrize("asks, error", [([], ValueError), (["http://127.0.0.1"], TypeError)])
def test_what_cannot_be_called_is_refused(asks, error):
    with pytest.raises(error, match="ask"):
        Balanced(asks, RoundRobin())


# -- least time ---------------------------------------------------------------------------------


def test_a_slower_answer_is_believed_at_once_and_forgotten_slowly():
    law = LeastTime(Random(1), memory=10)
    law.heard(0, 0.1, True, 0.0)
    law.heard(0, 2.0, True, 1.0)
    assert law.usual(0) == 2.0
    law.heard(0, 0.1, True, 2.0)
    assert 1.5 < law.usual(0) < 2.0  # one second of ten
    law.heard(0, 0.1, True, 102.0)
    assert law.usual(0) == pytest.approx(0.1, rel=0.01)


def test_a_quick_failure_is_slow():
    law = LeastTime(Random(1), penalty=1.0)
    law.heard(0, 0.005, False, 0.0)
    law.heard(1, 0.1, True, 0.0)
    assert {law.pick([0, 5]) for _ in range(20)} == {1}


def test_who_was_never_heard_of_is_tried():
    law = LeastTime(Random(1))
    law.heard(0, 0.1, True, 0.0)
    assert {law.pick([0, 9]) for _ in range(20)} == {1}


# -- weights ------------------------------------------------------------------------------------


def test_weights_are_kept_to_the_call_and_spread():
    law = Weighted([5, 1, 1])
    assert [law.pick([0, 0, 0]) for _ in range(7)] == [0, 0, 1, 0, 2, 0, 0]
    assert 1 not in [Weighted([1, 0]).pick([0, 0]) for _ in range(5)]


def test_a_new_server_comes_into_its_share_slowly():
    law = SlowStart([1, 1], window=10)
    assert Counter(law.pick([0, 0], 0.0) for _ in range(100))[1] == 50
    law.joined(1, 100.0)
    early = Counter(law.pick([0, 0], 100.0) for _ in range(110))[1]
    half = Counter(law.pick([0, 0], 105.0) for _ in range(150))[1]
    late = Counter(law.pick([0, 0], 111.0) for _ in range(100))[1]
    assert early == pytest.approx(10, abs=1) and half == pytest.approx(50, abs=2) and late == pytest.approx(50, abs=2)


# -- ring ---------------------------------------------------------------------------------------


def moved(before, after, keys=4000):
    return sum(before.name_of(key) != after.name_of(key) for key in range(keys)) / keys


def test_only_the_share_of_the_new_one_moves_and_only_to_it():
    ten, eleven = HashRing(NAMES), HashRing([*NAMES, "new"])
    assert 0.06 < moved(ten, eleven) < 0.13  # 1/11
    assert {eleven.name_of(key) for key in range(4000) if ten.name_of(key) != eleven.name_of(key)} == {"new"}


def test_a_ring_knows_names_not_places_in_a_list():
    assert moved(HashRing(NAMES), HashRing(NAMES[::-1])) == 0


def test_pick_is_the_key_s_own_server_and_passes_over_one_that_is_out():
    ring = HashRing(NAMES)
    own, second, *_ = ring.order("ann")
    assert ring.names[own] == ring.name_of("ann") and ring.pick([0] * 10, key="ann") == own
    busy = [0] * 10
    busy[own] = inf
    assert ring.pick(busy, key="ann") == second


@pytest.mark.parametrize("bound", [1.1, 1.25, 1.5])
def test_nobody_has_more_than_the_bound_of_the_mean(bound):
    ring, load = HashRing(NAMES, bound=bound), [0] * 10
    for _ in range(2000):
        load[ring.pick(load, key="everybody's darling")] += 1
    assert max(load) <= bound * 200 + 1 and sum(load) == 2000


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: HashRing([]),
        lambda: HashRing(["a", "a"]),
        lambda: HashRing(NAMES, bound=1.0),
        lambda: HashRing(NAMES).pick([0] * 9, key="ann"),
        lambda: HashRing(NAMES).pick([0] * 10),
        lambda: Weighted([0, 0]),
        lambda: Weighted([1, 1]).pick([0]),
        lambda: Weighted([1, -1]),
        lambda: SlowStart([1], window=0),
        lambda: LeastTime(Random(1), penalty=0),
        lambda: OutlierEjection(RoundRobin(), failures=0),
        lambda: OutlierEjection(RoundRobin(), max_share=1.2),
        lambda: subset(0, NAMES, 11),
        lambda: subset(-1, NAMES, 2),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_its_name(wrong):
    with pytest.raises(ValueError, match=r"\w+.*=.* must |key=None"):
        wrong()


# -- ejection -----------------------------------------------------------------------------------


def fail(law, index, times, now=0.0):
    for _ in range(times):
        law.heard(index, 0.01, False, now)


def test_so_many_failures_in_a_row_eject_for_so_long_and_then_longer():
    law = OutlierEjection(RoundRobin(), failures=3, ejection=30, max_share=0.5)
    law.pick([0] * 4)
    fail(law, 2, 2)
    law.heard(2, 0.01, True, 0.0)
    fail(law, 2, 2)
    assert law.ejected(0.0) == set()
    fail(law, 2, 1)
    assert law.ejected(29.9) == {2} and law.ejected(30.1) == set()
    assert 2 not in [law.pick([0] * 4, 1.0) for _ in range(20)]
    fail(law, 2, 3, now=40.0)
    assert law.ejected(99.9) == {2} and law.ejected(100.1) == set()


@pytest.mark.parametrize(
    "n, share, most", [(10, 0.5, 5), (10, 0.1, 1), (9, 0.1, 0), (4, 1.0, 3), (10, 0.3, 3), (1, 1.0, 0)]
)
def test_when_all_fail_the_shop_stays_open(n, share, most):
    law = OutlierEjection(RoundRobin(), max_share=share)
    law.pick([0] * n)
    for index in range(n):
        fail(law, index, 9)
    assert len(law.ejected(1.0)) == most
    assert 0 <= law.pick([0] * n, 1.0) < n


@pytest.mark.parametrize(
    "inner",
    [
        RoundRobin,
        partial(RandomChoice, Random(1)),
        partial(LeastOutstanding, Random(1)),
        partial(PowerOfTwo, Random(1)),
        partial(LeastTime, Random(1)),
        partial(Weighted, [1] * 6),
        partial(HashRing, NAMES[:6], bound=1.25),
    ],
)
def test_whoever_is_inside_an_ejected_server_is_not_asked(inner):
    law = OutlierEjection(inner(), max_share=0.5)
    pick, heard = driven(law)
    pick([0] * 6, 0.0, "ann")
    for index in (0, 3, 4):
        fail(law, index, 5)
    assert law.ejected(1.0) == {0, 3, 4}
    assert {pick([2, 9, 9, 0, 1, 9], 1.0, key) for key in range(60)} <= {1, 2, 5}


# -- subsets ------------------------------------------------------------------------------------


@pytest.mark.parametrize("clients, low, high", [(300, 10, 10), (290, 9, 10)])
def test_a_subset_is_fair_to_the_servers(clients, low, high):
    counts = Counter(server for client in range(clients) for server in subset(client, range(300), 10))
    assert {counts[server] for server in range(300)} == set(range(low, high + 1))


def test_a_client_knows_each_server_once_and_is_told_the_same_again():
    for client in range(40):
        mine = subset(client, NAMES, 3)
        assert len(set(mine)) == 3 and mine == subset(client, NAMES, 3)
