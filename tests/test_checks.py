"""Reports, exercises, and what a check cell does in a kernel: for a lone learner and for a grader."""

import gc
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import nullcontext

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

from servicelab import lifecycle
from servicelab.checks import exercise as room
from servicelab.checks import stall
from servicelab.checks.answer import fingerprint
from servicelab.checks.exercise import Examiner, Exercise, exercise
from servicelab.checks.progress import Progress
from servicelab.checks.report import CheckFailed, Expectation, Report, finish
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.trace import Trace
from tests.conftest import ROOT
from tests.notebooks import client_for
from tests.waiting import interrupted_start, left, wait_until

# pytest notes a thread that ends with SystemExit; Python itself says nothing of it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")

GOOD = Expectation("it asks once", True, code="asks")
BAD = Expectation(
    "it gives up after 0.5 s",
    False,
    "it waited 3.1 s\n  line 2 of f: <get>",
    "What does timeout count?",
    "deadline-per-read",
)


@pytest.fixture(autouse=True)
def lone_learner(no_progress_of_mine, tmp_path):
    return Progress(tmp_path / "progress.json")


@pytest.fixture
def define():
    """``exercise("99", …)``, forgotten after the test."""
    yield lambda number=1, title="An exercise", **more: exercise("99", number, title, **more)
    for key in [key for key in room.exercises if key[0] == "99"]:
        del room.exercises[key]


def run_of(status="HTTP 503"):
    trace = Trace()
    call = trace.start_call("client", "orders", "GET /a")
    trace.send("client", "orders", "GET /a <b>", id=call)
    trace.receive(call, "orders")
    trace.end_call(call, status)
    return trace, call


# -- the report -----------------------------------------------------------------------------


def test_the_plain_text_shows_the_run_around_the_mark():
    trace, ids = Trace(), []
    for number in range(200):
        ids.append(trace.send("client", "orders", f"order {number}", at=float(number)))
        trace.receive(ids[-1], "orders", at=number + 0.5)
    text = str(Report("01", 2, [Expectation("x", False, mark=ids[150])], trace))
    assert "30 of 200 messages, those around the marked one" in text
    [marked] = [line for line in text.splitlines() if "▶" in line]
    assert marked.endswith("order 150") and "order 140" in text and "order 20" not in text
    begun = trace.start_call("client", "orders", "a call of which nobody stamped a message", at=100.2)
    last = [trace.send("client", "orders", f"at once {number}", at=300.0) for number in range(40)][-1]
    assert "at once 39" in str(trace.table(most=5, marks={last}))
    assert "order 100" in str(trace.table(most=5, marks={begun})) and "▶" not in str(trace.table(most=5))


def test_report_says_everything_in_plain_text():
    trace, call = run_of()
    report = Report("01", 2, [GOOD, BAD], trace, title="A deadline", printed="hello\n")
    text = str(report)
    assert not report.passed and report.refused == ["deadline-per-read"]
    assert "Lab 01, exercise 2: A deadline – not passed yet, 1 of 2 expectations met" in text
    for part in (
        "✓ met:     it asks once",
        "✗ not met: it gives up",
        "what happened: it waited 3.1 s",
        "line 2 of f: <get>",
        "next hint: What does",
        "hello",
        "GET /a <b>",
    ):
        assert part in text, part


def test_two_codes_with_the_same_words_are_one_line():
    asks, again = (Expectation("it asks once", passed, code=code) for passed, code in ((True, "one"), (True, "two")))
    assert Report("01", 2, [asks, again]).claims == [asks]
    bad = Expectation("it asks once", False, code="two")
    assert Report("01", 2, [asks, bad]).claims == [bad]


def test_what_stands_in_backticks_is_code_in_html():
    said = Expectation("nothing comes for `wait` seconds", False, "`x` < 3", "Where is `<wait>` used?")
    html = Report("01", 2, [said])._repr_html_()
    assert "for <code>wait</code> seconds" in html and "is <code>&lt;wait&gt;</code> used" in html
    assert "`x` &lt; 3" in html  # what happened is not the check's own text


