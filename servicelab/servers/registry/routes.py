"""Which path means what. A path that ends in ``/`` stands for all that begin with it; the longest one counts."""

from servicelab.servers.registry import api, kv
from servicelab.servers.registry.refused import Refused

ROUTES = {
    "/v1/agent/self": {"GET": api.itself},
    "/v1/agent/members": {"GET": api.members},
    "/v1/agent/services": {"GET": api.services},
    "/v1/agent/service/": {"GET": api.service},
    "/v1/agent/service/register": {"PUT": api.register_service},
    "/v1/agent/service/deregister/": {"PUT": api.deregister_service},
    "/v1/agent/service/maintenance/": {"PUT": api.maintain_service},
    "/v1/agent/checks": {"GET": api.checks},
    "/v1/agent/check/register": {"PUT": api.register_check},
    "/v1/agent/check/deregister/": {"PUT": api.deregister_check},
    "/v1/agent/check/pass/": {"PUT": api.set_check("passing")},
    "/v1/agent/check/warn/": {"PUT": api.set_check("warning")},
    "/v1/agent/check/fail/": {"PUT": api.set_check("critical")},
    "/v1/agent/check/update/": {"PUT": api.update_check},
    "/v1/catalog/register": {"PUT": api.register_in_catalog},
    "/v1/catalog/deregister": {"PUT": api.deregister_in_catalog},
    "/v1/catalog/datacenters": {"GET": api.datacenters},
    "/v1/catalog/nodes": {"GET": api.catalog_nodes},
    "/v1/catalog/node/": {"GET": api.catalog_node},
    "/v1/catalog/services": {"GET": api.catalog_services},
    "/v1/catalog/service/": {"GET": api.catalog_service},
    "/v1/health/service/": {"GET": api.health_service},
    "/v1/health/checks/": {"GET": api.health_checks},
    "/v1/health/node/": {"GET": api.health_node},
    "/v1/health/state/": {"GET": api.health_state},
    "/v1/kv/": {"GET": kv.handle, "PUT": kv.handle, "DELETE": kv.handle},
    "/v1/status/leader": {"GET": api.leader},
    "/v1/status/peers": {"GET": api.peers},
    "/v1/acl/": dict.fromkeys(("GET", "PUT", "POST", "DELETE"), api.acl),
}
_PREFIXES = sorted((path for path in ROUTES if path.endswith("/")), key=len, reverse=True)


def find(method: str, path: str):
    """``(path of the route, what follows it, handler)``. Raises Refused."""
    route = path if path in ROUTES else next((prefix for prefix in _PREFIXES if path.startswith(prefix)), None)
    if route is None:
        raise Refused(404, "Invalid URL path: not a recognized HTTP API endpoint\n" if path.startswith("/v1/") else "")
    handler = ROUTES[route].get(method)
    if handler is None:
        raise Refused(405, f"method {method} not allowed", {"Allow": ",".join(ROUTES[route])})
    return route, path[len(route) :], handler
