"""What a channel says to its client. Over a socket that becomes frames; a test or a simulation brings its own."""

from typing import Protocol

from servicelab.servers.amqp.consumers import Consumer
from servicelab.servers.amqp.message import Entry, Message


class Sink(Protocol):
    """The client's end of a channel."""

    def deliver(self, consumer: Consumer, tag: int, entry: Entry) -> None: ...
    def returned(self, message: Message, code: int, text: str) -> None: ...
    def cancelled(self, consumer_tag: str) -> None: ...
    def confirmed(self, number: int, multiple: bool, accepted: bool) -> None: ...
