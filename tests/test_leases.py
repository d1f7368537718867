"""The lease logic: no clock, no socket; time is what the test says."""

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from servicelab.leases import (
    CRITICAL,
    KV,
    PASSING,
    WARNING,
    Catalog,
    Check,
    Node,
    NotATTLCheck,
    PanicThreshold,
    SelfPreservation,
    Service,
    TTLExpiry,
    UnknownCheck,
    UnknownService,
)
from servicelab.leases.deadlines import Deadlines
from servicelab.leases.eviction import NeverEvict

IDS = ["orders-1", "orders-2", "payment-1"]


def orders(number=1, **more):
    return Service(f"orders-{number}", "orders", "127.0.0.1", 8000 + number, **more)


def passing(catalog, name="orders"):
    return [instance.service.id for instance in catalog.instances(name, passing=True)]


def kinds(events):
    return [event.what for event in events]


# -- one lease ------------------------------------------------------------------------------


def test_a_new_instance_is_critical_until_it_is_heard_of():
    catalog = Catalog()
    catalog.register(0, orders(), [Check(ttl=10)])
    assert passing(catalog) == []
    assert [i.status for i in catalog.instances("orders")] == [CRITICAL]
    catalog.renew(1, "service:orders-1")
    assert passing(catalog) == ["orders-1"]


def test_a_lease_ends_exactly_at_its_ttl_and_a_late_heartbeat_begins_a_new_one():
    catalog = Catalog()
    catalog.register(0, orders(), [Check(ttl=10)])
    catalog.renew(2, "service:orders-1", output="fine")
    assert catalog.next_deadline() == 12
    assert catalog.advance(11.999) == []
    (event,) = catalog.advance(100)
    assert (event.at, event.what, event.service_id, event.status) == (12, "expired", "orders-1", CRITICAL)
    assert catalog.check("service:orders-1").output == "TTL expired (last output before timeout follows): fine"
    assert catalog.next_deadline() is None
    assert kinds(catalog.renew(101, "service:orders-1")) == ["status"]
    assert catalog.next_deadline() == 111


def test_a_heartbeat_that_comes_too_late_finds_the_lease_ended_first():
    catalog = Catalog()
    catalog.register(0, orders(), [Check(ttl=10, status=PASSING)])
    events = catalog.renew(30, "service:orders-1")
    assert [(event.at, event.what, event.status) for event in events] == [
        (10, "expired", CRITICAL),
        (30, "status", PASSING),
    ]


def test_a_service_without_checks_is_passing_and_the_worst_check_counts():
    catalog = Catalog()
    catalog.register(0, orders())
    assert passing(catalog) == ["orders-1"]
    catalog.add_check(1, Check("disk", service_id="orders-1", kind="http", status=WARNING))
    catalog.add_check(1, Check("cpu", service_id="orders-1", kind="http", status=PASSING))
    assert catalog.instances("orders")[0].status == WARNING and passing(catalog) == []
    catalog.report(2, "cpu", CRITICAL)
    assert catalog.instances("orders")[0].status == CRITICAL
    catalog.remove_check(3, "cpu")
    catalog.report(3, "disk", PASSING)
    assert passing(catalog) == ["orders-1"]


def test_a_check_of_the_node_concerns_every_service_on_it():
    catalog = Catalog()
    catalog.register(0, orders(1, node="a"))
    catalog.register(0, orders(2, node="b"))
    before = catalog.index_of("orders")
    catalog.add_check(1, Check("ping", kind="tcp", node="a"))
    assert passing(catalog) == ["orders-2"]
    assert catalog.index_of("orders") > before
    catalog.remove_node(2, "a")
    assert [node.name for node in catalog.nodes()] == ["b"] and catalog.checks() == []


