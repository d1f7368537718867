"""The simulated queue against the recursion, against Little's law and against theory.

The tolerances are those of the design: each was failed for under 0.15% of seeds by a correct simulator.
"""

import numpy as np
import pytest
import simpy

from servicelab import theory
from servicelab.policies import PowerOfTwo, RandomChoice
from servicelab.sim import Balancer, Draws, Service, free_at, lindley, poisson, replay, users


def simulated(load, workers, count, seed=1):
    """Journeys through one service with mean work of 1 s, and the arrays that the recursion needs."""
    env, draws = simpy.Environment(), Draws(seed)
    service = Service(env, "orders", draws.exponential("work", 1.0), workers=workers)
    journeys = poisson(env, load * workers, service, draws, count=count)
    env.run()
    assert service.free == workers and not service.waiting
    fresh = Draws(seed)
    arrivals = np.cumsum(fresh.exponential("arrivals", 1 / (load * workers)).sample(count))
    return journeys, arrivals, fresh.exponential("work", 1.0).sample(count)


@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize("load", [0.5, 0.95, 1.2])
def test_the_exact_trajectory_is_that_of_the_recursion(workers, load):
    journeys, arrivals, services = simulated(load, workers, 20_000)
    starts = free_at(arrivals, services, workers)
    assert np.abs(journeys.due - arrivals).max() < 1e-9
    assert np.abs(journeys.end - (starts + services)).max() < 1e-9
    if workers == 1:
        assert np.abs(journeys.latency - services - lindley(arrivals, services)).max() < 1e-9


def test_the_recursion_by_hand():
    arrivals, services = [1.0, 2.0, 3.0, 10.0], [3.0, 1.0, 2.0, 1.0]
    assert lindley(arrivals, services).tolist() == [0.0, 2.0, 2.0, 0.0]
    assert free_at(arrivals, services, 1).tolist() == [1.0, 4.0, 5.0, 10.0]
    assert free_at(arrivals, services, 2).tolist() == [1.0, 2.0, 3.0, 10.0]
    assert free_at([-5.0, -5.0, -4.5], [1.0, 2.0, 1.0], 2).tolist() == [-5.0, -5.0, -4.0]
    assert lindley([], []).tolist() == [] == free_at([], [], 3).tolist()


def test_the_recursion_leaves_its_arguments_alone_and_equals_the_plain_loop():
    rng = np.random.default_rng(2)
    arrivals, services = np.cumsum(rng.exponential(1.0, 5000)), rng.exponential(0.9, 5000)
    before = arrivals.copy(), services.copy()
    wait, waits = 0.0, [0.0]
    for gap, service in zip(np.diff(arrivals), services):
        wait = max(0.0, wait + service - gap)
        waits.append(wait)
    assert np.abs(lindley(arrivals, services) - waits).max() < 1e-9
    assert np.abs(free_at(arrivals, services, 1) - arrivals - waits).max() < 1e-9
    assert (arrivals == before[0]).all() and (services == before[1]).all()


class Counted:
    """A place around a place, which integrates over time the number of calls inside it."""

    def __init__(self, env, to):
        self.env, self.to, self.inside, self.area, self.since = env, to, 0, 0.0, 0.0

    def call(self, message):
        self.change(+1)
        status = yield from self.to.call(message)
        self.change(-1)
        return status

    def change(self, by):
        self.area += self.inside * (self.env.now - self.since)
        self.since, self.inside = self.env.now, self.inside + by


@pytest.mark.parametrize("bound", [None, 900.0])
def test_littles_law_on_a_finite_path(bound):
    env, draws = simpy.Environment(), Draws(4)
    counted = Counted(env, Service(env, "orders", draws.exponential("work", 1.0), workers=2))
    journeys = poisson(env, 1.8, counted, draws, count=2000)
    env.run(until=bound)
    counted.change(0)
    assert (journeys.unfinished > 0) == (bound is not None)
    assert counted.area == pytest.approx(journeys.waited(env.now).sum(), rel=1e-9)


