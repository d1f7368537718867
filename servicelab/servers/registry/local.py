"""The ``/v1/agent/`` endpoints: what is registered with this node, and the heartbeats."""

import json
from dataclasses import replace

from servicelab.leases import UnknownService
from servicelab.leases.records import LOCAL, Check
from servicelab.lifecycle import HOST
from servicelab.servers.registry import decode, shapes
from servicelab.servers.registry.agent import Agent
from servicelab.servers.registry.api import (
    Answer,
    Ask,
    Refused,
    as_json,
    checked_status,
    flag,
    refusing_unknown,
    tags_of,
)
from servicelab.servers.registry.values import boolean

NO_REASON = "Maintenance mode is enabled for this service, but no reason was provided. This is a default message."


def register_service(agent: Agent, ask: Ask) -> Answer:
    given = decode.fields(ask.body, "ServiceDefinition")
    service, checks = decode.service(given), decode.checks(given)
    agent.write(agent.catalog.register, service, checks, replace_checks=flag(ask, "replace-existing-checks"))
    return Answer()


def deregister_service(agent: Agent, ask: Ask) -> Answer:
    with refusing_unknown(ask.rest):
        agent.write(agent.catalog.deregister, ask.rest)
    return Answer()


def maintain_service(agent: Agent, ask: Ask) -> Answer:
    """Consul's maintenance mode: a critical check that says why, until it is switched off again."""
    if not ask.rest:
        raise Refused(400, "Missing service ID")
    if not ask.has("enable"):
        raise Refused(400, "Missing value for enable")
    wanted = boolean(ask.get("enable"))
    if wanted is None:
        raise Refused(400, f"Invalid value for enable: {json.dumps(ask.get('enable'))}")
    id = f"_service_maintenance:{ask.rest}"
    with refusing_unknown(ask.rest):
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
    with refusing_unknown(ask.rest):
        agent.write(agent.catalog.remove_check, ask.rest)
    return Answer()


def set_check(status: str):
    def handle(agent: Agent, ask: Ask) -> Answer:
        return _renew(agent, ask.rest, status, ask.get("note"))

    return handle


def update_check(agent: Agent, ask: Ask) -> Answer:
    given = decode.fields(ask.body, "checkUpdate")
    return _renew(agent, ask.rest, checked_status(given.take("Status", str, "")), given.take("Output", str, ""))


def _renew(agent: Agent, check_id: str, status: str, output: str) -> Answer:
    with refusing_unknown(check_id):
        agent.write(agent.catalog.renew, check_id, status, output)
    return Answer()


def checks(agent: Agent, ask: Ask) -> Answer:
    found = [check for check in agent.catalog.checks(node=LOCAL) if check.id != "serfHealth"]
    return as_json({check.id: shapes.check(check, tags_of(agent, check)) for check in found})


def itself(agent: Agent, ask: Ask) -> Answer:
    config = {
        "Datacenter": shapes.DATACENTER, "PrimaryDatacenter": shapes.DATACENTER, "NodeName": LOCAL,
        "NodeID": shapes.node_id(LOCAL), "Server": True, "Revision": "", "Version": "servicelab",
    }  # fmt: skip
    return as_json({"Config": config, "Member": shapes.member(LOCAL, HOST), "Meta": {}})


def members(agent: Agent, ask: Ask) -> Answer:
    return as_json([shapes.member(LOCAL, HOST)])
