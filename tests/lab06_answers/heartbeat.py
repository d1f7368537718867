"""Exercise 4: pulses that tell the dead from the living, and those that do not."""

import itertools


class Pulse:
    """A dict of open pings, in small parts; each mistake replaces one."""

    def __init__(self, interval, patience, now):
        self.interval, self.patience = interval, patience
        self.next, self.numbers, self.open, self.dead = now + interval, itertools.count(1), {}, False

    def ping(self, now):
        if now < self.next:
            return None
        self.next = now + self.interval
        payload = self.payload()
        self.open[payload] = now
        return payload

    def payload(self):
        return str(next(self.numbers)).encode()

    def pong(self, payload, now):
        if payload in self.open:
            sent = self.open[payload]
            self.open = {other: at for other, at in self.open.items() if at > sent}

    def oldest(self, now):
        return min(self.open.values(), default=now)

    def is_dead(self, now):
        self.dead = self.dead or now - self.oldest(now) >= self.patience
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


class AnsweredByTheDead(Pulse):
    """What could be sent counts as life."""

    def is_dead(self, now):
        return now - (self.next - self.interval) >= self.patience


class SamePayload(Pulse):
    def payload(self):
        return b"ping"


class AnyPong(Pulse):
    """Whatever comes proves life."""

    def __init__(self, *args):
        super().__init__(*args)
        self.heard = args[2]

    def pong(self, payload, now):
        self.open.clear()


class LastHeard(AnyPong):
    """Patience is counted from the last pong, whichever ping it answers."""

    def pong(self, payload, now):
        self.heard = now

    def is_dead(self, now):
        return now - self.heard >= self.patience + self.interval


class OnceIsEnough(Pulse):
    """It has answered before, so it lives."""

    known = False

    def pong(self, payload, now):
        self.known = self.known or payload in self.open

    def is_dead(self, now):
        return not self.known and super().is_dead(now)


class NewestOnly(Pulse):
    """Each new ping starts the clock again."""

    def oldest(self, now):
        return max(self.open.values(), default=now)


class LatestPongOnly(Pulse):
    """Only a pong for the last ping counts."""

    def pong(self, payload, now):
        if self.open and payload == list(self.open)[-1]:
            self.open.clear()


class ClearsAll(Pulse):
    """A pong for one of ours answers all of them, also those sent later."""

    def pong(self, payload, now):
        if payload in self.open:
            self.open.clear()


class Eager(Pulse):
    """The next ping is due and the last has no answer: dead."""

    def is_dead(self, now):
        return now - self.oldest(now) >= self.interval


class Shared(Pulse):
    """The dict is the class's, and so everybody's."""

    everybodys = {}

    def __init__(self, *args):
        super().__init__(*args)
        self.open = self.everybodys

    def pong(self, payload, now):
        sent = self.open.get(payload, 0)
        for other in [one for one, at in self.open.items() if at <= sent]:
            del self.open[other]


class Revived(Pulse):
    def is_dead(self, now):
        return now - self.oldest(now) >= self.patience


class Flood(Pulse):
    def ping(self, now):
        self.next = now
        return super().ping(now)


class BySchedule(Pulse):
    """The next is due an interval after the last was *due*."""

    def ping(self, now):
        due = self.next
        payload = super().ping(now)
        self.next = due if payload is None else due + self.interval
        return payload


class StumblesOverStrangers(Pulse):
    def pong(self, payload, now):
        sent = self.open[payload]
        self.open = {other: at for other, at in self.open.items() if at > sent}


class NeverPings(Pulse):
    def ping(self, now):
        return None


class OneAtATime(Pulse):
    """The next ping waits for the last pong."""

    def ping(self, now):
        return None if self.open else super().ping(now)


class OnlyTheAnswered(Pulse):
    """The pings before it stay open."""

    def pong(self, payload, now):
        self.open.pop(payload, None)


class FromZero(Pulse):
    """The clock begins at 0, it thinks."""

    def __init__(self, interval, patience, now):
        super().__init__(interval, patience, 0.0)


class JustTooLate(Pulse):
    """Longer, not as long."""

    def is_dead(self, now):
        self.dead = self.dead or now - self.oldest(now) > self.patience
        return self.dead


class AsText(Pulse):
    def payload(self):
        return f"ping {next(self.numbers)}"


class GoesBack(Deadline):
    """An old pong takes the newer ones back."""

    def pong(self, payload, now):
        if payload.isdigit() and int(payload) <= len(self.sent):
            self.answered = int(payload)


class OnAGrid(Pulse):
    """The pings stand on whole intervals from the first."""

    def ping(self, now):
        first, payload = self.next, super().ping(now)
        if payload is not None:
            self.next = first + self.interval * (1 + (now - first) // self.interval)
        return payload


class OneByte(Pulse):
    """There are 256 of them."""

    def payload(self):
        return bytes([next(self.numbers) % 256])


class BySecond(Pulse):
    """Several pings in one second are one."""

    def ping(self, now):
        self.payload = lambda: b"%d" % int(now)
        return super().ping(now)


class AnyLaterNumber(Pulse):
    """Also one that was never sent."""

    def pong(self, payload, now):
        if payload.isdigit():
            self.open = {one: at for one, at in self.open.items() if int(one) > int(payload)}


class NumbersInABCOrder(Pulse):
    """b"10" comes before b"9"."""

    def pong(self, payload, now):
        if payload in self.open:
            self.open = {other: at for other, at in self.open.items() if other > payload}


RIGHT = {"open pings in a dict": Pulse, "a list of times": Deadline, "a log of deadlines": OneDeadline}
WRONG = {
    "answered by the dead": (AnsweredByTheDead, {"too-eager"}),
    "any pong": (AnyPong, {"old-pong"}),
    "counted from the last pong": (LastHeard, {"too-late"}),
    "once is enough": (OnceIsEnough, {"not-found"}),
    "the newest ping only": (NewestOnly, {"not-found"}),
    "the latest pong only": (LatestPongOnly, {"slow-killed"}),
    "one pong for all": (ClearsAll, {"old-pong"}),
    "only the ping that was answered": (OnlyTheAnswered, {"skipped"}),
    "an old pong goes back": (GoesBack, {"any-pong"}),
    "too eager": (Eager, {"slow-killed"}),
    "shared by all": (Shared, {"shared"}),
    "comes back to life": (Revived, {"revived"}),
    "a flood": (Flood, {"ping-flood"}),
    "the clock begins at zero": (FromZero, {"first-ping"}),
    "by schedule": (BySchedule, {"bursts"}),
    "on a grid": (OnAGrid, {"bursts"}),
    "stumbles over strangers": (StumblesOverStrangers, {"exception"}),
    "never pings": (NeverPings, {"no-ping"}),
    "one at a time": (OneAtATime, {"one-ping"}),
    "longer than patience": (JustTooLate, {"too-late"}),
    "the same payload": (SamePayload, {"same-payload"}),
    "one byte": (OneByte, {"same-payload"}),
    "a payload a second": (BySecond, {"same-payload"}),
    "any later number": (AnyLaterNumber, {"any-pong"}),
    "numbers in ABC order": (NumbersInABCOrder, {"old-pong"}),
    "a text": (AsText, {"not-bytes"}),
}
