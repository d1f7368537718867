"""Exercise 5: three ways to plan, and the ways to be misled."""

import math
import statistics

import simpy

from servicelab import theory
from servicelab.checks.lab03.newsletter import CHECKED, PRACTICE
from servicelab.sim import Consumer, Draws, Publisher, Queue, poisson, waits


def work(newsletter):
    """Seconds of each of the mails that were watched."""
    return [mail.ended - mail.began for mail in newsletter.watch()]


def plan_for(newsletter, mean):
    """(λ − cμ) T / cμ <= W, solved for c."""
    consumers = math.ceil(newsletter.rate * newsletter.seconds / (newsletter.seconds + newsletter.target) * mean)
    prefetch = 1 + math.ceil(newsletter.round_trip / mean)
    return {"consumers": consumers, "prefetch": prefetch, "limit": round(newsletter.target * consumers / mean)}


def on_paper(newsletter):
    return plan_for(newsletter, statistics.fmean(work(newsletter)))


def by_the_formula(newsletter):
    """The first number of consumers that the course's fluid formula finds good enough."""
    seconds = work(newsletter)
    mu, consumers = len(seconds) / sum(seconds), 1
    while True:
        burst = theory.burst(newsletter.rate, mu, consumers, newsletter.seconds, newsletter.quiet)
        if burst.longest_wait <= newsletter.target:
            prefetch = 2 + round(newsletter.round_trip * mu)
            return {"consumers": consumers, "prefetch": prefetch, "limit": int(1.5 * burst.peak)}
        consumers += 1


def by_simulation(newsletter):
    """Tries it out with what was measured, and takes the first that keeps the target with a little to spare."""
    seconds = work(newsletter)
    prefetch = 1 + math.ceil(newsletter.round_trip / statistics.fmean(seconds))
    for consumers in range(1, 50):
        env = simpy.Environment()
        queue, draws, times = Queue(env), Draws(seed=consumers), iter(seconds * 20)
        orders = Publisher(env, queue)
        for number in range(consumers):
            Consumer(
                env, str(number), queue, lambda times=times: next(times), prefetch=prefetch,
                delay=newsletter.round_trip / 2,
            )  # fmt: skip
        count = int(newsletter.rate * newsletter.seconds)
        poisson(env, newsletter.rate, orders, draws, count=count)
        env.run()
        if waits(orders.tasks).max() < newsletter.target:
            return {"consumers": consumers, "prefetch": prefetch, "limit": int(1.5 * queue.depth.ready.max())}


#: As a quiet machine would measure them (seconds): in the wrong answers the mistake lies elsewhere.
MEAN = {setting.rate: setting.mean for setting in CHECKED}
USUAL = {setting.rate: setting.usual for setting in CHECKED}


def changed(**by):
    """The right answer with something else in it: a value, or a function of the newsletter."""

    def plan_newsletter(newsletter):
        plan = plan_for(newsletter, MEAN[newsletter.rate])
        return plan | {key: value(newsletter) if callable(value) else value for key, value in by.items()}

    return plan_newsletter


def consumers(change):
    """The right answer with other consumers, as ``change`` makes them of the right number."""
    return changed(consumers=lambda newsletter: change(plan_for(newsletter, MEAN[newsletter.rate])["consumers"]))


def always(*plan):
    """Found by trying until the first newsletter passed, or whichever."""
    return lambda newsletter: dict(zip(("consumers", "prefetch", "limit"), plan))


def by_the_quiet_rate(newsletter):
    return math.ceil(newsletter.quiet * MEAN[newsletter.rate])


def by_the_peak(newsletter):
    return math.ceil(newsletter.rate * MEAN[newsletter.rate])


def by_the_usual_time(newsletter):
    return plan_for(newsletter, USUAL[newsletter.rate])["consumers"]


def by_the_whole_round(newsletter):
    """Takes the round trip for work."""
    return plan_for(newsletter, MEAN[newsletter.rate] + newsletter.round_trip)["consumers"]


def as_measured_once(newsletter):
    """A mail takes what it took in the practice newsletter, doesn't it?"""
    return plan_for(newsletter, PRACTICE.mean)


def a_list(newsletter):
    return list(changed()(newsletter).values())


RIGHT = {"on paper": on_paper, "by the formula": by_the_formula, "by simulation": by_simulation}
WRONG = {
    "by the quiet rate": (changed(consumers=by_the_quiet_rate), {"too-few"}),
    "by the usual time": (changed(consumers=by_the_usual_time), {"too-few"}),
    "one too few": (consumers(lambda right: right - 1), {"too-few"}),
    "as measured once": (as_measured_once, {"too-few"}),
    "tried until the first one passed": (always(4, 2, 240), {"too-few", "too-many"}),
    "tried until the second one passed": (always(5, 4, 140), {"too-many"}),
    "so that nobody waits": (changed(consumers=by_the_peak), {"too-many"}),
    "the round trip is no work": (changed(consumers=by_the_whole_round), {"too-many"}),
    "one to be safe": (consumers(lambda right: right + 1), {"too-many"}),
    "prefetch 1": (changed(prefetch=1), {"prefetch-few"}),
    "prefetch 2 is enough for all": (changed(prefetch=2), {"prefetch-few"}),
    "prefetch 100": (changed(prefetch=100), {"prefetch-many"}),
    "no prefetch limit for long jobs": (changed(prefetch=0), {"prefetch-many"}),
    "a small queue": (changed(limit=50), {"limit-too-small"}),
    "a queue for everything": (changed(limit=10_000), {"limit-too-large"}),
    "one queue for all": (changed(limit=240), {"limit-too-large"}),
    "not whole": (changed(consumers=3.4), {"not-possible"}),
    "no limit given": (changed(limit=None), {"not-possible"}),
    "nobody": (changed(consumers=0), {"not-possible"}),
    "a list": (a_list, {"wrong-type"}),
}
