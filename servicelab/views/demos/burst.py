"""The burst (chapter 03): what a queue does with more work than its consumers can do, for a while."""

import functools

import numpy as np
import simpy

from servicelab.sim import Draws, replay
from servicelab.sim.consumer import Consumer
from servicelab.sim.publisher import Publisher
from servicelab.sim.queue import Queue
from servicelab.sim.task import waits
from servicelab.views.live import Choice, LivePanel, Slider
from servicelab.views.theme import FORMULA, MUTED, SIMULATED

#: Mails per second before and after the burst, and when it begins and the picture ends (seconds).
QUIET, BEGIN, END = 60, 0.5, 8.0

#: What one mail takes a consumer, in seconds.
WORK = 0.0125

#: A full queue holds this many mails.
FULL = 50

#: The ends of the axes: mails, and seconds of waiting. What is higher runs along the upper edge.
HIGHEST, LONGEST = 300, 2.0

LIMITS = {
    "none": {},
    f"{FULL} mails, the oldest goes": {"max_length": FULL},
    f"{FULL} mails, the sender is refused": {"max_length": FULL, "overflow": "reject-publish"},
}


class Burst(LivePanel):
    """Height and length of a burst, consumers, and a limit of the queue as controls.

    The dashed line is the fluid approximation: the level rises by what comes in minus what gets out, as if mails were
    water (Newell, "Applications of Queueing Theory", 1971).
    """

    title = "The burst"
    question = "Twice as long a burst: does it take twice as long until the queue is empty?"
    controls = (
        Slider("rate", "mails/s in the burst", 80, 400, 300, 20),
        Slider("length", "length of the burst (s)", 0.2, 2.0, 0.8, 0.2),
        Slider("consumers", "consumers, 80 mails/s each", 1, 8, 2),
        Choice("limit", "limit of the queue", tuple(LIMITS)),
    )

    def draw(self, fig):
        left, right = fig.subplots(1, 2)
        left.set(xlim=(0, END), ylim=(0, HIGHEST), xlabel="time (s)", ylabel="mails waiting")
        left.set_title("The queue")
        right.set(xlim=(0, END), ylim=(0, LONGEST), xlabel="sent at (s)", ylabel="wait of a mail (s)")
        right.set_title("Who waits how long")
        right.axhline(1, color=MUTED, linewidth=1)
        self.burst = self.moving(left.axvspan(BEGIN, BEGIN + 1, color=MUTED, alpha=0.15, linewidth=0))
        self.formula = self.moving(left.plot([], [], **FORMULA, label="fluid formula")[0])
        self.level = self.moving(left.plot([], [], **SIMULATED, drawstyle="steps-post", label="simulated")[0])
        self.dots = self.moving(right.plot([], [], ".", color=SIMULATED["color"], markersize=4)[0])
        left.legend(loc="upper right")

    def update(self, rate, length, consumers, limit):
        depth, sent, wait, gone = run(self.seed, rate, length, consumers, limit)
        grid = np.linspace(0, END, 400)
        capacity = consumers / WORK
        expected = fluid(grid, rate, length, capacity, LIMITS[limit].get("max_length", np.inf))
        self.burst.set_width(length)
        self.level.set_data(depth[0], np.minimum(depth[1], HIGHEST * 0.99))
        self.formula.set_data(grid, np.minimum(expected, HIGHEST * 0.99))
        self.dots.set_data(sent, np.minimum(wait, LONGEST * 0.99))

        empty = next((t for t, ready in zip(*depth) if t > BEGIN + length and ready == 0), None)
        until = f"is empty {empty - BEGIN - length:.1f} s after it" if empty else "is not empty at the end"
        went = "refused" if "overflow" in LIMITS[limit] else "dropped"
        turned_away = f" {gone} mails were {went}." if gone else ""
        return (
            f"{rate}/s come in the burst, {capacity:.0f}/s can go out. The queue grows to {depth[1].max()} mails "
            f"(formula: {expected.max():.0f}) and {until}. The longest wait is {np.nanmax(wait):.1f} s.{turned_away}"
        )


@functools.lru_cache(maxsize=64)  # who compares goes back and forth
def run(seed, rate, length, consumers, limit):
    """(times and levels), (when sent), (waits), how many were dropped or refused. Times in seconds."""
    draws = Draws(seed)
    rates = (QUIET, rate, QUIET)
    ends = np.cumsum([BEGIN, length, END - BEGIN - length])
    gaps = draws.exponential("gaps", 1.0).sample(int(END * 400 + 100)).cumsum()
    # The same gaps at every setting, stretched by the rate of the moment: moving a slider keeps the luck.
    passed = np.concatenate([[0], np.cumsum(np.multiply(rates, np.diff(ends, prepend=0)))])
    due = np.interp(gaps[gaps < passed[-1]], passed, np.concatenate([[0], ends]))

    env = simpy.Environment()
    mails = Queue(env, "mails", **LIMITS[limit])
    orders = Publisher(env, mails, "orders")
    for number in range(consumers):
        Consumer(env, f"worker {number}", mails, work=draws.constant(f"work {number}", WORK), prefetch=1)
    replay(env, due, orders)
    env.run(until=END)
    sent = np.array([task.published for task in orders.tasks])
    return (mails.depth.time, mails.depth.ready), sent, waits(orders.tasks), sum(mails.gone.values())


def fluid(t, rate, length, capacity, full=np.inf):
    """Mails waiting at the times ``t`` (seconds), for rates in mails/s; at most ``full`` of them."""
    peak = min(max(0.0, rate - capacity) * length, full)
    rising = np.minimum(np.maximum(0.0, rate - capacity) * (t - BEGIN), full)
    falling = peak - (capacity - QUIET) * (t - BEGIN - length)
    return np.maximum(0.0, np.where(t < BEGIN + length, rising, falling))
