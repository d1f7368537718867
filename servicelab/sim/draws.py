"""Random numbers that stay comparable: one stream for each law.

Move one slider and compare the two pictures. If both runs took their numbers from one common
stream, the first extra draw would shift all that follow, and you would compare two accidents. Here
every law has a stream of its own, made from the seed and the law's name, so a change to one law
leaves the draws of all others where they were. A law also scales its underlying draws by its
parameters: a service that becomes twice as slow is slow on the same requests. These are *common
random numbers* (Law and Kelton, Simulation Modeling and Analysis, chapter 11): the difference of
two runs varies far less than either.
"""

import hashlib
import math
import random
from collections.abc import Callable

import numpy as np

from servicelab.arguments import not_negative, positive, seconds, share, text, whole

#: Drawing one number from numpy is slow, drawing a thousand is not.
BLOCK = 1024


class Law:
    """A source of numbers: ``law()`` gives the next one, ``law.sample(n)`` the next ``n`` as an array.

    Both take from the same stream, in the same order. Made by :class:`Draws`.
    """

    __slots__ = ("text", "_make", "_left")

    def __init__(self, text: str, make: Callable[[int], np.ndarray]):
        self.text = text
        self._make = make
        self._left: list = []  # the rest of the block, the next number last

    def __call__(self):
        try:
            return self._left.pop()
        except IndexError:
            self._left = self._make(BLOCK)[::-1].tolist()
            return self._left.pop()

    def sample(self, n: int) -> np.ndarray:
        """The next ``n`` numbers. Raises ValueError if ``n`` is negative."""
        if n < 0:
            raise ValueError(f"n={n} must be >= 0 numbers")
        if not self._left:
            return self._make(n)
        first = self._left[::-1][:n]
        del self._left[len(self._left) - len(first) :]
        return np.concatenate([np.array(first), self._make(n - len(first))])

    def __repr__(self):
        return f"<law {self.text}>"


class Draws:
    """All the random numbers of one run.

    ``seed`` is any integer; the same seed gives the same numbers on every machine with the same
    numpy. Take one Draws for each run, and give each law a name of its own: asking twice for one
    name raises ValueError, because two laws on one stream would repeat each other's numbers.

    Parameters that are no numbers in range raise ValueError and are quoted.
    """

    def __init__(self, seed: int = 1):
        self.seed = whole("seed", seed, least=None)
        self._names: set[str] = set()

    # -- laws of time, in seconds -----------------------------------------------------------

    def constant(self, name: str, value: float) -> Law:
        """Always ``value`` seconds (>= 0)."""
        self._claim(name)
        value = seconds("value", value)
        return Law(f"{name}: always {value:g} s", lambda n: np.full(n, value))

    def exponential(self, name: str, mean: float) -> Law:
        """Exponential with ``mean`` seconds (> 0): the law without memory, the first M and the second of M/M/1."""
        mean = positive("mean", mean, "seconds")
        rng = self._stream(name)
        return Law(f"{name}: exponential, mean {mean:g} s", lambda n: rng.standard_exponential(n) * mean)

    def uniform(self, name: str, low: float, high: float) -> Law:
        """Anything from ``low`` to ``high`` seconds (0 <= low <= high), equally likely."""
        low, high = seconds("low", low), seconds("high", high)
        if high < low:
            raise ValueError(f"high={high:g} must be >= low={low:g}")
        rng = self._stream(name)
        return Law(f"{name}: uniform, {low:g} to {high:g} s", lambda n: low + rng.random(n) * (high - low))

    def lognormal(self, name: str, mean: float, scv: float) -> Law:
        """Lognormal with ``mean`` seconds (> 0) and squared coefficient of variation ``scv`` (variance / mean², >= 0).

        The long tail of real service times. ``scv`` 1 varies as much as the exponential, 0 not at all.
        Its logarithm is normal with variance ln(1 + scv).
        """
        mean, scv = positive("mean", mean, "seconds"), not_negative("scv", scv, "of variance / mean²")
        sigma = math.sqrt(math.log1p(scv))
        rng = self._stream(name)

        def make(n):
            return mean * np.exp(sigma * rng.standard_normal(n) - sigma * sigma / 2)

        return Law(f"{name}: lognormal, mean {mean:g} s, scv {scv:g}", make)

    def normal(self, name: str, mean: float, sd: float) -> Law:
        """Normal with ``mean`` and standard deviation ``sd`` seconds (both >= 0); a draw below zero counts as zero."""
        mean, sd = seconds("mean", mean), seconds("sd", sd)
        rng = self._stream(name)
        return Law(
            f"{name}: normal, mean {mean:g} s, sd {sd:g} s",
            lambda n: np.maximum(mean + sd * rng.standard_normal(n), 0.0),
        )

    # -- other laws -------------------------------------------------------------------------

    def bernoulli(self, name: str, p: float) -> Law:
        """True with probability ``p`` (0 to 1), else False. What was True stays True when ``p`` grows."""
        p = share("p", p)
        rng = self._stream(name)
        return Law(f"{name}: true with probability {p:g}", lambda n: rng.random(n) < p)

    def rng(self, name: str) -> random.Random:
        """A ``random.Random`` on a stream of its own, for a policy that asks for one (jitter, a balancer)."""
        self._claim(name)
        return random.Random(self._key(name))

    # ---------------------------------------------------------------------------------------

    def _stream(self, name):
        self._claim(name)
        return np.random.default_rng(self._key(name))

    def _claim(self, name):
        text("name", name, "it names the law's stream, such as 'work'")
        if name in self._names:
            raise ValueError(f"name={name!r} is taken: give each law its own name, and each run a fresh Draws(seed)")
        self._names.add(name)

    def _key(self, name):
        # A hash, so that streams of neighbouring seeds and similar names have nothing in common.
        return int.from_bytes(hashlib.sha256(f"{self.seed} {name}".encode()).digest()[:16])

    def __repr__(self):
        return f"Draws(seed={self.seed})"
