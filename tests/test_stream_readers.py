"""Readers that come back: over fifty seeded cuts nothing is lost or doubled; without resuming, something is."""

import json
import random
import threading
import time
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask, request
from websockets.exceptions import ConnectionClosed

from servicelab.checks.stall import StallWatch
from servicelab.clients.sse import StreamLost, StreamRefused
from servicelab.clients.streams import Follow, events, messages, open_websocket
from servicelab.faults import Down, FaultProxy, LimitData, ResetPeer, SlowClose, Timeout
from servicelab.lifecycle import stop_all
from servicelab.policies import Exponential, FullJitter, Heartbeat, NoBackoff, Reconnect, Resume
from servicelab.servers import Feed, WebSocketServer, event_stream, serve
from servicelab.trace import Trace
from tests.waiting import eventually, left

CUTS = 50


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    stop_all()
    assert eventually(lambda: not left()), left()


def over_sse(feed):
    app = Flask("orders")

    @app.get("/events")
    def read():
        last = request.headers.get("Last-Event-ID")
        return event_stream(feed.subscribe(int(last) if last else None), heartbeat=0.1)

    return serve(app, "orders", workers=32)


def over_websocket(feed):
    def read(connection):
        query = parse_qs(urlsplit(connection.request.path).query)
        with feed.subscribe(int(query["after"][0]) if "after" in query else None) as news:
            connection.when_closed(news.close)
            for event in news:
                connection.send(json.dumps({"id": event.id, "data": event.data}))

    return WebSocketServer(read, "orders", ping_interval=0.1, ping_timeout=0.3).start()


KINDS = {
    "SSE": (over_sse, lambda url, **options: events(url + "/events", **options), lambda item: int(item.id)),
    "WebSocket": (over_websocket, lambda url, **options: messages(url, **options), lambda item: json.loads(item)["id"]),
}
each_kind = pytest.mark.parametrize("kind", list(KINDS))


class Reading:
    """A Follow that is read in a thread of its own; ``seen`` are the numbers that it gave, in order."""

    def __init__(self, follow, number):
        self.follow, self.seen, self.error = follow, [], None
        self.thread = threading.Thread(target=self._read, args=(number,), daemon=True)
        self.thread.start()

    def _read(self, number):
        try:
            for item in self.follow:
                self.seen.append(number(item))
        except Exception as error:
            self.error = error

    def end(self):
        self.follow.close()
        self.thread.join(8)
        assert not self.thread.is_alive() and self.error is None, self.error


def cut_and_read(kind, resume, seed):
    """Publish under ``CUTS`` seeded cuts of three sorts; returns the reading, what was published, and the cuts felt."""
    serve_it, open_it, number = KINDS[kind]
    rng, feed = random.Random(seed), Feed()
    with serve_it(feed) as server, FaultProxy(server, seed=seed) as proxy:
        reconnect = Reconnect(FullJitter(0.002, 0.02, random.Random(seed)), stable=0)
        follow = Follow(open_it(proxy.url), reconnect, resume)
        reading = Reading(follow, number)
        assert eventually(lambda: feed.subscribers)
        for _ in range(CUTS):
            for _ in range(rng.randrange(1, 6)):
                feed.publish("before")
            losses = follow.losses
            toxic = rng.choice([ResetPeer(), Down(), LimitData(rng.randrange(0, 40))])
            proxy.add(toxic)
            for _ in range(rng.randrange(1, 6)):
                feed.publish("during")
            assert eventually(lambda losses=losses: follow.losses > losses)
            feed.publish("while away")
            connections = follow.connections  # under each of the toxics, no attempt gets as far as that
            proxy.clear()
            if resume is None:  # it must be back, or all that follows would be lost as well
                assert eventually(lambda n=connections: follow.connections > n)
        if resume is None:
            assert eventually(lambda: feed.publish("last") and reading.seen and reading.seen[-1] >= feed.last - 5)
        else:
            feed.publish("last")
            assert eventually(lambda: reading.seen and reading.seen[-1] == feed.last)
        reading.end()
        assert eventually(lambda: feed.publish("bye") and feed.publish("bye") and not feed.subscribers)
    return reading, follow


