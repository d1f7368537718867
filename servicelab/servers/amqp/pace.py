"""When to let a client go on before its socket is read again: what network cards call interrupt coalescing.

A client that publishes and waits for nothing sends a message every 30 µs. To wake up for each of them costs more than
the message does, and in a notebook, where client and broker share one interpreter lock, every waking also takes the
lock from a client in full stride. So the socket of such a client rests for a millisecond, and what has come by then is
read at once. A rest begins only after a run of reads that nobody waits for an answer to. So the price is small: who
ends such a stream with a question may get the answer a millisecond later, once.
"""

REST = 0.001  # seconds, the least that asyncio's epoll waits; also how soon reads must follow one another to be a run
RUN = 16  # reads that answered nobody before the first rest
FULL = 16 * 1024  # bytes: a read this long has brought enough; to rest would only fill the socket's buffer
#: Unacknowledged messages on a channel. With so many in hand a client has work for more than a millisecond (pika needs
#: 30 µs for each): it is not waiting for the one that is being delivered.
PLENTY = 64


class Pace:
    """The pace of one connection."""

    __slots__ = ("_last", "_run")

    def __init__(self):
        self._last = 0.0  # when it was read; the end of its rest, if it rested then
        self._run = 0

    def rests(self, now: float, size: int, answered: bool) -> bool:
        """Whether to rest after a read of ``size`` bytes at ``now`` (seconds).

        ``answered``: it made the broker say something that somebody may be waiting for.
        """
        self._run = 0 if answered or now - self._last > REST else self._run + 1
        rest = self._run >= RUN and size < FULL
        self._last = now + REST if rest else now
        return rest
