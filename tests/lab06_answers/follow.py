"""Exercise 2: readers that come back, and what they forget, repeat, or do too often."""

import random
import time
from contextlib import suppress

from servicelab.checks.lab06 import Busy
from servicelab.clients.sse import StreamLost, StreamRefused


def plain(open_stream, handle, rng, sleep):
    last, losses = 0, 0
    while True:
        try:
            with open_stream(last) as stream:
                for event in stream:
                    number = int(event.id)
                    if number <= last:
                        continue
                    if number > last + 1:
                        break
                    handle(number, event.data)
                    last, losses = number, 0
                    if event.data == "delivered":
                        return
        except (StreamLost, Busy):
            pass
        sleep(rng.uniform(0, min(2.0, 0.1 * 2**losses)))
        losses += 1


def by_recursion(open_stream, handle, rng, sleep, last=0, losses=0):
    """Closes in a finally, and begins anew by calling itself."""
    stream = None
    try:
        stream = open_stream(last)
        for event in stream:
            if int(event.id) > last + 1:
                break
            if int(event.id) == last + 1:
                handle(last + 1, event.data)
                last, losses = last + 1, 0
                if event.data == "delivered":
                    return
    except (StreamLost, Busy):
        pass
    finally:
        if stream is not None:
            stream.close()
    sleep(rng.random() * min(2.0, 0.1 * 2**losses))
    by_recursion(open_stream, handle, rng, sleep, last, losses + 1)


class Reader:
    """In small parts; each mistake replaces one."""

    errors = (StreamLost, Busy)

    def __init__(self, open_stream, handle, rng, sleep):
        self.open_stream, self.handle, self.rng, self.sleep = open_stream, handle, rng, sleep
        self.last, self.step, self.over = 0, 0.1, False

    @classmethod
    def follow(cls, *args):
        reader = cls(*args)
        while not reader.over:
            try:
                reader.read()
            except reader.errors:
                reader.pause()

    def where(self):
        return self.last

    def read(self):
        stream = self.open_stream(self.where())
        try:
            for event in stream:
                if self.is_new(int(event.id)):
                    self.take(int(event.id), event.data)
                if self.over:
                    return
        finally:
            stream.close()

    def is_new(self, number):
        if number > self.last + 1:
            raise StreamLost("a hole")
        return number > self.last

    def take(self, number, state):
        self.handle(number, state)
        self.last = number
        self.reset()
        self.over = state == "delivered"

    def reset(self):
        self.step = 0.1

    def pause(self):
        self.sleep(self.delay())
        self.step = min(2.0, 2 * self.step)

    def delay(self):
        return self.rng.random() * self.step


class GivesUp(Reader):
    errors = ()


class NoResume(Reader):
    def where(self):
        return None if self.last else 0


class BeginsNow(Reader):
    """From now on, at the very beginning."""

    def where(self):
        return self.last or None


class FromZero(Reader):
    def where(self):
        return 0


class AsksForTheNext(Reader):
    """The number that it wants, in place of the one that it has."""

    def where(self):
        return self.last + 1 if self.last else 0


class KeepsDuplicates(Reader):
    def is_new(self, number):
        if number > self.last + 1:
            raise StreamLost("a hole")
        return True


class ReceivedIsDone(Reader):
    def take(self, number, state):
        self.last = number
        super().take(number, state)


class BusyEscapes(Reader):
    errors = (StreamLost,)


class SwallowsBusy(Reader):
    """An event that could not be handled is skipped."""

    def take(self, number, state):
        with suppress(Busy):
            self.handle(number, state)
        self.last = number
        self.reset()
        self.over = state == "delivered"


class OverGaps(Reader):
    def is_new(self, number):
        return number > self.last


class NoBackoff(Reader):
    def pause(self):
        pass


class SleepsByItself(Reader):
    def pause(self):
        time.sleep(0.001)


class NoJitter(Reader):
    def delay(self):
        return self.step


class OwnSeed(Reader):
    """Every reader in the world draws the same."""

    def __init__(self, *args):
        super().__init__(*args)
        self.rng = random.Random(42)


class EqualJitter(Reader):
    def delay(self):
        return self.step / 2 + self.rng.uniform(0, self.step / 2)


class TwoDice(Reader):
    """From 0 to the step, but mostly near 0."""

    def delay(self):
        return self.rng.random() * self.rng.uniform(0, self.step)


class Constant(Reader):
    def pause(self):
        self.sleep(self.rng.uniform(0, 1.0))


class ResetsWhenOpened(Reader):
    """To be connected is a success, it thinks."""

    def __init__(self, open_stream, *args):
        super().__init__(lambda last: (open_stream(last), self.reset())[0], *args)


class NeverResets(Reader):
    def reset(self):
        pass


