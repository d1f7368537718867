"""How a check runs: the examiner that collects what is expected, and the exercise that answers with a report.

A check is written with :func:`servicelab.checks.scenario.scenario`. The older form, a function, still stands in some
labs::

    @exercise("01", 2, "A client with a true deadline")
    def deadline_client(ask, get_within):
        server = ask.use(serve(dripping, "inventory", trace=ask.trace))
        outcome = ask.run(get_within, server.url, 0.5)
        ask.need("deadline-per-read", "it gives up after the deadline", outcome.seconds < 1.5,
                 f"it waited {outcome.seconds:.1f} s", "requests' timeout counts the silence between two bytes.")

In the lab: ``lab01.deadline_client(get_within)``. In a test: ``lab01.deadline_client.report(get_within).refused``.
"""

import inspect
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import get_args

from servicelab.checks import report as reports
from servicelab.checks.answer import fingerprint
from servicelab.checks.learner_traceback import clip, shown
from servicelab.checks.leftovers import Left, Leftovers, end_handlers
from servicelab.checks.limit import TimeLimit
from servicelab.checks.report import Expectation, Report, finish
from servicelab.checks.runner import Outcome, run
from servicelab.checks.stall import ask_calmly
from servicelab.trace import Trace

#: Seconds that a whole check takes at the most, whatever the answer does: a cell of nbgrader may take 30.
WHOLE = 25.0
#: Of these, seconds that are kept for stopping servers and threads.
CLOSING = 6.0

#: Every exercise that was defined, by ``(lab, number)``.
exercises: dict[tuple[str, int], "Exercise"] = {}

_HINTS = {
    "exception": "Read the last line first: it is where your code stood.",
    "exit": "Return a value or raise an exception instead of calling exit().",
    "time-limit": "Ask of every loop and every wait in it: what ends this?",
    "not-callable": "Hand over the function itself, without calling it: f, not f().",
}


class Stop(Exception):
    """The rest of a check makes no sense after a failed :meth:`Examiner.need`."""


