# ruff: noqa: SIM105 (a swallowing `except: pass` is the mistake that is tested here)
"""Every way in which a learner's function can misbehave is an outcome that can be read, and we live on."""

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest

from servicelab import lifecycle
from servicelab.checks.leftovers import Leftovers, end_handlers
from servicelab.checks.limit import limited
from servicelab.checks.runner import run

# pytest notes a thread that ends with SystemExit; Python itself says nothing of it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")

LIMIT = 0.15
has_alarm = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timer on this system")


def elsewhere(function):
    """The result of ``function()`` in another thread, where no signal arrives."""
    box = []
    thread = threading.Thread(target=lambda: box.append(function()))
    thread.start()
    thread.join()
    return box[0]


@pytest.fixture(params=["main thread", "other thread"])
def go(request):
    """``run``, with time enough for a busy machine, in the main thread and in another."""

    def in_main(function, **options):
        return run(function, **{"limit": 30, **options})

    return in_main if request.param == "main thread" else lambda f, **o: elsewhere(lambda: in_main(f, **o))


@pytest.fixture(autouse=True)
def nothing_changed():
    """Signal handlers, timer, streams and trace function are what they were."""

    def state():
        signals = [signal.getsignal(s) for s in (signal.SIGINT, getattr(signal, "SIGALRM", signal.SIGINT))]
        return signals, sys.stdout, sys.stderr, sys.gettrace(), threading.excepthook, sys.unraisablehook

    before = state()
    yield
    assert state() == before


def loop():
    while True:
        pass


def test_returns(go):
    outcome = go(lambda: 7)
    assert (outcome.how, outcome.value, outcome.left) == ("returned", 7, ())
    assert str(outcome) == "it returned 7"


def test_arguments():
    assert run(lambda a, b: (a, b), 1, b=2).value == (1, 2)


def test_endless_loop(go):
    outcome = go(loop, limit=LIMIT)
    assert outcome.how == "time-limit" and not outcome.returned
    assert "still running after 0.15 s" in str(outcome) and "of loop: " in str(outcome)


@has_alarm
@pytest.mark.parametrize(
    "wait",
    [
        lambda: time.sleep(1e6),
        lambda: threading.Event().wait(),
        lambda: threading.Lock().acquire() and threading.Condition().__enter__() and threading.Event().wait(),
    ],
)
def test_endless_wait(wait):
    assert run(wait, limit=LIMIT).how == "time-limit"


@has_alarm
def test_endless_wait_on_a_socket():
    import socket

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def read():
            with socket.create_connection(server.getsockname()) as client:
                client.recv(1)

        outcome = run(read, limit=LIMIT)
    assert outcome.how == "time-limit" and "client.recv(1)" in str(outcome)


def swallow_exceptions():
    while True:
        try:
            time.sleep(0.001)
        except Exception:
            pass


def swallow_everything():
    while True:
        try:
            time.sleep(0.001)
        except BaseException:
            pass


def swallow_long_sleeps():
    while True:
        try:
            time.sleep(1000)
        except:  # noqa: E722 – the mistake this test is about
            pass


def swallow_twice():
    while True:
        try:
            try:
                time.sleep(1000)
            except BaseException:
                pass
        except BaseException:
            time.sleep(0.001)


def swallow_below():
    def inner():
        try:
            time.sleep(1000)
        except BaseException:
            pass

    while True:
        try:
            inner()
        except BaseException:
            pass


@has_alarm
@pytest.mark.parametrize(
    "function",
    [
        swallow_exceptions,
        swallow_everything,
        swallow_long_sleeps,
        swallow_twice,
        swallow_below,
    ],
)
def test_code_that_swallows_the_limit(function):
    assert run(function, limit=LIMIT).how == "time-limit"


@has_alarm
def test_a_limit_that_falls_into_a_finalizer_is_not_reported(monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: told.append(unraisable.exc_type))

    class Slow:
        def __del__(self):
            time.sleep(0.01)
            raise ValueError

    def make():
        while True:
            Slow()

    assert run(make, limit=LIMIT).how == "time-limit"
    assert set(told) == {ValueError}, "its own errors are reported as ever"


def test_code_that_swallows_the_limit_once_and_returns(go):
    def once():
        try:
            loop()
        except BaseException:
            return "as if nothing had been"

    outcome = go(once, limit=LIMIT)
    assert outcome.how == "time-limit" and outcome.value is None


