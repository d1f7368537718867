"""Exercise 2: readers that come back, and what they forget, repeat, or do too often."""

import random
import time  # noqa: F401  what the changes say needs it
from contextlib import nullcontext, suppress

from servicelab.checks.lab06 import Busy
from servicelab.clients.sse import StreamLost, StreamRefused  # noqa: F401
from tests.lab11_answers import but


def plain(open_stream, handle, rng, sleep):
    last, step = 0, 0.1
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
                    last, step = number, 0.1
                    if event.data == "delivered":
                        return
        except (StreamLost, Busy):
            pass
        sleep(rng.uniform(0, step))
        step = min(2.0, 2 * step)


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
    """In small parts; a hole is an error like the others."""

    def __init__(self, open_stream, handle, rng, sleep):
        self.open_stream, self.handle, self.rng, self.sleep = open_stream, handle, rng, sleep
        self.last, self.step, self.over = 0, 0.1, False

    @classmethod
    def follow(cls, *args):
        reader = cls(*args)
        while not reader.over:
            try:
                reader.read()
            except (StreamLost, Busy):
                reader.sleep(reader.rng.random() * reader.step)
                reader.step = min(2.0, 2 * reader.step)

    def read(self):
        stream = self.open_stream(self.last)
        try:
            for event in stream:
                if int(event.id) > self.last + 1:
                    raise StreamLost("a hole")
                if int(event.id) > self.last:
                    self.take(int(event.id), event.data)
                if self.over:
                    return
        finally:
            stream.close()

    def take(self, number, state):
        self.handle(number, state)
        self.last, self.step, self.over = number, 0.1, state == "delivered"


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


# -- mistakes ------------------------------------------------------------------------------------------


def door_outside(open_stream, handle, rng, sleep):
    """Only the reading is in the try."""
    reader = Reader(open_stream, handle, rng, sleep)
    while not reader.over:
        stream = open_stream(reader.last)
        reader.open_stream = lambda last, stream=stream: stream
        try:
            reader.read()
        except (StreamLost, Busy):
            sleep(rng.uniform(0, reader.step))
            reader.step = min(2.0, 2 * reader.step)


def knocking(open_stream):
    """Knocks without a pause at a door that is shut."""

    def knock(last):
        for _ in range(150):
            with suppress(StreamLost):
                return open_stream(last)
        raise StreamLost("shut")

    return knock


def all_at_once(stream):
    """Collects what a connection brings; it is handled then."""
    events = []
    with suppress(StreamLost), stream:
        events.extend(stream)
    return nullcontext(events)


class TwoDice(random.Random):
    """From 0 to the step, but mostly near 0."""

    def __init__(self, rng):
        self.uniform = lambda low, high: rng.random() * rng.uniform(low, high)


