"""Shards: a backend whose data are divided, so that only one place can answer for a key."""

import zlib

from servicelab.sim.place import require_place


class Shards:
    """Passes each message to the one of ``places`` that has its key.

    A balancer may send a message anywhere, shards may not: if the place is down, nobody else can answer. ``key``
    says what the key of a message is, by default its label, so that each user's requests are a stream of their own::

        client = Client(env, Shards(env, [Service(env, f"shard {n}", 0.01) for n in range(4)]), policy)
        for user in ("ann", "ben", "eve"):
            journeys[user] = poisson(env, 2.0, client, draws, until=60, name=user, label=user)

    Whoever stands *before* the shards sees them as one backend: a circuit breaker there counts the failures of the
    dead shard against all, ``Client(env, Shards(env, shards), breaker)``. One *behind* them sees its own shard only:
    ``Shards(env, [Client(env, shard, breaker()) for shard in shards])``.

    A whole number as key is taken modulo the number of shards; anything else is hashed as text (CRC-32, which unlike
    Python's ``hash`` is the same in every run). Raises ValueError if there are no places, TypeError if one is none.
    """

    def __init__(self, env, places, key=None, name="shards"):
        self.env = env
        self.places = [require_place("place", place) for place in places]
        if not self.places:
            raise ValueError(f"places={places!r} must hold at least one place: a message has to go somewhere")
        if key is not None and not callable(key):
            raise TypeError(f"key={key!r} must be a function of a message, such as lambda message: message.label")
        self.key = key
        self.name = name

    def shard_of(self, key) -> int:
        """The index of the place that has ``key``."""
        if not isinstance(key, int):
            key = zlib.crc32(str(key).encode())
        return key % len(self.places)

    def call(self, message):
        """Pass ``message`` to the shard of its key; returns the status it answers with."""
        key = message.label if self.key is None else self.key(message)
        return (yield from self.places[self.shard_of(key)].call(message))