def test_a_thread_that_will_not_end_is_given_up(monkeypatch):
    monkeypatch.setattr("servicelab.checks.limit.PATIENCE", 0.1)
    monkeypatch.setattr("servicelab.checks.leftovers.PATIENCE", 0.1)
    outcome = elsewhere(lambda: run(lambda: time.sleep(2), limit=0.05))
    assert outcome.how == "time-limit" and "could not be ended" in str(outcome)


@has_alarm
def test_its_own_clean_up_is_let_through():
    def tidy():
        try:
            time.sleep(1000)
        finally:
            time.sleep(0.05)
            print("tidied")

    assert run(tidy, limit=LIMIT).output == "tidied\n"


def test_an_exception_shows_only_the_learners_lines(go):
    def parse():
        import json

        return json.loads("{")

    outcome = go(parse)
    assert outcome.how == "exception" and isinstance(outcome.error, ValueError)
    assert "JSONDecodeError" in str(outcome) and 'of parse: return json.loads("{")' in str(outcome)
    assert "decoder.py" not in str(outcome) and len(str(outcome).splitlines()) == 2


def test_recursion(go):
    def down(n=0):
        return down(n + 1)

    outcome = go(down)
    assert "RecursionError" in str(outcome) and len(str(outcome).splitlines()) == 2


def test_exit(go):
    outcome = go(lambda: sys.exit(3))
    assert outcome.how == "exit" and "exit()" in str(outcome)


@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit, BaseException])
def test_raised_by_the_learner(go, error):
    def throw():
        raise error

    assert go(throw).how == "exception" and error.__name__ in str(go(throw))


def test_faulty_exception_and_faulty_repr():
    class Bad(Exception):
        def __str__(self):
            raise ValueError

        __repr__ = __str__

    def throw():
        raise Bad

    assert "Bad" in str(run(throw))
    assert "whose repr raises ValueError" in str(run(lambda: Bad()))


@pytest.mark.parametrize("thing", [None, 3, "f"])
def test_not_callable(thing):
    outcome = run(thing)
    assert outcome.how == "not-callable" and repr(thing) in str(outcome)


def test_coroutine_is_explained(recwarn):
    async def later():
        pass

    assert "await" in str(run(later))
    assert not [w for w in recwarn if "never awaited" in str(w.message)]


def test_flood_of_output_is_clipped(go, capsys):
    def flood():
        for _ in itertools.count():
            print("x" * 100)

    outcome = go(flood, limit=LIMIT)
    assert outcome.how == "time-limit"
    assert len(outcome.output) < 5000 and "more characters" in outcome.output
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("daemon", [True, False])
def test_thread_left_running(go, daemon):
    def start():
        threading.Thread(target=loop, name="poller", daemon=daemon).start()

    outcome = go(start)
    assert outcome.returned
    assert [(one.kind, one.name, one.ended) for one in outcome.left] == [("thread", "poller", True)]
    assert "poller" not in [thread.name for thread in threading.enumerate()]


def test_sleeping_thread_is_named_as_still_running(monkeypatch):
    monkeypatch.setattr("servicelab.checks.leftovers.PATIENCE", 0.1)
    wake = threading.Event()
    outcome = run(lambda: threading.Thread(target=wake.wait, name="sleeper", daemon=True).start())
    wake.set()
    assert [one.ended for one in outcome.left] == [False] and "could not be ended" in str(outcome.left[0])


