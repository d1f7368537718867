"""What the DNS server says: one query in, one reply out, no socket.

The names of a zone, here for ``domain="service.shop"`` and a service ``orders`` with the instance ``orders-1``:

| name                         | type | answer                                                                      |
|------------------------------|------|-----------------------------------------------------------------------------|
| orders.service.shop          | SRV  | one record for each healthy instance: priority 1, its weight, port, target  |
| _orders._tcp.service.shop    | SRV  | the same, under the name that RFC 2782 asks for                             |
| orders.service.shop          | A    | the addresses of the healthy instances, each once: *an A record has no port*|
| orders-1.orders.service.shop | A    | the address of that instance: the target of its SRV record                  |
| service.shop                 | SOA  | the start of the zone                                                       |

All instances of the course are on 127.0.0.1 and differ by port, so only SRV tells them apart. Elsewhere an instance may
have an IPv6 address, which is an AAAA record; or a host name, which is the target of its SRV record itself, and under A
and AAAA a CNAME: the first one, and only where no instance has an address, as in Consul. "localhost" is 127.0.0.1
(RFC 6761). Upper and lower case are the same (RFC 4343); the source is asked for the service in lower case.

| what is asked                                           | reply                                                      |
|---------------------------------------------------------|------------------------------------------------------------|
| a service that nobody has registered                    | NXDOMAIN, with the SOA: "no such name"                     |
| a service of which no instance is healthy               | NOERROR without an answer, with the SOA: "none at present" |
| a type that the name does not have (AAAA, say), _tcp    | NOERROR without an answer, with the SOA                    |
| a name outside the zone, or another class than IN       | REFUSED                                                    |
| an operation other than a query                         | NOTIMP                                                     |
| no question, or several; two EDNS records               | FORMERR                                                    |
| an EDNS version other than 0                            | BADVERS                                                    |

Sources: RFC 1035 (messages), 2308 (negative answers, and that resolvers keep them for the SOA's minimum), 2782 (SRV),
6891 (EDNS), 6895 (which flags come back), 8020 (_tcp exists, since names below it do). Consul's DNS says NXDOMAIN also
when no instance is healthy (https://github.com/hashicorp/consul/pull/1143); the difference is kept here, because it
tells a typing error from an outage.
"""

import re
import zlib
from bisect import bisect_right
from ipaddress import IPv4Address, IPv6Address
from random import Random

from dnslib import AAAA, CNAME, EDNS0, QTYPE, RCODE, RR, SOA, SRV, A, DNSHeader, DNSRecord

from servicelab.leases import parse_host
from servicelab.lifecycle import HOST, ServerError

#: EDNS code points from 65001 on are free for local use (RFC 6891, section 9). Ours carries the id of a call, as the
#: header ``traceparent`` does in HTTP.
TRACE_OPTION = 65001
#: The longest UDP reply without EDNS; the longest of all, for clients that take as much (Consul's limit); by TCP the
#: length is two bytes. Queries may be as long as DNS Flag Day 2020 has it.
PLAIN_UDP, MOST_UDP, MOST_TCP, LONGEST_QUERY = 512, 65467, 65535, 1232
BADVERS = 16
MOST_TTL = 2**31 - 1  # RFC 2181, section 8
IN, ANY_CLASS, QUERY = 1, 255, 0
_RECORDS = {IPv4Address: (QTYPE.A, A), IPv6Address: (QTYPE.AAAA, AAAA), str: (QTYPE.CNAME, CNAME)}


class _WholeSeconds:
    """A setting that is checked whenever it is written, and may be at any time."""

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, zone, owner=None):
        return zone.__dict__[self.name]

    def __set__(self, zone, value):
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_TTL:
            raise ServerError(
                f"{self.name}={value!r} must be a whole number of seconds, 0 to {MOST_TTL}: DNS has no field for less "
                "than a second, and 0 means that nobody may keep the answer"
            )
        zone.__dict__[self.name] = value


