"""Which path means what. A path that ends in ``/`` stands for all that begin with it; the longest one counts."""

from servicelab.servers.registry import catalog, kv, local
from servicelab.servers.registry.api import Refused

ROUTES = {
    "/v1/agent/self": {"GET": local.itself},
    "/v1/agent/members": {"GET": local.members},
    "/v1/agent/services": {"GET": local.services},
    "/v1/agent/service/": {"GET": local.service},
    "/v1/agent/service/register": {"PUT": local.register_service},
    "/v1/agent/service/deregister/": {"PUT": local.deregister_service},
    "/v1/agent/service/maintenance/": {"PUT": local.maintain_service},
    "/v1/agent/checks": {"GET": local.checks},
    "/v1/agent/check/register": {"PUT": local.register_check},
    "/v1/agent/check/deregister/": {"PUT": local.deregister_check},
    "/v1/agent/check/pass/": {"PUT": local.set_check("passing")},
    "/v1/agent/check/warn/": {"PUT": local.set_check("warning")},
    "/v1/agent/check/fail/": {"PUT": local.set_check("critical")},
    "/v1/agent/check/update/": {"PUT": local.update_check},
    "/v1/catalog/register": {"PUT": catalog.register_in_catalog},
    "/v1/catalog/deregister": {"PUT": catalog.deregister_in_catalog},
    "/v1/catalog/datacenters": {"GET": catalog.datacenters},
    "/v1/catalog/nodes": {"GET": catalog.catalog_nodes},
    "/v1/catalog/node/": {"GET": catalog.catalog_node},
    "/v1/catalog/services": {"GET": catalog.catalog_services},
    "/v1/catalog/service/": {"GET": catalog.catalog_service},
    "/v1/health/service/": {"GET": catalog.health_service},
    "/v1/health/checks/": {"GET": catalog.health_checks},
    "/v1/health/node/": {"GET": catalog.health_node},
    "/v1/health/state/": {"GET": catalog.health_state},
    "/v1/kv/": {"GET": kv.handle, "PUT": kv.handle, "DELETE": kv.handle},
    "/v1/status/leader": {"GET": catalog.leader},
    "/v1/status/peers": {"GET": catalog.peers},
    "/v1/acl/": dict.fromkeys(("GET", "PUT", "POST", "DELETE"), catalog.acl),
}
#: What Consul has and this registry has not. Clients take a 404 for "there is none"; a 501 they report.
NOT_OFFERED = {
    "/v1/txn": "transactions",
    "/v1/event/": "events",
    "/v1/query": "prepared queries",
    "/v1/session/": "sessions, and so no locks",
    "/v1/snapshot": "snapshots",
    "/v1/operator/": "Raft to operate",
    "/v1/coordinate/": "network coordinates",
    "/v1/peering": "cluster peering",
    "/v1/agent/maintenance": "maintenance of a whole node: use /v1/agent/service/maintenance/",
    "/v1/catalog/node-services/": "list of a node's services in this shape: use /v1/catalog/node/",
    **dict.fromkeys(
        ("/v1/connect/", "/v1/config", "/v1/discovery-chain/", "/v1/health/connect/", "/v1/health/ingress/",
         "/v1/catalog/connect/", "/v1/catalog/gateway-services/", "/v1/agent/connect/", "/v1/exported-services",
         "/v1/imported-services", "/v1/internal/"), "service mesh"),
    "/v1/agent/": "such endpoint of the agent",
}  # fmt: skip
_PREFIXES = sorted((path for path in ROUTES if path.endswith("/")), key=len, reverse=True)


def find(method: str, path: str):
    """``(path of the route, what follows it, handler)``. Raises Refused."""
    route = path if path in ROUTES else next((prefix for prefix in _PREFIXES if path.startswith(prefix)), None)
    if route is None:
        lacking = next((what for start, what in NOT_OFFERED.items() if path.startswith(start)), None)
        if lacking:
            raise Refused(501, f"{path}: this registry has no {lacking}. Its known differences from Consul: "
                               "help('servicelab.servers.registry')\n")  # fmt: skip
        raise Refused(404, "Invalid URL path: not a recognized HTTP API endpoint\n" if path.startswith("/v1/") else "")
    handler = ROUTES[route].get(method)
    if handler is None:
        raise Refused(405, f"method {method} not allowed", {"Allow": ",".join(ROUTES[route])})
    return route, path[len(route) :], handler
