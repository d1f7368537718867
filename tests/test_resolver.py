"""Resolvers: what they remember, when they ask, and that they decide alike on sockets and in SimPy."""

import itertools
import math
import threading
import time
from random import Random

import pytest
import simpy

from servicelab.policies import Exponential, FullJitter, Recorder, replay
from servicelab.policies.lookup import Found, Lookup, Told, find, sim_find
from servicelab.policies.resolver import Freshness, InstanceCache, OnDemand
from servicelab.policies.script import SLEPT, Answer, Sleep
from servicelab.policies.watch import WAIT_JITTER, Poll, Watch


def ok(at, *instances, **more):
    return Found("ok", at, instances, **more)


def down(at):
    return Found("timeout", at)


# -- the memory ---------------------------------------------------------------------------------


def test_an_answer_is_fresh_for_its_ttl_and_then_the_last_known_good():
    cache = InstanceCache(ttl=5.0)
    assert cache.view("orders", 0.0) == ((), Freshness.UNKNOWN, None, 0)
    assert cache.learn(ok(10.0, "a", "b"), "orders")
    assert cache.view("orders", 14.9) == (("a", "b"), "fresh", pytest.approx(4.9), 1)
    assert cache.view("orders", 15.0).fresh == "stale"
    cache.learn(down(16.0), "orders")
    assert cache.view("orders", 1e6) == (("a", "b"), "stale", pytest.approx(1e6 - 10), 1)


def test_the_source_says_how_long_an_answer_may_be_kept():
    cache = InstanceCache(ttl=5.0, negative_ttl=1.0)
    cache.learn(ok(0.0, "a", ttl=30), "orders")
    cache.learn(ok(0.0, ttl=2), "nobody")
    assert cache.view("orders", 29.0).fresh == "fresh"
    assert cache.view("nobody", 1.5).fresh == "nobody" and cache.view("nobody", 2.0).fresh == "unknown"


def test_nobody_is_an_answer_and_replaces_what_was_known():
    cache = InstanceCache(ttl=5.0, negative_ttl=1.0)
    cache.learn(ok(0.0, "a"), "orders")
    assert cache.learn(ok(1.0), "orders")
    assert cache.view("orders", 1.9) == ((), "nobody", pytest.approx(0.9), 2)
    assert cache.view("orders", 2.0).fresh == "unknown"


@pytest.mark.parametrize(("keep", "instances"), [(None, ("a",)), (20.0, ("a",)), (8.0, ()), (0.0, ())])
def test_a_last_known_good_may_have_a_greatest_age(keep, instances):
    cache = InstanceCache(ttl=5.0, keep=keep)
    cache.learn(ok(0.0, "a"), "orders")
    assert cache.view("orders", 4.0).instances == ("a",), "while it is fresh its age does not matter"
    assert cache.view("orders", 10.0).instances == instances


def test_the_version_grows_with_changes_only_and_not_with_the_order():
    cache = InstanceCache()
    assert [cache.learn(ok(at, *who), "orders") for at, who in enumerate(["ab", "ba", "ab", "a", "a"])] == [
        True, False, False, True, False,
    ]  # fmt: skip
    assert cache.view("orders", 5.0).version == 2


def test_there_is_room_for_so_many_names_and_the_unused_one_goes():
    cache = InstanceCache(most=2)
    cache.learn(ok(0.0, "a"), "first")
    cache.learn(ok(0.0, "b"), "second")
    cache.view("first", 1.0)
    cache.learn(ok(2.0, "c"), "third")
    assert len(cache) == 2
    assert cache.view("second", 2.0).fresh == "unknown" and cache.view("first", 2.0).instances == ("a",)
    for number in range(100):  # failures fill it no further either
        cache.learn(down(3.0), f"name {number}")
    assert len(cache) == 2


def test_what_is_forgotten_is_unknown():
    cache = InstanceCache()
    cache.learn(ok(0.0, "a"), "orders")
    cache.forget("orders")
    cache.forget("never heard of")
    assert cache.view("orders", 0.0).fresh == "unknown"


# -- asking on demand -----------------------------------------------------------------------------


def answers(policy, now, *replies):
    """Run a script on these replies; returns its questions and its return value, None while it goes on."""
    script, questions = policy.script(now), []
    try:
        questions.append(script.send(None))
        for reply in replies:
            questions.append(script.send(reply))
    except StopIteration as end:
        return questions, end.value
    return questions, script


