"""A backend in shards: who has the key must answer, and where a breaker stands decides who suffers."""

import pytest
import simpy

from servicelab.policies import Timeout
from servicelab.policies.breaker import CircuitBreaker
from servicelab.sim import Client, Draws, Message, Service, Shards, poisson

N = 4


def answer(env, place, message):
    """The status of one call, and when it came."""

    def run():
        status = yield from place.call(message)
        return status, env.now

    return env.run(until=env.process(run()))


def test_a_key_has_its_place_and_keeps_it():
    env = simpy.Environment()
    shards = Shards(env, [Service(env, f"shard {n}", 1.0 + n) for n in range(N)], key=lambda message: message.size)
    assert [shards.shard_of(size) for size in (0, 1, 5, -1)] == [0, 1, 1, 3]
    assert answer(env, shards, Message(size=6)) == ("ok", 3.0)
    assert answer(env, shards, Message(size=6)) == ("ok", 6.0)


def test_texts_are_spread_evenly_and_the_same_in_every_run():
    shards = Shards(ENV, [Service(ENV, f"shard {n}", 1.0) for n in range(N)])
    where = [shards.shard_of(f"user {user}") for user in range(4000)]
    assert where[:6] == [3, 1, 3, 1, 2, 0]
    assert min(map(where.count, range(N))) > 900


def broken_shard(where):
    """Share of calls answered: for users of the worst healthy shard, and for those of the dead one."""
    env, draws = simpy.Environment(), Draws(1)

    def breaker():
        return CircuitBreaker(Timeout(0.5), failure_rate=0.2, window="count", size=50, minimum_calls=50, wait_open=5.0)

    places = [Service(env, f"shard {n}", draws.exponential(f"work {n}", 0.005)) for n in range(N)]
    places[2].work = lambda: 1e9  # it is there, and never answers
    if where == "per shard":
        places = [Client(env, place, breaker()) for place in places]
    client = Shards(env, places, key=lambda message: int(message.label))
    if where == "shared":
        client = Client(env, client, breaker())
    journeys = [poisson(env, 20.0, client, draws, until=120, name=f"arrivals {n}", label=str(n)) for n in range(N)]
    env.run(until=121)
    share = [j.ok.mean() for j in journeys]
    return min(share[:2] + share[3:]), share[2]


def test_with_one_breaker_for_all_a_dead_shard_takes_the_healthy_users_down():
    healthy, dead = broken_shard("shared")
    assert healthy < 0.5 and dead < 0.01


def test_with_a_breaker_for_each_shard_only_its_own_users_suffer():
    healthy, dead = broken_shard("per shard")
    assert healthy > 0.999 and dead == 0


ENV = simpy.Environment()


@pytest.mark.parametrize(
    "wrong, error, quoted",
    [
        (lambda: Shards(ENV, []), ValueError, "at least one place"),
        (lambda: Shards(ENV, ["a"]), TypeError, "place='a' is not a place"),
        (lambda: Shards(ENV, [Service(ENV, "a", 1.0)], key="user"), TypeError, "key='user' must be a function"),
    ],
)
def test_misuse_is_refused_by_name(wrong, error, quoted):
    with pytest.raises(error, match=quoted):
        wrong()
