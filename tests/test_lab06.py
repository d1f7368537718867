"""What is particular to lab 06. Its catalogue is tested in test_labs."""

import pytest
from flask import Flask
from flask_socketio import SocketIO, emit

from servicelab.checks import lab06
from servicelab.checks.lab06.customer import Customer
from servicelab.servers.socketio import SocketIOServer
from servicelab.trace import Trace
from tests.lab06_answers import heartbeat, styles
from tests.lab06_answers.buffer import Buffer
from tests.lab06_answers.follow import plain
from tests.lab06_answers.heartbeat import Pulse
from tests.learners import leaves_a_thread, never_returns, raises

pytestmark = pytest.mark.usefixtures("nothing_is_left")


# -- code that does anything --------------------------------------------------------------------------


def test_an_endless_loop_is_a_report():
    report = lab06.check_follow.report(never_returns)
    assert report.refused == ["time-limit"] and "never_returns" in str(report)


class Spins(Pulse):
    def is_dead(self, now):
        while True:
            pass


def test_an_endless_method_is_a_report():
    report = lab06.check_heartbeat.report(Spins)
    assert report.refused == ["time-limit"] and "is_dead" in str(report)


def says(handler):
    def make_support():
        socketio = SocketIO(Flask("support"), async_mode="threading")
        socketio.on("enter")(handler)
        return socketio

    return make_support


@pytest.mark.parametrize(
    "handler, told", [(raises, "no such key"), (never_returns, "no answer in")], ids=["raises", "never ends"]
)
def test_a_handler_that_fails_is_a_report_with_its_error(handler, told):
    report = lab06.check_support.report(says(handler))
    assert report.refused == ["no-answer"], str(report)
    assert told in str(report)


class Lost(Buffer):
    def get(self, timeout):
        return raises()


def test_an_exception_in_a_method_is_a_report():
    report = lab06.check_buffer.report(Lost)
    assert report.refused == ["exception"] and "no such key" in str(report)


def test_a_thread_left_running_is_a_report():
    def follow(open_stream, handle, rng, sleep):
        if not handled:
            handled.append(True)
            leaves_a_thread()
        plain(open_stream, handle, rng, sleep)

    handled = []
    report = lab06.check_follow.report(follow)
    assert set(report.refused) == {"left-running"}, str(report)
    assert "my housekeeping" in str(report)


# -- what the exercises are given ---------------------------------------------------------------------


def test_a_customer_hears_in_the_order_in_which_it_was_sent_and_every_message_is_in_the_trace():
    socketio, trace = SocketIO(Flask("counting"), async_mode="threading"), Trace()
    socketio.on("count")(lambda last: [emit("number", n) for n in range(last)] and None)
    with SocketIOServer(socketio, "counting of the test", trace=trace, lane="support") as server:
        ann = Customer(server, trace, "ann")
        assert ann.call("count", 20)
        assert [one.data for one in ann.heard] == list(range(20))
        assert not ann.call("nobody listens to this")
        ann.close()
    arrived = [m.id for m in trace.messages if m.label == "number" and m.lost is None]
    assert arrived == [one.id for one in ann.heard]


def test_measure_knows_six_styles_and_says_so():
    with pytest.raises(ValueError, match="'carrier pigeon' is none of 'polling', 'long polling'"):
        lab06.measure("carrier pigeon")
    cost = lab06.measure("SSE")
    assert len(cost.latencies) == 15 and 40 < cost.bytes_per_event < 80


@pytest.mark.parametrize(
    "plan, words",
    [
        ({"style": "websocket", "bytes_per_second": 9}, "for vans: style='websocket' is none of the six"),
        ({"style": "SSE"}, "for vans: bytes_per_second is missing"),
        ({"style": "polling", "bytes_per_second": 9, "period": 0}, "period=0 is no pause at all"),
        ({"style": "SSE", "bytes_per_second": "9"}, "bytes_per_second='9' must be a number"),
        ("SSE", "it is 'SSE', which is no dict"),
    ],
    ids=["spelling", "missing", "no pause", "text", "a name"],
)
def test_what_is_no_plan_names_the_entry(plan, words):
    report = lab06.check_styles.report(lambda: {"vans": plan})
    assert report.refused == ["no-plan"] and words in str(report)


def test_numbers_in_a_report_have_no_exponent():
    report = str(
        lab06.check_styles.report(lambda: styles.by_heart() | {"vans": {"style": "SSE", "bytes_per_second": 4e5}})
    )
    assert "you expect 400000 bytes/s" in report


def test_a_method_that_raises_is_named_by_what_it_is_not_by_what_the_check_calls_it():
    stumbles, _ = heartbeat.WRONG["stumbles over strangers"]
    report = str(lab06.check_heartbeat.report(stumbles))
    assert "ping, pong and is_dead return" in report and "KeyError: b'hello'" in report and "live()" not in report
