"""Figures with a text, predictions, quizzes, claims and the reset button."""

import subprocess
import sys

import matplotlib.pyplot as plt
import pytest

from servicelab import lifecycle
from servicelab.views import predict, theme
from servicelab.views.claims import EXPECTED, STOOD_STILL, Case, Claims
from servicelab.views.predict import Predict
from servicelab.views.quiz import Option, Question, Quiz
from servicelab.views.reset import Reset
from servicelab.views.show import Picture, picture, show
from servicelab.views.your_turn import your_turn

SENTENCE = "The wait doubles between a load of 0.5 and a load of 0.67."


@pytest.fixture(autouse=True)
def no_answers():
    predict.forget()
    listeners = list(predict._listeners)
    yield
    predict.forget()
    predict._listeners[:] = listeners


# -- figures ----------------------------------------------------------------------------------


def test_a_picture_carries_its_text_and_the_figure_is_closed():
    fig, ax = theme.figure()
    ax.plot([0, 1], [0, 1], **theme.SIMULATED)
    shown = picture(fig, 'A line that says "up"\n and rises to the right')
    bundle = shown._repr_mimebundle_()
    assert 'alt="A line that says &quot;up&quot; and rises to the right"' in bundle["text/html"]
    assert set(bundle) == {"text/html", "image/png", "text/plain"}
    assert shown.png.startswith(b"\x89PNG")
    assert not plt.fignum_exists(fig.number)


@pytest.mark.parametrize("alt", ["", "plot", "latency figure", None, 7])
def test_no_text_no_figure_and_nothing_left_open(alt):
    fig, _ = theme.figure()
    with pytest.raises(ValueError, match="does not say what the figure shows"):
        show(fig, alt)
    assert not plt.fignum_exists(fig.number)


def test_show_wants_a_figure():
    with pytest.raises(TypeError, match=r"ax\.figure"):
        show([1, 2], SENTENCE)


def test_show_shows_the_text_in_a_terminal(capsys):
    show(theme.figure()[0], SENTENCE)
    assert SENTENCE in capsys.readouterr().out


def test_a_figure_has_the_size_of_the_course_and_at_most_two_panels():
    fig, axes = theme.figure(2)
    assert tuple(fig.get_size_inches()) == (9, 3.5) and len(axes) == 2
    assert min(axes[0].xaxis.label.get_size(), axes[0].title.get_size()) >= 11
    plt.close(fig)
    with pytest.raises(ValueError, match="ncols=3"):
        theme.figure(3)


def test_the_worlds_differ_without_colour():
    looks = (theme.MEASURED, theme.SIMULATED, theme.FORMULA, theme.FAILURE)
    assert len({(look.get("marker"), look["linestyle"]) for look in looks}) == 4


def contrast(one, other):
    def luminance(colour):
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        return sum(w * (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4)
                   for w, c in zip((0.2126, 0.7152, 0.0722), channels))  # fmt: skip

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_text_can_be_read():
    for fill, ink in [*theme.SERVICES.values(), *theme.OTHERS]:
        assert contrast(theme.text_on(fill), fill) >= 4.5
        assert contrast(ink, "#FFFFFF") >= 4.5
    for ink in (theme.INK, theme.MUTED, theme.FAILURE_INK):
        assert contrast(ink, "#FFFFFF") >= 4.5


# -- predictions ------------------------------------------------------------------------------

OPTIONS = ["0.5 s", "3 s", "for ever"]


def test_a_prediction_is_made_kept_and_compared():
    asked = Predict("t-1", "How long will it take?", OPTIONS)
    asked.field.value = "0.5 s"
    assert asked.answer is None, "choosing is not committing"
    asked.button.click()
    assert asked.answer == "0.5 s" and asked.field.disabled and asked.button.disabled
    told = asked.reveal("3 s", "Each byte came in time.")
    assert not told.right
    for form in (repr(told), told._repr_html_()):
        assert "0.5 s" in form and "3 s" in form and "✗ not as predicted" in form and "Each byte" in form


