"""Exercise 3: askers with a deadline, and some that wait, or believe anything."""

import itertools
import threading
import time
import uuid

import pika


class Right:
    """One connection, and a lock around all of it. A mistake is a subclass that overrides one part."""

    mandatory, exclusive = True, True

    def __init__(self, connect):
        self.connection, self.lock = connect(), threading.Lock()
        self.channel = self.connection.channel()
        self.channel.add_on_return_callback(lambda channel, method, properties, body: self.returned(properties))
        self.address = self.declare()
        self.channel.basic_consume(self.address, self.hear, auto_ack=True)
        self.waiting, self.answer, self.unroutable = None, None, False

    def declare(self):
        return self.channel.queue_declare("", exclusive=self.exclusive).method.queue

    def returned(self, properties):
        if properties.correlation_id == self.waiting:
            self.unroutable = True

    def hear(self, channel, method, properties, body):
        if self.is_mine(properties.correlation_id):
            self.answer = body

    def is_mine(self, id):
        return id == self.waiting

    def new_id(self):
        return str(uuid.uuid4())

    def ask(self, queue, body, seconds):
        end = time.monotonic() + seconds
        if not self.lock.acquire(timeout=seconds):
            raise TimeoutError
        try:
            return self.exchange(queue, body, end)
        finally:
            self.waiting = None
            self.lock.release()

    def exchange(self, queue, body, end):
        self.waiting, self.answer, self.unroutable = self.new_id(), None, False
        question = pika.BasicProperties(reply_to=self.address, correlation_id=self.waiting)
        self.channel.basic_publish("", queue, body, question, mandatory=self.mandatory)
        while self.answer is None:
            self.wait(end)
            if self.unroutable:
                raise LookupError(queue)
            if self.answer is None and time.monotonic() >= end:
                return self.give_up(queue)
        return self.answer

    def wait(self, end):
        self.connection.process_data_events(time_limit=max(0, end - time.monotonic()))

    def give_up(self, queue):
        raise TimeoutError(f"no answer from {queue}")

    def close(self):
        self.connection.close()


class Own(threading.local):
    line = None


class OneForEachThread:
    """Direct reply-to, with a connection for each thread that asks."""

    def __init__(self, connect):
        self.connect, self.own, self.lines = connect, Own(), []

    def ask(self, queue, body, seconds):
        end = time.monotonic() + seconds
        if self.own.line is None:
            self.own.line = Line(self.connect())
            self.lines.append(self.own.line)
        return self.own.line.ask(queue, body, end)

    def close(self):
        for line in self.lines:
            line.connection.close()


class Line:
    numbers = itertools.count()

    def __init__(self, connection):
        self.connection, self.answers = connection, {}
        self.channel = connection.channel()
        self.channel.confirm_delivery()
        self.channel.basic_consume("amq.rabbitmq.reply-to", self.note, auto_ack=True)

    def note(self, channel, method, properties, body):
        if properties.correlation_id in self.answers:
            self.answers[properties.correlation_id].append(body)

    def ask(self, queue, body, end):
        id = f"question {next(self.numbers)}"
        got = self.answers.setdefault(id, [])
        try:
            properties = pika.BasicProperties(reply_to="amq.rabbitmq.reply-to", correlation_id=id)
            self.channel.basic_publish("", queue, body, properties, mandatory=True)
            while not got:
                left = end - time.monotonic()
                if left <= 0:
                    raise TimeoutError(queue)
                self.connection.process_data_events(time_limit=min(left, 0.05))
            return got[0]
        except pika.exceptions.UnroutableError:
            raise LookupError(f"there is no queue {queue}") from None
        finally:
            del self.answers[id]


class NoTimeout(Right):
    def wait(self, end):
        self.connection.process_data_events(time_limit=None)

    def give_up(self, queue):
        return None


class ReturnsNone(Right):
    def give_up(self, queue):
        return None


class PerReply(Right):
    """Gives up when nothing at all has come for so long."""

    def ask(self, queue, body, seconds):
        self.seconds = seconds
        return super().ask(queue, body, seconds)

    def exchange(self, queue, body, end):
        self.end = end
        return super().exchange(queue, body, float("inf"))

    def hear(self, channel, method, properties, body):
        self.end = time.monotonic() + self.seconds
        super().hear(channel, method, properties, body)

    def wait(self, end):
        self.connection.process_data_events(time_limit=max(0, self.end - time.monotonic()))
        if self.answer is None and not self.unroutable and time.monotonic() >= self.end:
            raise TimeoutError


class AnyAnswer(Right):
    def is_mine(self, id):
        return True


class NoneIsMine(Right):
    """Trusts an answer without an id: the worker may have forgotten it."""

    def is_mine(self, id):
        return id is None or id == self.waiting


class SameId(Right):
    def new_id(self):
        return "price"


class NotMandatory(Right):
    mandatory = False


