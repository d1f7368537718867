"""Exercise 2: rings written in four ways, and mistakes."""

import random
from bisect import bisect, insort
from hashlib import blake2b, md5, sha256

from servicelab.policies import HashRing
from tests.lab11_answers import but


def place(text):
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


class Ring:
    """Sorted places, and a walk."""

    def __init__(self, names):
        if not names:
            raise ValueError("a ring needs names")
        self.names = names
        self.places = sorted((place(f"{name}#{point}"), name) for name in names for point in range(150))

    def walk(self, key):
        start = bisect(self.places, (place(key), ""))
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


def by_hash(text):
    return hash(text) * 0x9E3779B97F4A7C15 % 2**64


def luck():
    return str(random.random())


def wrong(code, *changes):
    return but(Ring, *changes), {code}


def of_many(code, gives):
    """A wrong list of owners; ``found`` are the right ones of all names."""
    return wrong(code, f"return found => return {gives}", ">= count => >= len(self.names)")


RIGHT = {
    "sorted places and a walk": Ring,
    "the highest die": Rendezvous,
    "angles in degrees": Angles,
    "the course's ring": TheCourses,
}
WRONG = {
    "off the end": wrong("not-a-name", "return next(self.walk(key)) => "
        "return dict(enumerate(self.places)).get(bisect(self.places, (place(key), '')), (0, None))[1]"),
    "one place each": wrong("uneven", "range(150) => range(1)"),
    "twenty places each": wrong("uneven", "range(150) => range(20)"),
    "case and spaces do not count": wrong("uneven", "{name} => {name.strip().lower()}"),
    "before the colon": wrong("uneven", "place(key) => place(key.partition(':')[0])"),
    "the remainder": wrong("moved", '(place(f"{name}#{point}"), name) for name in names for point in range(150) => '
        "(0, name) for name in names", 'bisect(self.places, (place(key), "")) => place(key) % len(self.names)'),
    "the names share the places": wrong("moved", "range(150) => range(2000 // len(names))"),
    "more places above ten": wrong("moved", "range(150) => range(150 * max(1, len(names) - 9))"),
    "the order counts": wrong("order", "for name in names for => for index, name in enumerate(names) for",
        "{name}#{point} => {index}#{point}", "150 => 600"),
    "each ring its own luck": wrong("elsewhere", "place( => place(self.luck + ", "self.names = names => "
        "self.names, self.luck = names, luck()", "150 => 600"),
    "Python's hash": wrong("elsewhere", "place( => by_hash("),
    "the next places": wrong("so-many", "if name not in found => if name"),
    "filled up": wrong("so-many", "return found => return found + found[:1] * (count - len(found))"),
    "without the first": of_many("not-first", "(found[1:] + found[:1])[:count]"),
    "takers sorted by name": wrong("not-first", "return found => return found[:1] + sorted(found[1:])"),
    "next by name": of_many("no-heir", "(found[:1] + sorted({*self.names} - {*found[:1]}))[:count]"),
    "further ones by name": of_many("no-heir", "(found[:2] + sorted({*self.names} - {*found[:2]}))[:count]"),
    "only ASCII in names": wrong("exception", "{name}# => {name.encode('ascii')}#"),
    "keys without what is not ASCII": wrong("uneven", "place(key) => place(key.encode('ascii', 'ignore').decode())"),
    "only ASCII": wrong("exception", "place(key) => place(str(key.encode('ascii')))"),
    "a ring of nobody": wrong("nobody", "if not names => if False"),
}  # fmt: skip
