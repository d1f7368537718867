"""Runs a learner's function and says in words what it did, whatever it did.

An endless loop, an exception, ``sys.exit()``, a flood of output, a thread or a server left running: each is an
:class:`Outcome` that can be read, and the kernel lives.
"""

import contextlib
import inspect
import io
import sys
import time
from dataclasses import dataclass
from typing import Any

from servicelab.checks.learner_traceback import shown, told
from servicelab.checks.leftovers import Left, Leftovers
from servicelab.checks.limit import limited

#: Characters of a learner's output that are kept.
MOST_OUTPUT = 4000


@dataclass(frozen=True)
class Outcome:
    """What a learner's function did.

    ``how`` is "returned", "exception", "exit", "time-limit" or "not-callable". ``value`` is what it returned,
    ``error`` what it raised, ``seconds`` how long it took, ``output`` what it printed (clipped), ``left`` what it left
    running. ``str(outcome)`` says it in a sentence, with the learner's own lines.
    """

    how: str
    value: Any = None
    error: BaseException | None = None
    seconds: float = 0.0
    output: str = ""
    left: tuple[Left, ...] = ()
    words: str = ""

    @property
    def returned(self) -> bool:
        return self.how == "returned"

    def __str__(self):
        return self.words


def run(function, *args, limit: float = 5.0, keep: bool = False, **kwargs) -> Outcome:
    """Run ``function(*args, **kwargs)`` for at most ``limit`` seconds.

    What it printed is captured. Threads and servers that it started and left are ended and listed in
    ``Outcome.left``; ``keep=True`` leaves them alone (for a function whose purpose is to start something). Raises
    ValueError for a bad limit and KeyboardInterrupt when the learner really interrupts; nothing else.
    """
    if not callable(function):
        return Outcome("not-callable", function, words=f"it is no function but {_kind(function)}: {shown(function)}")
    leftovers = None if keep else Leftovers()
    output = _Clipped(MOST_OUTPUT)
    start = time.monotonic()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output), _exit_is_an_exception():
        ended = limited(lambda: function(*args, **kwargs), limit)
        seconds = time.monotonic() - start
        if inspect.iscoroutine(ended.value):
            ended.value.close()
        how, words = _read(ended, min(limit, seconds))
        if ended.error is not None:
            ended.error.__traceback__ = None  # its frames would keep alive what the function held
        left = () if leftovers is None else tuple(leftovers.end())
    value = ended.value if how == "returned" else None
    return Outcome(how, value, ended.error, seconds, str(output), left, words)


def _read(ended, limit):
    if ended.over:
        words = f"it was still running after {limit:.3g} s and was ended"
        if ended.place:
            words += f", at\n  {ended.place}"
        if ended.stuck:
            words += f"\nThe thread {ended.stuck!r} could not be ended; restart the kernel when you can."
        return "time-limit", words
    if isinstance(ended.error, SystemExit):
        lines = told(ended.error).splitlines()[1:]
        return "exit", "\n".join(["it called exit(), which would have ended the kernel", *lines])
    if ended.error is not None:
        return "exception", f"it raised {told(ended.error)}"
    if inspect.iscoroutine(ended.value):
        return "returned", "it returned a coroutine: an `async def` function has to be awaited"
    return "returned", f"it returned {shown(ended.value)}"


def _kind(value):
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


class _Clipped(io.TextIOBase):
    """Keeps the first ``most`` characters, and counts the rest."""

    def __init__(self, most):
        self._parts, self._room, self._dropped = [], most, 0

    def writable(self):
        return True

    def write(self, text):
        kept = text[: self._room]
        if kept:
            self._parts.append(kept)
            self._room -= len(kept)
        self._dropped += len(text) - len(kept)
        return len(text)

    def __str__(self):
        more = f"\n… and {self._dropped} more characters" if self._dropped else ""
        return "".join(self._parts) + more


@contextlib.contextmanager
def _exit_is_an_exception():
    """In a notebook ``exit()`` asks the kernel to shut down. While a learner's function runs, it raises SystemExit."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is None:
        yield
        return

    def ask_exit(*args):
        raise SystemExit

    before = vars(shell).get("ask_exit")  # set when runs are nested
    shell.ask_exit = ask_exit
    try:
        yield
    finally:
        if before is None:
            del shell.ask_exit
        else:
            shell.ask_exit = before