def test_several_checks_get_consuls_ids():
    catalog = Catalog()
    catalog.register(0, orders(), [Check(ttl=5), Check(kind="http"), Check("own", kind="http")])
    assert [check.id for check in catalog.checks(service="orders")] == [
        "service:orders-1:1",
        "service:orders-1:2",
        "own",
    ]


def test_registering_again_keeps_the_status_and_starts_the_ttl_again():
    catalog = Catalog()
    catalog.register(0, orders(), [Check(ttl=10)])
    catalog.renew(1, "service:orders-1")
    index = catalog.index
    assert catalog.register(9, orders(), [Check(ttl=10)]) == []
    assert catalog.index == index, "nothing changed, so nobody is woken"
    assert passing(catalog) == ["orders-1"] and catalog.next_deadline() == 19
    catalog.register(9, orders(tags=("new",)), [Check(ttl=10)])
    assert catalog.index == index + 1 and passing(catalog) == ["orders-1"]


def test_checks_that_are_not_named_again_go_only_when_told():
    catalog = Catalog()
    catalog.register(0, orders(), [Check("a", ttl=10), Check("b", ttl=10)])
    catalog.register(1, orders(), [Check("a", ttl=10)])
    assert [check.id for check in catalog.checks()] == ["a", "b"]
    catalog.register(2, orders(), [Check("a", ttl=10)], replace_checks=True)
    assert [check.id for check in catalog.checks()] == ["a"] and catalog._leases == 1


def test_an_instance_that_takes_another_name_is_gone_from_the_old_one():
    catalog = Catalog()
    catalog.register(0, Service("one", "orders"), [Check(ttl=5)])
    catalog.register(1, Service("one", "payment"))
    assert catalog.services() == {"payment": []}
    assert [check.service for check in catalog.checks()] == ["payment"]
    assert catalog.instances("orders") == []


def test_a_service_that_stays_critical_is_removed():
    catalog = Catalog()
    catalog.register(0, orders(), [Check(ttl=10, deregister_after=60)])
    catalog.renew(5, "service:orders-1")
    events = catalog.advance(1000)
    assert [(event.at, event.what) for event in events] == [(15, "expired"), (75, "deregistered")]
    assert catalog.instances("orders") == [] and catalog.checks() == [] and catalog._leases == 0


def test_a_recovery_in_between_starts_the_wait_anew():
    catalog = Catalog()
    catalog.register(0, orders(), [Check(kind="http", deregister_after=60)])
    assert catalog.next_deadline() is None, "critical because never heard of: the wait has not begun"
    catalog.report(10, "service:orders-1", CRITICAL)
    catalog.report(50, "service:orders-1", CRITICAL)
    assert catalog.next_deadline() == 70
    catalog.report(60, "service:orders-1", PASSING)
    assert catalog.next_deadline() is None
    catalog.report(61, "service:orders-1", CRITICAL)
    assert catalog.next_deadline() == 121


# -- the index ------------------------------------------------------------------------------


def test_the_index_of_a_service_moves_with_it_alone():
    catalog = Catalog()
    assert catalog.index == catalog.index_of("orders") == 1
    catalog.register(0, orders(), [Check(ttl=10)])
    catalog.register(0, Service("payment-1", "payment"))
    before = catalog.index_of("orders")
    catalog.report(1, "service:orders-1", PASSING)
    assert catalog.index_of("orders") == catalog.index == before + 2
    before = catalog.index_of("orders")
    catalog.deregister(2, "payment-1")
    assert catalog.index_of("orders") == before and catalog.index_of("payment") == catalog.index


def test_a_heartbeat_moves_no_index():
    catalog = Catalog()
    catalog.register(0, orders(), [Check(ttl=10, status=PASSING)])
    index = catalog.index
    assert kinds(catalog.renew(1, "service:orders-1", output="other words")) == ["renewed"]
    assert catalog.index == index and catalog.check("service:orders-1").output == "other words"


