"""A live panel: a figure that answers while a slider moves.

What never changes (axes, labels, grid) is drawn once, as a PNG that lies behind the widget's picture. A step writes
only the artists that move, as a few kilobytes of SVG. That is many times faster than a new figure for every step; and
as a part of the page it is painted at once, where an image would first have to be fetched and decoded. A chapter's
panel is a class of its own::

    class Queue(LivePanel):
        title = "Waiting grows before the worker is full"
        question = "At which load does the wait double?"
        controls = (Slider("load", "requests per second", 0, 95, 50), Press("burst", "Send a burst"))

        def draw(self, fig):  # once: everything that stands still, and the artists that will move
            ax = fig.add_subplot(xlim=(0, 100), ylim=(0, 200), xlabel="load (requests/s)", ylabel="wait (ms)")
            self.dot = self.moving(ax.plot([], [], "o")[0])

        def update(self, load):  # every step: move them, and say in a sentence what is to be seen
            self.dot.set_data([load], [1000 / (100 - load)])
            return f"At {load:.0f} requests per second a request takes {1000 / (100 - load):.0f} ms."

With a method ``tick()``, which moves the model on by one step, the panel gets a Start/Pause button.
"""

import asyncio
import base64
import contextlib
import gc
import threading
import time
from html import escape

import numpy as np

from servicelab.views.controls import Choice, Press, Slider, Switch, button, first
from servicelab.views.png import encode
from servicelab.views.show import Picture, checked
from servicelab.views.theme import FAILURE_INK, INK, RC
from servicelab.views.widget_or_text import Shown, styled, widgets

__all__ = ["Choice", "LivePanel", "Press", "Slider", "Switch"]

#: Everything a learner can touch, Start and Reset included: more than six nobody finds on a projector.
MOST_CONTROLS = 6

#: Pixels at 100 dots per inch; 13 points are 18 pixels, which can be read from the last row.
SIZE = (900, 360)
#: Dots per inch of what is drawn: it stays sharp on a page that is a third wider.
DPI = 130
#: The picture fills the page, and leaves as much of its height (CSS pixels) as the menus, the controls and the sentence
#: take: all is seen together on a projector of 1280 x 720, and at a zoom of 150% on 1920 x 1080.
LEFT_FOR_CONTROLS = 365
#: The share of its colour that a setting which is over keeps.
GHOST = 0.35
FONTS = dict.fromkeys(("font.size", "axes.labelsize", "xtick.labelsize", "ytick.labelsize", "legend.fontsize"), 12.5)

_moving = None  # the one panel whose clock runs


