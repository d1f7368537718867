"""The numbers of chapter 09, each in its band: the black hole, two looks, old news, rings, the fleet, connections."""

import socket
import subprocess
import sys
from collections import Counter
from contextlib import closing
from http.client import HTTPConnection
from random import Random

import numpy as np
import pytest

from servicelab import theory
from servicelab.lifecycle import ServerError
from servicelab.policies import HashRing, LeastOutstanding, OutlierEjection, PowerOfTwo, RandomChoice, RoundRobin
from servicelab.servers import TCPBalancer, foreign, serve
from servicelab.sim.fleet import fleet
from servicelab.views.demos.fleet import FleetPanel
from tests.waiting import wait_until

NAMES = [f"cart-{n}" for n in range(11)]


def drawn(balancer, callers):
    run = fleet(balancer, 10, 1, 400, callers=callers, factors=[0.05], failing={0})
    return run.calls[0] / run.calls.sum()


# -- the black hole -----------------------------------------------------------------------------


@pytest.mark.parametrize("callers", [10, 20, 40])
def test_from_ten_callers_on_the_failing_one_draws_what_the_formula_says(callers):
    formula = (1 / 0.05) / (1 / 0.05 + 9)
    assert drawn(LeastOutstanding(Random(1)), callers) == pytest.approx(formula, abs=0.05)
    assert drawn(PowerOfTwo(Random(1)), callers) < 0.2 + 0.03
    assert drawn(RoundRobin(), callers) == pytest.approx(0.1, abs=0.01)


def test_with_few_callers_it_draws_little_more_than_its_share():
    assert 0.1 < drawn(LeastOutstanding(Random(1)), 5) < 0.25


def test_an_ejector_closes_it_and_leaves_half_when_all_fail():
    law = OutlierEjection(LeastOutstanding(Random(1)), max_share=0.5)
    assert drawn(law, 20) < 0.05
    law = OutlierEjection(LeastOutstanding(Random(1)), max_share=0.5)
    fleet(law, 10, 1, 20, callers=20, failing=set(range(10)))
    assert len(law.ejected(20)) == 5


# -- two looks, old news ------------------------------------------------------------------------


def test_two_looks_are_close_to_the_supermarket_and_all_is_close_to_one():
    two, everything = (fleet(kind(Random(2)), 100, 0.9, 600) for kind in (PowerOfTwo, LeastOutstanding))
    assert two.time.mean() == pytest.approx(theory.supermarket(0.9), rel=0.08)
    assert 1.0 < everything.time.mean() < 1.2 and everything.longest <= 4 < two.longest


def test_on_old_news_two_looks_beat_all_and_then_chance_does_too():
    def mean(kind, news):
        return fleet(kind(Random(1)), 100, 0.9, 300, news=news).time.mean()

    assert mean(LeastOutstanding, 0) < mean(PowerOfTwo, 0)
    assert mean(LeastOutstanding, 2) > 1.3 * mean(PowerOfTwo, 2)
    assert mean(LeastOutstanding, 10) > 10 > 2 * mean(PowerOfTwo, 5)


def test_a_single_queue_at_random_is_that_of_mm1():
    assert fleet(RandomChoice(Random(1)), 100, 0.5, 400).time.mean() == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize("wrong", [{"n": 0}, {"load": 1.5}, {"until": 0}, {"news": -1}, {"load": 0}])
def test_a_fleet_that_cannot_run_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        fleet(RoundRobin(), **{"n": 2, "load": 0.5, "until": 10} | wrong)


# -- rings --------------------------------------------------------------------------------------


@pytest.mark.parametrize("points", [1, 10, 100])
def test_the_loads_of_a_ring_spread_as_the_formula_says(points):
    def spread(number):
        ring = HashRing([f"{number}-{name}" for name in NAMES[:10]], points)
        load = np.array(list(Counter(ring.name_of(key) for key in range(4000)).values()))
        return np.sqrt(np.sum((load - 400) ** 2) + (10 - len(load)) * 400**2) / np.sqrt(10) / 400

    # Of eight rings; the sample of 4 000 keys adds a little.
    assert np.mean([spread(number) for number in range(8)]) == pytest.approx(np.sqrt(0.9 / points), rel=0.35)


