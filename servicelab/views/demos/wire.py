"""The damaged wire (chapter 00): one slider sets a delay, one real order is sent, and its diagram is drawn."""

from html import escape

from servicelab.faults import FaultProxy, Latency
from servicelab.views.spacetime import SpaceTime
from servicelab.views.widget_or_text import Shown, styled, widgets


class Wire(Shown):
    """A slider for the delay on ``proxy`` (ms), and the diagram of one order sent over it.

    ``order()`` sends an order and returns its :class:`SpaceTime`. Letting go of the slider sends one.
    """

    question = "How many ms of delay on the inner wire until the customer waits a quarter of a second?"

    def __init__(self, proxy: FaultProxy, order):
        self.proxy = proxy
        self.order = order
        self.delay = 0
        self.diagram: SpaceTime = order()
        self.open()

    def set(self, delay: int) -> None:
        """Delay every answer by ``delay`` ms, and send an order. The wire is whole again afterwards."""
        if not self.proxy.is_running:
            self._say("The servers of this page have been stopped. Run its cells again from the first order on.")
            return
        self.delay = delay
        with self.proxy.applying(Latency(delay / 1000)):
            self.diagram = self.order()
        if self.widget:
            self.picture.value = self.diagram._repr_html_()

    def _say(self, text):
        if self.widget:
            self.picture.value = f'<div role="status" style="font-size:16px">{escape(text)}</div>'

    def as_text(self):
        return f"{self.question}\nat {self.delay} ms:\n{self.diagram.table()}"

    def static(self):
        return {"text/html": f"<p>{escape(self.question)}</p>{self.diagram._repr_html_()}"}

    def _build(self):
        self.slider = widgets.IntSlider(
            min=0, max=400, step=10, description="delay (ms)", tooltip=self.question,
            continuous_update=False, layout=widgets.Layout(width="480px"),
        )  # fmt: skip
        self.slider.observe(lambda change: self.set(change["new"]), "value")
        self.picture = widgets.HTML(self.diagram._repr_html_())
        asked = widgets.HTML(f'<div style="font-size:16px">{escape(self.question)}</div>')
        return styled(widgets.VBox([asked, self.slider, self.picture]))
