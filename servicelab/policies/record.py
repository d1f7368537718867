"""Record what a policy was told and what it said; replay it into a fresh policy.

A policy has no clock and no randomness but its seeded ``rng``, so whatever it said on real sockets, with real threads
and real delays, a fresh policy of the same settings and seed must say again, word for word. That is a test of a
policy in the real world which cannot fail by chance::

    recorder = Recorder(Retry(Timeout(0.5), backoff=FullJitter(0.05, 1.0, Random(7))))
    …                                        # calls from many threads: call(recorder, attempt)
    assert replay(recorder.log, Retry(Timeout(0.5), backoff=FullJitter(0.05, 1.0, Random(7)))) == recorder.log
"""

import threading
from typing import NamedTuple

from servicelab.policies import parts
from servicelab.policies.script import Answer, Policy, Question, Script

CLOSED = "closed"


class Entry(NamedTuple):
    """At ``now`` (seconds), call number ``call`` was told ``answer``, and the policy said ``question``.

    ``answer`` is None when the call begins. ``question`` is a Try, a Sleep, a Start or an Await; at the end of the call
    it is the final status, or CLOSED when the driver gave up in the middle.
    """

    call: int
    now: float
    answer: Answer | None
    question: Question | str


class Recorder:
    """A policy that behaves like the one it is put around, and keeps a ``log`` of :class:`Entry`.

    One lock covers each step of the policy and its line in the log, so the order of the log is the order in which
    concurrent calls reached what they share (a budget, an ``rng``). Raises TypeError when given no policy.
    """

    def __init__(self, policy: Policy):
        self.policy = parts.policy("policy", policy)
        self.log: list[Entry] = []
        self._calls = 0
        # Reentrant: the garbage collector may close an abandoned script while this thread holds the lock.
        self._lock = threading.RLock()

    def __repr__(self):
        return f"Recorder({self.policy!r})"

    def script(self, now: float) -> Script:
        answer, number, script = None, None, None
        ended = False
        try:
            while True:
                with self._lock:
                    if script is None:
                        script = self.policy.script(now)
                        self._calls += 1
                        number = self._calls
                    try:
                        question = script.send(answer)
                    except StopIteration as end:
                        ended = True
                        self.log.append(Entry(number, now, answer, end.value))
                        return end.value
                    self.log.append(Entry(number, now, answer, question))
                answer = yield question
                now = answer.at
        finally:
            if script is not None and not ended:
                with self._lock:
                    script.close()
                    self.log.append(Entry(number, now, None, CLOSED))


def replay(log, policy: Policy) -> list[Entry]:
    """Tell a fresh ``policy`` what ``log`` says, in its order, and return the log of that.

    Equal logs mean equal decisions. Where the policy ends a call sooner than the log, the rest of that call is
    missing from the answer; where it would go on, its last question stands against the logged status. Raises
    TypeError when given no policy.
    """
    recorder = Recorder(policy)
    scripts: dict[int, Script] = {}
    for entry in list(log):
        if entry.question == CLOSED:
            if entry.call in scripts:
                scripts.pop(entry.call).close()
            continue
        if entry.answer is None:
            scripts[entry.call] = recorder.script(entry.now)
        if entry.call not in scripts:
            continue
        try:
            scripts[entry.call].send(entry.answer)
        except StopIteration:
            del scripts[entry.call]
    replayed = list(recorder.log)  # before the scripts left over are closed: that would add lines of its own
    for script in scripts.values():
        script.close()
    return replayed
