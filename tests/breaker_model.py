"""A circuit breaker that is plain, slow and obviously right: it keeps everything and counts anew each time.

The tests hold :class:`servicelab.policies.CircuitBreaker` to it. It shares no code with it: calls have names instead
of tickets, the window is a filter over the whole history, and a permission is whatever is neither in flight nor used.
"""

from servicelab.policies.script import Try

#: Seconds that do not count (rule 2 of servicelab.policies.moments): calls on a real clock do come so close to a limit.
HAIR = 1e-6


class Model:
    def __init__(
        self,
        *,
        window="count",
        size=100,
        failure_rate=0.5,
        slow_call_rate=1.0,
        slow_after=60.0,
        minimum_calls=100,
        wait_open=60.0,
        permitted_half_open=10,
        max_wait_half_open=0.0,
        ignored=frozenset(),
        successes=frozenset({"ok"}),
    ):
        self.window, self.size = window, size
        self.failure_rate, self.slow_call_rate, self.slow_after = failure_rate, slow_call_rate, slow_after
        self.minimum_calls, self.wait_open = minimum_calls, wait_open
        self.permitted, self.max_wait = permitted_half_open, max_wait_half_open
        self.ignored, self.successes = ignored, successes
        self.clear()

    def clear(self):
        self.now = float("-inf")
        self.changes = []
        self.rejected = 0
        self.ended = []  # (period, at, failed, slow), for ever
        self.in_flight = {}  # call: (period, begun)
        self.period = [object()]  # one fresh object per period
        self.state, self.since = "closed", None

    def go(self, state, at):
        self.state, self.since = state, at
        self.period.append(object())
        self.changes.append((at, state))

    def tick(self, now):
        self.now = max(self.now, now)
        if self.state == "half-open" and self.max_wait and self.now + HAIR >= self.since + self.max_wait:
            self.go("open", self.since + self.max_wait)

    def probes_left(self):
        used = sum(period is self.period[-1] for period, *_ in self.ended)
        flying = sum(period is self.period[-1] for period, _ in self.in_flight.values())
        return self.permitted - used - flying

    def begin(self, call, now):
        """Is the call made?"""
        self.tick(now)
        if self.state == "open" and self.now + HAIR >= self.since + self.wait_open:
            self.go("half-open", self.now)
        if self.state == "open" or (self.state == "half-open" and self.probes_left() == 0):
            self.rejected += 1
            return False
        self.in_flight[call] = (self.period[-1], now)
        return True

    def end(self, call, status, at):
        self.tick(at)
        period, begun = self.in_flight.pop(call)
        if period is not self.period[-1] or status in self.ignored:
            return
        self.ended.append((period, self.now, status not in self.successes, at - begun > self.slow_after + HAIR))
        calls, failures, slow = self.counts(self.now)
        if calls < self.needed():
            return
        if failures / calls >= self.failure_rate or slow / calls >= self.slow_call_rate:
            self.go("open", self.now)
        elif self.state == "half-open":
            self.go("closed", self.now)

    def abandon(self, call):
        self.in_flight.pop(call, None)

    def needed(self):
        if self.state == "half-open":
            return self.permitted
        return min(self.minimum_calls, self.size) if self.window == "count" else self.minimum_calls

    def counts(self, now):
        """(calls, failures, slow) in the window of this period."""
        inside = [(at, failed, slow) for period, at, failed, slow in self.ended if period is self.period[-1]]
        if self.state == "closed":
            inside = (
                inside[-self.size :] if self.window == "count" else [e for e in inside if now + HAIR < e[0] + self.size]
            )
        return len(inside), sum(failed for _, failed, _ in inside), sum(slow for _, _, slow in inside)

    def state_at(self, now):
        late = self.state == "half-open" and self.max_wait and now + HAIR >= self.since + self.max_wait
        return "open" if late else self.state


def follow_log(model, log):
    """Feed a Recorder's ``log`` of calls with one attempt each into ``model``; returns where the two part.

    An empty list: the breaker let through, turned away and decided exactly as the model does.
    """
    parted = []
    for entry in log:
        if entry.answer is None and entry.question == "closed":
            model.abandon(entry.call)
        elif entry.answer is None:
            made = model.begin(entry.call, entry.now)
            if made != isinstance(entry.question, Try) or not (made or entry.question == "rejected"):
                parted.append(entry)
        else:
            model.end(entry.call, entry.answer.status, entry.answer.at)
    return parted
