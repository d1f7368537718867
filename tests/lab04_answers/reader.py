"""Exercise 5: readers that know what they have missed, and readers that think so."""

import time
from collections import Counter, defaultdict

import zmq


class Reader:
    """Of each run of a publisher: the last number, and the set of those that are missing."""

    def __init__(self, context, addresses, keep):
        self.socket = context.socket(zmq.SUB)
        self.socket.rcvhwm = keep
        self.socket.subscribe(b"")
        for address in addresses:
            self.socket.connect(address)
        self.last, self.missing = {}, defaultdict(set)

    def read(self, wait):
        while self.socket.poll(1000 * wait):
            name, run, number, body = self.socket.recv_multipart()
            if self.is_new(name, run, int(number)):
                return body
        return None

    def first(self, name, number):
        """What counts as the number before the first one of a run."""
        return 0 if name in self.missing else number - 1

    def is_new(self, name, run, number):
        last = self.last.setdefault((name, run), self.first(name, number))
        missing = self.missing[name]
        if number > last:
            missing.update((run, n) for n in range(last + 1, number))
            self.last[name, run] = number
            return True
        late = (run, number) in missing
        missing.discard((run, number))
        return late

    def missed(self, name):
        return len(self.missing[name]) if name in self.missing else 0

    def close(self):
        self.socket.close()


class BySets:
    """Remembers all that was heard, and counts when asked. A socket for each address, and a poller."""

    def __init__(self, context, addresses, keep):
        self.poller, self.heard, self.runs = zmq.Poller(), {}, {}
        self.sockets = [context.socket(zmq.SUB) for _ in addresses]
        for socket, address in zip(self.sockets, addresses):
            socket.setsockopt(zmq.RCVHWM, keep)
            socket.connect(address)
            socket.setsockopt(zmq.SUBSCRIBE, b"")
            self.poller.register(socket, zmq.POLLIN)

    def read(self, wait):
        end = time.monotonic() + wait
        while ready := self.poller.poll(max(0, int(1000 * (end - time.monotonic())))):
            name, run, number, body = ready[0][0].recv_multipart()
            heard = self.heard.setdefault((name, run), set())
            if name not in self.runs:
                self.runs[name] = {run: int(number)}
            self.runs[name].setdefault(run, 1)
            if int(number) not in heard:
                heard.add(int(number))
                return body

    def missed(self, name):
        runs = self.runs.get(name, {}).items()
        return sum(max(self.heard[name, run]) - first + 1 - len(self.heard[name, run]) for run, first in runs)

    def close(self):
        for socket in self.sockets:
            socket.close()


class Ranges:
    """Of the run that is on: its next number, and a list of what is open. Of those before: how much was missed."""

    def __init__(self, context, addresses, keep):
        self.on, self.before = {}, Counter()
        self.socket = context.socket(zmq.SUB)
        self.socket.set_hwm(keep)
        self.socket.setsockopt_string(zmq.SUBSCRIBE, "")
        list(map(self.socket.connect, addresses))

    def read(self, wait):
        end = time.monotonic() + wait
        while True:
            self.socket.rcvtimeo = max(0, round(1000 * (end - time.monotonic())))
            try:
                name, run, number, body = self.socket.recv_multipart()
            except zmq.Again:
                return None
            number, on = int(number), self.on.get(name)
            if not on or on[0] != run:
                self.before[name] += len(on[2]) if on else 0
                on = self.on[name] = [run, 1 if on else number, []]
            if number >= on[1]:
                on[2] += range(on[1], number)
                on[1] = number + 1
                return body
            if number in on[2]:
                on[2].remove(number)
                return body

    def missed(self, name):
        return self.before[name] + len(self.on[name][2]) if name in self.on else 0

    def close(self):
        self.socket.close()


# -- what goes wrong ----------------------------------------------------------------------------------


class FirstAddress(Reader):
    def __init__(self, context, addresses, keep):
        super().__init__(context, addresses[:1], keep)


class Silent(Reader):
    """SUB without a subscription."""

    def __init__(self, context, addresses, keep):
        super().__init__(context, addresses, keep)
        self.socket.unsubscribe(b"")


class GivesFrames(Reader):
    def read(self, wait):
        return [super().read(wait)]


class WaitsOn(Reader):
    """A poll without a limit."""

    def read(self, wait):
        return super().read(max(wait, 3.0))


class WholeSeconds(Reader):
    def read(self, wait):
        return super().read(int(wait))


class TwiceAsLong(Reader):
    def read(self, wait):
        return super().read(2 * wait)


class EmptyIsNothing(Reader):
    def read(self, wait):
        return super().read(wait) or None


class Sorts(Reader):
    """Takes all that is there, and hands it out by number."""

    def __init__(self, *args):
        super().__init__(*args)
        self.drawer = []

    def read(self, wait):
        while self.socket.poll(0 if self.drawer else 1000 * wait):
            name, run, number, body = self.socket.recv_multipart()
            if self.is_new(name, run, int(number)):
                self.drawer.append((int(number), body))
        self.drawer.sort()
        return self.drawer.pop(0)[1] if self.drawer else None


class Milliseconds(Reader):
    """A poll of wait seconds, it thinks."""

    def read(self, wait):
        return super().read(wait / 1000)


class FromOne(Reader):
    """Who joins late has missed all before."""

    def first(self, name, number):
        return 0


class NeverMissed(Reader):
    def missed(self, name):
        return 0


class CountsGaps(Reader):
    """How often something was missing, not how much."""

    def missed(self, name):
        return len({n for run, n in self.missing.get(name, ()) if (run, n - 1) not in self.missing[name]})


