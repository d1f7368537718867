"""What matplotlib's artists draw, as a short piece of SVG: for a picture that is looked at for a tenth of a second.

matplotlib's own SVG names, measures and describes more than that, and takes ten times as long as this one.
"""

import itertools
from functools import cache
from html import escape

import numpy as np
from matplotlib import _path  # the writer of paths of all its vector backends
from matplotlib.backend_bases import RendererBase
from matplotlib.colors import to_hex
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.transforms import Affine2D

FAMILIES = {
    "sans-serif": "DejaVu Sans, Verdana, sans-serif",  # these two are of one width
    "monospace": "DejaVu Sans Mono, Menlo, Consolas, monospace",
}
CIRCLE = 26  # points of matplotlib's circle, which no other marker has
LETTERS = [b"M", b"L", b"Q", b"C", b"Z"]
NUMBERS = itertools.count(1)


class SVGRenderer(RendererBase):
    """``draw(artists)`` returns their SVG; ``page(body, said)`` makes a picture of it, with ``said`` as its text.

    ``agg`` is the renderer of the same figure that measures texts: with ``textLength`` each is as wide as that says,
    whatever the fonts of the page are. A clip is named once for all pictures of this renderer, and for no other's: they
    may be parts of one page.
    """

    def __init__(self, agg):
        super().__init__()
        self.agg, self.width, self.height, self.dpi = agg, int(agg.width), int(agg.height), agg.dpi
        self.flipped = Affine2D().scale(1, -1).translate(0, self.height)
        self.number, self.defined = next(NUMBERS), {}
        self.letters: dict[tuple, dict] = {}
        self.out: list[str] = []

    def draw(self, artists) -> str:
        self.out = []
        for artist in artists:
            artist.draw(self)
        return "".join(self.out)

    def page(self, body: str, said: str) -> str:
        defs = "".join(text.replace("%", name) for text, name in self.defined.items())
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" '
            f'viewBox="0 0 {self.width} {self.height}" preserveAspectRatio="xMinYMin" role="img" '
            f'aria-label="{escape(said)}"><defs>{defs}</defs>{body}</svg>'
        )

    # -- what matplotlib asks for -----------------------------------------------------------

    def get_canvas_width_height(self):
        return self.width, self.height

    def points_to_pixels(self, points):
        return points * self.dpi / 72

    def get_text_width_height_descent(self, s, prop, ismath):
        """The sum of its letters, each of which is measured once: a text that counts is new in every picture."""
        sizes = self.letters.setdefault((prop.get_family()[0], prop.get_weight(), prop.get_size_in_points()), {})
        for letter in set(s) - set(sizes):
            (both, _, _), (ends, _, _) = (
                self.agg.get_text_width_height_descent(t, prop, False) for t in (f"H{letter}H", "HH")
            )
            _, height, descent = self.agg.get_text_width_height_descent(letter, prop, False)
            sizes[letter] = both - ends, height - descent, descent
        widths, ascents, descents = zip(*map(sizes.get, s))
        return sum(widths), max(ascents) + max(descents), max(descents)

    def _get_font_height_metrics(self, prop):
        """Ascent, descent and gap of a line: matplotlib 3.11 asks so before it reads them from the font itself, which
        takes longer than all else of a text."""
        size = self.points_to_pixels(prop.get_size_in_points())
        return _line_of(prop.get_family()[0], prop.get_weight(), size)

    def draw_path(self, gc, path, transform, rgbFace=None):
        plain = rgbFace is None and path.should_simplify
        data = _written(path, transform + self.flipped, simplify=plain)
        self.out.append(f'<path d="{data}"{self._ink(gc, rgbFace)}{self._clip(gc)}/>')

    def draw_markers(self, gc, marker_path, marker_trans, path, trans, rgbFace=None):
        # All in one path: a browser takes five times as long for <use> and <marker>.
        ink = self._ink(gc, rgbFace)
        start, shape = _relative(marker_path.transformed(marker_trans + Affine2D().scale(1, -1)))
        if len(marker_path.vertices) == CIRCLE and rgbFace is not None and _colour(rgbFace) == _colour(gc.get_rgb()):
            across = 2 * abs(marker_trans.get_matrix()[0, 0]) + self.points_to_pixels(gc.get_linewidth())
            colour, alpha = _colour(rgbFace)
            ink = f' stroke="{colour}" stroke-width="{across:.1f}" stroke-linecap="round"'
            ink += alpha and f" stroke-opacity={alpha}"
            start, shape = 0, "h0"
        places = ((trans + self.flipped).transform(path.vertices) + start).round(1)
        places = places[np.isfinite(places).all(axis=1)].tolist()
        if not places:
            return
        data = "".join([f"M{x} {y}{shape}" for x, y in places])
        self.out.append(f'<path d="{data}"{ink}{self._clip(gc)}/>')

    def draw_text(self, gc, x, y, s, prop, angle, ismath=False, mtext=None):
        width, _, _ = self.get_text_width_height_descent(s, prop, ismath)
        colour, alpha = _colour(gc.get_rgb())
        text = escape(s).replace("  ", "\N{NO-BREAK SPACE} ")  # of two spaces SVG leaves one
        family = FAMILIES.get(prop.get_family()[0], FAMILIES["sans-serif"])
        bold = ' font-weight="bold"' if prop.get_weight() in ("bold", 700) else ""
        turn = f' transform="rotate({-angle:.1f} {x:.1f} {y:.1f})"' if angle else ""
        self.out.append(
            f'<text x="{x:.1f}" y="{y:.1f}" textLength="{width:.1f}" lengthAdjust="spacingAndGlyphs" fill="{colour}" '
            f'font-family="{family}" font-size="{self.points_to_pixels(prop.get_size_in_points()):.1f}"'
            f"{bold}{alpha and f' opacity={alpha}'}{turn}{self._clip(gc)}>{text}</text>"
        )

    # -- how it is written ------------------------------------------------------------------

    def _name(self, text):
        return self.defined.setdefault(text, f"servicelab-{self.number}-{len(self.defined)}")

    def _clip(self, gc):
        box = gc.get_clip_rectangle()
        if box is None:
            return ""
        x, y, width, height = box.bounds
        corner = f'x="{x:.1f}" y="{self.height - y - height:.1f}" width="{width:.1f}" height="{height:.1f}"'
        return f' clip-path="url(#{self._name(f"""<clipPath id="%"><rect {corner}/></clipPath>""")})"'

    def _ink(self, gc, face):
        forced = gc.get_alpha() if gc.get_forced_alpha() else None
        fill, alpha = ("none", "") if face is None else _colour(face, forced)
        out = f' fill="{fill}"' + (alpha and f" fill-opacity={alpha}")
        width = self.points_to_pixels(gc.get_linewidth())
        stroke, alpha = _colour(gc.get_rgb(), forced)
        if not width or alpha == '"0"':
            return out
        out += f' stroke="{stroke}" stroke-width="{width:.2f}"' + (alpha and f" stroke-opacity={alpha}")
        begin, dashes = gc.get_dashes()
        if dashes is not None:
            lengths = " ".join(f"{self.points_to_pixels(length):.1f}" for length in dashes)
            out += f' stroke-dasharray="{lengths}" stroke-dashoffset="{self.points_to_pixels(begin):.1f}"'
        cap = {"projecting": "square"}.get(gc.get_capstyle(), gc.get_capstyle())
        return f'{out} stroke-linecap="{cap}" stroke-linejoin="{gc.get_joinstyle()}"'


