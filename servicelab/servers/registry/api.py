"""Consul's HTTP API: for each path, what is done and what is answered.

A handler is given the agent and the request as an :class:`Ask` and returns an :class:`Answer`, at once: it never waits.
A query, which may have to wait, returns the function that tells its index and the function that makes its answer.

Written after https://developer.hashicorp.com/consul/api-docs; the words of the refusals are Consul's own where it has
some, since clients look for them.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from servicelab.leases import NotATTLCheck, UnknownCheck, UnknownService
from servicelab.leases.records import LOCAL, Check, Node
from servicelab.lifecycle import HOST
from servicelab.servers.registry import decode, duration, shapes
from servicelab.servers.registry.agent import Agent
from servicelab.servers.registry.refused import Refused

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
NO_REASON = "Maintenance mode is enabled for this service, but no reason was provided. This is a default message."


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


# -- agent: what is registered with this node ---------------------------------------------------


def register_service(agent: Agent, ask: Ask) -> Answer:
    given = decode.fields(ask.body, "ServiceDefinition")
    service, checks = decode.service(given), decode.checks(given)
    agent.write(agent.catalog.register, service, checks, replace_checks=_flag(ask, "replace-existing-checks"))
    return Answer()


def deregister_service(agent: Agent, ask: Ask) -> Answer:
    with _unknown(ask.rest):
        agent.write(agent.catalog.deregister, ask.rest)
    return Answer()


def maintain_service(agent: Agent, ask: Ask) -> Answer:
    """Consul's maintenance mode: a critical check that says why, until it is switched off again."""
    if not ask.rest:
        raise Refused(400, "Missing service ID")
    if not ask.has("enable"):
        raise Refused(400, "Missing value for enable")
    wanted = _bool(ask.get("enable"))
    if wanted is None:
        raise Refused(400, f"Invalid value for enable: {json.dumps(ask.get('enable'))}")
    id = f"_service_maintenance:{ask.rest}"
    with _unknown(ask.rest):
        agent.advance()
        if agent.catalog.service(ask.rest) is None:
            raise UnknownService(ask.rest)
        exists = any(check.id == id for check in agent.catalog.checks(node=LOCAL))
        if wanted and not exists:
            why = ask.get("reason") or NO_REASON
            check = Check(id, "Service Maintenance Mode", ask.rest, kind="maintenance", notes=why)
            agent.write(agent.catalog.add_check, check)
        elif exists and not wanted:
            agent.write(agent.catalog.remove_check, id)
    return Answer()


def services(agent: Agent, ask: Ask) -> Answer:
    found = [service for service in agent.catalog.on_node(LOCAL) if service.id != "consul"]
    return as_json({service.id: shapes.agent_service(service) for service in found})


def service(agent: Agent, ask: Ask) -> Answer:
    found = agent.catalog.service(ask.rest)
    if found is None:
        raise Refused(404, f"unknown service ID: {ask.rest}")
    return as_json(shapes.agent_service(found.service))


def register_check(agent: Agent, ask: Ask) -> Answer:
    given = decode.fields(ask.body, "CheckDefinition")
    if not given.take("Name", str, ""):
        raise Refused(400, "Missing check name")
    check = decode.check(given)
    if not check.id:
        check = replace(check, id=check.name)
    try:
        agent.write(agent.catalog.add_check, check)
    except UnknownService:
        raise Refused(404, f"ServiceID {json.dumps(check.service_id)} does not exist") from None
    return Answer()


def deregister_check(agent: Agent, ask: Ask) -> Answer:
    with _unknown(ask.rest):
        agent.write(agent.catalog.remove_check, ask.rest)
    return Answer()


def set_check(status: str):
    def handle(agent: Agent, ask: Ask) -> Answer:
        return _renew(agent, ask.rest, status, ask.get("note"))

    return handle


def update_check(agent: Agent, ask: Ask) -> Answer:
    given = decode.fields(ask.body, "checkUpdate")
    status, output = given.take("Status", str, ""), given.take("Output", str, "")
    if status not in ("passing", "warning", "critical"):
        raise Refused(400, f"Invalid check status: '{status}'")
    return _renew(agent, ask.rest, status, output)


def _renew(agent: Agent, check_id: str, status: str, output: str) -> Answer:
    with _unknown(check_id):
        agent.write(agent.catalog.renew, check_id, status, output)
    return Answer()


def checks(agent: Agent, ask: Ask) -> Answer:
    found = [check for check in agent.catalog.checks(node=LOCAL) if check.id != "serfHealth"]
    return as_json({check.id: shapes.check(check, _tags(agent, check)) for check in found})


