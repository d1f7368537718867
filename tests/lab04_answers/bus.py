"""Exercise 1: buses on which all hear, and on which somebody does not."""

import weakref
from types import MethodType


class Bus:
    """A list of ways to an observer: a weak one to a method, a plain one to anything else."""

    def __init__(self):
        self.ways = []

    @staticmethod
    def way(observer):
        return weakref.WeakMethod(observer) if isinstance(observer, MethodType) else lambda: observer

    def observers(self):
        return [found for way in self.ways if (found := way()) is not None]

    def subscribe(self, observer):
        if observer not in self.observers():
            self.ways.append(self.way(observer))

    def unsubscribe(self, observer):
        self.ways = [way for way in self.ways if way() not in (None, observer)]

    def publish(self, event):
        failed = []
        for observer in self.observers():
            if observer in self.observers():
                try:
                    observer(event)
                except Exception as error:
                    failed.append((observer, error))
        return failed


class InADict:
    """By keys that are equal for the same observer: the object and its function, or the callable."""

    def __init__(self):
        self.entries = {}

    def key(self, observer):
        return (id(observer.__self__), observer.__name__) if hasattr(observer, "__self__") else (id(observer), "")

    def subscribe(self, observer):
        if hasattr(observer, "__self__"):
            key = self.key(observer)
            owner = weakref.ref(observer.__self__, lambda gone: self.entries.pop(key, None))
            self.entries.setdefault(key, (owner, observer.__func__))
        else:
            self.entries.setdefault(self.key(observer), (None, observer))

    def unsubscribe(self, observer):
        self.entries.pop(self.key(observer), None)

    def publish(self, event):
        failed = []
        for key, (owner, function) in list(self.entries.items()):
            if key not in self.entries:
                continue
            observer = function if owner is None else function.__get__(owner())
            try:
                observer(event)
            except Exception as error:
                failed.append((observer, error))
        return failed


class Numbered:
    """Each subscription has a number, and the numbers that there were are gone through."""

    def __init__(self):
        self.next, self.there = 0, {}

    def find(self, observer):
        return [n for n, ref in self.there.items() if ref() == observer]

    def subscribe(self, observer):
        if not self.find(observer):
            try:
                self.there[self.next] = weakref.WeakMethod(observer)
            except TypeError:
                self.there[self.next] = lambda: observer
            self.next += 1

    def unsubscribe(self, observer):
        for n in self.find(observer):
            del self.there[n]

    def publish(self, event):
        found = []
        for n in range(self.next):
            observer = self.there[n]() if n in self.there else None
            if observer is None:
                self.there.pop(n, None)
                continue
            try:
                observer(event)
            except Exception as error:
                found += [(observer, error)]
        return found


def publishing(publish):
    """A bus with another publish."""
    return type("Bus", (Bus,), {"publish": publish})


def backwards(self, event):
    return [*map(tuple, reversed(Bus.publish(type("", (), {"observers": lambda _: self.observers()[::-1]})(), event)))]


def until_one_fails(self, event):
    for observer in self.observers():
        try:
            observer(event)
        except Exception as error:
            return [(observer, error)]
    return []


def and_raises(self, event):
    failed = Bus.publish(self, event)
    if failed:
        raise failed[0][1]
    return failed


def counts(self, event):
    return len(Bus.publish(self, event))


def the_last_error(self, event):
    return Bus.publish(self, event)[-1:]


def catches_all(self, event):
    failed = []
    for observer in self.observers():
        if observer in self.observers():
            try:
                observer(event)
            except BaseException as error:
                failed.append((observer, error))
    return failed


def walks_the_list(self, event):
    failed = []
    for way in self.ways:
        observer = way()
        try:
            if observer:
                observer(event)
        except Exception as error:
            failed.append((observer, error))
    return failed


class LeavesInPlace(Bus):
    def unsubscribe(self, observer):
        for way in list(self.ways):
            if way() in (None, observer):
                self.ways.remove(way)

    publish = walks_the_list


def calls_who_was_there(self, event):
    failed = []
    for observer in self.observers():
        try:
            observer(event)
        except Exception as error:
            failed.append((observer, error))
    return failed


def also_who_comes_meanwhile(self, event):
    failed, called = [], []
    while rest := [one for one in self.observers() if one not in called]:
        called.append(rest[0])
        try:
            rest[0](event)
        except Exception as error:
            failed.append((rest[0], error))
    return failed


class ClosedMeanwhile(Bus):
    """While an event goes round, nobody is let in."""

    open = True

    def subscribe(self, observer):
        if self.open:
            super().subscribe(observer)

    def publish(self, event):
        self.open = False
        try:
            return super().publish(event)
        finally:
            self.open = True


class Twice(Bus):
    def subscribe(self, observer):
        self.ways.append(self.way(observer))


class TwiceSilently(Bus):
    """Called once, but two subscriptions need two goodbyes."""

    def subscribe(self, observer):
        self.ways.append(self.way(observer))

    def observers(self):
        found = []
        for one in super().observers():
            found += [one] if one not in found else []
        return found

    def unsubscribe(self, observer):
        for way in self.ways:
            if way() == observer:
                self.ways.remove(way)
                return


class ByIdentity(Bus):
    """A method is a new object each time."""

    def unsubscribe(self, observer):
        self.ways = [way for way in self.ways if way() is not observer]


class RemovesWhoIsThere(Bus):
    def unsubscribe(self, observer):
        del self.ways[[way() for way in self.ways].index(observer)]


class AllWeak(Bus):
    way = staticmethod(lambda one: weakref.WeakMethod(one) if isinstance(one, MethodType) else weakref.ref(one))


class MethodsAsFunctions(Bus):
    """A plain weak reference to a method is dead at once."""

    @staticmethod
    def way(observer):
        return weakref.ref(observer) if isinstance(observer, MethodType) else lambda: observer


class Strong(Bus):
    @staticmethod
    def way(observer):
        return lambda: observer


class CallsTheDead(Bus):
    """The method's object has gone, and None is called."""

    def observers(self):
        return [way() for way in self.ways]


RIGHT = {"a list of ways": Bus, "a dict": InADict, "numbers": Numbered}
WRONG = {
    "backwards": (publishing(backwards), {"not-heard"}),
    "ends at the first error": (publishing(until_one_fails), {"rest-skipped"}),
    "raises in the end": (publishing(and_raises), {"source-told"}),
    "counts the errors": (publishing(counts), {"not-reported"}),
    "keeps the last error": (publishing(the_last_error), {"not-reported"}),
    "catches all": (publishing(catches_all), {"interrupt-eaten"}),
    "walks and removes": (LeavesInPlace, {"own-leaving"}),
    "calls who was there": (publishing(calls_who_was_there), {"still-called"}),
    "calls who came meanwhile": (publishing(also_who_comes_meanwhile), {"too-early"}),
    "nobody is let in": (ClosedMeanwhile, {"too-early"}),
    "subscribed twice": (Twice, {"heard-twice"}),
    "two goodbyes": (TwiceSilently, {"still-hears"}),
    "is for ==": (ByIdentity, {"still-hears"}),
    "removes a stranger": (RemovesWhoIsThere, {"unknown"}),
    "all weak": (AllWeak, {"lambda-gone"}),
    "a weak method": (MethodsAsFunctions, {"method-gone"}),
    "holds everybody": (Strong, {"kept-alive"}),
    "calls the dead": (CallsTheDead, {"ghost"}),
}
