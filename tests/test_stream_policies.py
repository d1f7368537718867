"""Bounded buffers, heartbeats, reconnecting and resuming: plain logic, checked against models."""

import math
import random
import threading
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servicelab.policies import (
    BoundedBuffer,
    Exponential,
    FullJitter,
    Heartbeat,
    NoBackoff,
    Offer,
    Reconnect,
    Resume,
    Seen,
)

# -- BoundedBuffer ---------------------------------------------------------------------------------


class Model:
    """The same, written naively."""

    def __init__(self, size, overflow):
        self.size, self.overflow, self.items = size, overflow, deque()

    def offer(self, item):
        if self.overflow == "conflate":
            for place, old in enumerate(self.items):
                if old[0] == item[0]:
                    self.items[place] = item
                    return "conflated"
        if len(self.items) < self.size:
            self.items.append(item)
            return "kept"
        if self.overflow == "block":
            return "full"
        if self.overflow == "drop newest":
            return "dropped newest"
        self.items.popleft()
        self.items.append(item)
        return "dropped oldest"


@pytest.mark.parametrize("overflow", ["block", "drop oldest", "drop newest", "conflate"])
@settings(max_examples=120, deadline=None)
@given(size=st.integers(1, 4), steps=st.lists(st.one_of(st.none(), st.integers(0, 5)), max_size=40))
def test_a_buffer_does_what_its_rule_says(overflow, size, steps):
    key = (lambda item: item[0]) if overflow == "conflate" else None
    buffer, model = BoundedBuffer(size, overflow, key), Model(size, overflow)
    for number, step in enumerate(steps):
        if step is None:
            if model.items:
                assert buffer.take() == model.items.popleft()
            else:
                with pytest.raises(IndexError, match="nothing waits"):
                    buffer.take()
        else:
            assert buffer.offer((step, number)) == model.offer((step, number))
        assert len(buffer) == len(model.items) <= size
        assert buffer.is_full == (len(model.items) == size)
    counted = buffer.taken + buffer.dropped + buffer.conflated + buffer.refused + len(buffer)
    assert buffer.offered == counted


def test_without_a_bound_nothing_is_dropped_and_the_most_is_known():
    buffer = BoundedBuffer(None)
    assert all(buffer.offer(number) is Offer.KEPT for number in range(1000))
    for number in range(500):
        assert buffer.take() == number
    assert (len(buffer), buffer.most, buffer.dropped) == (500, 1000, 0)
    assert bool(BoundedBuffer(3))


def test_a_buffer_counts_right_under_threads():
    buffer = BoundedBuffer(50, "drop oldest")

    def work():
        for number in range(3000):
            buffer.offer(number)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (buffer.offered, len(buffer), buffer.dropped) == (12000, 50, 11950)


@pytest.mark.parametrize(
    "arguments, text",
    [
        ((0,), "size=0 must be a whole number >= 1"),
        ((2.5,), "size=2.5"),
        ((3, "drop"), "overflow='drop' must be one of 'block'"),
        ((3, "conflate"), "'conflate' needs a key"),
        ((3, "block", len), "the others need none"),
        ((3, "conflate", 7), "key=7 must be a function"),
    ],
)
def test_a_buffer_refuses(arguments, text):
    with pytest.raises((ValueError, TypeError), match=text):
        BoundedBuffer(*arguments)


# -- Heartbeat -------------------------------------------------------------------------------------


def test_silence_is_asked_about_and_then_taken_for_death():
    beat = Heartbeat(1.0, 2.5)
    beat.start(10.0)
    assert not beat.is_due(10.9) and beat.wait(10.9) == pytest.approx(0.1)
    assert beat.is_due(11.0)
    beat.pinged(11.0)
    assert not beat.is_due(11.5)
    assert beat.wait(11.5) == pytest.approx(0.5)
    beat.pinged(12.0)
    assert beat.wait(12.0) == pytest.approx(0.5)  # the death comes before the next ping
    assert not beat.is_dead(12.49) and beat.is_dead(12.5)
    assert beat.pings == 2


def test_whatever_is_heard_proves_life_and_spares_a_ping():
    beat = Heartbeat(1.0, 2.5)
    beat.start(0.0)
    for now in range(1, 20):
        beat.heard(now * 0.9)
        assert not beat.is_due(now * 0.9 + 0.5)
    assert not beat.is_dead(19 * 0.9 + 2.4)
    assert beat.is_dead(19 * 0.9 + 2.5)


def test_the_dead_stay_dead_until_a_new_connection():
    beat = Heartbeat(1.0, misses=3)
    assert beat.timeout == 3.0
    assert beat.is_dead(3.0)
    beat.heard(3.1)  # too late: it was given up
    beat.heard(2.9)  # in time, but nobody had told: the verdict stands
    assert beat.is_dead(3.2) and not beat.is_due(3.2) and beat.wait(3.2) == math.inf
    beat.start(4.0)
    assert not beat.is_dead(6.9)