def test_a_thread_that_is_ended_says_nothing_even_when_it_wakes_late():
    script = (
        "import threading, time\nfrom servicelab.checks import leftovers\n"
        "from servicelab.checks.runner import run\nleftovers.PATIENCE = .05\n"
        "def wait():\n    time.sleep(2)\n    time.sleep(1000)\n"
        "print(run(lambda: threading.Thread(target=wait).start()).left[0].ended)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_thread_that_ends_by_itself_is_no_leftover():
    assert run(lambda: threading.Thread(target=time.sleep, args=(0.02,)).start()).left == ()


class Plain(lifecycle.Server):
    """A server that accepts and says nothing."""

    def _open(self):
        import socket

        self.socket = socket.create_server(("127.0.0.1", 0))
        return self.socket.getsockname()[1]

    def _close(self):
        self.socket.close()


def test_server_left_running():
    outcome = run(lambda: Plain("orders").start() and None)
    assert [(one.kind, one.name, one.ended) for one in outcome.left] == [("server", "orders", True)]
    assert len(lifecycle.running()) == 0


def test_servers_that_ran_before_are_left_alone_and_keep_keeps():
    with Plain("mine") as mine:
        assert run(lambda: None).left == () and mine.is_running
        outcome = run(lambda: Plain("theirs").start(), keep=True)
        assert outcome.left == () and outcome.value.is_running
        outcome.value.stop()


def test_endless_handler_in_a_server_thread_is_ended_and_the_thread_lives():
    """As in our HTTP server: a pool's thread catches everything that a handler raises and waits for the next."""
    import queue

    jobs, done = queue.Queue(), []

    def pool():
        while (job := jobs.get()) is not None:
            try:
                job()
            except BaseException as error:
                done.append(type(error).__name__)

    thread = threading.Thread(target=pool_code(pool), name="servicelab orders 1", daemon=True)
    thread.start()
    jobs.put(loop)
    while not jobs.empty():
        time.sleep(0.005)
    before = Leftovers()
    end_handlers()
    assert done[:1] == ["TimeLimit"] and thread.is_alive() and before.end() == []
    jobs.put(None)
    thread.join(5)
    assert not thread.is_alive()


def test_a_thread_of_ours_that_cannot_be_ended_is_waited_for_once(monkeypatch):
    """A client of a check that waits for a lock of the learner's, which nobody releases: later checks are quick."""
    monkeypatch.setattr("servicelab.checks.leftovers.PATIENCE", 0.6)
    lock, told = threading.Lock(), []
    lock.acquire()

    def allow():
        lock.acquire()

    client = threading.Thread(target=pool_code(allow_aside), args=(allow, told), name="servicelab aside", daemon=True)
    client.start()
    took = []
    for _ in range(3):
        start = time.monotonic()
        end_handlers()
        took.append(time.monotonic() - start)
    lock.release()
    client.join(5)
    assert told == ["TimeLimit"] and took[0] > 0.5 and sum(took[1:]) < 0.3


def allow_aside(allow, told):
    try:
        allow()
        for _ in range(1000):  # what waits to be raised is raised here at the latest
            pass
    except BaseException as error:
        told.append(type(error).__name__)


def pool_code(function):
    """The function as if it came from a package of ours, not from the learner."""
    import types

    from servicelab.checks import leftovers

    return types.FunctionType(
        function.__code__.replace(co_filename=leftovers.__file__), function.__globals__, closure=function.__closure__
    )


@has_alarm
def test_nested_runs_keep_their_own_limits():
    seen = []

    def outer():
        seen.append(run(loop, limit=0.1).how)
        seen.append(run(lambda: 1, limit=30).how)
        loop()

    outcome = run(outer, limit=1)
    assert seen == ["time-limit", "returned"] and outcome.how == "time-limit"
    assert run(lambda: run(loop, limit=1000), limit=LIMIT).how == "time-limit"


@has_alarm
def test_short_limits_one_after_another_do_not_outrun_the_outer_one():
    seen = []

    def outer():
        for _ in range(1000):
            seen.append(run(loop, limit=0.2).how)

    assert run(outer, limit=0.5).how == "time-limit" and len(seen) <= 3


@has_alarm
def test_somebody_elses_timer_goes_on():
    rang = []
    old = signal.signal(signal.SIGALRM, lambda *_: rang.append(1))
    left = signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        run(loop, limit=0.05)
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
        run(lambda: None)
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
        signal.setitimer(signal.ITIMER_REAL, *left)


@pytest.mark.parametrize("function", [loop, swallow_everything])
def test_a_real_interrupt_interrupts(function):
    def interrupt():
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            run(function, limit=0.5 if function is swallow_everything else 60)
    finally:
        thread.join()
        signal.signal(signal.SIGINT, old)


def test_the_learners_random_numbers_stay_where_they_were():
    random.seed(1)
    run(loop, limit=0.05)
    drawn = random.random()
    random.seed(1)
    assert random.random() == drawn


@pytest.mark.parametrize("limit", [0, -1, None, "5"])
def test_bad_limit_is_refused(limit):
    with pytest.raises(ValueError, match="limit="):
        limited(lambda: None, limit)
