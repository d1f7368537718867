"""Lost and twice (chapter 11): ten busy minutes of a shop whose processes die and whose replies get lost."""

import functools
from itertools import accumulate
from random import Random

import numpy as np

from servicelab import theory
from servicelab.policies import IdempotencyKeys
from servicelab.views.live import Choice, LivePanel, Slider
from servicelab.views.theme import BLUE, FAILURE_INK, GREEN, MUTED, VERMILION

RATE, MINUTES = 20, 10  # orders a second, length of the run
TICKS = (0, 1, 10, 100, 1000, 10_000)
AGAIN = 60.0  # seconds until an unanswered charge is tried again, on average
WRITES = ("books, then broker", "outbox")
#: What payment remembers of its keys → seconds.
KEYS = {"no keys": None, "for a minute": 60, "for five minutes": 300, "for a day": 86_400}


class Promises(LivePanel):
    """How orders tells shipping, the gap between its two writes, crashes, lost replies, and payment's memory.

    The left picture counts over time, the right one at the end. The same customers, crashes and losses for every
    setting, as far as the setting lets them be.
    """

    title = "Lost and twice"
    question = "Which setting mends which counter? Find a zero for each, with crashes and with lost replies."
    controls = (
        Choice("writes", "orders writes to", WRITES),
        Slider("gap", "between the two writes (ms)", 5, 200, 40, 5),
        Slider("crashes", "crashes of orders", 0, 30, 10),
        Slider("lost", "replies of payment lost (%)", 0, 30, 0),
        Choice("keys", "payment remembers keys", tuple(KEYS)),
    )

    def draw(self, fig):
        left, right = fig.subplots(1, 2, width_ratios=(1.7, 1))
        left.set(xlim=(0, MINUTES), xlabel="time (minutes)", ylabel="orders so far")
        left.set_title(f"{RATE} orders/s; at each cross orders is killed")
        right.set_title("Promises broken")
        for ax in (left, right):
            ax.set_yscale("symlog", linthresh=1, linscale=0.5)
            ax.set(ylim=(0, 20_000), yticks=TICKS, yticklabels=TICKS)
            ax.minorticks_off()
        colours = (VERMILION, BLUE)
        style = {"linewidth": 2.5, "drawstyle": "steps-post"}
        self.lines = [self.moving(left.plot([], [], color=colour, **style)[0]) for colour in colours]
        self.crosses = self.moving(left.plot([], [], "x", color=MUTED, markersize=8, clip_on=False)[0])
        right.set(xlim=(-0.6, 1.6))
        right.set_xticks([0, 1], ["in the books,\nno parcel", "paid twice\nor more"])
        self.bars = [self.moving(bar) for bar in right.bar([0, 1], [0, 0], color=colours, width=0.6)]
        self.counts = [self.moving(right.text(x, 0, "", ha="center", weight="bold", fontsize=17)) for x in (0, 1)]

    def update(self, writes, gap, crashes, lost, keys):
        orders, dead, fell, twice = busy_minutes(self.seed, writes == WRITES[1], gap / 1000, crashes, lost / 100, keys)
        for line, times in zip(self.lines, (fell, twice)):
            line.set_data([0, *np.divide(times, 60), MINUTES], [0, *range(1, len(times) + 1), len(times)])
        self.crosses.set_data(np.divide(dead, 60), [0] * len(dead))
        for bar, text, number in zip(self.bars, self.counts, (len(fell), len(twice))):
            bar.set_height(number)
            text.set(y=max(0.15, 1.25 * number), text=number, color=FAILURE_INK if number else GREEN)
        expected = crashes * theory.lost_per_crash(RATE, gap / 1000) if writes == WRITES[0] else 0
        return (
            f"{len(orders)} orders, {crashes} crashes with {gap} ms between the writes ({writes}): {len(fell)} orders "
            f"are in the books and never become a parcel (on average {expected:.3g}). {lost}% of the replies lost, "
            f"keys remembered: {keys}. {len(twice)} orders are paid more than once."
        )


def busy_minutes(seed, outbox, gap, crashes, lost, keys):
    """``(times of the orders, of the crashes, of the orders that fell into a gap, of the second charges)``, seconds."""
    orders, blows, *_ = _luck(seed)
    dead = np.sort(blows[:crashes])
    begins, ends = (np.searchsorted(orders, at, side="right") for at in (dead - gap, dead))
    fell = [] if outbox else [at for begin, end in zip(begins, ends) for at in orders[begin:end]]
    return orders, dead, sorted(fell), _charged_twice(seed, lost, KEYS[keys])


@functools.lru_cache(maxsize=4)  # whatever is set, they are the same
def _luck(seed):
    """``(times of the orders, of the crashes, pause after each try, luck of its reply)``; below ``lost`` it is lost."""
    dice, end = np.random.default_rng(seed), 60 * MINUTES
    orders = np.cumsum(dice.exponential(1 / RATE, 2 * RATE * end))
    crashes = dice.uniform(0, end, 30)
    dice = Random(seed)
    pauses, replies = zip(*((dice.expovariate(1 / AGAIN), dice.random()) for _ in orders))
    return orders[orders < end], crashes, pauses, np.array(replies)


@functools.lru_cache(maxsize=64)  # it does not ask how orders tells shipping
def _charged_twice(seed, lost, keep):
    orders, _, pauses, replies = _luck(seed)
    last = np.flatnonzero(replies >= lost)[: len(orders)].tolist()  # an order's tries end with the one answered
    tries = []
    for order, (at, begin, end) in enumerate(zip(orders.tolist(), [0, *(end + 1 for end in last)], last)):
        if end > begin:  # answered at the first try it is charged once, and no other key minds it
            tries += [(when, order) for when in accumulate(pauses[begin:end], initial=at) if when < 60 * MINUTES]
    memory = IdempotencyKeys(keep) if keep else None
    charged, twice = set(), {}
    for at, order in sorted(tries):
        if memory is not None and memory.ask(order, order, at).word != "new":
            continue
        if memory is not None:
            memory.finish(order, "paid")
        if order in charged:
            twice.setdefault(order, at)
        charged.add(order)
    return sorted(twice.values())
