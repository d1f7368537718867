"""Exercise 2, build: a hash ring. Keys are counted, before and after an instance comes or goes."""

import builtins
import sys
from collections import Counter
from contextlib import contextmanager

from servicelab.checks.learner_traceback import is_theirs, shown
from servicelab.checks.scenario import Stage, scenario, words

KEYS = [f"shop:customer-{number}" for number in range(3000)]
CARTS = [f"cart-{number}" for number in range(10)]
STRANGE = ["a", "A", " a", "a ", "Zoë", "zoë", "ZOË", "日本", "日 本", "cart"]
FLEETS = (CARTS, [f"10.0.{number}.7:8080" for number in range(10)], STRANGE)
PEAK, ROOM = 1.2, 1.22  # busiest ÷ mean: what the task says, and with what the keys add by chance
MOVED = 0.13  # share of the keys: the task says 0.12

WORDS = words(f"""
not-a-name: owner returns one of the names
    What does your ring do after its last place?
uneven: the busiest of ten instances has at most {PEAK} times the mean number of keys
    How long are the stretches between ten places that were chosen by chance? And between a thousand? Do names that
    differ only in case, or in a space, share places?
leaves: one of ten leaves: its keys move, and no others
    On what does the owner of a key depend, besides the key and its owner's name?
joins: an eleventh joins: the keys that move go to it, and are 12 % of all at most
    Where does the newcomer's stretch come from?
order: the names come in another order: no key moves
    What do you make of the place of a name in the list?
another-ring: a second client makes a ring of the same names: each key has the same owner
    What differs from one object to the next?
another-process: in another process, each key has the same owner
    What does the documentation say of hash() and of PYTHONHASHSEED?
repeats: owners(key, count) are different instances, as many as were asked for
    The next place on the ring may belong to the same instance.
not-first: owners(key, count) begins with owner(key), and goes on in the same way, whatever the count
    From which place on do they walk?
too-many: owners(key, count) with a count above the number of instances are all of them
    What ends your walk?
no-heir: an instance leaves: those behind it in owners(key, count) move up, the second to the first place
    Who is next on the ring when all places of one are gone?
nobody: Ring of no names raises ValueError
    Say it where the mistake is made: a ring that nobody is on should not come into being.
""")


class Ringed(Stage):
    """Rings of the learner's, and the keys as they own them."""

    def ring(self, names):
        return self.make(self.yours, list(names), methods=("owner", "owners"))

    def each(self, ring, method, keys, *count):
        """What a method of a ring gives for each of the keys."""

        def ask():
            return [getattr(ring, method)(key, *count) for key in keys]

        ask.__name__ = f"{method}, for {len(keys)} keys one after another,"
        return self.call(ask, limit=6.0)

    def owners(self, names, keys=KEYS):
        """The owner of each key, on a new ring."""
        found = self.each(self.ring(names), "owner", keys)
        self.draw(list(zip(keys, found))[:4])
        strange = [one for one in found if one not in names]
        if strange:
            self.refuse("not-a-name", f"owner gave {shown(strange[0])}; the names are {shown(list(names), 60)}")
        return found

    def draw(self, routed):
        for key, name in routed:
            self.last = self.ask.trace.send("client", shown(name, 20).strip("'"), key)
            self.ask.trace.receive(self.last, shown(name, 20).strip("'"))

    def some(self, ring, count, keys=KEYS[:200]):
        found = self.each(ring, "owners", keys, count)
        strange = [one for one in found if not isinstance(one, list | tuple)]
        if strange:
            self.refuse("repeats", f"owners gave {shown(strange[0])}, which is no list")
        self.draw([(keys[0], name) for name in found[0]])
        return [list(one) for one in found]


check_ring = scenario("09", 2, "A hash ring", WORDS, Ring=Ringed)
part = check_ring.part


@part
def evenly(r):
    peaks = [max(Counter(r.owners(names)).values()) / (len(KEYS) / len(names)) for names in FLEETS]
    peak = sum(peaks) / len(peaks)
    yield "uneven", peak <= ROOM, f"over three fleets it has {peak:.2f} times the mean, on average"
    r.owners(CARTS[:1])
    r.owners(CARTS[:3], ["", "Zoë", "日本", " ", "a" * 500])


@part
def the_same_everywhere(r):
    first, again = r.owners(CARTS), r.owners(CARTS)
    differ = sum(one != other for one, other in zip(first, again))
    yield "another-ring", not differ, f"{differ} of {len(KEYS)} keys have another owner"
    turned = r.owners([*CARTS[5:], *reversed(CARTS[:5])])
    differ = sum(one != other for one, other in zip(first, turned))
    yield "order", not differ, f"{differ} of {len(KEYS)} keys have another owner"
    with another_hash():
        elsewhere = r.owners(CARTS)
    differ = sum(one != other for one, other in zip(first, elsewhere))
    yield "another-process", not differ, f"{differ} of {len(KEYS)} keys have another owner there"


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


@part
def one_leaves(r):
    before, gone = r.owners(CARTS), CARTS[3]
    after = r.owners([name for name in CARTS if name != gone])
    needless = sum(old not in (new, gone) for old, new in zip(before, after)) / len(KEYS)
    yield "leaves", not needless, f"{needless:.1%} of all keys moved from one that is still there"


@part
def one_joins(r):
    before, after = r.owners(CARTS), r.owners([*CARTS, "cart-x"])
    moved = [new for old, new in zip(before, after) if old != new]
    needless = sum(new != "cart-x" for new in moved) / len(KEYS)
    told = f"{len(moved) / len(KEYS):.1%} moved, {needless:.1%} of them to somebody else"
    yield "joins", not needless and 0 < len(moved) <= MOVED * len(KEYS), told


@part
def who_takes_over(r):
    ring = r.ring(CARTS)
    before = [[name] for name in r.each(ring, "owner", KEYS[:200])]
    for count in (2, 3, 10):
        found = r.some(ring, count)
        bad = next((one for one in found if len(one) != count or len(set(one)) < count), None)
        yield "repeats", bad is None, f"owners(key, {count}) gave {shown(bad)}"
        bad = next(((less, more) for less, more in zip(before, found) if more[: len(less)] != less), ("", ""))
        told = f"for one key first {shown(bad[0])}, and owners(key, {count}) gave {shown(bad[1])}"
        yield "not-first", not bad[1], told
        before = found
    found = r.some(r.ring(CARTS[:3]), 5)
    bad = next((one for one in found if sorted(map(str, one)) != sorted(CARTS[:3])), None)
    yield "too-many", bad is None, f"of three instances, owners(key, 5) gave {shown(bad)}"
    left = [name for name in CARTS if name != CARTS[7]]
    wanted = [[name for name in one if name != CARTS[7]] for one in before]
    pairs = list(zip(wanted, r.some(r.ring(left), 9)))
    moved = [one for one, other in pairs if one != other]
    told = f"when {CARTS[7]} has left, {len(moved)} of {len(pairs)} keys have others, or in another order"
    yield "no-heir", not moved, told


@part
def of_nobody(r):
    r.owners(CARTS, KEYS[:3])
    outcome = r.ask.run(r.yours, [], limit=2.0)
    yield "nobody", isinstance(outcome.error, ValueError), str(outcome)
