"""Exercise 5: readers that know what they have missed, and readers that think so."""

import time
from collections import Counter, defaultdict

import zmq

from tests.lab11_answers import but


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

    def is_new(self, name, run, number):
        before = 0 if name in self.missing else number - 1
        last = self.last.setdefault((name, run), before)
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


RIGHT = {"missing numbers": Reader, "all that was heard": BySets, "only the run that is on": Ranges}
MISSED, LAST = "len(self.missing[name]) if name in self.missing else 0", "last = self.last.setdefault"
WRONG = {
    "one address": ("in addresses => in addresses[:1]", "not-heard"),
    "no subscription": ('self.socket.subscribe(b"") => pass', "not-heard"),
    "frames": ("return body => return [body]", "not-heard"),
    "nothing in it is nothing": ("return body => return body or None", "not-heard"),
    "waits on": ("1000 * wait => 3000", "waits"),
    "twice as long": ("1000 * wait => 2000 * wait", "waits"),
    "whole seconds": ("1000 * wait => 1000 * int(wait)", "waits"),
    "milliseconds": ("1000 * wait => wait", "waits"),
    "counts from one": ("else number - 1 => else 0", "before"),
    "nothing is missed": (f"{MISSED} => 0", "miscounted"),
    "counts gaps": (
        f"{MISSED} => len({{n for run, n in self.missing[name] if (run, n - 1) not in self.missing[name]}})",
        "miscounted",
    ),
    "one too many": (f"{MISSED} => len(self.missing[name]) + bool(self.missing[name])", "miscounted"),
    "a sum for all": (f"{MISSED} => sum(map(len, self.missing.values()))", "mixed"),
    "one run for all": (
        "self.last, => self.run, self.life = None, 0\n        self.last,",
        "before = => self.life, self.run = self.life + (run != self.run), run\n        run, before = self.life,",
        "mixed",
    ),
    "an unknown name": (f"{MISSED} => len(dict(self.missing)[name])", "mixed"),
    "nothing comes late": ("late = (run, number) in missing => late = False", "late"),
    "late stays missing": ("missing.discard((run, number)) => pass", "late"),
    "too late": ("in missing\n => in missing and number > last - 100\n", "late"),
    "hands out all": ("return late => return True", "twice"),
    "remembers three": (
        "self.last, => self.recent = []\n        self.last,",
        "before = => again, self.recent = number in self.recent, [*self.recent, number][-3:]\n        before =",
        "return late => return not again",
        "twice",
    ),
    "counts down": ("missing.discard((run, number)) => missing.pop()", "twice"),
    "joins each run": ("0 if name in self.missing else number - 1 => number - 1", "new-run"),
    "no runs": ("(name, run, int => (name, b'', int", "new-run"),
    "forgets": (f"{LAST} => (name, run) in self.last or self.missing[name].clear()\n        {LAST}", "new-run"),
    "knows two runs": (
        f"{LAST} => old = [one for who, one in self.last if who == name and one != run][:-1]\n        {LAST}",
        "if number > last => missing -= {one for one in missing if one[0] in old}\n        if number > last",
        "new-run",
    ),
    "hoards": ("= keep => = 1000", "hoards"),
    "ten fits": ("= keep => = 10", "hoards"),
    "leaves a socket open": ("self.socket.close() => pass", "left-open"),
}
WRONG = {name: (but(Reader, *changes), {code}) for name, (*changes, code) in WRONG.items()}
WRONG["sorts"] = (Sorts, {"not-heard"})
