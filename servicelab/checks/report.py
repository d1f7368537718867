"""The one report type of every check: what was expected, what happened, and what to try next.

A report that has not passed *renders* for a lone learner, so that Run All goes on to the next exercise, and *raises*
where a grader or a test runs it (``STRICT``).
"""

import os
import re
from dataclasses import dataclass, field
from html import escape

from servicelab.checks import progress
from servicelab.checks.learner_traceback import in_words
from servicelab.trace import Trace

#: So many expectations are shown at once; of more, the first few that are not met, and the rest folded.
AT_ONCE, MEND_FIRST = 10, 4

#: What nbgrader does with us ("autograde" or "validate"; "" when it does not run), and whether what has not passed
#: raises: then, and where our own tests set SERVICELAB_STRICT=1. Read once: code that is graded may change it later.
GRADER = os.environ.get("NBGRADER_EXECUTION", "")
STRICT = bool(GRADER) or os.environ.get("SERVICELAB_STRICT", "") == "1"

_MET, _NOT_MET = "#009E73", "#D55E00"  # Okabe–Ito green and vermilion, always beside a mark and a word


@dataclass(frozen=True)
class Expectation:
    """One expected behaviour.

    ``what`` was expected, whether it ``passed``, what actually ``happened``, and a ``hint`` for the next step. ``code``
    is a stable name of this expectation, such as "deadline-per-read"; ``mark`` is the id of the message
    in the trace which shows the fault. ``before`` are the words that a ``what`` which begins with "…" goes on from.
    """

    what: str
    passed: bool
    happened: str = ""
    hint: str = ""
    code: str = ""
    mark: str | None = None
    before: str = ""

    @property
    def claim(self) -> str:
        """What is said of it. One that is not met stands by itself, so it has the words that it goes on from."""
        return self.what if self.passed else f"{self.before} {self.what}".strip()


@dataclass(frozen=True)
class Report:
    """What a check found out about one exercise.

    ``str(report)`` is plain text; a notebook shows it with the space-time diagram of the learner's own run, in which
    the offending message (``mark``) stands out. ``printed`` is what the learner's code printed during the check.
    ``parts`` says of each part of the check how it ended: True, False, or None when it was not tried; ``trace_of`` is
    the part whose run ``trace`` is. ``withheld`` are codes whose hint comes with the next report, ``notes`` what else
    the reader has to know.
    """

    lab: str
    exercise: int
    expectations: list[Expectation] = field(default_factory=list)
    trace: Trace | None = None
    mark: str | None = None
    title: str = ""
    printed: str = ""
    parts: dict[str, bool | None] = field(default_factory=dict)
    trace_of: str = ""
    withheld: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        if self.mark is None:
            marks = [e.mark for e in self.expectations if e.mark and not e.passed]
            object.__setattr__(self, "mark", marks[0] if marks else None)

    @property
    def passed(self) -> bool:
        """Is there an expectation, and did all of them pass?"""
        return bool(self.expectations) and all(e.passed for e in self.expectations)

    @property
    def refused(self) -> list[str]:
        """The codes of the expectations that did not pass, in order."""
        return [e.code for e in self.expectations if not e.passed]

    @property
    def claims(self) -> list[Expectation]:
        """The expectations to show: what is met several times is said once, and not at all beside the same not met."""
        said, shown = {e.what for e in self.expectations if not e.passed}, []
        for e in self.expectations:
            if not (e.passed and e.what in said):
                shown.append(e)
            said.add(e.what)
        return shown

    @property
    def headline(self) -> str:
        verdict = "passed" if self.passed else f"not passed yet, {self._how_far()}"
        return f"Lab {self.lab}, exercise {self.exercise}{self.title and ': '}{self.title} – {verdict}"

    def _how_far(self):
        """The number of parts is the same for every answer; that of the expectations depends on how far it came."""
        if not self.parts:
            return f"{sum(e.passed for e in self.claims)} of {len(self.claims)} expectations met"
        good = sum(passed is True for passed in self.parts.values())
        places = [f"{n} ({title})" for n, (title, passed) in enumerate(self.parts.items(), 1) if passed is False]
        where = f"; stopped in part {' and '.join(places)}" if places else ""
        if len(places) > MEND_FIRST:
            where = f"; begin with part {places[0]}"
        return f"{good} of {len(self.parts)} parts passed{where}"

    def _after(self) -> list[str]:
        """What is said below the expectations."""
        lines, left = [], [title for title, passed in self.parts.items() if passed is None]
        if left and not self.passed:
            lines.append(f"Not tried, for they rest on what is not met: {', '.join(left)}.")
        if self.withheld:
            lines.append("Change your answer and check again: if this is still not met, a hint comes along.")
        return lines + list(self.notes)

    def _hint(self, expectation):
        return "" if expectation.code in self.withheld else expectation.hint

    def __str__(self):
        lines = [self.headline]
        for e in self.claims:
            lines.append(f"  {'✓ met:    ' if e.passed else '✗ not met:'} {e.claim}")
            if not e.passed:
                lines += _indented("what happened: ", e.happened) + _indented("next hint: ", self._hint(e))
        lines += ["  " + line for line in self._after()]
        if self.printed:
            lines += ["", "  Your code printed:", *("    " + line for line in self.printed.rstrip().splitlines())]
        if self._has_run and not self.passed:
            lines += ["", f"  {self._run_head}:", *("    " + line for line in str(self._table()).splitlines())]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self):
        colour = _MET if self.passed else _NOT_MET
        parts = [
            f'<section style="border-left:4px solid {colour};padding:0 0 0 1em">',
            f"<p><strong>{'✓' if self.passed else '✗'} {escape(self.headline)}</strong></p>",
        ]
        parts += self._lists() + [f"<p>{escape(line)}</p>" for line in self._after()]
        if self.printed:
            parts.append(f"<details><summary>Your code printed</summary>{_pre(self.printed)}</details>")
        if self._has_run:
            parts.append(f"<p>{escape(self._run_head)}:</p>{self._diagram()}")
        return "".join(parts) + "</section>"

    def _lists(self):
        """The expectations: all in order if they are few, else the first that are not met and the others folded."""
        claims = self.claims
        if len(claims) <= AT_ONCE:
            return [self._list(claims)]
        not_met = [e for e in claims if not e.passed]
        now, later = not_met[:MEND_FIRST], not_met[MEND_FIRST:]
        met = [e for e in claims if e.passed]
        parts = [self._list(now)] if now else []
        if later:
            parts.append(self._folded(f"{len(later)} more not met; some of them may go with the first", later))
        return parts + ([self._folded(f"{len(met)} met", met)] if met else [])

    def _list(self, expectations):
        return "<ul>" + "".join(_item(e, self._hint(e)) for e in expectations) + "</ul>"

    def _folded(self, summary, expectations):
        return f"<details><summary>{summary}</summary>{self._list(expectations)}</details>"

    def _table(self):
        return self.trace.table(marks={self.mark.removesuffix(".reply")} if self.mark else ())

    @property
    def _has_run(self):
        return self.trace is not None and len(self.trace) > 0

    @property
    def _run_head(self):
        if self.trace_of not in self.parts:
            return "Your run"
        return f"Your run of part {list(self.parts).index(self.trace_of) + 1} ({self.trace_of})"

    def _diagram(self):
        try:
            from servicelab.views.spacetime import spacetime  # here, so that a report never fails for want of a picture

            return spacetime(self.trace, title="What your code did", mark=self.mark)._repr_html_()
        except Exception as error:
            reason = escape(in_words(error))
            return f"<p>The diagram could not be drawn ({reason}).</p>{self._table()._repr_html_()}"


