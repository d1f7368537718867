"""The vocabulary of a check: words apart from deeds, a stage for the learner's object, and parts that act on it.

WORDS = words('''
oversold: of six orders for one mug each, five are accepted
    What must be true of what is left and what is wanted together?
''')

class Counter(Stage):
    def __init__(self, ask, Shop):
        super().__init__(ask)
        self.shop = self.make(Shop, 5, methods=("order",))

check_shop = scenario("01", 1, "A shop", WORDS, Shop=Counter)

@check_shop.part
def sold_out(counter):
    accepted = sum(counter.call(counter.shop.order, 1) for _ in range(6))
    yield "oversold", accepted == 5, f"{accepted} were accepted"
"""

import threading
import time
from contextlib import closing

from servicelab.checks.exercise import CLOSING, WHOLE, Exercise, Stop, register
from servicelab.checks.learner_traceback import shown


def words(text: str) -> dict[str, tuple[str, str]]:
    """The words of an exercise, by code: what is expected, and the hint.

    A line ``code: what is expected``, and indented below it the hint. Several codes for one expectation, told apart by
    what went wrong, stand before one colon (``a, b: what``) when they share the hint, too. Raises ValueError for a
    code that comes twice or has no words.
    """
    found, codes = {}, []
    for line in text.strip().splitlines():
        if line[:1].strip():
            before, colon, what = line.partition(": ")
            codes = before.split(", ")
            twice = [code for code in codes if code in found]
            if twice or not colon:
                raise ValueError(f"{line!r} must be `code: what is expected`, and each code come once")
            found.update(dict.fromkeys(codes, (what, "")))
        elif line.strip():
            what, hint = found[codes[0]]
            found.update(dict.fromkeys(codes, (what, f"{hint} {line.strip()}".strip())))
    missing = [code for code, (_, hint) in found.items() if not hint]
    if missing:
        raise ValueError(f"there is no hint below {', '.join(missing)}")
    return found


class Stage:
    """Where a part puts the learner's object to work: a fresh one for each part.

    ``ask`` is the examiner (``ask.trace`` the record that the report draws), ``yours`` what was handed in: the object,
    or a tuple if a part needs several. ``last`` is the id of the last message, the one that the diagram marks when an
    expectation is not met: keep it up to date, and nobody has to pass it on. A subclass makes the learner's object and
    starts the servers.
    """

    last: str | None = None

    def __init__(self, ask, *yours):
        self.ask, self.yours = ask, yours[0] if len(yours) == 1 else yours

    def call(self, function, *args, limit: float = 5.0, **options):
        """What the learner's ``function`` returns, under a time limit. Ends the parts of this object when it does not
        return. ``options`` are those of :meth:`servicelab.checks.exercise.Examiner.call`, and the function's own."""
        return self.ask.call(function, *args, limit=limit, mark=self.last, **options)

    def make(self, kind, *args, methods=(), **options):
        """The learner's object ``kind(*args)``, which has these ``methods``."""
        made = self.call(kind, *args, **options)
        has = [name for name in methods if callable(getattr(made, name, None))]
        if len(has) < len(methods):
            name = getattr(kind, "__name__", "your class")
            self.ask.need(
                "no-methods",
                f"{name}(…) has the methods {' and '.join(methods)}",
                False,
                f"it is {shown(made)}, with {' and '.join(has) or 'none of them'}",
                "Keep the names that the task gives, and hand over the class itself.",
                self.last,
            )
        return made

    def say(self, sender: str, to: str, label: str) -> None:
        """Draw a message that arrives at once, and mark it."""
        self.last = self.ask.trace.send(sender, to, label)
        self.ask.trace.receive(self.last)

    def refuse(self, code: str, happened: str) -> None:
        """Say what is wrong, and end the check of this object here: nothing else makes sense with it."""
        what, hint = self.ask.words[code]
        self.ask.need(code, what, False, happened, hint, self.last)

    def draw(self, sender: str, to: str, label: str, at: float | None = None) -> None:
        """Draw a step as a message that arrives, and mark it."""
        self.last = self.ask.trace.send(sender, to, label, at=at)
        self.ask.trace.receive(self.last, at=None if at is None else at + 0.01)

    def use(self, context):
        """Enter a context manager (a server, a session) and leave it at the end of the part."""
        return self.ask.use(context)

    def at_once(self, *calls, limit: float = 3.0) -> list["Aside"]:
        """Begin functions without arguments at the same moment, each in a thread, and wait for them, ``limit`` seconds
        at the most."""
        line = threading.Barrier(len(calls))
        asides = [Aside(call, line.wait).start() for call in calls]
        end = time.monotonic() + limit
        for one in asides:
            one.wait(end - time.monotonic())
        return asides