class OneTooMany(Reader):
    def missed(self, name):
        missing = super().missed(name)
        return missing + 1 if missing else 0


class ForAll(Reader):
    """One count for all publishers."""

    def missed(self, name):
        return sum(map(len, self.missing.values()))


class OneRunForAll(Reader):
    """Another run than the last time: somebody has restarted, whoever it was."""

    run, life = None, 0

    def is_new(self, name, run, number):
        self.life, self.run = self.life + (run != self.run), run
        return super().is_new(name, self.life, number)


class UnknownIsAnError(Reader):
    def missed(self, name):
        return len(dict(self.missing)[name])


class NothingComesLate(Reader):
    def is_new(self, name, run, number):
        return number > self.last.get((name, run), 0) and super().is_new(name, run, number)


class LateStaysMissing(Reader):
    """Handed out, and still counted."""

    def missed(self, name):
        return len(self.ever[name]) if name in self.missing else 0

    def is_new(self, name, run, number):
        self.ever = getattr(self, "ever", defaultdict(set))
        new = super().is_new(name, run, number)
        self.ever[name] |= self.missing[name]
        return new


class TooLate(Reader):
    """What is a hundred numbers old is not wanted."""

    def is_new(self, name, run, number):
        return number > self.last.get((name, run), 0) - 100 and super().is_new(name, run, number)


class RemembersThree(Reader):
    """Who came again is among the last three."""

    def __init__(self, *args):
        super().__init__(*args)
        self.recent = []

    def is_new(self, name, run, number):
        super().is_new(name, run, number)
        again = number in self.recent
        self.recent = [*self.recent, number][-3:]
        return not again


class HandsOutAll(Reader):
    def is_new(self, name, run, number):
        super().is_new(name, run, number)
        return True


class CountsDown(Reader):
    """Whatever comes late was missing, also the second time."""

    def __init__(self, *args):
        super().__init__(*args)
        self.count = Counter()

    def is_new(self, name, run, number):
        last = self.last.setdefault((name, run), self.first(name, number))
        self.missing[name].add(0)
        if number > last:
            self.count[name] += number - last - 1
            self.last[name, run] = number
            return True
        self.count[name] -= 1
        return number != last

    def missed(self, name):
        return self.count[name]


class JoinsEachRun(Reader):
    """A new run is a new beginning."""

    def first(self, name, number):
        return number - 1


class Forgets(Reader):
    """A new run clears the table."""

    def is_new(self, name, run, number):
        if (name, run) not in self.last and name in self.missing:
            self.missing[name].clear()
        return super().is_new(name, run, number)


class KnowsTwoRuns(Reader):
    """The run before is remembered, and the one before that is not."""

    def is_new(self, name, run, number):
        old = [one for publisher, one in self.last if publisher == name and one != run][:-1]
        if old:
            self.missing[name] = {one for one in self.missing[name] if one[0] not in old}
        return super().is_new(name, run, number)


class NoRuns(Reader):
    """The run is not looked at: small numbers are old ones."""

    def is_new(self, name, run, number):
        return super().is_new(name, b"", number)


class Hoards(Reader):
    def __init__(self, context, addresses, keep):
        super().__init__(context, addresses, 1000)


class TenFits(Hoards):
    """In the part that was tried."""

    def __init__(self, context, addresses, keep):
        Reader.__init__(self, context, addresses, 10)


class TakesAll(Hoards):
    """No limit at all."""

    def __init__(self, context, addresses, keep):
        Reader.__init__(self, context, addresses, 0)


class LeavesOpen(Reader):
    def close(self):
        self.socket = None


RIGHT = {"missing numbers": Reader, "all that was heard": BySets, "only the run that is on": Ranges}
WRONG = {
    "one address": (FirstAddress, {"not-heard"}),
    "no subscription": (Silent, {"not-heard"}),
    "frames": (GivesFrames, {"not-heard"}),
    "waits on": (WaitsOn, {"waits"}),
    "twice as long": (TwiceAsLong, {"waits"}),
    "whole seconds": (WholeSeconds, {"too-soon"}),
    "nothing in it is nothing": (EmptyIsNothing, {"not-heard"}),
    "sorts": (Sorts, {"not-heard"}),
    "milliseconds": (Milliseconds, {"too-soon"}),
    "counts from one": (FromOne, {"before"}),
    "nothing is missed": (NeverMissed, {"miscounted"}),
    "counts gaps": (CountsGaps, {"miscounted"}),
    "one too many": (OneTooMany, {"miscounted"}),
    "a sum for all": (ForAll, {"mixed"}),
    "one run for all": (OneRunForAll, {"mixed"}),
    "an unknown name": (UnknownIsAnError, {"mixed"}),
    "nothing comes late": (NothingComesLate, {"late"}),
    "late stays missing": (LateStaysMissing, {"late"}),
    "too late": (TooLate, {"late"}),
    "hands out all": (HandsOutAll, {"twice"}),
    "remembers three": (RemembersThree, {"twice"}),
    "counts down": (CountsDown, {"twice"}),
    "joins each run": (JoinsEachRun, {"new-run"}),
    "no runs": (NoRuns, {"new-run"}),
    "forgets": (Forgets, {"forgets"}),
    "knows two runs": (KnowsTwoRuns, {"forgets"}),
    "hoards": (Hoards, {"hoards"}),
    "ten fits": (TenFits, {"hoards"}),
    "takes all": (TakesAll, {"hoards"}),
    "leaves a socket open": (LeavesOpen, {"left-open"}),
}
