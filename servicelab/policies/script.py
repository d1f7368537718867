"""The conversation between a policy, which decides, and a driver, which acts.

Rules:

1. ``policy.script(now)`` returns a fresh generator for one call. ``now`` is the driver's clock, in seconds.
2. The generator yields what to do next: ``Try(timeout)`` or ``Sleep(delay)``.
3. The driver does it and sends back ``Answer(status, at)``: how it ended, and the time at which it ended. The answer
   to a Sleep has the status ``SLEPT``.
4. The generator's return value is the status of the call.
5. A driver that gives up in the middle (interrupt, exception) closes the generator.

A policy around another policy runs the inner script and may change, add or leave out questions on their way out.
One script belongs to one call; a policy object serves many calls at once and keeps what they share behind a lock.
"""

from collections.abc import Generator
from typing import NamedTuple, Protocol

SLEPT = "slept"


class Try(NamedTuple):
    """Attempt the call, and give up after ``timeout`` seconds (None: wait for ever)."""

    timeout: float | None


class Sleep(NamedTuple):
    """Do nothing for ``delay`` seconds."""

    delay: float


class Answer(NamedTuple):
    """What a Try or a Sleep came to: its ``status``, and the time ``at`` which it ended (seconds)."""

    status: str
    at: float


Script = Generator[Try | Sleep, Answer, str]


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