class OrdinaryQueue(Right):
    exclusive = False

    def declare(self):
        return self.channel.queue_declare("answers").method.queue


class QueueForEach(Right):
    """A queue for each question, each exclusive; they add up until the connection ends."""

    def exchange(self, queue, body, end):
        self.address = self.declare()
        self.channel.basic_consume(self.address, self.hear, auto_ack=True)
        return super().exchange(queue, body, end)


class NoLock(Right):
    """A channel for each question, and one connection for all."""

    def ask(self, queue, body, seconds):
        return self.exchange(queue, body, time.monotonic() + seconds)


class NotClosed(Right):
    def close(self):
        self.channel.close()


class WaitsItsTurn(Right):
    """The deadline comes first, and the lock without one."""

    def ask(self, queue, body, seconds):
        end = time.monotonic() + seconds
        with self.lock:
            return self.exchange(queue, body, end)


class ConnectionForEach:
    """Opens all there is for each question, and closes it again. Threads are no trouble that way."""

    def __init__(self, connect):
        self.connect = connect

    def ask(self, queue, body, seconds):
        line = Right(self.connect)
        try:
            return line.ask(queue, body, seconds)
        finally:
            line.close()

    def close(self):
        pass


class QueueForEachDeleted(Right):
    """A queue for each question, which is deleted with it."""

    def exchange(self, queue, body, end):
        self.address = self.declare()
        self.channel.basic_consume(self.address, self.hear, auto_ack=True)
        try:
            return super().exchange(queue, body, end)
        finally:
            self.channel.queue_delete(self.address)


class LooksFirst(Right):
    """Is there such a queue? After a no the channel is closed, and so is all that consumes on it."""

    def exchange(self, queue, body, end):
        try:
            self.channel.queue_declare(queue, passive=True)
        except pika.exceptions.ChannelClosedByBroker:
            raise LookupError(queue) from None
        return super().exchange(queue, body, end)


class LooksAndLetsItOut(Right):
    def exchange(self, queue, body, end):
        self.channel.queue_declare(queue, passive=True)
        return super().exchange(queue, body, end)


class LooksAside(Right):
    """Looks through a channel of its own, which may be closed."""

    def exchange(self, queue, body, end):
        aside = self.connection.channel()
        try:
            aside.queue_declare(queue, passive=True)
        except pika.exceptions.ChannelClosedByBroker:
            raise LookupError(queue) from None
        aside.close()
        return super().exchange(queue, body, end)


class LetsItOut(Right):
    """With confirms, pika raises; and what it raises is nobody else's business."""

    def __init__(self, connect):
        super().__init__(connect)
        self.channel.confirm_delivery()


class OwnError(Right):
    def give_up(self, queue):
        raise RuntimeError("no answer")


class WaitsForEver:
    def __init__(self, connect):
        self.connection = connect()
        self.channel = self.connection.channel()
        self.channel.queue_declare("answers")

    def ask(self, queue, body, seconds):
        question = pika.BasicProperties(reply_to="answers", correlation_id="1")
        self.channel.basic_publish("", queue, body, question)
        for _, _, answer in self.channel.consume("answers", auto_ack=True):
            return answer

    def close(self):
        self.connection.close()


RIGHT = {
    "a lock": Right,
    "direct reply-to, a connection for each thread": OneForEachThread,
    "looks through another channel": LooksAside,
}
WRONG = {
    "no timeout": (NoTimeout, {"waits-for-ever", "no-timeout-error"}),
    "returns None": (ReturnsNone, {"no-timeout-error"}),
    "a timeout for each reply": (PerReply, {"timeout-per-reply"}),
    "takes any answer": (AnyAnswer, {"takes-any-answer"}),
    "takes an answer without an id": (NoneIsMine, {"takes-any-answer"}),
    "the same correlation id": (SameId, {"same-correlation-id"}),
    "not mandatory": (NotMandatory, {"unroutable-waits"}),
    "an ordinary queue": (OrdinaryQueue, {"left-behind"}),
    "a queue for each question": (QueueForEach, {"queue-per-question"}),
    "a queue for each question, deleted": (QueueForEachDeleted, {"queue-per-question"}),
    "a connection for each question": (ConnectionForEach, {"connection-per-question"}),
    "looks with a passive declare": (LooksFirst, {"passive-declare"}),
    "looks, and lets it out": (LooksAndLetsItOut, {"passive-declare"}),
    "waits for its turn without a limit": (WaitsItsTurn, {"waits-for-turn"}),
    "threads share the channel": (NoLock, {"shared-connection"}),
    "connection not closed": (NotClosed, {"left-behind"}),
    "lets UnroutableError out": (LetsItOut, {"other-error"}),
    "an error of its own": (OwnError, {"other-error"}),
    "as it stands": (
        WaitsForEver,
        {"left-behind", "waits-for-ever", "takes-any-answer", "unroutable-waits", "shared-connection"},
    ),
}