def test_what_was_heard_out_of_order_does_not_turn_time_back():
    beat = Heartbeat(1.0, 2.0)
    beat.heard(1.5)
    beat.heard(1.0)
    assert not beat.is_dead(3.4)
    assert beat.is_dead(3.5)


def test_what_was_heard_may_be_told_long_after():
    beat = Heartbeat(10.0, 20.0)
    assert not beat.is_dead(12.0)
    beat.heard(3.0)  # it lay in a thread that has not run since
    assert not beat.is_dead(22.9) and beat.is_dead(23.0)


@settings(max_examples=200, deadline=None)
@given(start=st.floats(0, 1e6), interval=st.floats(1e-3, 1e3), share=st.floats(1.01, 10))
def test_sleeping_as_long_as_wait_says_always_gets_on(start, interval, share):
    beat = Heartbeat(interval, interval * share)
    beat.start(start)
    now = start
    for _ in range(100):
        if beat.is_dead(now):
            break
        if beat.is_due(now):
            beat.pinged(now)
        now += beat.wait(now)
    assert beat.is_dead(now)
    assert beat.pings == pytest.approx(math.ceil(share) - 1, abs=1)


@pytest.mark.parametrize(
    "arguments, options, text",
    [
        ((0,), {}, "interval=0 must be > 0"),
        ((1, 1), {}, "timeout=1 must be > interval=1"),
        ((1, 3), {"misses": 2}, "give one of them"),
        ((1,), {"misses": 1}, "timeout=1 must be > interval=1"),
    ],
)
def test_a_heartbeat_refuses(arguments, options, text):
    with pytest.raises(ValueError, match=text):
        Heartbeat(*arguments, **options)


# -- Reconnect -------------------------------------------------------------------------------------


def test_delays_grow_while_it_fails_and_begin_anew_after_a_stable_time():
    reconnect = Reconnect(Exponential(1, 60), stable=30)
    assert [reconnect.lost(now) for now in range(4)] == [1, 2, 4, 8]
    reconnect.opened(100)
    assert reconnect.lost(129.9) == 16  # too short to have proved anything
    reconnect.opened(200)
    assert reconnect.lost(230) == 1
    assert reconnect.attempts == 1
    assert reconnect.lost(231) == 2  # an attempt that failed is not a connection that lived


def test_a_connection_is_judged_once():
    reconnect = Reconnect(Exponential(1, 60), stable=10)
    reconnect.opened(0)
    assert reconnect.lost(10) == 1
    assert reconnect.lost(30) == 2


def test_jitter_is_the_backoffs():
    one, other = (Reconnect(FullJitter(1, 60, random.Random(seed))) for seed in (1, 2))
    assert [one.lost(0) for _ in range(5)] != [other.lost(0) for _ in range(5)]
    assert Reconnect(NoBackoff()).lost(0) == 0


@pytest.mark.parametrize("backoff", [None, 3, Exponential, NoBackoff])
def test_reconnect_refuses_what_is_no_backoff(backoff):
    with pytest.raises(TypeError, match="must be a law of delays"):
        Reconnect(backoff)


# -- Resume ----------------------------------------------------------------------------------------


def test_new_duplicate_gap():
    resume = Resume()
    assert [resume.take(n) for n in (1, 2, 2, 1, 3)] == [Seen.NEW, Seen.NEW, Seen.DUPLICATE, Seen.DUPLICATE, Seen.NEW]
    assert resume.take(6) is Seen.GAP and resume.last == 3
    assert resume.take(4) is Seen.NEW  # it was asked for again
    assert (resume.duplicates, resume.gaps, resume.given_up) == (2, 1, 0)


def test_what_the_sender_has_forgotten_is_given_up_and_noted():
    resume = Resume(10)
    assert resume.take(15) is Seen.GAP
    resume.skip_to(15)
    assert resume.take(15) is Seen.NEW
    assert resume.missing == [(11, 14)] and resume.given_up == 4
    resume.skip_to(12)  # nothing is missing before it
    assert resume.last == 15 and resume.given_up == 4


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 60), st.integers(0, 2**32))
def test_asking_again_and_dropping_duplicates_is_exactly_once(count, seed):
    rng, resume, seen = random.Random(seed), Resume(), []
    for _ in range(10_000):
        if resume.last == count:
            break
        first = max(1, resume.last + 1 - rng.randrange(4))  # a sender that repeats some
        for number in range(first, min(count, first + rng.randrange(8)) + 1):
            if resume.take(number) is Seen.NEW:
                seen.append(number)
    assert seen == list(range(1, count + 1))


@pytest.mark.parametrize("bad", [0, -1, 1.0, "1", True])
def test_resume_refuses_what_is_no_number(bad):
    with pytest.raises((ValueError, TypeError), match="messages are numbered"):
        Resume().take(bad)
