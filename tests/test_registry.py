"""The registry on its socket: the stock client, raw requests, and what Consul's clients rely on."""

import asyncio
import json
import socket
import threading
import time
from random import Random

import consul
import pytest
import requests
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from servicelab import leases
from servicelab.clients import traced
from servicelab.leases import SelfPreservation
from servicelab.lifecycle import ServerError, is_listening, running, stop_all
from servicelab.servers import serve
from servicelab.servers.registry import Registry, agent, start_registry, values
from servicelab.trace import Trace

pytestmark = pytest.mark.usefixtures("nothing_is_left")

Check = consul.Check


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.delenv("CONSUL_HTTP_ADDR", raising=False)
    server = start_registry(seed=1)
    yield server
    stop_all()
    assert server.errors == []


@pytest.fixture
def client(registry):
    return consul.Consul(port=registry.port)


def until(condition, limit=10.0):
    """Wait for ``condition()`` to be true, and return it."""
    end = time.monotonic() + limit
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.002)
    return found


def watch(client, name, wanted, passing=False):
    """Follow a service by blocking queries until its statuses are ``wanted``, and return the index."""
    index = None
    while True:
        index, found = client.health.service(name, index=index, wait="10s", passing=passing)
        statuses = sorted(max((c["Status"] for c in one["Checks"]), key=RANK.index) for one in found)
        if statuses == sorted(wanted):
            return index


RANK = ["passing", "warning", "critical"]


def ids(answer):
    return [one["Service"]["ID"] for one in answer[1]]


# -- the stock client -----------------------------------------------------------------------


def test_register_renew_find_and_leave_with_the_stock_client(client):
    assert client.agent.service.register(
        "orders", "orders-1", "127.0.0.1", 8001, tags=["v1", "eu"], check=Check.ttl("10s"), meta={"zone": "a"}
    )
    assert client.agent.service.register("orders", "orders-2", port=8002, tags=["v2"], check=Check.ttl("10s"))
    assert ids(client.health.service("orders")) == ["orders-1", "orders-2"]
    assert ids(client.health.service("orders", passing=True)) == [], "critical until it has been heard of"
    assert client.agent.check.ttl_pass("service:orders-1", "all is well")
    assert ids(client.health.service("orders", passing=True)) == ["orders-1"]
    assert client.agent.check.ttl_warn("service:orders-1") and client.agent.check.ttl_fail("service:orders-2")
    assert ids(client.health.service("orders", passing=True)) == []
    assert ids(client.health.service("orders", tag="v1")) == ["orders-1"]
    assert ids(client.health.service("orders", tag=["v1", "v2"])) == []
    assert [c["Status"] for c in client.health.checks("orders")[1]] == ["warning", "critical"]
    assert [c["CheckID"] for c in client.health.state("critical")[1]] == ["service:orders-2"]
    assert len(client.health.node("servicelab")[1]) == 3

    assert client.catalog.services()[1] == {"consul": [], "orders": ["eu", "v1", "v2"]}
    found = client.catalog.service("orders", tag="v1")[1]
    assert [(s["ServiceID"], s["ServiceAddress"], s["ServicePort"], s["ServiceMeta"]) for s in found] == [
        ("orders-1", "127.0.0.1", 8001, {"zone": "a"})
    ]
    assert [n["Node"] for n in client.catalog.nodes()[1]] == ["servicelab"]
    assert set(client.catalog.node("servicelab")[1]["Services"]) == {"consul", "orders-1", "orders-2"}
    assert set(client.agent.services()) == {"orders-1", "orders-2"}
    assert client.agent.service_definition("orders-1")["Port"] == 8001
    assert client.agent.checks()["service:orders-1"]["Type"] == "ttl"

    assert client.agent.service.deregister("orders-1") and client.agent.service.deregister("orders-2")
    assert client.health.service("orders")[1] == [] and client.agent.checks() == {}
    assert client.status.leader().count(":") == 1 and client.status.peers() == [client.status.leader()]
    assert client.agent.self()["Config"]["NodeName"] == "servicelab" and client.catalog.datacenters() == ["dc1"]


def test_checks_that_are_registered_by_themselves(client):
    client.agent.service.register("orders", "orders-1")
    assert ids(client.health.service("orders", passing=True)) == ["orders-1"], "without a check nobody complains"
    client.agent.check.register("disk", check=Check.ttl("10s"), check_id="disk-1", service_id="orders-1", notes="free?")
    assert ids(client.health.service("orders", passing=True)) == []
    requests.put(f"{client.http.base_uri}/v1/agent/check/update/disk-1", json={"Status": "passing", "Output": "80%"})
    (check,) = client.health.checks("orders")[1]
    assert (check["Status"], check["Output"], check["Notes"]) == ("passing", "80%", "free?")
    client.agent.check.deregister("disk-1")
    assert client.health.checks("orders")[1] == []


def test_maintenance_takes_a_service_out_of_use(client):
    client.agent.service.register("orders", "orders-1")
    client.agent.service.maintenance("orders-1", "true", "disk is changed")
    (check,) = client.health.checks("orders")[1]
    assert (check["Status"], check["Notes"]) == ("critical", "disk is changed")
    client.agent.service.maintenance("orders-1", "false")
    assert ids(client.health.service("orders", passing=True)) == ["orders-1"]


def test_the_catalog_takes_other_nodes(client):
    service = {"Service": "orders", "ID": "orders-9", "Port": 9, "Tags": ["far"]}
    check = {"CheckID": "c", "Name": "c", "Status": "passing", "ServiceID": "orders-9"}
    assert client.catalog.register("far", "10.0.0.9", service, check)
    ((instance,),) = [client.health.service("orders", passing=True)[1]]
    assert instance["Node"]["Address"] == "10.0.0.9" and instance["Service"]["Tags"] == ["far"]
    assert client.catalog.register("far", "10.0.0.9", service, check | {"Status": "critical"})
    assert ids(client.health.service("orders", passing=True)) == []
    assert client.catalog.deregister("far", check_id="c")
    assert ids(client.health.service("orders", passing=True)) == ["orders-9"]
    assert client.catalog.deregister("far", service_id="orders-9") and client.catalog.deregister("far")
    assert client.catalog.deregister("far"), "what is gone may be deregistered"
    assert [n["Node"] for n in client.catalog.nodes()[1]] == ["servicelab"]


