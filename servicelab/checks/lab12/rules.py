"""Exercise 5, measure and decide: which alert rules find five incidents in a month and wake nobody for nothing."""

from collections import Counter, namedtuple
from functools import cache
from math import inf
from numbers import Integral, Real

import numpy as np

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.table import Table

DAYS, BUDGET, MOST, QUIET, AFTER, HOURS = 30, 0.001, 4, 60, 480, 60  # days, share of the calls, rules, then minutes
LATE, FALSE = 1.2, 2  # the task allows the time, and one false page a month; the rest is chance
REASONS = {"blip": HOURS, "night": 6 * HOURS}  # for how long a false page is put down to it
#: What goes wrong: the share of calls that fail, for how long, until when it may be unknown (minutes), and a code.
KINDS = {
    "outage": (1.0, 20, 3, "sudden"),
    "one in ten": (0.10, 90, 30, "sudden"),
    "one in thirty": (0.03, 4 * HOURS, 50, "sudden"),
    "one in 100": (0.01, 11 * HOURS, 5 * HOURS, "one-in-100"),
    "one in 250": (0.004, 48 * HOURS, 30 * HOURS, "one-in-250"),
}

Incident = namedtuple("Incident", "kind begin end within")  # minutes: from begin up to end; the page, within so many
Month = namedtuple("Month", "calls failed incidents harmless")  # counts by minute; harmless: minutes, and "blip" …


@cache
def month(seed: int = 1) -> Month:
    """Thirty recorded days of a shop, minute by minute. Another ``seed`` is another month of the same kind."""
    dice, day_long = np.random.default_rng(seed), 24 * HOURS
    minute = np.arange(DAYS * day_long) % day_long
    by_day = 300 * (1 + 0.3 * np.cos(2 * np.pi * (minute / day_long - 0.6))) * dice.uniform(0.9, 1.1, len(minute))
    is_night = (minute >= 30) & (minute < 330)  # from half past twelve to half past five
    calls = np.where(is_night, dice.integers(4, size=len(minute)), np.rint(by_day).astype(int))
    share, incidents, harmless = np.full(len(minute), 0.0002), [], []
    for day, kind in zip((1, 7, 8, 19, 25), dice.permutation(list(KINDS)).tolist()):  # with days of its own, each
        part, lasts, by, _ = KINDS[kind]
        if day == 8:  # but for this one: it comes in the morning after the second
            day = incidents[-1].end // day_long + 1
        begin = day * day_long + 8 * HOURS + int(dice.integers(2 * HOURS))
        incidents.append(Incident(kind, begin, begin + lasts, by))
        share[begin : begin + lasts] = part
    for day in range(DAYS):
        at = day * day_long + 12 * HOURS + int(dice.integers(8 * HOURS))  # a deployment
        if share[at] < BUDGET:
            share[at], harmless = 0.15, [*harmless, (at, "blip")]
    failed = dice.binomial(calls, share)
    for day in range(1, DAYS, 3):
        at = day * day_long + 2 * HOURS + int(dice.integers(HOURS))  # one customer's script, in the night
        if share[at] < BUDGET:
            harmless.append((at, "night"))
            calls[at : at + 15 : 3] += 1
            failed[at : at + 15 : 3] += 1
    return Month(calls.tolist(), failed.tolist(), incidents, harmless)


def firing(rules, recorded: Month) -> np.ndarray:
    """For each minute, whether a rule fires. Before the recording begins there were no calls."""
    upto = [np.cumsum([0, *counts]) for counts in (recorded.calls, recorded.failed)]
    now = np.arange(1, len(upto[0]))
    fires = np.zeros(len(now), bool)
    for burn, long, short, least in rules:
        calls, failed = (counts[now] - counts[np.maximum(0, now - long)] for counts in upto)
        of, bad = (counts[now] - counts[np.maximum(0, now - short)] for counts in upto)
        part = burn * BUDGET
        fires |= (of >= least) & (bad > 0) & (bad >= part * of) & (failed >= part * calls)
    return fires


