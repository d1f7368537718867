"""The signs of the space-time diagram as pieces of SVG: heads of arrows, crosses, torn paper, words, the legend."""

import math
from html import escape

from servicelab.views import theme
from servicelab.views.labels import text_width
from servicelab.views.timescale import written_duration

FONT, SMALL = 13, 12  # pixels
CUT_INSET = 12  # pixels between the last moment shown and the torn edge
FAMILY = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"


def cross(x, y, size):
    return (
        f'<path d="M{x - size:.1f} {y - size:.1f}l{2 * size} {2 * size}m0 {-2 * size}l{-2 * size} {2 * size}" '
        f'stroke="{theme.VERMILION}" stroke-width="3" stroke-linecap="round"/>'
    )


def head(x, y, ux, uy, colour):
    """The head of an arrow that arrives at (x, y) in the direction (ux, uy)."""
    bx, by = x - 10 * ux, y - 10 * uy
    return (
        f'<path d="M{x:.1f} {y:.1f}L{bx - 4 * uy:.1f} {by + 4 * ux:.1f}L{bx + 4 * uy:.1f} {by - 4 * ux:.1f}Z" '
        f'fill="{colour}"/>'
    )


def word(label):
    box = label.box
    bold = ' font-weight="bold"' if label.bold else ""
    turn = f' transform="rotate({math.degrees(box.angle):.1f} {box.x:.1f} {box.y:.1f})"' if box.angle else ""
    halo = (
        ""
        if label.rank == 0 and box.angle
        else ' stroke="#FFFFFF" stroke-width="3" stroke-linejoin="round" paint-order="stroke"'
    )
    return (
        f'<text class="label" x="{box.x:.1f}" y="{box.y + label.size * 0.35:.1f}" text-anchor="middle" '
        f'font-size="{label.size}" textLength="{box.width - 1:.1f}" lengthAdjust="spacingAndGlyphs" '
        f'fill="{label.colour}"{bold}{halo}{turn}>{escape(label.text)}</text>'
    )


def cut(upper, lower, seconds, left, right):
    """A strip torn out of the paper."""
    tooth = 7
    count = int((right - left) / tooth)
    upper, lower = upper + CUT_INSET, lower - CUT_INSET
    zig = "".join(f"l{tooth} {3.5 if i % 2 else -3.5}" for i in range(count))
    back = "".join(f"l{-tooth} {-3.5 if i % 2 else 3.5}" for i in reversed(range(count)))
    shape = f"M{left} {upper:.1f}{zig}V{lower + (0 if count % 2 == 0 else -3.5):.1f}{back}Z"
    edges = f"M{left} {upper:.1f}{zig}M{left} {lower:.1f}{zig}"
    middle = (upper + lower) / 2 + 4
    return (
        f'<path d="{shape}" fill="#F4F4F4" fill-opacity="0.86"/><path d="{edges}" stroke="#9A9A9A"/>'
        f'<text x="{left + 8}" y="{middle:.1f}" {fitted(cut_text(seconds), SMALL, True)} font-weight="bold" '
        f'fill="{theme.INK}">{cut_text(seconds)}</text>'
    )


def cut_text(seconds):
    """What a strip says: in plain letters, which every font has."""
    return f"{written_duration(seconds)} cut out"


def fitted(text, size, bold=False):
    """The attributes with which a text is as wide as it is reckoned to be, whatever the font."""
    return f'textLength="{text_width(text, size, bold):.1f}" lengthAdjust="spacingAndGlyphs"'


def legend(used, x, y, right):
    """Signs that occur in this picture, each with its word. Returns SVG and the next free line."""
    ink = theme.MUTED
    signs = [
        ("message", "message", f'<path d="M0 0H16" stroke="{ink}" stroke-width="1.6"/>' + head(22, 0, 1, 0, ink)),
        (
            "reply",
            "reply",
            f'<path d="M0 0H16" stroke="{ink}" stroke-width="1.6" stroke-dasharray="7 4"/>' + head(22, 0, 1, 0, ink),
        ),
        ("wait", "waiting", f'<rect x="8" y="-7" width="4" height="14" fill="{ink}"/>'),
        ("work", "working", f'<rect x="5" y="-7" width="11" height="14" rx="1.5" fill="#9A9A9A" stroke="{ink}"/>'),
        (
            "held",
            "held while waiting",
            f'<rect x="5" y="-7" width="11" height="14" rx="1.5" fill="#FFFFFF" '
            f'stroke="{ink}"/><rect x="9" y="-7" width="3" height="14" fill="{ink}"/>',
        ),
        (
            "timeout",
            "timeout",
            f'<path d="M10 -7V7" stroke="{theme.VERMILION}" stroke-width="2" '
            'stroke-dasharray="1.5 4" stroke-linecap="round"/>',
        ),
        ("lost", "lost or failed", cross(10, 0, 5)),
    ]
    out, left = [], x
    for key, word, sign in signs:
        if key in used:
            wide = 28 + text_width(word, SMALL) + 12
            if x + wide > right:
                x, y = left, y + 20
            out.append(
                f'<g transform="translate({x:.0f} {y - 4:.0f})">{sign}<text x="28" y="4" fill="{ink}">{word}</text></g>'
            )
            x += wide
    return out, y + 20