def test_names_may_hold_what_a_path_has_to_quote(client):
    for id in ("orders 1", "größe/2", "100%"):
        client.agent.service.register("orders", id, check=Check.ttl("10s"))
        assert client.agent.check.ttl_pass(f"service:{id}"), id
        assert ids(client.health.service("orders", passing=True)) == [id]
        assert client.agent.service.deregister(id)


def test_names_in_json_match_whatever_their_case(registry):
    body = {
        "NAME": "orders", "iD": "orders-1", "port": 1, "CHECK": {"tTl": "5s", "deregister_critical_service_after": "1m"}
    }  # fmt: skip
    assert requests.put(f"{registry.url}/v1/agent/service/register", json=body).status_code == 200
    check = registry.ask(lambda catalog: catalog.check("service:orders-1"))
    assert (check.ttl, check.deregister_after) == (5, 60)


def test_names_match_whatever_their_case_and_ids_do_not(client):
    client.agent.service.register("Payments", "Pay-1", tags=["EU"], check=Check.ttl("10s"))
    client.catalog.register("Far", "10.0.0.9", {"Service": "payments", "ID": "pay-1"})
    assert ids(client.health.service("PAYMENTS", tag="eu")) == ["Pay-1"]
    index, found = client.health.service("payMents")
    assert [one["Service"]["ID"] for one in found] == ["Pay-1", "pay-1"]
    assert client.catalog.services()[1] == {"consul": [], "Payments": ["EU"], "payments": []}
    assert client.catalog.node("fAR")[1]["Node"]["Node"] == "Far"
    assert not client.agent.check.ttl_pass("service:pay-1") and client.agent.check.ttl_pass("service:Pay-1")
    assert client.health.service("payments", index=index, wait="10s")[0] == str(int(index) + 1)
    assert len(client.health.checks("payMENTS")[1]) == 1
    assert client.catalog.deregister("FAR") and ids(client.health.service("payments")) == ["Pay-1"]


def test_a_new_node_keeps_its_address_also_when_nodes_are_not_to_be_updated(registry, client):
    def register(address):
        body = {"Node": "far", "Address": address, "SkipNodeUpdate": True}
        assert requests.put(f"{registry.url}/v1/catalog/register", json=body).text == "true"
        return client.catalog.node("far")[1]["Node"]["Address"]

    assert [register("10.0.0.9"), register("10.0.0.8")] == ["10.0.0.9", "10.0.0.9"]


# -- keys and values ------------------------------------------------------------------------


def test_keys_and_values_with_the_stock_client(client):
    assert client.kv.get("shop/none") == ("1", None)
    assert client.kv.put("shop/a", b"\x00\xff", flags=7) and client.kv.put("shop/b", None)
    index, entry = client.kv.get("shop/a")
    assert (entry["Value"], entry["Flags"], entry["CreateIndex"]) == (b"\x00\xff", 7, int(index))
    assert client.kv.get("shop/b")[1]["Value"] is None
    assert not client.kv.put("shop/a", "x", cas=0) and not client.kv.put("shop/a", "x", cas=1)
    assert client.kv.put("shop/a", "x", cas=entry["ModifyIndex"]) and client.kv.put("new", "x", cas=0)
    assert [e["Key"] for e in client.kv.get("shop/", recurse=True)[1]] == ["shop/a", "shop/b"]
    assert client.kv.get("", keys=True, separator="/")[1] == ["new", "shop/"]
    assert requests.get(f"{client.http.base_uri}/v1/kv/shop/a?raw").content == b"x"
    assert not client.kv.delete("shop/a", cas=1)
    assert client.kv.delete("shop/", recurse=True) and client.kv.get("shop/", recurse=True)[1] is None


def test_two_who_increment_with_check_and_set_lose_nothing(client):
    client.kv.put("sold", "0")

    def sell():
        mine, done = consul.Consul(port=client.http.port), 0
        while done < 20:
            entry = mine.kv.get("sold")[1]
            done += mine.kv.put("sold", str(int(entry["Value"]) + 1), cas=entry["ModifyIndex"])

    sellers = [threading.Thread(target=sell) for _ in range(2)]
    for each in sellers:
        each.start()
    for each in sellers:
        each.join()
    assert client.kv.get("sold")[1]["Value"] == b"40"


def test_a_query_waits_for_a_key_that_is_not_there_yet(registry, client):
    index, _ = client.kv.get("go")
    answers = []
    waiter = threading.Thread(target=lambda: answers.append(client.kv.get("go", index=index, wait="10s")))
    waiter.start()
    until(lambda: registry.waiting == 1)
    consul.Consul(port=registry.port).kv.put("go", "now")
    waiter.join()
    assert answers[0][1]["Value"] == b"now" and int(answers[0][0]) > int(index)


# -- refusals -------------------------------------------------------------------------------

