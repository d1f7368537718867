"""What the DNS server says: one query in, one reply out, no socket.

The names of a zone, here for ``domain="service.shop"`` and a service ``orders`` with the instance ``orders-1``:

| name                         | type | answer                                                                      |
|------------------------------|------|-----------------------------------------------------------------------------|
| orders.service.shop          | SRV  | one record for each healthy instance: priority 1, weight 1, port, target    |
| _orders._tcp.service.shop    | SRV  | the same, under the name that RFC 2782 asks for                             |
| orders.service.shop          | A    | the addresses of the healthy instances, each once: *an A record has no port*|
| orders-1.orders.service.shop | A    | the address of that instance: the target of its SRV record                  |
| service.shop                 | SOA  | the start of the zone                                                       |

All instances of the course are on 127.0.0.1 and differ by port, so only SRV tells them apart.

| what is asked                                           | reply                                                      |
|---------------------------------------------------------|------------------------------------------------------------|
| a service that nobody has registered                    | NXDOMAIN, with the SOA: "no such name"                     |
| a service of which no instance is healthy               | NOERROR without an answer, with the SOA: "none at present" |
| a type that the name does not have (AAAA, say)          | NOERROR without an answer, with the SOA                    |
| a name outside the zone, or another class than IN       | REFUSED                                                    |
| an operation other than a query                         | NOTIMP                                                     |
| no question, or several                                 | FORMERR                                                    |
| an EDNS version other than 0                            | BADVERS                                                    |

Sources: RFC 1035 (messages), 2308 (negative answers, and that resolvers keep them for the SOA's minimum), 2782 (SRV),
6891 (EDNS). Consul's DNS says NXDOMAIN also when no instance is healthy
(https://github.com/hashicorp/consul/pull/1143); the difference is kept here, because it tells a typing error from an
outage.
"""

import ipaddress
import re
import zlib
from random import Random

from dnslib import EDNS0, QTYPE, RCODE, RR, SOA, SRV, A, DNSRecord

from servicelab.lifecycle import HOST, ServerError

#: EDNS code points from 65001 on are free for local use (RFC 6891, section 9). Ours carries the id of a call, as the
#: header ``traceparent`` does in HTTP.
TRACE_OPTION = 65001
#: The longest UDP reply without EDNS, and the longest that we send with it (the value of DNS Flag Day 2020).
PLAIN_UDP, MOST_UDP = 512, 1232
BADVERS = 16
MOST_TTL = 2**31 - 1  # RFC 2181, section 8
IN, ANY_CLASS, QUERY = 1, 255, 0


