"""The support chat (chapter 06): a conversation on a network that breaks, with and without what mends it."""

from random import Random
from typing import NamedTuple

import numpy as np
import simpy

from servicelab.policies import FullJitter, Heartbeat, Reconnect, Resume, Seen
from servicelab.views.live import Choice, LivePanel, Slider
from servicelab.views.theme import FAILURE, FAILURE_INK, GREEN, INK, MUTED, ORANGE, SIMULATED, VERMILION

#: A minute of chat: lines per second, one way through the network (seconds), how long the network is away each time.
END, RATE, DELAY, AWAY = 60.0, 1.5, 0.1, (1.0, 3.0)

#: The upper end of the left axis (seconds). A line that is never shown gets its cross there.
LONGEST = 12.0

CUTS = ("with a reset", "silent")
BACK = ("at now", "after the last number", "from the beginning")


class SupportChat(LivePanel):
    """How often the network breaks and how, the client's heartbeat, and where it goes on, as controls.

    A cut with a reset is noticed at once. A silent one, as when a phone changes its network, is not: the old
    connection stays as it is and nothing comes, until a heartbeat is missed. Then the client tries again with a
    jittered backoff until it gets through.
    """

    title = "Support chat on a bad network"
    question = "The customer must see every line once, and soon. What does it take?"
    controls = (
        Slider("cuts", "cuts a minute", 0, 12, 5),
        Choice("kind", "a cut is", CUTS, "silent"),
        Slider("beat", "heartbeat every … s (0: none)", 0, 5, 2, 0.5),
        Choice("back", "who comes back goes on", BACK),
    )

    def draw(self, fig):
        left, right = fig.subplots(1, 2, width_ratios=(2.4, 1))
        left.set(xlim=(0, END), ylim=(0, LONGEST + 0.7), xlabel="written at (s)", ylabel="until it is read (s)")
        left.set_title("Each line of the chat")
        left.text(END, LONGEST - 1.2, "cross: never", ha="right", color=FAILURE_INK)
        self.seen = self.moving(left.plot([], [], ".", color=SIMULATED["color"], markersize=7)[0])
        self.gone = self.moving(left.plot([], [], **FAILURE)[0])
        self.away = [self.moving(left.axvspan(0, 0, color=MUTED, alpha=0.25, linewidth=0)) for _ in range(30)]
        right.set(xlim=(0, 130), ylim=(-0.6, 2.6), yticks=[0, 1, 2], xlabel="lines")
        right.set_yticklabels(["twice +", "never", "once"])
        right.set_title("Shown …")
        bars = right.barh([0, 1, 2], [0, 0, 0], color=[ORANGE, VERMILION, GREEN])
        self.bars = [self.moving(bar) for bar in bars]
        self.counts = [self.moving(right.text(2, y, "", va="center", color=INK, weight="bold")) for y in range(3)]
        self.verdict = self.moving(left.text(1, 0.78 * LONGEST, "", color=FAILURE_INK, weight="bold"))

    def update(self, cuts, kind, beat, back):
        chat = run(self.seed, cuts, kind, beat, back)
        first = np.array([(line.at, line.shown[0] - line.at) for line in chat.lines if line.shown]).reshape(-1, 2)
        self.seen.set_data(first[:, 0], np.minimum(first[:, 1], LONGEST))
        lost = [line.at for line in chat.lines if not line.shown]
        self.gone.set_data(lost, [LONGEST] * len(lost))
        for number, span in enumerate(self.away):
            begin, end = chat.away[number] if number < len(chat.away) else (0.0, 0.0)
            span.set_x(begin)
            span.set_width(end - begin)
        often = [
            sum(test(len(line.shown)) for line in chat.lines) for test in (lambda n: n > 1, lambda n: n == 0, bool)
        ]
        often[2] -= often[0]
        for bar, text, count in zip(self.bars, self.counts, often):
            bar.set_width(count)
            text.set_text(str(count))
            text.set_x(count + 3)
        self.verdict.set_text("the client waits for ever" if chat.waits else "")
        slowest = first[:, 1].max(initial=0.0)
        return (
            f"{cuts} cuts a minute, {kind}; heartbeat {f'every {beat:g} s' if beat else 'none'}; goes on {back}. "
            f"Of {len(chat.lines)} lines {often[2]} were shown once, {often[1]} never, {often[0]} more than once; "
            f"the slowest took {slowest:.1f} s."
        )