REGISTER, CHECK = "/v1/agent/service/register", "/v1/agent/check/register"
REFUSED = [
    ("PUT", REGISTER, "{bad", 400, "Request decode failed: invalid JSON"),
    ("PUT", REGISTER, "", 400, "Request decode failed: EOF"),
    ("PUT", REGISTER, b"\xff\xfe", 400, "Request decode failed"),
    ("PUT", REGISTER, "[1]", 400, "Request decode failed: json: cannot unmarshal array into Go value"),
    ("PUT", REGISTER, "{}", 400, "Missing service name"),
    ("PUT", REGISTER, '{"name": 7}', 400, "cannot unmarshal number into Go struct field ServiceDefinition.Name"),
    ("PUT", REGISTER, '{"name": "x", "port": "80"}', 400, "ServiceDefinition.Port of type int"),
    ("PUT", REGISTER, '{"name": "x", "port": 70000}', 400, "Validation failed: port=70000"),
    ("PUT", REGISTER, '{"name": "x", "tags": [1]}', 400, "Tags must be an array of strings"),
    ("PUT", REGISTER, '{"name": "x", "meta": {"a": 1}}', 400, "Meta of type string"),
    ("PUT", REGISTER, '{"name": "x", "address": "::"}', 400, "Invalid service address"),
    ("PUT", REGISTER, '{"name": "x", "weights": {"Passing": 0}}', 400, "Invalid Weights"),
    ("PUT", REGISTER, '{"name": "x", "kind": "connect-proxy"}', 400, "service mesh"),
    ("PUT", REGISTER, '{"name": "x", "check": {"ttl": "10x"}}', 400, 'time: unknown unit "x" in duration "10x"'),
    ("PUT", REGISTER, '{"name": "x", "check": {"ttl": "10"}}', 400, 'time: missing unit in duration "10"'),
    ("PUT", REGISTER, '{"name": "x", "check": {"ttl": "soon"}}', 400, 'time: invalid duration "soon"'),
    ("PUT", REGISTER, '{"name": "x", "check": {"ttl": [1]}}', 400, "must be a duration"),
    ("PUT", REGISTER, '{"name": "x", "check": {"ttl": "-5s"}}', 400, "TTL must be > 0 for TTL checks"),
    ("PUT", REGISTER, '{"name": "x", "check": {"ttl": "5s", "interval": "5s"}}', 400, "cannot both be specified"),
    ("PUT", REGISTER, '{"name": "x", "check": {"http": "http://h/"}}', 400, "Interval must be > 0"),
    ("PUT", REGISTER, '{"name": "x", "check": {"http": "ftp://h/", "interval": "1s"}}', 400, "is no HTTP request"),
    ("PUT", REGISTER, '{"name": "x", "check": {"http": "http://h/", "interval": "1s", "header": {"a": ["b\\n"]}}}', 400,
     "of one line"),
    ("PUT", REGISTER, '{"name": "x", "check": {"args": ["ls"], "interval": "1s"}}', 400, "not offered here"),
    ("PUT", REGISTER, '{"name": "x", "check": {"ttl": "5s", "status": "fine"}}', 400, "Status for checks must"),
    ("PUT", REGISTER, '{"name": "x", "checks": [3]}', 400, "Checks must be an array of objects"),
    ("PUT", REGISTER, '{"name": "x", "port": 1e999}', 400, "ServiceDefinition.Port of type int"),
    ("PUT", REGISTER, '{"name": "x", "port": Infinity}', 400, "Infinity is no number of JSON"),
    ("PUT", REGISTER, '{"name": "\\ud800"}', 400, "half of a surrogate pair"),
    ("PUT", REGISTER, '{"name": "x", "address": "10.0.0.300"}', 400, "address='10.0.0.300' must be an IPv4 or IPv6"),
    pytest.param("PUT", REGISTER, "[" * 100_000, 400, "exceeded max depth", id="deep JSON"),
    pytest.param("PUT", REGISTER, '{"port": ' + "9" * 5000 + "}", 400, "Request decode failed", id="a long number"),
    ("POST", REGISTER, '{"name": "x"}', 405, "method POST not allowed"),
    ("GET", REGISTER, "", 405, "method GET not allowed"),
    ("PUT", CHECK, '{"ttl": "5s"}', 400, "Missing check name"),
    ("PUT", CHECK, '{"name": "x", "ttl": "5s", "status": "fine"}', 400, "Bad check status"),
    ("PUT", CHECK, '{"name": "x"}', 400, "Invalid check: TTL must be > 0 for TTL checks"),
    ("PUT", CHECK, '{"name": "x", "ttl": "5s", "serviceid": "no"}', 404, 'ServiceID "no" does not exist'),
    ("PUT", "/v1/agent/check/pass/no", "", 404, 'Unknown check ID "no". Ensure that the check ID is passed'),
    ("PUT", "/v1/agent/check/pass/web", "", 500, 'CheckID "web" does not have associated TTL'),
    ("PUT", "/v1/agent/check/update/ttl", '{"Status": "ok"}', 400, "Invalid check status: 'ok'"),
    ("PUT", "/v1/agent/check/update/ttl", "nothing", 400, "Request decode failed"),
    ("PUT", "/v1/agent/check/deregister/no", "", 404, "Unknown check ID"),
    ("PUT", "/v1/agent/service/deregister/no", "", 404, 'Unknown service ID "no". Ensure that the service ID'),
    ("PUT", "/v1/agent/service/maintenance/one", "", 400, "Missing value for enable"),
    ("PUT", "/v1/agent/service/maintenance/one?enable=maybe", "", 400, "Invalid value for enable"),
    ("PUT", "/v1/agent/service/maintenance/no?enable=true", "", 404, "Unknown service ID"),
    ("GET", "/v1/agent/service/no", "", 404, "unknown service ID: no"),
    ("GET", "/v1/health/service/", "", 400, "Missing service name"),
    ("GET", "/v1/health/service/one?index=now", "", 400, "Invalid index"),
    ("GET", "/v1/health/service/one?index=-1", "", 400, "Invalid index"),
    ("GET", "/v1/health/service/one?wait=long", "", 400, "Invalid wait time"),
    ("GET", "/v1/health/service/one?passing=perhaps", "", 400, "Invalid value for ?passing"),
    ("GET", "/v1/health/service/one?filter=x", "", 400, "filter expressions are not offered"),
    ("GET", "/v1/health/service/one?dc=mars", "", 500, "No path to datacenter"),
    ("GET", "/v1/health/service/one?stale&consistent", "", 400, "Cannot specify ?stale with ?consistent"),
    ("PUT", "/v1/catalog/register", '{"node": "n"}', 500, "Must provide node and address"),
    ("PUT", "/v1/catalog/register", '{"node": "n", "address": "a", "checks": [1]}', 400, "array of objects"),
    ("PUT", "/v1/catalog/register", '{"node": "n", "address": "a", "check": {"name": "c", "status": "ok"}}', 400,
     "Invalid check status: 'ok'"),
    ("PUT", "/v1/catalog/register", '{"node": "n", "address": "a", "check": {"name": "c", "serviceid": "no"}}', 500,
     "Missing service registration"),
    ("PUT", "/v1/catalog/register", '{"node": "n", "address": "a", "service": {"id": "x"}}', 500,
     "Must provide service name with ID"),
    ("PUT", "/v1/catalog/register", '{"node": "n", "address": "a b"}', 400, "address='a b' must be"),
    ("PUT", "/v1/catalog/deregister", "{}", 500, "Must provide node"),
    ("PUT", "/v1/catalog/deregister", '{"node": "servicelab", "datacenter": "mars"}', 500, "No path to datacenter"),
    pytest.param("GET", "/v1/kv/a?index=" + "9" * 5000, "", 400, "Invalid index", id="a long index"),
    pytest.param("PUT", "/v1/kv/a?flags=" + "9" * 5000, "", 500, "value out of range", id="long flags"),
    ("GET", f"/v1/kv/a?index={2**64}", "", 400, "Invalid index"),
    ("GET", "/v1/kv/a?index=1&wait=9999999h", "", 400, "Invalid wait time"),
    ("GET", "/v1/health/service/one?peer=x", "", 400, "peers of the cluster are not offered"),
    ("GET", "/v1/kv/", "", 400, "Missing key name"),
    ("PUT", "/v1/kv/a?cas=x", "", 500, 'parsing "x": invalid syntax'),
    ("PUT", "/v1/kv/a?cas=0&acquire=s", "", 400, "Conflicting flags"),
    ("PUT", "/v1/kv/a?acquire=s", "", 500, 'invalid session "s"'),
    ("PUT", "/v1/kv/a", b"x" * (512 * 1024 + 1), 413, "too large"),
    ("POST", "/v1/kv/a", "", 405, "method POST not allowed"),
    ("GET", "/v1/nothing", "", 404, "not a recognized HTTP API endpoint"),
    ("GET", "/elsewhere", "", 404, ""),
    ("GET", "/v1/acl/tokens", "", 401, "ACL support disabled"),
    ("PUT", "/v1/txn", "[]", 501, "/v1/txn: this registry has no transactions"),
    ("PUT", "/v1/event/fire/deploy", "", 501, "has no events"),
    ("GET", "/v1/query", "", 501, "has no prepared queries"),
    ("PUT", "/v1/session/create", "{}", 501, "has no sessions"),
    ("GET", "/v1/snapshot", "", 501, "has no snapshots"),
    ("PUT", "/v1/agent/maintenance?enable=true", "", 501, "maintenance of a whole node"),
    ("GET", "/v1/health/connect/one", "", 501, "has no service mesh"),
    ("GET", "/v1/agent/metrics", "", 501, "has no such endpoint of the agent"),
]  # fmt: skip
TWO = '"http": "http://h/", "interval": "1s"'
REFUSED += [
    ("PUT", REGISTER, f'{{"name": "x", "check": {{{check}}}}}', 400, says)
    for check, says in [
        ('"ttl": NaN', "NaN is no number of JSON"),
        ('"ttl": 1e999', "TTL must be a duration with its unit"),
        ('"ttl": 10000000000', "TTL must be a duration with its unit"),
        ('"ttl": "Inf"', 'TTL: time: invalid duration "Inf"'),
        ('"ttl": "2562048h"', 'TTL: time: invalid duration "2562048h"'),
        ('"ttl": "%ss"' % ("9" * 400), "TTL: time: invalid duration"),
        ('"ttl": "٣s"', "TTL: time: invalid duration"),
        ('"ttl": "0.1ns"', "TTL must be > 0"),
        ('"ttl": "5s", "timeout": NaN', "NaN is no number"),
        (f'{TWO}, "timeout": "1e9s"', 'Timeout: time: unknown unit "e"'),
        (f'{TWO}, "timeout": "-1s"', "Timeout must be >= 0"),
        ('"ttl": "5s", "deregistercriticalserviceafter": "-1s"', "DeregisterCriticalServiceAfter must be >= 0"),
        (
            '"ttl": "5s", "deregistercriticalserviceafter": "9e99s"',
            "DeregisterCriticalServiceAfter: time: unknown unit",
        ),
        ('"http": "http://h/", "interval": 10', "Interval must be a duration with its unit"),
        ('"http": "http://h/", "interval": "1ms"', "Interval must be at least 10ms here"),
        ('"tcp": "h:1", "interval": "9999us"', "Interval must be at least 10ms here"),
        ('"http": "http://h:70000/", "interval": "1s"', "no HTTP request that can be made"),
        ('"http": "http://[::1/", "interval": "1s"', "no HTTP request that can be made"),
        ('"http": "http:///health", "interval": "1s"', "no HTTP request that can be made"),
        ('"http": "http://h/a b", "interval": "1s"', "no HTTP request that can be made"),
        ('"http": "http://%s/", "interval": "1s"' % ("a" * 64), "no HTTP request that can be made"),
        ('"tcp": "h:70000", "interval": "1s"', "TCP must be host:port"),
        ('"tcp": "h:٣", "interval": "1s"', "TCP must be host:port"),
        ('"tcp": "h/x:1", "interval": "1s"', "TCP must be host:port"),
        ('"tcp": "%s:1", "interval": "1s"' % ("a" * 64), "TCP must be host:port"),
        (f'{TWO}, "header": {{"a b": ["c"]}}', "Header: 'a b' is no name of a header"),
    ]
]


