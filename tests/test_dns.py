"""The name server on real sockets, asked by dnspython; and the resolver on it."""

import csv
import gc
import socket
import struct
import subprocess
import threading
import warnings
from random import Random
from types import SimpleNamespace

import dns.edns
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.resolver
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from servicelab import lifecycle
from servicelab.clients.discovery import NobodyThere, Resolver
from servicelab.clients.instance_sources import DNSSource
from servicelab.lifecycle import ServerError
from servicelab.policies import Exponential, LeastOutstanding
from servicelab.policies.lookup import Found, Lookup
from servicelab.policies.resolver import InstanceCache, OnDemand
from servicelab.policies.watch import Poll, Watch
from servicelab.servers.dns import DNSServer
from servicelab.servers.registry import Registry
from servicelab.trace import Trace
from tests.conftest import require
from tests.waiting import wait_until


def instances(name, count, first=8000):
    return [SimpleNamespace(id=f"{name}-{n}", port=first + n) for n in range(count)]


@pytest.fixture
def zone():
    return {"orders": instances("orders", 3), "empty": [], "many": instances("many", 40)}


@pytest.fixture
def server(zone):
    with DNSServer(zone.get, "test dns", ttl=5, negative_ttl=2) as server:
        yield server


def stub(server, cache=None):
    """A stub resolver as an application has it, unmodified."""
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port, resolver.cache = ["127.0.0.1"], server.port, cache
    return resolver


def ask(server, name, kind="SRV", **options):
    query = dns.message.make_query(name, kind, **options)
    return dns.query.udp(query, "127.0.0.1", port=server.port, timeout=5)


# -- answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["orders.service.shop", "_orders._tcp.service.shop", "ORDERS.Service.SHOP"])
def test_srv_tells_host_and_port_of_every_healthy_instance(server, name):
    answer = stub(server).resolve(name, "SRV")
    assert answer.rrset.ttl == 5
    assert {(record.port, str(record.target)) for record in answer} == {
        (8000 + n, f"orders-{n}.orders.service.shop.") for n in range(3)
    }
    extra = {str(one.name): one[0].address for one in answer.response.additional}
    assert extra == {f"orders-{n}.orders.service.shop.": "127.0.0.1" for n in range(3)}


def test_a_tells_addresses_only_and_each_once(server):
    assert [str(record) for record in stub(server).resolve("orders.service.shop", "A")] == ["127.0.0.1"]
    assert [str(record) for record in stub(server).resolve("orders-1.orders.service.shop", "A")] == ["127.0.0.1"]


def test_records_come_in_changing_order(server):
    first = {stub(server).resolve("orders.service.shop", "SRV")[0].port for _ in range(40)}
    assert first == {8000, 8001, 8002}


@pytest.mark.parametrize("name", ["nope.service.shop", "_nope._tcp.service.shop", "orders-9.orders.service.shop",
                                  "a.b.orders.service.shop", "_udp.service.shop"])  # fmt: skip
def test_no_such_name(server, name):
    with pytest.raises(dns.resolver.NXDOMAIN) as caught:
        stub(server).resolve(name, "SRV")
    (soa,) = caught.value.response(dns.name.from_text(name)).authority
    assert soa.ttl == soa[0].minimum == 2 and str(soa.name) == "service.shop."


@pytest.mark.parametrize(("name", "kind"), [("empty.service.shop", "SRV"), ("empty.service.shop", "A"),
                                            ("orders.service.shop", "AAAA"), ("service.shop", "SRV"),
                                            ("_tcp.service.shop", "SRV"), ("_TCP.service.shop", "ANY")])  # fmt: skip
def test_known_and_nobody_there_is_an_empty_answer(server, name, kind):
    reply = ask(server, name, kind)
    assert reply.rcode() == dns.rcode.NOERROR and not reply.answer
    assert reply.authority[0][0].minimum == 2


def test_the_zone_has_a_start(server):
    assert ask(server, "service.shop", "SOA").answer[0][0].minimum == 2


