"""A quiz that answers back: every wrong option says why it is wrong, and one may try again."""

from dataclasses import dataclass
from html import escape

from servicelab.views.theme import FAILURE_INK
from servicelab.views.widget_or_text import Shown, styled, widgets


@dataclass(frozen=True, slots=True)
class Option:
    """One answer. ``because`` is shown when it is chosen: why it is right, or what was overlooked."""

    text: str
    right: bool = False
    because: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """``text`` and two to six ``options``, of which exactly one is right.

    Options may be written as a dictionary: the text of the right one points to True, of each wrong one to the reason
    why it is wrong.

    Raises ValueError when none or several are right, and when a wrong one does not say why it is wrong.
    """

    text: str
    options: list[Option] | dict[str, str | bool]

    def __post_init__(self):
        if isinstance(self.options, dict):
            options = [Option(text, why is True, "" if why is True else why) for text, why in self.options.items()]
            object.__setattr__(self, "options", options)
        if not 2 <= len(self.options) <= 6:
            raise ValueError(f"{self.text!r} has {len(self.options)} options: give two to six")
        right = [option.text for option in self.options if option.right]
        if len(right) != 1:
            raise ValueError(f"{self.text!r} has {len(right)} right options {right}: exactly one must be right")
        if len({option.text for option in self.options}) < len(self.options):
            raise ValueError(f"{self.text!r} offers the same option twice")
        for option in self.options:
            if not option.right and not option.because:
                raise ValueError(f"the wrong option {option.text!r} must say why it is wrong: because='…'")


class Quiz(Shown):
    """Questions with as many tries as it takes. ``score()`` counts what was right at the first try."""

    def __init__(self, questions):
        self.questions = list(questions)
        if not self.questions:
            raise ValueError("questions=[] must hold at least one Question")
        self.tries: list[list[Option]] = [[] for _ in self.questions]  # what was chosen, in order
        self.open()

    def choose(self, number: int, text: str) -> Option:
        """Answer question ``number`` (from 0) with the option ``text``; returns the option with its explanation.

        Choosing an option again counts no second time. Raises ValueError when there is no such option.
        """
        found = next((option for option in self.questions[number].options if option.text == text), None)
        if found is None:
            raise ValueError(f"{text!r} is not an option of {self.questions[number].text!r}")
        if found not in self.tries[number] and not self._done(number):
            self.tries[number].append(found)
        if self.widget:
            self._explain(number, found)
        return found

    def score(self) -> tuple[int, int, int]:
        """``(right at the first try, answered right, questions)``."""
        first = sum(bool(tries) and tries[0].right for tries in self.tries)
        return first, sum(map(self._done, range(len(self.questions)))), len(self.questions)

    def _done(self, number):
        return any(option.right for option in self.tries[number])

    # -- showing ----------------------------------------------------------------------------

    def as_text(self):
        lines = []
        for number, question in enumerate(self.questions, 1):
            lines += [f"{number}. {question.text}"] + [f"   ( ) {option.text}" for option in question.options]
        return "\n".join([*lines, self._total()])

    def _total(self):
        first, done, all_of_them = self.score()
        return f"{done} of {all_of_them} answered, {first} at the first try."

    def _build(self):
        self.fields, self.notes, rows = [], [], []
        wide = widgets.Layout(width="auto", max_width="860px")
        self.total = widgets.HTML(self._styled(self._total()))
        for number, question in enumerate(self.questions):
            head = f'<div style="font-size:15px;line-height:1.4"><b>{number + 1}.</b> {escape(question.text)}</div>'
            field = widgets.RadioButtons(
                options=[option.text for option in question.options],
                index=None,
                tooltip=question.text,
                layout=widgets.Layout(width="auto"),
            )
            field.observe(lambda change, number=number: self._chosen(number, change["new"]), "value")
            note = widgets.HTML(layout=wide)
            self.fields.append(field)
            self.notes.append(note)
            rows += [widgets.HTML(head, layout=wide), field, note]
        return styled(widgets.VBox([*rows, self.total]), 15)

    def _chosen(self, number, text):
        if text is not None:
            self.choose(number, text)

    def _explain(self, number, option):
        if self.fields[number].value != option.text:
            self.fields[number].value = option.text  # comes back here through the observer
            return
        mark, ink = ("✓ Right.", "#00694D") if option.right else ("✗ Not this one.", FAILURE_INK)
        more = f" {escape(option.because)}" if option.because else ""
        again = "" if option.right or self._done(number) else " Try again."
        self.notes[number].value = self._styled(f'<b style="color:{ink}">{mark}</b>{more}{again}')
        self.total.value = self._styled(self._total())

    @staticmethod
    def _styled(html):
        return f'<div role="status" style="font-size:15px;line-height:1.4">{html}</div>'