@pytest.fixture(scope="module")
def furnished():
    """One registry for all refusals: they change nothing."""
    server = Registry("furnished").start()
    url = server.url
    requests.put(url + REGISTER, json={"name": "one", "checks": [{"CheckID": "ttl", "ttl": "1h"}]})
    requests.put(url + CHECK, json={"name": "web", "tcp": "127.0.0.1:1", "interval": "1h"})
    yield server
    server.stop()
    assert server.errors == []


@pytest.fixture
def nothing_is_left(request):
    """As in conftest; a registry that this module shares may stay."""
    if "furnished" in request.fixturenames:
        yield
    else:
        before = set(threading.enumerate())
        yield
        until(lambda: not [thread for thread in threading.enumerate() if thread not in before])


@pytest.mark.parametrize("method, path, body, status, says", REFUSED)
def test_what_is_wrong_gets_consuls_answer_and_changes_nothing(furnished, method, path, body, status, says):
    def everything():
        return furnished.ask(lambda c: (c.index, c.nodes(), c.services(), c.checks(), c.instances("one")))

    before = everything()
    data = body.encode() if isinstance(body, str) else body
    reply = requests.request(method, furnished.url + path, data=data, timeout=20)
    assert reply.status_code == status and says in reply.text
    assert everything() == before
    if status == 405:
        assert reply.headers["Allow"]


