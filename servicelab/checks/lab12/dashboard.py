"""Exercise 4, repair: a dashboard whose four panels lie. Only arithmetic, on recordings."""

import random
from copy import deepcopy
from math import ceil, isclose
from numbers import Real

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

WORDS = words("""
wrong-type: the panels give a number or None, and times gives a list of numbers
    Compare what each of the four returns with the task.
mean: the mean of all calls, whichever instance answered them; one without calls changes nothing
    Does an instance with ten calls count as much as one with ten thousand? And what is 0 · NaN?
p99: the least of the times that 99% of all calls took at most, whichever instance answered them
    Can you tell from one number of each instance? How many of 100 calls are 99%, and which is the last of them?
nobody: where there were no calls at all, mean and p99 are None
    What do you divide by, and which of no times is the largest?
rate, reset: calls a second, the sum of what each instance counted from its first sample to its last, begun anew or not
    By which seconds do you divide? What of one that came late, or now? From which number does a counter begin anew?
closed, since: each customer calls when he comes, whoever is still waiting, and his seconds count from then
    Who decides when the next call is sent: the customer, or the last answer? From which moment does your clock count?
changed: what the panels were given is as it was
    Which functions work in place?
""")


class Frozen:
    """A server that takes 5 ms, and stands still from 30 s to 40 s. What came meanwhile is answered after it."""

    def __init__(self, took=0.005, stands=(30.0, 40.0)):
        self.took, self.stands, self.sent = took, stands, []

    def __call__(self, at):
        self.sent.append(at)
        begin, end = self.stands
        return (end if begin <= at < end else at) + self.took


def customers(seed: int = 1) -> list[float]:
    """When customers come within 100 s, ten a second, at random."""
    dice, at, found = random.Random(seed), 0.0, []
    while (at := at + dice.expovariate(10)) < 100:
        found.append(at)
    return found


class Panels(Stage):
    def __init__(self, ask, Dashboard):
        super().__init__(ask, Dashboard)
        self.say("teacher", "dashboard", "show")
        self.board = self.make(Dashboard, methods=("mean", "p99", "rate", "times"))

    def panel(self, name, *given):
        """What the panel shows, and the claim that it has changed nothing."""
        self.say("dashboard", "services", name)
        before, found = repr(given), self.call(getattr(self.board, name), *given, limit=6.0)
        numbers, kinds = ([found], Real | None) if name != "times" else (found, Real)
        if not isinstance(numbers, list | tuple) or not all(isinstance(one, kinds) for one in numbers):
            self.refuse("wrong-type", f"{name} gave {shown(found)}")
        return found, ("changed", before == repr(given), f"{name} has changed what it was given")

    def about(self, name, cases):
        for code, given, due in cases:
            found, unchanged = self.panel(name, deepcopy(given))
            is_right = found is None if due is None else found is not None and isclose(found, due)
            yield code, is_right, f"{name} of {_short(given)}: it gave {shown(found)}, not {due}"
            yield unchanged


def _short(given) -> str:
    """What a panel is given; of a long list the first, the last, and how many there are."""
    if not isinstance(given, list):
        return shown(given)
    parts = [_short(one) for one in (given if len(given) <= 8 else given[:2])]
    more = [f"… {given[-1]} ({len(given)} of them)"] if len(given) > 8 else []
    return f"[{', '.join(parts + more)}]"


def _told(come, found, due) -> str:
    """What is wrong with the seconds that customers had to wait."""
    if len(found) != len(due):
        return f"for {len(come)} customers it gave {len(found)} numbers"
    apart = [one for one in zip(come, found, due) if not isclose(*one[1:], abs_tol=1e-6)]
    if all(isclose(*pair, abs_tol=1e-6) for pair in zip(sorted(found), sorted(due))):
        return f"the seconds are right, and {len(apart)} of {len(come)} stand in the place of another customer"
    at, mine, right = max(apart, key=lambda one: abs(one[1] - one[2]), default=(0.0, 0.0, 0.0))
    told = f"who came at {at:.3f} s waited {right:.3f} s, and it says {mine:.3f} s"
    return f"{len(apart)} of {len(come)} are wrong: {told}"


check_dashboard = scenario("12", 4, "A dashboard that lies", WORDS, go_on=True, Dashboard=Panels)
part = check_dashboard.part
NAN, SAMPLES, OTHERS = float("nan"), [(0, 100), (20, 400), (60, 700)], [(0, 7000), (30, 7120), (60, 7120)]


@part
def the_mean(d):
    cases = [("mean", [(9900, 0.01), (100, 0.51)], 0.015), ("mean", [(1, 4.0), (2, 1.0), (5, 0.4)], 1.0)]
    cases += [("mean", [(10, 0.2), (0, idle), (30, 0.6)], 0.5) for idle in (NAN, 0.0, 7.0)]
    yield from d.about("mean", [*cases, ("nobody", [(0, NAN), (0, NAN)], None), ("nobody", [], None)])


@part
def the_slowest_hundredth(d):
    cases = [("p99", [[*range(count, 0, -1)]], ceil(count * 99 / 100)) for count in (1, 2, 99, 100, 101, 250, 300)]
    cases += [("p99", [[*range(9900)], [500 * n for n in range(100)]], 9879)]  # of 10 000
    cases += [("p99", [[0.01] * 50 + [3.0], [0.02] * 5000], 0.02), ("p99", [[1.0] * 98 + [5.0], [], [2.0] * 3], 2.0)]
    yield from d.about("p99", [*cases, ("nobody", [[], []], None), ("nobody", [], None)])


@part
def calls_a_second(d):
    cases = [("rate", [SAMPLES, OTHERS], 12.0), ("rate", [SAMPLES, [(20, 10), (40, 50), (50, 70)]], 12.0)]
    cases += [("reset", [[(0, 9000), (15, 9150), (30, 30), (45, 180), (60, 330)], OTHERS], 10.0)]
    cases += [("reset", [[(0, 500), (15, 0), (30, 150), (45, 20), (60, 170)]], 320 / 60)]
    cases += [("reset", [[(0, 500), (60, 420)], [(0, 100), (60, 700)]], 17.0)]
    cases += [("rate", [OTHERS, young], 2.0) for young in ([], [(60, 900)])]
    yield from d.about("rate", [*cases, ("rate", [[]], 0.0)])


@part
def customers_wait(d):
    for come in (customers(), [0.0, 31.0, 31.0, 39.9, 45.0]):
        call, due = Frozen(), [Frozen()(at) - at for at in come]
        found, unchanged = d.panel("times", call, list(come))
        late = sum(one not in call.sent for one in come)
        told = f"of {len(come)} customers, {late} called late or never; there were {len(call.sent)} calls"
        yield "closed", sorted(call.sent) == come, told
        is_right = len(found) == len(due) and all(isclose(one, other, abs_tol=1e-6) for one, other in zip(found, due))
        yield "since", is_right, _told(come, found, due)
        yield unchanged
