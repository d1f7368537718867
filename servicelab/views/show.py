"""A figure and the sentence that says what it shows.

``plt.show()`` leaves a picture without any text for those who cannot see it. Here the text comes first: no
alternative text, no figure.
"""

import base64
import io
from html import escape


class Picture:
    """A PNG with its alternative text. A notebook shows ``<img alt=…>``, a terminal the text."""

    def __init__(self, png: bytes, alt: str, width: int | None = None):
        self.png = png
        self.alt = checked(alt)
        self.width = width  # CSS pixels; None: as wide as the picture is

    def __repr__(self):
        return f"[figure: {self.alt}]"

    def _repr_html_(self):
        width = f' width="{self.width}"' if self.width else ""
        data = base64.b64encode(self.png).decode("ascii")
        return (
            f'<img alt="{escape(self.alt, quote=True)}"{width} style="max-width:100%;height:auto;background:#FFFFFF" '
            f'src="data:image/png;base64,{data}">'
        )

    def _repr_mimebundle_(self, include=None, exclude=None):
        png = base64.b64encode(self.png).decode("ascii")
        return {"text/html": self._repr_html_(), "image/png": png, "text/plain": repr(self)}


def picture(fig, alt: str) -> Picture:
    """The matplotlib figure ``fig`` as a :class:`Picture`; closes ``fig``. Raises as :func:`show` does."""
    import matplotlib.pyplot as plt

    if not hasattr(fig, "savefig"):
        raise TypeError(f"show() wants a matplotlib figure, not {type(fig).__name__} {fig!r}: give it ax.figure")
    try:
        alt = checked(alt)
        out = io.BytesIO()
        # Twice the pixels, so that it stays sharp on a projector and on fine screens.
        fig.savefig(out, format="png", dpi=2 * 100, facecolor="white")
    finally:
        plt.close(fig)
    return Picture(out.getvalue(), alt, width=round(fig.get_figwidth() * 100))


def show(fig, alt: str) -> None:
    """Show ``fig`` in the notebook with the alternative text ``alt``, and close it.

    ``alt`` says in a sentence what the figure *shows*, not what it is: "Latency stays near 10 ms up to 70% load,
    then rises steeply." Raises ValueError when it is missing or says next to nothing, TypeError when ``fig`` is not
    a figure. Nothing is left open either way.
    """
    from IPython.display import display

    display(picture(fig, alt))


def checked(alt: str) -> str:
    """``alt``, in one line. Raises ValueError when it does not tell anybody anything."""
    text = " ".join(alt.split()) if isinstance(alt, str) else ""
    if len(text.split()) < 5:
        raise ValueError(
            f"alt={alt!r} does not say what the figure shows: write a sentence of at least five words, "
            "such as 'Latency stays near 10 ms up to 70% load, then rises steeply.'"
        )
    return text