def test_the_stock_client_raises_what_it_raises_with_consul(client):
    with pytest.raises(consul.exceptions.BadRequest, match="Invalid check"):
        client.agent.service.register("orders", check={"interval": "1s"})
    with pytest.raises(consul.exceptions.ConsulException, match="No path to datacenter"):
        client.health.service("orders", dc="mars")
    with pytest.raises(consul.exceptions.ConsulException, match="501 .*this registry has no sessions"):
        client.session.list()
    assert client.agent.check.ttl_pass("none") is False


@given(st.integers(0, 10**7), st.sampled_from([1e-3, 1]))
def test_durations_are_read_as_they_are_written(number, unit):
    value = number * unit
    assert values.seconds(values.duration(value)) == pytest.approx(value, abs=1e-9)


def test_durations_are_gos():
    assert [values.seconds(text) for text in ("1m30s", "250ms", "1.5h", "0", "-2s", ".5s")] == [
        90, 0.25, 5400, 0, -2, 0.5
    ]  # fmt: skip
    assert values.seconds("2562047h47m16.854775807s") == pytest.approx(2**63 / 1e9), "the longest that Go has"
    assert values.unsigned("0" * 5000 + str(2**64 - 1)) == 2**64 - 1
    assert [values.duration(value) for value in (None, 0, 0.25, 10, 90, 3600, 5400.5, 1e-6)] == [
        "", "0s", "250ms", "10s", "1m30s", "1h0m0s", "1h30m0.5s", "1µs"
    ]  # fmt: skip


# -- blocking queries -----------------------------------------------------------------------


def test_an_old_index_is_answered_at_once_and_the_present_one_when_the_wait_is_over(client):
    client.agent.service.register("orders", "orders-1")
    index, _ = client.health.service("orders")
    assert client.health.service("orders", index=int(index) - 1, wait="1h")[0] == index
    start = time.monotonic()
    again, found = client.health.service("orders", index=index, wait="50ms")
    assert time.monotonic() - start >= 0.05
    assert again == index and len(found) == 1, "a return does not promise a change"


def test_the_wait_has_a_default_a_cap_and_jitter(registry, client, monkeypatch):
    monkeypatch.setattr(agent, "DEFAULT_WAIT", 0.06)
    monkeypatch.setattr(agent, "LONGEST_WAIT", 0.12)
    for wait, least in ((None, 0.06), ("0s", 0.06), ("1h", 0.12)):
        start = time.monotonic()
        client.health.service("orders", index=1000, wait=wait)
        assert least <= time.monotonic() - start < 5

    drawn = Random(1)
    draws = [drawn.random() for _ in range(4)]
    monkeypatch.setattr(agent, "JITTER", 20)
    start = time.monotonic()
    client.health.service("orders", index=1000, wait="10ms")
    assert time.monotonic() - start >= 0.01 * (1 + 20 * draws[3]), "up to JITTER times the wait comes on top"


def test_an_instance_that_is_not_heard_of_wakes_who_waits(client):
    client.agent.service.register("orders", "orders-1", check=Check.ttl("100ms"))

    def renewed():
        client.agent.check.ttl_pass("service:orders-1")
        index, found = client.health.service("orders", passing=True)
        return len(found) == 1 and index

    index = until(renewed)
    after, found = client.health.service("orders", index=index, wait="10s", passing=True)
    assert found == [] and int(after) == int(index) + 1
    assert client.agent.checks()["service:orders-1"]["Output"] == "TTL expired"


async def ask(reader, writer, path, headers=""):
    """One GET over a raw connection; returns ``(status, index, body)``."""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: registry\r\n{headers}\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
    body = await reader.readexactly(int(fields["Content-Length"]))
    return int(head.split()[1]), int(fields["X-Consul-Index"]), json.loads(body)


