"""The live panel: what is touched moves the picture, and nothing outlives the stop."""

import asyncio
import gc
import io
import threading
import weakref
from xml.etree import ElementTree

import ipywidgets as widgets
import numpy as np
import pytest
from ipywidgets.widgets.widget import _instances
from PIL import Image

from servicelab.views import live, widget_or_text
from servicelab.views.live import Choice, LivePanel, Press, Slider, Switch
from servicelab.views.png import encode
from tests.waiting import eventually


class Panel(LivePanel):
    title = "A title"
    question = "What do you expect?"
    controls = (
        Slider("load", "requests per second", 0, 100, 50),
        Choice("kind", "service time", ("constant", "exponential")),
        Switch("band", "show the band"),
        Press("burst", "Send a burst"),
    )
    period = 0.01

    def restart(self):
        self.rng = np.random.default_rng(self.seed)
        self.heights = [1.0]

    def burst(self):
        self.heights.append(float(self.rng.uniform(2, 9)))

    def tick(self):
        self.heights.append(float(self.rng.uniform(1, 9)))

    def draw(self, fig):
        ax = fig.add_subplot(xlim=(0, 100), ylim=(0, 10), xlabel="load", ylabel="height")
        self.dot = self.moving(ax.plot([], [], "o", markersize=14)[0])
        self.words = self.moving(ax.text(2, 9, ""))

    def update(self, load, kind, band):
        self.dot.set_data([load], [self.heights[-1]])
        self.words.set_text(f"{kind} {'band' if band else ''} {len(self.heights)}")
        return f"The dot is at load {load}, height {self.heights[-1]:.2f}."


@pytest.fixture
def panel():
    panel = Panel()
    yield panel
    panel.close()
    assert live._moving is None


def said(panel) -> str:
    """What a screen reader says of its picture."""
    return ElementTree.fromstring(panel.image.value).get("aria-label")


def test_every_control_changes_the_picture_and_the_text(panel):
    seen = [panel.image.value]
    for touch in (
        lambda: setattr(panel.fields["load"], "value", 80),
        lambda: setattr(panel.fields["kind"], "value", "exponential"),
        lambda: setattr(panel.fields["band"], "value", True),
        lambda: panel.fields["burst"].click(),
    ):
        touch()
        assert panel.image.value not in seen
        seen.append(panel.image.value)
    assert "load 80" in panel.line.value and "load 80" in said(panel)
    assert 'aria-live="polite"' in panel.line.value