def test_any_gets_all_there_is(server):
    kinds = {one.rdtype.name for one in ask(server, "orders.service.shop", "ANY").answer}
    assert kinds == {"SRV", "A"}


def test_the_answers_follow_the_registry(server, zone):
    zone["orders"].pop()
    assert len(stub(server).resolve("orders.service.shop", "SRV")) == 2


def test_the_ttl_may_be_changed_while_it_runs(server):
    server.ttl, server.negative_ttl = 0, 7
    assert stub(server).resolve("orders.service.shop", "SRV").rrset.ttl == 0
    assert ask(server, "nope.service.shop").authority[0][0].minimum == 7


def test_what_is_not_ours_is_refused(server):
    assert ask(server, "orders.example.org").rcode() == dns.rcode.REFUSED
    assert ask(server, "orders.service.shop", rdclass="CH").rcode() == dns.rcode.REFUSED
    update = dns.message.make_query("orders.service.shop", "SRV")
    update.set_opcode(dns.opcode.STATUS)
    assert dns.query.udp(update, "127.0.0.1", port=server.port, timeout=5).rcode() == dns.rcode.NOTIMP
    assert ask(server, "orders.service.shop", use_edns=3).rcode() == dns.rcode.BADVERS
    twice = dns.message.make_query("orders.service.shop", "SRV", use_edns=0).to_wire()
    wire = twice[:11] + b"\x02" + twice[12:] + twice[-11:]
    assert dns.message.from_wire(server.answer(wire, "udp")).rcode() == dns.rcode.FORMERR


@pytest.mark.parametrize("asked", ["orders.service.shop", "nope.service.shop", "orders.example.org", "cut", "failing"])
@pytest.mark.parametrize("opcode", [0, 2])
def test_of_the_flags_of_a_query_only_operation_rd_and_cd_come_back(server, asked, opcode):
    """RFC 6895, section 2: AD, TC, Z and the response code of a query mean nothing, and neither does AA."""
    if asked == "failing":
        server.zone.source = None  # cannot be called
    query = dns.message.make_query("orders.service.shop" if asked in ("cut", "failing") else asked, "SRV")
    query.use_edns(0)
    wire = bytearray(query.to_wire())
    given = opcode << 11 | dns.flags.AA | dns.flags.TC | dns.flags.AD | 0x40 | 0x5
    for more in (0, dns.flags.RD, dns.flags.CD):
        wire[2:4] = struct.pack("!H", given | more)
        reply = server.answer(bytes(wire[:-3] if asked == "cut" else wire), "udp")
        (flags,) = struct.unpack_from("!H", reply, 2)
        assert flags & ~(dns.flags.AA | 0xF) == dns.flags.QR | opcode << 11 | more
        assert (flags & 0xF) in {"orders.service.shop": (0, 4), "nope.service.shop": (3, 4), "cut": (1,),
                                 "orders.example.org": (5, 4), "failing": (2, 4)}[asked]  # fmt: skip
        assert asked == "cut" or dns.message.from_wire(reply).edns == 0, "whoever speaks EDNS is answered in it"


def test_an_id_that_is_no_label_gets_one_that_is(server, zone):
    zone["orders"] = [SimpleNamespace(id=id, port=1) for id in ("a:1", "a_1", "A 1", "é" * 80)]
    targets = {str(record.target) for record in stub(server).resolve("orders.service.shop", "SRV")}
    assert len(targets) == 4
    for target in targets:
        assert len(target.split(".")[0]) <= 63
        assert stub(server).resolve(target, "A")[0].address == "127.0.0.1"


