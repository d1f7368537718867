"""Exercise 1: buses on which all hear, and on which somebody does not."""

import weakref
from types import MethodType


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


def publishing(publish):
    """A bus with another publish."""
    return type("Bus", (Bus,), {"publish": publish})


def backwards(self, event):
    return [*map(tuple, reversed(Bus.publish(type("", (), {"listeners": lambda _: self.listeners()[::-1]})(), event)))]


def until_one_fails(self, event):
    for listener in self.listeners():
        try:
            listener(event)
        except Exception as error:
            return [(listener, error)]
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


def one_a_type(self, event):
    return [*{type(error): (listener, error) for listener, error in Bus.publish(self, event)}.values()]


def throws_out(self, event):
    failed = Bus.publish(self, event)
    for listener, _ in failed:
        self.unsubscribe(listener)
    return failed


def what_is_known(self, event, kinds=(ValueError, TypeError, LookupError, ArithmeticError, OSError, RuntimeError)):
    failed = []
    for listener in self.listeners():
        if listener in self.listeners():
            try:
                listener(event)
            except kinds as error:
                failed.append((listener, error))
    return failed


def the_exit_too(self, event):
    return what_is_known(self, event, (Exception, SystemExit))


def catches_all(self, event):
    failed = []
    for listener in self.listeners():
        if listener in self.listeners():
            try:
                listener(event)
            except BaseException as error:
                failed.append((listener, error))
    return failed


def walks_the_list(self, event):
    failed = []
    for way in self.ways:
        listener = way()
        try:
            if listener:
                listener(event)
        except Exception as error:
            failed.append((listener, error))
    return failed


class LeavesInPlace(Bus):
    def unsubscribe(self, listener):
        for way in list(self.ways):
            if way() in (None, listener):
                self.ways.remove(way)

    publish = walks_the_list


class LiveButForLeaving(Bus):
    """A list that is walked while it grows. Whoever leaves makes a new one."""

    def publish(self, event):
        failed = []
        for way in self.ways:
            listener = way()
            try:
                if listener in self.listeners():
                    listener(event)
            except Exception as error:
                failed.append((listener, error))
        return failed


def calls_who_was_there(self, event):
    failed = []
    for listener in self.listeners():
        try:
            listener(event)
        except Exception as error:
            failed.append((listener, error))
    return failed


def also_who_comes_meanwhile(self, event):
    failed, called = [], []
    while rest := [one for one in self.listeners() if one not in called]:
        called.append(rest[0])
        try:
            rest[0](event)
        except Exception as error:
            failed.append((rest[0], error))
    return failed


class ClosedMeanwhile(Bus):
    """While an event goes round, nobody is let in."""

    open = True

    def subscribe(self, listener):
        if self.open:
            super().subscribe(listener)

    def publish(self, event):
        self.open = False
        try:
            return super().publish(event)
        finally:
            self.open = True


class Twice(Bus):
    def subscribe(self, listener):
        self.ways.append(self.way(listener))


class MovesToTheEnd(Bus):
    """Who subscribes again leaves and comes anew."""

    def subscribe(self, listener):
        self.unsubscribe(listener)
        super().subscribe(listener)


class TwiceSilently(Bus):
    """Called once, but two subscriptions need two goodbyes."""

    def subscribe(self, listener):
        self.ways.append(self.way(listener))

    def listeners(self):
        found = []
        for one in super().listeners():
            found += [one] if one not in found else []
        return found

    def unsubscribe(self, listener):
        for way in self.ways:
            if way() == listener:
                self.ways.remove(way)
                return


class ByIdentity(Bus):
    """A method is a new object each time."""

    def unsubscribe(self, listener):
        self.ways = [way for way in self.ways if way() is not listener]


class NoWayBack(Bus):
    """Who has left stays out."""

    def unsubscribe(self, listener):
        super().unsubscribe(listener)
        self.left = [*getattr(self, "left", ()), listener]

    def subscribe(self, listener):
        if listener not in getattr(self, "left", ()):
            super().subscribe(listener)


class RemovesWhoIsThere(Bus):
    def unsubscribe(self, listener):
        del self.ways[[way() for way in self.ways].index(listener)]


class FunctionsFirst(Bus):
    def listeners(self):
        return sorted(super().listeners(), key=lambda one: isinstance(one, MethodType))


class OnlyLambdas(Bus):
    """Any other function has a name, so that somebody will hold it."""

    @staticmethod
    def way(listener):
        if isinstance(listener, MethodType):
            return weakref.WeakMethod(listener)
        return (lambda: listener) if getattr(listener, "__name__", "<lambda>") == "<lambda>" else weakref.ref(listener)


class AllWeak(Bus):
    way = staticmethod(lambda one: weakref.WeakMethod(one) if isinstance(one, MethodType) else weakref.ref(one))


class MethodsAsFunctions(Bus):
    """A plain weak reference to a method is dead at once."""

    @staticmethod
    def way(listener):
        return weakref.ref(listener) if isinstance(listener, MethodType) else lambda: listener


class Strong(Bus):
    @staticmethod
    def way(listener):
        return lambda: listener


class KeepsTheErrors(Bus):
    """For later."""

    def publish(self, event):
        self.failed = super().publish(event)
        return self.failed


class CallsTheDead(Bus):
    """The method's object has gone, and None is called."""

    def listeners(self):
        return [way() for way in self.ways]


RIGHT = {"a list of ways": Bus, "a dict": InADict, "numbers": Numbered}
WRONG = {
    "backwards": (publishing(backwards), {"not-heard"}),
    "functions first": (FunctionsFirst, {"not-heard"}),
    "ends at the first error": (publishing(until_one_fails), {"rest-skipped"}),
    "throws out who raises": (publishing(throws_out), {"rest-skipped"}),
    "catches what it knows": (publishing(what_is_known), {"rest-skipped"}),
    "raises in the end": (publishing(and_raises), {"source-told"}),
    "counts the errors": (publishing(counts), {"not-reported"}),
    "keeps the last error": (publishing(the_last_error), {"not-reported"}),
    "one error of a type": (publishing(one_a_type), {"not-reported"}),
    "catches all": (publishing(catches_all), {"interrupt-eaten"}),
    "catches the exit": (publishing(the_exit_too), {"interrupt-eaten"}),
    "walks and removes": (LeavesInPlace, {"own-leaving"}),
    "calls who was there": (publishing(calls_who_was_there), {"still-called"}),
    "calls who came meanwhile": (publishing(also_who_comes_meanwhile), {"too-early"}),
    "walks what grows": (LiveButForLeaving, {"too-early"}),
    "nobody is let in": (ClosedMeanwhile, {"too-early"}),
    "subscribed twice": (Twice, {"heard-twice"}),
    "moves to the end": (MovesToTheEnd, {"moved"}),
    "two goodbyes": (TwiceSilently, {"still-hears"}),
    "is for ==": (ByIdentity, {"still-hears"}),
    "no way back": (NoWayBack, {"still-hears"}),
    "removes a stranger": (RemovesWhoIsThere, {"unknown"}),
    "all weak": (AllWeak, {"lambda-gone"}),
    "only lambdas are held": (OnlyLambdas, {"lambda-gone"}),
    "a weak method": (MethodsAsFunctions, {"method-gone"}),
    "holds everybody": (Strong, {"kept-alive"}),
    "keeps the errors": (KeepsTheErrors, {"kept-alive"}),
    "calls the dead": (CallsTheDead, {"ghost"}),
}
