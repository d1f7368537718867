"""Exercise 5, measure and decide: consumers, prefetch and queue limit for three bursts, each simulated on ten days."""

from contextlib import nullcontext

from servicelab.checks.exercise import exercise
from servicelab.checks.lab03.newsletter import CHECKED, SIZES, Day, Newsletter, not_whole, out_of_range, simulate
from servicelab.checks.learner_traceback import shown
from servicelab.checks.section import section

KEYS = tuple(SIZES)
DAYS = 10  # simulated; in one of them anything may happen
ROOM = 0.9  # of the target: fewer consumers would do when they keep this
LEEWAY = 1.5  # times the target, when twice as much comes as was foreseen
LIMIT = 30.0  # seconds for the learner's function, for each newsletter; measuring takes one or two

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
    "prefetch-few": "Here the way to the broker is long, and the consumers have done what they hold before the next "
    "mails are there: 1 + round trip / work.",
    "prefetch-many": "What one consumer holds, no other can take: behind a slow mail they wait while others are idle. "
    "1 + round trip / work is enough to be busy.",
    "limit-too-small": "The burst itself needs room: (λ − cμ) T, and some for chance.",
    "limit-too-large": "A mail at the end of a queue of length L waits L / cμ. What would wait longer than the target "
    "need not be let in.",
}


@exercise("03", 5, "Staff for a newsletter", limit=120.0)
def check_staff(ask, staff):
    """Let ``staff(newsletter)`` measure and decide for three newsletters; then ten days of each."""
    for number, setting in enumerate(CHECKED, 1):
        with section(ask):
            with Newsletter(setting) as newsletter:
                plan = ask.calmly(staff, newsletter, returns=dict, limit=LIMIT)
            _is_a_plan(ask, plan)
            where = f"newsletter {number} of {len(CHECKED)}, {setting}"
            _examine(Season(ask, setting, where, plan, newsletter.slower_by))


def _is_a_plan(ask, plan):
    hint = "math.ceil and round make whole numbers. A prefetch of 0 is no limit, as in AMQP."
    what = f"staff returns a dict with whole numbers for {', '.join(KEYS)}"
    faults = not_whole(plan) if set(plan) == set(KEYS) else [f"it returned {shown(plan)}"]
    if faults:
        ask.need("wrong-type", what, False, "; ".join(faults), hint)
    if faults := out_of_range(plan):
        hint = "What did you divide by what? A prefetch of 0 is no limit; a limit of 0 lets nobody in."
        ask.need("out-of-range", "the numbers are of a size that can be", False, "; ".join(faults), hint)


class Season:
    """A plan for one newsletter, and the days on which it goes out.

    Mails were ``slower_by`` seconds slower when the learner watched them, on the mean, for the machine was busy. Nobody
    has too many consumers who has as many as that takes; and since it does not come evenly, half as much again.
    """

    def __init__(self, ask, setting, where, plan, slower_by):
        self.ask, self.setting, self.where = ask, setting, where
        slower_by *= 1.5
        self.watched = setting._replace(usual=setting.usual + slower_by, slow=setting.slow + slower_by)
        self.consumers, self.prefetch, self.limit = (int(plan[key]) for key in KEYS)

    def days(self, limit=None, times=1.0) -> list[Day]:
        """The newsletter on every day, in the order of the longest wait."""
        plan = (self.setting, self.consumers, self.prefetch, limit)
        return sorted((simulate(*plan, seed=day, times=times) for day in range(DAYS)), key=lambda day: day.longest)

    def would_do(self, consumers) -> bool:
        """Would so many, with a good prefetch, keep well below the target, on all days but one, with mails as they were
        watched?"""
        most, late = ROOM * self.setting.target, 0
        for day in range(DAYS):
            late += simulate(self.watched, consumers, self.setting.prefetch, seed=day).longest > most
            if late > 1:
                return False
        return True

    def expect(self, code, what, passed, happened, mark=None):
        return self.ask.expect(code, f"{self.where}: {what}", passed, happened, _HINTS[code], mark)


def _examine(season):
    setting, days = season.setting, season.days()
    mark = days[DAYS // 2].draw(season.ask.trace)
    code, held = _why_late(season), "no limit" if season.prefetch == 0 else season.prefetch
    if not season.expect(
        code,
        f"nobody waits longer than {setting.target:g} s, on {DAYS - 1} of {DAYS} simulated days",
        days[-2].longest <= setting.target,
        f"consumers {season.consumers}, prefetch {held}: the longest wait was {days[DAYS // 2].longest:.2f} s on a "
        f"typical day, {days[-1].longest:.2f} s on the worst",
        mark,
    ):
        return
    season.expect(
        "peak-rate" if season.consumers >= setting.rate * setting.mean else "too-many",
        "with no more consumers than that takes",
        season.consumers == 1 or not season.would_do(season.consumers - 1),
        f"{season.consumers}, and fewer would do",  # not how many: that is the exercise
        mark,
    )
    _limit(season, days, mark)


def _why_late(season):
    """The code of a target that is missed: too few consumers, or a prefetch that leaves them idle."""
    setting, consumers, prefetch = season.setting, season.consumers, season.prefetch
    if consumers < setting.consumers:
        return "mean-rate" if consumers <= 1 + setting.quiet * setting.mean else "too-few"
    if prefetch == 1:
        return "prefetch-one"
    return "prefetch-few" if 0 < prefetch < setting.prefetch else "prefetch-many"


def _limit(season, days, mark):
    """``days`` are those without a limit: where the queue was never so long, a limit changes nothing."""
    limit, target = season.limit, season.setting.target
    away = [0] * DAYS
    if sum(day.queue > limit for day in days):
        away = sorted(day.turned_away for day in season.days(limit))
    if not season.expect(
        "limit-too-small",
        f"with a limit of {limit} no mail of the newsletter is turned away",
        away[-2] == 0,
        f"{away[DAYS // 2]} on a typical day, {away[-1]} on the worst",
        mark,
    ):
        return
    most, days = LEEWAY * target, season.days(limit, times=2)
    typical, kept = days[DAYS // 2], days[-2].longest <= most
    with nullcontext() if kept else section(season.ask):  # the day that went wrong is drawn
        season.expect(
            "limit-too-large",
            f"if twice as many mails come, some are turned away, and who is let in waits {most:.2f} s at the most",
            kept,
            f"{typical.longest:.2f} s on a typical day",
            None if kept else typical.draw(season.ask.trace),
        )
