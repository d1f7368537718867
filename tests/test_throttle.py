"""The adaptive throttle: the book's formula on a window, probes always, and a way back."""

import threading
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicelab.policies import AdaptiveThrottle, Recorder, Retry, Status, Timeout, call, replay
from servicelab.policies.throttle import SLICES

steps = st.lists(
    st.tuples(st.integers(0, 4096).map(lambda k: k / 64), st.sampled_from(["ok", "error", "HTTP 404"])),
    min_size=1,
    max_size=80,
)


class Never(Random):
    """Draws that let every call through, whatever the probability below 1."""

    def random(self):
        return 0.9999999


def ask(throttle, status, now):
    return call(throttle, lambda *_: (status, None), lambda: now).status


def fresh(seed=7, **settings):
    return AdaptiveThrottle(Timeout(1), Random(seed), **settings)


@given(steps, st.sampled_from([1.0, 1.5, 2.0, 4.0]), st.sampled_from([60.0, 120.0, 7.5]))
def test_the_formula_and_the_window(steps, k, window):
    """Against a plain model that remembers every call by its slice."""
    throttle, now, requests, accepts = AdaptiveThrottle(Timeout(1), Never(), k, window), 0.0, [], []
    for gap, status in steps:
        now += gap
        slice_ = now * SLICES // window
        seen = sum(slice_ - at < SLICES for at in requests), sum(slice_ - at < SLICES for at in accepts)
        assert throttle.counts(now) == seen
        assert throttle.probability(now) == max(0, (seen[0] - k * seen[1]) / (seen[0] + 1)) < 1
        assert ask(throttle, status, now) == status
        requests.append(slice_)
        accepts += [slice_] * (status != "error")


@given(steps, st.integers(0, 99))
def test_never_sure_and_never_without_cause(steps, seed):
    throttle, now = fresh(seed), 0.0
    for gap, status in steps:
        now += gap
        requests, accepts = throttle.counts(now)
        probability = throttle.probability(now)
        assert 0 <= probability <= requests / (requests + 1) < 1
        assert (probability == 0) == (requests <= throttle.k * accepts)
        if ask(throttle, status, now) == "rejected":
            assert probability > 0
            assert throttle.counts(now) == (requests + 1, accepts)  # a call rejected here wanted to be made


def test_a_healthy_server_sees_every_call_and_the_seed_is_not_touched():
    throttle = fresh()
    before = throttle.rng.getstate()
    assert {ask(throttle, "ok", i / 100) for i in range(5000)} == {"ok"} and throttle.rng.getstate() == before
    # Up to a share of 1 - 1/k of refusals nothing changes either.
    assert {ask(throttle, "error" if i % 2 else "ok", 50 + i / 100) for i in range(5000)} == {"ok", "error"}


def test_a_server_that_accepts_100_calls_a_second_of_500_sees_about_200():
    throttle, reached = fresh(), Counter()
    for second in range(240):
        for i in range(500):
            now = second + i / 500

            def attempt(timeout, number, second=second):
                reached[second] += 1
                return ("ok" if reached[second] <= 100 else "error"), None

            call(throttle, attempt, lambda now=now: now)
    steady = [reached[second] for second in range(120, 240)]
    assert 185 < sum(steady) / len(steady) < 215  # k = 2: twice what is accepted; the mean of 120 seconds


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_recovers_when_the_server_does_though_it_takes_its_time(seed):
    """After an outage of a whole window: about window / 1.6 × ln(requests) = 530 s, with a wide spread."""
    throttle = fresh(seed)
    outage = [ask(throttle, "error", i / 10) for i in range(1200)]
    assert outage.count("rejected") > 1100 and outage.count("error") >= 3  # probes get through, a few
    after = [ask(throttle, "ok", 120 + i / 10) for i in range(24_000)]
    assert after[:1200].count("rejected") > 600  # a window later it is by no means over …
    assert set(after[-1200:]) == {"ok"} and throttle.probability(2520.0) == 0  # … but then it is


