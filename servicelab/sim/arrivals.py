"""Where requests come from: the open loop and the closed loop.

In an open loop requests come when they come (:func:`poisson`, :func:`replay`): a slow system does not
keep them away, and what waits, waits. In a closed loop (:func:`users`) everybody sends the next request
only after the answer to the last: a slow system is asked less. The two measure different things, and
most load generators are closed loops that are read as open ones.
"""

import math

from servicelab.arguments import positive, whole
from servicelab.sim.call import Call
from servicelab.sim.journeys import Journeys
from servicelab.sim.message import Message
from servicelab.sim.pause import Pause
from servicelab.sim.place import require_law, require_place


def poisson(env, rate, place, draws, *, count=None, until=None, name="arrivals", label="request") -> Journeys:
    """Send requests to ``place`` at random: ``rate`` requests/s on average, each independent of the others.

    Stops after ``count`` requests or at ``until`` seconds, whichever comes first. The gaps are exponential, from
    the stream ``name`` of ``draws``. Many independent users make a Poisson stream (Palm and Khinchin's theorem).
    Returns the journeys, which fill up as the simulation runs.

    Raises ValueError for a rate that is not above 0, and when neither ``count`` nor ``until`` is given.
    """
    rate = positive("rate", rate, "requests/s")
    require_place("place", place)
    count, until = _bounds(count, until)
    gap = draws.exponential(name, 1 / rate)
    journeys, message = Journeys(), Message(label)

    def arrive(pause):
        if env._now < until:  # env.now is a property, and a slow one
            request = _Request(env, place, message, journeys)
            if request._number + 1 < count:
                Pause(env, gap()).callbacks.append(arrive)

    Pause(env, gap()).callbacks.append(arrive)
    return journeys


def replay(env, due, place, *, label="request") -> Journeys:
    """Send a request to ``place`` at each of the times ``due`` (seconds, in ascending order): a run once more.

    Returns the journeys. Raises ValueError if the times go backwards or begin before ``env.now``.
    """
    due = [float(at) for at in due]
    require_place("place", place)
    for before, at in zip([env.now, *due], due):
        if not before <= at < math.inf:
            raise ValueError(f"due={at!r} after {before!r} must be ascending, finite seconds from env.now on")
    journeys, message = Journeys(), Message(label)

    def arrive():
        for at in due:
            yield env.timeout(max(0.0, at - env.now))
            _Request(env, place, message, journeys)

    env.process(arrive())
    return journeys


def users(env, n, think, place, *, count=None, until=None, label="request") -> Journeys:
    """``n`` users: each thinks for ``think`` seconds (a number or a law), asks, waits for the answer, and so on.

    All together stop after ``count`` requests, or nobody asks again from ``until`` seconds on. The users' first
    thoughts are of graded length, so that they do not march in step. Returns the journeys; ``due`` is when the
    user asked.

    Raises ValueError for less than one user, a negative time to think, and when neither bound is given; during the
    run RuntimeError if a user is answered in no time and thinks for none, because then time would stand still.
    """
    whole("n", n)
    think = require_law("think", think)
    require_place("place", place)
    count, until = _bounds(count, until)
    journeys, message = Journeys(), Message(label)

    def use(phase):
        yield env.timeout(think() * phase)
        while len(journeys) < count and env.now < until:
            asked = env.now
            yield from journeys.follow(env, place, message)
            yield env.timeout(think())
            if env.now == asked:
                raise RuntimeError("a user was answered in 0 s and thought for 0 s: give think more than 0 seconds")

    for number in range(n):
        env.process(use((number + 0.5) / n))
    return journeys


class _Request(Call):
    """A request that nobody waits for; its journeys note when it ends."""

    def __init__(self, env, place, message, journeys):
        self._place, self._journeys = place, journeys
        self._number = journeys.began(env._now)
        Call.__init__(self, env, place.call(message))

    def _ended(self, status):
        self._journeys.ended(self._number, self.env._now, status, self._place)


def _bounds(count, until):
    if count is None and until is None:
        raise ValueError("count=None, until=None: give a bound, count=1000 requests or until=60 seconds")
    if count is not None:
        whole("count", count)
    if until is not None and until != math.inf:
        positive("until", until, "seconds")
    return math.inf if count is None else count, math.inf if until is None else until