def test_report_as_html_escapes_and_uses_words_beside_colour():
    trace, call = run_of()
    html = Report("01", 2, [GOOD, BAD], trace, mark=call, printed="<script>")._repr_html_()
    assert "✓" in html and "✗" in html and "not met" in html and ">met<" in html
    assert "&lt;get&gt;" in html and "<script>" not in html and "<svg" in html
    assert "could not be drawn" not in html
    assert html.count("<section") == html.count("</section>") == 1


def test_the_offending_message_is_marked():
    trace, call = run_of()
    report = Report("01", 2, [GOOD, Expectation("x", False, mark=call), Expectation("y", False, mark="other")], trace)
    assert report.mark == call
    drawn = report._repr_html_()
    assert re.sub(r"\d", "", drawn) != re.sub(r"\d", "", Report("01", 2, report.expectations[:1], trace)._repr_html_())


def test_a_picture_that_fails_does_not_hide_the_report(monkeypatch):
    import servicelab.views.spacetime as view

    def broken(*args, **kwargs):
        raise RuntimeError("no <picture>")

    monkeypatch.setattr(view, "spacetime", broken)
    html = Report("01", 2, [BAD], run_of()[0])._repr_html_()
    assert "no &lt;picture&gt;" in html and "<table>" in html and "not met" in html


def test_nothing_checked_is_not_passed():
    assert not Report("01", 1, []).passed
    assert Report("01", 1, [GOOD]).passed


def test_finish_keeps_a_pass_and_lets_a_lone_learner_go_on(lone_learner):
    failed = Report("01", 1, [BAD])
    assert finish(failed) is failed and not lone_learner.has_passed("01", 1)
    finish(Report("01", 1, [GOOD]))
    assert lone_learner.has_passed("01", 1)


def test_finish_raises_for_a_grader(monkeypatch):
    monkeypatch.setattr("servicelab.checks.report.STRICT", True)
    with pytest.raises(CheckFailed) as caught:
        finish(Report("01", 1, [BAD]))
    assert caught.value._render_traceback_() == str(caught.value.report).splitlines()
    assert finish(Report("01", 1, [GOOD])).passed


def test_a_graders_machine_keeps_no_progress_and_the_cell_has_no_value(monkeypatch, lone_learner, capsys):
    monkeypatch.setattr("servicelab.checks.report.GRADER", "autograde")
    assert finish(Report("01", 1, [GOOD])) is None, "nbgrader would look for points in it"
    assert "passed" in capsys.readouterr().out and not lone_learner.has_passed("01", 1)


LATER = """
import os
from servicelab.checks import report
os.environ.update(NBGRADER_EXECUTION="", SERVICELAB_STRICT="")
print(report.GRADER, report.STRICT)
"""


