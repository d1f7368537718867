"""Server-sent events: what goes on the wire, what comes off it, and a stream's life on a real server."""

import json
import random
import socket
import threading
import time

import psutil
import pytest
from flask import Flask, jsonify
from hypothesis import given, settings
from hypothesis import strategies as st

from servicelab.arguments import LONGEST
from servicelab.clients.sse import EventParser, EventStream, StreamLost, StreamRefused
from servicelab.lifecycle import stop_all
from servicelab.policies import BoundedBuffer, Offer
from servicelab.servers import serve
from servicelab.servers.events import ServerSentEvent, event_stream, last_event_id, long_poll
from servicelab.servers.feed import Feed, Outbox
from servicelab.trace import Trace


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    stop_all()
    assert eventually(lambda: not left())


def left():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("servicelab")]


def eventually(condition, limit=8.0):
    end = time.monotonic() + limit
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.005)
    return found


def parsed(data: bytes, **options):
    return EventParser(**options).feed(data)


# -- the format ------------------------------------------------------------------------------------


def test_an_event_is_encoded_field_by_field():
    event = ServerSentEvent("packed\nand sent", id="17", event="order", retry=2.5)
    assert event.encode() == b"id: 17\nevent: order\nretry: 2500\ndata: packed\ndata: and sent\n\n"


@pytest.mark.parametrize("field", ["id", "event"])
@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0b"])
def test_what_would_break_the_format_is_refused(field, bad):
    with pytest.raises(ValueError, match=f"{field}=.* must be one line"):
        ServerSentEvent("x", **{field: bad}).encode()


@pytest.mark.parametrize(
    "data, expected",
    [  # the examples of the specification, section "Interpreting an event stream", in other words
        (b"data: 1\n\n", ["1"]),
        (b"data: a\ndata: b\n\n", ["a\nb"]),
        (b": nothing\n\ndata: 1\nid: 1\n\ndata:2\nid\n\ndata:  3\n\n", ["1", "2", " 3"]),
        (b"data\n\ndata\ndata\n\ndata:", ["", "\n"]),
        (b"data:test\n\ndata: test\n\n", ["test", "test"]),
        (b"data: 1\r\rdata: 2\r\n\r\ndata: 3\n\n", ["1", "2", "3"]),
        ("\ufeffdata: ü\n\n".encode(), ["ü"]),
        (b"\xff\n\ndata: 1\n\n", ["1"]),
        (b"event: x\n\ndata: 1\n\n", ["1"]),
        (b"data: never finished\n", []),
        (b"nonsense: 1\ndata: 1\n\n", ["1"]),
    ],
)
def test_a_stream_is_read_as_the_specification_says(data, expected):
    assert [event.data for event in parsed(data)] == expected


def test_the_last_id_stays_until_another_comes_and_an_empty_one_clears_it():
    parser = EventParser("5")
    events = parser.feed(b"data: a\n\nid: 6\ndata: b\n\ndata: c\n\nid\ndata: d\n\nid: 7\n\nid: a\0b\ndata: e\n\n")
    assert [event.id for event in events] == ["5", "6", "6", None, "7"]
    assert parser.last_id == "7"


def test_an_id_counts_only_when_its_event_is_complete():
    parser = EventParser("5")
    assert parser.feed(b"id: 6\ndata: half") == [] and parser.last_id == "5"


def test_retry_heeds_digits_only():
    parser = EventParser()
    parser.feed(b"retry: 1500\n\n")
    assert parser.retry == 1.5
    parser.feed("retry: 2s\nretry: ²\n\n".encode())
    assert parser.retry == 1.5
    parser.feed(b"retry: " + b"9" * 5000 + b"\n\n")
    assert parser.retry == LONGEST


def test_a_long_line_is_read_in_time_that_grows_with_its_length():
    """In 100 times as many pieces, a line takes about 100 times as long, and not 10 000 times."""

    def pieces(count):
        parser, began = EventParser(), time.thread_time()
        parser.feed(b"data: ")
        for _ in range(count):
            parser.feed(b"x" * 1000)
        [event] = parser.feed(b"\n\n")
        assert len(event.data) == 1000 * count
        return time.thread_time() - began

    short = min(pieces(100) for _ in range(5))
    assert pieces(10_000) < 1000 * short