def itself(agent: Agent, ask: Ask) -> Answer:
    config = {
        "Datacenter": shapes.DATACENTER, "PrimaryDatacenter": shapes.DATACENTER, "NodeName": LOCAL,
        "NodeID": shapes.node_id(LOCAL), "Server": True, "Revision": "", "Version": "servicelab",
    }  # fmt: skip
    return as_json({"Config": config, "Member": shapes.member(LOCAL, HOST), "Meta": {}})


def members(agent: Agent, ask: Ask) -> Answer:
    return as_json([shapes.member(LOCAL, HOST)])


# -- catalog: what is registered with any node --------------------------------------------------


def register_in_catalog(agent: Agent, ask: Ask) -> Answer:
    given = decode.fields(ask.body, "RegisterRequest")
    node, address = given.take("Node", str, ""), given.take("Address", str, "")
    if not node or not address:
        raise Refused(500, "Must provide node and address")
    _datacenter(given.take("Datacenter", str, ""))
    meta = given.texts("NodeMeta")
    service = given.take("Service", dict)
    service = decode.catalog_service(decode.Fields(service, "NodeService"), node) if service else None
    check = given.take("Check", dict)
    if check:
        fields = decode.Fields(check, "HealthCheck")
        # Nobody makes a check of the catalog: its status is what is written here.
        check = Check(
            fields.take("CheckID", str, "") or fields.take("Name", str, ""), fields.take("Name", str, ""),
            fields.take("ServiceID", str, ""), "", None, _status(fields.take("Status", str, "") or "critical"),
            notes=fields.take("Notes", str, ""), output=fields.take("Output", str, ""), node=node,
        )  # fmt: skip
        if not check.id:
            raise Refused(500, "Must provide check name or ID")
        comes_along = service is not None and service.id == check.service_id
        if check.service_id and not comes_along and agent.catalog.service(check.service_id, node) is None:
            raise Refused(500, "failed inserting check: Missing service registration")
    if not given.take("SkipNodeUpdate", bool, False):
        agent.write(agent.catalog.set_node, Node(node, address, meta))
    if service:
        agent.write(agent.catalog.register, service)
    if check:
        agent.write(agent.catalog.add_check, check)
        agent.write(agent.catalog.report, check.id, check.status, check.output, node)
    return as_json(True)


def deregister_in_catalog(agent: Agent, ask: Ask) -> Answer:
    given = decode.fields(ask.body, "DeregisterRequest")
    node = given.take("Node", str, "")
    service_id, check_id = given.take("ServiceID", str, ""), given.take("CheckID", str, "")
    if not node:
        raise Refused(500, "Must provide node")
    try:
        if service_id:
            agent.write(agent.catalog.deregister, service_id, node)
        elif check_id:
            agent.write(agent.catalog.remove_check, check_id, node)
        else:
            agent.write(agent.catalog.remove_node, node)
    except LookupError:
        pass  # it is gone, which is what was wanted
    return as_json(True)


def datacenters(agent: Agent, ask: Ask) -> Answer:
    return as_json([shapes.DATACENTER])


def catalog_services(agent: Agent, ask: Ask) -> Query:
    return Query(lambda: agent.catalog.services_index, lambda: as_json(agent.catalog.services()))


def catalog_service(agent: Agent, ask: Ask) -> Query:
    name = _named(ask, "service name")
    tags = ask.query.get("tag", ())
    return Query(
        lambda: agent.catalog.index_of(name),
        lambda: as_json([shapes.catalog_service(one) for one in _of(agent, ask, name, tags)]),
    )


def catalog_nodes(agent: Agent, ask: Ask) -> Query:
    wanted = _node_meta(ask)
    return Query(
        lambda: agent.catalog.nodes_index,
        lambda: as_json([shapes.node(node) for node in agent.catalog.nodes() if wanted <= node.meta.items()]),
    )


def catalog_node(agent: Agent, ask: Ask) -> Query:
    name = _named(ask, "node name")

    def answer():
        node = next((node for node in agent.catalog.nodes() if node.name == name), None)
        if node is None:
            return as_json(None)
        found = {service.id: shapes.service(service) for service in agent.catalog.on_node(name)}
        return as_json({"Node": shapes.node(node), "Services": found})

    return Query(lambda: max(agent.catalog.nodes_index, agent.catalog.services_index), answer)


# -- health -------------------------------------------------------------------------------------


