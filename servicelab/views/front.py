"""Is there anyone who can see a widget?

A widget needs ipywidgets and a Jupyter kernel. Elsewhere (a plain Python program, a terminal) everything of this
room still works: it says once what is missing, and shows text.
"""

import sys
from html import escape

try:
    import ipywidgets as widgets
except ImportError:  # the course installs it; a learner's own environment may not
    widgets = None

_said = False


def why_not() -> str | None:
    """None when widgets work here, otherwise the reason and the mend in one sentence."""
    if widgets is None:
        return "ipywidgets is not installed: run `pip install ipywidgets` and restart the kernel."
    if not _in_a_kernel():
        return "this is not a Jupyter kernel: open the notebook in JupyterLab to use the controls."
    return None


def _in_a_kernel() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


def say_once() -> None:
    """Print, the first time only, why the reader sees text in place of controls."""
    global _said
    reason = why_not()
    if reason and not _said:
        _said = True
        print(f"Shown as text: {reason}")


class Shown:
    """Base of everything that is a widget where widgets work, and text where they do not.

    A subclass has ``self.widget`` (or None) and :meth:`as_text`; it may give :meth:`static`, more forms for a page
    without a kernel. The widget's own form is chosen first by every front end that knows it.
    """

    widget = None

    def as_text(self) -> str:
        raise NotImplementedError

    def static(self) -> dict:
        return {"text/html": f"<pre>{escape(self.as_text())}</pre>"}

    def __repr__(self):
        if why_not():
            say_once()
        return self.as_text()

    def _repr_mimebundle_(self, include=None, exclude=None):
        bundle = {"text/plain": self.as_text()} | self.static()
        if self.widget is None or why_not():
            say_once()
            return bundle
        return bundle | {kind: value for kind, value in self.widget._repr_mimebundle_().items() if kind != "text/plain"}