def replay(rules, recorded: Month) -> tuple[list, list]:
    """What the rules would have done: for each incident, after how many minutes its first page came (None: never), and
    the false pages, each a minute and what was no reason for it."""
    on = np.flatnonzero(firing(rules, recorded))
    sent = on[np.diff(on, prepend=-QUIET - 1) > QUIET].tolist()
    first = [[at - one.begin for at in sent if one.begin <= at < one.end] for one in recorded.incidents]
    wrong = [at for at in sent if not any(one.begin <= at < one.end + AFTER for one in recorded.incidents)]
    why = [[what for at, what in recorded.harmless if 0 <= minute - at <= REASONS[what]] for minute in wrong]
    return [min(delays, default=None) for delays in first], [(at, (*of, "quiet")[0]) for at, of in zip(wrong, why)]


def replayed(rules, seed: int = 1) -> Table:
    """What the rules would have done in a month: when each incident was found, and how many pages were false."""
    (after, wrong), rows = replay(rules, month(seed)), []
    for one, delay in zip(month(seed).incidents, after):
        told = "never" if delay is None else "in time" if delay <= one.within else "too late"
        rows.append((one.kind, one.end - one.begin, one.within, "—" if delay is None else delay, told))
    why = ", ".join(f"day {minute // 1440}: {what}" for minute, what in wrong[:5])
    caption = f"{len(wrong)} false pages" + f" ({why}{', …' * (len(wrong) > 5)})" * bool(wrong)
    return Table(("incident", "lasts (min)", "to be found within", "found after", ""), rows, caption)


WORDS = words(f"""
not-rules: RULES is a list of one to {MOST} rules (burn, long, short, calls)
    Four numbers each, and the shorter window must not be the longer one. Windows are whole minutes.
sudden: all calls fail, or one in ten, or one in thirty: there is a page in time
    How long until the errors of this incident fill the long window up to the burn? What else holds your rules back?
one-in-100, one-in-250: one call in a hundred fails for hours, or one in 250 for two days: a page comes in time
    What burn has this incident, and how long does it last? Which of your rules can see it at all?
hidden: an incident comes the morning after another: it has a page of its own
    A rule that still fires tells nothing new. How long after an incident does each of yours fall silent?
blip: a deployment fails 15% of the calls for a minute: one false page a month at most
    Over how many minutes must an error go on, before somebody is woken?
night, quiet: few customers call, or one call in 5000 fails by chance: one false page a month at most
    Failures of how many calls are that? What is a share worth, when it is one of few? How often is each rule met so?
""")


def is_rule(rule):
    match rule:
        case [Real() as burn, Integral() as long, Integral() as short, Integral() as calls]:
            return 0 < burn < inf and 1 <= short <= long <= DAYS * 1440 and calls >= 0
    return False


check_rules = scenario("12", 5, "Who is woken", WORDS, go_on=True, RULES=Stage)


@check_rules.part
def what_they_are(r):
    found = r.yours
    r.draw("shop", "pager", shown(found, 80), at=0.0)
    if not isinstance(found, list | tuple) or not 1 <= len(found) <= MOST or not all(map(is_rule, found)):
        r.refuse("not-rules", f"RULES is {shown(found)}")
    for seed in (201, 202, 203):
        recorded = month(seed)
        after, wrong = r.call(replay, found, recorded, limit=8.0)
        for one, delay in zip(recorded.incidents, after):
            came = "no page" if delay is None else f"a page after {delay} min"
            r.draw(one.kind, "pager", came, at=one.begin / 1000)
            told = f"month {seed}, {one.kind}: {came}; {one.within} min were allowed"
            if delay is None and any(firing(found, recorded)[one.begin - QUIET : one.begin]):
                yield "hidden", False, f"{told}; the rules still fired when it began"
            yield KINDS[one.kind][-1], delay is not None and delay <= LATE * one.within, told
        (why, many), *_ = [*Counter(what for _, what in wrong).most_common(1), ("quiet", 0)]
        r.draw("shop", "pager", f"{len(wrong)} false", at=50.0)
        yield why, len(wrong) <= FALSE, f"month {seed}: {len(wrong)} false pages, {many} of them for {why}"
