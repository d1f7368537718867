"""The space-time diagram: exact, readable, and nothing on top of anything."""

import math
import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from servicelab.trace import Message, Trace, reply_id
from servicelab.views import theme
from servicelab.views.drawing import Drawing
from servicelab.views.labels import crosses, shortened, text_width
from servicelab.views.selection import Run
from servicelab.views.spacetime import spacetime
from servicelab.views.timescale import CUT, RATIO, TimeScale, written_duration
from tests.conftest import require
from tests.runs import call, late_reply, nested, queueing, retries

SVG = "{http://www.w3.org/2000/svg}"
NAMES = [*theme.SERVICES, "users", "a service with a rather long name"]


def parsed(diagram):
    return ET.fromstring(diagram.svg)


def texts(diagram):
    return ["".join(node.itertext()) for node in parsed(diagram).iter(f"{SVG}text")]


# -- what must be there -----------------------------------------------------------------------


def test_svg_is_well_formed_and_has_a_title_and_a_description_for_screen_readers():
    diagram = spacetime(nested(), "One order & <five> conversations")
    root = parsed(diagram)
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == root.find(f"{SVG}title").get("id")
    assert root.get("aria-describedby") == root.find(f"{SVG}desc").get("id")
    assert root.find(f"{SVG}title").text == "One order & <five> conversations"
    said = root.find(f"{SVG}desc").text
    assert "client, gateway, orders, inventory, payment" in said
    assert "gateway sends POST /orders to orders; it arrives at" in said


def test_two_diagrams_on_one_page_have_different_ids():
    ids = [re.findall(r' id="([^"]+)"', spacetime(nested()).svg) for _ in range(2)]
    assert ids[0] and not set(ids[0]) & set(ids[1])


def test_background_is_white_whatever_the_theme():
    first = parsed(spacetime(nested())).find(f"{SVG}rect")
    assert first.get("fill") == "#FFFFFF" and first.get("width") == "900"


def test_lanes_keep_the_order_of_the_course_and_their_colours():
    diagram = spacetime(nested())
    pills = [name for name in texts(diagram) if name in theme.SERVICES]
    assert pills == ["client", "gateway", "orders", "inventory", "payment"]
    for name in pills:
        assert theme.SERVICES[name][0] in diagram.svg


def test_strangers_come_after_the_services_of_the_shop_in_order_of_appearance():
    assert theme.lanes(["zebra", "payment", "ape", "client", "zebra"]) == ["client", "payment", "zebra", "ape"]


def test_no_text_is_smaller_than_twelve_pixels():
    for trace in (nested(), late_reply(), queueing()):
        sizes = re.findall(r'font-size="([\d.]+)"', spacetime(trace, "x").svg)
        assert sizes and min(map(float, sizes)) >= 12


def test_text_alternative_is_the_table():
    diagram = spacetime(nested())
    bundle = diagram._repr_mimebundle_()
    assert "POST /payments" in bundle["text/plain"] and bundle["text/html"].count("<svg") == 1
    assert len(diagram.table()) == 8
    assert len(diagram.table(3)) == 3


def test_an_empty_trace_says_so():
    assert "Nothing was recorded." in texts(spacetime(Trace()))


def test_labels_are_escaped():
    trace = Trace()
    trace.receive(trace.send("client", "orders", '<b>&"', at=0), at=1)
    assert '<b>&"' in texts(spacetime(trace))


# -- what must be exact -----------------------------------------------------------------------


def arrows(diagram):
    """``{label: (dx, dy, dashed)}`` of every arrow between two lanes."""
    found = {}
    for path in parsed(diagram).iter(f"{SVG}path"):
        tip = path.find(f"{SVG}title")
        if tip is not None and (ends := re.fullmatch(r"M(\S+) (\S+)L(\S+) (\S+)", path.get("d"))):
            x1, y1, x2, y2 = map(float, ends.groups())
            found[tip.text.partition(":")[0]] = (x2 - x1, y2 - y1, path.get("stroke-dasharray") is not None)
    return found


def test_the_slope_of_an_arrow_is_its_latency():
    trace = Trace()
    for i, latency in enumerate((0.0, 0.010, 0.020, 0.040)):
        trace.receive(trace.send("client", "orders", f"m{i}", at=i * 0.05), at=i * 0.05 + latency)
    slopes = {label: dy / dx for label, (dx, dy, _) in arrows(spacetime(trace)).items()}
    assert slopes["m0"] == 0
    assert slopes["m2"] == pytest.approx(2 * slopes["m1"], rel=0.02)
    assert slopes["m3"] == pytest.approx(4 * slopes["m1"], rel=0.02)


