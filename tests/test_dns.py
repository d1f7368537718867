"""The name server on real sockets, asked by dnspython; and the resolver on it."""

import gc
import socket
import struct
import threading
import warnings
from random import Random
from types import SimpleNamespace

import dns.edns
import dns.message
import dns.query
import dns.rcode
import dns.resolver
import pytest
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
from servicelab.trace import Trace
from tests.waiting import wait_until


def instances(name, count, first=8000):
    return [SimpleNamespace(id=f"{name}-{n}", port=first + n) for n in range(count)]


@pytest.fixture
def zone():
    return {"orders": instances("orders", 3), "empty": [], "many": instances("many", 40), "Odd": []}


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
                                  "a.b.orders.service.shop", "_tcp.service.shop"])  # fmt: skip
def test_no_such_name(server, name):
    with pytest.raises(dns.resolver.NXDOMAIN) as caught:
        stub(server).resolve(name, "SRV")
    (soa,) = caught.value.response(dns.name.from_text(name)).authority
    assert soa.ttl == soa[0].minimum == 2 and str(soa.name) == "service.shop."


@pytest.mark.parametrize(("name", "kind"), [("empty.service.shop", "SRV"), ("empty.service.shop", "A"),
                                            ("orders.service.shop", "AAAA"), ("service.shop", "SRV")])  # fmt: skip
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


def test_an_id_that_is_no_label_gets_one_that_is(server, zone):
    zone["orders"] = [SimpleNamespace(id=id, port=1) for id in ("a:1", "a_1", "A 1", "é" * 80)]
    targets = {str(record.target) for record in stub(server).resolve("orders.service.shop", "SRV")}
    assert len(targets) == 4
    for target in targets:
        assert len(target.split(".")[0]) <= 63
        assert stub(server).resolve(target, "A")[0].address == "127.0.0.1"


def test_an_address_of_its_own_is_told(server, zone):
    zone["orders"] = [
        SimpleNamespace(id="far", port=1, address="127.0.0.9"),
        SimpleNamespace(id="x", port=2, address="?"),
    ]
    assert {str(one) for one in stub(server).resolve("orders.service.shop", "A")} == {"127.0.0.9", "127.0.0.1"}


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


def test_a_long_answer_is_truncated_and_asked_for_again_by_tcp(server):
    reply = ask(server, "many.service.shop")
    assert reply.flags & dns.flags.TC and not reply.answer and len(reply.question) == 1
    assert len(stub(server).resolve("many.service.shop", "SRV")) == 40
    assert server.counts["truncated"] == 2 and server.counts["tcp"] == 1


@pytest.mark.parametrize(("payload", "limit"), [(None, 512), (100, 512), (512, 512), (700, 700), (4096, 1232)])
def test_a_udp_answer_is_as_long_as_the_client_takes_and_no_longer(server, zone, payload, limit):
    options = {} if payload is None else {"use_edns": 0, "payload": payload}
    lengths = []
    for count in range(1, 25):
        zone["orders"] = instances("a-name", count)
        wire = dns.message.make_query("orders.service.shop", "SRV", **options).to_wire()
        whole, by_udp = server.answer(wire, "tcp"), server.answer(wire, "udp")
        truncated = bool(dns.message.from_wire(by_udp).flags & dns.flags.TC)
        assert truncated == (len(whole) > limit)
        assert len(by_udp) <= limit
        lengths.append(len(whole))
    assert lengths[0] < limit < lengths[-1]


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
