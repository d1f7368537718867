"""The race (chapter 05): a reader that is away, and a log that forgets behind its back."""

import functools
from random import Random
from typing import NamedTuple

import numpy as np
from matplotlib.patches import Patch

from servicelab.views.live import LivePanel, Slider
from servicelab.views.theme import BLUE, FAILURE_INK, GRID, MUTED, SIMULATED, VERMILION

PARTITIONS, SPEED = 3, 60.0  # and events/s that the reader reads, from all together
LEAVES, END, STEP = 5.0, 60.0, 0.25  # seconds: the reader goes, the picture ends; between two moments
MOST = 30  # events/s that the picture has room for


class Race(LivePanel):
    """Pace, outage and retention as controls; Start lets the minute pass, from its beginning if it is over.

    Above the strips is the reader's place in each partition. What is kept is blue, what was read and then dropped is
    grey, and what was dropped unread has the colour of failure. The grey span is the time in which the
    reader is away.
    """

    title = "A reader on holiday, and a log that forgets"
    question = "How long may the reader be away? Find the last second at which nothing is lost."
    controls = (
        Slider("pace", "events/s that are written", 5, MOST, 20, 5),
        Slider("outage", "the reader is away for (s)", 0, 50, 30, 1),
        Slider("retention", "an event is kept for (s)", 5, 60, 20, 1),
    )
    period = STEP / 4  # a minute passes in a quarter of one

    def restart(self):
        self.at = END

    def tick(self):
        self.at = STEP if self.at >= END else self.at + STEP

    def draw(self, fig):
        left, right = fig.subplots(1, 2, width_ratios=(1.6, 1))
        room = MOST * END / PARTITIONS * 1.1
        left.set(xlim=(0, room), ylim=(PARTITIONS - 0.4, -0.75), xlabel="offset", yticks=range(PARTITIONS))
        left.set_yticklabels([f"partition {number}" for number in range(PARTITIONS)])
        left.set_title("The log")
        left.grid(False)
        rows = range(PARTITIONS)
        self.bars = {
            part: [self.moving(left.barh([row], [0], height=0.34, color=colour)[0]) for row in rows]
            for part, colour in (("gone", GRID), ("kept", BLUE), ("lost", VERMILION))
        }
        names = ("read, then forgotten", "kept", "forgotten unread")
        patches = [Patch(color=bars[0].get_facecolor(), label=name) for bars, name in zip(self.bars.values(), names)]
        left.legend(
            handles=patches, loc="upper right", bbox_to_anchor=(1, -0.2), ncols=3, columnspacing=1, handlelength=0.8
        )
        self.cursors = self.moving(left.plot([], [], "v", color="black", markersize=11)[0])
        self.count = self.moving(left.text(room, -0.62, "", ha="right", va="center", weight="bold", fontsize=16))
        right.set(xlim=(0, END), ylim=(0, MOST * END / 2), xlabel="time (s)", ylabel="events")
        right.set_title("Behind, and lost")
        self.away = self.moving(right.axvspan(0, 0, ymax=0.6, color=GRID, label="the reader is away"))
        self.behind = self.moving(right.plot([], [], **SIMULATED, label="still to be read")[0])
        self.lost = self.moving(right.plot([], [], color=VERMILION, label="lost")[0])
        right.legend(loc="upper left")

    def update(self, pace, outage, retention):
        run = minute(self.seed, pace, outage, retention)
        now = min(round(self.at / STEP), len(run.at) - 1)
        first, end, cursor = run.first[now], run.end[now], run.cursor[now]
        for row in range(PARTITIONS):
            self._lay("gone", row, 0, first[row])
            self._lay("kept", row, first[row], end[row])
            for begin, stop in (run.gap[row], (cursor[row], first[row])):
                if begin < min(stop, first[row]):
                    self._lay("lost", row, begin, min(stop, first[row]))
                    break
            else:
                self._lay("lost", row, 0, 0)
        self.cursors.set_data(cursor, np.arange(PARTITIONS) - 0.29)
        lost, behind = run.lost[now], run.behind[now]
        self.count.set(text=f"✗ {lost} lost" if lost else "0 lost", color=FAILURE_INK if lost else MUTED)
        shown = slice(0, now + 1)
        self.behind.set_data(run.at[shown], run.behind[shown])
        self.lost.set_data(run.at[shown], run.lost[shown])
        self.away.set(x=LEAVES, width=outage)
        return (
            f"{pace} events/s, each kept for {retention} s; the reader is away for {outage} s. After {self.at:g} s "
            f"{int(end.sum())} events have been written, {lost} are lost to the reader, and {behind} are still to be "
            "read."
        )

    def _lay(self, part, row, begin, end):
        self.bars[part][row].set_x(begin)
        self.bars[part][row].set_width(end - begin)


class Minute(NamedTuple):
    """One minute of the log, a row for each moment ``at`` (s) and, where it says so, a column for each partition."""

    at: np.ndarray
    first: np.ndarray  #: oldest offset that is kept, by partition
    end: np.ndarray  #: next offset, by partition
    cursor: np.ndarray  #: the reader's, by partition
    lost: np.ndarray  #: events that were dropped before the reader had them
    behind: np.ndarray  #: events that are kept and that it has not read
    gap: list  #: by partition, from where to where the reader jumped when it came back


@functools.lru_cache(maxsize=32)  # Start draws the same minute again and again
def minute(seed, pace, outage, retention) -> Minute:
    """Events at an even pace, each with a key that falls on any of the partitions; the reader takes them in turn."""
    rng = Random(seed)
    places = np.array([rng.randrange(PARTITIONS) for _ in range(int(END * pace))])
    written = {row: np.flatnonzero(places == row) / pace for row in range(PARTITIONS)}  # moments, by partition
    at = np.arange(0, END + STEP / 2, STEP)
    end = np.array([np.searchsorted(written[row], at, "right") for row in range(PARTITIONS)]).T
    first = np.array([np.searchsorted(written[row], at - retention, "left") for row in range(PARTITIONS)]).T
    cursor, lost = np.zeros_like(end), np.zeros(len(at), int)
    gap, jumped, credit = [(0, 0)] * PARTITIONS, 0, 0.0
    for step in range(1, len(at)):
        cursor[step] = cursor[step - 1]
        is_away = LEAVES < at[step] < LEAVES + outage
        missed = np.maximum(first[step] - cursor[step], 0)
        if is_away:
            lost[step] = jumped + missed.sum()
            continue
        if missed.any():  # back, and what it wanted is not there: it goes on with the oldest that is
            gap = [(int(cursor[step, row]), int(cursor[step, row] + missed[row])) for row in range(PARTITIONS)]
            jumped += int(missed.sum())
            cursor[step] += missed
        credit += SPEED * STEP
        while credit >= 1 and (cursor[step] < end[step]).any():  # the oldest that is unread, wherever it is
            due = [written[row][place] if place < end[step, row] else np.inf for row, place in enumerate(cursor[step])]
            cursor[step, np.argmin(due)] += 1
            credit -= 1
        credit = min(credit, 1.0)
        lost[step] = jumped
    behind = (end - np.maximum(cursor, first)).sum(axis=1)
    return Minute(at, first, end, cursor, lost, behind, gap)
