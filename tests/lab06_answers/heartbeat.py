"""Exercise 4: pulses that tell the dead from the living, and those that do not."""

from tests.lab11_answers import but


class Pulse:
    """A dict of open pings."""

    def __init__(self, interval, patience, now):
        self.interval, self.patience = interval, patience
        self.next, self.number, self.open, self.dead = now + interval, 0, {}, False

    def ping(self, now):
        if now < self.next:
            return None
        self.next = now + self.interval
        self.number += 1
        payload = str(self.number).encode()
        self.open[payload] = now
        return payload

    def pong(self, payload, now):
        if payload in self.open:
            sent = self.open[payload]
            self.open = {other: at for other, at in self.open.items() if at > sent}

    def is_dead(self, now):
        self.dead = self.dead or now - min(self.open.values(), default=now) >= self.patience
        return self.dead


class Deadline:
    """Keeps a list of times; the payload is the place in it."""

    def __init__(self, interval, patience, now):
        self.interval, self.patience, self.start = interval, patience, now
        self.sent, self.answered, self.died = [], 0, None

    def ping(self, now):
        if now >= (self.sent[-1] if self.sent else self.start) + self.interval:
            self.sent.append(now)
            return b"%d" % len(self.sent)
        return None

    def pong(self, payload, now):
        if payload.isdigit() and self.answered < int(payload) <= len(self.sent):
            self.answered = int(payload)

    def is_dead(self, now):
        waiting = self.sent[self.answered :]
        if self.died is None and waiting and now >= waiting[0] + self.patience:
            self.died = now
        return self.died is not None


class OneDeadline:
    """Keeps no pings: when it will be dead, and by which payload that changes."""

    def __init__(self, interval, patience, now):
        self.interval, self.patience, self.due = interval, patience, now + interval
        self.log, self.last_answered = [], -1

    def ping(self, now):
        if now >= self.due:
            self.due = now + self.interval
            self.log.append((b"%d/%d" % (id(self), len(self.log)), now + self.patience))
            return self.log[-1][0]

    def pong(self, payload, now):
        for turn, (mine, _) in enumerate(self.log):
            if mine == payload:
                self.last_answered = max(turn, self.last_answered)

    def is_dead(self, now):
        ends = [end for _, end in self.log[self.last_answered + 1 :]]
        if ends and now >= ends[0]:
            self.is_dead = lambda now: True
            return True
        return False


RIGHT = {"open pings in a dict": Pulse, "a list of times": Deadline, "a log of deadlines": OneDeadline}
MINE, DEAD = "if payload in self.open:\n            sent", "self.dead or now - min(self.open.values(), default=now)"
NUMBERED, KEPT = "str(self.number).encode()", "if at > sent"
WRONG = {
    "answered by the dead": ([f"{DEAD} => self.dead or now - (self.next - self.interval)"], "too-eager"),
    "any pong": ([f"{MINE} => self.open.clear()\n        if payload in self.open:\n            sent"], "old-pong"),
    "counted from the last pong": (
        ["self.open[payload] = now => self.open[payload] = now; self.heard = getattr(self, 'heard', now)",
         f"{MINE} => self.heard = now\n        {MINE}", f"{DEAD} => now - getattr(self, 'heard', now) - self.interval"],
        "not-found"),
    "counted from the last answered ping": (
        [f"{MINE} => self.heard = self.open.get(payload, self.heard)\n        {MINE}",
         "self.interval, self.patience = => self.heard, self.interval, self.patience = now,",
         f"{DEAD} => self.dead or now - self.heard - self.interval"], "too-eager"),
    "the latest three": (["self.open[payload] = now => self.open[payload] = now"
                          "; self.open = dict(list(self.open.items())[-3:])"], "not-found"),
    "once is enough": (
        ["sent = => self.known = sent =", "now - min => not hasattr(self, 'known') and now - min"], "not-found"),
    "the newest ping only": (["now - min => now - max"], "not-found"),
    "the latest pong only": (["if payload in self.open: => if payload == list(self.open or [0])[-1]:"], "slow-killed"),
    "one pong for all": ([f"{KEPT} => if at < 0"], "old-pong"),
    "only the ping that was answered": ([f"{KEPT} => if other != payload"], "skipped"),
    "too eager": ([">= self.patience => >= self.interval"], "slow-killed"),
    "shared by all": (
        ["class Pulse: => class Pulse:\n    everybodys = {}", " self.open, self.dead = now + => self.dead = now +",
         "0, {}, False => 0, False; self.open = self.everybodys",
         f"self.open = {{other: at for other, at in self.open.items() {KEPT}}} => "
         "[self.open.pop(other) for other, at in list(self.open.items()) if at <= sent]"], "shared"),
    "comes back to life": (["self.dead = self.dead or => self.dead ="], "revived"),
    "a flood": (["self.next = now + self.interval => self.next = now"], "due"),
    "the clock begins at zero": (["= now + interval => = interval"], "due"),
    "by schedule": (["self.next = now + => self.next +="], "due"),
    "on a grid": (["self.next = now + self.interval => "
                   "self.next += self.interval * (1 + (now - self.next) // self.interval)"], "due"),
    "stumbles over strangers": (["if payload in self.open: => if True:"], "exception"),
    "never pings": (["if now < self.next: => if True:"], "due"),
    "one at a time": (["if now < self.next: => if self.open or now < self.next:"], "due"),
    "longer than patience": ([">= self.patience => > self.patience"], "not-found"),
    "the same payload": ([f"{NUMBERED} => b'ping'"], "payload"),
    "one byte": ([f"{NUMBERED} => bytes([self.number % 256])"], "payload"),
    "a payload a second": ([f"{NUMBERED} => str(int(now)).encode()"], "payload"),
    "any later number": (
        ["if payload in self.open: => if payload.isdigit():", "= self.open[payload]\n => = int(payload)\n",
         "at > sent => int(other) > sent"], "any-pong"),
    "numbers in ABC order": ([f"{KEPT} => if other > payload"], "skipped"),
    "a text": ([f"{NUMBERED} => str(self.number)"], "payload"),
}  # fmt: skip
WRONG = {name: (but(Pulse, *changes), {code}) for name, (changes, code) in WRONG.items()}
#: An old pong takes the newer ones back.
WRONG["an old pong goes back"] = but(Deadline, "self.answered < int(payload) <= => 0 < int(payload) <="), {"any-pong"}
