"""pika with stamps, and a consumer in a thread that can be stopped, can crash, and leaves nothing behind."""

import threading
import time
from contextlib import suppress

import pika
import psutil
import pytest
from pika.exceptions import AMQPConnectionError, ChannelClosedByBroker

from servicelab.clients.amqp import Consumer, connect
from servicelab.faults import FaultProxy
from servicelab.lifecycle import ServerError, running, stop_all
from servicelab.servers.amqp import Broker
from servicelab.trace import Trace, from_traceparent
from tests.waiting import left, wait_until


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    stop_all()
    wait_until(lambda: not left())


@pytest.fixture
def trace():
    return Trace()


@pytest.fixture
def broker(trace):
    with Broker(trace=trace) as broker:
        yield broker


@pytest.fixture
def channel(broker):
    connection = connect(broker, "orders")
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare("mails")
    yield channel
    with suppress(AMQPConnectionError):
        connection.close()


def acknowledge(channel, method, properties, body):
    channel.basic_ack(method.delivery_tag)


def publish(channel, *texts):
    for text in texts:
        channel.basic_publish("", "mails", text.encode())


def connections(broker):
    return list(broker._engine._server.connections)


def drained(broker):
    return lambda: broker.depth("mails") == (0, 0)


# -- connect ------------------------------------------------------------------------------------


def test_a_connection_has_a_name_and_says_only_when_traced_that_it_stamps(broker, trace):
    plain, traced, url = connect(broker), connect(broker, "orders", trace), connect(broker.url, "orders")
    names = {c.name: c.properties.get("servicelab") for c in connections(broker)}
    numbers = sorted(int(name.partition("#")[2]) for name in names)
    assert numbers == list(range(numbers[0], numbers[0] + 3))
    assert [names[name] for name in sorted(names, key=lambda name: name.partition("#")[2])].count(True) == 1
    assert {name.partition("#")[0] for name in names} == {"client", "orders"}
    assert isinstance(plain, pika.BlockingConnection) and isinstance(traced, pika.BlockingConnection)
    assert type(plain).channel is pika.BlockingConnection.channel  # without a trace nothing of ours is in its channels
    assert [c._impl.params.heartbeat for c in (plain, traced, url)] == [0, 0, 0]
    for connection in (plain, traced, url):
        connection.close()


@pytest.mark.parametrize("traced", [False, True])
def test_an_interrupt_hangs_up_without_a_goodbye(broker, trace, traced):
    with pytest.raises(KeyboardInterrupt), connect(broker, "orders", trace if traced else None) as connection:
        connection.channel().queue_declare("mails")
        broker.pause()  # a goodbye would wait for an answer for ever
        raise KeyboardInterrupt
    broker.resume()
    assert connection.is_closed
    with pytest.raises(ValueError), connect(broker, "orders") as connection:
        raise ValueError
    assert connection.is_closed


def test_heartbeats_are_off_unless_the_url_asks_for_them(broker):
    address = f"amqp://127.0.0.1:{broker.port}"
    for url, heartbeat in ((address, 0), (address + "/%2F?heartbeat=9", 9)):
        connection = connect(url)
        assert connection._impl.params.heartbeat == heartbeat
        connection.close()


@pytest.mark.parametrize("upstream", [lambda broker: broker, lambda broker: broker.address, lambda broker: broker.url])
def test_through_a_fault_proxy(broker, trace, channel, upstream):
    with FaultProxy(upstream(broker)) as proxy, Consumer(proxy, "mails", acknowledge, trace=trace) as consumer:
        connection = connect(proxy, "shop", trace)
        connection.channel().basic_publish("", "mails", b"1")
        wait_until(lambda: consumer.handled == 1)
        connection.close()
    assert ("shop", "broker", "publish mails") in [(m.sender, m.receiver, m.label) for m in trace.messages]


def test_what_is_no_broker_is_refused(broker):
    for bad in (None, 5672, object()):
        with pytest.raises(ValueError, match="is no broker: give start_broker"):
            connect(bad)
    with pytest.raises(ValueError, match="trace=.* is no servicelab.trace.Trace"):
        connect(broker, "orders", [])
    broker.stop()
    with pytest.raises(AMQPConnectionError):
        connect("amqp://127.0.0.1:1")


# -- stamps -------------------------------------------------------------------------------------