def test_a_right_prediction_by_position():
    asked = Predict("t-2", "How long will it take?", OPTIONS)
    asked.commit("3 s")
    assert asked.reveal(1).right and "✓ as predicted" in repr(asked.reveal(1))


def test_nobody_answered():
    told = Predict("t-3", "How long will it take?", OPTIONS).reveal("3 s")
    assert not told.right and told.predicted is None
    assert "no prediction made" in repr(told) and "no prediction made" in told._repr_html_()
    assert "✗" not in repr(told) + told._repr_html_()


def test_pressing_without_choosing_is_no_answer():
    asked = Predict("t-4", "How long will it take?", OPTIONS)
    asked.button.click()
    assert asked.answer is None and "Choose first" in asked.note.value and not asked.field.disabled


def test_an_answer_is_shown_again_when_the_cell_runs_again():
    Predict("t-5", "How long?", OPTIONS).commit("for ever")
    again = Predict("t-5", "How long?", OPTIONS)
    assert again.field.value == "for ever" and again.field.disabled and "for ever" in again.as_text()
    predict.forget("t-5")
    assert Predict("t-5", "How long?", OPTIONS).field.value is None


def test_a_question_that_was_changed_forgives_an_old_answer():
    Predict("t-6", "How long?", OPTIONS).commit("for ever")
    assert Predict("t-6", "How long?", ["a", "b"]).field.value is None


@pytest.mark.parametrize(("written", "right"), [("3", True), ("2,9", True), (" 2.5 ", True), ("30", False)])
def test_numbers_are_right_within_a_tolerance(written, right):
    asked = Predict("t-7", "How many seconds?", unit="s")
    asked.field.value = written
    asked.button.click()
    assert asked.reveal(3.01).right is right
    assert "3.01 s" in repr(asked.reveal(3.01))


@pytest.mark.parametrize(
    ("unit", "value", "said"),
    [("pages", 1, "1 page"), ("fetches", 1.0, "1 fetch"), ("pages", 2, "2 pages"), ("pages", 1.01, "1.01 pages"),
     ("ms", 1, "1 ms"), ("requests/s", 1, "1 requests/s"), ("of 10", 1, "1 of 10")],
)  # fmt: skip
def test_one_is_no_plural(unit, value, said):
    assert Predict("t-one", "How many?", unit=unit).say(value) == said


@pytest.mark.parametrize("written", ["", "three", "nan", "inf"])
def test_what_is_no_number_is_said(written):
    asked = Predict("t-8", "How many seconds?", unit="s")
    asked.field.value = written
    asked.button.click()
    assert asked.answer is None and ("not a number" in asked.note.value or "Choose first" in asked.note.value)


def test_whoever_listens_hears_the_answer():
    heard = []

    def listener(*what):
        heard.append(what)

    predict.on_answer(listener)
    predict.on_answer(listener)
    Predict("t-9", "How long?", OPTIONS, on_answer=lambda *what: heard.append("own")).commit("3 s")
    assert heard == ["own", ("t-9", "3 s")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("", "How?", OPTIONS), "key=''"),
        (("k", "", OPTIONS), "question=''"),
        (("k", "How?", ["only one"]), "two to six different texts"),
        (("k", "How?", ["same", "same"]), "two to six different texts"),
    ],
)
def test_a_bad_prediction_is_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        Predict(*arguments)


def test_an_answer_or_outcome_that_is_no_option_is_refused():
    asked = Predict("t-10", "How long?", OPTIONS)
    with pytest.raises(ValueError, match="'4 s' is not one of"):
        asked.commit("4 s")
    with pytest.raises(ValueError, match="actual='4 s'"):
        asked.reveal("4 s")


REASONS = {"0.5 s": "It counts the silence.", "3 s": "Thirty drips.", "for ever": "It ends some day."}


