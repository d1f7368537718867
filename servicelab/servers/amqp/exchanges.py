"""The exchanges: for a message's routing key and headers, the bindings that match.

An exchange knows its bindings and nothing of queues: what it is bound to is any object (a queue or another exchange).
"""

from functools import lru_cache

from servicelab.servers.amqp.errors import failed
from servicelab.servers.amqp.tables import type_name

PREDECLARED = {
    "": "direct",
    "amq.direct": "direct",
    "amq.fanout": "fanout",
    "amq.topic": "topic",
    "amq.headers": "headers",
    "amq.match": "headers",
}


class Exchange:
    """What all exchanges share: a name, properties, and the bindings by destination, key and arguments."""

    type = ""
    routes_by_headers = False

    def __init__(self, name, *, durable=False, auto_delete=False, internal=False, arguments=None):
        self.name = name
        self.durable = durable
        self.auto_delete = auto_delete
        self.internal = internal
        self.arguments = arguments or {}
        self.alternate = self.arguments.get("alternate-exchange")
        self.bindings: dict[tuple, dict] = {}  # (destination, key, arguments as a hashable) -> arguments

    @property
    def system(self) -> bool:
        return self.name in PREDECLARED or self.name.startswith("amq.")

    def bind(self, destination, key: str, arguments: dict) -> bool:
        """False when this very binding exists already."""
        self.check(arguments)
        binding = (destination, key, frozen(arguments))
        if binding in self.bindings:
            return False
        self.bindings[binding] = arguments
        self._changed()
        return True

    def unbind(self, destination, key: str, arguments: dict) -> bool:
        """False when there is no such binding."""
        if self.bindings.pop((destination, key, frozen(arguments)), None) is None:
            return False
        self._changed()
        return True

    def forget(self, destination) -> list[tuple[str, dict]]:
        """Remove every binding to ``destination``; returns their keys and arguments."""
        gone = [binding for binding in self.bindings if binding[0] is destination]
        found = [(binding[1], self.bindings.pop(binding)) for binding in gone]
        if gone:
            self._changed()
        return found

    def check(self, arguments: dict) -> None:
        """Raise AmqpError when a binding cannot have these ``arguments``."""

    def matches(self, key: str, headers) -> list:
        """The destinations for this routing key; ``headers`` is a function that gives the header table."""
        raise NotImplementedError

    def _changed(self):
        """The bindings are others now."""


class Direct(Exchange):
    type = "direct"

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self._by_key: dict[str, list] | None = None

    def _changed(self):
        self._by_key = None

    def matches(self, key, headers):
        if self._by_key is None:
            self._by_key = {}
            for destination, bound, _ in self.bindings:
                self._by_key.setdefault(bound, []).append(destination)
        return self._by_key.get(key, ())


class Fanout(Exchange):
    type = "fanout"

    def matches(self, key, headers):
        return [destination for destination, _, _ in self.bindings]


class Topic(Exchange):
    """Keys are words between dots. In a pattern ``*`` stands for one word and ``#`` for any number of words."""

    type = "topic"

    def matches(self, key, headers):
        words = tuple(key.split(".")) if key else ()  # an empty key has no words
        return [destination for destination, pattern, _ in self.bindings if topic_matches(pattern, words)]


@lru_cache(maxsize=16384)
def topic_matches(pattern: str, words: tuple[str, ...]) -> bool:
    """Whether the words of a routing key match ``pattern``; time grows with pattern × words, whatever the pattern."""
    reach = {0}  # how many words the pattern's beginning may have taken
    for part in pattern.split(".") if pattern else ():
        if part == "#":
            reach = set(range(min(reach), len(words) + 1))
        else:
            reach = {at + 1 for at in reach if at < len(words) and part in ("*", words[at])}
        if not reach:
            return False
    return len(words) in reach


class Headers(Exchange):
    """Matches the header table: all of a binding's arguments, or any. Those that begin with "x-" count only in the
    variants all-with-x and any-with-x; an argument without a value asks only that the header is there."""

    type = "headers"
    routes_by_headers = True

    def check(self, arguments):
        mode = arguments.get("x-match")
        if mode is None and "x-match" not in arguments:
            return
        if not isinstance(mode, str):
            raise failed(f"Invalid x-match field type {type_name(mode)} (value {mode}); expected longstr")
        if mode not in ("all", "any", "all-with-x", "any-with-x"):
            raise failed(f'Invalid x-match field value <<"{mode}">>; expected all, any, all-with-x, or any-with-x')

    def matches(self, key, headers):
        table = headers()
        bindings = self.bindings.items()
        return [destination for (destination, _, _), arguments in bindings if headers_match(arguments, table)]


def headers_match(arguments: dict, headers: dict) -> bool:
    """Whether a message's ``headers`` satisfy a binding's ``arguments``."""
    mode = arguments.get("x-match", "all")
    wanted = {
        name: value
        for name, value in arguments.items()
        if name != "x-match" and (mode.endswith("-with-x") or not name.startswith("x-"))
    }
    found = (name in headers and (value is None or _same(value, headers[name])) for name, value in wanted.items())
    return any(found) if mode.startswith("any") else all(found)


def _same(wanted, value):
    kinds = [bool if isinstance(each, bool) else float if isinstance(each, float) else None for each in (wanted, value)]
    return kinds[0] is kinds[1] and wanted == value


def frozen(value):
    """``value`` as something hashable that is equal for equal tables."""
    if isinstance(value, dict):
        return tuple(sorted((key, frozen(each)) for key, each in value.items()))
    if isinstance(value, list):
        return tuple(frozen(each) for each in value)
    if isinstance(value, bytes | bytearray):
        return ("binary", bytes(value))
    return (type(value).__name__, str(value))


KINDS = {kind.type: kind for kind in (Direct, Fanout, Topic, Headers)}
