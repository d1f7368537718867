"""Streams in SimPy: buffers against their formulas and against the recursion, credit, dead peers, reconnect storms."""

import random

import numpy as np
import pytest
import simpy

from servicelab import theory
from servicelab.policies import BoundedBuffer, FullJitter, Heartbeat, NoBackoff, Offer, Reconnect, Timeout
from servicelab.policies.backoff import Exponential
from servicelab.sim import Client, Draws, Service, lindley
from servicelab.sim.stream import Channel, CreditChannel, Producer, Reader, ReconnectStorm, find_death


def run(buffer, gap, work, *, until, count=None, keys=1, make=Channel):
    env = simpy.Environment()
    channel = make(env, buffer) if make is Channel else make
    producer = Producer(env, channel, gap, count=count, keys=keys)
    reader = Reader(env, channel, work)
    env.run(until)
    return channel, producer, reader


def test_an_unbounded_buffer_is_the_queue_of_the_recursion_to_the_last_digits():
    draws = Draws(7)
    gap, work = draws.exponential("gap", 0.01), draws.exponential("work", 0.009)
    _, _, reader = run(BoundedBuffer(None), gap, work, until=60, count=3000)
    same = Draws(7)
    arrivals = np.cumsum(same.exponential("gap", 0.01).sample(3000))
    waits = lindley(arrivals, same.exponential("work", 0.009).sample(3000))
    assert len(reader.ages) == 3000
    assert np.max(np.abs(np.array(reader.ages) - waits)) < 1e-9


def test_littles_law_holds_for_what_waits():
    draws = Draws(3)
    channel, producer, reader = run(
        BoundedBuffer(None), draws.exponential("gap", 0.02), draws.exponential("work", 0.01), until=500, count=5000
    )
    assert len(reader.ages) == 5000
    end = max(channel.depth)[0]
    times, depth = np.array(channel.depth).T
    area = np.sum(depth[:-1] * np.diff(times))
    assert area / end == pytest.approx(sum(reader.ages) / end, rel=1e-9)


@pytest.mark.parametrize("rate, speed", [(100, 60), (100, 99), (50, 10)])
def test_a_buffer_grows_by_the_difference_of_the_rates(rate, speed):
    channel, _, _ = run(BoundedBuffer(None), 1 / rate, 1 / speed, until=20.003)
    for at in (5, 10, 20):
        depth = [n for when, n in channel.depth if when <= at][-1]
        assert abs(depth - theory.buffer_growth(rate, speed, at)) <= 2


def test_growth_with_chance_stays_within_five_standard_errors():
    rate, speed, end = 100, 60, 20.0
    found = []
    for seed in range(20):
        draws = Draws(seed)
        channel, _, _ = run(
            BoundedBuffer(None), draws.exponential("gap", 1 / rate), draws.exponential("work", 1 / speed), until=end
        )
        found.append(channel.depth[-1][1])
    # Arrivals and departures of a busy reader are two Poisson processes: the variance is (λ + μ) t.
    error = ((rate + speed) * end / len(found)) ** 0.5
    assert abs(np.mean(found) - theory.buffer_growth(rate, speed, end)) < 5 * error


def test_a_bounded_buffer_is_full_when_the_formula_says():
    channel, _, _ = run(BoundedBuffer(40, "drop newest"), 0.01, 1 / 60, until=5)
    full = next(at for at, n in channel.depth if n == 40)
    assert abs(full - theory.time_to_fill(100, 60, 40)) <= 2 / 40 + 1e-9


@pytest.mark.parametrize("overflow", ["drop oldest", "drop newest"])
def test_what_is_read_is_never_older_than_the_bound_and_the_rest_is_counted(overflow):
    draws = Draws(5)
    channel, producer, reader = run(BoundedBuffer(20, overflow), draws.exponential("gap", 0.01), 0.03, until=60)
    bound = theory.freshness_bound(20, 1 / 0.03)
    assert max(reader.ages) <= bound + 1e-9
    assert max(reader.ages) > 0.4 * bound  # it is a bound that is felt
    waiting = len(channel.buffer)
    assert producer.made == len(reader.ages) + channel.buffer.dropped + waiting
    assert channel.buffer.dropped > 0.5 * producer.made
    assert reader.numbers == sorted(set(reader.numbers))


def test_dropping_the_oldest_is_fresher_than_dropping_the_newest():
    ages = {}
    for overflow in ("drop oldest", "drop newest"):
        _, _, reader = run(BoundedBuffer(20, overflow), 0.01, 0.031, until=60)
        ages[overflow] = np.mean(reader.ages[100:])
    assert ages["drop oldest"] < 0.5 * ages["drop newest"]


