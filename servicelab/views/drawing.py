"""Draws one run as a space-time diagram: bars and arrows first, then the words where there is room for them."""

import itertools
import math
from html import escape

from servicelab.trace import Message, reply_id
from servicelab.views import theme
from servicelab.views.labels import Box, Label, place, shortened, text_width
from servicelab.views.selection import NOBODY, Run
from servicelab.views.svg_shapes import CUT_INSET, FAMILY, FONT, SMALL, cross, cut, cut_text, fitted, head, legend, word
from servicelab.views.timescale import TimeScale, written_duration

WIDTH = 900  # pixels, what a notebook shows at full size
GUTTER = 66  # for the time scale
LEFT, RIGHT = GUTTER + 118, 78  # room beside the first lane and the last
LINE = 16  # height of a line of text
WORK, WAIT, NESTED = 11, 4, 3  # widths of bars

#: Colours of well-known states (band, text); others take turns. The band always says its name as well.
STATES = {
    "closed": ("#CDEBE0", "#00513B"),
    "up": ("#CDEBE0", "#00513B"),
    "open": ("#F7CDB8", "#7A2E00"),
    "down": ("#F7CDB8", "#7A2E00"),
    "stopped": ("#E0E0E0", "#333333"),
    "half-open": ("#FBE8B8", "#5E4200"),
    "half_open": ("#FBE8B8", "#5E4200"),
    "passing": ("#CDEBE0", "#00513B"),
    "running": ("#CDEBE0", "#00513B"),
    "warning": ("#FBE8B8", "#5E4200"),
    "self-preservation": ("#FBE8B8", "#5E4200"),
    "critical": ("#F7CDB8", "#7A2E00"),
    "evicted": ("#F7CDB8", "#7A2E00"),
    "paused": ("#E0E0E0", "#333333"),
    "deregistered": ("#E0E0E0", "#333333"),
    "forgotten": ("#E0E0E0", "#333333"),
}
OTHER_STATES = (("#D3E6F5", "#00406B"), ("#EBDCE8", "#6A2A58"), ("#E6E6C8", "#4A4700"))

_numbers = itertools.count(1)


