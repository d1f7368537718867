"""When to stop asking, and when to ask again: the circuit breaker.

Everything that changes the state of a breaker is in this file: the rules, the transitions as a table, and little code.

Rules:

1. CLOSED: every call is made. How each ended is recorded in the window; when the window holds ``minimum_calls`` and
   the share of failed or of slow ones reaches its threshold, the breaker opens.
2. OPEN: no call is made; it ends with REJECTED, without a Try. The first call that comes ``wait_open`` seconds after
   the opening, or later, makes the breaker half-open, and is the first probe.
3. HALF_OPEN: ``permitted_half_open`` calls are made, as probes; the others end with REJECTED. When that many probes
   have been recorded, the same two thresholds decide: reached, and it is open again; otherwise it is closed, with an
   empty window.
4. A half-open breaker that has no decision after ``max_wait_half_open`` seconds is open again from that moment on.
5. A call belongs to the period (from one change of state to the next) in which it was admitted. If its answer comes
   in another period it is passed on to the caller and decides nothing: a late reply is no probe.
6. A call that a policy inside turned away (a full bulkhead: REJECTED, and no attempt said so) decides nothing, for it
   says nothing of the service. An attempt that ended with REJECTED is a failure: there the service is full.
7. A probe that decides nothing gives its permission to the next call: one of rule 6, one that ended with an ``ignored``
   status, and one whose script was closed (the caller gave up, or the attempt raised).
8. Looking (``state``, ``metrics``) changes nothing, so what a breaker does depends on its calls alone.

The words *closed*, *open* and *half-open* are those of M. Nygard, "Release It!" (2007): as in a fuse box, current
flows while the circuit is closed. Semantics, settings and defaults are those that resilience4j documents
(https://resilience4j.readme.io/docs/circuitbreaker), with these differences:

- Rates are shares (0.5), not percentages (50), as everywhere in this room.
- Rule 3 is what its documentation says. Its code decides after ``min(minimum_calls, permitted_half_open)`` probes.
- Rule 5: there, a late reply is recorded in whatever state the breaker is in when it comes.
- Rule 6: there, the refusal of a bulkhead inside is a failure, unless ``ignoreExceptions`` names its exception.
- The time window is exact (see :mod:`servicelab.policies.breaker_window`), and nothing happens by a timer: rule 4 is
  applied when the next call begins or ends, and dated back to when the time was up.
"""

import threading
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from servicelab import arguments
from servicelab.policies import parts
from servicelab.policies.breaker_window import WINDOWS, CountWindow
from servicelab.policies.moments import NEVER, onward, reached
from servicelab.policies.script import Policy, Script
from servicelab.policies.status import Status
from servicelab.policies.timeout import Timeout


