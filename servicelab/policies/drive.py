"""Three drivers: they ask a policy what to do, and do it.

Rules, the same for all three:

1. ``attempt(timeout, number)`` makes one attempt, number 1, 2, …, and reports how it ended instead of raising. It has
   to give up by itself after ``timeout`` seconds (None: never); no driver can stop a blocking call from outside.
2. An exception out of an attempt is a mistake in the program, not an answer: it ends the call and is passed on.
3. The policy's script is closed however the call ends.
"""

import asyncio
import time
from typing import Any, NamedTuple

from servicelab.policies.script import SLEPT, Answer, Policy, Sleep, Try


class Result(NamedTuple):
    """How a call ended: the policy's ``status``, the ``value`` of the last attempt (None without one), and the number
    of ``attempts``."""

    status: str
    value: Any
    attempts: int


def call(policy: Policy, attempt, clock=time.monotonic, sleep=time.sleep) -> Result:
    """Make a call on this thread. ``attempt(timeout, number)`` returns ``(status, value)``.

    ``clock()`` gives seconds and ``sleep(seconds)`` waits. Raises TypeError when the attempt returns no pair.
    """
    script = policy.script(clock())
    answer, value, attempts = None, None, 0
    try:
        while True:
            try:
                question = script.send(answer)
            except StopIteration as end:
                return Result(end.value, value, attempts)
            if isinstance(question, Try):
                attempts += 1
                status, value = _pair(attempt(question.timeout, attempts))
            else:
                sleep(_delay(question))
                status = SLEPT
            answer = Answer(status, clock())
    finally:
        script.close()


async def acall(policy: Policy, attempt, clock=time.monotonic, sleep=asyncio.sleep) -> Result:
    """Make a call in asyncio: :func:`call`, with an ``attempt`` and a ``sleep`` that are awaited."""
    script = policy.script(clock())
    answer, value, attempts = None, None, 0
    try:
        while True:
            try:
                question = script.send(answer)
            except StopIteration as end:
                return Result(end.value, value, attempts)
            if isinstance(question, Try):
                attempts += 1
                status, value = _pair(await attempt(question.timeout, attempts))
            else:
                await sleep(_delay(question))
                status = SLEPT
            answer = Answer(status, clock())
    finally:
        script.close()


def sim_call(env, policy: Policy, attempt):
    """Make a call inside a SimPy process: ``status = yield from sim_call(env, policy, attempt)``.

    ``attempt(timeout, number)`` returns a generator that ends with a status; it is run inside this process. Time is
    ``env.now``. Raises TypeError when an attempt ends without a status.
    """
    script = policy.script(env.now)
    answer, attempts = None, 0
    try:
        while True:
            try:
                question = script.send(answer)
            except StopIteration as end:
                return end.value
            if isinstance(question, Try):
                attempts += 1
                status = yield from attempt(question.timeout, attempts)
                if status is None:
                    raise TypeError('the attempt ended with None: it must return a status, such as "ok"')
            else:
                yield env.timeout(_delay(question))
                status = SLEPT
            answer = Answer(status, env.now)
    finally:
        script.close()


def _pair(outcome):
    if not (isinstance(outcome, tuple) and len(outcome) == 2):
        raise TypeError(f'the attempt returned {outcome!r}: it must return (status, value), such as ("ok", reply)')
    return outcome


def _delay(question):
    if not isinstance(question, Sleep):
        raise TypeError(f"the policy said {question!r}: a script may yield Try(timeout) or Sleep(delay) only")
    return question.delay
