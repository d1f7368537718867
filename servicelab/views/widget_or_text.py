"""Is there anyone who can see a widget?

A widget needs ipywidgets and a Jupyter kernel. Elsewhere (a plain Python program, a terminal) everything of this
room still works: it says once what is missing, and shows text.
"""

import sys
import weakref
from html import escape

try:
    import ipywidgets as widgets
except ImportError:  # the course installs it; a learner's own environment may not
    widgets = None

_said = False

#: One size for text that is to be read in class, and labels above what they name: beside it they leave no room.
_STYLE = """<style>
.servicelab {--jp-widgets-font-size: %(size)dpx; --jp-widgets-inline-height: 32px; max-width: %(wide)dpx}
.servicelab .widget-label-basic {width: auto}
.servicelab .widget-hslider, .servicelab .widget-dropdown {flex-flow: row wrap; height: auto}
.servicelab .widget-hslider > .widget-label, .servicelab .widget-dropdown > .widget-label {
  flex: 1 0 100%%; text-align: left; line-height: 24px; height: 24px}
.servicelab .widget-hslider > .slider-container {flex: 1 1 auto}
.servicelab .widget-dropdown > select {flex: 1 1 auto; height: 32px}
.servicelab button:focus-visible, .servicelab .noUi-handle:focus {outline: 3px solid #0072B2}
.still-%(id)s, .jp-OutputArea-child:has(.still-%(id)s) {display: none}
</style>"""

#: What stands still, with the id of the widget that hides it. JupyterLab draws the widget in the next second or two:
#: until then nothing is shown, so that the page does not jump. The script names each slider's handle after its label,
#: since ipywidgets 8.1 leaves it without a name, and a screen reader could only say "slider, 50".
_STILL = """<style>
.jp-LabShell .servicelab-still {animation: servicelab-still 0s 3s backwards}
@keyframes servicelab-still {from {max-height: 0; overflow: hidden; visibility: hidden}}
</style><div class="servicelab-still still-%s">%s</div><script>
if (!window.servicelabNames) {
  const name = () => document.querySelectorAll(".widget-slider .noUi-handle:not([aria-label])").forEach(handle => {
    const label = handle.closest(".widget-slider").querySelector(".widget-label");
    if (label && label.textContent) handle.setAttribute("aria-label", label.textContent);
  });
  window.servicelabNames = new MutationObserver(name);
  window.servicelabNames.observe(document.body, {childList: true, subtree: true});
  name();
}
</script>"""


def styled(box, size: int = 16, wide: bool = False):
    """``box``, whose first child is an HTML widget, in the course's look with text of ``size`` pixels.

    Text keeps to lines that can be read; what is ``wide`` grows with the page. It hides what stands still in its place
    (:class:`Shown`).
    """
    name = f"servicelab-{size}{'-wide' if wide else ''}"
    sizes = {"size": size, "wide": 1400 if wide else 930, "id": box.model_id}
    style = _STYLE.replace(".servicelab ", f".{name} ") % sizes
    box.add_class("servicelab")
    box.add_class(name)
    box.children[0].value = style + box.children[0].value
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

    A subclass has :meth:`as_text` and ``_build``, which makes its widget, and calls :meth:`open` in the end of its
    ``__init__``; it may give :meth:`static`, more forms for a page without a kernel. In a notebook two outputs are made
    of it: what stands still, and the widget. The widget hides the other, which so is seen wherever no widget can be: in
    a page that nbconvert made, in a viewer, in a notebook whose kernel has gone.
    """

    widget = None

    def open(self) -> None:
        """Build the widget, if there are widgets. What an earlier run of the cell that runs now opened is closed."""
        if widgets is None:
            return
        cell, run = _cell_and_run()
        if cell is not None:
            before, opened = _opened.get(cell, (None, ()))
            if before != run:
                for one in list(opened):
                    one.close()
                _opened[cell] = run, weakref.WeakSet()
            _opened[cell][1].add(self)
        self.widget = self._build()

    def close(self) -> None:
        """Take the widget off the page. Its text and its answers stay; closing twice is fine."""
        box, self.widget = self.widget, None
        if box:
            close_widgets(box)

    def as_text(self) -> str:
        raise NotImplementedError

    def static(self) -> dict:
        return {"text/html": f'<pre style="white-space:pre-wrap">{escape(self.as_text())}</pre>'}

    def __repr__(self):
        if why_not():
            say_once()
        return self.as_text()

    def _repr_mimebundle_(self, include=None, exclude=None):
        say_once()
        return {"text/plain": self.as_text()} | self.static()

    def _ipython_display_(self):
        if self.widget is None or why_not():
            raise NotImplementedError  # then IPython asks for the bundle above
        from IPython.display import display

        still = self._repr_mimebundle_()
        still["text/html"] = _STILL % (self.widget.model_id, still["text/html"])
        display(still, raw=True)
        live = self.widget._repr_mimebundle_()
        display({kind: live[kind] for kind in live if kind != "text/plain"}, raw=True)


def close_widgets(box) -> None:
    """Close ``box`` and all that is in it, layouts and styles too: ipywidgets keeps for ever what nobody closed, and
    with it whoever listens to it."""
    waiting = [box]
    while waiting:
        part = waiting.pop()
        for name in part.keys:
            value = getattr(part, name)
            held = value if isinstance(value, tuple) else (value,)
            waiting += [one for one in held if isinstance(one, widgets.Widget)]
        part.close()


#: What is open, by the cell that opened it: in which run of that cell, and the objects.
_opened: dict[str, tuple[str, weakref.WeakSet]] = {}


def _cell_and_run() -> tuple[str | None, str | None]:
    """The cell that runs now, by its id or else (some clients send none) by its code, and which run of it this is."""
    if not _in_a_kernel():
        return None, None
    order = sys.modules["IPython"].get_ipython().get_parent()
    if order.get("header", {}).get("msg_type") != "execute_request":
        return None, None  # a button's or a slider's message
    return order["metadata"].get("cellId") or order["content"]["code"], order["header"]["msg_id"]