def test_replies_are_dashed_and_go_back():
    found = arrows(spacetime(nested()))
    dx, dy, dashed = found["200"]
    assert dx < 0 < dy and dashed
    dx, dy, dashed = found["GET /stock/17"]
    assert dx > 0 and dy > 0 and not dashed


def test_a_lost_message_ends_in_a_cross_where_it_was_lost_and_says_why():
    trace = Trace()
    trace.receive(trace.send("client", "orders", "first", at=0), at=0.100)
    id = trace.send("client", "orders", "second", at=0.100)
    trace.lose(id, "dropped by the proxy", at=0.150)
    diagram = spacetime(trace)
    assert "dropped by the proxy" in texts(diagram)
    assert "is lost: dropped by the proxy" in diagram.description
    found = arrows(diagram)
    assert found["second"][1] == pytest.approx(found["first"][1] / 2, abs=4)
    assert abs(found["second"][0]) < 0.7 * abs(found["first"][0])
    assert diagram.svg.count(f'stroke="{theme.VERMILION}" stroke-width="3"') >= 2  # in the picture and in the legend


def test_a_timeout_is_a_dotted_line_as_long_as_the_timeout():
    diagram = spacetime(late_reply(), breaks=False)
    assert "timeout 500 ms" in texts(diagram) and "came too late" in texts(diagram)
    dotted = re.search(r'd="M\S+ ([\d.]+)V([\d.]+)" stroke="#D55E00" stroke-width="2" stroke-dasharray', diagram.svg)
    ticks = {
        text: float(y) for y, text in re.findall(r'y="([\d.]+)" text-anchor="end" fill="#555555">(\d+)<', diagram.svg)
    }
    per_ms = (ticks["800"] - ticks["0"]) / 800
    assert (float(dotted[2]) - float(dotted[1])) / per_ms == pytest.approx(500, rel=0.01)


def test_a_call_that_met_its_timeout_shows_no_dotted_line():
    trace = Trace()
    call(trace, "client", "orders", "GET /", 0, 0.001, 0.01, timeout=5.0)
    assert not any(text.startswith("timeout") for text in texts(spacetime(trace)))


def test_a_dripping_server_outlives_the_timeout_and_both_are_drawn():
    trace = Trace()
    id = call(trace, "client", "inventory", "GET /stock", 0, 0.01, 3.0, timeout=0.5)
    assert trace.calls[0].id == id and trace.calls[0].status == "ok"
    assert "timeout 500 ms" in texts(spacetime(trace))


def test_retries_carry_the_number_of_the_attempt():
    assert {"POST /payments", "#2 POST /payments", "#3 POST /payments"} <= set(texts(spacetime(retries())))


def test_waiting_is_thin_working_thick_and_a_worker_that_waits_is_hollow():
    diagram = spacetime(nested())
    bars = [(float(r.get("width")), r.get("fill")) for r in parsed(diagram).iter(f"{SVG}rect") if r.get("rx") != "5"]
    blue, dark = theme.SERVICES["orders"]
    assert (11.0, blue) in bars, "orders works"
    assert (3.0, dark) in bars and (8.0, "#FFFFFF") in bars, "orders is held while it waits for inventory"
    assert (4.0, theme.SERVICES["client"][1]) in bars, "the client waits"


def test_waiting_in_a_queue_is_a_thin_bar_on_the_lane_of_the_callee():
    dark = theme.SERVICES["orders"][1]
    free, full = Trace(), Trace()
    call(free, "client", "orders", "GET /", 0, 0.001, 0.01)
    call(full, "client", "orders", "GET /", 0, 0.001, 0.01, queue=0.02)
    thin = f'width="4" height="[0-9.]+" fill="{dark}"'
    assert not re.search(thin, spacetime(free).svg)
    assert re.search(thin, spacetime(full).svg)


def test_states_are_bands_with_their_names():
    trace = Trace()
    call(trace, "orders", "payment", "POST /", 0.0, 0.001, 0.01)
    for at, value in ((0.0, "closed"), (0.004, "open"), (0.009, "melting")):
        trace.state("orders", value, at=at)
    diagram = spacetime(trace)
    assert {"closed", "open", "melting"} <= set(texts(diagram))
    assert diagram.svg.count('width="17"') == 3
    assert "At 4 ms orders is open." in diagram.description


