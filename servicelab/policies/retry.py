"""Further attempts after a failure."""

from servicelab import arguments
from servicelab.policies import parts
from servicelab.policies.backoff import NoBackoff
from servicelab.policies.budget import RetryBudget
from servicelab.policies.script import Policy, Script, Sleep, follow
from servicelab.policies.status import Status
from servicelab.policies.timeout import Timeout

#: The failures that may be gone at the next attempt. REJECTED is not among them: whoever turns calls away asks for
#: fewer of them. Neither is DEADLINE: the caller's time is up.
RETRYABLE = frozenset({Status.TIMEOUT, Status.REFUSED, Status.LOST, Status.ERROR})


class Retry:
    """Do what ``inner`` says, up to ``tries`` times, as long as it fails in a way that is worth another attempt.

    | setting  | default     | unit     | consequence                                                                  |
    |----------|-------------|----------|------------------------------------------------------------------------------|
    | inner    | none        | policy   | one attempt: ``Timeout(0.5)``                                                |
    | tries    | 3           | attempts | all of them, the first included; 1 never retries. In a chain of services     |
    |          |             |          | they multiply: see :func:`servicelab.theory.layered_retries`                 |
    | backoff  | NoBackoff() | seconds  | the sleep before each retry                                                  |
    | budget   | None        | retries  | None lets every call retry; a shared RetryBudget limits them all together    |
    | retry_on | RETRYABLE   | statuses | TIMEOUT, REFUSED, LOST, ERROR; after any other status the call ends          |

    The call ends with the status of its last attempt. A retry that the budget does not pay for is not made, and the
    caller gets the failure it would have retried. TIMEOUT and LOST leave open whether the work was done: retry only
    what may be done twice.

    Raises ValueError for ``tries`` < 1 and for OK in ``retry_on``; TypeError for an argument of the wrong kind.
    """

    def __init__(
        self, inner: Policy, tries: int = 3, backoff=None, budget: RetryBudget | None = None, retry_on=RETRYABLE
    ):
        self.inner = parts.policy("inner", inner)
        self.tries = arguments.whole("tries", tries, "it counts all attempts, so tries=1 never retries")
        self.backoff = NoBackoff() if backoff is None else parts.backoff(backoff)
        self.budget = parts.budget(budget)
        self.retry_on = parts.statuses("retry_on", retry_on)

    def __repr__(self):
        return f"Retry({self.inner!r}, tries={self.tries}, backoff={self.backoff!r}, budget={self.budget!r})"

    def script(self, now: float) -> Script:
        if self.budget is not None:
            self.budget.deposit(now)
        inner, status, delays = self.inner, None, None
        for number in range(self.tries):
            if number > 0:
                if status not in self.retry_on:
                    break
                if self.budget is not None and not self.budget.withdraw(now):
                    break
                delays = delays or self.backoff.delays()
                delay = next(delays)
                if delay > 0:
                    now = (yield Sleep(delay)).at
            if type(inner) is Timeout:  # what it would say, without a generator of its own
                status, now = yield inner.question
            else:
                status, now = yield from follow(inner, now)
        return status
