"""The panels of the chapters: every control changes what is seen, and nothing is left behind."""

import re

import pytest
import requests
from flask import Flask

from servicelab.clients import traced
from servicelab.faults import FaultProxy
from servicelab.lifecycle import running
from servicelab.servers import serve
from servicelab.trace import Trace
from servicelab.views.demos.knee import LAWS, Knee, simulated
from servicelab.views.demos.wire import Wire
from servicelab.views.spacetime import spacetime


@pytest.fixture
def knee():
    panel = Knee(seed=1)
    yield panel
    panel.close()


@pytest.mark.parametrize("change", [{"load": 80}, {"workers": 4, "load": 80}, {"work": "always the same", "load": 80}])
def test_every_control_of_the_knee_changes_the_picture_and_the_sentence(knee, change):
    png, alt = knee.png, knee.alt
    knee.set(**change)
    assert knee.png != png and knee.alt != alt


def test_the_knee_says_the_formula(knee):
    knee.set(load=90)
    assert "the formula says 10.0" in knee.alt
    knee.set(work="always the same")
    assert "the formula says 5.5" in knee.alt


def test_start_sends_new_traffic_and_reset_brings_the_first_back(knee):
    knee.set(load=80)
    first = knee.alt
    knee.tick()
    knee.redraw()
    assert knee.alt != first
    knee.reset()
    knee.set(load=80)
    assert knee.alt == first


def test_real_requests_add_a_dot_and_leave_no_server(knee):
    knee.set(load=40)
    knee.measure(seconds=0.5)
    knee.redraw()
    ((load, times),) = knee.measured
    assert 0 < load <= 100 and times >= 1
    assert "Measured at" in knee.alt
    assert len(running()) == 0


@pytest.mark.parametrize("name", LAWS)
def test_every_law_of_work_has_the_mean_and_the_variance_it_claims(name):
    from servicelab.sim import Draws

    law, scv = LAWS[name]
    work = law(Draws(3), 200_000)
    assert work.mean() == pytest.approx(1, rel=0.02)
    assert work.var() == pytest.approx(scv, rel=0.1, abs=1e-12)


def test_more_varied_work_waits_longer():
    means = [
        simulated(5, 0.8, 1, LAWS[name][0]).mean() for name in ("always the same", "random", "mostly short, some long")
    ]
    assert means == sorted(means)


def test_the_wire_delays_the_order_by_what_the_slider_says():
    trace = Trace()
    app = Flask("orders")
    app.add_url_rule("/", "home", lambda: "here")
    with serve(app, "orders", trace=trace) as server, FaultProxy(server, name="wire") as proxy:
        customer = traced(requests.Session(), trace, "client")

        def order():
            mark = len(trace)
            customer.get(proxy.url)
            return spacetime(trace.since(mark), title="one order")

        wire = Wire(proxy, order)
        assert f"still-{wire.widget.model_id}" in wire.widget.children[0].value  # else both are seen
        before = wire.picture.value
        wire.slider.value = 100
        call = trace.calls[-1]
        assert call.end - call.start >= 0.1
        assert wire.picture.value != before and "<svg" in wire.picture.value
        assert len(proxy.toxics) == 0
        customer.close()
    wire.slider.value = 50
    assert re.search("have been stopped", wire.picture.value)
    wire.close()