def test_both_ends_of_every_message_meet(broker, trace, channel):
    def forward(channel, method, properties, body):
        channel.basic_publish("", "shipments", body)
        channel.basic_ack(method.delivery_tag)

    channel.queue_declare("shipments")
    mark = len(trace)
    with Consumer(broker, "mails", forward, name="shipping", trace=trace):
        connection = connect(broker, "orders", trace)
        connection.channel().basic_publish("", "mails", b"1")
        wait_until(lambda: broker.depth("shipments") == (1, 0) and drained(broker)())
    part = trace.since(mark)
    assert [(m.sender, m.receiver, m.label) for m in part.messages] == [
        ("orders", "broker", "publish mails"),
        ("broker", "shipping", "deliver mails"),
        ("shipping", "broker", "publish shipments"),
        ("shipping", "broker", "ack"),
    ]
    assert all(m.sent <= m.received for m in part.messages)
    [work] = part.work
    assert (work.who, work.label, work.id) == ("shipping", "handle mails", part.messages[1].id)
    assert part.messages[1].received <= work.start <= part.messages[2].sent <= work.end
    method, properties, _ = connection.channel().basic_get("shipments", auto_ack=True)
    assert from_traceparent(properties.headers["traceparent"])[1] == part.messages[2].id
    got = trace.messages[-1]
    assert (got.sender, got.receiver, got.label) == ("broker", "orders", "deliver shipments")
    assert got.received is not None
    connection.close()


def test_with_a_broker_that_does_not_stamp_the_client_does_it_for_both():
    trace = Trace()
    with (
        Broker() as rabbit,
        Consumer(connect_first(rabbit), "mails", acknowledge, name="shipping", trace=trace) as reader,
    ):
        connection = connect(rabbit, "orders", trace)
        connection.channel().basic_publish("", "mails", b"1")
        wait_until(lambda: reader.handled)
        connection.close()
    assert [(m.sender, m.receiver, m.label) for m in trace.messages] == [
        ("orders", "broker", "publish mails"),
        ("broker", "shipping", "deliver mails"),
        ("shipping", "broker", "ack"),
    ]
    assert all(m.received is not None for m in trace.messages)


def connect_first(broker):
    connection = connect(broker)
    connection.channel().queue_declare("mails")
    connection.close()
    return broker


def test_what_one_message_causes_has_one_trace_id(broker, trace, channel):
    seen = {}

    def forward(channel, method, properties, body):
        seen[body] = from_traceparent(properties.headers["traceparent"])
        if body == b"1":
            channel.basic_publish("", "mails", b"2", properties)  # the very properties, a common way to retry
        channel.basic_ack(method.delivery_tag)

    with Consumer(broker, "mails", forward, trace=trace):
        connection = connect(broker, "orders", trace)
        publisher = connection.channel()
        mine = pika.BasicProperties(headers={"n": 1}, message_id="m")
        publisher.basic_publish("", "mails", b"1", mine)
        publisher.basic_publish("", "mails", b"3")
        wait_until(lambda: len(seen) == 3)
        connection.close()
    assert mine.headers == {"n": 1}  # the caller's own stay as they were
    (first, one), (second, two), (other, _) = (seen[body] for body in (b"1", b"2", b"3"))
    assert first == second != other
    assert one != two
    assert all(message.received for message in trace.messages)


def test_messages_wait_in_the_consumers_process_and_the_trace_shows_it(broker, trace, channel):
    publish(channel, "1", "2", "3")
    arrived = threading.Event()

    def slow(channel, method, properties, body):
        arrived.wait(10)
        channel.basic_ack(method.delivery_tag)

    with Consumer(broker, "mails", slow, trace=trace):
        wait_until(lambda: len([m for m in trace.messages if m.label == "deliver mails"]) == 3)
        arrived.set()
        wait_until(lambda: drained(broker)() and all(work.end is not None for work in trace.work))
    delivered = [m for m in trace.messages if m.label == "deliver mails"]
    assert [m.id for m in delivered] == [w.id for w in trace.work]
    assert all(m.received <= w.start for m, w in zip(delivered, trace.work))
    assert all(m.received <= trace.work[1].start for m in delivered)


def test_the_generator_stamps_too(broker, trace, channel):
    publish(channel, "1", "2")
    connection = connect(broker, "notification", trace)
    reader = connection.channel()
    bodies = []
    for method, _, body in reader.consume("mails", inactivity_timeout=10):
        bodies.append(body)
        reader.basic_ack(method.delivery_tag)
        if len(bodies) == 2:
            break
    reader.cancel()
    connection.close()
    assert bodies == [b"1", b"2"]
    assert [(w.who, w.end is not None) for w in trace.work] == [("notification", True)] * 2
    assert all(m.received for m in trace.messages)


