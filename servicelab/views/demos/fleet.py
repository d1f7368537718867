"""Who gets the next call (chapter 09): ten instances, one of them ill, a balancer, and news that is old."""

import functools
from random import Random

import numpy as np

from servicelab.policies import LeastOutstanding, LeastTime, OutlierEjection, PowerOfTwo, RandomChoice, RoundRobin
from servicelab.sim.fleet import fleet
from servicelab.views.live import Choice, LivePanel, Slider
from servicelab.views.theme import BLUE, FAILURE_INK, FORMULA, MUTED, SIMULATED, VERMILION

N, ILL = 10, 0
LONGEST = 10  # services, the end of the axis of times
UNTIL = 160  # services that are simulated

#: The first of these, and of the states, is what the panel opens on: the scene with which the chapter begins.
BALANCERS = {
    "the least busy of all": LeastOutstanding,
    "in turn": lambda rng: RoundRobin(),
    "at random": RandomChoice,
    "the less busy of two": PowerOfTwo,
    "least time, of two": lambda rng: LeastTime(rng, penalty=50),
    "least busy, and eject": lambda rng: OutlierEjection(LeastOutstanding(rng), max_share=0.5),
}
#: State of the first instance → by what its services are longer, and whether it fails.
STATES = {
    "failing fast": (0.05, True),
    "well": (1.0, False),
    "failing slowly": (3.0, True),
    "slow, and right": (3.0, False),
}


class FleetPanel(LivePanel):
    """Balancer, load, what ails the first instance, and the age of the news as controls.

    Times are in services (the mean time of a healthy instance). Left, the share of the calls that each instance gets;
    right, how many calls were answered, and answered well, by a time.
    """

    title = "Who gets the next call"
    question = "Which balancer sends a failing instance the most, which the least? And which of them bears old news?"
    controls = (
        Choice("balancer", "balancer", tuple(BALANCERS)),
        Choice("state", "instance 0 is", tuple(STATES)),
        Slider("callers", "callers, each with one call", 1, 60, 20),
        Slider("news", "age of the news (services)", 0, 10, 0),
    )

    def draw(self, fig):
        left, right = fig.subplots(1, 2)
        left.set(xlim=(-0.6, N - 0.4), ylim=(0, 100), xlabel="instance", xticks=range(N))
        left.set_ylabel("share of the calls (%)")
        left.set_title("Who is asked")
        left.axhline(100 / N, **FORMULA)
        right.set(xlim=(0, LONGEST), ylim=(0, 102), xlabel="time (services)", ylabel="served well (% of the calls)")
        right.set_title("How many are served by then")
        right.axhline(100, color=MUTED, linewidth=1)
        self.bars = [self.moving(bar) for bar in left.bar(range(N), [0] * N, color=BLUE)]
        self.label = self.moving(left.text(ILL, 0, "", ha="left", weight="bold", color=FAILURE_INK))
        self.course = self.moving(right.plot([], [], **SIMULATED)[0])

    def update(self, balancer, state, callers, news):
        run = ten(self.seed, balancer, state, callers, news)
        shares = run.calls / run.calls.sum()
        for index, (bar, height) in enumerate(zip(self.bars, shares)):
            bar.set(height=100 * height, color=VERMILION if index == ILL and state != "well" else BLUE)
        self.label.set(text=f"{shares[ILL]:.0%}" if state != "well" else "", y=min(100 * shares[ILL] + 2, 94))
        good = np.sort(run.time[run.ok])
        self.course.set_data(
            np.append(good, max(LONGEST, good[-1])),
            100 * np.append(np.arange(1, len(good) + 1), len(good)) / len(run.time),
        )
        p99 = np.quantile(good, 0.99)
        return (
            f"Instance 0 is {state} and gets {shares[ILL]:.0%} of the calls (an even share is {1 / N:.0%}). "
            f"{run.ok.mean():.0%} of all calls are answered well, in {good.mean():.2g} services on average; one in a "
            f"hundred takes {p99:.2g} or longer. The longest queue was {run.longest}. In 100 services "
            f"{run.ok.sum() / (0.75 * UNTIL) * 100:.0f} calls are answered well."
        )


@functools.lru_cache(maxsize=64)  # who compares goes back and forth
def ten(seed, balancer, state, callers, news):
    """The run of the picture: the first of ten instances is in ``state``."""
    factor, fails = STATES[state]
    return fleet(
        BALANCERS[balancer](Random(seed)),
        N,
        1.0,
        UNTIL,
        callers=callers,
        news=news,
        factors=[factor],
        failing={ILL} if fails else (),
        seed=seed,
    )
