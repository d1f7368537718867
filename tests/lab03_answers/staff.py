"""Exercise 5: three ways to staff, and the ways to be misled."""

import math
import statistics

import simpy

from servicelab import theory
from servicelab.sim import Consumer, Draws, Publisher, Queue, poisson, waits


def work(newsletter):
    """Seconds of each of the mails that were watched."""
    return [mail.ended - mail.began for mail in newsletter.watch()]


def on_paper(newsletter):
    """(λ − cμ) T / cμ <= W, solved for c."""
    mean = statistics.fmean(work(newsletter))
    together = newsletter.rate * newsletter.seconds / (newsletter.seconds + newsletter.target)
    consumers = math.ceil(together * mean)
    prefetch = 1 + math.ceil(newsletter.round_trip / mean)
    return {"consumers": consumers, "prefetch": prefetch, "limit": round(newsletter.target * consumers / mean)}


def by_the_formula(newsletter):
    """The first number of consumers that the course's fluid formula finds good enough."""
    seconds = work(newsletter)
    mu, consumers = len(seconds) / sum(seconds), 1
    while True:
        burst = theory.burst(newsletter.rate, mu, consumers, newsletter.seconds, newsletter.quiet)
        if burst.longest_wait <= newsletter.target:
            return {"consumers": consumers, "prefetch": 3, "limit": int(1.6 * burst.peak)}
        consumers += 1


def by_simulation(newsletter):
    """Tries it out with what was measured, and takes the first that keeps the target with a little to spare."""
    seconds = work(newsletter)
    for consumers in range(1, 50):
        env = simpy.Environment()
        queue, draws, times = Queue(env), Draws(seed=consumers), iter(seconds * 20)
        orders = Publisher(env, queue)
        for number in range(consumers):
            Consumer(
                env, str(number), queue, lambda times=times: next(times), prefetch=2, delay=newsletter.round_trip / 2
            )
        count = int(newsletter.rate * newsletter.seconds)
        poisson(env, newsletter.rate, orders, draws, count=count)
        env.run()
        if waits(orders.tasks).max() < newsletter.target:
            return {"consumers": consumers, "prefetch": 2, "limit": int(1.5 * queue.depth.ready.max())}


def changed(**by):
    """The right answer with something else in it: a value, or a function of the newsletter."""

    def staff(newsletter):
        plan = {"consumers": 4, "prefetch": 2, "limit": 240}
        newsletter.watch(20)
        return plan | {key: value(newsletter) if callable(value) else value for key, value in by.items()}

    return staff


MEAN, USUAL = 0.01676, 0.012  # seconds, as a quiet machine would measure them: here the mistake lies elsewhere


def by_the_quiet_rate(newsletter):
    return math.ceil(newsletter.quiet * MEAN)


def by_the_peak(newsletter):
    return math.ceil(newsletter.rate * MEAN)


def by_the_usual_time(newsletter):
    together = newsletter.rate * newsletter.seconds / (newsletter.seconds + newsletter.target)
    return math.ceil(together * USUAL)


def by_the_whole_round(newsletter):
    """Takes the round trip for work."""
    together = newsletter.rate * newsletter.seconds / (newsletter.seconds + newsletter.target)
    return math.ceil(together * (MEAN + newsletter.round_trip))


def a_list(newsletter):
    return list(changed()(newsletter).values())


RIGHT = {"on paper": on_paper, "by the formula": by_the_formula, "by simulation": by_simulation}
WRONG = {
    "by the quiet rate": (changed(consumers=by_the_quiet_rate), {"mean-rate"}),
    "by the usual time": (changed(consumers=by_the_usual_time), {"too-few"}),
    "one too few": (changed(consumers=3), {"too-few"}),
    "so that nobody waits": (changed(consumers=by_the_peak), {"peak-rate"}),
    "the round trip is no work": (changed(consumers=by_the_whole_round), {"peak-rate"}),
    "one to be safe": (changed(consumers=5), {"too-many"}),
    "prefetch 1": (changed(prefetch=1), {"prefetch-one"}),
    "prefetch 100": (changed(prefetch=100), {"prefetch-many"}),
    "no prefetch limit for long jobs": (changed(prefetch=0), {"prefetch-many"}),
    "a small queue": (changed(limit=50), {"limit-too-small"}),
    "a queue for everything": (changed(limit=10_000), {"limit-too-large"}),
    "not whole": (changed(consumers=3.4), {"wrong-type"}),
    "no limit given": (changed(limit=None), {"wrong-type"}),
    "nobody": (changed(consumers=0), {"out-of-range"}),
    "a list": (a_list, {"wrong-type"}),
}
