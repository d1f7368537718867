"""Exercise 3, build: one call for many who want the same. Threads ask at the same time; events say when calls end."""

import gc
import threading
import time
import weakref
from itertools import count

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Aside, Stage, scenario, words

ENOUGH = 4.0  # seconds that anything may take here; what is right takes none

WORDS = words("""
result: get returns what call returns, be it None or False (rule 1)
    What did the call return, and what did you make of it?
shared: 50 at once for the same page are one call, and all get its result (rule 1)
    When do you look whether a call is under way, and when do you note yours? What could come in between?
people: calls for one page by different customers are different calls (rule 2)
    When are two calls the same, and what tells your table so?
waits-for-others: calls that are not the same do not wait for each other (rule 3)
    What do you hold while the call is under way, and who else needs it?
result-kept: when it has ended, the next call is made anew (rule 4)
    This is no cache: what is over is over. What is left in your table?
error-lost: a call that raises raises the same in all who waited for it, and is made once (rule 5)
    What do the waiting ones find when there is no result?
error-kept: and who comes after it calls anew (rule 5)
    How does your table get rid of a call that has failed?
memory: what has ended is not kept: not its result, not its page (rule 6)
    A gateway sees a million pages a day. What stays of each?
patience: who joins waits for `patience` seconds at most, and then raises TimeoutError (rule 7)
    Who ends the waiting when the call does not?
gave-up: the call goes on when somebody gives up: others join it, and get its result (rule 7)
    Whose call is it? What did the one who gave up take away?
its-own: patience is for those who join; who made the call waits as long as it takes (rule 7)
    Which of the two has somebody to wait for?
""")


class Page:
    """A result."""


class Path(str):
    """The name of a page, of which one can see whether somebody keeps it."""


class Slow:
    """A call that ends when it is let: ``made`` counts how often it was made, ``under_way`` how often it has begun."""

    def __init__(self, end=lambda: Page()):
        self.end, self.go, self.begun, self.numbers = end, threading.Event(), threading.Event(), count(1)
        self.made = 0

    def __call__(self):
        self.made = next(self.numbers)
        self.begun.set()
        if not self.go.wait(ENOUGH):
            raise RuntimeError("nobody let this call end")
        return self.end()


class Crowd(Stage):
    """Callers at the learner's coalescer, each in a thread."""

    def __init__(self, ask, Coalescer):
        super().__init__(ask, Coalescer)
        self.calls = []
        ask.use(self)
        self.begin()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for call, asides in self.calls:
            call.go.set()
            for one in asides:
                one.wait(ENOUGH)

    def begin(self, patience=30.0):
        self.coalescer = self.make(self.yours, patience, methods=("get",))
        return self

    def slow(self, end=lambda: Page(), is_let=False):
        call = Slow(end)
        self.calls.append((call, []))
        if is_let:
            call.go.set()
        return call

    def ask_for(self, path, who, call, times=1) -> list[Aside]:
        """So many ask at once, and wait; returns when all of them are at it."""
        came = []

        def get():
            came.append(1)
            return self.coalescer.get(path, who, call)

        self.last = self.ask.trace.send("client", "gateway", f"{times} × GET {path}")
        asides = [Aside(get).start() for _ in range(times)]
        next(of for made, of in self.calls if made is call).extend(asides)
        end = time.monotonic() + ENOUGH
        while len(came) < times and time.monotonic() < end:
            time.sleep(0.005)
        return asides

    def hold(self, call, seconds=0.2):
        """Until the call has begun, and some time more, in which those who came reach the learner's table."""
        call.begun.wait(ENOUGH)
        time.sleep(seconds)

    def let(self, call, asides):
        call.go.set()
        for one in asides:
            one.wait(ENOUGH)

    def get(self, path="/mugs", who=None, call=lambda: "fresh"):
        """Somebody asks, and nobody else."""
        self.last = self.ask.trace.send("client", "gateway", f"GET {path}")
        return self.call(self.coalescer.get, path, who, call, limit=ENOUGH)


check_coalescer = scenario("07", 3, "One call for many", WORDS, go_on=True, Coalescer=Crowd)
part = check_coalescer.part


@part
def one_alone(c):
    for value in ("mugs", None, False, Page(), ValueError("as a value")):
        found = c.begin().get(call=lambda: value)
        yield "result", found is value, f"the call returned {shown(value)}, and get {shown(found)}"