def test_without_a_trace_nothing_is_added(broker, channel):
    with Consumer(broker, "mails", lambda *message: seen.append(message), auto_ack=True):
        seen = []
        publish(channel, "1")
        wait_until(lambda: seen)
    assert seen[0][2].headers is None
    assert "basic_publish" not in vars(seen[0][0])


# -- a consumer's life --------------------------------------------------------------------------


def test_it_handles_and_stops_and_begins_again(broker, channel):
    publish(channel, "1", "2", "3")
    consumer = Consumer(broker, "mails", acknowledge, name="notification").start()
    wait_until(lambda: drained(broker)() and consumer.handled == 3)
    assert ["notification", "Consumer"] in [row[:2] for row in running()]
    assert "consumes 'mails'" in repr(consumer)
    consumer.stop()
    assert not consumer.is_running
    publish(channel, "4")
    assert broker.depth("mails") == (1, 0)
    consumer.start()
    wait_until(lambda: drained(broker)() and consumer.handled == 4)
    assert consumer.errors == []


def test_stop_lets_the_message_in_hand_be_finished_and_gives_the_rest_back(broker, channel):
    begun, go_on = threading.Event(), threading.Event()

    def slow(channel, method, properties, body):
        begun.set()
        go_on.wait(10)
        channel.basic_ack(method.delivery_tag)

    publish(channel, "1", "2", "3")
    consumer = Consumer(broker, "mails", slow).start()
    begun.wait(10)
    threading.Thread(target=lambda: (wait_until(lambda: not consumer.is_running), go_on.set())).start()
    consumer.stop()
    assert consumer.handled == 1
    assert broker.depth("mails") == (2, 0)


def test_stop_does_not_wait_for_one_that_will_not_end(broker, channel):
    begun, go_on = threading.Event(), threading.Event()

    def stuck(channel, method, properties, body):
        begun.set()
        go_on.wait(30)
        after.append(body)

    after = []
    publish(channel, "1", "2")
    consumer = Consumer(broker, "mails", stuck).start()
    thread = consumer._thread
    begun.wait(10)
    start = time.monotonic()
    consumer.stop()
    assert time.monotonic() - start < 10
    wait_until(lambda: broker.depth("mails") == (2, 0))
    go_on.set()
    thread.join(10)
    assert not thread.is_alive()
    assert (after, consumer.handled) == ([], 0)


def test_a_crash_in_the_callback_runs_nothing_after_it(broker, channel, trace):
    after = []

    def work(channel, method, properties, body):
        if not method.redelivered:
            consumer.crash()
        after.append(body)
        channel.basic_ack(method.delivery_tag)

    consumer = Consumer(broker, "mails", work, name="notification", trace=trace).start()
    publish(channel, "1")
    wait_until(lambda: not consumer.is_running)
    wait_until(lambda: broker.depth("mails") == (1, 0))
    assert (after, consumer.handled, consumer.errors) == ([], 0, [])
    assert ["notification", "Consumer", "crashed"] in running().rows
    assert [(c.who, c.value) for c in trace.changes if c.who == "notification"] == [("notification", "crashed")]
    wait_until(lambda: trace.work[0].end is not None)
    consumer.start()
    wait_until(drained(broker))
    assert after == [b"1"]


@pytest.mark.parametrize("auto_ack", [False, True])
@pytest.mark.parametrize("end", ["inside", "outside", "raise", "stuck"])
def test_what_it_held_when_it_ended_is_not_handled_any_more(broker, channel, end, auto_ack):
    """pika keeps what was delivered beyond the message in hand, and would hand it over while it cleans up."""
    seen, begun, go_on = [], threading.Event(), threading.Event()

    def work(channel, method, properties, body):
        seen.append(body)
        if end == "inside":
            consumer.crash()
        if end == "raise":
            raise ValueError
        begun.set()
        go_on.wait(10)

    publish(channel, "1", "2", "3")
    consumer = Consumer(broker, "mails", work, auto_ack=auto_ack)
    consumer.start()
    thread = consumer._thread
    if end in ("outside", "stuck"):
        begun.wait(10)
        if end == "outside":
            threading.Timer(0.05, go_on.set).start()
            consumer.crash()
        else:
            consumer.stop()
            go_on.set()
    thread.join(10)
    assert not thread.is_alive()
    assert (seen, consumer.handled) == ([b"1"], 0)