class State(StrEnum):
    """The state of a breaker. Each equals its plain string: ``State.HALF_OPEN == "half-open"``."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Event(StrEnum):
    """What can change the state of a breaker."""

    TOO_MANY = "too many calls failed or were slow"
    WAIT_OVER = "a call comes after wait_open"
    PROBES_WELL = "enough probes were well"
    NO_DECISION = "max_wait_half_open is over"


CLOSED, OPEN, HALF_OPEN = State
OK, REJECTED = Status.OK, Status.REJECTED

#: Every change of state there is. What is not in the table cannot happen.
TRANSITIONS = {
    (CLOSED, Event.TOO_MANY): OPEN,
    (OPEN, Event.WAIT_OVER): HALF_OPEN,
    (HALF_OPEN, Event.PROBES_WELL): CLOSED,
    (HALF_OPEN, Event.TOO_MANY): OPEN,
    (HALF_OPEN, Event.NO_DECISION): OPEN,
}

#: What counts as a failure: everything that is no answer (resilience4j: every exception), REJECTED included where an
#: attempt ended with it. A status of its own, such as "HTTP 404", is the answer of a service that is well.
FAILURES = frozenset(status for status in Status if status != Status.OK)


class Metrics(NamedTuple):
    """What a breaker knows at a moment.

    ``calls``, ``failures`` and ``slow_calls`` are in the window; in half-open the window holds the probes. The rates
    are shares from 0 to 1, None while the window is empty; they count once ``calls`` has reached ``needed``.
    ``rejected`` calls were turned away since the breaker was made or reset. ``probes`` more are permitted (None unless
    half-open).
    """

    state: State
    calls: int
    needed: int
    failures: int
    slow_calls: int
    failure_rate: float | None
    slow_call_rate: float | None
    rejected: int
    probes: int | None


class CircuitBreaker:
    """Do what ``inner`` says while that goes well; when it does not, turn calls away for a while, then try a few.

    | setting             | default  | unit     | consequence                                                          |
    |---------------------|----------|----------|----------------------------------------------------------------------|
    | inner               | none     | policy   | what is counted as one call: ``Timeout(0.5)``                        |
    | name                | breaker  | text     | who it is, in diagrams and tables                                    |
    | window              | "count"  |          | "count": the last calls decide; "time": the calls of the last while  |
    | size                | 100      | calls or | short: opens soon, and by chance; long: still opens for failures     |
    |                     |          | seconds  | that are over                                                        |
    | failure_rate        | 0.5      | share    | opens when this share of the window failed, or more                  |
    | slow_call_rate      | 1.0      | share    | opens when this share was slow, or more, even if it succeeded        |
    | slow_after          | 60       | seconds  | a call that took longer is slow; it has to be below the timeout of   |
    |                     |          |          | ``inner`` to be of use                                               |
    | minimum_calls       | 100      | calls    | fewer in the window decide nothing; of a count window, at most size  |
    | wait_open           | 60       | seconds  | short: probes a service that had no rest; long: turns away calls     |
    |                     |          |          | that would succeed                                                   |
    | permitted_half_open | 10       | calls    | probes: all of them have to end before anything is decided           |
    | max_wait_half_open  | 0        | seconds  | 0 waits for ever: a probe that hangs then keeps it half-open         |
    | ignored             | none     | statuses | neither success nor failure; goes before counts_as_failure           |
    | counts_as_failure   | FAILURES | statuses | all but OK and statuses of the attempt's own, which are successes    |

    The defaults are resilience4j's (failureRateThreshold, slowCallRateThreshold, slowCallDurationThreshold,
    permittedNumberOfCallsInHalfOpenState, maxWaitDurationInHalfOpenState, slidingWindowType, slidingWindowSize,
    minimumNumberOfCalls, waitDurationInOpenState). They suit hundreds of calls per second; a lab with twenty calls
    wants smaller ones.

    A call is counted with the time that ``inner`` took in all, sleeps included, so a breaker belongs inside a
    ``Retry`` and around a ``Timeout``. Retry does not retry REJECTED.

    ``changes`` lists every change of state as ``(at, state)``, in seconds and in order; before the first one the
    breaker is closed. ``on_change(at, state)`` is called for each of them, in order, one at a time, and with no lock
    held: it may look at this breaker and at others. What it raises ends the call that was telling of the change. To
    draw it::

        breaker.on_change = lambda at, state: trace.state(breaker.name, state, at=at)

    Safe under threads: no lock is held while a call is made. Times are seconds on the caller's clock.

    Raises ValueError for a number out of range, an unknown ``window``, and OK among the failures or the ignored;
    TypeError for an argument of the wrong kind.
    """

    def __init__(
        self,
        inner: Policy,
        *,
        name: str = "breaker",
        window: str = "count",
        size: float = 100,
        failure_rate: float = 0.5,
        slow_call_rate: float = 1.0,
        slow_after: float = 60.0,
        minimum_calls: int = 100,
        wait_open: float = 60.0,
        permitted_half_open: int = 10,
        max_wait_half_open: float = 0.0,
        ignored=frozenset(),
        counts_as_failure=FAILURES,
        on_change: Callable[[float, State], object] | None = None,
    ):
        self.inner = parts.policy("inner", inner)
        self.name = arguments.text("name", name, "the name of what the breaker protects")
        if window not in WINDOWS:
            raise ValueError(f'window={window!r} must be "count" (the last calls) or "time" (the last seconds)')
        self.window = window
        if window == "count":
            self.size = arguments.whole("size", size, 'it counts calls; window="time" takes seconds')
        else:
            self.size = arguments.positive("size", size, "seconds", "a window has to reach back for a while")
        self.failure_rate = _threshold("failure_rate", failure_rate)
        self.slow_call_rate = _threshold("slow_call_rate", slow_call_rate)
        self.slow_after = arguments.positive("slow_after", slow_after, "seconds", "every call takes some time")
        self.minimum_calls = arguments.whole("minimum_calls", minimum_calls, "one call at least has to be counted")
        self.wait_open = arguments.positive("wait_open", wait_open, "seconds", "an open breaker has to turn calls away")
        self.permitted_half_open = arguments.whole(
            "permitted_half_open", permitted_half_open, "without a probe it would never close"
        )
        self.max_wait_half_open = arguments.not_negative(
            "max_wait_half_open", max_wait_half_open, "seconds", "0 waits for ever"
        )
        self.ignored = parts.statuses("ignored", ignored)
        self.counts_as_failure = parts.statuses("counts_as_failure", counts_as_failure)
        if on_change is not None and not callable(on_change):
            raise TypeError(f"on_change={on_change!r} must be a function of (at, state), or None")
        self.on_change = on_change
        self._lock = threading.Lock()
        # Changes that on_change has not heard of yet, and the lock of the one who tells it.
        self._news: deque[tuple[float, State]] = deque()
        self._telling = threading.Lock()
        # Tickets of probes that came to nothing. A script may be closed by the garbage collector at any point of any
        # thread, even inside the lock; so closing only leaves a note here, which is atomic, and needs no lock.
        self._returned: deque[int] = deque()
        self._period = 0
        self.reset()

    def __repr__(self):
        return (
            f"CircuitBreaker({self.inner!r}, name={self.name!r}, window={self.window!r}, size={self.size}, "
            f"failure_rate={self.failure_rate}, slow_call_rate={self.slow_call_rate}, "
            f"slow_after={self.slow_after}, minimum_calls={self.minimum_calls}, wait_open={self.wait_open}, "
            f"permitted_half_open={self.permitted_half_open}, max_wait_half_open={self.max_wait_half_open})"
        )

    def script(self, now: float) -> Script:
        # While it is closed a call is admitted without the lock, which is a sixth of what a breaker costs: whatever
        # another thread decides at this moment, it decides after this call has begun.
        ticket = self._ticket
        if ticket is not None and now >= self._latest and not self._returned:
            self._latest = now
        else:
            with self._lock:
                ticket = self._admit(now)
        if ticket is None:
            if self._news:
                self._tell()
            return REJECTED
        answer, end = None, now
        try:
            if self._news:
                self._tell()
            inner = self.inner
            if type(inner) is Timeout:  # what it would say, without a generator of its own
                answer = yield inner.question
                status, end = answer
            else:
                # script.follow, written out: a generator less is a fifth of what a breaker costs.
                script = inner.script(now)
                try:
                    while True:
                        try:
                            question = script.send(answer)
                        except StopIteration as stop:
                            status = stop.value
                            break
                        answer = yield question
                        end = answer.at
                except BaseException:
                    script.close()
                    raise
        except BaseException:
            self._returned.append(ticket)
            raise
        with self._lock:
            if status == OK and ticket == self._ticket and end >= self._latest and end - now <= self.slow_after:
                self._latest = end  # what _record does for the usual call, in short
                window = self._window
                window.record(end, False, False)
                if window.failures or window.slow:
                    self._judge(end)
            elif status == REJECTED and (answer is None or answer.status != status):
                self._returned.append(ticket)
            else:
                self._record(ticket, status, end - now, end)
        if self._news:
            self._tell()
        return status

    # -- looking ------------------------------------------------------------------------------------

    def state(self, now: float) -> State:
        """The state at ``now`` (seconds). An open breaker stays open until a call comes, however late."""
        with self._lock:
            return self._state_at(now)

    def metrics(self, now: float) -> Metrics:
        """What is in the window at ``now`` (seconds), for a panel."""
        with self._lock:
            state = self._state_at(now)
            calls, failures, slow = self._window.counts(now)
            rates = (failures / calls, slow / calls) if calls else (None, None)
            self._take_back()
            probes = self._permits if state is HALF_OPEN else None
            return Metrics(state, calls, self._needed, failures, slow, *rates, self._rejected, probes)

    def reset(self) -> None:
        """As new: closed, with an empty window and no changes. Calls under way will not count. The clock may begin
        anew, so one breaker can serve a real run and then a simulated one."""
        with self._lock:
            self.changes: list[tuple[float, State]] = []
            self._rejected = 0
            self._latest = NEVER
            self._begin(CLOSED, NEVER)

    def _state_at(self, now):
        undecided = self._state is HALF_OPEN and reached(now, self._until)
        return OPEN if undecided else self._state

    def _tell(self):
        """Tell on_change the news. Who finds that another thread is at it (or that on_change made a call) leaves them
        to that one, so that they come in order."""
        while self._news and self._telling.acquire(blocking=False):
            try:
                while self._news:
                    self.on_change(*self._news.popleft())
            finally:
                self._telling.release()

    # -- deciding: all of it under the lock ---------------------------------------------------------

    def _admit(self, now):
        """The ticket of a call that begins, or None to turn it away."""
        now = self._latest = onward(now, self._latest)
        if self._returned:
            self._take_back()
        if self._state is CLOSED:
            return self._period
        if reached(now, self._until):
            self._time_is_up()
            if reached(now, self._until):
                self._move(Event.WAIT_OVER, now)
        if self._state is HALF_OPEN and self._permits:
            self._permits -= 1
            return self._period
        self._rejected += 1
        return None

    def _record(self, ticket, status, duration, at):
        """The call with this ticket ended."""
        at = self._latest = onward(at, self._latest)
        if self._state is HALF_OPEN and reached(at, self._until):
            self._time_is_up()
        if ticket != self._period:
            return
        if status in self.ignored:
            self._permits += 1
            return
        slow = duration > self.slow_after and not reached(self.slow_after, duration)
        self._window.record(at, status in self.counts_as_failure, slow)
        self._judge(at)

    def _judge(self, at):
        """Does what is in the window change the state?"""
        window = self._window
        if window.calls < self._needed:
            return
        # A threshold is above 0, so none is not too many; to ask first saves the usual call two divisions.
        if (window.failures and window.failures / window.calls >= self.failure_rate) or (
            window.slow and window.slow / window.calls >= self.slow_call_rate
        ):
            self._move(Event.TOO_MANY, at)
        elif self._state is HALF_OPEN:
            self._move(Event.PROBES_WELL, at)

    def _take_back(self):
        """The permissions of probes that came to nothing are there again. (Nobody asks for those of other calls.)"""
        while self._returned:
            self._permits += self._returned.popleft() == self._period

    def _time_is_up(self):
        """``_until`` has come: a half-open breaker is open from then on. An open one waits for a call."""
        if self._state is HALF_OPEN:
            self._move(Event.NO_DECISION, self._until)

    def _move(self, event, at):
        self._begin(TRANSITIONS[self._state, event], at)
        self.changes.append((at, self._state))
        if self.on_change is not None:
            self._news.append(self.changes[-1])

    def _begin(self, state, at):
        """A new period: tickets of the one before are void from here on."""
        self._state = state
        self._period += 1
        self._permits = 0
        self._until = float("inf")  # when the state is over by itself
        self._ticket = self._period if state is CLOSED else None  # what script reads without the lock
        if state is CLOSED:
            self._window = WINDOWS[self.window](self.size)
            self._needed = min(self.minimum_calls, self.size) if self.window == "count" else self.minimum_calls
        elif state is HALF_OPEN:
            self._window = CountWindow(self.permitted_half_open)
            self._needed = self._permits = self.permitted_half_open
            if self.max_wait_half_open:
                self._until = at + self.max_wait_half_open
        else:  # the window that opened it stays, to be looked at
            self._until = at + self.wait_open


def _threshold(name, value):
    value = arguments.share(name, value, "0.5 for 50%")
    if value == 0:
        raise ValueError(f"{name}=0 must be > 0: the breaker would open without a reason; 1 wants all of the calls")
    return value
