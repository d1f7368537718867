"""The tracking of an order for exercise 2: a server that plays a script, and dice that show what they are told."""

import random

from flask import Flask, request

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage
from servicelab.clients.sse import EventStream, StreamLost
from servicelab.servers import serve
from servicelab.servers.events import ServerSentEvent, event_stream, last_event_id

LAST = 6  # the number of "delivered"
FUSE = 20  # connections after which everything is sent, and then the end of a reader who forgets where he was
SHUT = StreamLost  # in a script: nobody can be reached
_STATES = ["not delivered", "paid", "picked", "packed", "sent"]


class Busy(Exception):
    """What ``handle`` raises when it could not handle the event this time."""


class Astray(BaseException):
    """Ends the learner's function when it has opened far too many streams."""


class Desk(Stage):
    """Lets the learner's function follow an order on a server that plays a script, and notes what it did: ``asked``
    (None: for what comes from now on), ``handled``, ``kept`` (of these, the numbers whose connection had ended),
    ``slept``, and as ``left_open`` the connections (from 1) that were open when it slept or returned."""

    def __init__(self, ask, follow):
        super().__init__(ask, follow)
        app = Flask("tracking")
        app.add_url_rule("/orders/17/events", "events", self._answer)
        self._url = self.use(serve(app, "tracking of the check", lane="tracking", trace=ask.trace)).url

    def follow(self, script, busy=(), end=LAST, rng=None):
        """``script`` has for each connection the numbers that are sent before it is cut, a status, or an error that
        is raised; then all goes well. At the numbers in ``busy`` handle raises Busy, once for each. How it ended;
        ends the check when that is with an error of the learner's own."""
        self.ask.trace.clear()
        self.script, self.busy, self.end, self._streams = script, list(busy), end, []
        self.asked, self.handled, self.kept, self.slept, self.left_open = [], [], [], [], set()
        outcome = self.ask.run(self.yours, self._open, self._handle, rng or random.Random(6), self._sleep, limit=3.0)
        self._look()
        for stream in self._streams:
            stream.close()
        gets = [one.id for one in self.ask.trace.messages if one.label.startswith("GET")]
        self.last = gets[1 if len(gets) > 1 else 0] if gets else None
        came = [shown(last, 20) for last in self.asked]
        self.told = f"it handled {shown(self.handled, 150)}, paused {len(self.slept)} times, and asked for what "
        self.told += f"comes after {', '.join(came[:6])}{' …' if came[6:] else ''} ({len(came)} attempts)"
        for kind, code in ((Busy, "busy"), (StreamLost, "gives-up"), (Astray, "plain")):
            if isinstance(outcome.error, kind):
                self.refuse(code, self.told if kind is Astray else f"{outcome}; {self.told}")
        is_meant = type(outcome.error) in map(type, script) or (404 in script and outcome.error is not None)
        if not outcome.returned and not is_meant:
            what, hint = "follow returns when the order is delivered", "What ends each of your loops?"
            self.ask.need(outcome.how, what, False, f"{outcome}; {self.told}", hint, self.last)
        return outcome

    def rides(self, *rides):
        for code, script, asks, *options in rides:
            yield from self.ride(code, script, asks, **dict(*options))

    def ride(self, code, script, asks, wrong=None, **options):
        """Follow, and come back at these numbers (``wrong`` is the code when it does not); what holds of each run."""
        self.follow(script, **options)
        elsewhere = wrong if wrong and len(self.asked) > 1 else code
        yield elsewhere, self.asked == asks, f"{self.told}, not {shown(asks, 20)}"
        done = [(number, self._state(number)) for number in range(1, self.end + 1)]
        yield code, self.handled == done, f"{self.told}; {self.end} events were sent"
        late, left = (min(some, default=0) for some in (self.kept, self.left_open))
        yield "plain", not late, f"event {late} was handled when its connection had ended; {self.told}"
        yield "no-pause", len(self.slept) == len(asks) - 1, self.told
        yield "not-closed", not left, f"connection {left} was still open; {self.told}"

    def _state(self, number):
        return "delivered" if number == self.end else _STATES[number % len(_STATES)]

    def _entry(self, turn):
        return self.script[turn] if turn < len(self.script) else None

    def _open(self, last=None):
        entry = self._entry(len(self.asked))
        self.asked.append(last)
        if len(self.asked) > len(self.script) + 2 * FUSE:
            raise Astray
        if entry is SHUT or isinstance(entry, Exception):
            raise entry
        url, after = f"{self._url}/orders/17/events?turn={len(self.asked) - 1}", "" if last is None else last
        self._streams.append(EventStream(url, after, silence=2.0, trace=self.ask.trace, name="client"))
        return self._streams[-1]

    def _answer(self):
        turn, after = int(request.args["turn"]), last_event_id(0) if last_event_id() is not None else None
        entry = self._entry(turn)
        if entry == 404:
            return "no such order", 404
        if entry is None:
            after = (4 if turn else 0) if after is None else after
            entry = range((after if turn < FUSE else 0) + 1, self.end + 1)
        return event_stream([ServerSentEvent(self._state(number), id=str(number)) for number in entry])

    def _handle(self, number, state):
        if self.busy[:1] == [number]:
            self.busy.pop(0)
            raise Busy("the database is locked")
        self.kept += [number] if self._streams[-1].is_closed else []
        self.handled.append((number, state))

    def _sleep(self, seconds):
        self.slept.append(float(seconds))
        self._look()

    def _look(self):
        self.left_open |= {turn for turn, stream in enumerate(self._streams, 1) if not stream.is_closed}


class Loaded(random.Random):
    """Draws the same number each time; of whole numbers the one in the same place."""

    def __init__(self, number):
        super().__init__(1)
        self.number = number

    def random(self):
        return self.number

    def _randbelow(self, end):
        return int(self.number * end)
