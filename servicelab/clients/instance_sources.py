"""Whom a resolver asks: a registry by Consul's HTTP API, or a name server by SRV records.

A source is a function of a :class:`~servicelab.policies.lookup.Lookup` that returns a
:class:`~servicelab.policies.lookup.Found`. It raises nothing for a server that is down, slow or wrong: that is a
status. ``close()`` ends what is under way, from any thread.
"""

import contextlib
import http.client
import json
import secrets
import socket
import threading
from typing import NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import dns.edns
import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype

from servicelab.clients.session import callee_of
from servicelab.lifecycle import HOST, ServerError
from servicelab.policies.lookup import Found, Lookup
from servicelab.policies.status import Status
from servicelab.trace import Trace, reply_id, to_traceparent

_TRACE_OPTION = 65001  # as in servicelab.servers.dns.zone: where our name server looks for the id of a call


class Instance(NamedTuple):
    """Where an instance of a service is."""

    id: str
    address: str
    port: int

    @property
    def url(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"http://{address}:{self.port}"


class Source:
    """What the two have in common: the stamps, and the clock."""

    def __init__(self, name: str, trace: Trace | None):
        self.name, self.trace = name, trace

    def __call__(self, lookup: Lookup) -> Found:
        label, callee = self._label(lookup), self._callee()
        if self.trace is None:
            return self._found(lookup, None)
        call = self.trace.start_call(self.name, callee, label, timeout=lookup.timeout)
        self.trace.send(self.name, callee, label, id=call)
        found = self._found(lookup, call)
        if found.status in (Status.OK, Status.ERROR):
            self.trace.receive(reply_id(call), self.name)
        elif found.status == Status.REFUSED:
            self.trace.lose(call, "refused")
        self.trace.end_call(call, found.status)
        return found

    def close(self) -> None:
        """End what is under way."""


class RegistrySource(Source):
    """The healthy instances by ``GET /v1/health/service/…?passing``, with blocking queries, from a registry of the
    course or a real Consul. ``registry`` is a server or an address: "http://127.0.0.1:8500", or without the scheme.

    Every lookup has a connection of its own, so that :meth:`close` can cut it. The timeout of a lookup is that of each
    step of it (connect, the headers, the body), as in ``requests``.
    """

    def __init__(self, registry, *, name: str = "client", trace: Trace | None = None):
        super().__init__(name, trace)
        self._registry = registry
        self._under_way: set[http.client.HTTPConnection] = set()
        self._lock = threading.Lock()
        self._closed = False
        if isinstance(registry, str):
            self._address()  # a bad one is refused here; a server that is stopped may yet start

    def _address(self):
        url = self._registry if isinstance(self._registry, str) else self._registry.url
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            host, port = parts.hostname, parts.port or 8500
        except ValueError:
            host = None
        if not host or parts.scheme != "http":
            raise ServerError(f"registry={url!r} is no address of a registry: use 'http://127.0.0.1:8500'")
        return host, port

    def _callee(self):
        try:
            return callee_of("http://{}:{}".format(*self._address()))
        except ServerError:  # it is stopped
            return getattr(self._registry, "lane", "registry")

    def _label(self, lookup):
        return f"{lookup.service}?index={lookup.index}" if lookup.index else f"{lookup.service}?"

    def _found(self, lookup, call):
        query = {"passing": "1"}
        if lookup.index:
            query |= {"index": lookup.index, "wait": f"{lookup.wait * 1000:.0f}ms"}
        path = f"/v1/health/service/{quote(lookup.service, safe='')}?{urlencode(query)}"
        headers = {"traceparent": to_traceparent(secrets.token_hex(16), call)} if call else {}
        connection = None
        try:
            connection = http.client.HTTPConnection(*self._address(), timeout=lookup.timeout)
            connection.connect()
            with self._lock:
                self._under_way.add(connection)
                if self._closed:
                    return Found(Status.LOST, 0.0)
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            body = response.read()
            if response.status != 200:
                return Found(Status.ERROR, 0.0)
            index = int(response.headers.get("X-Consul-Index", 0))
            return Found(Status.OK, 0.0, tuple(_instance(entry) for entry in json.loads(body)), index)
        except TimeoutError:
            return Found(Status.TIMEOUT, 0.0)
        except (ConnectionRefusedError, ServerError):
            return Found(Status.REFUSED, 0.0)
        except (OSError, http.client.HTTPException):
            return Found(Status.LOST, 0.0)
        except (ValueError, KeyError, TypeError):  # an answer, but not Consul's
            return Found(Status.ERROR, 0.0)
        finally:
            with self._lock:
                self._under_way.discard(connection)
                if connection is not None:
                    connection.close()

    def close(self):
        with self._lock:
            self._closed = True
            for connection in self._under_way:
                with contextlib.suppress(OSError, AttributeError):  # it has ended by itself
                    connection.sock.shutdown(socket.SHUT_RDWR)


class DNSSource(Source):
    """The healthy instances by SRV records from ``server``, a :class:`~servicelab.servers.dns.DNSServer`, with
    dnspython: UDP, and TCP when not all of the answer had room. ``ttl`` of what it finds is that of the records.

    One question is one datagram, and it is not repeated when no answer comes (a stub resolver of an operating system
    would, after some seconds). ``index`` and ``wait`` mean nothing to DNS: to watch is not possible.
    """

    def __init__(self, server, *, name: str = "client", trace: Trace | None = None):
        super().__init__(name, trace)
        self._server = server

    def _callee(self):
        return self._server.lane

    def _label(self, lookup):
        return f"SRV {lookup.service}.{self._server.domain}"

    def _found(self, lookup, call):
        if lookup.index:
            raise TypeError("DNS has no blocking queries: use OnDemand or Poll with a name server, or watch a registry")
        zone = dns.name.from_text(self._server.domain)
        query = dns.message.make_query(f"{lookup.service}.{zone}", "SRV")
        if call is not None:
            query.use_edns(payload=1232, options=[dns.edns.GenericOption(_TRACE_OPTION, call.encode())])
        try:
            where = {"where": HOST, "timeout": lookup.timeout, "port": self._server.address[1]}
            reply, by_tcp = dns.query.udp_with_fallback(query, **where)
            addresses, records = _told(reply)
            if not by_tcp and any(one.target.is_subdomain(zone) and one.target not in addresses for one in records):
                reply = dns.query.tcp(query, **where)  # there was no room for the addresses
        except (dns.exception.Timeout, TimeoutError):
            return Found(Status.TIMEOUT, 0.0)
        except (ConnectionRefusedError, ServerError):
            return Found(Status.REFUSED, 0.0)
        except (OSError, EOFError):
            return Found(Status.LOST, 0.0)
        except dns.exception.DNSException:
            return Found(Status.ERROR, 0.0)
        if reply.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            return Found(Status.ERROR, 0.0)
        addresses, records = _told(reply)
        instances = tuple(_target(one, addresses.get(one.target), zone) for one in records)
        ttl = min((one.ttl for one in reply.answer), default=None)
        if ttl is None:  # RFC 2308, section 5: "nobody" may be kept for the lesser of the SOA's TTL and its minimum
            soas = [one for one in reply.authority if one.rdtype == dns.rdatatype.SOA]
            ttl = min((min(one.ttl, one[0].minimum) for one in soas), default=None)
        return Found(Status.OK, 0.0, instances, ttl=ttl)


def _told(reply):
    """The addresses by name in a reply, and its SRV records."""
    kinds = dns.rdatatype.A, dns.rdatatype.AAAA
    addresses = {one.name: one[0].address for one in reply.additional if one.rdtype in kinds}
    return addresses, [record for one in reply.answer if one.rdtype == dns.rdatatype.SRV for record in one]


def _target(record, address: str | None, zone) -> Instance:
    """One SRV record. A target outside of the zone is a host name, on which there may be several instances."""
    host = record.target.to_text(omit_final_dot=True)
    id = record.target.labels[0].decode() if record.target.is_subdomain(zone) else f"{host}:{record.port}"
    return Instance(id, address or host, record.port)


def _instance(entry) -> Instance:
    """One entry of Consul's answer; a service without an address of its own has that of its node."""
    service = entry["Service"]
    return Instance(service["ID"], service.get("Address") or entry["Node"]["Address"], int(service["Port"]))
