"""From the JSON that clients send to services and checks.

As in Consul, names are matched whatever their case (py-consul writes ``"deregisterCriticalServiceAfter"`` in several
ways), unknown names are passed over, a duration is a text like "10s" or a number of nanoseconds, and what is wrong is
refused with status 400 before anything is changed.
"""

import json

from servicelab.leases import Check, Service
from servicelab.leases.records import LOCAL
from servicelab.servers.registry import duration
from servicelab.servers.registry.refused import Refused

_STATUSES = ("passing", "warning", "critical")
_NAMES = {str: "string", int: "int", bool: "bool", float: "float64", list: "array", dict: "object", type(None): "null"}
#: Kinds of checks that Consul makes and this registry does not.
_NOT_OFFERED = (
    "args", "scriptargs", "script", "grpc", "h2ping", "udp", "dockercontainerid", "osservice", "aliasservice",
    "aliasnode",
)  # fmt: skip
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")


class Fields:
    """A JSON object whose names are matched whatever their case, and without underscores."""

    def __init__(self, raw: dict, what: str):
        self.what = what
        self._raw = {name.lower().replace("_", ""): value for name, value in raw.items()}

    def take(self, name: str, kind: type, default=None):
        """The value of ``name``, which must be of that kind; null counts as not given."""
        value = self._raw.get(name.lower())
        if value is None:
            return default
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise Refused(
                400,
                f"Request decode failed: json: cannot unmarshal {_json_name(value)} into Go struct field "
                f"{self.what}.{name} of type {_go_name(kind)}",
            )
        return value

    def seconds(self, name: str) -> float | None:
        value = self._raw.get(name.lower())
        if value is None or value == "":
            return None
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return value * 1e-9
        if not isinstance(value, str):
            raise Refused(
                400, f'Request decode failed: {name} must be a duration such as "10s", not {_json_name(value)}'
            )
        try:
            return duration.seconds(value)
        except ValueError as error:
            raise Refused(400, f"Request decode failed: {error}") from None

    def texts(self, name: str) -> dict[str, str]:
        """An object of texts."""
        found = self.take(name, dict, {})
        for value in found.values():
            if not isinstance(value, str):
                raise Refused(
                    400,
                    f"Request decode failed: json: cannot unmarshal {_json_name(value)} into Go struct field "
                    f"{self.what}.{name} of type string",
                )
        return found

    def has(self, *names: str) -> str | None:
        """The first of ``names`` that is given and not empty."""
        return next((name for name in names if self._raw.get(name)), None)


def fields(body: bytes, what: str) -> Fields:
    """The body of a request as an object. Raises Refused."""
    try:
        raw = json.loads(body)
    except UnicodeDecodeError:
        raise Refused(400, "Request decode failed: the body is not UTF-8") from None
    except ValueError as error:
        reason = "EOF" if not body.strip() else f"invalid JSON: {error}"
        raise Refused(400, f"Request decode failed: {reason}") from None
    if not isinstance(raw, dict):
        raise Refused(
            400, f"Request decode failed: json: cannot unmarshal {_json_name(raw)} into Go value of type {what}"
        )
    return Fields(raw, what)


def service(given: Fields, node: str = LOCAL) -> Service:
    """The service in an agent's registration. Raises Refused."""
    name = given.take("Name", str, "")
    if not name:
        raise Refused(400, "Missing service name")
    if given.has("connect", "proxy", "kind", "socketpath"):
        raise Refused(400, f"Invalid service: {given.has('connect', 'proxy', 'kind', 'socketpath')!r} belongs to "
                           "Consul's service mesh, which this registry does not offer")  # fmt: skip
    return _made(given, given.take("ID", str, "") or name, name, node)


def catalog_service(given: Fields, node: str) -> Service:
    """The service in a catalog registration, where its name is called ``Service``. Raises Refused."""
    name = given.take("Service", str, "")
    if not name:
        raise Refused(500, "Must provide service name with ID")
    return _made(given, given.take("ID", str, "") or name, name, node)


