"""The space-time diagram: what happened between services, drawn so that it can be read like a page.

Lanes side by side, time flowing down. A message is a slanted arrow, and its slope is its latency: a flat arrow was
fast, a steep one slow. A thin bar is someone waiting, a thick bar someone working, a hollow one a worker that is
held by a call to somebody else. A message that never arrived ends in a cross where it was lost; a timeout is a
dotted line as long as the timeout. The same run is one call away as a table.

``spacetime(trace)`` is all that a notebook needs. ``views.run`` chooses what is shown, ``views.drawing`` draws it with
the signs of ``views.ink``, ``views.timescale`` turns time into pixels and ``views.labels`` finds room for the words.
"""

from servicelab.table import Table
from servicelab.trace import Trace
from servicelab.views.drawing import Drawing
from servicelab.views.selection import Run
from servicelab.views.timescale import CROWDED_RATIO, RATIO


def spacetime(trace: Trace, title: str = "", *, since: int = 0, most: int = 30, mark=None, breaks=True) -> "SpaceTime":
    """The run recorded in ``trace`` as a space-time diagram.

    ``title`` says what to see in it. ``since`` shows only what was recorded after ``since = len(trace)``. ``most``
    messages are shown at the most: the first ones, or those around the first marked one; the diagram says so.
    ``mark`` highlights messages or calls: an id, a Message or Call, a list of them, or a dict from these to a note
    of a few words. ``breaks=False`` draws long silences at full length.

    Raises TypeError when ``trace`` is not a Trace and ValueError for ``most`` below 1 or a negative ``since``.
    """
    if not isinstance(trace, Trace):
        raise TypeError(f"spacetime() wants a Trace, not {type(trace).__name__}: pass the trace that the run recorded")
    if not isinstance(most, int) or most < 1:
        raise ValueError(f"most={most!r} must be at least 1 message")
    if not isinstance(since, int) or since < 0:
        raise ValueError(f"since={since!r} must be a length of the trace, such as len(trace) before the run")
    return SpaceTime(trace.since(since), title, most, _marks(mark), breaks)


class SpaceTime:
    """A drawn run. ``svg`` is the picture, ``description`` the run in words, ``table()`` the same as a table.

    ``labels`` are the words of the drawing with their boxes, ``left_out`` those that found no room.
    """

    def __init__(self, trace, title, most, marks, breaks):
        self.title = title
        self._trace = trace
        run = Run(trace, most, marks)
        self.note = run.note
        self.description = run.in_words()
        height = min(900.0, max(190.0, 70 + 24.0 * run.rows))
        ratio, crowded = (RATIO, CROWDED_RATIO) if breaks else (0, 0)
        for _ in range(4):
            drawing = Drawing(run, title, height, ratio)
            if not drawing.left_out or height >= 1500:
                break
            ratio, height = crowded, min(1500.0, height * 1.35)
        self.labels = [label for label in drawing.labels if label.box]
        self.left_out = [label.text for label in drawing.left_out]
        self.svg = drawing.svg(self.description)
        self.width, self.height = drawing.width, drawing.total_height

    def table(self, most: int = 30) -> Table:
        """The messages as a table, times in ms from the first event; ``most`` rows at the most."""
        return self._trace.table(most)

    def __repr__(self):
        lines = [self.title] if self.title else []
        return "\n".join([*lines, str(self.table())])

    def _repr_html_(self):
        return f'<div style="overflow-x:auto">{self.svg}</div>'

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {"text/html": self._repr_html_(), "text/plain": repr(self)}


def _marks(mark) -> dict[str, str]:
    """Ids to notes, from whatever was given as ``mark``."""
    if mark is None:
        return {}
    if isinstance(mark, dict):
        return {getattr(key, "id", key): str(note or "") for key, note in mark.items()}
    if isinstance(mark, str) or hasattr(mark, "id"):
        mark = [mark]
    return {getattr(one, "id", one): "" for one in mark}