@pytest.mark.parametrize(
    ("address", "target", "a", "aaaa"),
    [
        ("127.0.0.9", "x.orders.service.shop.", ["A 127.0.0.9"], []),
        ("::1", "x.orders.service.shop.", [], ["AAAA ::1"]),
        ("localhost", "x.orders.service.shop.", ["A 127.0.0.1"], []),
        ("db.example.org", "db.example.org.", ["CNAME db.example.org."], ["CNAME db.example.org."]),
    ],
)
def test_an_address_of_its_own_is_told_as_what_it_is(server, zone, address, target, a, aaaa):
    def told(name, kind):
        return [f"{one.rdtype.name} {one[0]}" for one in ask(server, name, kind).answer]

    zone["orders"] = [SimpleNamespace(id="x", port=7, address=address)]
    reply = ask(server, "orders.service.shop", "SRV")
    assert str(reply.answer[0][0]) == f"1 1 7 {target}"
    own = target == "x.orders.service.shop."
    assert [f"{one.rdtype.name} {one[0]}" for one in reply.additional] == ((a + aaaa) if own else [])
    for name in ("orders.service.shop", "x.orders.service.shop"):
        assert (told(name, "A"), told(name, "AAAA")) == (a, aaaa)
    where = DNSSource(server)(Lookup("orders", 2.0)).instances
    assert [(one.id, one.address, one.port) for one in where] == [
        ("x", (a + aaaa)[0].split()[1], 7) if own else ("db.example.org:7", "db.example.org", 7)
    ]
    assert address != "::1" or where[0].url == "http://[::1]:7"


def test_where_some_have_an_address_a_host_name_is_left_out_and_of_two_one_is_told(server, zone):
    """A name with an alias may have nothing else, and one alias only (RFC 1034, section 3.6.2)."""
    zone["orders"] = [SimpleNamespace(id=name, port=1, address=f"{name}.example.org") for name in "ab"]
    assert len(ask(server, "orders.service.shop", "A").answer[0]) == 1
    zone["orders"].append(SimpleNamespace(id="c", port=1, address="127.0.0.9"))
    (answer,) = ask(server, "orders.service.shop", "A").answer
    assert [str(one) for one in answer] == ["127.0.0.9"]


def test_an_address_that_cannot_be_is_a_failure_of_the_source(server, zone):
    zone["orders"][0].address = "?"
    assert ask(server, "orders.service.shop").rcode() == dns.rcode.SERVFAIL
    assert "address='?' must be an IPv4 or IPv6 address" in server.errors[0]


def test_a_registry_is_told_with_weights_and_with_those_who_warn():
    with Registry("test registry") as registry, DNSServer(registry, "test dns") as server:
        for status, port in (("passing", 1), ("warning", 2), ("critical", 3)):
            body = {"Name": "Payments", "ID": f"pay-{port}", "Port": port, "Weights": {"Passing": 7, "Warning": 3}}
            body["Check"] = {"TTL": "1h", "Status": status}
            assert requests.put(f"{registry.url}/v1/agent/service/register", json=body).ok
        found = stub(server).resolve("Payments.service.shop", "SRV")
        assert sorted((one.port, one.weight) for one in found) == [(1, 7), (2, 3)]


# -- caches ---------------------------------------------------------------------------------------


def test_a_cache_keeps_what_has_changed_until_its_ttl_is_over(server, zone, monkeypatch):
    """dnspython's own cache, on its own clock, which we move instead of sleeping."""
    import dns.resolver as module

    now = [1000.0]
    monkeypatch.setattr(module.time, "time", lambda: now[0])
    resolver = stub(server, dns.resolver.LRUCache())
    assert len(resolver.resolve("orders.service.shop", "SRV")) == 3
    zone["orders"].pop()
    now[0] += 4.9
    assert len(resolver.resolve("orders.service.shop", "SRV")) == 3, "stale"
    assert server.queries == 1
    now[0] += 0.2
    assert len(resolver.resolve("orders.service.shop", "SRV")) == 2
    assert server.queries == 2


def test_a_cache_keeps_no_such_name_for_the_negative_ttl(server, zone, monkeypatch):
    import dns.resolver as module

    now = [1000.0]
    monkeypatch.setattr(module.time, "time", lambda: now[0])
    resolver = stub(server, dns.resolver.LRUCache())
    for _ in range(3):
        with pytest.raises(dns.resolver.NXDOMAIN):
            resolver.resolve("new.service.shop", "SRV")
    zone["new"] = instances("new", 1)
    now[0] += 1.9
    with pytest.raises(dns.resolver.NXDOMAIN):
        resolver.resolve("new.service.shop", "SRV")
    assert server.queries == 1
    now[0] += 0.2
    assert len(resolver.resolve("new.service.shop", "SRV")) == 1


