"""Exercise 1: buses on which all hear, and on which somebody does not."""

import weakref
from types import MethodType

from tests.lab11_answers import but


class Bus:
    """A list of ways to a listener: a weak one to a method, a plain one to anything else."""

    def __init__(self):
        self.ways = []

    @staticmethod
    def way(listener):
        return weakref.WeakMethod(listener) if isinstance(listener, MethodType) else lambda: listener

    def listeners(self):
        return [found for way in self.ways if (found := way()) is not None]

    def subscribe(self, listener):
        if listener not in self.listeners():
            self.ways.append(self.way(listener))

    def unsubscribe(self, listener):
        self.ways = [way for way in self.ways if way() not in (None, listener)]

    def publish(self, event):
        failed = []
        for listener in self.listeners():
            if listener in self.listeners():
                try:
                    listener(event)
                except Exception as error:
                    failed.append((listener, error))
        return failed


class InADict:
    """By keys that are equal for the same listener: the object and its function, or the callable."""

    def __init__(self):
        self.entries = {}

    def key(self, listener):
        return (id(listener.__self__), listener.__name__) if hasattr(listener, "__self__") else (id(listener), "")

    def subscribe(self, listener):
        if hasattr(listener, "__self__"):
            key = self.key(listener)
            owner = weakref.ref(listener.__self__, lambda gone: self.entries.pop(key, None))
            self.entries.setdefault(key, (owner, listener.__func__))
        else:
            self.entries.setdefault(self.key(listener), (None, listener))

    def unsubscribe(self, listener):
        self.entries.pop(self.key(listener), None)

    def publish(self, event):
        failed = []
        for key, (owner, function) in list(self.entries.items()):
            if key not in self.entries:
                continue
            listener = function if owner is None else function.__get__(owner())
            try:
                listener(event)
            except Exception as error:
                failed.append((listener, error))
        return failed


class Numbered:
    """Each subscription has a number, and the numbers that there were are gone through."""

    def __init__(self):
        self.next, self.there = 0, {}

    def find(self, listener):
        return [n for n, ref in self.there.items() if ref() == listener]

    def subscribe(self, listener):
        if not self.find(listener):
            try:
                self.there[self.next] = weakref.WeakMethod(listener)
            except TypeError:
                self.there[self.next] = lambda: listener
            self.next += 1

    def unsubscribe(self, listener):
        for n in self.find(listener):
            del self.there[n]

    def publish(self, event):
        found = []
        for n in range(self.next):
            listener = self.there[n]() if n in self.there else None
            if listener is None:
                self.there.pop(n, None)
                continue
            try:
                listener(event)
            except Exception as error:
                found += [(listener, error)]
        return found


RIGHT = {"a list of ways": Bus, "a dict": InADict, "numbers": Numbered}
IS_NEW, IS_THERE = "if listener not in self.listeners()", "if listener in self.listeners()"
WALK, LIVE = "for listener in self.listeners():\n", "for listener in (way() for way in self.ways):\n"
GONE = "self.ways = [way for way in self.ways if way() not in (None, listener)]"
BY_NAME = "(lambda: listener) if getattr(listener, '__name__', '<lambda>') == '<lambda>' else weakref.ref(listener)"
WRONG = {
    "backwards": (["for listener in self.listeners() => for listener in reversed(self.listeners())"], "not-heard"),
    "functions first": (
        [f"{WALK} => for listener in sorted(self.listeners(), key=lambda one: isinstance(one, MethodType)):\n"],
        "not-heard",
    ),
    "ends at the first error": (["failed.append((listener, error)) => return [(listener, error)]"], "rest-skipped"),
    "throws out who raises": (["failed.append( => self.unsubscribe(listener), failed.append("], "rest-skipped"),
    "catches what it knows": (
        ["except Exception => except (ValueError, TypeError, OSError, KeyError)"],
        "rest-skipped",
    ),
    "raises in the end": (["return failed => if failed: raise failed[0][1]"], "rest-skipped"),
    "counts the errors": (["return failed => return len(failed)"], "not-reported"),
    "keeps the last error": (["return failed => return failed[-1:]"], "not-reported"),
    "one error of a type": (
        ["return failed => return [*{type(one[1]): one for one in failed}.values()]"],
        "not-reported",
    ),
    "catches all": (["except Exception => except BaseException"], "interrupt-eaten"),
    "catches the exit": (["except Exception => except (Exception, SystemExit)"], "interrupt-eaten"),
    "walks and removes": ([f"{WALK} => {LIVE}", "self.ways = [way => self.ways[:] = [way"], "own-leaving"),
    "calls who was there": ([f"{IS_THERE} => if True"], "own-leaving"),
    "walks what grows": ([f"{WALK} => {LIVE}"], "too-early"),
    "nobody is let in": (
        [
            f"{IS_NEW} => if not vars(self).get('busy') and listener not in self.listeners()",
            "try: => self.busy = True\n                try:",
            "error)) => error))\n                finally:\n                    self.busy = False",
        ],
        "too-early",
    ),
    "subscribed twice": ([f"{IS_NEW} => if True"], "heard-twice"),
    "moves to the end": ([f"{IS_NEW}: => self.unsubscribe(listener)\n        if True:"], "heard-twice"),
    "two goodbyes": (
        [
            f"{IS_NEW} => if True",
            f"{WALK} => for listener in dict.fromkeys(self.listeners()):\n",
            f"{GONE} => del self.ways[self.listeners().index(listener)]",
        ],
        "still-hears",
    ),
    "is for ==": (["way() not in (None, listener) => way() is not listener"], "still-hears"),
    "no way back": (
        [
            "self.ways = [] => self.ways, self.left = [], []",
            f"{IS_NEW} => if listener not in self.listeners() + self.left",
            f"{GONE} => self.left.append(listener); {GONE}",
        ],
        "still-hears",
    ),
    "removes a stranger": ([f"{GONE} => del self.ways[self.listeners().index(listener)]"], "still-hears"),
    "all weak": (["else lambda: listener => else weakref.ref(listener)"], "lambda-gone"),
    "only lambdas are held": ([f"else lambda: listener => else {BY_NAME}"], "lambda-gone"),
    "a weak method": (["weakref.WeakMethod( => weakref.ref("], "lambda-gone"),
    "holds everybody": (["weakref.WeakMethod(listener) if isinstance(listener, MethodType) else => "], "kept-alive"),
    "keeps the errors": (["return failed => self.failed = failed; return failed"], "kept-alive"),
    "calls the dead": (["(found := way()) is not None => [found := way()]"], "kept-alive"),
}
WRONG = {name: (but(Bus, *changes), {code}) for name, (changes, code) in WRONG.items()}