def test_two_hundred_waiting_clients_are_woken_by_one_change_none_lost_and_none_twice(registry):
    clients, rounds = 200, 4
    change = consul.Consul(port=registry.port)
    change.agent.service.register("orders", "orders-0", check=Check.ttl("1h"))
    seen = [[] for _ in range(clients)]

    async def waiting(count):
        while await asyncio.to_thread(lambda: registry.waiting) != count:
            await asyncio.sleep(0.005)

    async def run():
        links = [await asyncio.open_connection("127.0.0.1", registry.port) for _ in range(clients)]
        index = registry.ask(lambda catalog: catalog.index_of("orders"))
        for number in range(rounds):
            asked = [
                asyncio.ensure_future(ask(*link, f"/v1/health/service/orders?index={index}&wait=60s")) for link in links
            ]
            await waiting(clients)
            await asyncio.to_thread(change.agent.service.register, "payment", f"payment-{number}")
            assert registry.waiting == clients, "a change elsewhere wakes nobody"
            status = ("passing", "warning", "critical", "passing")[number]
            await asyncio.to_thread(
                requests.put, f"{registry.url}/v1/agent/check/update/service:orders-0", json={"Status": status}
            )
            answers = await asyncio.wait_for(asyncio.gather(*asked), 30)
            assert registry.waiting == 0
            assert {(code, body[0]["Checks"][1]["Status"]) for code, _, body in answers} == {(200, status)}
            for mine, (_, new, _) in zip(seen, answers):
                mine.append(new)
            index = answers[0][1]
        for reader, writer in links:
            assert reader._buffer == b"", "nobody got a second answer"
            writer.close()
            await writer.wait_closed()

    asyncio.run(run())
    assert all(mine == seen[0] for mine in seen) and len(set(seen[0])) == rounds
    assert seen[0] == sorted(seen[0])
    assert registry.requests["GET /v1/health/service/"] == clients * rounds


def test_two_hundred_watchers_miss_nothing_while_changes_come_faster_than_they_ask(registry):
    """Nobody waits for anybody here: changes fall between an answer and the next question."""
    clients, changes = 200, 15
    change = consul.Consul(port=registry.port)
    change.agent.service.register("orders", "orders-0", tags=["0"])

    async def watcher():
        reader, writer = await asyncio.open_connection("127.0.0.1", registry.port)
        index, seen = 1, []
        while not seen or seen[-1][1] != str(changes):
            _, new, body = await ask(reader, writer, f"/v1/health/service/orders?index={index}&wait=60s")
            assert new > index, "woken without a change"
            index = new
            seen.append((index, body[0]["Service"]["Tags"][0]))
        writer.close()
        await writer.wait_closed()
        return seen

    async def run():
        tasks = [asyncio.ensure_future(watcher()) for _ in range(clients)]
        for number in range(1, changes + 1):
            await asyncio.to_thread(change.agent.service.register, "orders", "orders-0", tags=[str(number)])
        return await asyncio.wait_for(asyncio.gather(*tasks), 60)

    for seen in asyncio.run(run()):
        assert len(set(seen)) == len(seen)
        assert [int(tag) for _, tag in seen] == sorted(int(tag) for _, tag in seen)
    assert registry.waiting == 0


def test_a_client_that_goes_away_is_waited_for_no_longer(registry):
    link = socket.create_connection(registry.address)
    link.sendall(b"GET /v1/health/service/orders?index=100 HTTP/1.1\r\nHost: registry\r\n\r\n")
    until(lambda: registry.waiting == 1)
    link.close()
    until(lambda: registry.waiting == 0)


# -- checks that the registry makes -----------------------------------------------------------


def shop_app():
    app = Flask("orders")
    app.health, app.asked = ("fine", 200), threading.Event()

    @app.get("/health")
    def health():
        if app.health == "slow":
            app.asked.wait(5)
            return "late"
        return app.health

    @app.get("/orders")
    def orders():
        return "the database is gone", 500

    return app


def test_http_checks_follow_what_the_service_answers(registry, client):
    app = shop_app()
    server = serve(app, "orders")
    how = Check.http(f"{server.url}/health", "20ms", timeout="200ms")
    client.agent.service.register("orders", "orders-1", port=server.port, check=how)
    watch(client, "orders", ["passing"])
    until(lambda: "200 OK Output: fine" in client.health.checks("orders")[1][0]["Output"])
    assert client.health.checks("orders")[1][0]["Definition"]["HTTP"] == f"{server.url}/health"
    app.health = "busy", 429
    watch(client, "orders", ["warning"])
    app.health = "broken", 503
    watch(client, "orders", ["critical"])
    app.health = "fine", 200
    watch(client, "orders", ["passing"])
    assert requests.get(f"{server.url}/orders").status_code == 500, "a healthy check does not mean usable"
    app.health = "slow"
    watch(client, "orders", ["critical"])
    assert "no reply within 0.2 s" in client.health.checks("orders")[1][0]["Output"]
    app.health = "fine", 200
    app.asked.set()
    watch(client, "orders", ["passing"])
    server.stop()
    watch(client, "orders", ["critical"])
    client.agent.service.deregister("orders-1")
    assert registry.errors == []


def test_tcp_checks_and_a_service_that_is_removed_when_it_stays_critical(registry, client):
    server = serve(shop_app(), "orders")
    how = {"host": "127.0.0.1", "port": server.port, "interval": "20ms", "timeout": "1s"}
    client.agent.service.register("orders", "orders-1", check=Check.tcp(**how))
    watch(client, "orders", ["passing"])
    server.stop()
    watch(client, "orders", ["critical"])
    client.agent.service.register("orders", "orders-1", check=Check.tcp(**how, deregister="100ms"))
    watch(client, "orders", [])
    assert client.agent.services() == {}


@pytest.mark.parametrize("how", [{"http": "http://h:70000/", "method": "GET", "header": {}, "body": ""},
                                 {"http": "http://h/", "method": "GET", "header": {"a b": ["c"]}, "body": ""},
                                 {"tcp": f"{'a' * 64}.example:1"}])  # fmt: skip
