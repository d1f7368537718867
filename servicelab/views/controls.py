"""What a learner can touch on a live panel: sliders, choices, switches and buttons.

Each is a description; ``widget()`` makes the ipywidget. ``name`` is the name under which the panel's ``update`` gets
the value, or the method that a button calls.
"""

import copy
import functools
from dataclasses import dataclass

from servicelab.views.widget_or_text import widgets


@dataclass(frozen=True, slots=True)
class Slider:
    """A number from ``low`` to ``high``, at first ``value``, in steps of ``step``.

    The default step is 1 when all three are whole numbers, else a hundredth of the range.
    """

    name: str
    label: str
    low: float
    high: float
    value: float
    step: float | None = None

    def widget(self):
        if all(isinstance(number, int) for number in (self.low, self.high, self.value, self.step or 1)):
            return _without_echo(widgets.IntSlider)(**self._common(), step=self.step or 1)
        step = self.step or (self.high - self.low) / 100
        places = max(0, min(4, -int(f"{step:e}".partition("e")[2])))
        return _without_echo(widgets.FloatSlider)(**self._common(), step=step, readout_format=f".{places}f")

    def _common(self):
        if not self.low <= self.value <= self.high or self.low == self.high:
            raise ValueError(f"{self.name}: value={self.value!r} must lie from {self.low!r} to {self.high!r}")
        return {"min": self.low, "max": self.high, "value": self.value} | _described(self.label)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of ``options``, at first ``value`` (default: the first)."""

    name: str
    label: str
    options: tuple
    value: object = None

    def widget(self):
        value = self.options[0] if self.value is None else self.value
        return _without_echo(widgets.Dropdown, "index")(
            options=list(self.options), value=value, **_described(self.label)
        )


@dataclass(frozen=True, slots=True)
class Switch:
    """On or off, at first ``value``."""

    name: str
    label: str
    value: bool = False

    def widget(self):
        return _without_echo(widgets.Checkbox)(value=self.value, indent=False, **_described(self.label))


@dataclass(frozen=True, slots=True)
class Press:
    """A button that calls the panel's method ``name``."""

    name: str
    label: str

    def widget(self):
        return button(self.label, self.label)


@functools.cache
def _without_echo(kind, name="value"):
    """The widget ``kind``, whose ``name`` is not sent back to the page that has just set it: a message less to wait for
    before each picture. (A second page that shows the same kernel sees the picture move, and not the slider.)"""
    trait = copy.copy(kind.class_traits()[name])
    trait.metadata = trait.metadata | {"echo_update": False}
    return type(kind.__name__, (kind,), {name: trait, "__module__": kind.__module__})


def _described(label):
    layout = widgets.Layout(flex="1 1 350px", max_width="430px")  # three of them beside each other on a projector
    return {"description": label, "tooltip": label, "layout": layout, "style": {"description_width": "initial"}}


def button(label: str, tooltip: str, **more):
    """A button of a panel. Its layout is given at once: one that takes another's place is never closed."""
    layout = widgets.Layout(width="auto", min_width="110px")
    return widgets.Button(description=label, tooltip=tooltip, layout=layout, **more)


def first(control):
    """The value that a control has before anyone touched it."""
    if isinstance(control, Choice) and control.value is None:
        return control.options[0]
    return control.value