def test_the_option_that_was_chosen_says_why():
    asked = Predict("t-14", "How long?", REASONS)
    came = {"0.5 s": False, "3 s": True, "for ever": False}
    assert "Thirty drips" not in repr(asked.reveal(came)), "nobody chose it"
    asked.commit("0.5 s")
    told = asked.reveal(came, "Measured: 3.01 s.")
    assert told.actual == "3 s" and not told.right
    for form in (repr(told), told._repr_html_()):
        assert "It counts the silence." in form and "Measured: 3.01 s." in form and "Thirty drips" not in form


def test_an_outcome_that_nobody_offered_is_said():
    told = Predict("t-15", "How long?", REASONS).reveal(dict.fromkeys(REASONS, False))
    assert told.actual == "none of these"


@pytest.mark.parametrize("actual", [{"3 s": True}, dict.fromkeys([*REASONS, "4 s"], True)])
def test_an_outcome_speaks_of_just_the_options(actual):
    with pytest.raises(ValueError, match="must say of each option"):
        Predict("t-16", "How long?", REASONS).reveal(actual)


def test_an_option_without_a_reason_is_refused():
    with pytest.raises(ValueError, match="must give a reason for each"):
        Predict("t-17", "How long?", REASONS | {"3 s": ""})


def test_texts_are_escaped():
    asked = Predict("t-11", "<script>alert(1)</script>", ["<b>", "</b>"])
    assert "<script>" not in asked.widget.children[0].value
    assert "<b>" not in asked.reveal("<b>")._repr_html_().replace("<b>&lt;", "")


# -- quiz -------------------------------------------------------------------------------------


def quiz():
    return Quiz(
        [
            Question(
                "What does timeout=0.5 limit?",
                [
                    Option("the whole call", because="It limits the silence between two bytes."),
                    Option("the silence between two bytes", right=True, because="A deadline limits the call."),
                ],
            ),
            Question("2 + 2?", [Option("5", because="Count again."), Option("4", right=True)]),
        ]
    )


def test_a_quiz_explains_a_wrong_answer_and_lets_one_try_again():
    asked = quiz()
    asked.fields[0].value = "the whole call"
    assert "It limits the silence" in asked.notes[0].value and "Try again" in asked.notes[0].value
    assert asked.score() == (0, 0, 2)
    asked.fields[0].value = "the silence between two bytes"
    assert "✓ Right." in asked.notes[0].value and "A deadline" in asked.notes[0].value
    asked.fields[1].value = "4"
    assert asked.score() == (1, 2, 2)
    assert "2 of 2 answered, 1 at the first try" in asked.total.value


def test_looking_at_wrong_answers_afterwards_costs_nothing():
    asked = quiz()
    asked.fields[1].value = "4"
    asked.fields[1].value = "5"
    assert asked.score() == (1, 1, 2) and "Count again." in asked.notes[1].value


def test_a_quiz_works_unattended():
    text = quiz().as_text()
    assert "What does timeout=0.5 limit?" in text and "( ) the whole call" in text and "0 of 2 answered" in text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([Option("a", right=True)], "1 options"),
        ([Option("a", because="x"), Option("b", because="x")], "exactly one must be right"),
        ([Option("a", right=True), Option("b", right=True)], "exactly one must be right"),
        ([Option("a", right=True), Option("b")], "must say why it is wrong"),
        ([Option("a", right=True), Option("a", because="x")], "same option twice"),
    ],
)
def test_a_bad_question_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        Question("What?", options)


def test_an_empty_quiz_is_refused():
    with pytest.raises(ValueError, match="at least one Question"):
        Quiz([])


# -- claims -----------------------------------------------------------------------------------

NAN = float("nan")


