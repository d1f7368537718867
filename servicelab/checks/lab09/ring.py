"""Exercise 2, build: a hash ring. Keys are counted, before and after an instance comes or goes."""

import builtins
import sys
from collections import Counter
from contextlib import contextmanager
from operator import ne

from servicelab.checks.learner_traceback import is_theirs, shown
from servicelab.checks.scenario import Stage, scenario, words

KEYS = [f"shop:customer-{number}" for number in range(3000)]
SOME = KEYS[:200]
SIGNS = [chr(ord("一") + number) for number in range(300)]  # keys without any letter of ASCII
CARTS = [f"cart-{number}" for number in range(10)]
STRANGE = ["a", "A", " a", "a ", "Zoë", "zoë", "ZOË", "日本", "日 本", "cart"]
FLEETS = (CARTS, [f"10.0.{number}.7:8080" for number in range(10)], STRANGE)
PEAK, ROOM = 1.2, 1.22  # busiest ÷ mean: what the task says, and with what the keys add by chance
MOVED = 0.13  # share of the keys: the task says 0.12

WORDS = words(f"""
not-a-name: owner returns one of the names
    What does your ring do after its last place?
uneven: the busiest of ten instances has at most {PEAK} times the mean number of keys
    How long are the stretches between ten places that were chosen by chance? And between a thousand? Does your function
    scatter texts that are alike, or do those share a place that differ only in case, in a space, or in strange letters?
moved: one leaves: its keys move and no others; an eleventh joins: the keys that move go to it, 12% of all at most
    On what does a key's owner depend, besides the key and the owner's name? Where does a newcomer's stretch come from?
order: the names come in another order: no key moves
    What do you make of the place of a name in the list?
elsewhere: a second client makes a ring of the same names, in another process: each key has the same owner
    What differs from one object to the next? What does the documentation say of hash() and of PYTHONHASHSEED?
so-many: owners(key, count) are different instances, as many as were asked for, or all if there are fewer
    The next place on the ring may belong to the same instance. What ends your walk?
not-first: owners(key, count) begins with owner(key), and goes on in the same way, whatever the count
    From which place on do they walk?
no-heir: an instance leaves: those behind it in owners(key, count) move up, the second to the first place
    Who is next on the ring when all places of one are gone?
nobody: Ring of no names raises ValueError
    Say it where the mistake is made: a ring that nobody is on should not come into being.
""")


class Ringed(Stage):
    def owners(self, names, keys=KEYS, count=None):
        """On a new ring, a list for each of the keys: of its owner, or with a count of its owners."""
        ring = self.make(self.yours, list(names), methods=("owner", "owners"))

        def owners():
            return [[ring.owner(key)] if count is None else ring.owners(key, count) for key in keys]

        owners.__name__ = f"your ring, for {len(keys)} keys one after another,"
        found = self.call(owners, limit=6.0)
        for one in found:
            if not isinstance(one, list | tuple):
                self.refuse("so-many", f"owners gave {shown(one)}, which is no list")
        routed = [(key, name) for key, one in zip(keys, found) for name in one]
        strange = [(key, name) for key, name in routed if name not in names]
        for key, name in strange[:1] or routed[:4]:
            self.draw("client", shown(name, 20).strip("'"), key)
        if strange:
            self.refuse("not-a-name", f"it gave {shown(name)} for {key}; the names are {shown(names, 60)}")
        return list(map(list, found))


@contextmanager
def another_hash():
    """What hash() says to the learner's code as in another process, where it is salted otherwise."""
    usual = builtins.hash

    def salted(value):
        return usual(("salt", value)) if is_theirs(sys._getframe(1).f_code.co_filename) else usual(value)

    builtins.hash = salted
    try:
        yield
    finally:
        builtins.hash = usual


check_ring = scenario("09", 2, "A hash ring", WORDS, Ring=Ringed)
part = check_ring.part


@part
def evenly(r):
    peaks = [max(Counter(name for (name,) in r.owners(names)).values()) * len(names) / len(KEYS) for names in FLEETS]
    peak = sum(peaks) / len(peaks)
    yield "uneven", peak <= ROOM, f"over three fleets it has {peak:.2f} times the mean, on average"
    owners = Counter(name for (name,) in r.owners(CARTS, SIGNS))
    busiest = max(owners.values())
    yield "uneven", busiest < len(SIGNS) / 2, f"of {len(SIGNS)} keys such as 一, 丁 and 七 one of ten has {busiest}"
    r.owners(CARTS[:1])
    r.owners(CARTS[:3], ["", "Zoë", "日本", " ", "a" * 500])


@part
def the_same_everywhere(r):
    first = r.owners(CARTS)
    for code, names in (("elsewhere", CARTS), ("order", [*CARTS[5:], *reversed(CARTS[:5])])):
        with another_hash():
            differ = sum(map(ne, first, r.owners(names)))
        yield code, not differ, f"{differ} of {len(KEYS)} keys have another owner"


@part
def one_leaves_and_one_joins(r):
    before = r.owners(CARTS)
    for names in ([name for name in CARTS if name != CARTS[3]], [*CARTS, "cart-x"]):
        moved = [(old, new) for (old,), (new,) in zip(before, r.owners(names)) if old != new]
        needless = sum(old in names and new in CARTS for old, new in moved)
        told = f"with {len(names)} instances in place of ten {len(moved) / len(KEYS):.1%} of all keys move"
        yield "moved", not needless, f"{told}, {needless / len(KEYS):.1%} without need"
    yield "moved", 0 < len(moved) <= MOVED * len(KEYS), told


@part
def who_takes_over(r):
    before = r.owners(CARTS, SOME)
    for count in (2, 3, 10, 15):
        found = r.owners(CARTS, SOME, count)
        bad = next((one for one in found if not len(one) == len(set(one)) == min(count, 10)), None)
        yield "so-many", bad is None, f"of ten instances, owners(key, {count}) gave {shown(bad)}"
        less, more = next((both for both in zip(before, found) if both[1][: len(both[0])] != both[0]), ("", ""))
        yield "not-first", not more, f"for one key first {shown(less)}, and owners(key, {count}) gave {shown(more)}"
        before = found
    wanted = [[name for name in one if name != CARTS[7]] for one in before]
    moved = sum(map(ne, wanted, r.owners([name for name in CARTS if name != CARTS[7]], SOME, 9)))
    yield (
        "no-heir",
        not moved,
        f"when {CARTS[7]} has left, {moved} of {len(SOME)} keys have others, or in another order",
    )


@part
def of_nobody(r):
    r.owners(CARTS, KEYS[:3])
    outcome = r.ask.run(r.yours, [], limit=2.0)
    yield "nobody", isinstance(outcome.error, ValueError), str(outcome)