@each_kind
@pytest.mark.parametrize("seed", [1, 2])
def test_over_fifty_cuts_nothing_is_lost_and_nothing_doubled(kind, seed, report_figure):
    reading, follow = cut_and_read(kind, Resume(), seed)
    assert follow.losses >= CUTS
    assert reading.seen == list(range(1, len(reading.seen) + 1))
    assert follow.resume.missing == []
    report_figure(f"{kind}: {len(reading.seen)} events over {CUTS} cuts: 0 lost, 0 doubled")


@each_kind
def test_without_resuming_some_are_lost(kind, report_figure):
    reading, follow = cut_and_read(kind, None, 1)
    lost = set(range(1, reading.seen[-1] + 1)) - set(reading.seen)
    assert len(lost) >= CUTS / 2  # at least what was published while nobody was connected
    report_figure(f"{kind} without resume: {len(lost)} of {reading.seen[-1]} events lost over {CUTS} cuts")


# -- the loop ----------------------------------------------------------------------------------------


class Script:
    """Streams by script: each entry is what one connection does. Numbers are items, an exception is raised."""

    def __init__(self, *connections):
        self.connections, self.asked, self.closed = list(connections), [], 0

    def __call__(self, after):
        self.asked.append(after)
        if not self.connections:
            raise StreamRefused("the script is over")
        script = self.connections.pop(0)
        if isinstance(script, Exception):
            raise script
        return self.Stream(self, script)

    class Stream:
        def __init__(self, owner, script):
            self.owner, self.script = owner, script

        def __iter__(self):
            for step in self.script:
                if isinstance(step, Exception):
                    raise step
                yield step, step

        def close(self):
            self.owner.closed += 1


def follow_script(*connections, resume=True, backoff=None):
    script = Script(*connections)
    follow = Follow(script, Reconnect(backoff or NoBackoff()), Resume() if resume else None)
    seen = []
    with pytest.raises(StreamRefused):
        for item in follow:
            seen.append(item)
    return follow, script, seen


LOST = StreamLost("lost")


def test_it_asks_for_what_comes_after_the_last_seen_and_drops_what_comes_twice():
    follow, script, seen = follow_script([1, 2, LOST], LOST, [2, 3, LOST], [1, 4])
    assert seen == [1, 2, 3, 4]
    assert script.asked == [0, 2, 2, 3, 4]
    assert follow.resume.duplicates == 2 and follow.connections == script.closed == 3 and follow.losses == 4


def test_a_gap_in_the_middle_is_asked_for_again_one_at_the_beginning_is_given_up():
    follow, script, seen = follow_script([1, 2, 5, 6], [3, 4, 5, LOST], [9, 10, LOST])
    assert seen == [1, 2, 3, 4, 5, 9, 10]
    assert script.asked == [0, 2, 5, 10]
    assert follow.resume.missing == [(6, 8)]


def test_without_resume_it_takes_what_comes():
    _, script, seen = follow_script([1, 2, LOST], [2, 7, LOST], resume=False)
    assert seen == [1, 2, 2, 7] and script.asked == [None] * 3


def test_the_delays_are_those_of_the_policy():
    follow, _, _ = follow_script(LOST, LOST, LOST, backoff=Exponential(0.001, 1))
    assert follow.delays == [0.001, 0.002, 0.004]


def test_closing_ends_a_wait_at_once():
    follow = Follow(Script(LOST, LOST), Reconnect(Exponential(60, 60)), Resume())
    reading = Reading(follow, int)
    assert eventually(lambda: follow.delays == [60])
    began = time.monotonic()
    reading.end()
    assert time.monotonic() - began < 8