@pytest.mark.parametrize(
    ("relation", "bound", "holding", "failing", "more"),
    [
        ("<", 2, 1.9, 2, {}),
        (">", 2, 2.1, 2, {}),
        ("at most", 2, 2, 2.1, {}),
        ("at least", 2, 2, 1.9, {}),
        ("equals", {"a", "b"}, {"b", "a"}, {"a"}, {}),
        ("between", (1, 2), 2, 2.1, {}),
        ("about", -4, -5, -5.1, {"within": 0.25}),
    ],
)
def test_a_case_compares_and_can_come_out_either_way(relation, bound, holding, failing, more):
    holds, fails, unknown = (Case("idle", value, relation, bound, "s", **more) for value in (holding, failing, None))
    assert (holds.holds, fails.holds, unknown.holds) == (True, False, None)
    assert [str(case)[0] for case in (holds, fails, unknown)] == ["✓", "✗", "?"]


def test_a_case_prints_the_numbers_that_were_compared():
    assert str(Case("idle", 0.0060912, "<", 0.05, "s")) == "✓ idle: 0.00609 s (less than 0.05)"
    assert str(Case("full", 1577.3, "about", 1500.0, within=0.1)) == "✓ full: 1580 (about 1500 ± 10%)"
    assert str(Case("full", 7, "between", (1, 2.5))) == "✗ full: 7 (between 1 and 2.5)"
    assert str(Case("full", NAN, "<", 1)) == "? full: – (less than 1)"


@pytest.mark.parametrize(
    ("idle", "full", "verdict"),
    [
        (1, 1, "✓ holds"),
        (3, 3, "✗ fails"),
        (1, 3, "◐ holds if it is idle"),
        (3, 1, "◐ holds if it is full"),
        (1, None, "? not shown: not measured: it is full"),
        (NAN, 3, "? not shown: not measured: it is idle"),
    ],
)
def test_the_verdict_follows_from_the_cases(idle, full, verdict):
    claims = Claims("01", expected=["C01"])
    card = claims.settle("C01", "It is fast.", Case("it is idle", idle, "<", 2), Case("it is full", full, "<", 2))
    assert card.said == verdict and claims["C01"] is card
    for form in (repr(card), card._repr_html_(), str(claims.table())):
        assert all(text in form for text in ("It is fast.", verdict, "it is full: "))
    assert "C01" not in card._repr_html_().replace('aria-label="claim C01', ""), "a learner reads words, not numbers"


def test_claims_are_settled_one_by_one_and_the_table_counts_them():
    claims = Claims("01", expected=["C01", "C17", "C47", "C61"])
    for id, value in {"C47": 3, "C17": 1, "C01": None}.items():
        claims.settle(id, f"Statement of {id}.", Case("always", value, "<", 2))
    assert claims.missing == ["C61"]
    said = "3 of 4 claims settled: 1 × holds, 1 × fails; not shown by this run: C01; still open: C61."
    assert said in str(claims.table())
    for id in ("C01", "C61"):
        claims.settle(id, "s", Case("once", 1, "<", 2), Case("twice", 2, "<", 2))
    assert "4 of 4 claims settled: 2 × holds if, 1 × holds, 1 × fails." in str(claims)
    assert [row[0] for row in claims.table()] == ["C01", "C17", "C47", "C61"]


def test_a_machine_that_stood_still_shows_nothing_and_the_card_says_what_to_do():
    claims = Claims("01")
    card = claims.settle("C01", "s", Case("a", 1, "<", 2), again="took = run()", stood_still=STOOD_STILL)
    assert card.verdict == "not shown"
    assert "stood still for 0.2 s. Run the cell that begins “took = run()” again" in repr(card)
    card = claims.settle("C01", "s", Case("a", 1, "<", 2), again="took = run()", stood_still=STOOD_STILL / 2)
    assert card.verdict == "holds" and "again" not in repr(card)


def test_every_claim_of_the_ledger_belongs_to_one_chapter():
    ids = " ".join(EXPECTED.values()).split()
    assert sorted(ids) == [f"C{n:02d}" for n in range(1, 66)]


