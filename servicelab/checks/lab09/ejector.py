"""Exercise 4, build: who fails is out for a while, and never too many. The times are told, so nobody waits."""

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

WORDS = words("""
wrong-type: out(now) is a set of numbers of instances
    What does it return when nobody is out?
failures: so many failures in a row put an instance out, be it one, three or five, and not one fewer
    What do you count, and what do you compare it with?
row: a success in between begins the count anew
    What does a success change?
others: how one instance answers changes nothing for the others
    Whose answers do you count, and whose times?
time-over: it is out until its time is over; from that very moment on it is back, and its answers count
    When did it go out, and for how long? At which moment does it come back? Do your two methods agree on it?
looks-only: to ask who is out changes nothing, whatever time was asked for, and whatever becomes of the answer
    What does your out() write? Whose set does it give away?
anew: who is back has to fail as often in a row as before, until it is out
    What is left of the count while it is out?
grows: the second time it is out twice as long, the third time three times, and so on without end
    What do you keep for it while it is in?
well-again: as many successes in a row as `failures`, once it is back: the next time is its first again
    What do you know of one that has just answered well some times in a row? What begins this row, and what ends it?
late: an answer that comes while it is out counts for nothing
    A call was under way when the instance went out. What does its answer say of the time after?
half: never more than half of the instances are out, and as many as that may be, whatever their number is
    When all fail, is it the instances? What is half of five, of three, of one?
next-failure: who could not go out, for too many were, goes out with its next failure when there is room, as ever
    What do failures change while there is no room, and what does a success? What are the counts when it goes out?
""")


class Told(Stage):
    def play(self, *steps, n=10, failures=3, ejection=10.0):
        """A story of a new ejector. A step is ``(code, now, who, ends, due)``: how calls to an instance end, ``x`` is a
        failure and ``.`` a success, and the digits of those who are to be out then."""
        settings = f"n={n}, failures={failures}, ejection={ejection:g}"
        self.ask.trace.clear()
        ejector, story = self.make(self.yours, n, failures, ejection, methods=("heard", "out")), []
        for code, now, who, ends, due in steps:
            for number, end in enumerate(ends):  # they are drawn one below the other, and told at the same moment
                self.draw(f"instance {who}", "client", "200" if end == "." else "500", now + number / 10)
                self.call(ejector.heard, who, end == ".", now)
            story += [f"{ends} from number {who} at {now:g} s"] if ends else []
            given, right = self.call(ejector.out, now), set(map(int, due))
            if not isinstance(given, set | frozenset) or any(type(one) is not int for one in given):
                self.refuse("wrong-type", f"it gave {shown(given)}")
            found, told = set(given), f"out at {now:g} s: {set(given) or 'nobody'}"
            last_ones = "… " * (len(story) > 4) + "; ".join(story[-4:])
            right_ones = f"right: {right or 'nobody'}; x is a failure, . a success"
            yield code, found == right, f"{settings}: {last_ones}; {told} ({right_ones})"
            if isinstance(given, set):
                given.clear()
                given.add(-1)
            again, _, last = (self.call(ejector.out, at) for at in (now, now + 400, now))
            told += f"; when this set had become {{-1}}: {shown(again)}"
            told += f", and after a look at {now + 400:g} s: {shown(last)}"
            yield "looks-only", found == again == last, told


def spell(code, now, who, ends, seconds):
    """Steps: with these ends it goes out, and is out for so many seconds."""
    looks = (now, ends, f"{who}"), (now + seconds - 0.5, "", f"{who}"), (now + seconds, "", "")
    return [(code, at, who, told, due) for at, told, due in looks]


check_ejector = scenario("09", 4, "An ejector", WORDS, Ejector=Told)
part = check_ejector.part


@part
def failures_in_a_row(e):
    for failures in (3, 5, 1):
        less = "x" * (failures - 1)
        steps = ("failures", 1, 2, less, ""), ("others", 1, 7, "x" if less else ".", ""), ("failures", 1.5, 2, "x", "2")
        yield from e.play(*steps, failures=failures)
        yield from e.play(("row", 1, 4, f"{less}." * 3, ""), failures=failures)


@part
def for_a_while(e):
    for ejection in (10.0, 2.5):
        looks = [("time-over", 100 + share * ejection, 0, "", "0" if share < 1 else "") for share in (0.5, 0.99, 1)]
        steps = ("failures", 100, 0, "xxx", "0"), *looks, ("time-over", 100 + ejection, 0, "xxx", "0")
        yield from e.play(*steps, ejection=ejection)


@part
def growing(e):
    for failures in (3, 5, 1):
        fail, less, well = "x" * failures, "." * (failures - 1), "." * failures
        steps = [("failures", 0, 0, fail, "0"), ("anew", 20, 0, fail[1:], "")]
        for times, row in enumerate(("x", fail, f"{less}{fail[1:2]}{less}{fail}", less[:1] + fail, fail, fail), 2):
            steps += spell("well-again" if "." in row else "grows", 100 * times, 0, row, 10 * times)
        steps += ("others", 800, 1, well, ""), *spell("others", 800, 0, fail, 80), *spell("others", 900, 1, fail, 10)
        yield from e.play(*steps, *spell("well-again", 1000, 0, well + fail, 10), failures=failures)


@part
def answers_that_come_late(e):
    for late, then in (("xxxx", "xx"), ("....", "xx"), ("xx", "xx"), ("..", ".xx")):
        steps = ("failures", 0, 0, "xxx", "0"), *spell("late", 5, 0, late, 5), ("late", 12, 0, then, "")
        yield from e.play(*steps, *spell("late", 12, 0, "x", 20))


@part
def never_too_many(e):
    for n in (10, 7, 5, 3, 2, 1):
        steps = [("half", turn, turn % n, "xxx", "01234"[: min(turn + 1, n // 2)]) for turn in range(10)]
        yield from e.play(*steps, n=n)


@part
def no_room(e):
    code, full = "next-failure", [("half", 1 + who, who, "xxx", "01"[: who + 1]) for who in range(4)]
    late = (code, 5, 3, ".", "01"), (code, 11, 3, "x", "1"), (code, 11, 2, "x", "12")  # number 0 is back at 11 s
    yield from e.play(*full, *late, n=4)
    full = (code, 0, 1, "xxx", "1"), (code, 20, 0, "xxx", "0"), (code, 21, 1, "xxxxx", "0")
    late = *spell(code, 60, 1, "x", 20), (code, 90, 1, "xx", ""), *spell(code, 90, 1, "x", 30)
    yield from e.play(*full, *late, n=2)