@pytest.mark.parametrize("apart", [0.001, 0.0015, 0.0025, 0.003])
def test_states_that_are_soon_over_are_named_in_their_order(apart):
    trace = Trace()
    moments = [0.001, 0.020, 0.020 + apart, 0.0215 + apart]
    for sender, receiver, at in (("orders", "queue", 0.0), ("queue", "orders", moments[2])):
        trace.receive(trace.send(sender, receiver, "order 7", at=at), receiver, at=at + 0.001)
    waiting = [
        "none waits, none is seen",
        "one waits, none is seen",
        "none waits, one is seen",
        "none waits, all are seen",
    ]
    for at, value in zip(moments, waiting):
        trace.state("queue", value, at=at)
    placed = re.findall(r' y="([0-9.]+)"[^>]*>([^<]*)<', spacetime(trace).svg)
    heights = {text: float(y) for y, text in placed if text in waiting}
    assert sorted(heights, key=heights.get) == waiting


def test_marks_stand_out_without_colour_alone():
    trace = nested()
    plain, marked = spacetime(trace), spacetime(trace, mark={trace.messages[2]: "this one was not needed"})
    assert theme.YELLOW not in plain.svg and theme.YELLOW in marked.svg
    assert "► GET /stock/17" in texts(marked) and "this one was not needed" in texts(marked)
    assert spacetime(trace, mark=trace.messages[2].id).svg.count("►") == 1
    assert spacetime(trace, mark=trace.messages[:2]).svg.count("►") == 2


def test_a_mark_that_is_not_in_the_run_is_no_error_but_is_said():
    assert "not in this run" in spacetime(nested(), mark="nowhere").note


# -- long and crowded runs --------------------------------------------------------------------


def many(count):
    trace = Trace()
    for i in range(count):
        call(trace, "client", ("orders", "inventory", "payment")[i % 3], f"GET /{i}", i * 0.01, 0.001, 0.004)
    return trace


def test_a_crowded_run_is_thinned_and_says_so():
    diagram = spacetime(many(100))
    assert "Showing 30 of 200 messages: the first 30." in texts(diagram)
    assert len(arrows(diagram)) >= 2 and diagram.svg.count("<title>") == 30


def test_thinning_keeps_the_marked_message():
    trace = many(100)
    id = next(call.id for call in trace.calls if call.label == "GET /70")
    diagram = spacetime(trace, mark=id)
    assert "► GET /70" in texts(diagram) and "GET /0" not in texts(diagram)
    assert "around the marked one" in diagram.note


def test_since_shows_only_what_came_after():
    trace = nested()
    mark = len(trace)
    call(trace, "client", "shipping", "POST /parcels", 500, 0.001, 0.01)
    diagram = spacetime(trace, since=mark)
    assert "shipping" in texts(diagram) and "payment" not in texts(diagram)


def test_a_long_silence_is_cut_and_its_length_is_said():
    diagram = spacetime(retries())
    assert [text for text in texts(diagram) if "cut out" in text] == ["3 s cut out"] * 2
    assert not any("cut out" in text for text in texts(spacetime(retries(), breaks=False)))
    assert diagram.height < 900


def test_no_cut_where_the_time_is_spent_evenly():
    assert not any("cut out" in text for text in texts(spacetime(nested())))


def test_where_words_find_no_room_shorter_silences_are_cut():
    trace = Trace()
    for number in range(15):  # two pauses, neither of them longer than all the rest
        at = 0.0002 * number + 0.006 * (number > 1) + 0.006 * (number > 10)
        told = trace.send("orders", "shipping", f"order {number} is paid, and goes to Quay Street", at=at)
        trace.receive(told, "shipping", at=at + 0.0001)
        trace.receive(trace.send("shipping", "orders", "when?", at=at + 0.00015), "orders", at=at + 0.00017)
    whole, cut = spacetime(trace, breaks=False), spacetime(trace)
    assert whole.left_out and not whole.svg.count("cut out")
    assert not cut.left_out and cut.svg.count("cut out") == 2


@pytest.mark.parametrize("run", [nested, late_reply, queueing, retries])
def test_labels_stand_beside_lifelines_and_bars(run):
    drawing = Drawing(Run(run(), 30, {}), "", 700.0, RATIO)
    level = [label for label in drawing.labels if label.box and not label.own and not label.box.angle]
    arrows = [label for label in drawing.labels if label.box and label.own]
    lifelines = [(x, drawing.top, x, drawing.bottom) for x in drawing.x.values()]
    assert [label.text for label in level + arrows if any(crosses(label.box, line) for line in lifelines)] == []