class Examiner:
    """Collects what a check expects of one exercise, and cleans up after it.

    ``trace`` is the record of the learner's run, which the report draws: give it to the servers and sessions of
    the check. ``parts`` says of each part by its title how it ended: True, False, or None when it was not tried.
    ``end`` is when it has to be through (monotonic, seconds).
    """

    def __init__(self, parts=(), end: float = float("inf")):
        self.trace, self.trace_of = Trace(), ""  # and the title of the part that it is the run of
        self.expectations: list[Expectation] = []
        self.printed = ""
        self.parts: dict[str, bool | None] = dict.fromkeys(parts)
        self.notes: list[str] = []
        self.words: dict[str, tuple[str, str]] = {}  # of a check in parts
        self.end = end
        self.was_cut = False  # by its time limit
        self._stack = ExitStack()
        self._leftovers = Leftovers()
        self._named: set[str] = set()  # what was reported as left running

    def expect(self, code, what, passed, happened="", hint="", mark=None) -> bool:
        """Add an expectation; the check goes on either way. Returns whether it passed."""
        before = self._before(code) if what.startswith("…") else ""
        self.expectations.append(Expectation(what, bool(passed), happened, hint, code, mark, before))
        return bool(passed)

    def _before(self, code):
        """The words that those of ``code``, which begin with "…", go on from."""
        before = ""
        for one, (what, _) in self.words.items():
            if one == code:
                break
            before = before if what.startswith("…") else what
        return before

    def need(self, code, what, passed, happened="", hint="", mark=None) -> None:
        """Add an expectation without which the rest makes no sense: when it fails, the check ends here."""
        if not self.expect(code, what, passed, happened, hint, mark):
            raise Stop

    def use(self, context):
        """Enter a context manager (a server, a proxy) and leave it when the part, or the check, ends. A learner's
        handler that still runs then is ended first."""
        return self._stack.enter_context(context)

    @contextmanager
    def part(self, title: str):
        """One part of the check: with a trace of its own, and with what it uses stopped at its end."""
        before, whole, self._stack, is_cut = len(self.expectations), self._stack, ExitStack(), False
        self.parts[title] = False  # until it has come to its end
        with self.new_trace(title):
            try:
                yield
                self.parts[title] = all(one.passed for one in self.expectations[before:])
            except TimeLimit:
                is_cut = True
                raise
            finally:
                mine, self._stack = self._stack, whole
                whole.push(mine)
                if not is_cut:  # else it is closed with the rest, where no limit interrupts it
                    self._close(mine)

    @contextmanager
    def new_trace(self, part: str = ""):
        """A new trace for a part. That of the first part with a fault, or of the last part, stays."""
        is_kept = any(e.mark and not e.passed for e in self.expectations)
        kept = self.trace, self.trace_of
        self.trace, self.trace_of = Trace(), part
        try:
            yield
        finally:
            if is_kept:
                self.trace, self.trace_of = kept

    def run(self, function, *args, limit: float = 5.0, keep: bool = False, **kwargs) -> Outcome:
        """:func:`~servicelab.checks.runner.run`, and what it printed goes into the report."""
        outcome = run(function, *args, limit=limit, keep=keep, **kwargs)
        self.printed += outcome.output
        if outcome.left:
            self._refuse_left(outcome.left)
        return outcome

    def call(self, function, *args, returns=None, limit: float = 5.0, keep: bool = False, mark=None, **kwargs):
        """What the learner's function returns. The check ends with a readable expectation when it does not return
        within ``limit`` seconds, or returns something that is no ``returns`` (a type, or a tuple of types); ``mark``
        is the message that the diagram marks then."""
        name = getattr(function, "__name__", "your object")
        outcome = self.run(function, *args, limit=limit, keep=keep, **kwargs)
        if not outcome.returned:
            what = {"time-limit": f"{name} returns within {limit:g} s", "not-callable": f"{name} can be called"}
            said = what.get(outcome.how, f"{name} returns, and raises nothing")
            self.need(outcome.how, said, False, _asked(outcome, args, kwargs), _HINTS[outcome.how], mark)
        if returns is not None and not isinstance(outcome.value, returns):
            kinds = returns if isinstance(returns, tuple) else get_args(returns) or (returns,)
            wanted = " or ".join(("an " if kind.__name__[0] in "aeiou" else "a ") + kind.__name__ for kind in kinds)
            self.need(
                "wrong-type",
                f"{name} returns {wanted}",
                False,
                _asked(outcome, args, kwargs),
                "Does every path through your function end with a return?"
                if outcome.value is None
                else f"The check can only go on with {wanted}.",
                mark,
            )
        return outcome.value

    def calmly(self, function, *args, spare: float = 0.0, **options):
        """:meth:`call`, and again when the machine stood still meanwhile, as far as there is time; a note says so.
        ``spare`` seconds are kept for what comes after it."""
        asked = ask_calmly(lambda: self.call(function, *args, **options), until=self.end - spare)
        if asked.times > 1:
            name = getattr(function, "__name__", "your function")
            self.notes.append(f"The machine stood still for {asked.stood_still:.1f} s, so {name} was asked again.")
        return asked.answer

    def close(self) -> None:
        """End what the check used, and note what the learner's code left running. Never raises."""
        self._close(self._stack)
        ended = run(self._leftovers.end, limit=CLOSING / 2, keep=True)
        left = ended.value if ended.returned else [Left("thread", "of which nobody knows", False)]
        if left:
            self._refuse_left(left)

    def _close(self, stack):
        end_handlers()
        outcome = run(stack.close, limit=CLOSING / 3, keep=True)
        if not outcome.returned:
            what, hint = "the servers of this exercise stop", "Does one of your handlers never return?"
            self.expect("not-stopped", what, False, str(outcome), hint)

    def _refuse_left(self, left):
        new = [one for one in left if one.name not in self._named]
        self._named.update(one.name for one in new)
        if new and not self.was_cut:
            self.expect(
                "left-running",
                "your code leaves nothing running",
                False,
                "; ".join(str(one) for one in new),
                "Stop each server and let each thread end, for instance with a `with` block or join().",
            )


def _asked(outcome: Outcome, args, kwargs) -> str:
    """What a function did, and with which arguments it was called: who mends it wants to call it so again."""
    told = [_argument(one) for one in args] + [f"{name}={_argument(one)}" for name, one in kwargs.items()]
    if not told or outcome.how == "not-callable":
        return str(outcome)
    return f"called with ({clip(', '.join(told), 160)}), {outcome}"


def _argument(value) -> str:
    is_plain = isinstance(value, str | bytes | int | float | list | tuple | dict | set | frozenset | type(None))
    return shown(value, 80) if is_plain else f"a {type(value).__name__}"