@pytest.mark.parametrize("arguments", [(None, None), (Reconnect, None), (Reconnect(NoBackoff()), Resume)])
def test_the_loop_refuses_what_is_no_policy(arguments):
    with pytest.raises(TypeError, match="must be a"):
        Follow(Script(), *arguments)


# -- dead peers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind, options", [("SSE", {"silence": 0.4}), ("WebSocket", {"heartbeat": True})])
def test_a_half_open_connection_is_found_and_left(kind, options):
    serve_it, open_it, number = KINDS[kind]
    if "heartbeat" in options:
        options = {"heartbeat": Heartbeat(0.1, 0.4)}
    feed = Feed()
    with serve_it(feed) as server, FaultProxy(server) as proxy:
        follow = Follow(open_it(proxy.url, **options), Reconnect(NoBackoff(), stable=0), Resume())
        reading = Reading(follow, number)
        feed.publish("one")
        # In silence a living server is not left: its heartbeats, or its pongs, are heard.
        assert eventually(lambda: reading.seen == [1])
        with StallWatch() as machine:
            threading.Event().wait(1.0)
        losses = follow.losses
        assert losses == 0 or machine.longest > 0.2, "it was left though it lived"
        proxy.add(Timeout(0))  # from now on nothing comes through, and nobody says so
        feed.publish("two")
        assert eventually(lambda: follow.losses > losses)
        proxy.clear()
        assert eventually(lambda: reading.seen == [1, 2])
        reading.end()


def test_a_server_that_goes_and_comes_back_is_found_again():
    feed = Feed()
    server = over_websocket(feed)
    follow = Follow(messages(server.url), Reconnect(FullJitter(0.01, 0.05, random.Random(1))), Resume())
    reading = Reading(follow, lambda item: json.loads(item)["id"])
    feed.publish("one")
    assert eventually(lambda: reading.seen == [1])
    server.wanted_port = server.port
    server.stop()
    feed.publish("two")
    assert eventually(lambda: follow.losses >= 2)  # the loss, and an attempt that was refused
    server.start()
    assert eventually(lambda: reading.seen == [1, 2])
    reading.end()
    server.stop()


def test_a_refusal_ends_the_reading():
    app = Flask("orders")
    with serve(app, "orders") as server:
        with pytest.raises(StreamRefused, match="404"):
            list(Follow(events(server.url + "/nothing"), Reconnect(NoBackoff()), Resume()))
        with pytest.raises(StreamRefused, match="404"):
            open_websocket(server.url.replace("http", "ws"))


def test_the_servers_retry_is_waited_on_top_of_the_backoff():
    app = Flask("orders")
    app.get("/events", endpoint="events")(lambda: event_stream(["once"], retry=0.02))
    with serve(app, "orders") as server:
        follow = Follow(events(server.url + "/events"), Reconnect(Exponential(0.003, 0.003)))
        reading = Reading(follow, lambda item: item.data)
        assert eventually(lambda: len(follow.delays) >= 2)
        reading.end()
    assert follow.delays[:2] == pytest.approx([0.023, 0.023])


def test_a_traced_reader_shows_what_was_lost_in_the_cut():
    trace, feed = Trace(), Feed()

    def read(connection):
        with feed.subscribe(0) as news:
            connection.when_closed(news.close)
            for event in news:
                connection.send(str(event.data))

    with WebSocketServer(read, "orders", trace=trace) as server, FaultProxy(server) as proxy:
        connection = open_websocket(proxy.url, trace=trace, name="client")
        feed.publish("seen")
        assert connection.recv(timeout=8) == "seen"
        with proxy.applying(ResetPeer(), SlowClose(0.0)):
            feed.publish("cut")
            with pytest.raises(ConnectionClosed):
                connection.recv(timeout=8)
        found = eventually(lambda: {m.label: m.lost for m in trace.messages if m.lost})
    assert found == {"cut": "connection broke"}
