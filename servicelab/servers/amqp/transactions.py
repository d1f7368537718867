"""What a channel with transactions holds back until it is told to commit."""

from servicelab.servers.amqp.message import Message
from servicelab.servers.amqp.outstanding import Unacked


class Transaction:
    """Messages with their flag ``mandatory``, and settled deliveries with what is to become of them."""

    __slots__ = ("published", "settled")

    def __init__(self):
        self.published: list[tuple[Message, bool]] = []
        self.settled: list[tuple[str, list[tuple[int, Unacked]]]] = []
