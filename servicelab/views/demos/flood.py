"""The flood (chapter 06): a producer, a reader, and what becomes of the items between them."""

import functools

import numpy as np
import simpy

from servicelab import theory
from servicelab.policies import BoundedBuffer
from servicelab.sim import Draws
from servicelab.sim.stream import Channel, Producer, Reader
from servicelab.views.live import Choice, LivePanel, Slider
from servicelab.views.theme import FAILURE_INK, FORMULA, SIMULATED, VERMILION

#: The picture ends here (seconds); what is higher than the ends of the axes (items, seconds) runs along their edge.
END, HIGHEST, LONGEST = 10.0, 400, 5.0

#: The items are about this many things in turn (orders, say): what "conflate" goes by.
KEYS = 8

#: What happens to an item that finds the buffer full.
RULES = {
    "no bound": lambda size: BoundedBuffer(None),
    "block": lambda size: BoundedBuffer(size, "block"),
    "drop oldest": lambda size: BoundedBuffer(size, "drop oldest"),
    "drop newest": lambda size: BoundedBuffer(size, "drop newest"),
    "conflate by key": lambda size: BoundedBuffer(size, "conflate", key=lambda item: item.key),
}


class Flood(LivePanel):
    """The producer's rate, the reader's speed, the rule and the size of the buffer between them as controls.

    The dashed lines are formulas for a producer and a reader without chance: how many wait, and how old is what is
    read (:func:`age_when_read`).
    """

    title = "A fast producer and a slow reader"
    question = "What do you give up: memory, the past, the present, or the producer's pace?"
    controls = (
        Slider("rate", "the producer makes (items/s)", 20, 200, 120, 10),
        Slider("speed", "the reader takes (items/s)", 20, 200, 60, 10),
        Choice("rule", "a full buffer", tuple(RULES), "drop oldest"),
        Slider("size", "size of the buffer", 10, 200, 100, 10),
    )

    def draw(self, fig):
        left, right = fig.subplots(1, 2)
        left.set(xlim=(0, END), ylim=(0, HIGHEST), xlabel="time (s)", ylabel="items that wait")
        left.set_title("The buffer")
        right.set(xlim=(0, END), ylim=(0, LONGEST), xlabel="time (s)", ylabel="age of an item when read (s)")
        right.set_title("How fresh it is")
        self.growth = self.moving(left.plot([], [], **FORMULA, label="formula")[0])
        self.level = self.moving(left.plot([], [], **SIMULATED, drawstyle="steps-post", label="simulated")[0])
        self.bound = self.moving(right.plot([], [], **FORMULA)[0])
        self.ages = self.moving(right.plot([], [], ".", color=SIMULATED["color"], markersize=4)[0])
        self.lost = self.moving(right.text(0.3, 0.9 * LONGEST, "", color=FAILURE_INK, weight="bold"))
        left.legend(loc="upper left")

    def update(self, rate, speed, rule, size):
        channel, reader, made = run(self.seed, rate, speed, rule, size)
        at, depth = np.array(channel.depth).T
        self.level.set_data(np.append(at, END), np.minimum(np.append(depth, depth[-1]), HIGHEST))
        grid = np.linspace(0, END, 200)
        limit = np.inf if rule == "no bound" else KEYS if rule == "conflate by key" else size
        self.growth.set_data(grid, np.minimum(theory.buffer_growth(rate, speed, grid), min(limit, HIGHEST)))
        self.bound.set_data(grid, age_when_read(rate, speed, rule, size, grid))
        self.ages.set_data(reader.times, np.minimum(reader.ages, LONGEST))
        buffer = channel.buffer
        gone = buffer.dropped + buffer.conflated
        self.lost.set_text(f"{gone} of {made} never read" if gone else "")
        self.level.set_color(VERMILION if buffer.most >= HIGHEST else SIMULATED["color"])
        return (
            f"{rate} items/s made, {speed} read, {rule}, size {size}: at the end {len(buffer)} wait, the last one read "
            f"was {reader.ages[-1]:.1f} s old; {made} were made, {gone} of them are never read."
        )


def age_when_read(rate, speed, rule, size, at):
    """Seconds between making and reading an item that is read at the moments ``at`` (s), if nothing is left to chance.

    Without a bound the item read at t was made at t × speed / rate. A full buffer keeps from growing older: with
    "block" and "drop newest" an item waits for ``size`` reads, with "drop oldest" the ``size`` latest items wait, and
    of KEYS things in turn each is overtaken after KEYS / rate, half of which has passed on average.
    """
    behind = np.maximum(0.0, at * (1 - speed / rate))
    if rule == "no bound":
        return behind
    oldest = {"drop oldest": size / rate, "conflate by key": KEYS / rate / 2}
    return np.minimum(behind, oldest.get(rule, theory.freshness_bound(size, speed)))


@functools.lru_cache(maxsize=16)  # who compares goes back and forth
def run(seed, rate, speed, rule, size):
    """Ten seconds of it: the channel, its reader, and how many items were made."""
    env, draws = simpy.Environment(), Draws(seed)
    channel = Channel(env, RULES[rule](size))
    producer = Producer(env, channel, draws.exponential("gap", 1 / rate), keys=KEYS)
    reader = Reader(env, channel, 1 / speed)
    env.run(until=END)
    return channel, reader, producer.made