# -- size -----------------------------------------------------------------------------------------


def test_a_long_answer_is_cut_and_asked_for_again_by_tcp(server):
    reply = ask(server, "many.service.shop")
    assert reply.flags & dns.flags.TC and 5 <= len(reply.answer[0]) < 40 and len(reply.question) == 1
    assert len(stub(server).resolve("many.service.shop", "SRV")) == 40
    assert server.counts["truncated"] == 2 and server.counts["tcp"] == 1


@pytest.mark.parametrize(("payload", "limit"), [(None, 512), (100, 512), (512, 512), (700, 700), (4096, 4096)])
def test_an_answer_has_what_fits_the_client_and_says_what_is_missing(server, zone, payload, limit):
    """RFC 2181, section 9: TC says that *answers* are missing; addresses in the additional section may be."""
    options = {} if payload is None else {"use_edns": 0, "payload": payload}
    seen = set()
    for count in range(1, limit // 20, 1 + limit // 512):
        zone["orders"] = instances("a-name", count)
        wire = dns.message.make_query("orders.service.shop", "SRV", **options).to_wire()
        whole = dns.message.from_wire(server.answer(wire, "tcp"))
        wire = server.answer(wire, "udp")
        reply = dns.message.from_wire(wire)
        told, is_cut = len(reply.answer[0]), bool(reply.flags & dns.flags.TC)
        assert len(wire) <= limit and is_cut == (told < count) and reply.edns == whole.edns
        longest = 2 + 10 + 6 + len("a-name-199.orders.service.shop.") + 1
        assert not is_cut or len(wire) + longest > limit, "there is no room for one more"
        assert len(reply.additional) in (0, count) and (not is_cut or not reply.additional)
        seen.add((bool(reply.additional), is_cut))
    assert seen == {(True, False), (False, False), (False, True)}


def test_by_udp_and_by_tcp_there_is_a_longest_answer_of_all(server, zone):
    zone["orders"] = instances("a-name-of-more-than-thirty-letters-here", 1000)
    query = dns.message.make_query("orders.service.shop", "SRV", use_edns=0, payload=65535)
    for protocol, limit in (("tcp", 65535), ("udp", 65467)):
        wire = server.answer(query.to_wire(), protocol)
        reply = dns.message.from_wire(wire)
        assert limit - 100 < len(wire) <= limit and reply.flags & dns.flags.TC
    reply = dns.query.tcp(query, "127.0.0.1", port=server.port, timeout=10)
    assert 500 < len(reply.answer[0]) < 1000


def test_our_own_client_asks_again_where_there_was_no_room_for_the_addresses(server, zone):
    zone["orders"] = [SimpleNamespace(id=f"o-{n}", port=n, address="127.0.0.9") for n in range(8)]
    reply = ask(server, "orders.service.shop")
    assert len(reply.answer[0]) == 8 and not reply.additional and not reply.flags & dns.flags.TC
    found = DNSSource(server)(Lookup("orders", 2.0))
    assert {one.address for one in found.instances} == {"127.0.0.9"} and server.counts["tcp"] == 1


@pytest.mark.parametrize("size", [None, 8192])
def test_haproxy_finds_every_server(server, zone, tmp_path, size):
    """It never asks by TCP: with 512 bytes it gets another part each time, and keeps them for ``hold obsolete``."""
    haproxy, count = require("haproxy"), 24
    zone["orders"] = instances("orders", count)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        (tmp_path / "haproxy.cfg").write_text(f"""
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
resolvers course
    nameserver dns 127.0.0.1:{server.port}
    {f"accepted_payload_size {size}" if size else ""}
    timeout resolve 50ms
    timeout retry 1s
    hold obsolete 60s
listen statistics
    bind fd@{listener.fileno()}
    stats enable
    stats uri /
    stats show-legends
backend orders
    server-template o {count} _orders._tcp.service.shop resolvers course resolve-prefer ipv4 init-addr none
""")
        url = "http://{}:{}/;csv".format(*listener.getsockname())
        command = [haproxy, "-db", "-f", str(tmp_path / "haproxy.cfg")]
        with open(tmp_path / "log", "wb") as log:
            process = subprocess.Popen(command, pass_fds=[listener.fileno()], stdout=log, stderr=log)
    try:

        def found():
            table = csv.DictReader(requests.get(url, timeout=10).text.removeprefix("# ").splitlines())
            return {row["addr"] for row in table if row["pxname"] == "orders" and row["status"] == "no check"}

        wait_until(lambda: found() == {f"127.0.0.1:{8000 + n}" for n in range(count)}, limit=30)
    finally:
        process.terminate()
        process.wait(10)
    assert server.counts["tcp"] == 0 and bool(server.counts["truncated"]) == (size is None)


def test_several_questions_follow_each_other_on_one_connection(server):
    with socket.create_connection(server.address, timeout=5) as connection:
        wires = [dns.message.make_query(f"{name}.service.shop", "SRV").to_wire() for name in ("orders", "many", "nope")]
        stream = b"".join(struct.pack("!H", len(wire)) + wire for wire in wires)
        for at in range(0, len(stream), 7):  # in small pieces
            connection.sendall(stream[at : at + 7])
        with connection.makefile("rb") as file:
            replies = [dns.message.from_wire(file.read(struct.unpack("!H", file.read(2))[0])) for _ in wires]
    assert [len(reply.answer[0]) if reply.answer else 0 for reply in replies] == [3, 40, 0]


# -- what is no query -------------------------------------------------------------------------------


def works(server):
    return len(stub(server).resolve("orders.service.shop", "SRV")) == 3


def test_what_is_no_query_does_no_harm(server):
    good = dns.message.make_query("orders.service.shop", "SRV").to_wire()
    loop = good[:12] + b"\xc0\x0c" + good[-4:]  # a name that points at itself
    answer = bytearray(good)
    answer[2] |= 0x80
    wires = [b"", b"x", good[:11], good[:20], good[:-1], loop, bytes(answer), b"\xff" * 200]
    sender = socket.socket(type=socket.SOCK_DGRAM)
    sender.settimeout(5)
    for wire in wires:
        sender.sendto(wire, server.address)
    replies = [sender.recv(100) for _ in range(3)]  # good[:20], good[:-1] and loop have a header that asks
    assert all(reply[3] & 0xF == dns.rcode.FORMERR and reply[:2] == good[:2] for reply in replies)
    sender.close()
    assert works(server)
    assert server.counts["malformed"] == len(wires) and server.errors == []


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=80), st.sampled_from(["udp", "tcp"]))
def test_no_bytes_get_it_to_raise_or_to_answer_an_answer(data, protocol):
    server = DNSServer({"orders": []}.get)
    reply = server.answer(data, protocol)
    assert server.errors == []
    if reply is not None:
        assert not data[2] & 0x80 and reply[2] & 0x80 and reply[:2] == data[:2]