def test_who_waits_for_a_service_that_does_not_exist_hears_of_vanished_ones():
    catalog = Catalog()
    catalog.register(0, orders())
    before = catalog.index_of("nobody")
    catalog.deregister(1, "orders-1")
    assert catalog.index_of("nobody") == catalog.index > before


# -- misuse ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "act, error, says",
    [
        (lambda c: c.deregister(1, "none"), UnknownService, "no service 'none'"),
        (lambda c: c.renew(1, "none"), UnknownCheck, "no check 'none'"),
        (lambda c: c.renew(1, "service:orders-1", "fine"), ValueError, "status='fine' must be one of passing"),
        (lambda c: c.renew(1, "web"), NotATTLCheck, "no TTL to renew"),
        (lambda c: c.report(-1, "web", PASSING), ValueError, "now=-1 lies before 0"),
        (lambda c: c.add_check(1, Check(ttl=3)), ValueError, "needs an id"),
        (lambda c: c.add_check(1, Check("x", ttl=3, service_id="none")), UnknownService, "no service 'none'"),
        (lambda c: Check(ttl=0), ValueError, "ttl=0 must be > 0 seconds"),
        (lambda c: Check(kind="http", ttl=3), ValueError, "ttl=3 does not fit kind='http'"),
        (lambda c: Service("", "orders"), ValueError, "id='' must be"),
        (lambda c: Service("a", "orders", port=70000), ValueError, "port=70000"),
        (lambda c: SelfPreservation(7), TypeError, "rng=7 must be a random.Random"),
        (lambda c: SelfPreservation(Random(1), window=0), ValueError, "window=0 must be > 0"),
        (lambda c: PanicThreshold(50), ValueError, "threshold=50 must be a share"),
    ],
)
def test_misuse_says_what_is_wrong_and_changes_nothing(act, error, says):
    catalog = Catalog()
    catalog.register(0, orders(), [Check(ttl=10)])
    catalog.add_check(0, Check("web", kind="http", service_id="orders-1"))
    index, checks = catalog.index, catalog.checks()
    with pytest.raises(error, match=says):
        act(catalog)
    assert (catalog.index, catalog.checks()) == (index, checks)


# -- eviction -------------------------------------------------------------------------------


def test_self_preservation_needs_more_renewals_than_eurekas_formula_says():
    rule = SelfPreservation(Random(1))
    # Eureka's own example: 100 clients that renew every 30 s, 0.85: 170 a minute.
    assert [rule.needed(n) for n in (100, 10, 3, 1)] == [170, 17, 5, 1]
    for count, preserving in ((17, True), (18, False)):
        rule = SelfPreservation(Random(1))
        rule.begin(0)
        for i in range(count):
            rule.renewed(i)
        assert rule.is_preserving(59, 10), "the first window is not complete"
        assert rule.renewals(60) == count and rule.is_preserving(60, 10) is preserving
        assert rule.renewals(119.9) == count and rule.renewals(120) == 0
        rule.renewed(130)
        assert rule.renewals(300) == 0, "a silence of more than a window is a window without renewals"


def shop(rule, instances=20, ttl=90.0, until=600.0, cut=(), cut_at=300.0):
    """Instances that renew every 30 s, some of which cannot be heard any more from ``cut_at`` on."""
    catalog = Catalog(rule)
    for number in range(instances):
        catalog.register(0, orders(number), [Check(ttl=ttl, status=PASSING)])
    events, beats = (
        [],
        [(number + 30.0 * beat, number) for beat in range(int(until / 30)) for number in range(instances)],
    )
    for at, number in sorted(beats):
        if at > cut_at and number in cut:
            continue
        events += catalog.advance(at)
        if catalog.service(f"orders-{number}"):
            events += catalog.renew(at, f"service:orders-{number}")
    return catalog, events


