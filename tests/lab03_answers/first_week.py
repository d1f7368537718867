"""Exercise 3: printers that settle each message once, some that forget it; and moves from queue to queue."""

import re

import pika
from pika.exceptions import ChannelClosedByBroker, NackError


class Right:
    """A mistake is a subclass that overrides one part."""

    def __init__(self, print_label):
        self.print_label = print_label

    def on_message(self, channel, method, properties, body):
        tag = method.delivery_tag
        try:
            kind, number = body.decode().split()
            number = int(number)
            if kind not in ("parcel", "voucher"):
                raise ValueError(kind)
        except ValueError:
            return self.unreadable(channel, tag)
        if kind == "voucher":
            return self.voucher(channel, tag)
        self.parcel(channel, tag, number)

    def unreadable(self, channel, tag):
        channel.basic_reject(tag, requeue=False)

    def voucher(self, channel, tag):
        channel.basic_ack(tag)

    def parcel(self, channel, tag, number):
        self.print_label(number)
        channel.basic_ack(tag)


class ByParts:
    """Byte for byte; one way out, at the end."""

    def __init__(self, print_label):
        self.work = {b"parcel": print_label, b"voucher": lambda number: None}

    def on_message(self, channel, method, properties, body):
        kind, _, number = body.partition(b" ")
        readable = kind in self.work and number.isdigit()
        if readable:
            self.work[kind](int(number))
        settle = channel.basic_ack if readable else lambda tag: channel.basic_nack(tag, requeue=False)
        settle(method.delivery_tag)


class ForgetsVouchers(Right):
    def voucher(self, channel, tag):
        pass


class AcksMultiple(ForgetsVouchers):
    """The next parcel settles the vouchers before it; nobody settles those after the last."""

    def parcel(self, channel, tag, number):
        self.print_label(number)
        channel.basic_ack(tag, multiple=True)


class AcksTwice(Right):
    def voucher(self, channel, tag):
        channel.basic_ack(tag)
        channel.basic_ack(tag)


class PrintsVouchers(Right):
    def on_message(self, channel, method, properties, body):
        super().on_message(channel, method, properties, body.replace(b"voucher", b"parcel"))


class Requeues(Right):
    def unreadable(self, channel, tag):
        channel.basic_nack(tag)


class RaisesIt(Right):
    def unreadable(self, channel, tag):
        raise ValueError("what is this?")


class DropsIt(Right):
    def unreadable(self, channel, tag):
        channel.basic_ack(tag)


class AcksFirst(Right):
    def parcel(self, channel, tag, number):
        channel.basic_ack(tag)
        self.print_label(number)


class DropsWhatJams(Right):
    """Whatever is raised, the message is to blame."""

    def parcel(self, channel, tag, number):
        try:
            super().parcel(channel, tag, number)
        except Exception:
            self.unreadable(channel, tag)


class BeginsWith(Right):
    """Looks at how it begins, and takes the digits that follow."""

    def on_message(self, channel, method, properties, body):
        found = re.match(rb"(parcel|voucher) (\d+)", body)
        super().on_message(channel, method, properties, found[0] if found else b"")


def move(connect, old, new, arguments):
    with connect() as connection:
        channel, count = connection.channel(), 0
        channel.confirm_delivery()
        try:
            channel.queue_declare(new, durable=True, arguments=arguments)
        except ChannelClosedByBroker as error:
            raise ValueError(f"{new} is there, and is another") from error
        while True:
            method, properties, body = channel.basic_get(old)
            if method is None:
                return count
            try:
                channel.basic_publish("", new, body, properties)
            except NackError as error:
                raise RuntimeError(f"{new} takes no more") from error
            channel.basic_ack(method.delivery_tag)
            count += 1


class Move:
    """As it is called; a mistake is a subclass that overrides one part."""

    confirm, durable, closes = True, True, True

    def __call__(self, connect, old, new, arguments):
        self.connection = connect()
        try:
            self.channel = self.connection.channel()
            if self.confirm:
                self.channel.confirm_delivery()
            self.declare(new, arguments)
            return self.all_of(old, new)
        finally:
            if self.closes and self.connection.is_open:
                self.connection.close()

    def declare(self, new, arguments):
        try:
            self.channel.queue_declare(new, durable=self.durable, arguments=self.wanted(arguments))
        except ChannelClosedByBroker as error:
            self.is_there(new, arguments, error)

    def wanted(self, arguments):
        return arguments

    def is_there(self, new, arguments, error):
        raise ValueError(str(error))

    def all_of(self, old, new):
        count = 0
        while (got := self.channel.basic_get(old))[0] is not None:
            self.one(new, *got)
            count += 1
        return count

    def one(self, new, method, properties, body):
        self.publish(new, properties, body)
        self.channel.basic_ack(method.delivery_tag)

    def publish(self, new, properties, body):
        try:
            self.channel.basic_publish("", new, body, self.note(properties), mandatory=True)
        except NackError as error:
            raise self.full(error) from error

    def note(self, properties):
        return properties

    def full(self, error):
        return RuntimeError(str(error))


def changed(**parts):
    return type("Changed", (Move,), parts)()