def test_on_demand_asks_when_nothing_is_fresh_and_only_then():
    cache = InstanceCache(ttl=5.0)
    policy = OnDemand(cache, "orders", timeout=0.7)
    assert answers(policy, 0.0, ok(0.1, "a")) == ([Lookup("orders", 0.7)], "fresh")
    assert answers(policy, 5.0) == ([], "fresh")
    assert answers(policy, 5.2, ok(5.3, "b")) == ([Lookup("orders", 0.7)], "fresh")
    assert cache.view("orders", 5.3).instances == ("b",)


def test_a_dead_source_is_left_alone_for_a_while_and_memory_serves():
    cache = InstanceCache(ttl=5.0, retry_after=2.0)
    policy = OnDemand(cache, "orders")
    answers(policy, 0.0, ok(0.0, "a"))
    assert answers(policy, 6.0, down(7.0))[1] == "stale"
    assert answers(policy, 8.9) == ([], "stale")
    assert answers(policy, 9.0, ok(9.0, "b"))[1] == "fresh"


def test_news_from_elsewhere_ends_the_pause_after_a_failure():
    cache = InstanceCache(ttl=0.1, retry_after=60.0)
    policy = OnDemand(cache, "orders")
    answers(policy, 0.0, down(0.0))
    assert answers(policy, 1.0) == ([], "unknown")
    cache.learn(ok(2.0, "a"), "orders")  # from a Poll of the same cache
    assert len(answers(policy, 3.0, ok(3.0, "b"))[0]) == 1


def test_one_asks_and_the_others_are_served_what_is_known():
    cache = InstanceCache(ttl=5.0)
    policy = OnDemand(cache, "orders")
    answers(policy, 0.0, ok(0.0, "a"))
    first = policy.script(6.0)
    assert isinstance(first.send(None), Lookup)
    assert answers(policy, 6.1) == ([], "stale")
    first.close()  # its driver gave up: the next caller may ask
    assert isinstance(policy.script(6.2).send(None), Lookup)


def test_who_knows_nothing_asks_though_another_does():
    policy = OnDemand(InstanceCache(), "orders")
    first, second = policy.script(0.0), policy.script(0.0)
    assert isinstance(first.send(None), Lookup) and isinstance(second.send(None), Lookup)
    first.close(), second.close()


# -- polling --------------------------------------------------------------------------------------


def poll_times(policy, until, fails=lambda at: False):
    """When it asks, with answers that take no time."""
    script, now, asked, answer = policy.script(0.0), 0.0, [], None
    while now < until:
        question = script.send(answer)
        if isinstance(question, Sleep):
            now += question.delay
            answer = Answer(SLEPT, now)
        else:
            asked.append(now)
            answer = down(now) if fails(now) else ok(now, "a")
    script.close()
    return asked


def test_without_jitter_polls_keep_in_step_and_by_schedule():
    def policy():
        return Poll(InstanceCache(), "orders", 2.0, Random(1), jitter=0)

    assert poll_times(policy(), 9.0) == [0.0, 2.0, 4.0, 6.0, 8.0]
    script = policy().script(0.0)
    script.send(None)
    assert script.send(ok(0.5, "a")) == Sleep(1.5)


def test_a_slow_answer_is_followed_at_once_and_never_by_a_negative_sleep():
    script = Poll(InstanceCache(), "orders", 2.0, Random(1), jitter=0).script(0.0)
    script.send(None)
    assert isinstance(script.send(ok(7.0, "a")), Lookup)


def test_the_law_of_jitter():
    gaps, firsts = [], []
    for seed in range(200):
        asked = poll_times(Poll(InstanceCache(), "orders", 2.0, Random(seed), jitter=0.2), 100.0)
        gaps += [b - a for a, b in itertools.pairwise(asked[1:])]
        firsts.append(asked[1])
    assert asked[0] == 0.0
    assert min(gaps) >= 1.6 - 1e-9 and max(gaps) <= 2.4 + 1e-9
    mean = sum(gaps) / len(gaps)
    assert abs(mean - 2.0) < 5 * (0.8 / math.sqrt(12)) / math.sqrt(len(gaps))
    mean = sum(firsts) / len(firsts)
    assert min(firsts) >= 0 and max(firsts) <= 2.0
    assert abs(mean - 1.0) < 5 * (2.0 / math.sqrt(12)) / math.sqrt(len(firsts))