def test_a_check_that_fails_to_be_made_says_why_each_time(registry, client, how):
    """No registration gets such a check past the API; the next one that we did not think of must not fall silent."""
    agent = registry._agent
    made = leases.Check("odd", kind="http", definition=how | {"interval": 0.01, "timeout": 1.0})
    outputs = []

    async def write():
        report = agent.catalog.report
        agent.catalog.report = lambda *args: outputs.append(args[2:4]) or report(*args)
        agent.write(agent.catalog.add_check, made)

    registry._do(write)
    until(lambda: len(outputs) > 2)
    assert {status for status, _ in outputs} == {"critical"} and all(len(output) > 20 for _, output in outputs)


@pytest.mark.parametrize("end", [lambda registry, client: client.agent.service.deregister("orders-1"),
                                 lambda registry, client: registry.pause(), lambda registry, client: registry.stop()],
                         ids=["deregister", "pause", "stop"])  # fmt: skip
def test_a_check_that_is_given_up_on_its_way_prints_nothing(registry, client, caplog, end):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/health"
        client.agent.service.register("orders", "orders-1", check=Check.http(url, "10ms", timeout="5s"))
        connection, _ = listener.accept()
        under_way = registry._agent._probes._http.active
        until(lambda: under_way)
        end(registry, client)
        connection.close()
        if registry.is_running:
            until(lambda: not under_way)
            registry.resume()
    assert caplog.records == []


def test_a_failed_handshake_is_the_output_of_its_check_and_prints_nothing(client, caplog):
    with serve(shop_app(), "orders") as server:
        url = server.url.replace("http://", "https://") + "/health"
        client.agent.service.register("orders", "orders-1", check=Check.http(url, "10ms"))
        until(lambda: "SSL" in client.health.checks("orders")[1][0]["Output"])
        client.agent.service.deregister("orders-1")
    assert caplog.records == []


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"])
def test_the_content_type_of_a_body_does_not_matter(registry, caplog, kind):
    reply = requests.put(registry.url + REGISTER, '{"name": "x"}', headers={"Content-Type": kind})
    assert (reply.status_code, caplog.records) == (200, [])


def test_the_registrys_own_requests_are_in_the_trace():
    trace = Trace()
    with Registry(trace=trace) as registry, serve(shop_app(), "orders", trace=trace) as server:
        client = consul.Consul(port=registry.port)
        client.agent.service.register("orders", "orders-1", check=Check.http(f"{server.url}/health", "20ms"))
        watch(client, "orders", ["passing"])
    calls = [call for call in trace.calls if call.caller == "registry"]
    assert calls[0].callee == "orders" and calls[0].label == "GET /health" and calls[0].status == "ok"
    sent = [m for m in trace.messages if m.id.startswith(calls[0].id)]
    assert [(m.sender, m.receiver, m.lost) for m in sent] == [
        ("registry", "orders", None),
        ("orders", "registry", None),
    ]


# -- what may befall it -----------------------------------------------------------------------


def waiting_query(registry, index=1000):
    """A blocking query in a thread; its outcome comes into the list that is returned."""
    outcome = []

    def wait():
        try:
            outcome.append(requests.get(f"{registry.url}/v1/health/service/orders?index={index}&wait=60s"))
        except requests.RequestException as error:
            outcome.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    until(lambda: registry.waiting == 1)
    return thread, outcome


def test_stop_lets_waiting_queries_have_what_there_is(registry, client):
    client.agent.service.register("orders", "orders-1")
    thread, outcome = waiting_query(registry)
    port = registry.port
    registry.stop()
    thread.join(10)
    assert outcome[0].status_code == 200 and len(outcome[0].json()) == 1
    assert not is_listening(port)


def test_a_kill_cuts_them_and_a_restart_keeps_or_loses_what_was_known(registry, client):
    client.agent.service.register("orders", "orders-1", check=Check.ttl("1h"))
    client.agent.check.ttl_pass("service:orders-1")
    index, port = registry.index, registry.port
    thread, outcome = waiting_query(registry)
    with socket.create_connection(registry.address) as link:
        link.sendall(b"GET /v1/kv/a?index=1000 HTTP/1.1\r\nHost: registry\r\n\r\n")
        until(lambda: registry.waiting == 2)
        registry.kill()
        with pytest.raises(ConnectionResetError):
            link.recv(100)
    thread.join(10)
    assert isinstance(outcome[0], requests.ConnectionError)
    assert not is_listening(port)
    with pytest.raises(requests.ConnectionError):
        client.health.service("orders")

    assert registry.restart().port == port and registry.index == index
    assert ids(client.health.service("orders", passing=True)) == ["orders-1"]

    registry.kill()
    assert registry.restart(keep=False).port == port and registry.index < index
    assert client.agent.check.ttl_pass("service:orders-1") is False, "the service has to register again"
    back, found = client.health.service("orders", index=index, wait="20ms")
    assert int(back) < index and found == [], "an index that goes backwards: the client has to begin anew"


def test_leases_that_ran_out_while_it_was_down_have_run_out(registry, client):
    client.agent.service.register("orders", "orders-1", check=Check.ttl("50ms"))
    client.agent.check.ttl_pass("service:orders-1")
    registry.kill()
    time.sleep(0.06)
    registry.restart()
    assert ids(client.health.service("orders", passing=True)) == []


def test_a_paused_registry_answers_nobody_and_finds_out_afterwards(registry, client):
    client.agent.service.register("orders", "orders-1", check=Check.ttl("50ms"))
    client.agent.check.ttl_pass("service:orders-1")
    assert not registry.is_paused
    registry.pause()
    assert registry.is_paused
    with pytest.raises(requests.ReadTimeout):
        requests.get(f"{registry.url}/v1/status/leader", timeout=0.1)
    registry.resume()
    assert ids(client.health.service("orders", passing=True)) == []
    registry.pause()
    registry.stop()


