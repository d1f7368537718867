"""Time that passes: what ``env.timeout`` says, at a lower price."""

from heapq import heappush

from simpy.events import NORMAL


class Pause:
    """``yield Pause(env, 0.1)`` is ``yield env.timeout(0.1)``, for the places that all requests go through.

    It takes the same place in the environment's queue and happens in the same order. It saves the call of
    ``env.schedule``, by doing here what that does, and the attributes that nobody asks a timeout for. There is no
    ``pause | event``, and it has no value. Raises ValueError for negative ``seconds``.
    """

    __slots__ = ("callbacks",)

    _ok, _value = True, None

    def __init__(self, env, seconds):
        if seconds < 0:
            raise ValueError(f"Negative delay {seconds}")
        self.callbacks = []
        heappush(env._queue, (env._now + seconds, NORMAL, next(env._eid), self))
