"""Kill the consumer (chapter 03): at four points, and every mail is lost, sent once or sent twice."""

import functools

import simpy

from servicelab.sim import Consumer, Draws, Link, Publisher, Queue, outcome, poisson, replay
from servicelab.sim.consumer import AFTER_ACK, BEFORE_ACK, BEFORE_ARRIVAL, BEFORE_WORK
from servicelab.trace import Trace
from servicelab.views.live import Choice, LivePanel, Slider
from servicelab.views.theme import FAILURE, FAILURE_INK, GREEN, INK, MUTED, SERVICES, SKY, VERMILION

WIRE, WORK, GAP = 0.004, 0.012, 0.009  # seconds: a message travels, a mail takes, from mail to mail
SPAN = 76  # ms that the picture shows
MAILS = 3  # in the picture
COUNT, RATE = 1000, 80  # mails that are counted, mails/s
EVERY, RESTART = 20, 0.050  # of each so many-th mail A dies, and is back after so many seconds

POINTS = {
    "before the mail arrives": BEFORE_ARRIVAL,
    "after receipt, before the work": BEFORE_WORK,
    "after the work, before the ack": BEFORE_ACK,
    "after the ack": AFTER_ACK,
}
ACKS = ("ack when done", "auto-ack")
KEYS = ("none", "saved with the work", "saved before the work")

LETTER, LINE = 0.062, 4.2  # width of a letter in lanes, height of a line in ms
HEAD = {">": 0.04, "<": -0.04, "x": 0.0}  # from the tip of an arrow back to the middle of its head, in lanes

LANES = ("orders", "queue", "A", "B")
COLOURS = {
    "orders": SERVICES["orders"][1],
    "queue": INK,
    "A": SERVICES["notification"][1],
    "B": SERVICES["shipping"][1],
}