def health_service(agent: Agent, ask: Ask) -> Query:
    name = _named(ask, "service name")
    tags = ask.query.get("tag", ())
    passing = False
    if ask.has("passing"):
        passing = True if ask.get("passing") == "" else _bool(ask.get("passing"))
        if passing is None:
            raise Refused(400, "Invalid value for ?passing")
    return Query(
        lambda: agent.catalog.index_of(name),
        lambda: as_json([shapes.health(one) for one in _of(agent, ask, name, tags, passing)]),
    )


def health_checks(agent: Agent, ask: Ask) -> Query:
    name = _named(ask, "service name")
    return Query(lambda: agent.catalog.index_of(name), lambda: _checks(agent, agent.catalog.checks(service=name)))


def health_node(agent: Agent, ask: Ask) -> Query:
    name = _named(ask, "node name")
    return Query(lambda: agent.catalog.checks_index, lambda: _checks(agent, agent.catalog.checks(node=name)))


def health_state(agent: Agent, ask: Ask) -> Query:
    state = _named(ask, "check state")
    return Query(
        lambda: agent.catalog.checks_index,
        lambda: _checks(agent, [c for c in agent.catalog.checks() if state in ("any", c.status)]),
    )


def _checks(agent: Agent, found: list[Check]) -> Answer:
    return as_json([shapes.check(check, _tags(agent, check)) for check in found])


# -- status ---------------------------------------------------------------------------------


def leader(agent: Agent, ask: Ask) -> Answer:
    return as_json(f"{HOST}:8300")


def peers(agent: Agent, ask: Ask) -> Answer:
    return as_json([f"{HOST}:8300"])


def acl(agent: Agent, ask: Ask) -> Answer:
    raise Refused(401, "ACL support disabled")


# -- helpers --------------------------------------------------------------------------------


class _unknown:
    """Turns what the catalog does not know into Consul's refusals."""

    def __init__(self, id: str):
        self.id = json.dumps(id)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        if isinstance(error, UnknownCheck):
            raise Refused(
                404, f"Unknown check ID {self.id}. Ensure that the check ID is passed, not the check name."
            ) from None
        if isinstance(error, UnknownService):
            raise Refused(
                404, f"Unknown service ID {self.id}. Ensure that the service ID is passed, not the service name."
            ) from None
        if isinstance(error, NotATTLCheck):
            raise Refused(500, f"CheckID {self.id} does not have associated TTL") from None


def seen(ask: Ask) -> tuple[int, float | None]:
    """``index`` and ``wait`` of a query; raises Refused. Without an index, or with 0, nothing waits."""
    wait, index = None, 0
    if ask.get("wait"):
        try:
            wait = duration.seconds(ask.get("wait"))
        except ValueError:
            raise Refused(400, "Invalid wait time") from None
    if ask.get("index"):
        if not (ask.get("index").isascii() and ask.get("index").isdigit()):
            raise Refused(400, "Invalid index")
        index = int(ask.get("index"))
    return index, wait


def common(ask: Ask) -> None:
    """What every query may ask for, and what is refused. Raises Refused."""
    if ask.has("stale") and ask.has("consistent"):
        raise Refused(400, "Cannot specify ?stale with ?consistent, conflicting semantics.")
    if ask.get("filter"):
        raise Refused(400, "filter expressions are not offered by this registry: use passing, tag or node-meta")
    _datacenter(ask.get("dc"))


def _datacenter(name: str) -> None:
    if name and name != shapes.DATACENTER:
        raise Refused(500, "No path to datacenter")


def _of(agent: Agent, ask: Ask, name: str, tags, passing: bool = False):
    wanted = _node_meta(ask)
    found = agent.catalog.instances(name, passing=passing, tags=tags)
    return [one for one in found if wanted <= one.node.meta.items()]


def _node_meta(ask: Ask) -> set[tuple[str, str]]:
    return {(key, value) for key, _, value in (pair.partition(":") for pair in ask.query.get("node-meta", ()))}


def _tags(agent: Agent, check: Check):
    instance = agent.catalog.service(check.service_id, check.node) if check.service_id else None
    return instance.service.tags if instance else ()


def _named(ask: Ask, what: str) -> str:
    if not ask.rest:
        raise Refused(400, f"Missing {what}")
    return ask.rest


def _status(status: str) -> str:
    if status not in ("passing", "warning", "critical"):
        raise Refused(400, f"Invalid check status: '{status}'")
    return status


def _flag(ask: Ask, name: str) -> bool:
    return ask.has(name) and ask.get(name) not in ("0", "false")


def _bool(text: str) -> bool | None:
    """Go's ``strconv.ParseBool``; None for anything else."""
    if text in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    return False if text in ("0", "f", "F", "FALSE", "false", "False") else None
