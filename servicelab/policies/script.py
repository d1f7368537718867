"""The conversation between a policy, which decides, and a driver, which acts.

Rules:

1. ``policy.script(now)`` returns a fresh generator for one call. ``now`` is the driver's clock, in seconds.
2. The generator yields what to do next, one of these:

| question       | the driver                                            | the status of its answer                    |
|----------------|-------------------------------------------------------|---------------------------------------------|
| Try(timeout)   | makes an attempt and waits for its end                | that of the attempt                         |
| Sleep(delay)   | does nothing for so long                              | ``SLEPT``                                   |
| Start(timeout) | begins an attempt and goes on at once                 | ``STARTED``                                 |
| Await(limit)   | waits for the next end of an attempt that was started | that of the attempt, or ``WAITED`` if none  |
|                |                                                       | has ended after ``limit`` seconds           |

3. The driver does it and sends back ``Answer(status, at)``: how it ended, and the time at which it ended.
4. The generator's return value is the status of the call.
5. A driver that gives up in the middle (interrupt, exception) closes the generator.
6. Attempts that were started and have not been awaited when the script ends are abandoned: cancelled where that is
   possible, and in any case nobody hears of them again. ``Start(timeout, anew=True)`` abandons them, too. Ends are
   awaited in the order in which they came; to Await when nothing is under way is a mistake in the policy.

A policy around another policy runs the inner script and may change, add or leave out questions on their way out.
One script belongs to one call; a policy object serves many calls at once and keeps what they share behind a lock.
"""

from collections.abc import Generator
from typing import NamedTuple, Protocol

SLEPT = "slept"
STARTED = "started"
WAITED = "waited"


class Try(NamedTuple):
    """Attempt the call, and give up after ``timeout`` seconds (None: wait for ever)."""

    timeout: float | None


class Sleep(NamedTuple):
    """Do nothing for ``delay`` seconds."""

    delay: float


class Start(NamedTuple):
    """Begin an attempt, to be given up after ``timeout`` seconds (None: never), and go on at once.

    ``anew`` abandons what was started before: its answers belong to a question that is settled.
    """

    timeout: float | None
    anew: bool = False


class Await(NamedTuple):
    """Wait for the next end of a started attempt, at most ``limit`` seconds (None: for ever)."""

    limit: float | None


class Answer(NamedTuple):
    """What a question came to: its ``status``, and the time ``at`` which it ended (seconds)."""

    status: str
    at: float


Question = Try | Sleep | Start | Await
Script = Generator[Question, Answer, str]


class Policy(Protocol):
    """Anything with a ``script``."""

    def script(self, now: float) -> Script: ...


def follow(policy: Policy, now: float):
    """Run ``policy``'s script unchanged inside another: ``status, now = yield from follow(inner, now)``.

    Besides the status it returns the time of the last answer, which the outer script needs to go on with.
    """
    script = policy.script(now)
    answer = None
    try:
        while True:
            try:
                question = script.send(answer)
            except StopIteration as end:
                return end.value, now
            answer = yield question
            now = answer.at
    finally:
        script.close()
