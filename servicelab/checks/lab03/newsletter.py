"""The newsletter of exercise 5: a burst of mails, a queue, consumers in another town. On a broker, and in SimPy."""

import math
import random
import time
from contextlib import ExitStack
from numbers import Integral
from typing import NamedTuple

import numpy as np
import simpy

from servicelab.clients.amqp import Consumer as RealConsumer
from servicelab.clients.amqp import connect
from servicelab.faults import FaultProxy, Latency
from servicelab.lifecycle import wait_until
from servicelab.servers.amqp import Broker
from servicelab.sim import Consumer, Publisher, Queue, replay, waits

QUEUE = "mails"
BEFORE, AFTER = 1.0, 2.0  # quiet seconds on both sides of the burst


class Setting(NamedTuple):
    """``rate`` mails/s for ``seconds``, ``quiet`` mails/s before and after; ``target`` seconds to wait at the most. A
    mail takes ``usual`` seconds, one of ``share`` takes ``slow``; the consumers are ``round_trip`` seconds away."""

    rate: float
    seconds: float
    quiet: float
    target: float
    usual: float
    slow: float
    share: int
    round_trip: float

    @property
    def mean(self) -> float:
        return self.usual + (self.slow - self.usual) / self.share

    @property
    def consumers(self) -> int:
        """The fewest that do all of the burst's mails in its time and the target, by the fluid formula."""
        return math.ceil(self.rate * self.seconds / (self.seconds + self.target) * self.mean)

    @property
    def prefetch(self) -> int:
        """So many messages keep a consumer at work while an ack and the next message are on their way."""
        return 1 + math.ceil(self.round_trip / self.mean)

    def __str__(self):
        return f"{self.rate:g} mails/s for {self.seconds:g} s"


#: Hidden settings. In each a few slow mails make the mean a good deal longer than what is usual. Of those that are
#: checked one is like the practice; one is short, high and far away; one is long, low and of mails that are unlike.
PRACTICE = Setting(240, 1.5, 30, 0.8, 0.010, 0.15, 40, 0.012)
CHECKED = (
    Setting(300, 2.0, 40, 1.1, 0.012, 0.25, 50, 0.010),
    Setting(360, 0.7, 30, 0.71, 0.021, 0.084, 30, 0.063),
    Setting(200, 3.0, 15, 2.2, 0.012, 0.20, 20, 0.002),
)


class Mail(NamedTuple):
    """When a mail was ``published``, and when its work ``began`` and ``ended``: seconds on one clock."""

    published: float
    began: float
    ended: float


class Newsletter:
    """What is known of a newsletter: ``rate`` mails/s for ``seconds``, ``quiet`` mails/s otherwise, ``target`` and
    ``round_trip`` in seconds, and how many ``mails`` it has in all, the quiet second before and the two after included.
    How long a mail takes is to be measured: ``watch()``. Use it in a ``with`` block."""

    def __init__(self, setting: Setting):
        self._setting, self.mails = setting, len(due_of(setting, seed=0))
        self.rate, self.seconds, self.quiet = setting.rate, setting.seconds, setting.quiet
        self.target, self.round_trip = setting.target, setting.round_trip

    def __repr__(self):
        return f"<a newsletter: {self._setting}, else {self.quiet:g}; nobody waits longer than {self.target:g} s>"

    def __enter__(self):
        with ExitStack() as stack:
            self._broker = stack.enter_context(Broker("broker of the newsletter"))
            self._line = stack.enter_context(FaultProxy(self._broker, "line to the newsletter"))
            for direction in ("upstream", "downstream"):
                self._line.add(Latency(self.round_trip / 2, direction=direction))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error):
        self._stack.close()

    def watch(self, mails: int = 100) -> list[Mail]:
        """Let four consumers send so many ordinary mails, one after another, and return when each was what."""
        return self._run([0.0] * mails, works_of(self._setting, mails, seed=0), consumers=4, prefetch=4)

    def rehearse(self, consumers: int, prefetch: int, limit: int | None = None) -> list[Mail]:
        """Send the whole newsletter through the broker; returns the mails that were not turned away. Takes as long as
        it takes: some seconds. ``prefetch=0`` and ``limit=None`` are no limit. Raises ValueError for what is no whole
        number, or of a size that cannot be."""
        plan = {"consumers": consumers, "prefetch": prefetch} | ({} if limit is None else {"limit": limit})
        if faults := not_possible(plan):
            raise ValueError(faults)
        due = due_of(self._setting, seed=0)
        return self._run(due, works_of(self._setting, len(due), seed=0), **{key: int(plan[key]) for key in plan})

    def _run(self, due, works, consumers, prefetch, limit=None):
        arguments = {} if limit is None else {"x-max-length": limit, "x-overflow": "reject-publish"}
        published, done, clock = {}, {}, time.monotonic

        def send(channel, method, properties, body):
            number, began = int(body), clock()
            time.sleep(works[number])
            done[number] = began, began + works[number]  # a busy machine wakes it late: that is not the mail's work
            channel.basic_ack(method.delivery_tag)

        with ExitStack() as stack:
            channel = stack.enter_context(connect(self._broker, "orders")).channel()
            channel.queue_delete(QUEUE)
            channel.queue_declare(QUEUE, arguments=arguments)
            for number in range(1, consumers + 1):
                worker = RealConsumer(self._line, QUEUE, send, prefetch=prefetch, name=f"newsletter worker {number}")
                stack.enter_context(worker)
            start = clock() + 0.02
            for number, at in enumerate(due):
                time.sleep(max(0.0, start + at - clock()))
                published[number] = clock()
                channel.basic_publish("", QUEUE, str(number).encode())
            wait_until(lambda: self._broker.depth(QUEUE) == (0, 0), 60.0)
        return [Mail(published[number], *done[number]) for number in sorted(done)]


