"""The numbers of chapter 07: copies, stampedes, limits and the slowest of several, each in its band."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from random import Random

import numpy as np
import pytest
import simpy
from cachetools import LRUCache

from servicelab import theory
from servicelab.clients import Copies
from servicelab.policies import Coalesce, Expire, FetchEarly, SlidingWindow, TokenBucket
from servicelab.policies.expiry import FETCH, JOIN, SERVE, Copy
from servicelab.sim.gateway import OWN, REFUSED, WRONG, flood
from servicelab.views.demos.gateway import LIMITS, Door
from tests.cells import code_of, needed, notebook_of, run
from tests.waiting import wait_until

CODE = code_of(notebook_of("07"))


# -- closed forms -------------------------------------------------------------------------------


@pytest.mark.parametrize("size, hits", [(10, 0.2095), (50, 0.4610), (100, 0.5765), (200, 0.6974), (500, 0.8675)])
def test_che_says_what_a_least_recently_used_cache_finds(size, hits):
    shares = theory.zipf(1000)
    assert theory.lru_hits(shares, size) == pytest.approx(hits, abs=5e-5)
    kept, found, calls = LRUCache(size), 0, 60_000
    for number, page in enumerate(np.random.default_rng(size).choice(1000, calls, p=shares)):
        found += page in kept and number >= calls // 4
        kept[page] = True
    assert found / (calls * 3 / 4) == pytest.approx(hits, abs=0.015)


def test_a_cache_with_room_for_all_finds_all_and_uniform_wishes_find_their_share():
    assert theory.lru_hits(theory.zipf(10), 10) == theory.lru_hits([1.0, 0.0], 1) == 1
    assert theory.lru_hits(theory.zipf(1000, 0), 100) == pytest.approx(0.1, abs=1e-6)


@pytest.mark.parametrize("ttl, hits", [(1, 0.4266), (5, 0.6308), (10, 0.7148), (60, 0.8919), (0, 0)])
def test_a_cache_by_age(ttl, hits):
    assert theory.ttl_hits(theory.zipf(1000), 100, ttl) == pytest.approx(hits, abs=5e-5)


def test_stampede_slowest_and_bucket_by_hand():
    assert theory.stampede(10, 3) == 31 and theory.stampede(0, 3) == 1
    assert [theory.slowest(n) for n in (1, 2, 4)] == pytest.approx([1, 1.5, 25 / 12])
    times = np.random.default_rng(1).exponential(1, (40_000, 8)).max(axis=1).mean()
    assert times == pytest.approx(theory.slowest(8), rel=0.02)
    assert theory.most_admitted(10, 5, 0.1) == 6 and theory.most_admitted(10, 5, 5) == 55


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: theory.zipf(0), "n=0"),
        (lambda: theory.zipf(3, -1), "s=-1"),
        (lambda: theory.lru_hits([0.5, 0.6], 1), "not 1.1"),
        (lambda: theory.lru_hits([1.5, -0.5], 1), "shares >= 0"),
        (lambda: theory.lru_hits([1.0], 0), "size=0"),
        (lambda: theory.ttl_hits([1.0], -1, 1), "lam=-1"),
        (lambda: theory.stampede(1, -1), "cost=-1"),
        (lambda: theory.slowest(0), "n=0"),
        (lambda: theory.most_admitted(0, 1, 1), "rate=0"),
        (lambda: FetchEarly(Random(1), beta=0), "beta=0"),
        (lambda: FetchEarly(7), "rng=7"),
        (lambda: Copies(Expire(), ttl=0), "ttl=0"),
        (lambda: flood([None], [None], 1, 1, key="name"), "key='name'"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong, said):
    with pytest.raises((TypeError, ValueError), match=said):
        wrong()


# -- what to do with a copy ---------------------------------------------------------------------

FRESH, OLD = Copy("page", until=10.0, cost=1.0), Copy("page", until=5.0, cost=1.0)


@pytest.mark.parametrize(
    ("policy", "copy", "fetching", "do"),
    [
        (Expire(), FRESH, False, SERVE),
        (Expire(), OLD, True, FETCH),
        (Expire(), None, True, FETCH),
        (Coalesce(), FRESH, True, SERVE),
        (Coalesce(), OLD, False, FETCH),
        (Coalesce(), OLD, True, JOIN),
        (Coalesce(), None, True, JOIN),
        (FetchEarly(Random(1), inner=Coalesce()), None, True, JOIN),
    ],
)
def test_a_policy_decides(policy, copy, fetching, do):
    assert policy.decide(5.0, copy, fetching) == do


@pytest.mark.parametrize(("left", "beta"), [(1, 1.0), (2, 1.0), (1, 2.0)])
def test_an_early_fetch_has_the_probability_of_the_paper(left, beta):
    law = FetchEarly(Random(3), beta)
    early = [law.decide(10.0 - left, FRESH, False) == FETCH for _ in range(20_000)]
    assert np.mean(early) == pytest.approx(np.exp(-left / beta), abs=0.015)


def test_the_chapters_simulation_meets_the_formula():
    one_page = run(CODE, needed(CODE, "g-old-sim"))["one_page"]
    for rate in (10, 50):
        fetched, waited = one_page(Expire(), rate)
        assert fetched == waited == pytest.approx(theory.stampede(rate, 0.2), rel=0.15)
    fetched, waited = one_page(Coalesce(), 50)
    assert fetched == pytest.approx(1, abs=0.1) and waited > 6
    assert one_page(FetchEarly(Random(1)), 50)[1] < 5


# -- copies behind threads ----------------------------------------------------------------------


def at_once(copies, fetch, n=20):
    """What ``n`` threads get that all come while the first fetch is under way."""
    waiting, go_on = Counter(), threading.Event()

    def slow():
        go_on.wait(20)
        return fetch()

    def get():
        waiting.update(["come"])
        try:
            return copies.get("page", slow)
        except OSError as error:
            return error

    with ThreadPoolExecutor(n) as crowd:
        answers = [crowd.submit(get) for _ in range(n)]
        wait_until(lambda: waiting["come"] == n)
        wait_until(lambda: copies.fetches == (n if type(copies.policy) is Expire else 1))
        go_on.set()
        return [one.result() for one in answers]


@pytest.mark.parametrize(("policy", "fetches"), [(Expire(), 20), (Coalesce(), 1)])
def test_twenty_at_once_fetch_as_the_policy_says(policy, fetches):
    copies = Copies(policy, ttl=1000)
    assert at_once(copies, lambda: "fine") == ["fine"] * 20 and copies.fetches == fetches
    assert copies.get("page", lambda: "newer") == "fine" and copies.fetches == fetches


def test_a_failure_goes_to_those_who_wait_and_to_nobody_later():
    copies = Copies(Coalesce(), ttl=1000)

    def fail():
        raise OSError("down")

    answers = at_once(copies, fail)
    assert {str(one) for one in answers} <= {"down"} and copies.fetches >= 1
    assert copies.get("page", lambda: "well again") == "well again"


def test_a_copy_is_fresh_for_its_time_and_the_store_may_be_small():
    clock = iter(range(0, 1000, 4))
    copies = Copies(Expire(), ttl=10, store=LRUCache(2), clock=lambda: next(clock))
    values = iter("abcdefgh")
    got = [copies.get(key, lambda: next(values)) for key in (1, 1, 1, 1, 2, 3, 1)]
    assert got == ["a", "a", "a", "b", "c", "d", "e"]


# -- limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [0.1, 1.0, 5.0])
def test_a_bucket_lets_at_most_r_w_plus_b_through_in_any_window_in_simpy_too(window):
    env, law, passed = simpy.Environment(), TokenBucket(10, burst=5), []

    def flooding():
        while True:
            yield env.timeout(0.001)
            if law.admit(env.now):
                passed.append(env.now)

    env.process(flooding())
    env.run(until=12)
    moments = np.array(passed)
    most = max(np.searchsorted(moments, now + window - 1e-9) - i for i, now in enumerate(moments))
    assert most in (int(10 * window + 5 - 1e-9), round(10 * window + 5))


def test_the_recipe_never_lets_in_who_does_not_pause_and_a_fixed_window_lets_twice_as_many_through():
    world = run(CODE, needed(CODE, "g-much-run"))
    assert world["at_border"] == {"fixed window": 20, "sliding window": 10, "token bucket": 10, "the recipe": 10}
    assert world["in_a_minute"]["the recipe"] == 10
    assert min(n for name, n in world["in_a_minute"].items() if name != "the recipe") >= 590
    pausing = world["Recipe"](10)
    assert all(pausing.admit(now) for now in np.arange(0, 20, 0.101))
    law = SlidingWindow(10, 1.0)
    assert sum(law.admit(now) for now in np.arange(0, 20, 0.05)) >= 190


# -- a flood at the gateways --------------------------------------------------------------------


def test_keys_rules_limits_and_gateways_do_what_the_panel_shows():
    def behind(policies, limits, **more):
        seen = flood(policies, limits, 300, 10, **more)
        assert sum(seen.became.values()) == len(seen.front)
        return len(seen.behind) / 10, seen.became

    nothing_kept, _ = behind([None], [None])
    plain, became = behind([Expire()], [None])
    assert nothing_kept == pytest.approx(300, rel=0.05) and plain < 0.6 * nothing_kept
    assert became[WRONG] == became[REFUSED] == 0
    assert behind([Expire()], [None], key="path")[1][WRONG] > 300
    assert behind([Coalesce()], [None])[0] < plain < behind([Expire()] * 4, [None] * 4)[0]
    each, shared = [TokenBucket(30, 20) for _ in range(3)], [TokenBucket(30, 20)] * 3
    assert behind([None] * 3, each)[0] == pytest.approx(3 * 32, rel=0.03)
    per_second, became = behind([None] * 3, shared)
    assert per_second == pytest.approx(32, rel=0.03) and became[OWN] == pytest.approx(320, rel=0.03)


def test_the_panel_opens_on_the_mixed_up_baskets_and_can_be_mended():
    panel = Door(seed=1)
    try:
        assert " 0 customers" not in panel.alt
        panel.set(key="by path, baskets never", limit=LIMITS[2])
        assert "and 0 customers saw another's basket" in panel.alt
    finally:
        panel.close()