def test_a_poll_that_fails_is_not_repeated_sooner_and_the_last_known_good_stays():
    cache = InstanceCache()
    asked = poll_times(Poll(cache, "orders", 2.0, Random(1), jitter=0), 9.0, fails=lambda at: at >= 4)
    assert asked == [0.0, 2.0, 4.0, 6.0, 8.0]
    assert cache.view("orders", 4.9).fresh == "fresh", "good until the next answer is overdue: period and timeout"
    assert cache.view("orders", 5.0) == (("a",), "stale", 3.0, 1)


# -- watching ---------------------------------------------------------------------------------------


def watch(**settings):
    cache = InstanceCache()
    return cache, Watch(cache, "orders", Exponential(0.5, 4.0), **{"wait": 60.0, "timeout": 2.0, **settings})


def test_a_watch_waits_for_more_than_the_index_it_has():
    cache, policy = watch()
    questions, script = answers(policy, 0.0, ok(1.0, "a", index=7), ok(30.0, "a", "b", index=9))
    longest = 60 * (1 + WAIT_JITTER) + 2
    assert questions == [Lookup("orders", 2.0), Lookup("orders", longest, 7, 60.0), Lookup("orders", longest, 9, 60.0)]
    assert cache.view("orders", 30.0 + longest - 0.1).fresh == "fresh"
    script.close()


def test_an_index_that_goes_back_is_reset():
    _, policy = watch()
    questions, script = answers(policy, 0.0, ok(1.0, "a", index=70), ok(2.0, "a", index=3), ok(3.0, "a", index=3))
    assert [question.index for question in questions] == [None, 70, None, 3]
    script.close()


@pytest.mark.parametrize("index", [None, 0])
def test_a_source_without_an_index_is_asked_to_block_all_the_same(index):
    _, policy = watch()
    questions, script = answers(policy, 0.0, ok(1.0, "a", index=index))
    assert questions[-1].index == 1
    script.close()


def test_a_spurious_return_is_no_change():
    cache, policy = watch()
    _, script = answers(policy, 0.0, ok(1.0, "a", index=7), ok(2.0, "a", index=8), ok(62.0, "a", index=8))
    assert cache.view("orders", 62.0).version == 1
    script.close()


def test_a_source_that_never_blocks_is_not_flooded():
    cache, policy = watch(pause=0.1)
    script, now, asked, answer = policy.script(0.0), 0.0, 0, None
    while now < 10.0:
        question = script.send(answer)
        if isinstance(question, Sleep):
            now += question.delay
            answer = Answer(SLEPT, now)
        else:
            asked += 1
            answer = ok(now, "a", index=asked)
    script.close()
    assert 95 <= asked <= 102


def test_failures_are_followed_by_growing_sleeps_and_a_query_without_index():
    cache, policy = watch()
    t = [1.0, 1.0, 1.5, 1.5, 2.5, 2.5]
    questions, script = answers(
        policy, 0.0, ok(t[0], "a", index=7), down(t[1]), Answer(SLEPT, t[2]), down(t[3]), Answer(SLEPT, t[4]),
        ok(5.0, "a", index=2), down(9.0),
    )  # fmt: skip
    assert [type(question).__name__ for question in questions] == [
        "Lookup", "Lookup", "Sleep", "Lookup", "Sleep", "Lookup", "Lookup", "Sleep",
    ]  # fmt: skip
    assert [questions[at].delay for at in (2, 4, 7)] == [0.5, 1.0, 0.5], "it begins anew after a success"
    assert [questions[at].index for at in (3, 5, 6)] == [None, None, 2]
    assert cache.view("orders", 9.0).instances == ("a",)
    script.close()


# -- two worlds ---------------------------------------------------------------------------------------


class Fickle:
    """A source with moods: answers, changes, an index that falls, failures. The same for every world."""

    def __init__(self):
        self.asked = 0

    def __call__(self, lookup):
        self.asked += 1
        mood = self.asked % 11
        if mood in (4, 5):
            return Found("timeout", 0.0)
        return Found("ok", 0.0, ("a", "b")[: 1 + self.asked % 3 % 2], index=1 if mood == 7 else 10 + self.asked)

    def simulated(self, env):
        def ask(lookup):
            yield env.timeout(0.01 * (1 + self.asked % 3))
            return self(lookup)

        return ask


class Over(Exception):
    pass


