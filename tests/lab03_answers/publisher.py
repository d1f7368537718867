"""Exercise 1: publishers that tell the truth, and some that only hope."""

import threading
import time
from contextlib import suppress
from queue import Queue

import pika
from pika.exceptions import AMQPError, NackError, UnroutableError


class Right:
    """A right answer. A mistake is a subclass that overrides one part."""

    durable, mode, confirm, mandatory, pause = True, 2, True, True, 0.05

    def __init__(self, connect, queue, arguments=None, patience=2.0):
        self.connect, self.queue, self.arguments, self.patience = connect, queue, arguments, patience
        self.open()

    def open(self):
        self.connection = self.connect()
        self.channel = self.connection.channel()
        self.channel.queue_declare(self.queue, durable=self.durable, arguments=self.declared_with())
        if self.confirm:
            self.channel.confirm_delivery()

    def declared_with(self):
        return self.arguments

    def reopen(self):
        if self.connection.is_closed:
            self.open()

    def properties(self, message_id):
        return pika.BasicProperties(message_id=message_id, delivery_mode=self.mode)

    def publish(self, key, message_id, body):
        self.channel.basic_publish("", key, body, self.properties(message_id), mandatory=self.mandatory)

    def send(self, key, message_id, body):
        end = time.monotonic() + self.patience
        while True:
            try:
                self.reopen()
                self.publish(key, message_id, body)
                return True
            except (NackError, UnroutableError):
                return False
            except AMQPError:
                if not self.goes_on(end):
                    return False
            time.sleep(self.pause)

    def goes_on(self, end):
        return time.monotonic() < end

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


class PlainQueue(Right):
    durable = False


class Transient(Right):
    mode = 1


class NotConfirmed(Right):
    confirm = False


class ConfirmsOnce(Right):
    """Asks for confirms where it is made, and not where it is made anew."""

    confirm = False

    def __init__(self, *given):
        super().__init__(*given)
        self.channel.confirm_delivery()


class MandatoryOnce(Right):
    """Gives up asking for what cannot be routed once it had to connect again."""

    def reopen(self):
        if self.connection.is_closed:
            self.mandatory = False
        super().reopen()


class ToItsQueue(Right):
    """Has a queue, so what is the key for?"""

    def publish(self, key, message_id, body):
        super().publish(self.queue, message_id, body)


class GivesUpAfterASlip(Right):
    def send(self, key, message_id, body):
        self.is_over = getattr(self, "is_over", False) or not super().send(key, message_id, body)
        return not self.is_over


class BodyAsText(Right):
    def publish(self, key, message_id, body):
        super().publish(key, message_id, str(body))


class ClosesWhatIsGone(Right):
    def close(self):
        self.connection.close()


class NotMandatory(Right):
    mandatory = False


class Swallows(Right):
    """Tries once, notes the error in a log that nobody reads, and says that it is sent."""

    def send(self, key, message_id, body):
        with suppress(AMQPError):
            self.reopen()
            self.publish(key, message_id, body)
        return True


class NackIsFine(Right):
    """Catches a refusal together with whatever else may come, and goes on."""

    def publish(self, key, message_id, body):
        with suppress(NackError):
            super().publish(key, message_id, body)


class LetsItOut(Right):
    def send(self, key, message_id, body):
        self.reopen()
        self.publish(key, message_id, body)
        return True


class NeverReopens(Right):
    """Tries again, on the channel that is gone."""

    def reopen(self):
        pass


class TriesOnce(Right):
    def goes_on(self, end):
        return False


class ForEver(Right):
    def goes_on(self, end):
        return True


class PatientOnce(Right):
    """Its clock runs from the first time that something breaks."""

    end = None

    def goes_on(self, end):
        self.end = self.end or end
        return time.monotonic() < self.end


class NoPause(Right):
    pause = 0


class LongPause(Right):
    pause = 1.0


class NoId(Right):
    def properties(self, message_id):
        return pika.BasicProperties(delivery_mode=2)


class NewIdEachTime(Right):
    def properties(self, message_id):
        return pika.BasicProperties(delivery_mode=2, message_id=str(time.monotonic_ns()))


class NoArguments(Right):
    def declared_with(self):
        return None


class SaysNothing(Right):
    def send(self, key, message_id, body):
        super().send(key, message_id, body)


class LeavesThemOpen(Right):
    """A connection for each mail, and none is closed."""

    def reopen(self):
        self.open()


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


RIGHT = {
    "one connection, and a new one when it breaks": Right,
    "a connection for each attempt": AnewEachTime,
    "a thread that owns it": InAThread,
}
WRONG = {
    "plain queue, persistent message": (PlainQueue, {"not-kept"}),
    "durable queue, transient message": (Transient, {"not-kept"}),
    "confirm not awaited": (NotConfirmed, {"not-confirmed"}),
    "confirms on the first channel only": (ConfirmsOnce, {"not-confirmed"}),
    "mandatory missing": (NotMandatory, {"not-mandatory"}),
    "mandatory on the first connection only": (MandatoryOnce, {"not-mandatory"}),
    "exceptions swallowed and reported as sent": (Swallows, {"not-confirmed", "full"}),
    "a nack taken for a yes": (NackIsFine, {"full"}),
    "exceptions let out": (LetsItOut, {"raises"}),
    "connection never reopened": (NeverReopens, {"gave-up", "pace"}),
    "tries once": (TriesOnce, {"gave-up", "pace"}),
    "tries for ever": (ForEver, {"hangs"}),
    "patient once": (PatientOnce, {"patience"}),
    "no pause between attempts": (NoPause, {"pace"}),
    "a second between attempts": (LongPause, {"pace"}),
    "no id": (NoId, {"no-id"}),
    "a new id at each attempt": (NewIdEachTime, {"no-id"}),
    "arguments forgotten": (NoArguments, {"arguments"}),
    "says nothing": (SaysNothing, {"no-bool"}),
    "a connection for each mail, left open": (LeavesThemOpen, {"left-open", "close-raises"}),
    "all to its own queue": (ToItsQueue, {"wrong-key", "not-mandatory"}),
    "after one slip, no more": (GivesUpAfterASlip, {"after-slip", "patience"}),
    "the body as text": (BodyAsText, {"not-there", "no-id"}),
    "closes what is gone": (ClosesWhatIsGone, {"close-raises"}),
    "as in the documents": (Careless, {"not-kept", "not-confirmed", "not-mandatory", "raises"}),
}
