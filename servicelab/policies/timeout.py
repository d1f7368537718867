"""How long to wait for one attempt."""

from servicelab import arguments
from servicelab.policies.script import Script, Try


class Timeout:
    """One attempt, given up after ``seconds``. The innermost policy: every other one is put around it.

    | setting | default | unit    | consequence                                                                       |
    |---------|---------|---------|-----------------------------------------------------------------------------------|
    | seconds | none    | seconds | None waits for ever, as most clients do by default; too short, and the server     |
    |         |         |         | works for nobody; too long, and the caller's workers are all busy waiting         |

    The call ends with the status of the attempt. Giving up does not stop the server: it works on, unasked.
    Raises ValueError for ``seconds`` <= 0 and TypeError when it is no number.
    """

    def __init__(self, seconds: float | None):
        self.seconds = seconds

    @property
    def seconds(self) -> float | None:
        return self.question.timeout

    @seconds.setter
    def seconds(self, seconds):
        if seconds is not None:
            seconds = arguments.positive("seconds", seconds, "seconds", "an attempt needs time; None waits for ever")
        self.question = Try(seconds)  # all that it ever asks, so one serves all calls

    def __repr__(self):
        return f"Timeout({self.seconds})"

    def script(self, now: float) -> Script:
        answer = yield self.question
        return answer.status
