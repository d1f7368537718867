"""The way of a message from its exchange to its queues, through bindings, other exchanges and alternates."""

from servicelab.servers.amqp.errors import not_found
from servicelab.servers.amqp.message import Message
from servicelab.servers.amqp.queues import Queue

MOST = 10_000  # routes that are remembered until an exchange, a queue or a binding changes


class Router:
    """Finds queues in ``exchanges`` and ``queues``, both by name; :meth:`forget` must be called when they change."""

    def __init__(self, exchanges: dict, queues: dict[str, Queue]):
        self._exchanges = exchanges
        self._queues = queues
        self._routes: dict[tuple[str, str], tuple[Queue, ...]] = {}

    def forget(self) -> None:
        """An exchange, a queue or a binding is another now."""
        self._routes.clear()

    def route(self, message: Message) -> tuple[Queue, ...]:
        """The queues for ``message``, each once. Raises AmqpError 404 when its exchange does not exist."""
        at = (message.target.exchange, message.target.key)
        copies = b"CC" in message.properties.raw
        if not copies and (found := self._routes.get(at)) is not None:
            return found
        found, lasting = self._walk(message)
        if lasting and not copies:
            if len(self._routes) >= MOST:
                self._routes.clear()
            self._routes[at] = found
        return found

    def _walk(self, message):
        exchange = self._exchanges.get(message.target.exchange)
        if exchange is None:
            raise not_found("exchange", message.target.exchange)
        queues: dict[Queue, None] = {}
        keys, seen, ahead, lasting = message.routing_keys(), {exchange}, [exchange], True
        while ahead:
            exchange = ahead.pop()
            lasting = lasting and not exchange.routes_by_headers
            found = []
            for key in keys:
                if exchange.name == "":
                    found += [self._queues[key]] if key in self._queues else []
                else:
                    found += exchange.matches(key, lambda: message.properties.headers)
            if not found and exchange.alternate in self._exchanges:
                found = [self._exchanges[exchange.alternate]]
            for destination in found:
                if isinstance(destination, Queue):
                    queues[destination] = None
                elif destination not in seen:
                    seen.add(destination)
                    ahead.append(destination)
        return tuple(queues), lasting