class Crash(LivePanel):
    """Where consumer A dies, and three settings, as controls: three mails in the picture, a thousand in the count.

    Orders publishes mails; consumers A and B send them. In the picture A dies of mail 1 and stays dead. In the count
    80 mails/s come (Poisson), a mail takes 12 ms, A dies of each 20th that it is sent, and is back 50 ms later.
    """

    title = "Kill the consumer"
    question = (
        "Where must A die for a mail to be lost, and where to be sent twice? Find a setting that is always right."
    )
    controls = (
        Choice("point", "A is killed", tuple(POINTS)),
        Choice("ack", "acknowledgement", ACKS),
        Choice("key", "id of the mail that was sent", KEYS),
        Slider("prefetch", "prefetch", 1, 10, 1),
    )
    size = (900, 385)

    def draw(self, fig):
        left, right = fig.subplots(1, 2, width_ratios=(2.6, 1))
        self._draw_lanes(left)
        self._draw_counts(right)

    def _draw_lanes(self, ax):
        from matplotlib.collections import LineCollection

        ax.set(xlim=(-0.25, 3.95), ylim=(SPAN, -3), yticks=range(0, SPAN, 20), ylabel="time (ms)")
        ax.set_xticks(range(len(LANES)), LANES, weight="bold")
        ax.xaxis.tick_top()
        ax.tick_params(axis="x", length=0)
        ax.grid(False)
        for side in ("bottom", "top", "left"):
            ax.spines[side].set_visible(False)
        for x, lane in enumerate(LANES):
            if lane != "A":
                ax.plot([x, x], [0, SPAN], color=COLOURS[lane], linewidth=1.2)
        self.alive = self.moving(ax.plot([2, 2], [0, SPAN], color=COLOURS["A"], linewidth=1.2)[0])
        self.dead = self.moving(ax.plot([2, 2], [0, 0], color=VERMILION, linewidth=1.4, linestyle=":")[0])
        self.arrows = self.moving(LineCollection([], colors=INK, linewidths=1.6))
        self.work = self.moving(LineCollection([], linewidths=9, capstyle="butt"))
        for lines in (self.arrows, self.work):
            ax.add_collection(lines, autolim=False)
        heads = {"linestyle": "none", "color": INK, "markersize": 8}
        self.right_heads = self.moving(ax.plot([], [], ">", **heads)[0])
        self.left_heads = self.moving(ax.plot([], [], "<", **heads)[0])
        self.crosses = self.moving(ax.plot([], [], **FAILURE | {"markersize": 10})[0])
        self.skull = self.moving(ax.plot([], [], **FAILURE | {"markersize": 14, "markeredgewidth": 3.4})[0])
        ground = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.9}
        self.words = [self.moving(ax.text(0, 0, "", ha="center", va="center", bbox=ground)) for _ in range(40)]

    def _draw_counts(self, ax):
        ax.set(xlim=(0, COUNT), ylim=(3.35, -0.75), xticks=(), yticks=())
        for side in ax.spines.values():
            side.set_visible(False)
        ax.set_title(f"{COUNT} simulated mails", fontsize=13)
        self.bars, self.counts = [], []
        for y, colour in enumerate((VERMILION, GREEN, SKY)):
            ax.barh([y], [COUNT], height=0.4, facecolor="none", edgecolor="#AAAAAA", linewidth=1)
            self.bars.append(self.moving(ax.barh([y], [0], height=0.4, color=colour)[0]))
            self.counts.append(self.moving(ax.text(0, y - 0.26, "", fontsize=15, weight="bold", va="bottom")))
        self.notes = self.moving(ax.text(0, 2.34, "", va="top", color=MUTED))

    def update(self, point, ack, key, prefetch):
        settings = {
            "auto_ack": ack == ACKS[1],
            "prefetch": 1 if ack == ACKS[1] else prefetch,  # auto-ack knows no limit
            "keys_first": key == KEYS[2],
            "with_keys": key != KEYS[0],
        }
        trace, tasks = three_mails(POINTS[point], **settings)
        self._show_run(trace, tasks)
        result, deaths, again = thousand_mails(POINTS[point], self.seed, **settings)
        looks = ("✗", "lost", FAILURE_INK), ("✓", "once", INK), ("2×", "twice", INK)
        for bar, text, number, (mark, what, ink) in zip(self.bars, self.counts, result, looks):
            bar.set_width(number)
            text.set(text=f"{mark} {number} {what}", color=ink if number else MUTED)
        window = f"prefetch {prefetch}{': no effect' if settings['auto_ack'] else ''}"
        self.notes.set_text(f"A died {deaths} times\n{again} delivered again\n{window}\nkey {key}")
        wrong = [f"{task.label} is {'sent twice' if task.done else 'lost'}" for task in tasks if len(task.done) != 1]
        return (
            f"A is killed {point} ({ack}, {window}, key {key}): {' and '.join(wrong) or 'every mail is sent once'}. "
            f"Of {COUNT} mails {result.lost} are lost, {result.once} sent once, {result.more} sent twice."
        )

    # -- the picture ------------------------------------------------------------------------

    def _show_run(self, trace, tasks):
        """Draw the run of the three mails: arrows, work, death, and what became of each mail."""
        lane = {name: x for x, name in enumerate(LANES)}
        died = next(change.at * 1000 for change in trace.changes if change.value == "down")
        self.alive.set_ydata([0, died])
        self.dead.set_ydata([died, SPAN])
        self.skull.set_data([2], [died])
        bars = [(lane[w.who], w.start * 1000, died if w.end is None else w.end * 1000) for w in trace.work]
        self.work.set_segments([[(x, begin), (x, end)] for x, begin, end in bars])
        self.work.set_color([COLOURS[LANES[x]] for x, _, _ in bars])
        arrows = [self._arrow(message, lane) for message in trace.messages]
        self.arrows.set_segments([[start, end] for _, start, end, _ in arrows])
        for artist, kind in ((self.right_heads, ">"), (self.left_heads, "<"), (self.crosses, "x")):
            tips = [(x - HEAD[kind], y) for _, _, (x, y), how in arrows if how == kind]
            artist.set_data(*zip(*tips)) if tips else artist.set_data([], [])

        words = Words(self.words)
        words.put("A killed", [(2.12, died + 1.5)], FAILURE_INK)
        for work in trace.work:
            if any(work.end in task.done and task.label == work.label for task in tasks):
                x, y = lane[work.who] + 0.1, work.end * 1000 - 2.5
                words.put(f"{work.label} sent", [(x, y), (x, y - 5)], COLOURS[work.who])
        for row, task in enumerate(task for task in tasks if len(task.done) != 1):
            said = f"2× {task.label} twice" if task.done else f"✗ {task.label} lost"
            words.put(said, [(-0.22, SPAN - 3 - 6 * row)], FAILURE_INK)
        for label, (x, y), (to, end), _ in sorted(arrows, key=lambda arrow: arrow[0] == "ack"):
            shares = (0.75, 0.25, 0.6, 0.4) if abs(to - x) > 1 else (0.5, 0.42, 0.58)
            words.put(label, [(x + (to - x) * share, y + (end - y) * share) for share in shares])
        words.clear_the_rest()

    @staticmethod
    def _arrow(message, lane):
        """``(label, start, end, head)`` of a message; one that is lost ends half-way, in a cross."""
        here, there, sent = lane[message.sender], lane[message.receiver], message.sent * 1000
        if message.lost:
            return message.label, (here, sent), ((here + there) / 2, sent + WIRE * 500), "x"
        return message.label, (here, sent), (there, message.received * 1000), ">" if there > here else "<"


