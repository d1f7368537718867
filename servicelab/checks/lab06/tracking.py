"""The tracking of an order for exercise 2: a server that plays a script, and dice that show what they are told."""

import random

from flask import Flask

from servicelab.clients.sse import EventStream, StreamLost, StreamRefused
from servicelab.servers import serve
from servicelab.servers.events import ServerSentEvent, event_stream, last_event_id

LAST = 6  # the number of "delivered" in the scripts
FUSE = 16  # connections after which the script's server sends everything
PATIENCE = 5.0  # seconds for one call of the learner's

_STATES = ["ordered", "paid", "picked", "packed", "sent", "delivered"]


class Busy(Exception):
    """What ``handle`` raises when it could not handle the event this time."""


class Desk:
    """A server that plays ``script``: for each connection the numbers that it sends before it is cut.

    ``hints`` are those of the expectations, by their codes. ``asked``, ``handled`` and ``slept`` are what the learner's
    function did; ``left_open`` are the connections (from 1) that it had not closed when it slept or returned.
    """

    def __init__(self, ask, hints, status=200):
        self.ask, self.hints, self.script, self.status = ask, hints, [], status
        self.asked, self.handled, self.slept = [], [], []
        self.left_open, self._streams = set(), []
        self.busy_at = None
        app = Flask("tracking")

        @app.get("/orders/17/events")
        def events():
            self.asked.append(last_event_id(0) if last_event_id() is not None else None)
            turn = len(self.asked) - 1
            if self.status != 200 and turn < 3:
                return "no such order", self.status
            return event_stream([self._event(number) for number in self._numbers(turn)])

        self.server = serve(app, "tracking of the check", lane="tracking", trace=ask.trace)
        self.url = self.server.url + "/orders/17/events"

    def _numbers(self, turn):
        if turn < len(self.script) and self.script[turn] is not None:
            return self.script[turn]
        after = self.asked[turn]
        if after is None:  # from now on; and from the beginning, when this is the first or goes on for ever
            after = 4 if 0 < turn < FUSE else 0
        return range((after if turn < FUSE else 0) + 1, LAST + 1)

    @staticmethod
    def _event(number):
        return ServerSentEvent(_STATES[number - 1], id=str(number))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for stream in self._streams:
            stream.close()
        self.server.stop()

    def open_stream(self, last=None):
        last = "" if last is None else last
        self._streams.append(EventStream(self.url, last, silence=2.0, trace=self.ask.trace, name="client"))
        return self._streams[-1]

    def sleep(self, seconds):
        self.slept.append(seconds)
        self._look()

    def _look(self):
        self.left_open |= {turn for turn, stream in enumerate(self._streams, 1) if not stream.is_closed}

    def handle(self, number, state):
        if number == self.busy_at:
            self.busy_at = None
            raise Busy("the database is locked")
        self.handled.append(number)

    def run(self, follow, script=(), rng=None):
        """Let the learner's function follow; returns how it ended. Ends the check when it raises what it should not."""
        self.script = list(script)
        outcome = self.ask.run(
            follow, self.open_stream, self.handle, rng or random.Random(6), self.sleep, limit=PATIENCE
        )
        self._look()
        if isinstance(outcome.error, StreamLost):
            what = f"the connection is cut after event {self.handled[-1] if self.handled else 0}: it comes back"
            self.need("gives-up", what, False, str(outcome))
        if not outcome.returned and not isinstance(outcome.error, Busy | StreamRefused):
            what, hint = "follow returns when the order is delivered", "What ends each of your loops?"
            self.ask.need(outcome.how, what, False, f"{outcome}; it handled {self.told}", hint, self.mark(-1))
        return outcome

    @property
    def told(self):
        return ", ".join(map(str, self.handled)) or "nothing"

    def mark(self, turn=0):
        sent = [m.id for m in self.ask.trace.messages if m.label.startswith("GET")]
        return sent[min(turn, len(sent) - 1)] if sent else None

    def expect(self, code, what, passed, happened, turn=1):
        return self.ask.expect(code, what, passed, happened, self.hints[code], self.mark(turn))

    def need(self, code, what, passed, happened, turn=0):
        self.ask.need(code, what, passed, happened, self.hints[code], self.mark(turn))


class Loaded(random.Random):
    """Draws the same number each time, and counts how often."""

    def __new__(cls, number):
        return super().__new__(cls, 1)

    def __init__(self, number):
        super().__init__(1)
        self._number, self.drawn = number, 0

    def random(self):
        self.drawn += 1
        return self._number
