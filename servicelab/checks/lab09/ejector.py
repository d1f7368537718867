"""Exercise 4, build: who fails is out for a while, and never too many. The times are told, so nobody waits."""

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

WORDS = words("""
wrong-type: out(now) is a set of numbers of instances
    What does it return when nobody is out?
too-soon: one failure fewer in a row puts nobody out
    What do you count, and what do you compare it with?
not-out: so many failures in a row put an instance out, be it one, three or five
    What do you count, and what do you compare it with?
row: a success in between begins the count anew
    What does a success change?
others: how one instance answers changes nothing for the others
    Whose answers do you count, and whose times?
not-back: it is back when its time is over: from that very moment on, its answers count
    At which moment does it come back? Do your two methods agree on it?
too-short: it is not back before its time is over
    When did it go out, and for how long?
looks-only: to ask who is out changes nothing, whatever time was asked for, and whatever becomes of the answer
    What does your out() write? Whose set does it give away?
anew: who is back has to fail as often in a row as before, until it is out
    What is left of the count while it is out?
grows: the second time it is out twice as long, the third time three times, and so on without end
    What do you keep for it while it is in?
well-again: as many successes in a row as `failures`, after it is back: the next time is its first again
    What do you know of an instance that has just answered well some times in a row?
not-well-yet: one success fewer, or some with a failure in between: the next time is longer
    When do you begin to count successes?
late: an answer that comes while it is out counts for nothing
    A call was under way when the instance went out. What does its answer say of the time after?
too-many: never more than half of the instances are out
    When all fail, is it the instances?
too-few: as many as half of them may be out, whatever their number is
    What is half of three, of four, of five?
next-failure: who could not go out, for too many were, goes out with its next failure when there is room, as ever
    What do failures change while there is no room, and what does a success? What are the counts when it goes out?
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
        return set(found)  # a copy: theirs may go on changing

    def is_out(self, now, who=0):
        return who in self.out(now)

    def out_for(self, now, who=0):
        """How long it is out from ``now`` on, in seconds, to a half."""
        return next((half / 2 for half in range(200) if not self.is_out(now + half / 2, who)), 100.0)


check_ejector = scenario("09", 4, "An ejector", WORDS, Ejector=Told)
part = check_ejector.part


@part
def failures_in_a_row(e):
    for failures in (3, 5, 1):
        e.begin(failures=failures).tell(2, "x" * (failures - 1), 1.0)
        yield "too-soon", not e.out(1.0), f"after {failures - 1} of {failures}, {e.out(1.0)} is out"
        e.tell(7, "x" if failures > 1 else ".", 1.0)
        yield "others", not e.out(1.0), f"number 7 failed once, and {e.out(1.0)} is out"
        e.tell(2, "x", 1.5)
        yield (
            "not-out",
            e.out(1.5) == {2},
            f"after {failures} of {failures} by number 2, {e.out(1.5) or 'nobody'} is out",
        )
        e.begin(failures=failures).tell(4, ("x" * (failures - 1) + ".") * 3, 1.0)
        yield "row", not e.out(1.0), f"{failures - 1} failures and a success, three times, and {e.out(1.0)} is out"


@part
def for_a_while(e):
    for ejection in (10.0, 2.5):
        e.begin(ejection=ejection).tell(0, "xxx", 100.0)
        is_in = [now for now in (0.0, 0.5 * ejection, 0.99 * ejection) if not e.is_out(100 + now)]
        yield "too-short", not is_in, f"it was to be out for {ejection} s, and is in again {is_in[:1]} s later"
        yield "not-back", not e.is_out(100 + ejection), f"it is still out {ejection} s later"
        e.tell(0, "xxx", 100 + ejection)
        yield "not-back", e.is_out(100 + ejection), f"three failures just {ejection} s later, and it is not out"
    e.begin().tell(0, "xxx", 100.0)
    e.out(500.0)
    if isinstance(mine := e.call(e.ejector.out, 104.0), set):
        mine.clear()
    yield "looks-only", e.is_out(104.0), "first it was out, and then, asked about 500 s and again, it was in"


@part
def growing(e):
    for failures in (3, 5, 1):
        fail, less, well = "x" * failures, "." * (failures - 1), "." * failures
        e.begin(failures=failures).tell(0, fail, 0.0)
        e.tell(0, fail[1:], 20.0)
        yield "anew", not e.is_out(20.0), f"{failures - 1} of {failures} failures, after it was back, and it is out"
        rows = {2: "x", 3: fail, 4: f"{less}x{less}{fail}", 5: less[:1] + fail, 6: fail, 7: fail}
        for times, row in rows.items():
            e.tell(0, row, 100.0 * times)
            found = e.out_for(100.0 * times)
            code = "not-well-yet" if "." in row else "grows"
            yield code, found == 10.0 * times, f"time {times}, after {row}, it is out for {found:g} s, of 10 s at first"
        e.tell(1, well, 800.0)
        e.tell(0, fail, 800.0)
        e.tell(1, fail, 900.0)
        found = e.out_for(800.0), e.out_for(900.0, 1)
        told = f"number 0, for the eighth time: {found[0]:g} s; then number 1, for the first: {found[1]:g} s"
        yield "others", found == (80.0, 10.0), told
        e.tell(0, well + fail, 1000.0)
        found = e.out_for(1000.0)
        yield "well-again", found == 10.0, f"after {well} it fails, and is out for {found:g} s, of 10 s at first"


@part
def answers_that_come_late(e):
    for late, then in (("xxxx", "xx"), ("....", "xx"), ("xx", "xx"), ("..", ".xx")):
        e.begin().tell(0, "xxx", 0.0)
        e.tell(0, late, 5.0)
        first = e.out_for(0.0)
        e.tell(0, then, 12.0)
        early = e.is_out(12.0)
        e.tell(0, "x", 12.0)
        second = e.out_for(12.0)
        told = f"{late} while it is out: it is out for {first:g} s (right: 10), "
        told += "and again after two failures" if early else f"the next time for {second:g} s (right: 20)"
        yield "late", (first, early, second) == (10.0, False, 20.0), told


@part
def never_too_many(e):
    for n, most in ((10, 5), (7, 3), (5, 2), (3, 1), (2, 1), (1, 0)):
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
    later = e.out(11.0)  # number 0 is back, just now
    e.tell(3, "x", 11.0)
    three = e.out(11.0)
    e.tell(2, "x", 11.0)
    found = e.out(11.0)
    told = f"out are {early}; with room {later}; then 3, well meanwhile, fails: {three}; then 2 fails: {found}"
    yield "next-failure", (early, later, three, found) == ({0, 1}, {1}, {1}, {1, 2}), told
    e.begin(2).tell(1, "xxx", 0.0)
    e.tell(0, "xxx", 20.0)
    e.tell(1, "xxxxx", 21.0)  # no room
    e.tell(1, "x", 60.0)
    second = e.out_for(60.0, 1)
    e.tell(1, "xx", 90.0)
    early = e.is_out(90.0, 1)
    e.tell(1, "x", 90.0)
    third = e.out_for(90.0, 1)
    told = f"its second time, late, it is out for {second:g} s (right: 20), "
    told += "and again after two failures" if early else f"the third time for {third:g} s (right: 30)"
    yield "next-failure", (second, early, third) == (20.0, False, 30.0), told