def test_a_single_crash_is_evicted_and_half_a_shop_is_not():
    catalog, events = shop(SelfPreservation(Random(1)), cut={3})
    assert kinds(events).count("evicted") == 1 and len(passing(catalog)) == 19

    half = set(range(10))
    catalog, events = shop(SelfPreservation(Random(1)), cut=half)
    assert "preserved" in kinds(events) and "evicted" not in kinds(events)
    assert len(passing(catalog)) == 20, "everybody is kept, the ten who are gone too"

    catalog, events = shop(TTLExpiry(), cut=half)
    assert sorted(passing(catalog)) == sorted(f"orders-{n}" for n in range(10, 20))
    catalog, events = shop(NeverEvict(), cut=half)
    assert len(passing(catalog)) == 20 and set(kinds(events)) == {"renewed"}


def test_one_sweep_removes_no_more_than_the_threshold_allows():
    """Enough renewals come, but more leases than 15% have run out: some clients renew more often than they must."""
    rule = SelfPreservation(Random(1))
    catalog = Catalog(rule)
    for number in range(20):
        catalog.register(0, orders(number), [Check(ttl=90, status=PASSING)])
    for second in range(1, 60):
        catalog.renew(second, "service:orders-0")
    assert catalog.next_deadline() == 120, "run out at 90; the sweeps come every 60 s"
    for second in range(60, 120):
        catalog.renew(second, "service:orders-0")
    events = catalog.advance(120)
    assert kinds(events) == ["evicted"] * 3 + ["preserved"]
    assert catalog.next_deadline() == 180


def test_self_preservation_ends_when_the_renewals_come_back():
    rule = SelfPreservation(Random(1))
    catalog = Catalog(rule)
    for number in range(10):
        catalog.register(0, orders(number), [Check(ttl=90, status=PASSING)])
    assert kinds(catalog.advance(200)) == ["preserved", "preserved"]
    for at in range(240, 300):
        for number in range(9):
            catalog.renew(at, f"service:orders-{number}")
    assert kinds(catalog.advance(300)) == ["evicted"]
    assert catalog.instances("orders")[0].service.id == "orders-0" and len(catalog.instances("orders")) == 9