texts = st.text(st.characters(blacklist_categories=["Cs"]), max_size=30)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(texts, st.integers(1, 99)), max_size=6), st.randoms(use_true_random=False))
def test_events_survive_any_cutting(events, rng):
    wire = b"".join(ServerSentEvent(data, id=str(id)).encode() for data, id in events)
    parser, found = EventParser(), []
    while wire:
        size = rng.randint(1, 7)
        found += parser.feed(wire[:size])
        wire = wire[size:]
    assert [(e.data, e.id) for e in found] == [
        (data.replace("\r\n", "\n").replace("\r", "\n"), str(id)) for data, id in events
    ]


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"], ids=repr)
def test_a_stream_cut_at_any_byte_reads_the_same(end):
    wire = end.join(["data: ä", "data: b", "id: 7", "", ": beat", "", "event: x", "data: c", "", ""]).encode()
    whole = parsed(wire)
    assert [(e.data, e.id, e.event) for e in whole] == [("ä\nb", "7", None), ("c", "7", "x")]
    for at in range(len(wire)):
        parser = EventParser()
        assert parser.feed(wire[:at]) + parser.feed(wire[at:]) == whole, at


PIECES = [
    b"\r",
    b"\n",
    b"\r\n",
    b"data",
    b"id",
    b"retry",
    b":",
    b" ",
    b"1",
    b"\xef\xbb\xbf",
    "ü".encode(),
    b"\xff",
    b"\0",
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join), st.integers(0, 2**32))
def test_any_bytes_cut_anywhere_read_the_same(data, seed):
    rng, parser, found = random.Random(seed), EventParser(), []
    rest = data
    while rest:
        size = rng.randint(1, 5)
        found += parser.feed(rest[:size])
        rest = rest[size:]
    assert found == parsed(data)


# -- the feed behind it ----------------------------------------------------------------------------


def test_a_feed_keeps_its_latest_and_says_which():
    feed = Feed(keep=3)
    assert (feed.first, feed.last, feed.after(0)) == (1, 0, [])
    for number in range(5):
        feed.publish(number)
    assert (feed.first, feed.last) == (3, 5)
    assert [event.id for event in feed.after(0)] == [3, 4, 5] and feed.after(5) == []
    with pytest.raises(ValueError, match="keep=0"):
        Feed(keep=0)


def test_waiting_ends_with_the_first_event_with_the_time_and_with_the_feed():
    feed = Feed()
    assert feed.wait(0, 0.01) == []
    found = []
    waiting = threading.Thread(target=lambda: found.append(feed.wait(0, 20)))
    waiting.start()
    feed.publish("x")
    waiting.join(8)
    assert [event.data for event in found[0]] == ["x"]
    reader = feed.subscribe()
    feed.close()
    assert feed.wait(1, 20) == [] and list(reader) == [] and list(feed.subscribe(0)) == []


def test_a_subscription_replays_and_goes_on_without_a_seam():
    feed = Feed()
    for _ in range(200):
        feed.publish("before")
    stop = threading.Event()

    def produce():
        while not stop.is_set():
            feed.publish("more")

    producer = threading.Thread(target=produce)
    producer.start()
    with feed.subscribe(after=150) as reader:
        ids = [reader.get(8).id for _ in range(300)]
    stop.set()
    producer.join(8)
    assert ids == list(range(151, 451)) and feed.subscribers == 0


def test_a_subscriber_that_blocks_holds_the_producer_and_loses_nothing():
    feed = Feed()
    reader = feed.subscribe(buffer=BoundedBuffer(2, "block"))
    quick = feed.subscribe()
    done = threading.Event()

    def produce():
        for number in range(6):
            feed.publish(number)
        done.set()

    producer = threading.Thread(target=produce)
    producer.start()
    assert eventually(lambda: len(quick.buffer) == 3) and not done.wait(0.1)  # two fit, the third waits
    assert [reader.get(8).data for _ in range(6)] == list(range(6))
    assert done.wait(8)
    producer.join()
    reader.close()
    feed.publish("not for it")
    assert [quick.get(0.1).id for _ in range(7)] == list(range(1, 8)) and quick.get(0.01) is None


def test_a_producer_that_waits_for_a_reader_is_let_go_when_the_reader_leaves():
    feed = Feed()
    reader = feed.subscribe(buffer=BoundedBuffer(1, "block"))
    feed.publish(1)
    producer = threading.Thread(target=feed.publish, args=(2,))
    producer.start()
    producer.join(0.05)
    assert producer.is_alive()
    reader.close()
    producer.join(8)
    assert not producer.is_alive()


def test_two_producers_do_not_overtake_each_other_at_a_reader_that_blocks():
    feed = Feed()
    reader = feed.subscribe(buffer=BoundedBuffer(1, "block"))
    producers = [threading.Thread(target=lambda: [feed.publish(0) for _ in range(200)]) for _ in range(3)]
    for producer in producers:
        producer.start()
    assert [reader.get(8).id for _ in range(600)] == list(range(1, 601))
    for producer in producers:
        producer.join(8)


def test_an_outbox_gives_up_waiting_for_room_in_time():
    outbox = Outbox(BoundedBuffer(1, "block"))
    assert outbox.put(1) is Offer.KEPT and outbox.put(2, timeout=0.01) is Offer.FULL
    assert outbox.get() == 1
    outbox.close()
    assert outbox.put(3) is Offer.FULL and outbox.get() is None


