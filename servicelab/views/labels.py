"""Where to put the words, so that none covers another and all stay in the picture.

A label is a box that may be turned. It has a few places that suit it, best first; it takes the first that is free
of every other label and crosses the fewest lines. One that finds no free place is not drawn.
"""

import math
from dataclasses import dataclass, field

# Widths of the printable ASCII characters from space to ~ in Helvetica, in thousandths of an em (Adobe's font metrics
# for the PostScript core fonts; Arial and Liberation Sans have the same). Other fonts are squeezed to them with
# ``textLength``, so a box never lies.
_HELVETICA = (
    "278 278 355 556 556 889 667 191 333 333 389 584 278 333 278 278 556 556 556 556 556 556 556 556 556 556 278 278 "
    "584 584 584 556 1015 667 667 722 722 667 611 778 722 278 500 667 556 833 722 778 667 778 722 667 611 722 667 944 "
    "667 667 611 278 278 278 469 556 333 556 556 500 556 556 278 556 556 222 222 500 222 833 556 556 556 556 333 500 "
    "278 556 500 722 500 500 500 334 260 334 584"
)
_WIDTHS = [int(width) for width in _HELVETICA.split()]


def text_width(text: str, size: float, bold: bool = False) -> float:
    """The width of ``text`` in pixels at ``size`` pixels."""
    thousandths = 0
    for letter in text:
        code = ord(letter) - 32
        if 0 <= code < 95:
            thousandths += _WIDTHS[code]
        elif letter < "\u2000":
            thousandths += 600
        else:
            thousandths += 1000
    return thousandths * size / 1000 * (1.08 if bold else 1.0)


def shortened(text: str, room: float, size: float, bold: bool = False) -> str:
    """``text``, cut with "…" so that it is at most ``room`` pixels wide."""
    if text_width(text, size, bold) <= room:
        return text
    while len(text) > 1 and text_width(text + "…", size, bold) > room:
        text = text[:-1].rstrip()
    return text + "…"


@dataclass(slots=True)
class Box:
    """A rectangle around ``(x, y)``, ``width`` by ``height`` pixels, turned by ``angle`` radians (clockwise)."""

    x: float
    y: float
    width: float
    height: float
    angle: float = 0.0
    corners: tuple = field(init=False)
    edges: tuple = field(init=False)  # left, top, right, bottom
    turn: tuple = field(init=False)  # cosine and sine of the angle

    def __post_init__(self):
        c, s = self.turn = (math.cos(self.angle), math.sin(self.angle)) if self.angle else (1.0, 0.0)
        dx, dy = self.width / 2, self.height / 2
        ux, uy, vx, vy = c * dx, s * dx, -s * dy, c * dy
        x, y = self.x, self.y
        self.corners = (
            (x - ux - vx, y - uy - vy),
            (x + ux - vx, y + uy - vy),
            (x + ux + vx, y + uy + vy),
            (x - ux + vx, y - uy + vy),
        )
        reach_x, reach_y = abs(ux) + abs(vx), abs(uy) + abs(vy)
        self.edges = (x - reach_x, y - reach_y, x + reach_x, y + reach_y)


def overlap(a: Box, b: Box) -> bool:
    """Do two boxes share more than an edge? (Separating axes.)"""
    al, at, ar, ab = a.edges
    bl, bt, br, bb = b.edges
    if ar <= bl or br <= al or ab <= bt or bb <= at:
        return False
    if not a.angle and not b.angle:
        return True
    return not (_separated(a, b) or _separated(b, a))


def _separated(a, b):
    """Does a line along an edge of ``a`` part the two?"""
    c, s = a.turn
    dx, dy = b.x - a.x, b.y - a.y
    bc, bs = b.turn
    along, across = abs(c * bc + s * bs), abs(c * bs - s * bc)  # |cos|, |sin| of the angle between them
    reach = b.width / 2 * along + b.height / 2 * across
    if abs(dx * c + dy * s) >= a.width / 2 + reach:
        return True
    reach = b.width / 2 * across + b.height / 2 * along
    return abs(dy * c - dx * s) >= a.height / 2 + reach


def crosses(box: Box, line) -> bool:
    """Does the line ``(x1, y1, x2, y2)`` run through the box?"""
    x1, y1, x2, y2 = line
    left, top, right, bottom = box.edges
    if (x1 if x1 < x2 else x2) >= right or (x1 if x1 > x2 else x2) <= left:
        return False
    if (y1 if y1 < y2 else y2) >= bottom or (y1 if y1 > y2 else y2) <= top:
        return False
    c, s = box.turn
    ax, ay = (x1 - box.x) * c + (y1 - box.y) * s, (y1 - box.y) * c - (x1 - box.x) * s
    bx, by = (x2 - box.x) * c + (y2 - box.y) * s, (y2 - box.y) * c - (x2 - box.x) * s
    begin, end = 0.0, 1.0
    for at, way, reach in ((ax, bx - ax, box.width / 2), (ay, by - ay, box.height / 2)):
        if not way:
            if abs(at) >= reach:
                return False
            continue
        near, far = (-reach - at) / way, (reach - at) / way
        if near > far:
            near, far = far, near
        begin, end = max(begin, near), min(end, far)
        if begin >= end:
            return False
    return True


@dataclass(slots=True)
class Label:
    """``text`` and the boxes that would suit it, best first. ``own`` is the line it belongs to (not in its way)."""

    text: str
    places: list
    size: float = 13.0
    colour: str = "#222222"
    bold: bool = False
    own: tuple | None = None
    rank: float = 0.0  # how urgent: 0 is placed first
    box: Box | None = None


def place(labels, lines, room, taken=()) -> list[Label]:
    """Give each label its box, in the given order; returns those that found no place.

    ``lines`` are lines that a label had better not cross, ``room`` is (left, top, right, bottom) of the picture,
    ``taken`` are boxes that are not free.
    """
    left, top, right, bottom = room
    taken = list(taken)
    homeless = []
    for label in labels:
        best, least = None, math.inf
        for box in label.places:
            edges = box.edges
            if edges[0] < left or edges[1] < top or edges[2] > right or edges[3] > bottom:
                continue
            if any(overlap(box, other) for other in taken):
                continue
            count = sum(crosses(box, line) for line in lines if line is not label.own)
            if count < least:
                best, least = box, count
                if not count:
                    break
        label.box = best
        if best is None:
            homeless.append(label)
        else:
            taken.append(best)
    return homeless