def test_the_picture_is_a_png_of_the_declared_size(panel):
    image = Image.open(io.BytesIO(panel.png))
    assert image.format == "PNG" and image.size == tuple(side * live.DPI // 100 for side in panel.size)
    assert np.asarray(image).std() > 5, "something is drawn on it"


def test_what_stands_still_stays_and_what_moves_leaves_no_trace(panel):
    before = panel.png
    panel.set(load=80)
    moved = np.asarray(Image.open(io.BytesIO(panel.png))).astype(int)
    panel.set(load=50)
    assert panel.png == before
    changed = np.abs(moved - np.asarray(Image.open(io.BytesIO(before))).astype(int)).sum(axis=2) > 0
    assert 0 < changed.mean() < 0.02, "only the dot moved"


def test_a_key_costs_two_messages_of_what_moves(panel, monkeypatch):
    """One with picture and text, and one with the line below it. Each message more delays the picture."""
    sent = []
    send = widgets.Widget._send
    monkeypatch.setattr(
        widgets.Widget, "_send", lambda self, *what, **more: sent.append(self) or send(self, *what, **more)
    )
    panel.fields["load"].set_state({"value": 80})  # as the page tells it
    assert sent == [panel.image, panel.line] and "load 80" in said(panel)
    sent.clear()
    panel.fields["kind"].set_state({"index": 1})
    panel.fields["band"].set_state({"value": True})
    assert sent == [panel.image, panel.image], "the sentence is the same"
    assert (panel.values["kind"], panel.values["band"]) == ("exponential", True)
    assert len(panel.image.value) < 2000 < len(panel.png)


def test_a_step_is_not_interrupted_by_the_garbage_collector(panel, monkeypatch):
    collected = []
    note = lambda phase, info: collected.append(phase)  # noqa: E731

    def update(**values):
        collected.clear()
        kept = [[number] for number in range(100_000)]  # a simulation
        return f"{len(kept)} things, {len(collected)} collections."

    monkeypatch.setattr(panel, "update", update)
    gc.callbacks.append(note)
    try:
        assert not update().endswith(" 0 collections.")  # outside a step
        panel.redraw()
    finally:
        gc.callbacks.remove(note)
    assert panel.alt.endswith(" 0 collections.")
    assert gc.isenabled()


def test_a_text_stands_where_matplotlib_puts_it(panel, monkeypatch):
    panel.words.set(text="two\nlines", va="top")
    ours = panel._writer.draw([panel.words])
    monkeypatch.delattr(type(panel._writer), "_get_font_height_metrics")
    assert panel._writer.draw([panel.words]) == ours


def test_the_svg_has_what_moves_and_no_more(panel):
    root = ElementTree.fromstring(panel.image.value)
    assert (root.get("width"), root.get("height")) == tuple(str(side * live.DPI // 100) for side in panel.size)
    drawn = [(part.tag.partition("}")[2], part.text) for part in root if not part.tag.endswith("defs")]
    assert drawn == [("path", None), ("text", "constant\N{NO-BREAK SPACE} 1")]
    panel.words.set_text("a < b & c")
    panel.update = lambda **values: "It says that a is less than b."
    panel.redraw()
    assert ElementTree.fromstring(panel.image.value)[-1].text == "a < b & c"


def test_reset_restores_values_and_seed(panel):
    before = panel.png
    panel.fields["burst"].click()
    first = panel.heights
    panel.set(load=10, kind="exponential", band=True)
    panel.reset_button.click()
    assert panel.png == before and panel.fields["load"].value == 50 and panel.values["band"] is False
    panel.fields["burst"].click()
    assert panel.heights == first, "the same seed, the same burst"


def test_moving_a_control_from_code_moves_the_slider_and_draws_once(panel, monkeypatch):
    drawn = []
    render = panel._render
    monkeypatch.setattr(panel, "_render", lambda: drawn.append(1) or render())
    panel.set(load=70, band=True)
    assert panel.fields["load"].value == 70 and panel.fields["band"].value is True and len(drawn) == 1
    with pytest.raises(ValueError, match=r"\['speed'\] are no controls"):
        panel.set(speed=3)


def run(coroutine):
    threads = set(threading.enumerate())
    result = asyncio.run(coroutine)
    assert eventually(lambda: set(threading.enumerate()) <= threads), "no thread is left"
    return result


def test_start_runs_pause_stands_still_and_nothing_is_left(panel):
    async def story():
        panel.start_button.click()
        assert panel.is_running and panel.start_button.description == "Pause"
        while len(panel.heights) < 4:
            await asyncio.sleep(0.005)
        panel.start_button.click()
        assert not panel.is_running and panel.start_button.description == "Start"
        await asyncio.sleep(0)
        count = len(panel.heights)
        await asyncio.sleep(0.05)
        assert len(panel.heights) == count and len(asyncio.all_tasks()) == 1

    run(story())


def test_a_running_panel_pauses_by_itself(panel):
    async def story():
        panel.limit = 0.03
        panel.start()
        await asyncio.wait_for(panel._task, 10)
        assert not panel.is_running and panel.start_button.description == "Start" and len(panel.heights) > 1

    run(story())


def test_starting_another_panel_pauses_the_first(panel):
    other = Panel()

    async def story():
        panel.start()
        other.start()
        assert not panel.is_running and other.is_running
        other.reset()
        assert not other.is_running
        panel.start()
        assert panel.is_running
        panel.close()
        await asyncio.sleep(0)

    run(story())
    other.close()


def test_a_loop_that_ends_takes_the_panel_along(panel):
    async def story():
        panel.start()
        await asyncio.sleep(0.02)

    run(story())
    assert not panel.is_running
    panel.pause()


def test_start_without_a_kernel_says_so_and_does_nothing(panel):
    panel.start()
    assert not panel.is_running and "needs a notebook kernel" in panel.line.value


def test_an_error_while_it_runs_is_shown_and_ends_the_run(panel):
    def tick():
        raise RuntimeError("the model broke")

    panel.tick = tick

    async def story():
        panel.start()
        await asyncio.wait({panel._task}, timeout=10)

    run(story())
    assert not panel.is_running and "the model broke" in panel.line.value


def test_an_error_in_a_step_is_shown_and_the_old_picture_stays(panel):
    before = panel.image.value
    update = panel.update
    panel.update = lambda **values: 1 / 0
    panel.fields["load"].value = 3
    assert "ZeroDivisionError" in panel.line.value and panel.image.value == before
    panel.update = update
    panel.fields["load"].value = 4
    assert "load 4" in panel.line.value and panel.image.value != before


def test_without_widgets_the_picture_and_its_text_are_shown(panel):
    bundle = panel._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" not in bundle
    assert "image/png" in bundle and 'alt="The dot is at load 50, height 1.00."' in bundle["text/html"]
    assert "What do you expect?" in bundle["text/html"] and "What do you expect?" in bundle["text/plain"]


def test_in_a_kernel_the_widget_comes_with_a_static_picture(panel, monkeypatch):
    monkeypatch.setattr(widget_or_text, "_in_a_kernel", lambda: True)
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append(bundle))
    panel._ipython_display_()
    assert [set(bundle) for bundle in shown] == [
        {"image/png", "text/html", "text/plain"},
        {"application/vnd.jupyter.widget-view+json"},
    ]
    mark = f"still-{panel.widget.model_id}"
    assert mark in shown[0]["text/html"] and f"{mark}, " in panel.widget.children[0].value, "the widget hides it"


def test_the_question_stands_above_the_sliders(panel):
    head, controls, image, line = panel.widget.children
    assert "What do you expect?" in head.value
    *sliders, buttons = controls.children
    assert [type(field).__name__ for field in sliders] == ["IntSlider", "Dropdown", "Checkbox"]
    assert [button.description for button in buttons.children] == ["Start", "Send a burst", "Reset"]
    assert image is panel.image and line is panel.line


def variant(**parts):
    return type("Variant", (Panel,), parts)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (
            {"controls": tuple(Slider(f"s{i}", "s", 0, 1, 0) for i in range(5))},
            "7 controls with Start and Reset: at most 6",
        ),
        ({"question": ""}, "needs a title and a question"),
        ({"controls": (Slider("load", "load", 0, 10, 11),), "update": lambda self, load: "a b c d e f"}, "value=11"),
        ({"controls": (Press("nothing", "Do"),), "update": lambda self: "a b c d e f"}, r"needs a method nothing\(\)"),
        ({"update": lambda self, **values: None}, "update.. returned None"),
        ({"update": lambda self, **values: "ok"}, "does not say what the figure shows"),
    ],
)
def test_a_bad_panel_is_refused(parts, said):
    with pytest.raises(ValueError, match=said):
        variant(**parts)()


