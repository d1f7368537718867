"""Exercise 4, build: who fails is out for a while, and never too many. The times are told, so nobody waits."""

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

WORDS = words("""
wrong-type: out(now) is a set of numbers of instances
    What does it return when nobody is out?
too-soon, not-out: so many failures in a row, and just so many, put an instance out
    What do you count, and what do you compare it with?
row: a success in between begins the count anew
    What does a success change?
others: the failures of an instance are its own
    Whose failures do you count?
not-back, too-short: it is back when its time is over, and not before
    When did it go out, and at which moment does it come back?
looks-only: to ask who is out changes nothing, whatever time was asked for, and whatever becomes of the answer
    What does your out() write? Whose set does it give away?
anew: who is back has to fail as often in a row as before, until it is out
    What is left of the count while it is out?
grows: the second time it is out twice as long, the third time three times
    What do you keep for it while it is in?
well-again: as many successes in a row, after it is back: the next time is its first again
    What do you know of an instance that has just answered well some times in a row?
not-well-yet: one success fewer, or some with a failure in between: the next time is longer
    When do you begin to count successes?
late: an answer that comes while it is out counts for nothing
    A call was under way when the instance went out. What does its answer say of the time after?
too-many: never more than half of the instances are out
    When all fail, is it the instances?
too-few: as many as half of them may be out, whatever their number is
    What is half of three, of four, of five?
next-failure: who could not go out, for too many were, goes out with its next failure when there is room
    What becomes of its count when there is no room? What if it has answered well meanwhile?
""")


class Told(Stage):
    """The learner's ejector, which is told how calls end: ``x`` is a failure and ``.`` a success."""

    def begin(self, n=10, failures=3, ejection=10.0):
        self.ask.trace.clear()
        self.ejector = self.make(self.yours, n, failures, ejection, methods=("heard", "out"))
        return self

    def tell(self, index, ends, now):
        for step, end in enumerate(ends):  # they are drawn one below the other, and told at the same moment
            who, at = f"instance {index}", now + step / 10
            self.last = self.ask.trace.send(who, "client", "200" if end == "." else "500", kind="reply", at=at)
            self.ask.trace.receive(self.last, "client", at=at + 0.05)
            self.call(self.ejector.heard, index, end == ".", now)

    def out(self, now):
        found = self.call(self.ejector.out, now)
        whole = isinstance(found, set | frozenset) and all(type(one) is int for one in found)
        if not whole:
            self.refuse("wrong-type", f"it gave {shown(found)}")
        return found

    def is_out(self, now, who=0):
        return who in self.out(now)

    def out_for(self, now, who=0):
        """How long it is out from ``now`` on, in seconds, to a half."""
        return next((half / 2 for half in range(200) if not self.is_out(now + half / 2, who)), 100.0)


check_ejector = scenario("09", 4, "An ejector", WORDS, Ejector=Told)
part = check_ejector.part


@part
def failures_in_a_row(e):
    for failures in (3, 5):
        e.begin(failures=failures).tell(2, "x" * (failures - 1), 1.0)
        yield "too-soon", not e.out(1.0), f"after {failures - 1} of {failures}, {e.out(1.0)} is out"
        e.tell(7, "x", 1.0)
        yield "others", not e.out(1.0), f"number 7 failed once, and {e.out(1.0)} is out"
        e.tell(2, "x", 1.5)
        yield "not-out", e.out(1.5) == {2}, f"after {failures} of {failures} by number 2, {e.out(1.5)} is out"
        e.begin(failures=failures).tell(4, ("x" * (failures - 1) + ".") * 3, 1.0)
        yield "row", not e.out(1.0), f"{failures - 1} failures and a success, three times, and {e.out(1.0)} is out"


@part
def for_a_while(e):
    for ejection in (10.0, 2.5):
        e.begin(ejection=ejection).tell(0, "xxx", 100.0)
        is_in = [now for now in (0.0, 0.5 * ejection, 0.99 * ejection) if not e.is_out(100 + now)]
        yield "too-short", not is_in, f"it was out for {ejection} s, and in again {is_in[:1]} s later"
        yield "not-back", not e.is_out(100 + ejection), f"it is still out {ejection} s later"
    e.begin().tell(0, "xxx", 100.0)
    e.out(500.0)
    if isinstance(mine := e.out(104.0), set):
        mine.clear()
    yield "looks-only", e.is_out(104.0), "first it was out, and then, asked about 500 s and again, it was in"


@part
def growing(e):
    e.begin().tell(0, "xxx", 0.0)
    e.tell(0, "xx", 20.0)
    yield "anew", not e.is_out(20.0), "two failures of three, after it was back, and it is out"
    e.tell(0, "x", 21.0)
    second = e.out_for(21.0)
    e.tell(0, "xxx", 100.0)
    third = e.out_for(100.0)
    told = f"first 10 s, then {second:g} s and {third:g} s"
    yield "grows", (second, third) == (20.0, 30.0), told
    e.tell(0, "..x..xxx", 200.0)
    fourth = e.out_for(200.0)
    yield "not-well-yet", fourth == 40.0, f"two successes, a failure and two successes, then out for {fourth:g} s"
    e.tell(0, "...xxx", 300.0)
    yield "well-again", e.out_for(300.0) == 10.0, f"three successes, and then it is out for {e.out_for(300.0):g} s"


@part
def answers_that_come_late(e):
    for ends in ("xxxx", "....", "xx"):
        e.begin().tell(0, "xxx", 0.0)
        e.tell(0, ends, 5.0)
        first = e.is_out(5.0), e.out_for(0.0)
        e.tell(0, "xx", 12.0)
        early = e.is_out(12.0)
        e.tell(0, "x", 12.0)
        second = e.out_for(12.0)
        told = f"{len(ends)} answers while it was out: {first[1]:g} s instead of 10, then {second:g} instead of 20"
        yield "late", first == (True, 10.0) and not early and second == 20.0, told


@part
def never_too_many(e):
    for n, most in ((10, 5), (5, 2), (3, 1), (2, 1), (1, 0)):
        e.begin(n)
        for turn in range(12):
            e.tell(turn % n, "xxx", 1.0 + turn / 10)
        found = e.out(2.5)
        yield "too-many", len(found) <= most, f"all of {n} fail, and {len(found)} are out"
        yield "too-few", len(found) == most, f"all of {n} fail, and {len(found)} are out"


@part
def no_room(e):
    e.begin(4)
    for index in range(4):
        e.tell(index, "xxx", 1.0 + index)
    early = e.out(4.0)
    e.tell(3, ".", 5.0)
    later = e.out(11.5)  # number 0 is back
    e.tell(3, "x", 11.5)
    three = e.out(11.5)
    e.tell(2, "x", 11.6)
    found = e.out(11.6)
    told = f"out are {early}; with room {later}; then 3, well meanwhile, fails: {three}; then 2 fails: {found}"
    yield "next-failure", (early, later, three, found) == ({0, 1}, {1}, {1}, {1, 2}), told
