"""From the JSON that clients send to services and checks.

As in Consul, names are matched whatever their case (py-consul writes ``"deregisterCriticalServiceAfter"`` in several
ways), unknown names are passed over, and what is wrong is refused with status 400 before anything is changed. A
duration is a text with a unit, like "10s": Consul takes a number, too, as nanoseconds, and hardly anybody means that.
"""

import json
import re
from contextlib import contextmanager
from urllib.parse import urlsplit

from servicelab.leases import Check, Service, parse_host
from servicelab.leases.records import LOCAL
from servicelab.servers.registry import values
from servicelab.servers.registry.api import Refused, checked_status

#: Seconds from one check to the next, at least. Consul's is one second; a chapter does not wait that long.
SHORTEST_INTERVAL = 0.01
_NAMES = {str: "string", int: "int", bool: "bool", float: "float64", list: "array", dict: "object", type(None): "null"}
#: Kinds of checks that Consul makes and this registry does not.
_NOT_OFFERED = (
    "args", "scriptargs", "script", "grpc", "h2ping", "udp", "dockercontainerid", "osservice", "aliasservice",
    "aliasnode",
)  # fmt: skip
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_HOST_PORT = re.compile(r"(\[[^]]+\]|[^:/?#@]+):[0-9]{1,5}")
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
        self._must_be(kind, name, value)
        return value

    def seconds(self, name: str) -> float | None:
        value = self._raw.get(name.lower())
        if value in (None, "", 0) and value is not False:
            return None
        if not isinstance(value, str):
            raise Refused(
                400, f'Request decode failed: {name} must be a duration with its unit, such as "10s", not '
                f"a {_json_name(value)}"
            )  # fmt: skip
        try:
            return values.seconds(value)
        except ValueError as error:
            raise Refused(400, f"Request decode failed: {name}: {error}") from None

    def texts(self, name: str) -> dict[str, str]:
        """An object of texts."""
        found = self.take(name, dict, {})
        for value in found.values():
            self._must_be(str, name, value)
        return found

    def checks(self, what: str) -> "list[Fields]":
        """``Check`` and ``Checks``, of which a registration may have both; empty ones do not count."""
        raw = [self.take("Check", dict), *self.take("Checks", list, [])]
        if not all(isinstance(each, dict | None) for each in raw):
            raise Refused(400, "Request decode failed: json: Checks must be an array of objects")
        return [Fields(each, what) for each in raw if each]

    def has(self, *names: str) -> str | None:
        """The first of ``names`` that is given and not empty."""
        return next((name for name in names if self._raw.get(name)), None)

    def _must_be(self, kind: type, name: str, value) -> None:
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            says = f"cannot unmarshal {_json_name(value)} into Go struct field {self.what}.{name} of type"
            raise Refused(400, f"Request decode failed: json: {says} {_go_name(kind)}")


def fields(body: bytes, what: str) -> Fields:
    """The body of a request as an object. Raises Refused."""
    try:
        raw = json.loads(body.decode(), parse_constant=_no_json)
        json.dumps(raw, ensure_ascii=False).encode()
    except UnicodeError:
        raise Refused(400, "Request decode failed: a text is not UTF-8, or holds half of a surrogate pair") from None
    except RecursionError:
        raise Refused(400, "Request decode failed: invalid JSON: exceeded max depth") from None
    except ValueError as error:
        reason = "EOF" if not body.strip() else f"invalid JSON: {error}"
        raise Refused(400, f"Request decode failed: {reason}") from None
    if not isinstance(raw, dict):
        raise Refused(
            400, f"Request decode failed: json: cannot unmarshal {_json_name(raw)} into Go value of type {what}"
        )
    return Fields(raw, what)


def _no_json(word: str):
    raise ValueError(f"{word} is no number of JSON")


@contextmanager
def refusing_what_cannot_be():
    """Turns what a record says of a value that cannot be into a refusal."""
    try:
        yield
    except ValueError as error:
        raise Refused(400, f"Validation failed: {error}") from None


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
    port, meta = given.take("Port", int, 0), given.texts("Meta")
    with refusing_what_cannot_be():
        return Service(id, name, address, port, tuple(tags), meta, node, weight)


def checks(given: Fields) -> list[Check]:
    """The checks in a service's registration: ``Check`` and ``Checks``. Raises Refused."""
    bad_status = "Status for checks must 'passing', 'warning', 'critical'"
    return [check(each, bad_status) for each in given.checks("CheckType")]


def check(given: Fields, bad_status: str = "Bad check status") -> Check:
    """One check. Raises Refused."""
    status = checked_status(given.take("Status", str, "") or "critical", bad_status)
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
    if (http or tcp) and interval < SHORTEST_INTERVAL:
        raise Refused(400, f"Invalid check: Interval must be at least {values.duration(SHORTEST_INTERVAL)} here")
    for name, value in (("Interval", interval), ("Timeout", timeout), ("DeregisterCriticalServiceAfter", after)):
        if value is not None and value < 0:
            raise Refused(400, f"Invalid check: {name} must be >= 0")
    method = given.take("Method", str, "") or "GET"
    if http and (method.upper() not in METHODS or not _can_be_asked(http)):
        raise Refused(400, f"Invalid check: HTTP: {method} {http} is no HTTP request that can be made")
    if tcp and not (_HOST_PORT.fullmatch(tcp) and _can_be_asked(f"http://{tcp}")):
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
        status=status,
        deregister_after=after or None,
        notes=given.take("Notes", str, ""),
        definition=how if http or tcp else {},
    )


def _can_be_asked(url: str) -> bool:
    """Is ``url`` one of HTTP, with a host and a port that there can be?"""
    try:
        parts = urlsplit(url)
        parse_host(parts.hostname or "")
        return parts.scheme in ("http", "https") and parts.port != 0 and url.isprintable() and " " not in url
    except ValueError:
        return False


def _header(given: Fields) -> dict[str, list[str]]:
    header = given.take("Header", dict, {})
    for name, lines in header.items():
        if not isinstance(lines, list) or not all(isinstance(line, str) and line.isprintable() for line in lines):
            raise Refused(400, "Request decode failed: json: Header must hold arrays of strings of one line")
        if not _TOKEN.fullmatch(name):
            raise Refused(400, f"Invalid check: Header: {name!r} is no name of a header")
    return header


def _json_name(value) -> str:
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else _NAMES[type(value)]


def _go_name(kind: type) -> str:
    return {dict: "map[string]interface {}", list: "[]interface {}"}.get(kind, _NAMES[kind])
