"""The space-time diagram: what happened between services, drawn so that it can be read like a page.

Lanes side by side, time flowing down. A message is a slanted arrow, and its slope is its latency: a flat arrow was
fast, a steep one slow. A thin bar is someone waiting, a thick bar someone working, a hollow one a worker that is
held by a call to somebody else. A message that never arrived ends in a cross where it was lost; a timeout is a
dotted line as long as the timeout. The same run is one call away as a table.

``spacetime(trace)`` is all that a notebook needs. ``_Run`` chooses what is shown, ``_Drawing`` draws it;
:mod:`servicelab.views.timescale` turns time into pixels and :mod:`servicelab.views.labels` finds room for words.
"""

import itertools
import math
from html import escape

from servicelab.table import Table
from servicelab.trace import Message, Trace, reply_id
from servicelab.views import theme
from servicelab.views.labels import Box, Label, place, shortened, text_width
from servicelab.views.timescale import TimeScale, written_duration

WIDTH = 900  # pixels, what a notebook shows at full size
GUTTER = 66  # for the time scale
LEFT, RIGHT = GUTTER + 118, 78  # room beside the first lane and the last
FONT, SMALL = 13, 12  # pixels
LINE = 16  # height of a line of text
FAMILY = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"
WORK, WAIT, NESTED = 11, 4, 3  # widths of bars
CUT_INSET = 12  # between the last moment shown and the torn edge
NOBODY = "(nobody)"

#: Colours of well-known states (band, text); others take turns. The band always says its name as well.
STATES = {
    "closed": ("#CDEBE0", "#00513B"),
    "up": ("#CDEBE0", "#00513B"),
    "open": ("#F7CDB8", "#7A2E00"),
    "down": ("#F7CDB8", "#7A2E00"),
    "stopped": ("#E0E0E0", "#333333"),
    "half-open": ("#FBE8B8", "#5E4200"),
    "half_open": ("#FBE8B8", "#5E4200"),
}
OTHER_STATES = (("#D3E6F5", "#00406B"), ("#EBDCE8", "#6A2A58"), ("#E6E6C8", "#4A4700"))

_numbers = itertools.count(1)


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
        run = _Run(trace, most, marks)
        self.note = run.note
        self.description = run.in_words()
        height = min(900.0, max(190.0, 70 + 24.0 * run.rows))
        for _ in range(4):
            drawing = _Drawing(run, title, height, breaks)
            if not drawing.left_out or height >= 1500:
                break
            height = min(1500.0, height * 1.35)
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


class _Run:
    """What of a trace is shown: its messages, calls, work and states within one stretch of time."""

    def __init__(self, trace, most, marks):
        everything = trace.messages
        calls, work, changes = trace.calls, trace.work, trace.changes
        events = trace.events
        self.marks = marks
        self.zero = events[0].at if events else 0.0
        self.all_messages = len(everything)
        self.attempts = {call.id: call.attempt for call in calls if call.attempt > 1}
        self.call_ends = {call.id: call.end for call in calls}

        self.messages, which = _window(everything, most, marks)
        self.note = f"Showing {len(self.messages)} of {len(everything)} messages: {which}." if which else ""
        begin = self.zero if not which or self.messages[0] is everything[0] else self.messages[0].sent
        self._typical = _typical_latency(everything)
        self.arrivals = {message.id: self._arrival(message) for message in self.messages}
        if which:
            end = max(self.arrivals.values())
        else:
            end = max([event.at for event in events] + list(self.arrivals.values()), default=0.0)
        self.begin, self.end = begin, end

        known = {message.id for message in everything}
        ids = {message.id.removesuffix(".reply") for message in self.messages}

        def shown(one):
            # With messages left out, what belongs to them is left out as well.
            belongs = one.id in ids or (one.id not in known and reply_id(one.id) not in known)
            return belongs and one.start <= end and (one.end is None or one.end >= begin)

        self.calls = [call for call in calls if shown(call)]
        self.work = [piece for piece in work if shown(piece)]
        if not self.messages:  # a run without messages is thinned by its work
            self.calls, self.work = self.calls[:most], self.work[:most]
        self.changes = [change for change in changes if change.at <= end]
        names = [name for message in self.messages for name in (message.sender, message.receiver)]
        names += [name for call in self.calls for name in (call.caller, call.callee)]
        names += [piece.who for piece in self.work] + [change.who for change in self.changes]
        self.lanes = theme.lanes(name or NOBODY for name in names)
        missing = [id for id in marks if id not in known and not any(one.id == id for one in calls + work)]
        if missing:
            self.note = f"{self.note} The marked message is not in this run.".lstrip()

    @property
    def rows(self) -> float:
        """How many lines of text lie below each other in the fullest column, roughly."""
        columns = {}
        for message in self.messages:
            if message.sender in self.lanes and message.receiver in self.lanes:
                a, b = sorted((self.lanes.index(message.sender), self.lanes.index(message.receiver)))
                columns[a, b] = columns.get((a, b), 0) + (2 if message.lost else 1)
        return max(columns.values(), default=0) + 0.5 * len(columns)

    def _arrival(self, message):
        """When the arrow ends: on arrival, where it was lost, or (nobody knows) after a typical latency."""
        if message.received is not None:
            return message.received
        if message.lost_at is not None:
            return message.lost_at
        end = self.call_ends.get(message.id.removesuffix(".reply"))
        if end is not None and end > message.sent:
            return min(end, message.sent + self._typical) if self._typical else end
        return message.sent + self._typical

    def in_words(self) -> str:
        """The run as sentences for those who cannot see the picture; the first twelve messages one by one."""
        if not self.lanes:
            return "Nothing was recorded."
        lost = sum(message.lost is not None for message in self.messages)
        say = lambda at: f"{(at - self.zero) * 1e3:.4g}"  # noqa: E731
        lines = [
            f"Lanes: {', '.join(self.lanes)}. {len(self.messages)} messages in "
            f"{written_duration(self.end - self.begin)}, {lost or 'none'} lost. {self.note}".rstrip()
        ]
        for message in self.messages[:12]:
            if message.received is not None:
                fate = f"arrives at {say(message.received)} ms"
            else:
                fate = f"is lost: {message.lost}" if message.lost else "is under way"
            what = self.label(message) or message.kind
            to = message.receiver or NOBODY
            lines.append(f"At {say(message.sent)} ms {message.sender} sends {what} to {to}; it {fate}.")
        if len(self.messages) > 12:
            lines.append(f"{len(self.messages) - 12} more follow; the table lists them.")
        for call in self.calls:
            if call.status and call.status != "ok":
                lines.append(f"The call {call.label} from {call.caller} ends at {say(call.end)} ms: {call.status}.")
        lines += [f"At {say(change.at)} ms {change.who} is {change.value}." for change in self.changes]
        return " ".join(lines)

    def label(self, message) -> str:
        attempt = self.attempts.get(message.id)
        return f"#{attempt} {message.label}" if attempt else message.label


