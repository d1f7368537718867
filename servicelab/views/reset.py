"""One button that stops every server, and shows that it did."""

from html import escape

from servicelab import lifecycle
from servicelab.views.widget_or_text import Shown, styled, widgets


class Reset(Shown):
    """What is running, and a button that stops it all. ``.press()`` does the same from code."""

    def __init__(self):
        self.said = ""
        self.open()

    def press(self) -> str:
        """Stop every server. Returns, and shows, what happened; a server that would not stop is named."""
        try:
            count = lifecycle.stop_all()
            self.said = f"Stopped {count} server{'' if count == 1 else 's'}." if count else "There was nothing to stop."
        except lifecycle.ServerError as error:
            self.said = f"✗ {error}"
        self._refresh()
        return self.said

    def as_text(self):
        return f"{self.said}\n{lifecycle.running()}".lstrip()

    def _build(self):
        self.button = widgets.Button(
            description="Stop all servers",
            tooltip="Stop every server of the course that runs in this kernel",
            layout=widgets.Layout(width="180px"),
        )
        self.button.on_click(lambda _: self.press())
        self.look_button = widgets.Button(description="Look again", tooltip="Show which servers run now")
        self.look_button.on_click(lambda _: self._refresh())
        self.view = widgets.HTML()
        self._refresh()
        return styled(widgets.VBox([widgets.HTML(), widgets.HBox([self.button, self.look_button]), self.view]))

    def _refresh(self):
        if widgets:
            left = lifecycle.running()
            shown = left._repr_html_() if len(left) else f"<div>{escape(left.caption)}</div>"
            self.view.value = f'<div role="status">{escape(self.said)}</div>{shown}'
