"""What the broker writes into a trace: publish, deliver, acknowledge, confirm, return, and the state of its queues."""

from servicelab.trace import from_traceparent

LONGEST = 18  # letters of a routing key in a label


class Observer:
    """Told by the core about queues; see :class:`~servicelab.servers.amqp.core.VirtualHost`."""

    def __init__(self, trace, lane: str):
        self.trace = trace
        self.lane = lane
        self._said: dict[str, str] = {}

    def depth(self, queue) -> None:
        state = f"{queue.ready} ready, {queue.unacked} unacked"
        if self._said.get(queue.name) != state:
            self._said[queue.name] = state
            self.trace.state(f"queue {queue.name}", state)

    def gone(self, queue) -> None:
        self._said.pop(queue.name, None)

    def lost(self, queue, message, why) -> None:
        """It is nowhere any more: dropped for ``why``."""
        self.trace.state(f"queue {queue.name}", f"dropped: {why}")
        self._said.pop(queue.name, None)

    def dead(self, queue, message, reason, exchange) -> None:
        key = queue.options.dead_letter_key
        where = exchange or short(message.target.key if key is None else key)
        self.trace.state(f"queue {queue.name}", f"{reason}, to {where}")
        self._said.pop(queue.name, None)


def short(key: str) -> str:
    """A routing key for a label: addresses that a broker made up are "reply", long ones are cut."""
    if key.startswith(("amq.gen-", "amq.rabbitmq.reply-to")):
        return "reply"
    return key if len(key) <= LONGEST else key[: LONGEST - 1] + "…"


class Stamps:
    """The stamps of one connection. The client's lane is its ``connection_name`` up to a "#"."""

    def __init__(self, trace, lane: str, connection):
        self.trace = trace
        self.lane = lane
        self.name = connection.name
        self.client = connection.name.split("#")[0] or "client"
        self.instrumented = connection.properties.get("servicelab") is True

    def published(self, port, target, properties) -> None:
        call = None
        if b"traceparent" in properties.raw:
            value = properties.headers.get("traceparent")
            call = from_traceparent(value) if isinstance(value, str) else None
        if call is not None:
            self.trace.receive(call[1], self.lane)
        else:
            self._arrived(f"publish {short(target.key or target.exchange)}")

    def unroutable(self, target, mandatory: bool) -> None:
        if not mandatory:
            self.trace.state(self.lane, f"dropped {short(target.key or target.exchange)}: unroutable")

    def delivered(self, port, tag, entry) -> None:
        target = entry.message.target
        verb = "redeliver" if entry.redelivered else "deliver"
        # Connections without a name of their own share one, and with it the numbers: theirs are ids that never meet.
        id = f"{self.name}.{port.number}.{tag}" if self.instrumented else None
        self._left(f"{verb} {short(target.key or target.exchange)}", id)

    def answered(self, port, what: str) -> None:
        self._arrived(what)

    def confirmed(self, port, number: int, multiple: bool, accepted: bool) -> None:
        self._said("confirm" if accepted else "confirm nack")

    def returned(self, port, message) -> None:
        self._said(f"return {short(message.target.key or message.target.exchange)}")

    def blocked(self, connection, blocked: bool) -> None:
        self.trace.state(self.client, "blocked" if blocked else "unblocked")

    def left(self, connection, ports) -> None:
        """The connection is gone: what it had not acknowledged, and may never have received, is lost to it."""
        if self.instrumented:
            for port in ports.values():
                for tag in port.channel.unacked:
                    self.trace.lose(f"{self.name}.{port.number}.{tag}", "connection lost")

    def _arrived(self, label):
        id = self.trace.send(self.client, self.lane, label, kind="message")
        self.trace.receive(id, self.lane)

    def _left(self, label, id):
        """On its way to the client, which stamps the arrival itself when it is instrumented."""
        id = self.trace.send(self.lane, self.client, label, id=id, kind="message")
        if not self.instrumented:
            self.trace.receive(id, self.client)

    def _said(self, label):
        id = self.trace.send(self.lane, self.client, label, kind="message")
        self.trace.receive(id, self.client)