@part
def fifty_at_once(c):
    for value in (Page(), None):
        call = c.slow(lambda: value)
        asides = c.ask_for("/mugs", None, call, 50)
        c.hold(call)
        c.let(call, asides)
        errors = sorted({type(one.error).__name__ for one in asides if one.error})
        right = sum(one.error is None and one.is_back and one.answer is value for one in asides)
        told = f"{call.made} calls were made, which returned {shown(value)}; {right} of 50 got that {errors or ''}"
        yield "shared", call.made == 1 and right == 50, told
        found = c.get()
        yield "result-kept", found == "fresh", f"the next one made no call, and got {shown(found)}"


@part
def who_is_who(c):
    pairs = [("/basket", "alice"), ("/basket", None), ("/basket a", "lice"), ("/basket", "bob"), ("/basket", "None")]
    pairs += [
        ("/basket", ""),
        ("/basketalice", None),
        ("/basket", "Alice"),
        ("/basket?a", "alice"),
        ("/basket alice", ""),
    ]
    for first in pairs[:3]:
        call = c.begin().slow(lambda: "the first one's")
        one = c.ask_for(*first, call)
        c.hold(call, 0.05)
        rest = [(pair, c.ask_for(*pair, c.slow(lambda: "mine", is_let=True))[0]) for pair in pairs if pair != first]
        c.let(call, one)
        for pair, other in rest:
            other.wait(ENOUGH)
            told = f"a call for {first} was under way; {pair} got {shown(other.error or other.answer)}"
            yield "people", other.answer == "mine", told


@part
def others_meanwhile(c):
    for other in (("/cups", None), ("/mugs", "alice")):
        call, quick = c.slow(), c.slow(is_let=True)
        one = c.ask_for("/mugs", None, call)
        c.hold(call, 0)
        (second,) = c.ask_for(*other, quick)
        is_back = second.wait(1.5)
        c.let(call, one)
        told = f"('/mugs', None) was under way, and {other} waited until it had ended"
        yield "waits-for-others", is_back, told


class Broken(Exception):
    """What a call raises here."""


def breaks():
    raise Broken("no database")


@part
def a_call_that_fails(c):
    call = c.slow(breaks)
    asides = c.ask_for("/mugs", None, call, 10)
    c.hold(call)
    c.let(call, asides)
    raised = sum(isinstance(one.error, Broken) for one in asides)
    told = f"{call.made} calls were made and raised Broken; {raised} of 10 got it"
    strange = [one for one in asides if not isinstance(one.error, Broken)]
    told += f", one got {shown(strange[0].error or strange[0].answer)}" if strange else ""
    yield "error-lost", raised == 10 and call.made == 1, told
    after = c.slow(lambda: "well again", is_let=True)
    (one,) = c.ask_for("/mugs", None, after)
    one.wait(ENOUGH)
    told = f"{after.made} calls were made, and it got {shown(one.error or one.answer)}"
    yield "error-kept", one.answer == "well again", told


@part
def what_stays(c):
    seen = []

    def visit(number):
        path, page = Path(f"/mugs/{number}"), Page()
        seen.extend(map(weakref.ref, (path, page)))
        call = c.slow(lambda: page)
        asides = c.ask_for(path, None, call, 2)
        c.hold(call, 0.05)
        c.let(call, asides)
        c.calls.clear()

    for number in range(3):
        visit(number)
    gc.collect()
    left = sorted({type(one()).__name__ for one in seen if one() is not None})
    yield "memory", not left, f"three pages, each asked for by two; afterwards somebody still has each {left}"


@part
def who_gives_up(c):
    c.begin(0.6)
    call = c.slow(lambda: "at last")
    first = c.ask_for("/mugs", None, call)
    c.hold(call, 0)
    (second,) = c.ask_for("/mugs", None, call)
    second.wait(ENOUGH)
    told = f"patience 0.6 s: {shown(second.error or second.answer) if second.is_back else f'it waited {ENOUGH} s'}"
    yield "patience", isinstance(second.error, TimeoutError), told
    third = c.ask_for("/mugs", None, call)
    c.hold(call, 0.1)
    c.let(call, first + third)
    told = f"one gave up, one came later; {call.made} calls were made, and it got {shown(third[0].error or third[0].answer)}"
    yield "gave-up", (third[0].answer, call.made) == ("at last", 1), told
    yield "its-own", first[0].answer == "at last", f"it got {shown(first[0].error or first[0].answer)}"
    c.begin(30.0)
    call = c.slow()
    asides = c.ask_for("/mugs", None, call, 2)
    c.hold(call, 1.0)
    early = [one for one in asides if one.is_back]
    c.let(call, asides)
    yield "patience", not early, f"patience 30 s: {[shown(one.error or one.answer) for one in early]} after one"