@pytest.mark.parametrize(
    ("id", "statement", "cases", "said"),
    [
        ("C02", "s", [Case("a", 1, "<", 2)], "'C02' is not a claim of chapter 01"),
        ("C01", " ", [Case("a", 1, "<", 2)], "statement=' '"),
        ("C01", "s", [], r"cases \[\]"),
        ("C01", "s", [Case("a", 1, "<", 2), Case("a", 3, "<", 2)], r"\['a', 'a'\]"),
    ],
)
def test_a_bad_claim_is_refused(id, statement, cases, said):
    with pytest.raises(ValueError, match=said):
        Claims("01").settle(id, statement, *cases)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((" ", 1, "<", 2), "name=' '"),
        (("a", 1, "≈", 2), "relation='≈'"),
        (("a", 1, "about", 2), "within=None"),
        (("a", 1, "<", 2, "", 0.1), "within=0.1"),
    ],
)
def test_a_bad_case_is_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        Case(*arguments)


def test_an_unknown_chapter_is_refused():
    with pytest.raises(ValueError, match="chapter='99'"):
        Claims("99")


# -- your turn --------------------------------------------------------------------------------


def test_your_turn_says_whether_the_goal_was_reached():
    for reached, said in ((False, "Not yet"), (True, "✓ Reached")):
        card = your_turn("Lose nothing.", reached, "3 of 10 were lost.")
        assert card.reached is reached
        assert all(text in form for form in (repr(card), card._repr_html_())
                   for text in (said, "Lose nothing.", "3 of 10 were lost."))  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("", True, "x"), "goal=''"), (("g", False, " "), "happened=' '"), (("g", None, "x"), "reached=None")],
)
def test_a_turn_that_decides_nothing_is_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        your_turn(*arguments)


# -- reset ------------------------------------------------------------------------------------


class Listener(lifecycle.Server):
    def _open(self):
        import socket

        self.socket = socket.create_server(("127.0.0.1", 0))
        return self.socket.getsockname()[1]

    def _close(self):
        self.socket.close()


def test_one_button_stops_everything_and_shows_it():
    with Listener("views-one"), Listener("views-two") as two:
        reset = Reset()
        assert "views-one" in reset.view.value
        reset.button.click()
        assert not two.is_running and len(lifecycle.running()) == 0
        assert "Stopped 2 servers." in reset.view.value and "nothing is running" in reset.view.value
    assert reset.press() == "There was nothing to stop."


# -- without widgets --------------------------------------------------------------------------

WITHOUT = """
import sys
sys.modules["ipywidgets"] = None
from servicelab.views.live import LivePanel, Slider
from servicelab.views.predict import Predict
from servicelab.views.quiz import Option, Question, Quiz
from servicelab.views.reset import Reset

class Panel(LivePanel):
    title, question = "A title", "A question?"
    controls = (Slider("load", "load", 0, 10, 5),)
    def draw(self, fig):
        self.dot = self.moving(fig.add_subplot().plot([], [], "o")[0])
    def update(self, load):
        self.dot.set_data([load], [load])
        return f"The dot stands at a load of {load}."

asked = Predict("k", "How long?", ["a", "b"])
print(asked)
print(asked.reveal("a"))
print(Quiz([Question("What?", [Option("x", True), Option("y", because="no")])]))
print(Reset())
panel = Panel()
panel.set(load=7)
print(panel)
assert "widget-view" not in str(list(panel._repr_mimebundle_())), "nothing to show a widget with"
panel.start(); panel.pause(); panel.reset(); panel.close()
"""


def test_without_ipywidgets_there_is_one_message_and_text():
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Shown as text: ipywidgets is not installed: run `pip install ipywidgets`") == 1
    for text in ("Predict: How long?", "no prediction made", "1. What?", "nothing is running", "a load of 7"):
        assert text in done.stdout


def test_a_plain_program_gets_text_not_a_widget():
    bundle = Predict("t-12", "How long?", OPTIONS)._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" not in bundle and "How long?" in bundle["text/plain"]


def test_a_picture_refuses_a_text_that_says_nothing():
    with pytest.raises(ValueError, match="alt='x'"):
        Picture(b"", "x")
