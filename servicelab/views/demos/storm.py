"""The outage that outlives its cause (chapter 10): press "Fix it", and watch nothing recover."""

from collections import deque
from itertools import groupby
from typing import NamedTuple

import numpy as np
import simpy

from servicelab.policies import CircuitBreaker, Retry, RetryBudget, Timeout
from servicelab.sim import Call, Client, Draws, Message, Service
from servicelab.views.live import Choice, LivePanel, Press, Slider
from servicelab.views.theme import FAILURE_INK, FORMULA, INK, MUTED, PURPLE, SIMULATED, VERMILION

CAPACITY = 300  # requests/s
TIMEOUT = 1.0  # seconds that a caller waits for each attempt
ROOM = 5 * CAPACITY  # requests that may wait: five times the timeout is late enough, and soon reached
SLOWER = 100  # a broken service takes this many times as long
SPAN, STEP = 60, 0.5  # seconds that are shown, and that a tick lasts
SMOOTH = 4  # ticks over which the lines are averaged
HIGHEST = 1450  # attempts/s on the axis: 290 calls/s with three retries each are 1160, and above is the legend

#: The remedies, and what each changes about the rule that λ(1 + r) has to be below μ.
REMEDIES = {
    "none": "",
    "retry budget 10%": " The budget makes r at most 0.1.",
    "drop expired": " But no work is done for callers who have left: it may recover all the same.",
    "newest first": " But the newest callers are answered in time, so it recovers all the same.",
    "breaker": " But the breaker keeps calls away until the queue is empty, so it recovers all the same.",
}


class Tick(NamedTuple):
    """What happened in a tick: counts of attempts, and of calls by their end; how many requests ``waiting`` then."""

    offered: int
    answered: int
    given_up: int
    waiting: int
    broken: bool


class Door:
    """Counts the attempts, and when the room is full lets nobody in. It does not say so (nor does a full listen
    backlog): the caller waits for the timeout, so that λ(1 + r) attempts/s come, whether there is room or not."""

    def __init__(self, env, service):
        self.env, self.service, self.offered = env, service, 0

    def call(self, message):
        self.offered += 1
        if len(self.service.waiting) >= ROOM:
            yield self.env.event()
        return (yield from self.service.call(message))