class Exercise:
    """One exercise of a lab and its check. Calling it with the learner's objects gives the report.

    ``wanted`` are the names of these objects, ``origin`` tells a check that is defined again from another one.
    """

    def __init__(self, examine, lab: str, number: int, title: str, points: int, limit: float, wanted, origin: str):
        self.examine, self.lab, self.number, self.title = examine, lab, number, title
        self.points, self.limit, self.wanted, self.origin = points, limit, tuple(wanted), origin
        self._first: dict[str, str] = {}  # code: the fingerprint of the answer that was first refused with it

    def __repr__(self):
        return f"<lab {self.lab}, exercise {self.number}: {self.title}>"

    def __call__(self, *answers, **named) -> Report | None:
        """Check, keep a pass, and return the report. Where a grader runs it: show it, or raise CheckFailed.

        A lone learner's first report with a code has no hint for it; that comes when a changed answer is refused with
        the same code. A grader's, or a test's, has all hints: nobody asks twice there.
        """
        report = self.report(*answers, **named)
        if not reports.STRICT:
            mine = fingerprint(*answers, *named.items())
            held = {code for code in report.refused if self._first.setdefault(code, mine) == mine}
            report = replace(report, withheld=frozenset(held))
        return finish(report)

    def report(self, *answers, **named) -> Report:
        """Check and return the report, with all hints; nothing is kept and nothing raised.

        It takes ``limit`` + CLOSING seconds at the most, whatever the answer does.

        A right answer looks wrong when the machine stands still at the wrong moment: what was not passed on such a
        machine is checked again, as far as there is time.
        """
        end, reports = time.monotonic() + self.limit + CLOSING, []

        def once():
            ask = self._examined(answers, named, end)
            if not reports or not ask.was_cut:  # one that the time did not suffice for says nothing new
                reports.append(self._report(ask))
            return reports[-1]

        asked = ask_calmly(once, lambda report: report.passed, until=end - CLOSING)
        report, stood_still = asked.answer, f"The machine stood still for {asked.stood_still:.1f} s meanwhile"
        note = ""
        if len(reports) > 1:
            note = f"{stood_still}, so your code was checked {len(reports)} times; this is the last."
        elif not report.passed and (asked.times > 1 or not asked.is_calm):
            note = f"{stood_still}: check again when it is quieter."
        return replace(report, notes=(*report.notes, note)) if note else report

    def part_titles(self):
        """The titles of the parts, or none when the check has none."""
        return ()

    def _examined(self, answers, named, end) -> Examiner:
        ask = Examiner(self.part_titles(), end - CLOSING)
        try:
            if not self._lacks(ask, answers, named):
                limit = max(0.1, ask.end - time.monotonic())
                outcome = run(self.examine, ask, *answers, limit=limit, keep=True, **named)
                if not outcome.returned and not isinstance(outcome.error, Stop):
                    ask.was_cut = outcome.how == "time-limit"
                    what = f"the check comes to its end within {limit:.2g} s"
                    ask.expect(outcome.how, what, False, str(outcome), _HINTS[outcome.how])
                ask.printed += outcome.output
        finally:
            ask.close()
        return ask

    def _report(self, ask) -> Report:
        more = {"title": self.title, "printed": ask.printed, "parts": ask.parts, "notes": tuple(ask.notes)}
        more["trace_of"] = ask.trace_of
        return Report(self.lab, self.number, ask.expectations, ask.trace, **more)

    def _lacks(self, ask, answers, named) -> bool:
        """Was the check called without anything that it needs, or with too much? Then it says how to call it."""
        try:
            inspect.signature(self.examine).bind(ask, *answers, **named)
        except TypeError as error:
            names = ", ".join(self.wanted)
            what = f"the check is called with what you wrote: check_…({names})"
            hint = "Hand over what you wrote by its name, without calling it."
            ask.expect("not-handed-over", what, False, f"{error}", hint)
            return True
        return False


def exercise(lab: str, number: int, title: str, *, points: int = 1, limit: float = 60.0):
    """Make a function ``examine(ask, *answers)`` the check of exercise ``number`` of a lab.

    ``limit`` is the time in seconds for the whole check. Raises ValueError when another function
    has the number.
    """

    def define(examine):
        _, *wanted = inspect.signature(examine).parameters
        return register(Exercise(examine, lab, number, title, points, limit, wanted, examine.__qualname__))

    return define


def register(made: Exercise) -> Exercise:
    """Give an exercise its number. Raises ValueError when another one has it."""
    taken = exercises.get((made.lab, made.number))
    if taken is not None and taken.origin != made.origin:
        raise ValueError(
            f"lab {made.lab} has an exercise {made.number} already: {taken.title!r}; choose another number"
        )
    exercises[made.lab, made.number] = made
    return made