class NoCap(Reader):
    def pause(self):
        self.sleep(self.delay())
        self.step *= 2


class StartsAtASecond(Reader):
    def __init__(self, *args):
        super().__init__(*args)
        self.step = 0.2


class RetriesRefusals(Reader):
    errors = (StreamLost, Busy, StreamRefused)


class HurriesOverHoles(Reader):
    """At a hole it asks again at once."""

    hurried = False

    def is_new(self, number):
        self.hurried = number > self.last + 1
        return super().is_new(number)

    def pause(self):
        if not self.hurried:
            super().pause()
        self.hurried = False


class HurriesWhenBusy(Reader):
    errors = (StreamLost,)

    def read(self):
        with suppress(Busy):
            super().read()


class NeverCloses(Reader):
    """A connection that broke is closed anyway; but not every one broke."""

    def read(self):
        for event in self.open_stream(self.where()):
            if self.is_new(int(event.id)):
                self.take(int(event.id), event.data)
            if self.over:
                return


class ClosesAfterThePause(Reader):
    """The pause is inside the with."""

    def read(self):
        with self.open_stream(self.where()) as stream:
            try:
                for event in stream:
                    if self.is_new(int(event.id)):
                        self.take(int(event.id), event.data)
                    if self.over:
                        return
            except self.errors:
                self.pause()


class AnyEventIsASuccess(Reader):
    def is_new(self, number):
        self.reset()
        return super().is_new(number)


class OneEventOnly(Reader):
    def take(self, number, state):
        super().take(number, state)
        self.over = True


def door_outside(open_stream, handle, rng, sleep):
    """Only the reading is in the try."""
    reader = Reader(open_stream, handle, rng, sleep)
    while not reader.over:
        stream = open_stream(reader.last)
        reader.open_stream = lambda last, stream=stream: stream
        try:
            reader.read()
        except (StreamLost, Busy):
            reader.pause()


def knocks_at_once(open_stream, handle, rng, sleep):
    """Waits after a cut, and knocks without a pause at a door that is shut."""

    def knocking(last):
        for _ in range(50):
            try:
                return open_stream(last)
            except StreamLost:
                pass
        raise StreamLost("shut")

    Reader.follow(knocking, handle, rng, sleep)


class RetriesInPlace(Reader):
    """Busy: again, on the same connection."""

    def take(self, number, state):
        for _ in range(9):
            with suppress(Busy):
                return super().take(number, state)
            self.pause()


class SkipsWhatIsBusyTwice(Reader):
    """Tries once more, and then goes on without it."""

    tried = None

    def take(self, number, state):
        try:
            super().take(number, state)
        except Busy:
            if self.tried != number:
                self.tried = number
                raise
            self.last = number


class LastIsNeverBusy(Reader):
    """'delivered' ends it, handled or not."""

    def take(self, number, state):
        self.over = state == "delivered"
        super().take(number, state)


class NumbersAsText(Reader):
    def __init__(self, open_stream, handle, rng, sleep):
        super().__init__(open_stream, lambda number, state: handle(str(number), state), rng, sleep)


class CatchesOSError(Reader):
    """StreamLost is one; so is a lot else."""

    errors = (OSError, Busy)


class WrapsRefusals(Reader):
    def read(self):
        try:
            super().read()
        except StreamRefused as error:
            raise RuntimeError("no such order") from error


class BusyIsASuccess(Reader):
    """It has come so far: the step is set back before handle."""

    def take(self, number, state):
        self.reset()
        super().take(number, state)


class PausesAtTheEnd(Reader):
    def read(self):
        super().read()
        self.pause()


class SixEvents(Reader):
    """What is delivered has number 6."""

    def take(self, number, state):
        super().take(number, state)
        self.over = number == 6


class AnyKindOfDelivered(Reader):
    """Not delivered is delivered."""

    def take(self, number, state):
        super().take(number, state)
        self.over = "delivered" in state


class AHundredTries(Reader):
    tries = 0

    def pause(self):
        self.tries += 1
        self.over = self.tries == 100
        super().pause()


class AllAtOnce(Reader):
    """Collects what a connection brings, and handles it then."""

    def read(self):
        events = []
        with suppress(StreamLost), self.open_stream(self.last) as stream:
            events.extend(stream)
        for event in events:
            if self.is_new(int(event.id)):
                self.take(int(event.id), event.data)
        self.over or self.pause()


class HolesAtTheBeginning(Reader):
    """Whatever comes first is the first."""

    def is_new(self, number):
        if self.last == 0:
            self.last = number - 1
        return super().is_new(number)


class BeyondTheHole(Reader):
    """Says what it has received, and not what it has handled."""

    beyond = None

    def is_new(self, number):
        self.beyond = number
        return super().is_new(number)

    def where(self):
        last, self.beyond = self.beyond or self.last, None
        return max(last, self.last) if last > self.last + 1 else self.last


