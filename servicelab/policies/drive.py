"""Three drivers: they ask a policy what to do, and do it.

Rules, the same for all three:

1. ``attempt(timeout, number)`` makes one attempt, number 1, 2, …, and reports how it ended instead of raising. It has
   to give up by itself after ``timeout`` seconds (None: never); no driver can stop a blocking call from outside.
2. An exception out of an attempt is a mistake in the program, not an answer: it ends the call and is passed on.
3. The policy's script is closed however the call ends, and attempts that are still under way are abandoned.
4. The value of a call is that of the last attempt whose end the policy heard of.
5. Nothing waits for longer than :data:`~servicelab.arguments.LONGEST` seconds, which is as good as for ever.

Attempts under way at once (Start, Await) are the subject of :mod:`servicelab.policies.race`; a call whose policy never
starts one never comes near it.
"""

import asyncio
import time
from functools import partial
from typing import Any, NamedTuple

from servicelab.arguments import in_reach
from servicelab.policies.race import Events, Tasks, Threads
from servicelab.policies.script import SLEPT, STARTED, WAITED, Answer, Await, Policy, Sleep, Start, Try

#: Makes an Answer or a Result of a tuple, at half the price of calling the class.
_of = tuple.__new__


class Result(NamedTuple):
    """How a call ended: the policy's ``status``, the ``value`` of the last attempt (None without one), and the number
    of ``attempts``."""

    status: str
    value: Any
    attempts: int


def call(policy: Policy, attempt, clock=time.monotonic, sleep=time.sleep, race=Threads) -> Result:
    """Make a call on this thread. ``attempt(timeout, number)`` returns ``(status, value)``.

    ``clock()`` gives seconds, ``sleep(seconds)`` waits, and ``race(attempt)`` runs the attempts of a policy that starts
    several at once. Raises TypeError when the attempt returns no pair.
    """
    script = policy.script(clock())
    answer, value, attempts, running = None, None, 0, None
    try:
        while True:
            try:
                question = script.send(answer)
            except StopIteration as end:
                return _of(Result, (end.value, value, attempts))
            if isinstance(question, Try):
                attempts += 1
                outcome = attempt(in_reach(question.timeout), attempts)
                status, value = outcome if type(outcome) is tuple and len(outcome) == 2 else _pair(outcome)
            elif isinstance(question, Sleep):
                sleep(in_reach(question.delay))
                status = SLEPT
            elif isinstance(question, Start):
                attempts += 1
                running = _start(running or race(attempt), question, attempts)
                status = STARTED
            else:
                running = running or race(attempt)
                outcome = running.next(in_reach(_limit(question)))
                status, value = (WAITED, value) if outcome is None else _pair(outcome)
            answer = _of(Answer, (status, clock()))
    except BaseException:
        script.close()
        raise
    finally:
        if running is not None:
            running.abandon()


async def acall(policy: Policy, attempt, clock=time.monotonic, sleep=asyncio.sleep) -> Result:
    """Make a call in asyncio: :func:`call`, with an ``attempt`` and a ``sleep`` that are awaited."""
    script = policy.script(clock())
    answer, value, attempts, running = None, None, 0, None
    try:
        while True:
            try:
                question = script.send(answer)
            except StopIteration as end:
                return _of(Result, (end.value, value, attempts))
            if isinstance(question, Try):
                attempts += 1
                status, value = _pair(await attempt(in_reach(question.timeout), attempts))
            elif isinstance(question, Sleep):
                await sleep(in_reach(question.delay))
                status = SLEPT
            elif isinstance(question, Start):
                attempts += 1
                running = _start(running or Tasks(attempt), question, attempts)
                status = STARTED
            else:
                running = running or Tasks(attempt)
                outcome = await running.next(in_reach(_limit(question)))
                status, value = (WAITED, value) if outcome is None else _pair(outcome)
            answer = _of(Answer, (status, clock()))
    except BaseException:
        script.close()
        raise
    finally:
        if running is not None:
            running.abandon()


def sim_call(env, policy: Policy, attempt, begin=None):
    """Make a call inside a SimPy process: ``status = yield from sim_call(env, policy, attempt)``.

    ``attempt(timeout, number)`` returns a generator that ends with a status, which is run inside this process, or an
    event that will have the status as its value. Time is ``env.now``. A policy that starts several attempts at once has
    each begun by ``begin(timeout, number)``, which returns such an event: without ``begin``, a process. An abandoned
    one runs to its end, as a service does whose caller has gone; if the event has a method ``abandon`` it is called.
    Raises TypeError when an attempt ends without a status.
    """
    return _OneCall(env, policy, attempt, begin).drive(None)


class SimCaller:
    """:func:`sim_call` as a base class, for those who make many calls: ``status = yield from caller.drive(message)``.

    It needs the attributes ``env`` and ``policy``, and makes its attempts by the methods ``attempt`` and ``begin``,
    which are told the message, too.
    """

    def attempt(self, message, timeout, number):
        raise NotImplementedError

    def begin(self, message, timeout, number):
        return self.env.process(self.attempt(message, timeout, number))

    def drive(self, message):
        env, script = self.env, self.policy.script(self.env._now)  # env.now is a property, and too slow for every call
        answer, attempts, running = None, 0, None
        try:
            while True:
                try:
                    question = script.send(answer)
                except StopIteration as end:
                    return end.value
                if isinstance(question, Try):
                    attempts += 1
                    under_way = self.attempt(message, question.timeout, attempts)
                    if hasattr(under_way, "callbacks"):  # an event
                        try:
                            status = yield under_way
                        except Exception:  # interrupted: nobody waits for this answer any more
                            _abandon(under_way)
                            raise
                    else:
                        status = yield from under_way
                    if status is None:
                        raise TypeError('the attempt ended with None: it must return a status, such as "ok"')
                elif isinstance(question, Sleep):
                    yield env.timeout(question.delay)
                    status = SLEPT
                elif isinstance(question, Start):
                    attempts += 1
                    running = running or Events(env, partial(self.begin, message))
                    _start(running, question, attempts)
                    status = STARTED
                else:
                    limit = _limit(question)
                    running = running or Events(env, None)
                    status = (yield from running.next(limit)) or WAITED
                answer = _of(Answer, (status, env._now))
        except BaseException:
            script.close()
            raise
        finally:
            if running is not None:
                running.abandon()


class _OneCall(SimCaller):
    """The call of :func:`sim_call`, which has no message."""

    def __init__(self, env, policy, attempt, begin):
        self.env, self.policy, self._attempt, self._begin = env, policy, attempt, begin

    def attempt(self, message, timeout, number):
        return self._attempt(timeout, number)

    def begin(self, message, timeout, number):
        return self._begin(timeout, number) if self._begin else super().begin(message, timeout, number)


def _abandon(event):
    if hasattr(event, "abandon"):
        event.abandon()


def _pair(outcome):
    if not (isinstance(outcome, tuple) and len(outcome) == 2):
        raise TypeError(f'the attempt returned {outcome!r}: it must return (status, value), such as ("ok", reply)')
    return outcome


def _start(running, question, number):
    if question.anew:
        running.abandon()
    running.start(in_reach(question.timeout), number)
    return running


def _limit(question):
    if not isinstance(question, Await):
        raise TypeError(
            f"the policy said {question!r}: a script may yield Try(timeout) or Sleep(delay) only, and to "
            "race attempts Start(timeout) and Await(limit)"
        )
    return question.limit
