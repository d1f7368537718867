"""How long a call may take in all, here and further down.

A deadline that stops at the first hop saves only the first hop: the services behind it work on for somebody who has
gone. So it travels. What travels is the time that is *left*, in seconds, because two machines do not agree on what
time it is; each hop counts its own clock from the arrival, and hands on what is left then. (gRPC does the same, its
header is ``grpc-timeout``: "PROTOCOL-HTTP2" in the gRPC repository, and https://grpc.io/docs/guides/deadlines/.) The
time on the wire is not counted: the receiver cannot know it.

``current_deadline`` holds, for the code that serves a call, the time on this process's clock at which the caller stops
waiting. A server sets it (:mod:`servicelab.servers.deadline`), a client reads it and sends the rest on
(:func:`servicelab.clients.deadline.propagated`); in between nobody has to pass it along. It is a context variable:
threads and tasks that start with a copy of the context, as hedged attempts do, know it too. In SimPy there is one
context for all processes: give each Client a policy of its own there.
"""

import re
from contextvars import ContextVar

from servicelab import arguments
from servicelab.policies import parts
from servicelab.policies.moments import reached
from servicelab.policies.script import Await, Policy, Script, Sleep, Start, Try, follow
from servicelab.policies.status import Status

#: When whoever waits for the running code stops waiting (seconds, on the clock of this process), None for never.
current_deadline: ContextVar[float | None] = ContextVar("servicelab_current_deadline", default=None)

#: The header that carries the time left. (gRPC has one of its own, and sends it by itself.)
HEADER = "Deadline-Left"

#: Not what Python's float() takes besides: underscores, digits of other scripts, "nan" and "inf".
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def remaining(now: float) -> float | None:
    """Seconds that the caller of the running code will still wait, <= 0 if it has gone, None if it has no limit."""
    end = current_deadline.get()
    return None if end is None else end - now


def to_header(left: float) -> str:
    """The value of the header for ``left`` seconds: ``Deadline-Left: 0.350000``. Never more than is left, nor than
    :data:`~servicelab.arguments.LONGEST`."""
    return f"{max(0, int(arguments.in_reach(left) * 1e6)) / 1e6:.6f}"


def from_header(value: str | None) -> float | None:
    """Seconds left, from 0 to :data:`~servicelab.arguments.LONGEST`, from a header's value; None when it is
    missing or no decimal number: a server must not fall over what a stranger sends."""
    found = isinstance(value, str) and _DECIMAL.fullmatch(value.strip(" \t"))
    return max(0.0, arguments.in_reach(float(value))) if found else None


class Deadline:
    """The whole call, with all its attempts and sleeps, ends within ``seconds``.

    | setting | default | unit    | consequence                                                            |
    |---------|---------|---------|------------------------------------------------------------------------|
    | seconds | none    | seconds | the longest that the caller of the whole thing has to wait             |
    | inner   | none    | policy  | what is done with the time: ``Timeout(…)``, or ``Retry(Timeout(…))``   |

    Rules:

    1. No attempt gets more time than is left, and nothing is awaited for longer.
    2. A sleep that would last to the deadline or beyond it is not begun: the call ends at once.
    3. What comes at the deadline or after it is too late, even if it is an answer.
    4. In these cases, and when the time ran out in an attempt that was cut short, the call ends with DEADLINE.

    A deadline is as good as the attempts: one that outlives its timeout takes the call past the deadline.
    The idea and the name of the status: gRPC, "Deadlines" (https://grpc.io/docs/guides/deadlines/).

    Raises ValueError for ``seconds`` <= 0, TypeError for an ``inner`` that is no policy.
    """

    def __init__(self, seconds: float, inner: Policy):
        self.seconds = arguments.positive("seconds", seconds, "seconds", "leave the deadline out to wait without limit")
        self.inner = parts.policy("inner", inner)

    def __repr__(self):
        return f"Deadline({self.seconds}, {self.inner!r})"

    def script(self, now: float) -> Script:
        end = now + self.seconds
        script = self.inner.script(now)
        answer, over = None, False
        try:
            while True:
                # The inner policy hears the last answer even when time is up: a breaker has to count it.
                try:
                    question = script.send(answer)
                except StopIteration as stop:
                    return Status.DEADLINE if over else stop.value
                left = end - now
                if over:
                    return Status.DEADLINE
                cut = False
                if isinstance(question, Try):
                    if question.timeout is None or reached(question.timeout, left):
                        question, cut = Try(left), True
                elif isinstance(question, Sleep):
                    if reached(question.delay, left):
                        return Status.DEADLINE
                elif isinstance(question, Start):
                    if question.timeout is None or reached(question.timeout, left):
                        question = Start(left, question.anew)
                elif isinstance(question, Await) and (question.limit is None or reached(question.limit, left)):
                    question = Await(left)
                answer = yield question
                now = answer.at
                # Some timers are early; of a timeout that was cut we know that the time is up.
                over = reached(now, end) or (cut and answer.status == Status.TIMEOUT)
        finally:
            script.close()


class InheritedDeadline:
    """The whole call ends when the caller of the running code stops waiting: ``Deadline(remaining(now), inner)``.

    | setting | default | unit    | consequence                                                                      |
    |---------|---------|---------|----------------------------------------------------------------------------------|
    | inner   | none    | policy  | what is done with the time that the caller has left                              |

    Without a caller that waits with a limit it is ``inner`` alone. When the caller has gone already the call ends with
    DEADLINE, without an attempt. Put a Deadline inside for a limit of one's own: the nearer one holds. It reads
    ``current_deadline``, so what it says depends on where it is asked: put a Recorder inside it, not around it.
    Raises TypeError for an ``inner`` that is no policy.
    """

    def __init__(self, inner: Policy):
        self.inner = parts.policy("inner", inner)

    def __repr__(self):
        return f"InheritedDeadline({self.inner!r})"

    def script(self, now: float) -> Script:
        left = remaining(now)
        if left is None:
            policy = self.inner
        elif reached(0, left):
            return Status.DEADLINE
        else:
            policy = Deadline(left, self.inner)
        status, _ = yield from follow(policy, now)
        return status
