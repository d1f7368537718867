"""How a check is written: a function that puts the learner's object to work and says what it expects.

    @exercise("01", 2, "A client with a true deadline")
    def deadline_client(ask, get_within):
        server = ask.use(serve(dripping, "inventory", trace=ask.trace))
        outcome = ask.run(get_within, server.url, 0.5)
        ask.need("deadline-per-read", "it gives up after the deadline", outcome.seconds < 1.5,
                 f"it waited {outcome.seconds:.1f} s", "requests' timeout counts the silence between two bytes.")

In the lab: ``lab01.deadline_client(get_within)``. In a test: ``lab01.deadline_client.report(get_within).refused``.
"""

import inspect
from contextlib import ExitStack

from servicelab.checks import stall
from servicelab.checks.leftovers import Leftovers, end_handlers
from servicelab.checks.report import Expectation, Report, finish
from servicelab.checks.runner import Outcome, run
from servicelab.trace import Trace

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
    the check.
    """

    def __init__(self):
        self.trace = Trace()
        self.expectations: list[Expectation] = []
        self.printed = ""
        self._stack = ExitStack()
        self._leftovers = Leftovers()
        self._named: set[str] = set()  # what was reported as left running

    def expect(self, code, what, passed, happened="", hint="", mark=None) -> bool:
        """Add an expectation; the check goes on either way. Returns whether it passed."""
        self.expectations.append(Expectation(what, bool(passed), happened, hint, code, mark))
        return bool(passed)

    def need(self, code, what, passed, happened="", hint="", mark=None) -> None:
        """Add an expectation without which the rest makes no sense: when it fails, the check ends here."""
        if not self.expect(code, what, passed, happened, hint, mark):
            raise Stop

    def use(self, context):
        """Enter a context manager (a server, a proxy) and leave it when the check ends. A learner's handler that
        still runs then is ended first."""
        return self._stack.enter_context(context)

    def run(self, function, *args, limit: float = 5.0, keep: bool = False, **kwargs) -> Outcome:
        """:func:`~servicelab.checks.runner.run`, and what it printed goes into the report."""
        outcome = run(function, *args, limit=limit, keep=keep, **kwargs)
        self.printed += outcome.output
        if outcome.left:
            self._refuse_left(outcome.left)
        return outcome

    def call(self, function, *args, returns=None, limit: float = 5.0, keep: bool = False, **kwargs):
        """What the learner's function returns. The check ends with a readable expectation when it does not return
        within ``limit`` seconds, or returns something that is no ``returns`` (a type, or a tuple of types)."""
        name = getattr(function, "__name__", "your object")
        outcome = self.run(function, *args, limit=limit, keep=keep, **kwargs)
        if not outcome.returned:
            self.need(outcome.how, f"{name} returns within {limit:g} s", False, str(outcome), _HINTS[outcome.how])
        if returns is not None and not isinstance(outcome.value, returns):
            kinds = returns if isinstance(returns, tuple) else (returns,)
            wanted = " or ".join(kind.__name__ for kind in kinds)
            self.need(
                "wrong-type",
                f"{name} returns {wanted}",
                False,
                str(outcome),
                "Does every path through your function end with a return?"
                if outcome.value is None
                else f"The check can only go on with {wanted}.",
            )
        return outcome.value

    def close(self) -> None:
        """End what the check used, and note what the learner's code left running. Never raises."""
        end_handlers()
        outcome = run(self._stack.close, limit=10.0, keep=True)
        if not outcome.returned:
            self.expect(
                "not-stopped",
                "the servers of this exercise stop",
                False,
                str(outcome),
                "Does one of your handlers never return?",
            )
        if left := self._leftovers.end():
            self._refuse_left(left)

    def _refuse_left(self, left):
        new = [one for one in left if one.name not in self._named]
        self._named.update(one.name for one in new)
        if new:
            self.expect(
                "left-running",
                "your code leaves nothing running",
                False,
                "; ".join(str(one) for one in new),
                "Stop each server and let each thread end, for instance with a `with` block or join().",
            )


class Exercise:
    """One exercise of a lab and its check. Calling it with the learner's objects gives the report."""

    def __init__(self, examine, lab: str, number: int, title: str, points: int, limit: float):
        self.examine, self.lab, self.number, self.title = examine, lab, number, title
        self.points, self.limit = points, limit
        self.__doc__ = examine.__doc__

    def __repr__(self):
        return f"<lab {self.lab}, exercise {self.number}: {self.title}>"

    def __call__(self, *answers, **named) -> Report | None:
        """Check, keep a pass, and return the report. Where a grader runs it: show it, or raise CheckFailed."""
        return finish(self.report(*answers, **named))

    def report(self, *answers, **named) -> Report:
        """Check and return the report; nothing is kept and nothing raised.

        A right answer looks wrong when the machine stands still at the wrong moment: what was not passed on such a
        machine is checked again.
        """
        for _ in range(stall.TIMES):
            with stall.StallWatch() as watch:
                report = self._report(answers, named)
            if report.passed or watch.longest < stall.LATE:
                break
        return report

    def _report(self, answers, named) -> Report:
        ask = Examiner()
        try:
            if self._lacks(ask, answers, named):
                return Report(self.lab, self.number, ask.expectations, ask.trace, title=self.title)
            outcome = run(self.examine, ask, *answers, limit=self.limit, keep=True, **named)
            if not outcome.returned and not isinstance(outcome.error, Stop):
                what = f"the check comes to its end within {self.limit:g} s"
                ask.expect(outcome.how, what, False, str(outcome), _HINTS[outcome.how])
            ask.printed += outcome.output
        finally:
            ask.close()
        return Report(self.lab, self.number, ask.expectations, ask.trace, title=self.title, printed=ask.printed)

    def _lacks(self, ask, answers, named) -> bool:
        """Was the check called without something that it needs, or with too much? Then it says how to call it."""
        signature = inspect.signature(self.examine)
        try:
            signature.bind(ask, *answers, **named)
        except TypeError as error:
            name, (_, *wanted) = self.examine.__name__, signature.parameters
            what = f"{name} needs your {' and '.join(wanted)}: {name}({', '.join(wanted)})"
            hint = "Hand over what you wrote by its name, without calling it."
            ask.expect("not-handed-over", what, False, f"{error}", hint)
            return True
        return False


def exercise(lab: str, number: int, title: str, *, points: int = 1, limit: float = 60.0):
    """Make a function ``examine(ask, *answers)`` the check of exercise ``number`` of a lab.

    ``limit`` is the time in seconds for the whole check. Raises ValueError when another function has the number.
    """

    def register(examine):
        taken = exercises.get((lab, number))
        if taken is not None and taken.examine.__qualname__ != examine.__qualname__:
            raise ValueError(f"lab {lab} has an exercise {number} already: {taken.title!r}; choose another number")
        exercises[lab, number] = Exercise(examine, lab, number, title, points, limit)
        return exercises[lab, number]

    return register
