"""The ``/v1/catalog/``, ``/v1/health/`` and ``/v1/status/`` endpoints: what is registered with any node."""

from servicelab.leases.records import Check, Node
from servicelab.lifecycle import HOST
from servicelab.servers.registry import decode, shapes
from servicelab.servers.registry.agent import Agent
from servicelab.servers.registry.api import (
    Answer,
    Ask,
    Query,
    Refused,
    as_json,
    check_datacenter,
    checked_status,
    flag,
    instances_of,
    named,
    node_meta,
    tags_of,
)


def register_in_catalog(agent: Agent, ask: Ask) -> Answer:
    given = decode.fields(ask.body, "RegisterRequest")
    node, address = given.take("Node", str, ""), given.take("Address", str, "")
    if not node or not address:
        raise Refused(500, "Must provide node and address")
    check_datacenter(given.take("Datacenter", str, ""))
    with decode.refusing_what_cannot_be():
        on = Node(node, address, given.texts("NodeMeta"))
    service = given.take("Service", dict)
    service = decode.catalog_service(decode.Fields(service, "NodeService"), node) if service else None
    checks = [_check(each, node) for each in given.checks("HealthCheck")]
    for check in checks:
        comes_along = service is not None and service.id == check.service_id
        if check.service_id and not comes_along and agent.catalog.service(check.service_id, node) is None:
            raise Refused(500, "failed inserting check: Missing service registration")
    if not given.take("SkipNodeUpdate", bool, False) or agent.catalog.node(node) is None:
        agent.write(agent.catalog.set_node, on)
    if service:
        agent.write(agent.catalog.register, service)
    for check in checks:
        agent.write(agent.catalog.add_check, check)
        agent.write(agent.catalog.report, check.id, check.status, check.output, node)
    return as_json(True)


def _check(given: decode.Fields, node: str) -> Check:
    """A check of the catalog. Nobody makes it: its status is what is written here."""
    id = given.take("CheckID", str, "") or given.take("Name", str, "")
    if not id:
        raise Refused(500, "Must provide check name or ID")
    return Check(
        id, given.take("Name", str, "") or id, given.take("ServiceID", str, ""), "", None,
        checked_status(given.take("Status", str, "") or "critical"),
        notes=given.take("Notes", str, ""), output=given.take("Output", str, ""), node=node,
    )  # fmt: skip


def deregister_in_catalog(agent: Agent, ask: Ask) -> Answer:
    given = decode.fields(ask.body, "DeregisterRequest")
    node = given.take("Node", str, "")
    service_id, check_id = given.take("ServiceID", str, ""), given.take("CheckID", str, "")
    if not node:
        raise Refused(500, "Must provide node")
    check_datacenter(given.take("Datacenter", str, ""))
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
    name = named(ask, "service name")
    tags = ask.query.get("tag", ())
    return Query(
        lambda: agent.catalog.index_of(name),
        lambda: as_json([shapes.catalog_service(one) for one in instances_of(agent, ask, name, tags)]),
    )


def catalog_nodes(agent: Agent, ask: Ask) -> Query:
    wanted = node_meta(ask)
    return Query(
        lambda: agent.catalog.nodes_index,
        lambda: as_json([shapes.node(node) for node in agent.catalog.nodes() if wanted <= node.meta.items()]),
    )


def catalog_node(agent: Agent, ask: Ask) -> Query:
    name = named(ask, "node name")

    def answer():
        node = agent.catalog.node(name)
        if node is None:
            return as_json(None)
        found = {service.id: shapes.service(service) for service in agent.catalog.on_node(name)}
        return as_json({"Node": shapes.node(node), "Services": found})

    return Query(lambda: max(agent.catalog.nodes_index, agent.catalog.services_index), answer)


def health_service(agent: Agent, ask: Ask) -> Query:
    name = named(ask, "service name")
    tags = ask.query.get("tag", ())
    passing = flag(ask, "passing")
    return Query(
        lambda: agent.catalog.index_of(name),
        lambda: as_json([shapes.health(one) for one in instances_of(agent, ask, name, tags, passing)]),
    )


def health_checks(agent: Agent, ask: Ask) -> Query:
    name = named(ask, "service name")
    return Query(lambda: agent.catalog.index_of(name), lambda: _checks(agent, agent.catalog.checks(service=name)))


def health_node(agent: Agent, ask: Ask) -> Query:
    name = named(ask, "node name")
    return Query(lambda: agent.catalog.checks_index, lambda: _checks(agent, agent.catalog.checks(node=name)))


def health_state(agent: Agent, ask: Ask) -> Query:
    state = named(ask, "check state")
    return Query(
        lambda: agent.catalog.checks_index,
        lambda: _checks(agent, [c for c in agent.catalog.checks() if state in ("any", c.status)]),
    )


def _checks(agent: Agent, found: list[Check]) -> Answer:
    return as_json([shapes.check(check, tags_of(agent, check)) for check in found])


def leader(agent: Agent, ask: Ask) -> Answer:
    return as_json(f"{HOST}:8300")


def peers(agent: Agent, ask: Ask) -> Answer:
    return as_json([f"{HOST}:8300"])


def acl(agent: Agent, ask: Ask) -> Answer:
    raise Refused(401, "ACL support disabled")
