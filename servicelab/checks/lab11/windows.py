"""Exercise 5, measure and decide: for how long an inbox remembers, and how often a relay polls."""

from math import isfinite

from servicelab.checks.lab11.days import CHECKED, GOAL, Shop, p99, right
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

REPEATS, WIDER, LATE, OFTEN = 1.5, 1.3, 0.55, 0.75  # what the task lets pass

WORDS = words("""
wrong-type: decide returns the window and the interval: two numbers of seconds above 0
    Compare what you return with the last line of the stub.
forgets, forgets-the-late: of 10 000 messages at most one comes again when the inbox has forgotten it
    Of all messages, which share comes again, and later than your window? Do the slowest come from where most come from?
too-wide: the window is as small as that allows
    How many rows does the inbox keep? Of the messages that come again, which share may come later than the window?
late, falls-behind: 99% of the lags are below half a second
    What did lags(…) say of your interval? How many rows come in one, and how many does one poll take?
too-often: the interval is as long as that allows
    Each poll is a query. How late may the last one of a hundred be, and how late is it with yours?
""")


class Decided(Stage):
    def decide(self, setting):
        shop = Shop(setting)
        found = self.call(self.yours, shop, returns=(tuple, list), limit=9.0)
        for told in (*shop.told[-3:], f"{setting.rate} orders/s"):
            self.last = self.ask.trace.send("you", "shop", told)
            self.ask.trace.receive(self.last, "shop")
        numbers = [one for one in found if isinstance(one, int | float) and isfinite(one) and one > 0]
        if len(numbers) != 2 or len(found) != 2:
            self.refuse("wrong-type", f"it returned {shown(found)}")
        return found


check_windows = scenario("11", 5, "Window and interval", WORDS, go_on=True, decide=Decided)


def add(number, setting):
    def part(d):
        window, poll = d.decide(setting)
        told = f"{setting.rate} orders/s, a window of {window:.3g} s, a poll every {poll:.3g} s: "
        repeats, lag = setting.repeats(window), p99(setting, poll)
        smallest, longest = right(setting)
        code = "forgets-the-late" if len(setting.late) > 1 else "forgets"
        yield code, repeats <= REPEATS * GOAL, f"{told}{repeats / GOAL:.3g} of 10 000 pass the inbox"
        yield "too-wide", window <= WIDER * smallest, f"{told}a smaller window would do"
        code = "falls-behind" if setting.batch < longest * setting.rate * 1.2 else "late"
        yield code, lag <= LATE, f"{told}99% of the lags are below {lag:.3g} s"
        yield "too-often", poll >= OFTEN * longest, f"{told}a longer interval would do"

    part.__name__ = f"shop_{number}"
    check_windows.part(part)


for number, setting in enumerate(CHECKED, 1):
    add(number, setting)