@pytest.mark.parametrize(
    "set_before, said",
    [
        ({}, "False"),
        ({"SERVICELAB_STRICT": "1"}, "True"),
        ({"NBGRADER_EXECUTION": "autograde"}, "autograde True"),
        ({"NBGRADER_EXECUTION": "validate"}, "validate True"),
    ],
)
def test_graded_code_cannot_switch_grading_off(set_before, said):
    unset = {"NBGRADER_EXECUTION": "", "SERVICELAB_STRICT": ""}
    env = os.environ | unset | set_before
    done = subprocess.run([sys.executable, "-c", LATER], env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == said, done.stderr


# -- how a check is written -----------------------------------------------------------------


def test_an_exercise_reads_as_a_list_of_expectations(define, lone_learner):
    @define(3, "Doubling", points=2)
    def doubling(ask, double):
        """Doubles."""
        value = ask.call(double, 4, returns=int)
        ask.need("wrong-value", "double(4) is 8", value == 8, f"it was {value}", "Two times.")
        ask.expect("no-floats", "double(.5) is 1", ask.call(double, 0.5) == 1)

    assert isinstance(doubling, Exercise) and doubling.points == 2 and room.exercises["99", 3] is doubling
    assert doubling(lambda x: 2 * x).passed and lone_learner.has_passed("99", 3)
    assert doubling.report(lambda x: x * x).refused == ["wrong-value"]
    assert doubling.report(lambda x: int(2 * x) if x > 1 else 0).refused == ["no-floats"]
    assert doubling.report(lambda x: None).refused == ["wrong-type"]
    assert doubling.report(lambda x: str(x)).refused == ["wrong-type"]
    assert "double(4) is 8" in str(doubling.report(lambda x: 8))


def endless(x):
    while True:
        pass


def raising(x):
    raise KeyError("total")


def leaving(x):
    exit_code = 1
    raise SystemExit(exit_code)


def stub(x): ...


def threading_on(x):
    threading.Thread(target=endless, args=(x,), name="left behind").start()
    return 8


@pytest.mark.parametrize(
    "answer, code, says",
    [
        (endless, "time-limit", "of endless: "),
        (raising, "exception", "KeyError: 'total'"),
        (leaving, "exit", "exit()"),
        (stub, "wrong-type", "it returned None"),
        (8, "not-callable", "it is no function but an int: 8"),
        (threading_on, "left-running", "thread 'left behind' (ended now)"),
    ],
)
def test_misbehaviour_is_a_readable_report(define, answer, code, says):
    @define()
    def check(ask, function):
        ask.call(function, 4, returns=int, limit=0.1 if function is endless else 30)

    report = check.report(answer)
    assert report.refused == [code] and says in str(report)
    assert "hint: " in str(report) and "runner.py" not in str(report)


@pytest.mark.parametrize("answer, code", [(endless, "time-limit"), (raising, "exception"), (leaving, "exit")])
def test_misbehaviour_outside_of_call_is_a_report_too(define, answer, code):
    @define(limit=0.2 if answer is endless else 30)
    def check(ask, function):
        ask.expect("first", "the first thing", True)
        function(4)

    report = check.report(answer)
    assert report.refused == [code] and len(report.expectations) == 2
    assert f"of {answer.__name__}: " in str(report)


def test_output_goes_into_the_report(define, capsys):
    @define()
    def check(ask, function):
        ask.call(function, "by the learner")
        ask.expect("x", "something", False)

    assert "by the learner" in str(check.report(print))
    assert capsys.readouterr().out == ""


def test_used_servers_stop_also_after_a_failure_and_with_an_endless_handler(define):
    import requests

    from servicelab.servers import serve

    def app(environ, start_response):
        while True:
            pass

    @define()
    def check(ask):
        server = ask.use(serve(app, "inventory", trace=ask.trace))
        with pytest.raises(requests.Timeout):
            requests.get(server.url, timeout=0.2)
        ask.need("x", "something", False)

    report = check.report()
    assert report.refused == ["x"], str(report)
    assert len(lifecycle.running()) == 0
    wait_until(lambda: not left())


def test_a_server_left_by_the_learner_is_stopped_and_named(define):
    from servicelab.servers import serve

    @define()
    def check(ask, function):
        ask.call(function, keep=True)
        ask.expect("x", "something", True)

    report = check.report(lambda: serve(lambda environ, start: [], "orders"))
    assert report.refused == ["left-running"] and "server 'orders' (ended now)" in str(report)
    assert len(lifecycle.running()) == 0


def test_a_thread_that_cannot_be_ended_is_reported_once(monkeypatch):
    monkeypatch.setattr("servicelab.checks.leftovers.PATIENCE", 0.1)
    wake, ask = threading.Event(), Examiner()
    ask.run(lambda: threading.Thread(target=wake.wait, name="sleeper", daemon=True).start())
    ask.close()
    wake.set()
    assert [e.code for e in ask.expectations] == ["left-running"]


def test_a_number_is_taken_once(define):
    @define(1)
    def one(ask):
        pass

    with pytest.raises(ValueError, match="has an exercise 1 already"):

        @define(1)
        def other(ask):
            pass


# -- in a kernel ----------------------------------------------------------------------------

DEFINE = """
from servicelab.checks.exercise import exercise
@exercise("99", 1, "Answer")
def check(ask, function):
    ask.expect("answers", "it returns a number", ask.call(function, returns=int, limit=1) is not None)
"""


@pytest.fixture
def kernel(tmp_path):
    """Runs cells one by one in a fresh kernel, and goes on after an error; gives the outputs of a cell."""
    notebook = nbformat.v4.new_notebook()
    client = client_for(notebook, tmp_path, timeout=60)
    with client.setup_kernel():

        def cell(source):
            notebook.cells.append(nbformat.v4.new_code_cell(source))
            client.execute_cell(notebook.cells[-1], len(notebook.cells) - 1)
            return notebook.cells[-1].outputs

        cell.client = client
        cell(DEFINE)
        yield cell


def test_a_failing_check_renders_for_a_learner_and_fails_the_cell_for_a_grader(kernel):
    [shown] = kernel("def answer():\n    while True: pass\ncheck(answer)")
    assert shown.output_type == "execute_result"
    assert "✗ not met" in shown.data["text/plain"] and "line 2 of answer: while True: pass" in shown.data["text/plain"]
    assert "<section" in shown.data["text/html"]
    kernel("from servicelab.checks import report\nreport.GRADER, report.STRICT = 'validate', True")
    with pytest.raises(CellExecutionError) as caught:
        kernel("check(answer)")
    assert caught.value.ename == "CheckFailed"
    [error] = kernel.client.nb.cells[-1].outputs
    assert error.traceback == caught.value.evalue.splitlines() and "✗ not met" in caught.value.evalue
    [passed] = kernel("check(lambda: 1)")
    assert passed.output_type == "display_data", "nbgrader takes the value of a cell for points"
    assert passed.data["text/plain"].startswith("Lab 99, exercise 1: Answer – passed")


def test_exit_in_a_notebook_does_not_end_the_kernel(kernel):
    [shown] = kernel("def answer():\n    exit()\ncheck(answer)")
    assert "line 2 of answer: exit()" in shown.data["text/plain"]
    time.sleep(0.2)
    assert kernel("1 + 1")[0].data["text/plain"] == "2"


def test_a_learner_can_interrupt_a_check(kernel):
    import asyncio

    async def interrupt():
        while not (kernel.client.nb.cells[-1].outputs):
            await asyncio.sleep(0.05)
        await kernel.client.km.interrupt_kernel()

    async def both(source):
        kernel.client.nb.cells.append(nbformat.v4.new_code_cell(source))
        index = len(kernel.client.nb.cells) - 1
        task = asyncio.ensure_future(interrupt())
        try:
            await kernel.client.async_execute_cell(kernel.client.nb.cells[index], index)
        finally:
            task.cancel()

    source = (
        "from servicelab.checks.runner import run\nfrom IPython.display import display\n"
        "def sleep():\n    import time\n    display('asleep')\n    time.sleep(1000)\nrun(sleep, limit=1000)"
    )
    with pytest.raises(CellExecutionError) as caught:
        asyncio.get_event_loop_policy().new_event_loop().run_until_complete(both(source))
    assert caught.value.ename == "KeyboardInterrupt"


def test_a_long_report_shows_what_to_mend_first_and_folds_the_rest():
    expectations = [Expectation(f"rule {n}", n % 2 == 0, "it was not", "mend it", f"code-{n}") for n in range(20)]
    shown, *folded = Report("01", 1, expectations)._repr_html_().split("<details>")
    assert [f"rule {n}" in shown for n in (1, 3, 5, 7)] == [True] * 4
    assert "rule 9" not in shown and "rule 0" not in shown
    assert "6 more not met" in folded[0] and "rule 9" in folded[0]
    assert "10 met" in folded[1] and "rule 0" in folded[1]
    assert all(f"rule {n}" in str(Report("01", 1, expectations)) for n in range(20))


@pytest.fixture
def still(monkeypatch):
    """The seconds for which the machine stands still, one number for each time that somebody watches."""

    class Watch:
        def __enter__(self):
            self.longest = seconds.pop(0)
            return self

        def __exit__(self, *error):
            pass

    seconds = []
    monkeypatch.setattr(stall, "StallWatch", Watch)
    return seconds


STALLS = pytest.mark.parametrize(("seconds", "times"), [([0.1], 1), ([0.9, 0.1], 2), ([0.9, 0.9, 0.9], 3)])


@STALLS
def test_who_measures_is_asked_again_when_the_machine_stood_still(still, seconds, times):
    still += seconds
    calls = []
    assert stall.calmly(lambda word: calls.append(word) or len(calls), "measure") == times
    assert calls == ["measure"] * times


@STALLS
def test_what_was_not_passed_while_the_machine_stood_still_is_checked_again(define, still, seconds, times):
    still += seconds
    wrong = [False] * times

    @define()
    def check(ask, answer):
        ask.expect("late", "it comes in time", wrong.pop())

    report = check.report(None)
    assert wrong == [] and report.refused == ["late"] and len(report.expectations) == 1
    assert ("The machine stood still for 0.9 s" in str(report)) == (times > 1)
    assert f"your code was checked {times} times" in str(report) or times == 1
    assert report._repr_html_().count("stood still") == (times > 1)


def test_a_second_check_that_the_time_does_not_suffice_for_says_nothing(define, still):
    still += [0.9, 0.1]
    begun = []

    @define(limit=1.0)
    def check(ask, answer):
        begun.append(1)
        if len(begun) > 1:
            time.sleep(30)
        ask.expect("late", "it comes in time", False)

    report = check.report(None)
    assert len(begun) == 2 and report.refused == ["late"]
    assert "The machine stood still for 0.9 s meanwhile: check again when it is quieter." in str(report)


def test_what_was_passed_is_not_checked_again(define, still):
    still += [0.9]

    @define()
    def check(ask, answer):
        ask.expect("late", "it comes in time", True)

    assert check.report(None).passed


def test_a_function_of_the_learner_that_is_asked_again_is_named(define, still):
    def measure(shop):
        return calls.append(shop) or len(calls)

    @define()
    def check(ask, function):
        ask.expect("late", "it comes in time", ask.calmly(function, "shop", returns=int) == 2)

    still += [0.1, 0.9, 0.1]  # the whole check, and in it two asks
    calls = []
    report = check.report(measure)
    assert report.passed and "so measure was asked again" in str(report)


def test_nothing_is_asked_again_that_would_not_end_in_time(still):
    still += [0.9, 0.9]
    assert stall.ask_calmly(lambda: 7, until=0.0).times == 1
    asked = stall.ask_calmly(lambda: 7, is_enough=lambda answer: answer == 7)
    assert (asked.answer, asked.times, asked.is_calm) == (7, 1, False)


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs a system that can suspend a process")
def test_a_process_that_was_suspended_is_seen_to_have_stood_still():
    suspend = "import os, signal, time; me = os.getppid(); os.kill(me, signal.SIGSTOP); time.sleep(0.5)"
    with stall.StallWatch() as watch:
        subprocess.run([sys.executable, "-c", f"{suspend}; os.kill(me, signal.SIGCONT)"], check=True)
    assert watch.longest > stall.LATE


def test_an_interrupt_while_the_watch_begins_leaves_no_thread(monkeypatch):
    with interrupted_start(monkeypatch, "servicelab check stall watch"), stall.StallWatch():
        pass
    gc.collect()  # what pytest keeps of the interrupt holds the watch in a circle
    wait_until(lambda: "servicelab check stall watch" not in left())


# -- a check in parts -----------------------------------------------------------------------

WORDS = words("""
wrong-value: double(4) is 8
    Two times,
    not squared.
too-large, too-small: double(0.5) is 1
    Floats, too.
kept: what was put in comes out
    Keep it.
left-out: the other one, too
    Twice.
""")


class Doubled(Stage):
    def double(self, value):
        self.last = self.ask.trace.send("check", "yours", f"double({value})")
        return self.call(self.yours, value, returns=float | int)


class Kept(Stage):
    def __init__(self, ask, Box, double=None):
        super().__init__(ask, Box)
        self.box = self.make(Box, methods=("put", "get"))


@pytest.fixture
def doubling(define):
    """Two objects, four parts: two of the first, one of the second, one of both."""
    check = scenario("99", 7, "Doubling in a box", WORDS, double=Doubled, Box=Kept)

    @check.part("double")
    def whole_numbers(d):
        found = d.double(4)
        yield "wrong-value", found == 8, f"it was {found}"

    @check.part("double")
    def halves(d):
        found = d.double(0.5)
        yield "too-large" if found > 1 else "too-small", found == 1, f"it was {found}"

    @check.part("Box")
    def keeps(k):
        k.call(k.box.put, 3)
        yield "kept", k.call(k.box.get) == 3, "it was gone"
        yield "left-out", k.call(k.box.get) == 3, "it was gone the second time"

    @check.part("Box", "double")
    def both(k):
        yield "kept", True, ""

    return check


class Box:
    def put(self, value):
        self.value = value

    def get(self):
        return self.value


class Pops(Box):
    def get(self):
        return vars(self).pop("value", None)


TITLES = ["whole numbers", "halves", "keeps", "both"]


@pytest.mark.parametrize(
    "answers, refused, parts",
    [
        ((lambda x: 2 * x, Box), [], [True, True, True, True]),
        ((lambda x: x * x, Box), ["wrong-value"], [False, None, True, None]),
        ((lambda x: 8 if x == 4 else 0, Box), ["too-small"], [True, False, True, None]),
        ((lambda x: 8, Pops), ["too-large", "left-out"], [True, False, False, None]),
        ((lambda x: 8, object), ["too-large", "no-methods"], [True, False, False, None]),
        ((lambda x: 1 / 0, Box), ["exception"], [False, None, True, None]),
        ((lambda x: 2 * x,), ["not-handed-over"], [True, True, None, None]),
        ((None, Box), ["not-handed-over"], [None, None, True, None]),
        ((), ["not-handed-over"], [None, None, None, None]),
        ((len, Box, 3), ["not-handed-over"], [None, None, None, None]),
    ],
)
def test_a_check_in_parts_goes_on_with_what_does_not_rest_on_what_failed(doubling, answers, refused, parts):
    report = doubling.report(*answers)
    assert report.refused == refused, str(report)
    assert report.parts == dict(zip(TITLES, parts)), "as many parts as ever, whatever the answer"
    assert ("not tried" in str(report).lower()) == (None in parts)
    assert report.passed == (refused == [])


def test_the_headline_says_how_many_parts_there_are_and_where_it_stopped(doubling):
    report = doubling.report(lambda x: 8, Pops)
    assert "not passed yet, 1 of 4 parts passed; stopped in part 2 (halves) and 3 (keeps)" in report.headline
    assert "Not tried, for they rest on what is not met: both." in str(report)
    assert "Not tried" in report._repr_html_()
    assert doubling.report(lambda x: 2 * x, Box).headline.endswith("– passed")


def test_of_many_open_parts_the_headline_names_the_first():
    parts = {"status": True} | dict.fromkeys("abcdefgh", False)
    headline = Report("01", 1, [Expectation("it answers", False)], parts=parts).headline
    assert headline.endswith("not passed yet, 1 of 9 parts passed; begin with part 2 (a)")


def test_the_last_message_of_the_stage_is_marked_and_each_part_has_a_trace_of_its_own(doubling):
    report = doubling.report(lambda x: 8 if x == 4 else "text", Box)
    [message] = report.trace.messages
    assert report.mark == message.id and message.label == "double(0.5)"
    assert "Your run of part 2 (halves):" in str(report) and "Your run of part 2 (halves):" in report._repr_html_()


@pytest.mark.parametrize("box, lines", [(Box, ["✓ met:"]), (Pops, ["✓ met:"]), (object, [])])
def test_what_is_met_several_times_is_said_once(doubling, box, lines):
    text = str(doubling.report(lambda x: 2 * x, box))
    assert [line[2:12].strip() for line in text.splitlines() if line.endswith("what was put in comes out")] == lines


def test_what_is_met_here_and_not_there_is_said_not_to_be_met():
    both = [Expectation("it holds", passed, code="holds") for passed in (True, False, True, False)]
    assert str(Report("99", 7, both)).count("it holds") == 2 and "✓" not in str(Report("99", 7, both))


def test_go_on_tries_the_other_parts_all_the_same(define):
    check = scenario("99", 8, "Goes on", WORDS, go_on=True, double=Doubled)
    check.part(lambda_part("wrong-value", "one"))
    check.part(lambda_part("kept", "two"))
    assert check.report(float).refused == ["wrong-value", "kept"]


@pytest.mark.parametrize("code, refused", [("wrong-value", ["wrong-value"]), (None, ["kept"])], ids=["after", "well"])
def test_go_on_up_to_a_part_that_rests_on_all_before_it(define, code, refused):
    check = scenario("99", 8, "Goes on", WORDS, go_on="two", double=Doubled)
    if code:
        check.part(lambda_part(code, "one"))
    check.part(lambda_part("kept", "two"))
    report = check.report(float)
    assert report.refused == refused and report.parts["two"] == (None if code else False)


def test_parts_of_a_table_have_its_titles_and_get_what_stands_there(define):
    check = scenario("99", 8, "A table", WORDS, double=Doubled)
    check.parts({"one": ("kept", True), "two": ("kept", False)}, lambda stage, *claim: ((*c, "") for c in [claim]))
    assert check.part_titles() == ("one", "two") and check.report(float).refused == ["kept"]


def test_parts_of_a_table_may_need_one_object_alone(define):
    check = scenario("99", 8, "A table", WORDS, double=Doubled, other=Doubled)
    check.parts({"one": ("kept", False)}, lambda stage, *claim: ((*c, "") for c in [claim]), "other")
    assert check.report(other=float).refused == ["not-handed-over", "kept"]


def lambda_part(code, name):
    def part(stage):
        yield code, False, "it was not"
        yield "never", False, "after the first failure of a part nothing more is asked"

    part.__name__ = name
    return part


def test_what_a_part_uses_is_stopped_at_its_end(define):
    check, log = scenario("99", 8, "Uses", WORDS, double=Doubled), []

    class Used:
        def __enter__(self):
            log.append("in")

        def __exit__(self, *error):
            log.append("out")

    for name in ("one", "two"):

        def part(stage):
            stage.use(Used())
            yield "kept", True, ""

        part.__name__ = name
        check.part(part)
    assert check.report(float).passed and log == ["in", "out", "in", "out"]


@pytest.mark.parametrize(
    "text", ["kept", "kept: it is kept", "a: b\n    c\na: b\n    c"], ids=["no words", "no hint", "twice"]
)
def test_words_that_are_incomplete_are_refused_when_the_lab_is_imported(text):
    with pytest.raises(ValueError, match="kept|once"):
        words(text)


def test_what_is_not_met_has_the_words_that_it_goes_on_from():
    ask = Examiner()
    ask.words = words("""
first: it is written
    When?
second: … and kept
    Where?
third: … for a year
    How long?
other: it is read
    By whom?
""")
    for code, passed in (("third", False), ("second", True), ("other", False)):
        ask.expect(code, ask.words[code][0], passed)
    assert [one.claim for one in ask.expectations] == ["it is written … for a year", "… and kept", "it is read"]


def test_a_call_that_fails_is_told_with_its_arguments():
    ask = Examiner()
    with pytest.raises(room.Stop):
        ask.call(lambda *given, **named: 1 / 0, 0.5, [], Trace(), limit=2.0, size=3)
    happened = ask.expectations[-1].happened
    assert happened.startswith("called with (0.5, [], a Trace, size=3), it raised ZeroDivisionError")


def test_words_are_read_with_their_hints():
    assert WORDS["wrong-value"] == ("double(4) is 8", "Two times, not squared.")
    assert WORDS["too-large"] == WORDS["too-small"] == ("double(0.5) is 1", "Floats, too.")


def test_calls_at_once_begin_together_and_nobody_waits_for_what_does_not_come_back():
    line, wake = threading.Barrier(3), threading.Event()
    back, wrong, never = Stage(Examiner(), None).at_once(
        lambda: line.wait(5) and 0 or "back",
        lambda: line.wait(5) and 0 or {}["no such key"],
        lambda: line.wait(5) and 0 or wake.wait(),
        limit=0.3,
    )
    assert (back.answer, back.is_back) == ("back", True)
    assert type(wrong.error) is KeyError and wrong.is_back and not never.is_back
    wake.set()
    assert never.wait(5)


def test_the_example_in_contributing_is_a_check(define):
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    [source] = [block for block in re.findall("```python\n(.*?)```", text, re.DOTALL) if "words(" in block]
    space = {}
    exec(source.replace('"01", 1', '"99", 1'), space)

    class Shop:
        """Looks and takes in one step, or not."""

        least, takes, lock = 0, 1, threading.Lock()

        def __init__(self, mugs):
            self.mugs = mugs

        def order(self, wanted):
            with self.lock:
                if self.mugs - wanted < self.least:
                    return False
                self.mugs = self.mugs - wanted * self.takes
            return True

        def left(self):
            return self.mugs

    check, unlocked = space["check_shop"], nullcontext()
    assert check.report(Shop).passed
    for code, changed in [
        ("oversold", {"least": -1}),
        (
            "not-counted",
            {"order": lambda self, wanted: vars(self).setdefault("sold", []).append(1) or len(self.sold) < 6},
        ),
        ("gone", {"left": lambda self: -1}),
        ("not-atomic", {"lock": unlocked}),
        ("no-methods", {"left": None}),
    ]:
        assert check.report(type("Wrong", (Shop,), changed)).refused == [code]


# -- the first report, and the next ---------------------------------------------------------


def test_the_hint_comes_when_a_changed_answer_is_refused_with_the_same_code(doubling, monkeypatch):
    def asked(answer):
        report = doubling(answer, Box)
        hint = "Two times" in str(report) or "Floats, too" in str(report)
        assert hint == ("Next hint" in report._repr_html_()) == ("a hint comes along" not in str(report))
        assert "what happened: it was" in str(report)
        return hint

    assert not asked(lambda x: x * x)
    assert not asked(lambda x: x * x), "the same code in another cell is no new try"
    assert asked(lambda x: x**3)
    assert not asked(lambda x: 8), "it has come further: what happened stands before the hint here, too"
    assert asked(lambda x: 8.0)
    assert "Two times" in str(doubling.report(lambda x: x * x, Box)), "a test sees all hints"
    monkeypatch.setattr("servicelab.checks.report.STRICT", True)
    with pytest.raises(CheckFailed, match="next hint: Two times"):
        doubling(lambda x: x * x - 1, Box)  # a grader's report is the only one


LIMIT = 3


def helper(x):
    return x + LIMIT


def alike(one=3):
    return [helper(x) for x in range(one)]


def variant(source, **names):
    space = {"helper": helper, "__name__": "__main__", **names}
    exec(compile(source, "<cell>", "exec"), space)
    return space["answer"]


BASIC = "def answer(x):\n    return [helper(y) for y in x]"
CLASS = "class answer:\n    size = 3\n    def get(self):\n        return self.size"


@pytest.mark.parametrize(
    "one, other, same",
    [
        ((BASIC,), (BASIC,), True),
        ((BASIC,), ("# a comment\n\n" + BASIC,), True),
        ((BASIC,), (BASIC.replace("helper(y)", "helper(y) + 1"),), False),
        ((BASIC,), (BASIC.replace("(x)", "(x=3)"),), False),
        ((BASIC, {"helper": lambda x: x + 1}), (BASIC, {"helper": lambda x: x + 2}), False),
        ((CLASS,), ("\n" + CLASS,), True),
        ((CLASS,), (CLASS.replace("3", "4"),), False),
        ((CLASS,), (CLASS.replace("return self", "return 1 + self"),), False),
        ((CLASS,), (CLASS.replace("answer:", "answer(dict):"),), False),
        ((CLASS,), (CLASS.replace("    def", "    @property\n    def"),), False),
        ((BASIC, {"helper": threading}), (BASIC, {"helper": threading}), True),
    ],
)
def test_a_changed_answer_is_told_from_the_same_one(one, other, same):
    prints = [fingerprint(variant(source, **dict(*names))) for source, *names in (one, other)]
    assert (prints[0] == prints[1]) == same


# -- bounded, whatever the answer does ------------------------------------------------------


def swallows(x):
    while True:
        try:
            time.sleep(0.01)
        except BaseException:  # what nobody should write, and somebody does
            continue


def sleeps(x):
    time.sleep(60)


def leaves_a_sleeper(x):
    threading.Thread(target=wake.wait, args=(60,), daemon=True, name="a sleeper").start()
    return 2 * x


wake = threading.Event()


@pytest.mark.parametrize("answer", [endless, sleeps, swallows, leaves_a_sleeper], ids=lambda one: one.__name__)
def test_a_check_ends_in_time_whatever_the_answer_does(define, monkeypatch, answer):
    monkeypatch.setattr("servicelab.checks.leftovers.PATIENCE", 0.3)
    monkeypatch.setattr("servicelab.checks.exercise.CLOSING", 1.0)
    check = scenario("99", 8, "Many calls", WORDS, go_on=True, double=Doubled)
    check.limit = 2.0
    for number in range(40):

        def part(stage):
            outcome = stage.ask.run(stage.yours, 1, limit=1.0)
            yield "kept", outcome.returned, "it did not return"

        part.__name__ = f"part {number}"
        check.part(part)
    start = time.monotonic()
    report = check.report(answer)
    took = time.monotonic() - start
    wake.set()
    wake.clear()
    assert took < 12, "alone, each of the forty would take a second or more"
    assert {"time-limit"} <= set(report.refused), str(report)
    assert len(report.parts) == 40