@pytest.mark.parametrize(("where", "begun"), [("end_work", 1), ("start_work", 2)])
def test_nothing_is_done_after_a_crash_between_two_messages(broker, channel, where, begun):
    """While no callback runs, and pika is about to take up the second of three messages that it holds."""
    between, go_on, seen = threading.Event(), threading.Event(), []

    class Halting(Trace):
        def halt(self, what):
            if what == where and len(seen) == 1:
                between.set()
                go_on.wait(10)

        def end_work(self, id, **options):
            super().end_work(id, **options)
            self.halt("end_work")

        def start_work(self, *args, **options):
            self.halt("start_work")
            return super().start_work(*args, **options)

    trace = Halting()
    publish(channel, "1", "2", "3")
    consumer = Consumer(broker, "mails", lambda *message: seen.append(message[3]), auto_ack=True, trace=trace).start()
    assert between.wait(10)
    threading.Timer(0.05, go_on.set).start()
    consumer.crash()
    assert not consumer._thread.is_alive()
    assert (seen, len(trace.work), repr(consumer)) == ([b"1"], begun, "<consumer crashed>")


def test_a_crash_between_work_and_ack_repeats_the_work(broker, channel):
    done = []

    def work(channel, method, properties, body):
        done.append(body)
        if len(done) == 1:
            consumer.crash()
        channel.basic_ack(method.delivery_tag)

    consumer = Consumer(broker, "mails", work).start()
    publish(channel, "1")
    wait_until(lambda: not consumer.is_running)
    consumer.start()
    wait_until(lambda: consumer.handled == 1)
    assert done == [b"1", b"1"]


def test_after_a_crash_nothing_is_handled_that_had_been_delivered_ahead(broker, channel):
    publish(channel, *"abcdef")
    handled = []

    def handle(channel, method, properties, body):
        handled.append(body)
        if len(handled) == 2:
            consumer.crash()
        acknowledge(channel, method, properties, body)

    consumer = Consumer(broker, "mails", handle, prefetch=4).start()
    wait_until(lambda: not consumer._thread.is_alive())
    assert handled == [b"a", b"b"]


def test_with_auto_ack_a_crash_loses_what_was_delivered(broker, channel):
    publish(channel, "1", "2", "3")
    consumer = Consumer(broker, "mails", lambda *message: consumer.crash(), auto_ack=True)
    consumer.start()  # not in one line: the callback needs the name, and may run before the line is done
    wait_until(lambda: not consumer.is_running)
    wait_until(lambda: not broker.queues("mails").rows[0][3])
    assert broker.depth("mails") == (0, 0)


def test_a_crash_from_elsewhere_ends_the_callback_when_it_wakes(broker, channel):
    begun, after = threading.Event(), []

    def slow(channel, method, properties, body):
        begun.set()
        for _ in range(1000):
            time.sleep(0.01)
        after.append(body)
        channel.basic_ack(method.delivery_tag)

    publish(channel, "1")
    consumer = Consumer(broker, "mails", slow).start()
    thread = consumer._thread
    begun.wait(10)
    consumer.crash()
    assert not thread.is_alive()
    assert not consumer.is_running
    assert after == []
    wait_until(lambda: broker.depth("mails") == (1, 0))


def test_an_idle_consumer_crashes_too(broker, channel):
    consumer = Consumer(broker, "mails", acknowledge).start()
    consumer.crash()
    assert not consumer.is_running
    wait_until(lambda: broker.queues("mails").rows[0][3] == 0)
    consumer.crash()  # twice is fine
    consumer.stop()
    with pytest.raises(ServerError, match="consumer is not running: call .start"):
        Consumer(broker, "mails", acknowledge).crash()


def test_an_exception_ends_it_as_it_would_end_a_program(broker, channel):
    def bad(channel, method, properties, body):
        raise ValueError("no such customer")

    publish(channel, "1")
    consumer = Consumer(broker, "mails", bad).start()
    wait_until(lambda: not consumer.is_running)
    assert "ValueError: no such customer" in consumer.errors[0]
    assert repr(consumer) == "<consumer died: ValueError: no such customer>"
    wait_until(lambda: broker.depth("mails") == (1, 0))
    consumer.stop()


def test_it_ends_with_the_broker_and_with_its_queue(broker, channel):
    channel.queue_declare("short")
    first, second = Consumer(broker, "mails", acknowledge, name="a"), Consumer(broker, "short", acknowledge, name="b")
    first.start(), second.start()
    channel.queue_delete("short")
    wait_until(lambda: not second.is_running)
    assert repr(second) == "<b cancelled by the broker>"
    assert (second.errors, first.is_running) == ([], True)
    broker.kill()
    wait_until(lambda: not first.is_running)
    assert "StreamLost" in first.errors[0]
    broker.restart()
    with pytest.raises(ChannelClosedByBroker, match="404"):
        first.start()  # the queue was transient
    assert [row[0] for row in running()] == ["broker", "b"]