def test_a_connection_that_ends_in_the_middle_does_no_harm(server):
    for piece in (b"\x00", b"\x00\x50half", b""):
        with socket.create_connection(server.address, timeout=5) as connection:
            connection.sendall(piece)
    assert works(server) and server.errors == []


def test_a_source_that_fails_is_a_server_failure_and_is_kept():
    def source(service):
        raise KeyError(service)

    with DNSServer(source, "test dns") as server:
        assert ask(server, "orders.service.shop").rcode() == dns.rcode.SERVFAIL
        assert server.errors == ["KeyError: 'orders'"] and server.counts["error"] == 1


# -- life -------------------------------------------------------------------------------------------


def test_it_leaves_nothing_and_can_be_started_again(zone):
    before = set(threading.enumerate())
    server = DNSServer(zone.get, "test dns").start()
    idle = socket.create_connection(server.address, timeout=5)
    assert works(server)
    names = {thread.name for thread in threading.enumerate()} - {thread.name for thread in before}
    assert names == {"servicelab test dns loop"}
    port = server.port
    server.stop()
    wait_until(lambda: set(threading.enumerate()) <= before)
    assert idle.recv(1) == b"", "its connections are closed"
    idle.close()
    again = socket.socket(type=socket.SOCK_DGRAM)
    again.bind(("127.0.0.1", port))  # the UDP port is free, too
    again.close()
    with server:
        assert works(server) and server.queries == 1
    server.stop()