# -- on a server -----------------------------------------------------------------------------------


def app_of(feed, **options):
    app = Flask("orders")

    @app.get("/events")
    def events():
        return event_stream(feed.subscribe(last_event_id(0)), **options)

    @app.get("/wait")
    def wait():
        return jsonify([event.id for event in long_poll(feed, last_event_id(0), 20)])

    return app


def test_events_come_as_they_are_published_and_go_on_after_the_last_seen():
    feed = Feed()
    feed.publish("one")
    with serve(app_of(feed), "orders") as server, EventStream(server.url + "/events") as stream:
        events = iter(stream)
        assert next(events) == ServerSentEvent('"one"', id="1")
        feed.publish({"n": 2})
        assert json.loads(next(events).data) == {"n": 2}
        with EventStream(server.url + "/events", last_id="1") as other:
            assert next(iter(other)).id == "2"
        with EventStream(server.url + "/events?after=1") as other:
            assert next(iter(other)).id == "2"


@pytest.mark.parametrize("id", ["bestellung-ü", "заказ", "注文 7", "é" * 200, "a b"])
def test_an_id_of_any_script_travels_both_ways(id):
    asked = []
    app = Flask("orders")

    @app.get("/")
    def events():
        asked.append(last_event_id())
        return event_stream([ServerSentEvent("new", id=id)])

    with serve(app, "orders") as server, EventStream(server.url, id) as stream:
        assert next(iter(stream)).id == id and stream.parser.last_id == id
    assert asked == [id]


@pytest.mark.parametrize("asked", ["soon", "1_0", "٣", "-1", "9" * 5000, "\xff"])
def test_what_is_no_number_of_an_event_is_a_bad_request(asked):
    with serve(app_of(Feed()), "orders") as server, socket.create_connection(server.address) as client:
        client.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\nLast-Event-ID: " + asked.encode() + b"\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 400")
        assert server.errors == []


@pytest.mark.parametrize("last_id", ["a\nb", "a\rb", "a\0b", "\ud800"])
def test_an_id_that_cannot_be_sent_is_refused_before_anything_is_opened(last_id):
    with pytest.raises(ValueError, match="must be one line of text"):
        EventStream("http://127.0.0.1:9/", last_id)


@pytest.mark.parametrize("head", ["HTTP/1.1 200 OK\r\nConnection: close\r\n", "HTTP/1.1 200 OK\r\n"])
@pytest.mark.parametrize("ending", ["it ends", "its reader leaves", "its reader fails", "it is no stream", "bad path"])
def test_a_stream_lets_go_of_its_socket_however_it_ends(head, ending):
    kind = "text/plain" if ending == "it is no stream" else "text/event-stream"

    def answer():
        client, _ = listening.accept()
        with client:
            if client.recv(4096):
                client.sendall(f"{head}Content-Type: {kind}\r\n\r\ndata: 1\n\nretry: {'9' * 5000}\n\n".encode())
                if ending != "it ends":
                    client.recv(1)  # until the reader has let go

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        before = psutil.Process().num_fds()
        kept = []  # what is collected is closed, too
        with pytest.raises((StreamLost, StreamRefused, UnicodeEncodeError, KeyError)):
            stream = EventStream(url + ("\u2013" if ending == "bad path" else ""), silence=8)
            kept.append(stream)
            for _ in stream:
                if ending == "its reader leaves":
                    kept.append(stream)
                    break
                if ending == "its reader fails":
                    raise KeyError
            stream.close()
            raise StreamLost
        thread.join(8)
        assert not thread.is_alive() and eventually(lambda: psutil.Process().num_fds() == before)


def test_the_server_asks_for_patience_and_beats():
    feed = Feed()
    with serve(app_of(feed, heartbeat=0.02, retry=0.75), "orders") as server:
        with socket.create_connection(server.address) as client:
            client.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
            got = b""
            while got.count(b":\n\n") < 3:
                got += client.recv(4096)
        assert b"Content-Type: text/event-stream" in got and b"Cache-Control: no-store" in got
        assert EventParser().feed(got) == [] and b"retry: 750\n" in got


def test_a_reader_who_left_is_found_by_the_heartbeat_and_its_worker_is_free():
    feed = Feed()
    with serve(app_of(feed, heartbeat=0.02), "orders", workers=1) as server:
        for _ in range(3):  # with a worker lost, the second would wait for ever
            stream = EventStream(server.url + "/events", silence=8)
            assert eventually(lambda: feed.subscribers == 1)
            stream.close()
            assert eventually(lambda: feed.subscribers == 0)
        assert server.errors == []


