"""The same question to several servers, when the first is slow to answer.

Of a hundred answers ninety-five come quickly, and nobody knows why the rest take so long: a pause, a queue, a
neighbour. Whoever asks a second server after the time that the ninety-five took meets two slow ones only once in four
hundred calls, and pays five calls in a hundred for it.

Rules:

1. The first attempt begins at once. Each further one begins ``delay`` seconds after the one before, if no answer has
   come, until there are ``most``.
2. A failure that another attempt may mend (``hedge_on``) does not end the call; the next attempt begins at once.
3. The first OK is the answer of the call. So is the first failure that is not in ``hedge_on``.
4. When all have failed, the call ends with the failure that came last.
5. Attempts that are under way when the call ends are abandoned. A server that cannot be told works on for nobody.

Sources: J. Dean, L. A. Barroso, "The Tail at Scale", Communications of the ACM 56(2), 2013 (a hedge after the 95th
percentile of latency adds about 5% of load); gRPC proposal A6, "Hedging Policy": ``maxAttempts`` is ``most``,
``hedgingDelay`` is ``delay``, ``nonFatalStatusCodes`` is ``hedge_on``.
"""

from servicelab import arguments
from servicelab.policies import parts
from servicelab.policies.budget import RetryBudget
from servicelab.policies.retry import RETRYABLE
from servicelab.policies.script import WAITED, Await, Script, Start
from servicelab.policies.timeout import Timeout


class Hedge:
    """Up to ``most`` attempts at once, each begun when the one before has had ``delay`` seconds; the first OK wins.

    | setting  | default   | unit     | consequence                                                                    |
    |----------|-----------|----------|--------------------------------------------------------------------------------|
    | inner    | none      | Timeout  | how long each attempt may take. It has to be a plain Timeout: what is to hold  |
    |          |           |          | for all attempts together (Retry, Deadline, a breaker) goes around the hedge   |
    | delay    | none      | seconds  | about the 95th percentile of latency; shorter asks more servers for less gain, |
    |          |           |          | 0 asks ``most`` servers every time                                             |
    | most     | 2         | attempts | all of them, the first included. gRPC allows no more than 5                    |
    | budget   | None      | retries  | a RetryBudget that each further attempt takes a token from; without a token the|
    |          |           |          | call waits for what is under way. It keeps hedges from burying a slow service  |
    | hedge_on | RETRYABLE | statuses | TIMEOUT, REFUSED, LOST, ERROR; any other failure ends the call                 |

    A hedge asks twice: only what may be done twice may be hedged. The first copy is not taken back by the second, so a
    service that is slow because it is *full* gets more work; that is what the budget is for. If a Retry stands around
    it, give the budget to one of the two: both would deposit for the same call.

    The default of ``most`` is the smallest hedge there is, as in "The Tail at Scale". Raises ValueError for ``most``
    < 2, a negative ``delay``, and a ``delay`` that the attempt does not live to see; TypeError for an argument of the
    wrong kind.
    """

    def __init__(
        self, inner: Timeout, delay: float, most: int = 2, budget: RetryBudget | None = None, hedge_on=RETRYABLE
    ):
        if not isinstance(inner, Timeout):
            raise TypeError(
                f"inner={inner!r} must be a Timeout, such as Timeout(0.5): put other policies around the "
                "hedge, as in Retry(Hedge(Timeout(0.5), delay=0.05))"
            )
        self.inner = inner
        self.delay = arguments.not_negative("delay", delay, "seconds", "0 begins all attempts at once")
        if inner.seconds is not None and delay >= inner.seconds:
            raise ValueError(
                f"delay={delay} must be < {inner.seconds} seconds, the timeout of an attempt: later there "
                "is nothing left to hedge, and a Retry says the same with fewer words"
            )
        self.most = arguments.whole("most", most, "one attempt alone is no hedge, use its Timeout", least=2)
        self.budget = parts.budget(budget)
        self.hedge_on = parts.statuses("hedge_on", hedge_on)

    def __repr__(self):
        return f"Hedge({self.inner!r}, delay={self.delay}, most={self.most}, budget={self.budget!r})"

    def script(self, now: float) -> Script:
        if self.budget is not None:
            self.budget.deposit(now)
        timeout, under_way, left = self.inner.seconds, 1, self.most - 1
        yield Start(timeout, anew=True)
        while under_way:
            answer = yield Await(self.delay if left else None)
            if answer.status != WAITED:
                under_way -= 1
                status = answer.status
                if status not in self.hedge_on:
                    break  # OK, or what another attempt will not mend
            if left:
                if self._may_hedge(answer.at):
                    left -= 1
                    under_way += 1
                    yield Start(timeout)
                else:
                    left = 0
        return status

    def _may_hedge(self, now):
        return self.budget is None or self.budget.withdraw(now)