class Drawing:
    """One run at one height. Everything is laid out first, then the words find their places, then it is written."""

    def __init__(self, run: Run, title: str, height: float, ratio: float):
        self.run, self.title = run, title
        self.labels: list[Label] = []
        self.lines: list[tuple] = []  # what a label had better not cross
        self.taken: list[Box] = []  # where a label may not stand
        self.back, self.front = [], []  # SVG below and above the arrows
        self.used = set()  # what the legend has to explain
        self.colours = theme.colours(run.lanes)

        self._lay_out_lanes()
        self.header = 12 + (26 if title else 0)
        self.top = self.header + 24 + 26
        flights = [(message.sent, run.arrivals[message.id]) for message in run.messages]
        if run.end <= run.begin:
            height = 30.0  # all at one moment
        self.scale = TimeScale(self._points(), flights, self.top, height, run.zero, ratio)
        self.bottom = self.scale.bottom + 14

        for upper, lower, seconds in self.scale.cuts:
            self.lines += [(GUTTER, y, self.width, y) for y in (upper + CUT_INSET, lower - CUT_INSET)]
            wide = text_width(cut_text(seconds), SMALL, True)
            self.taken.append(Box(GUTTER + 3 + wide / 2, (upper + lower) / 2, wide + 6, LINE))
        self.lines += [(x, self.top, x, self.bottom) for x in self.x.values()]
        self._lay_out_bars()
        self._draw_states()
        self._draw_bars()
        self._draw_timeouts_and_failures()
        for message in run.messages:
            self._draw_message(message)
        # What went wrong is placed first: it must never be the label that found no room.
        self.labels.sort(key=lambda label: label.rank)
        room = (GUTTER + 2, self.header + 26, self.width - 4, self.bottom + 6)
        self.left_out = place(self.labels, self.lines, room, self.taken)

    # -- layout -----------------------------------------------------------------------------

    def _points(self):
        run = self.run
        times = [run.begin, run.end]
        for message in run.messages:
            times += (message.sent, run.arrivals[message.id])
        for one in [*run.calls, *run.work]:
            times += (one.start, run.end if one.end is None else one.end)
        times += [call.start + call.timeout for call in run.calls if self._timed_out(call)]
        times += [change.at for change in run.changes]
        return [min(max(at, run.begin), run.end) for at in times]

    def _lay_out_lanes(self):
        run = self.run
        count = max(1, len(run.lanes))
        spacing = (WIDTH - LEFT - RIGHT) / max(1, count - 1)
        self.spacing = min(spacing, 330.0)
        self.width = round(LEFT + RIGHT + self.spacing * (count - 1)) if count > 1 else 560
        self.x = {name: LEFT + i * self.spacing for i, name in enumerate(run.lanes)}

    def _lay_out_bars(self):
        """Bars that overlap in time stand side by side: work to the right of the lane, waiting to the left."""
        run = self.run
        self.work_x, self.wait_x, self.queue_x = {}, {}, {}
        self.nested, self.queued = {}, {}
        self.thick = dict.fromkeys(run.lanes, WORK)
        self.right_edge = dict.fromkeys(run.lanes, 8.0)
        received = {message.id: message.received for message in run.messages if message.received is not None}
        for name in run.lanes:
            pieces = [piece for piece in run.work if (piece.who or NOBODY) == name]
            room = RIGHT - 12 if name == run.lanes[-1] else 0.36 * self.spacing
            found = list(_columns([(piece.start, self._till(piece.end), piece.id) for piece in pieces]))
            step = _step(found, room, WORK + 3)
            self.thick[name] = min(WORK, max(3, step - 2))
            for id, column in found:
                self.work_x[id] = self.x[name] + column * step
                self.right_edge[name] = max(self.right_edge[name], column * step + 9.0)
            waits = []
            for call in run.calls:
                if call.caller != name:
                    continue
                host = self._host(call, pieces)
                if host is None:
                    waits.append((call.start, self._till(call.end), (self.wait_x, call.id)))
                else:
                    self.nested[call.id] = host.id
                    self.wait_x[call.id] = self.work_x[host.id]
            for piece in pieces:
                arrived = received.get(piece.id)
                if arrived is not None and self.scale.y(piece.start) - self.scale.y(arrived) > 4:
                    self.queued[piece.id] = (arrived, piece.start)
                    waits.append((arrived, piece.start, (self.queue_x, piece.id)))
            base = WORK if pieces else 0
            found = list(_columns(waits))
            step = _step(found, 90 if name == run.lanes[0] else 0.3 * self.spacing, WAIT + 3)
            for (where, id), column in found:
                where[id] = self.x[name] - base - column * step

    @staticmethod
    def _host(call, pieces):
        """The work during which a service made this call: its worker is held until the call ends."""
        found = next((piece for piece in pieces if piece.id == call.parent), None)
        if found is None and len(pieces) == 1:
            found = next((p for p in pieces if p.start <= call.start and (p.end is None or call.start <= p.end)), None)
        return found

    def _till(self, end):
        return self.run.end if end is None else min(end, self.run.end)

    def _anchor(self, message, is_sender):
        """Where an arrow touches the lane: ``(x, half the width of the bar there)``."""
        name = (message.sender if is_sender else message.receiver) or NOBODY
        id = message.id.removesuffix(".reply")
        asks = is_sender == (message.kind != "reply")  # this end made the call
        if asks and id in self.wait_x:
            return self.wait_x[id], (self.thick[name] if id in self.nested else WAIT) / 2
        if not asks and not is_sender and id in self.queue_x:
            return self.queue_x[id], WAIT / 2
        if not asks and id in self.work_x:
            return self.work_x[id], self.thick[name] / 2
        return self.x[name], 0.5

    def _timed_out(self, call):
        if call.timeout is None:
            return False
        return (self._till(call.end) - call.start) >= 0.97 * call.timeout

    # -- drawing ----------------------------------------------------------------------------

    def _bar(self, x, start, end, width, fill, stroke="", more=""):
        y1, y2 = self.scale.y(start), self.scale.y(end)
        edge = f' stroke="{stroke}"' if stroke else ""
        return (
            f'<rect x="{x - width / 2:.1f}" y="{y1:.1f}" width="{width}" height="{max(1.5, y2 - y1):.1f}" '
            f'fill="{fill}"{edge}{more}/>'
        )

    def _avoid_bar(self, x, start, end, width):
        """Labels had better not stand on either edge of this bar."""
        y1, y2 = self.scale.y(start), self.scale.y(end)
        self.lines += [(x + side, y1, x + side, y2) for side in (-width / 2, width / 2)]

    def _draw_states(self):
        run = self.run
        strangers = []
        for name in run.lanes:
            changes = [change for change in run.changes if change.who == name]
            x = self.x[name] + self.right_edge[name] + 10
            for change, after in zip(changes, [*changes[1:], None]):
                begin, end = max(change.at, run.begin), self._till(after and after.at)
                if end < begin or (after and after.at <= run.begin):
                    continue
                value = change.value
                if value not in STATES and value not in strangers:
                    strangers.append(value)
                fill, ink = STATES.get(value) or OTHER_STATES[strangers.index(value) % len(OTHER_STATES)]
                self.back.append(self._bar(x, begin, end, 17, fill))
                y1, y2 = self.scale.y(begin), self.scale.y(end)
                self.back.append(f'<path d="M{x - 8.5:.1f} {y1:.1f}h17" stroke="{ink}"/>')
                wide = text_width(value, SMALL, True)
                places = []
                if y2 - y1 >= wide + 6:
                    for share in (0.5, 0.25, 0.75, 0.1, 0.9):
                        y = y1 + 3 + wide / 2 + share * (y2 - y1 - wide - 6)
                        places.append(Box(x, y, wide, LINE, -math.pi / 2))
                near = LINE / 2 + 1
                soon_over = after and y2 - y1 < 3 * LINE  # below its name stands that of the next
                for dy in (-near, near, -24) if soon_over else (near, -near, 24, -24, 40):
                    places.append(Box(x + 12 + wide / 2, y1 + dy, wide, LINE))
                    places.append(Box(x - 12 - wide / 2, y1 + dy, wide, LINE))
                self._add(value, places, rank=0, size=SMALL, colour=ink, bold=True)

    def _draw_bars(self):
        run = self.run
        for id, (start, end) in self.queued.items():
            name = next(piece.who for piece in run.work if piece.id == id)
            self.back.append(self._bar(self.queue_x[id], start, end, WAIT, self.colours[name or NOBODY][1]))
            self.used.add("wait")
        for piece in run.work:
            fill, ink = self.colours[piece.who or NOBODY]
            x = self.work_x[piece.id]
            start, end = max(piece.start, run.begin), self._till(piece.end)
            thick = self.thick[piece.who or NOBODY]
            if piece.id in run.marks and piece.id not in run.arrivals:
                self.back.append(self._bar(x, start, end, WORK + 10, theme.YELLOW))
            self.back.append(self._bar(x, start, end, thick, fill, ink, ' rx="1.5"'))
            self._avoid_bar(x, start, end, thick)
            self.used.add("work")
        for call in run.calls:
            x = self.wait_x[call.id]
            start, end = max(call.start, run.begin), self._till(call.end)
            ink = self.colours[call.caller][1]
            if call.id in self.nested:
                self.back.append(self._bar(x, start, end, max(1, self.thick[call.caller] - 3), "#FFFFFF"))
                self.back.append(self._bar(x, start, end, NESTED, ink))
                self.used.add("held")
            else:
                self.back.append(self._bar(x, start, end, WAIT, ink))
                self._avoid_bar(x, start, end, WAIT)
                self.used.add("wait")

    def _draw_timeouts_and_failures(self):
        run = self.run
        answered = {message.id for message in run.messages if message.received is not None}
        said = {message.id: message.lost for message in run.messages if message.lost}
        for call in run.calls:
            x = self.wait_x[call.id]
            timed_out = self._timed_out(call)
            if timed_out:
                self.used.add("timeout")
                edge = x - (WORK if call.id in self.nested else WAIT) / 2 - 6
                y1, y2 = self.scale.y(call.start), self.scale.y(min(call.start + call.timeout, run.end))
                self.front.append(
                    f'<path d="M{edge:.1f} {y1:.1f}V{y2:.1f}" stroke="{theme.VERMILION}" stroke-width="2" '
                    f'stroke-dasharray="1.5 4" stroke-linecap="round"/>'
                    f'<path d="M{edge - 4:.1f} {y2:.1f}h8" stroke="{theme.VERMILION}" stroke-width="2"/>'
                )
                self.lines.append((edge, y1, edge, y2))
                text = f"timeout {written_duration(call.timeout)}"
                wide = text_width(text, SMALL)
                middle = (y1 + y2) / 2
                places = [Box(edge - 6 - wide / 2, y, wide, LINE) for y in (middle, y2 - 8, y1 + 8, y2 + 9, y1 - 9)]
                places += [Box(edge - 10, y, wide, LINE, -math.pi / 2) for y in (middle, y2 - wide / 2, y1 + wide / 2)]
                places += [Box(x + 12 + wide / 2, y, wide, LINE) for y in (middle, y2 - 8, y1 + 8, y2 + 9)]
                self._add(text, places, rank=0, size=SMALL, colour=theme.FAILURE_INK)
            failed = call.end is not None and call.end <= run.end and call.status not in ("ok", None)
            if failed and reply_id(call.id) not in answered:
                y = self.scale.y(call.end)
                self.front.append(cross(x, y, 5))
                self.used.add("lost")
                if call.status not in said.get(call.id, ()) and not (timed_out and call.status == "timeout"):
                    self._add_beside(call.status, x, y, rank=0, gap=9, colour=theme.FAILURE_INK)

    def _draw_message(self, message: Message):
        run = self.run
        name = message.sender or NOBODY
        ink = self.colours[name][1]
        y1, y2 = self.scale.y(message.sent), self.scale.y(run.arrivals[message.id])
        (xa, wa), (xb, wb) = self._anchor(message, True), self._anchor(message, False)
        text = run.label(message)
        marked = message.id in run.marks
        bold = marked or message.id in run.attempts
        if marked:
            text = f"► {text}"
        tip = f"<title>{escape(self._tip(message))}</title>"
        if name == (message.receiver or NOBODY):
            return self._draw_to_itself(message, xa + wa, y1, y2, text, bold, tip, ink, marked)

        direction = 1 if xb > xa else -1
        x1, x2 = xa + direction * wa, xb - direction * wb
        gone = message.received is None
        if gone:
            # Where on its way it was lost nobody recorded; at the door when it was turned away there.
            at_the_door = message.lost in ("refused", "came too late") or (message.lost or "").startswith("rejected")
            x2 = x1 + (x2 - x1) * (0.93 if at_the_door else 0.62)
        line = (x1, y1, x2, y2)
        self.lines.append(line)
        length = math.hypot(x2 - x1, y2 - y1) or 1.0
        ux, uy = (x2 - x1) / length, (y2 - y1) / length
        style = ' stroke-dasharray="7 4"' if message.kind == "reply" else ""
        self.used.add("reply" if message.kind == "reply" else "message")
        if marked:
            self.front.append(
                f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{theme.YELLOW}" stroke-width="11" '
                f'stroke-linecap="round"/>'
            )
        tip_x, tip_y = (x2, y2) if gone else (x2 - 6 * ux, y2 - 6 * uy)
        self.front.append(
            f'<path d="M{x1:.1f} {y1:.1f}L{tip_x:.1f} {tip_y:.1f}" stroke="{ink}" '
            f'stroke-width="{2.4 if marked else 1.6}"{style}>{tip}</path>'
        )
        if not gone:
            self.front.append(head(x2, y2, ux, uy, ink))
        elif message.lost:
            self.front.append(cross(x2, y2, 6))
            self.used.add("lost")
            self._add_beside(message.lost, x2, y2, rank=0, gap=11, colour=theme.FAILURE_INK)
        self._label_arrow(text, line, (xa, xb), bold, rank=1 if marked else 2 if message.kind == "reply" else 1.5)
        if run.marks.get(message.id):
            self._add_beside(
                run.marks[message.id], (x1 + x2) / 2, (y1 + y2) / 2 + 12, rank=0.5, gap=0, bold=True, own=line
            )

    def _draw_to_itself(self, message, x, y1, y2, text, bold, tip, ink, marked):
        y2 = max(y2, y1 + 8)
        lost = message.received is None and message.lost
        if marked:
            self.front.append(
                f'<path d="M{x:.1f} {y1:.1f}h24V{y2:.1f}H{x + 4:.1f}" stroke="{theme.YELLOW}" stroke-width="9"/>'
            )
        self.front.append(
            f'<path d="M{x:.1f} {y1:.1f}h24V{y2:.1f}H{x + 5:.1f}" stroke="{ink}" stroke-width="1.6">{tip}</path>'
        )
        self.front.append(cross(x + 24, y2, 6) if lost else head(x, y2, -1, 0, ink))
        self.used.add("message")
        self.lines.append((x, y2, x + 24, y2))
        if lost:
            self.used.add("lost")
            self._add_beside(message.lost, x + 24, y2, rank=0, gap=11, colour=theme.FAILURE_INK)
        self._add_beside(text, x + 24, (y1 + y2) / 2, rank=1, gap=6, bold=bold)

    def _tip(self, message):
        took = "" if message.received is None else f" ({written_duration(message.received - message.sent)})"
        fate = message.lost or ("under way" if message.received is None else "")
        at = f"{(message.sent - self.run.zero) * 1e3:.2f}"
        return (
            f"{self.run.label(message)}: {message.sender} → {message.receiver}, sent at {at} ms{took} {fate}".rstrip()
        )

    # -- words ------------------------------------------------------------------------------

    def _add(self, text, places, *, rank, **look):
        if text:
            self.labels.append(Label(text, places, rank=rank, **look))

    def _add_beside(self, text, x, y, *, rank, gap, own=None, **look):
        """A word beside a point: to its right, its left, above or below."""
        if not text:
            return
        text = shortened(text, 260, SMALL, look.get("bold", False))
        wide = text_width(text, SMALL, look.get("bold", False))
        places = []
        for dy in (0, 12, -12, 20, -20, 32, -32, 46, -46):
            places.append(Box(x + gap + wide / 2, y + dy, wide, LINE))
            places.append(Box(x - gap - wide / 2, y + dy, wide, LINE))
            if abs(dy) >= 12 + gap / 2:
                places.append(Box(x, y + dy, wide, LINE))
        self._add(text, places, rank=rank, size=SMALL, own=own, **look)

    def _label_arrow(self, text, line, lanes, bold, rank):
        """Along the arrow, between two lanes if it fits there, above the line or below."""
        if not text:
            return
        x1, y1, x2, y2 = line
        length = math.hypot(x2 - x1, y2 - y1)
        room = max(length - 8, 70.0)
        text = shortened(text, room, FONT, bold)
        wide = text_width(text, FONT, bold)
        if x2 < x1:
            x1, y1, x2, y2 = x2, y2, x1, y1
        angle = math.atan2(y2 - y1, x2 - x1)
        nx, ny = math.sin(angle), -math.cos(angle)  # points upwards
        steep = abs(angle) > math.radians(52)
        free = max(0.0, 1 - (wide + 12) / max(length, 1)) / 2  # how far the middle may move, as a share
        # First the middles of the gaps between the lanes that the arrow passes, nearest to its own middle first.
        stops = {0.5}
        inner = [x for x in self.x.values() if min(lanes) + 5 < x < max(lanes) - 5]
        if inner:
            edges = sorted([x1, *inner, x2])
            stops = {((a + b) / 2 - x1) / ((x2 - x1) or 1) for a, b in zip(edges, edges[1:])}
        stops = sorted(stops, key=lambda share: abs(share - 0.5))
        stops = [share for share in stops if abs(share - 0.5) <= free + 0.02] or [0.5]
        stops += [0.5 + part * free for part in (0.5, -0.5, 0.98, -0.98)] if free > 0.02 else []
        places = []
        for share in stops:
            x, y = x1 + share * (x2 - x1), y1 + share * (y2 - y1)
            if steep:
                side = 7 + wide / 2
                places += [Box(x + side, y, wide, LINE), Box(x - side, y, wide, LINE)]
            else:
                off = LINE / 2 + (8 if bold and text.startswith("►") else 4)
                places.append(Box(x + off * nx, y + off * ny, wide, LINE, angle))
                places.append(Box(x - off * nx, y - off * ny, wide, LINE, angle))
        self._add(text, places, rank=rank, size=FONT, bold=bold, own=line)

    # -- writing ----------------------------------------------------------------------------

    def svg(self, description) -> str:
        number = next(_numbers)
        width = self.width
        out = []
        body_bottom = self.bottom
        for y, text in self.scale.ticks():
            out.append(f'<path d="M{GUTTER - 5} {y:.1f}H{width - 12}" stroke="#EBEBEB"/>')
            out.append(f'<text x="{GUTTER - 9}" y="{y + 4:.1f}" text-anchor="end" fill="{theme.MUTED}">{text}</text>')
        out.append(
            f'<text x="{GUTTER - 9}" y="{self.header + 17}" text-anchor="end" fill="{theme.MUTED}">'
            f"{self.scale.unit} ↓</text>"
        )
        for name in self.run.lanes:
            x = self.x[name]
            out.append(f'<path d="M{x:.1f} {self.header + 24}V{body_bottom:.1f}" stroke="#B5B5B5"/>')
        out += self.back
        out += [cut(*torn, GUTTER - 5, width - 12) for torn in self.scale.cuts]
        out += self.front
        out += [word(label) for label in self.labels if label.box]
        out += [self._pill(name) for name in self.run.lanes]
        if not self.run.lanes:
            out.append(f'<text x="{width / 2}" y="{self.top + 20}" text-anchor="middle">Nothing was recorded.</text>')
        y = body_bottom + 24
        signs, y = legend(self.used, GUTTER, y, width)
        out += signs
        notes = [self.run.note] if self.run.note else []
        if self.left_out:
            count = len(self.left_out)
            notes.append(f"{count} label{'s' if count > 1 else ''} left out for want of room; the table has them all.")
        for note in notes:
            out.append(f'<text x="{GUTTER}" y="{y:.0f}" fill="{theme.INK}" font-style="italic">{escape(note)}</text>')
            y += 18
        self.total_height = height = math.ceil(y)
        title = escape(self.title or "Space-time diagram")
        heading = (
            f'<text x="12" y="26" font-size="16" font-weight="bold" fill="{theme.INK}">{title}</text>'
            if self.title
            else ""
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="st{number}t" '
            f'aria-describedby="st{number}d" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
            f'style="display:block;max-width:100%;height:auto;background:#FFFFFF">'
            f'<title id="st{number}t">{title}</title><desc id="st{number}d">{escape(description)}</desc>'
            f'<rect width="{width}" height="{height}" fill="#FFFFFF"/>'
            f'<g font-family="{FAMILY}" font-size="{SMALL}" fill="none">{heading}{"".join(out)}</g></svg>'
        )

    def _pill(self, name):
        fill, ink = self.colours[name]
        x = self.x[name]
        room = self.spacing - 6 if len(self.run.lanes) > 1 else 300
        text = shortened(name, room - 16, FONT, True)
        wide = min(max(text_width(text, FONT, True) + 18, 64), room)
        return (
            f'<rect x="{x - wide / 2:.1f}" y="{self.header}" width="{wide:.1f}" height="24" rx="5" fill="{fill}" '
            f'stroke="{ink}"/><text x="{x:.1f}" y="{self.header + 16.5}" text-anchor="middle" font-size="{FONT}" '
            f'font-weight="bold" {fitted(text, FONT, True)} fill="{theme.text_on(fill)}">{escape(text)}</text>'
        )


def _columns(spans):
    """Give every (start, end, what) the first column that is free at its start; yields (what, column)."""
    ends = []
    for start, end, what in sorted(spans, key=lambda span: span[:2]):
        column = next((i for i, free in enumerate(ends) if free <= start + 1e-9), len(ends))
        ends[column : column + 1] = [end]
        yield what, column


def _step(found, room, best):
    """The distance between columns: ``best`` pixels, or less so that all fit into ``room``."""
    count = max((column for _, column in found), default=0)
    return min(best, room / count) if count else best
