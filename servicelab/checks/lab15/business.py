"""Exercise 3, decide: a style for each link of a business, by its needs and a price list. Judged on simulated days."""

from collections import namedtuple
from functools import cache
from math import inf

import numpy as np

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.table import Table

#: Seconds, days a month, messages, seconds; so much more than the least cost is as good.
DAY, DAYS, BUFFER, HERE, NEARLY = 86_400, 30, 1_000_000, 0.001, 1.05

WORDS = words("""
not-a-style: decide returns a dict from the name of each link to one of the seven styles
    Compare what you return with the names in the task.
no-result: where the caller needs a result, the style gives one
    What does the caller of this link do next, and with what?
too-late: 99% of the callers go on in time
    How often does this style go to the other side, and how far is that? One in a hundred may be late.
no-replay: messages can be read again for as long as they have to be
    Where is a message when it has been worked on, and for how long?
no-order: messages about one thing stay in order where they have to
    Which styles let two messages overtake each other?
half-done: where several services must do their part, all do, or none
    Who knows which of them were done, when one of them says no?
loses: what it loses a month is worth its price
    When has the other side too much to do, or cannot be reached? How many are lost, and what is each of them worth?
too-dear: of the styles that meet the needs, it is the cheapest
    What does each style cost this link in a month: what is paid anyway, for its messages, and what it loses?
""")


#: A link, and what is needed of it; the task says what each number is.
LINK = "rate burst seconds capacity rtt outage within worth result old keys replay ordered steps"
Link = namedtuple("Link", LINK, defaults=(False, 0.0, 1, 0.0, False, 1))
Style = namedtuple("Style", "far result replay ordered steps")  # far: the caller waits for the other side
STYLES = {
    "call": Style(True, True, 0, False, 1), "cached call": Style(True, True, 0, False, 1),
    "queue": Style(True, False, 0, False, 1), "stream": Style(True, False, inf, True, 1),
    "local stream": Style(False, False, 7, True, 1), "saga": Style(False, False, 0, False, inf),
    "at home": Style(False, True, 0, True, 1),
}  # fmt: skip