def _made(given: Fields, id: str, name: str, node: str) -> Service:
    tags = given.take("Tags", list, [])
    if not all(isinstance(tag, str) for tag in tags):
        raise Refused(400, "Request decode failed: json: Tags must be an array of strings")
    address = given.take("Address", str, "")
    if address in (".".join("0000"), "::", "[::]"):
        raise Refused(400, "Invalid service address")
    weights = Fields(given.take("Weights", dict, {}), "Weights")
    weight = weights.take("Passing", int, 1), weights.take("Warning", int, 1)
    if weight[0] < 1:
        raise Refused(400, "Invalid Weights: Passing must be greater than 0")
    if weight[1] < 0:
        raise Refused(400, "Invalid Weights: Warning must be greater or equal than 0")
    if max(weight) > 65535:
        raise Refused(400, "Invalid Weights: Weights must be lower or equal than 65535")
    try:
        return Service(
            id, name, address, given.take("Port", int, 0), tuple(tags), given.texts("Meta"), node, weight
        )  # fmt: skip
    except ValueError as error:
        raise Refused(400, f"Validation failed: {error}") from None


def checks(given: Fields) -> list[Check]:
    """The checks in a service's registration: ``Check`` and ``Checks``. Raises Refused."""
    found = given.take("Checks", list, [])
    one = given.take("Check", dict)
    raw = [*([one] if one else []), *found]
    if not all(isinstance(each, dict) for each in raw):
        raise Refused(400, "Request decode failed: json: Checks must be an array of objects")
    made = []
    for each in raw:
        if not each:
            continue
        made.append(check(Fields(each, "CheckType"), "Status for checks must 'passing', 'warning', 'critical'"))
    return made


def check(given: Fields, bad_status: str = "Bad check status") -> Check:
    """One check. Raises Refused."""
    status = given.take("Status", str, "")
    if status and status not in _STATUSES:
        raise Refused(400, bad_status)
    if unknown := given.has(*_NOT_OFFERED):
        raise Refused(
            400, f"Invalid check: {unknown} is not offered here; this registry makes TTL, HTTP and TCP checks"
        )
    http, tcp = given.take("HTTP", str, ""), given.take("TCP", str, "")
    ttl, interval, timeout = given.seconds("TTL") or 0, given.seconds("Interval") or 0, given.seconds("Timeout")
    after = given.seconds("DeregisterCriticalServiceAfter")
    if interval > 0 and ttl > 0:
        raise Refused(400, "Invalid check: Interval and TTL cannot both be specified")
    if (http or tcp) and interval <= 0:
        raise Refused(400, "Invalid check: Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService checks")
    if not (http or tcp) and ttl <= 0:
        raise Refused(400, "Invalid check: TTL must be > 0 for TTL checks")
    if timeout is not None and timeout < 0:
        raise Refused(400, "Invalid check: Timeout must be >= 0")
    method = given.take("Method", str, "") or "GET"
    if http and (method.upper() not in METHODS or not http.startswith(("http://", "https://"))):
        raise Refused(400, f"Invalid check: {method} {http} is no HTTP request")
    if tcp and not tcp.rpartition(":")[2].isdigit():
        raise Refused(400, f"Invalid check: TCP must be host:port, not {tcp!r}")
    how = {"interval": interval, "timeout": timeout or 10.0}
    if http:
        how |= {"http": http, "method": method.upper(), "header": _header(given), "body": given.take("Body", str, "")}
    elif tcp:
        how |= {"tcp": tcp}
    return Check(
        id=given.take("CheckID", str, "") or given.take("ID", str, ""),
        name=given.take("Name", str, ""),
        service_id=given.take("ServiceID", str, ""),
        kind="http" if http else "tcp" if tcp else "ttl",
        ttl=None if http or tcp else ttl,
        status=status or "critical",
        deregister_after=after if after and after > 0 else None,
        notes=given.take("Notes", str, ""),
        definition=how if http or tcp else {},
    )


def _header(given: Fields) -> dict[str, list[str]]:
    header = given.take("Header", dict, {})
    for name, values in header.items():
        if not isinstance(values, list) or not all(
            isinstance(value, str) and value.isprintable() for value in [name, *values]
        ):
            raise Refused(400, "Request decode failed: json: Header must hold arrays of strings of one line")
    return header


def _json_name(value) -> str:
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else _NAMES[type(value)]


def _go_name(kind: type) -> str:
    return {dict: "map[string]interface {}", list: "[]interface {}"}.get(kind, _NAMES[kind])