def test_a_hot_key_overloads_a_ring_and_a_bound_holds():
    weights = 1 / np.arange(1, 1001)
    wanted = np.random.default_rng(1).choice(1000, 3000, p=weights / weights.sum())

    def busiest(bound):
        ring, load = HashRing(NAMES[:10], bound=bound), [0] * 10
        for key in wanted:
            load[ring.pick(load, key=key)] += 1
        return max(load) / 300

    assert busiest(None) > 1.6 and busiest(1.25) <= 1.26 and busiest(1.1) <= 1.11


# -- a balancer of connections ------------------------------------------------------------------


@pytest.fixture
def echoes():
    servers = []
    for number in range(3):

        def app(environ, start_response, number=number):
            start_response("200 OK", [("Content-Length", "1")])
            return [str(number).encode()]

        servers.append(serve(app, name=f"echo-{number}"))
    yield servers
    for server in servers:
        server.stop()


def said(connection):
    connection.request("GET", "/")
    return connection.getresponse().read().decode()


def test_connections_come_in_turn_and_what_comes_on_one_stays_together(echoes):
    with TCPBalancer([one.address for one in echoes]) as balancer:
        heard = []
        for _ in range(4):
            with closing(HTTPConnection(*balancer.address, timeout=5)) as connection:
                heard.append({said(connection) for _ in range(3)})
        assert heard == [{"0"}, {"1"}, {"2"}, {"0"}] and balancer.chosen == [0, 1, 2, 0]


def test_the_choice_may_go_by_the_sender_and_a_dead_target_closes_the_line(echoes):
    echoes[1].stop()
    peers = []
    with TCPBalancer([one_address(one) for one in echoes], choose=lambda number, peer: peers.append(peer) or 1) as one:
        with socket.create_connection(one.address, 5) as connection:
            assert connection.recv(10) == b""
        assert peers[0][0] == "127.0.0.1"


def one_address(server):
    return server.address if server.is_running else ("127.0.0.1", 9)


def test_a_stop_ends_open_connections_and_leaves_no_thread(echoes):
    with TCPBalancer([one.address for one in echoes]) as balancer:
        connection = HTTPConnection(*balancer.address, timeout=5)
        assert said(connection) == "0"
    assert connection.sock.recv(10) == b""
    connection.close()
    wait_until(lambda: not balancer.is_running)


def test_no_targets_are_refused():
    with pytest.raises(ValueError, match=r"targets=\[\]"):
        TCPBalancer([])


# -- the panel ----------------------------------------------------------------------------------


@pytest.fixture
def panel():
    panel = FleetPanel(seed=1)
    yield panel
    panel.close()


def test_the_panel_opens_on_the_black_hole(panel):
    assert panel.bars[0].get_height() > 60 and "Instance 0 is failing fast" in panel.alt


def test_the_panel_shows_the_black_hole_and_its_cure(panel):
    def drawn_by(balancer):
        panel.set(balancer=balancer, state="failing fast", callers=20)
        return max(bar.get_height() for bar in panel.bars[:1])

    assert drawn_by("the least busy of all") > 60 > 25 > drawn_by("the less busy of two")
    assert drawn_by("least busy, and eject") < 5


# -- somebody else's server ---------------------------------------------------------------------

LISTENS = "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1])))\nwhile True: s.accept()"


def free_address():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()


def answers(address):
    try:
        socket.create_connection(address, 1).close()
    except OSError:
        return False
    return True


def test_it_listens_inside_the_block_and_is_gone_after_an_error_in_it():
    address = free_address()
    with pytest.raises(KeyError), foreign([sys.executable, "-c", LISTENS, str(address[1])], address):
        assert answers(address)
        raise KeyError
    wait_until(lambda: not answers(address))


def test_it_is_gone_when_whoever_started_it_is_killed():
    address = free_address()
    program = f"""
import sys
from servicelab.servers import foreign
with foreign([sys.executable, "-c", {LISTENS!r}, "{address[1]}"], {address!r}):
    print("up", flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as starter:
        assert starter.stdout.readline() == b"up\n" and answers(address)
        starter.kill()
    wait_until(lambda: not answers(address))


def test_a_program_that_ends_or_never_listens_is_an_error():
    with (
        pytest.raises(ServerError, match="ended by itself with 3"),
        foreign([sys.executable, "-c", "raise SystemExit(3)"], free_address()),
    ):
        pass
    with (
        pytest.raises(ServerError, match="does not listen"),
        foreign([sys.executable, "-c", "import time; time.sleep(60)"], free_address(), limit=0.3),
    ):
        pass
