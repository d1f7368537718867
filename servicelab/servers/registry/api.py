"""What every endpoint of the HTTP API shares: questions, answers, parameters.

A handler is given the agent and the request as an :class:`Ask` and returns an :class:`Answer`, at once: it never waits.
For a question that may have to wait it returns a :class:`Query`: what tells its index, and what makes its answer.

Written after https://developer.hashicorp.com/consul/api-docs; the words of the refusals are Consul's own where it has
some, since clients look for them.
"""

import json
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from servicelab.leases import NotATTLCheck, UnknownCheck, UnknownService
from servicelab.leases.records import Check, check_status
from servicelab.servers.registry import shapes, values
from servicelab.servers.registry.agent import Agent

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"


class Refused(Exception):
    """Answer with ``status`` and ``text``; nothing was changed. ``headers`` go with it."""

    def __init__(self, status: int, text: str = "", headers: dict[str, str] | None = None):
        super().__init__(f"{status} {text}")
        self.status, self.text, self.headers = status, text, headers or {}

    def __reduce__(self):  # its constructor takes no text, which is what an exception hands on otherwise
        return Refused, (self.status, self.text, self.headers)


@dataclass
class Ask:
    """A request: what follows the path's known part (``rest``), the query's values, the body."""

    method: str
    rest: str
    query: dict[str, list[str]]
    body: bytes = b""

    def get(self, name: str, default: str = "") -> str:
        return self.query.get(name, [default])[0]

    def has(self, name: str) -> bool:
        return name in self.query


@dataclass
class Answer:
    body: bytes = b""
    status: int = 200
    kind: str = TEXT
    headers: dict[str, str] = field(default_factory=dict)


class Query(NamedTuple):
    """A question that may wait until ``index_of()`` is more than the client has seen."""

    index_of: Callable[[], int]
    answer: Callable[[], Answer]


def as_json(value, status: int = 200) -> Answer:
    return Answer(json.dumps(value, separators=(",", ":")).encode(), status, JSON)


@contextmanager
def refusing_unknown(id: str):
    """Turns what the catalog does not know into Consul's refusals."""
    quoted = json.dumps(id)
    try:
        yield
    except (UnknownCheck, UnknownService) as unknown:
        what = "check" if isinstance(unknown, UnknownCheck) else "service"
        says = f"Unknown {what} ID {quoted}. Ensure that the {what} ID is passed, not the {what} name."
        raise Refused(404, says) from None
    except NotATTLCheck:
        raise Refused(500, f"CheckID {quoted} does not have associated TTL") from None


def seen(ask: Ask) -> tuple[int, float | None]:
    """``index`` and ``wait`` of a query; raises Refused. Without an index, or with 0, nothing waits."""
    try:
        wait = values.seconds(ask.get("wait")) if ask.get("wait") else None
    except ValueError:
        raise Refused(400, "Invalid wait time") from None
    try:
        return values.unsigned(ask.get("index") or "0"), wait
    except ValueError:
        raise Refused(400, "Invalid index") from None


def common(ask: Ask) -> None:
    """What every query may ask for, and what is refused. Raises Refused."""
    if ask.has("stale") and ask.has("consistent"):
        raise Refused(400, "Cannot specify ?stale with ?consistent, conflicting semantics.")
    for name, what in (("filter", "filter expressions"), ("peer", "peers of the cluster")):
        if ask.get(name):
            raise Refused(400, f"{what} are not offered by this registry: use passing, tag or node-meta")
    check_datacenter(ask.get("dc"))


def check_datacenter(name: str) -> None:
    if name and name != shapes.DATACENTER:
        raise Refused(500, "No path to datacenter")


def instances_of(agent: Agent, ask: Ask, name: str, tags, passing: bool = False):
    wanted = node_meta(ask)
    found = agent.catalog.instances(name, passing=passing, tags=tags)
    return [one for one in found if wanted <= one.node.meta.items()]


def node_meta(ask: Ask) -> set[tuple[str, str]]:
    return {(key, value) for key, _, value in (pair.partition(":") for pair in ask.query.get("node-meta", ()))}


def tags_of(agent: Agent, check: Check):
    instance = agent.catalog.service(check.service_id, check.node) if check.service_id else None
    return instance.service.tags if instance else ()


def named(ask: Ask, what: str) -> str:
    if not ask.rest:
        raise Refused(400, f"Missing {what}")
    return ask.rest


def checked_status(status: str, says: str = "") -> str:
    try:
        return check_status(status)
    except ValueError:
        raise Refused(400, says or f"Invalid check status: '{status}'") from None


def flag(ask: Ask, name: str) -> bool:
    """A parameter that says yes by being there, or says which. Raises Refused."""
    wanted = ask.has(name) and (ask.get(name) == "" or values.boolean(ask.get(name)))
    if wanted is None:
        raise Refused(400, f"Invalid value for ?{name}")
    return wanted