class Zone:
    """The answers for ``domain``, from ``source(service)``: healthy instances, or None for an unknown service.

    An instance has an ``id``, a ``port`` and perhaps an ``address`` and a ``weight``. ``ttl`` is how long a resolver
    may keep an answer, ``negative_ttl`` the news that there is nobody (the SOA's minimum), in whole seconds: the field
    on the wire counts no less. Both may be changed at any time. ``rng`` shuffles the records of each answer, so that
    clients which take the first one spread. Raises ServerError.
    """

    ttl, negative_ttl = _WholeSeconds(), _WholeSeconds()

    def __init__(self, source, domain: str, ttl: int, negative_ttl: int, rng: Random):
        self.source = source
        self.domain = _checked_domain(domain)
        self._labels = tuple(self.domain.encode().split(b"."))
        self.ttl, self.negative_ttl = ttl, negative_ttl
        self.rng = rng

    # -- a reply ------------------------------------------------------------------------------

    def reply(self, query: DNSRecord) -> DNSRecord:
        """The reply to ``query``. What ``source`` raises is passed on."""
        reply = reply_to(query)
        reply.header.aa = 1
        options = [extra for extra in query.ar if extra.rtype == QTYPE.OPT]
        if options and options[0].edns_ver != 0:
            reply.header.rcode = BADVERS & 0xF
            reply.ar[-1] = EDNS0(udp_len=LONGEST_QUERY, ext_rcode=BADVERS >> 4)
        elif query.header.opcode != QUERY:
            reply.header.rcode = RCODE.NOTIMP
        elif len(query.questions) != 1 or len(options) > 1:
            reply.header.rcode = RCODE.FORMERR
        else:
            self._answer(query.q, reply)
        return reply

    def _answer(self, question, reply):
        labels = tuple(label.lower() for label in question.qname.label)
        inside = labels[-len(self._labels) :] == self._labels
        if question.qclass not in (IN, ANY_CLASS) or not inside:
            reply.header.rcode, reply.header.aa = RCODE.REFUSED, 0
            return
        found = self._find(labels[: -len(self._labels)])
        for kind, rdata in found or ():
            aliased = kind == QTYPE.CNAME and question.qtype in (QTYPE.A, QTYPE.AAAA)
            if question.qtype in (kind, QTYPE.ANY) or aliased:
                reply.add_answer(RR(question.qname, kind, IN, self.ttl, rdata))
        for rdata in [record.rdata for record in reply.rr if record.rtype == QTYPE.SRV]:
            for kind, address in rdata.addresses:
                reply.add_ar(RR(rdata.target, kind, IN, self.ttl, address))
        if found is None:
            reply.header.rcode = RCODE.NXDOMAIN
        if not reply.rr:
            reply.add_auth(RR(self.domain, QTYPE.SOA, IN, self.negative_ttl, self._soa()))

    def _find(self, labels):
        """What there is under a name: ``(type, data)`` of each record, or None if there is no such name."""
        names = [label.decode("latin-1") for label in labels]
        if not names:
            return [(QTYPE.SOA, self._soa())]
        if names == ["_tcp"]:
            return []
        if len(names) == 2 and names[1] == "_tcp" and names[0].startswith("_"):
            found = self._instances(names[0][1:])
            return found and [self._srv(names[0][1:], instance) for instance in found]
        found = self._instances(names[-1])
        if found is None or len(names) > 2:
            return None
        if len(names) == 2:
            mine = [instance for instance in found if _label(instance) == names[0]]
            return _addresses(mine[:1]) or None
        return [self._srv(names[0], one) for one in found] + _addresses(found)

    def _instances(self, service):
        found = self.source(service)
        if found is None:
            return None
        found = list(found)
        self.rng.shuffle(found)
        return found

    def _srv(self, service, instance):
        """An SRV record that remembers the addresses of its target, for the additional section."""
        target, addresses = f"{_label(instance)}.{service}.{self.domain}", _addresses([instance])
        if addresses[0][0] == QTYPE.CNAME:  # a target must not be an alias (RFC 2782)
            target, addresses = str(addresses[0][1]), []
        rdata = SRV(1, getattr(instance, "weight", 1), instance.port, target)
        rdata.addresses = addresses
        return QTYPE.SRV, rdata

    def _soa(self):
        return SOA(f"ns.{self.domain}", f"hostmaster.{self.domain}", (1, 3600, 600, 86400, self.negative_ttl))