def test_each_stream_occupies_a_worker():
    feed = Feed()
    with serve(app_of(feed), "orders", workers=2) as server:
        streams = [EventStream(server.url + "/events") for _ in range(2)]
        with pytest.raises(StreamLost):
            EventStream(server.url + "/events", silence=0.2)
        for stream in streams:
            stream.close()


def test_streams_and_long_polls_end_when_the_server_stops():
    feed = Feed()
    server = serve(app_of(feed), "orders")
    stream = EventStream(server.url + "/events")
    poll = socket.create_connection(server.address)
    poll.sendall(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
    assert eventually(lambda: feed.subscribers == 2)
    server.stop()
    assert feed.subscribers == 0 and left() == [] and server.errors == []
    with pytest.raises(StreamLost, match="ended"):
        list(stream)
    poll.close()


def test_a_handler_that_fails_under_way_ends_the_stream_and_is_noted():
    app = Flask("orders")

    def broken():
        yield "one"
        raise RuntimeError("no more")

    @app.get("/events")
    def events():
        return event_stream(broken())

    with serve(app, "orders") as server:
        stream = iter(EventStream(server.url + "/events"))
        assert next(stream).data == "one"
        with pytest.raises(StreamLost):
            next(stream)
        assert eventually(lambda: any("no more" in error for error in server.errors))


def test_a_generator_is_closed_when_its_reader_goes():
    closed = threading.Event()

    def endless():
        try:
            while True:
                yield "x" * 1000
                time.sleep(0.001)
        finally:
            closed.set()

    app = Flask("orders")
    app.get("/events", endpoint="events")(lambda: event_stream(endless()))
    with serve(app, "orders") as server:
        stream = EventStream(server.url + "/events")
        next(iter(stream))
        stream.close()
        assert closed.wait(8)


def test_a_slow_reader_costs_a_bounded_buffer_its_oldest_and_not_the_server_its_memory():
    feed = Feed()
    buffers = []
    app = Flask("orders")

    @app.get("/events")
    def events():
        buffers.append(BoundedBuffer(10, "drop oldest"))
        return event_stream(feed.subscribe(0, buffers[-1]))

    with serve(app, "orders") as server, EventStream(server.url + "/events") as stream:
        assert eventually(lambda: buffers)
        for _ in range(300):
            feed.publish("x" * 100_000)  # far more than the kernel's buffers hold
        assert buffers[0].dropped > 100 and len(buffers[0]) <= 10
        ids = []
        for event in stream:
            ids.append(int(event.id))
            if ids[-1] == 300:
                break
        assert ids == sorted(set(ids)) and len(ids) == 300 - buffers[0].dropped


def test_other_answers_are_refused_and_no_server_is_a_loss():
    app = Flask("orders")
    app.get("/json", endpoint="json")(lambda: {"a": 1})
    with serve(app, "orders") as server:
        with pytest.raises(StreamRefused, match="answered 200 with application/json"):
            EventStream(server.url + "/json")
        with pytest.raises(StreamRefused, match="answered 404"):
            EventStream(server.url + "/nothing")
        url = server.url
    with pytest.raises(StreamLost, match="refused"):
        EventStream(url + "/events")
    with pytest.raises(ValueError, match="url='ftp://x'"):
        EventStream("ftp://x")


@pytest.mark.parametrize("bad", ["text", b"bytes", 7])
def test_a_source_that_is_none_is_refused(bad):
    app = Flask("orders")
    with app.test_request_context(), pytest.raises(TypeError, match="source="):
        event_stream(bad)


def test_events_are_messages_in_the_trace_of_both_ends():
    feed, trace = Feed(), Trace()
    with serve(app_of(feed), "orders", trace=trace) as server:
        with EventStream(server.url + "/events", trace=trace, name="client") as stream:
            events = iter(stream)
            for number in range(3):
                feed.publish(number)
                next(events)
        stream.close()
    found = [(m.sender, m.receiver, m.label, m.kind) for m in trace.messages]
    assert found[:2] == [("client", "orders", "GET /events", "request"), ("orders", "client", "200", "reply")]
    assert found[2:] == [("orders", "client", str(number), "message") for number in range(3)]
    assert all(m.received is not None and m.received >= m.sent for m in trace.messages)
    assert next(work.end for work in trace.work) is not None


def test_reading_and_closing_from_two_threads_leaves_no_descriptor():
    feed = Feed()
    process = psutil.Process()
    with serve(app_of(feed, heartbeat=0.02), "orders") as server:
        before = process.num_fds() if hasattr(process, "num_fds") else 0
        for _ in range(20):
            stream = EventStream(server.url + "/events")
            reader = threading.Thread(target=lambda stream=stream: list(stream))
            reader.start()
            stream.close()
            reader.join(5)
            assert not reader.is_alive()
        assert eventually(lambda: feed.subscribers == 0)
        assert not hasattr(process, "num_fds") or eventually(lambda: process.num_fds() <= before)
