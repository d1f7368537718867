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

#: One size for text that is to be read in class, and labels above what they name: beside it they leave no room.
_STYLE = """<style>
.servicelab {--jp-widgets-font-size: %(size)dpx; --jp-widgets-inline-height: 32px; max-width: 930px}
.servicelab .widget-label-basic {width: auto}
.servicelab .widget-hslider, .servicelab .widget-dropdown {flex-flow: row wrap; height: auto}
.servicelab .widget-hslider > .widget-label, .servicelab .widget-dropdown > .widget-label {
  flex: 1 0 100%%; text-align: left; line-height: 24px; height: 24px}
.servicelab .widget-hslider > .slider-container {flex: 1 1 auto}
.servicelab .widget-dropdown > select {flex: 1 1 auto; height: 32px}
.servicelab button:focus-visible, .servicelab .noUi-handle:focus {outline: 3px solid #0072B2}
</style>"""


def styled(box, size: int = 16):
    """``box``, whose first child is an HTML widget, in the course's look with text of ``size`` pixels."""
    box.add_class("servicelab")
    box.add_class(f"servicelab-{size}")
    box.children[0].value = (
        _STYLE.replace(".servicelab ", f".servicelab-{size} ") % {"size": size} + box.children[0].value
    )
    return box


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