def reply_to(query: DNSRecord, rcode: int = 0) -> DNSRecord:
    """A reply without records. Of the flags of the query it has the operation, RD and CD (RFC 6895, section 2)."""
    asked = query.header
    header = DNSHeader(asked.id, 0, qr=1, opcode=asked.opcode, rd=asked.rd, cd=asked.cd, rcode=rcode)
    reply = DNSRecord(header, questions=query.questions)
    if edns_of(query) is not None:
        reply.add_ar(EDNS0(udp_len=LONGEST_QUERY))
    return reply


def edns_of(record: DNSRecord):
    """The OPT record of a message, or None."""
    return next((extra for extra in record.ar if extra.rtype == QTYPE.OPT), None)


def trace_id_of(record: DNSRecord) -> str | None:
    """The id of the call that this query belongs to, if its client sent one."""
    option = edns_of(record)
    for found in option.rdata if option is not None else ():
        text = found.data.decode("latin-1")
        if found.code == TRACE_OPTION and re.fullmatch(r"[0-9a-f]{16}", text):
            return text
    return None


def room_for(query: DNSRecord, protocol: str) -> int:
    """How many bytes of reply this client takes by "udp" or "tcp"."""
    option = edns_of(query)
    if protocol == "tcp":
        return MOST_TCP
    return PLAIN_UDP if option is None else min(max(option.rclass, PLAIN_UDP), MOST_UDP)


def fitted(reply: DNSRecord, room: int) -> bytes:
    """The bytes of ``reply``, which loses what is too much for ``room`` of them: first the additional section, which
    nobody need miss (RFC 2181, section 9); then answers, and the flag TC tells the client to ask again by TCP."""
    packed = reply.pack()
    if len(packed) > room:
        reply.ar = [extra for extra in reply.ar if extra.rtype == QTYPE.OPT]
        packed = reply.pack()
    if len(packed) > room:
        answers, reply.header.tc = reply.rr, 1

        def length(count):
            reply.rr = answers[:count]
            return len(reply.pack())

        reply.rr = answers[: max(0, bisect_right(range(len(answers)), room, key=length) - 1)]
        packed = reply.pack()
    return bytes(packed)


def _label(instance) -> str:
    """The instance's id as a label: letters, digits and hyphens, at most 63, and two ids never alike."""
    id = str(instance.id)
    if re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", id):
        return id
    plain = re.sub(r"[^a-z0-9]+", "-", id.lower()).strip("-")[:50] or "instance"
    return f"{plain}-x{zlib.crc32(id.encode()):08x}"


def _addresses(instances):
    """``(type, data)`` of each address once. A host name is one only where there is no other: a name has one alias."""
    found = {}
    for instance in instances:
        address = parse_host(getattr(instance, "address", None) or HOST)
        if str(address).lower().rstrip(".") == "localhost":
            address = IPv4Address(HOST)
        kind, record = _RECORDS[type(address)]
        found[address] = kind, record(str(address))
    return [one for one in found.values() if one[0] != QTYPE.CNAME] or list(found.values())[:1]


def _checked_domain(domain) -> str:
    label = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    if not isinstance(domain, str) or not re.fullmatch(rf"{label}(\.{label})*", domain) or len(domain) > 200:
        raise ServerError(f"domain={domain!r} must be lower-case labels with dots between them, such as 'service.shop'")
    return domain