def _window(messages, most, marks):
    """The messages to show, and in words which they are ("" when all are shown)."""
    if len(messages) <= most:
        return messages, ""
    ids = {key.removesuffix(".reply") for key in marks}
    at = next((i for i, message in enumerate(messages) if message.id.removesuffix(".reply") in ids), 0)
    if at < most:
        return messages[:most], f"the first {most}"
    first = min(at - most // 2, len(messages) - most)
    return messages[first : first + most], f"those around the marked one, from number {first + 1} on"


def _typical_latency(messages):
    """The median latency; with nothing received, a twentieth of the time between first and last sending."""
    latencies = sorted(message.received - message.sent for message in messages if message.received is not None)
    if latencies:
        return latencies[len(latencies) // 2]
    return (messages[-1].sent - messages[0].sent) / 20 if messages else 0.0


class _Drawing:
    """One run at one height. Everything is laid out first, then the words find their places, then it is written."""

    def __init__(self, run: _Run, title: str, height: float, breaks: bool):
        self.run, self.title = run, title
        self.labels: list[Label] = []
        self.lines: list[tuple] = []  # what a label had better not cross
        self.back, self.front = [], []  # SVG below and above the arrows
        self.used = set()  # what the legend has to explain
        self.colours = theme.colours(run.lanes)

        self._lay_out_lanes()
        self.header = 12 + (26 if title else 0)
        self.top = self.header + 24 + 26
        flights = [(message.sent, run.arrivals[message.id]) for message in run.messages]
        if run.end <= run.begin:
            height = 30.0  # all at one moment
        self.scale = TimeScale(self._points(), flights, self.top, height, run.zero, breaks)
        self.bottom = self.scale.bottom + 14

        for upper, lower, _ in self.scale.cuts:
            self.lines += [(GUTTER, y, self.width, y) for y in (upper + CUT_INSET, lower - CUT_INSET)]
        self._lay_out_bars()
        self._draw_states()
        self._draw_bars()
        self._draw_timeouts_and_failures()
        for message in run.messages:
            self._draw_message(message)
        # What went wrong is placed first: it must never be the label that found no room.
        self.labels.sort(key=lambda label: label.rank)
        room = (GUTTER + 2, self.header + 26, self.width - 4, self.bottom + 6)
        self.left_out = place(self.labels, self.lines, room)

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
                for dy in (LINE / 2 + 1, -LINE / 2 - 1, 24, -24, 40):
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
            self.lines.append((x, self.scale.y(start), x, self.scale.y(end)))
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
                self.lines.append((x, self.scale.y(start), x, self.scale.y(end)))
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
                self.front.append(_cross(x, y, 5))
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
            self.front.append(_head(x2, y2, ux, uy, ink))
        elif message.lost:
            self.front.append(_cross(x2, y2, 6))
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
        self.front.append(_cross(x + 24, y2, 6) if lost else _head(x, y2, -1, 0, ink))
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
        out += [self._cut(*cut) for cut in self.scale.cuts]
        out += self.front
        out += [self._word(label) for label in self.labels if label.box]
        out += [self._pill(name) for name in self.run.lanes]
        if not self.run.lanes:
            out.append(f'<text x="{width / 2}" y="{self.top + 20}" text-anchor="middle">Nothing was recorded.</text>')
        y = body_bottom + 24
        legend, y = self._legend(y)
        out += legend
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
            f'style="max-width:100%;height:auto;background:#FFFFFF">'
            f'<title id="st{number}t">{title}</title><desc id="st{number}d">{escape(description)}</desc>'
            f'<rect width="{width}" height="{height}" fill="#FFFFFF"/>'
            f'<g font-family="{FAMILY}" font-size="{SMALL}" fill="none">{heading}{"".join(out)}</g></svg>'
        )

    def _word(self, label):
        box = label.box
        bold = ' font-weight="bold"' if label.bold else ""
        turn = f' transform="rotate({math.degrees(box.angle):.1f} {box.x:.1f} {box.y:.1f})"' if box.angle else ""
        halo = (
            ""
            if label.rank == 0 and box.angle
            else ' stroke="#FFFFFF" stroke-width="3" stroke-linejoin="round" paint-order="stroke"'
        )
        return (
            f'<text x="{box.x:.1f}" y="{box.y + label.size * 0.35:.1f}" text-anchor="middle" '
            f'font-size="{label.size}" textLength="{box.width - 1:.1f}" lengthAdjust="spacingAndGlyphs" '
            f'fill="{label.colour}"{bold}{halo}{turn}>{escape(label.text)}</text>'
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
            f'font-weight="bold" fill="{theme.text_on(fill)}">{escape(text)}</text>'
        )

    def _cut(self, upper, lower, seconds):
        """A strip torn out of the paper."""
        left, right, tooth = GUTTER - 5, self.width - 12, 7
        count = int((right - left) / tooth)
        upper, lower = upper + CUT_INSET, lower - CUT_INSET
        zig = "".join(f"l{tooth} {3.5 if i % 2 else -3.5}" for i in range(count))
        back = "".join(f"l{-tooth} {-3.5 if i % 2 else 3.5}" for i in reversed(range(count)))
        shape = f"M{left} {upper:.1f}{zig}V{lower + (0 if count % 2 == 0 else -3.5):.1f}{back}Z"
        edges = f"M{left} {upper:.1f}{zig}M{left} {lower:.1f}{zig}"
        middle = (upper + lower) / 2 + 4
        return (
            f'<path d="{shape}" fill="#F4F4F4" fill-opacity="0.86"/><path d="{edges}" stroke="#9A9A9A"/>'
            f'<text x="{left - 4}" y="{middle:.1f}" text-anchor="end" font-weight="bold" fill="{theme.INK}">'
            f"≈ {written_duration(seconds)}</text>"
        )

    def _legend(self, y):
        """Signs that occur in this picture, each with its word. Returns SVG and the next free line."""
        ink = theme.MUTED
        signs = [
            ("message", "message", f'<path d="M0 0H16" stroke="{ink}" stroke-width="1.6"/>' + _head(22, 0, 1, 0, ink)),
            (
                "reply",
                "reply",
                f'<path d="M0 0H16" stroke="{ink}" stroke-width="1.6" stroke-dasharray="7 4"/>'
                + _head(22, 0, 1, 0, ink),
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
            ("lost", "lost or failed", _cross(10, 0, 5)),
        ]
        out, x = [], GUTTER
        for key, word, sign in signs:
            if key in self.used:
                wide = 28 + text_width(word, SMALL) + 12
                if x + wide > self.width:
                    x, y = GUTTER, y + 20
                out.append(
                    f'<g transform="translate({x:.0f} {y - 4:.0f})">{sign}'
                    f'<text x="28" y="4" fill="{ink}">{word}</text></g>'
                )
                x += wide
        return out, y + 20


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


def _cross(x, y, size):
    return (
        f'<path d="M{x - size:.1f} {y - size:.1f}l{2 * size} {2 * size}m0 {-2 * size}l{-2 * size} {2 * size}" '
        f'stroke="{theme.VERMILION}" stroke-width="3" stroke-linecap="round"/>'
    )


def _head(x, y, ux, uy, colour):
    """The head of an arrow that arrives at (x, y) in the direction (ux, uy)."""
    bx, by = x - 10 * ux, y - 10 * uy
    return (
        f'<path d="M{x:.1f} {y:.1f}L{bx - 4 * uy:.1f} {by + 4 * ux:.1f}L{bx + 4 * uy:.1f} {by - 4 * ux:.1f}Z" '
        f'fill="{colour}"/>'
    )