def misses(link, rate, dice) -> float:
    """The share of the calls at ``rate`` that find no copy which is young enough: of 40 000, the second half counts."""
    missed, got = np.zeros(40_000), {}
    times = dice.exponential(1 / rate, len(missed)).cumsum().tolist()
    for number, (at, key) in enumerate(zip(times, dice.integers(link.keys, size=len(times)).tolist())):
        if at - got.get(key, -inf) >= link.old:
            got[key], missed[number] = at, 1
    return missed[len(missed) // 2 :].mean()


@cache
def lived(link: Link, style: str) -> tuple[float, float]:
    """One day, second by second: for how long 99% of the callers wait at most, and how many messages are lost."""
    dice, second, is_far = np.random.default_rng(1), np.arange(DAY), STYLES[style].far
    is_down, is_high = second < link.outage, second >= DAY - link.seconds
    come, wait = dice.poisson(np.where(is_high, link.burst, link.rate)), link.rtt if is_far else HERE
    if style == "cached call" and link.old:
        calm, high = (misses(link, rate, dice) for rate in (link.rate, link.burst))
        come, wait = dice.binomial(come, np.where(is_high, high, calm)), HERE if calm < 0.01 else wait
    lost = come[is_down].sum() if is_far else max(0, come[is_down].sum() - BUFFER) * (style == "local stream")
    if style in ("call", "cached call"):
        lost += np.maximum(0, come - link.capacity)[~is_down].sum()
    return wait, float(lost)


def met(link, style) -> dict[str, bool]:
    """For each need, by its code, whether a style meets it."""
    does = STYLES[style]
    return {
        "no-result": does.result or not link.result,
        "too-late": lived(link, style)[0] <= link.within,
        "no-replay": does.replay >= link.replay,
        "no-order": does.ordered or not link.ordered,
        "half-done": does.steps >= link.steps,
    }


def costs(link, style, prices) -> tuple[float, float]:
    """What is paid in a month, and what the lost messages are worth."""
    month, million = prices[style]
    messages = DAYS * (link.rate * DAY + (link.burst - link.rate) * link.seconds)
    return month + million * messages / 1e6, DAYS * lived(link, style)[1] * link.worth


def best(link, prices) -> tuple[float, str]:
    return min((sum(costs(link, style, prices)), style) for style in STYLES if all(met(link, style).values()))


PRICES = {
    "call": (10, 0.4), "cached call": (60, 0.4), "queue": (40, 0.8), "stream": (150, 0.3), "local stream": (300, 0.3),
    "saga": (400, 20), "at home": (900, 0.1),
}  # fmt: skip
OTHERS = PRICES | {"stream": (45, 0.2), "queue": (90, 2), "at home": (6000, 0.1)}
PRACTICE = {
    "page": Link(100, 600, 60, 200, 0.08, 0, 0.2, 0.02, result=True, old=30, keys=300),
    "newsletter": Link(2, 80, 120, 20, 0.08, 0, 1, 2),
    "till": Link(5, 10, 600, 40, 0.08, 1200, 0.05, 1, ordered=True),
}
BUSINESSES = {  # hidden; in the second and the third, other prices hold
    "a shop": (PRICES, {
        "page": Link(50, 5000, 60, 200, 0.15, 0, 0.3, 0.05, result=True, old=60, keys=200),
        "search": Link(1600, 1700, 60, 2000, 0.15, 0, 0.02, 0.01, result=True, old=20, keys=20),
        "basket": Link(20, 60, 300, 200, 0.15, 0, 0.5, 0.01, ordered=True),
        "payment": Link(2, 20, 60, 60, 0.15, 0, 1, 30, result=True, keys=5000),
        "warehouse": Link(2, 30, 60, 12, 0.15, 0, 1, 30),
        "clicks": Link(200, 2000, 60, 900, 0.15, 600, 1, 1e-7)}),
    "a bank": (OTHERS, {
        "statements": Link(20, 160, 300, 40, 0.09, 0, 0.5, 0.01),
        "balance": Link(5, 10, 60, 40, 0.09, 0, 0.5, 0.01, result=True, ordered=True),
        "audit": Link(20, 60, 300, 200, 0.09, 0, 0.5, 0.01, replay=3650),
        "rates": Link(400, 900, 60, 500, 0.09, 0, 0.02, 0.1, result=True, old=20, keys=20),
        "limits": Link(400, 3400, 60, 2700, 0.09, 0, 0.02, 0.1, result=True, old=10, keys=200)}),
    "an insurer": (PRICES | {"at home": (250, 0.1)}, {
        "claim": Link(0.03, 0.1, 3600, 10, 0.04, 0, 1, 0, steps=4),
        "letters": Link(1, 2, 60, 20, 0.04, 600, 1, 0.02),
        "drafts": Link(1, 2, 3600, 10, 0.04, 600, 1, 0.01, replay=5),
        "files": Link(1, 2, 3600, 10, 0.04, 600, 1, 0.01, replay=30)}),
    "a factory": (PRICES, {
        "gripper": Link(0.1, 0.2, 60, 20, 0.05, 0, 0.01, 0.001, result=True),
        "alarms": Link(1, 2, 60, 20, 0.05, 0, 0.01, 0.001),
        "counts": Link(10, 1000, 14_400, 500, 0.05, 0, 1, 0.001),
        "sensors": Link(600, 900, 60, 9000, 0.05, 600, 0.01, 0.001, ordered=True),
        "vibration": Link(1000, 1500, 60, 9000, 0.05, 14_400, 0.1, 1e-5)}),
}  # fmt: skip


def decided(decide) -> Table:
    """What comes of it in a business to try things on; the check has others."""
    rows, styles = [], decide(dict(PRACTICE), dict(PRICES))
    if not all(styles.get(name) in STYLES for name in PRACTICE):
        raise ValueError(f"{styles!r} must give each of {', '.join(PRACTICE)} one of {', '.join(STYLES)}")
    for name, link in PRACTICE.items():
        (paid, lost), needs = costs(link, styles[name], PRICES), met(link, styles[name])
        told = next((code for code, is_met in needs.items() if not is_met), "met")
        rows.append((name, styles[name], told, paid, lost, best(link, PRICES)[0]))
    return Table(
        ("link", "style", "needs", "paid a month", "lost a month", "least possible"), rows, "a month, simulated"
    )


check_business = scenario("15", 3, "Four businesses", WORDS, decide=Stage)


@check_business.part
def four_businesses(d):
    for name, (prices, links) in BUSINESSES.items():
        found = d.call(d.yours, dict(links), dict(prices), returns=dict, limit=5.0)
        for link, needs in links.items():
            told, style = f"{name}, {link}: {shown(found.get(link))}", found.get(link)
            d.last = d.ask.trace.send(name, link, shown(style, 20))
            d.ask.trace.receive(d.last)
            yield "not-a-style", isinstance(style, str) and style in STYLES, told
            wait, lost = lived(needs, style)
            for code, is_met in met(needs, style).items():
                yield code, is_met, f"{told}; 99% go on within {wait:.3g} s; needed is {needs}"
            least, (paid, worth) = best(needs, prices)[0], costs(needs, style, prices)
            told += f" costs {paid:,.0f} a month, and {worth:,.0f} for {DAYS * lost:,.0f} lost; {least:,.0f} would do"
            yield "loses" if paid <= least else "too-dear", paid + worth <= NEARLY * least, told
