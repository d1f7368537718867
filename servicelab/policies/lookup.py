"""The conversation between a resolver, which decides when to ask who there is, and a driver, which asks.

It is that of :mod:`servicelab.policies.script`, with one more question:

| question                              | the driver                                       | its answer           |
|---------------------------------------|--------------------------------------------------|----------------------|
| Lookup(service, timeout, index, wait) | asks a registry or a name server                 | a :class:`Found`     |
| Sleep(delay)                          | does nothing for so long                         | ``Answer("slept")``  |

An instance may be anything that can be compared and hashed: a name in a simulation, an address in life. The same
resolver is driven by :func:`find` on a thread and by :func:`sim_find` in SimPy. Nothing is raised for a source that
does not answer: that is a ``Found`` with a status other than "ok".
"""

import time
from typing import NamedTuple

from servicelab.arguments import in_reach
from servicelab.policies.script import SLEPT, Answer, Sleep


class Lookup(NamedTuple):
    """Ask who there is of ``service``, and give up after ``timeout`` seconds.

    ``index`` None: answer at once. Otherwise it is a blocking query, as Consul has it: answer when the index of the
    service has grown beyond ``index``, or after ``wait`` seconds all the same.
    """

    service: str
    timeout: float
    index: int | None = None
    wait: float | None = None


class Found(NamedTuple):
    """What the source said: ``status`` "ok" or how it failed, ``at`` seconds; the healthy ``instances``; the ``index``
    of this answer and for how long it may be kept (``ttl``, seconds), each None if the source does not say."""

    status: str
    at: float
    instances: tuple = ()
    index: int | None = None
    ttl: float | None = None


class Told:
    """A policy that does what ``policy`` does, and calls ``tell(found)`` whenever that has taken in an answer."""

    def __init__(self, policy, tell):
        self.policy, self.tell = policy, tell

    def __repr__(self):
        return f"Told({self.policy!r})"

    def script(self, now: float):
        script, answer = self.policy.script(now), None
        try:
            while True:
                try:
                    question = script.send(answer)
                except StopIteration as end:
                    return end.value
                finally:  # the policy has done with the answer, whatever it says next
                    if isinstance(answer, Found):
                        self.tell(answer)
                answer = yield question
        finally:
            script.close()


def find(policy, ask, clock=time.monotonic, sleep=time.sleep) -> str:
    """Run ``policy`` on this thread and return what its script returns.

    ``ask(lookup)`` returns a :class:`Found`; its ``at`` is replaced by ``clock()``. What ``ask`` or ``sleep`` raises is
    passed on, and ends the script: that is how a watch, which has no end of its own, is stopped.
    """
    script = policy.script(clock())
    answer = None
    try:
        while True:
            try:
                question = script.send(answer)
            except StopIteration as end:
                return end.value
            if isinstance(question, Sleep):
                sleep(in_reach(question.delay))
                answer = Answer(SLEPT, clock())
            else:
                answer = _found(ask(question._replace(timeout=in_reach(question.timeout))))._replace(at=clock())
    finally:
        script.close()


def sim_find(env, policy, ask):
    """:func:`find` inside a SimPy process: ``state = yield from sim_find(env, policy, ask)``.

    ``ask(lookup)`` is a generator that returns a :class:`Found`; it has to give up by itself after the lookup's
    timeout.
    """
    script = policy.script(env.now)
    answer = None
    try:
        while True:
            try:
                question = script.send(answer)
            except StopIteration as end:
                return end.value
            if isinstance(question, Sleep):
                yield env.timeout(question.delay)
                answer = Answer(SLEPT, env.now)
            else:
                answer = _found((yield from ask(question)))._replace(at=env.now)
    finally:
        script.close()


def _found(answer):
    if not isinstance(answer, Found):
        raise TypeError(f'the source returned {answer!r}: it must return Found(status, at, instances), status "ok"')
    return answer