class Line(NamedTuple):
    """A line of the chat: its number, when it was written, and when it was shown (seconds, each time)."""

    number: int
    at: float
    shown: list


class Chat:
    """A minute of it, in SimPy. ``lines`` is what was written, ``away`` when the network was not there; ``waits`` says
    that the client ended up with a dead connection that it takes for a quiet one."""

    def __init__(self, env, rng, cuts, kind, beat, back):
        self.env, self.cuts, self.kind, self.beat, self.back = env, cuts, kind, beat, back
        self.lines: list[Line] = []
        self.away: list[tuple[float, float]] = []
        self.resume = Resume()
        self.connection = None
        self.is_up = True
        # Each has its own luck, so that another heartbeat meets the same cuts and the same lines.
        luck = [Random(rng.random()) for _ in range(3)]
        env.process(self.write(luck[0]))
        if cuts:
            env.process(self.break_down(luck[1]))
        env.process(self.read(Reconnect(FullJitter(0.2, 2.0, luck[2]), stable=0)))

    @property
    def waits(self):
        return self.connection is not None and self.connection.cut.triggered and not self.beat and self.kind == "silent"

    def write(self, rng):
        while True:
            yield self.env.timeout(rng.expovariate(RATE))
            self.lines.append(Line(len(self.lines) + 1, self.env.now, []))
            if self.connection is not None:
                self.env.process(self.carry([self.lines[-1]], self.connection))

    def break_down(self, rng):
        while True:
            yield self.env.timeout(rng.expovariate(self.cuts / END))
            until = self.env.now + rng.uniform(*AWAY)
            self.is_up = False
            self.away.append((self.env.now, until))
            if self.connection is not None and not self.connection.cut.triggered:
                self.connection.cut.succeed()
            yield self.env.timeout(until - self.env.now)
            self.is_up = True

    def carry(self, lines, connection):
        yield self.env.timeout(DELAY)
        if connection.cut.triggered:
            return  # it was on the way
        connection.heartbeat.heard(self.env.now)
        for line in lines:
            if self.back != "after the last number" or self.resume.take(line.number) is Seen.NEW:
                line.shown.append(self.env.now)

    def read(self, reconnect):
        while True:
            if self.is_up:
                self.connection = Connection(self.env.event(), Heartbeat(self.beat or 1e9, misses=2, now=self.env.now))
                reconnect.opened(self.env.now)
                after = {"at now": len(self.lines), "after the last number": self.resume.last}.get(self.back, 0)
                self.env.process(self.carry(self.lines[after:], self.connection))
                yield from self.notice(self.connection)
                self.connection = None
            yield self.env.timeout(reconnect.lost(self.env.now))

    def notice(self, connection):
        """Until the client knows that the connection is dead."""
        if self.kind == "with a reset":
            yield connection.cut
            return
        heartbeat = connection.heartbeat
        while not heartbeat.is_dead(self.env.now):
            if heartbeat.is_due(self.env.now):
                heartbeat.pinged(self.env.now)
                self.env.process(self.pong(connection))
            yield self.env.timeout(heartbeat.wait(self.env.now))

    def pong(self, connection):
        yield self.env.timeout(2 * DELAY)
        if not connection.cut.triggered:
            connection.heartbeat.heard(self.env.now)


class Connection(NamedTuple):
    """``cut``: the event that it is dead, which its client may not know."""

    cut: simpy.Event
    heartbeat: Heartbeat


def run(seed, cuts, kind, beat, back) -> Chat:
    """The same cuts and the same lines for the same seed. Lines of the last seconds, which may be on the way, are left
    out."""
    env = simpy.Environment()
    chat = Chat(env, Random(seed), cuts, kind, beat, back)
    env.run(until=END + LONGEST)
    chat.lines = [line for line in chat.lines if line.at < END]
    chat.away = [(begin, end) for begin, end in chat.away if begin < END]
    return chat