def test_a_short_outage_is_soon_forgiven():
    throttle = fresh()
    for i in range(3600):
        ask(throttle, "error" if 1200 <= i < 1500 else "ok", i / 10)  # two minutes of health, half a minute without
    assert throttle.probability(150.0) == 0 and throttle.counts(359.9) == (1200, 1200)


def test_silence_is_forgotten_too():
    throttle = fresh(window=60.0)
    for i in range(100):
        ask(throttle, "error", i / 10)
    assert throttle.probability(10.0) > 0.9 and throttle.probability(70.0) == 0 and throttle.counts(70.0) == (0, 0)


def test_memory_does_not_grow_with_the_load():
    throttle = fresh()
    for i in range(20_000):
        ask(throttle, "error", i / 20)
    assert len(throttle._slices) <= SLICES


@pytest.mark.parametrize(
    "status, accepted",
    [
        ("ok", 1),
        ("HTTP 404", 1),
        ("error", 0),
        ("timeout", 0),
        ("refused", 0),
        ("lost", 0),
        ("rejected", 0),
        ("deadline", 0),
    ],
)
def test_what_counts_as_accepted(status, accepted):
    throttle = fresh()
    ask(throttle, status, 0.0)
    assert throttle.counts(0.0) == (1, accepted)
    book = fresh(not_accepted={Status.REJECTED})
    ask(book, status, 0.0)
    assert book.counts(0.0) == (1, int(status != "rejected"))


def test_a_rejection_is_not_retried_and_inside_a_retry_attempts_are_counted():
    throttle = AdaptiveThrottle(Timeout(1), Never())
    assert call(Retry(throttle, tries=4), lambda *_: ("error", None), lambda: 0.0).attempts == 4
    assert throttle.counts(0.0) == (4, 0)

    class Always(Random):
        def random(self):
            return 0.0

    throttle.rng = Always()
    assert call(Retry(throttle, tries=4), lambda *_: ("error", None), lambda: 0.0) == ("rejected", None, 0)


def test_a_call_that_is_given_up_is_a_request_without_an_accept():
    throttle = fresh()
    with pytest.raises(KeyboardInterrupt):
        call(throttle, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt), lambda: 0.0)
    assert throttle.counts(0.0) == (1, 0)


def test_the_seed_decides_and_a_run_replays():
    def run(seed):
        recorder = Recorder(fresh(seed))
        for i in range(300):
            ask(recorder, "error" if i % 3 else "ok", i / 10)
        return recorder.log

    log = run(1)
    assert run(1) == log != run(2)
    assert replay(log, fresh(1)) == log != replay(log, fresh(2))


def test_threads_lose_no_count():
    throttle, start = AdaptiveThrottle(Timeout(1), Never()), threading.Barrier(8)

    def work():
        start.wait()
        for i in range(100):
            ask(throttle, "ok" if i % 2 else "error", 1.0)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert throttle.counts(1.0) == (800, 400)


@pytest.mark.parametrize(
    "make, error, said",
    [
        (lambda: AdaptiveThrottle(0.5, Random(1)), TypeError, "inner=0.5 must be a policy"),
        (lambda: AdaptiveThrottle(Timeout(1), None), TypeError, r"rng=None must be a random\.Random"),
        (lambda: fresh(k=0.5), ValueError, "k=0.5 must be >= 1"),
        (lambda: fresh(k="2"), TypeError, "k='2' must be a number"),
        (lambda: fresh(window=0), ValueError, "window=0 must be > 0"),
        (lambda: fresh(not_accepted="error"), TypeError, "write not_accepted={'error'}"),
        (lambda: fresh(not_accepted={"ok"}), ValueError, "not_accepted contains 'ok'"),
    ],
)
def test_misuse_is_refused_by_name(make, error, said):
    with pytest.raises(error, match=said):
        make()


def test_a_throttle_shows_its_settings():
    assert repr(fresh()) == "AdaptiveThrottle(Timeout(1), rng, k=2.0, window=120.0)"