nanoseconds = st.integers(0, 10**10).map(lambda number: number / 1e9)  # no clock of ours tells less apart
times = st.lists(nanoseconds, min_size=2, max_size=30)


@given(points=times, flights=st.lists(st.tuples(nanoseconds, nanoseconds), max_size=6), scale=st.booleans())
def test_time_never_runs_backwards_and_no_flight_is_cut(points, flights, scale):
    if scale:  # a long silence somewhere
        points = [at if at < 5 else at + 1000 for at in points]
    flights = [(sent, sent + latency) for sent, latency in flights]
    points = points + [at for flight in flights for at in flight]
    axis = TimeScale(points, flights, 50, 400)
    ys = [axis.y(at) for at in sorted(points)]
    assert ys == sorted(ys) and ys[0] >= 50 and ys[-1] <= axis.bottom + 1e-6
    assert axis.bottom <= 50 + 400 + CUT * len(axis.cuts) + 1e-6
    for sent, received in flights:
        assert axis.y(received) - axis.y(sent) == pytest.approx((received - sent) * axis.rate, abs=0.01)
    ticks = [y for y, _ in axis.ticks()]
    assert ticks == sorted(ticks) and all(50 - 1e-6 <= y <= axis.bottom + 1e-6 for y in ticks)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (2.93, "2.93 s"),
        (3.0, "3 s"),
        (0.45, "450 ms"),
        (0.0124, "12.4 ms"),
        (0.0004, "0.4 ms"),
        (5e-5, "50 µs"),
        (0, "0 ms"),
    ],
)
def test_durations_are_written_in_the_unit_that_suits_them(seconds, text):
    assert written_duration(seconds) == text


# -- words never cover words ------------------------------------------------------------------


def _apart(a, b):
    """Is there a line between the two convex shapes? (Written anew: the test must not trust the code it tests.)"""
    for shape in (a, b):
        for (x1, y1), (x2, y2) in zip(shape, shape[1:] + shape[:1]):
            nx, ny = y2 - y1, x1 - x2
            size = math.hypot(nx, ny) or 1
            pa = [(x * nx + y * ny) / size for x, y in a]
            pb = [(x * nx + y * ny) / size for x, y in b]
            if max(pa) <= min(pb) + 1e-6 or max(pb) <= min(pa) + 1e-6:
                return True
    return False


def check_words(diagram):
    shapes = [(label.text, list(label.box.corners)) for label in diagram.labels]
    for text, corners in shapes:
        for x, y in corners:
            assert 0 <= x <= diagram.width and 0 <= y <= diagram.height, f"{text} leaves the picture"
    for i, (one, a) in enumerate(shapes):
        for other, b in shapes[i + 1 :]:
            assert _apart(a, b), f"{one!r} covers {other!r}"


seconds = st.floats(0, 2, allow_subnormal=False)
short = st.floats(0, 0.3, allow_subnormal=False)
words = st.text(st.characters(codec="utf-8", exclude_categories=("C",)), max_size=30)


@st.composite
def runs(draw):
    trace = Trace()
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=7, unique=True))
    for _ in range(draw(st.integers(0, 24))):
        caller, callee = draw(st.sampled_from(names)), draw(st.sampled_from(names))
        label, start = draw(words), draw(seconds)
        kind = draw(st.sampled_from(["call", "lost", "timeout", "message", "state", "under way"]))
        if kind == "state":
            trace.state(caller, draw(st.sampled_from(["open", "closed", "half-open", "drained"])), at=start)
        elif kind == "call":
            call(trace, caller, callee, label, start, draw(short), draw(short), attempt=draw(st.integers(1, 4)))
        elif kind == "timeout":
            limit = draw(short) + 0.001
            id = trace.start_call(caller, callee, label, timeout=limit, at=start)
            trace.send(caller, callee, label, id=id, at=start)
            trace.end_call(id, "timeout", at=start + limit)
        else:
            id = trace.send(caller, callee, label, kind="message", at=start)
            if kind == "lost":
                trace.lose(id, draw(words), at=start + draw(short))
            elif kind == "message":
                trace.receive(id, at=start + draw(short))
    return trace


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(trace=runs(), most=st.integers(1, 30), title=words, marked=st.booleans())
def test_words_never_cover_each_other_and_never_leave_the_picture(trace, most, title, marked):
    mark = trace.messages[-1] if marked and trace.messages else None
    diagram = spacetime(trace, title, most=most, mark=mark)
    ET.fromstring(diagram.svg)
    check_words(diagram)