class Zone:
    """The answers for ``domain``, from ``source(service)``: healthy instances, or None for an unknown service.

    An instance has an ``id``, a ``port`` and perhaps an ``address``. ``ttl`` and ``negative_ttl`` are whole seconds:
    the field on the wire counts no less. They may be changed at any time. ``rng`` shuffles the records of each answer,
    so that clients which take the first one spread.
    """

    def __init__(self, source, domain: str, ttl: int, negative_ttl: int, rng: Random):
        self.source = source
        self.domain = _checked_domain(domain)
        self._labels = tuple(self.domain.encode().split(b"."))
        self.ttl, self.negative_ttl = ttl, negative_ttl
        self.rng = rng
        self._serial = 1

    @property
    def ttl(self) -> int:
        """Seconds for which a resolver may keep an answer."""
        return self._ttl

    @ttl.setter
    def ttl(self, seconds):
        self._ttl = _whole_seconds("ttl", seconds)

    @property
    def negative_ttl(self) -> int:
        """Seconds for which a resolver may keep the news that there is nobody (the SOA's minimum)."""
        return self._negative_ttl

    @negative_ttl.setter
    def negative_ttl(self, seconds):
        self._negative_ttl = _whole_seconds("negative_ttl", seconds)

    # -- a reply ------------------------------------------------------------------------------

    def reply(self, query: DNSRecord) -> DNSRecord:
        """The reply to ``query``. What ``source`` raises is passed on."""
        reply = query.reply(ra=0, aa=1)
        option = edns_of(query)
        if option is not None:
            reply.add_ar(EDNS0(udp_len=MOST_UDP))
        if option is not None and option.edns_ver != 0:
            reply.header.rcode = BADVERS & 0xF
            reply.ar[-1] = EDNS0(udp_len=MOST_UDP, ext_rcode=BADVERS >> 4)
        elif query.header.opcode != QUERY:
            reply.header.rcode = RCODE.NOTIMP
        elif len(query.questions) != 1:
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
            if question.qtype in (kind, QTYPE.ANY):
                reply.add_answer(RR(question.qname, kind, IN, self.ttl, rdata))
        for rdata in [record.rdata for record in reply.rr if record.rtype == QTYPE.SRV]:
            reply.add_ar(RR(rdata.target, QTYPE.A, IN, self.ttl, A(rdata.address)))
        if found is None:
            reply.header.rcode = RCODE.NXDOMAIN
        if not reply.rr:
            reply.add_auth(RR(self.domain, QTYPE.SOA, IN, self.negative_ttl, self._soa()))

    def _find(self, labels):
        """What there is under a name: ``(type, data)`` of each record, or None if there is no such name."""
        names = [label.decode("latin-1") for label in labels]
        if not names:
            return [(QTYPE.SOA, self._soa())]
        if len(names) == 2 and names[1] == "_tcp" and names[0].startswith("_"):
            found = self._instances(names[0][1:])
            return found and [self._srv(names[0][1:], instance) for instance in found]
        if len(names) == 1 and names[0] == "_tcp":
            return None
        found = self._instances(names[-1])
        if found is None or len(names) > 2:
            return None
        if len(names) == 2:
            mine = [instance for instance in found if _label(instance) == names[0]]
            return [(QTYPE.A, A(_address(mine[0])))] if mine else None
        addresses = dict.fromkeys(_address(instance) for instance in found)
        return [self._srv(names[0], one) for one in found] + [(QTYPE.A, A(address)) for address in addresses]

    def _instances(self, service):
        found = self.source(service)
        if found is None:
            return None
        found = list(found)
        self.rng.shuffle(found)
        return found

    def _srv(self, service, instance):
        return QTYPE.SRV, _Srv(f"{_label(instance)}.{service}.{self.domain}", instance.port, _address(instance))

    def _soa(self):
        times = (self._serial, 3600, 600, 86400, self.negative_ttl)
        return SOA(f"ns.{self.domain}", f"hostmaster.{self.domain}", times)


class _Srv(SRV):
    """An SRV record that remembers the address of its target, for the additional section."""

    def __init__(self, target, port, address):
        super().__init__(priority=1, weight=1, port=port, target=target)
        self.address = address


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


def udp_limit(query: DNSRecord) -> int:
    """How many bytes of reply this client takes by UDP."""
    option = edns_of(query)
    return PLAIN_UDP if option is None else min(max(option.rclass, PLAIN_UDP), MOST_UDP)


def truncated(reply: DNSRecord) -> DNSRecord:
    """``reply`` without its records and with the flag TC, which tells the client to ask again by TCP."""
    short = DNSRecord(reply.header, questions=reply.questions, ar=[edns_of(reply)] if edns_of(reply) else [])
    short.header.tc = 1
    return short


def _label(instance) -> str:
    """The instance's id as a label: letters, digits and hyphens, at most 63, and two ids never alike."""
    id = str(instance.id)
    if re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", id):
        return id
    plain = re.sub(r"[^a-z0-9]+", "-", id.lower()).strip("-")[:50] or "instance"
    return f"{plain}-x{zlib.crc32(id.encode()):08x}"


def _address(instance) -> str:
    address = getattr(instance, "address", None) or HOST
    try:
        return str(ipaddress.IPv4Address(address))
    except ValueError:
        return HOST  # a name such as "localhost": all instances of the course are on this machine


def _whole_seconds(name, value) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_TTL:
        raise ServerError(
            f"{name}={value!r} must be a whole number of seconds, 0 to {MOST_TTL}: DNS has no field for less than a "
            "second, and 0 means that nobody may keep the answer"
        )
    return value


def _checked_domain(domain) -> str:
    label = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    if not isinstance(domain, str) or not re.fullmatch(rf"{label}(\.{label})*", domain) or len(domain) > 200:
        raise ServerError(f"domain={domain!r} must be lower-case labels with dots between them, such as 'service.shop'")
    return domain