class CheckFailed(Exception):
    """A check did not pass where a grader or a test runs it. Shows the report instead of a traceback."""

    def __init__(self, report: Report):
        super().__init__(str(report))
        self.report = report

    def _render_traceback_(self):
        return str(self.report).splitlines()


def finish(report: Report) -> Report | None:
    """The end of every check. Keeps a pass in the progress file and returns the report, which the cell then shows.

    Raises :class:`CheckFailed` when it has not passed and this is ``STRICT``. A grader's machine keeps no progress.
    For nbgrader the report is displayed instead of returned: it looks for points in the value of a check cell.
    """
    if report.passed and GRADER != "autograde":
        progress.progress().record_pass(report.lab, report.exercise)
    if not report.passed and STRICT:
        raise CheckFailed(report)
    if not GRADER:
        return report
    from IPython.display import display  # nbgrader has it

    display(report)


def _indented(head, text):
    if not text:
        return []
    first, *rest = text.splitlines()
    return [f"      {head}{first}", *("        " + line for line in rest)]


def _item(e, hint):
    mark = (
        f'<span style="color:{_MET if e.passed else _NOT_MET};font-weight:bold">{"✓" if e.passed else "✗"}</span> '
        f"<em>{'met' if e.passed else 'not met'}</em>"
    )
    text = f'<li style="list-style:none">{mark}: {_words(e.claim)}'
    if not e.passed:
        if e.happened:
            text += f"<br><strong>What happened:</strong> {_prose(e.happened)}"
        if hint:
            text += f"<br><strong>Next hint:</strong> {_words(hint)}"
    return text + "</li>"


def _words(text):
    """A sentence of the check's own: what stands in backticks is code."""
    return re.sub(r"`([^`\n]+)`", r"<code>\1</code>", escape(text))


def _prose(text):
    """The first line as text, the rest (lines of code) as they stand."""
    first, _, rest = text.partition("\n")
    return escape(first) + (_pre(rest) if rest else "")


def _pre(text):
    return f'<pre style="margin:.2em 0;white-space:pre-wrap">{escape(text)}</pre>'
