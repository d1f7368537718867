"""Exercise 5, measure and decide: consumers, prefetch and queue limit for a burst, checked in SimPy on twenty days."""

from contextlib import nullcontext

from servicelab.checks.exercise import exercise
from servicelab.checks.lab03.newsletter import CHECKED, SIZES, Newsletter, not_whole, out_of_range, simulate
from servicelab.checks.section import section
from servicelab.checks.theirs import shown

KEYS = tuple(SIZES)
DAYS = 20  # simulated; in one of them anything may happen
LEEWAY = 1.5  # times the target, when twice as much comes as was foreseen
LIMIT = 30.0  # seconds for the learner's function; measuring takes two

_HINTS = {
    "mean-rate": "That is enough for the quiet hours. The burst leaves (λ − cμ) T mails, and the last of them waits "
    "for all the others.",
    "too-few": "The longest wait is (λ − cμ) T / cμ. Does your μ hold on the average? One mail in some dozens takes "
    "far longer than is usual.",
    "peak-rate": "So many keep up with the burst, and have nothing to do for the rest of the week. A mail may wait.",
    "too-many": "Fewer are enough: the smallest c with (λ − cμ) T / cμ below the target. The way to the broker is not "
    "work: a prefetch above 1 hides it.",
    "prefetch-one": "After each ack a consumer with a prefetch of 1 waits for a round trip. One more message under way "
    "hides that.",
    "prefetch-many": "What one consumer holds, no other can take: behind a slow mail they wait while others are idle. "
    "1 + round trip / work is enough to be busy.",
    "limit-too-small": "The burst itself needs room: (λ − cμ) T, and some for chance.",
    "limit-too-large": "A mail at the end of a queue of length L waits L / cμ. What would wait longer than the target "
    "need not be let in.",
}


@exercise("03", 5, "Staff for a newsletter", limit=60.0)
def check_staff(ask, staff):
    """Let ``staff(newsletter)`` measure and decide; then twenty days of it."""
    with Newsletter(CHECKED) as newsletter:
        plan = ask.call(staff, newsletter, returns=dict, limit=LIMIT)
    _is_a_plan(ask, plan)
    consumers, prefetch, limit = (int(plan[key]) for key in KEYS)
    if _waits(ask, consumers, prefetch):
        _costs(ask, consumers)
        _limit(ask, consumers, prefetch, limit)


def _is_a_plan(ask, plan):
    hint = "math.ceil and round make whole numbers. A prefetch of 0 is no limit, as in AMQP."
    what = f"staff returns a dict with whole numbers for {', '.join(KEYS)}"
    faults = not_whole(plan) if set(plan) == set(KEYS) else [f"it returned {shown(plan)}"]
    ask.need("wrong-type", what, not faults, "; ".join(faults), hint)
    faults = out_of_range(plan)
    hint = "What did you divide by what? A prefetch of 0 is no limit; a limit of 0 lets nobody in."
    ask.need("out-of-range", "… of a size that can be", not faults, "; ".join(faults), hint)


def _late_days(consumers, prefetch):
    """The longest waits of all days, and whether the target is kept on all but one."""
    longest = sorted(simulate(CHECKED, consumers, prefetch, seed=day).longest for day in range(DAYS))
    return longest, longest[-2] <= CHECKED.target


def _waits(ask, consumers, prefetch):
    longest, kept = _late_days(consumers, prefetch)
    mark = simulate(CHECKED, consumers, prefetch, seed=0).draw(ask.trace)
    if kept or not _late_days(consumers, 2)[1]:
        code = "mean-rate" if consumers <= 1 + CHECKED.quiet * CHECKED.mean else "too-few"
    else:
        code = "prefetch-one" if prefetch == 1 else "prefetch-many"
    held = "no limit" if prefetch == 0 else prefetch
    return ask.expect(
        code,
        f"nobody waits longer than {CHECKED.target:g} s, on {DAYS - 1} of {DAYS} simulated days",
        kept,
        f"consumers {consumers}, prefetch {held}: the longest wait was {longest[DAYS // 2]:.2f} s on a typical day, "
        f"{longest[-1]:.2f} s on the worst",
        _HINTS[code],
        mark,
    )


def _costs(ask, consumers):
    fewer_would_do = consumers > 1 and _late_days(consumers - 1, 2)[1]
    code = "peak-rate" if consumers >= CHECKED.rate * CHECKED.mean else "too-many"
    what = "… with no more consumers than that takes"
    happened = f"{consumers}, and fewer would do"  # not how many: that is the exercise
    ask.expect(code, what, not fewer_would_do, happened, _HINTS[code])


def _limit(ask, consumers, prefetch, limit):
    away = sorted(simulate(CHECKED, consumers, prefetch, limit, seed=day).turned_away for day in range(DAYS))
    if not ask.expect(
        "limit-too-small",
        f"with a limit of {limit} no mail of the newsletter is turned away",
        away[-2] == 0,
        f"{away[DAYS // 2]} on a typical day, {away[-1]} on the worst",
        _HINTS["limit-too-small"],
    ):
        return
    days = [simulate(CHECKED, consumers, prefetch, limit, seed=day, times=2) for day in range(DAYS)]
    days.sort(key=lambda day: day.longest)
    most, typical = LEEWAY * CHECKED.target, days[DAYS // 2]
    kept = days[-2].longest <= most
    with nullcontext() if kept else section(ask):  # the day that went wrong is drawn
        ask.expect(
            "limit-too-large",
            f"if twice as many mails come, some are turned away, and who is let in waits {most:.2f} s at the most",
            kept,
            f"{typical.longest:.2f} s on a typical day",
            _HINTS["limit-too-large"],
            None if kept else typical.draw(ask.trace),
        )
