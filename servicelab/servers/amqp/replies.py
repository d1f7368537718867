"""Direct reply-to: answers that go straight to a channel, past all queues.

A client consumes from :data:`REPLY_TO`, which is no queue, and gives that name as ``reply_to`` of its request. The
broker puts an address in its place to which only this client listens
(https://www.rabbitmq.com/docs/direct-reply-to).
"""

import secrets

from servicelab.servers.amqp.consumers import Consumer
from servicelab.servers.amqp.errors import not_found
from servicelab.servers.amqp.message import Entry, Message, Target

REPLY_TO = "amq.rabbitmq.reply-to"
_ADDRESS = REPLY_TO + "."


class Replies:
    """Who waits for answers in a broker, by address."""

    def __init__(self):
        self._waiting: dict[str, Consumer] = {}

    def listen(self, consumer: Consumer) -> str:
        """Its new address."""
        address = _ADDRESS + secrets.token_urlsafe(16)
        self._waiting[address] = consumer
        return address

    def leave(self, address: str) -> None:
        del self._waiting[address]

    def deliver(self, message: Message) -> bool:
        """Whether somebody waits at the address to which ``message`` was published."""
        consumer = self._waiting.get(message.target.key)
        if consumer is None:
            return False
        consumer.channel.deliver(consumer, Entry(0, message))
        return True

    def know(self, name: str) -> bool:
        """Whether ``name`` stands for answers rather than for a queue; raises AmqpError 404 when nobody is there."""
        if name == REPLY_TO:
            return True
        if not name.startswith(_ADDRESS):
            return False
        if name not in self._waiting:
            raise not_found("queue", name)
        return True


def is_address(target: Target) -> bool:
    """Whether ``target`` is such an address."""
    return target.exchange == "" and target.key.startswith(_ADDRESS)