class WaitsTheHoleOut(Reader):
    """Keeps what comes too early; perhaps the missing one follows."""

    def __init__(self, *args):
        super().__init__(*args)
        self.early = {}

    def is_new(self, number):
        return number > self.last

    def take(self, number, state):
        self.early[number] = state
        while not self.over and self.last + 1 in self.early:
            super().take(self.last + 1, self.early[self.last + 1])


def as_a_generator(open_stream, handle, rng, sleep):
    """The new events as a generator that is asked again; one attempt is a function of its own."""

    def unseen(stream, last):
        for event in stream:
            number = int(event.id)
            if number > last + 1:
                return
            if number == last + 1:
                yield number, event.data
                last = number

    steps, last = [0.1], 0
    while True:
        stream = None
        try:
            stream = open_stream(last)
            for number, data in unseen(stream, last):
                handle(number, data)
                last, steps = number, [0.1]
                if data == "delivered":
                    return
        except StreamLost:
            pass
        except Busy:
            pass
        finally:
            if stream:
                stream.close()
        sleep(steps[-1] * (1 - rng.random()))
        steps.append(min(2 * steps[-1], 2.0))


RIGHT = {
    "one loop": plain,
    "in small parts": Reader.follow,
    "by recursion": by_recursion,
    "a generator": as_a_generator,
}
WRONG = {
    "gives up": (GivesUp, {"gives-up"}),
    "no resume": (NoResume, {"no-resume"}),
    "resumes from zero": (FromZero, {"from-zero"}),
    "asks for the next one": (AsksForTheNext, {"off-by-one"}),
    "duplicates are kept": (KeepsDuplicates, {"doubled"}),
    "received is done": (ReceivedIsDone, {"not-handled"}),
    "Busy gets out": (BusyEscapes, {"busy-escapes"}),
    "Busy is swallowed": (SwallowsBusy, {"not-handled"}),
    "over gaps": (OverGaps, {"gap"}),
    "no backoff": (NoBackoff, {"no-pause"}),
    "another sleep": (SleepsByItself, {"no-pause"}),
    "no jitter": (NoJitter, {"no-jitter"}),
    "a seed of its own": (OwnSeed, {"no-jitter"}),
    "equal jitter": (EqualJitter, {"not-full"}),
    "two dice": (TwoDice, {"not-full"}),
    "always a second": (Constant, {"not-growing"}),
    "resets when it is opened": (ResetsWhenOpened, {"not-growing"}),
    "never resets": (NeverResets, {"never-reset"}),
    "no cap": (NoCap, {"no-cap"}),
    "begins too late": (StartsAtASecond, {"wrong-steps"}),
    "tries a refusal again": (RetriesRefusals, {"retries-refusal"}),
    "hurries over holes": (HurriesOverHoles, {"no-pause"}),
    "hurries when busy": (HurriesWhenBusy, {"no-pause"}),
    "never closes": (NeverCloses, {"not-closed"}),
    "closes after the pause": (ClosesAfterThePause, {"not-closed"}),
    "any event is a success": (AnyEventIsASuccess, {"reset-by-old"}),
    "begins now": (BeginsNow, {"begins-now"}),
    "tries again in place": (RetriesInPlace, {"stays"}),
    "skips what is busy twice": (SkipsWhatIsBusyTwice, {"not-handled"}),
    "the last is never busy": (LastIsNeverBusy, {"not-handled"}),
    "numbers as text": (NumbersAsText, {"plain"}),
    "catches every OSError": (CatchesOSError, {"retries-refusal"}),
    "wraps a refusal": (WrapsRefusals, {"retries-refusal"}),
    "busy is a success": (BusyIsASuccess, {"reset-by-busy"}),
    "pauses at the end": (PausesAtTheEnd, {"no-pause"}),
    "six events": (SixEvents, {"time-limit"}),
    "the first is the first": (HolesAtTheBeginning, {"gap"}),
    "asks for what is beyond": (BeyondTheHole, {"gap"}),
    "waits the hole out": (WaitsTheHoleOut, {"gap"}),
    "one event only": (OneEventOnly, {"plain"}),
    "any kind of delivered": (AnyKindOfDelivered, {"plain"}),
    "all at once": (AllAtOnce, {"kept"}),
    "a hundred tries": (AHundredTries, {"gives-up-at-the-door"}),
}
WRONG = {name: (answer.follow, codes) for name, (answer, codes) in WRONG.items()}
WRONG["the door is outside the try"] = (door_outside, {"gives-up-at-the-door"})
WRONG["knocks at once"] = (knocks_at_once, {"no-pause"})
