"""Exercise 5, measure and decide: which alert rules find five incidents and wake nobody for nothing."""

from collections import Counter
from math import isfinite
from numbers import Integral, Real

from servicelab.checks.lab12.months import DAYS, KINDS, MOST, QUIET, delays, false_pages, firing, month, pages
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

SEEDS = (201, 202, 203)  # other months of the same kind
LATE, FALSE = 1.2, 2  # the task allows the time, and one false page a month; the rest is chance
CODES = dict(zip(KINDS, ("sudden", "sudden", "sudden", "one-in-a-hundred", "one-in-250")))

WORDS = words(f"""
not-rules: RULES is a list of one to {MOST} rules (burn, long, short, calls)
    Four numbers each, and the shorter window must not be the longer one. Windows are whole minutes.
sudden: all calls fail, or one in ten, or one in thirty: there is a page in time
    How long does it take until the errors of this incident fill the long window up to the burn? What else holds your
    rules back?
one-in-a-hundred: one call in a hundred fails for hours: there is a page in time
    What burn has an incident of 1 %? Which of your rules can see it at all?
one-in-250: one call in 250 fails for two days: there is a page in time
    What burn has an incident of 0.4 %, and how long does it last? Which of your rules can see it at all?
hidden: an incident comes the morning after another: it has a page of its own
    A rule that still fires tells nothing new. How long after an incident does each of yours fall silent?
blips: a deployment fails 15 % of the calls for a minute: of such false pages there is one a month at most
    Over how many minutes must an error go on, before somebody is woken?
nights: a script fails five times in the night, when two customers a minute call: one false page a month at most
    Five of how many calls are that? What is a share worth, when it is one of few?
quiet: nothing has happened: one false page a month at most
    With one call in 5000 failing by chance, how often is each of your rules met for no reason?
""")


class Replayed(Stage):
    def __init__(self, ask, RULES):
        super().__init__(ask, RULES)
        self.draw("shop", shown(RULES, 80), at=0.0)

    def draw(self, sender, label, at):
        self.last = self.ask.trace.send(sender, "pager", label, at=at)
        self.ask.trace.receive(self.last, at=at)


def is_rule(rule):
    if not isinstance(rule, list | tuple) or len(rule) != 4 or any(isinstance(one, bool) for one in rule):
        return False
    burn, long, short, calls = rule
    if not all(isinstance(one, Integral) for one in (long, short, calls)) or not isinstance(burn, Real):
        return False
    return isfinite(burn) and burn > 0 and 1 <= short <= long <= DAYS * 1440 and calls >= 0


check_rules = scenario("12", 5, "Who is woken", WORDS, go_on=True, RULES=Replayed)
part = check_rules.part


@part
def what_they_are(r):
    found = r.yours
    fits = isinstance(found, list | tuple) and 1 <= len(found) <= MOST and all(map(is_rule, found))
    if not fits:
        r.refuse("not-rules", f"RULES is {shown(found)}")
    for seed in SEEDS:
        recorded = month(seed)
        sent = r.call(pages, found, recorded, limit=8.0)
        after, on = delays(sent, recorded), None
        for one in recorded.incidents:
            delay = after[one.kind]
            r.draw(one.kind, "never" if delay is None else f"after {delay} min", at=one.begin / 1000)
            is_late = delay is None or delay > LATE * (one.by - one.begin)
            on = on or (firing(found, recorded) if delay is None else None)
            is_hidden = delay is None and any(on[one.begin - QUIET : one.begin])
            told = "there was no page" if delay is None else f"the page came after {delay} min"
            told = f"month {seed}, {one.kind}: {told}; {one.by - one.begin} min were allowed"
            told += "; the rules still fired when it began" * is_hidden
            yield "hidden" if is_hidden else CODES[one.kind], not is_late, told
        wrong = Counter(page.why for page in false_pages(sent))
        why, many = max(wrong.items(), key=lambda pair: pair[1], default=("quiet", 0))
        r.draw("shop", f"{wrong.total()} false", at=50.0)
        told = f"month {seed}: {wrong.total()} false pages, {many} of them for {why}"
        yield {"blip": "blips", "night": "nights"}.get(why, "quiet"), wrong.total() <= FALSE, told