class Aside:
    """A call in a thread of the check's own. ``answer`` is what it returned, ``error`` what it raised."""

    def __init__(self, call, first=lambda: None):
        self.call, self.first, self.answer, self.error = call, first, None, None
        self._thread = threading.Thread(target=self._run, name="servicelab check aside", daemon=True)

    def _run(self):
        try:
            self.first()
            self.answer = self.call()
        except BaseException as error:  # a time limit, too: a thread of ours says nothing when it ends
            self.error = error

    def start(self):
        self._thread.start()
        return self

    def wait(self, seconds: float) -> bool:
        """Wait for its end, so many seconds at the most; says whether it has ended."""
        self._thread.join(max(0.0, seconds))
        return not self._thread.is_alive()

    @property
    def is_back(self) -> bool:
        return self.wait(0)


class Scenario(Exercise):
    """A check that consists of parts. ``stages`` has, for each object that is handed in, its stage."""

    def __init__(self, lab, number, title, words, stages, points, go_on):
        super().__init__(self._play, lab, number, title, points, WHOLE - CLOSING, stages, title)
        self.words, self.stages, self.go_on = words, stages, go_on
        self._parts: dict[str, tuple[tuple[str, ...], object]] = {}

    def part(self, *names):
        """Make a generator function a part of this check: ``@check.part``, or, where several objects are handed in,
        ``@check.part("Budget")`` with the names of those that it needs. It gets the stage of the first, made with all
        of them, and yields ``(code, passed, what happened)``. Its name is the part's title in the report."""
        if not all(isinstance(name, str) for name in names):
            return self.part(*self.stages)(*names)

        def add(function):
            title = function.__name__.replace("_", " ").strip()
            if title in self._parts or not set(names) <= set(self.stages):
                raise ValueError(f"part {title!r} of {names} is there already, or needs what is not handed in")
            self._parts[title] = names, function
            return function

        return add

    def parts(self, table: dict, play, *names) -> None:
        """Make a part of each entry ``title: arguments`` of a table: ``play(stage, *arguments)`` is its generator.
        ``names`` are as for :meth:`part`."""
        for title, arguments in table.items():

            def part(stage, arguments=arguments):
                return play(stage, *arguments)

            part.__name__ = title
            self.part(*names or self.stages)(part)

    def part_titles(self):
        return tuple(self._parts)

    def _play(self, ask, *handed, **named):
        ask.words = self.words
        given = {**dict(zip(self.stages, handed)), **named}
        missing = {name for name in self.stages if given.get(name) is None}
        surplus = len(handed) > len(self.stages) or set(given) > set(self.stages)
        if missing or surplus:
            what = f"the check gets what you wrote: check_…({', '.join(self.wanted)})"
            happened = "it got more than that" if surplus else f"{' and '.join(sorted(missing))} is missing, or None"
            hint = "Hand over what you wrote by its name, without calling it."
            ask.expect("not-handed-over", what, False, happened, hint)
        ended = missing if not surplus else set(self.stages)  # nothing more is asked of these objects
        for title, (names, part) in self._parts.items():
            is_in_vain = title == self.go_on and not all(one.passed for one in ask.expectations)
            if not is_in_vain and not ended & set(names):
                with ask.part(title):
                    is_over = self._part(ask, part, names, [given[name] for name in names])
                if is_over:
                    ended.update(names)

    def _part(self, ask, part, names, yours) -> bool:
        """Play one part up to its first expectation that is not met. Is it over with these objects?"""
        try:
            on = self.stages[names[0]](ask, *yours)
            with closing(part(on)) as played:
                for code, passed, happened in played:
                    what, hint = self.words[code]
                    if not ask.expect(code, what, passed, happened, hint, on.last):
                        return not self.go_on
        except Stop:
            return True
        return False


def scenario(lab, number, title, words, *, points=1, go_on=False, **stages) -> Scenario:
    """Define exercise ``number`` of a lab, whose check consists of parts (:meth:`Scenario.part`).

    ``words`` are its words (:func:`words`); ``stages`` says for each object that a learner hands in, by its name, on
    which :class:`Stage` it is put. The first expectation of a part that is not met ends the part, and nothing more is
    asked of the objects that it needed, for what comes later rests on it; with ``go_on=True`` the other parts are
    tried all the same, and with the title of a part all but this one, which rests on everything before it. What is
    missing is named, and the rest is checked.
    Raises ValueError when another exercise has the number.
    """
    return register(Scenario(lab, number, title, words, stages, points, go_on))