OPEN, LOOP, NUMBER = "with open_stream(last)", "for event in stream:", "number = int(event.id)\n"
AT = f"\n{' ' * 20}"  # a line of the loop
HOLE, OLD = f"if number > last + 1:{AT}    break", f"if number <= last:{AT}    continue"
HANDLE, DONE = "handle(number, event.data)", "last, step = number, 0.1"
END = 'if event.data == "delivered":'
CATCH, PAUSE, GROW = "except (StreamLost, Busy):", "sleep(rng.uniform(0, step))", "step = min(2.0, 2 * step)"
AGAIN = (
    f"while True:{AT}        try:{AT}            {HANDLE}{AT}            break{AT}        except Busy:{AT}            "
)
RIGHT = {
    "one loop": plain,
    "in small parts": Reader.follow,
    "by recursion": by_recursion,
    "a generator": as_a_generator,
    "whole microseconds": but(plain, f"{PAUSE} => sleep(rng.randint(0, int(1e6 * step)) / 1e6)"),
}
WRONG = {
    "gives up": ([f"{CATCH}\n            pass => finally:\n            pass"], "gives-up"),
    "a hundred tries": (["last, step = 0, 0.1 => last, step, tries = 0, 0.1, iter([True] * 100)",
                         "while True => while next(tries, False)"], "gives-up"),
    "no resume": ([f"{OPEN} => with open_stream(None if last else 0)"], "no-resume"),
    "resumes from zero": ([f"{OPEN} => with open_stream(0)"], "no-resume"),
    "asks for the next one": ([f"{OPEN} => with open_stream(last and last + 1)"], "no-resume"),
    "begins now": ([f"{OPEN} => with open_stream(last or None)"], "plain"),
    "duplicates are kept": ([f"{OLD} => pass"], "doubled"),
    "received is done": ([f"{HANDLE} => last = number; {HANDLE}"], "busy"),
    "Busy gets out": ([f"{CATCH} => except StreamLost:"], "busy"),
    "Busy is swallowed": ([f"{HANDLE} => with suppress(Busy): {HANDLE}"], "busy"),
    "tries again in place": ([f"{HANDLE} => {AGAIN}{PAUSE}"], "busy"),
    "skips what is busy twice": (
        ["last, step = 0, 0.1 => last, step, tried = 0, 0.1, set()",
         f"{HANDLE} => with suppress(*[Busy] * (number in tried)): tried.add(number); {HANDLE}"], "busy"),
    "the last is never busy": ([f"{HANDLE} => with suppress(*[Busy] * (event.data == 'delivered')): {HANDLE}"], "busy"),
    "over gaps": ([f"{HOLE} => pass"], "gap"),
    "the first is the first": (["number > last + 1: => number > last + 1 > 1:"], "gap"),
    "asks for what is beyond": (
        ["last, step = 0, 0.1 => last, step, beyond = 0, 0.1, 0", f"{NUMBER} => {NUMBER}{AT}beyond = number\n",
         f"{OPEN} => with open_stream(beyond if beyond > last + 1 else last)"], "gap"),
    "waits the hole out": (
        ["last, step = 0, 0.1 => last, step, early = 0, 0.1, {}", f"{HOLE} => early[number] = event.data",
         f"{HANDLE} => pass", f"{DONE} => while last + 1 in early:{AT}    handle(last + 1, early[last + 1])"
         f"{AT}    last, step = last + 1, 0.1", f"{END} => if early.get(last) == 'delivered':"], "gap"),
    "no backoff": ([f"{PAUSE} => pass"], "no-pause"),
    "another sleep": ([f"{PAUSE} => time.sleep(0.001)"], "no-pause"),
    "hurries over holes": (["try: => hole = False\n        try:", f"{HOLE} => {HOLE[:-5]}hole = True; break",
                            f"{PAUSE} => hole or {PAUSE}"], "no-pause"),
    "hurries when busy": ([f"{CATCH} => except Busy: continue\n        except StreamLost:"], "no-pause"),
    "pauses at the end": ([f"{END} => {END}{AT}    {PAUSE}"], "no-pause"),
    "knocks at once": ([f"{OPEN} => with knocking(open_stream)(last)"], "no-pause"),
    "never closes": ([f"{OPEN} => with nullcontext(open_stream(last))"], "not-closed"),
    "closes after the pause": ([f"{HOLE} => {HOLE.replace('break', PAUSE)}{AT}    {GROW}; wait = False; break",
                                f"        {PAUSE} => {' ' * 8}if wait: {PAUSE}", "try: => wait = True\n        try:"],
                               "not-closed"),
    "no jitter": ([f"{PAUSE} => sleep(step)"], "jitter"),
    "a seed of its own": (["last, step = 0, 0.1 => last, step, rng = 0, 0.1, random.Random(42)"], "jitter"),
    "equal jitter": ([f"{PAUSE} => sleep(rng.uniform(step / 2, step))"], "jitter"),
    "two dice": ([f"{PAUSE} => sleep(TwoDice(rng).uniform(0, step))"], "jitter"),
    "always a second": ([f"{PAUSE} => sleep(rng.uniform(0, 1.0))"], "steps"),
    "clips the draw": ([f"{GROW} => step *= 2", f"{PAUSE} => sleep(min(2.0, rng.uniform(0, step)))"], "jitter"),
    "resets when it is opened": ([f"{LOOP} => step = 0.1{AT[:17]}{LOOP}"], "steps"),
    "no cap": ([f"{GROW} => step *= 2"], "steps"),
    "begins too late": (["last, step = 0, 0.1 => last, step = 0, 0.2"], "steps"),
    "holes do not count": (
        ["try: => hole = False\n        try:", f"{HOLE} => {HOLE[:-5]}hole = True; break",
         f"{GROW} => step = step if hole else min(2.0, 2 * step)"], "reset"),
    "never resets": ([f"{DONE} => last = number"], "reset"),
    "any event is a success": ([f"{NUMBER} => {NUMBER}{AT}step = 0.1\n"], "reset"),
    "busy is a success": ([f"{HANDLE} => step = 0.1; {HANDLE}"], "reset"),
    "tries a refusal again": ([f"{CATCH} => except (StreamLost, Busy, StreamRefused):"], "refusal"),
    "catches every OSError": ([f"{CATCH} => except (OSError, Busy):"], "refusal"),
    "wraps a refusal": ([f"{CATCH} => except StreamRefused:\n            raise OSError\n        {CATCH}"], "refusal"),
    "numbers as text": ([f"{HANDLE} => handle(event.id, event.data)"], "plain"),
    "six events": ([f"{END} => if number == 6:"], "plain"),
    "one event only": ([f"{END} => if True:"], "plain"),
    "any kind of delivered": ([f"{END} => if 'delivered' in event.data:"], "plain"),
    "all at once": ([f"{OPEN} => with all_at_once(open_stream(last))"], "plain"),
}  # fmt: skip
WRONG = {name: (but(plain, *changes), {code}) for name, (changes, code) in WRONG.items()}
WRONG["the door is outside the try"] = door_outside, {"gives-up"}
