"""The breaker cockpit (chapter 10): a circuit breaker at work; its window, threshold and probes in sight."""

from collections import deque
from typing import NamedTuple

import simpy

from servicelab.policies import CircuitBreaker, Timeout
from servicelab.policies.script import follow
from servicelab.policies.status import Status
from servicelab.sim import Call, Client, Draws, Message, Service
from servicelab.views.live import LivePanel, Slider
from servicelab.views.theme import FAILURE, FORMULA, GREEN, INK, MUTED, VERMILION, YELLOW, text_on

RATE = 20  # calls/s
SPAN = 30  # seconds that are shown
STEP = 0.5  # seconds that a tick lasts
TIMEOUT = 0.5  # seconds that a client waits
WINDOW, LEAST, PROBES = 20, 10, 3  # calls: in the window, before anything is decided, permitted in half-open

COLOURS = {"closed": GREEN, "open": VERMILION, "half-open": YELLOW}
BAND = 660  # where the band of states lies, on the axis of ms
WIDTHS = {"closed": 2.4, "open": 1.9, "half-open": 3.5}  # seconds of the axis that each name covers


class Mark(NamedTuple):
    """A call that ended ``at``, after ``took`` (both in seconds)."""

    at: float
    took: float
    status: str
    probe: bool


class Heard:
    """Stands inside the breaker, and so hears of every call that it lets through, and of no other."""

    def __init__(self, inner, panel):
        self.inner, self.panel = inner, panel

    def script(self, now):
        period, probe = self.panel.period_number, self.panel.breaker.state(now) == "half-open"
        status, end = yield from follow(self.inner, now)
        self.panel.marks.append(Mark(end, end - now, status, probe))
        if period == self.panel.period_number:  # an answer from before a change of state decides nothing
            self.panel.window.append(status)
        return status


