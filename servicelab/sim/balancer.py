"""A balancer: one address, several places behind it."""

from servicelab.policies.balancer import driven
from servicelab.policies.status import Status
from servicelab.sim.place import require_place


class Balancer:
    """Passes each message to one of ``places``, as ``pick`` says.

    ``pick`` is a law of choice from ``servicelab.policies``, such as ``PowerOfTwo(rng)``: an object with the
    method ``pick(outstanding)``, which is shown how many calls are under way to each place and returns the index
    of one. The balancer counts its own calls only; what others send to the same places it does not see, as in life.
    ``outstanding`` is that list of counts. A call that is lost on the way stays in it, for its answer never comes: if
    there are lossy links behind a balancer, put a ``Client`` with a timeout before each. A law that wants to know the
    time, the key of a message (its label) or how calls ended is told (:mod:`servicelab.policies.balancer`).

    Raises ValueError if there are no places, TypeError if one of them is none or ``pick`` cannot pick, and
    IndexError when it picks a place that does not exist.
    """

    def __init__(self, env, places, pick, name="balancer"):
        self.env = env
        self.places = [require_place("place", place) for place in places]
        if not self.places:
            raise ValueError(f"places={places!r} must hold at least one place: a message has to go somewhere")
        self._pick, self._heard = driven(pick)
        self.pick = pick
        self.name = name
        self.outstanding = [0] * len(self.places)

    def call(self, message):
        """Pass ``message`` to the chosen place; returns the status it answers with."""
        begun = self.env.now
        chosen = self._pick(self.outstanding, begun, message.label)
        if not 0 <= chosen < len(self.places):
            raise IndexError(f"{self.pick!r} picked {chosen}, but the places are 0 to {len(self.places) - 1}")
        self.outstanding[chosen] += 1
        try:
            status = yield from self.places[chosen].call(message)
        except Exception:  # an interrupt, or a mistake in the place
            self.outstanding[chosen] -= 1
            raise
        self.outstanding[chosen] -= 1
        self._heard(chosen, self.env.now - begun, status == Status.OK, self.env.now)
        return status