class Words:
    """Puts labels where none is yet; what finds no room is left out."""

    def __init__(self, slots):
        self.slots = iter(slots)
        self.taken = []

    def put(self, text, places, colour=None):
        """Write ``text`` at the first of ``places`` with room: bold and to its right if it has a ``colour``."""
        width = len(text) * LETTER
        for x, y in places:
            left = x if colour else x - width / 2
            if not any(left < end and begin < left + width and abs(y - at) < LINE for begin, end, at in self.taken):
                self.taken.append((left, left + width, y))
                align, weight = ("left", "bold") if colour else ("center", "normal")
                next(self.slots).set(position=(x, y), text=text, color=colour or INK, ha=align, weight=weight)
                return

    def clear_the_rest(self):
        for slot in self.slots:
            slot.set_text("")


def three_mails(point, *, with_keys, **settings):
    """The run in the picture: ``(trace, tasks)``. A dies of mail 1 at ``point``, and nobody starts it again."""
    env = simpy.Environment()
    trace = Trace(clock=lambda: env.now)
    queue = Queue(env, "queue", trace=trace)
    orders = Publisher(env, Link(env, queue, WIRE), "orders", trace=trace)
    more = settings | {"keys": set() if with_keys else None, "delay": WIRE, "trace": trace}
    first = lambda letter: point if letter.task.number == 0 else None  # noqa: E731
    Consumer(env, "A", queue, WORK, crash=first, **more)
    Consumer(env, "B", queue, WORK, **more)
    for number in range(MAILS):
        replay(env, [GAP * number], orders, label=f"mail {number + 1}")
    env.run()
    return trace, orders.tasks


@functools.lru_cache(maxsize=64)  # who compares goes back and forth
def thousand_mails(point, seed, *, with_keys, **settings):
    """``(outcome, deaths of A, letters that were delivered again)``. A dies of each 20th mail it is sent."""
    env, draws = simpy.Environment(), Draws(seed)
    queue = Queue(env, "queue")
    orders = Publisher(env, Link(env, queue, WIRE))
    more = settings | {"keys": set() if with_keys else None, "delay": WIRE}
    sent = 0

    def crash(letter):
        nonlocal sent
        sent += 1
        return point if sent % EVERY == 0 else None

    dying = Consumer(env, "A", queue, WORK, crash=crash, restart=RESTART, **more)
    Consumer(env, "B", queue, WORK, **more)
    poisson(env, RATE, orders, draws, count=COUNT)
    env.run()
    return outcome(orders.tasks), dying.deaths, sum(task.deliveries for task in orders.tasks) - COUNT