def test_conflation_delivers_the_latest_of_each_key_and_no_reader_lags():
    buffer = BoundedBuffer(100, "conflate", key=lambda item: item.key)
    channel, producer, reader = run(buffer, 0.01, 0.053, until=60, keys=5)
    assert channel.buffer.most <= 5
    assert channel.buffer.dropped == 0
    assert max(reader.ages[20:]) < 5 * 0.053 + 1e-9
    assert producer.made == len(reader.ages) + channel.buffer.conflated + len(channel.buffer)


def test_blocking_loses_nothing_and_slows_the_producer_to_the_reader():
    channel, producer, reader = run(BoundedBuffer(10, "block"), 0.01, 0.02, until=60)
    assert reader.numbers == list(range(1, len(reader.numbers) + 1))
    assert channel.buffer.dropped == 0
    assert abs(len(reader.numbers) - 60 / 0.02) <= 3
    assert producer.blocked > 20


@pytest.mark.parametrize("window, delay", [(1, 0.05), (4, 0.05), (20, 0.05)])
def test_credit_lets_a_window_through_per_round_trip(window, delay):
    env = simpy.Environment()
    channel = CreditChannel(env, window, delay)
    Producer(env, channel, 0.0001)
    reader = Reader(env, channel, 0.0011)
    env.run(20)
    most = min(theory.credit_rate(window, 2 * delay), 1 / 0.0011)
    assert len(reader.ages) / 20 == pytest.approx(most, rel=0.02)
    assert channel.buffer.most <= window


def test_a_slow_reader_stops_a_producer_with_credit_and_the_buffer_keeps_to_the_window():
    env = simpy.Environment()
    channel = CreditChannel(env, 8, 0.01)
    producer = Producer(env, channel, 0.001)
    reader = Reader(env, channel, 0.1)
    env.run(30)
    assert channel.buffer.most <= 8
    assert len(reader.ages) == pytest.approx(300, abs=2)
    assert producer.made <= len(reader.ages) + 8 + 1
    assert channel.blocked > 20


def test_a_dead_peer_is_found_within_the_window_of_the_formula():
    window = theory.silence_window(1.0, 2.5, 0.05)
    rng = random.Random(4)
    found = []
    for _ in range(400):
        env = simpy.Environment()
        dies = 20 + rng.random() * 1.1 * 10
        found.append(env.run(env.process(find_death(env, Heartbeat(1.0, 2.5), dies, 0.05))) - dies)
    assert min(found) >= window.least - 1e-9
    assert max(found) <= window.most + 1e-9
    error = (window.most - window.least) / 12**0.5 / len(found) ** 0.5
    assert abs(np.mean(found) - window.mean) < 5 * error


def test_a_living_peer_is_never_taken_for_dead():
    env = simpy.Environment()
    death = env.process(find_death(env, Heartbeat(1.0, 1.3), 1e9, 0.1))
    env.run(500)
    assert death.is_alive


def storm(backoff, seed=1, clients=200):
    env = simpy.Environment()
    door = Service(env, "door", 0.02, workers=1, drop_abandoned=True)
    rng = random.Random(seed)
    policies = [Reconnect(backoff(rng)) for _ in range(clients)]
    storm = ReconnectStorm(env, Client(env, door, Timeout(1.01)), policies, down=2.0)
    env.run(300)
    return storm


def test_jitter_flattens_a_reconnect_storm():
    together = storm(lambda rng: Exponential(0.5, 30))
    spread = storm(lambda rng: FullJitter(0.5, 30, rng))
    assert len(together.back) <= 200 and len(spread.back) == 200
    assert together.peak(0.1) == 200  # all of them in the same instant
    late = [
        at for at in spread.attempts if at > 2
    ]  # after the first, which full jitter spreads over half a second only
    assert max(np.histogram(late, np.arange(2, 60, 0.1))[0]) < 40
    assert len(spread.attempts) < len(together.attempts)


def test_without_a_backoff_the_storm_is_as_strong_as_the_timeout_lets_it_be():
    env = simpy.Environment()
    door = Service(env, "door", 0.02, workers=1, drop_abandoned=True)
    storm = ReconnectStorm(env, Client(env, door, Timeout(1.01)), [Reconnect(NoBackoff()) for _ in range(20)])
    env.run(100)
    assert len(storm.back) == 20
    assert storm.peak(0.01) == 20


def test_a_channel_refuses_what_is_no_buffer():
    env = simpy.Environment()
    with pytest.raises(TypeError, match="BoundedBuffer"):
        Channel(env, [])
    with pytest.raises(ValueError, match="window=0"):
        CreditChannel(env, 0)


def test_put_tells_what_became_of_the_item():
    env = simpy.Environment()
    channel = Channel(env, BoundedBuffer(1, "drop oldest"))
    outcomes = []

    def produce():
        for number in range(2):
            outcomes.append((yield from channel.put(number)))

    env.process(produce())
    env.run()
    assert outcomes == [Offer.KEPT, Offer.DROPPED_OLDEST]
