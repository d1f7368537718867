"""Resolvers on a real registry over HTTP: watch, poll, ask; what happens when it dies, forgets, hangs."""

import math
import socket
import statistics
import threading
import time
from random import Random

import pytest
import requests

from servicelab import lifecycle, theory
from servicelab.checks.stall import calmly
from servicelab.clients.discovery import NobodyThere, Resolver
from servicelab.clients.instance_sources import Instance, RegistrySource
from servicelab.lifecycle import ServerError
from servicelab.policies import FullJitter, InstanceCache, Lookup, OnDemand, Poll, Recorder, Watch, replay
from servicelab.servers.dns import DNSServer
from servicelab.servers.registry import Registry
from servicelab.trace import Trace
from tests.waiting import eventually, wait_until


@pytest.fixture
def registry():
    with Registry("test registry") as registry:
        yield registry


def register(registry, *numbers, ttl=60.0):
    for number in numbers:
        check = {"TTL": f"{ttl}s", "Status": "passing"}
        body = {
            "ID": f"orders-{number}",
            "Name": "orders",
            "Address": "127.0.0.1",
            "Port": 8000 + number,
            "Check": check,
        }
        put(registry, "service/register", json=body)


def deregister(registry, number):
    put(registry, f"service/deregister/orders-{number}")


def put(registry, path, **body):
    assert requests.put(f"{registry.url}/v1/agent/{path}", timeout=5, **body).status_code == 200


def watching(registry, name="test watcher", wait=30.0, **options):
    policy = Watch(InstanceCache(), "orders", FullJitter(0.02, 0.1, Random(1)), wait=wait, pause=0.01)
    return Resolver(registry, policy, name, **options)


# -- what is asked, and what comes back ---------------------------------------------------------------


def test_a_source_tells_who_passes_with_address_and_index(registry):
    register(registry, 1, 2)
    source = RegistrySource(registry)
    found = source(Lookup("orders", 2.0))
    assert found.status == "ok" and found.index == registry.ask(lambda catalog: catalog.index_of("orders"))
    assert set(found.instances) == {Instance(f"orders-{n}", "127.0.0.1", 8000 + n) for n in (1, 2)}
    assert RegistrySource(f"127.0.0.1:{registry.port}")(Lookup("orders", 2.0)).instances == found.instances
    assert source(Lookup("no such", 2.0)).instances == ()


def test_failures_are_statuses(registry):
    source = RegistrySource(registry)
    registry.pause()
    assert source(Lookup("orders", 0.1)).status == "timeout"
    registry.resume()
    url = registry.url
    registry.stop()
    assert source(Lookup("orders", 1.0)).status == "refused"
    assert RegistrySource(url)(Lookup("orders", 1.0)).status == "refused"


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"", "lost"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "error"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[{]", "error"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n[{}]", "error"),
        (b"HTTP/1.1 200 OK\r\nX-Consul-Index: many\r\nContent-Length: 2\r\n\r\n[]", "error"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n[]", "lost"),
        (b"\xff\xff\xff\r\n\r\n", "lost"),
    ],
)
def test_an_answer_that_is_none_is_a_status_too(answer, status):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.recv(10_000)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        found = RegistrySource(f"127.0.0.1:{listener.getsockname()[1]}")(Lookup("orders", 5.0))
        thread.join()
    assert found.status == status and found.instances == ()


@pytest.mark.parametrize("address", ["", "ftp://127.0.0.1", "127.0.0.1:port", "http://"])
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(ServerError, match="is no address of a registry"):
        RegistrySource(address)


# -- watching -------------------------------------------------------------------------------------------


def test_a_watch_hears_of_every_change_with_one_query_each(registry):
    trace = Trace()
    register(registry, 1)
    with watching(registry, trace=trace) as watcher:
        assert [instance.id for instance in watcher.instances()] == ["orders-1"]
        register(registry, 2)
        wait_until(lambda: len(watcher.instances()) == 2)
        deregister(registry, 1)
        wait_until(lambda: [instance.id for instance in watcher.instances()] == ["orders-2"])
        wait_until(lambda: registry.waiting == 1)
        assert watcher.lookups["ok"] <= 6 and set(watcher.lookups) == {"ok"}
        time.sleep(0.1)
        assert watcher.lookups["ok"] <= 6, "and then it is quiet"
    told = [change.value for change in trace.changes if change.who == "test watcher"]
    assert told[0] == "1 of orders" and "2 of orders" in told and told[-1] == "1 of orders"
    assert watcher.errors == []


def test_a_crash_is_heard_when_the_lease_has_run_out(registry):
    register(registry, 1)
    register(registry, 2, ttl=0.3)
    with watching(registry) as watcher:

        def beats():
            put(registry, "check/pass/service:orders-2")
            return len(watcher.instances()) == 2

        wait_until(beats)
        wait_until(lambda: [instance.id for instance in watcher.instances()] == ["orders-1"])