def test_it_may_stop_itself(broker, channel):
    def last(channel, method, properties, body):
        channel.basic_ack(method.delivery_tag)
        consumer.stop()

    publish(channel, "1", "2")
    consumer = Consumer(broker, "mails", last)
    consumer.start()
    thread = consumer._thread
    thread.join(10)
    assert not thread.is_alive()
    assert consumer.handled == 1
    wait_until(lambda: broker.depth("mails") == (1, 0))


def test_prefetch_and_options_are_passed_on(broker, channel):
    held = threading.Event()
    publish(channel, *"12345")
    with Consumer(broker, "mails", lambda *message: held.wait(10), prefetch=2, consumer_tag="me", exclusive=True):
        wait_until(lambda: broker.depth("mails") == (3, 2))
        with pytest.raises(ChannelClosedByBroker, match="403"):
            Consumer(broker, "mails", acknowledge, name="other").start()
        held.set()


def test_several_of_one_service_share_its_lane(broker, channel, trace):
    consumers = [
        Consumer(broker, "mails", acknowledge, name=f"worker {n}", lane="notification", trace=trace).start()
        for n in range(3)
    ]
    publish(channel, *"123456")
    wait_until(lambda: drained(broker)() and sum(consumer.handled for consumer in consumers) == 6)
    assert [consumer.handled for consumer in consumers] == [2, 2, 2]
    assert {work.who for work in trace.work} == {"notification"}


def test_one_of_the_same_name_is_replaced(broker, channel, capsys):
    first, second = (Consumer(broker, "mails", acknowledge).start() for _ in range(2))
    assert (first.is_running, second.is_running) == (False, True)
    assert "consumer: replaced the one" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"on_message": None}, "on_message=None cannot be called"),
        ({"prefetch": -1}, "prefetch=-1 must be 0"),
        ({"prefetch": 1.5}, "prefetch=1.5 must be 0"),
        ({"name": ""}, "needs a name"),
    ],
)
def test_misuse_is_one_clear_error(options, words):
    with pytest.raises(ServerError, match=words):
        Consumer("amqp://127.0.0.1", "mails", **{"on_message": acknowledge} | options)


def test_no_thread_socket_or_connection_is_left(broker, channel):
    def one_life(end):
        def work(channel, method, properties, body):
            if end == "raise":
                raise ValueError
            if end == "inside":
                consumer.crash()
            channel.basic_ack(method.delivery_tag)

        publish(channel, end)
        consumer = Consumer(broker, "mails", work, name="x")
        consumer.start()
        thread = consumer._thread
        if end in ("stop", "crash"):
            wait_until(lambda: consumer.handled)
            getattr(consumer, end)()
        thread.join(10)
        assert not thread.is_alive()
        consumer.stop()
        channel.queue_purge("mails")

    def all_ways():
        for end in ("stop", "crash", "raise", "inside"):
            one_life(end)
        with pytest.raises(ChannelClosedByBroker):
            Consumer(broker, "no such queue", acknowledge, name="x").start()

    all_ways()
    wait_until(lambda: len(connections(broker)) == 1)
    before = (psutil.Process().num_fds(), threading.active_count())
    for _ in range(3):
        all_ways()
    wait_until(lambda: len(connections(broker)) == 1)
    wait_until(lambda: (psutil.Process().num_fds(), threading.active_count()) == before)


def test_a_killed_broker_is_an_error_of_pikas_and_one_never_started_is_not():
    with Broker("mortal") as broker:
        broker.kill()
        with pytest.raises(pika.exceptions.AMQPConnectionError, match="killed"):
            connect(broker)
    with pytest.raises(ServerError):
        connect(Broker("unborn"))


def test_exit_in_a_callback_ends_the_consumer_and_is_told(broker):
    def leaves(*message):
        raise SystemExit(3)

    with connect(broker) as line:
        line.channel().queue_declare("exits")
        line.channel().basic_publish("", "exits", b"one")
        with Consumer(broker, "exits", leaves, name="leaver") as leaver:
            wait_until(lambda: not leaver.is_running)
            assert "SystemExit" in leaver.errors[0] and "died: SystemExit: 3" in repr(leaver)
        wait_until(lambda: broker.depth("exits") == (1, 0))