@pytest.mark.parametrize("workers", [1, 3])
def test_simpy_agrees_with_theory_at_half_load(workers):
    journeys, _, _ = simulated(0.5, workers, 100_000)
    assert journeys.latency.mean() == pytest.approx(theory.mmc_time(0.5 * workers, 1.0, workers), rel=0.05)
    assert journeys.counts() == {"ok": 100_000}


@pytest.mark.parametrize("load", [0.8, 0.9])
def test_the_recursion_agrees_with_theory_at_high_load(load):
    draws, n = Draws(1), 1_000_000
    arrivals = np.cumsum(draws.exponential("arrivals", 1 / load).sample(n))
    waits = lindley(arrivals, draws.exponential("work", 1.0).sample(n))
    assert waits.mean() == pytest.approx(theory.mm1_wait(load, 1.0), rel=0.05)


def test_the_recursion_agrees_with_erlang_c():
    draws, n = Draws(1), 1_000_000
    arrivals = np.cumsum(draws.exponential("arrivals", 1 / 4.0).sample(n))
    starts = free_at(arrivals, draws.exponential("work", 1.0).sample(n), 5)
    assert (starts - arrivals).mean() == pytest.approx(theory.mmc_wait(4.0, 1.0, 5), rel=0.05)
    assert (starts > arrivals + 1e-9).mean() == pytest.approx(theory.erlang_c(5, 4.0), rel=0.05)


def test_two_choices_make_the_supermarket():
    def mean_time(pick, servers=200, load=0.9, count=60_000):
        env, draws = simpy.Environment(), Draws(1)
        services = [Service(env, f"till {n}", draws.exponential(f"work {n}", 1.0)) for n in range(servers)]
        balancer = Balancer(env, services, pick(draws.rng("pick")))
        journeys = poisson(env, load * servers, balancer, draws, count=count)
        env.run()
        assert balancer.outstanding == [0] * servers
        return journeys.latency[count // 4 :].mean()  # the first quarter found the tills emptier than usual

    assert mean_time(PowerOfTwo) == pytest.approx(theory.supermarket(0.9, 2), rel=0.05)
    assert mean_time(RandomChoice, load=0.5) == pytest.approx(theory.supermarket(0.5, 1), rel=0.05)


def test_replaying_a_run_gives_the_run():
    journeys, arrivals, services = simulated(0.9, 2, 5000)
    env = simpy.Environment()
    again = replay(env, arrivals, Service(env, "orders", iter(services.tolist()).__next__, workers=2))
    env.run()
    assert np.abs(again.end - journeys.end).max() < 1e-9


def test_a_closed_loop_obeys_the_interactive_response_time_law():
    # N = X (R + Z): users are always either thinking or waiting (Denning and Buzen, 1978).
    env, draws = simpy.Environment(), Draws(2)
    journeys = users(
        env, 10, draws.exponential("think", 2.0), Service(env, "orders", draws.exponential("work", 0.3)), until=20_000
    )
    env.run(until=20_000)
    throughput = (len(journeys) - journeys.unfinished) / 20_000
    response = np.nanmean(journeys.latency)
    assert throughput * (response + 2.0) == pytest.approx(10, rel=0.02)
    assert throughput < 1 / 0.3
    # Nobody has two requests under way, so never more than 10 are unfinished.
    assert journeys.unfinished <= 10


@pytest.mark.parametrize(
    "wrong, quoted",
    [
        (lambda: lindley([1.0, 2.0], [1.0]), "equal length"),
        (lambda: lindley([2.0, 1.0], [1.0, 1.0]), "ascending"),
        (lambda: lindley([1.0, np.nan], [1.0, 1.0]), "ascending"),
        (lambda: lindley([1.0, np.inf], [1.0, 1.0]), "finite"),
        (lambda: lindley([1.0, 2.0], [1.0, -0.5]), "services=-0.5"),
        (lambda: free_at([1.0], [1.0], 0), "workers=0"),
        (lambda: free_at([1.0], [1.0], 1.5), "workers=1.5"),
    ],
)
def test_misuse_of_the_recursion_is_refused(wrong, quoted):
    with pytest.raises((TypeError, ValueError), match=quoted):
        wrong()