def test_many_watchers_wake_with_one_change(registry):
    register(registry, 1)
    watchers = [watching(registry, f"test watcher {number}").start() for number in range(20)]
    wait_until(lambda: registry.waiting == 20)
    register(registry, 2)
    wait_until(lambda: all(len(watcher.instances()) == 2 for watcher in watchers))
    for watcher in watchers:
        watcher.stop()
        assert watcher.errors == []


def test_stop_ends_a_query_that_waits_at_once_and_leaves_nothing(registry):
    register(registry, 1)
    before = set(threading.enumerate())
    watcher = watching(registry, wait=300.0).start()
    wait_until(lambda: registry.waiting == 1)
    thread = watcher._thread
    watcher.stop()
    assert not thread.is_alive()
    wait_until(lambda: set(threading.enumerate()) == before)
    wait_until(lambda: registry.waiting == 0)
    assert watcher.lookups == {"ok": 1}, "what was cut short is no news of the registry"
    with watcher:  # and it can be started again
        wait_until(lambda: len(watcher.instances()) == 1)


def test_stop_all_ends_resolvers_too(registry):
    watcher = watching(registry).start()
    lifecycle.stop_all()
    assert not watcher.is_running and not registry.is_running


def test_a_dead_registry_leaves_the_last_known_good_and_its_return_is_noticed(registry):
    register(registry, 1, 2)
    with watching(registry) as watcher:
        wait_until(lambda: registry.waiting == 1)
        registry.kill()
        wait_until(lambda: watcher.lookups["refused"] >= 2)
        assert len(watcher.instances()) == 2 and watcher.pick().id == "orders-1"
        registry.restart()
        register(registry, 3)
        wait_until(lambda: len(watcher.instances()) == 3)


def test_an_index_that_began_anew_is_noticed_when_the_wait_is_over(registry):
    """A registry that stops in good order answers who waits, and the next query reaches one that has forgotten: it
    waits for more than the old index. Nothing but the end of its wait can end that."""
    register(registry, *range(1, 10))
    with watching(registry, wait=0.5) as watcher:
        wait_until(lambda: registry.waiting == 1)
        registry.restart(keep=False)
        register(registry, 1)
        wait_until(lambda: [instance.id for instance in watcher.instances()] == ["orders-1"])


def test_who_starts_before_the_registry_hears_of_it_later(registry):
    registry.stop()
    with watching(registry) as watcher:
        with pytest.raises(NobodyThere, match="the source has not answered"):
            watcher.pick()
        registry.restart()
        register(registry, 1)
        wait_until(lambda: len(watcher.instances()) == 1)


def test_what_a_watch_decided_on_real_sockets_is_decided_again_in_its_replay(registry):
    """Real registry, real threads, a crash and a restart in between; replayed into a fresh policy, word for word."""

    def fresh():
        return Watch(InstanceCache(), "orders", FullJitter(0.02, 0.1, Random(1)), wait=30.0, pause=0.01)

    recorder = Recorder(fresh())
    with Resolver(registry, recorder, "test watcher") as watcher:
        for number in range(1, 6):
            register(registry, number)
            wait_until(lambda number=number: len(watcher.instances()) == number)
        wait_until(lambda: registry.waiting == 1)
        registry.kill()
        wait_until(lambda: watcher.lookups["refused"] >= 2)
        registry.restart(keep=False)
        register(registry, 7)
        wait_until(lambda: len(watcher.instances()) == 1)
    told = [entry for entry in recorder.log if entry.question != "closed"]
    assert len(told) > 10
    assert replay(told, fresh()) == told


# -- asking and polling -----------------------------------------------------------------------------------


def test_without_a_ttl_every_call_asks(registry):
    register(registry, 1)
    with Resolver(registry, OnDemand(InstanceCache(ttl=0.0), "orders"), "test resolver") as resolver:
        for _ in range(5):
            resolver.pick()
        deregister(registry, 1)
        with pytest.raises(NobodyThere, match="the source says so"):
            resolver.pick()
        assert resolver.lookups == {"ok": 6}


def test_polling_follows_the_registry(registry):
    register(registry, 1)
    with Resolver(registry, Poll(InstanceCache(), "orders", 0.02, Random(1)), "test poller") as poller:
        register(registry, 2)
        wait_until(lambda: len(poller.instances()) == 2)
        registry.kill()
        wait_until(lambda: poller.lookups["refused"] >= 2)
        assert len(poller.instances()) == 2


def test_a_lookup_is_stamped_at_both_ends():
    trace = Trace()
    with Registry("test registry", trace=trace) as registry:
        register(registry, 1)
        RegistrySource(registry, name="gateway", trace=trace)(Lookup("orders", 2.0))
    (call,) = [call for call in trace.calls if call.caller == "gateway"]
    assert (call.callee, call.status) == ("test registry", "ok")
    request = next(message for message in trace.messages if message.id == call.id)
    reply = next(message for message in trace.messages if message.id == call.id + ".reply")
    assert call.start <= request.sent <= request.received <= reply.sent <= reply.received <= call.end