@contextlib.contextmanager
def undisturbed():
    """A step without Python's garbage collector. In the midst of a step it finds a whole simulation alive, counts it
    among what lasts, and from time to time looks through all that a chapter has left in the kernel: that takes 0.1 s,
    and the picture waits. After the step hardly anything is left."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


class LivePanel(Shown):
    """Base of the demo panels; see the module for how to write one.

    ``title`` and ``question`` stand above the picture, ``controls`` below the question. ``seed`` is for the panel's
    own use: :meth:`restart` makes everything that was drawn by chance again from it, so that a reset shows every
    class the same run. ``period`` is the time between two ticks in seconds; after ``limit`` seconds a running panel
    pauses by itself. One panel runs at a time, in the kernel's own loop, without a thread. With ``ghost`` a panel whose
    settings often make no difference shows the moving artists of the setting before, faintly, until a reset.

    Raises ValueError for more than six controls (Start and Reset count), for a missing title or question, and when
    :meth:`update` does not return a sentence.
    """

    title = ""
    question = ""
    controls: tuple = ()
    size = SIZE
    period = 0.1
    limit = 120.0
    ghost = False

    def __init__(self, seed: int = 1):
        self.seed = seed
        self._lock = threading.RLock()  # a slider may speak from another thread than the cell
        self._task = self._loop = None
        self._quiet = False
        self._said_at = 0.0
        self.is_running = False
        self.ticks = callable(getattr(self, "tick", None))
        if not self.title or not self.question:
            raise ValueError(f"{type(self).__name__} needs a title and a question: what should the class look for?")
        count = len(self.controls) + 1 + self.ticks
        if count > MOST_CONTROLS:
            raise ValueError(
                f"{type(self).__name__} has {count} controls with Start and Reset: at most {MOST_CONTROLS}"
            )
        self.values = {control.name: first(control) for control in self.controls if not isinstance(control, Press)}
        self.alt = ""
        self._open_figure()
        self._last = self._before = (
            None  # what moves, and the values for it: of the last picture, of the setting before
        )
        self.restart()
        self.svg = self._render()
        checked(self.alt)
        self.open()

    # -- for subclasses ---------------------------------------------------------------------

    def draw(self, fig) -> None:
        """Draw on ``fig`` what stands still; create what moves with :meth:`moving`."""
        raise NotImplementedError

    def update(self, **values) -> str:
        """Move the moving artists to ``values`` (by name of control); return what is to be seen, in a sentence."""
        raise NotImplementedError

    def restart(self) -> None:
        """Put the model back to its beginning, seed included. Called at the start and by Reset."""

    def moving(self, artist):
        """Mark ``artist`` as one that moves, and return it."""
        artist.set_animated(True)
        self._artists.append(artist)
        return artist

    # -- for everyone -----------------------------------------------------------------------

    def set(self, **values) -> None:
        """Move controls from code: ``panel.set(load=80)``. Raises ValueError for a name that no control has."""
        unknown = set(values) - set(self.values)
        if unknown:
            raise ValueError(f"{sorted(unknown)} are no controls of this panel: it has {sorted(self.values)}")
        self.values.update(values)
        self._show_values()
        self._before = self._last
        self.redraw()

    def redraw(self) -> None:
        """Draw the present state. An error in the panel is shown beneath it instead of being lost."""
        with self._lock, undisturbed():
            if self._canvas is None:
                return  # closed
            try:
                self.svg = self._render()
            except Exception as error:
                return self._fail(error)
            if self.widget:
                self._show_what_is_seen()

    def start(self) -> None:
        """Let the panel run until :meth:`pause`, for ``limit`` seconds at the most."""
        global _moving
        if not self.ticks or self.is_running:
            return
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            self._say("Start needs a notebook kernel; here, call tick() and redraw() yourself.")
            return
        if _moving is not None:
            _moving.pause()
        _moving = self
        self.is_running = True
        self._task = self._loop.create_task(self._run())
        self._show_running()

    def pause(self) -> None:
        """Stand still. Pausing twice is fine."""
        global _moving
        self.is_running = False
        if _moving is self:
            _moving = None
        task, self._task = self._task, None
        if task is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(task.cancel)
        self._show_running()

    def reset(self) -> None:
        """Pause, and go back to the first values and the seed."""
        self.pause()
        with self._lock:
            self.values = {control.name: first(control) for control in self.controls if not isinstance(control, Press)}
            self._show_values()
            self._before = None
            self.restart()
            self.redraw()

    def close(self) -> None:
        """Pause, take the widget off the page, and let the drawing go: the last picture and its text stay."""
        self.pause()
        super().close()
        with self._lock:
            if self.fig:
                self._png = self.png
                self.fig.clear()  # parts it from its artists, which a panel that somebody still holds keeps
            self.fig = self._canvas = self._background = self._writer = None
            self._artists = []

    # -- drawing ----------------------------------------------------------------------------

    def _open_figure(self):
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        from servicelab.views.svg_renderer import SVGRenderer

        self._artists = []
        with matplotlib.rc_context(RC | FONTS):
            # Not pyplot's: nobody has to close it, and no other cell draws on it.
            self.fig = Figure(figsize=(self.size[0] / 100, self.size[1] / 100), dpi=DPI, layout="constrained")
            self._canvas = FigureCanvasAgg(self.fig)
            self.draw(self.fig)
            self._canvas.draw()
        self.fig.set_layout_engine("none")
        self._artists.sort(key=lambda artist: artist.get_zorder())
        self._background = self._canvas.copy_from_bbox(self.fig.bbox)
        self._behind = encode(self._canvas.buffer_rgba())
        self._writer = SVGRenderer(self._canvas.get_renderer())

    def _render(self) -> str:
        said = self.update(**self.values)
        if not isinstance(said, str):
            raise ValueError(f"update() returned {said!r}: it must return a sentence that says what is to be seen")
        self.alt, self._png = said, None
        moving = self._writer.draw(self._artists)
        self._last = moving, dict(self.values)
        ghost = f'<g opacity="{GHOST}">{self._before[0]}</g>' if self.ghost and self._before else ""
        return self._writer.page(ghost + moving, said)

    @property
    def png(self) -> bytes:
        """The whole picture, for a page without a kernel."""
        with self._lock:
            if self._png is None:
                self._canvas.restore_region(self._background)
                pixels = np.asarray(self._canvas.buffer_rgba())
                if self.ghost and self._before:
                    plain = pixels.copy()
                    self.update(**self._before[1])
                    self._paint()
                    pixels[:] = GHOST * pixels + (1 - GHOST) * plain
                    self.update(**self.values)
                self._paint()
                self._png = encode(pixels)
            return self._png

    def _paint(self):
        for artist in self._artists:
            (artist.axes or self.fig).draw_artist(artist)

    async def _run(self):
        end = time.monotonic() + self.limit
        try:
            while self.is_running and time.monotonic() < end:
                begin = time.monotonic()
                with self._lock, undisturbed():
                    self.tick()
                    self.redraw()
                # Leave the kernel room for the sliders, however long a step takes.
                await asyncio.sleep(max(0.02, self.period - (time.monotonic() - begin)))
        except Exception as error:
            self._fail(error)
        finally:
            if self._task is asyncio.current_task():
                self._task = None
                self.pause()

    # -- the widget -------------------------------------------------------------------------

    def as_text(self):
        return "\n".join(line for line in (self.title, self.question, self._settings(), self.alt) if line)

    def _settings(self):
        settings = [(control.label, self.values.get(control.name)) for control in self.controls]
        return ", ".join(f"{label}: {value}" for label, value in settings if value is not None)

    def static(self):
        picture = Picture(self.png, self.alt, width=self.size[0])
        head = f"<p><b>{escape(self.title)}</b><br>{escape(self.question)}<br>{escape(self._settings())}</p>"
        page = f"{head}{picture._repr_html_()}<p>{escape(self.alt)}</p>"
        return picture._repr_mimebundle_() | {"text/html": page, "text/plain": self.as_text()}

    def _build(self):
        height = {"min_height": "240px", "max_height": f"calc(100vh - {LEFT_FOR_CONTROLS}px)"}
        self.image = widgets.HTML(self.svg, layout=widgets.Layout(width="100%", height="auto", **height))
        behind = f"servicelab-behind-{self.image.model_id}"
        self.image.add_class(behind)
        self.line = widgets.HTML()
        self.fields = {}
        sliders, buttons = [], []
        for control in self.controls:
            field = control.widget()
            self.fields[control.name] = field
            if isinstance(control, Press):
                method = getattr(self, control.name, None)
                if not callable(method):
                    raise ValueError(f"the button {control.label!r} needs a method {control.name}() of the panel")
                field.on_click(lambda _, method=method: self._pressed(method))
                buttons.append(field)
            else:
                field.observe(lambda change, name=control.name: self._moved(name, change["new"]), "value")
                sliders.append(field)
        if self.ticks:
            self.start_button = button("Start", "Start or pause", button_style="primary")
            self.start_button.on_click(lambda _: self.pause() if self.is_running else self.start())
            buttons.insert(0, self.start_button)
        self.reset_button = button("Reset", "Back to the first values and the same seed")
        self.reset_button.on_click(lambda _: self.reset())
        buttons.append(self.reset_button)
        png = base64.b64encode(self._behind).decode("ascii")
        head = widgets.HTML(
            f"<style>.{behind} > div, .{behind} svg {{min-height: inherit; max-height: inherit}}"
            f".{behind} svg {{display: block; width: 100%; height: auto; print-color-adjust: exact; "
            f"background: #FFFFFF url(data:image/png;base64,{png}) left top / contain no-repeat}}</style>"
            f'<div style="color:{INK};background:#FFFFFF;padding:4px 8px;line-height:1.35">'
            f'<div style="font-size:19px;font-weight:bold">{escape(self.title)}</div>'
            f'<div style="font-size:17px">{escape(self.question)}</div></div>'
        )
        wrap = widgets.Layout(flex_flow="row wrap", width="100%", align_items="flex-end")
        controls = widgets.Box([*sliders, widgets.HBox(buttons)], layout=wrap)
        panel = widgets.VBox([head, controls, self.image, self.line])
        self._show_what_is_seen()
        return styled(panel, wide=True)

    def _moved(self, name, value):
        self.values[name] = value
        if not self._quiet:
            self._before = self._last
            self.redraw()

    def _pressed(self, method):
        with self._lock:
            try:
                method()
            except Exception as error:
                return self._fail(error)
            self.redraw()

    def _fail(self, error):
        """Stand still, and show ``error`` where everybody looks: a callback's traceback goes to a log."""
        self.pause()
        self._say(f'<b style="color:{FAILURE_INK}">✗ {escape(type(error).__name__)}: {escape(str(error))}</b>')

    def _show_values(self):
        if not self.widget:
            return
        self._quiet = True
        try:
            for name, value in self.values.items():
                self.fields[name].value = value
        finally:
            self._quiet = False

    def _show_running(self):
        if self.widget and self.ticks:
            self.start_button.description = "Pause" if self.is_running else "Start"
            if not self.is_running:
                self._show_what_is_seen()

    def _show_what_is_seen(self):
        self.image.value = self.svg  # with its text, and before the line: each message more delays the picture
        # A screen reader that is told ten times a second says nothing at all.
        if not self.is_running or time.monotonic() - self._said_at >= 1.0:
            self._said_at = time.monotonic()
            self._say(escape(self.alt))

    def _say(self, html):
        if widgets and hasattr(self, "line"):
            self.line.value = (
                f'<div role="status" aria-live="polite" style="font-size:17px;line-height:1.35;color:{INK};'
                f'background:#FFFFFF;padding:2px 8px">{html}</div>'
            )
