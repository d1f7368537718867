"""Thirty recorded days of a shop, minute by minute, and what alert rules make of them (exercise 5)."""

import random
from functools import cache
from itertools import accumulate
from math import cos, pi
from typing import NamedTuple

from servicelab.table import Table

DAYS, BUDGET, MOST, QUIET, AFTER = 30, 0.001, 4, 60, 480  # days, share of the calls, rules, minutes, minutes
HOURS = 60  # minutes
REASONS = {"blip": HOURS, "night": 6 * HOURS}  # for how long a false page is put down to it

#: What goes wrong: the share of calls that fail, for how long, by when it must be known (minutes), and how it begins.
KINDS = {
    "outage": (1.0, 20, 3),
    "one in ten": (0.10, 90, 30),
    "one in thirty": (0.03, 4 * HOURS, 50),
    "one in a hundred": (0.01, 11 * HOURS, 5 * HOURS),
    "one in 250": (0.004, 48 * HOURS, 30 * HOURS),
}


class Incident(NamedTuple):
    """What went wrong: from minute ``begin`` up to ``end``; a page must have been sent by minute ``by``."""

    kind: str
    begin: int
    end: int
    by: int


class Month(NamedTuple):
    """``calls`` and ``failed`` are lists, one number for each minute. ``harmless`` are the minutes at which something
    happened that nobody should be woken for: ``(minute, what)``, "blip" or "night"."""

    calls: list[int]
    failed: list[int]
    incidents: list[Incident]
    harmless: list[tuple[int, str]]


class Page(NamedTuple):
    """A page at a minute; ``why`` is the incident that it told of, or what was no reason: "blip", "night", "quiet"."""

    minute: int
    why: str


@cache
def month(seed: int = 1) -> Month:
    """A month. Another ``seed`` is another month of the same kind."""
    dice, minutes = random.Random(seed), DAYS * 24 * HOURS
    calls = [_traffic(minute % (24 * HOURS), dice) for minute in range(minutes)]
    share, kinds, incidents, harmless = [0.0002] * minutes, list(KINDS), [], []
    dice.shuffle(kinds)
    for day, kind in zip((1, 7, 8, 19, 25), kinds):  # each has some days of its own, but for the third
        part, lasts, by = KINDS[kind]
        if day == 8:  # it comes in the morning after the second
            day = incidents[-1].end // (24 * HOURS) + 1
        begin = day * 24 * HOURS + 8 * HOURS + dice.randrange(2 * HOURS)
        incidents.append(Incident(kind, begin, begin + lasts, begin + by))
        share[begin : begin + lasts] = [part] * lasts
    for day in range(DAYS):
        at = day * 24 * HOURS + 12 * HOURS + dice.randrange(8 * HOURS)  # a deployment
        if share[at] < BUDGET:
            share[at], harmless = 0.15, [*harmless, (at, "blip")]
    failed = [_some(number, part, dice) for number, part in zip(calls, share)]
    for day in range(1, DAYS, 3):
        at = day * 24 * HOURS + 2 * HOURS + dice.randrange(HOURS)  # one customer's script, in the night
        if share[at] < BUDGET:
            harmless.append((at, "night"))
            for step in range(0, 15, 3):
                calls[at + step], failed[at + step] = calls[at + step] + 1, failed[at + step] + 1
    return Month(calls, failed, incidents, harmless)


def _traffic(minute, dice):
    """Calls in a minute of the day: some 300 by day, two from half past twelve to half past five in the night."""
    if 30 <= minute < 330:
        return dice.randrange(4)
    return round(300 * (1 + 0.3 * cos(2 * pi * (minute / 1440 - 0.6))) * dice.uniform(0.9, 1.1))


def _some(number, share, dice):
    if share == 1.0:
        return number
    mean = number * share
    return min(number, max(0, round(dice.gauss(mean, mean**0.5)))) if mean > 5 else _poisson(mean, dice)


def _poisson(mean, dice):
    count, left = 0, dice.expovariate(1)
    while left < mean:
        count, left = count + 1, left + dice.expovariate(1)
    return count


def firing(rules, recorded: Month) -> bytearray:
    """For each minute, 1 if a rule fires.

    A rule is ``(burn, long, short, calls)``. It fires in a minute when the share of failed calls is at least
    ``burn`` × 0.1 %, both over the last ``long`` minutes and over the last ``short`` minutes, and there were at least
    ``calls`` calls in the short ones. Before the recording begins there were no calls.
    """
    calls, failed = ([0, *accumulate(one)] for one in (recorded.calls, recorded.failed))
    fires = bytearray(len(recorded.calls))
    for burn, long, short, least in rules:
        part = burn * BUDGET
        for now in range(1, len(calls)):
            before = max(0, now - short)
            of, bad = calls[now] - calls[before], failed[now] - failed[before]
            if of >= least and 0 < bad >= part * of:
                before = max(0, now - long)
                if failed[now] - failed[before] >= part * (calls[now] - calls[before]):
                    fires[now - 1] = 1
    return fires


def pages(rules, recorded: Month) -> list[Page]:
    """When the rules would have sent a page: one fires, and none has fired within the hour before."""
    found, last = [], -QUIET - 1
    for minute, fire in enumerate(firing(rules, recorded)):
        if fire and minute - last > QUIET:
            found.append(Page(minute, _why(recorded, minute)))
        last = minute if fire else last
    return found


def _why(recorded, minute):
    for one in recorded.incidents:
        if one.begin <= minute < one.end + AFTER:
            return one.kind
    return next((what for at, what in recorded.harmless if 0 <= minute - at <= REASONS[what]), "quiet")


def delays(sent: list[Page], recorded: Month) -> dict[str, int | None]:
    """For each incident, after how many minutes its first page came; None if none came before its end."""
    found = {}
    for one in recorded.incidents:
        minutes = [page.minute - one.begin for page in sent if one.begin <= page.minute < one.end]
        found[one.kind] = min(minutes, default=None)
    return found


def false_pages(sent: list[Page]) -> list[Page]:
    """Pages that no incident is the reason of: none lasts, and none has ended within eight hours before."""
    return [page for page in sent if page.why not in KINDS]


def replayed(rules, seed: int = 1) -> Table:
    """What the rules would have done in a month: when each incident was found, and how many pages were false."""
    recorded, rows = month(seed), []
    sent = pages(rules, recorded)
    after = delays(sent, recorded)
    for one in recorded.incidents:
        delay = after[one.kind]
        told = "never" if delay is None else "in time" if delay <= one.by - one.begin else "too late"
        rows.append((one.kind, one.end - one.begin, one.by - one.begin, "—" if delay is None else delay, told))
    wrong = false_pages(sent)
    why = ", ".join(f"day {page.minute // 1440}: {page.why}" for page in wrong[:5])
    caption = f"{len(wrong)} false pages" + f" ({why}{', …' * (len(wrong) > 5)})" * bool(wrong)
    return Table(("incident", "lasts (min)", "to be found within", "found after", ""), rows, caption)