@pytest.mark.parametrize("trace", [nested(), late_reply(), retries(), queueing(), many(10)])
def test_ordinary_runs_leave_no_word_out(trace):
    diagram = spacetime(trace, "A title")
    assert diagram.left_out == []
    check_words(diagram)


def test_words_that_find_no_room_are_counted():
    trace = Trace()
    for i in range(400):
        trace.receive(trace.send("client", "orders", f"message number {i}", at=0), at=0.001)
    diagram = spacetime(trace, most=400)
    assert diagram.left_out and f"{len(diagram.left_out)} labels left out" in diagram.svg
    check_words(diagram)


@given(words, st.floats(10, 200))
def test_shortened_text_fits(text, room):
    short = shortened(text, room, 13)
    assert text_width(short, 13) <= room or len(short) <= 2
    assert short == text or short.endswith("…")


def test_a_browser_draws_the_words_no_wider_than_their_boxes():
    chromium = require("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 920, "height": 900})
        for trace in (nested(), late_reply(), queueing(), retries()):
            diagram = spacetime(trace, "A title")
            page.set_content(f"<body style='margin:0'>{diagram.svg}")
            drawn = page.evaluate(
                "[...document.querySelectorAll('svg text')].map(t => {"
                "let b = t.getBBox(); return [t.textContent, b.x, b.x + b.width, t.getAttribute('class')]})"
            )
            outside = [text for text, left, right, _ in drawn if left < 0 or right > diagram.width]
            assert outside == [], "signs are cut off at the edge"
            drawn = [(text, left, right) for text, left, right, kind in drawn if kind == "label"]
            assert len(drawn) == len(diagram.labels)
            for (text, left, right), label in zip(drawn, diagram.labels):
                assert text == label.text
                assert left >= label.box.x - label.box.width / 2 - 1 and right <= label.box.x + label.box.width / 2 + 1
        browser.close()


# -- misuse -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"trace": "a string"}, TypeError, "wants a Trace, not str"),
        ({"most": 0}, ValueError, "most=0 must be at least 1"),
        ({"since": -1}, ValueError, "since=-1 must be a length"),
    ],
)
def test_misuse_names_the_value(arguments, error, said):
    with pytest.raises(error, match=said):
        spacetime(**{"trace": nested()} | arguments)


def test_id_of_reply_is_the_one_the_trace_uses():
    trace = nested()
    assert reply_id(trace.calls[0].id) in {message.id for message in trace.messages}


def test_a_reply_that_came_too_late_is_drawn_to_the_end_of_the_wait_not_before():
    trace = Trace()
    call(trace, "client", "orders", "GET /first", 0.0, 0.002, 0.02)
    id = trace.start_call("client", "orders", "GET /second", timeout=0.2, at=0.1)
    trace.send("client", "orders", "GET /second", id=id, at=0.1)
    trace.receive(id, at=0.102)
    trace.send("orders", "client", "held back", id=reply_id(id), kind="reply", at=0.11)
    trace.end_call(id, "timeout", at=0.3)
    found = arrows(spacetime(trace, breaks=False))
    assert found["held back"][1] > 50 * found["GET /first"][1]


def test_of_a_long_run_nothing_is_made_for_what_is_not_drawn(monkeypatch):
    long, made = Trace(), []
    for number in range(20_000):
        id = long.send("client", "orders", f"order {number}", at=number / 10)
        long.receive(id, at=number / 10 + 0.01)
    middle = long.messages[10_000]
    monkeypatch.setattr("servicelab.trace.Message", lambda *fields: made.append(fields) or Message(*fields))
    first, around = spacetime(long, most=30), spacetime(long, most=30, mark=middle)
    assert len(made) < 4_000
    assert first.note == "Showing 30 of 20000 messages: the first 30." and "order 29" in str(first.table())
    assert "from number 9986 on" in around.note and "order 10000" in around.description + around.svg


def test_the_kind_of_a_message_is_kept_once():
    run = Trace()
    run.send("client", "orders", "order 1")
    run.send("client", "orders", "order 2")
    assert run.events[0].more is run.events[1].more
