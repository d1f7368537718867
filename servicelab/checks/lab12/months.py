"""Thirty recorded days of a shop, minute by minute, and what alert rules make of them (exercise 5)."""

from functools import cache
from typing import NamedTuple

import numpy as np

from servicelab.table import Table

DAYS, BUDGET, MOST, QUIET, AFTER = 30, 0.001, 4, 60, 480  # days, share of the calls, rules, minutes, minutes
HOURS = 60  # minutes
REASONS = {"blip": HOURS, "night": 6 * HOURS}  # for how long a false page is put down to it

#: What goes wrong: the share of calls that fail, for how long, by when it must be known (minutes), and how it begins.
KINDS = {
    "outage": (1.0, 20, 3),
    "one in ten": (0.10, 90, 30),
    "one in thirty": (0.03, 4 * HOURS, 50),
    "one in 100": (0.01, 11 * HOURS, 5 * HOURS),
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
    dice, day_long = np.random.default_rng(seed), 24 * HOURS
    minute = np.arange(DAYS * day_long) % day_long
    by_day = 300 * (1 + 0.3 * np.cos(2 * np.pi * (minute / day_long - 0.6))) * dice.uniform(0.9, 1.1, len(minute))
    is_night = (minute >= 30) & (minute < 330)  # from half past twelve to half past five
    calls = np.where(is_night, dice.integers(4, size=len(minute)), np.rint(by_day).astype(int))
    share, incidents, harmless = np.full(len(minute), 0.0002), [], []
    for day, kind in zip((1, 7, 8, 19, 25), dice.permutation(list(KINDS)).tolist()):  # with days of its own, each
        part, lasts, by = KINDS[kind]
        if day == 8:  # but for this one: it comes in the morning after the second
            day = incidents[-1].end // day_long + 1
        begin = day * day_long + 8 * HOURS + int(dice.integers(2 * HOURS))
        incidents.append(Incident(kind, begin, begin + lasts, begin + by))
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
    """For each minute, whether a rule fires.

    A rule is ``(burn, long, short, calls)``. It fires in a minute when the share of failed calls is at least
    ``burn`` × 0.1 %, both over the last ``long`` minutes and over the last ``short`` minutes, and there were at least
    ``calls`` calls in the short ones. Before the recording begins there were no calls.
    """
    upto = [np.cumsum([0, *counts]) for counts in (recorded.calls, recorded.failed)]
    now = np.arange(1, len(upto[0]))
    fires = np.zeros(len(now), bool)
    for burn, long, short, least in rules:
        (calls, of), (failed, bad) = (
            [counts[now] - counts[np.maximum(0, now - window)] for window in (long, short)] for counts in upto
        )
        part = burn * BUDGET
        fires |= (of >= least) & (bad > 0) & (bad >= part * of) & (failed >= part * calls)
    return fires


def pages(rules, recorded: Month) -> list[Page]:
    """When the rules would have sent a page: one fires, and none has fired within the hour before."""
    found, last = [], -QUIET - 1
    for minute in np.flatnonzero(firing(rules, recorded)).tolist():
        if minute - last > QUIET:
            found.append(Page(minute, _why(recorded, minute)))
        last = minute
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
