"""A time limit for code that nobody may have planned to end.

Rules:

- The limit is an exception of its own, :class:`TimeLimit`. It is no ``Exception``, so that a learner's
  ``except Exception`` lets it pass.
- It is raised only while the limited code is on the stack, never in the code that called for the limit.
- The first one leaves the code ``CLEAN_UP`` seconds for its own ``finally``. Code that swallows it gets more: in the
  main thread one on the next line that runs, which is the line of the ``except`` itself, and so on outwards through
  its callers; and all that in a storm at random moments, for an ``except`` within another.
- In the main thread of a Unix system a timer signal raises it, which also interrupts ``time.sleep``, a lock and
  a socket. Elsewhere the code runs in a thread of its own, where only Python code can be interrupted: a thread
  that still waits in the system after ``PATIENCE`` seconds is given up and reported as stuck.
- One that falls into a finalizer or a callback of the garbage collector cannot leave it. Python would report it as
  "Exception ignored in"; here it is dropped, and the next one comes soon.
- A real interrupt (the ■ button, Ctrl-C) ends everything, as it should.

What no limit can end: one call into C that neither returns nor looks for signals, such as
``sum(itertools.count())``. It holds the whole interpreter; only a restart of the kernel helps.
"""

import contextvars
import ctypes
import random
import signal
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from servicelab.checks.learner_traceback import is_theirs, place

#: Seconds that limited code has for its own ``finally`` blocks before the limit is raised again.
CLEAN_UP = 0.5
#: Seconds after which code that will not end is given up (in a thread) or told so (in the main thread).
PATIENCE = 5.0

_dice = random.Random()  # of its own, so that a learner's seeded draws stay where they were


class TimeLimit(BaseException):
    """The time is up. Raised inside the limited code."""


@dataclass
class Ended:
    """How a limited call ended: with a ``value``, with an ``error``, or ``over`` the limit.

    ``place`` says where the code was when its time was up. ``stuck`` is the name of the thread that could not be ended.
    """

    value: Any = None
    error: BaseException | None = None
    over: bool = False
    place: str = ""
    stuck: str = ""


def limited(call, seconds: float) -> Ended:
    """Run ``call()`` for at most ``seconds``, and say how it ended.

    Never raises what ``call`` raised. Raises ValueError for a limit that is not a positive number, and
    KeyboardInterrupt when the learner really interrupted. Calls may be nested; an inner limit never outlasts the outer.
    """
    if not isinstance(seconds, int | float) or not seconds > 0:
        raise ValueError(f"limit={seconds!r} must be > 0 seconds: give the code some time")
    with _limits_in_finalizers_dropped():
        if threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer"):
            return _Alarm().run(call, seconds)
        return _run_in_thread(call, seconds)


