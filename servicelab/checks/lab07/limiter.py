"""Exercise 3, build: a limiter for several gateways. The times are told, and all numbers are exact in binary."""

from functools import partial
from itertools import product
from numbers import Number
from random import Random

from servicelab.checks.scenario import Stage, scenario, words
from servicelab.policies import TokenBucket

WORDS = words("""
burst: burst calls at one moment are let through, and a part of one is no call (rules 1 and 2)
    How full is the bucket of somebody whom nobody has seen yet? What if burst is 2.5?
too-many: in no window are more than rate × window + burst calls let through (rule 1)
    When did you last look how much time has passed, and what did it add? What happens when a new second begins?
saved-up: however long the pause, no more than burst is saved up (rule 1)
    What is the most that your bucket holds?
refused: nobody is refused whom rule 1 would let through, so never at one call every 1 / rate seconds (rule 2)
    Which part of a call is lost when you round? What holds at exactly 1 / rate, and when it fits just exactly?
costs: a call that is refused costs nothing (rule 2)
    What do you write down when you say no?
others: each customer has a limit of his own (rule 3)
    Whose calls did you count?
gateways: several gateways with one store are as one, and with an empty store everybody begins anew (rule 4)
    What does one gateway know of what another one let through? What do you keep outside of the store?
race: another gateway writes between your read and your swap: nobody gets more than the limit (rule 5)
    What does swap answer, and who listens?
gives-up: … and nobody is refused for it (rule 5)
    You have lost the race. What is true now, and how often may that happen to one call?
grows: of each customer the store has one entry: a number, or a tuple of at most four (rule 6)
    What do you need to know of a thousand calls to decide about the next one?
clock: time is what you are told (rule 7)
    How late is it for whoever calls you?
""")


class Store:
    """What all gateways share; think of Redis.

    ``read(key)`` is the value of a key, or None. ``swap(key, old, new)`` writes ``new`` if the value is still ``old``
    (None: if there is none), in one step, and says whether it did."""

    def __init__(self):
        self.values, self.between, self.strange = {}, None, ""

    def read(self, key):
        found, between = self.values.get(key), self.between
        if between:
            self.between = None
            self.between = between()  # what comes after the next read
        return found

    def swap(self, key, old, new):
        numbers = new if isinstance(new, tuple) else (new,)
        if len(numbers) > 4 or not all(isinstance(one, Number) for one in numbers):
            self.strange = f"swap was to write {str(new)[:80]}"
        if self.values.get(key) != old:
            return False
        self.values[key] = new
        return True


class Doors(Stage):
    """Gateways with one store; ``is_right`` is what one bucket a customer says, which is exact in binary."""

    def __init__(self, ask, Limiter):
        super().__init__(ask, Limiter)
        self.begin()

    def begin(self, rate=2.0, burst=5, gateways=1):
        self.ask.trace.clear()
        self.rate, self.burst, self.store, self.right, self.log = rate, burst, Store(), {}, []
        self.gateways = [self.new() for _ in range(gateways)]
        return self

    def new(self):
        return self.make(self.yours, self.rate, self.burst, self.store, methods=("admit",))

    def admit(self, now, customer="alice", gateway=0) -> bool:
        self.last = self.ask.trace.send("client", "gateway", f"{customer}", at=now)
        self.ask.trace.receive(self.last, "gateway", at=now + 0.01)
        self.is_right = self.right.setdefault(customer, TokenBucket(self.rate, self.burst)).admit(now)
        answer = self.call(self.gateways[gateway].admit, customer, now, returns=bool)
        self.log = [*self.log[-5:], f"{now:g} s {'let' if answer else 'refused'}"]
        self.told = f"rate {self.rate:g}, burst {self.burst:g}: … {', '.join(self.log)}"
        if self.store.strange or len(self.store.values) > len(self.right):
            self.refuse("grows", self.store.strange or f"the store has the entries {list(self.store.values)[:5]}")
        return answer

    def let(self, times, now, customer="alice"):
        """How many of so many calls at one moment are let through."""
        return sum(self.admit(now, customer) for _ in range(times))


