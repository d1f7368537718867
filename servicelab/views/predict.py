"""Predict, then run: the learner commits to an answer, and meets it again beside the outcome.

The answers are kept in :data:`answers` for as long as the kernel lives; whoever wants to keep them longer listens
with :func:`on_answer` and fills :data:`answers` again at the start.
"""

import math
from html import escape

from servicelab.significant import three_digits
from servicelab.views.theme import BLUE, FAILURE_INK, GREEN, MUTED, ORANGE, card
from servicelab.views.widget_or_text import Shown, styled, widgets

#: What was predicted, by key: the text of an option, or a number.
answers: dict[str, str | float] = {}

#: What happened, when no option came true.
NONE_OF_THESE = "none of these"

_listeners: list = []


def on_answer(listener) -> None:
    """Call ``listener(key, value)`` whenever a prediction is committed. Adding the same one twice changes nothing."""
    if listener not in _listeners:
        _listeners.append(listener)


def forget(key: str | None = None) -> None:
    """Drop the prediction ``key``, or all of them, so that the question can be asked again."""
    if key is None:
        answers.clear()
    else:
        answers.pop(key, None)


class Predict(Shown):
    """A question to be answered before the cell below is run.

    ``key`` names it ("01-drip"); ``options`` are two to six texts to choose from, each pointing to a reason: why it
    is right, or what whoever chose it has overlooked. The outcome shows the reason of the option that was chosen.
    Without options it asks for a number, in ``unit``: prefer that where a number is the point.
    ``on_answer(key, value)`` is called when the learner commits. A committed answer stays: the question shows it again
    when its cell is run again.

    Raises ValueError for a missing key or question, for fewer than two, more than six or equal options, and for one
    without a reason.
    """

    def __init__(self, key, question, options=None, *, unit="", on_answer=None):
        if not key or not isinstance(key, str):
            raise ValueError(f"key={key!r} must be a name such as '01-drip': it is how the answer is found again")
        if not question or not isinstance(question, str):
            raise ValueError(f"question={question!r} must be the text of a question")
        # A list has no reasons: the way before dictionaries. Delete it once no notebook gives one any more.
        self.reasons = dict(options) if isinstance(options, dict) else {}
        if not all(isinstance(reason, str) and reason.strip() for reason in self.reasons.values()):
            raise ValueError(f"options={options!r} must give a reason for each option")
        if options is not None:
            options = [str(option) for option in options]
            if not 2 <= len(options) <= 6 or len(set(options)) < len(options):
                raise ValueError(f"options={options!r} must be two to six different texts")
        self.key, self.question, self.options, self.unit = key, question, options, unit
        self._on_answer = on_answer
        self.open()

    # -- answering --------------------------------------------------------------------------

    @property
    def answer(self) -> str | float | None:
        """What the learner predicted, or None."""
        return answers.get(self.key)

    def commit(self, value) -> None:
        """Take ``value`` as the prediction, as the button does. Raises ValueError when it is not a possible answer."""
        if self.options is None:
            value = _number(value)
        elif value not in self.options:
            raise ValueError(f"{value!r} is not one of the options {self.options}")
        answers[self.key] = value
        for listener in [self._on_answer, *_listeners]:
            if listener:
                listener(self.key, value)
        if self.widget:
            self._show_kept()

    def reveal(self, actual, why="", *, tolerance=0.25) -> "Reveal":
        """The prediction beside what happened, to be shown by the cell that found out.

        ``actual`` is computed from the run: for a number the number, which counts as right within ``tolerance`` of it
        (a share: 0.25 is 25%); for options a dictionary from each to whether it came true, of which the first that did
        counts. ``why`` is one or two sentences. Works when nobody answered, and when no option came true.

        Raises ValueError for an outcome that is no number, or does not speak of just the options.
        """
        if self.options is not None and isinstance(actual, dict):
            if set(actual) != set(self.options):
                raise ValueError(f"actual={actual!r} must say of each option whether it came true: {self.options}")
            actual = next((option for option in self.options if actual[option]), NONE_OF_THESE)
            right = self.answer == actual
        elif self.options is not None:  # typed, or a position
            if isinstance(actual, int) and not isinstance(actual, bool) and 0 <= actual < len(self.options):
                actual = self.options[actual]
            if actual not in self.options:
                raise ValueError(f"actual={actual!r} is not one of the options {self.options}")
            right = self.answer == actual
        else:
            actual = _number(actual)
            right = self.answer is not None and abs(self.answer - actual) <= abs(actual) * tolerance
        return Reveal(self, actual, why, right)

    def say(self, value) -> str:
        """``value`` as the learner reads it: the option, or the number with its unit."""
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # a count, to its last digit
        return three_digits(value, _one(self.unit) if value == 1 else self.unit)

    # -- showing ----------------------------------------------------------------------------

    def as_text(self):
        kept = f"Your prediction: {self.say(self.answer)}" if self.answer is not None else "No prediction made yet."
        lines = [f"Predict: {self.question}"] + [f"  ( ) {option}" for option in self.options or ()] + [kept]
        return "\n".join(lines)

    def _build(self):
        wide = widgets.Layout(width="auto", max_width="860px")
        head = widgets.HTML(
            f'<div style="font-size:16px;line-height:1.4"><b>Predict.</b> {escape(self.question)}</div>', layout=wide
        )
        if self.options is None:
            # A Text, not a FloatText: a number field that nobody touched must stay empty, not read 0.
            self.field = widgets.Text(
                placeholder="a number",
                description=f"{self.unit}:" if self.unit else "",
                tooltip=self.question,
                layout=widgets.Layout(width="240px"),
                style={"description_width": "initial"},
            )
        else:
            self.field = widgets.RadioButtons(
                options=self.options, index=None, tooltip=self.question, layout=widgets.Layout(width="auto")
            )
        self.button = widgets.Button(description="Commit", tooltip="Commit to this prediction", button_style="primary")
        self.note = widgets.HTML(layout=wide)
        self.button.on_click(self._pressed)
        if self.answer is not None:
            self._show_kept()
        return styled(widgets.VBox([head, self.field, widgets.HBox([self.button, self.note])]), 15)

    def _pressed(self, _):
        value = self.field.value
        if value in (None, ""):
            self._say(f'<span style="color:{FAILURE_INK}">Choose first: a wrong guess teaches more than none.</span>')
            return
        try:
            self.commit(value)
        except ValueError as error:
            self._say(f'<span style="color:{FAILURE_INK}">{escape(str(error))}</span>')

    def _show_kept(self):
        value = self.answer
        if self.options is None:
            self.field.value = f"{value:g}"
        elif value in self.options:
            self.field.value = value
        self.field.disabled = self.button.disabled = True
        self._say(f"Kept: <b>{escape(self.say(value))}</b>. Now run on and see.")

    def _say(self, html):
        self.note.value = f'<div role="status" style="font-size:15px">{html}</div>'


