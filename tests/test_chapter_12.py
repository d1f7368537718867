"""The numbers of chapter 12, each in its band, and what it says of the installed OpenTelemetry."""

import math
import socket
import threading

import grpc
import numpy as np
import prometheus_client
import pytest
import requests
from flask import Flask
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.grpc import client_interceptor, server_interceptor
from opentelemetry.instrumentation.grpc.grpcext import intercept_channel
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, StatusCode

from servicelab import theory
from servicelab.clients.telemetry import Instrumented, Spans, by_trace, trace_of
from servicelab.lifecycle import ServerError
from servicelab.servers import GRPCServer, Leaves, load_proto, serve
from servicelab.views.demos.hunt import INSTANCES, SIZES, Day

pytestmark = pytest.mark.usefixtures("nothing_is_left")

# -- the closed forms ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "p, n, share", [(0.01, 10, 0.096), (0.01, 100, 0.634), (0.001, 100, 0.095), (1e-4, 2000, 0.18)]
)
def test_the_fan_out_of_the_plan(p, n, share):
    assert theory.fan_out(p, n) == pytest.approx(share, abs=1.5e-3)


@pytest.mark.parametrize("requests, share", [(10_000, 0.095), (100_000, 0.632), (299_572, 0.95)])
def test_a_rare_failure_in_a_sample_of_one_per_cent(requests, share):
    assert theory.rare_kept(0.01, 0.001, requests) == pytest.approx(share, abs=5e-4)


@pytest.mark.parametrize(
    "q, bounds, counts, read",
    [
        (0.95, [0.1, 0.2, 0.3, 0.45], [0, 0, 0, 100, 0], 0.4425),  # all at 320 ms: the example of Prometheus' manual
        (0.95, [0.1, 0.2, 0.3, 0.45], [0, 0, 100, 0, 0], 0.295),  # all at 220 ms
        (0.99, [0, 5, 10], [0, 100, 0, 0], 4.95),
        (0.99, [1, 10], [0, 0, 7], 10),  # above the last bound
        (0.5, [1.0], [10, 0], 0.5),  # the first bucket begins at 0
        (0.5, [-1.0, 1.0], [10, 0, 0], -1.0),
        (0.5, [1.0], [0, 0], math.nan),
    ],
)
def test_a_quantile_is_read_off_buckets_as_prometheus_does(q, bounds, counts, read):
    assert theory.histogram_quantile(q, bounds, counts) == pytest.approx(read, nan_ok=True)


@pytest.mark.parametrize("bounds, counts", [([2, 1], [0, 0, 0]), ([1], [1]), ([], [1]), ([1], [-1, 2])])
def test_buckets_that_are_none_are_refused(bounds, counts):
    with pytest.raises(ValueError, match="bounds="):
        theory.histogram_quantile(0.5, bounds, counts)


@pytest.mark.parametrize("budget, window, rate", [(0.02, 1, 14.4), (0.05, 6, 6), (0.1, 72, 1)])
def test_the_burn_rates_of_the_workbook(budget, window, rate):
    assert theory.burn_rate(budget, window) == pytest.approx(rate)


@pytest.mark.parametrize("errors, minutes", [(1, 0.864), (0.1, 8.64), (0.0144, 60), (0.0143, math.inf), (0, math.inf)])
def test_an_alert_fires_the_sooner_the_worse_it_is(errors, minutes):
    assert theory.time_to_alert(errors, 14.4, 60, 0.999) == pytest.approx(minutes)


@pytest.mark.parametrize("slow_share, mean, true", [(0.5, 251, 389), (0.01, 251, 54)])
def test_the_mean_of_two_p99s_is_wrong_in_both_directions(slow_share, mean, true):
    rng, calls = np.random.default_rng(1), 400_000
    parts = [rng.exponential(s, int(calls * w)) for s, w in ((10, 1 - slow_share), (100, slow_share))]
    p99 = [np.quantile(part, 0.99) for part in parts]
    assert np.mean(p99) == pytest.approx(mean, rel=0.05)
    assert np.quantile(np.concatenate(parts), 0.99) == pytest.approx(true, rel=0.05)


# -- many small services ------------------------------------------------------------------------


def test_each_leaf_answers_at_its_own_address_after_its_time():
    def takes(leaf, question):
        return 0.3 if leaf == 1 and question == "slow" else 0.0

    with Leaves(3, takes) as leaves, socket.socket(type=socket.SOCK_DGRAM) as line:
        line.settimeout(5)
        for address in leaves.addresses:
            line.sendto(b"slow", address)
        assert [line.recv(9) for _ in range(3)][-1] == b"1"
        assert sorted(leaf for leaf, _ in leaves.served) == [0, 1, 2]
        assert max(leaves.served, key=lambda one: one[1])[0] == 1
    assert leaves.errors == []


@pytest.mark.parametrize("wrong, error", [((0, len), ValueError), ((501, len), ValueError), ((3, 0.1), ServerError)])
def test_leaves_that_cannot_be_are_refused(wrong, error):
    with pytest.raises(error, match=r"n=|takes="):
        Leaves(*wrong)


# -- spans --------------------------------------------------------------------------------------


@pytest.fixture
def spans():
    return Spans()