def test_a_connection_on_its_way_is_closed_when_it_stops(zone):
    """asyncio of Python 3.11 loses a connection that is accepted while its listener closes."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(30):
            with DNSServer(zone.get, "test dns") as server:
                socket.create_connection(server.address, timeout=5).close()
            gc.collect()
    assert [str(one.message) for one in caught if one.category is ResourceWarning] == []
    assert server.errors == []


def test_the_next_of_that_name_replaces_it_and_it_is_listed(zone, capsys):
    with DNSServer(zone.get, "test dns") as first:
        assert ["test dns", "DNSServer", f"dns://127.0.0.1:{first.port}"] in lifecycle.running().rows
        with DNSServer(zone.get, "test dns"):
            assert not first.is_running
    assert "replaced the one that ran on port" in capsys.readouterr().out


def test_a_udp_port_that_is_taken_is_said(zone):
    with socket.socket(type=socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        with pytest.raises(ServerError, match=f"could not listen on 127.0.0.1:{port}"):
            DNSServer(zone.get, "test dns", port=port).start()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"source": 3}, "source=3 must be a Registry of the course, or a function"),
        ({"ttl": 0.5}, r"ttl=0\.5 must be a whole number of seconds"),
        ({"ttl": -1}, "ttl=-1 must be"),
        ({"negative_ttl": True}, "negative_ttl=True must be"),
        ({"domain": "Service Shop"}, "domain='Service Shop' must be lower-case labels"),
        ({"trace": 1}, "trace=1 is no trace"),
    ],
)
def test_misuse_is_refused_with_the_mend(arguments, text):
    with pytest.raises(ServerError, match=text):
        DNSServer(**{"source": {}.get, **arguments})


def test_a_changed_ttl_is_checked_too(server):
    with pytest.raises(ServerError, match="ttl='x' must be a whole number"):
        server.ttl = "x"
    assert server.ttl == 5


# -- trace --------------------------------------------------------------------------------------------


def test_an_unmodified_client_is_in_the_trace(zone):
    trace = Trace()
    with DNSServer(zone.get, "test dns", trace=trace) as server:
        stub(server).resolve("orders.service.shop", "SRV")
    request, reply = trace.messages
    assert (request.sender, request.receiver, request.label) == ("client", "test dns", "SRV orders.service.shop")
    assert (reply.sender, reply.receiver, reply.label) == ("test dns", "client", "3 records, TTL 5 s")


def test_a_traced_lookup_is_stamped_at_both_ends(zone):
    trace = Trace()
    with DNSServer(zone.get, "test dns", trace=trace) as server:
        found = DNSSource(server, name="gateway", trace=trace)(Lookup("orders", 2.0))
    assert found.status == "ok" and len(found.instances) == 3 and found.ttl == 5
    request, reply = trace.messages
    assert request.sent < request.received < reply.sent < reply.received
    assert (request.sender, reply.receiver) == ("gateway", "gateway")
    assert [call.status for call in trace.calls] == ["ok"]


# -- a resolver on it -----------------------------------------------------------------------------------


def test_a_resolver_asks_when_it_must_and_spreads_its_calls(server):
    with Resolver(server, OnDemand(InstanceCache(), "orders"), "test resolver") as resolver:
        ports = [resolver.pick().port for _ in range(6)]
        assert ports == [8000, 8001, 8002, 8000, 8001, 8002]
        assert server.queries == 1 and resolver.lookups == {"ok": 1}
        assert resolver.pick().url == "http://127.0.0.1:8000"
        assert ["test resolver", "Resolver", "fresh: 3 of orders"] in lifecycle.running().rows
    with pytest.raises(ServerError, match=r"test resolver is not running: call \.start\(\) first"):
        resolver.pick()


def test_calls_under_way_are_counted_for_balancers_that_look(server):
    policy = OnDemand(InstanceCache(), "orders")
    resolver = Resolver(server, policy, "test resolver", balancer=LeastOutstanding(Random(1)))
    with resolver:
        for _ in range(2):  # a call that has ended counts no more
            with resolver.using() as first, resolver.using() as second, resolver.using() as third:
                assert len({first, second, third}) == 3
        with resolver.using() as first, resolver.using() as second:
            busy = {first, second}
            assert {resolver.pick() for _ in range(20)}.isdisjoint(busy)
        assert len({resolver.pick() for _ in range(60)}) == 3


def test_last_known_good_when_the_name_server_is_gone(zone):
    server = DNSServer(zone.get, "test dns", ttl=0).start()
    with Resolver(server, OnDemand(InstanceCache(), "orders"), "test resolver") as resolver:
        assert resolver.view().fresh in ("fresh", "stale")
        server.stop()
        assert (resolver.view().fresh, len(resolver.instances())) == ("stale", 3)
        assert resolver.lookups["refused"] == 1, "and it is left alone for a while"
    cache = InstanceCache(keep=0.0)
    with (
        Resolver(server, OnDemand(cache, "orders"), "test resolver") as resolver,
        pytest.raises(NobodyThere, match="the source has not answered"),
    ):
        resolver.pick()


def test_a_silent_name_server_is_a_timeout(server):
    server.silent = True
    with Resolver(server, OnDemand(InstanceCache(), "orders", timeout=0.05), "test resolver") as resolver:
        with pytest.raises(NobodyThere, match="has not answered"):
            resolver.pick()
        assert resolver.lookups == {"timeout": 1}


def test_nobody_healthy_is_news(server):
    with (
        Resolver(server, OnDemand(InstanceCache(), "empty"), "test resolver") as resolver,
        pytest.raises(NobodyThere, match="no instance of 'empty' is known: the source says so"),
    ):
        resolver.pick()


def test_a_long_list_comes_by_tcp(server):
    assert len(DNSSource(server)(Lookup("many", 2.0)).instances) == 40


def test_polling_hears_of_a_change_and_tells_the_trace(server, zone):
    trace, heard = Trace(), threading.Event()
    source = DNSSource(server)

    def ask(lookup):
        found = source(lookup)
        if len(found.instances) == 2:
            heard.set()
        return found

    policy = Poll(InstanceCache(), "orders", 0.02, Random(1))
    with Resolver(ask, policy, "test resolver", trace=trace) as resolver:
        wait_until(lambda: len(resolver.instances()) == 3)
        zone["orders"] = zone["orders"][:2]
        assert heard.wait(10)
        wait_until(lambda: len(resolver.instances()) == 2)
        resolver.stop()
        assert [change.value for change in trace.changes] == ["3 of orders", "2 of orders"]
        assert resolver.errors == []


def test_dns_cannot_be_watched_and_says_so(server):
    with Resolver(server, Watch(InstanceCache(), "orders", Exponential(1, 2)), "test resolver") as resolver:
        resolver._thread.join(5)
        assert resolver.errors and "DNS has no blocking queries" in resolver.errors[0]


def test_stop_ends_a_thread_that_sleeps_or_waits():
    before = set(threading.enumerate())
    policy = Poll(InstanceCache(), "orders", 3600.0, Random(1))
    with Resolver(lambda lookup: Found("ok", 0.0, ("a",)), policy, "test resolver"):
        pass
    wait_until(lambda: set(threading.enumerate()) <= before)


@pytest.mark.parametrize(
    ("source", "policy", "error", "text"),
    [
        (3, OnDemand(InstanceCache(), "x"), ServerError, "source=3 cannot be asked"),
        (print, "poll", TypeError, "policy='poll' must be OnDemand, Poll or Watch"),
    ],
)
def test_a_resolver_refuses_what_cannot_be(source, policy, error, text):
    with pytest.raises(error, match=text):
        Resolver(source, policy)
