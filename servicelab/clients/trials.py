"""One trial for every style: the same twenty orders, and counts of what became of them.

    with Queue() as style:
        outcome = trial(style)

A *style* is a way in which ``orders`` can tell somebody something: :class:`Call` (HTTP), :class:`Queue` (AMQP),
:class:`Log` (Kafka's protocol), :class:`Broadcast` (ZeroMQ PUB/SUB). Each has the same two methods, ``send(number)``
and ``listen(handle, name)``; what differs is what they promise. Every server is in this kernel; several styles may be
on trial at once.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import count, pairwise
from statistics import median
from typing import NamedTuple

import requests
import zmq
from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import KafkaError, Producer, TopicPartition
from flask import Flask

from servicelab.clients.amqp import Consumer, connect
from servicelab.lifecycle import join
from servicelab.servers import serve
from servicelab.servers.amqp import start_broker
from servicelab.servers.kafka import KafkaCluster
from servicelab.servers.pubsub import Publisher

_numbers = count(1)  # one of each kind may be on trial at the same time as another

ORDERS, WORK = 20, 0.05  # how many are sent at a time; seconds that a slow receiver works on each
LOOKS = 60  # of 10 ms, without an arrival, until what has not come is taken for lost; a machine that stands still waits


class Outcome(NamedTuple):
    """What became of the orders of one style: counts out of ``ORDERS``, and two times in seconds."""

    answered: int  # the sender knew what had come of it when its call returned
    kept: int  # sent while the receiver was away, and there after all when it was back
    again: int  # read by somebody who was not there when they were sent
    heard: int  # by two who both want to hear all: out of twice as many
    swapped: int  # times that an order was done, by either of the two, before one that had been sent earlier
    reaction: float  # from sending to handling, median
    longest: float  # the longest that a sender was busy, when all come at once and the receiver takes WORK for each


def trial(style) -> Outcome:
    """Send ``ORDERS`` orders by a style that runs, in each of the ways of :class:`Outcome`.

    A receiver that was away comes back under its name; one who comes late has another.
    """
    first, sent, answered = _Ear(), [], 0
    with style.listen(first, "first"):
        for number in range(ORDERS):
            sent.append(time.monotonic())
            answered += style.send(number) is True
            first.wait(number + 1)
    reaction = median(at - sent[number] for number, at in first.heard)
    for number in range(ORDERS):
        style.send(ORDERS + number)
    with style.listen(first, "first"):
        kept = first.wait(2 * ORDERS) - ORDERS
    late = _Ear()
    with style.listen(late, "late"):
        again = late.wait(ORDERS)
    both = _Ear(lambda number: time.sleep(0.03 * (number % 2 == 0)))
    with style.listen(both, "one"), style.listen(both, "two"):
        before = len(both.heard)
        for number in range(ORDERS):
            style.send(2 * ORDERS + number)
        heard = both.wait(before + 2 * ORDERS) - before
    done = list(dict.fromkeys(number for number, _ in both.heard[before:]))
    swapped = sum(one > next for one, next in pairwise(done))
    with style.listen(lambda number: time.sleep(WORK), "slow"), ThreadPoolExecutor(ORDERS) as crowd:
        longest = max(crowd.map(lambda number: _seconds(style.send, 3 * ORDERS + number), range(ORDERS)))
    return Outcome(answered, kept, min(again, ORDERS), heard, swapped, reaction, longest)


class _Ear:
    """Notes what is heard, and when; does some work before."""

    def __init__(self, work=lambda number: None):
        self.work, self.heard = work, []

    def __call__(self, number):
        self.work(number)
        self.heard.append((number, time.monotonic()))

    def wait(self, least) -> int:
        """How many were heard, once it is ``least``, or once nothing has come for a while."""
        looks, seen = 0, len(self.heard)
        while seen < least and looks < LOOKS:
            time.sleep(0.01)
            looks, seen = (looks + 1 if len(self.heard) == seen else 0), len(self.heard)
        return seen


def _seconds(call, *args):
    begin = time.monotonic()
    call(*args)
    return time.monotonic() - begin


class _Style(ExitStack):
    """What a style has open ends with its ``with`` block."""


class Call(_Style):
    """HTTP: the sender asks the receiver, and waits. It knows one address: that of who listened last."""

    def __init__(self):
        super().__init__()
        self.url = None

    def send(self, number):
        """True if the receiver has handled it; False if it could not be reached."""
        try:
            return self.url is not None and requests.post(f"{self.url}/{number}", timeout=10).ok
        except requests.ConnectionError:
            return False

    def listen(self, handle, name):
        app = Flask(name)
        app.add_url_rule("/<int:number>", "order", lambda number: str(handle(number)), methods=["POST"])
        server = serve(app, f"{name} called {next(_numbers)}", workers=1)
        self.url = server.url
        return server


class Queue(_Style):
    """AMQP: the sender leaves it with a broker, which confirms; receivers share what is there."""

    def __init__(self):
        super().__init__()
        self.broker = start_broker(f"trial broker {next(_numbers)}")
        self.callback(self.broker.stop)
        self.channel, self.lock = self.enter_context(connect(self.broker, "trial sender")).channel(), threading.Lock()
        self.channel.confirm_delivery()
        self.queue = self.broker.own("trial")
        self.channel.queue_declare(self.queue)

    def send(self, number):
        with self.lock:
            self.channel.basic_publish("", self.queue, b"%d" % number)

    def listen(self, handle, name):
        def receive(channel, method, properties, body):
            handle(int(body))
            channel.basic_ack(method.delivery_tag)

        return Consumer(self.broker, self.queue, receive, name=f"{name} consumer {next(_numbers)}", prefetch=1).start()


@contextmanager
def _listening(work, name, is_ready):
    """``work(over)`` in a thread, until the block ends, which begins as soon as it is ready, or has failed."""
    over = threading.Event()
    thread = threading.Thread(target=work, args=[over], name=f"servicelab {name} listener", daemon=True)
    thread.start()
    try:
        while thread.is_alive() and not is_ready():
            time.sleep(0.005)
        yield
    finally:
        over.set()
        join([thread], 10.0)


class Log(_Style):
    """Kafka's protocol: the sender appends to a log; each receiver has a bookmark of its own and begins at the past."""

    def __init__(self):
        super().__init__()
        self.kafka = self.enter_context(KafkaCluster(f"trial kafka {next(_numbers)}"))
        self.topic = self.kafka.topic("trial")
        self.producer = self.enter_context(Producer({**self.kafka.settings, "linger.ms": 0}))
        self.bookmarks = {}

    def send(self, number):
        self.producer.produce(self.topic, b"%d" % number)
        self.producer.flush()

    def listen(self, handle, name):
        """It has handled what was there when the block begins."""
        at_end = threading.Event()
        settings = {"group.id": name, "enable.auto.commit": False, "enable.partition.eof": True}

        def read(over):
            with KafkaConsumer({**self.kafka.settings, **settings, "fetch.wait.max.ms": 10}) as consumer:
                consumer.assign([TopicPartition(self.topic, 0, self.bookmarks.get(name, 0))])
                while not over.is_set():
                    if (message := consumer.poll(0.02)) is None:
                        continue
                    if message.error() is None:
                        handle(int(message.value()))
                        self.bookmarks[name] = message.offset() + 1
                    elif message.error().code() == KafkaError._PARTITION_EOF:
                        at_end.set()

        return _listening(read, name, at_end.is_set)


class Broadcast(_Style):
    """ZeroMQ PUB/SUB: the sender says it aloud; who is there hears it."""

    def __init__(self):
        super().__init__()
        self.publisher = self.enter_context(
            Publisher(f"trial publisher {next(_numbers)}", kind=zmq.XPUB, XPUB_VERBOSE=1)
        )

    def send(self, number):
        self.publisher.publish(body=b"%d" % number)

    def listen(self, handle, name):
        """The publisher knows of it when the block begins."""

        def hear(over):
            with zmq.Context() as context, context.socket(zmq.SUB) as socket:
                socket.linger = 0
                socket.subscribe("")
                socket.connect("tcp://{}:{}".format(*self.publisher.address))
                while not over.is_set():
                    if socket.poll(20):
                        handle(int(socket.recv_multipart()[2]))

        self.publisher.subscriptions()  # those of listeners who have gone are no news
        return _listening(hear, name, lambda: (True, "") in self.publisher.subscriptions())


#: The styles, by the names that chapter 15 gives them.
STYLES = {"call": Call, "queue": Queue, "log": Log, "broadcast": Broadcast}
