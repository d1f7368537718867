"""The stage of exercise 3: a queue of questions, workers, and connections that notice two threads in them at once."""

import threading
from functools import wraps

import pika
from pika.exceptions import ChannelClosedByBroker

from servicelab.checks.lab03.broker_stage import Desk
from servicelab.checks.learner_traceback import shown
from servicelab.clients.amqp import Consumer

QUEUE = "prices"


class Office:
    """A queue of questions, workers for it, and the learner's asker. ``hints`` are those of the expectations."""

    def __init__(self, ask, kind, hints):
        self.ask, self.hints, self.over = ask, hints, threading.Event()
        self.shared = set()  # how a connection was used by two threads at once
        self.opened, self.declared = [], []  # the threads that opened a connection, declared a queue
        self.closed_by_look = False  # a channel, because a passive declare failed
        self.desk = Desk(ask, "orders", self._guard)
        self.desk.channel().queue_declare(QUEUE)
        self.ids = []  # correlation ids of the questions
        self.yours = self.desk.make(kind, self.desk.connect, methods=("ask", "close"))

    def close(self):
        self.over.set()
        self.desk.close()

    def worker(self, answer):
        """``answer(body, reply)`` is called for each question; ``reply(body, id=its own)`` sends an answer."""

        def handle(channel, method, properties, body):
            self.ids.append(properties.correlation_id)

            def reply(text, id=properties.correlation_id):
                if properties.reply_to:
                    named = pika.BasicProperties(correlation_id=id)
                    channel.basic_publish("", properties.reply_to, text, named)

            answer(body, reply)
            channel.basic_ack(method.delivery_tag)

        worker = Consumer(self.desk.url, QUEUE, handle, name="check inventory", lane="inventory", trace=self.ask.trace)
        return self.ask.use(worker)

    def put(self, body, seconds, queue=QUEUE, limit=None):
        """``(answer, kind, words)``: kind is "answer", "timeout", "lookup" or what else it did, which is reported."""
        outcome = self.ask.run(self.yours.ask, queue, body, seconds, limit=limit or seconds + 1.5, keep=True)
        if outcome.returned:
            return outcome.value, "answer", f"ask returned {shown(outcome.value)}"
        if isinstance(outcome.error, TimeoutError) and outcome.how == "exception":
            return None, "timeout", "ask raised TimeoutError"
        if isinstance(outcome.error, LookupError) and not isinstance(outcome.error, KeyError | IndexError):
            return None, "lookup", "ask raised LookupError"
        return None, outcome.how, str(outcome)

    def expect(self, code, what, passed, happened, mark=None):
        mark = mark or self.desk.mark("publish") or self.desk.mark()
        return self.ask.expect(code, what, passed, happened, self.hints[code], mark)

    def answered(self, code, what, got, wanted):
        """Was it the answer that was ``wanted``?"""
        answer, kind, words = got
        broken = "passive-declare" if self.closed_by_look else "other-error"
        code = {"time-limit": "waits-for-ever", "exception": broken}.get(kind, code)
        return self.expect(code, what, answer == wanted, words)

    def _guard(self, connection):
        """Let ``connection`` notice two threads in it at once. The second is refused: what else happens is chance."""
        lock, inside = threading.Lock(), []
        self.opened.append(threading.current_thread())

        def alone(call):
            @wraps(call)
            def guarded(*args, **more):
                me = threading.get_ident()
                with lock:
                    if inside and inside[-1] != me:
                        self.shared.add(call.__name__)
                        raise RuntimeError(f"{call.__name__}: another thread is in this connection at this moment")
                    inside.append(me)
                try:
                    return call(*args, **more)
                finally:
                    with lock:
                        inside.pop()

            return guarded

        def channel(*args, **more):
            made = open_channel(*args, **more)
            for name in ("basic_publish", "basic_get", "basic_ack", "basic_consume", "queue_declare"):
                setattr(made, name, alone(getattr(made, name)))
            made.queue_declare = watched(made.queue_declare)
            return made

        def watched(declare):
            @wraps(declare)
            def queue_declare(queue, passive=False, *args, **more):
                if not passive:
                    self.declared.append(threading.current_thread())
                try:
                    return declare(queue, passive, *args, **more)
                except ChannelClosedByBroker:
                    self.closed_by_look = self.closed_by_look or passive
                    raise

            return queue_declare

        open_channel = alone(connection.channel)
        connection.channel = channel
        for name in ("process_data_events", "sleep"):
            setattr(connection, name, alone(getattr(connection, name)))
        return connection
