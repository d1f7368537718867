"""Four subscribers (chapter 04): who comes from afar misses the beginning, who reads slowly loses the middle."""

import functools
from collections import Counter

import simpy

from servicelab.sim.pubsub import Publisher, Subscriber
from servicelab.views.live import LivePanel, Slider
from servicelab.views.theme import FAILURE_INK, GREEN, INK, MUTED, PURPLE, SKY, VERMILION

#: The picture ends here, and all four connect at JOIN (seconds).
END, JOIN = 3.0, 0.25
QUICK = 0.0005  # seconds that a quick reader works on an event

#: In which order the four stand: name, is it far, is it slow.
FOUR = (("near, quick", 0, 0), ("far, quick", 1, 0), ("near, slow", 0, 1), ("far, slow", 1, 1))

#: What becomes of an event: its mark and its colour in the picture.
FATES = {
    "heard": ("|", GREEN),
    "waits": ("|", SKY),
    "missed": ("x", PURPLE),
    "dropped": ("x", VERMILION),
}


class Subscribers(LivePanel):
    """The delay of the far ones, the publisher's rate, the slow ones' pace and the high-water mark as controls.

    Each row is a subscriber, each mark an event at the moment in which it was published. A mark of so many stands at
    each end of the line, so twice as many events wait at most.
    """

    title = "One publisher, four subscribers"
    question = "Which of the four does the delay hurt, which the mark? Is there a setting at which nobody drops any?"
    controls = (
        Slider("delay", "delay of the far ones, one way (ms)", 0, 100, 25, 5),
        Slider("rate", "events published (per s)", 20, 400, 120, 20),
        Slider("speed", "the slow ones read (events/s)", 20, 400, 40, 20),
        Slider("mark", "high-water mark at each end", 10, 500, 50, 10),
    )

    def draw(self, fig):
        left, right = fig.subplots(1, 2, width_ratios=(1.35, 1))
        left.set(xlim=(0, END), ylim=(3.6, -0.9), xlabel="published at (s)")
        left.set_yticks(range(4), [name for name, *_ in FOUR])
        left.grid(False)
        left.axvline(JOIN, color=MUTED, linewidth=1)
        left.text(JOIN + 0.04, -0.55, "all four connect", color=MUTED)
        self.marks = {
            fate: self.moving(left.plot([], [], marker, color=colour, markersize=9 if marker == "x" else 14)[0])
            for fate, (marker, colour) in FATES.items()
        }
        right.set(xlim=(-0.05, 4), ylim=(3.6, -0.9), xticks=(), yticks=())
        right.grid(False)
        for side in right.spines.values():
            side.set_visible(False)
        inks = {"heard": "#00694D", "waits": "#1A6FA3", "missed": "#94417A", "dropped": FAILURE_INK}
        self.counts = {}
        for column, fate in enumerate(FATES):
            right.text(column + 0.95, -0.55, fate, ha="right", color=inks[fate], weight="bold", fontsize=11)
            for row in range(4):
                ink = inks[fate] if fate in ("missed", "dropped") else INK
                self.counts[fate, row] = self.moving(right.text(column + 0.95, row + 0.1, "", ha="right", color=ink))

    def update(self, delay, rate, speed, mark):
        four = run(delay / 1000, rate, speed, mark)
        told = [Counter(fates.values()) for fates in four]
        for fate, line in self.marks.items():
            points = [
                ((number - 1) / rate, row)
                for row, fates in enumerate(four)
                for number in fates
                if fates[number] == fate
            ]
            line.set_data(*zip(*points)) if points else line.set_data([], [])
            for row in range(4):
                self.counts[fate, row].set_text(f"{told[row][fate]}" if told[row][fate] or fate == "heard" else "–")
        said = "; ".join(
            f"{name}: " + ", ".join(f"{count[fate]} {fate}" for fate in FATES if count[fate])
            for (name, *_), count in zip(FOUR, told)
        )
        return f"{rate} events/s, far is {delay} ms, slow reads {speed}/s, mark {mark}. {said}."


def run(delay, rate, speed, mark):
    """For each of FOUR: {number of an event from JOIN on: its fate, one of FATES}. Times in s, rates in events/s."""
    return [run_one(delay * is_far, rate, 1 / speed if is_slow else QUICK, 2 * mark) for _, is_far, is_slow in FOUR]


@functools.lru_cache(maxsize=256)  # none of the four minds the others: a slider that moves two lets two be
def run_one(delay, rate, work, room):
    """What becomes of the events of one subscriber."""
    env = simpy.Environment()
    # It joins a hair before the event at JOIN, whatever the sum of the periods comes to.
    one = Subscriber(env, delay, work, room, JOIN - 1e-6)
    orders = Publisher(env, 1 / rate, [one])
    env.run(until=END)
    first = next(number for number in range(1, orders.published + 1) if (number - 1) / rate >= JOIN - 1e-9)
    heard = set(one.heard)
    return {n: one.lost.get(n, "heard" if n in heard else "waits") for n in range(first, orders.published + 1)}
