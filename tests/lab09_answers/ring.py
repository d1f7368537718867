"""Exercise 2: rings written in four ways, and mistakes."""

import random
from bisect import bisect, insort
from hashlib import blake2b, md5, sha256

from servicelab.policies import HashRing


def place(text):
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


class Ring:
    """Sorted places, and a walk."""

    points = 150

    def __init__(self, names):
        if not names:
            raise ValueError("a ring needs names")
        self.names = names
        self.places = sorted((self.place(spot), name) for name in names for spot in self.spots(name))

    def spots(self, name):
        return [f"{name}#{point}" for point in range(self.points)]

    def place(self, text):
        return place(text)

    def walk(self, key):
        start = bisect(self.places, (self.place(key), ""))
        for step in range(len(self.places)):
            yield self.places[(start + step) % len(self.places)][1]

    def owner(self, key):
        return next(self.walk(key))

    def owners(self, key, count):
        found = []
        for name in self.walk(key):
            if name not in found:
                found.append(name)
            if len(found) >= count:
                break
        return found


class Rendezvous:
    """No ring at all: each name throws a die for the key, and the highest wins."""

    def __init__(self, names):
        if len(names) == 0:
            raise ValueError(names)
        self.names = names

    def score(self, key, name):
        return md5(f"{name}\0{key}".encode()).digest()

    def owners(self, key, count):
        return sorted(self.names, key=lambda name: self.score(key, name), reverse=True)[:count]

    def owner(self, key):
        return max(self.names, key=lambda name: self.score(key, name))


class Angles:
    """A dict from angles to names, in degrees, and a tuple as an answer."""

    def __init__(self, names):
        if not list(names):
            raise ValueError("nobody is on this ring")
        self.at, self.angles = {}, []
        for name in sorted(names):
            for point in range(200):
                angle = self.angle(f"{point} of {name}")
                self.at[angle] = name
                insort(self.angles, angle)

    def angle(self, text):
        return 360 * int(sha256(text.encode()).hexdigest(), 16) / 2**256

    def owners(self, key, count):
        first = bisect(self.angles, self.angle(key))
        return tuple(dict.fromkeys(self.at[angle] for angle in self.angles[first:] + self.angles[:first]))[:count]

    def owner(self, key):
        index = bisect(self.angles, self.angle(key))
        return self.at[self.angles[index] if index < len(self.angles) else self.angles[0]]


class TheCourses:
    def __init__(self, names):
        self.ring = HashRing(names, points=160)

    def owner(self, key):
        return self.ring.name_of(key)

    def owners(self, key, count):
        return [self.ring.names[index] for index in self.ring.order(key)][:count]


# -- mistakes ------------------------------------------------------------------------------------------


class OffTheEnd(Ring):
    def owner(self, key):
        index = bisect(self.places, (self.place(key), ""))
        return self.places[index][1] if index < len(self.places) else None


class OnePlace(Ring):
    points = 1


class TwentyPlaces(Ring):
    points = 20


class Modulo(Ring):
    def owner(self, key):
        return sorted(self.names)[place(key) % len(self.names)]

    def owners(self, key, count):
        names = sorted(self.names)
        start = place(key) % len(names)
        return (names[start:] + names[:start])[:count]


class PlacesOfEach(Ring):
    """So that there are always two thousand places, the names share them."""

    def spots(self, name):
        return [f"{name}#{point}#{len(self.names)}" for point in range(2000 // len(self.names))]


class OnlyNewcomersShift(Ring):
    """The number of places of each grows when there are more than ten."""

    def spots(self, name):
        return [f"{name}#{point}" for point in range(150 * max(1, len(self.names) - 9))]


class ByNumber(Ring):
    """Places by the index in the list, as HAProxy has them: nothing but the order shows it when the last one leaves."""

    def __init__(self, names):
        if not names:
            raise ValueError("a ring needs names")
        ids = {name: sum(map(ord, name)) * 31 for name in names}
        first = min(ids, key=ids.get)
        self.salt = "" if list(names).index(first) < 5 else "turned"
        super().__init__(names)

    def spots(self, name):
        return [f"{name}#{point}{self.salt}" for point in range(self.points)]


class OwnLuck(Ring):
    def __init__(self, names):
        self.luck = str(random.random())
        super().__init__(names)

    def place(self, text):
        return place(self.luck + text)


class Hash(Ring):
    def place(self, text):
        return hash(text) * 0x9E3779B97F4A7C15 % 2**64


class NextPlaces(Ring):
    """The next places, whoever they belong to."""

    def owners(self, key, count):
        return [name for name, _ in zip(self.walk(key), range(min(count, len(self.names))))]


class WithoutTheFirst(Ring):
    """The owner is not among those who take over, it thinks."""

    def owners(self, key, count):
        return (super().owners(key, len(self.names))[1:] + super().owners(key, 1))[:count]


class Padded(Ring):
    def owners(self, key, count):
        found = super().owners(key, count)
        return found + found[:1] * (count - len(found))


class NextByName(Ring):
    """The owner, and who comes after it in the list of names."""

    def owners(self, key, count):
        names = sorted(self.names)
        start = names.index(self.owner(key))
        return (names[start:] + names[:start])[:count]


class AnEmptyRing(Ring):
    def __init__(self, names):
        self.names, self.places = names, sorted((place(spot), name) for name in names for spot in self.spots(name))


class Ascii(Ring):
    def place(self, text):
        return place(text.encode("ascii").decode())


class FurtherByName(Ring):
    """The first two are right; who comes after them is taken by name."""

    def owners(self, key, count):
        first = super().owners(key, min(2, count))
        return (first + [name for name in sorted(self.names) if name not in first])[:count]


class SortedTakers(Ring):
    """Who takes over is sorted by name."""

    def owners(self, key, count):
        first, *others = super().owners(key, count)
        return [first, *sorted(others)]


class AsciiNames(Ring):
    def spots(self, name):
        name.encode("ascii")
        return super().spots(name)


class CaseAndSpaces(Ring):
    def spots(self, name):
        return super().spots(name.strip().lower())


class FirstWord(Ring):
    """Of a key, only what comes before the colon."""

    def walk(self, key):
        return super().walk(key.partition(":")[0])


RIGHT = {
    "sorted places and a walk": Ring,
    "the highest die": Rendezvous,
    "angles in degrees": Angles,
    "the course's ring": TheCourses,
}
WRONG = {
    "off the end": (OffTheEnd, {"not-a-name"}),
    "one place each": (OnePlace, {"uneven"}),
    "twenty places each": (TwentyPlaces, {"uneven"}),
    "the remainder": (Modulo, {"leaves"}),
    "the names share the places": (PlacesOfEach, {"leaves"}),
    "more places above ten": (OnlyNewcomersShift, {"joins"}),
    "the order counts": (ByNumber, {"order"}),
    "each ring its own luck": (OwnLuck, {"another-ring"}),
    "Python's hash": (Hash, {"another-process"}),
    "the next places": (NextPlaces, {"repeats"}),
    "without the first": (WithoutTheFirst, {"not-first"}),
    "filled up": (Padded, {"too-many"}),
    "next by name": (NextByName, {"no-heir"}),
    "further ones by name": (FurtherByName, {"no-heir"}),
    "takers sorted by name": (SortedTakers, {"not-first"}),
    "only ASCII in names": (AsciiNames, {"exception"}),
    "case and spaces do not count": (CaseAndSpaces, {"uneven"}),
    "before the colon": (FirstWord, {"uneven"}),
    "a ring of nobody": (AnEmptyRing, {"nobody"}),
    "only ASCII": (Ascii, {"exception"}),
}
