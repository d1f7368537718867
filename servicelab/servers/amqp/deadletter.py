"""Dead letters: what a message looks like that died in one queue and is published again, and when it goes in circles.

The headers are RabbitMQ's: ``x-death`` lists, latest first, for each pair of queue and reason how often the message
died there; ``x-first-death-*`` never change (https://www.rabbitmq.com/dlx.html).
"""

from servicelab.servers.amqp.message import Message, target
from servicelab.servers.amqp.tables import Long, Timestamp


def letter(message: Message, queue: str, reason: str, exchange: str, key: str | None, wall: float) -> Message:
    """``message`` as it is published to ``exchange`` after it died in ``queue`` for ``reason``.

    ``key`` replaces its routing keys, None keeps them. ``wall``: seconds of the epoch. ``reason`` is rejected,
    expired, maxlen or delivery_limit.
    """
    headers = message.properties.headers
    deaths = _deaths(headers)
    same = [death for death in deaths if death.get("queue") == queue and death.get("reason") == reason]
    if same:
        latest = {**same[0], "count": Long(_count(same[0]) + 1)}
    else:
        hidden = [copy for copy in headers.get("BCC") or () if isinstance(copy, str)]
        latest = {
            "count": Long(1),
            "reason": reason,
            "queue": queue,
            "time": Timestamp(wall),
            "exchange": message.target.exchange,
            "routing-keys": [each for each in message.routing_keys() if each not in hidden],
        }
        if message.properties.expiration is not None:
            latest["original-expiration"] = message.properties.text("expiration")
    changes = {"x-death": [latest, *(death for death in deaths if not same or death is not same[0])]}
    if "x-first-death-reason" not in headers:
        changes |= {
            "x-first-death-reason": reason,
            "x-first-death-queue": queue,
            "x-first-death-exchange": message.target.exchange,
        }
    if key is not None:
        changes["CC"] = None
    properties = message.properties.with_headers(changes, expiration=None)
    return Message(target(exchange, message.target.key if key is None else key), properties, message.body)


def circles(letter: Message, queue: str) -> bool:
    """Whether publishing ``letter`` to ``queue`` would close a circle in which no consumer ever rejected it."""
    cycle = []
    for death in _deaths(letter.properties.headers):
        cycle.append(death)
        if death.get("queue") == queue:
            return all(each.get("reason") != "rejected" for each in cycle)
    return False


def _deaths(headers):
    """The deaths so far. A client may have written anything there."""
    found = headers.get("x-death")
    return [death for death in found if isinstance(death, dict)] if isinstance(found, list) else []


def _count(death):
    count = death.get("count")
    return count if isinstance(count, int) and 0 <= count < 2**62 else 0
