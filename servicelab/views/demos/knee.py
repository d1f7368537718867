"""The utilisation knee (chapter 01): how waiting grows with load, simulated at once and measured on request."""

import time

import numpy as np
import requests
from flask import Flask

from servicelab import theory
from servicelab.clients.load import open_loop
from servicelab.servers import serve
from servicelab.sim import Draws, free_at
from servicelab.views.live import Choice, LivePanel, Press, Slider
from servicelab.views.theme import FORMULA, MEASURED, MUTED, SIMULATED

#: Simulated requests that are shown, and as many before them that are not: a queue that starts empty flatters.
SHOWN, WARM_UP = 1000, 2000

#: The longest time on the axes, in units of the mean work.
HIGHEST = 20


def same(draws, n):
    return np.ones(n)


def random(draws, n):
    return draws.exponential("work", 1.0).sample(n)


def mixed(draws, n):
    """Nine of ten requests take half the mean work on average, the tenth eleven times as long as those."""
    mean = np.where(draws.uniform("kind", 0, 1).sample(n) < 0.1, 5.5, 0.5)
    return mean * draws.exponential("work", 1.0).sample(n)


#: What a request's work looks like: the law (mean 1) and its squared coefficient of variation.
LAWS = {"random": (random, 1.0), "always the same": (same, 0.0), "mostly short, some long": (mixed, 5.5)}


class Knee(LivePanel):
    """Load, workers and the kind of work as controls; *Start* keeps sending new traffic.

    The dashed curve is the mean time in an M/G/c queue, its wait after Allen and Cunneen ("Probability, Statistics,
    and Queueing Theory", 1978, chapter 5): M/M/c times (1 + scv) / 2, exact for one worker and for random work.
    """

    title = "The utilisation knee"
    question = "Raise the load until a request takes twice its work. What would you promise a customer?"
    controls = (
        Slider("load", "load: share of time a worker is busy (%)", 5, 98, 10),
        Slider("workers", "workers", 1, 8, 1),
        Choice("work", "work of a request", tuple(LAWS)),
        Press("measure", "Send real requests"),
    )
    period = 0.4

    def draw(self, fig):
        left, right = fig.subplots(1, 2, width_ratios=(1, 1.3))
        left.set(xlim=(0, SHOWN), ylim=(0, 2 * HIGHEST), xlabel="request", ylabel="time ÷ mean work")
        left.set_title("The last 1000 requests")
        right.set(xlim=(0, 100), ylim=(0, HIGHEST), xlabel="load (%)", ylabel="mean time ÷ mean work")
        right.set_title("Where is the knee?")
        right.axhline(2, color=MUTED, linewidth=1)
        self.requests = self.moving(left.plot([], [], ".", color=SIMULATED["color"], markersize=3)[0])
        self.formula = self.moving(right.plot([], [], **FORMULA, label="formula")[0])
        self.here = self.moving(right.plot([], [], "s", color=SIMULATED["color"], markersize=11, label="simulated")[0])
        self.real = self.moving(right.plot([], [], **MEASURED | {"markersize": 9}, label="measured")[0])
        right.legend(loc="upper left")

    def restart(self):
        self.turn = 0
        self.measured = []

    def tick(self):
        self.turn += 1

    def update(self, load, workers, work):
        law, scv = LAWS[work]
        times = simulated(self.seed + self.turn, load / 100, workers, law)
        self.requests.set_data(np.arange(SHOWN), np.minimum(times, 2 * HIGHEST * 0.99))
        grid = np.linspace(1, 99, 150)
        waits = theory.mmc_wait(grid / 100 * workers, 1.0, workers) * (1 + scv) / 2
        self.formula.set_data(grid, 1 + waits)
        self.here.set_data([load], [min(times.mean(), HIGHEST * 0.98)])
        self.real.set_data(*zip(*self.measured)) if self.measured else self.real.set_data([], [])
        expected = 1 + float(np.interp(load, grid, waits))
        real = f" Measured at {self.measured[-1][0]:.0f}%: {self.measured[-1][1]:.1f}." if self.measured else ""
        return (
            f"At {load}% load a request takes {times.mean():.1f} times its work on average, one in a hundred "
            f"{np.quantile(times, 0.99):.0f} times or more; the formula says {expected:.1f}.{real}"
        )

    def measure(self, seconds=2.0):
        """Two seconds of open-loop load on a real server with these settings; adds a blue dot."""
        load, workers, work = (self.values[name] for name in ("load", "workers", "work"))
        # 100 requests/s at full load whatever the workers, so that the kernel's own work stays small.
        mean = 0.010 * workers
        draws = Draws(self.seed + len(self.measured))
        count = max(20, int(load * seconds))
        naps = iter(mean * LAWS[work][0](draws, count))
        due = draws.exponential("gaps", 1 / load).sample(count).cumsum()
        app, worked = Flask("knee"), []

        @app.get("/")
        def nap():
            begin = time.perf_counter()
            time.sleep(next(naps))
            worked.append(time.perf_counter() - begin)
            return "done"

        with serve(app, name="knee", workers=workers) as server:
            samples = open_loop(lambda: requests.get(server.url), due, clients=128)
        times = [sample.end - sample.due for sample in samples if sample.status == "ok"]
        busy = 100 * np.sum(worked) / workers / due[-1]
        self.measured.append((min(busy, 100), min(np.mean(times) / np.mean(worked), HIGHEST * 0.98)))


def simulated(seed, load, workers, law):
    """Time in the system of ``SHOWN`` requests, in units of the mean work, by the recursion."""
    draws, n = Draws(seed), WARM_UP + SHOWN
    arrivals = draws.exponential("gaps", 1 / (load * workers)).sample(n).cumsum()
    work = law(draws, n)
    return (free_at(arrivals, work, workers) - arrivals + work)[WARM_UP:]
