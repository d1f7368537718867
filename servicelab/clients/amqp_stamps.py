"""What a traced pika connection stamps. Both ends of a message do (see :mod:`servicelab.trace`).

On its way to the broker its id travels in the header ``traceparent``. On the way from the broker nothing may be added
to it, so both sides derive the id from what they know anyway: ``"<connection name>.<channel number>.<delivery tag>"``.
"""

import copy
import secrets
from contextlib import contextmanager, suppress

import pika

from servicelab.servers.amqp.tracing import short
from servicelab.trace import current_call, from_traceparent, new_id, to_traceparent


class Stamps:
    """What one connection stamps: sent and received messages, and how long the callbacks took.

    ``alone``: the broker does not stamp (a RabbitMQ). Its side is then stamped here, at the client's time: the arrows
    are there, and flat, because nobody knows when the broker had the message.
    """

    def __init__(self, trace, name, broker, connection_name):
        self.trace = trace
        self.name = name
        self.broker = broker
        self.connection_name = connection_name
        self.alone = False

    def on(self, channel):
        """Let ``channel`` stamp: its methods are covered in this one object, pika itself stays as it is."""
        publish, consume, get = channel.basic_publish, channel.basic_consume, channel.basic_get
        arrived, generator = channel._on_consumer_message_delivery, channel.consume

        def basic_publish(exchange, routing_key, body, properties=None, mandatory=False):
            properties = self.sent(exchange, routing_key, properties)
            return publish(exchange, routing_key, body, properties, mandatory)

        def on_delivery(impl, method, properties, body):
            # When it arrives, not when its turn comes: with a large prefetch that may be much later.
            self.received(channel, method)
            return arrived(impl, method, properties, body)

        def basic_consume(queue, on_message_callback, *args, **options):
            def handle(channel, method, properties, body):
                with self.working(channel, method, properties):
                    on_message_callback(channel, method, properties, body)

            return consume(queue, handle, *args, **options)

        def basic_get(*args, **options):
            method, properties, body = get(*args, **options)
            if method is not None:
                self.received(channel, method)
            return method, properties, body

        def each(*args, **options):
            for method, properties, body in generator(*args, **options):
                if method is None:
                    yield method, properties, body
                else:
                    with self.working(channel, method, properties):
                        yield method, properties, body

        channel.basic_publish, channel.basic_consume, channel.basic_get = basic_publish, basic_consume, basic_get
        channel._on_consumer_message_delivery, channel.consume = on_delivery, each
        if self.alone:
            channel.basic_ack = self.answering(channel.basic_ack, "ack")
            channel.basic_nack = self.answering(channel.basic_nack, "nack")
            channel.basic_reject = self.answering(channel.basic_reject, "reject")
        return channel

    def answering(self, answer, label):
        def stamped(*args, **options):
            answer(*args, **options)
            self.trace.receive(self.trace.send(self.name, self.broker, label, kind="message"), self.broker)

        return stamped

    def sent(self, exchange, routing_key, properties):
        """Stamp a message that leaves; returns its properties with the header in them."""
        properties = copy.copy(properties) if properties is not None else pika.BasicProperties()
        headers = dict(properties.headers or {})
        id = new_id()
        serving = current_call.get() or from_traceparent(headers.get("traceparent"))
        headers["traceparent"] = to_traceparent(serving[0] if serving else secrets.token_hex(16), id)
        properties.headers = headers
        self.trace.send(self.name, self.broker, f"publish {short(routing_key or exchange)}", id=id, kind="message")
        if self.alone:
            self.trace.receive(id, self.broker)
        return properties

    def received(self, channel, method):
        id = self.id_of(channel, method)
        if self.alone:
            verb = "redeliver" if method.redelivered else "deliver"
            label = f"{verb} {method.routing_key or method.exchange}"
            self.trace.send(self.broker, self.name, label, id=id, kind="message")
        self.trace.receive(id, self.name)

    def id_of(self, channel, method):
        return f"{self.connection_name}.{channel.channel_number}.{method.delivery_tag}"

    @contextmanager
    def working(self, channel, method, properties):
        """Stamp the work on a message; what is published or called meanwhile belongs to its trace."""
        label = f"handle {method.routing_key or method.exchange}"
        id = self.trace.start_work(self.name, label, id=self.id_of(channel, method))
        found = from_traceparent((properties.headers or {}).get("traceparent"))
        before = current_call.set((found[0] if found else secrets.token_hex(16), id))
        try:
            yield
        finally:
            self.trace.end_work(id)
            with suppress(ValueError):  # a generator may be ended from elsewhere
                current_call.reset(before)