class Cockpit(LivePanel):
    """How well payment is, and two settings of the breaker before it, as controls; *Start* lets time pass.

    Twenty calls/s (Poisson) with a timeout of 0.5 s; payment takes the set time give or take 20%, and has workers
    for all of them. The breaker looks at the last 20 calls once it has 10, and permits 3 probes. The threshold holds
    from the next call on; the wait from the next opening on, as it does for every breaker that is open already.
    """

    title = "The breaker cockpit"
    question = "Make payment ill. After how many failures does it open, and what does it take to close again?"
    controls = (
        Slider("fails", "payment fails (%)", 0, 100, 5),
        Slider("takes", "payment takes (ms; 500 is too late)", 20, 1000, 120, 20),
        Slider("threshold", "open at … % failures", 5, 100, 50, 5),
        Slider("wait", "wait before probing (s), when it opens next", 2, 10, 4),
    )
    size = (900, 385)
    period = 0.25

    def restart(self):
        self.env, draws = simpy.Environment(), Draws(self.seed)
        spread, lot = draws.uniform("work", 0.8, 1.2), draws.uniform("fails", 0, 100)
        self.payment = Service(
            self.env,
            "payment",
            work=lambda: spread() * self.values["takes"] / 1000,
            workers=RATE * 10,
            fails=lambda: lot() < self.values["fails"],
        )
        self.breaker = CircuitBreaker(
            Heard(Timeout(TIMEOUT), self),
            name="payment",
            window="count",
            size=WINDOW,
            minimum_calls=LEAST,
            permitted_half_open=PROBES,
            on_change=self._changed,
        )
        self.period_number, self.probes_from, self.counted = 0, 0.0, "calls"
        self.marks, self.window = deque(), deque(maxlen=WINDOW)
        self.env.process(self._customers(draws.exponential("gaps", 1 / RATE)))
        self._go_on(SPAN)  # so that the first picture shows what a good day looks like

    def tick(self):
        self._go_on(STEP)

    def _go_on(self, seconds):
        self.breaker.failure_rate = self.values["threshold"] / 100
        self.breaker.wait_open = self.values["wait"]
        self.env.run(until=self.env.now + seconds)
        begin, changes = self.env.now - SPAN, self.breaker.changes
        while self.marks and self.marks[0].at < begin:
            self.marks.popleft()
        while len(changes) > 1 and changes[1][0] < begin:  # the first one says in which state the picture begins
            del changes[0]

    def _customers(self, gap):
        client = Client(self.env, self.payment, self.breaker)
        while True:
            yield self.env.timeout(gap())
            Call(self.env, self._customer(client))

    def _customer(self, client):
        status = yield from client.call(Message("pay"))
        if status == Status.REJECTED:
            self.marks.append(Mark(self.env.now, 0.0, status, False))

    def _changed(self, at, state):
        self.period_number += 1
        if state == "open":  # what opened it stays in the window, to be looked at
            self.probes_from = at + self.breaker.wait_open
        else:
            self.window.clear()
            self.counted = "probes" if state == "half-open" else "calls"

    # -- the picture ------------------------------------------------------------------------

    def draw(self, fig):
        grid = fig.add_gridspec(2, 2, height_ratios=(3.4, 1), width_ratios=(1.75, 1))
        self._draw_calls(fig.add_subplot(grid[0, :]))
        self._draw_window(fig.add_subplot(grid[1, 0]))
        self._draw_rate(fig.add_subplot(grid[1, 1]))

    def _draw_calls(self, ax):
        from matplotlib.collections import LineCollection

        limit = 1000 * TIMEOUT
        ax.set(xlim=(-SPAN, 0), ylim=(0, 1.7 * limit), ylabel="answer after (ms)", yticks=(0, limit / 2, limit))
        ax.set_xticks(range(-SPAN, 1, 5), [f"{-s} s ago" if s == -SPAN else -s or "now" for s in range(-SPAN, 1, 5)])
        ax.axhline(limit, color=MUTED, linewidth=1.2, linestyle=":")
        ax.text(-SPAN + 0.3, limit + 10, "timeout", color=MUTED, va="bottom")
        # What is set takes effect with the next calls; until then this line says that it has been heard.
        self.now_set = self.moving(ax.text(-0.3, limit + 10, "", color=MUTED, va="bottom", ha="right"))
        dot, cross, tick, ring = (
            {"marker": "o", "markersize": 4.5, "linestyle": "none", "color": GREEN, "label": "ok"},
            FAILURE | {"markersize": 7, "markeredgewidth": 1.8, "label": "failed or too late"},
            {"marker": "|", "markersize": 9, "linestyle": "none", "color": MUTED, "label": "refused by the breaker"},
            {"marker": "o", "markersize": 12, "linestyle": "none", "color": INK, "mfc": "none", "mew": 1.7},
        )
        self.ok, self.failed, self.refused = (self.moving(ax.plot([], [], **how)[0]) for how in (dot, cross, tick))
        self.probes = self.moving(ax.plot([], [], **ring, label="probe")[0])
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderpad=0, handletextpad=0.1, columnspacing=1.2)
        self.band = self.moving(LineCollection([], linewidths=24, capstyle="butt"))
        ax.add_collection(self.band, autolim=False)
        self.names = [self.moving(ax.text(0, 0, "", ha="center", va="center", weight="bold")) for _ in range(24)]

    def _draw_window(self, ax):
        ax.set(xlim=(0, WINDOW), ylim=(0, 1), yticks=(), xticks=())
        for side in ("left", "bottom"):
            ax.spines[side].set_visible(False)
        ax.vlines(range(WINDOW + 1), 0, 1, color=MUTED, linewidth=1)
        ax.hlines((0.01, 0.99), 0, WINDOW, color=MUTED, linewidth=1)
        self.cells_ok = self.moving(ax.plot([], [], "o", color=GREEN, markersize=14)[0])
        self.cells_failed = self.moving(ax.plot([], [], **FAILURE | {"markersize": 13, "markeredgewidth": 4})[0])
        self.window_title = self.moving(ax.text(0, 1.15, " ", transform=ax.transAxes, weight="bold"))

    def _draw_rate(self, ax):
        ax.set(xlim=(0, 100), ylim=(0, 1), yticks=(), xticks=(0, 50, 100))
        ax.set_xticks((0, 50, 100), ("0", "50", "100%"))
        self.bar = self.moving(ax.barh([0.5], [0], height=0.7, color=VERMILION)[0])
        self.opens_at = self.moving(ax.axvline(0, **FORMULA | {"linewidth": 2.5}))
        self.rate_title = self.moving(ax.text(0, 1.15, " ", transform=ax.transAxes, weight="bold"))

    def update(self, fails, takes, threshold, wait):
        now, refused = self.env.now, Status.REJECTED
        reached = [mark for mark in self.marks if mark.status != refused]
        self._place(self.ok, [mark for mark in reached if mark.status == "ok"])
        self._place(self.failed, [mark for mark in reached if mark.status != "ok"])
        self._place(self.probes, [mark for mark in reached if mark.probe])
        turned_away = [mark.at - now for mark in self.marks if mark.status == refused]
        self.refused.set_data(turned_away, [18] * len(turned_away))
        self._show_states(now)
        self.now_set.set_text(f"payment fails {fails}%, takes {takes} ms · wait {wait} s")
        said = self._show_window(self.breaker.metrics(now), threshold)
        return (
            f"The breaker is {said} In the last {SPAN} s {len(turned_away)} calls were refused and {len(reached)} "
            f"reached payment."
        )

    def _place(self, artist, marks):
        artist.set_data([mark.at - self.env.now for mark in marks], [1000 * mark.took for mark in marks])

    def _show_states(self, now):
        """The band, each stretch with its name in it, or above it where it is too short, as far as there is room."""
        changes = [(at - now, state) for at, state in self.breaker.changes]
        if not changes or changes[0][0] > -SPAN:
            changes.insert(0, (-SPAN, "closed"))
        ends = [at for at, _ in changes[1:]] + [0]
        stretches = [(max(begin, -SPAN), end, str(state)) for (begin, state), end in zip(changes, ends)]
        self.band.set_segments([[(begin, BAND), (end, BAND)] for begin, end, _ in stretches])
        self.band.set_color([COLOURS[state] for *_, state in stretches])
        names, room = iter(self.names), 0.0  # room: up to where above the band nothing is written yet
        for begin, end, state in reversed(stretches):
            width = WIDTHS[state]
            if end - begin >= width:
                where, colour = ((begin + end) / 2, BAND), text_on(COLOURS[state])
            else:
                middle = max(min((begin + end) / 2, -width / 2), width / 2 - SPAN)
                if middle + width / 2 > room:
                    continue
                where, colour, room = (middle, BAND + 115), INK, middle - width / 2
            name = next(names, None)
            if name is None:
                break
            name.set(position=where, text=state, color=colour)
        for name in names:
            name.set_text("")

    def _show_window(self, seen, threshold):
        """The cells and the rate; returns what they say, in words."""
        failed = [i + 0.5 for i, status in enumerate(self.window) if status != "ok"]
        well = [i + 0.5 for i, status in enumerate(self.window) if status == "ok"]
        self.cells_ok.set_data(well, [0.5] * len(well))
        self.cells_failed.set_data(failed, [0.5] * len(failed))
        rate = 100 * (seen.failure_rate or 0)
        self.bar.set_width(rate)
        self.opens_at.set_xdata([threshold, threshold])
        self.rate_title.set_text(f"{rate:.0f}% failed, opens at {threshold}%")
        some = f"{seen.failures} of {seen.calls} {self.counted} failed" if seen.calls else f"no {self.counted} yet"
        told = f"{seen.state}: {some} ({rate:.0f}%, it opens at {threshold}%)"
        if seen.state == "open":
            left = max(0.0, self.probes_from - self.env.now)
            self.window_title.set_text(f"OPEN: {left:.1f} s until the first probe")
            return f"{told}; in {left:.1f} s the next call will be a probe."
        need = "" if seen.calls >= seen.needed else f"; {seen.needed} decide"
        self.window_title.set_text(f"{seen.state.upper()}: {some}{need}")
        return f"{told}{need}."