def raise_in(thread: threading.Thread, error=TimeLimit) -> None:
    """Raise ``error`` in another thread as soon as it next runs Python code. A thread that waits in the system
    (a sleep, a lock, a socket) notices it only when the waiting ends."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(error))


class _Noted(Exception):
    """Nothing but a note to the interpreter."""


def forget_waiting() -> None:
    """An exception that waits for a sleeping thread keeps a flag up for all. While it is up, Python 3.11 does not get
    beyond the first line of any function that is traced; handling one in this thread takes the flag down."""
    try:
        raise_in(threading.current_thread(), _Noted)
        for _ in range(10_000):
            pass
    except _Noted:
        pass


def frame_of(thread: threading.Thread):
    """The frame that ``thread`` runs at this moment, or None."""
    return sys._current_frames().get(thread.ident)


@contextmanager
def _limits_in_finalizers_dropped():
    old = sys.unraisablehook
    sys.unraisablehook = partial(_hook, old)
    try:
        yield
    finally:
        sys.unraisablehook = old


def _hook(old, unraisable):
    if unraisable.exc_type is not TimeLimit:
        old(unraisable)


class _Limited:
    """The limited call. Its frame marks the border: the limit is raised only in what it called."""

    def __init__(self):
        self.frame = None
        self.ended = Ended()
        self.fired = 0
        self.start = time.monotonic()

    def enter(self, call):
        self.frame = sys._getframe()
        try:
            self.ended.value = call()
        except BaseException as error:
            self.ended.error = error
            self.ended.over = self.ended.over or isinstance(error, TimeLimit)
        finally:
            self.frame = None

    def is_inside(self, frame) -> bool:
        """Is the limited code on the stack that ends in ``frame``?"""
        inner = False
        while frame is not None:
            if frame is self.frame:
                return inner
            if frame.f_code is _hook.__code__:
                return False  # a report about the learner's code is not the learner's code
            inner, frame = True, frame.f_back
        return False

    def fire(self, frame) -> float:
        """Note one more TimeLimit at ``frame``; returns the seconds until the next."""
        self.fired += 1
        if self.fired == 1:
            self.ended.over = True
            self.start = time.monotonic()
            self.ended.place = place(frame)
            return CLEAN_UP
        if time.monotonic() - self.start > PATIENCE:
            return CLEAN_UP
        return 10 ** _dice.uniform(-6, -3)


class _Alarm(_Limited):
    """The limit by a timer signal, for the main thread."""

    done = False
    interrupted = False
    told = False
    is_ringing = False

    def run(self, call, seconds):
        began = time.monotonic()
        outer, again = signal.getitimer(signal.ITIMER_REAL)  # somebody else's timer, to be given what is left of it
        old_trace, old_profile = sys.gettrace(), sys.getprofile()
        old_alarm = signal.signal(signal.SIGALRM, self.ring)
        self.old_interrupt = signal.getsignal(signal.SIGINT)
        try:
            if callable(self.old_interrupt):
                signal.signal(signal.SIGINT, self.interrupt)
            _set_alarm(min(seconds, outer or seconds))
            self.enter(call)
        except TimeLimit:  # it came on the last step out of the limited code
            self.ended.over = True
        finally:
            self.done = True
            signal.setitimer(signal.ITIMER_REAL, 0)
            sys.setprofile(old_profile)
            sys.settrace(old_trace)
            signal.signal(signal.SIGALRM, old_alarm)
            if callable(self.old_interrupt):
                signal.signal(signal.SIGINT, self.old_interrupt)
            if outer:
                left = outer - (time.monotonic() - began)
                signal.setitimer(signal.ITIMER_REAL, max(1e-3, left), again)
                if left <= 0:  # or the next limit within the outer one would take its alarm again
                    signal.raise_signal(signal.SIGALRM)
        if self.interrupted:  # even when the code swallowed it
            raise KeyboardInterrupt
        return self.ended

    def ring(self, signum, frame):
        if self.done:
            return
        if self.is_ringing:  # on a busy machine the next alarm comes before this one is done; it sets the one after
            return
        self.is_ringing = True
        pause = self.look(frame)
        _set_alarm(pause or 0.005)
        self.is_ringing = False
        if pause is not None:
            raise TimeLimit

    def look(self, frame):
        """The seconds until the next limit, when one is to be raised at ``frame`` now; else None."""
        if not self.is_inside(frame):
            return None
        pause = self.fire(frame)
        if time.monotonic() - self.start > PATIENCE and not self.told:
            self.told = True
            print("This code catches every exception and does not end: restart the kernel.", file=sys.__stderr__)
        if self.fired > 1:
            self.raise_on_next_line(frame)
        return pause

    def raise_on_next_line(self, frame):
        """Python calls a trace function before each line. One that raises is taken off, so the profile function,
        which Python calls when a frame is left, puts it on again."""
        sys.settrace(self.trace)
        sys.setprofile(self.profile)
        while frame is not None and frame is not self.frame:
            if is_theirs(frame.f_code.co_filename):
                frame.f_trace = self.trace
            frame = frame.f_back

    def trace(self, frame, event, arg):
        if event == "line" and not self.done and is_theirs(frame.f_code.co_filename):
            raise TimeLimit
        return self.trace

    def profile(self, frame, event, arg):
        if event == "return" and not self.done and self.is_inside(frame.f_back):
            self.raise_on_next_line(frame.f_back)

    def interrupt(self, signum, frame):
        self.interrupted = True
        return self.old_interrupt(signum, frame)


def _set_alarm(seconds):
    """The signal comes after ``seconds``, and then every 50 ms: one that arrives just before a system call begins
    does not interrupt that call."""
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.05)


def _run_in_thread(call, seconds):
    limit = _Limited()
    context = contextvars.copy_context()
    thread = threading.Thread(target=lambda: context.run(limit.enter, call), daemon=True, name="learner's code")
    thread.start()
    try:
        _join(thread, seconds)
        while thread.is_alive():
            frame = frame_of(thread)
            pause = 0.005
            if frame is not None and limit.is_inside(frame):
                pause = max(pause, limit.fire(frame))
                raise_in(thread)
            if limit.fired and time.monotonic() - limit.start > PATIENCE:
                limit.ended.stuck = thread.name
                break
            _join(thread, pause)
    except BaseException:  # the waiting itself was interrupted: take the code with us
        raise_in(thread)
        raise
    return limit.ended


def _join(thread, seconds):
    """Wait in slices, so that an interrupt or an outer limit gets in between."""
    end = time.monotonic() + seconds
    while thread.is_alive() and (left := end - time.monotonic()) > 0:
        thread.join(min(left, 0.05))