def _written(path, transform, simplify=False):
    return _path.convert_to_string(path, transform, None, simplify, None, 1, LETTERS, False).decode("ascii")


def _relative(path):
    """Where the outline ``path`` begins, and how the pen goes on from there."""
    segments = path.iter_segments(simplify=False)
    start, _ = next(segments)
    out, pen = [], start
    for points, code in segments:
        steps = [] if code == path.CLOSEPOLY else (points.reshape(-1, 2) - pen).ravel().round(2).tolist()
        out.append("mlqcz"[min(code, 5) - 1] + " ".join([f"{step + 0:g}" for step in steps]))
        pen = points[-2:]
    return start, "".join(out)


@cache
def _line_of(family, weight, size):
    font = get_font(findfont(FontProperties(family=family, weight=weight)))
    line, unit = font.get_sfnt_table("OS/2"), size / font.get_sfnt_table("head")["unitsPerEm"]
    return line["sTypoAscender"] * unit, -line["sTypoDescender"] * unit, line["sTypoLineGap"] * unit


@cache
def _colour_of(rgba):
    alpha = rgba[3] if len(rgba) > 3 else 1
    return to_hex(rgba[:3]), "" if alpha >= 1 else f'"{alpha:.3g}"'


def _colour(rgba, forced=None):
    """The colour as ``#rrggbb``, and its opacity in quotation marks, or nothing if it is opaque."""
    return _colour_of((*map(float, rgba[:3]), float(rgba[3] if forced is None and len(rgba) > 3 else forced or 1)))