def test_a_ghost_shows_the_setting_before_until_a_reset():
    def picture(panel):
        return np.asarray(Image.open(io.BytesIO(panel.png))).astype(int)

    plain, ghostly = Panel(), variant(ghost=True)()
    assert np.array_equal(picture(plain), picture(ghostly)), "nothing was set yet"
    for panel in (plain, ghostly):
        panel.set(load=80)
    faint = np.any(picture(plain) != picture(ghostly), axis=2)
    assert faint.any(), "the dot of the setting before is to be seen"
    assert picture(ghostly)[faint].mean() > picture(plain).min() + 50, "faintly"
    ghostly.set(load=20)
    plain.set(load=20)
    assert np.any(picture(plain) != picture(ghostly))
    for panel in (plain, ghostly):
        panel.reset()
    assert np.array_equal(picture(plain), picture(ghostly))
    for panel in (plain, ghostly):
        panel.close()


def test_text_in_the_picture_is_at_least_sixteen_pixels(panel):
    ax = panel.fig.axes[0]
    sizes = [text.get_size() for text in [ax.xaxis.label, ax.yaxis.label, *ax.get_xticklabels(), panel.words]]
    assert min(sizes) * panel.fig.dpi / 72 >= 16


def test_a_closed_panel_leaves_no_widget_and_no_drawing_though_somebody_holds_it():
    """A notebook keeps what a cell showed in Out."""
    before = set(_instances)
    panel = Panel()
    drawing = weakref.ref(panel.fig)
    assert set(_instances) > before
    panel.close()
    gc.collect()
    assert set(_instances) == before and drawing() is None
    panel.set(load=70)
    panel.close()
    assert 'alt="The dot is at load 50' in panel.static()["text/html"], "the last picture stays"


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (40, 90)])
def test_our_png_is_read_back_as_it_was(shape):
    rgba = np.random.default_rng(1).integers(0, 256, (*shape, 4), dtype=np.uint8)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(encode(rgba)))), rgba[:, :, :3])
