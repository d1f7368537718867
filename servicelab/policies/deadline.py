"""How long a call may take in all."""

from servicelab.policies import values
from servicelab.policies.script import Policy, Script, Sleep, Try
from servicelab.policies.status import Status


class Deadline:
    """The whole call, with all its attempts and sleeps, ends within ``seconds``.

    | setting | default | unit    | consequence                                                            |
    |---------|---------|---------|------------------------------------------------------------------------|
    | seconds | none    | seconds | the longest that the caller of the whole thing has to wait             |
    | inner   | none    | policy  | what is done with the time: ``Timeout(…)``, or ``Retry(Timeout(…))``   |

    Rules:

    1. No attempt gets more time than is left.
    2. A sleep that would last to the deadline or beyond it is not begun: the call ends at once.
    3. What comes after the deadline is too late, even if it is an answer.
    4. In these cases, and when the time ran out in an attempt that was cut short, the call ends with DEADLINE.

    A deadline is as good as the attempts: one that outlives its timeout takes the call past the deadline.
    The idea and the name of the status: gRPC, "Deadlines" (https://grpc.io/docs/guides/deadlines/).

    Raises ValueError for ``seconds`` <= 0, TypeError for an ``inner`` that is no policy.
    """

    def __init__(self, seconds: float, inner: Policy):
        self.seconds = values.positive("seconds", seconds, "seconds", "leave the deadline out to wait without limit")
        self.inner = values.policy("inner", inner)

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
                if over or left <= 0:
                    return Status.DEADLINE
                cut = False
                if isinstance(question, Sleep):
                    if question.delay >= left:
                        return Status.DEADLINE
                elif question.timeout is None or question.timeout >= left:
                    question, cut = Try(left), True
                answer = yield question
                now = answer.at
                # Of a timeout that was cut we know that the time is up; now + (end - now) may miss it by a rounding.
                over = now > end or (cut and answer.status == Status.TIMEOUT)
        finally:
            script.close()
