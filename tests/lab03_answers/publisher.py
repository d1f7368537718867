"""Exercise 1: publishers that tell the truth, and some that only hope."""

import threading
import time
from queue import Queue

import pika
from pika.exceptions import AMQPError, NackError, UnroutableError

from tests.lab11_answers import but


class Right:
    def __init__(self, connect, queue, arguments=None, patience=2.0):
        self.connect, self.queue, self.arguments, self.patience = connect, queue, arguments, patience
        self.open()

    def open(self):
        self.connection = self.connect()
        self.channel = self.connection.channel()
        self.channel.queue_declare(self.queue, durable=True, arguments=self.arguments)
        self.channel.confirm_delivery()

    def send(self, key, message_id, body):
        end = time.monotonic() + self.patience
        while True:
            try:
                if self.connection.is_closed:
                    self.open()
                kept = pika.BasicProperties(message_id=message_id, delivery_mode=2)
                self.channel.basic_publish("", key, body, kept, mandatory=True)
                return True
            except (NackError, UnroutableError):
                return False
            except AMQPError:
                if time.monotonic() > end:
                    return False
            time.sleep(0.05)

    def close(self):
        if self.connection.is_open:
            self.connection.close()


class AnewEachTime:
    """Slow, and right: a connection for each attempt."""

    def __init__(self, connect, queue, arguments=None, patience=2.0):
        self.connect, self.queue, self.arguments, self.patience = connect, queue, arguments, patience

    def close(self):
        pass

    def send(self, key, message_id, body):
        give_up = time.monotonic() + self.patience
        kept = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent.value, message_id=message_id)
        answer = None
        while answer is None and time.monotonic() < give_up:
            answer = self.attempt(key, body, kept)
        return bool(answer)

    def attempt(self, key, body, kept):
        try:
            with self.connect() as connection:
                channel = connection.channel()
                channel.confirm_delivery()
                channel.queue_declare(self.queue, durable=True, arguments=self.arguments)
                channel.basic_publish("", key, body, kept, True)
                return True
        except pika.exceptions.UnroutableError:
            return False
        except pika.exceptions.NackError:
            time.sleep(0.1)  # there may be room in a moment
        except pika.exceptions.AMQPError:
            time.sleep(0.1)


class InAThread:
    """A thread of its own owns the connection; send hands it the mail and waits. What pika raises never gets out."""

    def __init__(self, connect, queue, arguments=None, patience=2.0):
        self.jobs, self.inner = Queue(), AnewEachTime(connect, queue, arguments, patience)
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        for job, answer in iter(self.jobs.get, None):
            answer.put(self.inner.send(*job))

    def send(self, key, message_id, body):
        answer = Queue()
        self.jobs.put(((key, message_id, body), answer))
        return answer.get()

    def close(self):
        self.jobs.put(None)
        self.thread.join()


class GivesUpAfterASlip(Right):
    def send(self, key, message_id, body):
        self.is_over = getattr(self, "is_over", False) or not super().send(key, message_id, body)
        return not self.is_over


class Careless:
    def __init__(self, connect, queue, arguments=None, patience=2.0):
        self.connection = connect()
        self.channel = self.connection.channel()
        self.channel.queue_declare(queue, arguments=arguments)

    def send(self, key, message_id, body):
        self.channel.basic_publish(exchange="", routing_key=key, body=body)
        return True

    def close(self):
        self.connection.close()


NeverReopens = but(Right, "if self.connection.is_closed: => if False:")

RIGHT = {
    "one connection, and a new one when it breaks": Right,
    "a connection for each attempt": AnewEachTime,
    "a thread that owns it": InAThread,
}
WRONG = {
    "plain queue, persistent message": (but(Right, "durable=True => durable=False"), {"not-kept"}),
    "durable queue, transient message": (but(Right, "delivery_mode=2 => delivery_mode=1"), {"not-kept"}),
    "confirm not awaited": (but(Right, "        self.channel.confirm_delivery()\n => "), {"not-confirmed"}),
    "confirms on the first channel only": (
        but(
            Right,
            "        self.channel.confirm_delivery()\n => ",
            "self.open()\n\n => self.open()\n        self.channel.confirm_delivery()\n\n",
        ),
        {"not-confirmed"},
    ),
    "mandatory missing": (but(Right, ", mandatory=True => "), {"slip"}),
    "mandatory on the first connection only": (
        but(
            Right,
            "self.patience = connect, => self.patience, self.asks = connect,",
            ", patience\n => , patience, True\n",
            "is_closed:\n => is_closed:\n                    self.asks = False\n",
            "mandatory=True => mandatory=self.asks",
        ),
        {"slip"},
    ),
    "exceptions swallowed and reported as sent": (
        but(Right, "return False => return True"),
        {"slip"},
    ),
    "a nack taken for a yes": (
        but(
            Right,
            "(NackError, UnroutableError): => UnroutableError:",
            "except AMQPError:\n => except NackError:\n                return True\n            except AMQPError:\n",
        ),
        {"full"},
    ),
    "exceptions let out": (but(Right, "except AMQPError => except ZeroDivisionError"), {"no-bool"}),
    "connection never reopened": (NeverReopens, {"gave-up"}),
    "tries once": (but(Right, "if time.monotonic() > end: => if True:"), {"gave-up"}),
    "tries for ever": (but(Right, "if time.monotonic() > end: => if False:"), {"no-bool"}),
    "patient for two seconds, whatever is asked": (
        but(Right, "self.patience\n        while => 2\n        while"),
        {"pace"},
    ),
    "counts attempts, not seconds": (
        but(
            Right,
            "end = time.monotonic() + self.patience => tries = int(self.patience / 0.05)",
            "while True: => for left in reversed(range(tries)):",
            "if time.monotonic() > end: => if not left:",
        ),
        {"pace"},
    ),
    "patient once": (but(Right, "> end: => > vars(self).setdefault('end', end):"), {"pace"}),
    "no pause between attempts": (but(Right, "0.05 => 0"), {"pace"}),
    "a second between attempts": (but(Right, "0.05 => 1"), {"pace"}),
    "no id": (but(Right, "message_id=message_id, => "), {"no-id"}),
    "a new id at each attempt": (but(Right, "message_id=message_id => message_id=str(time.monotonic_ns())"), {"no-id"}),
    "arguments forgotten": (but(Right, ", arguments=self.arguments => "), {"full"}),
    "arguments on the first connection only": (
        but(
            Right,
            "self.open()\n\n => self.open()\n        self.arguments = None\n\n",
        ),
        {"gave-up"},
    ),
    "says nothing": (but(Right, "return True => return"), {"no-bool"}),
    "a connection for each mail, left open": (
        but(Right, "if self.connection.is_closed: => if True:"),
        {"left-open"},
    ),
    "all to its own queue": (but(Right, '"", key => "", self.queue'), {"slip"}),
    "after one slip, no more": (GivesUpAfterASlip, {"slip"}),
    "the body as text": (
        but(Right, "key, body, kept => key, str(body), kept"),
        {"not-there"},
    ),
    "closes what is gone": (but(Right, "if self.connection.is_open: => if True:"), {"left-open"}),
    "as in the documents": (Careless, {"not-kept"}),
}
