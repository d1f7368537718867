"""The last part of exercise 2: a real feed behind the fault proxy, cut at random. Here seconds are milliseconds."""

import json
import random
import threading
import time

from flask import Flask

from servicelab.clients.sse import EventStream, StreamLost
from servicelab.faults import Down, FaultProxy, LimitData, ResetPeer
from servicelab.servers import serve
from servicelab.servers.events import event_stream, last_event_id
from servicelab.servers.feed import Feed

CUTS = 10
LONGEST = 2.0  # seconds; a pause may be so long

HINTS = {
    "gives-up-at-the-door": "open_stream itself raises StreamLost, too, while nobody can be reached: into the try.",
    "exam-lost": "Between two connections something was published. Ask for what comes after the last handled number.",
    "exam-doubled": "Handle only what is above the last number.",
    "exam-backoff": "One sleep before each attempt but the first, whatever the loss looked like: also when open_stream "
    "itself raises StreamLost.",
}


class Felt(EventStream):
    """An open stream of a feed's events that notes when its reader has felt the cut."""

    def __init__(self, losses, *args, **options):
        super().__init__(*args, **options)
        self._losses = losses

    def __iter__(self):
        try:
            for event in super().__iter__():
                yield event._replace(data=json.loads(event.data))
        except StreamLost:
            self._losses.append("on the way")
            raise


def exam(ask, follow):
    """A real feed behind the fault proxy, cut at random."""
    feed, rng = Feed(), random.Random(66)
    slept, handled, attempts, losses = [], [], [], []
    app = Flask("tracking")
    app.get("/events", endpoint="events")(
        lambda: event_stream(feed.subscribe(last_event_id(0) if last_event_id() is not None else None), heartbeat=0.2)
    )
    done = threading.Event()

    def open_stream(last=None):
        attempts.append(last)
        last = "" if last is None and handled else last or 0
        try:
            return Felt(losses, proxy.url + "/events", last, silence=1.0, trace=ask.trace, name="client")
        except StreamLost:
            losses.append("at the door")
            raise

    def sleep(seconds):
        slept.append(seconds)
        time.sleep(min(max(seconds, 0.0), LONGEST) / 100)

    def publish_and_cut():
        _until(lambda: feed.subscribers or done.is_set())
        for _ in range(CUTS):
            _publish(rng.randrange(1, 4))
            _until(lambda: feed.last in handled or done.is_set())  # it stands, so this cut is felt for itself
            before = len(losses)
            proxy.add(rng.choice([ResetPeer(), Down(), LimitData(rng.randrange(0, 40))]))
            _publish(rng.randrange(1, 4))
            _until(lambda before=before: len(losses) > before or done.is_set())
            _publish(1)
            proxy.clear()
        while not done.wait(0.05):  # more than once for a reader that may have missed it
            feed.publish("delivered")

    def _publish(count):
        for _ in range(count):
            feed.publish("on its way")

    def handle(number, state):
        handled.append(number)

    with (
        serve(app, "cut tracking of the check", lane="tracking", workers=24, trace=ask.trace) as server,
        FaultProxy(server, "road of the check", seed=6) as proxy,
    ):
        cutter = threading.Thread(target=publish_and_cut, name="servicelab check cuts", daemon=True)
        try:
            cutter.start()
            outcome = ask.run(follow, open_stream, handle, random.Random(7), sleep, limit=8.0)
        finally:
            done.set()
            if cutter.is_alive():
                cutter.join(5.0)
            feed.close()
    gets = [m.id for m in ask.trace.messages if m.label.startswith("GET")]
    mark = gets[1] if len(gets) > 1 else None
    if not outcome.returned:
        code = "gives-up-at-the-door" if isinstance(outcome.error, StreamLost) else outcome.how
        ask.need(
            code, f"over {CUTS} cuts it follows to the end", False, str(outcome), HINTS["gives-up-at-the-door"], mark
        )
    lost = sorted(set(range(1, handled[-1] + 1)) - set(handled)) if handled else [1]
    told = f"of {len(set(handled)) + len(lost)} events {len(lost)} were lost"
    ask.expect("exam-lost", f"{CUTS} cuts at random: nothing is lost", not lost, told, HINTS["exam-lost"], mark)
    twice = len(handled) - len(set(handled))
    told = f"{twice} events were handled more than once"
    ask.expect("exam-doubled", "… and nothing handled twice", not twice, told, HINTS["exam-doubled"], mark)
    told = f"{len(attempts)} attempts, {len(slept)} sleeps"
    right = len(slept) == len(attempts) - 1
    ask.expect(
        "exam-backoff", "… and each attempt but the first after a sleep", right, told, HINTS["exam-backoff"], mark
    )


def _until(condition, limit=3.0):
    end = time.monotonic() + limit
    while not condition() and time.monotonic() < end:
        time.sleep(0.002)