class InATransaction(Move):
    """Another of AMQP's ways: publish and ack in one transaction. A full queue shows in that it does not grow."""

    confirm = False

    def one(self, new, method, properties, body):
        before = self.length(new)
        self.channel.tx_select()
        self.channel.basic_publish("", new, body, properties)
        self.channel.tx_commit()
        if self.length(new) == before:
            raise RuntimeError(f"{new} takes no more")
        self.channel.basic_ack(method.delivery_tag)
        self.channel.tx_commit()

    def length(self, new):
        return self.channel.queue_declare(new, passive=True).method.message_count


class Consumes(Move):
    def all_of(self, old, new):
        count = 0
        for method, properties, body in self.channel.consume(old, inactivity_timeout=0.2):
            if method is None:
                break
            self.one(new, method, properties, body)
            count += 1
        self.channel.cancel()
        return count


class AcksBefore(Move):
    def one(self, new, method, properties, body):
        self.channel.basic_ack(method.delivery_tag)
        self.publish(new, properties, body)


class AutoAck(Move):
    def all_of(self, old, new):
        count = 0
        while (got := self.channel.basic_get(old, auto_ack=True))[0] is not None:
            self.publish(new, *got[1:])
            count += 1
        return count


class NotConfirmed(Move):
    confirm = False


def persistent(self, properties):
    return pika.BasicProperties(**vars(properties) | {"delivery_mode": 2})


def without_app_id(self, properties):
    return pika.BasicProperties(**vars(properties) | {"app_id": None})


def as_text(self, new, properties, body):
    Move.publish(self, new, properties, body.decode(errors="replace"))


def and_delete(self, old, new):
    return (Move.all_of(self, old, new), self.channel.queue_delete(old))[0]


class UntilNoBody(Move):
    def all_of(self, old, new):
        count = 0
        while (got := self.channel.basic_get(old))[2]:
            self.one(new, *got)
            count += 1
        return count


class LetsTheNackOut(Move):
    def full(self, error):
        return error


class LetsTheRefusalOut(Move):
    def is_there(self, new, arguments, error):
        raise error


class DeletesIt(Move):
    """The broker says that it is another; so away with it."""

    def is_there(self, new, arguments, error):
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()
        self.channel.queue_delete(new)
        self.channel.queue_declare(new, durable=True, arguments=arguments)


class TakesItAsItIs(Move):
    def is_there(self, new, arguments, error):
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()


class PlainQueue(Move):
    durable = False


class ArgumentsForgotten(Move):
    def wanted(self, arguments):
        return {key: value for key, value in arguments.items() if key == "x-overflow"} or None


class LeftOpen(Move):
    """When something is raised."""

    closes = False

    def __call__(self, *given):
        count = super().__call__(*given)
        self.connection.close()
        return count


class SaysNothing(Move):
    def __call__(self, *given):
        super().__call__(*given)


RIGHT = {
    "path by path": (Right, move),
    "one way out": (ByParts, Consumes()),
    "a transaction": (Right, InATransaction()),
}
WRONG = {
    "vouchers are not acknowledged": ((ForgetsVouchers, move), {"stands-still"}),
    "the next ack settles all": ((AcksMultiple, move), {"stands-still"}),
    "vouchers are acknowledged twice": ((AcksTwice, move), {"settled-twice"}),
    "labels for vouchers": ((PrintsVouchers, move), {"not-printed"}),
    "what cannot be read is put back": ((Requeues, move), {"comes-again"}),
    "what cannot be read is raised": ((RaisesIt, move), {"dies-of-it"}),
    "what cannot be read is acknowledged": ((DropsIt, move), {"dropped"}),
    "ack before the print": ((AcksFirst, move), {"acks-first"}),
    "whatever jams is rejected": ((DropsWhatJams, move), {"print-fails"}),
    "by its beginning": ((BeginsWith, move), {"not-printed"}),
    "ack before it is moved": ((Right, AcksBefore()), {"lost"}),
    "taken with auto_ack": ((Right, AutoAck()), {"lost"}),
    "not confirmed": ((Right, NotConfirmed()), {"not-confirmed"}),
    "some properties forgotten": ((Right, changed(note=without_app_id)), {"changed"}),
    "all persistent": ((Right, changed(note=persistent)), {"changed"}),
    "the body as text": ((Right, changed(publish=as_text)), {"not-moved"}),
    "the old queue deleted": ((Right, changed(all_of=and_delete)), {"not-moved"}),
    "until there is no body": ((Right, UntilNoBody()), {"not-moved"}),
    "a nack let out": ((Right, LetsTheNackOut()), {"no-error"}),
    "the 406 let out": ((Right, LetsTheRefusalOut()), {"not-refused"}),
    "the queue that is there deleted": ((Right, DeletesIt()), {"deleted"}),
    "the queue that is there taken": ((Right, TakesItAsItIs()), {"deleted"}),
    "a plain queue": ((Right, PlainQueue()), {"not-as-asked"}),
    "arguments forgotten": ((Right, ArgumentsForgotten()), {"not-as-asked"}),
    "connection left open": ((Right, LeftOpen()), {"left-open"}),
    "says nothing": ((Right, SaysNothing()), {"miscounted"}),
}