def traced_app(spans, name):
    app = Flask(name)
    FlaskInstrumentor().instrument_app(app, tracer_provider=spans.provider(name))
    return app


def test_a_call_through_two_services_is_one_trace_and_a_diagram(spans):
    back, front = traced_app(spans, "inventory"), traced_app(spans, "orders")
    back.add_url_rule("/", "stock", lambda: "7")
    front.add_url_rule("/", "order", lambda: requests.get(inventory.url).text)
    with (
        serve(back, name="inventory") as inventory,
        serve(front, name="orders") as orders,
        Instrumented(RequestsInstrumentor(), tracer_provider=spans.provider("unknown")),
        spans.provider("client").get_tracer("test").start_as_current_span("buy"),
    ):
        requests.get(orders.url)
    (one,) = by_trace(spans.ended()).values()
    assert [span.kind for span in one] == [SpanKind.INTERNAL, *[SpanKind.CLIENT, SpanKind.SERVER] * 2]
    trace = trace_of(one)
    ways = [(m.sender, m.receiver) for m in trace.messages]
    assert ways == [("client", "orders"), ("orders", "inventory"), ("inventory", "orders"), ("orders", "client")]
    assert all(m.received is not None and m.received >= m.sent for m in trace.messages)
    assert {work.who for work in trace.work} == {"client", "orders", "inventory"}
    assert not hasattr(requests.Session.send, "opentelemetry_instrumentation_requests_applied")


def test_no_spans_are_an_empty_trace_and_what_is_under_way_is_waited_for(spans):
    assert trace_of([]).messages == [] and spans.ended() == []
    span = spans.provider("orders").get_tracer("test").start_span("long")
    assert spans.ended(limit=0.01) == []
    threading.Timer(0.05, span.end).start()
    assert [one.name for one in spans.ended()] == ["long"]
    spans.clear()
    assert spans.ended() == []


def test_what_is_no_instrumentor_is_refused():
    with pytest.raises(ServerError, match="instrumentor=3"):
        Instrumented(3)


# -- what the chapter says of other people's software -------------------------------------------


def test_a_handler_that_raises_is_a_success_at_the_server(spans):
    proto = load_proto('syntax = "proto3";\npackage t12;\nmessage M {}\nservice S { rpc Do(M) returns (M); }')

    class Raises(proto.services.SServicer):
        def Do(self, request, context):
            raise ValueError

    watch = server_interceptor(tracer_provider=spans.provider("server"))
    pair = proto.services.add_SServicer_to_server, Raises()
    with GRPCServer([pair], "raises", interceptors=[watch]) as server, grpc.insecure_channel(server.target) as channel:
        channel = intercept_channel(channel, client_interceptor(tracer_provider=spans.provider("client")))
        with pytest.raises(grpc.RpcError):
            proto.services.SStub(channel).Do(proto.messages.M())
    said = {s.kind: (s.status.status_code, s.attributes["rpc.grpc.status_code"]) for s in spans.ended()}
    assert said == {SpanKind.CLIENT: (StatusCode.ERROR, 2), SpanKind.SERVER: (StatusCode.UNSET, 0)}


def test_a_streamed_answer_of_flask_ends_its_span_before_its_pieces_are_made(spans):
    app, tracer = traced_app(spans, "streams"), spans.provider("streams").get_tracer("test")

    @app.get("/")
    def pieces():
        def one():
            with tracer.start_as_current_span("piece"):
                yield "piece"

        return one()

    with serve(app, name="streams") as server:
        assert requests.get(server.url).text == "piece"
    ends = {span.name: span for span in spans.ended()}
    assert ends["piece"].parent is None and ends["GET /"].end_time < ends["piece"].end_time


def test_force_flush_is_content_when_nothing_arrived():
    class Away(SpanExporter):
        def export(self, batch):
            return SpanExportResult.FAILURE

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor := BatchSpanProcessor(Away()))
    provider.get_tracer("test").start_span("lost").end()
    batches = processor._batch_processor
    assert (batches._max_queue_size, batches._max_export_batch_size, batches._schedule_delay) == (2048, 512, 5)
    assert provider.force_flush() is True
    provider.shutdown()


def test_the_default_buckets():
    reader = InMemoryMetricReader()
    MeterProvider([reader], shutdown_on_exit=False).get_meter("t").create_histogram("h", unit="s").record(0.1)
    (point,) = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
    assert tuple(point.explicit_bounds[:4]) == (0, 5, 10, 25) and point.explicit_bounds[-1] == 10_000
    assert prometheus_client.Histogram.DEFAULT_BUCKETS[::14] == (0.005, math.inf)
    assert prometheus_client.Histogram.DEFAULT_BUCKETS[-2] == 10


# -- the panel ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(3))
def test_every_instrument_of_the_panel_names_the_same_place_but_only_two_know_articles(size, seed):
    day = Day(seed, size, 1000)
    found = {name: day.search(name) for name in ("logs", "metrics", "traces")}
    places = {name: culprit.partition(",")[0] for name, (culprit, _) in found.items()}
    assert len(set(places.values())) == 1
    assert (", for the" in found["logs"][0]) == (size == "one article") and "," not in found["metrics"][0]
    assert found["metrics"][1] == 4 * (INSTANCES + 3) < found["traces"][1] < found["logs"][1]
