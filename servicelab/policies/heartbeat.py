"""Is the other side still there? A connection that carries nothing looks exactly like one whose peer has vanished.

Rules:

1. Anything that is heard proves life: a pong, and data as well. ``heard(now)`` says so.
2. When nothing was sent or heard for ``interval`` seconds, a ping is *due*. Whoever sends it says ``pinged(now)``.
3. When nothing was heard for ``timeout`` seconds, the peer counts as dead. It stays dead: a connection that was given
   up is closed, and the next one gets a fresh heartbeat.
4. ``wait(now)`` is how many seconds until one of these could change: sleep so long, or wait so long for data.

A peer that dies at a random moment was last heard up to ``interval`` before, so it is found ``timeout - interval`` to
``timeout`` seconds after its death (plus a round trip): see ``theory.silence_window``. A ping that travels in a
thread of its own, or is answered by a proxy or by the operating system (TCP keep-alive), proves that *it* lives. Who
wants to know whether the application does, lets the application answer.

Source of the scheme: RFC 6455, section 5.5.2 (ping and pong), AMQP 0-9-1, section 4.2.7, which takes two missed
intervals as the timeout.
"""

import math

from servicelab import arguments
from servicelab.policies.moments import onward, reached


class Heartbeat:
    """Pings and the patience with their answers, for one connection.

    | setting  | default           | unit      | consequence                                                         |
    |----------|-------------------|-----------|---------------------------------------------------------------------|
    | interval | none              | seconds   | silence after which to ping; idle, that is 1/interval pings/s       |
    | timeout  | misses × interval | seconds   | silence after which the peer is dead; must be above ``interval``    |
    | misses   | 2                 | intervals | instead of ``timeout``: how many intervals of silence are too many  |

    ``now`` is when the connection was opened. Raises ValueError for a timeout that is not above the interval (every
    peer would be dead before its first pong), and for timeout and misses together; TypeError for what is no number.
    """

    def __init__(self, interval: float, timeout: float | None = None, *, misses: float | None = None, now: float = 0.0):
        self.interval = interval = arguments.positive(
            "interval", interval, "seconds", "the silence after which to ping"
        )
        if timeout is not None and misses is not None:
            raise ValueError(f"timeout={timeout}, misses={misses}: give one of them; the timeout is misses × interval")
        if timeout is None:
            misses = 2 if misses is None else misses
            timeout = interval * arguments.positive("misses", misses, "intervals", "2 is usual")
        self.timeout = arguments.positive("timeout", timeout, "seconds", "the silence after which the peer is dead")
        if timeout <= interval:
            raise ValueError(
                f"timeout={timeout} must be > interval={interval} (seconds): a peer that nobody has asked yet "
                "would count as dead"
            )
        self.pings = 0
        self.start(now)

    def __repr__(self):
        return f"Heartbeat({self.interval}, {self.timeout})"

    def start(self, now: float) -> None:
        """A new connection: the peer lives, as of ``now``."""
        self._heard = self._busy = self._latest = now
        self._dead = False

    def heard(self, at: float) -> None:
        """Something came at ``at``: a pong, or data. That may be long before the latest time: somebody looks only now.
        What comes from a peer that was declared dead is too late."""
        if not self.is_dead(max(at, self._latest)):
            self._heard, self._busy = max(self._heard, at), max(self._busy, at)

    def pinged(self, now: float) -> None:
        """A ping was sent."""
        self.pings += 1
        self._busy = self._latest = onward(now, self._latest)

    def is_due(self, now: float) -> bool:
        """Is it time for a ping?"""
        return not self.is_dead(now) and reached(self._latest, self._busy + self.interval)

    def is_dead(self, now: float) -> bool:
        """Has the peer been silent for too long?"""
        self._latest = onward(now, self._latest)
        self._dead = self._dead or reached(self._latest, self._heard + self.timeout)
        return self._dead

    def wait(self, now: float) -> float:
        """Seconds until the next ping is due or the peer is dead, whichever comes first; inf when it is dead."""
        if self.is_dead(now):
            return math.inf
        return max(0.0, min(self._busy + self.interval, self._heard + self.timeout) - self._latest)