# -- three worlds -----------------------------------------------------------------------------------------------

TTL, BEAT, PERIOD, COUNT = 0.8, 0.3, 0.4, 8


def let_die(registry, resolvers, rng):
    """Eight instances beat, each in a phase of its own, until they are killed all at once. For each: the age of its
    lease when it died; and by each resolver how long after the end of that lease it was still called (seconds)."""
    register(registry, *range(COUNT), ttl=TTL)
    due, beaten, start = [(rng.uniform(0, BEAT), number) for number in range(COUNT)], {}, time.monotonic()
    end = 3 * BEAT + rng.uniform(0, BEAT)
    while (next_one := min(due))[0] < end:
        due.remove(next_one)
        time.sleep(max(0.0, start + next_one[0] - time.monotonic()))
        beaten[next_one[1]] = time.monotonic()
        put(registry, f"check/pass/service:orders-{next_one[1]}")
        due.append((next_one[0] + BEAT, next_one[1]))
    time.sleep(max(0.0, start + end - time.monotonic()))
    # Not for longer: after a standstill some leases may have run out already, and nobody renews them any more.
    eventually(lambda: all(len(resolver.instances()) == COUNT for resolver in resolvers), TTL)
    died = time.monotonic()
    wait_until(lambda: not any(resolver.instances() for resolver in resolvers))
    ages = [died - beaten[number] for number in range(COUNT)]
    return ages, *(
        [resolver.left(f"orders-{number}", died) - (beaten[number] + TTL) for number in range(COUNT)]
        for resolver in resolvers
    )


def test_dead_route_times_on_sockets_are_those_of_the_formula(registry):
    """In two steps, so that the mood of the machine does not decide: the lease by the beats that really arrived, and
    what the way of asking adds to it."""
    rng = Random(5)
    policies = {
        "lease": OnDemand(InstanceCache(ttl=0.0, negative_ttl=0.0), "orders"),
        "watch": Watch(InstanceCache(), "orders", FullJitter(0.02, 0.1, rng), pause=0.001),
        "poll": Poll(InstanceCache(), "orders", PERIOD, Random(6), jitter=0.5),
    }
    resolvers = [Resolver(registry, policy, f"test {how}").start() for how, policy in policies.items()]
    rounds = [calmly(let_die, registry, resolvers, rng) for _ in range(3)]
    for resolver in resolvers:
        resolver.stop()
    ages, *late = (sum(column, []) for column in zip(*rounds, strict=True))
    assert min(map(min, late)) >= 0, "nobody is dropped before the lease has run out"
    # The lease: TTL less the age at the crash, and an age is uniform over a period, but for late beats.
    assert statistics.quantiles(ages, n=4)[0] < BEAT / 2
    # A machine that stands still for a moment makes one round late, and the median is not of it. A busy one makes all
    # of them late alike: what the way of asking adds is what comes on top of asking at each look.
    by_lease, by_watch, by_poll = (statistics.median(column) for column in late)
    assert by_lease < PERIOD and abs(by_watch - by_lease) < PERIOD / 4
    # Three rounds, each with a few polls of its own: five standard errors of so few are wide.
    mean, width = theory.poll_window(PERIOD, 0.5).mean, 5 * PERIOD / math.sqrt(12 * 6)
    assert mean - width < by_poll - by_lease < mean + width


# -- the name server on it ------------------------------------------------------------------------------------


def test_while_the_registry_hangs_the_name_server_is_silent(registry):
    register(registry, 1)
    with DNSServer(registry, "test dns", ttl=0) as server:
        policy = OnDemand(InstanceCache(retry_after=0.0), "orders", timeout=0.1)
        with Resolver(server, policy, "test resolver") as resolver:
            registry.pause()
            assert resolver.instances() == () and resolver.lookups == {"timeout": 1}
            registry.resume()
            wait_until(lambda: len(resolver.instances()) == 1)


def test_the_name_server_tells_what_the_registry_knows(registry):
    with DNSServer(registry, "test dns", ttl=0, negative_ttl=0) as server:
        cache = InstanceCache()
        with Resolver(server, OnDemand(cache, "orders"), "test resolver") as resolver:
            assert resolver.instances() == () and server.counts["nxdomain"] == 1
            register(registry, 1, ttl=60.0)
            register(registry, 2, ttl=0.2)
            assert set(resolver.instances()) == {Instance(f"orders-{n}", "127.0.0.1", 8000 + n) for n in (1, 2)}
            wait_until(lambda: [instance.id for instance in resolver.instances()] == ["orders-1"])
            deregister(registry, 1)
            assert resolver.instances() == () and server.counts["empty"] == 1, "known, and nobody passing"
            registry.stop()
            assert resolver.view().fresh == "unknown" and server.counts["error"] >= 1
            assert resolver.lookups["error"] == 1