#: The smallest and the largest number of each; more consumers are a slip of the pen.
SIZES = {"consumers": (1, 1000), "prefetch": (0, 65535), "limit": (1, 2**31 - 1)}


def not_possible(plan: dict) -> str:
    """What in ``plan`` is no whole number, or too small or too large, in words."""
    odd = []
    for key, value in plan.items():
        low, high = SIZES[key]
        if not isinstance(value, Integral) or isinstance(value, bool) or not low <= value <= high:
            odd.append(f"{key}={value!r} must be a whole number, {low} to {high}")
    return "; ".join(odd)


def practice_newsletter() -> Newsletter:
    """A newsletter to try things on; the check has others."""
    return Newsletter(PRACTICE)


def due_of(setting, seed, times=1.0) -> list[float]:
    """When each mail is published, in seconds: at random, in the number that the rate says, the burst ``times`` as
    large."""
    rng = random.Random(f"newsletter {seed}")
    end = BEFORE + setting.seconds
    parts = [(0.0, BEFORE, setting.quiet), (BEFORE, end, times * setting.rate), (end, end + AFTER, setting.quiet)]
    return sorted(rng.uniform(a, b) for a, b, rate in parts for _ in range(round((b - a) * rate)))


def works_of(setting, mails, seed) -> list[float]:
    """Seconds for each mail: in each ``share`` of them one is slow, and chance says which."""
    rng = random.Random(f"work {seed}")
    works = [setting.usual] * mails
    for start in range(0, mails, setting.share):
        works[rng.randrange(start, min(start + setting.share, mails))] = setting.slow
    return works


class Day(NamedTuple):
    """A simulated newsletter: the ``longest`` wait in seconds, how many mails were ``turned_away``, the most that were
    in the ``queue`` at once, and all of them."""

    longest: float
    turned_away: int
    queue: int
    tasks: list


def simulate(setting, consumers, prefetch, limit=None, *, seed=0, times=1.0) -> Day:
    """The newsletter in SimPy, the burst ``times`` as large. ``prefetch=0`` and ``limit=None`` are no limit."""
    due = due_of(setting, seed, times)
    works = iter(works_of(setting, len(due), seed))
    env = simpy.Environment()
    queue = Queue(env, QUEUE, max_length=limit, overflow="reject-publish")
    orders = Publisher(env, queue, "orders")
    options = {"prefetch": prefetch or None, "delay": setting.round_trip / 2}
    for number in range(consumers):
        Consumer(env, f"worker {number}", queue, lambda: next(works), **options)
    replay(env, due, orders)
    env.run()
    longest, most = float(np.nanmax(waits(orders.tasks))), int(queue.depth.ready.max())
    return Day(longest, queue.gone["rejected"], most, orders.tasks)
