"""What of a trace a space-time diagram shows: its messages, calls, work and states within one stretch of time."""

from servicelab.views import theme
from servicelab.views.timescale import written_duration

NOBODY = "(nobody)"


class Run:
    """What of a trace is shown: its messages, calls, work and states within one stretch of time."""

    def __init__(self, trace, most, marks):
        self.messages, which, near, count, self.zero, around, missing = trace.window(most, marks)
        calls, work, changes = around.calls, around.work, around.changes
        self.marks = marks
        self.attempts = {call.id: call.attempt for call in calls if call.attempt > 1}
        self.call_ends = {call.id: call.end for call in calls}
        self.note = f"Showing {len(self.messages)} of {count} messages: {which}." if which else ""
        begin = self.messages[0].sent if which else self.zero
        self._typical = _typical_latency(near)
        self.arrivals = {message.id: self._arrival(message) for message in self.messages}
        if which:
            end = max(self.arrivals.values())
        else:
            end = max([event.at for event in around.events] + list(self.arrivals.values()), default=0.0)
        self.begin, self.end = begin, end

        def shown(one):
            return one.start <= end and (one.end is None or one.end >= begin)

        self.calls = [call for call in calls if shown(call)]
        self.work = [piece for piece in work if shown(piece)]
        if not self.messages:  # a run without messages is thinned by its work
            self.calls, self.work = self.calls[:most], self.work[:most]
        self.changes = [change for change in changes if change.at <= end]
        names = [name for message in self.messages for name in (message.sender, message.receiver)]
        names += [name for call in self.calls for name in (call.caller, call.callee)]
        names += [piece.who for piece in self.work] + [change.who for change in self.changes]
        self.lanes = theme.lanes(name or NOBODY for name in names)
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
        guess = message.sent + self._typical
        if message.lost == "came too late" and end is not None:
            return max(end, guess)  # whenever it came, its caller had gone by then
        if end is not None and message.sent < end < guess:
            return end
        return guess

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


def _typical_latency(messages):
    """The median latency; with nothing received, a twentieth of the time between first and last sending."""
    latencies = sorted(message.received - message.sent for message in messages if message.received is not None)
    if latencies:
        return latencies[len(latencies) // 2]
    return (messages[-1].sent - messages[0].sent) / 20 if messages else 0.0
