"""From the catalog's records to the JSON that Consul answers with."""

import base64
import uuid

from servicelab.leases import Check, Entry, Instance, Node, Service
from servicelab.servers.registry import values

DATACENTER = "dc1"


def node_id(name: str) -> str:
    """Nodes have an id as well; made from the name, so that it is the same in every run."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.node.{DATACENTER}.consul"))


def node(one: Node) -> dict:
    return {
        "ID": node_id(one.name), "Node": one.name, "Address": one.address, "Datacenter": DATACENTER,
        "TaggedAddresses": {"lan": one.address, "wan": one.address}, "Meta": dict(one.meta),
        "CreateIndex": one.create_index, "ModifyIndex": one.modify_index,
    }  # fmt: skip


def service(one: Service) -> dict:
    """As in ``health/service`` and ``catalog/node``."""
    return {
        "ID": one.id, "Service": one.name, "Tags": list(one.tags), "Address": one.address, "Meta": dict(one.meta),
        "Port": one.port, "Weights": {"Passing": one.weights[0], "Warning": one.weights[1]},
        "EnableTagOverride": False, "CreateIndex": one.create_index, "ModifyIndex": one.modify_index,
    }  # fmt: skip


def agent_service(one: Service) -> dict:
    """As in ``agent/services``, which knows no indices."""
    found = service(one) | {"Datacenter": DATACENTER}
    del found["CreateIndex"], found["ModifyIndex"]
    return found


def check(one: Check, tags=()) -> dict:
    how = one.definition
    definition = {}
    if one.deregister_after is not None:
        definition["DeregisterCriticalServiceAfter"] = values.duration(one.deregister_after)
    if how:
        definition |= {"Interval": values.duration(how["interval"]), "Timeout": values.duration(how["timeout"])}
        definition |= {name: how[key] for name, key in (("HTTP", "http"), ("TCP", "tcp")) if key in how}
    return {
        "Node": one.node, "CheckID": one.id, "Name": one.name, "Status": one.status, "Notes": one.notes,
        "Output": one.output, "ServiceID": one.service_id, "ServiceName": one.service, "ServiceTags": list(tags),
        "Type": one.kind, "Interval": definition.get("Interval", ""), "Timeout": definition.get("Timeout", ""),
        "ExposedPort": 0, "Definition": definition,
        "CreateIndex": one.create_index, "ModifyIndex": one.modify_index,
    }  # fmt: skip


def health(one: Instance) -> dict:
    checks = [check(each, one.service.tags if each.service_id else ()) for each in one.checks]
    return {"Node": node(one.node), "Service": service(one.service), "Checks": checks}


def catalog_service(one: Instance) -> dict:
    on, what = node(one.node), one.service
    return {
        "ID": on["ID"], "Node": on["Node"], "Address": on["Address"], "Datacenter": DATACENTER,
        "TaggedAddresses": on["TaggedAddresses"], "NodeMeta": on["Meta"], "ServiceKind": "", "ServiceID": what.id,
        "ServiceName": what.name, "ServiceTags": list(what.tags), "ServiceAddress": what.address,
        "ServiceWeights": {"Passing": what.weights[0], "Warning": what.weights[1]}, "ServiceMeta": dict(what.meta),
        "ServicePort": what.port, "ServiceEnableTagOverride": False,
        "CreateIndex": what.create_index, "ModifyIndex": what.modify_index,
    }  # fmt: skip


def entry(one: Entry) -> dict:
    value = base64.b64encode(one.value).decode() if one.value else None  # Consul: an empty value is null
    return {
        "LockIndex": 0, "Key": one.key, "Flags": one.flags, "Value": value,
        "CreateIndex": one.create_index, "ModifyIndex": one.modify_index,
    }  # fmt: skip


def member(name: str, address: str) -> dict:
    return {
        "Name": name, "Addr": address, "Port": 8301, "Status": 1,
        "Tags": {"role": "consul", "dc": DATACENTER, "id": node_id(name)},
    }  # fmt: skip