class Storm(LivePanel):
    """Load, retries, a remedy and the cause of the outage as controls; *Start* lets time pass, five times as fast.

    A service of one worker, 300 requests/s (exponential), and callers (Poisson) who wait for 1 s. While it is broken
    each request takes a hundred times as long. Everything holds from the next tick on. See
    :mod:`servicelab.sim.outage` for the source, and for the same with a queue without an end.
    """

    title = "The outage that outlives its cause"
    question = "Break it for ten seconds and fix it. Does it recover? What does it take, besides the fix?"
    controls = (
        Slider("load", "load λ (calls/s)", 50, 290, 280, 10),
        Slider("retries", "retries per call r", 0, 3, 1),
        Choice("remedy", "remedy", tuple(REMEDIES)),
        Press("toggle", "Break it"),
    )
    size = (900, 390)

    def restart(self):
        self.broken = False
        self.env, draws = simpy.Environment(), Draws(self.seed)
        work, gap = draws.exponential("work", 1 / CAPACITY), draws.exponential("gaps", 1)
        self.service = Service(self.env, "orders", work=lambda: work() * (SLOWER if self.broken else 1))
        self.door = Door(self.env, self.service)
        self.client, self.applied = Client(self.env, self.door), None
        self.answered = self.given_up = 0
        self.past: deque[Tick] = deque(maxlen=int(SPAN / STEP))
        self.env.process(self._callers(gap))
        for _ in range(40):  # so that the first picture shows what a good day looks like
            self.tick()

    def toggle(self):
        """Break the service, or fix it."""
        self.broken = not self.broken

    def tick(self):
        wanted = self.values["remedy"], self.values["retries"]
        if self.applied != wanted:
            self._apply(*wanted)
            self.applied = wanted
        before = self.door.offered, self.answered, self.given_up
        self.env.run(until=self.env.now + STEP)
        counts = (now - then for now, then in zip((self.door.offered, self.answered, self.given_up), before))
        self.past.append(Tick(*counts, len(self.service.waiting), self.broken))

    def _apply(self, remedy, retries):
        self.service.drop_abandoned = remedy == "drop expired"
        self.service.order = "lifo" if remedy == "newest first" else "fifo"
        attempt, budget = Timeout(TIMEOUT), None
        if remedy == "breaker":
            # It stays open for a little longer than a full room takes to empty.
            attempt = CircuitBreaker(attempt, window="time", size=2.0, minimum_calls=50, wait_open=6.0)
        elif remedy == "retry budget 10%":
            budget = RetryBudget(ratio=0.1, min_per_second=0.0, reserve=10.0)
        self.client.policy = Retry(attempt, tries=1 + retries, budget=budget)

    def _callers(self, gap):
        while True:
            yield self.env.timeout(gap() / self.values["load"])
            Call(self.env, self._caller())

    def _caller(self):
        status = yield from self.client.call(Message("order"))
        if status == "ok":
            self.answered += 1
        else:
            self.given_up += 1

    # -- the picture ------------------------------------------------------------------------

    def draw(self, fig):
        from matplotlib.collections import PolyCollection

        rates, queue = fig.subplots(2, 1, sharex=True, height_ratios=(1.7, 1))
        rates.set(xlim=(-SPAN, 0), ylim=(0, HIGHEST), ylabel="per second", yticks=(0, 300, 600, 900, 1200))
        queue.set(ylim=(0, ROOM * 1.1), ylabel="waiting", yticks=(0, ROOM))
        queue.set_xticks(
            range(-SPAN, 1, 10), [f"{-s} s ago" if s == -SPAN else -s or "now" for s in range(-SPAN, 1, 10)]
        )
        rates.axhline(CAPACITY, **FORMULA, label="capacity μ")
        queue.axhline(CAPACITY * TIMEOUT, **FORMULA)
        queue.text(-SPAN + 0.4, CAPACITY * TIMEOUT + 60, "one second's work: the timeout", color=MUTED)
        self.shades = [self.moving(PolyCollection([], facecolor=VERMILION, alpha=0.2)) for _ in (rates, queue)]
        for ax, shade in zip((rates, queue), self.shades):
            ax.add_collection(shade, autolim=False)
        self.labels = [
            self.moving(rates.text(0, 0.55 * HIGHEST, "", ha="center", weight="bold", color=FAILURE_INK))
            for _ in range(4)
        ]
        self.offered = self.moving(rates.plot([], [], color=PURPLE, linewidth=2, label="attempts")[0])
        self.goodput = self.moving(rates.plot([], [], **SIMULATED | {"linewidth": 3}, label="answered in time")[0])
        self.threat = self.moving(rates.axhline(0, color=PURPLE, linewidth=2.2, linestyle=":", label="λ(1 + r)"))
        self.waiting = self.moving(queue.plot([], [], **SIMULATED)[0])
        rates.legend(loc="upper left", ncols=4, borderpad=0, borderaxespad=0.2, columnspacing=1.4)
        self.state = self.moving(rates.text(0, 1.05, " ", transform=rates.transAxes, weight="bold", size=16))
        self.sum = self.moving(rates.text(1, 1.05, " ", transform=rates.transAxes, ha="right", size=14))

    def update(self, load, retries, remedy):
        past, last = self.past, list(self.past)[-SMOOTH:]
        time = STEP * np.arange(1 - len(past), 1)
        self.offered.set_data(time, smooth([tick.offered for tick in past]))
        self.goodput.set_data(time, smooth([tick.answered for tick in past]))
        self.waiting.set_data(time, [tick.waiting for tick in past])
        self._shade()

        r = min(retries, 0.1) if remedy == "retry budget 10%" else retries
        most = load * (1 + r)
        self.threat.set_ydata([most, most])
        sign, fate = (">", "does not end by itself") if most > CAPACITY else ("<", "ends by itself, sooner or later")
        self.sum.set_text(f"λ(1 + r) = {load} × {1 + r:g} = {most:.0f}  {sign}  μ = {CAPACITY}")
        well = sum(tick.answered for tick in last) >= 9 * sum(tick.given_up for tick in last)
        if self.broken:
            state, colour = "Broken", FAILURE_INK
        elif well:
            state, colour = "Well", INK
        else:
            state, colour = "Down, though nothing is broken", FAILURE_INK
        self.state.set(text=state, color=colour)
        if self.widget:
            button = self.fields["toggle"]
            button.description = button.tooltip = "Fix it" if self.broken else "Break it"
        answered = sum(tick.answered for tick in last) / STEP / len(last)
        return (
            f"{state}: {load} calls/s come, {answered:.0f}/s are answered in time, {past[-1].waiting} requests wait. "
            f"λ(1 + r) is {most:.0f}/s, μ is {CAPACITY}/s: an overload {fate}.{REMEDIES[remedy]}"
        )

    def _shade(self):
        runs, end = [], -STEP * len(self.past)
        for broken, ticks in groupby(self.past, lambda tick: tick.broken):
            begin, end = end, end + STEP * len(list(ticks))
            if broken:
                runs.append((begin, end))
        for shade, top in zip(self.shades, (HIGHEST, 2 * ROOM)):
            shade.set_verts([[(begin, 0), (end, 0), (end, top), (begin, top)] for begin, end in runs])
        for i, label in enumerate(self.labels):
            begin, end = runs[-1 - i] if i < len(runs) else (0, 0)
            label.set(text="broken" if end > begin else "", x=(begin + end) / 2)


def smooth(counts):
    """Counts per tick as rates per second, each averaged over the ticks up to it."""
    total = np.cumsum([0, *counts])
    begin = np.maximum(0, np.arange(1, len(total)) - SMOOTH)
    return (total[1:] - total[begin]) / (np.arange(1, len(total)) - begin) / STEP