def test_self_preservation_on_the_wire():
    """Ten instances, of which six fall silent at once, and nobody is removed: too few renewals come."""
    trace = Trace()
    rule = SelfPreservation(Random(1), renewal_interval=0.001, window=0.5, interval=0.1)
    with Registry(trace=trace, eviction=rule) as registry:
        session = requests.Session()
        for number in range(10):
            check = {"ttl": "300ms", "status": "passing"}
            session.put(registry.url + REGISTER, json={"name": "orders", "id": f"orders-{number}", "check": check})

        def silent():
            for number in range(4):
                session.put(f"{registry.url}/v1/agent/check/pass/service:orders-{number}")
            return [c for c in trace.changes if c.who == "registry" and c.value == "self-preservation"]

        until(silent)
        assert len(registry.instances("orders", passing=True)) == 10

        def back():
            for number in range(10):
                session.put(f"{registry.url}/v1/agent/check/pass/service:orders-{number}")
            return [change.value for change in trace.changes if change.who == "registry"][1:2] == ["running"]

        until(back)


# -- the trace ----------------------------------------------------------------------------------


def test_every_request_and_every_change_of_health_is_in_the_trace():
    trace = Trace()
    with Registry(trace=trace) as registry:
        client = consul.Consul(port=registry.port)
        traced(client.http.session, trace, "orders")
        client.agent.service.register("orders", "orders-1", check=Check.ttl("80ms"))
        index, _ = client.health.service("orders")
        client.agent.check.ttl_pass("service:orders-1")
        client.health.service("orders", index=int(index) + 1, wait="10s")
        client.agent.service.deregister("orders-1")
    states = [(change.who, change.value) for change in trace.changes]
    assert states == [
        ("orders-1", "critical"), ("orders-1", "passing"), ("orders-1", "critical"),
        ("orders-1", "deregistered"), ("registry", "down"),
    ]  # fmt: skip
    assert len(trace.messages) == 10 and all(message.received is not None for message in trace.messages)
    assert {(message.sender, message.receiver) for message in trace.messages} == {
        ("orders", "registry"), ("registry", "orders")
    }  # fmt: skip
    assert [call.status for call in trace.calls] == ["ok"] * 5
    waited = max(trace.calls, key=lambda call: call.end - call.start)
    assert all(work.end - work.start < (waited.end - waited.start) / 2 for work in trace.work), "to wait is no work"
    replies = [message.label for message in trace.messages if message.kind == "reply"]
    assert replies[3] == f"200 index {int(index) + 2}", "the answer that woke it says so"


def test_a_client_without_traceparent_has_the_lane_of_its_user_agent():
    trace = Trace()
    with Registry(trace=trace) as registry:
        requests.get(f"{registry.url}/v1/status/leader")
        requests.get(f"{registry.url}/v1/status/leader", headers={"User-Agent": "orders-1"})
    assert [message.sender for message in trace.messages if message.kind == "request"] == ["client", "orders-1"]
    assert [message.receiver for message in trace.messages if message.kind == "reply"] == ["client", "orders-1"]


def test_what_befalls_the_registry_is_in_the_trace():
    trace = Trace()
    registry = Registry(trace=trace).start()
    consul.Consul(port=registry.port).agent.service.register("orders", "orders-1")
    registry.pause()
    registry.resume()
    registry.kill()
    registry.restart(keep=False)
    registry.stop()
    assert [(change.who, change.value) for change in trace.changes] == [
        ("orders-1", "passing"), ("registry", "paused"), ("registry", "running"), ("registry", "down"),
        ("orders-1", "forgotten"), ("registry", "running"), ("registry", "down"),
    ]  # fmt: skip


# -- life, and a real Consul ----------------------------------------------------------------


def test_the_cell_may_be_run_again(registry, client, capsys):
    port = registry.port
    again = Registry().start()
    assert f"registry: replaced the one that ran on port {port}" in capsys.readouterr().out
    assert not registry.is_running and again.is_running
    with pytest.raises(ServerError, match="is not running"):
        registry.instances("orders")
    with Registry("other") as other:
        assert other.instances("orders") == [] and "0 instances" in str(other.table())
        assert other.url in repr(other) and other.url in str(running())


@pytest.mark.parametrize(
    "options, says",
    [
        ({"trace": 7}, "trace=7 is no trace"),
        ({"eviction": "ttl"}, "eviction='ttl' is no rule"),
        ({"port": -1}, "port=-1"),
    ],
)
def test_misuse_says_what_is_wrong_and_leaves_nothing_running(options, says):
    with pytest.raises(ServerError, match=says):
        Registry(**options).start()


def test_a_port_that_is_taken_is_refused(registry):
    with pytest.raises(ServerError, match="could not listen"):
        Registry("second", port=registry.port).start()


def test_the_same_cells_run_on_a_consul_elsewhere(registry, monkeypatch):
    monkeypatch.setenv("CONSUL_HTTP_ADDR", f"127.0.0.1:{registry.port}")
    with start_registry("elsewhere", trace=Trace(), seed=3) as real:
        assert (real.host, real.port, real.url) == ("127.0.0.1", registry.port, registry.url)
        client = consul.Consul(host=real.host, port=real.port)
        client.agent.service.register("orders", "orders-1")
        assert ids(client.health.service("orders")) == ["orders-1"]
        for cannot in (real.kill, real.restart, real.pause, real.table):
            with pytest.raises(ServerError, match="is a real Consul at .* Unset CONSUL_HTTP_ADDR"):
                cannot()
    assert registry.is_running, "what is not ours is not stopped"
    with pytest.raises(ServerError, match="knows TTL expiry only"):
        start_registry(eviction=SelfPreservation(Random(1)))
    monkeypatch.setenv("CONSUL_HTTP_ADDR", "127.0.0.1:1")
    with pytest.raises(ServerError, match="nothing answers at"):
        start_registry()
    monkeypatch.setenv("CONSUL_HTTP_ADDR", "ftp://x")
    with pytest.raises(ServerError, match="is no address of a Consul"):
        start_registry()