class Reveal:
    """The prediction and the outcome side by side; ``right`` is True, or False, also when nobody answered."""

    def __init__(self, asked: Predict, actual, why, right):
        self.question, self.why, self.right = asked.question, why, right
        self.actual = asked.say(actual)
        self.predicted = asked.say(asked.answer) if asked.answer is not None else None
        self.reason = asked.reasons.get(asked.answer, "")
        if self.predicted is None:
            self.verdict = "no prediction made"
        else:
            self.verdict = "as predicted" if right else "not as predicted"

    def __repr__(self):
        lines = [self.question, f"  predicted: {self.predicted or 'no prediction made'}", f"  happened:  {self.actual}"]
        if self.predicted is not None:
            lines.append(f"  {'✓' if self.right else '✗'} {self.verdict}")
        return "\n".join(lines + [f"  {text}" for text in (self.reason, self.why) if text])

    def _repr_html_(self):
        if self.predicted is None:
            colour, mark, ink = BLUE, "", MUTED
        elif self.right:
            colour, mark, ink = GREEN, "✓ ", "#00694D"
        else:
            colour, mark, ink = ORANGE, "✗ ", FAILURE_INK
        predicted = escape(self.predicted) if self.predicted is not None else "no prediction made"
        said = "" if self.predicted is None else f' <b style="color:{ink}">{mark}{self.verdict}</b>'
        why = "".join(f"<div>{escape(text)}</div>" for text in (self.reason, self.why) if text)
        return card(
            f'<div style="color:{MUTED}">{escape(self.question)}</div>'
            f"<div>Predicted: {predicted}.{said}</div><div>Happened: <b>{escape(self.actual)}</b></div>{why}",
            colour,
            "prediction and outcome",
        )


def _number(value) -> float:
    try:
        number = float(str(value).strip().replace(",", "."))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{str(value)!r} is not a number: write it like 0.5 or 120")
    return number


def _one(unit: str) -> str:
    """What one of these is called: pages, page; fetches, fetch.

    What is no word in the plural ("ms", "requests/s") stays as it is.
    """
    if len(unit) > 2 and unit.isalpha() and unit.endswith("s"):
        return unit[: -2 if unit.endswith("ches") else -1]
    return unit
