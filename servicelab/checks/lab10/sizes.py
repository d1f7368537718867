"""Exercise 4, measure and decide: bulkheads for a real shop. What they are worth is found out in SimPy."""

from numbers import Integral

from servicelab.checks.lab10.mixed import CHECKED, DEPENDENCIES, WORKERS, MixedShop, simulate
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

TURNED_AWAY = 0.11  # of all calls on an ordinary day; the task says 0.10, and no size comes near this (``CHECKED``)

WORDS = words(f"""
wrong-type: size_bulkheads returns a dict from each dependency to a whole number, one at least
    Its keys are {", ".join(DEPENDENCIES)}. Without a place nobody is ever served.
too-small: an ordinary day: each of them turns away at most one call in ten
    How many calls of each are under way at once, on the average, and how far above that does chance go? Who is called
    often does not need most, nor who takes longest.
no-headroom: an ordinary day: each of them turns away at most one call in ten
    These are about the averages. How often are there more than the average?
sum-too-large: together they fit into the pool of {WORKERS} workers
    How many workers are left for the others when one of them hangs, and all its places are taken?
""")


class Watched(Stage):
    """A real shop that the learner has watched, and the sizes that came of it."""

    def __init__(self, ask, size_bulkheads):
        super().__init__(ask, size_bulkheads)
        self.sizes = ask.calmly(size_bulkheads, self.use(MixedShop(CHECKED, ask.trace)), returns=dict, limit=9.0)
        self.last = ask.trace.calls[0].id if ask.trace.calls else None

    def seen(self, slow=None, seconds=300.0):
        """How it goes with these sizes, and with one that hangs; the diagram is marked where it went wrong."""
        self.ask.trace.clear()
        seen = simulate(CHECKED, self.sizes, slow, seconds, self.ask.trace)
        self.last = next((one.mark for one in seen.values() if one.mark), self.last)
        return seen


check_sizes = scenario("10", 4, "Bulkhead sizes", WORDS, size_bulkheads=Watched)


@check_sizes.part
def sizes_at_work(w):
    sizes = w.sizes
    whole = all(isinstance(size, Integral) and not isinstance(size, bool) and size >= 1 for size in sizes.values())
    yield "wrong-type", whole and set(sizes) == set(DEPENDENCIES), f"it returned {shown(sizes)}"
    seen = w.seen()
    worst = max(DEPENDENCIES, key=lambda name: seen[name].rejected)
    w.last = seen[worst].mark or w.last
    above = [sizes[name] - need.rate * need.seconds for name, need in CHECKED.items()]
    code = "no-headroom" if min(above) > -1 and max(above) <= 2 else "too-small"
    told = f"places for {worst}: {sizes[worst]}, and {seen[worst].rejected:.0%} of its calls were turned away"
    yield code, seen[worst].rejected <= TURNED_AWAY, told
    widest = max(DEPENDENCIES, key=sizes.get)
    seen = w.seen(widest, seconds=60.0)
    stuck = max(seen[name].stuck for name in DEPENDENCIES if name != widest)
    told = f"; with {widest} hanging, {stuck:.0%} of the calls of another found no worker" * (stuck >= 0.01)
    yield "sum-too-large", sum(sizes.values()) <= WORKERS, f"{sum(sizes.values())} places in all{told}"