@settings(max_examples=60, deadline=None)
@given(
    instances=st.integers(1, 40), seed=st.integers(0, 999), silent=st.floats(0, 1), threshold=st.floats(0, 1),
    ttl=st.sampled_from([45.0, 90.0, 200.0]),
)  # fmt: skip
def test_no_sweep_removes_anybody_while_too_few_renew_nor_more_than_it_may(instances, seed, silent, threshold, ttl):
    rng = Random(seed)
    rule = SelfPreservation(Random(seed), threshold=threshold)
    catalog, renewed, last = Catalog(rule), [], {}
    for number in range(instances):
        catalog.register(0, orders(number), [Check(ttl=ttl, status=PASSING)])
        last[f"orders-{number}"] = 0.0
    beats = sorted((30 * beat + rng.random() * 30, number) for beat in range(15) for number in range(instances))
    for at, number in beats:
        registered = set(last)
        events = catalog.advance(at)
        if at > 150 and number < silent * instances:
            pass
        elif catalog.service(f"orders-{number}"):
            catalog.renew(at, f"service:orders-{number}")
            renewed.append(at)
            last[f"orders-{number}"] = at
        for sweep in sorted({event.at for event in events if event.what == "evicted"}):
            gone = [event.service_id for event in events if event.what == "evicted" and event.at == sweep]
            before, window = len(registered), int(sweep // 60)
            in_window = sum((window - 1) * 60 <= moment < window * 60 for moment in renewed if moment < sweep)
            assert sweep % 60 == 0 and in_window > int(before * 2 * threshold) > 0
            assert len(gone) <= before - int(before * threshold)
            assert all(last.pop(id) + ttl <= sweep for id in gone)
            registered -= set(gone)


def test_the_panic_threshold_uses_everybody_below_one_half():
    catalog = Catalog()
    for number in range(4):
        catalog.register(0, orders(number), [Check(ttl=10)])
    rule = PanicThreshold()
    for healthy, used in ((0, 4), (1, 4), (2, 2), (3, 3)):
        if healthy:
            catalog.renew(1, f"service:orders-{healthy - 1}")
        assert len(rule.choose(catalog.instances("orders"))) == used
    assert rule.choose([]) == [] and PanicThreshold(0).choose([1, 2], is_healthy=lambda _: False) == []


# -- a run does not depend on how often somebody looks --------------------------------------


@pytest.mark.parametrize("make", [TTLExpiry, NeverEvict, lambda: SelfPreservation(Random(3))])
def test_time_in_one_step_or_in_a_thousand_is_the_same(make):
    runs = []
    for step in (1, 0.25, 37):
        catalog, rng, events, at = Catalog(make()), Random(5), [], 0.0
        for number in range(6):
            catalog.register(0, orders(number), [Check(ttl=20, deregister_after=100 + number, status=PASSING)])
        while at < 400:
            until = at + rng.choice([3, 8, 30])
            while at + step < until:
                at += step
                events += catalog.advance(at)
                catalog.next_deadline()
            at = until
            events += catalog.advance(at)
            number = rng.randrange(6)
            if catalog.service(f"orders-{number}"):
                events += catalog.renew(at, f"service:orders-{number}")
        runs.append((events, catalog.checks()))
    assert runs[0] == runs[1] == runs[2]


# -- deadlines ------------------------------------------------------------------------------


def test_deadlines_agree_with_a_plain_dictionary():
    rng = Random(11)
    deadlines, plain = Deadlines(), {}
    for _ in range(5000):
        key, at = rng.randrange(8), rng.randrange(50)
        match rng.randrange(4):
            case 0 | 1:
                deadlines.set(key, at)
                plain[key] = at
            case 2:
                deadlines.clear(key)
                plain.pop(key, None)
            case 3:
                due = {key for key, when in plain.items() if when <= at}
                assert set(deadlines.take(at)) == due
                plain = {key: when for key, when in plain.items() if key not in due}
        assert deadlines.first() == min(plain.values(), default=None)
        assert len(deadlines._at) == len(plain)


def test_heartbeats_do_not_pile_up():
    deadlines = Deadlines()
    for beat in range(10_000):
        deadlines.set("orders-1", float(beat))
        deadlines.first()
    assert len(deadlines._heap) == 1


# -- everything at once ---------------------------------------------------------------------


class Leases(RuleBasedStateMachine):
    """Random registrations, heartbeats and silences, against a model that fits on a page."""

    def __init__(self):
        super().__init__()
        self.catalog, self.now = Catalog(), 0.0
        self.model = {}  # service id -> [status, expires at, critical since, ttl, deregister after]
        self.indices = {}

    def model_until(self, now):
        for id, (status, expires, since, ttl, after) in list(self.model.items()):
            if expires is not None and expires <= now:
                status, since, expires = CRITICAL, expires if since is None else since, None
            self.model[id] = [status, expires, since, ttl, after]
            if since is not None and after is not None and since + after <= now:
                del self.model[id]

    @rule(seconds=st.sampled_from([0, 0.5, 1, 3, 10, 40]))
    def time_passes(self, seconds):
        self.now += seconds
        self.catalog.advance(self.now)
        self.model_until(self.now)

    @rule(
        id=st.sampled_from(IDS), ttl=st.sampled_from([1.0, 5.0, 20.0]), after=st.sampled_from([None, 2.0, 15.0]),
        status=st.sampled_from([PASSING, CRITICAL]), tag=st.sampled_from(["a", "b"]),
    )  # fmt: skip
    def register(self, id, ttl, after, status, tag):
        service = Service(id, id[:-2], port=80, tags=(tag,))
        self.catalog.register(self.now, service, [Check(ttl=ttl, status=status, deregister_after=after)])
        old = self.model.get(id)
        since = old[2] if old and old[4] == after else None
        self.model[id] = [old[0] if old else status, self.now + ttl, since, ttl, after]

    @precondition(lambda self: self.model)
    @rule(data=st.data(), status=st.sampled_from([PASSING, WARNING, CRITICAL]))
    def heartbeat(self, data, status):
        id = data.draw(st.sampled_from(sorted(self.model)))
        self.catalog.renew(self.now, f"service:{id}", status)
        _, _, since, ttl, after = self.model[id]
        since = None if status != CRITICAL else self.now if since is None else since
        self.model[id] = [status, self.now + ttl, since, ttl, after]

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def leave(self, data):
        id = data.draw(st.sampled_from(sorted(self.model)))
        self.catalog.deregister(self.now, id)
        del self.model[id]

    @invariant()
    def agrees_with_the_model(self):
        found = {i.service.id: i.status for name in ("orders", "payment") for i in self.catalog.instances(name)}
        assert found == {id: entry[0] for id, entry in self.model.items()}

    @invariant()
    def nothing_is_overdue(self):
        due = self.catalog.next_deadline()
        assert due is None or due > self.now

    @invariant()
    def no_index_goes_back_and_none_stays_when_something_changed(self):
        for name in ("orders", "payment", "nobody"):
            index = self.catalog.index_of(name)
            seen = [(i.service.id, i.service.tags, i.status) for i in self.catalog.instances(name)]
            before, saw = self.indices.get(name, (0, seen))
            assert index >= before
            assert index > before or seen == saw
            self.indices[name] = index, seen
            assert index <= self.catalog.index


TestLeases = Leases.TestCase
TestLeases.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


# -- keys and values ------------------------------------------------------------------------


def test_check_and_set_writes_only_what_has_not_changed():
    kv = KV()
    assert kv.put("a", b"1", cas=0) and not kv.put("a", b"2", cas=0)
    index = kv.get("a").modify_index
    assert kv.put("a", b"2", cas=index) and not kv.put("a", b"3", cas=index)
    assert kv.get("a").value == b"2" and kv.get("a").create_index == index < kv.get("a").modify_index
    assert not kv.delete("a", cas=0) and not kv.delete("a", cas=index) and kv.get("a")
    assert kv.delete("a", cas=kv.get("a").modify_index) and kv.get("a") is None
    assert kv.delete("a"), "to delete what is not there is fine"


def test_writing_the_same_value_again_wakes_nobody_and_a_deletion_does():
    kv = KV()
    kv.put("shop/a", b"1")
    kv.put("shop/b", b"1")
    index = kv.index_under("shop/")
    kv.put("shop/b", b"1")
    assert kv.index_under("shop/") == index == kv.index_of("shop/b")
    kv.delete("shop/a")
    assert kv.index_under("shop/") > index
    kv.delete("shop/", recurse=True)
    assert kv.under("") == [] and kv.index_of("shop/b") == kv.index.value


def test_keys_up_to_a_separator():
    kv = KV()
    for key in ("shop/orders/timeout", "shop/orders/tries", "shop/name", "other"):
        kv.put(key, b"")
    assert kv.keys("shop/", "/") == ["shop/name", "shop/orders/"]
    assert kv.keys("shop/o") == ["shop/orders/timeout", "shop/orders/tries"]
    assert kv.keys() == ["other", "shop/name", "shop/orders/timeout", "shop/orders/tries"]


def test_a_node_that_moves_concerns_the_services_on_it():
    catalog = Catalog()
    catalog.set_node(0, Node("a", "10.0.0.1"))
    catalog.register(0, Service("orders-1", "orders", node="a"))
    assert catalog.instances("orders")[0].address == "10.0.0.1"
    before = catalog.index_of("orders")
    catalog.set_node(1, Node("a", "10.0.0.2"))
    assert catalog.instances("orders")[0].address == "10.0.0.2" and catalog.index_of("orders") > before
