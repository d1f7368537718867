"""What is particular to lab 04. Its catalogue is tested in test_labs."""

import threading

import pytest
import zmq

from servicelab.checks import lab04
from tests.lab04_answers import parcels
from tests.lab04_answers.join import Publisher, Subscriber
from tests.lab04_answers.reader import Reader
from tests.learners import never_returns

pytestmark = pytest.mark.usefixtures("nothing_is_left")


class PollsForEver(Publisher):
    """A poll, other than a receive, has no limit of its own."""

    def publish(self, events, subscribers):
        poller = zmq.Poller()
        poller.register(self.socket, zmq.POLLIN)
        poller.poll()
        never_returns()


def test_a_publisher_that_never_returns_is_a_report():
    report = lab04.check_join.report(PollsForEver, Subscriber)
    assert report.refused[0] == "nobody" and "publish still waits" in str(report)


class ReadsForEver(Reader):
    def read(self, wait):
        return self.socket.poll() and never_returns()


def test_a_reader_that_never_returns_is_a_report():
    assert lab04.check_reader.report(ReadsForEver).refused[0] == "time-limit"


class HasAThread(Reader):
    def __init__(self, context, addresses, keep):
        super().__init__(context, addresses, keep)
        self.over = threading.Event()
        threading.Thread(target=self.over.wait, daemon=True).start()

    def close(self):
        self.over.set()
        super().close()


def test_a_thread_that_ends_with_close_is_not_left_running():
    report = lab04.check_reader.report(HasAThread)
    assert report.passed, str(report)


class ReceivesInAThread(Reader):
    """The thread stands in a receive when the part ends, and nobody waits for it."""

    def __init__(self, context, addresses, keep):
        super().__init__(context, addresses, keep)
        self.other = context.socket(zmq.PULL)
        self.other.bind_to_random_port("tcp://127.0.0.1")
        threading.Thread(target=self.other.recv, daemon=True).start()

    def close(self):
        pass


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_socket_in_which_a_thread_waits_is_closed_with_the_part():
    assert lab04.check_reader.report(ReceivesInAThread).refused[0] == "left-open"


class Nowhere(Reader):
    def __init__(self, context, addresses, keep):
        super().__init__(context, ["nowhere"], keep)


def test_the_lines_of_pyzmq_are_not_the_learners():
    text = str(lab04.check_reader.report(Nowhere))
    assert "ZMQError" in text and "of __init__: super().__init__(" in text and "_zmq" not in text


def rows(event, Shipping):
    return {name: yours for name, yours, _ in lab04.try_out(event, Shipping).rows}


def test_what_thin_and_fat_events_cost():
    thin = rows(parcels.thin, parcels.Asks)
    fat = rows(parcels.with_more("card", "email"), parcels.Shipping)
    assert (thin["right parcels in the outage"], fat["right parcels in the outage"]) == (0, 20)
    assert (thin["calls back to orders"], fat["calls back to orders"]) == (21, 0)
    assert (thin["errors in hear"], fat["errors in hear"]) == (20, 0)
    assert (thin["private entries"], fat["private entries"]) == ("none", "card, email")
    assert thin["bytes of the largest event"] < 100 < fat["bytes of the largest event"] < 400