def policies():
    cache = InstanceCache(ttl=0.005, retry_after=0.005)
    return {
        "poll": Poll(cache, "orders", 0.02, Random(3), jitter=0.5),
        "watch": Watch(cache, "orders", FullJitter(0.005, 0.02, Random(4)), wait=1.0, pause=0.01),
        "demand": OnDemand(cache, "orders"),
    }


@pytest.mark.parametrize("how", ["poll", "watch"])
def test_a_policy_decides_on_threads_as_in_its_replay(how):
    """Real clock, real sleeps, three threads on one policy; what was said is said again, word for word."""
    recorder, source = Recorder(policies()[how]), Fickle()

    def sleep(seconds):
        time.sleep(seconds)
        if source.asked >= 40:  # more than three rounds of its moods
            raise Over

    def run():
        with pytest.raises(Over):
            find(recorder, source, sleep=sleep)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # The last line of each says that its driver closed it; the order of those three is not the policy's doing.
    told = [entry for entry in recorder.log if entry.question != "closed"]
    assert len(told) > 40
    assert replay(told, policies()[how]) == told


def test_on_demand_decides_on_threads_as_in_its_replay():
    recorder, source = Recorder(policies()["demand"]), Fickle()

    def run():
        while source.asked < 25:  # more than two rounds of its moods, however slow the machine
            find(recorder, source)
            time.sleep(0.001)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert source.asked >= 25
    assert replay(recorder.log, policies()["demand"]) == recorder.log


@pytest.mark.parametrize("how", ["poll", "watch"])
def test_the_drivers_of_both_worlds_give_one_log(how):
    """The same policy, the same source: once in SimPy, once on this thread with the clock of a simulation."""
    env, in_sim = simpy.Environment(), Recorder(policies()[how])
    env.process(sim_find(env, in_sim, Fickle().simulated(env)))
    env.run(until=2.0)

    here, source, now = Recorder(policies()[how]), Fickle(), [0.0]

    def ask(lookup):
        now[0] += 0.01 * (1 + source.asked % 3)
        if now[0] >= 2.0:
            raise Over
        return source(lookup)

    def sleep(seconds):
        now[0] += seconds
        if now[0] >= 2.0:
            raise Over

    with pytest.raises(Over):
        find(here, ask, clock=lambda: now[0], sleep=sleep)
    assert len(in_sim.log) > 50
    assert here.log[:-1] == in_sim.log


def test_told_hears_of_every_answer_after_it_was_learned():
    cache = InstanceCache(ttl=0.0)
    heard = []
    told = Told(
        OnDemand(cache, "orders"), lambda found: heard.append((found.status, cache.view("orders", 9.0).version))
    )
    for reply in (Found("ok", 0.0, ("a",)), Found("ok", 0.0, ("b",)), Found("timeout", 0.0)):
        find(told, lambda lookup, reply=reply: reply, clock=lambda: 1.0)
    assert heard == [("ok", 1), ("ok", 2), ("timeout", 2)]


def test_a_source_that_returns_nonsense_is_named():
    with pytest.raises(TypeError, match=r"the source returned None: it must return Found"):
        find(OnDemand(InstanceCache(), "orders"), lambda lookup: None)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda c: InstanceCache(ttl=-1), ValueError, "ttl=-1 must be >= 0"),
        (lambda c: InstanceCache(keep=-1), ValueError, "keep=-1 must be >= 0"),
        (lambda c: InstanceCache(most=0), ValueError, "most=0 must be a whole number >= 1"),
        (lambda c: OnDemand(c, "x", timeout=0), ValueError, "timeout=0 must be > 0"),
        (lambda c: Poll(c, "x", 0, Random(1)), ValueError, "period=0 must be > 0"),
        (lambda c: Poll(c, "x", 1, Random(1), jitter=2), ValueError, "jitter=2 must be a share"),
        (lambda c: Poll(c, "x", 1, None), TypeError, "rng=None must be a random.Random"),
        (lambda c: Watch(c, "x", None), TypeError, "backoff=None must be a law of delays"),
        (lambda c: Watch(c, "x", FullJitter), TypeError, "must be a law of delays"),
        (lambda c: Watch(c, "x", Exponential(1, 2), wait=601), ValueError, "wait=601 must be <= 600"),
        (lambda c: Watch(c, "x", Exponential(1, 2), pause=0), ValueError, "pause=0 must be > 0"),
    ],
)
def test_misuse_is_refused_with_the_mend(make, error, text):
    with pytest.raises(error, match=text):
        make(InstanceCache())
