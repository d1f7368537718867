"""Exercise 4, build: a saga. Each step is refused, or its reply is lost, and the process may die after any."""

from itertools import product

from servicelab.checks.crashing import World
from servicelab.checks.scenario import scenario, words

NAMES, ORDERS = ("payment", "stock", "parcel", "mail", "points"), ("o-1", "o-2")
FAILING = [*product([4], ["refused", "lost reply", "lost request"], range(4))]  # steps, how one fails, which

WORDS = words("""
said: run returns True when all is well, and False when a step raised
    What does it return on each of its ways?
forward, goes-on: the steps are done in order, each once; when one raises, no other is begun, and else none is undone
    What do you call do with, and how often? What ends your loop?
not-undone, timed-out: a step raised: those before it are undone, and itself, unless it raised Refused
    What do you remember of the way that you came? When a reply was lost, was the work done?
not-begun, undoes-refused: neither a step that was refused is undone, nor one that was not begun
    Which steps do you know of when you turn back? What does each kind of exception tell you?
reverse: steps are undone in reverse order, the next one only when the one before has returned
    In what order did they happen? Which one rests on which?
twice, recovers-twice: an undo that has returned is not called again, nor by a later recover
    Where do you note that it has returned?
given-up: an undo that raises is called again, until it returns
    How often do you try? What do you do about an exception of another kind?
half-done, undoes-finished: the process dies after any step, and the next one recovers: orders are done, or not at all
    What was on the disk when it died, and what was done outside? How does the next process see that it was over?
""")


class Refused(Exception):
    """The step was not done, and will not be."""


class Step:
    """One service: what was done, and not undone, is in ``done``. ``fails`` says how do fails, ``undo_fails`` is the
    number of calls of undo that fail before one returns."""

    def __init__(self, world, number):
        self.world, self.number, self.done, self.fails, self.undo_fails = world, number, set(), "", 0

    def do(self, order):
        self._begin("do", order)
        if self.fails == "refused":
            raise Refused(f"{NAMES[self.number]} says no")
        if self.fails != "lost request":
            self.done.add(order)
        self.world.process.step(f"{NAMES[self.number]}.do")
        if self.fails:
            raise (TimeoutError, ConnectionError, OSError, RuntimeError)[self.number]("no reply")

    def undo(self, order):
        self._begin("undo", order)
        if self.undo_fails:
            self.undo_fails -= 1
            if self.undo_fails % 2:
                self.done.discard(order)
            raise (TimeoutError, RuntimeError, Refused)[self.undo_fails // 2 % 3]("no reply")
        self.done.discard(order)
        self.world.events.append(("undone", self.number, order))
        self.world.process.step(f"{NAMES[self.number]}.undo")

    def _begin(self, what, order):
        self.world.process.alive()
        if order not in ORDERS:
            raise ValueError(f"{what}({order!r}): there is no such order; it is what run was called with")
        self.world.events.append((what, self.number, order))
        self.world.say("saga", NAMES[self.number], f"{what} {order}")


class Orchestra(World):
    methods, lane = ("run", "recover"), "saga"

    def fresh(self, count=4, fails="", failed=2):
        super().fresh()
        self.events, self.steps = [], [Step(self, number) for number in range(count)]
        if count > failed:
            self.steps[failed].fails = fails

    def given(self):
        return self.connect(), list(self.steps)

    def run(self, order="o-1"):
        return self.live(self.mine.run, order, returns=(bool,))

    def of(self, what, order="o-1", since=0):
        """The numbers of the steps of which this is noted, in order, from event ``since`` on."""
        return [number for kind, number, one in self.events[since:] if (kind, one) == (what, order)]

    def done(self, order="o-1"):
        return [step.number for step in self.steps if order in step.done]

    def turned(self, told, since=0):
        """Were they undone in reverse order, each until it returned, and then no more?"""
        calls, back = self.of("undo", since=since), self.of("undone", since=since)
        yield "reverse", calls == sorted(calls, reverse=True), told
        yield "twice", len(set(back)) == len(back), told

    def recovered(self, told):
        """What must be true when the next process has recovered. It cannot know whether one more step was begun."""
        self.start()
        since = len(self.events)
        self.live(self.mine.recover)
        undone = self.of("undo", since=since)
        told += f"then recover called undo for {undone}, and done are {self.done()}"
        yield "half-done", len(self.done()) in (0, 4), told
        yield "not-begun", max(undone, default=0) <= max(self.of("do"), default=-1) + 1, told
        yield "undoes-finished", len(self.done("o-2")) == 4, f"{told}, and of a finished order {self.done('o-2')}"
        yield from self.turned(told, since)
        yield "recovers-twice", self.died or not undone, told
        for _ in range(2):
            since = len(self.events)
            self.live(self.mine.recover)
            yield "recovers-twice", len(self.events) == since, f"{told}; then again: {self.events[since:]}"
            self.start()


check_saga = scenario("11", 4, "A saga", WORDS, Saga=Orchestra)
part = check_saga.part


@part
def each_step_fails_or_none(o):
    for count, fails, failed in ((1, "", 1), (3, "", 3), (5, "", 5), *FAILING):
        o.fresh(count, fails, failed)
        o.start()
        said, done, undone = o.run(), o.of("do"), o.of("undo")
        told = f"{count} steps, {fails} at {failed}: called were do {done}, undo {undone}; it returned {said}"
        fine = done == [*range(min(failed + 1, count))] and (fails or not undone)
        yield "goes-on" if fails else "forward", fine, told
        yield "said", said is (not fails), told
        if fails:
            yield "not-begun", max(undone, default=0) <= failed, told
            code = "undoes-refused" if fails == "refused" else "timed-out"
            yield code, (failed in undone) == (fails != "refused"), told
            yield "not-undone", set(range(failed)) <= set(undone), told
            yield from o.turned(told)
    for failing in range(3):
        o.fresh(4, "refused", 3)
        o.start()
        o.steps[failing].undo_fails = 12
        outcome = o.ask.run(o.mine.run, "o-1", limit=2.0)
        told = f"undo of step {failing} raised twelve times; undo was called for {o.of('undo')}: {outcome}"
        yield "given-up", outcome.value is False and set(o.of("undone")) == {0, 1, 2}, told
        yield from o.turned(told)


@part
def dies_after_each_step(o):
    for fails, undo_fails, first in (("", 0, 0), ("refused", 0, 0), ("lost reply", 3, 0), ("", 0, 6)):
        for at in o.each_death():
            o.start()
            o.run("o-2")
            o.process.arm(first or at)
            o.steps[2].fails, o.steps[1].undo_fails = fails, undo_fails
            said = o.run()
            if first:  # it dies there, and the next one dies while it recovers
                o.died = ""
                o.start(at)
                o.live(o.mine.recover)
            yield from o.recovered(o.died)
            yield "undoes-finished", said is not True or len(o.done()) == 4, f"run had returned True: {o.done()}"