check_limiter = scenario("07", 3, "A limiter for several gateways", WORDS, Limiter=Doors)
part = check_limiter.part


@part
def all_at_once(d):
    for rate, burst, start in ((2.0, 5, 0.0), (4.0, 1, 100.0), (0.5, 2.5, -4.0)):
        let = d.begin(rate, burst).let(8, start)
        yield "burst", let == int(burst), f"{let} of 8 were let through at one moment; {d.told}"
    d.begin(8.0, 8)
    let = [d.let(12, now) for now in (0.96875, 1.03125)]
    yield "too-many", sum(let) <= 8, f"{let} in 63 ms; {d.told}"


@part
def after_a_pause(d):
    for rate, burst in ((2.0, 5), (4.0, 1)):
        d.begin(rate, burst).admit(0.0)
        let = d.let(20, 4000.0)
        yield "saved-up" if let > burst else "clock", let == burst, f"after 4000 s {let} were let through; {d.told}"


@part
def at_the_rate(d):
    for rate, burst in ((2.0, 5), (0.5, 1), (8.0, 2.5)):
        d.begin(rate, burst).let(int(burst), -10.0)
        for turn in range(1, 100):
            yield "refused", d.admit(-10.0 + turn / rate), f"one call every {1 / rate:g} s; {d.told}"
    for rate in (2.0, 0.5):
        d.begin(rate, 3).let(3, 0.0)
        early = sum(d.admit(0.75 * turn / 16 / rate) for turn in range(16))
        yield "costs", d.admit(1 / rate) or early, f"after 16 refusals; {d.told}"


@part
def days_of_calls(d):
    for seed, (rate, burst) in enumerate(((2.0, 5), (4.0, 1), (0.5, 3), (8.0, 2.5))):
        dice, now = Random(seed), 0.0
        d.begin(rate, burst)
        for _ in range(300):
            now += dice.choice([0, 0, 1 / 8, 1 / 2, 1, 1, 6]) / rate
            let = d.admit(now)
            yield "too-many" if let else "refused", let == d.is_right, d.told


@part
def somebody_else(d):
    d.begin().let(9, 1.0)
    let = [d.let(9, 1.0 + turn / 8, who) for turn, who in enumerate(["bob", "", "Alice"])]
    yield "others", let == [5, 5, 5], f"alice had her five; of three others {let} were let through; {d.told}"
    let = d.let(3, 1.25)
    yield "others", not let, f"others had theirs; {let} of hers were let through; {d.told}"


@part
def three_gateways(d):
    d.begin(gateways=3)
    let = right = 0
    for turn in range(60):
        let += d.admit(turn / 16, gateway=turn % 3)
        right += d.is_right
        d.gateways[2] = d.new() if turn % 20 == 19 else d.gateways[2]  # begun anew
    yield "gateways", let == right, f"three let {let} of 60 through, and one would have {right}; {d.told}"
    d.store.values.clear()
    let = d.let(9, 60 / 16)
    yield "gateways", let == 5, f"the store was empty, and {let} of 9 were let through; {d.told}"


@part
def another_one_comes_between(d):
    for burst, others, is_known in product((1, 3, 8), (1, 3), (False, True)):
        let, now = [], 40.0
        d.begin(burst=burst, gateways=2).let(is_known, 0.0)
        d.store.between = partial(between, d, others, now, let)
        let.append(d.admit(now))
        d.store.between = None
        told = f"of {len(let)} calls {sum(let)} were let through, {others} of them by another gateway meanwhile"
        yield "race", sum(let) <= burst, f"{told}; {d.told}"
        yield "gives-up", sum(let) == min(burst, len(let)), f"{told}; {d.told}"
        yield "race", sum(let) + d.let(12, now) <= burst, f"and then more than the burst in all; {d.told}"


def between(d, others, now, let):
    """Another gateway, as often as it is its turn."""
    let.append(d.admit(now, gateway=1))
    return partial(between, d, others, now, let) if len(let) < others else None
