"""The course's look: colours that never change their meaning, and one size of figure.

The palette is Okabe and Ito's (Color Universal Design, 2008), which people with any common colour vision tell
apart. Failure is vermilion *and* a cross, never colour alone.
"""

from html import escape

#: Okabe-Ito.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"

#: For parts of a whole, in this order; neighbours differ in lightness too.
SEQUENCE = (BLUE, SKY, GREEN, YELLOW, ORANGE, VERMILION, PURPLE)

#: Text on white, lesser text on white (contrast 7:1 and more), lines of a grid.
INK, MUTED, GRID = "#222222", "#555555", "#DDDDDD"
#: Vermilion for text: dark enough to be read on white (contrast 5:1).
FAILURE_INK = "#B34700"

#: The three worlds, as keyword arguments of ``Axes.plot`` and ``Axes.errorbar``.
MEASURED = {"color": BLUE, "marker": "o", "linestyle": "none", "markersize": 6}
SIMULATED = {"color": ORANGE, "linestyle": "-", "linewidth": 2.2}
FORMULA = {"color": BLACK, "linestyle": "--", "linewidth": 1.6}
FAILURE = {"color": VERMILION, "marker": "x", "linestyle": "none", "markersize": 8, "markeredgewidth": 2.2}
#: The spread around a line, as keyword arguments of ``Axes.fill_between``; add the colour of the line.
BAND = {"alpha": 0.2, "linewidth": 0}

#: The services in the order of their lanes, each with the colour of its bars and a darker one for lines and text.
SERVICES = {
    "client": ("#6B6B6B", "#444444"),
    "gateway": (PURPLE, "#94417A"),
    "orders": (BLUE, "#00598C"),
    "broker": ("#A6826B", "#6E4B35"),  # in between: messages go through it from left to right
    "inventory": (GREEN, "#00694D"),
    "payment": (ORANGE, "#8A5F00"),
    "shipping": (SKY, "#1A6FA3"),
    "notification": (YELLOW, "#6F6900"),
}
#: For services that the shop does not have, in order of appearance.
OTHERS = (("#8C8CC8", "#50508F"), ("#8FA65B", "#566A27"), ("#C98A8A", "#8B4545"))

#: Size of a figure in inches.
SIZE = (9.0, 3.5)

RC = {
    "figure.figsize": SIZE,
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "font.size": 11,
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 11,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "legend.fontsize": 11,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#888888",
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "lines.linewidth": 2.0,
}


def lanes(names) -> list[str]:
    """``names`` without repeats, the shop's services first and in their order, the others as they appear."""
    seen = list(dict.fromkeys(names))
    return [name for name in SERVICES if name in seen] + [name for name in seen if name not in SERVICES]


def colours(names) -> dict[str, tuple[str, str]]:
    """The pair (bars, lines and text) of every name; the same name has the same pair in every figure of the shop."""
    strangers = [name for name in names if name not in SERVICES]
    return {name: SERVICES[name] if name in SERVICES else OTHERS[strangers.index(name) % len(OTHERS)] for name in names}


def text_on(colour: str) -> str:
    """Black or white, whichever is easier to read on ``colour`` ("#RRGGBB"); WCAG 2 relative luminance."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "#FFFFFF" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "#000000"


def figure(ncols: int = 1, **more):
    """A figure of 9 x 3.5 inches in the course's look: ``(fig, ax)``, or ``(fig, array of two axes)``.

    ``more`` goes to ``plt.subplots``. The look then holds for the rest of the session. A scale starts at zero unless
    the text says why not: call ``ax.set_ylim(bottom=0)`` once everything is plotted. Raises ValueError for more than
    two panels: a third belongs in a figure of its own.
    """
    import matplotlib.pyplot as plt

    if ncols not in (1, 2):
        raise ValueError(f"ncols={ncols!r} must be 1 or 2: a figure has at most two panels")
    # Not a context: matplotlib reads these again when the caller sets a title or a label.
    plt.rcParams.update(RC)
    return plt.subplots(1, ncols, **{"layout": "constrained", **more})


def card(body: str, colour: str = BLUE, label: str = "") -> str:
    """HTML: ``body`` (already HTML) on white with a coloured edge, readable in light and dark themes."""
    name = f' role="group" aria-label="{escape(label, quote=True)}"' if label else ""
    return (
        f'<div{name} style="border-left:5px solid {colour};background:#FFFFFF;color:{INK};padding:8px 14px;'
        f'margin:6px 0;max-width:860px;font-size:15px;line-height:1.45">{body}</div>'
    )
